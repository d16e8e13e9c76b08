//! The cache of native code: one sealed file for each component and engine.
//!
//! An entry is the code, the report on its component, and a seal of fixed length:
//!
//! ```text
//! code │ report │ magic, version (16) │ component (32) │ engine (32) │ code's length (8) │ report's length (8) │ MAC (32)
//! ```
//!
//! The MAC is HMAC-SHA256 over everything before it, with the key of the component. The seal is at the end so that the file is, for a
//! worker, native code from its first byte on.
//!
//! **What is promised.** A file is handed to a worker only if the MAC holds over that very file, and if it says that it is the code of the
//! component that was asked for, for the engine that is asked for. So what a worker executes was made by a compiler process that was
//! given this component and this component's key. Damage, a file of another machine, an entry under another's name and an entry of
//! another version of wasmtime are all noticed, deleted and made anew.
//!
//! **What is not.** An older entry that comes back is taken: it is code of the same component for the same engine, and an
//! engine with a fault corrected has another identity, because wasmtime's version is a part of it. And a process of the same user that is not
//! confined can read the key, or change the file after it was checked; it could as well change this program. What keeps workers
//! and compilers from doing so is their cell: a compiler's lets it put files into this folder, and read neither them nor the key.

use std::{
    fmt,
    fs::{self, File},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, FileExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use hmac::Mac as _;

use super::{
    component::{ComponentId, EngineId},
    key::ArtifactKey,
    report::{MAX_REPORT_BYTES, SceneReport},
};

/// The folder of the entries, in the cache folder.
const FOLDER: &str = "artifacts";
/// Behind the name of every entry.
const EXTENSION: &str = ".cwasm";
/// Before the name of every file that is being written.
const UNFINISHED: &str = ".unfinished-";
/// What an entry's seal begins with: a name and the format's version.
const MAGIC: &[u8; 16] = b"scenecast code 2";
const SEAL_BYTES: usize = MAGIC.len() + 32 + 32 + 8 + 8 + 32;
/// Where in the seal the MAC is; it covers what is before it.
const MAC_AT: usize = SEAL_BYTES - 32;
/// Native code is two to five times as large as wasm, of which there are at most 32 MiB. More is none of ours, and is not read.
pub const MAX_CODE_BYTES: u64 = 256 << 20;
/// Hashed at a time.
const CHUNK_BYTES: usize = 256 << 10;
/// Of all entries together. A full library of ordinary scenes, a thousand of 1 MB, fits three times over, and a hundred of the largest.
pub(super) const MAX_CACHE_BYTES: u64 = 4 << 30;
/// Entries; so many names are a list that is read at once.
const MAX_ENTRIES: usize = 100_000;

/// The folder.
#[derive(Clone, Debug)]
pub struct Cache {
    folder: PathBuf,
}

/// Which entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EntryName {
    /// Whose code.
    pub component: ComponentId,
    /// What runs it.
    pub engine: EngineId,
}

/// An entry that was found to be what it says.
#[derive(Debug)]
pub struct Entry {
    /// The file that was checked, open for reading.
    pub file: File,
    /// What was seen of the component.
    pub report: SceneReport,
}

/// Why an entry is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// Not of the form of an entry: cut, or something else altogether.
    Damaged,
    /// The MAC does not hold: changed, or made with another key.
    Foreign,
    /// It says that it is another component's, or another engine's.
    Misplaced,
    /// It cannot be read.
    Unreadable,
}

impl Flaw {
    /// For programs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Damaged => "damaged",
            Self::Foreign => "foreign",
            Self::Misplaced => "misplaced",
            Self::Unreadable => "unreadable",
        }
    }
}

impl fmt::Display for EntryName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}{EXTENSION}", self.component, self.engine)
    }
}

