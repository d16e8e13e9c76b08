//! WASI for scenes, deny by default: clocks and random that the host controls, output to the scene's log, and nothing else.
//!
//! The standard libraries of most languages import all of `wasi:cli`, so all of it is offered, of 0.2 and of 0.3, and there is
//! nothing behind what a scene must not have. No directory is open, so there is no path to a file. The environment, the arguments and
//! standard input are empty. A socket is refused when it is asked for, before the system is, and no name is looked up.

mod clocks;
mod output;

use std::sync::Arc;

use rand::{SeedableRng as _, rngs::StdRng};
use renderer_protocol::{LogLine, LogSource};
use wasmtime::component::Linker;
use wasmtime_wasi::{
    WasiCtx, WasiView,
    cli::{WasiCli, WasiCliView as _},
    filesystem::{WasiFilesystem, WasiFilesystemView as _},
    p2, p3,
    random::{WasiRandom, WasiRandomView as _},
    sockets::{WasiSockets, WasiSocketsView as _},
};
use wasmtime_wasi_io::IoView;

pub use clocks::{ClocksCtxView, ClocksView, SceneClocks};
use output::Output;

/// The most that one call of WASI 0.2 may ask for: it has no way to return less, and the host is busy for a few milliseconds with so
/// much. A call of 0.3 that asks for more is given so much.
const MAX_RANDOM_BYTES: u64 = 1 << 20;

/// Takes a line of the scene's output. Must not block: it is called from within the scene.
pub type LogSink = Arc<dyn Fn(LogLine) + Send + Sync>;

/// A context with nothing in it but randomness and a log; time is [`SceneClocks`].
pub fn context(seed: u64, log: &LogSink) -> WasiCtx {
    WasiCtx::builder()
        .secure_random(StdRng::seed_from_u64(seed))
        .insecure_random(StdRng::seed_from_u64(seed.wrapping_add(1)))
        .insecure_random_seed(u128::from(seed))
        .max_random_size(MAX_RANDOM_BYTES)
        .allow_tcp(false)
        .allow_udp(false)
        .allow_ip_name_lookup(false)
        .stdout(Output::new(LogSource::Stdout, log))
        .stderr(Output::new(LogSource::Stderr, log))
        .build()
}

/// Where uncaptured WebGPU errors go: the same log.
pub(crate) fn webgpu_log(log: &LogSink) -> impl Fn(&str) + Send + Sync + 'static {
    let log = Arc::clone(log);
    move |message: &str| write_lines(&log, LogSource::WebGpu, message)
}

/// Writes a message to the log, with its control characters escaped and its lines cut as those of any output.
pub(crate) fn write_lines(log: &LogSink, source: LogSource, message: &str) {
    // Its end ends the last line.
    Output::new(source, log).push(message.as_bytes());
}

/// Offers every stable interface of the packages that `wasi:cli/imports` includes, of 0.2 and of 0.3.
pub fn add_to_linker<T: WasiView + IoView + ClocksView + 'static>(
    linker: &mut Linker<T>,
) -> wasmtime::Result<()> {
    use p2::bindings::{cli, filesystem, random, sockets};

    clocks::add_to_linker(linker)?;

    wasmtime_wasi_io::add_to_linker_async(linker)?;
    filesystem::types::add_to_linker::<T, WasiFilesystem>(linker, T::filesystem)?;
    filesystem::preopens::add_to_linker::<T, WasiFilesystem>(linker, T::filesystem)?;
    random::random::add_to_linker::<T, WasiRandom>(linker, T::random)?;
    random::insecure::add_to_linker::<T, WasiRandom>(linker, T::random)?;
    random::insecure_seed::add_to_linker::<T, WasiRandom>(linker, T::random)?;
    cli::exit::add_to_linker::<T, WasiCli>(linker, T::cli)?;
    cli::environment::add_to_linker::<T, WasiCli>(linker, T::cli)?;
    cli::stdin::add_to_linker::<T, WasiCli>(linker, T::cli)?;
    cli::stdout::add_to_linker::<T, WasiCli>(linker, T::cli)?;
    cli::stderr::add_to_linker::<T, WasiCli>(linker, T::cli)?;
    cli::terminal_input::add_to_linker::<T, WasiCli>(linker, T::cli)?;
    cli::terminal_output::add_to_linker::<T, WasiCli>(linker, T::cli)?;
    cli::terminal_stdin::add_to_linker::<T, WasiCli>(linker, T::cli)?;
    cli::terminal_stdout::add_to_linker::<T, WasiCli>(linker, T::cli)?;
    cli::terminal_stderr::add_to_linker::<T, WasiCli>(linker, T::cli)?;
    let unstable = sockets::network::LinkOptions::default();
    sockets::network::add_to_linker::<T, WasiSockets>(linker, &unstable, T::sockets)?;
    sockets::instance_network::add_to_linker::<T, WasiSockets>(linker, T::sockets)?;
    sockets::ip_name_lookup::add_to_linker::<T, WasiSockets>(linker, T::sockets)?;
    sockets::tcp::add_to_linker::<T, WasiSockets>(linker, T::sockets)?;
    sockets::tcp_create_socket::add_to_linker::<T, WasiSockets>(linker, T::sockets)?;
    sockets::udp::add_to_linker::<T, WasiSockets>(linker, T::sockets)?;
    sockets::udp_create_socket::add_to_linker::<T, WasiSockets>(linker, T::sockets)?;

    p3::cli::add_to_linker(linker)?;
    p3::filesystem::add_to_linker(linker)?;
    p3::random::add_to_linker(linker)?;
    p3::sockets::add_to_linker(linker)
}
