//! Scenes that are uploaded: what becomes of them, of those that are refused, and of those who try other things. Names with a row hold
//! a promise of the table of hostile inputs.

use std::{
    io::{Read, Write},
    net::TcpStream,
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::Duration,
};

use serde_json::{Value, json};

use crate::{
    binary,
    support::{Reply, Server, ServerOptions, wait_for},
};

/// A component that runs and comes to its end at once.
const ENDS: &str = r#"(component
    (core module $m (func (export "start")))
    (core instance $i (instantiate $m))
    (func (export "start") (canon lift (core func $i "start"))))"#;

/// A component that says something and comes to its end.
const SPEAKS: &str = r#"(component
    (import "scenecast:scene/log@0.1.0" (instance $log
        (type $l (enum "debug" "info" "warn" "error"))
        (export "level" (type $level (eq $l)))
        (export "log" (func (param "level" $level) (param "message" string)))))
    (core module $libc (memory (export "memory") 1) (data (i32.const 0) "so it is\1b[2J"))
    (core instance $libc (instantiate $libc))
    (core func $log (canon lower (func $log "log") (memory (core memory $libc "memory"))))
    (core module $m
        (import "host" "log" (func $log (param i32 i32 i32)))
        (func (export "start") (call $log (i32.const 2) (i32.const 0) (i32.const 12))))
    (core instance $i (instantiate $m (with "host" (instance (export "log" (func $log))))))
    (func (export "start") (canon lift (core func $i "start"))))"#;

/// A component that never yields.
const SPINS: &str = r#"(component
    (core module $m (func (export "start") (loop $forever (br $forever))))
    (core instance $i (instantiate $m))
    (func (export "start") (canon lift (core func $i "start"))))"#;

fn component(wat: &str) -> Vec<u8> {
    wat::parse_str(wat).unwrap()
}

/// The same component with other bytes: one more custom section.
fn variant(component: &[u8], salt: &str) -> Vec<u8> {
    let content = [&[4], b"salt".as_slice(), salt.as_bytes()].concat();
    let length = u8::try_from(content.len()).ok().filter(|length| *length < 0x80).unwrap();
    [component, &[0, length], &content].concat()
}

fn gallery_scene(name: &str) -> Vec<u8> {
    std::fs::read(binary::scene(name)).unwrap()
}

fn id_of(reply: &Reply) -> String {
    assert!(matches!(reply.status, 200 | 201), "{reply:?}");
    reply.json()["id"].as_str().unwrap().to_owned()
}

/// All files below a folder, by their paths in it.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(next).into_iter().flatten().flatten() {
            if entry.file_type().unwrap().is_dir() {
                folders.push(entry.path());
            } else {
                found.push(entry.path().strip_prefix(folder).unwrap().to_owned());
            }
        }
    }
    found.sort();
    found
}

fn create(server: &Server, scene: &str) -> Reply {
    server.post_json("/api/sessions", &json!({ "scene": scene, "size": "320x192", "fps": 10 }))
}

fn picture(server: &Server, path: &str) -> Vec<u8> {
    let reply = wait_for("a picture", || Some(server.get(path)).filter(|reply| reply.status != 404));
    assert_eq!((reply.status, reply.header("content-type")), (200, "image/png"), "{reply:?}");
    reply.bytes
}

fn dimensions(png: &[u8]) -> (u32, u32) {
    let image = image::load_from_memory(png).unwrap();
    (image.width(), image.height())
}

