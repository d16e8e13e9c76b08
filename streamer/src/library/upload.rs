//! A component on its way in: streamed into a file of its own while it is hashed, with bounds on its length, its pace and its time.
//!
//! Knows bytes and files, and nothing of requests or scenes. A file that is not taken over is gone with its value.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use bytes::Bytes;
use futures::{Stream, StreamExt as _};
use sha2::{Digest as _, Sha256};
use tempfile::{NamedTempFile, TempPath};
use tokio::{
    fs::File,
    io::AsyncWriteExt as _,
    time::{Instant, timeout_at},
};

use super::{
    SceneHash,
    store::{disk_full, is_disk_full},
};
use crate::error::{Code, Problem};

/// Whoever sends slower than this holds a place, and is no browser on a link that can carry video.
pub const MIN_BYTES_PER_SECOND: u64 = 16 << 10;
/// How far behind that pace a sender may be: what it takes to begin, and the pauses of a bad link.
const GRACE: Duration = Duration::from_secs(10);
/// However large, and however steady. It is part of the time that a request may take on an old connection, and what was sent must be
/// compiled yet.
const MAX_TIME: Duration = Duration::from_mins(2);
/// The name that unfinished files begin with.
const TEMPORARY_PREFIX: &str = ".incoming-";

/// A component that is there in full, in a file that is gone with this value unless it is [kept](Self::keep).
#[derive(Debug)]
pub(super) struct Received {
    pub(super) hash: SceneHash,
    pub(super) bytes: u64,
    file: TempPath,
}

impl Received {
    /// Gives the file its name, in place of one that has it.
    pub(super) fn keep(self, path: &Path) -> std::io::Result<()> {
        self.file.persist(path).map_err(|error| error.error)
    }
}

/// Why a component is not there.
#[derive(Debug)]
pub(super) enum ReceiveError {
    TooLarge,
    EndedEarly,
    TooSlow { seconds: u64 },
    File(std::io::Error),
}

impl ReceiveError {
    pub(super) fn problem(&self, max_bytes: u64) -> Problem {
        match self {
            Self::TooLarge => too_large(max_bytes),
            Self::EndedEarly => Problem::new(Code::BadRequest, "The body ended early."),
            Self::TooSlow { seconds } => Problem::new(
                Code::RequestTimeout,
                format!(
                    "The component was not there after {seconds} s: at least {} KiB a second are needed, and all of it within {} s.",
                    MIN_BYTES_PER_SECOND >> 10,
                    MAX_TIME.as_secs()
                ),
            ),
            Self::File(error) if is_disk_full(error) => {
                tracing::warn!(%error, "an upload was not kept: the disk is full");
                disk_full()
            }
            Self::File(error) => Problem::internal("Keeping the upload", error),
        }
    }
}

/// The answer for a component of too many bytes.
pub(super) fn too_large(max_bytes: u64) -> Problem {
    Problem::new(Code::SceneTooLarge, format!("A scene has at most {max_bytes} bytes here."))
}

impl From<std::io::Error> for ReceiveError {
    fn from(error: std::io::Error) -> Self {
        Self::File(error)
    }
}

/// Takes a component in. What is beyond `max_bytes` is not waited for.
pub(super) async fn receive<E>(
    body: impl Stream<Item = Result<Bytes, E>>,
    max_bytes: u64,
    folder: &Path,
) -> Result<Received, ReceiveError> {
    receive_paced(body, max_bytes, folder, GRACE).await
}

