//! The `OpenAPI` document against the server that gives it: each operation is called with good and bad input, and each answer is one that
//! the document describes.

use std::{cell::RefCell, collections::BTreeSet};

use serde_json::{Value, json};
use tests::viewer::{h264_offer, offer_of};

use crate::{
    binary,
    support::{Reply, Server, ServerOptions, wait_for},
};

const NO_SESSION: &str = "00000000000000000000000000000000";
const WASM: (&str, &str) = ("content-type", "application/wasm");
const JSON: (&str, &str) = ("content-type", "application/json");
const SDP: (&str, &str) = ("content-type", "application/sdp");
const TRICKLE: (&str, &str) = ("content-type", "application/trickle-ice-sdpfrag");

/// A server, its document, and what was asked of it.
struct Described {
    server: Server,
    document: Value,
    /// Operations that succeeded.
    succeeded: RefCell<BTreeSet<String>>,
}

impl Described {
    fn new() -> Self {
        let server =
            Server::start(&ServerOptions { built_scenes: &["triangle"], ..ServerOptions::default() });
        let document = server.get("/api/openapi.json").json();
        Self { server, document, succeeded: RefCell::default() }
    }

    /// Calls an operation and holds its answer against the document. `path` is the document's, followed by what stands for its names.
    fn call(&self, method: &str, path: &str, names: &[&str], headers: &[(&str, &str)], body: &[u8]) -> Reply {
        let operation = &self.document["paths"][path.split('?').next().unwrap()][method.to_lowercase()];
        assert!(operation.is_object(), "{method} {path} is not in the document");
        let mut names = names.iter();
        let filled: Vec<String> =
            path.split('/')
                .map(|part| {
                    if part.starts_with('{') { (*names.next().unwrap()).to_owned() } else { part.to_owned() }
                })
                .collect();
        let reply = self.server.send(method, &filled.join("/"), headers, body);
        self.check(&format!("{method} {path}"), operation, &reply);
        if reply.status < 300 {
            self.succeeded.borrow_mut().insert(operation["operationId"].as_str().unwrap().to_owned());
        }
        reply
    }

    fn check(&self, call: &str, operation: &Value, reply: &Reply) {
        let response = &operation["responses"][reply.status.to_string()];
        assert!(response.is_object(), "{call}: the document has no status {}\n{}", reply.status, reply.text);
        let content_type = reply.header("content-type");
        let Some(contents) = response["content"].as_object() else {
            assert!(reply.bytes.is_empty(), "{call}: {} with a body: {reply:?}", reply.status);
            return;
        };
        let content = contents.get(content_type);
        let content =
            content.unwrap_or_else(|| panic!("{call}: the document has no {content_type:?}: {response}"));
        if content_type.ends_with("json") {
            let mut schema = content["schema"].clone();
            schema["components"] = self.document["components"].clone();
            let validator = jsonschema::validator_for(&schema).unwrap();
            let errors: Vec<String> = validator
                .iter_errors(&reply.json())
                .map(|error| format!("{}: {error}", error.instance_path()))
                .collect();
            assert_eq!(errors, [""; 0], "{call}: {}", reply.text);
        }
        if content_type == "application/problem+json" {
            let code = reply.json()["code"].as_str().unwrap().to_owned();
            let described = response["description"].as_str().unwrap();
            assert!(described.contains(&format!("`{code}`")), "{call}: {code} is not among {described}");
        }
    }
}

