//! The scenes that can be run: the operator's own in one folder, and those that were uploaded, named by the SHA-256 of their bytes.
//!
//! Knows names, files, objects and what the compiler process says of a component. It never reads a component itself, and nothing of
//! requests.
//!
//! Several servers may share a store. What holds then: a scene that one of them deletes is unknown to all at once; the same bytes are
//! one scene for all; the limits on count and bytes are looked at by each server before it adds a scene, so servers that add at the
//! same moment can be over a limit by one scene each; and a session goes on where its scene was deleted by another server, from its
//! own copy.

mod copies;
mod folder;
mod id;
mod store;
mod thumbnails;
mod upload;

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError, Weak},
    time::Duration,
};

use bytes::Bytes;
use chrono::{DateTime, Utc};
use futures::Stream;
use tokio::{sync::Semaphore, time::timeout};
use tokio_util::task::TaskTracker;

use crate::{
    auth::Owner,
    compiler::{Compiler, Component},
    config::LibraryConfig,
    error::{Code, Problem},
    session::portrait::Painter,
};
use copies::{Copies, Held};
use folder::{Folder, FolderScene};
pub use id::{BadSceneName, DisplayName, NotAHash, SceneHash, SceneId, SceneName};
pub use store::{Checked, OpenStoreError};
use store::{Details, Store, StoredScene};
use thumbnails::{Sitter, Thumbnails};
pub use upload::MIN_BYTES_PER_SECOND;
use upload::{Received, receive, too_large};

/// Components that come in or are checked at a time: each is a file of up to the largest scene.
const CONCURRENT_UPLOADS: usize = 8;
/// Uploads that wait for that; each is an open request.
const WAITING_UPLOADS: usize = 256;
/// For so long.
const UPLOAD_PATIENCE: Duration = Duration::from_secs(30);
/// What is quoted of an id that names nothing.
const MAX_QUOTED_CHARS: usize = 64;

/// Why the library cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The operator's scenes are not there.
    #[error("the folder of scenes {} cannot be read: {cause}; build the scenes with `make scenes`, or name another folder \
             with --scenes", folder.display())]
    Scenes {
        /// Where they were looked for.
        folder: PathBuf,
        /// Why not.
        cause: std::io::Error,
    },
    /// Uploaded scenes cannot be kept.
    #[error(
        "uploaded scenes cannot be kept in {place}: {cause}; name another folder with --data, or a bucket with --scene-store"
    )]
    Store {
        /// Where.
        place: String,
        /// Why not.
        cause: OpenStoreError,
    },
    /// The cache cannot be used.
    #[error("the cache folder {} cannot be used: {cause}; name another one with --cache-dir", folder.display())]
    Cache {
        /// Which.
        folder: PathBuf,
        /// Why not.
        cause: std::io::Error,
    },
}

/// A scene, as it is known here.
#[derive(Clone, Debug)]
pub struct SceneEntry {
    /// What it is called by programs.
    pub id: SceneId,
    /// What it is called by people.
    pub name: String,
    /// The component's length.
    pub bytes: u64,
    /// Of the component; `None` for a file of the folder that is too large to be one.
    pub hash: Option<SceneHash>,
    /// Who uploaded it, and when; `None` for the folder's.
    pub uploaded: Option<Uploaded>,
    /// What the check said; of the folder's scenes it is known when they have been looked at.
    pub checked: Option<Checked>,
    /// Whether there is a picture of it.
    pub has_thumbnail: bool,
}

/// How a scene came here.
#[derive(Clone, Debug)]
pub struct Uploaded {
    /// By whom.
    pub owner: Owner,
    /// When.
    pub at: DateTime<Utc>,
}

/// What somebody uploads.
#[derive(Clone, Debug)]
pub struct NewScene {
    /// What it shall be called.
    pub name: DisplayName,
    /// Whose it is.
    pub owner: Owner,
    /// Its length, if it was said before.
    pub declared_bytes: Option<u64>,
}

/// What became of an upload.
#[derive(Clone, Debug)]
pub enum Added {
    /// A new scene.
    Created(SceneEntry),
    /// These bytes were there already.
    Existing(SceneEntry),
}

