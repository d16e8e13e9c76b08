//! What becomes of single pictures: files, and comparisons with files.

use std::{
    fmt, fs, io,
    path::{Path, PathBuf},
};

use super::{
    Difference, Finisher, Frame, OutputError, Picture, ReadPngError, Tolerance, compare, files,
    png::{encode_png, png_path, read_png, write_png},
};

/// In a folder of goldens: the adapter and driver that drew them.
const ADAPTER_FILE: &str = "adapter.txt";

/// A folder of the pictures that are expected, one file for each frame.
#[derive(Clone, Debug)]
pub struct Goldens {
    folder: PathBuf,
    tolerance: Tolerance,
    /// What draws the pictures that are written; `None` when they are compared.
    update: Option<String>,
}

impl Goldens {
    /// Compares frames with the files of the folder.
    pub fn compare(folder: PathBuf, tolerance: Tolerance) -> Self {
        Self { folder, tolerance, update: None }
    }

    /// Writes frames to the folder instead, and what drew them. Files that would be tolerated are left as they are, so that a change of
    /// a few pictures is not hidden among others that only another driver drew.
    pub fn update(folder: PathBuf, tolerance: Tolerance, adapter: String) -> Result<Self, OutputError> {
        files::prepare_folder(&folder)?;
        Ok(Self { folder, tolerance, update: Some(adapter) })
    }

    /// The adapter and driver that the goldens were drawn with, if that is recorded.
    pub fn adapter(&self) -> Option<String> {
        let text = fs::read_to_string(self.folder.join(ADAPTER_FILE)).ok()?;
        Some(text.trim().to_owned())
    }

    /// Where a frame's golden is.
    pub fn path(&self, frame: u32) -> PathBuf {
        png_path(&self.folder, frame)
    }

    fn judge(&self, frame: u32, actual: &Picture) -> Result<Judged, OutputError> {
        let path = self.path(frame);
        let write = |adapter: &str| {
            write_png(&path, actual)?;
            files::write_whole(&self.folder.join(ADAPTER_FILE), |file| writeln!(file, "{adapter}"))?;
            Ok(Judged::plain(Verdict::Written))
        };
        let expected = match read_png(&path) {
            Ok(expected) => expected,
            Err(error) => {
                return match &self.update {
                    Some(adapter) => write(adapter),
                    None => Ok(Judged::plain(Verdict::NoGolden(error))),
                };
            }
        };
        match (compare(actual, &expected, self.tolerance), &self.update) {
            (Some((difference, shown)), _) if difference.tolerated => {
                Ok(Judged { verdict: Verdict::Matches(difference), expected: Some(expected), shown })
            }
            (_, Some(adapter)) => write(adapter),
            (Some((difference, shown)), None) => {
                Ok(Judged { verdict: Verdict::Differs(difference), expected: Some(expected), shown })
            }
            (None, None) => {
                let verdict = Verdict::OtherSize { golden: expected.size(), actual: actual.size() };
                Ok(Judged { verdict, expected: Some(expected), shown: None })
            }
        }
    }
}

/// A verdict, and what there is to see of it.
struct Judged {
    verdict: Verdict,
    expected: Option<Picture>,
    shown: Option<Picture>,
}

impl Judged {
    fn plain(verdict: Verdict) -> Self {
        Self { verdict, expected: None, shown: None }
    }
}

/// What a comparison came to.
#[derive(Debug)]
pub enum Verdict {
    /// The difference, if there is any, is tolerated.
    Matches(Difference),
    /// It is not.
    Differs(Difference),
    /// The golden has another size.
    OtherSize {
        /// The golden's.
        golden: renderer_protocol::FrameSize,
        /// The picture's.
        actual: renderer_protocol::FrameSize,
    },
    /// There is no golden to compare with.
    NoGolden(ReadPngError),
    /// The picture is the golden from now on.
    Written,
}

impl Verdict {
    /// Whether all is well.
    pub fn is_match(&self) -> bool {
        matches!(self, Self::Matches(_) | Self::Written)
    }