#[test]
fn every_answer_is_one_that_the_document_describes() {
    let api = Described::new();
    let scene = std::fs::read(binary::scene("triangle")).unwrap();
    let core_module = wat::parse_str(include_str!("../fixtures/core_module.wat")).unwrap();
    let text = ("content-type", "text/plain");
    let status = |reply: Reply| reply.status;

    assert_eq!(status(api.call("GET", "/api/health", &[], &[], b"")), 200);
    assert_eq!(status(api.call("GET", "/api/openapi.json", &[], &[], b"")), 200);
    assert_eq!(status(api.call("GET", "/api/metrics", &[], &[], b"")), 200);
    assert_eq!(status(api.call("GET", "/api/whoami", &[], &[], b"")), 200);
    assert_eq!(status(api.call("GET", "/api/health", &[], &[("host", "evil.example")], b"")), 421);
    assert_eq!(status(api.call("GET", "/api/scenes", &[], &[("host", "evil.example")], b"")), 421);

    let uploaded = api.call("POST", "/api/scenes?name=Triangle", &[], &[WASM], &scene);
    let id = uploaded.json()["id"].as_str().unwrap().to_owned();
    assert_eq!(status(api.call("POST", "/api/scenes", &[], &[WASM], &scene)), 200);
    assert_eq!(status(api.call("POST", "/api/scenes?nmae=x", &[], &[WASM], &scene)), 400);
    assert_eq!(status(api.call("POST", "/api/scenes", &[], &[text], &scene)), 415);
    assert_eq!(
        status(api.call("POST", "/api/scenes", &[], &[WASM, ("content-encoding", "gzip")], &scene)),
        415
    );
    assert_eq!(status(api.call("POST", "/api/scenes", &[], &[WASM], &core_module)), 422);
    assert_eq!(status(api.call("POST", "/api/scenes", &[], &[WASM], &vec![0; (32 << 20) + 1])), 413);
    assert_eq!(status(api.call("GET", "/api/scenes", &[], &[], b"")), 200);
    let (scene_path, thumbnail) = ("/api/scenes/{id}", "/api/scenes/{id}/thumbnail.png");
    assert_eq!(status(api.call("GET", scene_path, &["triangle"], &[], b"")), 200);
    assert_eq!(status(api.call("GET", scene_path, &["nothing"], &[], b"")), 404);
    assert_eq!(status(api.call("GET", thumbnail, &["nothing"], &[], b"")), 404);
    wait_for("a picture", || {
        (status(api.call("GET", thumbnail, &["triangle"], &[], b"")) == 200).then_some(())
    });
    assert_eq!(status(api.call("DELETE", scene_path, &["triangle"], &[], b"")), 403);
    assert_eq!(status(api.call("DELETE", scene_path, &["nothing"], &[], b"")), 404);

    let sessions = "/api/sessions";
    for (body, expected) in [
        (json!({"scene": "nothing"}), 404),
        (json!({"scene": "triangle", "size": "wide"}), 400),
        (json!({"widht": 3}), 400),
        (json!({"scene": "x".repeat(20_000)}), 413),
    ] {
        assert_eq!(status(api.call("POST", sessions, &[], &[JSON], body.to_string().as_bytes())), expected);
    }
    assert_eq!(status(api.call("POST", sessions, &[], &[text], b"{}")), 415);
    let created =
        api.call("POST", sessions, &[], &[JSON], json!({"scene": id, "fps": 10}).to_string().as_bytes());
    let session = created.json()["id"].as_str().unwrap().to_owned();
    assert_eq!(status(api.call("GET", sessions, &[], &[], b"")), 200);
    let (one, screenshot, log) =
        ("/api/sessions/{id}", "/api/sessions/{id}/screenshot.png", "/api/sessions/{id}/log");
    for path in [one, screenshot, log] {
        assert_eq!(status(api.call("GET", path, &[NO_SESSION], &[], b"")), 404);
    }
    assert_eq!(status(api.call("GET", one, &[&session], &[], b"")), 200);
    assert_eq!(status(api.call("GET", log, &[&session], &[], b"")), 200);
    wait_for("a screenshot", || {
        (status(api.call("GET", screenshot, &[&session], &[], b"")) == 200).then_some(())
    });

    let (grants, grant) = ("/api/sessions/{id}/grants", "/api/sessions/{id}/grants/{grant}");
    assert_eq!(status(api.call("POST", grants, &[NO_SESSION], &[JSON], b"{}")), 404);
    assert_eq!(status(api.call("POST", grants, &[&session], &[JSON], br#"{"role":"admin"}"#)), 400);
    let granted = api.call("POST", grants, &[&session], &[JSON], br#"{"role":"viewer","seconds":60}"#);
    let granted = granted.json()["id"].as_str().unwrap().to_owned();
    assert_eq!(status(api.call("DELETE", grant, &[&session, &granted], &[], b"")), 204);
    assert_eq!(status(api.call("DELETE", grant, &[&session, &granted], &[], b"")), 404);

    let (endpoint, resource) = ("/whep/{session}", "/whep/{session}/{viewer}");
    assert!(matches!(status(api.call("OPTIONS", endpoint, &[&session], &[], b"")), 200 | 204));
    assert!(matches!(status(api.call("OPTIONS", resource, &[&session, NO_SESSION], &[], b"")), 200 | 204));
    assert_eq!(status(api.call("POST", endpoint, &[NO_SESSION], &[SDP], b"v=0\r\n")), 404);
    assert_eq!(status(api.call("POST", endpoint, &[&session], &[SDP], b"v=0\r\n")), 400);
    assert_eq!(status(api.call("POST", endpoint, &[&session], &[text], b"v=0\r\n")), 415);
    assert_eq!(
        status(api.call("POST", endpoint, &[&session], &[SDP], offer_of("96", "VP8/90000").as_bytes())),
        422
    );
    let joined = api.call("POST", endpoint, &[&session], &[SDP], h264_offer().as_bytes());
    let viewer = joined.header("location").rsplit('/').next().unwrap().to_owned();
    let fragment = b"a=ice-ufrag:abcd\r\na=ice-pwd:abcdefghijklmnopqrstuv\r\nm=video 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:0\r\n\
                     a=candidate:1 1 UDP 2130706431 127.0.0.1 9 typ host\r\n";
    assert_eq!(status(api.call("PATCH", resource, &[&session, &viewer], &[TRICKLE], fragment)), 204);
    assert_eq!(status(api.call("PATCH", resource, &[&session, NO_SESSION], &[TRICKLE], fragment)), 404);
    assert_eq!(status(api.call("DELETE", resource, &[&session, &viewer], &[], b"")), 200);
    assert_eq!(status(api.call("DELETE", resource, &[&session, &viewer], &[], b"")), 404);

    assert_eq!(status(api.call("DELETE", one, &[&session], &[], b"")), 204);
    assert_eq!(status(api.call("DELETE", one, &[NO_SESSION], &[], b"")), 404);
    assert_eq!(status(api.call("GET", screenshot, &[&session], &[], b"")), 410);
    assert_eq!(status(api.call("POST", endpoint, &[&session], &[SDP], b"v=0\r\n")), 410);
    assert_eq!(status(api.call("DELETE", scene_path, &[&id], &[], b"")), 204);

    // Nothing of the document was left out.
    let paths = api.document["paths"].as_object().unwrap();
    let operations = paths.values().flat_map(|path| path.as_object().unwrap().values());
    let all: BTreeSet<String> =
        operations.map(|operation| operation["operationId"].as_str().unwrap().to_owned()).collect();
    assert_eq!(*api.succeeded.borrow(), all);
}

#[test]
fn a_path_of_the_document_has_the_methods_that_the_document_says_and_no_others() {
    let api = Described::new();
    for (path, item) in api.document["paths"].as_object().unwrap() {
        let filled =
            path.replace("{id}", NO_SESSION).replace("{session}", NO_SESSION).replace("{viewer}", NO_SESSION);
        let refused = api.server.send("PUT", &filled, &[], b"");
        refused.assert_problem(405, "method_not_allowed");
        // GET serves HEAD, too.
        let allowed: BTreeSet<String> = refused
            .header("allow")
            .split(',')
            .map(|method| method.trim().to_lowercase())
            .filter(|method| method != "head")
            .collect();
        let documented: BTreeSet<String> = item.as_object().unwrap().keys().cloned().collect();
        assert_eq!(allowed, documented, "{path}");
    }
}

#[test]
fn the_document_is_openapi_3_1_with_a_security_scheme() {
    let document = Described::new().document;
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"), "{document}");
    assert_eq!(document["components"]["securitySchemes"]["bearer"]["scheme"], "bearer");
    for name in ["Scene", "Session", "Problem", "SessionLog"] {
        assert!(document["components"]["schemas"][name].is_object(), "{name} is missing");
    }
}
