//! Frames on the wire: a little-endian u32 length, then that many bytes of postcard.

use serde::{Serialize, de::DeserializeOwned};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::{Hello, PROTOCOL_VERSION};

/// The largest message. An IDR of a noisy 4K picture at the highest bitrate stays below 4 MiB; twice that is a broken peer.
pub const MAX_MESSAGE_BYTES: u32 = 8 << 20;

/// Why a connection to the other process is over.
#[derive(Debug, thiserror::Error)]
pub enum CodecError {
    /// The other side closed the socket between two messages.
    #[error("the other process closed the connection")]
    Closed,
    /// The socket failed, or closed inside a message.
    #[error("the connection to the other process failed: {0}")]
    Io(#[from] std::io::Error),
    /// A length beyond [`MAX_MESSAGE_BYTES`].
    #[error("a message of {length} bytes is larger than the {MAX_MESSAGE_BYTES} allowed")]
    TooLarge {
        /// The length that was announced, or that was to be sent.
        length: u64,
    },
    /// Bytes that are no message, or a message with bytes after its end.
    #[error("a message could not be read: {0}")]
    Malformed(String),
    /// The greeting names another version.
    #[error("the other process speaks protocol version {theirs}, this one speaks {PROTOCOL_VERSION}")]
    Version {
        /// The version of the greeting.
        theirs: u32,
    },
}

/// Encodes one message with its length before it.
pub fn encode<T: Serialize>(message: &T) -> Result<Vec<u8>, CodecError> {
    let mut bytes =
        postcard::to_extend(message, vec![0; 4]).map_err(|error| CodecError::Malformed(error.to_string()))?;
    let length = bytes.len().saturating_sub(4);
    let length = u32::try_from(length)
        .ok()
        .filter(|length| *length <= MAX_MESSAGE_BYTES)
        .ok_or(CodecError::TooLarge { length: length as u64 })?;
    bytes[..4].copy_from_slice(&length.to_le_bytes());
    Ok(bytes)
}

/// Decodes the body of one message; bytes left over are an error.
pub fn decode<T: DeserializeOwned>(body: &[u8]) -> Result<T, CodecError> {
    match postcard::take_from_bytes(body) {
        Ok((message, [])) => Ok(message),
        Ok((_, rest)) => Err(CodecError::Malformed(format!("{} bytes after its end", rest.len()))),
        Err(error) => Err(CodecError::Malformed(error.to_string())),
    }
}

/// Reads one message. Not cancel-safe: a caller that stops waiting must drop the reader.
pub async fn read<T: DeserializeOwned>(reader: &mut (impl AsyncRead + Unpin)) -> Result<T, CodecError> {
    let mut length = [0; 4];
    match reader.read(&mut length).await {
        Ok(0) => return Err(CodecError::Closed),
        // A peer that ends without having read everything resets the connection.
        Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => return Err(CodecError::Closed),
        read => reader.read_exact(&mut length[read?..]).await?,
    };
    let length = u32::from_le_bytes(length);
    if length > MAX_MESSAGE_BYTES {
        return Err(CodecError::TooLarge { length: length.into() });
    }
    // Grown as bytes arrive, so that an announced length alone allocates nothing.
    let mut body = Vec::with_capacity(length.min(64 << 10) as usize);
    reader.take(length.into()).read_to_end(&mut body).await?;
    if body.len() < length as usize {
        return Err(CodecError::Io(std::io::ErrorKind::UnexpectedEof.into()));
    }
    decode(&body)
}

/// Writes one message.
pub async fn write<T: Serialize>(
    writer: &mut (impl AsyncWrite + Unpin),
    message: &T,
) -> Result<(), CodecError> {
    writer.write_all(&encode(message)?).await?;
    Ok(())
}

/// Exchanges greetings on a fresh connection.
pub async fn greet<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S) -> Result<(), CodecError> {
    write(stream, &Hello::current()).await?;
    match read::<Hello>(stream).await? {
        Hello { version: PROTOCOL_VERSION } => Ok(()),
        Hello { version } => Err(CodecError::Version { theirs: version }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{AccessUnit, FrameSize, FromWorker, StageTimes};

    fn unit(bytes: usize) -> FromWorker {
        FromWorker::AccessUnit(AccessUnit {
            pts_us: 33_333,
            keyframe: true,
            size: FrameSize::new(640, 360).unwrap(),
            input_sequence: 7,
            keep_alive: false,
            times: StageTimes::default(),
            cpu_times: StageTimes::default(),
            data: vec![1; bytes],
        })
    }

    async fn read_bytes(bytes: &[u8]) -> Result<FromWorker, CodecError> {
        read(&mut &*bytes).await
    }

    #[tokio::test]
    async fn a_message_comes_back_as_it_was_sent() {
        let bytes = encode(&unit(100_000)).unwrap();
        assert_eq!(read_bytes(&bytes).await.unwrap(), unit(100_000));
    }

    #[tokio::test]
    async fn both_sides_greet_and_a_foreign_version_is_refused() {
        let (mut ours, mut theirs) = tokio::io::duplex(64);
        let (a, b) = tokio::join!(greet(&mut ours), greet(&mut theirs));
        assert!(a.is_ok() && b.is_ok());
        write(&mut theirs, &Hello { version: 99 }).await.unwrap();
        assert!(matches!(greet(&mut ours).await, Err(CodecError::Version { theirs: 99 })));
    }

    #[tokio::test]
    async fn an_announced_length_beyond_the_maximum_is_refused_before_reading_on() {
        assert!(matches!(read_bytes(&u32::MAX.to_le_bytes()).await, Err(CodecError::TooLarge { .. })));
        assert!(matches!(encode(&unit(MAX_MESSAGE_BYTES as usize)), Err(CodecError::TooLarge { .. })));
    }

    #[tokio::test]
    async fn a_peer_that_leaves_messages_unread_has_closed_the_connection() {
        let (mut ours, theirs) = tokio::net::UnixStream::pair().unwrap();
        write(&mut ours, &Hello::current()).await.unwrap();
        theirs.readable().await.unwrap();
        drop(theirs);
        assert!(matches!(read::<Hello>(&mut ours).await, Err(CodecError::Closed)));
    }

    #[tokio::test]
    async fn every_truncation_is_an_error_and_none_a_panic() {
        let bytes = encode(&unit(32)).unwrap();
        assert!(matches!(read_bytes(&[]).await, Err(CodecError::Closed)));
        for end in 1..bytes.len() {
            assert!(read_bytes(&bytes[..end]).await.is_err(), "cut at {end}");
        }
    }

    #[tokio::test]
    async fn every_flipped_byte_gives_an_error_or_a_checked_message() {
        let bytes = encode(&unit(32)).unwrap();
        for position in 4..bytes.len() {
            for bit in 0..8 {
                let mut damaged = bytes.clone();
                damaged[position] ^= 1 << bit;
                if let Ok(message) = read_bytes(&damaged).await {
                    let _ = message.check();
                }
            }
        }
    }

    #[test]
    fn bytes_after_a_message_are_an_error() {
        let mut body = encode(&unit(3)).unwrap().split_off(4);
        body.push(0);
        assert!(matches!(decode::<FromWorker>(&body), Err(CodecError::Malformed(_))));
    }
}
