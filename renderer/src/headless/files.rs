//! Files that are there whole or not at all.

use std::{
    fs,
    io::{self, Write},
    path::Path,
};

use super::OutputError;

/// Makes a folder, with those above it, and makes sure that a file can be written to it.
pub(super) fn prepare_folder(folder: &Path) -> Result<(), OutputError> {
    let prepare = || -> io::Result<()> {
        fs::create_dir_all(folder)?;
        // Gone again when it is dropped.
        temporary(folder).map(drop)
    };
    prepare().map_err(|error| OutputError { path: folder.to_owned(), error })
}

/// Writes a file under a name of its own and gives it the final name when it is complete: a full disk leaves nothing behind, and
/// a file that was there stays as it was.
pub(super) fn write_whole(
    path: &Path,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<(), OutputError> {
    let attempt = || -> io::Result<()> {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let mut file = temporary(folder.unwrap_or(Path::new(".")))?;
        let mut buffered = io::BufWriter::new(file.as_file_mut());
        write(&mut buffered)?;
        buffered.flush()?;
        drop(buffered);
        file.persist(path)?;
        Ok(())
    };
    attempt().map_err(|error| OutputError { path: path.to_owned(), error })
}

/// A file that vanishes unless it is given a name; with the permissions that other new files have.
pub(super) fn temporary(folder: &Path) -> io::Result<tempfile::NamedTempFile> {
    use std::os::unix::fs::PermissionsExt as _;
    // The process's mask is taken off.
    let permissions = fs::Permissions::from_mode(0o666);
    tempfile::Builder::new().prefix(".scenecast-").permissions(permissions).tempfile_in(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_could_not_be_finished_leaves_the_old_one_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("0.png");
        write_whole(&path, |file| file.write_all(b"old")).unwrap();
        let full = write_whole(&path, |file| {
            file.write_all(b"half")?;
            Err(io::ErrorKind::StorageFull.into())
        });
        assert!(full.unwrap_err().to_string().contains("0.png"));
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_folder_that_cannot_be_is_said_before_anything_is_rendered() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        let error = prepare_folder(&file.join("inside")).unwrap_err();
        assert!(error.to_string().contains("inside"), "{error}");
        prepare_folder(&folder.path().join("a/b")).unwrap();
    }
}
