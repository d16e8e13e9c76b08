//! The native code of a scene that its author's tests run: made in their own process, because the scene is their own.

use std::{
    fs::{self, File},
    io::{self, Read as _, Write as _},
    path::Path,
};

use sha2::{Digest as _, Sha256};

use super::{CheckError, OutputError};
use crate::scene::{CompileError, Inspection, MAX_SCENE_BYTES, Scene, compile, engine_id};

/// Behind the code is its SHA-256: a file that was cut is made anew. It is no protection from whoever can write the folder.
const DIGEST_BYTES: usize = 32;

/// Compiles a scene, or finds it in the folder.
pub(super) fn load(scene: &Path, cache: &Path) -> Result<Scene, CheckError> {
    let unreadable = |error| CheckError::Unreadable { path: scene.to_owned(), error };
    let mut component = Vec::new();
    let file = File::open(scene).map_err(unreadable)?;
    file.take(MAX_SCENE_BYTES + 1).read_to_end(&mut component).map_err(unreadable)?;
    let unwritable = |error| OutputError { path: cache.to_owned(), error };
    let name = Sha256::new().chain_update(engine_id()?).chain_update(&component);
    let path = cache.join(format!("{:x}.cwasm", name.finalize()));
    let artifact = if let Ok(artifact) = open(&path) {
        artifact
    } else {
        let code = compile(&component, &mut Inspection::default())?;
        store(cache, &path, &code).and_then(|()| File::open(&path)).map_err(unwritable)?
    };
    Ok(Scene::load(&artifact).map_err(CompileError::from)?)
}

fn store(cache: &Path, path: &Path, code: &[u8]) -> io::Result<()> {
    fs::create_dir_all(cache)?;
    let mut file = tempfile::NamedTempFile::new_in(cache)?;
    file.write_all(code)?;
    file.write_all(&Sha256::digest(code))?;
    file.persist(path)?;
    Ok(())
}

fn open(path: &Path) -> io::Result<File> {
    let content = fs::read(path)?;
    let whole = content
        .len()
        .checked_sub(DIGEST_BYTES)
        .and_then(|length| content.split_at_checked(length))
        .is_some_and(|(code, digest)| Sha256::digest(code).as_slice() == digest);
    if !whole {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "the compiled scene is damaged"));
    }
    File::open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_that_was_cut_is_no_code() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.cwasm");
        store(folder.path(), &path, b"native code").unwrap();
        assert!(open(&path).is_ok());
        let bytes = fs::read(&path).unwrap();
        for cut in [0, 5, bytes.len() - 1] {
            fs::write(&path, &bytes[..cut]).unwrap();
            assert!(open(&path).is_err());
        }
    }
}
