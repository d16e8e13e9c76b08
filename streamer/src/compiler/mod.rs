//! Component → native code that may be run: what sessions and uploads ask for before a worker sees a scene.
//!
//! A short-lived process compiles, because that is where a hostile component can take any amount of time and memory; it has limits of both
//! ([`process`]) and is the only one that writes the [`cache`]. This side finds entries, checks them, and opens them for workers. It
//! knows components as bytes with a hash, and nothing of sessions, uploads or what is in a component.

mod cache;
mod component;
mod key;
mod process;
mod report;

use std::{
    collections::HashMap,
    fs::File,
    io,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures::{
    FutureExt as _,
    future::{Shared, WeakShared},
};
use tokio::{sync::Semaphore, task::spawn_blocking};
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

pub use cache::{Cache, Entry, EntryName, Flaw, MAX_CODE_BYTES};
pub use component::{Component, ComponentId, EngineId};
pub use key::{ArtifactKey, KEY_BYTES};
pub use report::{CompileReport, Import, SceneReport};

use crate::{
    config::CompileConfig,
    error::{Code, Problem},
    metrics::Metrics,
    session::Program,
};
use key::MasterKey;
use process::{Ending, Limit, Task};
use report::{MAX_MESSAGE_BYTES, bounded_text};

/// Each uses all cores; more at once only take longer each.
const CONCURRENT_COMPILES: usize = 2;
/// Of these, for what no session waits for: the others are kept for sessions, however much is uploaded.
const CONCURRENT_AHEAD: usize = 1;
/// Different components that are compiled or wait for it. Each is a scene that somebody waits for: with a second for each, the last one of
/// these has been waited for as long as a person waits.
const MAX_WAITING: usize = 64;
/// Files that are hashed at a time: that takes a core for up to a fifth of a second each.
const CONCURRENT_CHECKS: usize = 4;
/// The file of the master key, in the cache folder.
const KEY_FILE: &str = "artifact.key";
/// How long an unfinished entry may be there beyond the longest compilation.
const UNFINISHED_GRACE: Duration = Duration::from_mins(1);

/// Native code for a worker.
#[derive(Debug)]
pub struct Artifact {
    /// The file that was checked, open for reading, at its beginning.
    pub file: File,
    /// What was seen of the component.
    pub report: SceneReport,
}

/// Why there is no native code.
#[derive(Clone, Debug)]
pub enum CompileError {
    /// The scene's fault, or the caller's: what is told, and what was seen of the component.
    Refused {
        /// What is told.
        problem: Problem,
        /// As much as was seen.
        report: Box<SceneReport>,
    },
    /// Ours.
    Internal(String),
}

impl std::fmt::Display for CompileError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Refused { problem, .. } => f.write_str(&problem.detail),
            Self::Internal(cause) => f.write_str(cause),
        }
    }
}

impl CompileError {
    /// Whether it is the scene's fault, and would be at any other time too.
    pub const fn is_the_scenes(&self) -> bool {
        match self {
            Self::Refused { problem, .. } => !matches!(problem.code, Code::DiskFull | Code::TooManyRequests),
            Self::Internal(_) => false,
        }
    }

    fn refused(code: Code, detail: impl Into<String>) -> Self {
        Self::Refused { problem: Problem::new(code, detail), report: Box::default() }
    }

    fn internal(cause: &impl ToString) -> Self {
        Self::Internal(cause.to_string())
    }
}

impl From<CompileError> for Problem {
    fn from(error: CompileError) -> Self {
        match error {
            CompileError::Refused { problem, .. } => problem,
            CompileError::Internal(cause) => Self::internal("Compiling the scene", &cause),
        }
    }
}

type Flight = Pin<Box<dyn Future<Output = Result<(), CompileError>> + Send>>;

/// See the module.
pub struct Compiler {
    shared: Arc<Parts>,
    /// The compilations that are going on. Those who wait for one own it together: when the last of them is gone, so is its process.
    flights: Mutex<HashMap<ComponentId, GoingOn>>,
}

/// Who waits for a compilation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Urgency {
    /// A session.
    Now,
    /// An upload or a thumbnail.
    Ahead,
}

/// One compilation.
struct GoingOn {
    flight: WeakShared<Flight>,
    /// Cancelled when a session waits for it: then it waits no longer behind others that are made ahead.
    ahead: CancellationToken,
}

impl GoingOn {
    fn join(&self) -> Option<Shared<Flight>> {
        self.flight.upgrade().filter(|flight| flight.peek().is_none())
    }
}

struct Parts {
    program: Program,
    config: CompileConfig,
    metrics: Arc<Metrics>,
    cache: Cache,
    key: MasterKey,
    /// What the compiler compiles for, and a part of every entry's name, once a process that was given nothing of anybody's has said it.
    engine: tokio::sync::Mutex<Option<EngineId>>,
    compiles: Semaphore,
    compiles_ahead: Semaphore,
    checks: Arc<Semaphore>,
}

