//! Workers that are started before anybody asks for a session: a GPU open, no scene.
//!
//! Owns them until they are taken; a worker that was taken never comes back. They are started one at a time, at low priority, while no
//! session is on its way to its first picture. One that ends while it waits is replaced, after a time that grows as long as that goes on.
//! When there is doubt about the GPU one is started to find out; until it has, those that wait are given to nobody.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
    task::Poll,
    time::Duration,
};

use tokio::{
    sync::{mpsc, oneshot, watch},
    task::JoinHandle,
    time::{Instant, timeout},
};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};
use tracing::Instrument;

use super::{
    node::{GpuState, Node},
    process::Program,
    worker::{Ready, StartError, Worker, WorkerEvent},
};
use crate::metrics::Metrics;

/// How long the refilling lets sessions go first. A session that draws nothing, or new ones without end, delay it no longer.
const MAX_DELAY: Duration = Duration::from_secs(3);
/// Until a worker is started again after one failed; doubles with each failure in a row.
const FIRST_BACKOFF: Duration = Duration::from_secs(1);
/// No longer than this: somebody may have repaired the driver.
const MAX_BACKOFF: Duration = Duration::from_mins(1);
/// A worker that has waited for so long is a sound one.
const SOUND_AFTER: Duration = Duration::from_mins(1);
/// How long a session waits for a worker that is just being started. Its start has a low priority: on a busy machine one of its own is
/// faster.
const MAX_WAIT: Duration = Duration::from_secs(1);
/// Requests on their way to the keeper, which answers at once.
const REQUESTS: usize = 32;

/// A start on its way.
struct Starting {
    began: Instant,
    /// Its worker, or none when it was only to be known whether it would come to life.
    worker: AbortOnDropHandle<Result<(Option<Worker>, Ready), StartError>>,
}
type Reply = oneshot::Sender<Option<Worker>>;

/// The way to the workers that wait. Cheap to clone.
#[derive(Clone)]
pub(super) struct Pool {
    requests: mpsc::Sender<Reply>,
    /// Sessions on their way to the first picture.
    hot: watch::Sender<usize>,
    closing: CancellationToken,
    keeper: Arc<Mutex<Option<JoinHandle<()>>>>,
}

/// Somebody waits for a first picture as long as this is kept.
pub(super) struct Hot(watch::Sender<usize>);

impl Drop for Hot {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count = count.saturating_sub(1));
    }
}

impl Default for Pool {
    /// One that has nothing and starts nothing.
    fn default() -> Self {
        let (requests, _) = mpsc::channel(REQUESTS);
        Self {
            requests,
            hot: watch::Sender::new(0),
            closing: CancellationToken::new(),
            keeper: Arc::default(),
        }
    }
}

impl Pool {
    /// Starts `size` workers, of which `first` is one already, and keeps as many. With 0 it keeps none, and starts one only to know whether a
    /// GPU that could not be opened can be opened again.
    pub(super) fn keep(
        program: &Program,
        size: usize,
        first: Option<Worker>,
        node: Node,
        metrics: Arc<Metrics>,
    ) -> Self {
        let (requests, incoming) = mpsc::channel(REQUESTS);
        let hot = watch::Sender::new(0);
        let closing = CancellationToken::new();
        let keeper = Keeper {
            gpu: node.subscribe(),
            doubts: node.doubts(),
            doubted: None,
            program: program.in_background(),
            size,
            node,
            metrics,
            requests: incoming,
            closing: closing.clone(),
            hot: hot.subscribe(),
            idle: first
                .filter(|_| size > 0)
                .map(|worker| Idle { worker, since: Instant::now() })
                .into_iter()
                .collect(),
            starting: None,
            waiting: None,
            backoff: Backoff::default(),
            next_start: Instant::now(),
        };
        let span = tracing::info_span!("warm_worker");
        let keeper = tokio::spawn(keeper.run().instrument(span));
        Self { requests, hot, closing, keeper: Arc::new(Mutex::new(Some(keeper))) }
    }

    /// Keeps the refilling from taking the processors as long as the result is kept.
    pub(super) fn hot(&self) -> Hot {
        self.hot.send_modify(|count| *count += 1);
        Hot(self.hot.clone())
    }

    /// A worker, if one waits or is just being started; none when one is to be started for the purpose.
    pub(super) async fn take(&self) -> Option<Worker> {
        let (reply, worker) = oneshot::channel();
        self.requests.send(reply).await.ok()?;
        timeout(MAX_WAIT, worker).await.ok()?.ok().flatten()
    }

