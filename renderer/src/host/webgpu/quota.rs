//! What a scene holds of the GPU, counted: objects of each kind, and bytes of memory.
//!
//! Owns the counts, and the answer to *when something comes back*. wgpu keeps an object for longer than the scene keeps its handle,
//! and so an object is counted until nothing can keep it any more:
//!
//! 1. while a handle, or something made of it, has its [`Claim`]: a view has that of its texture, a bind group those of its buffers and
//!    textures;
//! 2. then while anything recorded exists that may speak of it. Commands note nothing of what they use, because a scene records
//!    thousands of them a frame. Instead everything that was made before an encoder finished, and given up after it began, waits for the
//!    end of what it recorded: its [`Hold`]. A bundle hands it on to those that may execute it;
//! 3. then until the GPU has done the work that was submitted before: its [`Timeline`].
//!
//! `destroy` needs no 1 and 2 for the memory: wgpu frees it after 3.
//!
//! The bytes of a shader module are those of its source, and have a limit of their own. Counted in bytes of memory are buffers, textures
//! with all mip levels, layers and samples, query sets, the surface's textures, what is written by the queue until the GPU has it, and
//! the second copy of a buffer that is mapped at its creation. Not counted are what the host needs for a device itself and for reading
//! pictures back, which no scene can multiply, and what a driver or wgpu reserves beyond what was asked for.
//!
//! This module knows wgpu's queue only to ask how far it is, and nothing of resources' tables or of error scopes.

mod line;
mod work;

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use renderer_protocol::SceneLimits;

use self::line::Line;
pub(super) use self::line::Timeline;
pub use self::work::{GpuWork, Unfinished};
use super::commands::BLOCK_COMMANDS;
use crate::host::OverQuota;

/// What is refused for memory that submitted work still has is asked for again after this time. The work of a frame takes a fraction of
/// it; a GPU that needs longer does not come back.
const WAIT: Duration = Duration::from_secs(1);

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Buffer,
    Texture,
    TextureView,
    Sampler,
    BindGroup,
    Layout,
    ShaderModule,
    Pipeline,
    CommandBuffer,
    RenderBundle,
    QuerySet,
}

impl Kind {
    const COUNT: usize = 11;

    /// The plural, how many there may be, and the setting that says so.
    fn quota(self, limits: &SceneLimits) -> OverQuota {
        let (what, limit, setting) = match self {
            Self::Buffer => ("buffers", limits.max_buffers, "max-buffers"),
            Self::Texture => ("textures", limits.max_textures, "max-textures"),
            Self::TextureView => ("texture views", limits.max_texture_views, "max-texture-views"),
            Self::Sampler => ("samplers", limits.max_samplers, "max-samplers"),
            Self::BindGroup => ("bind groups", limits.max_bind_groups, "max-bind-groups"),
            Self::Layout => ("bind group and pipeline layouts", limits.max_layouts, "max-layouts"),
            Self::ShaderModule => ("shader modules", limits.max_shader_modules, "max-shader-modules"),
            Self::Pipeline => ("pipelines", limits.max_pipelines, "max-pipelines"),
            Self::CommandBuffer => (
                "command encoders and command buffers that are not submitted",
                limits.max_command_buffers,
                "max-command-buffers",
            ),
            Self::RenderBundle => ("render bundles", limits.max_render_bundles, "max-render-bundles"),
            Self::QuerySet => ("query sets", limits.max_query_sets, "max-query-sets"),
        };
        OverQuota { what, limit, setting }
    }
}

fn out_of_memory(limits: &SceneLimits) -> OverQuota {
    OverQuota {
        what: "bytes of GPU memory",
        limit: limits.max_gpu_memory_bytes,
        setting: "max-gpu-memory-bytes",
    }
}

/// The counts of one scene, over all its devices.
pub(super) struct Quota {
    limits: SceneLimits,
    state: Mutex<State>,
    /// What was taken of the commands that may be recorded, over all that is not submitted. Not in the state, because encoders take of it
    /// while they record.
    recorded_commands: AtomicU64,
    /// Devices that a driver gave up.
    losses: AtomicU32,
}

