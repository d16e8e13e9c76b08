//! What was measured: medians and ratios, as a table for people and as JSON for programs.

use std::fmt::{self, Display, Formatter};

use renderer_protocol::AdapterInfo;
use serde::Serialize;

use super::{Clock, Copied, Samples, Spent, Work};
use crate::gpu::Backend;

/// Everything that one run measured.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct HostcallsReport {
    /// Of which the medians are.
    pub rounds: u32,
    /// One after the other.
    pub backends: Vec<BackendFigures>,
}

/// The figures on one backend.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct BackendFigures {
    /// `noop` draws nothing; `vulkan` is the machine's adapter.
    pub backend: &'static str,
    /// Its name and driver.
    pub adapter: String,
    /// Whose processor time was taken.
    pub clock: Clock,
    /// An empty function with a borrowed resource and three options, a call.
    pub three_options_ns: f64,
    /// In the order in which they ran.
    pub works: Vec<WorkFigures>,
}

/// Medians of one work. A call is one of a host function; setting a bind group and drawing are two.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct WorkFigures {
    /// What was called.
    pub calls: String,
    /// How often a frame.
    pub call_count: u32,
    /// A call of the guest's.
    pub host_ns: f64,
    /// The same in native wgpu.
    pub native_ns: f64,
    /// The same to functions that do nothing.
    pub floor_ns: f64,
    /// A copy of the bytes that the call carries, to memory that was written before and that the GPU reads.
    pub memcpy_ns: Option<f64>,
    /// A copy of them to memory that the process has just got from the system.
    pub memcpy_to_new_memory_ns: Option<f64>,
    /// `host_ns` by `floor_ns`.
    pub host_by_floor: f64,
    /// What the host adds to native wgpu, by `floor_ns`.
    pub host_without_native_by_floor: f64,
    /// `host_ns` by `native_ns`.
    pub host_by_native: f64,
    /// `host_ns` by `memcpy_ns`.
    pub host_by_memcpy: Option<f64>,
    /// The guest's frame, from its beginning until the GPU has done it.
    pub host_frame_ms: f64,
    /// The same in native wgpu.
    pub native_frame_ms: f64,
    /// The first by the second.
    pub frame_host_by_native: f64,
}

/// Nanoseconds of one of `count` calls, of the median of `samples`.
pub(super) fn per_call(samples: &[u64], count: u32) -> f64 {
    median(samples) / f64::from(count.max(1))
}

#[allow(clippy::cast_precision_loss, reason = "nanoseconds of a frame")]
fn median(samples: &[u64]) -> f64 {
    let mut sorted = samples.to_vec();
    sorted.sort_unstable();
    sorted.get(sorted.len() / 2).map_or(0.0, |middle| *middle as f64)
}

impl WorkFigures {
    pub(super) fn of(work: Work, samples: &Samples) -> Self {
        let call_count = work.call_count();
        let calls = |samples: &[Spent]| {
            per_call(&samples.iter().map(|spent| spent.calls_ns).collect::<Vec<_>>(), call_count)
        };
        let frame =
            |samples: &[Spent]| median(&samples.iter().map(|spent| spent.frame_ns).collect::<Vec<_>>()) / 1e6;
        let (host_ns, native_ns, floor_ns) =
            (calls(&samples.host), calls(&samples.native), calls(&samples.floor));
        let (host_frame_ms, native_frame_ms) = (frame(&samples.host), frame(&samples.native));
        let copy = |ns: fn(&Copied) -> u64| {
            let copies: Vec<_> = samples.copies.iter().map(ns).collect();
            (!copies.is_empty()).then(|| per_call(&copies, call_count))
        };
        let memcpy_ns = copy(|copied| copied.warm_ns);
        Self {
            calls: work.name(),
            call_count,
            host_ns,
            native_ns,
            floor_ns,
            memcpy_ns,
            memcpy_to_new_memory_ns: copy(|copied| copied.new_ns),
            host_by_floor: host_ns / floor_ns,
            host_without_native_by_floor: (host_ns - native_ns) / floor_ns,
            host_by_native: host_ns / native_ns,
            host_by_memcpy: memcpy_ns.map(|memcpy_ns| host_ns / memcpy_ns),
            host_frame_ms,
            native_frame_ms,
            frame_host_by_native: host_frame_ms / native_frame_ms,
        }
    }
}

impl BackendFigures {
    pub(super) fn new(
        backend: Backend,
        adapter: AdapterInfo,
        clock: Clock,
        works: Vec<WorkFigures>,
        three_options_ns: f64,
    ) -> Self {
        let AdapterInfo { name, driver, .. } = adapter;
        Self {
            backend: match backend {
                Backend::Noop => "noop",
                Backend::Vulkan => "vulkan",
            },
            adapter: if driver.is_empty() { name } else { format!("{name} ({driver})") },
            clock,
            three_options_ns,
            works,
        }
    }
}

impl HostcallsReport {
    /// As JSON, on several lines.
    pub fn to_json(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string_pretty(self)
    }
}

impl Display for HostcallsReport {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "host calls, medians of {} rounds", self.rounds)?;
        for backend in &self.backends {
            writeln!(f, "\n")?;
            backend.fmt(f)?;
        }
        writeln!(f)
    }
}

