//! How long somebody waits who asks for a session: from the request until the first picture has arrived.

use std::time::{Duration, Instant};

use serde_json::json;
use tests::viewer::{Joining, Viewer};
use tokio::time::sleep;

use crate::server::Server;

/// Between two sessions, so that another worker can be started meanwhile.
const PAUSE: Duration = Duration::from_secs(3);

/// Measures a server without and one with a worker that waits, in turns. The first round, which compiles the scene, does not count.
pub(crate) async fn compare(without: &Server, with: &Server, rounds: usize) {
    let mut times = [Vec::new(), Vec::new()];
    for round in 0..=rounds {
        for (server, times) in [without, with].into_iter().zip(&mut times) {
            sleep(PAUSE).await;
            let took = first_picture(server).await;
            if round > 0 {
                times.push(took);
            }
        }
    }
    for (name, mut times) in ["no worker waits", "a worker waits"].into_iter().zip(times) {
        times.sort();
        let (median, worst) = (times[times.len() / 2], times[times.len() - 1]);
        println!(
            "{name}: request to first picture {} ms in the median, {} ms at most",
            median.as_millis(),
            worst.as_millis()
        );
    }
}

async fn first_picture(server: &Server) -> Duration {
    let asked = json!({ "scene": "orbit", "width": 1280, "height": 720, "frame_rate_hz": 30 });
    let began = Instant::now();
    let id = server.create(&asked).await.expect("a session");
    let joining =
        Joining { origin: server.origin.clone(), whep: format!("/whep/{id}"), ..Joining::default() };
    let mut viewer = Viewer::join(joining).await.expect("a viewer");
    let seen = viewer.see("the first picture", |seen| seen.pictures > 0).await;
    let first = seen.last_pictures.front().expect("it was waited for").at;
    server.delete(&id).await;
    first.duration_since(began)
}
