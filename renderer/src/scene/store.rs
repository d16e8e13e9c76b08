//! What a running scene owns, and its limits.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
};

use renderer_protocol::{EndReason, SceneFault, SceneLimits, limits::Limit};
use wasmtime::{
    Engine, ResourceLimiter, Store, StoreLimits, StoreLimitsBuilder, UpdateDeadline,
    component::{ResourceTable, ResourceTableError},
};
use wasmtime_wasi::{I32Exit, WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_io::IoView;

use crate::{
    frame::{FrameClock, Presenter, cpu_time},
    gpu::Gpu,
    host::{
        self, Outstanding, OverLimit, OverQuota, Window,
        scene::SceneView,
        surface::{SurfaceCtx, SurfaceCtxView, SurfaceView, Turns},
        wasi::{ClocksCtxView, ClocksView, LogSink},
        webgpu::{GpuWork, WebGpuCtx, WebGpuCtxView, WebGpuView},
    },
};

/// The time after which a computing guest lets the host's own tasks run.
pub(crate) const EPOCH_MS: u32 = 50;
/// The longest that a guest computes without waiting for anything, where viewers wait for it: processor time, because a machine that
/// is busy with others is no fault of the scene's.
const BUSY_LIMIT_MS: u32 = 1_000;
/// The same by the clock, as a multiple: calls of the host that wait use no processor, and a scene that makes nothing else would never end.
const BUSY_WALL_FACTOR: u32 = 10;

/// Everything that a scene is given.
pub struct SceneContext {
    /// The GPU that its devices come from.
    pub gpu: Arc<Gpu>,
    /// Where it draws, and where its input comes from.
    pub window: Window,
    /// Where its pictures go.
    pub presenter: Presenter,
    /// Its time.
    pub clock: FrameClock,
    /// Its randomness.
    pub seed: u64,
    /// Its output.
    pub log: LogSink,
    /// What it may use.
    pub limits: SceneLimits,
}

/// How far a scene is, for whoever watches from another thread.
#[derive(Clone, Debug, Default)]
pub struct Progress(Arc<Counters>);

#[derive(Debug)]
struct Counters {
    busy_limit_ms: AtomicU32,
    turns: AtomicU64,
    in_turn: AtomicBool,
    /// Epochs that passed since the guest last waited for something.
    busy_epochs: AtomicU32,
    /// The processor time of the scene's thread when the guest last went on after waiting, in microseconds.
    busy_since_cpu_us: AtomicU64,
    /// The guest's turn ended by an epoch, rather than by waiting.
    interrupted: AtomicBool,
}

impl Default for Counters {
    fn default() -> Self {
        Self {
            busy_limit_ms: AtomicU32::new(BUSY_LIMIT_MS),
            turns: AtomicU64::new(0),
            in_turn: AtomicBool::new(false),
            busy_epochs: AtomicU32::new(0),
            busy_since_cpu_us: AtomicU64::new(0),
            interrupted: AtomicBool::new(false),
        }
    }
}

impl Progress {
    /// See [`Run::set_busy_limit`](super::Run::set_busy_limit).
    pub(crate) fn set_busy_limit(&self, limit_ms: u32) {
        self.0.busy_limit_ms.store(limit_ms, Ordering::Relaxed);
    }

    /// The number of the turn that the scene's thread is in, `None` while it waits. A thread that computes without end still comes to
    /// its next turn, at every epoch; one that is stuck in a driver does not.
    pub fn turn(&self) -> Option<u64> {
        self.0.in_turn.load(Ordering::Acquire).then(|| self.0.turns.load(Ordering::Relaxed))
    }

    /// The executor gives the scene a turn, on the scene's thread.
    pub(crate) fn begin_turn(&self) {
        if self.0.busy_epochs.load(Ordering::Relaxed) == 0 {
            self.0.busy_since_cpu_us.store(cpu_time::thread_us(), Ordering::Relaxed);
        }
        self.0.turns.fetch_add(1, Ordering::Relaxed);
        self.0.in_turn.store(true, Ordering::Release);
    }

    /// Whether the guest waits for something, at the end of a turn. It goes on by itself after an epoch.
    pub(crate) fn is_waiting(&self) -> bool {
        !self.0.interrupted.load(Ordering::Relaxed)
    }

    /// The turn is over.
    pub(crate) fn end_turn(&self) {
        self.0.in_turn.store(false, Ordering::Release);
        if !self.0.interrupted.swap(false, Ordering::Relaxed) {
            self.0.busy_epochs.store(0, Ordering::Relaxed);
        }
    }

    /// An epoch ended while the guest computed, on the scene's thread. Fails when it has for too long.
    fn interrupt(&self) -> Result<(), Unresponsive> {
        self.0.interrupted.store(true, Ordering::Relaxed);
        let epochs = self.0.busy_epochs.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        let wall_ms = epochs.saturating_mul(EPOCH_MS);
        let cpu_us = cpu_time::thread_us().saturating_sub(self.0.busy_since_cpu_us.load(Ordering::Relaxed));
        let computed_ms = u32::try_from(cpu_us / 1_000).unwrap_or(u32::MAX);
        let limit_ms = self.0.busy_limit_ms.load(Ordering::Relaxed);
        if computed_ms > limit_ms {
            Err(Unresponsive { ran_ms: computed_ms })
        } else if wall_ms > limit_ms.saturating_mul(BUSY_WALL_FACTOR) {
            Err(Unresponsive { ran_ms: wall_ms })
        } else {
            Ok(())
        }
    }
}

/// The guest computed for longer than it may without waiting for anything.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the scene computed for {ran_ms} ms without yielding")]
pub(crate) struct Unresponsive {
    pub(crate) ran_ms: u32,
}

/// The store's data.
pub(crate) struct SceneState {
    table: ResourceTable,
    wasi: WasiCtx,
    clock: FrameClock,
    webgpu: WebGpuCtx,
    surface: SurfaceCtx,
    log: LogSink,
    limiter: Limiter,
    limits: SceneLimits,
}

impl SceneState {
    /// What it may use.
    pub(crate) fn limits(&self) -> &SceneLimits {
        &self.limits
    }

    /// A store with its limits set.
    pub(crate) fn store(engine: &Engine, context: SceneContext, progress: &Progress) -> Store<Self> {
        let SceneContext { gpu, window, presenter, clock, seed, log, limits } = context;
        let mut table = ResourceTable::new();
        table.set_max_capacity(size(limits.max_handles));
        let uncaptured = host::wasi::webgpu_log(&log);
        let state = Self {
            table,
            wasi: host::wasi::context(seed, &log),
            clock: clock.clone(),
            webgpu: WebGpuCtx::new(gpu, limits, uncaptured),
            surface: SurfaceCtx::new(window, presenter, clock),
            log,
            limiter: Limiter::new(&limits),
            limits,
        };
        let mut store = Store::new(engine, state);
        store.limiter(|state| &mut state.limiter);
        store.set_hostcall_fuel(size(limits.max_call_bytes));
        // What a scene defines itself counts like what the host gives it.
        store.set_max_component_handles(size(limits.max_handles));
        store.set_epoch_deadline(1);
        let progress = progress.clone();
        store.epoch_deadline_callback(move |_| {
            progress.interrupt()?;
            Ok(UpdateDeadline::Yield(1))
        });
        store
    }

    /// To be told of the scene's turns.
    pub(crate) fn turns(&self) -> Turns {
        self.surface.turns()
    }

    /// What the scene waits for that ends by itself.
    pub(crate) fn outstanding(&self) -> Outstanding {
        self.webgpu.outstanding().clone()
    }

    /// How far the GPU is with what the scene gave it.
    pub(crate) fn gpu_work(&self) -> GpuWork {
        self.webgpu.gpu_work()
    }
}

/// Counts memory over all memories of the store, which `StoreLimits` does for each alone.
struct Limiter {
    each: StoreLimits,
    memory_bytes: usize,
    max_memory_bytes: usize,
}

impl Limiter {
    fn new(limits: &SceneLimits) -> Self {
        let max_memory_bytes = size(limits.max_memory_bytes);
        let instances = size(limits.max_instances);
        let each = StoreLimitsBuilder::new()
            .memory_size(max_memory_bytes)
            .table_elements(size(limits.max_table_elements))
            .instances(instances)
            .tables(instances)
            .memories(instances)
            .build();
        Self { each, memory_bytes: 0, max_memory_bytes }
    }
}

/// A limit as the runtime takes it.
fn size(limit: u64) -> usize {
    usize::try_from(limit).unwrap_or(usize::MAX)
}

impl ResourceLimiter for Limiter {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let others = self.memory_bytes.saturating_sub(current);
        let Some(total) = others.checked_add(desired).filter(|total| *total <= self.max_memory_bytes) else {
            return Ok(false);
        };
        let allowed = self.each.memory_growing(current, desired, maximum)?;
        if allowed {
            self.memory_bytes = total;
        }
        Ok(allowed)
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        self.each.table_growing(current, desired, maximum)
    }

    fn instances(&self) -> usize {
        self.each.instances()
    }

    fn tables(&self) -> usize {
        self.each.tables()
    }

    fn memories(&self) -> usize {
        self.each.memories()
    }
}