/// A component that can be given to the compiler as long as this lives.
#[derive(Debug)]
pub struct Runnable {
    /// The component.
    pub component: Component,
    /// Its bytes stay, even if the scene is deleted.
    pub lease: Lease,
}

impl Runnable {
    /// A file that is nobody's to delete here.
    pub fn from_file(path: PathBuf) -> Self {
        Self { component: Component::File(path), lease: Lease(None) }
    }
}

/// Keeps a scene's bytes.
#[derive(Debug)]
pub struct Lease(Option<Leased>);

#[derive(Debug)]
struct Leased {
    hash: SceneHash,
    held: Option<Held>,
    library: Weak<Shelves>,
}

impl Drop for Lease {
    fn drop(&mut self) {
        let Some(Leased { hash, held, library }) = self.0.take() else { return };
        drop(held);
        let (Some(shelves), Ok(runtime)) = (library.upgrade(), tokio::runtime::Handle::try_current()) else {
            return;
        };
        if !shelves.copies.is_held(hash) {
            // If the scene was deleted meanwhile, here or by another server, its bytes go now.
            runtime.spawn(async move { shelves.remove_if_deleted(hash).await });
        }
    }
}

/// See the module.
pub struct Library {
    folder: Folder,
    shelves: Arc<Shelves>,
    thumbnails: Thumbnails,
    compiler: Arc<Compiler>,
    uploads: Semaphore,
    waiting: Semaphore,
    /// What was received is put away or thrown away, whether somebody still waits for the answer or not.
    tasks: TaskTracker,
}

/// Uploaded scenes, and the limits on them.
struct Shelves {
    store: Arc<Store>,
    copies: Arc<Copies>,
    limits: LibraryConfig,
    /// One scene is added or removed at a time, so that limits are not passed by two that see the same room.
    changing: tokio::sync::Mutex<()>,
    /// Components that are being checked. The same one twice is checked once.
    checking: Mutex<HashMap<SceneHash, Weak<tokio::sync::Mutex<()>>>>,
}

impl Library {
    /// Opens the folder and the store, and begins to tidy up what a server left that was killed.
    pub fn open(
        scenes: PathBuf,
        cache: &Path,
        limits: LibraryConfig,
        compiler: Arc<Compiler>,
        painter: Painter,
    ) -> Result<Self, OpenError> {
        let folder =
            Folder::open(scenes.clone()).map_err(|cause| OpenError::Scenes { folder: scenes, cause })?;
        let (opened, place) = match &limits.store_url {
            Some(url) => (Store::in_bucket(url), url.clone()),
            None => (Store::in_folder(&limits.data), limits.data.display().to_string()),
        };
        let store = Arc::new(opened.map_err(|cause| OpenError::Store { place, cause })?);
        let cache_error = |cause| OpenError::Cache { folder: cache.to_owned(), cause };
        let copies = Arc::new(Copies::open(cache).map_err(cache_error)?);
        let thumbnails =
            Thumbnails::open(cache, painter, Arc::clone(&store), Arc::clone(&copies)).map_err(cache_error)?;
        let sweeping = Arc::clone(&store);
        tokio::spawn(async move {
            match sweeping.sweep().await {
                Ok(0) => {}
                Ok(removed) => tracing::info!(removed, "objects of no scene were removed"),
                Err(error) => tracing::warn!(%error, "the scene store could not be tidied up"),
            }
        });
        let shelves = Shelves {
            store,
            copies,
            limits,
            changing: tokio::sync::Mutex::default(),
            checking: Mutex::default(),
        };
        Ok(Self {
            folder,
            shelves: Arc::new(shelves),
            thumbnails,
            compiler,
            uploads: Semaphore::new(CONCURRENT_UPLOADS),
            waiting: Semaphore::new(WAITING_UPLOADS),
            tasks: TaskTracker::new(),
        })
    }

