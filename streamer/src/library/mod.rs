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
mod places;
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
use tokio_util::task::{AbortOnDropHandle, TaskTracker};
use tracing::Instrument as _;

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
use places::{Place, Places};
pub use store::{Checked, OpenStoreError};
use store::{Details, Store, StoredScene};
use thumbnails::{Sitter, Thumbnails};
pub use upload::MIN_BYTES_PER_SECOND;
use upload::{Received, receive, too_large};

/// How often objects are looked for that belong to no scene.
const SWEEP_INTERVAL: Duration = Duration::from_hours(1);
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
    places: Places,
    _sweeping: AbortOnDropHandle<()>,
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
    /// What was received is put away or thrown away, and what is deleted goes in full, whether somebody still waits for the answer or
    /// not.
    tasks: TaskTracker,
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
        let shelves = Arc::new(Shelves::new(store, copies, limits));
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
}

impl Shelves {
    fn new(store: Arc<Store>, copies: Arc<Copies>, limits: LibraryConfig) -> Self {
        Self {
            store,
            copies,
            limits,
            changing: tokio::sync::Mutex::default(),
            checking: Mutex::default(),
            tasks: TaskTracker::new(),
        }
    }

    /// Removes objects of no scene, now and every hour.
    async fn sweep_often(self: Arc<Self>) {
        let mut times = tokio::time::interval(SWEEP_INTERVAL);
        loop {
            times.tick().await;
            match self.sweep().await {
                Ok(0) => {}
                Ok(removed) => tracing::info!(removed, "objects of no scene were removed"),
                Err(error) => tracing::warn!(%error, "the scene store could not be tidied up"),
            }
        }
    }

    async fn sweep(&self) -> Result<usize, store::StoreError> {
        let mut removed = 0;
        for orphan in self.store.orphans().await? {
            // Its scene may be about to be made again here.
            let _changing = self.changing.lock().await;
            removed += usize::from(self.store.remove_orphan(&orphan).await?);
        }
        Ok(removed)
    }

    /// Deletes a scene in full, even if nobody waits any more: bytes that stay would be counted by no limit.
    async fn delete(self: &Arc<Self>, hash: SceneHash) -> Result<(), Problem> {
        let shelves = Arc::clone(self);
        let deleting = async move {
            let changing = shelves.changing.lock().await;
            let existed = shelves.store.delete(hash).await;
            drop(changing);
            // Also what was left of one that was deleted in part.
            shelves.remove_if_deleted(hash).await;
            existed
        };
        let doing = "Deleting the scene";
        let deleted = self.tasks.spawn(deleting.in_current_span()).await;
        let existed = deleted.map_err(|error| Problem::internal(doing, &error))?;
        if !existed.map_err(|error| error.problem(doing))? {
            return Err(unknown_scene(&hash.to_string()));
        }
        tracing::info!(scene = id::short(hash), "scene deleted");
        Ok(())
    }

    async fn find(&self, hash: SceneHash) -> Result<Arc<Details>, Problem> {
        let found = self.store.find(hash).await.map_err(|error| error.problem("Looking for the scene"))?;
        found.ok_or_else(|| unknown_scene(&hash.to_string()))
    }

    /// Checks what was received and puts it away, and keeps its place as long. True if it is a new scene.
    async fn add(
        &self,
        new: NewScene,
        received: Received,
        compiler: &Compiler,
        _place: Place,
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
        let kept = {
            // Not while the copy of a scene of these bytes that was deleted is being removed.
            let _changing = self.changing.lock().await;
            self.copies.keep(received)
        };
        let path = kept.map_err(|error| store::StoreError::from(error).problem(doing))?;
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

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    fn shelves(folder: &Path) -> Arc<Shelves> {
        let limits = LibraryConfig {
            data: folder.join("data"),
            store_url: None,
            max_scene_bytes: 1 << 20,
            max_scenes: 10,
            max_total_bytes: 1 << 20,
            max_scenes_per_token: 10,
            max_bytes_per_token: 1 << 20,
        };
        let store = Arc::new(Store::in_folder(&limits.data).unwrap());
        let copies = Arc::new(Copies::open(&folder.join("cache")).unwrap());
        Arc::new(Shelves::new(store, copies, limits))
    }

    async fn create(shelves: &Shelves) -> SceneHash {
        let hash = HASH.parse().unwrap();
        let details = Details {
            name: "scene".to_owned(),
            owner: "alice".to_owned(),
            bytes: 3,
            uploaded_at: Utc::now(),
            checked: Checked::default(),
        };
        assert!(shelves.store.create(hash, "abc".into(), &details).await.unwrap().is_none());
        hash
    }

    #[tokio::test]
    async fn a_scene_is_deleted_in_full_although_nobody_waits_for_the_answer() {
        let folder = tempfile::tempdir().unwrap();
        let shelves = shelves(folder.path());
        let hash = create(&shelves).await;
        let changing = shelves.changing.lock().await;
        {
            let mut deleting = Box::pin(shelves.delete(hash));
            assert!(futures::poll!(deleting.as_mut()).is_pending());
        }
        drop(changing);
        shelves.tasks.close();
        shelves.tasks.wait().await;
        assert!(shelves.store.find(hash).await.unwrap().is_none());
        assert!(!shelves.store.has_component(hash).await.unwrap());
    }

    #[tokio::test]
    async fn what_is_left_of_a_scene_that_was_deleted_in_part_goes_when_it_is_deleted_again() {
        let folder = tempfile::tempdir().unwrap();
        let shelves = shelves(folder.path());
        let hash = create(&shelves).await;
        // As a server that is killed leaves it.
        assert!(shelves.store.delete(hash).await.unwrap());
        assert!(shelves.store.has_component(hash).await.unwrap());
        assert_eq!(shelves.delete(hash).await.unwrap_err().code, Code::UnknownScene);
        assert!(!shelves.store.has_component(hash).await.unwrap());
    }

    #[tokio::test]
    async fn objects_of_no_scene_are_swept_away_when_they_are_old() {
        let folder = tempfile::tempdir().unwrap();
        let shelves = shelves(folder.path());
        let hash = create(&shelves).await;
        assert!(shelves.store.delete(hash).await.unwrap());
        assert_eq!(shelves.sweep().await.unwrap(), 0, "somebody may be about to make its scene");
        let component = folder.path().join(format!("data/components/{hash}.wasm"));
        let file = std::fs::File::options().write(true).open(component).unwrap();
        file.set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
        assert_eq!(shelves.sweep().await.unwrap(), 1);
        assert!(!shelves.store.has_component(hash).await.unwrap());
    }
}
