//! What a session's worst does to the pictures of the others: a server, sessions of `orbit` that are watched and kept moving, and one
//! more that runs a hostile scene, or a heavy one. Prints the others' frame intervals before and during, their ratio, and for how many
//! scenes they stayed as they were.
//!
//!     target/release/neighbours target/scenes/hostile/*.wasm
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "a program for measuring, which fails by panicking"
)]

mod first_picture;
mod intervals;
mod server;
mod verdict;

use std::{path::PathBuf, time::Duration};

use clap::Parser;
use serde_json::json;
use tests::viewer::{Joining, Viewer};
use tokio::time::{Instant, sleep, sleep_until, timeout, timeout_at};

use intervals::Intervals;
use server::Server;
use verdict::Verdict;

/// How long a session that has just been started is left to itself before anything is measured.
const SETTLING: Duration = Duration::from_secs(2);

#[derive(Parser)]
struct Arguments {
    /// The scenes that do their worst, one after the other
    hostile: Vec<PathBuf>,

    /// The folder with `orbit` and `triangle`
    #[arg(long, default_value = "target/scenes")]
    scenes: PathBuf,

    /// The server
    #[arg(long, default_value = "target/release/scenecast")]
    server: PathBuf,

    /// A further flag of the server; repeatable
    #[arg(long, allow_hyphen_values = true)]
    flag: Vec<String>,

    /// Give the server no control groups (needs root, and util-linux)
    #[arg(long)]
    without_cgroups: bool,

    /// Sessions that are watched
    #[arg(long, default_value_t = 4)]
    sessions: usize,

    /// Their width
    #[arg(long, default_value_t = 640)]
    width: u32,

    /// Their height
    #[arg(long, default_value_t = 352)]
    height: u32,

    /// Their pictures a second
    #[arg(long, default_value_t = 30)]
    fps: u32,

    /// How long each is measured, before and during
    #[arg(long, default_value_t = 10)]
    seconds: u64,

    /// How often a minute the worst is started again at most; as `--sessions-per-minute` of the server, which lets this machine ask as
    /// often as it likes
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..))]
    starts_per_minute: u32,

    /// A tick of the scheduler, in milliseconds: the others' p99 may grow by this and a tenth
    #[arg(long, default_value_t = 4.0)]
    tick_ms: f64,

    /// Measure so many times how long a first picture takes with and without a worker that waits, and nothing else
    #[arg(long, value_name = "ROUNDS")]
    first_picture: Option<usize>,
}

/// What is started beside the others.
struct Worst {
    name: String,
    scene: String,
    width: u32,
    height: u32,
    fps: u32,
}

#[tokio::main]
async fn main() {
    let arguments = Arguments::parse();
    let start = |flags: &[String]| {
        Server::start(
            &arguments.server,
            &arguments.scenes,
            &arguments.hostile,
            flags,
            arguments.without_cgroups,
        )
    };
    if let Some(rounds) = arguments.first_picture {
        let warm = |count: &str| start(&["--warm-workers".to_owned(), count.to_owned()]);
        return first_picture::compare(&warm("0"), &warm("1"), rounds).await;
    }
    let server = start(&arguments.flag);
    let length = Duration::from_secs(arguments.seconds);
    let mut watching = Vec::new();
    for _ in 0..arguments.sessions {
        let viewer = watch(&server, "orbit", arguments.width, arguments.height, arguments.fps).await;
        watching.push(viewer.expect("a session of orbit").1);
    }
    let Arguments { sessions, width, height, fps, .. } = arguments;
    println!(
        "{sessions} sessions of orbit, {width}x{height} at {fps}/s, {}; milliseconds between pictures as they arrive [and by their time stamps]",
        if arguments.without_cgroups {
            "without control groups"
        } else {
            "with control groups where they can be had"
        }
    );
    println!(
        "{:<28} {:>26} {:>26} {:>9}  starts",
        "", "before: p50 p99 max", "during: p50 p99 max", "p99 ratio"
    );
    sleep(SETTLING).await;
    let start_interval = Duration::from_mins(1) / arguments.starts_per_minute;
    let mut verdict = Verdict::new(arguments.tick_ms);
    for worst in worst_of(&arguments.hostile) {
        let before = measure(&watching, length).await;
        let (during, starts) = tokio::join!(
            async {
                sleep(SETTLING).await;
                measure(&watching, length).await
            },
            keep_running(&server, &worst, SETTLING + length, start_interval)
        );
        let ratio = during.arrival.p99 / before.arrival.p99;
        println!(
            "{:<28} {:>26} {:>26} {ratio:>9.2}  {starts}\n{:<28} {:>26} {:>26} {:>9.2}",
            worst.name,
            before.arrival.to_string(),
            during.arrival.to_string(),
            "",
            format!("[{}]", before.stamps),
            format!("[{}]", during.stamps),
            during.stamps.p99 / before.stamps.p99,
        );
        verdict.add(&worst.name, &before.arrival, &during.arrival);
        sleep(SETTLING).await;
    }
    println!("{verdict}");
}

