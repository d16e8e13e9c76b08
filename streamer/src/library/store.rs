//! Where uploaded scenes are: objects in a folder or in a bucket.
//!
//! A scene is up to three objects named by its hash: `components/HASH.wasm`, what was uploaded; `scenes/HASH.json`, what is known about
//! it; and `thumbnails/HASH.png`. **A scene exists when its `scenes/` object does**, which is written last and removed first. Several
//! servers may share a bucket, so the objects are the truth, and nothing is answered from memory but what an object's own tag says is
//! unchanged.

use std::{
    collections::{HashMap, HashSet},
    error::Error as StdError,
    io,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use chrono::Utc;
use futures::{StreamExt as _, TryStreamExt as _, stream::BoxStream};
use object_store::{
    ClientConfigKey, ObjectMeta, ObjectStore, ObjectStoreExt as _, PutMode, PutOptions, PutPayload,
    RetryConfig,
    aws::{AmazonS3Builder, AmazonS3ConfigKey},
    local::LocalFileSystem,
    path::Path as Key,
    prefix::PrefixStore,
};

use super::{SceneHash, details::Details, id::short};
use crate::{
    config::MAX_SCENES,
    error::{Code, Problem},
};

const COMPONENTS: &str = "components";
const SCENES: &str = "scenes";
const THUMBNAILS: &str = "thumbnails";
/// What is known about a scene is a few kilobytes; an object that is larger is not ours.
const MAX_DETAILS_BYTES: u64 = 256 << 10;
/// A thumbnail has some hundred kilobytes.
pub(super) const MAX_THUMBNAIL_BYTES: u64 = 2 << 20;
/// Objects that are asked for at a time.
const CONCURRENT_READS: usize = 16;
/// The most scenes of a listing. Settings allow no more of them, but others may write to a bucket.
const MAX_LISTED: usize = MAX_SCENES;
/// What is remembered of scenes; beyond this, all of it is read again. Most are a kilobyte each.
const MAX_REMEMBERED: usize = 2 * MAX_LISTED;
/// A bucket that does not answer for so long fails the request.
const BUCKET_TIMEOUT: Duration = Duration::from_secs(20);
/// The same, as that library takes it.
const BUCKET_TIMEOUT_TEXT: &str = "20 seconds";
/// What that library calls it in its errors.
const BUCKET_STORE: &str = "S3";
/// For the operator, when the store does not answer.
pub(super) const STORE_REMEDY: &str = "look at --scene-store and at the variables AWS_ENDPOINT, AWS_REGION, AWS_ACCESS_KEY_ID, \
                                       AWS_SECRET_ACCESS_KEY, and AWS_ALLOW_HTTP for a store without TLS";
/// An object that belongs to no scene after so long was left by a server that ended while it wrote or deleted.
const ORPHAN_AGE: Duration = Duration::from_hours(1);

/// A scene of a listing.
#[derive(Clone, Debug)]
pub(super) struct StoredScene {
    pub(super) hash: SceneHash,
    pub(super) details: Arc<Details>,
    pub(super) has_thumbnail: bool,
}

/// Why the store did not do what it was asked to.
#[derive(Debug, thiserror::Error)]
pub(super) enum StoreError {
    /// The store's own words.
    #[error("the scene store failed: {0}")]
    Objects(#[from] object_store::Error),
    /// A file on the way to it or from it.
    #[error("a file of the scene store failed: {0}")]
    File(#[from] io::Error),
    /// It stopped in the middle.
    #[error("the scene store gave only a part of a component")]
    BrokeOff,
    /// What came is not what was put there.
    #[error("the scene store is damaged: {0}")]
    Damaged(String),
}

impl StoreError {
    /// The answer for a caller.
    pub(super) fn problem(&self, doing: &str) -> Problem {
        if self.is_disk_full() {
            tracing::warn!(error = %self, "{doing} failed: the disk is full");
            return disk_full();
        }
        if self.is_unavailable() {
            tracing::error!(error = %self, "{doing} failed: {STORE_REMEDY}");
            return Problem::new(
                Code::StoreUnavailable,
                format!(
                    "{doing} failed, because the store of uploaded scenes does not answer. The server's log says why."
                ),
            );
        }
        Problem::internal(doing, self)
    }

    /// Whether a bucket does not answer, is not there, or does not let us in: what may pass, or the operator can change.
    pub(super) fn is_unavailable(&self) -> bool {
        use object_store::Error as E;
        match self {
            Self::Objects(E::Generic { store, .. }) => *store == BUCKET_STORE,
            // An object that is not there is no failure; the bucket is.
            Self::Objects(E::NotFound { .. } | E::PermissionDenied { .. } | E::Unauthenticated { .. })
            | Self::BrokeOff => true,
            _ => false,
        }
    }

    fn is_disk_full(&self) -> bool {
        let mut cause: Option<&(dyn StdError + 'static)> = Some(self);
        while let Some(error) = cause {
            if error.downcast_ref::<io::Error>().is_some_and(is_disk_full) {
                return true;
            }
            cause = error.source();
        }
        false
    }
}

/// Whether a file could not be written for want of room.
pub(super) fn is_disk_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// The answer when there is no room on the disk.
pub(super) fn disk_full() -> Problem {
    Problem::new(Code::DiskFull, "Nothing was kept of the scene. Tell the operator, or try again later.")
}

/// Why the store cannot be used at all.
#[derive(Debug, thiserror::Error)]
pub enum OpenStoreError {
    /// The folder.
    #[error("the folder cannot be used: {0}")]
    Folder(#[from] io::Error),
    /// The setting.
    #[error("{0:?} is no address of a bucket: write s3://bucket/prefix")]
    Url(String),
    /// What the environment says about the bucket, or the folder.
    #[error(transparent)]
    Objects(#[from] object_store::Error),
}

/// An object without a scene.
#[derive(Debug)]
pub(super) struct Orphan {
    hash: SceneHash,
    key: Key,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Store {
    objects: Arc<dyn ObjectStore>,
    /// What was read of a scene, and the tag of the object it was read from.
    remembered: Mutex<HashMap<SceneHash, (String, Arc<Details>)>>,
}

impl Store {
    /// In a folder, which is made.
    pub(super) fn in_folder(folder: &Path) -> Result<Self, OpenStoreError> {
        use std::os::unix::fs::DirBuilderExt as _;
        // Nobody is given a component over the network, and no other user of the machine reads one here.
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        remove_stale_files(folder)?;
        // What was answered with 201 outlives a power failure.
        let objects = LocalFileSystem::new_with_prefix(folder)?.with_fsync(true);
        Ok(Self::of(Arc::new(objects)))
    }

    /// In a bucket; how to reach it is in the usual environment variables.
    pub(super) fn in_bucket(url: &str) -> Result<Self, OpenStoreError> {
        let bad_url = || OpenStoreError::Url(url.to_owned());
        let (bucket, prefix) = url
            .strip_prefix("s3://")
            .map(|rest| rest.split_once('/').unwrap_or((rest, "")))
            .ok_or_else(bad_url)?;
        let prefix = Key::parse(prefix).map_err(|_| bad_url())?;
        if bucket.is_empty() {
            return Err(bad_url());
        }
        // TLS by the library that WebRTC uses here too. A second call changes nothing.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let retry = RetryConfig { max_retries: 3, retry_timeout: BUCKET_TIMEOUT, ..RetryConfig::default() };
        let bucket = AmazonS3Builder::from_env()
            .with_bucket_name(bucket)
            .with_config(AmazonS3ConfigKey::Client(ClientConfigKey::Timeout), BUCKET_TIMEOUT_TEXT)
            .with_retry(retry)
            .build()?;
        Ok(Self::of(Arc::new(PrefixStore::new(bucket, prefix))))
    }

    fn of(objects: Arc<dyn ObjectStore>) -> Self {
        Self { objects, remembered: Mutex::default() }
    }

    /// All scenes, by hash; at most [`MAX_LISTED`].
    pub(super) async fn list(&self) -> Result<Vec<StoredScene>, StoreError> {
        let (scenes, thumbnails) =
            tokio::try_join!(self.keys(SCENES, ".json"), self.keys(THUMBNAILS, ".png"))?;
        let thumbnails: HashSet<SceneHash> = thumbnails.into_iter().map(|(hash, _)| hash).collect();
        let read = |(hash, meta): (SceneHash, ObjectMeta)| async move {
            match self.details_of(hash, &meta).await {
                Ok(details) => details.map(|details| (hash, details)),
                Err(error) => {
                    tracing::warn!(scene = short(hash), %error, "a scene is left out");
                    None
                }
            }
        };
        let mut scenes: Vec<StoredScene> = futures::stream::iter(scenes)
            .map(read)
            .buffer_unordered(CONCURRENT_READS)
            .filter_map(std::future::ready)
            .map(|(hash, details)| StoredScene { hash, details, has_thumbnail: thumbnails.contains(&hash) })
            .collect()
            .await;
        scenes.sort_by_key(|scene| scene.hash);
        Ok(scenes)
    }

    /// A scene, if it exists.
    pub(super) async fn find(&self, hash: SceneHash) -> Result<Option<Arc<Details>>, StoreError> {
        match self.objects.head(&details_key(hash)).await {
            Ok(meta) => self.details_of(hash, &meta).await,
            Err(object_store::Error::NotFound { .. }) => {
                self.remembered().remove(&hash);
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn details_of(
        &self,
        hash: SceneHash,
        meta: &ObjectMeta,
    ) -> Result<Option<Arc<Details>>, StoreError> {
        let tag = meta.e_tag.clone().unwrap_or_else(|| format!("{}-{}", meta.last_modified, meta.size));
        if let Some((known, details)) = self.remembered().get(&hash)
            && *known == tag
        {
            return Ok(Some(Arc::clone(details)));
        }
        let Some(bytes) = self.read(&details_key(hash), MAX_DETAILS_BYTES).await? else { return Ok(None) };
        let details: Details = serde_json::from_slice(&bytes)
            .map_err(|error| StoreError::Damaged(format!("scenes/{hash}.json: {error}")))?;
        let details = Arc::new(details);
        let mut remembered = self.remembered();
        if remembered.len() >= MAX_REMEMBERED {
            remembered.clear();
        }
        remembered.insert(hash, (tag, Arc::clone(&details)));
        Ok(Some(details))
    }

    /// Makes a scene, unless there is one: then the one that is there.
    pub(super) async fn create(
        &self,
        hash: SceneHash,
        component: Bytes,
        details: &Details,
    ) -> Result<Option<Arc<Details>>, StoreError> {
        let text = serde_json::to_vec(details).map_err(io::Error::from)?;
        self.objects.put(&component_key(hash), component.clone().into()).await?;
        let put = self.put_new(&details_key(hash), text.into()).await;
        let existed = match put {
            Ok(()) => false,
            Err(object_store::Error::AlreadyExists { .. }) => true,
            Err(error) => {
                // Nothing half-written stays, unless another server has made the scene meanwhile.
                if matches!(
                    self.objects.head(&details_key(hash)).await,
                    Err(object_store::Error::NotFound { .. })
                ) {
                    self.remove(&component_key(hash)).await?;
                }
                return Err(error.into());
            }
        };
        // Another server may have been about to remove the bytes of the same scene, deleted there before.
        if !self.has_component(hash).await? {
            self.objects.put(&component_key(hash), component.into()).await?;
        }
        if existed { self.find(hash).await } else { Ok(None) }
    }

    async fn put_new(&self, key: &Key, payload: PutPayload) -> object_store::Result<()> {
        let options = PutOptions::from(PutMode::Create);
        match self.objects.put_opts(key, payload.clone(), options).await {
            // A bucket without conditional writes: then the later of two servers wins, with the same bytes.
            Err(object_store::Error::NotImplemented { .. } | object_store::Error::NotSupported { .. }) => {
                self.objects.put(key, payload).await.map(drop)
            }
            put => put.map(drop),
        }
    }

    /// The scene does not exist any more; its component is still there. False if there was none.
    pub(super) async fn delete(&self, hash: SceneHash) -> Result<bool, StoreError> {
        self.remembered().remove(&hash);
        let existed = match self.objects.head(&details_key(hash)).await {
            Ok(_) => true,
            Err(object_store::Error::NotFound { .. }) => false,
            Err(error) => return Err(error.into()),
        };
        self.remove(&details_key(hash)).await?;
        self.remove(&thumbnail_key(hash)).await?;
        Ok(existed)
    }

    /// Removes the component of a scene that does not exist. `again` is put back if the scene is made at this very moment by another
    /// server, which then found it there.
    pub(super) async fn remove_component(
        &self,
        hash: SceneHash,
        again: Option<Bytes>,
    ) -> Result<(), StoreError> {
        self.remove(&component_key(hash)).await?;
        if let Some(component) = again
            && self.find(hash).await?.is_some()
        {
            self.objects.put(&component_key(hash), component.into()).await?;
        }
        Ok(())
    }

    /// The bytes of a component, as they come.
    pub(super) async fn component(
        &self,
        hash: SceneHash,
    ) -> Result<Option<BoxStream<'static, io::Result<Bytes>>>, StoreError> {
        match self.objects.get(&component_key(hash)).await {
            Ok(object) => Ok(Some(object.into_stream().map_err(io::Error::other).boxed())),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    pub(super) async fn has_component(&self, hash: SceneHash) -> Result<bool, StoreError> {
        match self.objects.head(&component_key(hash)).await {
            Ok(_) => Ok(true),
            Err(object_store::Error::NotFound { .. }) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    pub(super) async fn thumbnail(&self, hash: SceneHash) -> Result<Option<Bytes>, StoreError> {
        self.read(&thumbnail_key(hash), MAX_THUMBNAIL_BYTES).await
    }

    pub(super) async fn has_thumbnail(&self, hash: SceneHash) -> Result<bool, StoreError> {
        match self.objects.head(&thumbnail_key(hash)).await {
            Ok(_) => Ok(true),
            Err(object_store::Error::NotFound { .. }) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    pub(super) async fn put_thumbnail(&self, hash: SceneHash, png: Bytes) -> Result<(), StoreError> {
        self.objects.put(&thumbnail_key(hash), png.into()).await?;
        // It may have been deleted while its picture was made.
        if self.find(hash).await?.is_none() {
            self.remove(&thumbnail_key(hash)).await?;
        }
        Ok(())
    }

    /// What belongs to no scene and is old enough to be nobody's who is about to make or delete one.
    pub(super) async fn orphans(&self) -> Result<Vec<Orphan>, StoreError> {
        let scenes: HashSet<SceneHash> =
            self.keys(SCENES, ".json").await?.into_iter().map(|(hash, _)| hash).collect();
        let mut orphans = Vec::new();
        for (folder, suffix) in [(COMPONENTS, ".wasm"), (THUMBNAILS, ".png")] {
            for (hash, meta) in self.keys(folder, suffix).await? {
                let age = Utc::now().signed_duration_since(meta.last_modified).to_std().unwrap_or_default();
                if age >= ORPHAN_AGE && !scenes.contains(&hash) {
                    orphans.push(Orphan { hash, key: meta.location });
                }
            }
        }
        Ok(orphans)
    }

    /// Removes it, unless its scene was made meanwhile. False then.
    pub(super) async fn remove_orphan(&self, orphan: &Orphan) -> Result<bool, StoreError> {
        if self.find(orphan.hash).await?.is_some() {
            return Ok(false);
        }
        self.remove(&orphan.key).await?;
        Ok(true)
    }

    /// The objects of a folder that are named by a hash; others are not ours. At most [`MAX_LISTED`].
    async fn keys(&self, folder: &str, suffix: &str) -> Result<Vec<(SceneHash, ObjectMeta)>, StoreError> {
        let hash_of = |meta: &ObjectMeta| meta.location.filename()?.strip_suffix(suffix)?.parse().ok();
        let objects = self.objects.list(Some(&Key::from(folder)));
        let mut keys: Vec<_> = objects
            .try_filter_map(|meta| std::future::ready(Ok(hash_of(&meta).map(|hash| (hash, meta)))))
            .take(MAX_LISTED + 1)
            .try_collect()
            .await?;
        if keys.len() > MAX_LISTED {
            tracing::warn!(folder, "only the first {MAX_LISTED} objects are looked at");
            keys.truncate(MAX_LISTED);
        }
        Ok(keys)
    }

    async fn read(&self, key: &Key, max_bytes: u64) -> Result<Option<Bytes>, StoreError> {
        let object = match self.objects.get(key).await {
            Ok(object) => object,
            Err(object_store::Error::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        if object.meta.size > max_bytes {
            return Err(StoreError::Damaged(format!("{key} has {} bytes", object.meta.size)));
        }
        Ok(Some(object.bytes().await?))
    }

    /// What is not there is removed already.
    async fn remove(&self, key: &Key) -> object_store::Result<()> {
        match self.objects.delete(key).await {
            Err(object_store::Error::NotFound { .. }) => Ok(()),
            removed => removed,
        }
    }

    /// Entries are whole at every moment.
    fn remembered(&self) -> std::sync::MutexGuard<'_, HashMap<SceneHash, (String, Arc<Details>)>> {
        self.remembered.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn component_key(hash: SceneHash) -> Key {
    Key::from_iter([COMPONENTS.to_owned(), format!("{hash}.wasm")])
}

fn details_key(hash: SceneHash) -> Key {
    Key::from_iter([SCENES.to_owned(), format!("{hash}.json")])
}

fn thumbnail_key(hash: SceneHash) -> Key {
    Key::from_iter([THUMBNAILS.to_owned(), format!("{hash}.png")])
}

/// An object is written beside its place, as `NAME#NUMBER`, and renamed. What a server left that was killed meanwhile is never listed;
/// here it goes.
fn remove_stale_files(folder: &Path) -> io::Result<()> {
    for objects in [COMPONENTS, SCENES, THUMBNAILS] {
        let Ok(files) = std::fs::read_dir(folder.join(objects)) else { continue };
        for file in files.flatten().take(2 * MAX_LISTED) {
            let is_staged = file.file_name().to_str().is_some_and(|name| name.contains('#'));
            if is_staged && is_old(&file.path()) {
                std::fs::remove_file(file.path())?;
            }
        }
    }
    Ok(())
}

/// Whether nobody can be writing a file any more.
pub(super) fn is_old(file: &Path) -> bool {
    let modified = std::fs::metadata(file).and_then(|metadata| metadata.modified());
    modified.ok().and_then(|modified| modified.elapsed().ok()).is_some_and(|age| age >= ORPHAN_AGE)
}

#[cfg(test)]
mod tests {
    use object_store::memory::InMemory;

    use super::*;

    fn hash(byte: u8) -> SceneHash {
        SceneHash::from([byte; 32])
    }

    fn details(name: &str) -> Details {
        Details {
            name: name.to_owned(),
            owner: "somebody".to_owned(),
            bytes: 3,
            uploaded_at: Utc::now(),
            checked: super::super::Checked::default(),
        }
    }

    fn store() -> Store {
        Store::of(Arc::new(InMemory::new()))
    }

    #[tokio::test]
    async fn the_first_of_two_servers_that_make_a_scene_names_it() {
        let store = store();
        let component = Bytes::from_static(b"abc");
        assert!(store.create(hash(1), component.clone(), &details("first")).await.unwrap().is_none());
        let existing = store.create(hash(1), component, &details("second")).await.unwrap().unwrap();
        assert_eq!(existing.name, "first");
        assert_eq!(store.list().await.unwrap().len(), 1);
    }

    #[tokio::test]
    async fn what_another_server_changed_is_seen_at_the_next_look() {
        let objects: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
        let (here, there) = (Store::of(Arc::clone(&objects)), Store::of(objects));
        here.create(hash(1), Bytes::from_static(b"abc"), &details("here")).await.unwrap();
        assert_eq!(there.find(hash(1)).await.unwrap().unwrap().name, "here");
        assert!(there.delete(hash(1)).await.unwrap());
        assert!(here.find(hash(1)).await.unwrap().is_none());
        there.create(hash(1), Bytes::from_static(b"abc"), &details("there")).await.unwrap();
        assert_eq!(here.list().await.unwrap()[0].details.name, "there");
    }

    #[tokio::test]
    async fn a_component_that_goes_while_its_scene_is_made_again_is_put_back() {
        let store = store();
        let component = Bytes::from_static(b"abc");
        store.create(hash(1), component.clone(), &details("scene")).await.unwrap();
        // As a server does that had seen the scene deleted before.
        store.remove_component(hash(1), Some(component)).await.unwrap();
        assert!(store.has_component(hash(1)).await.unwrap());
        store.delete(hash(1)).await.unwrap();
        store.remove_component(hash(1), None).await.unwrap();
        assert!(!store.has_component(hash(1)).await.unwrap());
    }

    #[test]
    fn only_the_servers_own_user_reads_what_was_uploaded() {
        use std::os::unix::fs::PermissionsExt as _;
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("data");
        Store::in_folder(&folder).unwrap();
        assert_eq!(std::fs::metadata(&folder).unwrap().permissions().mode() & 0o777, 0o700);
    }

    #[tokio::test]
    async fn an_object_that_is_not_ours_is_not_a_scene() {
        let store = store();
        store.create(hash(1), Bytes::from_static(b"abc"), &details("scene")).await.unwrap();
        store.objects.put(&Key::from("scenes/notes.json"), "{}".into()).await.unwrap();
        store.objects.put(&details_key(hash(2)), "garbage".into()).await.unwrap();
        store.objects.put(&details_key(hash(3)), vec![b' '; 1 << 20].into()).await.unwrap();
        let names: Vec<_> =
            store.list().await.unwrap().iter().map(|scene| scene.details.name.clone()).collect();
        assert_eq!(names, ["scene"]);
        assert!(store.find(hash(2)).await.is_err());
    }

    #[test]
    fn a_full_disk_is_told_apart_from_a_broken_one() {
        let full = || io::Error::from(io::ErrorKind::StorageFull);
        let generic = |source| object_store::Error::Generic { store: "folder", source };
        let error = StoreError::from(generic(Box::new(full())));
        assert_eq!(error.problem("Writing").code, Code::DiskFull);
        assert_eq!(StoreError::from(full()).problem("Writing").code, Code::DiskFull);
        let broken = StoreError::from(generic(Box::new(io::Error::other("broken"))));
        assert_eq!(broken.problem("Writing").code, Code::Internal);
    }

    #[test]
    fn a_bucket_is_named_by_an_address() {
        for url in ["", "bucket", "s3://", "s3:///prefix", "https://bucket"] {
            assert!(matches!(Store::in_bucket(url), Err(OpenStoreError::Url(_))), "{url}");
        }
    }
}
