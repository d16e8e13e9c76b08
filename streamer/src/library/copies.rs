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

use super::{
    SceneHash,
    store::{Store, StoreError, is_old},
    upload::{Received, receive, stale_files},
};
use crate::error::Problem;

/// All copies together; beyond it, those go first that were not needed for longest. Those in use stay.
const MAX_BYTES: u64 = 1 << 30;
/// What is looked at of the folder at a time.
const MAX_FILES: usize = 20_000;

/// See the module.
#[derive(Debug)]
pub(super) struct Copies {
    folder: PathBuf,
    leases: Mutex<HashMap<SceneHash, usize>>,
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
        Ok(Self { folder, leases: Mutex::default() })
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

    /// The copy of a scene, fetched if it is not here. What the store gives is compared with the hash. `None` if the store has none.
    pub(super) async fn fetch(
        &self,
        store: &Store,
        hash: SceneHash,
        bytes: u64,
    ) -> Result<Option<PathBuf>, Problem> {
        let path = self.path(hash);
        let here = tokio::fs::metadata(&path).await;
        if here.is_ok_and(|metadata| metadata.is_file() && metadata.len() == bytes) {
            return Ok(Some(path));
        }
        let doing = "Fetching the scene";
        let component = store.component(hash).await.map_err(|error| error.problem(doing))?;
        let Some(component) = component else { return Ok(None) };
        let received =
            receive(component, bytes, &self.folder).await.map_err(|error| match error.problem(bytes) {
                problem if problem.code == crate::error::Code::DiskFull => problem,
                _ => Problem::internal(doing, &format!("the store gave no whole component: {error:?}")),
            })?;
        if received.hash != hash {
            let damaged = StoreError::Damaged(format!("the component {hash} has another hash"));
            return Err(damaged.problem(doing));
        }
        let kept = self.keep(received).map_err(|error| StoreError::from(error).problem(doing))?;
        self.make_room().await;
        Ok(Some(kept))
    }

    /// The bytes of a copy, if it is here.
    pub(super) async fn read(&self, hash: SceneHash) -> io::Result<Bytes> {
        tokio::fs::read(self.path(hash)).await.map(Bytes::from)
    }

    /// Removes the copy of a scene.
    pub(super) async fn remove(&self, hash: SceneHash) {
        match tokio::fs::remove_file(self.path(hash)).await {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!(%error, "a copy of a scene could not be removed");
            }
            _ => {}
        }
    }

    /// Removes copies that nobody uses, the oldest first, until the others are few enough.
    pub(super) async fn make_room(&self) {
        self.make_room_within(MAX_BYTES).await;
    }

    async fn make_room_within(&self, max_bytes: u64) {
        let folder = self.folder.clone();
        let in_use: Vec<PathBuf> = self.leases().keys().map(|hash| self.path(*hash)).collect();
        let done = tokio::task::spawn_blocking(move || make_room(&folder, &in_use, max_bytes)).await;
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

/// Removes files that are not in use, the oldest first, until the others have at most so many bytes. Hidden ones are being written.
pub(super) fn make_room(folder: &Path, in_use: &[PathBuf], max_bytes: u64) -> io::Result<()> {
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
        if !in_use.contains(&path) {
            std::fs::remove_file(path)?;
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
