//! What a client gets that asks for the wrong thing, or in the wrong way; nothing here needs a scene to run.

use serde_json::json;

use crate::support::{Server, ServerOptions};

const NO_SESSION: &str = "00000000000000000000000000000000";

fn server() -> Server {
    Server::start(&ServerOptions {
        scenes: &[("b.wasm", b"1234"), ("a.wasm", b"12")],
        ..ServerOptions::default()
    })
}

#[test]
fn a_fresh_server_is_healthy_and_lists_its_scenes() {
    let server = server();
    server.wait_until_ready();
    assert_eq!(
        server.get("/api/health").json(),
        json!({ "status": "ok", "live": true, "ready": true, "draining": false, "gpu": "open" })
    );
    let scenes = server.get("/api/scenes").json();
    let listed: Vec<_> =
        scenes.as_array().unwrap().iter().map(|scene| (&scene["id"], &scene["bytes"])).collect();
    assert_eq!(listed, [(&json!("a"), &json!(2)), (&json!("b"), &json!(4))]);
    assert_eq!(server.get("/api/sessions").json(), json!([]));
}

#[test]
fn a_session_of_nothing_is_refused_with_the_reason() {
    let server = server();
    let create = |body| server.post_json("/api/sessions", &body);
    let problem = create(json!({ "scene": "cube" })).assert_problem(404, "unknown_scene");
    assert!(problem["detail"].as_str().unwrap().contains("cube"), "{problem}");
    create(json!({ "scene": "../a" })).assert_problem(404, "unknown_scene");
    create(json!({})).assert_problem(400, "bad_request");
    create(json!({ "scene": "a", "width": 640 })).assert_problem(400, "bad_request");
    create(json!({ "scene": "a", "width": -1, "height": 1 })).assert_problem(400, "bad_request");
    let problem = create(json!({ "scene": "a", "widht": 640 })).assert_problem(400, "bad_request");
    assert!(problem["detail"].as_str().unwrap().contains("widht"), "{problem}");
    create(json!({ "scene": "a".repeat(20_000) })).assert_problem(413, "body_too_large");
    server
        .send("POST", "/api/sessions", &[("content-type", "text/plain")], b"{\"scene\":\"a\"}")
        .assert_problem(415, "unsupported_media_type");
}

#[test]
fn what_does_not_exist_is_not_found_with_a_code() {
    let server = server();
    for id in [NO_SESSION, "0", "%2e%2e", "%ff", "orbit"] {
        server.get(&format!("/api/sessions/{id}")).assert_problem(404, "unknown_session");
        server
            .send("DELETE", &format!("/api/sessions/{id}"), &[], b"")
            .assert_problem(404, "unknown_session");
        server.post_sdp(&format!("/whep/{id}"), b"v=0\r\n").assert_problem(404, "unknown_session");
        let viewer = format!("/whep/{id}/{NO_SESSION}");
        server
            .send(
                "PATCH",
                &viewer,
                &[("content-type", "application/trickle-ice-sdpfrag")],
                b"a=ice-ufrag:x\r\n",
            )
            .assert_problem(404, "unknown_session");
        server.send("DELETE", &viewer, &[], b"").assert_problem(404, "unknown_session");
    }
    server.get("/static/../Cargo.toml").assert_problem(404, "not_found");
    server.get("/static/%2e%2e/Cargo.toml").assert_problem(404, "not_found");
    server.get("/static/%ff").assert_problem(404, "not_found");
    server.get("/nothing").assert_problem(404, "not_found");
    let refused = server.send("PUT", "/api/sessions", &[], b"x");
    refused.assert_problem(405, "method_not_allowed");
    assert!(refused.header("allow").contains("POST"), "{refused:?}");
}

#[test]
fn a_megabyte_of_sdp_is_too_large() {
    let server = server();
    let sdp = "a=x\r\n".repeat(200_000);
    server.post_sdp(&format!("/whep/{NO_SESSION}"), sdp.as_bytes()).assert_problem(413, "body_too_large");
    assert_eq!(server.get("/api/health").json()["live"], true);
}