    /// All scenes: the folder's by name, then the uploaded ones, the latest first. Those without a picture get one some time.
    pub async fn list(&self) -> Result<Vec<SceneEntry>, Problem> {
        let doing = "Listing the scenes";
        let folder = self.folder.list().await.map_err(|error| Problem::internal(doing, &error))?;
        let stored = self.shelves.store.list().await.map_err(|error| error.problem(doing))?;
        let mut entries = Vec::with_capacity(folder.len() + stored.len());
        for scene in folder {
            entries.push(self.folder_entry(scene).await);
        }
        let mut uploaded: Vec<SceneEntry> =
            stored.into_iter().map(|scene| self.stored_entry(scene)).collect();
        uploaded.sort_by_key(|entry| std::cmp::Reverse(entry.uploaded.as_ref().map(|uploaded| uploaded.at)));
        entries.append(&mut uploaded);
        Ok(entries)
    }

    /// One scene.
    pub async fn get(&self, id: &SceneId) -> Result<SceneEntry, Problem> {
        let doing = "Looking for the scene";
        match id {
            SceneId::Folder(name) => {
                let scene = self.find_in_folder(name).await?;
                Ok(self.folder_entry(scene).await)
            }
            SceneId::Uploaded(hash) => {
                let details = self.shelves.find(*hash).await?;
                let has_thumbnail = self.shelves.store.has_thumbnail(*hash).await;
                let has_thumbnail = has_thumbnail.map_err(|error| error.problem(doing))?;
                Ok(self.stored_entry(StoredScene { hash: *hash, details, has_thumbnail }))
            }
        }
    }

    async fn find_in_folder(&self, name: &SceneName) -> Result<FolderScene, Problem> {
        let found = self.folder.find(name.clone()).await;
        let found = found.map_err(|error| Problem::internal("Looking for the scene", &error))?;
        found.ok_or_else(|| unknown_scene(name.as_str()))
    }

    async fn folder_entry(&self, scene: FolderScene) -> SceneEntry {
        let FolderScene { name, bytes, hash } = scene;
        let (has_thumbnail, checked) = match hash {
            Some(hash) => self.thumbnails.known_of_folder(hash).await,
            None => (false, None),
        };
        if let Some(hash) = hash.filter(|_| !has_thumbnail) {
            self.thumbnails.want(Sitter::Folder { hash, path: self.folder.path_of(&name) });
        }
        SceneEntry {
            name: name.to_string(),
            id: SceneId::Folder(name),
            bytes,
            hash,
            uploaded: None,
            checked: checked.map(Arc::unwrap_or_clone),
            has_thumbnail,
        }
    }

    fn stored_entry(&self, scene: StoredScene) -> SceneEntry {
        let StoredScene { hash, details, has_thumbnail } = scene;
        if !has_thumbnail {
            self.thumbnails.want(Sitter::Uploaded { hash, bytes: details.bytes });
        }
        let Details { name, owner, bytes, uploaded_at, checked } = Arc::unwrap_or_clone(details);
        SceneEntry {
            id: SceneId::Uploaded(hash),
            name,
            bytes,
            hash: Some(hash),
            uploaded: Some(Uploaded { owner: Owner(owner), at: uploaded_at }),
            checked: Some(checked),
            has_thumbnail,
        }
    }

    /// The picture of a scene.
    pub async fn thumbnail(&self, id: &SceneId) -> Result<Bytes, Problem> {
        let entry = self.get(id).await?;
        let picture = match (id, entry.hash) {
            (SceneId::Uploaded(hash), _) => {
                let found = self.shelves.store.thumbnail(*hash).await;
                found.map_err(|error| error.problem("Reading the picture"))?
            }
            (SceneId::Folder(_), Some(hash)) => self.thumbnails.of_folder(hash).await,
            (SceneId::Folder(_), None) => None,
        };
        picture.ok_or_else(|| {
            Problem::new(Code::NoPicture, "None was made of this scene yet, or none could be made.")
        })
    }

