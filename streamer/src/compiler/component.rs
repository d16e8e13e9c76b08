//! A component as it is given to the compiler: somewhere, and known by its content.

use std::{
    fmt,
    fs::File,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use bytes::Bytes;
use sha2::{Digest as _, Sha256};

/// Read at a time.
const CHUNK_BYTES: usize = 64 << 10;
/// A file that is longer than any scene is read so far, and refused by the compiler.
pub(super) const MAX_READ_BYTES: u64 = (32 << 20) + 1;

/// What is to be compiled.
#[derive(Clone, Debug)]
pub enum Component {
    /// A file. It shall not change while it is compiled; if it does, what is compiled is what was there.
    File(PathBuf),
    /// Its bytes.
    Bytes(Bytes),
}

impl From<&Path> for Component {
    fn from(path: &Path) -> Self {
        Self::File(path.to_owned())
    }
}

impl From<Bytes> for Component {
    fn from(bytes: Bytes) -> Self {
        Self::Bytes(bytes)
    }
}

impl Component {
    /// Computes its identity. Blocks.
    pub(super) fn id(&self) -> io::Result<ComponentId> {
        let mut hash = Sha256::new();
        match self {
            Self::Bytes(bytes) => hash.update(bytes),
            Self::File(path) => {
                let mut file = File::open(path)?.take(MAX_READ_BYTES);
                let mut chunk = vec![0; CHUNK_BYTES];
                loop {
                    match file.read(&mut chunk)? {
                        0 => break,
                        read => hash.update(chunk.get(..read).unwrap_or_default()),
                    }
                }
            }
        }
        Ok(ComponentId(hash.finalize().into()))
    }
}

/// The SHA-256 of a component.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ComponentId([u8; 32]);

impl ComponentId {
    /// Of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    pub(super) const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for ComponentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(&self.0, f)
    }
}

/// What identifies the engine to which native code fits; made by the compiler process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EngineId(pub [u8; 32]);

impl EngineId {
    pub(super) fn from_hex(text: &str) -> Option<Self> {
        let mut id = [0; 32];
        let digits = text.as_bytes();
        if digits.len() != 2 * id.len() {
            return None;
        }
        for (byte, pair) in id.iter_mut().zip(digits.chunks_exact(2)) {
            // Only the digits as they are written here: another spelling would be another file.
            let digit = |digit: u8| match digit {
                b'0'..=b'9' => Some(digit - b'0'),
                b'a'..=b'f' => Some(digit - b'a' + 10),
                _ => None,
            };
            *byte = digit(pair[0])? << 4 | digit(pair[1])?;
        }
        Some(Self(id))
    }
}

impl fmt::Display for EngineId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(&self.0, f)
    }
}

fn write_hex(bytes: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_component_is_known_by_its_content_wherever_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("scene.wasm");
        std::fs::write(&path, b"abc").unwrap();
        let in_file = Component::from(path.as_path()).id().unwrap();
        assert_eq!(in_file, Component::from(Bytes::from_static(b"abc")).id().unwrap());
        assert_eq!(in_file.to_string(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }

    #[test]
    fn an_engine_is_written_in_one_way() {
        let engine = EngineId(std::array::from_fn(|index| u8::try_from(index * 7).unwrap()));
        assert_eq!(EngineId::from_hex(&engine.to_string()), Some(engine));
        assert_eq!(EngineId::from_hex(&engine.to_string().to_uppercase()), None);
        for text in ["", "00", &"é".repeat(32), &"0".repeat(63), &"g".repeat(64)] {
            assert_eq!(EngineId::from_hex(text), None, "{text}");
        }
    }
}