#[test]
fn an_offer_with_another_content_type_is_refused() {
    server()
        .send("POST", &format!("/whep/{NO_SESSION}"), &[("content-type", "application/json")], b"{}")
        .assert_problem(415, "unsupported_media_type");
}

#[test]
fn whep_says_what_it_takes() {
    let open = Server::start(&ServerOptions {
        flags: &["--allow-origin", "https://player.example"],
        ..ServerOptions::default()
    });
    for server in [server(), open] {
        let endpoint = server.send("OPTIONS", &format!("/whep/{NO_SESSION}"), &[], b"");
        assert!(matches!(endpoint.status, 200 | 204), "{endpoint:?}");
        assert_eq!(endpoint.header("accept-post"), "application/sdp");
        let resource = server.send("OPTIONS", &format!("/whep/{NO_SESSION}/{NO_SESSION}"), &[], b"");
        assert!(matches!(resource.status, 200 | 204), "{resource:?}");
        assert_eq!(resource.header("accept-patch"), "application/trickle-ice-sdpfrag");
    }
}

#[test]
fn pages_of_other_origins_get_in_only_where_the_operator_lets_them() {
    let preflight = [
        ("origin", "https://player.example"),
        ("access-control-request-method", "POST"),
        ("access-control-request-headers", "content-type"),
    ];
    let path = format!("/whep/{NO_SESSION}");
    let closed = server();
    assert_eq!(closed.send("OPTIONS", &path, &preflight, b"").header("access-control-allow-origin"), "");
    let open = Server::start(&ServerOptions {
        flags: &["--allow-origin", "https://player.example"],
        ..ServerOptions::default()
    });
    let allowed = open.send("OPTIONS", &path, &preflight, b"");
    assert_eq!(allowed.header("access-control-allow-origin"), "https://player.example");
    assert!(allowed.header("access-control-allow-methods").contains("PATCH"), "{allowed:?}");
    let other = open.send("OPTIONS", &path, &[("origin", "https://evil.example"), preflight[1]], b"");
    assert_eq!(other.header("access-control-allow-origin"), "");
    let api = open.send("OPTIONS", "/api/sessions", &preflight, b"");
    assert_eq!(api.header("access-control-allow-origin"), "");
}

#[test]
fn a_name_that_points_to_loopback_is_not_answered() {
    server().send("GET", "/api/scenes", &[("host", "evil.example")], b"").assert_problem(421, "foreign_host");
}

#[test]
fn the_pages_may_load_nothing_from_elsewhere_and_are_asked_for_again_cheaply() {
    let server = server();
    for path in ["/", "/view/orbit", "/view/orbit/0"] {
        let page = server.get(path);
        assert_eq!((page.status, page.header("content-type")), (200, "text/html; charset=utf-8"), "{path}");
        let policy = page.header("content-security-policy");
        assert!(policy.contains("default-src 'none'") && policy.contains("script-src 'self'"), "{policy}");
        assert!(!policy.contains("unsafe"), "{policy}");
        assert_eq!(page.header("referrer-policy"), "no-referrer");
        let again = server.send("GET", path, &[("if-none-match", page.header("etag"))], b"");
        assert_eq!((again.status, again.text.as_str()), (304, ""));
    }
}

#[test]
fn metrics_count_requests_by_route_and_not_by_path() {
    let server = server();
    server.get(&format!("/api/sessions/{NO_SESSION}"));
    server.get("/some/path/that/somebody/made/up");
    let metrics = server.get("/api/metrics");
    assert!(metrics.header("content-type").starts_with("application/openmetrics-text"), "{metrics:?}");
    for line in [
        r#"scenecast_http_requests_total{method="GET",route="/api/sessions/{id}",status="404"} 1"#,
        r#"scenecast_http_requests_total{method="GET",route="other",status="404"} 1"#,
        "scenecast_sessions 0",
    ] {
        assert!(metrics.text.lines().any(|found| found == line), "{line} is missing in:\n{}", metrics.text);
    }
}

#[test]
fn a_server_that_nobody_uses_ends_in_order() {
    let mut server = server();
    assert_eq!(server.terminate().code(), Some(0));
}
