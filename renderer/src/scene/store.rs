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
    frame::{FrameClock, Presenter},
    gpu::Gpu,
    host::{
        self, Outstanding, OverLimit, OverQuota, Window,
        scene::SceneView,
        surface::{SurfaceCtx, SurfaceCtxView, SurfaceView, Turns},
        wasi::{ClocksCtxView, ClocksView, LogSink},
        webgpu::{WebGpuCtx, WebGpuCtxView, WebGpuView},
    },
};

/// The time after which a computing guest lets the host's own tasks run.
pub(crate) const EPOCH_MS: u32 = 50;
/// The longest that a guest computes without waiting for anything, where viewers wait for it.
const BUSY_LIMIT_MS: u32 = 1_000;

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

    /// The executor gives the scene a turn.
    pub(crate) fn begin_turn(&self) {
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

    /// An epoch ended while the guest computed; returns for how long it has.
    fn interrupt(&self) -> u32 {
        self.0.interrupted.store(true, Ordering::Relaxed);
        let epochs = self.0.busy_epochs.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        epochs.saturating_mul(EPOCH_MS)
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
            let ran_ms = progress.interrupt();
            if ran_ms > progress.0.busy_limit_ms.load(Ordering::Relaxed) {
                Err(Unresponsive { ran_ms }.into())
            } else {
                Ok(UpdateDeadline::Yield(1))
            }
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
        &mut self.table
    }
}

impl WasiView for SceneState {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

impl ClocksView for SceneState {
    fn scene_clocks(&mut self) -> ClocksCtxView<'_> {
        ClocksCtxView { clock: &self.clock, table: &mut self.table }
    }
}

impl WebGpuView for SceneState {
    fn webgpu(&mut self) -> WebGpuCtxView<'_> {
        WebGpuCtxView { ctx: &mut self.webgpu, table: &mut self.table }
    }
}

impl SurfaceView for SceneState {
    fn surface(&mut self) -> SurfaceCtxView<'_> {
        SurfaceCtxView { ctx: &mut self.surface, table: &mut self.table }
    }
}

impl SceneView for SceneState {
    fn window(&mut self) -> &mut Window {
        self.surface.window()
    }

    fn log(&mut self) -> &LogSink {
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
