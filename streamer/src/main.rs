//! The binary `scenecast`: what the command line says, and which of the two crates does it.
//!
//! Only here the broker (`streamer`) and the renderer meet, and only as processes: `serve` starts this binary again as `worker`
//! and `compile`.

mod bench;
mod cli;
mod compile;
mod headless;
mod logging;
mod renderer_entry;

use std::{
    io::Write,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::net::UnixStream,
    },
    path::Path,
    process::ExitCode,
    time::{Duration, Instant},
};

use clap::{CommandFactory, Parser, error::ErrorKind};
use cli::{Bench, Cli, Command, Serve};
use renderer_cell::{CellConfig, EnterError};
use renderer_entry::Pace;
use renderer_protocol::handover::FileTaker;
use streamer::{
    compiler::Cache,
    config::Settings,
    server::{self, ServeError, Stop},
};
use tokio::signal::unix::{Signal, SignalKind, signal};

fn main() -> ExitCode {
    let cli = Cli::try_parse().unwrap_or_else(|error| {
        let _ = error.print();
        std::process::exit(if error.use_stderr() { usage_status() } else { 0 })
    });
    match cli.command {
        Command::Serve(serve) => run_serve(*serve),
        Command::Render(render) => headless::render(&render),
        Command::Check { scene, json } => headless::check(&scene, json),
        Command::Worker { memory_bytes } => run_worker(memory_bytes),
        Command::Compile { cache, memory_bytes, cpu_seconds, require_sandbox, identify } => {
            let cell = CellConfig::compiler(&Cache::folder_in(&cache), memory_bytes, cpu_seconds);
            let task = if identify { Task::Identify } else { Task::Compile };
            run_compile(task, &cache, &cell, require_sandbox)
        }
        Command::Bench { bench } => run_bench(bench),
    }
}

/// The status of a usage error: of `render` and `check` a 2 is the scene's fault, so theirs is 3.
fn usage_status() -> i32 {
    let command = std::env::args().nth(1);
    if matches!(command.as_deref(), Some("render" | "check")) { headless::ENVIRONMENT.into() } else { 2 }
}

fn run_serve(Serve { config: file, settings }: Serve) -> ExitCode {
    let settings = match file.as_deref().map(Settings::read).transpose() {
        Ok(file) => settings.or(file.unwrap_or_default()),
        Err(error) => usage_error(&error),
    };
    if let Err(error) = logging::for_server(settings.log.as_deref(), settings.log_format.unwrap_or_default())
    {
        usage_error(&error);
    }
    let config = settings.resolve().unwrap_or_else(|error| usage_error(&error));
    match serve(config) {
        Err(error) if error.downcast_ref().is_some_and(|error| matches!(error, ServeError::Access(_))) => {
            usage_error(&error)
        }
        result => report(result),
    }
}

#[tokio::main]
async fn serve(config: streamer::config::Config) -> anyhow::Result<()> {
    let signals = [signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?];
    let ready = |ready: &server::Ready| {
        // Whoever started us may have closed our output; that is no reason not to serve.
        let _ = writeln!(std::io::stdout(), "Scenecast is ready: open {}", ready.address);
        if let Some(note) = ready.note {
            let _ = writeln!(std::io::stdout(), "{note}");
        }
    };
    server::run(config, ready, first_signal(signals)).await?;
    Ok(())
}

/// Signals within this time are one: `timeout` and service managers send theirs to the process and to its group.
const SAME_SIGNAL: Duration = Duration::from_millis(500);

/// Completes at the first SIGTERM, which lets sessions go on for a while, or SIGINT, which does not; the second one of either ends
/// the process at once.
async fn first_signal([mut interrupt, mut terminate]: [Signal; 2]) -> Stop {
    let next = async |interrupt: &mut Signal, terminate: &mut Signal| {
        tokio::select! {
            _ = interrupt.recv() => Stop::Now,
            _ = terminate.recv() => Stop::Drain,
        }
    };
    let stop = next(&mut interrupt, &mut terminate).await;
    let same_until = Instant::now() + SAME_SIGNAL;
    tokio::spawn(async move {
        loop {
            // What has come already belongs to the first, also if this runs late.
            tokio::select! {
                biased;
                _ = next(&mut interrupt, &mut terminate) => {}
                () = tokio::time::sleep_until(same_until.into()) => break,
            }
        }
        next(&mut interrupt, &mut terminate).await;
        tracing::warn!("second signal: sessions are not waited for");
        std::process::exit(130);
    });
    stop
}

