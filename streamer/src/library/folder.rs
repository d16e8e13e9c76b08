//! The scenes of one folder: the operator's own, which nobody changes over the network.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    time::SystemTime,
};

use sha2::{Digest as _, Sha256};

use super::{SceneHash, SceneName};

/// A gallery of more is not a gallery; the rest is left out and the log says so.
const MAX_LISTED: usize = 1_000;
/// What is larger is not a scene that can be run, and its hash is of no use.
const MAX_HASHED_BYTES: u64 = 32 << 20;

/// A file of the folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FolderScene {
    pub(super) name: SceneName,
    pub(super) bytes: u64,
    /// `None` for a file that is too large to be a scene, or that cannot be read.
    pub(super) hash: Option<SceneHash>,
}

/// The components of one folder.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    /// Of files that were looked at before: hashing all of them at each look would cost more than listing.
    hashes: Mutex<HashMap<SceneName, Hashed>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Hashed {
    bytes: u64,
    modified: Option<SystemTime>,
    hash: SceneHash,
}

impl Folder {
    /// Fails when there is no such folder.
    pub(super) fn open(path: PathBuf) -> std::io::Result<Self> {
        // Listing is what will be needed.
        std::fs::read_dir(&path)?;
        Ok(Self { path, hashes: Mutex::default() })
    }

    /// All scenes, by name.
    pub(super) async fn list(&self) -> std::io::Result<Vec<FolderScene>> {
        let mut files = tokio::fs::read_dir(&self.path).await?;
        let mut scenes = Vec::new();
        while let Some(file) = files.next_entry().await? {
            let file_name = file.file_name();
            let name = file_name
                .to_str()
                .and_then(|name| name.strip_suffix(".wasm"))
                .and_then(|name| name.parse().ok());
            let Some(name) = name else { continue };
            // A file that was taken away in between is not there.
            let Ok(Some(scene)) = self.find(name).await else { continue };
            if scenes.len() == MAX_LISTED {
                tracing::warn!(folder = %self.path.display(), "only the first {MAX_LISTED} scenes are listed");
                break;
            }
            scenes.push(scene);
        }
        scenes.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(scenes)
    }

    /// The scene of that name.
    pub(super) async fn find(&self, name: SceneName) -> std::io::Result<Option<FolderScene>> {
        let path = self.path_of(&name);
        let metadata = match tokio::fs::metadata(&path).await {
            Ok(metadata) if metadata.is_file() => metadata,
            Ok(_) => return Ok(None),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let (bytes, modified) = (metadata.len(), metadata.modified().ok());
        let hash = self.hash(&name, path, bytes, modified).await;
        Ok(Some(FolderScene { name, bytes, hash }))
    }

    /// Where the component of a scene is, if there is one.
    pub(super) fn path_of(&self, name: &SceneName) -> PathBuf {
        self.path.join(format!("{name}.wasm"))
    }

    async fn hash(
        &self,
        name: &SceneName,
        path: PathBuf,
        bytes: u64,
        modified: Option<SystemTime>,
    ) -> Option<SceneHash> {
        if bytes > MAX_HASHED_BYTES {
            return None;
        }
        let known = self.hashes.lock().unwrap_or_else(PoisonError::into_inner).get(name).copied();
        if let Some(known) = known.filter(|known| (known.bytes, known.modified) == (bytes, modified)) {
            return Some(known.hash);
        }
        let hash = tokio::task::spawn_blocking(move || hash_file(&path)).await.ok()?.ok()?;
        let mut hashes = self.hashes.lock().unwrap_or_else(PoisonError::into_inner);
        if hashes.len() >= 2 * MAX_LISTED {
            hashes.clear();
        }
        hashes.insert(name.clone(), Hashed { bytes, modified, hash });
        Some(hash)
    }
}

/// The hash of a file, without having it in memory.
pub(super) fn hash_file(path: &Path) -> std::io::Result<SceneHash> {
    use std::io::Read as _;
    let mut file = std::fs::File::open(path)?.take(MAX_HASHED_BYTES + 1);
    let mut hasher = Sha256::new();
    let mut chunk = vec![0; 64 << 10];
    loop {
        match file.read(&mut chunk)? {
            0 => return Ok(SceneHash::from(<[u8; 32]>::from(hasher.finalize()))),
            length => hasher.update(&chunk[..length]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_list_has_the_components_by_name_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let hash_like = format!("{}.wasm", "0".repeat(64));
        for file in ["orbit.wasm", "cube.wasm", "notes.txt", "UPPER.wasm", ".wasm", &hash_like] {
            std::fs::write(folder.path().join(file), "1234").unwrap();
        }
        std::fs::create_dir(folder.path().join("folder.wasm")).unwrap();
        let folder = Folder::open(folder.path().to_owned()).unwrap();
        let list = folder.list().await.unwrap();
        let names: Vec<_> = list.iter().map(|scene| (scene.name.as_str(), scene.bytes)).collect();
        assert_eq!(names, [("cube", 4), ("orbit", 4)]);
    }

    #[tokio::test]
    async fn a_file_that_changed_has_another_hash() {
        let folder = tempfile::tempdir().unwrap();
        let (file, name) = (folder.path().join("orbit.wasm"), "orbit".parse::<SceneName>().unwrap());
        let folder = Folder::open(folder.path().to_owned()).unwrap();
        assert_eq!(folder.find(name.clone()).await.unwrap(), None);
        std::fs::write(&file, "abc").unwrap();
        let first = folder.find(name.clone()).await.unwrap().unwrap().hash.unwrap();
        // FIPS 180-4, the example of one block.
        assert_eq!(first.to_string(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        std::fs::write(&file, "abcd").unwrap();
        assert_ne!(folder.find(name).await.unwrap().unwrap().hash, Some(first));
    }

    #[test]
    fn a_folder_that_is_not_there_is_an_error() {
        assert!(Folder::open("/nowhere/at/all".into()).is_err());
    }
}