impl Display for BackendFigures {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let clock = match self.clock {
            Clock::Thread => "the calling thread",
            Clock::Process => "all threads",
        };
        writeln!(f, "backend {}: {}; processor time of {clock}", self.backend, self.adapter)?;
        writeln!(
            f,
            "an empty function with a borrowed resource and three options: {:.0} ns",
            self.three_options_ns
        )?;
        writeln!(f)?;
        let groups = ["", "nanoseconds a call", "ratio", "milliseconds a frame"];
        writeln!(f, "{:29}  {:^54}  {:^39}  {:^23}", groups[0], groups[1], groups[2], groups[3])?;
        write!(f, "{:22} {:>6} ", "", "calls")?;
        for name in ["host", "native", "floor", "memcpy", "new memory"] {
            write!(f, " {name:>10}")?;
        }
        write!(f, " ")?;
        for name in ["h/native", "h/floor", "(h-n)/fl", "h/memcpy"] {
            write!(f, " {name:>9}")?;
        }
        write!(f, "  {:>7} {:>7} {:>7}", "host", "native", "ratio")?;
        for work in &self.works {
            let optional = |value: Option<f64>, places: usize| {
                value.map_or("-".to_owned(), |value| format!("{value:.places$}"))
            };
            write!(
                f,
                "\n{:22} {:>6}  {:>10.0} {:>10.0} {:>10.0} {:>10} {:>10}",
                work.calls,
                work.call_count,
                work.host_ns,
                work.native_ns,
                work.floor_ns,
                optional(work.memcpy_ns, 0),
                optional(work.memcpy_to_new_memory_ns, 0),
            )?;
            write!(
                f,
                "  {:>9.2} {:>9.2} {:>9.2} {:>9}  {:>7.2} {:>7.2} {:>7.2}",
                work.host_by_native,
                work.host_by_floor,
                work.host_without_native_by_floor,
                optional(work.host_by_memcpy, 2),
                work.host_frame_ms,
                work.native_frame_ms,
                work.frame_host_by_native,
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::Calls;
    use super::*;

    fn spent(calls_ns: u64) -> Spent {
        Spent { calls_ns, frame_ns: calls_ns.saturating_mul(2) }
    }

    fn report() -> HostcallsReport {
        let samples = Samples {
            host: [9_000, 2_400, 2_000].map(spent).into(),
            native: [500, 400, 600].map(spent).into(),
            floor: [2_000; 3].map(spent).into(),
            copies: Vec::new(),
        };
        let work = Work { calls: Calls::BindAndDraw, count: 5 };
        let written = Work { calls: Calls::WriteBuffer(1 << 20), count: 10 };
        let copied =
            Samples { copies: vec![Copied { warm_ns: 1_200, new_ns: 4_000 }; 3], ..Samples::default() };
        let copied = Samples {
            host: [1_500; 3].map(spent).into(),
            native: [1_300; 3].map(spent).into(),
            floor: [1_000; 3].map(spent).into(),
            ..copied
        };
        let works = vec![WorkFigures::of(work, &samples), WorkFigures::of(written, &copied)];
        let adapter = AdapterInfo { name: "a GPU".to_owned(), driver: "a driver".to_owned(), is_cpu: true };
        let backend = BackendFigures::new(Backend::Noop, adapter, Clock::Thread, works, 185.0);
        HostcallsReport { rounds: 3, backends: vec![backend] }
    }

    #[test]
    fn figures_are_medians_a_call_and_ratios_are_of_medians() {
        let report = report();
        let work = &report.backends[0].works[0];
        let figures = [work.host_ns, work.native_ns, work.floor_ns, work.host_by_floor];
        assert_eq!(figures.map(|value| format!("{value:.2}")), ["240.00", "50.00", "200.00", "1.20"]);
        assert!((work.host_without_native_by_floor - 0.95).abs() < 1e-9, "{work:?}");
        assert!((work.frame_host_by_native - 4.8).abs() < 1e-9, "{work:?}");
        assert!(work.host_by_memcpy.is_none(), "{work:?}");
    }

    #[test]
    fn the_table_says_whose_time_it_is_and_has_a_row_for_each_work() {
        let text = report().to_string();
        assert!(
            text.contains("backend noop: a GPU (a driver); processor time of the calling thread"),
            "{text}"
        );
        let row = |name: &str| text.lines().find(|line| line.starts_with(name)).unwrap();
        let words: Vec<_> = row("set-bind-group, draw").split_whitespace().skip(2).collect();
        assert_eq!(words[..8], ["10", "240", "50", "200", "-", "-", "4.80", "1.20"]);
        let words: Vec<_> = row("write-buffer, 1 MiB").split_whitespace().skip(3).collect();
        assert_eq!(words[..6], ["10", "150", "130", "100", "120", "400"]);
    }

    #[test]
    fn json_names_units() {
        let value: serde_json::Value = serde_json::from_str(&report().to_json().unwrap()).unwrap();
        let backend = &value["backends"][0];
        assert_eq!((&backend["backend"], &backend["clock"]), (&"noop".into(), &"thread".into()));
        assert_eq!(backend["works"][1]["host_by_memcpy"], 1.25);
    }
}
