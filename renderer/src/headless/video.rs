//! Frames one after the other in one file.

use std::{
    io::{self, BufWriter, Seek as _, Write as _},
    path::{Path, PathBuf},
};

use renderer_protocol::FrameSize;
use tempfile::NamedTempFile;

use super::{Finisher, Frame, OutputError, files, mp4::Mp4};
use crate::{
    encode::{Encoder, EncoderConfig},
    frame::{ByteOrder, I420, convert_to_i420},
};

/// So much that the rate control has no reason to coarsen or leave out a picture of what scenes draw.
const BITRATE_BPS: u32 = 40_000_000;
/// Slices of a picture, each encoded by a thread. The same number everywhere: it is in the file.
const ENCODER_THREADS: u16 = 4;
/// A picture that the rate control leaves out is given to it again, as if a moment later. Each time it has saved up more.
const ATTEMPTS: u64 = 32;

/// The form of a video file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VideoFormat {
    /// YUV4MPEG2: pictures as they are, in BT.709 with chroma halved in both directions.
    Y4m,
    /// H.264 in Annex B form, as it is streamed.
    H264,
    /// H.264 in an MP4 file, which browsers play.
    Mp4,
}

impl VideoFormat {
    /// The end of a file's name.
    pub const fn extension(self) -> &'static str {
        match self {
            Self::Y4m => "y4m",
            Self::H264 => "h264",
            Self::Mp4 => "mp4",
        }
    }
}

/// Writes frames to a video file, which has its name when it is complete. It takes all frames, alone.
pub struct Video {
    path: PathBuf,
    /// None after a failure: what is half-written is nobody's.
    writer: Option<Writer>,
    size: FrameSize,
    frame_rate_hz: u32,
    picture: I420,
    frames: u64,
}

struct Writer {
    file: BufWriter<NamedTempFile>,
    stream: Stream,
}

enum Stream {
    Y4m,
    H264(Encoder),
    Mp4(Encoder, Box<Mp4>),
}

impl Video {
    /// For pictures of one size, shown one after the other at this rate.
    pub fn create(
        path: &Path,
        format: VideoFormat,
        size: FrameSize,
        frame_rate_hz: u32,
    ) -> Result<Self, OutputError> {
        let failed = |error| OutputError { path: path.to_owned(), error };
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let folder = folder.unwrap_or(Path::new("."));
        files::prepare_folder(folder)?;
        let file = files::temporary(folder).map_err(failed)?;
        let writer = Writer::begin(BufWriter::new(file), format, size, frame_rate_hz).map_err(failed)?;
        Ok(Self {
            path: path.to_owned(),
            writer: Some(writer),
            size,
            frame_rate_hz,
            picture: I420::new(size),
            frames: 0,
        })
    }

    fn write(&mut self, frame: &Frame) -> io::Result<()> {
        let found = frame.picture.size();
        if found != self.size {
            let message = format!(
                "a video has one size, and frame {} has {found} instead of {}",
                frame.number, self.size
            );
            return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        }
        convert_to_i420(frame.picture.rgba(), found.width() * 4, ByteOrder::Rgba, &mut self.picture)
            .map_err(io::Error::other)?;
        let pts_us = self.frames * 1_000_000 / u64::from(self.frame_rate_hz.max(1));
        self.frames += 1;
        match &mut self.writer {
            Some(writer) => writer.write(&self.picture, pts_us),
            None => Ok(()),
        }
    }
}

impl Writer {
    fn begin(
        mut file: BufWriter<NamedTempFile>,
        format: VideoFormat,
        size: FrameSize,
        frame_rate_hz: u32,
    ) -> io::Result<Self> {
        let encoder = || {
            let config =
                EncoderConfig { size, frame_rate_hz, bitrate_bps: BITRATE_BPS, threads: ENCODER_THREADS };
            Encoder::new(config).map_err(io::Error::other)
        };
        let stream = match format {
            VideoFormat::Y4m => {
                let (width, height) = (size.width(), size.height());
                writeln!(
                    file,
                    "YUV4MPEG2 W{width} H{height} F{frame_rate_hz}:1 Ip A1:1 C420jpeg XCOLORRANGE=LIMITED"
                )?;
                Stream::Y4m
            }
            VideoFormat::H264 => Stream::H264(encoder()?),
            VideoFormat::Mp4 => {
                let mp4 = Mp4::begin(&mut file, size, frame_rate_hz)?;
                Stream::Mp4(encoder()?, Box::new(mp4))
            }
        };
        Ok(Self { file, stream })
    }

    fn write(&mut self, picture: &I420, pts_us: u64) -> io::Result<()> {
        let Self { file, stream } = self;
        match stream {
            Stream::Y4m => write_y4m(file, picture),
            Stream::H264(encoder) => file.write_all(&encode(encoder, picture, pts_us)?.data),
            Stream::Mp4(encoder, mp4) => mp4.write(file, &encode(encoder, picture, pts_us)?),
        }
    }

    fn end(self, path: &Path) -> io::Result<()> {
        let Self { mut file, stream } = self;
        if let Stream::Mp4(_, mut mp4) = stream {
            mp4.end(&mut file)?;
        }
        file.flush()?;
        file.into_inner().map_err(io::IntoInnerError::into_error)?.persist(path)?;
        Ok(())
    }
}

fn encode(encoder: &mut Encoder, picture: &I420, pts_us: u64) -> io::Result<crate::encode::EncodedFrame> {
    for attempt in 0..ATTEMPTS {
        if let Some(frame) = encoder.encode(picture, pts_us + attempt, false).map_err(io::Error::other)? {
            return Ok(frame);
        }
    }
    Err(io::Error::other("the encoder leaves pictures out, whatever bitrate it is given"))
}

/// <https://wiki.multimedia.cx/index.php/YUV4MPEG2>
fn write_y4m(file: &mut impl io::Write, picture: &I420) -> io::Result<()> {
    file.write_all(b"FRAME\n")?;
    let (width, height) = (picture.size().width(), picture.size().height());
    let [y, u, v] = picture.planes();
    let halves = (picture.chroma_stride(), width / 2, height / 2);
    for (plane, (stride, width, height)) in
        [(y, (picture.luma_stride(), width, height)), (u, halves), (v, halves)]
    {
        for row in plane.chunks(stride as usize).take(height as usize) {
            file.write_all(row.get(..width as usize).unwrap_or(row))?;
        }
    }
    Ok(())
}

impl Finisher for Video {
    type Done = ();

    fn take(&mut self, frame: &Frame) -> Result<(), OutputError> {
        self.write(frame).map_err(|error| {
            self.writer = None;
            OutputError { path: self.path.clone(), error }
        })
    }

    fn finish(self) -> Result<(), OutputError> {
        let Self { path, writer, frames, .. } = self;
        match writer.filter(|_| frames > 0) {
            Some(writer) => writer.end(&path).map_err(|error| OutputError { path, error }),
            None => Ok(()),
        }
    }
}

/// What a seek is needed for: the index of an MP4 file is written when all its pictures are known.
pub(super) fn rewrite(file: &mut BufWriter<NamedTempFile>, offset: u64, bytes: &[u8]) -> io::Result<()> {
    file.seek(io::SeekFrom::Start(offset))?;
    file.write_all(bytes)
}