/// The hostile scenes, and two that do nothing wrong and want more than there is.
fn worst_of(hostile: &[PathBuf]) -> Vec<Worst> {
    let small = |name: &str| Worst {
        name: name.to_owned(),
        scene: name.to_owned(),
        width: 640,
        height: 352,
        fps: 120,
    };
    let large = |name: &str| Worst {
        name: format!("{name} 1920x1072 at 120/s"),
        width: 1920,
        height: 1072,
        ..small(name)
    };
    let mut all = vec![large("orbit"), large("triangle")];
    all.extend(hostile.iter().map(|path| small(&server::name_of(path))));
    all
}

/// A session and somebody who watches it and holds a key down, so that every picture differs.
async fn watch(
    server: &Server,
    scene: &str,
    width: u32,
    height: u32,
    fps: u32,
) -> Result<(String, Viewer), String> {
    let asked = json!({ "scene": scene, "width": width, "height": height, "frame_rate_hz": fps });
    let id = server.create(&asked).await?;
    let joining =
        Joining { origin: server.origin.clone(), whep: format!("/whep/{id}"), ..Joining::default() };
    let viewer = match Viewer::join(joining).await {
        Ok(viewer) => viewer,
        Err(error) => return Err(format!("{error:?}")),
    };
    viewer.send(&json!({ "type": "focus", "seq": 1, "focused": true })).await;
    viewer.send(&json!({ "type": "key-down", "seq": 2, "code": "ArrowRight" })).await;
    Ok((id, viewer))
}

/// Runs it again and again, for it may end early, and no more often than an address may. How often it was started.
async fn keep_running(server: &Server, worst: &Worst, length: Duration, start_interval: Duration) -> u32 {
    let until = Instant::now() + length;
    let mut starts = 0;
    while Instant::now() < until {
        starts += 1;
        let next_start = Instant::now() + start_interval;
        let running = watch(server, &worst.scene, worst.width, worst.height, worst.fps);
        if let Ok(Ok((id, mut viewer))) = timeout(length, running).await {
            let _ = timeout_at(until, viewer.see("its end", |seen| seen.ended.is_some())).await;
            server.delete(&id).await;
        }
        sleep_until(next_start.min(until)).await;
    }
    starts
}

struct Measured {
    arrival: Intervals,
    stamps: Intervals,
}

async fn measure(watching: &[Viewer], length: Duration) -> Measured {
    let from = std::time::Instant::now();
    sleep(length).await;
    let (mut arrival, mut stamps) = (Vec::new(), Vec::new());
    for viewer in watching {
        viewer.look(|seen| {
            let pictures: Vec<_> = seen.last_pictures.iter().filter(|picture| picture.at > from).collect();
            for pair in pictures.windows(2) {
                arrival.push(pair[1].at.duration_since(pair[0].at).as_secs_f64() * 1e3);
                stamps.push(f64::from(pair[1].rtp_timestamp.wrapping_sub(pair[0].rtp_timestamp)) / 90.0);
            }
        });
    }
    Measured { arrival: Intervals::of(arrival), stamps: Intervals::of(stamps) }
}