    /// What the compiler needs to run a scene.
    pub async fn runnable(&self, id: &SceneId) -> Result<Runnable, Problem> {
        match id {
            SceneId::Folder(name) => {
                self.find_in_folder(name).await?;
                Ok(Runnable::from_file(self.folder.path_of(name)))
            }
            SceneId::Uploaded(hash) => {
                // Taken before it is looked for, so that it is not removed in between.
                let held = Some(self.shelves.copies.lease(*hash));
                let lease = Leased { hash: *hash, held, library: Arc::downgrade(&self.shelves) };
                let lease = Lease(Some(lease));
                let details = self.shelves.find(*hash).await?;
                let copy = self.shelves.copies.fetch(&self.shelves.store, *hash, details.bytes).await?;
                let path = copy.ok_or_else(|| unknown_scene(&hash.to_string()))?;
                Ok(Runnable { component: Component::File(path), lease })
            }
        }
    }

    /// Takes a scene in. What is refused leaves nothing behind.
    pub async fn add<E>(
        &self,
        new: NewScene,
        body: impl Stream<Item = Result<Bytes, E>>,
    ) -> Result<Added, Problem> {
        let limits = &self.shelves.limits;
        if new.declared_bytes.is_some_and(|bytes| bytes > limits.max_scene_bytes) {
            return Err(too_large(limits.max_scene_bytes));
        }
        let busy =
            || Problem::new(Code::TooManyRequests, "Too many scenes are being uploaded at this moment.");
        let place = {
            let _waiting = self.waiting.try_acquire().map_err(|_| busy())?;
            timeout(UPLOAD_PATIENCE, self.uploads.acquire()).await.map_err(|_| busy())?
        };
        let received = receive(body, limits.max_scene_bytes, self.shelves.copies.folder()).await;
        let received = received.map_err(|error| error.problem(limits.max_scene_bytes))?;
        let hash = received.hash;
        // Finished even if nobody waits any more: others may wait for the same scene.
        let (shelves, compiler) = (Arc::clone(&self.shelves), Arc::clone(&self.compiler));
        let adding = self.tasks.spawn(async move { shelves.add(new, received, &compiler).await });
        let (created, details) =
            adding.await.map_err(|error| Problem::internal("Adding the scene", &error))??;
        drop(place);
        let has_thumbnail =
            if created { false } else { self.shelves.store.has_thumbnail(hash).await.unwrap_or(false) };
        let entry = self.stored_entry(StoredScene { hash, details, has_thumbnail });
        Ok(if created { Added::Created(entry) } else { Added::Existing(entry) })
    }

    /// Deletes an uploaded scene. Sessions of it go on; its bytes go when they end.
    pub async fn delete(&self, hash: SceneHash) -> Result<(), Problem> {
        let changing = self.shelves.changing.lock().await;
        let existed = self.shelves.store.delete(hash).await;
        drop(changing);
        if !existed.map_err(|error| error.problem("Deleting the scene"))? {
            return Err(unknown_scene(&hash.to_string()));
        }
        tracing::info!(scene = id::short(hash), "scene deleted");
        self.shelves.remove_if_deleted(hash).await;
        Ok(())
    }
}

impl Shelves {
    async fn find(&self, hash: SceneHash) -> Result<Arc<Details>, Problem> {
        let found = self.store.find(hash).await.map_err(|error| error.problem("Looking for the scene"))?;
        found.ok_or_else(|| unknown_scene(&hash.to_string()))
    }

    /// Checks what was received and puts it away. True if it is a new scene.
    async fn add(
        &self,
        new: NewScene,
        received: Received,
        compiler: &Compiler,
    ) -> Result<(bool, Arc<Details>), Problem> {
        let (hash, bytes) = (received.hash, received.bytes);
        let turn = self.turn(hash);
        let _turn = turn.lock().await;
        let doing = "Keeping the scene";
        if let Some(existing) = self.store.find(hash).await.map_err(|error| error.problem(doing))? {
            return Ok((false, existing));
        }
        // Before the work of compiling, and for the answer that says what to do; it is looked at again when the scene is added.
        self.check_room(&new.owner, bytes).await?;
        let held = self.copies.lease(hash);
        let path =
            self.copies.keep(received).map_err(|error| store::StoreError::from(error).problem(doing))?;
        let added = self.check_and_create(new, hash, bytes, path, compiler).await;
        drop(held);
        if added.is_err() {
            self.remove_if_deleted(hash).await;
        }
        added
    }