fn run_worker(memory_bytes: u64) -> ExitCode {
    let cell = match renderer_cell::enter(&CellConfig::worker(memory_bytes)) {
        Ok(cell) => cell,
        Err(error) => return no_cell(&error),
    };
    logging::for_child();
    // The broker gives one end of each of its socket pairs: for messages as standard input, for the scene as standard output.
    let sockets = (connected(std::io::stdin().as_fd()), connected(std::io::stdout().as_fd()));
    if let (Ok(broker), Ok(artifact)) = sockets {
        renderer_entry::worker(broker, FileTaker::from(OwnedFd::from(artifact)), cell)
    } else {
        say(
            "`scenecast worker` is started by `scenecast serve`, which gives it its sockets; it cannot be used by hand",
        );
        ExitCode::from(2)
    }
}

fn connected(descriptor: BorrowedFd<'_>) -> std::io::Result<UnixStream> {
    let socket = UnixStream::from(descriptor.try_clone_to_owned()?);
    socket.peer_addr()?;
    Ok(socket)
}

fn run_bench(bench: Bench) -> ExitCode {
    logging::for_child();
    report(match bench {
        Bench::Pipeline { scene, size, frames, frame_rate, json } => {
            renderer_entry::bench_pipeline(&scene, size, Pace { frames, frame_rate_hz: frame_rate }, json)
        }
        Bench::Hostcalls { guest, rounds, only, json } => {
            renderer_entry::bench_hostcalls(&guest, rounds, only, json)
        }
    })
}

/// What a compiler process is for.
#[derive(Clone, Copy)]
enum Task {
    Identify,
    Compile,
}

fn run_compile(task: Task, cache: &Path, cell: &CellConfig, is_sandbox_required: bool) -> ExitCode {
    // The rule for a folder is made of a folder that is there. If it cannot be made, the report will say so.
    let _ = Cache::open(cache);
    let cell = match renderer_cell::enter(cell) {
        Ok(cell) => cell,
        Err(error) => return no_cell(&error),
    };
    // What is lacking for any process the first worker has told the broker. Nothing of the input has been read yet.
    if let Some(missing) = cell.missing().next().filter(|_| is_sandbox_required) {
        say(&format!(
            "--require-sandbox is set and the compiler has no {}: {}",
            missing.part, missing.reason
        ));
        return ExitCode::FAILURE;
    }
    logging::for_child();
    let reported = match task {
        Task::Identify => renderer_entry::identify(),
        Task::Compile => renderer_entry::compile(cache),
    };
    report(reported.and_then(|report| {
        let mut line = serde_json::to_string(&report)?;
        line.push('\n');
        std::io::stdout().write_all(line.as_bytes())?;
        Ok(())
    }))
}

/// A process that cannot enter its cell meets no scene.
fn no_cell(error: &EnterError) -> ExitCode {
    say(&format!("the process cannot be confined: {error}"));
    ExitCode::FAILURE
}

fn report(result: anyhow::Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}

/// One line on standard error, with our name before it.
fn say(sentence: &str) {
    // There is nobody to tell when this fails.
    let _ = writeln!(std::io::stderr(), "scenecast: {sentence}");
}

/// As clap reports its own: status 2, and where help is.
fn usage_error(error: &impl std::fmt::Display) -> ! {
    let mut command = Cli::command();
    command.build();
    // All of these are about settings of the server.
    match command.find_subcommand_mut("serve") {
        Some(serve) => serve.error(ErrorKind::ValueValidation, error).exit(),
        None => command.error(ErrorKind::ValueValidation, error).exit(),
    }
}
