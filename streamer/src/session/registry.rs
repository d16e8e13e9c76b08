//! All sessions: started, found, counted, ended together.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use renderer_protocol::{FrameSize, Start, ToWorker};
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, timeout},
};
use tokio_util::task::TaskTracker;
use tracing::Instrument;

use super::{
    Phase, Session, SessionId, SessionInfo, SessionLimits, Status,
    actor::{Actor, ActorParts},
    cgroup::Class,
    log::SessionLog,
    node::Node,
    places::{Place, Places, SessionCounts},
    pool::{Hot, Pool},
    process::Program,
    usage,
    worker::{Ready, StartError, Worker},
};
use crate::{
    auth::{Owner, SessionOwners},
    compiler::Compiler,
    error::{Code, Problem},
    library::{Lease, Runnable, SceneId},
    metrics::{Metrics, ProcessUse, Queue},
    text::escape_untrusted,
};

/// How long one can ask why a session ended.
const ENDED_RETENTION: Duration = Duration::from_mins(5);
/// How many ended sessions are remembered at most.
const MAX_ENDED: usize = 256;
/// Requests that wait for a session's task, which never blocks.
const MAILBOX: usize = 32;
/// How long all sessions together may take to end, all at once: the last words to their viewers, and meanwhile a second for each worker.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);

/// A place among the sessions that may run; given back when dropped.
pub(super) type Slot = Place;

/// What to run.
#[derive(Debug)]
pub struct NewSession {
    /// Who creates it.
    pub owner: Owner,
    /// Whether that owner has to leave places to others.
    pub shares_places: bool,
    /// Its scene's name.
    pub scene: SceneId,
    /// The component, which stays as long as the session does.
    pub runnable: Runnable,
    /// The first size.
    pub size: FrameSize,
    /// Ticks a second.
    pub frame_rate_hz: u32,
}

/// The first worker of a server, and what it said of itself.
pub struct Probed {
    worker: Worker,
    /// What workers are on this machine.
    pub ready: Ready,
}

/// See the module.
pub struct Sessions {
    program: Program,
    compiler: Arc<Compiler>,
    limits: SessionLimits,
    metrics: Arc<Metrics>,
    clock_origin: Instant,
    places: Places,
    book: Arc<Mutex<Book>>,
    tasks: TaskTracker,
    node: Node,
    pool: Pool,
}

#[derive(Default)]
struct Book {
    sessions: HashMap<SessionId, Arc<Session>>,
    /// In the order in which they ended.
    ended: VecDeque<(Instant, SessionId)>,
    draining: bool,
}

impl Book {
    fn forget_old(&mut self, now: Instant) {
        while let Some((since, id)) = self.ended.front()
            && (self.ended.len() > MAX_ENDED || now.duration_since(*since) >= ENDED_RETENTION)
        {
            self.sessions.remove(id);
            self.ended.pop_front();
        }
    }
}

impl Sessions {
    /// None yet.
    pub fn new(
        program: Program,
        compiler: Arc<Compiler>,
        limits: SessionLimits,
        counts: SessionCounts,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self {
            program,
            compiler,
            limits,
            metrics,
            clock_origin: Instant::now(),
            places: Places::new(counts),
            book: Arc::default(),
            tasks: TaskTracker::new(),
            node: Node::default(),
            pool: Pool::default(),
        }
    }

    /// Starts workers in advance, and keeps so many.
    pub fn with_warm_workers(mut self, count: usize, first: Option<Probed>) -> Self {
        let first = first.map(|first| first.worker);
        self.pool = Pool::keep(&self.program, count, first, self.node.clone(), Arc::clone(&self.metrics));
        self
    }

    /// What is known of the machine's GPU.
    pub fn node(&self) -> &Node {
        &self.node
    }

    /// Compiles the scene, starts a worker, and gives it the scene. Dropping the future undoes all of it.
    pub async fn create(&self, new: NewSession) -> Result<Arc<Session>, Problem> {
        let id = SessionId::random();
        let span = tracing::info_span!("session", id = %id.short());
        self.create_in_span(id, new, span.clone()).instrument(span).await
    }

