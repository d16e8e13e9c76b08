//! Sessions with real workers: refused scenes, workers that die, a server that ends.

use std::time::Duration;

use rustix::process::{Signal, kill_process, test_kill_process};
use serde_json::json;
use tests::viewer::{Joining, Network, Viewer, h264_offer, offer_of};

use crate::support::{Server, ServerOptions, wait_for, watch};

fn orbit() -> Server {
    Server::start(&ServerOptions { built_scenes: &["orbit"], ..ServerOptions::default() })
}

#[test]
fn a_scene_that_cannot_be_run_is_refused_with_a_code_and_a_remedy() {
    let core_module = wat::parse_str(include_str!("../fixtures/core_module.wat")).unwrap();
    let foreign_import = wat::parse_str(include_str!("../fixtures/foreign_import.wat")).unwrap();
    let no_entry_point = wat::parse_str(include_str!("../fixtures/no_entry_point.wat")).unwrap();
    let truncated = foreign_import[..foreign_import.len() - 3].to_vec();
    let server = Server::start(&ServerOptions {
        scenes: &[
            ("text.wasm", b"this is a text"),
            ("empty.wasm", b""),
            ("core.wasm", &core_module),
            ("foreign.wasm", &foreign_import),
            ("still.wasm", &no_entry_point),
            ("truncated.wasm", &truncated),
        ],
        ..ServerOptions::default()
    });
    for (scene, code, word) in [
        ("text", "scene_not_wasm", ""),
        ("empty", "scene_not_wasm", ""),
        ("core", "scene_core_module", "component"),
        ("foreign", "scene_import_not_offered", "wasi:http/outgoing-handler"),
        ("still", "scene_no_entry_point", "wasi:cli/run"),
        ("truncated", "scene_uncompilable", ""),
    ] {
        let refused = server.post_json("/api/sessions", &json!({ "scene": scene }));
        let problem = refused.assert_problem(422, code);
        assert!(problem["detail"].as_str().unwrap().contains(word), "{problem}");
    }
    assert_eq!(server.get("/api/sessions").json(), json!([]));
    wait_for("the workers of refused scenes to be gone", || server.children().is_empty().then_some(()));
}

#[test]
fn a_session_says_what_it_got() {
    let server = orbit();
    let asked = json!({ "scene": "orbit", "width": 803, "height": 455, "frame_rate_hz": 1000 });
    let created = server.post_json("/api/sessions", &asked);
    assert_eq!(created.status, 201, "{created:?}");
    let session = created.json();
    let id = session["id"].as_str().unwrap();
    assert_eq!(created.header("location"), format!("/api/sessions/{id}"));
    assert_eq!((&session["width"], &session["height"]), (&json!(800), &json!(448)));
    assert_eq!(session["frame_rate_hz"], 30);
    assert_eq!(session["whep"], format!("/whep/{id}"));
    assert_eq!(session["view"], format!("/view/orbit/{id}"));
    assert_eq!(session["ended"], json!(null));
}

#[test]
fn a_session_that_is_deleted_says_so_and_then_takes_nobody() {
    let server = orbit();
    let id = server.running_session("orbit");
    assert_eq!(server.send("DELETE", &format!("/api/sessions/{id}"), &[], b"").status, 204);
    let session = server.session(&id);
    assert_eq!((&session["state"], &session["ended"]["code"]), (&json!("ended"), &json!("deleted")));
    server.post_sdp(&format!("/whep/{id}"), b"v=0\r\n").assert_problem(410, "session_ended");
    wait_for("its worker to be gone", || server.children().is_empty().then_some(()));
}

#[test]
fn an_offer_that_no_viewer_can_be_made_of_is_refused_and_the_session_stays() {
    let server = orbit();
    let id = server.running_session("orbit");
    let whep = format!("/whep/{id}");
    for sdp in ["", "hello", "v=0\r\n", "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n", "\0\0\0"] {
        server.post_sdp(&whep, sdp.as_bytes()).assert_problem(400, "bad_sdp");
    }
    server.post_sdp(&whep, b"\xff\xfe").assert_problem(400, "bad_request");
    server.post_sdp(&whep, offer_of("96", "VP8/90000").as_bytes()).assert_problem(422, "sdp_without_h264");
    assert_eq!(server.session(&id)["state"], "running");
}

