//! What a person sees who makes a mistake on the command line.

use std::{net::TcpListener, process::Output};

use crate::support::scenecast;

fn run(arguments: &[&str]) -> Output {
    scenecast().args(arguments).output().expect("the binary starts")
}

/// Fails the test unless the command ends with this status and says all of this on standard error, and nothing on standard output.
fn assert_refused(output: &Output, status: i32, words: &[&str]) {
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(status), "{error}");
    for word in words {
        assert!(error.contains(word), "{word:?} is not in: {error}");
    }
    assert!(output.stdout.is_empty(), "{output:?}");
}

#[test]
fn a_port_in_use_is_said() {
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = other.local_addr().unwrap().to_string();
    let (scenes, cache) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let output = run(&[
        "serve",
        "--listen",
        &address,
        "--scenes",
        scenes.path().to_str().unwrap(),
        "--cache-dir",
        cache.path().to_str().unwrap(),
    ]);
    assert_refused(&output, 1, &[&address, "in use", "--listen"]);
}

#[test]
fn a_udp_port_in_use_is_said_when_it_was_asked_for() {
    let other = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = other.local_addr().unwrap().port().to_string();
    let (scenes, cache) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let output = run(&[
        "serve",
        "--listen",
        "127.0.0.1:0",
        "--webrtc-udp-port",
        &port,
        "--scenes",
        scenes.path().to_str().unwrap(),
        "--cache-dir",
        cache.path().to_str().unwrap(),
    ]);
    assert_refused(&output, 1, &["UDP", &port, "in use", "--webrtc-udp-port"]);
}

#[test]
fn a_folder_of_scenes_that_is_not_there_is_said_with_the_remedy() {
    let output = run(&["serve", "--listen", "127.0.0.1:0", "--scenes", "/nowhere/at/all"]);
    assert_refused(&output, 1, &["/nowhere/at/all", "make scenes", "--scenes"]);
}

#[test]
fn a_value_that_cannot_be_is_a_usage_error() {
    for (flag, value, words) in [
        ("--max-size", "1921x1080", ["1921x1080", "even"]),
        ("--max-size", "huge", ["huge", "WIDTHxHEIGHT"]),
        ("--listen", "8080", ["8080", "--listen"]),
        ("--frame-rate", "0", ["--frame-rate", "1 to 120"]),
        ("--playout-delay", "10-0", ["10-0", "MIN-MAX"]),
        ("--allow-origin", "example.com/", ["example.com/", "https://"]),
        ("--log", "nonsense=loud", ["nonsense=loud", "filter"]),
    ] {
        assert_refused(&run(&["serve", flag, value]), 2, &words);
    }
}

#[test]
fn a_flag_that_does_not_exist_is_a_usage_error() {
    assert_refused(&run(&["serve", "--lisen", "127.0.0.1:0"]), 2, &["--lisen", "--listen"]);
    assert_refused(&run(&[]), 2, &["serve", "bench"]);
}

#[test]
fn a_mistake_in_the_settings_file_names_file_and_member() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("settings.toml");
    std::fs::write(&path, "max-viewer = 3\n").unwrap();
    let path = path.to_str().unwrap();
    assert_refused(&run(&["serve", "--config", path]), 2, &[path, "max-viewer"]);
}

#[test]
fn a_mistake_in_the_environment_is_a_usage_error_too() {
    let output = scenecast().arg("serve").env("SCENECAST_MAX_SIZE", "tiny").output().unwrap();
    assert_refused(&output, 2, &["tiny"]);
}

#[test]
fn a_worker_by_hand_is_told_who_starts_workers() {
    let output = scenecast().arg("worker").stdin(std::process::Stdio::null()).output().unwrap();
    assert_refused(&output, 2, &["scenecast serve"]);
}

#[test]
fn the_help_names_the_settings_and_hides_what_is_not_for_people() {
    let help = String::from_utf8(run(&["--help"]).stdout).unwrap();
    assert!(help.contains("serve") && help.contains("bench") && !help.contains("worker"), "{help}");
    let help = String::from_utf8(run(&["serve", "--help"]).stdout).unwrap();
    for name in [
        "--listen",
        "--scenes",
        "--webrtc-udp-port",
        "--webrtc-public-ip",
        "SCENECAST_LISTEN",
        "127.0.0.1:8080",
    ] {
        assert!(help.contains(name), "{name} is not in: {help}");
    }
}
