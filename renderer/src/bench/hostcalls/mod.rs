//! What a host function costs: a guest that makes nothing but calls, the same calls in native wgpu, and the floor, which is the same
//! calls to functions that do nothing. All in one process, in turns.
//!
//! It runs the guest in the engine of scenes, with a store and a linker of its own: the floor's functions exist here alone.

mod guest;
mod native;
mod report;

use std::sync::{Arc, Mutex, PoisonError};

use self::guest::{Guest, Side};
use self::native::{Native, Staging};
pub use self::report::{BackendFigures, HostcallsReport, WorkFigures};
use crate::frame::cpu_time;
use crate::gpu::{Backend, Gpu, GpuError};

/// What is called in a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Work {
    /// Which function.
    pub calls: Calls,
    /// How often; of both together where there are two.
    pub count: u32,
}

/// A function, or two in turns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Calls {
    /// `set-bind-group` with a dynamic offset, and `draw`.
    BindAndDraw,
    /// The first of them.
    SetBindGroup,
    /// The second of them.
    Draw,
    /// `dispatch-workgroups` of one workgroup.
    Dispatch,
    /// `write-buffer-with-copy` of so many bytes.
    WriteBuffer(u32),
}

/// What is measured. Frames of 10,000 draws are what a large scene has without bundles or instances.
const WORK: [Work; 6] = [
    Work { calls: Calls::BindAndDraw, count: 10_000 },
    Work { calls: Calls::SetBindGroup, count: 10_000 },
    Work { calls: Calls::Draw, count: 10_000 },
    Work { calls: Calls::Dispatch, count: 500 },
    Work { calls: Calls::WriteBuffer(256), count: 1_000 },
    Work { calls: Calls::WriteBuffer(1 << 20), count: 100 },
];
/// Calls of the function with a borrowed resource and three options, of which the floor has no counterpart in WebGPU.
const THREE_OPTIONS_COUNT: u32 = 10_000;
/// Rounds before the measured ones: caches fill, memory is faulted in, the drivers' allocators grow.
const WARM_UP_ROUNDS: u32 = 3;

impl Work {
    /// Calls of host functions in a frame.
    fn call_count(self) -> u32 {
        match self.calls {
            Calls::BindAndDraw => self.count.saturating_mul(2),
            _ => self.count,
        }
    }

    fn name(self) -> String {
        match self.calls {
            Calls::BindAndDraw => "set-bind-group, draw".to_owned(),
            Calls::SetBindGroup => "set-bind-group".to_owned(),
            Calls::Draw => "draw".to_owned(),
            Calls::Dispatch => "dispatch-workgroups".to_owned(),
            Calls::WriteBuffer(bytes) if bytes >= 1 << 20 => format!("write-buffer, {} MiB", bytes >> 20),
            Calls::WriteBuffer(bytes) => format!("write-buffer, {bytes} B"),
        }
    }

    /// Bytes that one call carries.
    fn bytes(self) -> Option<u32> {
        match self.calls {
            Calls::WriteBuffer(bytes) => Some(bytes),
            _ => None,
        }
    }
}