#[test]
fn an_uploaded_scene_is_listed_pictured_run_and_deleted() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(&ServerOptions { data: Some(data.path()), ..ServerOptions::default() });
    let scene = variant(&gallery_scene("triangle"), "uploaded");
    let uploaded = server.upload("My%20first%20scene", &scene);
    assert_eq!(uploaded.status, 201, "{uploaded:?}");
    let id = id_of(&uploaded);
    assert_eq!(uploaded.header("location"), format!("/api/scenes/{id}"));
    let view = uploaded.json();
    assert_eq!(
        (view["name"].as_str(), view["bytes"].as_u64()),
        (Some("My first scene"), Some(scene.len() as u64))
    );
    assert_eq!(
        (&view["owned"], &view["sha256"], &view["view"]),
        (&json!(true), &json!(id), &json!(format!("/view/{id}")))
    );
    assert!(!view["imports"].as_array().unwrap().is_empty() && view["entry_point"].is_string(), "{view}");

    let again = server.upload("Another%20name", &scene);
    assert_eq!((again.status, again.json()["name"].as_str()), (200, Some("My first scene")), "{again:?}");
    assert_eq!(server.get("/api/scenes").json().as_array().unwrap().len(), 1);

    let thumbnail = format!("/api/scenes/{id}/thumbnail.png");
    assert_eq!(dimensions(&picture(&server, &thumbnail)), (480, 272));
    assert_eq!(server.get(&format!("/api/scenes/{id}")).json()["thumbnail"], json!(thumbnail));

    let session = server.running_session(&id);
    let deleted = server.delete(&format!("/api/scenes/{id}"));
    assert_eq!(deleted.status, 204, "{deleted:?}");
    server.delete(&format!("/api/scenes/{id}")).assert_problem(404, "unknown_scene");
    server.get(&thumbnail).assert_problem(404, "unknown_scene");
    create(&server, &id).assert_problem(404, "unknown_scene");
    assert_eq!(server.get("/api/scenes").json(), json!([]));
    assert_eq!(server.session(&session)["state"], "running");
    assert!(!files(data.path()).is_empty(), "its bytes are there as long as it runs");
    server.delete(&format!("/api/sessions/{session}"));
    wait_for("its bytes to go", || files(data.path()).is_empty().then_some(()));
}

#[test]
fn the_bytes_of_a_deleted_scene_go_when_nothing_needs_them_any_more_and_when_the_server_ends() {
    let data = tempfile::tempdir().unwrap();
    let options = ServerOptions { data: Some(data.path()), ..ServerOptions::default() };
    let mut server = Server::start(&options);
    server.wait_until_ready();
    // Its picture is still being made.
    let id = id_of(&server.upload("one", &variant(&gallery_scene("triangle"), "deleted at once")));
    assert_eq!(server.delete(&format!("/api/scenes/{id}")).status, 204);
    wait_for("its bytes to go", || files(data.path()).is_empty().then_some(()));

    let id = id_of(&server.upload("two", &variant(&gallery_scene("triangle"), "deleted while it runs")));
    server.running_session(&id);
    assert_eq!(server.delete(&format!("/api/scenes/{id}")).status, 204);
    assert!(!files(data.path()).is_empty());
    assert!(server.terminate().success());
    assert_eq!(files(data.path()), Vec::<PathBuf>::new());
}

#[test]
fn a_scene_that_was_uploaded_is_there_after_a_restart() {
    let data = tempfile::tempdir().unwrap();
    let options = ServerOptions { data: Some(data.path()), ..ServerOptions::default() };
    let mut server = Server::start(&options);
    let id = id_of(&server.upload("ends", &component(ENDS)));
    server.terminate();
    let server = Server::start(&options);
    assert_eq!(server.get(&format!("/api/scenes/{id}")).json()["name"], "ends");
    assert_eq!(create(&server, &id).status, 201);
}

#[test]
fn two_servers_that_share_a_store_have_the_same_scenes() {
    let data = tempfile::tempdir().unwrap();
    let caches = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let [one, other] = [0, 1].map(|which| {
        Server::start(&ServerOptions {
            data: Some(data.path()),
            cache: Some(caches[which].path()),
            ..ServerOptions::default()
        })
    });
    let id = id_of(&one.upload("shared", &component(ENDS)));
    assert_eq!(other.get("/api/scenes").json()[0]["id"], json!(id));
    assert_eq!(other.upload("again", &component(ENDS)).status, 200);
    assert_eq!(create(&other, &id).status, 201);
    assert_eq!(other.delete(&format!("/api/scenes/{id}")).status, 204);
    one.get(&format!("/api/scenes/{id}")).assert_problem(404, "unknown_scene");
    create(&one, &id).assert_problem(404, "unknown_scene");
}

#[test]
fn a_scene_that_cannot_be_run_is_refused_with_the_reason_and_leaves_nothing() {
    let (data, cache) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let server = Server::start(&ServerOptions {
        data: Some(data.path()),
        cache: Some(cache.path()),
        ..ServerOptions::default()
    });
    let core_module = component(include_str!("../fixtures/core_module.wat"));
    let foreign_import = component(include_str!("../fixtures/foreign_import.wat"));
    let no_entry_point = component(include_str!("../fixtures/no_entry_point.wat"));
    for (bytes, code, word) in [
        (b"GIF89a".as_slice(), "scene_not_wasm", "WebAssembly"),
        (b"", "scene_not_wasm", "WebAssembly"),
        (&core_module, "scene_core_module", "component"),
        (&foreign_import, "scene_import_not_offered", "wasi:http/outgoing-handler"),
        (&no_entry_point, "scene_no_entry_point", "wasi:cli/run"),
        (&foreign_import[..foreign_import.len() - 3], "scene_uncompilable", ""),
    ] {
        let problem = server.upload("bad", bytes).assert_problem(422, code);
        assert!(problem["detail"].as_str().unwrap().contains(word), "{problem}");
    }
    assert_eq!(server.get("/api/scenes").json(), json!([]));
    assert_eq!(files(data.path()), Vec::<PathBuf>::new());
    assert_eq!(files(&cache.path().join("scenes")), Vec::<PathBuf>::new());
}

