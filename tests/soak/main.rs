//! What the product survives: the real server with sessions and real viewers, to which a fault happens every few seconds, for as long as is
//! asked.
//!
//! [`faults`] is the list of what happens, each with what must come true afterwards; [`judge`] has what must hold after every one of them,
//! and what must be left when all is over. Everything is judged by what is there and what is said, never by how long it took on this
//! machine, except that nothing may take longer than [`patience::PATIENCE`]. How long it took is printed.
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    reason = "figures for people: bytes as mebibytes, and milliseconds of some minutes"
)]
#![allow(unreachable_pub, reason = "a program has no outside")]

mod api;
mod disk;
mod faults;
mod files;
mod judge;
mod log;
mod patience;
mod population;
mod processes;
mod report;
mod server;
mod stage;
mod trend;

use std::{
    io::Write as _,
    path::PathBuf,
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use clap::Parser;
use rand::seq::SliceRandom as _;

use crate::{
    faults::Fault,
    judge::{Leftovers, Observed},
    report::Report,
    server::Server,
    stage::Stage,
    trend::Trend,
};

/// A fault with all its recoveries; what takes longer is stuck, and the others are to have their turn.
const MAX_FAULT: Duration = Duration::from_mins(3);

/// Run the server with sessions and viewers, do it harm every few seconds, and say whether it came through
#[derive(Debug, Parser)]
#[command(name = "soak")]
struct Options {
    /// How long faults happen; the last one is judged to its end
    #[arg(long, default_value_t = 120)]
    seconds: u64,

    /// Sessions that are kept running, each with a viewer
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=100))]
    sessions: u16,

    /// What the order of the faults, their victims and their garbage are drawn from [default: a new one, which is printed]
    #[arg(long)]
    seed: Option<u64>,

    /// The time from one fault to the next; longer when a recovery takes longer
    #[arg(long, default_value_t = 2_000)]
    fault_every_ms: u64,

    /// Only faults that have this in their name
    #[arg(long, default_value = "", hide_default_value = true)]
    only: String,

    /// Print a line of JSON after the verdict
    #[arg(long)]
    json: bool,

    /// The binary under test
    #[arg(long, default_value = "target/release/scenecast")]
    scenecast: PathBuf,

    /// The built scenes, those of the folder `hostile` in it among them
    #[arg(long, default_value = "target/scenes")]
    scenes: PathBuf,

    /// Keep the server's log in this file
    #[arg(long, value_name = "FILE")]
    keep_log: Option<PathBuf>,
}

fn main() -> ExitCode {
    let options = Options::parse();
    // Before there is another thread, which would keep the old one.
    let mounts = disk::own_mounts();
    let outcome = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("no runtime")
        .and_then(|runtime| runtime.block_on(run(&options, mounts)));
    match outcome {
        Ok(report) => {
            let mut text = report.to_string();
            if options.json {
                text.push_str(&report.to_json());
                text.push('\n');
            }
            let _ = std::io::stdout().write_all(text.as_bytes());
            if report.failures().is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "soak: {error:#}");
            ExitCode::from(2)
        }
    }
}

async fn run(options: &Options, mounts: Result<disk::OwnMounts>) -> Result<Report> {
    let seed = options.seed.unwrap_or_else(rand::random);
    progress(&format!("seed {seed}"));
    processes::adopt_orphans()?;
    let server = Server::start(options, mounts).await?;
    let mut report = Report::new(seed, options.sessions, server.disk.as_ref().err().map(ToString::to_string));
    let mut stage = Stage::new(server, seed);
    // What is made at the first session and kept is there before anything is counted.
    stage.probe().await.context("before the first fault")?;
    report.observed.before = Observed::at_rest(&mut stage.server, None).await?;
    stage.children_at_rest = report.observed.before.children;
    stage.population.raise(&stage.server, options.sessions.into()).await.context("before the first fault")?;

    let trend = Trend::follow(stage.server.pid);
    let begun = Instant::now();
    let faults: Vec<Box<dyn Fault>> =
        faults::all(&stage).into_iter().filter(|fault| fault.name().contains(&options.only)).collect();
    anyhow::ensure!(!faults.is_empty(), "no fault has {:?} in its name", options.only);
    let mut round: Vec<&dyn Fault> = Vec::new();
    while begun.elapsed() < Duration::from_secs(options.seconds) {
        let Some(fault) = round.pop() else {
            round =
                faults.iter().flat_map(|fault| std::iter::repeat_n(&**fault, fault.per_round())).collect();
            round.shuffle(&mut stage.rng);
            continue;
        };
        let next = Instant::now() + Duration::from_millis(options.fault_every_ms);
        let outcome = tokio::time::timeout(MAX_FAULT, judge::strike(fault, &mut stage)).await;
        let outcome = outcome
            .unwrap_or_else(|_| Err(anyhow::anyhow!("it was not over after {} s", MAX_FAULT.as_secs())));
        progress(&match &outcome {
            Ok(recovery) => format!("{}: recovered after {} ms", fault.name(), recovery.whole.as_millis()),
            Err(error) => format!("{}: NOT RECOVERED: {error:#}", fault.name()),
        });
        let recovered = outcome.is_ok();
        report.note(fault.name(), begun.elapsed(), outcome);
        if stage.server.has_ended() {
            break;
        }
        if !recovered {
            let healed = stage.population.heal(&stage.server).await;
            if let Err(error) = healed {
                report.note("sessions started again", begun.elapsed(), Err(error));
                break;
            }
        }
        tokio::time::sleep_until(next.into()).await;
    }
    report.duration = begun.elapsed();
    report.trend = trend.finish().await;
    report.scene_ends = std::mem::take(&mut stage.scene_ends);
    finish(stage, options, &mut report).await?;
    Ok(report)
}

/// Ends everything, and looks at what is left.
async fn finish(stage: Stage, options: &Options, report: &mut Report) -> Result<()> {
    let Stage { mut server, population, .. } = stage;
    if server.has_ended() {
        report.broker_restarts = 1;
    } else {
        population.end(&server).await;
        report.observed.after = Observed::at_rest(&mut server, Some(&report.observed.before)).await?;
    }
    let cgroups = std::mem::take(&mut report.trend.cgroups);
    report.leftovers = Leftovers::after(&mut server, cgroups).await?;
    report.complaints = server.log.complaints();
    if let Some(path) = &options.keep_log {
        std::fs::copy(server.log.path(), path)
            .with_context(|| format!("the log cannot be kept in {}", path.display()))?;
    }
    Ok(())
}

/// Tells whoever waits what happens.
fn progress(line: &str) {
    let _ = writeln!(std::io::stderr(), "soak: {line}");
}
