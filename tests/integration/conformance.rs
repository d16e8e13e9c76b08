//! The topics of guest-scenes/conformance, each in a real worker with a real driver.
//!
//! A topic checks by itself what the host does and reports it as lines of its log; here stands that it ran to its end and that no check failed.

use std::collections::BTreeSet;

use renderer_protocol::{
    Buttons, EndReason, FrameSize, FromWorker, InputEvent, KeyEvent, LogLevel, LogLine, LogSource, Modifiers,
    PointerEvent, PointerKind, ToWorker, ViewerId,
};

use crate::{
    binary::{repository, scene},
    support::{Worker, size},
};

/// A test for each topic, and the list of their names. A topic that holds a row of the table of hostile input has its test named by it.
macro_rules! topics {
    ($($topic:ident $(as $test:ident)?,)*) => {
        const TOPICS: &[&str] = &[$(stringify!($topic)),*];

        $(topic! { $topic $(as $test)? })*
    };
}

macro_rules! topic {
    ($topic:ident) => {
        topic! { $topic as $topic }
    };
    ($topic:ident as $test:ident) => {
        #[tokio::test]
        async fn $test() {
            let mut worker = Worker::running(&scene(concat!("conformance/", stringify!($topic)))).await;
            let (lines, end) = worker.output().await;
            assert_conforms(&lines, &end);
        }
    };
}

topics! {
    adapter,
    bind_group_layouts,
    bind_groups,
    blending,
    buffers,
    bundles,
    command_encoding,
    compressed,
    compute,
    compute_pipelines,
    depth_stencil,
    devices,
    errors,
    formats,
    immediates,
    indirect as row_26_hostile_counts_of_indirect_draws_draw_nothing_of_others,
    labels,
    multisampling,
    primitives,
    queries,
    queues,
    render_passes,
    robustness as row_24_what_a_shader_reads_or_writes_out_of_bounds_is_zero_or_its_own,
    samplers,
    shaders,
    storage_textures,
    texture_copies,
    textures,
    vertex_formats,
    wasi_0_3,
}

/// Topics that need somebody to do something while they run, and so have a test of their own below.
const ATTENDED: &[&str] = &["canvas", "frame_buffer", "surface"];

#[track_caller]
pub fn assert_conforms(lines: &[LogLine], end: &EndReason) {
    let text = || lines.iter().flat_map(|line| ["  ", line.line.as_str(), "\n"]).collect::<String>();
    assert_eq!(*end, EndReason::Finished, "the topic did not return; it said:\n{}", text());
    let is_report =
        |line: &&LogLine| line.source == LogSource::Log(LogLevel::Info) && line.line.starts_with("checked ");
    let reports: Vec<_> = lines.iter().filter(is_report).collect();
    let [report] = reports.as_slice() else { panic!("one report was expected:\n{}", text()) };
    let count = |name: &str| {
        let number = report.line.split(", ").find_map(|part| part.strip_prefix(name));
        number
            .and_then(|number| number.trim().parse::<u32>().ok())
            .unwrap_or_else(|| panic!("no report:\n{}", text()))
    };
    assert!(count("checked") > 0, "a topic checks something");
    assert_eq!(count("failed"), 0, "the topic said:\n{}", text());
    let has_failure = lines.iter().any(|line| line.line.starts_with("FAILED"));
    assert!(!has_failure, "a failure that was not counted:\n{}", text());
}

#[tokio::test]
async fn rows_24_and_26_the_environment_of_a_worker_switches_no_check_of_its_scene_off() {
    let off = [
        ("WGPU_VALIDATION_INDIRECT_CALL", "0"),
        ("WGPU_VALIDATION", "0"),
        ("WGPU_DEBUG", "0"),
        ("WGPU_ALLOW_UNDERLYING_NONCOMPLIANT_ADAPTER", "1"),
    ];
    for topic in ["indirect", "robustness"] {
        let mut worker = Worker::start_in(&off).await;
        worker.run(&scene(&format!("conformance/{topic}"))).await;
        let (lines, end) = worker.output().await;
        assert_conforms(&lines, &end);
    }
}

#[test]
fn every_topic_has_a_test_here_and_is_built() {
    let folder = repository().join("guest-scenes/conformance/topics");
    let written: BTreeSet<String> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned())
        .collect();
    let tested: BTreeSet<String> = TOPICS.iter().chain(ATTENDED).map(ToString::to_string).collect();
    assert_eq!(written, tested, "what lies in {} (left) is not what is tested (right)", folder.display());
    for topic in tested {
        // Fails with what to do when it is missing.
        scene(&format!("conformance/{topic}"));
    }
}