    /// The figures, if two pictures were compared.
    pub fn difference(&self) -> Option<&Difference> {
        match self {
            Self::Matches(difference) | Self::Differs(difference) => Some(difference),
            Self::OtherSize { .. } | Self::NoGolden(_) | Self::Written => None,
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Matches(difference) if difference.pixels == 0 => f.write_str("identical"),
            Self::Matches(difference) => write!(f, "matches: {difference}"),
            Self::Differs(difference) => write!(f, "DIFFERS: {difference}"),
            Self::OtherSize { golden, actual } => {
                write!(f, "DIFFERS: the picture has {actual} pixels, and the golden {golden}")
            }
            Self::NoGolden(error) => {
                write!(f, "NO GOLDEN: {error}; look at the picture, and write it with --update")
            }
            Self::Written => f.write_str("written"),
        }
    }
}

/// What became of a frame.
#[derive(Debug)]
pub struct Still {
    /// The file that it was written to, if it was asked for.
    pub file: Option<PathBuf>,
    /// The comparison, if it was asked for.
    pub verdict: Option<Verdict>,
    /// The pictures, if they were asked for.
    pub pictures: Option<Pictures>,
}

/// A frame's pictures as PNG.
#[derive(Debug)]
pub struct Pictures {
    /// The frame.
    pub actual: Vec<u8>,
    /// Its golden, if there is one.
    pub expected: Option<Vec<u8>>,
    /// Where the two differ, if they do.
    pub difference: Option<Vec<u8>>,
}

/// Writes each frame to a file, compares each with a golden, or both. Several share the work.
///
/// Beside a frame's file N.png lie N.expected.png and N.difference.png when it does not match.
#[derive(Clone, Debug, Default)]
pub struct Stills {
    out: Option<PathBuf>,
    goldens: Option<Goldens>,
    keep_pictures: bool,
}

impl Stills {
    /// Makes the folder for files, if it is not there.
    pub fn new(out: Option<PathBuf>, goldens: Option<Goldens>) -> Result<Self, OutputError> {
        if let Some(folder) = &out {
            files::prepare_folder(folder)?;
        }
        Ok(Self { out, goldens, keep_pictures: false })
    }

    /// Has every frame's pictures handed over, for a [report](super::Report).
    pub fn keep_pictures(self) -> Self {
        Self { keep_pictures: true, ..self }
    }

    fn pictures(actual: &Picture, judged: Option<&Judged>) -> io::Result<Pictures> {
        let png = |picture: &Picture| {
            let mut bytes = Vec::new();
            encode_png(&mut bytes, picture).map(|()| bytes)
        };
        let of = |pick: fn(&Judged) -> Option<&Picture>| judged.and_then(pick).map(png).transpose();
        Ok(Pictures {
            actual: png(actual)?,
            expected: of(|judged| judged.expected.as_ref())?,
            difference: of(|judged| judged.shown.as_ref())?,
        })
    }
}

impl Finisher for Stills {
    type Done = Still;

    fn take(&mut self, frame: &Frame) -> Result<Still, OutputError> {
        let judged =
            self.goldens.as_ref().map(|goldens| goldens.judge(frame.number, &frame.picture)).transpose()?;
        let file = self.out.as_ref().map(|folder| png_path(folder, frame.number));
        if let Some(file) = &file {
            write_png(file, &frame.picture)?;
            if let Some(Judged { verdict, expected, shown }) = &judged {
                let differs = !verdict.is_match();
                write_or_remove(&file.with_extension("expected.png"), expected.as_ref().filter(|_| differs))?;
                write_or_remove(&file.with_extension("difference.png"), shown.as_ref().filter(|_| differs))?;
            }
        }
        let pictures =
            self.keep_pictures.then(|| Self::pictures(&frame.picture, judged.as_ref())).transpose();
        let pictures =
            pictures.map_err(|error| OutputError { path: png_path(Path::new(""), frame.number), error })?;
        Ok(Still { file, verdict: judged.map(|judged| judged.verdict), pictures })
    }

    fn finish(self) -> Result<(), OutputError> {
        Ok(())
    }
}

/// What an earlier run left there is not of this one.
fn write_or_remove(path: &Path, picture: Option<&Picture>) -> Result<(), OutputError> {
    match picture {
        Some(picture) => write_png(path, picture),
        None => match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(OutputError { path: path.to_owned(), error })
            }
            _ => Ok(()),
        },
    }
}
