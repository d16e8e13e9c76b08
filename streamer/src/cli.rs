//! The command line: names, help, and nothing of what happens then.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use renderer_protocol::FrameSize;
use streamer::config::{DEFAULT_COMPILE_MEMORY_BYTES, DEFAULT_COMPILE_SECONDS, Settings};

use crate::headless::RenderArgs;

/// Runs WebAssembly scenes on a server and streams them to browsers.
///
/// A scene is a WebAssembly component that draws with wasi:webgpu. Scenecast runs it in a sandbox, renders it offscreen, encodes
/// the pictures to H.264 and sends them over WebRTC; browsers show them and send input back.
#[derive(Debug, Parser)]
#[command(name = "scenecast", version, propagate_version = true, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Serve scenes to browsers
    ///
    /// Every setting can be given as a flag, as an environment variable, or in a file of lines such as `max-viewers = 4`; a flag
    /// goes before the environment, that before the file. SIGTERM takes no more sessions and lets those that run go on for
    /// --drain-seconds; Ctrl-C ends them in order at once.
    Serve(Box<Serve>),

    /// Render frames of a scene into files, without a browser and as fast as they come
    ///
    /// Frame N is the picture at N / rate seconds of a virtual clock: the same command gives the same files, whatever the machine does
    /// meanwhile. Ends with status 0; with 2 when the scene failed, which is then named with the frame; with 3 when the
    /// command line or the environment is wrong.
    Render(Box<RenderArgs>),

    /// Say whether a file is a scene that can be run here, what it imports and what of that is offered
    ///
    /// Ends with status 0 if it can be run, with 2 if not, with 3 when it cannot be read.
    Check {
        /// The file
        scene: PathBuf,

        /// Print JSON instead of text
        #[arg(long)]
        json: bool,
    },

    /// Run one scene for `serve`, over the socket that is standard input
    #[command(hide = true)]
    Worker {
        /// The memory that its scene may have, a GPU's included
        #[arg(long, value_name = "NUMBER", default_value_t = default_scene_bytes())]
        memory_bytes: u64,
    },

    /// Compile a scene into the cache for `serve`: standard input is a key of 32 bytes and then the component; prints one line of JSON
    #[command(hide = true)]
    Compile {
        /// The cache folder
        #[arg(long, value_name = "FOLDER")]
        cache: PathBuf,

        /// The address space that this process may have
        #[arg(long, value_name = "BYTES", default_value_t = DEFAULT_COMPILE_MEMORY_BYTES)]
        memory_bytes: u64,

        /// The processor time that this process may use
        #[arg(long, value_name = "SECONDS", default_value_t = DEFAULT_COMPILE_SECONDS)]
        cpu_seconds: u64,

        /// Read nothing where a part of the sandbox is lacking
        #[arg(long)]
        require_sandbox: bool,

        /// Read nothing, and print for which engine scenes are compiled
        #[arg(long)]
        identify: bool,
    },

    /// Measure how fast this machine is
    Bench {
        #[command(subcommand)]
        bench: Bench,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Serve {
    /// A file with settings in TOML, named as the flags are
    #[arg(long, value_name = "FILE", env = "SCENECAST_CONFIG")]
    pub config: Option<PathBuf>,

    #[command(flatten)]
    pub settings: Settings,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Bench {
    /// Measure a scene from its tick to the encoded picture, stage by stage, against the bare floor of each stage
    Pipeline {
        /// The component, for example target/scenes/orbit.wasm
        scene: PathBuf,

        /// The picture's size
        #[arg(long, value_name = "WIDTHxHEIGHT", default_value = "1280x720")]
        size: FrameSize,

        /// How many pictures are measured
        #[arg(long, value_name = "COUNT", default_value_t = 300, value_parser = clap::value_parser!(u32).range(1..=100_000))]
        frames: u32,

        /// Pictures a second, for the scene and its floor alike: a processor that sleeps between pictures is slower at each
        #[arg(long, value_name = "HZ", default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=120))]
        frame_rate: u32,

        /// Print JSON instead of a table
        #[arg(long)]
        json: bool,
    },

    /// Measure what a call of a host function costs a scene, against the same calls in native wgpu and against calls of functions
    /// that do nothing
    Hostcalls {
        /// The component that makes the calls
        #[arg(value_name = "COMPONENT", default_value = "target/scenes/bench/hostcalls.wasm")]
        guest: PathBuf,

        /// How often everything is measured, in turns; the figures are medians
        #[arg(long, value_name = "COUNT", default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=10_000))]
        rounds: u32,

        /// Measure only what has this in its name, for example `write-buffer`
        #[arg(long, value_name = "NAME", default_value = "", hide_default_value = true)]
        only: String,

        /// Print JSON instead of a table
        #[arg(long)]
        json: bool,
    },
}

/// What the limits of a scene come to when none is set.
fn default_scene_bytes() -> u64 {
    renderer_protocol::SceneLimits::default().total_memory_bytes()
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_command_of_make_run_is_understood() {
        let cli = Cli::parse_from([
            "scenecast",
            "serve",
            "--listen",
            "127.0.0.1:8080",
            "--scenes",
            "target/scenes",
        ]);
        let Command::Serve(serve) = cli.command else { panic!("{cli:?}") };
        assert_eq!(serve.settings.listen.unwrap().port(), 8080);
    }
}