impl Compiler {
    /// One that starts `program`, with the cache in its folder.
    pub fn open(program: &Program, config: CompileConfig, metrics: Arc<Metrics>) -> io::Result<Self> {
        let cache = Cache::open(program.cache_dir())?;
        let key = MasterKey::open(&program.cache_dir().join(KEY_FILE))?;
        let shared = Arc::new(Parts {
            program: program.in_background(),
            config,
            metrics,
            cache,
            key,
            engine: tokio::sync::Mutex::default(),
            compiles: Semaphore::new(CONCURRENT_COMPILES),
            compiles_ahead: Semaphore::new(CONCURRENT_AHEAD),
            checks: Arc::new(Semaphore::new(CONCURRENT_CHECKS)),
        });
        Ok(Self { shared, flights: Mutex::default() })
    }

    /// The native code of a component for a session: from the cache, or made now. As many as ask for one component at a time wait for
    /// one process.
    pub async fn compile(&self, component: &Component) -> Result<Artifact, CompileError> {
        self.compile_for(Urgency::Now, component).await
    }

    async fn compile_for(&self, urgency: Urgency, component: &Component) -> Result<Artifact, CompileError> {
        let id = {
            let component = component.clone();
            self.shared.checked(move || component.id()).await?
        };
        let id = id.map_err(|error| CompileError::internal(&format!("the scene cannot be read: {error}")))?;
        let name = EntryName { component: id, engine: self.shared.engine().await? };
        if let Some(artifact) = self.shared.find(name).await? {
            self.shared.metrics.compiled("cached");
            return Ok(artifact);
        }
        // What was just made can be gone again when the disk is full of newer ones, or when somebody damages it.
        for _ in 0..2 {
            self.join_flight(urgency, name, component)?.await?;
            if let Some(artifact) = self.shared.find(name).await? {
                return Ok(artifact);
            }
        }
        Err(CompileError::internal(&"the compiled scene is not in the cache, although it was just put there"))
    }

    /// What a component is, in the words of `scenecast check`; its native code is in the cache afterwards. Sessions go before.
    pub async fn inspect(&self, component: &Component) -> Result<SceneReport, CompileError> {
        Ok(self.compile_for(Urgency::Ahead, component).await?.report)
    }

    /// The compilation of a component that is going on, or a new one.
    fn join_flight(
        &self,
        urgency: Urgency,
        name: EntryName,
        component: &Component,
    ) -> Result<Shared<Flight>, CompileError> {
        let mut flights = self.flights.lock().unwrap_or_else(PoisonError::into_inner);
        flights.retain(|_, going_on| going_on.join().is_some());
        if let Some((going_on, flight)) =
            flights.get(&name.component).and_then(|going_on| Some((going_on, going_on.join()?)))
        {
            if urgency == Urgency::Now {
                going_on.ahead.cancel();
            }
            return Ok(flight);
        }
        if flights.len() >= MAX_WAITING {
            let detail = format!("{MAX_WAITING} scenes wait to be compiled; try again in a while.");
            return Err(CompileError::refused(Code::TooManyRequests, detail));
        }
        let (parts, component) = (Arc::clone(&self.shared), component.clone());
        let ahead = CancellationToken::new();
        if urgency == Urgency::Now {
            ahead.cancel();
        }
        let is_ahead = ahead.clone();
        let flight = async move { parts.make(name, &component, &is_ahead).await }.in_current_span();
        let flight: Flight = Box::pin(flight);
        let flight = flight.shared();
        if let Some(weak) = flight.downgrade() {
            flights.insert(name.component, GoingOn { flight: weak, ahead });
        }
        Ok(flight)
    }
}

impl Parts {
    async fn engine(&self) -> Result<EngineId, CompileError> {
        let mut known = self.engine.lock().await;
        if let Some(engine) = *known {
            return Ok(engine);
        }
        let ending = process::run(&self.program, &self.config, Task::Identify).await;
        let engine = match ending.map_err(|error| CompileError::internal(&error))? {
            Ending::Report(CompileReport::Engine { id }) => EngineId::from_hex(&id),
            ending => {
                tracing::error!(?ending, "the compiler process did not say for which engine it compiles");
                None
            }
        };
        *known = engine;
        engine.ok_or_else(|| CompileError::internal(&"the compiler process named no engine"))
    }

    /// Runs a process; afterwards there is an entry of this name.
    async fn make(
        &self,
        name: EntryName,
        component: &Component,
        ahead: &CancellationToken,
    ) -> Result<(), CompileError> {
        // The semaphores are never closed; if they were, compiling without a permit would do no harm.
        let _permit_ahead = tokio::select! {
            biased;
            () = ahead.cancelled() => None,
            permit = self.compiles_ahead.acquire() => permit.ok(),
        };
        let _permit = self.compiles.acquire().await;
        let key = self.key.for_component(name.component);
        let ending = process::run(&self.program, &self.config, Task::Compile(component, &key)).await;
        let (outcome, result) = match ending {
            Ok(ending) => self.conclude(name, ending),
            Err(error) => ("failed", Err(CompileError::internal(&error))),
        };
        self.metrics.compiled(outcome);
        if matches!(result, Err(CompileError::Internal(_))) {
            // This program may have been replaced by one with another engine.
            *self.engine.lock().await = None;
        }
        result?;
        self.trim().await;
        Ok(())
    }

