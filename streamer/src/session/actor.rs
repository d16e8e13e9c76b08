//! A running session: one task that owns the worker and the viewers, and is talked to by messages.
//!
//! Everything that happens to a session happens in its task, in order: frames come from the worker and go to the viewers, input and
//! control go the other way. Ends once, with one reason; the worker's process is gone when the task is.
//!
//! Here are its state, its loop, its end and what the HTTP side asks of it; in modules of their own what the worker and the viewers say, and
//! what time does.

mod time;
mod viewers;
mod worker;

use std::{sync::Arc, time::Duration};

use renderer_protocol::{FrameSize, SceneLimits, ToWorker};
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::Instant,
};

use self::viewers::{CLOSE_TIMEOUT, close};
use super::{
    Phase, SessionInfo, Status,
    end::SessionEnd,
    id::ViewerKey,
    log::SessionLog,
    node::Node,
    pool::Hot,
    process::LineBudget,
    registry::Slot,
    screenshot::{self, Screenshots},
    share::Share,
    status::StatusPublisher,
    stream_state::{BitrateTarget, Resizer, RtpClock},
    throttle::Throttle,
    viewers::{NewViewer, ViewerEvent, Viewers},
    worker::Worker,
};
use crate::{
    input::InputQueue,
    metrics::{Depth, Metrics, Queue},
    rtc::Peer,
    text::escape_untrusted,
    viewer_protocol::ServerMessage,
};

/// An IDR costs ten times a picture: however many ask, at most one in this time.
const KEYFRAME_INTERVAL: Duration = Duration::from_millis(300);
/// Input that comes within this time is one batch: below a tick, so that it costs no picture, and long enough to merge moves.
const INPUT_INTERVAL: Duration = Duration::from_millis(4);
/// How often viewers get `stats`.
const STATS_INTERVAL: Duration = Duration::from_secs(1);
/// A session that nobody has joined yet: the page that created it joins within a second.
const UNJOINED_TIMEOUT: Duration = Duration::from_secs(30);
/// How long viewers whose data channels open only now are told how the session has ended. The connections of the others wait until they know.
const LAST_WORDS: Duration = Duration::from_millis(250);
/// The same for viewers that are still connecting, which takes six times as long as a datagram there and back: who comes to a scene that fails at
/// once is told why. With the time that closing takes it is less than a server that ends waits for.
const CONNECTING_LAST_WORDS: Duration = Duration::from_millis(1_750);
/// A scene that prints without end does not fill the log.
const MAX_SCENE_LINES_PER_SECOND: u32 = 50;

/// What others ask of a session.
pub(super) enum Command {
    /// Take this viewer in. Answers with its name, or `None` when there are too many.
    AddViewer(NewViewer, oneshot::Sender<Option<ViewerKey>>),
    /// Whether another viewer would be taken in.
    HasRoom(oneshot::Sender<bool>),
    /// The connection of a viewer.
    Peer(ViewerKey, oneshot::Sender<Option<Arc<Peer>>>),
    /// A viewer leaves. Answers whether there was one of that name.
    RemoveViewer(ViewerKey, oneshot::Sender<bool>),
    /// A picture of what viewers see. Answers with nothing when there is none yet; does not answer when too many ask.
    Screenshot(screenshot::Reply),
    /// The server shuts down: the session ends when its viewers have left, or after this time.
    Drain(Duration),
    /// The session ends.
    End(SessionEnd),
}

/// What a session may do and cost.
#[derive(Clone, Copy, Debug)]
pub struct SessionLimits {
    /// Viewers at a time.
    pub max_viewers: usize,
    /// The largest picture.
    pub max_size: FrameSize,
    /// The encoder's target as long as no path is known.
    pub bitrate_bps: u32,
    /// The highest target.
    pub max_bitrate_bps: u32,
    /// How long the session stays when the last viewer has left.
    pub grace: Duration,
    /// What the scene may use.
    pub scene: SceneLimits,
}