    async fn check_and_create(
        &self,
        new: NewScene,
        hash: SceneHash,
        bytes: u64,
        path: PathBuf,
        compiler: &Compiler,
    ) -> Result<(bool, Arc<Details>), Problem> {
        let doing = "Keeping the scene";
        let report = compiler.inspect(&Component::File(path)).await?;
        let details = Details {
            name: new.name.as_str().to_owned(),
            owner: new.owner.0.clone(),
            bytes,
            uploaded_at: Utc::now(),
            checked: report.into(),
        };
        let _changing = self.changing.lock().await;
        self.check_room(&new.owner, bytes).await?;
        let component =
            self.copies.read(hash).await.map_err(|error| store::StoreError::from(error).problem(doing))?;
        let existing =
            self.store.create(hash, component, &details).await.map_err(|error| error.problem(doing))?;
        if let Some(existing) = existing {
            return Ok((false, existing));
        }
        tracing::info!(scene = id::short(hash), bytes, "scene uploaded");
        self.copies.make_room().await;
        Ok((true, Arc::new(details)))
    }

    /// Whether there is room for another scene of that owner.
    async fn check_room(&self, owner: &Owner, bytes: u64) -> Result<(), Problem> {
        let scenes = self.store.list().await.map_err(|error| error.problem("Counting the scenes"))?;
        let sizes = || scenes.iter().map(|scene| scene.details.bytes);
        let own =
            || scenes.iter().filter(|scene| scene.details.owner == owner.0).map(|scene| scene.details.bytes);
        let full = |detail: String| Err(Problem::new(Code::LibraryFull, detail));
        let LibraryConfig { max_scenes, max_total_bytes, max_scenes_per_token, max_bytes_per_token, .. } =
            &self.limits;
        if scenes.len() >= (*max_scenes).min(store::MAX_LISTED) {
            return full(format!("It keeps {max_scenes} uploaded scenes, its maximum; delete one first."));
        }
        if total(sizes()).saturating_add(bytes) > *max_total_bytes {
            return full(format!(
                "Its scenes have at most {max_total_bytes} bytes together; delete one first."
            ));
        }
        if own().count() >= *max_scenes_per_token {
            return full(format!("You have {max_scenes_per_token} scenes, your maximum; delete one first."));
        }
        if total(own()).saturating_add(bytes) > *max_bytes_per_token {
            return full(format!(
                "Your scenes have at most {max_bytes_per_token} bytes together; delete one first."
            ));
        }
        Ok(())
    }

    /// Removes the bytes of a scene that does not exist, unless somebody still needs them.
    async fn remove_if_deleted(&self, hash: SceneHash) {
        let _changing = self.changing.lock().await;
        if self.copies.is_held(hash) {
            return;
        }
        let removed = async {
            if self.store.find(hash).await?.is_some() {
                return Ok(());
            }
            let copy = self.copies.read(hash).await.ok();
            self.store.remove_component(hash, copy).await?;
            self.copies.remove(hash).await;
            Ok::<_, store::StoreError>(())
        };
        if let Err(error) = removed.await {
            tracing::warn!(scene = id::short(hash), %error, "the bytes of a deleted scene could not be removed");
        }
    }

    /// One lock for each scene that is being added.
    fn turn(&self, hash: SceneHash) -> Arc<tokio::sync::Mutex<()>> {
        let mut checking = self.checking.lock().unwrap_or_else(PoisonError::into_inner);
        checking.retain(|_, turn| turn.strong_count() > 0);
        if let Some(turn) = checking.get(&hash).and_then(Weak::upgrade) {
            return turn;
        }
        let turn = Arc::default();
        checking.insert(hash, Arc::downgrade(&turn));
        turn
    }
}

impl std::fmt::Debug for Shelves {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shelves").field("store", &self.store).finish_non_exhaustive()
    }
}

fn total(bytes: impl Iterator<Item = u64>) -> u64 {
    bytes.fold(0, u64::saturating_add)
}

/// The answer for an id that names nothing.
pub fn unknown_scene(id: &str) -> Problem {
    let id: String = id.chars().take(MAX_QUOTED_CHARS).collect();
    Problem::new(
        Code::UnknownScene,
        format!("There is no scene {id:?}; GET /api/scenes lists those that are."),
    )
}
