//! The topics of guest-scenes/conformance, each in a real worker with a real driver.
//!
//! A topic checks by itself what the host does and reports it as lines of its log; here stands that it ran to its end and that no check failed.

use std::collections::BTreeSet;

use renderer_protocol::{EndReason, LogLevel, LogLine, LogSource};

use crate::{
    binary::{repository, scene},
    support::Worker,
};

/// A test for each topic, and the list of their names.
macro_rules! topics {
    ($($topic:ident)*) => {
        const TOPICS: &[&str] = &[$(stringify!($topic)),*];

        $(
            #[tokio::test]
            async fn $topic() {
                let mut worker = Worker::running(&scene(concat!("conformance/", stringify!($topic)))).await;
                let (lines, end) = worker.output().await;
                assert_conforms(&lines, &end);
            }
        )*
    };
}

topics! {
    buffers
    wasi_0_3
}

/// Topics that need somebody to do something while they run, and so have a test of their own below.
const ATTENDED: &[&str] = &[];

#[track_caller]
fn assert_conforms(lines: &[LogLine], end: &EndReason) {
    let text = || lines.iter().map(|line| format!("  {}\n", line.line)).collect::<String>();
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
