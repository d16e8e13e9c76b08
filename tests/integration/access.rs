//! Who may do what: tokens, roles and links, as a client meets them.

use std::{
    io::Write,
    net::TcpStream,
    path::Path,
    time::{Duration, Instant},
};

use rustix::process::{Signal, kill_process};
use serde_json::{Value, json};
use tests::viewer::{JoinError, Joining, Viewer};

use crate::support::{Raw, Reply, Server, ServerOptions, scenecast, wait_for};

const VIEWER: &str = "kiosk-0123456789abcdef";
const ALICE: &str = "alice-0123456789abcdef";
const BOB: &str = "bob-0123456789abcdef";
const AUTHOR: &str = "author-0123456789abcdef";
const ADMIN: &str = "admin-0123456789abcdef";

fn tokens() -> String {
    format!(
        "kiosk:viewer:{VIEWER},alice:controller:{ALICE},bob:controller:{BOB},ann:author:{AUTHOR},admin:{ADMIN}"
    )
}

fn protected_with(flags: &[&str], environment: &[(&str, &str)]) -> Server {
    let tokens = tokens();
    let environment: Vec<_> =
        environment.iter().copied().chain([("SCENECAST_AUTH_TOKEN", tokens.as_str())]).collect();
    Server::start(&ServerOptions {
        built_scenes: &["orbit"],
        flags,
        environment: &environment,
        ..ServerOptions::default()
    })
}

fn protected() -> Server {
    protected_with(&[], &[])
}

/// Asks with a token or a grant; an empty one is none.
fn ask(server: &Server, bearer: &str, method: &str, path: &str, body: Option<(&str, &str)>) -> Reply {
    let authorization = format!("Bearer {bearer}");
    let mut headers = Vec::new();
    if !bearer.is_empty() {
        headers.push(("authorization", authorization.as_str()));
    }
    let (content_type, body) = body.unwrap_or_default();
    if !content_type.is_empty() {
        headers.push(("content-type", content_type));
    }
    server.send(method, path, &headers, body.as_bytes())
}

fn ask_json(server: &Server, bearer: &str, method: &str, path: &str, body: &Value) -> Reply {
    ask(server, bearer, method, path, Some(("application/json", &body.to_string())))
}

fn session_of(server: &Server, token: &str) -> String {
    let created = ask_json(server, token, "POST", "/api/sessions", &json!({ "scene": "orbit" }));
    assert_eq!(created.status, 201, "{created:?}");
    created.json()["id"].as_str().unwrap().to_owned()
}

/// A grant for a session: its id and its text.
fn grant(server: &Server, token: &str, session: &str, role: &str, seconds: u64) -> (String, String) {
    let body = json!({ "role": role, "seconds": seconds });
    let given = ask_json(server, token, "POST", &format!("/api/sessions/{session}/grants"), &body);
    assert_eq!(given.status, 201, "{given:?}");
    let given = given.json();
    let text = |member: &str| given[member].as_str().unwrap().to_owned();
    assert_eq!(text("view"), format!("/view/orbit/{session}#grant={}", text("grant")));
    (text("id"), text("grant"))
}

fn joining(server: &Server, session: &str, bearer: &str) -> Joining {
    let bearer = (!bearer.is_empty()).then(|| bearer.to_owned());
    Joining { origin: server.origin.clone(), whep: format!("/whep/{session}"), bearer, ..Joining::default() }
}

async fn join(server: &Server, session: &str, bearer: &str) -> Viewer {
    Viewer::join(joining(server, session, bearer)).await.unwrap_or_else(|error| panic!("{error:?}"))
}

async fn status_of_joining(server: &Server, session: &str, bearer: &str) -> u16 {
    match Viewer::join(joining(server, session, bearer)).await {
        Err(JoinError::Refused(status, _)) => status,
        Err(error) => panic!("{error:?}"),
        Ok(_) => 201,
    }
}

async fn welcome(viewer: &mut Viewer) -> Value {
    let is_welcome = |message: &Value| message["type"] == "welcome";
    let seen = viewer.see("the welcome", |seen| seen.messages.iter().any(is_welcome)).await;
    seen.messages.into_iter().find(is_welcome).unwrap()
}