impl Cache {
    /// The one in this cache folder; makes the folder of the entries.
    pub fn open(cache_dir: &Path) -> io::Result<Self> {
        let folder = Self::folder_in(cache_dir);
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder)?;
        Ok(Self { folder })
    }

    /// Where in a cache folder the entries are.
    pub fn folder_in(cache_dir: &Path) -> PathBuf {
        cache_dir.join(FOLDER)
    }

    /// An entry, if there is one that can be believed. One that cannot is deleted.
    pub fn find(&self, name: &EntryName, key: &ArtifactKey) -> Result<Option<Entry>, Flaw> {
        let path = self.folder.join(name.to_string());
        // Not through a link: an entry is a file of this folder. Not waiting: it may be a pipe.
        let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
        let file = match File::options().read(true).custom_flags(flags.bits().cast_signed()).open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(_) => {
                self.remove(&path);
                return Err(Flaw::Unreadable);
            }
        };
        match check(&file, name, key) {
            Ok(report) => {
                // For `trim`. A cache that cannot be noted as used is still a cache.
                let _ = file.set_modified(SystemTime::now());
                Ok(Some(Entry { file, report }))
            }
            Err(flaw) => {
                self.remove(&path);
                Err(flaw)
            }
        }
    }

    /// Puts an entry in its place, as a whole or not at all. Only the compiler process does this.
    pub fn store(
        &self,
        name: &EntryName,
        key: &ArtifactKey,
        code: &[u8],
        report: &SceneReport,
    ) -> io::Result<()> {
        let report = serde_json::to_vec(report)?;
        // Nobody opens it for writing again, not even by mistake. So from its beginning: the compiler may change no file's rights. And for
        // writing only: it may read nothing of this folder.
        let create = |path: &Path| File::options().write(true).create_new(true).mode(0o400).open(path);
        let mut file = tempfile::Builder::new().prefix(UNFINISHED).make_in(&self.folder, create)?;
        for part in [code, &report, &seal(name, key, code, &report)] {
            file.write_all(part)?;
        }
        file.as_file().sync_all()?;
        file.persist(self.folder.join(name.to_string()))?;
        Ok(())
    }

    /// Deletes what was not used for longest until the rest is no more than `limit_bytes`, and what compilers that were killed left behind.
    pub(super) fn trim(&self, limit_bytes: u64, unfinished_after: Duration) -> io::Result<()> {
        let now = SystemTime::now();
        let mut entries = Vec::new();
        for file in fs::read_dir(&self.folder)?.take(MAX_ENTRIES) {
            let file = file?;
            // Deleted in between.
            let Ok(metadata) = file.metadata() else { continue };
            let used = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
            if !file.file_name().as_encoded_bytes().starts_with(UNFINISHED.as_bytes()) {
                entries.push((used, metadata.len(), file.path()));
            } else if now.duration_since(used).is_ok_and(|age| age > unfinished_after) {
                self.remove(&file.path());
            }
        }
        entries.sort();
        let mut total: u64 = entries.iter().map(|(_, bytes, _)| bytes).sum();
        for (_, bytes, path) in entries {
            if total <= limit_bytes {
                break;
            }
            self.remove(&path);
            total = total.saturating_sub(bytes);
        }
        Ok(())
    }

    /// A worker that has it open keeps it.
    fn remove(&self, path: &Path) {
        let removed = match fs::symlink_metadata(path) {
            Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(path),
            _ => fs::remove_file(path),
        };
        if let Err(error) = removed
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(%error, folder = %self.folder.display(), "an entry of the compiled scenes cannot be deleted");
        }
    }
}

/// What goes behind code and report.
fn seal(name: &EntryName, key: &ArtifactKey, code: &[u8], report: &[u8]) -> Vec<u8> {
    let mut seal = Vec::with_capacity(SEAL_BYTES);
    seal.extend(MAGIC);
    seal.extend(name.component.as_bytes());
    seal.extend(name.engine.0);
    seal.extend((code.len() as u64).to_le_bytes());
    seal.extend((report.len() as u64).to_le_bytes());
    let mut mac = key.mac();
    for part in [code, report, &seal] {
        mac.update(part);
    }
    seal.extend(mac.finalize().into_bytes());
    seal
}