/// Why nothing was measured.
#[derive(Debug, thiserror::Error)]
pub enum HostcallsError {
    /// No adapter.
    #[error(transparent)]
    Gpu(#[from] GpuError),
    /// There is no such work.
    #[error("nothing that is measured has `{only}` in its name; there are {names}")]
    NothingNamed {
        /// What was asked for.
        only: String,
        /// What there is.
        names: String,
    },
    /// The component is not the benchmark's, or failed.
    #[error("the component could not be run: {0:#}")]
    Guest(wasmtime::Error),
    /// The native twin has no device, or its work did not end.
    #[error("the native side failed: {0}")]
    Native(String),
    /// WebGPU said that a call was wrong: then what was measured is not what it should be.
    #[error("a call of the guest was refused: {0}")]
    Refused(String),
}

impl From<wasmtime::Error> for HostcallsError {
    fn from(error: wasmtime::Error) -> Self {
        Self::Guest(error)
    }
}

/// What is measured, and how often.
#[derive(Clone, Debug)]
pub struct HostcallsConfig {
    /// How often everything is measured, in turns.
    pub rounds: u32,
    /// Only what has this in its name; everything if it is empty.
    pub only: String,
}

/// Measures the component `guest` on both backends. Nothing else should run in this process meanwhile.
pub async fn run_hostcalls(
    guest: &[u8],
    config: &HostcallsConfig,
) -> Result<HostcallsReport, HostcallsError> {
    let works: Vec<_> = WORK.into_iter().filter(|work| work.name().contains(&config.only)).collect();
    if works.is_empty() {
        let names = WORK.map(|work| format!("`{}`", work.name())).join(", ");
        return Err(HostcallsError::NothingNamed { only: config.only.clone(), names });
    }
    let mut backends = Vec::new();
    for (backend, clock) in [(Backend::Noop, Clock::Thread), (Backend::Vulkan, Clock::Process)] {
        backends.push(measure(guest, backend, clock, &works, config.rounds).await?);
    }
    Ok(HostcallsReport { rounds: config.rounds, backends })
}

/// Whose processor time is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Clock {
    /// Of the thread that makes the calls.
    Thread,
    /// Of all threads: a software driver draws in threads of its own.
    Process,
}

impl Clock {
    fn now_ns(self) -> u64 {
        match self {
            Self::Thread => cpu_time::thread_ns(),
            Self::Process => cpu_time::process_ns(),
        }
    }
}

/// One frame's processor time.
#[derive(Clone, Copy, Debug, Default)]
struct Spent {
    /// In the calls.
    calls_ns: u64,
    /// From the beginning of the frame until the GPU has done it.
    frame_ns: u64,
}

/// The samples of one work.
#[derive(Debug, Default)]
struct Samples {
    host: Vec<Spent>,
    native: Vec<Spent>,
    floor: Vec<Spent>,
    copies: Vec<Copied>,
}

/// What it takes to copy the bytes of a frame.
#[derive(Clone, Copy, Debug, Default)]
struct Copied {
    /// To memory that was written before and that the GPU reads.
    warm_ns: u64,
    /// To memory that the process has just got from the system.
    new_ns: u64,
}

async fn measure(
    component: &[u8],
    backend: Backend,
    clock: Clock,
    works: &[Work],
    rounds: u32,
) -> Result<BackendFigures, HostcallsError> {
    let gpu = Gpu::open(backend)?;
    let refusal = Arc::new(Mutex::new(None));
    let theirs = Arc::clone(&refusal);
    let mut guest = Guest::new(component, Arc::clone(&gpu), move |line: &str| {
        theirs.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_with(|| line.to_owned());
    })
    .await?;
    let native = Native::new(&gpu).await?;
    let mut samples: Vec<(Work, Samples)> = works.iter().map(|work| (*work, Samples::default())).collect();
    let mut three_options = Vec::new();
    for round in 0..WARM_UP_ROUNDS.saturating_add(rounds) {
        let measured = round >= WARM_UP_ROUNDS;
        for (work, samples) in &mut samples {
            let host = guest.frame(*work, Side::Host, clock).await?;
            let twin = native.frame(*work, clock)?;
            let floor = guest.frame(*work, Side::Floor, clock).await?;
            let copied = work.bytes().map(|bytes| Copied {
                // Made anew each time: so much memory is not kept while others are measured.
                warm_ns: Staging::new(native.device(), bytes, work.count).copy_ns(clock),
                new_ns: native::copy_to_new_memory_ns(bytes, work.count, clock),
            });
            if measured {
                samples.host.push(host);
                samples.native.push(twin);
                samples.floor.push(floor);
                samples.copies.extend(copied);
            }
        }
        let spent = guest.three_options(THREE_OPTIONS_COUNT, clock).await?;
        if measured {
            three_options.push(spent.calls_ns);
        }
        if let Some(line) = refusal.lock().unwrap_or_else(PoisonError::into_inner).take() {
            return Err(HostcallsError::Refused(line));
        }
    }
    let works = samples.into_iter().map(|(work, samples)| WorkFigures::of(work, &samples)).collect();
    Ok(BackendFigures::new(
        backend,
        gpu.info(),
        clock,
        works,
        report::per_call(&three_options, THREE_OPTIONS_COUNT),
    ))
}