#[derive(Default)]
struct State {
    bytes: u64,
    /// Of shader modules.
    source_bytes: u64,
    counts: [u64; Kind::COUNT],
    /// Rises with whatever is made, begun or finished, and so tells what came first.
    now: u64,
    /// What holds recorded commands, by when it was begun.
    recorded: BTreeMap<u64, Recorded>,
    /// What the GPU may still use, of each device.
    leaving: BTreeMap<u64, Leaving>,
    /// How many submits were done when a wait found none that was new: a GPU that stands still is not waited for again.
    in_vain: Option<u64>,
}

struct Recorded {
    /// A pass may execute it later, and another bundle may not.
    is_bundle: bool,
    /// Nothing that was made later can be in it.
    finished: Option<u64>,
    kept: Vec<Remains>,
}

struct Leaving {
    line: Line,
    /// With the submit that they wait for, in its order.
    queue: VecDeque<(u64, Remains)>,
}

/// What is counted of an object that the scene has given up.
#[derive(Clone, Copy)]
struct Remains {
    timeline: u64,
    made: u64,
    /// What began to record later cannot speak of it.
    given_up: u64,
    /// The end of the last bundle that may have had it; an encoder that began later cannot execute one.
    bundled_until: u64,
    kind: Option<Kind>,
    bytes: u64,
}

impl State {
    fn tick(&mut self) -> u64 {
        self.now = self.now.saturating_add(1);
        self.now
    }

    #[expect(clippy::indexing_slicing, reason = "the array has a place for each kind")]
    fn count(&mut self, kind: Kind) -> &mut u64 {
        &mut self.counts[kind as usize]
    }

    /// The bytes of which those of this kind are: of sources, or of the GPU's memory.
    fn pool(&mut self, limits: &SceneLimits, kind: Option<Kind>) -> (&mut u64, OverQuota) {
        if kind == Some(Kind::ShaderModule) {
            let quota = OverQuota {
                what: "bytes of shader modules' sources together",
                limit: limits.max_total_shader_bytes,
                setting: "max-total-shader-bytes",
            };
            (&mut self.source_bytes, quota)
        } else {
            (&mut self.bytes, out_of_memory(limits))
        }
    }

    /// Counts one more, if it may be.
    fn add(&mut self, limits: &SceneLimits, kind: Option<Kind>, bytes: u64) -> Result<(), OverQuota> {
        let (pool, quota) = self.pool(limits, kind);
        let total = pool.saturating_add(bytes);
        if bytes > 0 && total > quota.limit {
            return Err(quota);
        }
        if let Some(kind) = kind {
            let quota = kind.quota(limits);
            let count = self.count(kind);
            if *count >= quota.limit {
                return Err(quota);
            }
            *count = count.saturating_add(1);
        }
        *self.pool(limits, kind).0 = total;
        Ok(())
    }

    fn give_back(&mut self, remains: &Remains) {
        let pool =
            if remains.kind == Some(Kind::ShaderModule) { &mut self.source_bytes } else { &mut self.bytes };
        *pool = pool.saturating_sub(remains.bytes);
        if let Some(kind) = remains.kind {
            let count = self.count(kind);
            *count = count.saturating_sub(1);
        }
    }

    /// Nothing of the scene's has it any more. Of all that may have recorded it, the youngest keeps it, which is most likely the last.
    /// Bundles go first: as long as there is one, an encoder may still come to have it.
    fn retire(&mut self, remains: Remains) {
        let keeper = self
            .youngest(true, &remains, remains.given_up)
            .or_else(|| self.youngest(false, &remains, remains.given_up.max(remains.bundled_until)));
        match keeper.and_then(|begun| self.recorded.get_mut(&begun)) {
            Some(recorded) => recorded.kept.push(remains),
            None => self.leave(remains),
        }
    }

