//! The uploaded scenes themselves: they are added and removed one at a time, within their limits, and their bytes stay as long as
//! somebody needs them.
//!
//! Knows the store, the copies and what the compiler process says of a component, and nothing of the operator's folder or of pictures.

use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError, Weak},
    time::Duration,
};

use chrono::Utc;
use tokio_util::task::TaskTracker;
use tracing::Instrument as _;

use super::{
    NewScene, SceneHash,
    copies::{Copies, Held},
    details::Details,
    id,
    places::Place,
    store::{self, Store},
    unknown_scene,
    upload::Received,
};
use crate::{
    auth::Owner,
    compiler::{Compiler, Component},
    config::LibraryConfig,
    error::{Code, Problem},
};

/// How often objects are looked for that belong to no scene.
const SWEEP_INTERVAL: Duration = Duration::from_hours(1);
/// A server that ends waits so long for its store: no longer than for connections, so that it does not take longer to end.
const FINISHING_TIMEOUT: Duration = Duration::from_secs(3);

/// Keeps a scene's bytes.
#[derive(Debug)]
pub struct Lease(Option<Leased>);

impl Lease {
    /// Of a file that is nobody's to delete here.
    pub(super) fn of_nothing() -> Self {
        Self(None)
    }
}

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
            let tasks = shelves.tasks.clone();
            tasks.spawn_on(async move { shelves.remove_if_deleted(hash).await }, &runtime);
        }
    }
}

/// Uploaded scenes, and the limits on them.
pub(super) struct Shelves {
    pub(super) store: Arc<Store>,
    pub(super) copies: Arc<Copies>,
    pub(super) limits: LibraryConfig,
    /// One scene is added or removed at a time, so that limits are not passed by two that see the same room.
    changing: tokio::sync::Mutex<()>,
    /// Components that are being checked. The same one twice is checked once.
    checking: Mutex<HashMap<SceneHash, Weak<tokio::sync::Mutex<()>>>>,
    /// What was received is put away or thrown away, and what is deleted goes in full, whether somebody still waits for the answer or
    /// not.
    pub(super) tasks: TaskTracker,
}

impl Shelves {
    pub(super) fn new(store: Arc<Store>, copies: Arc<Copies>, limits: LibraryConfig) -> Self {
        Self {
            store,
            copies,
            limits,
            changing: tokio::sync::Mutex::default(),
            checking: Mutex::default(),
            tasks: TaskTracker::new(),
        }
    }

    /// Keeps the bytes of a scene as long as the answer lives.
    pub(super) fn lease(self: &Arc<Self>, hash: SceneHash) -> Lease {
        let held = Some(self.copies.lease(hash));
        Lease(Some(Leased { hash, held, library: Arc::downgrade(self) }))
    }

    /// Completes when nothing is being added or removed any more; what still begins then goes on for some seconds at most, and what it
    /// leaves is swept up some time.
    pub(super) async fn finish(&self) {
        self.tasks.close();
        if tokio::time::timeout(FINISHING_TIMEOUT, self.tasks.wait()).await.is_err() {
            tracing::warn!("the scene store is slow: bytes of deleted scenes may stay in it for an hour");
        }
    }

    /// Removes objects of no scene, now and every hour.
    pub(super) async fn sweep_often(self: Arc<Self>) {
        let mut times = tokio::time::interval(SWEEP_INTERVAL);
        loop {
            times.tick().await;
            match self.sweep().await {
                Ok(0) => {}
                Ok(removed) => tracing::info!(removed, "objects of no scene were removed"),
                Err(error) if error.is_unavailable() => {
                    tracing::error!(%error, "uploaded scenes cannot be reached: {}", store::STORE_REMEDY);
                }
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
    pub(super) async fn delete(self: &Arc<Self>, hash: SceneHash) -> Result<(), Problem> {
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

    pub(super) async fn find(&self, hash: SceneHash) -> Result<Arc<Details>, Problem> {
        let found = self.store.find(hash).await.map_err(|error| error.problem("Looking for the scene"))?;
        found.ok_or_else(|| unknown_scene(&hash.to_string()))
    }

    /// Checks what was received and puts it away, and keeps its place as long. True if it is a new scene.
    pub(super) async fn add(
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
        if scenes.len() >= *max_scenes {
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

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{super::Checked, *};

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
        shelves.finish().await;
        assert!(shelves.store.find(hash).await.unwrap().is_none());
        assert!(!shelves.store.has_component(hash).await.unwrap());
    }

    #[tokio::test]
    async fn the_bytes_of_a_deleted_scene_are_gone_when_a_server_ends_together_with_its_last_session() {
        let folder = tempfile::tempdir().unwrap();
        let shelves = shelves(folder.path());
        let hash = create(&shelves).await;
        let lease = shelves.lease(hash);
        shelves.delete(hash).await.unwrap();
        assert!(shelves.store.has_component(hash).await.unwrap());
        drop(lease);
        shelves.finish().await;
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