/// Whether a file is the entry that it should be; the report in it.
fn check(file: &File, name: &EntryName, key: &ArtifactKey) -> Result<SceneReport, Flaw> {
    let unreadable = |_| Flaw::Unreadable;
    let metadata = file.metadata().map_err(unreadable)?;
    if !metadata.is_file() {
        return Err(Flaw::Damaged);
    }
    let content_bytes = metadata.len().checked_sub(SEAL_BYTES as u64).ok_or(Flaw::Damaged)?;
    let mut seal = [0; SEAL_BYTES];
    file.read_exact_at(&mut seal, content_bytes).map_err(unreadable)?;
    let (fields, expected) = seal.split_at(MAC_AT);
    let (magic, fields_left) = fields.split_at(MAGIC.len());
    let (component, fields_left) = fields_left.split_at(32);
    let (engine, lengths) = fields_left.split_at(32);
    let (code_bytes, report_bytes) = lengths.split_at(8);
    let length = |bytes: &[u8]| bytes.try_into().map(u64::from_le_bytes).map_err(|_| Flaw::Damaged);
    let (code_bytes, report_bytes) = (length(code_bytes)?, length(report_bytes)?);
    // Lengths first: nothing is hashed or kept that is longer than an entry can be.
    if magic != MAGIC
        || code_bytes > MAX_CODE_BYTES
        || report_bytes > MAX_REPORT_BYTES
        || code_bytes + report_bytes != content_bytes
    {
        return Err(Flaw::Damaged);
    }
    if component != name.component.as_bytes() || engine != name.engine.0 {
        return Err(Flaw::Misplaced);
    }
    let mut mac = key.mac();
    let mut chunk = vec![0; CHUNK_BYTES];
    let mut at = 0;
    while at < code_bytes {
        let left = usize::try_from(code_bytes - at).unwrap_or(usize::MAX).min(CHUNK_BYTES);
        let chunk = chunk.get_mut(..left).unwrap_or_default();
        file.read_exact_at(chunk, at).map_err(unreadable)?;
        mac.update(chunk);
        at += chunk.len() as u64;
    }
    let mut report = vec![0; usize::try_from(report_bytes).map_err(|_| Flaw::Damaged)?];
    file.read_exact_at(&mut report, code_bytes).map_err(unreadable)?;
    mac.update(&report);
    mac.update(fields);
    mac.verify_slice(expected).map_err(|_| Flaw::Foreign)?;
    let report: SceneReport = serde_json::from_slice(&report).map_err(|_| Flaw::Damaged)?;
    Ok(report.bounded())
}

#[cfg(test)]
mod tests {
    use std::{io::Read as _, os::unix::fs::PermissionsExt as _};

    use super::{super::key::MasterKey, *};

    struct Fixture {
        folder: tempfile::TempDir,
        cache: Cache,
        key: MasterKey,
    }

    const CODE: &[u8] = b"native code";

    fn fixture() -> Fixture {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::open(folder.path()).unwrap();
        let key = MasterKey::open(&folder.path().join("key")).unwrap();
        Fixture { folder, cache, key }
    }

    fn name(component: &[u8]) -> EntryName {
        EntryName { component: ComponentId::of(component), engine: EngineId([7; 32]) }
    }

    impl Fixture {
        fn store(&self, component: &[u8]) -> PathBuf {
            let name = name(component);
            let report = SceneReport { bytes: 3, ..SceneReport::default() };
            self.cache.store(&name, &self.key.for_component(name.component), CODE, &report).unwrap();
            self.cache.folder.join(name.to_string())
        }

        fn find(&self, name: &EntryName) -> Result<Option<Entry>, Flaw> {
            self.cache.find(name, &self.key.for_component(name.component))
        }

        /// What is found when the file is this; and that it is gone afterwards.
        fn flaw(&self, content: &[u8]) -> Flaw {
            let path = self.store(b"one");
            fs::remove_file(&path).unwrap();
            fs::write(&path, content).unwrap();
            let flaw = self.find(&name(b"one")).unwrap_err();
            assert!(!path.exists());
            assert!(self.find(&name(b"one")).unwrap().is_none());
            flaw
        }
    }

