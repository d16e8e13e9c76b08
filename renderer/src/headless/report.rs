//! A page about a run, in one file that needs nothing else: every frame beside what was expected, what it took, what the scene wrote.

use std::{
    borrow::Cow,
    io::{self, BufReader, BufWriter, Seek as _, Write as _},
    path::{Path, PathBuf},
};

use base64::{display::Base64Display, engine::general_purpose::STANDARD};
use renderer_protocol::FrameSize;
use tempfile::NamedTempFile;

use super::{Failure, FinishedFrame, FrameTimes, Outcome, OutputError, Still, Verdict, files};

/// Frames that are shown with their pictures. More would make a page that no browser opens; the others have their line in the table,
/// and frames that differ are shown before they run out of room only by their order, so ask for fewer.
const SHOWN_FRAMES: usize = 300;

const STYLE: &str = include_str!("report.css");
const SCRIPT: &str = include_str!("report.js");

/// What a report says at its top.
#[derive(Clone, Debug)]
pub struct ReportHead {
    /// The component's file.
    pub scene: String,
    /// The first size.
    pub size: FrameSize,
    /// Frames a second.
    pub frame_rate_hz: u32,
    /// The seed.
    pub seed: u64,
    /// What drew the frames.
    pub adapter: String,
    /// What drew the goldens, if that is recorded.
    pub made_by: Option<String>,
}

/// A report that is being written. Frames go to a file as they come, so a long one is not kept in memory.
pub struct Report {
    path: PathBuf,
    frames: BufWriter<NamedTempFile>,
    rows: Vec<Row>,
    wrong: usize,
    compared: usize,
}

struct Row {
    number: u32,
    times: FrameTimes,
    finish_us: u64,
    note: String,
}

impl Report {
    /// Makes sure that the file can be written.
    pub fn create(path: &Path) -> Result<Self, OutputError> {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let folder = folder.unwrap_or(Path::new("."));
        files::prepare_folder(folder)?;
        let file = files::temporary(folder).map_err(|error| OutputError { path: path.to_owned(), error })?;
        let frames = BufWriter::new(file);
        Ok(Self { path: path.to_owned(), frames, rows: Vec::new(), wrong: 0, compared: 0 })
    }

    /// Adds a frame. Its pictures are there if [`Stills`](super::Stills) were told to keep them.
    pub fn frame(&mut self, frame: &FinishedFrame<Still>) -> Result<(), OutputError> {
        let verdict = frame.done.verdict.as_ref();
        self.compared += usize::from(verdict.is_some());
        self.wrong += usize::from(verdict.is_some_and(|verdict| !verdict.is_match()));
        let written = if self.rows.len() < SHOWN_FRAMES { self.write_frame(frame) } else { Ok(()) };
        self.rows.push(Row {
            number: frame.number,
            times: frame.times,
            finish_us: frame.finish_us,
            note: note(frame),
        });
        written.map_err(|error| OutputError { path: self.path.clone(), error })
    }

    fn write_frame(&mut self, frame: &FinishedFrame<Still>) -> io::Result<()> {
        let to = &mut self.frames;
        let class = match &frame.done.verdict {
            None => "plain",
            Some(verdict) if verdict.is_match() => "right",
            Some(_) => "wrong",
        };
        let number = frame.number;
        writeln!(to, "<section class=\"frame {class}\" id=\"frame-{number}\"><h3>Frame {number}</h3>")?;
        writeln!(to, "<p class=\"faint\">{}</p>", escape(&note(frame)))?;
        let Some(pictures) = &frame.done.pictures else { return writeln!(to, "</section>") };
        let shown = [
            ("expected", &pictures.expected),
            ("actual", &Some(pictures.actual.clone())),
            ("difference", &pictures.difference),
        ];
        writeln!(to, "<div class=\"pictures\">")?;
        for (name, png) in shown {
            let Some(png) = png else { continue };
            let data = Base64Display::new(png, &STANDARD);
            writeln!(
                to,
                "<figure><img alt=\"{name} of frame {number}\" src=\"data:image/png;base64,{data}\"><figcaption>{name}</figcaption></figure>"
            )?;
        }
        writeln!(to, "</div>")?;
        if pictures.difference.is_some() {
            writeln!(
                to,
                "<template><div class=\"wipe\"></div><label class=\"slider\"><span>left: expected</span><span>right: actual</span><input \
                 type=\"range\" min=\"0\" max=\"100\" value=\"50\" aria-label=\"where expected ends and actual begins\"></label></template>"
            )?;
        }
        writeln!(to, "</section>")
    }

    /// Writes the page, whole or not at all.
    pub fn finish(self, head: &ReportHead, outcome: &Outcome) -> Result<(), OutputError> {
        let Self { path, frames, rows, wrong, compared } = self;
        let mut frames = frames
            .into_inner()
            .map_err(|error| OutputError { path: path.clone(), error: error.into_error() })?;
        let verdict = Verdicts { failure: outcome.failure.as_ref(), wrong, compared };
        files::write_whole(&path, |to| {
            write_head(to, head, outcome, &verdict, rows.len())?;
            frames.as_file_mut().rewind()?;
            io::copy(&mut BufReader::new(frames.as_file_mut()), to)?;
            write_times(to, &rows)?;
            write_log(to, outcome)?;
            writeln!(to, "<script>\n{SCRIPT}</script>\n</body>\n</html>")
        })
    }
}

