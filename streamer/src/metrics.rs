//! What an operator can graph, in the `OpenMetrics` text form that Prometheus reads.
//!
//! docs/operations.md lists them for people. Labels come from fixed lists only: nothing that a scene, a viewer or the network chooses becomes one.

use std::{sync::atomic::AtomicU64, time::Duration};

use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram, info::Info},
    registry::Registry,
};
use renderer_protocol::StageTimes;

use crate::{error::Code, input::Applied};

/// The content type of [`Metrics::encode`].
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Upper bounds in seconds: a sent frame takes tens of microseconds, a picture of a heavy scene a hundred milliseconds.
const STAGE_BUCKETS_SECONDS: [f64; 14] =
    [5e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 2e-3, 4e-3, 8e-3, 0.016, 0.033, 0.066, 0.13, 0.26, 0.5];

/// Upper bounds in seconds: the same room, the same continent, and paths on which nobody likes to play.
const ROUND_TRIP_BUCKETS_SECONDS: [f64; 9] = [0.002, 0.005, 0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64];

/// Upper bounds in seconds: a look into the cache, a small scene, an interpreter of 20 MB.
const COMPILE_BUCKETS_SECONDS: [f64; 10] = [0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0];

/// What became of a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameStage {
    /// The scene presented it.
    Presented,
    /// It became an access unit; keep-alives count too.
    Encoded,
    /// It was handed to a viewer's connection; counts once for each viewer.
    Sent,
    /// It was replaced before it was encoded, or not sent to a viewer because that one's queue was full or its line carries nothing.
    Dropped,
}