    /// Ends all that wait.
    pub(super) async fn close(&self) {
        let keeper = self.keeper.lock().unwrap_or_else(PoisonError::into_inner).take();
        self.closing.cancel();
        if let Some(keeper) = keeper
            && let Err(error) = keeper.await
        {
            tracing::error!(%error, "the task that keeps workers ready failed");
        }
    }
}

struct Idle {
    worker: Worker,
    since: Instant,
}

struct Keeper {
    program: Program,
    size: usize,
    node: Node,
    gpu: watch::Receiver<GpuState>,
    doubts: watch::Receiver<()>,
    /// Since when the GPU is in doubt, if it is: no worker that was started later has opened it yet.
    doubted: Option<Instant>,
    metrics: Arc<Metrics>,
    requests: mpsc::Receiver<Reply>,
    closing: CancellationToken,
    hot: watch::Receiver<usize>,
    /// The one that has waited longest is taken first.
    idle: VecDeque<Idle>,
    starting: Option<Starting>,
    /// Who gets the worker that is being started.
    waiting: Option<Reply>,
    backoff: Backoff,
    next_start: Instant,
}

impl Keeper {
    async fn run(mut self) {
        loop {
            self.metrics.warm_workers.set(i64::try_from(self.idle.len()).unwrap_or(i64::MAX));
            let may_start = self.wants_more() && self.starting.is_none();
            tokio::select! {
                biased;
                () = self.closing.cancelled() => break,
                request = self.requests.recv() => match request {
                    Some(reply) => self.on_request(reply),
                    None => break,
                },
                (began, started) = finished(&mut self.starting) => self.on_started(began, started),
                Ok(()) = self.gpu.changed() => self.on_gpu(),
                Ok(()) = self.doubts.changed() => self.doubted = Some(Instant::now()),
                (position, event) = next_event(&mut self.idle) => self.on_idle_event(position, &event),
                () = quiet(&mut self.hot, self.next_start), if may_start => self.start(),
            }
        }
        // They have nothing that they could lose.
        futures::future::join_all(self.idle.drain(..).map(|idle| idle.worker.kill())).await;
    }

    fn wants_more(&self) -> bool {
        self.idle.len() < self.size
            || (self.size == 0 && self.node.gpu() != GpuState::Open)
            || self.doubted.is_some()
    }

    fn on_request(&mut self, reply: Reply) {
        // As long as there is doubt about the GPU, those that have it open may be of no use.
        let idle = if self.doubted.is_none() { self.idle.pop_front() } else { None };
        let Some(Idle { worker, .. }) = idle else {
            // Whoever comes while one is being started gets that one; a second one starts its own at once.
            if self.starting.is_some() && self.size > 0 && self.waiting.is_none() {
                self.waiting = Some(reply);
            } else {
                let _ = reply.send(None);
            }
            return;
        };
        self.backoff = Backoff::default();
        self.next_start = Instant::now();
        if let Err(Some(worker)) = reply.send(Some(worker)) {
            // Whoever asked is gone, and the worker has not been given anything.
            self.idle.push_front(Idle { worker, since: Instant::now() });
        }
    }

    fn start(&mut self) {
        let (program, keeps) = (self.program.clone(), self.idle.len() < self.size);
        let start = async move {
            let (worker, ready) = Worker::start(&program).await?;
            if keeps {
                return Ok((Some(worker), ready));
            }
            worker.stop().await;
            Ok((None, ready))
        };
        let worker = AbortOnDropHandle::new(tokio::spawn(start.in_current_span()));
        self.starting = Some(Starting { began: Instant::now(), worker });
    }

    fn on_started(&mut self, began: Instant, started: Result<(Option<Worker>, Ready), StartError>) {
        self.starting = None;
        let waiting = self.waiting.take();
        let started = self.node.learn(started);
        self.gpu.mark_unchanged();
        let Ok((worker, _)) = started else {
            // There is no doubt any more, and those that wait are of no use.
            self.doubted = None;
            self.idle.clear();
            self.back_off();
            return;
        };
        self.doubted = self.doubted.filter(|since| *since > began);
        if let Some(worker) = worker {
            tracing::debug!(worker_pid = worker.process_id(), "a worker waits for a scene");
            self.idle.push_back(Idle { worker, since: Instant::now() });
        }
        if let Some(reply) = waiting {
            self.on_request(reply);
        }
    }