/// What a run came to, in a word.
struct Verdicts<'a> {
    failure: Option<&'a Failure>,
    wrong: usize,
    compared: usize,
}

impl Verdicts<'_> {
    fn text(&self) -> (&'static str, String) {
        match self {
            Self { failure: Some(failure), .. } => ("bad", format!("Failed: {failure}")),
            Self { compared: 0, .. } => ("faint", "Rendered; nothing to compare with".to_owned()),
            Self { wrong: 0, compared, .. } => ("good", format!("All {compared} frames match")),
            Self { wrong, compared, .. } => ("bad", format!("{wrong} of {compared} frames do not match")),
        }
    }
}

fn write_head(
    to: &mut dyn io::Write,
    head: &ReportHead,
    outcome: &Outcome,
    verdict: &Verdicts<'_>,
    frames: usize,
) -> io::Result<()> {
    let (class, verdict) = verdict.text();
    let scene = escape(&head.scene);
    writeln!(
        to,
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width\">\n\
         <title>{scene}: {verdict}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<h1>{scene}</h1>\n\
         <p class=\"verdict {class}\">{verdict}</p>\n<dl>",
        verdict = escape(&verdict)
    )?;
    let mut facts = vec![
        ("pictures", format!("{} at {} frames a second, seed {}", head.size, head.frame_rate_hz, head.seed)),
        ("drawn by", head.adapter.clone()),
    ];
    if let Some(made_by) = &head.made_by {
        let same = if *made_by == head.adapter { "the same" } else { made_by.as_str() };
        facts.push(("goldens drawn by", same.to_owned()));
    }
    facts.push(("took", format!("{} ms for {frames} frames", outcome.elapsed_us / 1000)));
    for (name, value) in facts {
        writeln!(to, "<dt>{name}</dt><dd>{}</dd>", escape(&value))?;
    }
    writeln!(to, "</dl>")?;
    if frames > SHOWN_FRAMES {
        writeln!(
            to,
            "<p class=\"faint\">The first {SHOWN_FRAMES} of {frames} frames are shown with their pictures.</p>"
        )?;
    }
    Ok(())
}

fn write_times(to: &mut dyn io::Write, rows: &[Row]) -> io::Result<()> {
    writeln!(
        to,
        "<h2>Times</h2>\n<table><thead><tr><th>frame</th><th>scene</th><th>readback</th><th>output</th><th></th></tr></thead><tbody>"
    )?;
    let milliseconds = |us: u64| format!("{}.{:02} ms", us / 1000, us % 1000 / 10);
    for Row { number, times, finish_us, note } in rows {
        writeln!(
            to,
            "<tr><td>{number}</td><td>{}</td><td>{}</td><td>{}</td><td class=\"faint\">{}</td></tr>",
            milliseconds(times.scene_us),
            milliseconds(times.readback_us),
            milliseconds(*finish_us),
            escape(note)
        )?;
    }
    writeln!(to, "</tbody></table>")
}

fn write_log(to: &mut dyn io::Write, outcome: &Outcome) -> io::Result<()> {
    writeln!(to, "<h2>What the scene wrote</h2>")?;
    if outcome.log.is_empty() {
        return writeln!(to, "<p class=\"faint\">Nothing.</p>");
    }
    writeln!(to, "<pre>")?;
    for line in &outcome.log {
        writeln!(to, "frame {:>5}  {:<6}  {}", line.frame, line.label(), escape(&line.line.line))?;
    }
    if outcome.lost_lines > 0 {
        writeln!(to, "… and {} more lines", outcome.lost_lines)?;
    }
    writeln!(to, "</pre>")
}

/// What is to say about a frame.
fn note(frame: &FinishedFrame<Still>) -> String {
    let mut notes: Vec<String> = frame.done.verdict.iter().map(Verdict::to_string).collect();
    if frame.repeated {
        notes.push("repeats the picture before: the scene presented nothing".to_owned());
    }
    if frame.presented > 1 {
        notes.push(format!("the last of {} pictures that the scene presented", frame.presented));
    }
    notes.join("; ")
}

/// For text in HTML and in its attributes.
fn escape(text: &str) -> Cow<'_, str> {
    if !text.contains(['&', '<', '>', '"', '\'']) {
        return Cow::Borrowed(text);
    }
    let escaped = |character| match character {
        '&' => "&amp;".to_owned(),
        '<' => "&lt;".to_owned(),
        '>' => "&gt;".to_owned(),
        '"' => "&quot;".to_owned(),
        '\'' => "&#39;".to_owned(),
        other => String::from(other),
    };
    Cow::Owned(text.chars().map(escaped).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_scene_writes_is_text_and_no_page() {
        assert_eq!(escape("<script>'&\""), "&lt;script&gt;&#39;&amp;&quot;");
        assert_eq!(escape("plain"), "plain");
    }
}