    #[test]
    fn what_is_stored_is_found_as_it_was() {
        let fixture = fixture();
        assert!(fixture.find(&name(b"one")).unwrap().is_none());
        let path = fixture.store(b"one");
        let mut entry = fixture.find(&name(b"one")).unwrap().unwrap();
        let mut content = Vec::new();
        entry.file.read_to_end(&mut content).unwrap();
        assert!(content.starts_with(CODE));
        assert_eq!(entry.report.bytes, 3);
        assert!(entry.file.set_len(0).is_err(), "it is open for reading only");
        assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o400);
    }

    #[test]
    fn row_17_no_byte_of_an_entry_can_change() {
        let fixture = fixture();
        let good = fs::read(fixture.store(b"one")).unwrap();
        for index in 0..good.len() {
            let mut bytes = good.clone();
            bytes[index] ^= 1 << (index % 8);
            fixture.flaw(&bytes);
        }
        let mut bytes = good.clone();
        bytes[0] ^= 1;
        assert_eq!(fixture.flaw(&bytes), Flaw::Foreign);
    }

    #[test]
    fn row_17_an_entry_that_was_cut_or_has_more_is_none() {
        let fixture = fixture();
        let good = fs::read(fixture.store(b"one")).unwrap();
        for length in 0..good.len() {
            fixture.flaw(&good[..length]);
        }
        for more in [&b"x"[..], &good, &[0; 4096]] {
            fixture.flaw(&[&good, more].concat());
            fixture.flaw(&[more, &good].concat());
        }
    }

    #[test]
    fn row_17_an_entry_of_another_component_engine_or_machine_is_none() {
        let fixture = fixture();
        let other = fs::read(fixture.store(b"two")).unwrap();
        assert_eq!(fixture.flaw(&other), Flaw::Misplaced);
        let newer = EntryName { engine: EngineId([8; 32]), ..name(b"one") };
        fs::rename(fixture.store(b"one"), fixture.cache.folder.join(newer.to_string())).unwrap();
        assert_eq!(fixture.find(&newer).unwrap_err(), Flaw::Misplaced);
        let elsewhere = self::fixture();
        let foreign = fs::read(elsewhere.store(b"one")).unwrap();
        assert_eq!(fixture.flaw(&foreign), Flaw::Foreign);
        // Whoever has the key of one component cannot make the code of another.
        let key = fixture.key.for_component(ComponentId::of(b"two"));
        fixture.cache.store(&name(b"one"), &key, CODE, &SceneReport::default()).unwrap();
        assert_eq!(fixture.find(&name(b"one")).unwrap_err(), Flaw::Foreign);
    }

    #[test]
    fn row_17_what_is_no_file_is_no_entry() {
        let fixture = fixture();
        let path = fixture.store(b"one");
        let elsewhere = fixture.folder.path().join("elsewhere");
        fs::rename(&path, &elsewhere).unwrap();
        std::os::unix::fs::symlink(&elsewhere, &path).unwrap();
        assert_eq!(fixture.find(&name(b"one")).unwrap_err(), Flaw::Unreadable);
        fs::create_dir(&path).unwrap();
        assert_eq!(fixture.find(&name(b"one")).unwrap_err(), Flaw::Damaged);
        assert!(fixture.find(&name(b"one")).unwrap().is_none());
        assert!(elsewhere.exists());
    }

    #[test]
    fn lengths_that_cannot_be_are_not_believed() {
        let fixture = fixture();
        let good = fs::read(fixture.store(b"one")).unwrap();
        let lengths = good.len() - 32 - 16;
        for (code, report) in [(u64::MAX, u64::MAX), (u64::MAX, 12), (0, u64::MAX), (0, 0)] {
            let mut bytes = good.clone();
            bytes[lengths..lengths + 8].copy_from_slice(&code.to_le_bytes());
            bytes[lengths + 8..lengths + 16].copy_from_slice(&report.to_le_bytes());
            assert_eq!(fixture.flaw(&bytes), Flaw::Damaged);
        }
    }

    #[test]
    fn the_least_recently_used_goes_when_there_is_too_much() {
        let fixture = fixture();
        let paths: Vec<_> = [&b"one"[..], b"two", b"three"].map(|name| fixture.store(name)).to_vec();
        for (age, path) in paths.iter().enumerate() {
            let used = SystemTime::now() - Duration::from_secs(1_000 - age as u64);
            File::open(path).unwrap().set_modified(used).unwrap();
        }
        fixture.find(&name(b"one")).unwrap().unwrap();
        let size = fs::metadata(&paths[0]).unwrap().len();
        fixture.cache.trim(2 * size, Duration::from_mins(1)).unwrap();
        let left: Vec<_> = paths.iter().map(|path| path.exists()).collect();
        assert_eq!(left, [true, false, true]);
    }

    #[test]
    fn what_a_killed_compiler_left_behind_is_deleted_when_it_is_old() {
        let fixture = fixture();
        let unfinished = |name: &str| fixture.cache.folder.join(format!("{UNFINISHED}{name}"));
        fs::write(unfinished("old"), b"half").unwrap();
        fs::write(unfinished("new"), b"half").unwrap();
        let old = SystemTime::now() - Duration::from_mins(10);
        File::open(unfinished("old")).unwrap().set_modified(old).unwrap();
        fixture.cache.trim(MAX_CACHE_BYTES, Duration::from_mins(1)).unwrap();
        assert!(!unfinished("old").exists() && unfinished("new").exists());
    }
}
