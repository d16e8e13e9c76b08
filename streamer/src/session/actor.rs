//! A running session: one task that owns the worker and the viewers, and is talked to by messages.
//!
//! Everything that happens to a session happens here, in order: frames come from the worker and go to the viewers, input and
//! control go the other way. Ends once, with one reason; the worker's process is gone when the task is.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use renderer_protocol::{AccessUnit, FrameSize, LogLine, SceneLimits, ToWorker, ViewerId};
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::Instant,
};

use super::{
    Phase, SessionInfo, Status,
    end::SessionEnd,
    id::ViewerKey,
    log::{SessionLog, Source},
    node::Node,
    pool::Hot,
    process::{Admitted, LineBudget},
    registry::Slot,
    screenshot::{self, Screenshots},
    share::{self, Share},
    status::StatusPublisher,
    stream_state::{BitrateTarget, Resizer, RtpClock},
    throttle::Throttle,
    usage::{self, Usage},
    viewers::{NewViewer, Sent, Viewer, ViewerEvent, Viewers},
    worker::{Stalled, Worker, WorkerEvent},
};
use crate::{
    input::{Applied, InputQueue, Lane},
    metrics::{Counted, Depth, FrameStage, Metrics, Queue, TimedStage},
    rtc::{Channel, Peer, PeerEvent, VideoFrame},
    text::escape_untrusted,
    viewer_protocol::{ClientMessage, ServerMessage, VERSION},
};