/// See the module.
pub(super) struct Actor {
    info: SessionInfo,
    limits: SessionLimits,
    worker: Worker,
    commands: mpsc::Receiver<Command>,
    status: StatusPublisher,
    metrics: Arc<Metrics>,
    node: Node,
    /// Server time is counted from here.
    clock_origin: Instant,
    viewers: Viewers,
    rtp_clock: RtpClock,
    bitrate: BitrateTarget,
    resizer: Resizer,
    keyframes: Throttle,
    queue: InputQueue,
    flush: Throttle,
    input_sequence: u64,
    watched: bool,
    drew_once: bool,
    size: FrameSize,
    idle_deadline: Option<Instant>,
    /// When it ends because the server shuts down.
    drain_deadline: Option<Instant>,
    stats_due: Instant,
    scene_lines: LineBudget,
    log: SessionLog,
    screenshots: Screenshots,
    depths: Depths,
    share: Share,
    share_due: Instant,
    /// Until the first picture.
    hot: Option<Hot>,
    slot: Slot,
}

/// How full the session's queues are, told once a second.
struct Depths {
    from_worker: Depth,
    to_worker: Depth,
    input: Depth,
    viewer_frames: Depth,
}

impl Depths {
    fn new(metrics: &Metrics) -> Self {
        Self {
            from_worker: metrics.depth(Queue::FromWorker),
            to_worker: metrics.depth(Queue::ToWorker),
            input: metrics.depth(Queue::Input),
            viewer_frames: metrics.depth(Queue::ViewerFrames),
        }
    }
}

/// What [`Actor::new`] needs.
pub(super) struct ActorParts {
    /// Who it is.
    pub info: SessionInfo,
    /// What it may do.
    pub limits: SessionLimits,
    /// A worker that has been given its scene.
    pub worker: Worker,
    /// Its mailbox.
    pub commands: mpsc::Receiver<Command>,
    /// Where its state is read.
    pub status: watch::Sender<Status>,
    /// What its scene printed.
    pub log: SessionLog,
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// What is known of the GPU.
    pub node: Node,
    /// The start of server time.
    pub clock_origin: Instant,
    /// Its place among the sessions that may run.
    pub slot: Slot,
    /// Somebody waits for its first picture.
    pub hot: Hot,
}

impl Actor {
    /// A session nobody has joined.
    pub(super) fn new(parts: ActorParts) -> Self {
        let ActorParts {
            info,
            limits,
            worker,
            commands,
            status,
            log,
            metrics,
            node,
            clock_origin,
            slot,
            hot,
        } = parts;
        let now = Instant::now();
        let size = info.size;
        Self {
            limits,
            worker,
            commands,
            status: StatusPublisher::new(status),
            clock_origin,
            viewers: Viewers::default(),
            rtp_clock: RtpClock::starting_at(rand::random()),
            bitrate: BitrateTarget::new(limits.bitrate_bps, limits.max_bitrate_bps),
            resizer: Resizer::new(size, limits.max_size),
            keyframes: Throttle::new(KEYFRAME_INTERVAL),
            queue: InputQueue::default(),
            flush: Throttle::new(INPUT_INTERVAL),
            input_sequence: 0,
            watched: true,
            drew_once: false,
            size,
            idle_deadline: Some(now + UNJOINED_TIMEOUT),
            drain_deadline: None,
            stats_due: now + STATS_INTERVAL,
            scene_lines: LineBudget::new(MAX_SCENE_LINES_PER_SECOND),
            log,
            screenshots: Screenshots::new(),
            share: Share::default(),
            share_due: now,
            depths: Depths::new(&metrics),
            metrics,
            node,
            hot: Some(hot),
            slot,
            info,
        }
    }

    /// Runs the session to its end.
    pub(super) async fn run(mut self) {
        tracing::info!(
            scene = %self.info.scene,
            size = %self.size,
            frame_rate_hz = self.info.frame_rate_hz,
            worker_pid = self.worker.process_id(),
            "session begins"
        );
        let end = loop {
            let deadline = self.next_deadline();
            let step = tokio::select! {
                event = self.worker.recv() => self.on_worker(event),
                (viewer, event) = self.viewers.next_event() => match event {
                    ViewerEvent::Peer(event) => self.on_viewer(viewer, event),
                    ViewerEvent::Revoked => self.on_revoked(viewer),
                },
                command = self.commands.recv() => match command {
                    Some(command) => self.on_command(command),
                    // The registry keeps a sender as long as a session runs.
                    None => Err(SessionEnd::Deleted),
                },
                () = tokio::time::sleep_until(deadline) => self.on_time(Instant::now()),
            };
            if let Err(end) = step {
                break end;
            }
        };
        self.finish(end).await;
    }