impl IoView for SceneState {
    fn table(&mut self) -> &mut ResourceTable {
        #[cfg(test)]
        fail_point::pass();
        &mut self.table
    }
}

impl WasiView for SceneState {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        #[cfg(test)]
        fail_point::pass();
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

impl ClocksView for SceneState {
    fn scene_clocks(&mut self) -> ClocksCtxView<'_> {
        #[cfg(test)]
        fail_point::pass();
        ClocksCtxView { clock: &self.clock, table: &mut self.table }
    }
}

impl WebGpuView for SceneState {
    fn webgpu(&mut self) -> WebGpuCtxView<'_> {
        #[cfg(test)]
        fail_point::pass();
        WebGpuCtxView { ctx: &mut self.webgpu, table: &mut self.table }
    }
}

impl SurfaceView for SceneState {
    fn surface(&mut self) -> SurfaceCtxView<'_> {
        #[cfg(test)]
        fail_point::pass();
        SurfaceCtxView { ctx: &mut self.surface, table: &mut self.table }
    }
}

impl SceneView for SceneState {
    fn window(&mut self) -> &mut Window {
        #[cfg(test)]
        fail_point::pass();
        self.surface.window()
    }

    fn log(&mut self) -> &LogSink {
        #[cfg(test)]
        fail_point::pass();
        &self.log
    }
}

