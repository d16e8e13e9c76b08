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
mod details;
mod folder;
mod id;
mod places;
mod shelves;
mod store;
mod thumbnails;
mod upload;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use bytes::Bytes;
use chrono::{DateTime, Utc};
use futures::Stream;
use tokio_util::task::AbortOnDropHandle;

use crate::{
    auth::Owner,
    compiler::{Compiler, Component},
    config::LibraryConfig,
    error::{Code, Problem},
    session::portrait::Painter,
};
use copies::Copies;
pub use details::Checked;
use details::Details;
use folder::{Folder, FolderScene};
pub use id::{BadSceneName, DisplayName, NotAHash, SceneHash, SceneId, SceneName};
use places::Places;
pub use shelves::Lease;
use shelves::Shelves;
pub use store::OpenStoreError;
use store::{Store, StoredScene};
use thumbnails::{Sitter, Thumbnails};
pub use upload::MIN_BYTES_PER_SECOND;
use upload::{receive, too_large};

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
        Self { component: Component::File(path), lease: Lease::of_nothing() }
    }
}

/// See the module.
pub struct Library {
    folder: Folder,
    shelves: Arc<Shelves>,
    thumbnails: Thumbnails,
    compiler: Arc<Compiler>,
    places: Places,
    _sweeping: AbortOnDropHandle<()>,
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
        let shelves = Arc::new(Shelves::new(store, copies, limits));
        let thumbnails = Thumbnails::open(cache, painter, Arc::clone(&shelves)).map_err(cache_error)?;
        let sweeping = AbortOnDropHandle::new(tokio::spawn(Arc::clone(&shelves).sweep_often()));
        Ok(Self { folder, shelves, thumbnails, compiler, places: Places::new(), _sweeping: sweeping })
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
                let lease = self.shelves.lease(*hash);
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
        let place = self.places.take(&new.owner).await?;
        let received = receive(body, limits.max_scene_bytes, self.shelves.copies.folder()).await;
        let received = received.map_err(|error| error.problem(limits.max_scene_bytes))?;
        let hash = received.hash;
        // Finished even if nobody waits any more: others may wait for the same scene.
        let (shelves, compiler) = (Arc::clone(&self.shelves), Arc::clone(&self.compiler));
        let adding = async move { shelves.add(new, received, &compiler, place).await };
        let adding = self.shelves.tasks.spawn(adding);
        let (created, details) =
            adding.await.map_err(|error| Problem::internal("Adding the scene", &error))??;
        let has_thumbnail =
            if created { false } else { self.shelves.store.has_thumbnail(hash).await.unwrap_or(false) };
        let entry = self.stored_entry(StoredScene { hash, details, has_thumbnail });
        Ok(if created { Added::Created(entry) } else { Added::Existing(entry) })
    }

    /// Deletes an uploaded scene. Sessions of it go on; its bytes go when they end.
    pub async fn delete(&self, hash: SceneHash) -> Result<(), Problem> {
        self.shelves.delete(hash).await
    }

    /// Makes no more pictures, and waits, for some seconds at most, until what is being added or removed is.
    pub async fn finish(&self) {
        self.thumbnails.stop().await;
        self.shelves.finish().await;
    }
}

/// The answer for an id that names nothing.
pub fn unknown_scene(id: &str) -> Problem {
    let id: String = id.chars().take(MAX_QUOTED_CHARS).collect();
    Problem::new(
        Code::UnknownScene,
        format!("There is no scene {id:?}; GET /api/scenes lists those that are."),
    )
}