    /// Those that wait have the same GPU open: when it is gone, they are of no use, and the next one shows whether it is back.
    fn on_gpu(&mut self) {
        if self.node.gpu() == GpuState::Unavailable && !self.idle.is_empty() {
            self.idle.clear();
            self.back_off();
        }
    }

    fn on_idle_event(&mut self, position: usize, event: &WorkerEvent) {
        let Some(Idle { since, .. }) = self.idle.remove(position) else { return };
        // It has no scene: whatever it says but that it is over, it may not say, and either way it is of no use.
        tracing::warn!(?event, "a worker that waited for a scene ended");
        if since.elapsed() >= SOUND_AFTER {
            self.backoff = Backoff::default();
        }
        self.back_off();
    }

    fn back_off(&mut self) {
        self.next_start = Instant::now() + self.backoff.next();
    }
}

/// Completes when a worker can be started without being in anybody's way.
async fn quiet(hot: &mut watch::Receiver<usize>, not_before: Instant) {
    tokio::time::sleep_until(not_before).await;
    let _ = tokio::time::timeout_at(not_before + MAX_DELAY, hot.wait_for(|count| *count == 0)).await;
}

async fn finished(starting: &mut Option<Starting>) -> (Instant, Result<(Option<Worker>, Ready), StartError>) {
    match starting {
        Some(Starting { began, worker }) => {
            let started = worker.await;
            let given_up = |error| Err(StartError::Ended(format!("its start was given up: {error}")));
            (*began, started.unwrap_or_else(given_up))
        }
        None => std::future::pending().await,
    }
}

/// The next thing that any of them says. Cancel-safe, as [`Worker::recv`] is.
async fn next_event(idle: &mut VecDeque<Idle>) -> (usize, WorkerEvent) {
    let mut events: Vec<_> = idle.iter_mut().map(|idle| Box::pin(idle.worker.recv())).collect();
    std::future::poll_fn(|context| {
        for (position, event) in events.iter_mut().enumerate() {
            if let Poll::Ready(event) = event.as_mut().poll(context) {
                return Poll::Ready((position, event));
            }
        }
        Poll::Pending
    })
    .await
}

/// How long to wait after a failure.
#[derive(Debug, Default)]
struct Backoff(Option<Duration>);

impl Backoff {
    fn next(&mut self) -> Duration {
        let next = self.0.map_or(FIRST_BACKOFF, |last| (last * 2).min(MAX_BACKOFF));
        self.0 = Some(next);
        next
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broken_gpu_is_tried_ever_more_rarely() {
        let mut backoff = Backoff::default();
        let waits: Vec<_> = std::iter::repeat_with(|| backoff.next().as_secs()).take(8).collect();
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60]);
    }

    #[tokio::test]
    async fn no_worker_is_started_while_a_session_waits_for_its_first_picture() {
        let pool = Pool::default();
        let mut watched = pool.hot.subscribe();
        quiet(&mut watched, Instant::now()).await;
        let (one, other) = (pool.hot(), pool.hot());
        for hot in [one, other] {
            let waits = timeout(MAX_DELAY / 30, quiet(&mut watched, Instant::now())).await.is_err();
            assert!(waits);
            drop(hot);
        }
        quiet(&mut watched, Instant::now()).await;
    }

    #[tokio::test]
    async fn sessions_that_never_draw_hold_the_refilling_up_for_a_while_only() {
        let pool = Pool::default();
        let _hot = pool.hot();
        let long_ago = Instant::now().checked_sub(MAX_DELAY).unwrap();
        quiet(&mut pool.hot.subscribe(), long_ago).await;
    }

    #[tokio::test]
    async fn row_37_only_a_worker_without_a_scene_that_fails_makes_the_server_sick() {
        let cache = tempfile::tempdir().unwrap();
        // The tests' binary is no worker: whatever is started ends at once.
        let program = Program::this_binary(cache.path()).unwrap();
        let node = Node::default();
        node.opened();
        let mut gpu = node.subscribe();
        let _pool = Pool::keep(&program, 0, None, node.clone(), Arc::new(Metrics::new()));
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert_eq!(node.gpu(), GpuState::Open, "nobody doubts it");
        node.doubt();
        assert_eq!(node.gpu(), GpuState::Open, "a doubt is no failure");
        let sick = gpu.wait_for(|gpu| *gpu == GpuState::Unavailable);
        assert!(timeout(Duration::from_mins(1), sick).await.is_ok(), "nobody found out");
    }

    #[tokio::test]
    async fn an_empty_pool_gives_nothing() {
        assert!(Pool::default().take().await.is_none());
    }
}