    async fn create_in_span(
        &self,
        id: SessionId,
        new: NewSession,
        span: tracing::Span,
    ) -> Result<Arc<Session>, Problem> {
        self.check_not_draining()?;
        let slot = self.places.take(Some(&new.owner).filter(|_| new.shares_places))?;
        let hot = self.pool.hot();
        // Opening a GPU and looking up the compiled scene take about the same time; neither needs the other.
        let Runnable { component, lease } = new.runnable;
        let artifact = async {
            let began = Instant::now();
            let mut waiting = self.metrics.depth(Queue::Compile);
            waiting.set(1);
            let artifact = self.compiler.compile(&component).await.map_err(Problem::from);
            self.metrics.compile_seconds.observe(began.elapsed().as_secs_f64());
            artifact
        };
        let (artifact, mut worker) = tokio::try_join!(artifact, self.worker())?;
        let (owner, scene) = (new.owner, new.scene);
        let info = SessionInfo { id, owner, scene, size: new.size, frame_rate_hz: new.frame_rate_hz };
        let start = Start {
            size: new.size,
            frame_rate_hz: new.frame_rate_hz,
            bitrate_bps: self.limits.bitrate_bps.min(self.limits.max_bitrate_bps),
            seed: rand::random(),
            limits: self.limits.scene,
        };
        worker
            .run(start, &artifact.file)
            .map_err(|error| Problem::internal("Starting the session", &error))?;
        worker
            .send(ToWorker::SetWatched(true))
            .map_err(|_| Problem::internal("Starting the session", &"the worker's queue is full"))?;
        self.launch(info, worker, lease, (slot, hot), span)
    }

    /// Starts a first worker, to know what workers are on this machine.
    pub async fn probe(&self) -> Result<Probed, StartError> {
        let (worker, ready) = self.node.learn(Worker::start(&self.program).await)?;
        Ok(Probed { worker, ready })
    }

    /// One that waits, or one that is started now.
    async fn worker(&self) -> Result<Worker, Problem> {
        if let Some(worker) = self.pool.take().await {
            worker.set_class(Class::Session);
            self.metrics.worker_taken(true);
            return Ok(worker);
        }
        self.metrics.worker_taken(false);
        let started = self.node.learn(Worker::start(&self.program).await);
        let (worker, Ready { adapter, .. }) = started.map_err(|error| start_problem(&error))?;
        tracing::debug!(
            adapter = %escape_untrusted(&adapter.name),
            driver = %escape_untrusted(&adapter.driver),
            is_cpu = adapter.is_cpu,
            "worker is ready"
        );
        Ok(worker)
    }

    /// Puts a session into the book and starts its task.
    fn launch(
        &self,
        info: SessionInfo,
        worker: Worker,
        lease: Lease,
        (slot, hot): (Slot, Hot),
        span: tracing::Span,
    ) -> Result<Arc<Session>, Problem> {
        let id = info.id;
        let (mailbox, commands) = mpsc::channel(MAILBOX);
        let status = Status { phase: Phase::Starting, size: info.size, viewers: 0 };
        let (publisher, status) = watch::channel(status);
        let log = SessionLog::new();
        let session = Arc::new(Session {
            info: info.clone(),
            status,
            mailbox,
            log: log.clone(),
            process: worker.process_id(),
        });
        {
            let mut book = self.book();
            // Looked at again under the lock that `drain` takes, so that no session slips in behind it.
            if book.draining {
                return Err(draining());
            }
            book.sessions.insert(id, Arc::clone(&session));
        }
        let (metrics, clock_origin) = (Arc::clone(&self.metrics), self.clock_origin);
        let node = self.node.clone();
        let limits = self.limits;
        let actor = Actor::new(ActorParts {
            info,
            limits,
            worker,
            commands,
            status: publisher,
            log,
            metrics,
            node,
            clock_origin,
            slot,
            hot,
        });
        let retire = Retire { book: Arc::clone(&self.book), metrics: Arc::clone(&self.metrics), id };
        self.metrics.sessions.inc();
        self.tasks.spawn(
            async move {
                let _retire = retire;
                // The scene may be deleted meanwhile; its bytes stay as long as it runs.
                let _lease = lease;
                actor.run().await;
            }
            .instrument(span),
        );
        Ok(session)
    }