/// The answer to a line in which an attended topic asks for something.
struct Answer {
    /// The line.
    line: &'static str,
    /// What viewers do then.
    input: Vec<InputEvent>,
    /// The size that the window gets then.
    resize: Option<FrameSize>,
    /// A picture of this size is awaited before Enter is pressed.
    picture: Option<FrameSize>,
}

impl Answer {
    fn to(line: &'static str) -> Self {
        Self { line, input: Vec::new(), resize: None, picture: None }
    }

    fn input(self, input: Vec<InputEvent>) -> Self {
        Self { input, ..self }
    }

    fn resize(self, width: u32, height: u32) -> Self {
        Self { resize: Some(size(width, height)), ..self }
    }

    fn picture(self, width: u32, height: u32) -> Self {
        Self { picture: Some(size(width, height)), ..self }
    }
}

/// Runs a topic and answers what it asks for, in order.
async fn attend(topic: &str, answers: Vec<Answer>) {
    let mut worker = Worker::running(&scene(&format!("conformance/{topic}"))).await;
    let (mut lines, mut sequence) = (Vec::new(), 0);
    let mut answers = answers.into_iter();
    let mut awaited = answers.next();
    let mut picture = None;
    let end = loop {
        match worker.next().await {
            FromWorker::Log(line) => {
                if let Some(answer) = awaited.take_if(|answer| answer.line == line.line) {
                    // So many events fit into one message.
                    for events in answer.input.chunks(256) {
                        sequence += 1;
                        worker.send(&ToWorker::Input { sequence, events: events.to_vec() }).await;
                    }
                    if let Some(size) = answer.resize {
                        worker.send(&ToWorker::Resize(size)).await;
                    }
                    picture = answer.picture;
                    awaited = answers.next();
                    if picture.is_none() {
                        sequence += 1;
                        worker.send(&ToWorker::Input { sequence, events: vec![press("Enter", None)] }).await;
                    }
                }
                lines.push(line);
            }
            FromWorker::AccessUnit(unit) if picture == Some(unit.size) => {
                picture = None;
                sequence += 1;
                worker.send(&ToWorker::Input { sequence, events: vec![press("Enter", None)] }).await;
            }
            FromWorker::Ended(end) => break end,
            _ => {}
        }
    };
    assert_conforms(&lines, &end);
    assert!(awaited.is_none(), "the topic never asked for `{}`", awaited.map_or("", |answer| answer.line));
}

fn key(code: &str, text: Option<&str>, modifiers: Modifiers) -> KeyEvent {
    KeyEvent {
        viewer: ViewerId(1),
        code: code.to_owned(),
        text: text.map(str::to_owned),
        repeat: false,
        modifiers,
    }
}

fn press(code: &str, text: Option<&str>) -> InputEvent {
    InputEvent::KeyDown(key(code, text, Modifiers::default()))
}

#[tokio::test]
async fn surface() {
    let at = |x, y, buttons| PointerEvent {
        viewer: ViewerId(1),
        id: 1,
        kind: PointerKind::Mouse,
        x,
        y,
        buttons: Buttons(buttons),
        pressure: 0.5,
    };
    let mut pointer: Vec<InputEvent> =
        (1..=50).map(|step| InputEvent::PointerMove(at(f64::from(step) / 100.0, 0.25, 0))).collect();
    pointer.extend([
        InputEvent::PointerDown(at(0.5, 0.25, 1)),
        InputEvent::PointerMove(at(0.75, 0.25, 1)),
        InputEvent::PointerUp(at(1.0, 1.0, 0)),
    ]);
    let modifiers = Modifiers { alt: true, shift: true, ..Modifiers::default() };
    let mut keys = vec![
        InputEvent::KeyDown(key("KeyA", Some("Ä"), modifiers)),
        InputEvent::KeyUp(key("KeyA", None, Modifiers::default())),
        press("NoSuchKey", None),
    ];
    keys.extend((0..1_000).map(|number: u32| press("KeyB", Some(&number.to_string()))));
    let answers = vec![
        Answer::to("wait"),
        Answer::to("pointer").input(pointer),
        Answer::to("keys").input(keys),
        Answer::to("resize").resize(400, 200),
        Answer::to("presented").picture(400, 200),
    ];
    attend("surface", answers).await;
}

#[tokio::test]
async fn frame_buffer() {
    let answers = vec![
        Answer::to("presented").picture(320, 180),
        Answer::to("resize").resize(400, 200),
        Answer::to("presented in the size before the resize").picture(320, 180),
        Answer::to("presented in the size of the resize").picture(400, 200),
    ];
    attend("frame_buffer", answers).await;
}

#[tokio::test]
async fn canvas() {
    attend("canvas", vec![Answer::to("wait"), Answer::to("drawn").picture(320, 180)]).await;
}