    fn conclude(&self, name: EntryName, ending: Ending) -> (&'static str, Result<(), CompileError>) {
        match ending {
            Ending::Report(CompileReport::Ok { entry }) if entry == name.to_string() => ("ok", Ok(())),
            // It computes the name from what it was given.
            Ending::Report(CompileReport::Ok { .. } | CompileReport::Engine { .. }) => {
                let cause = "the scene changed while it was read, or this program was replaced while it ran";
                ("failed", Err(CompileError::internal(&cause)))
            }
            Ending::Report(CompileReport::Refused { code, message, scene }) => {
                let problem = refusal(&code, &message);
                ("refused", Err(CompileError::Refused { problem, report: Box::new(scene.bounded()) }))
            }
            Ending::Report(CompileReport::Unwritable { disk_full: true, .. }) => {
                let detail =
                    "The disk has no room for the compiled scene, in the folder that --cache-dir names.";
                ("disk_full", Err(CompileError::refused(Code::DiskFull, detail)))
            }
            Ending::Report(CompileReport::Unwritable { disk_full: false, message }) => {
                let cause =
                    format!("the cache cannot be written: {}", bounded_text(&message, MAX_MESSAGE_BYTES));
                ("failed", Err(CompileError::Internal(cause)))
            }
            Ending::Report(CompileReport::OutOfMemory) => self.over_limit(Limit::Memory),
            Ending::OverLimit(limit) => self.over_limit(limit),
            Ending::Died(how) => {
                let detail = format!("The compiler process died of this scene: {how}.");
                ("died", Err(CompileError::refused(Code::SceneUncompilable, detail)))
            }
            Ending::Failed(how) => {
                ("failed", Err(CompileError::Internal(format!("the compiler process gave no report, {how}"))))
            }
        }
    }

    fn over_limit(&self, limit: Limit) -> (&'static str, Result<(), CompileError>) {
        let detail = limit.sentence(&self.config);
        tracing::warn!("a scene was not compiled: {detail}");
        (limit.name(), Err(CompileError::refused(Code::SceneUncompilable, detail)))
    }

    /// An entry of the cache, checked and opened; `None` if there is none that can be believed.
    async fn find(&self, name: EntryName) -> Result<Option<Artifact>, CompileError> {
        let (cache, key) = (self.cache.clone(), self.key.for_component(name.component));
        match self.checked(move || cache.find(&name, &key)).await? {
            Ok(entry) => Ok(entry.map(|Entry { file, report }| Artifact { file, report })),
            Err(flaw) => {
                tracing::warn!(component = %name.component, flaw = flaw.name(), "a compiled scene was not what it should be; it is made anew");
                self.metrics.bad_artifact(flaw.name());
                Ok(None)
            }
        }
    }

    /// Deletes what is too much. A cache that is too large for a while does no harm.
    async fn trim(&self) {
        let (cache, unfinished_after) = (self.cache.clone(), self.config.time + UNFINISHED_GRACE);
        let trimmed = self.checked(move || cache.trim(cache::MAX_CACHE_BYTES, unfinished_after)).await;
        if let Ok(Err(error)) = trimmed {
            tracing::warn!(%error, "the cache of compiled scenes cannot be kept small");
        }
    }

    /// Does something with files on a thread that may wait, a few at a time.
    async fn checked<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, CompileError> {
        let permit = Arc::clone(&self.checks).acquire_owned().await;
        // The thread holds the permit: nobody may be waiting for it any more.
        let work = move || {
            let _permit = permit;
            work()
        };
        spawn_blocking(work).await.map_err(|error| CompileError::internal(&error))
    }
}

fn refusal(code: &str, message: &str) -> Problem {
    let code = [
        Code::SceneNotWasm,
        Code::SceneCoreModule,
        Code::SceneImportNotOffered,
        Code::SceneNoEntryPoint,
        Code::SceneUncompilable,
        Code::SceneTooLarge,
    ]
    .into_iter()
    .find(|known| known.name() == code)
    .unwrap_or(Code::SceneUncompilable);
    Problem::new(code, bounded_text(message, MAX_MESSAGE_BYTES))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_keeps_its_code_and_an_unknown_one_is_uncompilable() {
        for code in [
            "scene_not_wasm",
            "scene_core_module",
            "scene_import_not_offered",
            "scene_no_entry_point",
            "scene_uncompilable",
        ] {
            let problem = refusal(code, "why");
            assert_eq!((problem.code.name(), problem.code.status().as_u16()), (code, 422));
        }
        assert_eq!(refusal("scene_too_large", "why").code.status(), 413);
        assert_eq!(refusal("draining", "why").code, Code::SceneUncompilable);
    }

    #[test]
    fn a_refusal_is_cut_and_escaped() {
        let problem = refusal("scene_not_wasm", &format!("\u{1b}[2J{}", "é".repeat(10_000)));
        assert!(problem.detail.len() <= MAX_MESSAGE_BYTES);
        assert!(problem.detail.starts_with("\\u{1b}[2J"));
    }
}
