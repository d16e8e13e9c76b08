//! Instantiates a scene and calls its entry point.

use std::{fs::File, future::poll_fn, pin::pin, time::Duration};

use renderer_protocol::{EndReason, SceneFault, SceneLimits};
use wasmtime::{
    Engine, Store,
    component::{Component, TypedFunc},
};

use super::{
    artifact,
    check::{self, Entry},
    engine::engine,
    linker::linker,
    store::{EPOCH_MS, Progress, SceneContext, SceneState, end},
};
use crate::host::{Outstanding, surface::Turns, webgpu::GpuWork};

/// A loaded scene, ready to be run once.
pub struct Scene {
    engine: Engine,
    component: Component,
    entry: Entry,
}

/// A scene's run, and the two ways to look at it from outside.
pub struct Run {
    store: Store<SceneState>,
    scene: Scene,
    progress: Progress,
}

enum EntryFunc {
    Start(TypedFunc<(), ()>),
    Run(TypedFunc<(), (Result<(), ()>,)>),
}

impl Scene {
    /// Loads native code that the compiler process made, and that was checked to be that.
    pub fn load(artifact: &File) -> wasmtime::Result<Self> {
        let engine = engine()?;
        let component = artifact::load(&engine, artifact)?;
        let entry = check::entry(&engine, &component)?;
        Ok(Self { engine, component, entry })
    }

    /// Gives it everything that it needs.
    pub fn prepare(self, context: SceneContext) -> Run {
        let progress = Progress::default();
        let store = SceneState::store(&self.engine, context, &progress);
        Run { store, scene: self, progress }
    }
}

impl Run {
    /// How far it is.
    pub fn progress(&self) -> Progress {
        self.progress.clone()
    }

    /// What it waits for that ends by itself.
    pub fn outstanding(&self) -> Outstanding {
        self.store.data().outstanding()
    }

    /// How far the GPU is with what it gave it.
    pub(crate) fn gpu_work(&self) -> GpuWork {
        self.store.data().gpu_work()
    }

    /// How long it may compute without waiting for anything, in processor time; a second, unless this is called before it runs.
    pub fn set_busy_limit(&self, limit: Duration) {
        self.progress.set_busy_limit(u32::try_from(limit.as_millis()).unwrap_or(u32::MAX));
    }

    /// Advances the scene's deadline by one epoch; to be called every [`Run::EPOCH_MS`] from another thread than the scene's.
    pub fn epoch(&self) -> impl Fn() + Send + Sync + 'static {
        let engine = self.scene.engine.clone();
        move || engine.increment_epoch()
    }

    /// Milliseconds between epochs.
    pub const EPOCH_MS: u32 = EPOCH_MS;

    /// Runs the scene until it ends; `started` is called before its first instruction. The store dies with the scene, whatever
    /// the end was.
    pub async fn run(self, started: impl FnOnce()) -> EndReason {
        let Self { mut store, scene, progress } = self;
        let limits = *store.data().limits();
        // A component may bring start functions, which compute like any other of its code.
        let turns = store.data().turns();
        let func = match in_turns(&progress, &turns, instantiate(&mut store, &scene)).await {
            Ok(func) => func,
            Err(error) => return unrunnable(&error, &limits),
        };
        started();
        let call = store.run_concurrent(async |accessor| match &func {
            EntryFunc::Start(func) => func.call_concurrent(accessor, ()).await.map(|()| Ok(())),
            EntryFunc::Run(func) => func.call_concurrent(accessor, ()).await.map(|(result,)| result),
        });
        match in_turns(&progress, &turns, call).await.and_then(|ended| ended) {
            Ok(Ok(())) => EndReason::Finished,
            Ok(Err(())) => EndReason::Scene(SceneFault::ReturnedError),
            Err(error) => end(&error, &limits),
        }
    }
}

/// Runs guest code so that others see its turns. To those who watch, each poll is a turn: only a turn gets epochs, and only epochs
/// end a guest that computes forever. To the window, one lasts until the guest waits, however often an epoch interrupts it.
async fn in_turns<F: Future>(progress: &Progress, turns: &Turns, guest: F) -> F::Output {
    let mut guest = pin!(guest);
    poll_fn(|context| {
        turns.begin();
        progress.begin_turn();
        let polled = guest.as_mut().poll(context);
        if progress.is_waiting() {
            turns.end();
        }
        progress.end_turn();
        polled
    })
    .await
}

async fn instantiate(store: &mut Store<SceneState>, scene: &Scene) -> wasmtime::Result<EntryFunc> {
    let instance = linker(&scene.engine)?.instantiate_async(&mut *store, &scene.component).await?;
    Ok(match scene.entry {
        Entry::Start => EntryFunc::Start(instance.get_typed_func(&mut *store, "start")?),
        Entry::Run => {
            let ty = scene.component.component_type();
            let name = ty.exports(&scene.engine).map(|(name, _)| name).find(|name| check::is_cli_run(name));
            let interface = name.and_then(|name| instance.get_export_index(&mut *store, None, name));
            let index = interface
                .and_then(|interface| instance.get_export_index(&mut *store, Some(&interface), "run"));
            let index = index
                .ok_or_else(|| wasmtime::format_err!("the export `wasi:cli/run` has no function `run`"))?;
            EntryFunc::Run(instance.get_typed_func(&mut *store, index)?)
        }
    })
}

/// An error of instantiation: the scene's own start code may trap, everything else means that it does not fit.
fn unrunnable(error: &wasmtime::Error, limits: &SceneLimits) -> EndReason {
    match end(error, limits) {
        EndReason::Scene(SceneFault::Trap(message)) if error.downcast_ref::<wasmtime::Trap>().is_none() => {
            EndReason::Scene(SceneFault::Unrunnable(message))
        }
        end => end,
    }
}