    /// A session that runs, or ended not long ago.
    pub fn get(&self, id: SessionId) -> Result<Arc<Session>, Problem> {
        let mut book = self.book();
        book.forget_old(Instant::now());
        book.sessions.get(&id).map(Arc::clone).ok_or_else(unknown_session)
    }

    /// All that run, and those that ended not long ago.
    pub fn list(&self) -> Vec<Arc<Session>> {
        let mut book = self.book();
        book.forget_old(Instant::now());
        book.sessions.values().map(Arc::clone).collect()
    }

    /// Fails when the server is shutting down.
    pub fn check_not_draining(&self) -> Result<(), Problem> {
        if self.is_draining() { Err(draining()) } else { Ok(()) }
    }

    /// Whether the server is shutting down.
    pub fn is_draining(&self) -> bool {
        self.book().draining
    }

    /// Takes no more sessions, lets each that runs go on until its viewers have left and no longer than `limit`, and waits until their
    /// workers are gone.
    pub async fn drain(&self, limit: Duration) {
        let sessions: Vec<_> = {
            let mut book = self.book();
            book.draining = true;
            book.sessions.values().map(Arc::clone).collect()
        };
        self.tasks.close();
        let drained = async {
            tokio::join!(
                futures::future::join_all(sessions.iter().map(|session| session.drain(limit))),
                self.pool.close(),
                self.tasks.wait()
            )
        };
        if timeout(limit + DRAIN_TIMEOUT, drained).await.is_err() {
            // Their workers end with us: they see their sockets close.
            tracing::warn!(sessions = self.tasks.len(), "sessions did not end in time and are given up");
        }
    }

    /// Brings the metrics of processes up to date.
    pub fn measure(&self) {
        let broker = usage::of_broker().unwrap_or_default();
        let processes: Vec<_> =
            self.book().sessions.values().filter_map(|session| session.process()).collect();
        let mut used = ProcessUse {
            broker_resident_bytes: broker.usage.resident_bytes,
            broker_cpu_seconds: broker.usage.cpu_seconds,
            broker_open_files: broker.open_files,
            children_cpu_seconds: broker.ended_children_cpu_seconds,
            ..ProcessUse::default()
        };
        for worker in processes.into_iter().filter_map(usage::of_process) {
            used.workers_resident_bytes += worker.resident_bytes;
            used.largest_worker_resident_bytes =
                used.largest_worker_resident_bytes.max(worker.resident_bytes);
            used.children_cpu_seconds += worker.cpu_seconds;
            used.busiest_worker_cpu_seconds = used.busiest_worker_cpu_seconds.max(worker.cpu_seconds);
        }
        self.metrics.processes(&used);
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        lock(&self.book)
    }
}

impl SessionOwners for Sessions {
    fn owner_of(&self, session: SessionId) -> Option<Owner> {
        self.get(session).ok().map(|session| session.info().owner.clone())
    }
}

/// The book holds whole entries at every moment, so a panic elsewhere does not make it wrong.
fn lock(book: &Mutex<Book>) -> MutexGuard<'_, Book> {
    book.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Notes the end of a session, however its task ends.
struct Retire {
    book: Arc<Mutex<Book>>,
    metrics: Arc<Metrics>,
    id: SessionId,
}

impl Drop for Retire {
    fn drop(&mut self) {
        self.metrics.sessions.dec();
        let now = Instant::now();
        let mut book = lock(&self.book);
        book.ended.push_back((now, self.id));
        book.forget_old(now);
    }
}

/// The answer for an id that names nothing.
pub fn unknown_session() -> Problem {
    Problem::new(
        Code::UnknownSession,
        "It never existed, or ended long ago; create one with POST /api/sessions.",
    )
}