#[test]
fn row_38_every_route_answers_each_caller_as_the_table_says_and_nobody_without_a_token() {
    let server = protected();
    let (mine, bobs) = (session_of(&server, ALICE), session_of(&server, BOB));
    let (_, to_watch) = grant(&server, ALICE, &mine, "viewer", 600);
    let (_, to_control) = grant(&server, ALICE, &mine, "controller", 600);
    let (_, elsewhere) = grant(&server, BOB, &bobs, "controller", 600);
    // A grant that was signed, and of which the last character of the claims is another.
    let forged = to_control.replacen(".eyJ", ".eyK", 1);
    let callers: [(&str, &str); 11] = [
        ("nobody", ""),
        ("a wrong token", "admin-0123456789abcdeX"),
        ("a forged grant", &forged),
        ("viewer", VIEWER),
        ("the owner", ALICE),
        ("another controller", BOB),
        ("author", AUTHOR),
        ("admin", ADMIN),
        ("a link to watch", &to_watch),
        ("a link to control", &to_control),
        ("a link to another session", &elsewhere),
    ];
    let (session, whep, viewer) = (
        format!("/api/sessions/{mine}"),
        format!("/whep/{mine}"),
        format!("/whep/{mine}/{}", "0".repeat(32)),
    );
    let (grants, no_grant) = (format!("{session}/grants"), format!("{session}/grants/{}", "0".repeat(32)));
    let nothing = Some(("application/json", r#"{"scene":"nothing"}"#));
    let no_seconds = Some(("application/json", r#"{"seconds":0}"#));
    let no_offer = Some(("application/sdp", "hello"));
    let no_candidates = Some(("application/trickle-ice-sdpfrag", "x"));
    // What is allowed goes on to fail for another reason where it would change something.
    for (method, path, body, statuses) in [
        ("GET", "/", None, [200; 11]),
        ("GET", "/view/orbit", None, [200; 11]),
        ("GET", "/api/health", None, [200; 11]),
        ("GET", "/api/whoami", None, [401, 401, 401, 200, 200, 200, 200, 200, 200, 200, 200]),
        ("GET", "/api/scenes", None, [401, 401, 401, 200, 200, 200, 200, 200, 403, 403, 403]),
        ("GET", "/api/sessions", None, [401, 401, 401, 200, 200, 200, 200, 200, 403, 403, 403]),
        ("POST", "/api/sessions", nothing, [401, 401, 401, 403, 404, 404, 404, 404, 403, 403, 403]),
        ("GET", &session, None, [401, 401, 401, 200, 200, 200, 200, 200, 200, 200, 404]),
        ("POST", &grants, no_seconds, [401, 401, 401, 403, 400, 404, 404, 400, 403, 403, 404]),
        ("DELETE", &no_grant, None, [401, 401, 401, 403, 404, 404, 404, 404, 403, 403, 404]),
        ("POST", &whep, no_offer, [401, 401, 401, 400, 400, 400, 400, 400, 400, 400, 404]),
        ("PATCH", &viewer, no_candidates, [401, 401, 401, 404, 404, 404, 404, 404, 404, 404, 404]),
        ("DELETE", &viewer, None, [401, 401, 401, 404, 404, 404, 404, 404, 404, 404, 404]),
        ("GET", "/api/metrics", None, [401, 401, 401, 403, 403, 403, 403, 200, 403, 403, 403]),
    ] {
        for ((caller, bearer), status) in callers.into_iter().zip(statuses) {
            let reply = ask(&server, bearer, method, path, body);
            assert_eq!(reply.status, status, "{method} {path} by {caller}: {reply:?}");
            if status == 401 {
                reply.assert_problem(401, "unauthorized");
                let challenge = reply.header("www-authenticate");
                assert!(challenge.starts_with("Bearer "), "{caller}: {challenge}");
                assert_eq!(challenge.contains("invalid_token"), !bearer.is_empty(), "{caller}: {challenge}");
            }
        }
    }
    for (caller, bearer) in callers {
        if ![ALICE, ADMIN].contains(&bearer) {
            let refused = ask(&server, bearer, "DELETE", &session, None);
            assert!(matches!(refused.status, 401 | 403 | 404), "{caller}: {refused:?}");
        }
    }
    let listed = |bearer| ask(&server, bearer, "GET", "/api/sessions", None).json().as_array().unwrap().len();
    assert_eq!((listed(VIEWER), listed(ALICE), listed(ADMIN)), (0, 1, 2));
    assert_eq!(ask(&server, ALICE, "DELETE", &session, None).status, 204);
    assert_eq!(ask(&server, ADMIN, "DELETE", &format!("/api/sessions/{bobs}"), None).status, 204);
}

#[test]
fn who_asks_is_told_who_it_is() {
    let server = protected();
    let created = ask_json(&server, ALICE, "POST", "/api/sessions", &json!({ "scene": "orbit" })).json();
    let session = created["id"].as_str().unwrap();
    let who = |bearer: &str| ask(&server, bearer, "GET", "/api/whoami", None).json();
    assert_eq!(
        who(AUTHOR),
        json!({ "authentication": "token", "role": "author", "name": "ann", "session": null })
    );
    let by_grant = who(created["grant"].as_str().unwrap());
    assert_eq!((&by_grant["role"], &by_grant["session"]), (&json!("controller"), &json!(session)));
    let open = Server::start(&ServerOptions::default());
    let anybody = json!({ "authentication": "open", "role": "admin", "name": "anybody", "session": null });
    assert_eq!(open.get("/api/whoami").json(), anybody);
    assert_eq!(ask(&open, "some-old-token-of-the-page", "GET", "/api/whoami", None).json(), anybody);
}

#[test]
fn a_server_for_others_does_not_start_without_a_token_that_can_be_used() {
    let folder = tempfile::tempdir().unwrap();
    let scenes = folder.path().to_str().unwrap();
    let file = folder.path().join("tokens");
    std::fs::write(&file, "# nobody\n").unwrap();
    let file = file.to_str().unwrap();
    for (flags, word) in [
        (&["--listen", "0.0.0.0:0"][..], "--auth-token"),
        (&["--listen", "[::]:0"], "--auth-token"),
        (&["--listen", "127.0.0.1:0", "--auth-token", "short-secret"], "16 characters"),
        (&["--listen", "127.0.0.1:0", "--auth-token", "root:0123456789abcdef"], "controller"),
        (&["--listen", "127.0.0.1:0", "--auth-token-file", file], "no token"),
        (&["--listen", "127.0.0.1:0", "--auth-token-file", "/nowhere/tokens"], "/nowhere/tokens"),
    ] {
        let mut command = scenecast();
        command.args(["serve", "--webrtc-udp-port", "0", "--scenes", scenes, "--cache-dir", scenes]);
        let output = command.args(flags).output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{flags:?}: {error}");
        assert!(error.contains(word), "{flags:?}: {error}");
        assert!(!error.contains("short-secret") && !error.contains("0123456789abcdef"), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn row_39_a_viewer_whose_link_is_taken_back_is_told_at_once_and_does_not_come_back() {
    let server = protected();
    let session = session_of(&server, ALICE);
    let (id, text) = grant(&server, ALICE, &session, "viewer", 600);
    let (_, other_text) = grant(&server, ALICE, &session, "viewer", 600);
    let mut viewer = join(&server, &session, &text).await;
    let mut other = join(&server, &session, &other_text).await;
    let taken_back = Instant::now();
    let path = format!("/api/sessions/{session}/grants/{id}");
    assert_eq!(ask(&server, ALICE, "DELETE", &path, None).status, 204);
    assert_eq!(viewer.see_end().await.0, "revoked");
    let told = viewer.seen().ended_at.unwrap() - taken_back;
    let seen = viewer.see("the connection's end", |seen| seen.disconnected).await;
    println!("told after {told:?}, disconnected after {:?}", taken_back.elapsed());
    assert!(seen.disconnected);
    assert_eq!(status_of_joining(&server, &session, &text).await, 401);
    assert_eq!(ask(&server, ALICE, "DELETE", &path, None).status, 404);
    other.see_pictures(1).await;
    assert_eq!(other.seen().ended, None, "nobody else is thrown out");
}

#[tokio::test(flavor = "multi_thread")]
async fn row_39_what_came_with_a_token_that_is_gone_from_the_file_ends_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tokens");
    let kiosk = "wall-0123456789abcdef";
    let carol = "carol-0123456789abcdef";
    std::fs::write(&file, format!("wall:viewer:{kiosk}\ncarol:controller:{carol}\n")).unwrap();
    let server = protected_with(&["--auth-token-file", file.to_str().unwrap()], &[]);
    let session = session_of(&server, carol);
    let (_, link) = grant(&server, carol, &session, "controller", 600);
    let mut by_token = join(&server, &session, kiosk).await;
    let mut by_link = join(&server, &session, &link).await;
    let mut stays = join(&server, &session, VIEWER).await;
    let read_again = || {
        kill_process(server.process(), Signal::HUP).unwrap();
        Instant::now()
    };
    std::fs::write(&file, "wall:viewer\n").unwrap();
    read_again();
    by_token.see_pictures(1).await;
    assert_eq!(ask(&server, carol, "GET", "/api/whoami", None).status, 200, "a mistake changes nothing");

    std::fs::write(&file, "dave:viewer:dave-0123456789abcdef\n").unwrap();
    let gone_at = read_again();
    for viewer in [&mut by_token, &mut by_link] {
        assert_eq!(viewer.see_end().await.0, "revoked");
        println!("told after {:?}", viewer.seen().ended_at.unwrap() - gone_at);
    }
    for bearer in [kiosk, carol, &link] {
        assert_eq!(status_of_joining(&server, &session, bearer).await, 401);
    }
    stays.see_pictures(1).await;
    assert_eq!(ask(&server, "dave-0123456789abcdef", "GET", "/api/whoami", None).status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_viewer_who_may_only_watch_changes_nothing_and_one_who_may_control_does() {
    let server = protected();
    let session = session_of(&server, ALICE);
    let (_, to_watch) = grant(&server, ALICE, &session, "viewer", 600);
    let (_, to_control) = grant(&server, ALICE, &session, "controller", 600);
    let mut watcher = join(&server, &session, &to_watch).await;
    let mut controller = join(&server, &session, &to_control).await;
    assert_eq!(welcome(&mut watcher).await["control"], false);
    assert_eq!(welcome(&mut controller).await["control"], true);
    let resize = |width: u32| json!({ "type": "resize", "width": width, "height": 352 });
    watcher.send(&resize(640)).await;
    watcher.send(&json!({ "type": "key-down", "seq": 1, "code": "KeyW" })).await;
    let metrics = || ask(&server, ADMIN, "GET", "/api/metrics", None).text;
    let ignored = "scenecast_input_events_total{outcome=\"ignored\"} 2";
    wait_for("the watcher's input to be ignored", || metrics().contains(ignored).then_some(()));
    assert!(!metrics().contains("outcome=\"accepted\""));
    controller.send(&resize(320)).await;
    let sized = |message: &Value| message["type"] == "size";
    let seen = watcher.see("the new size", |seen| seen.messages.iter().any(sized)).await;
    let size = seen.messages.iter().find(|message| sized(message)).unwrap();
    assert_eq!(size["width"], 320, "the first size is the controller's");
}

#[test]
fn row_41_sessions_cannot_be_guessed_and_foreign_ones_look_like_none() {
    const GUESSES: u32 = 100_000;
    let server = protected();
    let session = session_of(&server, ALICE);
    // Bob cannot tell Alice's session from none.
    let by_bob = |method, path: &str| {
        let reply = ask(&server, BOB, method, path, None);
        (reply.status, reply.text)
    };
    let none = "0".repeat(32);
    for (method, of) in [("DELETE", ""), ("DELETE", "/grants/x")] {
        let path = |session: &str| format!("/api/sessions/{session}{of}");
        assert_eq!(by_bob(method, &path(&session)), by_bob(method, &path(&none)), "{method} {of}");
        assert_eq!(by_bob(method, &path(&session)).0, 404);
    }

    let (memory_before, _) = server.resources();
    let started = Instant::now();
    let mut connection = Raw::connect(&server);
    let (mut not_found, mut too_many, mut bodies) = (0, 0, Vec::new());
    let mut guessed = 0_u32;
    while guessed < GUESSES {
        // A server closes a connection after minutes.
        if guessed.is_multiple_of(10_000) {
            connection = Raw::connect(&server);
            // Who has a token and comes from the same address is not kept out.
            assert_eq!(ask(&server, ALICE, "GET", "/api/sessions", None).status, 200);
        }
        let requests: Vec<String> = (0..100).map(|_| {
                guessed += 1;
                let guess = format!("{:032x}", u128::from(guessed).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835));
                format!("GET /api/sessions/{guess} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {BOB}\r\n\r\n")
}).collect();
        connection.write(requests.concat().as_bytes());
        for _ in 0..100 {
            let reply = connection.read_reply();
            match reply.status {
                404 => {
                    not_found += 1;
                    bodies.push(reply.body);
                }
                429 => {
                    too_many += 1;
                    assert!(reply.head.contains("retry-after: "), "{}", reply.head);
                }
                status => panic!("{status}: {}", reply.head),
            }
        }
    }
    let (memory_after, _) = server.resources();
    let grown = memory_after.saturating_sub(memory_before);
    println!(
        "{GUESSES} guesses in {:?}: {not_found} were answered 404, {too_many} 429; memory {grown} bytes more",
        started.elapsed()
    );
    bodies.sort();
    bodies.dedup();
    assert_eq!(bodies.len(), 1, "all unknown sessions are answered alike");
    // 120 at once, then at most as many more as the minutes and pauses give.
    let minutes = 1 + started.elapsed().as_secs() / 60;
    assert!(not_found <= 130 + 150 * minutes, "{not_found} guesses were answered");
    assert!(grown < 16 << 20, "{grown} bytes");
    // Others are not slowed: another address is another caller.
    assert!(Raw::connect_from([127, 0, 0, 2], &server).get("/api/health").starts_with("HTTP/1.1 200"));
}

/// Asks for what is not there until that is refused: how often it was answered before, and the refusal.
fn until_refused(code: &str, ask: impl Fn() -> Reply) -> (u64, Reply) {
    for answered in 0..100 {
        let reply = ask();
        if reply.status == 429 {
            reply.assert_problem(429, "too_many_requests");
            return (answered, reply);
        }
        reply.assert_problem(404, code);
    }
    panic!("nothing was refused")
}

#[test]
fn one_token_leaves_places_for_the_sessions_of_others() {
    let counts = ["--max-sessions", "2", "--max-sessions-per-token", "1", "--sessions-per-minute", "100000"];
    let server = protected_with(&counts, &[]);
    let create = |bearer| ask_json(&server, bearer, "POST", "/api/sessions", &json!({ "scene": "orbit" }));
    let first = session_of(&server, ALICE);
    let refused = create(ALICE);
    refused.assert_problem(503, "too_many_sessions");
    assert!(refused.text.contains("the maximum of one token"), "{}", refused.text);
    assert_eq!(ask(&server, ALICE, "DELETE", &format!("/api/sessions/{first}"), None).status, 204);
    // Its place is free when its worker is gone.
    wait_for("a place for one more of the same token", || (create(ALICE).status == 201).then_some(()));
    session_of(&server, BOB);
    let refused = create(ADMIN);
    refused.assert_problem(503, "too_many_sessions");
    assert!(refused.text.contains("The server runs 2 sessions"), "{}", refused.text);
}

#[test]
fn an_address_that_asks_too_often_is_told_when_to_come_back() {
    let server = protected_with(&["--offers-per-minute", "3", "--sessions-per-minute", "2"], &[]);
    let offer = |bearer| {
        ask(
            &server,
            bearer,
            "POST",
            &format!("/whep/{}", "0".repeat(32)),
            Some(("application/sdp", "v=0\r\n")),
        )
    };
    let began = Instant::now();
    let (answered, refused) = until_refused("unknown_session", || offer(VIEWER));
    let seconds: u64 = refused.header("retry-after").parse().unwrap();
    assert!((1..=21).contains(&seconds), "{seconds}");
    // An address, not a token: what the other one got is counted together with it. Each 20 s give one more.
    let (more, _) = until_refused("unknown_session", || offer(ADMIN));
    let given = 3 + began.elapsed().as_secs() / 20;
    assert!(answered >= 3 && answered + more <= given, "{answered} and {more} of {given}");
    let began = Instant::now();
    let create = || ask_json(&server, ALICE, "POST", "/api/sessions", &json!({ "scene": "nothing" }));
    let (answered, _) = until_refused("unknown_scene", create);
    assert!((2..=2 + began.elapsed().as_secs() / 30).contains(&answered), "{answered}");
    let metrics = ask(&server, ADMIN, "GET", "/api/metrics", None).text;
    let line = "scenecast_refused_requests_total{reason=\"too_many_requests\"} 3";
    assert!(metrics.lines().any(|found| found == line), "{metrics}");

    let open =
        Server::start(&ServerOptions { flags: &["--sessions-per-minute", "1"], ..ServerOptions::default() });
    for _ in 0..5 {
        open.post_json("/api/sessions", &json!({ "scene": "nothing" })).assert_problem(404, "unknown_scene");
    }
}

/// The library that makes a program believe another time; `make test` installs it.
fn faketime() -> &'static str {
    const PLACES: [&str; 3] = [
        "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1",
        "/usr/lib/aarch64-linux-gnu/faketime/libfaketimeMT.so.1",
        "/usr/lib/faketime/libfaketimeMT.so.1",
    ];
    PLACES
        .into_iter()
        .find(|place| Path::new(place).exists())
        .expect("install faketime: `tools/install-deps test`")
}

#[tokio::test(flavor = "multi_thread")]
async fn row_59_a_clock_that_jumps_by_a_day_and_a_process_that_is_stopped_end_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let clock = folder.path().join("clock");
    let set_clock = |offset: &str| {
        let new = folder.path().join("new");
        std::fs::write(&new, offset).unwrap();
        std::fs::rename(new, &clock).unwrap();
    };
    set_clock("+0");
    let server = protected_with(
        &[],
        &[
            ("LD_PRELOAD", faketime()),
            ("FAKETIME_TIMESTAMP_FILE", clock.to_str().unwrap()),
            ("FAKETIME_NO_CACHE", "1"),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
        ],
    );
    let expires_at = |session: &str| {
        let given = ask_json(&server, ALICE, "POST", &format!("/api/sessions/{session}/grants"), &json!({}));
        given.json()["expires_at"].as_str().unwrap()[..10].to_owned()
    };
    let session = session_of(&server, ALICE);
    let today = expires_at(&session);
    let (_, link) = grant(&server, ALICE, &session, "controller", 600);
    let (_, short_link) = grant(&server, ALICE, &session, "viewer", 3);
    let given_at = Instant::now();
    let mut viewer = join(&server, &session, &link).await;
    let goes_on = async |viewer: &mut Viewer, what: &str| {
        viewer.see_pictures(2).await;
        let seen = viewer.seen();
        assert!(seen.ended.is_none() && !seen.disconnected, "{what}: {seen:?}");
        assert_eq!(
            ask(&server, &link, "GET", &format!("/api/sessions/{session}"), None).json()["state"],
            "running"
        );
        join(&server, &session, &link).await.leave().await;
    };
    for offset in ["+1d", "-1d"] {
        set_clock(offset);
        assert_ne!(expires_at(&session), today, "the server sees the jump");
        goes_on(&mut viewer, offset).await;
        session_of(&server, ALICE);
    }
    // It is yesterday by the clock, and yet three seconds have gone by.
    wait_for("the short link to expire", || {
        (ask(&server, &short_link, "GET", "/api/whoami", None).status == 401).then_some(())
    });
    println!("a link of 3 s was refused after {:?}", given_at.elapsed());
    assert!(given_at.elapsed() >= Duration::from_secs(2));
    set_clock("+0");

    kill_process(server.process(), Signal::STOP).unwrap();
    tokio::time::sleep(Duration::from_secs(8)).await;
    kill_process(server.process(), Signal::CONT).unwrap();
    goes_on(&mut viewer, "a pause").await;
}

#[test]
fn a_body_that_is_not_asked_for_is_not_waited_for_before_the_caller_is_known() {
    let server = protected();
    let address = server.origin.strip_prefix("http://").unwrap().to_owned();
    let mut stream = TcpStream::connect(address).unwrap();
    stream
        .write_all(b"POST /api/sessions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 9999\r\n\r\n")
        .unwrap();
    let mut raw = Raw::over(stream);
    assert_eq!(raw.read_reply().status, 401);
}
