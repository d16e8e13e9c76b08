//! What an operator can graph, in the `OpenMetrics` text form that Prometheus reads.
//!
//! Labels come from fixed lists only: nothing that a scene, a viewer or the network chooses becomes one.

use std::time::Duration;

use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::Registry,
};
use renderer_protocol::StageTimes;

use crate::input::Applied;

/// The content type of [`Metrics::encode`].
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Upper bounds in seconds: a sent frame takes tens of microseconds, a picture of a heavy scene a hundred milliseconds.
const STAGE_BUCKETS_SECONDS: [f64; 14] =
    [5e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 2e-3, 4e-3, 8e-3, 0.016, 0.033, 0.066, 0.13, 0.26, 0.5];

/// What became of a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameStage {
    /// The scene presented it.
    Presented,
    /// It became an access unit; keep-alives count too.
    Encoded,
    /// It was handed to a viewer's connection; counts once for each viewer.
    Sent,
    /// It was replaced before it was encoded, or not sent to a viewer because that one's queue was full.
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
    frames: Family<Stage, Counter>,
    stage_seconds: Family<Stage, Histogram, fn() -> Histogram>,
    input_events: Family<Outcome, Counter>,
    worker_exits: Family<Reason, Counter>,
    http_requests: Family<Route, Counter>,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// All zero.
    pub fn new() -> Self {
        let new_histogram: fn() -> Histogram = || Histogram::new(STAGE_BUCKETS_SECONDS);
        let mut metrics = Self {
            registry: Registry::with_prefix("scenecast"),
            sessions: Gauge::default(),
            viewers: Gauge::default(),
            keyframes: Counter::default(),
            bytes_sent: Counter::default(),
            bad_messages: Counter::default(),
            frames: Family::default(),
            stage_seconds: Family::new_with_constructor(new_histogram),
            input_events: Family::default(),
            worker_exits: Family::default(),
            http_requests: Family::default(),
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
        registry.register(
            "http_requests",
            "HTTP requests by route and status",
            metrics.http_requests.clone(),
        );
        metrics
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

    /// A request was answered. `route` is the router's pattern, never the path that was asked for.
    pub fn http_request(&self, method: &axum::http::Method, route: &str, status: u16) {
        const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
        let method = METHODS.into_iter().find(|known| *known == method.as_str()).unwrap_or("other");
        self.http_requests.get_or_create(&Route { method, route: route.to_owned(), status }).inc();
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
        metrics.http_request(&axum::http::Method::GET, "/api/sessions/{id}", 404);
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
            "# EOF",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is missing in:\n{text}");
        }
    }

    #[test]
    fn a_method_that_somebody_made_up_is_no_label() {
        let metrics = Metrics::new();
        let method = axum::http::Method::from_bytes(b"BREW").unwrap();
        metrics.http_request(&method, "/", 405);
        assert!(metrics.encode().unwrap().contains("method=\"other\""));
    }
}