    /// The youngest bundle, or encoder, that began until then and was not finished before the object was made.
    fn youngest(&self, is_bundle: bool, remains: &Remains, until: u64) -> Option<u64> {
        let mut begun = self.recorded.range(..=until).rev();
        let youngest = begun.find(|(_, recorded)| {
            recorded.is_bundle == is_bundle && recorded.finished.is_none_or(|end| end > remains.made)
        });
        youngest.map(|(begun, _)| *begun)
    }

    /// Only the GPU may have it.
    fn leave(&mut self, remains: Remains) {
        match self.leaving.get_mut(&remains.timeline) {
            Some(Leaving { line: Line { progress, .. }, queue }) => {
                if remains.kind == Some(Kind::Pipeline) {
                    progress.needs_submit();
                }
                let after = progress.next_done();
                if progress.is_done(after) {
                    self.give_back(&remains);
                } else {
                    queue.push_back((after, remains));
                }
            }
            // The device is gone, and all of its work with it.
            None => self.give_back(&remains),
        }
    }

    /// Gives back what the GPU is done with.
    fn settle(&mut self) {
        let mut done = Vec::new();
        for Leaving { line, queue } in self.leaving.values_mut() {
            while let Some((_, remains)) = queue.pop_front_if(|(after, _)| line.progress.is_done(*after)) {
                done.push(remains);
            }
        }
        for remains in &done {
            self.give_back(remains);
        }
    }

    /// How many submits are done, over all devices.
    fn done(&self) -> u64 {
        self.leaving
            .values()
            .fold(0, |done, leaving| done.saturating_add(leaving.line.progress.done.load(Ordering::Acquire)))
    }

    /// Whether all that the GPU may still use would make room for this, and the GPU has moved since a wait was in vain.
    fn is_worth_a_wait(&mut self, limits: &SceneLimits, kind: Option<Kind>, bytes: u64) -> bool {
        if self.in_vain == Some(self.done()) {
            return false;
        }
        let (mut of_kind, mut leaving_bytes) = (0_u64, 0_u64);
        for (_, remains) in self.leaving.values().flat_map(|leaving| &leaving.queue) {
            let is_source = remains.kind == Some(Kind::ShaderModule);
            if is_source == (kind == Some(Kind::ShaderModule)) {
                leaving_bytes = leaving_bytes.saturating_add(remains.bytes);
            }
            of_kind = of_kind.saturating_add(u64::from(kind.is_some() && remains.kind == kind));
        }
        let (pool, quota) = self.pool(limits, kind);
        let fits = bytes == 0 || pool.saturating_sub(leaving_bytes).saturating_add(bytes) <= quota.limit;
        fits && kind.is_none_or(|kind| {
            let count = self.counts.get(kind as usize).copied().unwrap_or_default();
            count.saturating_sub(of_kind) < kind.quota(limits).limit
        })
    }
}

impl Quota {
    pub(super) fn new(limits: SceneLimits) -> Arc<Self> {
        Arc::new(Self {
            limits,
            state: Mutex::default(),
            recorded_commands: AtomicU64::new(0),
            losses: AtomicU32::new(0),
        })
    }

    pub(super) fn limits(&self) -> &SceneLimits {
        &self.limits
    }