/// A stage whose time is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimedStage {
    /// From the tick until the scene presented.
    Scene,
    /// Until the pixels were mapped.
    Readback,
    /// RGBA to I420.
    Convert,
    /// I420 to the access unit.
    Encode,
    /// From the worker's message until all viewers' connections had it.
    Send,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Stage {
    stage: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Source {
    from: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct QueueLabel {
    queue: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ProcessLabel {
    process: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Reason {
    reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
#[allow(clippy::struct_field_names, reason = "the fields are the names of the labels")]
struct Route {
    method: &'static str,
    route: String,
    status: u16,
}

/// What one viewer's path did for some time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NetworkUse {
    /// RTP packets of the video, retransmissions not counted.
    pub packets: u64,
    /// Packets that the viewer asked for again.
    pub nacks: u64,
    /// Payload of the packets that were sent again.
    pub retransmitted_bytes: u64,
    /// PLI and FIR, before they are merged.
    pub keyframe_requests: u64,
    /// The last round trip, once one was measured.
    pub round_trip: Option<Duration>,
}

/// Something that a gauge counts as long as it exists, however it ends.
#[derive(Debug)]
pub struct Counted(Gauge);

impl Counted {
    /// One more.
    pub fn new(gauge: &Gauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// How full one queue is, as a part of the gauge that adds up all queues of its kind; nothing any more when it is gone.
#[derive(Debug)]
pub struct Depth {
    all: Gauge,
    own: i64,
}

impl Depth {
    /// The queue holds so many now.
    pub fn set(&mut self, count: usize) {
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        self.all.inc_by(count - self.own);
        self.own = count;
    }
}

impl Drop for Depth {
    fn drop(&mut self) {
        self.all.dec_by(self.own);
    }
}

/// A queue of which there is one for each session or viewer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Queue {
    /// Messages of workers that wait for their session.
    FromWorker,
    /// Messages that wait for a worker's socket.
    ToWorker,
    /// Input that waits for the next batch.
    Input,
    /// Pictures that wait for a viewer's connection.
    ViewerFrames,
    /// Sessions that are being created and wait for their scene's native code.
    Compile,
}

/// What the server's processes use, at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ProcessUse {
    /// Resident memory of the broker.
    pub broker_resident_bytes: u64,
    /// Processor time of the broker since it began.
    pub broker_cpu_seconds: f64,
    /// Descriptors of the broker.
    pub broker_open_files: usize,
    /// Resident memory of all sessions' workers.
    pub workers_resident_bytes: u64,
    /// Resident memory of the largest one.
    pub largest_worker_resident_bytes: u64,
    /// Processor time of all child processes since the broker began, of those that have ended, too.
    pub children_cpu_seconds: f64,
    /// The most processor time that one session's worker has used.
    pub busiest_worker_cpu_seconds: f64,
}

type Seconds = Gauge<f64, AtomicU64>;

/// All of them.
pub struct Metrics {
    registry: Registry,
    /// Sessions that run.
    pub sessions: Gauge,
    /// Viewers that get pictures.
    pub viewers: Gauge,
    /// IDRs that workers sent.
    pub keyframes: Counter,
    /// Bytes of access units handed to viewers' connections.
    pub bytes_sent: Counter,
    /// Data channel messages that were dropped because they made no sense.
    pub bad_messages: Counter,
    rtp_packets: Counter,
    rtp_nacks: Counter,
    retransmitted_bytes: Counter,
    keyframe_requests: Counter,
    round_trip_seconds: Histogram,
    frames: Family<Stage, Counter>,
    stage_seconds: Family<Stage, Histogram, fn() -> Histogram>,
    input_events: Family<Outcome, Counter>,
    worker_exits: Family<Reason, Counter>,
    compilations: Family<Outcome, Counter>,
    bad_artifacts: Family<Reason, Counter>,
    refused_requests: Family<Reason, Counter>,
    /// Workers that wait for a scene.
    pub warm_workers: Gauge,
    workers_taken: Family<Source, Counter>,
    /// Time from asking for a scene's native code until it is there, from the cache or compiled.
    pub compile_seconds: Histogram,
    http_requests: Family<Route, Counter>,
    queued: Family<QueueLabel, Gauge>,
    resident_bytes: Family<ProcessLabel, Gauge>,
    cpu_seconds: Family<ProcessLabel, Seconds>,
    broker_open_files: Gauge,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// All zero.
    #[expect(clippy::too_many_lines, reason = "one list, of which each entry has its line for people")]
    pub fn new() -> Self {
        let new_histogram: fn() -> Histogram = || Histogram::new(STAGE_BUCKETS_SECONDS);
        let mut metrics = Self {
            registry: Registry::with_prefix("scenecast"),
            sessions: Gauge::default(),
            viewers: Gauge::default(),
            keyframes: Counter::default(),
            bytes_sent: Counter::default(),
            bad_messages: Counter::default(),
            rtp_packets: Counter::default(),
            rtp_nacks: Counter::default(),
            retransmitted_bytes: Counter::default(),
            keyframe_requests: Counter::default(),
            round_trip_seconds: Histogram::new(ROUND_TRIP_BUCKETS_SECONDS),
            frames: Family::default(),
            stage_seconds: Family::new_with_constructor(new_histogram),
            input_events: Family::default(),
            worker_exits: Family::default(),
            compilations: Family::default(),
            bad_artifacts: Family::default(),
            refused_requests: Family::default(),
            warm_workers: Gauge::default(),
            workers_taken: Family::default(),
            compile_seconds: Histogram::new(COMPILE_BUCKETS_SECONDS),
            http_requests: Family::default(),
            queued: Family::default(),
            resident_bytes: Family::default(),
            cpu_seconds: Family::default(),
            broker_open_files: Gauge::default(),
        };
        let registry = &mut metrics.registry;
        registry.register("sessions", "Sessions that run", metrics.sessions.clone());
        registry.register("viewers", "Viewers that get pictures", metrics.viewers.clone());
        registry.register("keyframes", "Keyframes that workers encoded", metrics.keyframes.clone());
        registry.register(
            "sent_bytes",
            "Encoded bytes handed to viewers' connections",
            metrics.bytes_sent.clone(),
        );
        registry.register(
            "bad_messages",
            "Messages of viewers that were dropped because they made no sense",
            metrics.bad_messages.clone(),
        );
        registry.register(
            "rtp_packets",
            "RTP packets of the video, retransmissions not counted",
            metrics.rtp_packets.clone(),
        );
        registry.register("rtp_nacks", "RTP packets that viewers asked for again", metrics.rtp_nacks.clone());
        registry.register(
            "rtp_retransmitted_bytes",
            "Payload of the RTP packets that were sent again",
            metrics.retransmitted_bytes.clone(),
        );
        registry.register(
            "keyframe_requests",
            "Keyframes that viewers asked for (PLI and FIR)",
            metrics.keyframe_requests.clone(),
        );
        registry.register(
            "round_trip_seconds",
            "Round trip to each connected viewer, once a second",
            metrics.round_trip_seconds.clone(),
        );
        registry.register("frames", "Pictures by what became of them", metrics.frames.clone());
        registry.register(
            "frame_stage_seconds",
            "Wall time of each stage of a picture",
            metrics.stage_seconds.clone(),
        );
        registry.register(
            "input_events",
            "Input messages by what became of them",
            metrics.input_events.clone(),
        );
        registry.register(
            "worker_exits",
            "Sessions' workers that ended, by reason",
            metrics.worker_exits.clone(),
        );
        registry.register("warm_workers", "Workers that wait for a scene", metrics.warm_workers.clone());
        registry.register(
            "workers_taken",
            "Workers that sessions got, by whether they were started in advance",
            metrics.workers_taken.clone(),
        );
        registry.register(
            "compile_seconds",
            "Time until a scene's native code was there, from the cache or compiled",
            metrics.compile_seconds.clone(),
        );
        registry.register(
            "compilations",
            "Scenes that were to be compiled, by what came of it",
            metrics.compilations.clone(),
        );
        registry.register(
            "bad_artifacts",
            "Compiled scenes that were not what they should be and were made anew, by flaw",
            metrics.bad_artifacts.clone(),
        );
        registry.register(
            "http_requests",
            "HTTP requests by route and status",
            metrics.http_requests.clone(),
        );
        registry.register(
            "refused_requests",
            "HTTP requests that were answered with a problem, by its code",
            metrics.refused_requests.clone(),
        );
        metrics.register_processes();
        metrics
    }

    fn register_processes(&mut self) {
        self.registry.register("queued", "What waits in queues, once a second", self.queued.clone());
        self.registry.register(
            "resident_bytes",
            "Resident memory of the broker, of all sessions' workers, and of the largest of these",
            self.resident_bytes.clone(),
        );
        self.registry.register(
            "cpu_seconds",
            "Processor time of the broker, of all child processes with those that ended, and of the busiest session's worker",
            self.cpu_seconds.clone(),
        );
        self.registry.register(
            "broker_open_files",
            "Descriptors that the broker has open",
            self.broker_open_files.clone(),
        );
        self.registry.register(
            "build",
            "The version of this server",
            Info::new([("version", env!("CARGO_PKG_VERSION"))]),
        );
    }

    /// Pictures passed a stage.
    pub fn frames(&self, stage: FrameStage, count: u64) {
        let stage = match stage {
            FrameStage::Presented => "presented",
            FrameStage::Encoded => "encoded",
            FrameStage::Sent => "sent",
            FrameStage::Dropped => "dropped",
        };
        self.frames.get_or_create(&Stage { stage }).inc_by(count);
    }

    /// A stage took so long.
    pub fn stage(&self, stage: TimedStage, duration: Duration) {
        let stage = match stage {
            TimedStage::Scene => "scene",
            TimedStage::Readback => "readback",
            TimedStage::Convert => "convert",
            TimedStage::Encode => "encode",
            TimedStage::Send => "send",
        };
        self.stage_seconds.get_or_create(&Stage { stage }).observe(duration.as_secs_f64());
    }

    /// The stages of one picture in the worker.
    pub fn stages(&self, times: &StageTimes) {
        for (stage, us) in [
            (TimedStage::Scene, times.scene_us),
            (TimedStage::Readback, times.readback_us),
            (TimedStage::Convert, times.convert_us),
            (TimedStage::Encode, times.encode_us),
        ] {
            self.stage(stage, Duration::from_micros(us.into()));
        }
    }

    /// A viewer's path did so much more.
    pub fn network(&self, used: NetworkUse) {
        self.rtp_packets.inc_by(used.packets);
        self.rtp_nacks.inc_by(used.nacks);
        self.retransmitted_bytes.inc_by(used.retransmitted_bytes);
        self.keyframe_requests.inc_by(used.keyframe_requests);
        if let Some(round_trip) = used.round_trip {
            self.round_trip_seconds.observe(round_trip.as_secs_f64());
        }
    }

    /// An input message was applied, and gave so many events.
    pub fn input(&self, applied: Applied, events: u64) {
        let (outcome, count) = match applied {
            Applied::Accepted => ("accepted", events),
            Applied::Ignored => ("ignored", 1),
            Applied::TooFast => ("too_fast", 1),
            Applied::Refused => ("refused", 1),
        };
        self.input_events.get_or_create(&Outcome { outcome }).inc_by(count);
    }

    /// A session is over; the reason is one of the fixed codes.
    pub fn worker_ended(&self, reason: &'static str) {
        self.worker_exits.get_or_create(&Reason { reason }).inc();
    }

    /// A scene was to be compiled; the outcome is one of a fixed list.
    pub fn compiled(&self, outcome: &'static str) {
        self.compilations.get_or_create(&Outcome { outcome }).inc();
    }

    /// A compiled scene was not what it should be; the flaw is one of a fixed list.
    pub fn bad_artifact(&self, reason: &'static str) {
        self.bad_artifacts.get_or_create(&Reason { reason }).inc();
    }

    /// A session got its worker.
    pub fn worker_taken(&self, was_warm: bool) {
        let from = if was_warm { "pool" } else { "start" };
        self.workers_taken.get_or_create(&Source { from }).inc();
    }

    /// A queue of this kind, empty.
    pub fn depth(&self, queue: Queue) -> Depth {
        let queue = match queue {
            Queue::FromWorker => "from_worker",
            Queue::ToWorker => "to_worker",
            Queue::Input => "input",
            Queue::ViewerFrames => "viewer_frames",
            Queue::Compile => "compile",
        };
        Depth { all: self.queued.get_or_create(&QueueLabel { queue }).clone(), own: 0 }
    }

    /// What the server's processes use now.
    pub fn processes(&self, used: &ProcessUse) {
        let bytes = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
        for (process, resident_bytes) in [
            ("broker", used.broker_resident_bytes),
            ("workers", used.workers_resident_bytes),
            ("largest_worker", used.largest_worker_resident_bytes),
        ] {
            self.resident_bytes.get_or_create(&ProcessLabel { process }).set(bytes(resident_bytes));
        }
        for (process, cpu_seconds) in [
            ("broker", used.broker_cpu_seconds),
            ("children", used.children_cpu_seconds),
            ("busiest_worker", used.busiest_worker_cpu_seconds),
        ] {
            self.cpu_seconds.get_or_create(&ProcessLabel { process }).set(cpu_seconds);
        }
        self.broker_open_files.set(i64::try_from(used.broker_open_files).unwrap_or(i64::MAX));
    }

    /// A request was answered. `route` is the router's pattern, never the path that was asked for.
    pub fn http_request(&self, method: &axum::http::Method, route: &str, status: u16) {
        const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
        let method = METHODS.into_iter().find(|known| *known == method.as_str()).unwrap_or("other");
        self.http_requests.get_or_create(&Route { method, route: route.to_owned(), status }).inc();
    }

    /// A request was answered with a problem.
    pub fn refused(&self, code: Code) {
        self.refused_requests.get_or_create(&Reason { reason: code.name() }).inc();
    }

    /// The text that Prometheus reads.
    pub fn encode(&self) -> Result<String, std::fmt::Error> {
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_has_what_the_documentation_names() {
        let metrics = Metrics::new();
        metrics.sessions.inc();
        metrics.frames(FrameStage::Encoded, 3);
        metrics.stage(TimedStage::Send, Duration::from_micros(60));
        metrics.worker_ended("worker_died");
        let round_trip = Some(Duration::from_millis(30));
        metrics.network(NetworkUse {
            packets: 9,
            nacks: 2,
            retransmitted_bytes: 700,
            keyframe_requests: 1,
            round_trip,
        });
        metrics.http_request(&axum::http::Method::GET, "/api/sessions/{id}", 404);
        metrics.refused(Code::UnknownSession);
        metrics.worker_taken(true);
        let used =
            ProcessUse { workers_resident_bytes: 7, children_cpu_seconds: 1.5, ..ProcessUse::default() };
        metrics.processes(&used);
        let text = metrics.encode().unwrap();
        for line in [
            "scenecast_sessions 1",
            "scenecast_viewers 0",
            "scenecast_keyframes_total 0",
            "scenecast_sent_bytes_total 0",
            "scenecast_frames_total{stage=\"encoded\"} 3",
            "scenecast_frame_stage_seconds_bucket{le=\"0.0001\",stage=\"send\"} 1",
            "scenecast_worker_exits_total{reason=\"worker_died\"} 1",
            "scenecast_http_requests_total{method=\"GET\",route=\"/api/sessions/{id}\",status=\"404\"} 1",
            "scenecast_refused_requests_total{reason=\"unknown_session\"} 1",
            "scenecast_rtp_nacks_total 2",
            "scenecast_keyframe_requests_total 1",
            "scenecast_round_trip_seconds_bucket{le=\"0.04\"} 1",
            "scenecast_resident_bytes{process=\"workers\"} 7",
            "scenecast_cpu_seconds{process=\"children\"} 1.5",
            "scenecast_workers_taken_total{from=\"pool\"} 1",
            "scenecast_warm_workers 0",
            concat!("scenecast_build_info{version=\"", env!("CARGO_PKG_VERSION"), "\"} 1"),
            "# EOF",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is missing in:\n{text}");
        }
    }

    #[test]
    fn what_is_counted_is_not_when_it_is_gone_even_by_a_panic() {
        let metrics = Metrics::new();
        let counted = Counted::new(&metrics.viewers);
        assert_eq!(metrics.viewers.get(), 1);
        let task = std::thread::spawn(move || {
            let _counted = counted;
            panic!("on purpose");
        });
        assert!(task.join().is_err());
        assert_eq!(metrics.viewers.get(), 0);
    }

    #[test]
    fn queues_of_one_kind_add_up_and_one_that_is_gone_holds_nothing() {
        let metrics = Metrics::new();
        let (mut one, mut other) = (metrics.depth(Queue::Input), metrics.depth(Queue::Input));
        one.set(3);
        other.set(5);
        one.set(1);
        assert!(metrics.encode().unwrap().contains("scenecast_queued{queue=\"input\"} 6\n"));
        drop(other);
        assert!(metrics.encode().unwrap().contains("scenecast_queued{queue=\"input\"} 1\n"));
    }

    #[test]
    fn a_method_that_somebody_made_up_is_no_label() {
        let metrics = Metrics::new();
        let method = axum::http::Method::from_bytes(b"BREW").unwrap();
        metrics.http_request(&method, "/", 405);
        assert!(metrics.encode().unwrap().contains("method=\"other\""));
    }
}