    async fn finish(self, end: SessionEnd) {
        let (code, message) = (end.code(), end.message());
        if let SessionEnd::WorkerProtocol { what } = &end {
            tracing::warn!(code, what = %escape_untrusted(what), "session ends: the worker broke the protocol");
        } else {
            tracing::info!(code, why = %escape_untrusted(&message), "session ends");
        }
        self.metrics.worker_ended(code);
        if end.casts_doubt_on_gpu() {
            self.node.doubt();
        }
        self.log.note(&format!("{code}: {message}"));
        for viewer in self.viewers.iter() {
            viewer.tell(&ServerMessage::Ended { code, message: &message });
        }
        self.status.publish(|status| status.phase = Phase::Ended(end.clone()));
        let (mut viewers, slot) = (self.viewers, self.slot);
        let worker_ends = async {
            match end {
                SessionEnd::Deleted
                | SessionEnd::Draining
                | SessionEnd::NobodyWatching
                | SessionEnd::Worker(_) => {
                    self.worker.stop().await;
                }
                _ => self.worker.kill().await,
            }
            // What the session took of the machine is free; its viewers may take a moment longer.
            drop(slot);
        };
        let viewers_leave = async {
            if viewers.len() > 0 {
                let ended = ServerMessage::Ended { code, message: &message };
                let _ = tokio::time::timeout(LAST_WORDS, viewers.tell_those_who_come(&ended)).await;
                let connecting = viewers.tell_those_who_connect(&ended);
                let _ = tokio::time::timeout(CONNECTING_LAST_WORDS, connecting).await;
            }
            futures::future::join_all(viewers.take().into_iter().map(|viewer| close(viewer, CLOSE_TIMEOUT)))
                .await;
        };
        tokio::join!(worker_ends, viewers_leave);
    }

    // What the HTTP side asks.

    fn on_command(&mut self, command: Command) -> Result<(), SessionEnd> {
        let now = Instant::now();
        // Whoever asked may have gone; then the answer is for nobody, and that is fine.
        match command {
            Command::AddViewer(new, reply) => {
                if self.viewers.len() >= self.limits.max_viewers {
                    let _ = reply.send(None);
                    return Ok(());
                }
                let key = self.viewers.add(new, now);
                self.idle_deadline = None;
                if reply.send(Some(key)).is_err()
                    && let Some(id) = self.viewers.by_key(key).map(|viewer| viewer.id)
                {
                    return self.remove_viewer(id, now);
                }
                Ok(())
            }
            Command::HasRoom(reply) => {
                let _ = reply.send(self.viewers.len() < self.limits.max_viewers);
                Ok(())
            }
            Command::Peer(key, reply) => {
                let _ = reply.send(self.viewers.by_key(key).map(|viewer| Arc::clone(&viewer.peer)));
                Ok(())
            }
            Command::RemoveViewer(key, reply) => {
                let id = self.viewers.by_key(key).map(|viewer| viewer.id);
                let _ = reply.send(id.is_some());
                match id {
                    Some(id) => self.remove_viewer(id, now),
                    None => Ok(()),
                }
            }
            Command::Screenshot(reply) => {
                if self.screenshots.request(reply, now) {
                    self.send(ToWorker::TakeScreenshot)
                } else {
                    Ok(())
                }
            }
            Command::Drain(limit) => {
                let seconds = limit.as_secs();
                self.drain_deadline = Some(now + limit);
                for viewer in self.viewers.iter() {
                    viewer.tell(&ServerMessage::Draining { seconds });
                }
                self.check_drained()
            }
            Command::End(end) => Err(end),
        }
    }

    /// A session that nobody watches holds up no server that shuts down.
    fn check_drained(&self) -> Result<(), SessionEnd> {
        if self.drain_deadline.is_some() && self.viewers.len() == 0 {
            Err(SessionEnd::Draining)
        } else {
            Ok(())
        }
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