#[test]
fn a_scene_of_the_folder_has_a_picture_too_and_cannot_be_deleted() {
    let server = Server::start(&ServerOptions { built_scenes: &["triangle"], ..ServerOptions::default() });
    assert_eq!(server.get("/api/scenes").json()[0]["owned"], json!(false));
    assert_eq!(dimensions(&picture(&server, "/api/scenes/triangle/thumbnail.png")), (480, 272));
    let scene = server.get("/api/scenes/triangle").json();
    assert_eq!((&scene["uploaded_at"], scene["entry_point"].is_string()), (&Value::Null, true), "{scene}");
    server.delete("/api/scenes/triangle").assert_problem(403, "forbidden");
    assert_eq!(server.get("/api/scenes/triangle").status, 200);
}

#[test]
fn a_scene_that_never_yields_gets_no_picture_and_does_not_keep_others_from_theirs() {
    let server = Server::start(&ServerOptions::default());
    let spins = id_of(&server.upload("spins", &component(SPINS)));
    let draws = id_of(&server.upload("draws", &variant(&gallery_scene("triangle"), "after spinning")));
    picture(&server, &format!("/api/scenes/{draws}/thumbnail.png"));
    server.get(&format!("/api/scenes/{spins}/thumbnail.png")).assert_problem(404, "no_picture");
    assert_eq!(server.get(&format!("/api/scenes/{spins}")).json()["thumbnail"], Value::Null);
    wait_for("its worker to be gone", || server.children().is_empty().then_some(()));
}

#[test]
fn a_session_shows_what_it_shows_until_it_ends() {
    let server = Server::start(&ServerOptions { built_scenes: &["orbit"], ..ServerOptions::default() });
    let session = create(&server, "orbit").json();
    let path = format!("/api/sessions/{}/screenshot.png", session["id"].as_str().unwrap());
    let reply = wait_for("a screenshot", || Some(server.get(&path)).filter(|reply| reply.status != 404));
    assert_eq!((reply.status, reply.header("cache-control")), (200, "no-store"), "{reply:?}");
    assert_eq!(dimensions(&reply.bytes), (320, 192));
    // Many at once share one.
    thread::scope(|scope| {
        let asked: Vec<_> = (0..10).map(|_| scope.spawn(|| server.get(&path).status)).collect();
        assert!(asked.into_iter().all(|asked| asked.join().unwrap() == 200));
    });
    server.delete(&format!("/api/sessions/{}", session["id"].as_str().unwrap()));
    server.get(&path).assert_problem(410, "session_ended");
}

#[test]
fn what_a_scene_printed_can_be_read_after_its_end() {
    let server = Server::start(&ServerOptions::default());
    let scene = id_of(&server.upload("speaks", &component(SPEAKS)));
    let session = create(&server, &scene).json()["id"].as_str().unwrap().to_owned();
    wait_for("its end", || (server.session(&session)["state"] == "ended").then_some(()));
    let log = server.get(&format!("/api/sessions/{session}/log")).json();
    let lines: Vec<_> =
        log["lines"].as_array().unwrap().iter().map(|line| (&line["source"], &line["line"])).collect();
    assert_eq!(lines[0], (&json!("warn"), &json!("so it is\\u{1b}[2J")), "{log}");
    assert_eq!(lines[1], (&json!("session"), &json!("finished: the scene came to its end")), "{log}");
    assert_eq!(log["dropped"], 0);
}

#[test]
fn a_full_library_says_what_is_full_and_takes_the_next_scene_when_one_is_deleted() {
    for flags in [
        ["--max-scenes", "1"],
        ["--max-total-scene-bytes", "200"],
        ["--max-scenes-per-token", "1"],
        ["--max-scene-bytes-per-token", "200"],
    ] {
        let server = Server::start(&ServerOptions { flags: &flags, ..ServerOptions::default() });
        let scene = |salt: &str| variant(&component(ENDS), salt);
        let id = id_of(&server.upload("first", &scene("a")));
        server.upload("second", &scene("b")).assert_problem(507, "library_full");
        assert_eq!(server.upload("first", &scene("a")).status, 200, "what is there needs no room");
        assert_eq!(server.delete(&format!("/api/scenes/{id}")).status, 204);
        assert_eq!(server.upload("second", &scene("b")).status, 201, "{flags:?}");
    }
}