async fn receive_paced<E>(
    body: impl Stream<Item = Result<Bytes, E>>,
    max_bytes: u64,
    folder: &Path,
    grace: Duration,
) -> Result<Received, ReceiveError> {
    let file = tempfile::Builder::new().prefix(TEMPORARY_PREFIX).suffix(".wasm").tempfile_in(folder)?;
    let (file, path) = NamedTempFile::into_parts(file);
    let mut file = File::from_std(file);
    let mut hasher = Sha256::new();
    let mut bytes = 0_u64;
    let started = Instant::now();
    futures::pin_mut!(body);
    loop {
        let pace = Duration::from_secs(bytes / MIN_BYTES_PER_SECOND);
        let deadline = started + (grace + pace).min(MAX_TIME);
        let Ok(chunk) = timeout_at(deadline, body.next()).await else {
            return Err(ReceiveError::TooSlow { seconds: started.elapsed().as_secs() });
        };
        let Some(chunk) = chunk else { break };
        let chunk = chunk.map_err(|_| ReceiveError::EndedEarly)?;
        bytes = bytes.saturating_add(chunk.len() as u64);
        if bytes > max_bytes {
            return Err(ReceiveError::TooLarge);
        }
        hasher.update(&chunk);
        file.write_all(&chunk).await?;
    }
    // A write that is put off fails here.
    file.flush().await?;
    file.sync_all().await?;
    Ok(Received { hash: SceneHash::from(<[u8; 32]>::from(hasher.finalize())), bytes, file: path })
}

/// Unfinished files that a server left that was killed.
pub(super) fn stale_files(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let files = std::fs::read_dir(folder)?.flatten();
    let is_temporary =
        |name: &std::ffi::OsStr| name.to_str().is_some_and(|name| name.starts_with(TEMPORARY_PREFIX));
    Ok(files.filter(|file| is_temporary(&file.file_name())).map(|file| file.path()).collect())
}

#[cfg(test)]
mod tests {
    use futures::stream;

    use super::*;

    type Chunk = Result<Bytes, ()>;

    fn chunks(texts: &'static [&'static str]) -> impl Stream<Item = Chunk> {
        stream::iter(texts.iter().map(|text| Ok(Bytes::from_static(text.as_bytes()))))
    }

    fn is_empty(folder: &Path) -> bool {
        std::fs::read_dir(folder).unwrap().next().is_none()
    }

    #[tokio::test]
    async fn what_came_in_pieces_is_one_file_with_its_hash() {
        let folder = tempfile::tempdir().unwrap();
        let received = receive(chunks(&["a", "", "bc"]), 3, folder.path()).await.unwrap();
        // FIPS 180-4, the example of one block.
        assert!(received.hash.to_string().starts_with("ba7816bf8f01cfea"));
        assert_eq!(received.bytes, 3);
        let path = folder.path().join("kept.wasm");
        received.keep(&path).unwrap();
        assert_eq!(std::fs::read(path).unwrap(), b"abc");
    }

    #[tokio::test]
    async fn row_56_what_has_no_end_is_given_up_at_the_limit_and_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let endless = stream::repeat_with(|| Chunk::Ok(Bytes::from(vec![0; 1 << 16])));
        let error = receive(endless, 1 << 20, folder.path()).await.unwrap_err();
        assert_eq!(error.problem(1 << 20).code, Code::SceneTooLarge);
        assert!(is_empty(folder.path()));
    }

    #[tokio::test]
    async fn what_ends_early_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let broken = stream::iter([Ok(Bytes::from_static(b"ab")), Err(())]);
        let error = receive(broken, 8, folder.path()).await.unwrap_err();
        assert_eq!(error.problem(8).code, Code::BadRequest);
        assert!(is_empty(folder.path()));
    }

    #[tokio::test]
    async fn row_54_a_sender_that_is_slower_than_the_pace_is_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        // One byte at a time: the pace is never reached, however long it goes on.
        let trickle = stream::unfold((), async |()| {
            tokio::time::sleep(Duration::from_millis(5)).await;
            Some((Chunk::Ok(Bytes::from_static(b"x")), ()))
        });
        let error =
            receive_paced(trickle, 1 << 20, folder.path(), Duration::from_millis(100)).await.unwrap_err();
        assert_eq!(error.problem(1 << 20).code, Code::RequestTimeout);
        assert!(is_empty(folder.path()));
    }
}
