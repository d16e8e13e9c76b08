//! How a worker gets the compiled scene: as one open file, over a socket of its own, and nothing else ever.
//!
//! A worker has no right to open files of the cache, and the broker's choice is made after the worker has been started. Each end is used
//! up by its one use. The file has been given before [`ToWorker::Start`](crate::ToWorker::Start) is sent, so nobody waits.

use std::{
    fs::File,
    io::{Error, ErrorKind, IoSlice, IoSliceMut, Result},
    mem::MaybeUninit,
    os::fd::{AsFd, OwnedFd},
};

use rustix::{
    cmsg_space,
    fs::{OFlags, fcntl_getfl},
    net::{
        AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags,
        SendAncillaryBuffer, SendAncillaryMessage, SendFlags, Shutdown, SocketFlags, SocketType, recvmsg,
        sendmsg, shutdown, socketpair,
    },
};

/// A file travels beside at least one byte.
const MESSAGE: [u8; 1] = [0];

/// The broker's end.
#[derive(Debug)]
pub struct FileGiver(OwnedFd);

/// The worker's end.
#[derive(Debug)]
pub struct FileTaker(OwnedFd);

/// Both ends. What the worker writes into its own is never read.
pub fn pair() -> Result<(FileGiver, FileTaker)> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let (ours, theirs) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?;
    shutdown(&ours, Shutdown::Read)?;
    Ok((FileGiver(ours), FileTaker(theirs)))
}

impl FileGiver {
    /// Gives the file, which must have been opened for reading alone. Does not block: the socket has room for its one message.
    pub fn give(self, file: &File) -> Result<()> {
        check_read_only(file)?;
        let files = [file.as_fd()];
        let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(1))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        if !ancillary.push(SendAncillaryMessage::ScmRights(&files)) {
            return Err(Error::other("no room for a file descriptor"));
        }
        let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
        sendmsg(&self.0, &[IoSlice::new(&MESSAGE)], &mut ancillary, flags)?;
        Ok(())
    }
}

impl FileTaker {
    /// Takes the file that was given before. Fails, and does not wait, when there is none.
    pub fn take(self) -> Result<File> {
        let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(1))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let mut byte = MESSAGE;
        let flags = RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT;
        let received = recvmsg(&self.0, &mut [IoSliceMut::new(&mut byte)], &mut ancillary, flags)?;
        let mut files = ancillary.drain().filter_map(|message| match message {
            RecvAncillaryMessage::ScmRights(files) => Some(files),
            _ => None,
        });
        let file = files.next().and_then(|mut files| files.next());
        match file {
            Some(file) if !received.flags.contains(ReturnFlags::CTRUNC) => {
                let file = File::from(file);
                check_read_only(&file)?;
                Ok(file)
            }
            _ => Err(Error::new(ErrorKind::InvalidData, "the broker gave no file, or more than one")),
        }
    }
}

impl From<OwnedFd> for FileTaker {
    fn from(socket: OwnedFd) -> Self {
        Self(socket)
    }
}

impl From<FileTaker> for OwnedFd {
    fn from(taker: FileTaker) -> Self {
        taker.0
    }
}

fn check_read_only(file: &File) -> Result<()> {
    if fcntl_getfl(file)? & OFlags::RWMODE == OFlags::RDONLY {
        Ok(())
    } else {
        Err(Error::new(ErrorKind::InvalidInput, "the file is open for more than reading"))
    }
}

#[cfg(test)]
mod tests {
    use std::{io::Read as _, os::fd::AsRawFd as _};

    use rustix::io::{FdFlags, fcntl_getfd};

    use super::*;

    #[test]
    fn a_file_arrives_open_for_reading_and_is_inherited_by_nobody() {
        let (giver, taker) = pair().unwrap();
        giver.give(&File::open("/proc/self/cmdline").unwrap()).unwrap();
        let mut file = taker.take().unwrap();
        assert!(fcntl_getfd(&file).unwrap().contains(FdFlags::CLOEXEC), "{}", file.as_raw_fd());
        let mut text = Vec::new();
        file.read_to_end(&mut text).unwrap();
        assert!(!text.is_empty());
    }

    #[test]
    fn a_file_that_can_be_written_is_not_given() {
        let (giver, taker) = pair().unwrap();
        let error = giver.give(&File::options().write(true).open("/dev/null").unwrap()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(taker.take().is_err());
    }

    #[test]
    fn a_file_that_was_not_given_is_not_waited_for() {
        let (giver, taker) = pair().unwrap();
        assert_eq!(taker.take().unwrap_err().kind(), ErrorKind::WouldBlock);
        drop(giver);
        let (giver, taker) = pair().unwrap();
        drop(giver);
        assert_eq!(taker.take().unwrap_err().kind(), ErrorKind::InvalidData);
    }

    #[test]
    fn what_a_worker_writes_into_its_end_goes_nowhere() {
        let (giver, taker) = pair().unwrap();
        assert!(rustix::io::write(OwnedFd::from(taker), b"hello").is_err());
        drop(giver);
    }
}