/// Sends a head and what follows as long as the server takes it; the answer's first line and its body.
fn raw_upload(server: &Server, head: &str, mut chunks: impl Iterator<Item = Vec<u8>> + Send) -> String {
    let mut stream = TcpStream::connect(server.origin.strip_prefix("http://").unwrap()).unwrap();
    stream.set_read_timeout(Some(Duration::from_mins(1))).unwrap();
    let head = format!(
        "POST /api/scenes HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/wasm\r\n{head}\r\n"
    );
    stream.write_all(head.as_bytes()).unwrap();
    let mut reader = stream.try_clone().unwrap();
    thread::scope(|scope| {
        // Ends when the server closes the connection.
        scope.spawn(move || while chunks.next().is_some_and(|chunk| stream.write_all(&chunk).is_ok()) {});
        let mut answer = Vec::new();
        let mut piece = [0; 4096];
        while let Ok(length @ 1..) = reader.read(&mut piece) {
            answer.extend_from_slice(&piece[..length]);
        }
        String::from_utf8_lossy(&answer).into_owned()
    })
}

fn endless_chunks() -> impl Iterator<Item = Vec<u8>> + Send {
    std::iter::repeat_with(|| [b"10000\r\n".as_slice(), &vec![b'x'; 1 << 16], b"\r\n"].concat())
}

#[test]
fn row_56_a_component_is_cut_at_its_limit_whatever_is_said_of_its_length() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(&ServerOptions { data: Some(data.path()), ..ServerOptions::default() });
    let gigabyte = raw_upload(&server, "content-length: 1073741824\r\n", std::iter::empty());
    assert!(gigabyte.starts_with("HTTP/1.1 413") && gigabyte.contains("scene_too_large"), "{gigabyte}");
    let endless = raw_upload(&server, "transfer-encoding: chunked\r\n", endless_chunks());
    assert!(endless.starts_with("HTTP/1.1 413") && endless.contains("scene_too_large"), "{endless}");
    let packed =
        raw_upload(&server, "content-length: 1000\r\ncontent-encoding: gzip\r\n", std::iter::empty());
    assert!(packed.starts_with("HTTP/1.1 415") && packed.contains("unsupported_media_type"), "{packed}");
    let typed = server.send("POST", "/api/scenes", &[("content-type", "application/zip")], b"PK");
    typed.assert_problem(415, "unsupported_media_type");
    assert_eq!(files(data.path()), Vec::<PathBuf>::new());
    assert_eq!(server.get("/api/health").status, 200);
}

#[test]
fn row_57_a_name_is_shown_and_never_a_path() {
    let (parent, scene) = (tempfile::tempdir().unwrap(), component(ENDS));
    let data = parent.path().join("data");
    let server = Server::start(&ServerOptions { data: Some(&data), ..ServerOptions::default() });
    for (salt, name, shown) in [
        ("1", "..%2f..%2f..%2fescaped", "../../../escaped"),
        ("2", "%00%1b%5b2J%0d%0aa", "[2J a"),
        ("3", "%e2%80%aegpj.exe", "gpj.exe"),
        ("4", "%e5%a0%b4%e9%9d%a2", "場面"),
        ("5", "", "Untitled"),
        ("6", &"long".repeat(2_500), &"long".repeat(20)),
        ("7", "%ff%fe", "\u{fffd}\u{fffd}"),
    ] {
        let uploaded = server.upload(name, &variant(&scene, salt));
        assert_eq!((uploaded.status, uploaded.json()["name"].as_str()), (201, Some(shown)), "{uploaded:?}");
    }
    // The names of files are hashes alone, and nothing is beside the folder.
    for file in files(&data) {
        let name = file.file_stem().unwrap().to_str().unwrap().to_owned();
        assert!(name.len() == 64 && name.bytes().all(|byte| byte.is_ascii_hexdigit()), "{file:?}");
    }
    assert_eq!(std::fs::read_dir(parent.path()).unwrap().count(), 1);
    for id in ["..%2f..%2fetc%2fpasswd", "%00", &"A".repeat(64), &"0".repeat(64)] {
        server.get(&format!("/api/scenes/{id}")).assert_problem(404, "unknown_scene");
        server.get(&format!("/api/scenes/{id}/thumbnail.png")).assert_problem(404, "unknown_scene");
        server.delete(&format!("/api/scenes/{id}")).assert_problem(404, "unknown_scene");
    }
}

