//! Components as files of this machine: what the compiler is given. Copies of what is in the store, made when needed, and who still
//! needs them.

use std::{
    collections::HashMap,
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::SystemTime,
};

use bytes::Bytes;
use tokio::{sync::Semaphore, task::spawn_blocking};

use super::{
    SceneHash,
    folder::hash_file,
    id::short,
    store::{Store, StoreError, is_old},
    upload::{ReceiveError, Received, receive, stale_files},
};
use crate::error::Problem;

/// All copies together; beyond it, those go first that were not needed for longest. Those in use stay.
const MAX_BYTES: u64 = 1 << 30;
/// What is looked at of the folder at a time.
const MAX_FILES: usize = 20_000;
/// Copies that are hashed at a time: that takes a core for up to a fifth of a second each.
const CONCURRENT_CHECKS: usize = 4;

/// See the module.
#[derive(Debug)]
pub(super) struct Copies {
    folder: PathBuf,
    leases: Mutex<HashMap<SceneHash, usize>>,
    checks: Arc<Semaphore>,
}

impl Copies {
    /// In a folder of the cache, which several servers of a machine may share.
    pub(super) fn open(cache: &Path) -> io::Result<Self> {
        use std::os::unix::fs::DirBuilderExt as _;
        let folder = cache.join("scenes");
        // What the compiler is given is nobody else's to write.
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder)?;
        for file in stale_files(&folder)?.into_iter().filter(|file| is_old(file)) {
            std::fs::remove_file(file)?;
        }
        Ok(Self { folder, leases: Mutex::default(), checks: Arc::new(Semaphore::new(CONCURRENT_CHECKS)) })
    }

    /// Where uploads are written, so that they can become copies.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Where the copy of a scene is, if there is one.
    pub(super) fn path(&self, hash: SceneHash) -> PathBuf {
        self.folder.join(format!("{hash}.wasm"))
    }

    /// An upload becomes a copy.
    pub(super) fn keep(&self, received: Received) -> io::Result<PathBuf> {
        let path = self.path(received.hash);
        received.keep(&path)?;
        Ok(path)
    }

    /// The copy of a scene, fetched if it is not here. What is here is compared with the hash, as is what the store gives. `None` if the
    /// store has none.
    pub(super) async fn fetch(
        self: &Arc<Self>,
        store: &Store,
        hash: SceneHash,
        bytes: u64,
    ) -> Result<Option<PathBuf>, Problem> {
        let path = self.path(hash);
        let here = tokio::fs::metadata(&path).await;
        if here.is_ok_and(|metadata| metadata.is_file()) {
            if self.is_whole(hash).await {
                return Ok(Some(path));
            }
            tracing::warn!(
                scene = short(hash),
                "a copy of a scene was not what it should be; it is fetched again"
            );
        }
        let doing = "Fetching the scene";
        let component = store.component(hash).await.map_err(|error| error.problem(doing))?;
        let Some(component) = component else { return Ok(None) };
        let received = receive(component, bytes, &self.folder).await.map_err(|error| match error {
            ReceiveError::EndedEarly | ReceiveError::TooSlow { .. } => StoreError::BrokeOff.problem(doing),
            ReceiveError::TooLarge => {
                StoreError::Damaged(format!("the component {hash} has more bytes than it had")).problem(doing)
            }
            ReceiveError::File(error) => StoreError::from(error).problem(doing),
        })?;
        if received.hash != hash {
            let damaged = StoreError::Damaged(format!("the component {hash} has another hash"));
            return Err(damaged.problem(doing));
        }
        let kept = self.keep(received).map_err(|error| StoreError::from(error).problem(doing))?;
        self.make_room().await;
        Ok(Some(kept))
    }

    /// Whether the copy is what it is named after.
    async fn is_whole(&self, hash: SceneHash) -> bool {
        let permit = Arc::clone(&self.checks).acquire_owned().await;
        let path = self.path(hash);
        // The thread holds the permit: nobody may be waiting for it any more.
        let check = move || {
            let _permit = permit;
            hash_file(&path).is_ok_and(|found| found == hash)
        };
        spawn_blocking(check).await.unwrap_or(false)
    }

    /// The bytes of a copy, if it is here.
    pub(super) async fn read(&self, hash: SceneHash) -> io::Result<Bytes> {
        tokio::fs::read(self.path(hash)).await.map(Bytes::from)
    }

    /// Removes the copy of a scene, unless somebody needs it.
    pub(super) async fn remove(self: &Arc<Self>, hash: SceneHash) {
        let copies = Arc::clone(self);
        match spawn_blocking(move || copies.remove_unless_held(&copies.path(hash))).await {
            Ok(Err(error)) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!(%error, "a copy of a scene could not be removed");
            }
            _ => {}
        }
    }

    /// Removes a copy, unless somebody needs it: false then. Nobody comes to need it in between.
    fn remove_unless_held(&self, copy: &Path) -> io::Result<bool> {
        let leases = self.leases();
        if leases.keys().any(|hash| self.path(*hash) == copy) {
            return Ok(false);
        }
        std::fs::remove_file(copy).map(|()| true)
    }

    /// Removes copies that nobody uses, the oldest first, until the others are few enough.
    pub(super) async fn make_room(self: &Arc<Self>) {
        self.make_room_within(MAX_BYTES).await;
    }

    async fn make_room_within(self: &Arc<Self>, max_bytes: u64) {
        let copies = Arc::clone(self);
        let make = move || make_room(&copies.folder, max_bytes, |copy| copies.remove_unless_held(copy));
        let done = spawn_blocking(make).await;
        if let Ok(Err(error)) = done {
            tracing::warn!(%error, "copies of scenes could not be removed");
        }
    }

    /// Somebody needs the scene from now on.
    pub(super) fn lease(self: &Arc<Self>, hash: SceneHash) -> Held {
        *self.leases().entry(hash).or_default() += 1;
        Held { copies: Arc::clone(self), hash }
    }

    /// Whether somebody needs the scene.
    pub(super) fn is_held(&self, hash: SceneHash) -> bool {
        self.leases().contains_key(&hash)
    }

    /// Counts are whole at every moment.
    fn leases(&self) -> MutexGuard<'_, HashMap<SceneHash, usize>> {
        self.leases.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// As long as this lives, the scene's copy does.