#[test]
fn a_viewer_that_left_cannot_be_patched() {
    let server = orbit();
    let id = server.running_session("orbit");
    let joined = server.post_sdp(&format!("/whep/{id}"), h264_offer().as_bytes());
    assert_eq!((joined.status, joined.header("content-type")), (201, "application/sdp"), "{joined:?}");
    let viewer = joined.header("location");
    let trickle = [("content-type", "application/trickle-ice-sdpfrag")];
    let fragment = b"a=ice-ufrag:abcd\r\na=ice-pwd:abcdefghijklmnopqrstuv\r\nm=video 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:0\r\n\
                     a=candidate:1 1 UDP 2130706431 127.0.0.1 9 typ host\r\n";
    assert_eq!(server.send("PATCH", viewer, &trickle, fragment).status, 204);
    server
        .send("PATCH", viewer, &[("content-type", "text/plain")], fragment)
        .assert_problem(415, "unsupported_media_type");
    assert_eq!(server.send("DELETE", viewer, &[], b"").status, 200);
    server.send("PATCH", viewer, &trickle, fragment).assert_problem(404, "unknown_viewer");
    server.send("DELETE", viewer, &[], b"").assert_problem(404, "unknown_viewer");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_viewer_whose_line_loses_the_word_about_the_end_gets_it_when_it_is_sent_again() {
    let server = orbit();
    // The message is sent once more after a second, and no more than that: who is held up for as long misses both.
    for _ in 0..5 {
        let id = server.running_session("orbit");
        let mut viewer = watch(&server, &id).await;
        viewer.see_pictures(5).await;
        viewer.set_network(Network { loss: 1.0, ..Network::default() });
        assert_eq!(server.delete(&format!("/api/sessions/{id}")).status, 204);
        // Longer than a session goes on for those whose data channels open only now.
        tokio::time::sleep(Duration::from_millis(400)).await;
        viewer.set_network(Network::default());
        if let Ok((code, _)) = tokio::time::timeout(Duration::from_secs(5), viewer.see_end()).await {
            assert_eq!(code, "deleted");
            return;
        }
    }
    panic!("no viewer was told");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_viewer_that_is_still_connecting_when_its_session_ends_is_told_why() {
    let server = orbit();
    let id = server.running_session("orbit");
    // Connecting takes some half a second.
    let network = Network { delay: Duration::from_millis(50), ..Network::default() };
    let whep = format!("/whep/{id}");
    let joining = Joining { origin: server.origin.clone(), whep, network, ..Joining::default() };
    let coming = tokio::spawn(Viewer::join(joining));
    wait_for("the offer to be answered", || {
        server.log().contains(r#"method=POST route="/whep/{session}" status=201"#).then_some(())
    });
    assert_eq!(server.delete(&format!("/api/sessions/{id}")).status, 204);
    let mut viewer = coming.await.unwrap().unwrap();
    assert_eq!(viewer.see_end().await.0, "deleted");
}

#[test]
fn row_35_a_killed_worker_ends_its_session_and_no_other() {
    let server = orbit();
    let first = server.running_session("orbit");
    let [worker] = server.children()[..] else {
        panic!("one session has one process: {:?}", server.children())
    };
    let second = server.running_session("orbit");
    kill_process(worker, Signal::KILL).unwrap();
    let ended = wait_for("the session to end", || {
        let session = server.session(&first);
        (session["state"] == "ended").then_some(session)
    });
    assert_eq!(ended["ended"]["code"], "worker_died");
    assert!(ended["ended"]["message"].as_str().unwrap().contains("SIGKILL"), "{ended}");
    assert_eq!(server.session(&second)["state"], "running");
    server.running_session("orbit");
    let metrics = server.get("/api/metrics").text;
    assert!(metrics.contains("scenecast_worker_exits_total{reason=\"worker_died\"} 1"), "{metrics}");
}

#[test]
fn a_server_full_of_sessions_says_so() {
    let options = ServerOptions {
        built_scenes: &["orbit"],
        flags: &["--max-sessions", "1"],
        ..ServerOptions::default()
    };
    let server = Server::start(&options);
    let id = server.running_session("orbit");
    let refused = server.post_json("/api/sessions", &json!({ "scene": "orbit" }));
    refused.assert_problem(503, "too_many_sessions");
    assert_ne!(refused.header("retry-after"), "");
    server.send("DELETE", &format!("/api/sessions/{id}"), &[], b"");
    wait_for("the place to be free", || {
        (server.post_json("/api/sessions", &json!({ "scene": "orbit" })).status == 201).then_some(())
    });
}

#[test]
fn sigterm_ends_sessions_and_their_workers_and_is_a_success() {
    let mut server = orbit();
    server.running_session("orbit");
    server.running_session("orbit");
    let workers = server.children();
    assert_eq!(workers.len(), 2);
    assert_eq!(server.terminate().code(), Some(0));
    for worker in workers {
        assert!(test_kill_process(worker).is_err(), "worker {worker:?} outlived the server");
    }
}