#[test]
fn row_57_a_hundred_uploads_of_the_same_bytes_at_once_are_one_scene() {
    let (data, cache) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let server = Server::start(&ServerOptions {
        data: Some(data.path()),
        cache: Some(cache.path()),
        ..ServerOptions::default()
    });
    let scene = variant(&gallery_scene("triangle"), "raced");
    let replies: Vec<Reply> = thread::scope(|scope| {
        let uploads: Vec<_> = (0..100).map(|_| scope.spawn(|| server.upload("raced", &scene))).collect();
        uploads.into_iter().map(|upload| upload.join().unwrap()).collect()
    });
    let created = replies.iter().filter(|reply| reply.status == 201).count();
    let existing = replies.iter().filter(|reply| reply.status == 200).count();
    assert_eq!(
        (created, existing),
        (1, 99),
        "{:?}",
        replies.iter().map(|reply| reply.status).collect::<Vec<_>>()
    );
    let first = replies[0].json();
    for reply in &replies {
        let view = reply.json();
        assert_eq!(
            (&view["id"], &view["name"], &view["uploaded_at"]),
            (&first["id"], &first["name"], &first["uploaded_at"])
        );
    }
    let components = files(&data.path().join("components"));
    assert_eq!(components, [PathBuf::from(format!("{}.wasm", first["id"].as_str().unwrap()))]);
    assert_eq!(files(&data.path().join("scenes")).len(), 1);
    let metrics = server.get("/api/metrics").text;
    let compiled =
        metrics.lines().find(|line| line.starts_with("scenecast_compilations_total{outcome=\"ok\"}"));
    assert_eq!(compiled, Some("scenecast_compilations_total{outcome=\"ok\"} 1"), "{metrics}");
}

/// A file system of its own, of so many bytes; `None`, said why, where this user may not mount one.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn mount(kib: u32) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={kib}k"), "tmpfs"])
            .arg(folder.path())
            .output();
        match mounted {
            Ok(output) if output.status.success() => Some(Self(folder)),
            other => {
                // Not by eprintln!, which is shown only when a test fails.
                let reason = other.map_or_else(
                    |error| error.to_string(),
                    |output| String::from_utf8_lossy(&output.stderr).trim().to_owned(),
                );
                let _ = writeln!(std::io::stderr(), "skipped: no small disk could be mounted: {reason}");
                None
            }
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Leaves so much room, by a file that takes the rest; true if that could be done.
    fn leave(&self, free_bytes: u64) {
        let filler = self.path("filler");
        let _ = std::fs::remove_file(&filler);
        let disk = rustix::fs::statvfs(self.0.path()).unwrap();
        let taken = (disk.f_bavail * disk.f_frsize).saturating_sub(free_bytes);
        std::fs::write(filler, vec![0; usize::try_from(taken).unwrap()]).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Whatever still has a file open there keeps it alive, out of sight.
        let _ = Command::new("umount").arg("--lazy").arg(self.0.path()).status();
    }
}

#[test]
fn row_58_a_full_disk_is_told_and_nothing_half_written_stays_and_sessions_go_on() {
    let Some(disk) = SmallDisk::mount(48 << 10) else { return };
    let (data, cache) = (disk.path("data"), disk.path("cache"));
    let server = Server::start(&ServerOptions {
        built_scenes: &["orbit"],
        data: Some(&data),
        cache: Some(&cache),
        ..ServerOptions::default()
    });
    let session = server.running_session("orbit");
    let screenshot = format!("/api/sessions/{session}/screenshot.png");
    picture(&server, &screenshot);
    let scene = variant(&gallery_scene("triangle"), "too much");
    let size = scene.len() as u64;
    let kept = || [files(&data), files(&cache.join("scenes"))];
    let before = kept();
    // No room for what comes in; for that, and not for what it is compiled to; for some of both.
    for free in [0, size / 2, size + (16 << 10), size + (64 << 10)] {
        disk.leave(free);
        server.upload("too%20much", &scene).assert_problem(507, "disk_full");
        assert_eq!(kept(), before, "with {free} bytes left");
        assert_eq!(server.get("/api/scenes").json().as_array().unwrap().len(), 1);
        assert_eq!(server.session(&session)["state"], "running");
    }
    disk.leave(0);
    picture(&server, &screenshot);
    std::fs::remove_file(disk.path("filler")).unwrap();
    assert_eq!(server.upload("enough", &scene).status, 201);
    drop(server);
}
