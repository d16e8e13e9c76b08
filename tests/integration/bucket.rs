//! Scenes in a bucket that servers share, and a bucket that is away. The bucket is that of moto, a server which answers as Amazon's does.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    path::Path,
    process::{Child, Command, Stdio},
};

use serde_json::json;

use crate::{
    binary,
    support::{Server, ServerOptions, wait_for},
};

/// A running store of buckets. Killed when dropped.
struct Store {
    child: Child,
    endpoint: String,
}

impl Store {
    /// None where its program could not be installed, which is said.
    fn start() -> Option<Self> {
        let program = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap().join("python/bin/moto_server");
        if !program.exists() {
            let program = program.display();
            let _ = writeln!(std::io::stderr(), "SKIPPED: no bucket was used, because {program} is missing");
            return None;
        }
        let mut command = Command::new(program);
        command.args(["-H", "127.0.0.1", "-p", "0"]).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
        let endpoint = lines.find_map(|line| line.split_once("Running on ").map(|(_, url)| url.to_owned()));
        // It goes on to log each request.
        std::thread::spawn(move || lines.for_each(drop));
        Some(Self { child, endpoint: endpoint.expect("it says where it is") })
    }

    fn make_bucket(&self, name: &str) {
        let made = ureq::put(format!("{}/{name}", self.endpoint)).send_empty().unwrap();
        assert_eq!(made.status(), 200);
    }

    /// The names of what is in the bucket, as XML.
    fn objects(&self, bucket: &str) -> String {
        let listed = ureq::get(format!("{}/{bucket}?list-type=2", self.endpoint)).call();
        listed.unwrap().body_mut().read_to_string().unwrap()
    }

    fn server(&self, url: &str, cache: &Path) -> Server {
        let environment = [
            ("AWS_ENDPOINT", self.endpoint.as_str()),
            ("AWS_ALLOW_HTTP", "true"),
            ("AWS_REGION", "us-east-1"),
            ("AWS_ACCESS_KEY_ID", "somebody"),
            ("AWS_SECRET_ACCESS_KEY", "anything"),
        ];
        Server::start(&ServerOptions {
            built_scenes: &["triangle"],
            cache: Some(cache),
            flags: &["--scene-store", url],
            environment: &environment,
            ..ServerOptions::default()
        })
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn servers_that_share_a_bucket_have_the_same_scenes() {
    let Some(store) = Store::start() else { return };
    store.make_bucket("shared");
    let caches = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let [one, other] = [0, 1].map(|which| store.server("s3://shared/of/scenecast", caches[which].path()));
    let scene = std::fs::read(binary::scene("orbit")).unwrap();
    let uploaded = one.upload("An%20orbit", &scene);
    assert_eq!(uploaded.status, 201, "{uploaded:?}");
    let id = uploaded.json()["id"].as_str().unwrap().to_owned();
    assert!(store.objects("shared").contains(&format!("of/scenecast/components/{id}.wasm")));

    assert_eq!(other.get(&format!("/api/scenes/{id}")).json()["name"], "An orbit");
    assert_eq!(other.upload("again", &scene).status, 200);
    let session = other.running_session(&id);
    wait_for("its picture", || {
        (one.get(&format!("/api/scenes/{id}/thumbnail.png")).status == 200).then_some(())
    });

    assert_eq!(one.delete(&format!("/api/scenes/{id}")).status, 204);
    other.get(&format!("/api/scenes/{id}")).assert_problem(404, "unknown_scene");
    other.post_json("/api/sessions", &json!({ "scene": id })).assert_problem(404, "unknown_scene");
    assert_eq!(other.session(&session)["state"], "running");
    // Where its picture was still being made, they go with that.
    wait_for("its bytes to go", || (!store.objects("shared").contains(&id)).then_some(()));
}

#[test]
fn the_bytes_of_a_deleted_scene_leave_the_bucket_with_its_last_session_also_when_that_ends_with_the_server() {
    let Some(store) = Store::start() else { return };
    store.make_bucket("one");
    let cache = tempfile::tempdir().unwrap();
    let mut server = store.server("s3://one", cache.path());
    let uploaded = server.upload("orbit", &std::fs::read(binary::scene("orbit")).unwrap());
    let id = uploaded.json()["id"].as_str().unwrap().to_owned();
    server.running_session(&id);
    assert_eq!(server.delete(&format!("/api/scenes/{id}")).status, 204);
    assert!(store.objects("one").contains(&format!("components/{id}.wasm")));
    assert!(server.terminate().success());
    assert!(!store.objects("one").contains(&id), "{}", store.objects("one"));
}

#[test]
fn without_its_bucket_a_server_says_so_and_runs_the_scenes_of_its_folder() {
    let Some(mut store) = Store::start() else { return };
    // The store is there, and the bucket is not.
    let cache = tempfile::tempdir().unwrap();
    let server = store.server("s3://missing", cache.path());
    let away = || {
        let problem = server.get("/api/scenes").assert_problem(503, "store_unavailable");
        assert!(problem["detail"].as_str().unwrap().contains("store of uploaded scenes"), "{problem}");
    };
    away();
    assert_eq!(server.get("/api/scenes").header("retry-after"), "10");
    wait_for("the log to say what to do", || server.log().contains("look at --scene-store").then_some(()));
    server.running_session("triangle");

    // Now it is, and the server needs no new start.
    store.make_bucket("missing");
    let uploaded = server.upload("orbit", &std::fs::read(binary::scene("orbit")).unwrap());
    assert_eq!(uploaded.status, 201, "{uploaded:?}");
    assert_eq!(server.get("/api/scenes").json().as_array().unwrap().len(), 2);

    store.child.kill().unwrap();
    store.child.wait().unwrap();
    away();
    assert_eq!(server.get("/api/scenes/triangle").status, 200);
    assert_eq!(server.get("/api/health").status, 200);
    server.running_session("triangle");
}
