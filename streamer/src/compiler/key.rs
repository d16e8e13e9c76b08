//! The secret by which this machine knows its own native code again.
//!
//! The master key stays with whoever starts workers. The compiler process is given a key that is derived for the one component that it
//! compiles: a compiler that its input has taken over can make an entry for that input, and for no other scene.

use std::{
    fs::{self, File},
    io::{self, Read, Write},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::Path,
};

use hmac::{Hmac, Mac};
use sha2::Sha256;

use super::ComponentId;

/// The length of all keys here: that of SHA-256, which is what they are used with.
pub const KEY_BYTES: usize = 32;
/// The length of a block of SHA-256: a shorter key of HMAC is filled up with zeros, by definition.
const BLOCK_BYTES: usize = 64;
/// What the derived keys are for; another use of the master key would have another text.
const PURPOSE: &[u8] = b"scenecast: native code of the component ";

/// Of which all others are made. It never leaves the process that starts workers.
pub(super) struct MasterKey([u8; KEY_BYTES]);

/// The key of one component's entries.
pub struct ArtifactKey([u8; KEY_BYTES]);

impl MasterKey {
    /// The key in a file, made if there is none. A file that others can read, or that holds no key, is replaced: all entries are then
    /// foreign, and made anew.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        match Self::read(path) {
            Ok(Some(key)) => return Ok(key),
            Ok(None) => {
                tracing::warn!(path = %path.display(), "the key of the compiled scenes was not kept as a secret, and is replaced");
                fs::remove_file(path)?;
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        let key: [u8; KEY_BYTES] = rand::random();
        // Only its owner can read a temporary file, from its first moment on.
        let mut file = tempfile::NamedTempFile::new_in(path.parent().unwrap_or(Path::new("/")))?;
        file.write_all(&key)?;
        file.as_file().sync_all()?;
        match file.persist_noclobber(path) {
            Ok(_) => Ok(Self(key)),
            // Another server with the same folder was faster. Its key is whole, because it was put there as a whole.
            Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => Self::read(path)?
                .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "the key is no key")),
            Err(error) => Err(error.error),
        }
    }

    /// `None` if what is there cannot be a secret of this user.
    fn read(path: &Path) -> io::Result<Option<Self>> {
        let no_follow = rustix::fs::OFlags::NOFOLLOW.bits().cast_signed();
        let mut file = match File::options().read(true).custom_flags(no_follow).open(path) {
            Err(error) if error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error()) => {
                return Ok(None);
            }
            file => file?,
        };
        let metadata = file.metadata()?;
        let is_private =
            metadata.mode().trailing_zeros() >= 6 && metadata.uid() == rustix::process::geteuid().as_raw();
        if !metadata.is_file() || !is_private || metadata.len() != KEY_BYTES as u64 {
            return Ok(None);
        }
        let mut key = [0; KEY_BYTES];
        file.read_exact(&mut key)?;
        Ok(Some(Self(key)))
    }

    /// The key for the entries of one component.
    pub(super) fn for_component(&self, component: ComponentId) -> ArtifactKey {
        let mut mac = new_mac(&self.0);
        mac.update(PURPOSE);
        mac.update(component.as_bytes());
        ArtifactKey(mac.finalize().into_bytes().into())
    }
}

impl ArtifactKey {
    /// As the compiler process is given it.
    pub fn read_from(input: &mut impl Read) -> io::Result<Self> {
        let mut key = [0; KEY_BYTES];
        input.read_exact(&mut key)?;
        Ok(Self(key))
    }

    /// For the compiler process.
    pub(super) const fn as_bytes(&self) -> &[u8; KEY_BYTES] {
        &self.0
    }

    pub(super) fn mac(&self) -> Hmac<Sha256> {
        new_mac(&self.0)
    }
}

fn new_mac(key: &[u8; KEY_BYTES]) -> Hmac<Sha256> {
    let mut block = [0; BLOCK_BYTES];
    block[..KEY_BYTES].copy_from_slice(key);
    Hmac::new(&block.into())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn id(byte: u8) -> ComponentId {
        ComponentId::of(&[byte])
    }

    #[test]
    fn a_key_is_made_once_and_kept_for_its_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        let key = MasterKey::open(&path).unwrap().0;
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(MasterKey::open(&path).unwrap().0, key);
        let other = tempfile::tempdir().unwrap();
        assert_ne!(MasterKey::open(&other.path().join("key")).unwrap().0, key);
    }

    #[test]
    fn servers_that_start_at_once_agree_on_one_key() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        let keys: Vec<_> = std::thread::scope(|scope| {
            let open = || scope.spawn(|| MasterKey::open(&path).unwrap().0);
            let threads: Vec<_> = (0..8).map(|_| open()).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(keys.iter().all(|key| *key == keys[0]));
    }

    #[test]
    fn what_is_no_secret_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        let key = MasterKey::open(&path).unwrap().0;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let second = MasterKey::open(&path).unwrap().0;
        assert_ne!(second, key);
        fs::write(&path, b"short").unwrap();
        let third = MasterKey::open(&path).unwrap().0;
        assert_ne!(third, second);
        fs::rename(&path, folder.path().join("elsewhere")).unwrap();
        std::os::unix::fs::symlink("elsewhere", &path).unwrap();
        assert_ne!(MasterKey::open(&path).unwrap().0, third);
    }

    #[test]
    fn each_component_has_a_key_of_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let master = MasterKey::open(&folder.path().join("key")).unwrap();
        assert_eq!(master.for_component(id(1)).0, master.for_component(id(1)).0);
        assert_ne!(master.for_component(id(1)).0, master.for_component(id(2)).0);
        assert_ne!(master.for_component(id(1)).0, master.0);
    }

    #[test]
    fn a_mac_is_that_of_rfc_4231() {
        // Test case 2: the key "Jefe", which zeros fill up as in any HMAC.
        let mut key = [0; KEY_BYTES];
        key[..4].copy_from_slice(b"Jefe");
        let mut mac = ArtifactKey(key).mac();
        mac.update(b"what do ya want for nothing?");
        let expected = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        assert_eq!(format!("{:x}", mac.finalize().into_bytes()), expected);
    }
}