#[derive(Debug)]
pub(super) struct Held {
    copies: Arc<Copies>,
    hash: SceneHash,
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut leases = self.copies.leases();
        if let Some(count) = leases.get_mut(&self.hash) {
            *count -= 1;
            if *count == 0 {
                leases.remove(&self.hash);
            }
        }
    }
}

/// Has files removed, the oldest first, until the others have at most so many bytes. `remove` says whether it did. Hidden ones are being
/// written.
pub(super) fn make_room(
    folder: &Path,
    max_bytes: u64,
    remove: impl Fn(&Path) -> io::Result<bool>,
) -> io::Result<()> {
    let mut copies: Vec<(SystemTime, u64, PathBuf)> = Vec::new();
    for file in std::fs::read_dir(folder)?.flatten().take(MAX_FILES) {
        let Ok(metadata) = file.metadata() else { continue };
        let is_copy = file.file_name().to_str().is_some_and(|name| !name.starts_with('.'));
        if is_copy && metadata.is_file() {
            copies.push((metadata.modified()?, metadata.len(), file.path()));
        }
    }
    let mut total: u64 = copies.iter().map(|(_, bytes, _)| bytes).sum();
    copies.sort();
    for (_, bytes, path) in copies {
        if total <= max_bytes {
            break;
        }
        if remove(&path)? {
            total -= bytes;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_in_use_stays_and_the_oldest_of_the_others_goes() {
        let cache = tempfile::tempdir().unwrap();
        let copies = Arc::new(Copies::open(cache.path()).unwrap());
        let hashes = [1, 2, 3].map(|byte| SceneHash::from([byte; 32]));
        for (age, hash) in hashes.iter().enumerate() {
            std::fs::write(copies.path(*hash), [0; 100]).unwrap();
            let file = std::fs::File::open(copies.path(*hash)).unwrap();
            let modified = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(age as u64);
            file.set_modified(modified).unwrap();
        }
        let held = copies.lease(hashes[0]);
        copies.make_room_within(200).await;
        assert_eq!(hashes.map(|hash| copies.path(hash).exists()), [true, false, true]);
        drop(held);
        copies.make_room_within(150).await;
        assert_eq!(hashes.map(|hash| copies.path(hash).exists()), [false, false, true]);
    }

    #[tokio::test]
    async fn a_copy_that_was_exchanged_is_fetched_again() {
        let (cache, data) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let copies = Arc::new(Copies::open(cache.path()).unwrap());
        let store = Store::in_folder(data.path()).unwrap();
        // FIPS 180-4, the example of one block.
        let hash: SceneHash =
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad".parse().unwrap();
        std::fs::create_dir_all(data.path().join("components")).unwrap();
        std::fs::write(data.path().join(format!("components/{hash}.wasm")), "abc").unwrap();
        // As long, and something else.
        std::fs::write(copies.path(hash), "xyz").unwrap();
        let path = copies.fetch(&store, hash, 3).await.unwrap().unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"abc");
        // What is whole is not fetched.
        std::fs::remove_file(data.path().join(format!("components/{hash}.wasm"))).unwrap();
        assert_eq!(copies.fetch(&store, hash, 3).await.unwrap(), Some(path));
    }

    #[tokio::test]
    async fn a_copy_that_somebody_has_come_to_need_is_not_removed() {
        let cache = tempfile::tempdir().unwrap();
        let copies = Arc::new(Copies::open(cache.path()).unwrap());
        let hash = SceneHash::from([7; 32]);
        std::fs::write(copies.path(hash), "abc").unwrap();
        let held = copies.lease(hash);
        copies.remove(hash).await;
        assert!(copies.path(hash).exists());
        drop(held);
        copies.remove(hash).await;
        assert!(!copies.path(hash).exists());
    }

    #[test]
    fn a_scene_is_held_as_long_as_somebody_holds_it() {
        let cache = tempfile::tempdir().unwrap();
        let copies = Arc::new(Copies::open(cache.path()).unwrap());
        let hash = SceneHash::from([7; 32]);
        let (one, other) = (copies.lease(hash), copies.lease(hash));
        drop(one);
        assert!(copies.is_held(hash));
        drop(other);
        assert!(!copies.is_held(hash));
    }
}
