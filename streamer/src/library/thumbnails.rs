//! Pictures of scenes for the gallery, made beside everything else: one at a time, each once, and none that is waited for.
//!
//! A scene whose picture fails is not tried again as long as the server runs. Pictures of uploaded scenes are in the store, where other
//! servers see them, too; those of the folder's scenes are in the cache, by the hash of their bytes, with what the compiler says of
//! them.

use std::{
    collections::{HashMap, HashSet},
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;
use tracing::Instrument as _;

use super::{
    SceneHash, copies::make_room, details::Checked, id::short, shelves::Shelves, store::MAX_THUMBNAIL_BYTES,
};
use crate::{
    compiler::Component,
    session::portrait::{Painter, PortraitError},
    text::escape_untrusted,
};

/// Scenes that wait; whatever does not fit is asked for again at the next look at it.
const MAX_WAITING: usize = 64;
/// All pictures of the folder's scenes; beyond it, the oldest go, and are made again if they are asked for.
const MAX_CACHE_BYTES: u64 = 64 << 20;
/// Scenes that are known to have no picture. Beyond it, all are tried again.
const MAX_FAILED: usize = 1_000;
/// What is kept in memory of the folder's scenes: as many as are listed, twice.
const MAX_CHECKED: usize = 2_000;

/// Whose picture.
#[derive(Debug)]
pub(super) enum Sitter {
    /// A file of the folder.
    Folder {
        /// Of its bytes.
        hash: SceneHash,
        /// The file.
        path: PathBuf,
    },
    /// An uploaded one.
    Uploaded {
        /// Its name.
        hash: SceneHash,
        /// The component's length.
        bytes: u64,
    },
}

impl Sitter {
    fn hash(&self) -> SceneHash {
        match self {
            Self::Folder { hash, .. } | Self::Uploaded { hash, .. } => *hash,
        }
    }
}

/// See the module.
pub(super) struct Thumbnails {
    waiting: mpsc::Sender<Sitter>,
    shared: Arc<Shared>,
    /// None when it was stopped.
    studio: Mutex<Option<AbortOnDropHandle<()>>>,
}

/// Shared by those who ask and the task that paints.
struct Shared {
    /// Where pictures of the folder's scenes are.
    cache: PathBuf,
    books: Mutex<Books>,
}

#[derive(Default)]
struct Books {
    pending: HashSet<SceneHash>,
    failed: HashSet<SceneHash>,
    /// Of the folder's scenes.
    checked: HashMap<SceneHash, Arc<Checked>>,
}

impl Thumbnails {
    /// Starts the task.
    pub(super) fn open(cache: &Path, painter: Painter, shelves: Arc<Shelves>) -> io::Result<Self> {
        let cache = cache.join("thumbnails");
        std::fs::create_dir_all(&cache)?;
        let shared = Arc::new(Shared { cache, books: Mutex::default() });
        let (waiting, sitters) = mpsc::channel(MAX_WAITING);
        let studio = Studio { painter, shelves, shared: Arc::clone(&shared) };
        let studio = AbortOnDropHandle::new(tokio::spawn(studio.run(sitters)));
        Ok(Self { waiting, shared, studio: Mutex::new(Some(studio)) })
    }

    /// Makes no more pictures, and needs no scene any more when this completes.
    pub(super) async fn stop(&self) {
        let studio = self.studio.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(studio) = studio {
            studio.abort();
            // Whatever came of it.
            let _ = studio.await;
        }
    }

    /// Wants a picture of this scene, some time.
    pub(super) fn want(&self, sitter: Sitter) {
        let hash = sitter.hash();
        let mut books = self.shared.books();
        if books.failed.contains(&hash) || !books.pending.insert(hash) {
            return;
        }
        if self.waiting.try_send(sitter).is_err() {
            books.pending.remove(&hash);
        }
    }

    /// The picture of a scene of the folder.
    pub(super) async fn of_folder(&self, hash: SceneHash) -> Option<Bytes> {
        let path = self.shared.picture(hash);
        let bytes = tokio::fs::metadata(&path).await.ok()?.len();
        if bytes > MAX_THUMBNAIL_BYTES {
            return None;
        }
        tokio::fs::read(&path).await.ok().map(Bytes::from)
    }

    /// Whether there is a picture of a scene of the folder, and what the compiler said of it.
    pub(super) async fn known_of_folder(&self, hash: SceneHash) -> (bool, Option<Arc<Checked>>) {
        let has_picture = tokio::fs::try_exists(self.shared.picture(hash)).await.unwrap_or(false);
        let known = self.shared.books().checked.get(&hash).map(Arc::clone);
        if known.is_some() {
            return (has_picture, known);
        }
        let read = tokio::fs::read(self.shared.notes(hash)).await.ok();
        let checked: Option<Checked> = read.and_then(|text| serde_json::from_slice(&text).ok());
        let checked = checked.map(Arc::new);
        if let Some(checked) = &checked {
            self.shared.books().remember(hash, Arc::clone(checked));
        }
        (has_picture, checked)
    }
}

impl Shared {
    fn picture(&self, hash: SceneHash) -> PathBuf {
        self.cache.join(format!("{hash}.png"))
    }

    fn notes(&self, hash: SceneHash) -> PathBuf {
        self.cache.join(format!("{hash}.json"))
    }

    /// Entries are whole at every moment.
    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Books {
    fn remember(&mut self, hash: SceneHash, checked: Arc<Checked>) {
        if self.checked.len() >= MAX_CHECKED {
            self.checked.clear();
        }
        self.checked.insert(hash, checked);
    }
}

/// Why there is no picture now.
enum Missed {
    /// The scene has none.
    ByScene(String),
    /// It is gone, or something of ours failed: it is tried again when it is asked for.
    ByUs(String),
}

impl From<PortraitError> for Missed {
    fn from(error: PortraitError) -> Self {
        if error.is_scenes() { Self::ByScene(error.to_string()) } else { Self::ByUs(error.to_string()) }
    }
}

/// The task that paints.
struct Studio {
    painter: Painter,
    shelves: Arc<Shelves>,
    shared: Arc<Shared>,
}

impl Studio {
    async fn run(self, mut sitters: mpsc::Receiver<Sitter>) {
        while let Some(sitter) = sitters.recv().await {
            let hash = sitter.hash();
            let span = tracing::info_span!("thumbnail", scene = short(hash));
            let painted = self.paint(&sitter).instrument(span.clone()).await;
            let mut books = self.shared.books();
            books.pending.remove(&hash);
            let _in_span = span.enter();
            match painted {
                Ok(()) => tracing::debug!("there is a picture"),
                Err(Missed::ByUs(why)) => {
                    tracing::warn!(why = %escape_untrusted(&why), "no picture could be made");
                }
                Err(Missed::ByScene(why)) => {
                    tracing::info!(why = %escape_untrusted(&why), "the scene has no picture");
                    if books.failed.len() >= MAX_FAILED {
                        books.failed.clear();
                    }
                    books.failed.insert(hash);
                }
            }
        }
    }

    async fn paint(&self, sitter: &Sitter) -> Result<(), Missed> {
        match sitter {
            Sitter::Folder { hash, path } => self.paint_folder(*hash, path).await,
            Sitter::Uploaded { hash, bytes } => self.paint_uploaded(*hash, *bytes).await,
        }
    }

    async fn paint_folder(&self, hash: SceneHash, path: &Path) -> Result<(), Missed> {
        let component = Component::File(path.to_owned());
        let checked = Checked::from(self.painter.inspect(&component).await?);
        let text = serde_json::to_vec(&checked).map_err(|error| Missed::ByUs(error.to_string()))?;
        self.write(self.shared.notes(hash), text.into()).await?;
        self.shared.books().remember(hash, Arc::new(checked));
        let png = self.portrait(&component).await?;
        self.write(self.shared.picture(hash), png).await
    }

    async fn paint_uploaded(&self, hash: SceneHash, bytes: u64) -> Result<(), Missed> {
        // If it is deleted meanwhile, its bytes go when this is the last to need them.
        let _lease = self.shelves.lease(hash);
        let (store, copies) = (&self.shelves.store, &self.shelves.copies);
        let by_us = |error: &dyn std::fmt::Display| Missed::ByUs(error.to_string());
        if store.has_thumbnail(hash).await.map_err(|error| by_us(&error))? {
            return Ok(());
        }
        let copy = copies.fetch(store, hash, bytes).await.map_err(|problem| by_us(&problem))?;
        let Some(path) = copy else { return Err(Missed::ByUs("it is gone".to_owned())) };
        let component = Component::File(path);
        // Compiled behind what sessions wait for, if its native code is not in the cache.
        self.painter.inspect(&component).await?;
        let png = self.portrait(&component).await?;
        store.put_thumbnail(hash, png).await.map_err(|error| by_us(&error))
    }

    async fn portrait(&self, component: &Component) -> Result<Bytes, Missed> {
        let png = self.painter.paint(component).await?;
        if png.len() as u64 > MAX_THUMBNAIL_BYTES {
            return Err(Missed::ByScene(format!("its picture has {} bytes", png.len())));
        }
        Ok(png)
    }

    /// Whole or not at all.
    async fn write(&self, path: PathBuf, bytes: Bytes) -> Result<(), Missed> {
        let folder = self.shared.cache.clone();
        let write = move || -> io::Result<()> {
            use io::Write as _;
            let mut file = tempfile::NamedTempFile::new_in(&folder)?;
            file.write_all(&bytes)?;
            file.persist(path)?;
            make_room(&folder, MAX_CACHE_BYTES, |file| std::fs::remove_file(file).map(|()| true))
        };
        match tokio::task::spawn_blocking(write).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(Missed::ByUs(error.to_string())),
            Err(error) => Err(Missed::ByUs(error.to_string())),
        }
    }
}