/// An IDR costs ten times a picture: however many ask, at most one in this time.
const KEYFRAME_INTERVAL: Duration = Duration::from_millis(300);
/// Input that comes within this time is one batch: below a tick, so that it costs no picture, and long enough to merge moves.
const INPUT_INTERVAL: Duration = Duration::from_millis(4);
/// How often viewers get `stats`.
const STATS_INTERVAL: Duration = Duration::from_secs(1);
/// A session that nobody has joined yet: the page that created it joins within a second.
const UNJOINED_TIMEOUT: Duration = Duration::from_secs(30);
/// How long the last message to viewers may take before their connections are closed.
const LAST_WORDS: Duration = Duration::from_millis(250);
/// How long closing a connection may take.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);
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
    _slot: Slot,
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
            _slot: slot,
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
            tracing::info!(code, message = %escape_untrusted(&message), "session ends");
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
        let mut viewers = self.viewers;
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
        };
        let viewers_leave = async {
            if viewers.len() > 0 {
                let ended = ServerMessage::Ended { code, message: &message };
                let _ = tokio::time::timeout(LAST_WORDS, viewers.tell_those_who_come(&ended)).await;
            }
            futures::future::join_all(viewers.take().into_iter().map(|viewer| close(viewer.peer))).await;
        };
        tokio::join!(worker_ends, viewers_leave);
    }

    // What the worker says.

    fn on_worker(&mut self, event: WorkerEvent) -> Result<(), SessionEnd> {
        match event {
            WorkerEvent::Started => {
                self.status.publish(|status| status.phase = Phase::Running);
                tracing::debug!("the scene runs");
            }
            WorkerEvent::AccessUnit(unit) => self.on_access_unit(unit)?,
            WorkerEvent::Log(line) => self.on_log(&line),
            WorkerEvent::Screenshot(png) => self.screenshots.answered(png),
            WorkerEvent::FramesDropped(count) => {
                self.metrics.frames(FrameStage::Presented, count.into());
                self.metrics.frames(FrameStage::Dropped, count.into());
            }
            WorkerEvent::Gone(end) => return Err(end),
        }
        Ok(())
    }

    fn on_access_unit(&mut self, mut unit: AccessUnit) -> Result<(), SessionEnd> {
        let now = Instant::now();
        let data = Bytes::from(std::mem::take(&mut unit.data));
        let rtp_timestamp = self.rtp_clock.timestamp(unit.pts_us);
        if unit.keyframe {
            self.metrics.keyframes.inc();
            self.keyframes.acted(now);
        }
        if unit.size != self.size {
            self.size = unit.size;
            self.status.publish(|status| status.size = unit.size);
            let (width, height) = unit.size.into();
            for viewer in self.viewers.iter() {
                viewer.tell(&ServerMessage::Size { width, height });
            }
        }
        let frame = VideoFrame { data, keyframe: unit.keyframe, rtp_timestamp };
        let mut sent_bytes = 0;
        for viewer in self.viewers.iter_mut().filter(|viewer| viewer.is_connected()) {
            // Read before, for on a busy machine the picture may be on the screen when this call returns.
            let sent_us = micros(self.clock_origin.elapsed());
            match viewer.send(&frame) {
                Sent::Yes => {
                    self.metrics.frames(FrameStage::Sent, 1);
                    sent_bytes += frame.data.len() as u64;
                    viewer.tell_frame(&unit, frame.data.len(), rtp_timestamp, sent_us);
                }
                Sent::Dropped => self.metrics.frames(FrameStage::Dropped, 1),
                Sent::NotYet => {}
            }
        }
        self.metrics.bytes_sent.inc_by(sent_bytes);
        self.metrics.frames(FrameStage::Encoded, 1);
        if !unit.keep_alive {
            self.metrics.frames(FrameStage::Presented, 1);
            self.metrics.stages(&unit.times);
        }
        self.metrics.stage(TimedStage::Send, now.elapsed());
        self.drew_once = true;
        self.hot = None;
        self.update_watched()
    }

    fn on_log(&mut self, line: &LogLine) {
        self.log.push(line);
        match self.scene_lines.take(Instant::now()) {
            Admitted::No => return,
            Admitted::Yes { suppressed: 0 } => {}
            Admitted::Yes { suppressed } => {
                tracing::warn!(suppressed, "lines of the scene's output left out");
            }
        }
        let source = Source::from(line.source).name();
        tracing::info!(target: "scenecast::scene", source, line = %escape_untrusted(&line.line), "scene output");
    }

    // What the viewers say.

    fn on_viewer(&mut self, id: ViewerId, event: PeerEvent) -> Result<(), SessionEnd> {
        let now = Instant::now();
        match event {
            PeerEvent::Connected => {
                let Some(viewer) = self.viewers.get_mut(id) else { return Ok(()) };
                if !viewer.is_connected() {
                    viewer.connected(Counted::new(&self.metrics.viewers));
                    tracing::info!(viewer = id.0, "viewer connected");
                    self.publish_viewers();
                    self.update_watched()?;
                    self.request_keyframe(now)?;
                }
                Ok(())
            }
            PeerEvent::ChannelsOpen => {
                if let Some(viewer) = self.viewers.get_mut(id) {
                    viewer.channels_open();
                    if let Some(deadline) = self.drain_deadline {
                        let seconds = deadline.saturating_duration_since(now).as_secs();
                        viewer.tell(&ServerMessage::Draining { seconds });
                    }
                }
                Ok(())
            }
            PeerEvent::Text(channel, text) => self.on_text(id, channel, &text, now),
            PeerEvent::BadMessage => self.on_bad_message(id, now),
            PeerEvent::KeyframeNeeded => self.request_keyframe(now),
            PeerEvent::TargetBitrate { bps } => {
                if let Some(viewer) = self.viewers.get_mut(id) {
                    viewer.target_bps = Some(bps);
                }
                self.update_bitrate()
            }
            PeerEvent::Closed(why) => {
                tracing::info!(viewer = id.0, why = %escape_untrusted(&why), "viewer's connection closed");
                self.remove_viewer(id, now)
            }
        }
    }

    fn on_revoked(&mut self, id: ViewerId) -> Result<(), SessionEnd> {
        tracing::info!(viewer = id.0, "viewer's access was withdrawn");
        if let Some(viewer) = self.viewers.get_mut(id) {
            let message = "your access to it was withdrawn";
            viewer.tell(&ServerMessage::Ended { code: "revoked", message });
        }
        self.remove_viewer_after(LAST_WORDS, id, Instant::now())
    }

    fn on_text(
        &mut self,
        id: ViewerId,
        channel: Channel,
        text: &str,
        now: Instant,
    ) -> Result<(), SessionEnd> {
        let lane = match channel {
            Channel::Motion => Lane::Motion,
            Channel::Events => Lane::Events,
        };
        let message = ClientMessage::parse(text).ok().filter(|message| {
            // On the unordered channel anything else could overtake its own release.
            lane == Lane::Events || matches!(message, ClientMessage::PointerMove(_) | ClientMessage::Unknown)
        });
        let Some(message) = message else { return self.on_bad_message(id, now) };
        let Some(viewer) = self.viewers.get_mut(id) else { return Ok(()) };
        let is_within_rate = |viewer: &mut Viewer| viewer.input.admit(now.into_std());
        match message {
            ClientMessage::Hello { .. } => {
                if is_within_rate(viewer) {
                    let session = self.info.id.to_string();
                    let scene = self.info.scene.to_string();
                    viewer.tell(&ServerMessage::Welcome {
                        version: VERSION,
                        viewer: id.0,
                        session: &session,
                        scene: &scene,
                        control: viewer.pass.may_control,
                    });
                }
                Ok(())
            }
            ClientMessage::Ping { t } => {
                if is_within_rate(viewer) {
                    let server_us = micros(self.clock_origin.elapsed());
                    viewer.tell(&ServerMessage::Pong { t, server_us });
                }
                Ok(())
            }
            ClientMessage::Measure { on } => {
                viewer.measures = on;
                Ok(())
            }
            ClientMessage::Unknown => Ok(()),
            // Whoever may only watch cannot be told from one that says nothing: its input has no effect, and is no misbehaviour.
            _ if !viewer.pass.may_control => {
                self.metrics.input(Applied::Ignored, 1);
                Ok(())
            }
            ClientMessage::Resize { width, height } => match self.resizer.ask(width, height, now) {
                Some(size) => self.send(ToWorker::Resize(size)),
                None => Ok(()),
            },
            input => self.on_input(id, input, lane, now),
        }
    }

    fn on_input(
        &mut self,
        id: ViewerId,
        message: ClientMessage,
        lane: Lane,
        now: Instant,
    ) -> Result<(), SessionEnd> {
        let Some(viewer) = self.viewers.get_mut(id) else { return Ok(()) };
        let seq = message.seq();
        let (mut fits, mut count) = (true, 0);
        let applied = viewer.input.apply(message, lane, now.into_std(), &mut |event| {
            fits &= self.queue.push(event);
            count += 1;
        });
        self.metrics.input(applied, count);
        if !fits {
            return Err(SessionEnd::WorkerUnresponsive);
        }
        match applied {
            Applied::Accepted => {
                if let Some(seq) = seq {
                    viewer.sequence.queued(seq);
                }
                self.flush_input(now)
            }
            Applied::Refused => self.on_bad_message(id, now),
            Applied::Ignored | Applied::TooFast => Ok(()),
        }
    }

    fn on_bad_message(&mut self, id: ViewerId, now: Instant) -> Result<(), SessionEnd> {
        self.metrics.bad_messages.inc();
        let Some(viewer) = self.viewers.get_mut(id) else { return Ok(()) };
        if viewer.has_talked_nonsense() {
            tracing::warn!(viewer = id.0, "viewer is disconnected: too many messages without sense");
            return self.remove_viewer(id, now);
        }
        Ok(())
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

    fn remove_viewer(&mut self, id: ViewerId, now: Instant) -> Result<(), SessionEnd> {
        self.remove_viewer_after(Duration::ZERO, id, now)
    }

    /// Takes a viewer out at once, and closes its connection after some time, in which the last message to it arrives.
    fn remove_viewer_after(&mut self, time: Duration, id: ViewerId, now: Instant) -> Result<(), SessionEnd> {
        let Some(mut viewer) = self.viewers.remove(id) else { return Ok(()) };
        self.metrics.network(viewer.take_network_use());
        tracing::info!(viewer = id.0, "viewer left");
        let mut fits = true;
        viewer.input.release_all(&mut |event| fits &= self.queue.push(event));
        tokio::spawn(async move {
            // As a whole until then: a connection whose events nobody takes any more closes at once.
            let viewer = viewer;
            tokio::time::sleep(time).await;
            close(viewer.peer).await;
        });
        if self.viewers.len() == 0 {
            self.idle_deadline = Some(now + self.limits.grace);
        }
        self.publish_viewers();
        if !fits {
            return Err(SessionEnd::WorkerUnresponsive);
        }
        self.check_drained()?;
        self.flush_input(now)?;
        self.update_bitrate()?;
        self.update_watched()
    }

    // What time does.

    fn next_deadline(&self) -> Instant {
        let connecting = self.viewers.connect_deadline().map(|(_, deadline)| deadline);
        let timers = [self.keyframes.due(), self.resizer.due(), self.flush.due(), self.screenshots.due()];
        timers
            .into_iter()
            .chain([self.idle_deadline, self.drain_deadline, connecting])
            .flatten()
            .fold(self.stats_due.min(self.share_due), Instant::min)
    }

    fn on_time(&mut self, now: Instant) -> Result<(), SessionEnd> {
        if self.idle_deadline.is_some_and(|deadline| deadline <= now) {
            return Err(SessionEnd::NobodyWatching);
        }
        if self.drain_deadline.is_some_and(|deadline| deadline <= now) {
            return Err(SessionEnd::Draining);
        }
        if let Some((id, deadline)) = self.viewers.connect_deadline()
            && deadline <= now
        {
            tracing::info!(viewer = id.0, "viewer did not connect in time");
            self.remove_viewer(id, now)?;
        }
        if self.keyframes.fire(now) {
            self.send(ToWorker::RequestKeyframe)?;
        }
        if let Some(size) = self.resizer.fire(now) {
            self.send(ToWorker::Resize(size))?;
        }
        if self.flush.fire(now) {
            self.send_input(now)?;
        }
        if self.screenshots.fire(now) {
            self.send(ToWorker::TakeScreenshot)?;
        }
        if self.share_due <= now {
            self.share_due = now + share::LOOK_INTERVAL;
            self.look_at_share(now);
        }
        if self.stats_due <= now {
            let elapsed = now.duration_since(self.stats_due) + STATS_INTERVAL;
            self.stats_due = now + STATS_INTERVAL;
            let target_bps = self.bitrate.current_bps();
            let (from_worker, to_worker) = self.worker.queued();
            self.depths.from_worker.set(from_worker);
            self.depths.to_worker.set(to_worker);
            self.depths.input.set(self.queue.len());
            self.depths
                .viewer_frames
                .set(self.viewers.iter().map(|viewer| viewer.peer.queued_frames()).sum());
            for viewer in self.viewers.iter_mut() {
                viewer.tell_stats(target_bps, elapsed);
                self.metrics.network(viewer.take_network_use());
            }
        }
        Ok(())
    }

    fn look_at_share(&mut self, now: Instant) {
        let used = self.worker.process_id().and_then(usage::of_process);
        let Some(Usage { cpu_seconds, .. }) = used else { return };
        let fair = share::fair_processors(self.metrics.sessions.get());
        if let Some(is_greedy) = self.share.look(now, cpu_seconds, fair) {
            self.worker.set_greedy(is_greedy);
            tracing::debug!(is_greedy, "the session's share of the processors changes");
        }
    }

    // What the worker is told.

    fn send(&mut self, message: ToWorker) -> Result<(), SessionEnd> {
        self.worker.send(message).map_err(|Stalled| SessionEnd::WorkerUnresponsive)
    }

    fn request_keyframe(&mut self, now: Instant) -> Result<(), SessionEnd> {
        if self.keyframes.request(now) { self.send(ToWorker::RequestKeyframe) } else { Ok(()) }
    }

    fn update_bitrate(&mut self) -> Result<(), SessionEnd> {
        let estimates = self.viewers.iter().filter_map(|viewer| viewer.target_bps);
        match self.bitrate.update(estimates) {
            Some(bitrate_bps) => self.send(ToWorker::SetBitrate { bitrate_bps }),
            None => Ok(()),
        }
    }

    /// A scene is watched until it has drawn once, so that its shaders are compiled while the first viewer connects; and then
    /// as long as somebody is there.
    fn update_watched(&mut self) -> Result<(), SessionEnd> {
        let watched = !self.drew_once || self.viewers.connected() > 0;
        if watched == self.watched {
            return Ok(());
        }
        self.watched = watched;
        self.send(ToWorker::SetWatched(watched))
    }

    fn flush_input(&mut self, now: Instant) -> Result<(), SessionEnd> {
        if !self.queue.is_empty() && self.flush.request(now) { self.send_input(now) } else { Ok(()) }
    }

    fn send_input(&mut self, now: Instant) -> Result<(), SessionEnd> {
        while self.worker.has_room_for_input() {
            let Some(events) = self.queue.take_batch() else {
                for viewer in self.viewers.iter_mut() {
                    viewer.sequence.sent(self.input_sequence);
                }
                return Ok(());
            };
            self.input_sequence += 1;
            self.send(ToWorker::Input { sequence: self.input_sequence, events })?;
        }
        // What is left goes with the next batch; until then moves are merged.
        let _ = self.flush.request(now);
        Ok(())
    }

    fn publish_viewers(&mut self) {
        let connected = self.viewers.connected();
        self.status.publish(|status| status.viewers = connected);
    }
}

async fn close(peer: Arc<Peer>) {
    if tokio::time::timeout(CLOSE_TIMEOUT, peer.close()).await.is_err() {
        tracing::warn!("closing a viewer's connection took too long and was given up");
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