fn draining() -> Problem {
    Problem::new(Code::Draining, "No new sessions or viewers are taken any more.")
}

fn start_problem(error: &StartError) -> Problem {
    let text = error.to_string();
    let text = escape_untrusted(&text);
    tracing::error!(error = %text, "no worker");
    match error {
        StartError::NoGpu(_) => {
            Problem::new(Code::NoGpu, "The server looks for it, and is ready again when it is back.")
        }
        _ => Problem::new(Code::WorkerStartFailed, text),
    }
}

#[cfg(test)]
mod tests {
    use renderer_protocol::SceneLimits;

    use super::*;
    use crate::config::CompileConfig;

    fn sessions(max_sessions: usize) -> (Sessions, tempfile::TempDir) {
        let cache = tempfile::tempdir().unwrap();
        let limits = SessionLimits {
            max_viewers: 2,
            max_size: FrameSize::new(640, 352).unwrap(),
            bitrate_bps: 1_000_000,
            max_bitrate_bps: 1_000_000,
            grace: Duration::from_secs(1),
            scene: SceneLimits::default(),
        };
        let program = Program::this_binary(cache.path()).unwrap();
        let metrics = Arc::new(Metrics::new());
        let compile = CompileConfig { time: Duration::from_secs(30), memory_bytes: 1 << 30 };
        let compiler = Compiler::open(&program, compile, Arc::clone(&metrics)).unwrap();
        let counts = SessionCounts { all: max_sessions, per_owner: max_sessions };
        (Sessions::new(program, Arc::new(compiler), limits, counts, metrics), cache)
    }

    fn new_session() -> NewSession {
        NewSession {
            owner: Owner::anybody(),
            shares_places: false,
            scene: "orbit".parse().unwrap(),
            runnable: Runnable::from_file("/nowhere/orbit.wasm".into()),
            size: FrameSize::new(640, 352).unwrap(),
            frame_rate_hz: 30,
        }
    }

    #[tokio::test]
    async fn a_full_server_says_so_before_it_starts_anything() {
        let (sessions, _cache) = sessions(0);
        let problem = sessions.create(new_session()).await.unwrap_err();
        assert_eq!(problem.code, Code::TooManySessions);
    }

    #[tokio::test]
    async fn a_server_that_shuts_down_takes_no_session() {
        let (sessions, _cache) = sessions(1);
        sessions.drain(Duration::ZERO).await;
        assert_eq!(sessions.create(new_session()).await.unwrap_err().code, Code::Draining);
        assert_eq!(sessions.check_not_draining().unwrap_err().code, Code::Draining);
    }

    #[tokio::test]
    async fn an_unknown_id_is_an_unknown_session() {
        let (sessions, _cache) = sessions(1);
        assert_eq!(sessions.get(SessionId::random()).unwrap_err().code, Code::UnknownSession);
    }

    #[test]
    fn ended_sessions_are_remembered_for_a_while_and_at_most_so_many() {
        let mut book = Book::default();
        let now = Instant::now();
        let remember = |book: &mut Book, since: Instant| {
            let id = SessionId::random();
            let info = SessionInfo {
                id,
                owner: Owner::anybody(),
                scene: "orbit".parse().unwrap(),
                size: FrameSize::new(640, 352).unwrap(),
                frame_rate_hz: 30,
            };
            let status = watch::channel(Status { phase: Phase::Running, size: info.size, viewers: 0 }).1;
            let mailbox = mpsc::channel(1).0;
            let log = SessionLog::new();
            book.sessions.insert(id, Arc::new(Session { info, status, mailbox, log, process: None }));
            book.ended.push_back((since, id));
        };
        for _ in 0..MAX_ENDED + 10 {
            remember(&mut book, now);
        }
        book.forget_old(now);
        assert_eq!((book.sessions.len(), book.ended.len()), (MAX_ENDED, MAX_ENDED));
        let later = now + ENDED_RETENTION;
        remember(&mut book, later);
        book.forget_old(later);
        assert_eq!((book.sessions.len(), book.ended.len()), (1, 1));
    }
}