/// Turns an error of the runtime into the end of its session.
pub(crate) fn end(error: &wasmtime::Error, limits: &SceneLimits) -> EndReason {
    // `wasi:cli/exit` leaves the guest by an error of the runtime, and is none: a status of 0 is like a return.
    match error.downcast_ref::<I32Exit>() {
        Some(I32Exit(0)) => EndReason::Finished,
        Some(I32Exit(_)) => EndReason::Scene(SceneFault::ReturnedError),
        None => EndReason::Scene(fault(error, limits)),
    }
}

/// The fault that a viewer is shown.
fn fault(error: &wasmtime::Error, limits: &SceneLimits) -> SceneFault {
    if let Some(error) = error.downcast_ref::<Unresponsive>() {
        return SceneFault::Unresponsive { ran_ms: error.ran_ms };
    }
    if let Some(over) = error.downcast_ref::<OverLimit>() {
        return SceneFault::Limit(over.to_string());
    }
    if let Some(over) = error.downcast_ref::<OverQuota>() {
        return SceneFault::Limit(over.to_string());
    }
    if let Some(over) = over_runtime_limit(error, limits) {
        return SceneFault::Limit(over);
    }
    SceneFault::Trap(shortened(&format!("{error:#}")))
}

/// The runtime's own limits, most of which have no type of error.
fn over_runtime_limit(error: &wasmtime::Error, limits: &SceneLimits) -> Option<String> {
    const BY_MESSAGE: [(&str, &str); 4] = [
        ("store handle limit exceeded", "max-handles"),
        ("fuel allocated for hostcalls has been exhausted", "max-call-bytes"),
        ("resource limit exceeded: ", "max-instances"),
        ("exceeds memory limits", "max-memory-bytes"),
    ];
    let message = error.root_cause().to_string();
    let setting = match error.downcast_ref::<ResourceTableError>() {
        Some(ResourceTableError::Full) => "max-handles",
        _ => BY_MESSAGE.into_iter().find(|(text, _)| message.contains(text))?.1,
    };
    let limit = Limit::named(setting)?.get(limits);
    Some(format!("{message} (the server's setting `{setting}` is {limit})"))
}

/// A message with a long backtrace, cut to what a page shows.
fn shortened(message: &str) -> String {
    const SHOWN_BYTES: usize = 2_000;
    match message.char_indices().map(|(index, _)| index).find(|index| *index >= SHOWN_BYTES) {
        Some(end) => format!("{} …", message.get(..end).unwrap_or_default()),
        None => message.to_owned(),
    }
}

/// Where every host function passes, to fail in a test: each begins by asking the store for what it works on.
#[cfg(test)]
pub(crate) mod fail_point {
    use std::cell::Cell;

    /// What the panic says.
    pub(crate) const MESSAGE: &str = "a bug in the host, put there by a test";

    thread_local! {
        static PASSES_LEFT: Cell<Option<u64>> = const { Cell::new(None) };
    }

    /// The pass with this number panics on the calling thread, counted from 1.
    pub(crate) fn panic_at(pass: u64) {
        PASSES_LEFT.set(Some(pass));
    }

    pub(crate) fn pass() {
        if let Some(left) = PASSES_LEFT.get() {
            PASSES_LEFT.set(left.checked_sub(1));
            assert!(left != 1, "{MESSAGE}");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn row_1_time_that_the_machine_gave_to_others_does_not_count() {
        let progress = Progress::default();
        progress.set_busy_limit(100);
        progress.begin_turn();
        // By the clock these are 500 ms; the thread used none of them.
        for _ in 0..10 {
            std::thread::sleep(Duration::from_millis(1));
            progress.interrupt().unwrap();
            progress.end_turn();
            progress.begin_turn();
        }
        let begun = cpu_time::thread_us();
        while cpu_time::thread_us() < begun + 110_000 {
            std::hint::spin_loop();
        }
        let ended = progress.interrupt().unwrap_err();
        assert!(ended.ran_ms > 100, "{ended}");
    }

    #[test]
    fn row_1_a_scene_that_only_calls_what_waits_is_ended_by_the_clock() {
        let progress = Progress::default();
        progress.set_busy_limit(100);
        progress.begin_turn();
        let epochs = (1..100_000).find(|_| progress.interrupt().is_err()).unwrap();
        assert_eq!(epochs, 100 * BUSY_WALL_FACTOR / EPOCH_MS + 1);
    }

    #[test]
    fn row_1_a_guest_that_waits_begins_anew() {
        let progress = Progress::default();
        progress.set_busy_limit(100);
        for _ in 0..100 {
            progress.begin_turn();
            progress.interrupt().unwrap();
            progress.end_turn();
            // It waits at the end of this turn.
            progress.begin_turn();
            progress.end_turn();
        }
    }
}