    /// A driver gave a device up.
    pub(super) fn count_loss(&self) {
        self.losses.fetch_add(1, Ordering::AcqRel);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing panics while the lock is held, so the counts are whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether there is any memory left.
    fn has_room(&self) -> bool {
        self.state().bytes < self.limits.max_gpu_memory_bytes
    }

    /// Waits until the GPU has done what something leaves with, on all devices, together for at most [`WAIT`].
    fn wait(&self) {
        let (lines, before) = {
            let state = self.state();
            if state.in_vain == Some(state.done()) {
                return;
            }
            let busy = state.leaving.values().filter(|leaving| !leaving.queue.is_empty());
            (busy.map(|leaving| leaving.line.clone()).collect::<Vec<_>>(), state.done())
        };
        let Some(share) = u32::try_from(lines.len()).ok().and_then(|lines| WAIT.checked_div(lines)) else {
            return;
        };
        for line in &lines {
            line.flush(self);
        }
        for line in &lines {
            line.wait(share);
        }
        let mut state = self.state();
        state.settle();
        state.in_vain = (state.done() == before).then_some(before);
    }

    /// The bytes that are counted now.
    #[cfg(test)]
    pub(super) fn bytes(&self) -> u64 {
        let mut state = self.state();
        state.settle();
        state.bytes
    }

    /// The objects of a kind that are counted now.
    #[cfg(test)]
    pub(super) fn count(&self, kind: Kind) -> u64 {
        let mut state = self.state();
        state.settle();
        *state.count(kind)
    }
}

/// One object, counted. It is shared by all that keep the object alive.
pub(super) struct Claim {
    timeline: Arc<Timeline>,
    made: u64,
    kind: Option<Kind>,
    bytes: AtomicU64,
}

impl Claim {
    fn remains(&self, kind: Option<Kind>) -> Remains {
        let bytes = self.bytes.swap(0, Ordering::AcqRel);
        let (timeline, made) = (self.timeline.line.id, self.made);
        Remains { timeline, made, given_up: 0, bundled_until: 0, kind, bytes }
    }

    /// The object was destroyed: its memory goes once the GPU is done with it, whoever still has a handle.
    pub(super) fn release_memory(&self) {
        let remains = self.remains(None);
        if remains.bytes > 0 {
            self.timeline.quota().state().leave(remains);
        }
    }

    /// The memory is a copy of something that the next submit writes.
    pub(super) fn release_with_next_submit(&self) {
        self.timeline.line.progress.needs_submit();
        self.release_memory();
    }

    /// Whether there is memory that it counts.
    pub(super) fn has_memory(&self) -> bool {
        self.bytes.load(Ordering::Acquire) > 0
    }

    /// There is no memory: the object came out invalid.
    pub(super) fn without_memory(&self) {
        let remains = self.remains(None);
        self.timeline.quota().state().give_back(&remains);
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let remains = self.remains(self.kind);
        let mut state = self.timeline.quota().state();
        let given_up = state.tick();
        state.retire(Remains { given_up, ..remains });
    }
}

/// Recorded commands: as long as it exists, everything counts that they may speak of.
pub(super) struct Hold {
    quota: Arc<Quota>,
    begun: u64,
    kind: Option<Kind>,
    /// Of what the scene may record.
    commands: u64,
}

impl Hold {
    /// Takes so many blocks of the commands that a scene may record, until this is dropped.
    pub(super) fn take(&mut self, blocks: u32) -> Result<(), OverQuota> {
        let limit = self.quota.limits.max_recorded_commands;
        let commands = u64::from(blocks).saturating_mul(BLOCK_COMMANDS.into());
        let more = |taken: u64| taken.checked_add(commands).filter(|taken| *taken <= limit);
        self.quota.recorded_commands.fetch_update(Ordering::AcqRel, Ordering::Acquire, more).map_err(
            |_| OverQuota {
                what: "recorded commands that wait in encoders, command buffers and render bundles",
                limit,
                setting: "max-recorded-commands",
            },
        )?;
        self.commands = self.commands.saturating_add(commands);
        Ok(())
    }

    /// Nothing more is recorded.
    pub(super) fn finish(&self) {
        let mut state = self.quota.state();
        let now = state.tick();
        if let Some(recorded) = state.recorded.get_mut(&self.begun) {
            recorded.finished.get_or_insert(now);
        }
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.quota.recorded_commands.fetch_sub(self.commands, Ordering::AcqRel);
        let mut state = self.quota.state();
        if let Some(kind) = self.kind {
            let count = state.count(kind);
            *count = count.saturating_sub(1);
        }
        let now = state.tick();
        let Some(Recorded { is_bundle, kept, .. }) = state.recorded.remove(&self.begun) else { return };
        for remains in kept {
            let bundled_until = if is_bundle { now } else { remains.bundled_until };
            state.retire(Remains { bundled_until, ..remains });
        }
    }
}
