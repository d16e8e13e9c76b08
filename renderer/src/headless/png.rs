//! Pictures as PNG files, named after their frames.

use std::{
    io::{self, Write},
    path::{Path, PathBuf},
};

use image::{
    ExtendedColorType, ImageEncoder as _, ImageReader,
    codecs::png::{CompressionType, FilterType, PngEncoder},
};

use renderer_protocol::FrameSize;

use super::{OutputError, Picture, files};

/// The file of a frame.
pub(super) fn png_path(folder: &Path, frame: u32) -> PathBuf {
    folder.join(format!("{frame}.png"))
}

/// Writes a picture as PNG: eight bits of red, green and blue each, the same bytes for the same picture.
pub(super) fn encode_png(to: &mut dyn Write, picture: &Picture) -> io::Result<()> {
    let size = picture.size();
    PngEncoder::new_with_quality(to, CompressionType::Fast, FilterType::Adaptive)
        .write_image(&picture.to_rgb(), size.width(), size.height(), ExtendedColorType::Rgb8)
        .map_err(io::Error::other)
}

/// Why a PNG file gives no picture.
#[derive(Debug, thiserror::Error)]
pub enum ReadPngError {
    /// It is not there.
    #[error("{path} does not exist", path = .0.display())]
    Missing(PathBuf),
    /// It cannot be read, or is no PNG file.
    #[error("{path} cannot be read: {reason}", path = path.display())]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
}

/// Reads a picture. Alpha, if there is any, is not looked at.
pub fn read_png(path: &Path) -> Result<Picture, ReadPngError> {
    let unreadable = |reason: String| ReadPngError::Unreadable { path: path.to_owned(), reason };
    let reader = ImageReader::open(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => ReadPngError::Missing(path.to_owned()),
        _ => unreadable(error.to_string()),
    })?;
    let image = reader.decode().map_err(|error| unreadable(error.to_string()))?.to_rgb8();
    let size =
        FrameSize::new(image.width(), image.height()).map_err(|error| unreadable(error.to_string()))?;
    Picture::from_rgb(size, image.as_raw()).ok_or_else(|| unreadable("it has too few pixels".to_owned()))
}

/// Writes a picture to a file, whole or not at all.
pub fn write_png(path: &Path, picture: &Picture) -> Result<(), OutputError> {
    files::write_whole(path, |file| encode_png(file, picture))
}
