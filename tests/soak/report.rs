//! What a run comes to: for a person, and as a line of JSON.

use std::{collections::BTreeMap, fmt, time::Duration};

use anyhow::Result;
use serde_json::{Value, json};

use crate::{
    judge::{Leftovers, Observed, Recovery},
    log::Complaints,
    trend::Followed,
};

const MIB: f64 = (1 << 20) as f64;
/// Lines of the log that are shown to a person; the JSON has more.
const MAX_SHOWN: usize = 20;

/// One kind of fault.
#[derive(Default)]
struct Kind {
    recoveries: Vec<Recovery>,
    unrecovered: Vec<Unrecovered>,
}

struct Unrecovered {
    at: Duration,
    why: String,
}

pub struct Report {
    seed: u64,
    sessions: u16,
    kinds: BTreeMap<&'static str, Kind>,
    /// Why no disk was filled.
    without_disk: Option<String>,
    pub duration: Duration,
    pub broker_restarts: u32,
    pub trend: Followed,
    pub observed: BeforeAndAfter,
    pub leftovers: Leftovers,
    pub complaints: Complaints,
    pub scene_ends: BTreeMap<String, BTreeMap<String, usize>>,
}

/// The server without sessions.
#[derive(Default)]
pub struct BeforeAndAfter {
    pub before: Observed,
    pub after: Observed,
}

impl Report {
    pub fn new(seed: u64, sessions: u16, without_disk: Option<String>) -> Self {
        Self {
            seed,
            sessions,
            kinds: BTreeMap::new(),
            without_disk,
            duration: Duration::ZERO,
            broker_restarts: 0,
            trend: Followed::default(),
            observed: BeforeAndAfter::default(),
            leftovers: Leftovers::default(),
            complaints: Complaints::default(),
            scene_ends: BTreeMap::new(),
        }
    }

    pub fn note(&mut self, fault: &'static str, at: Duration, outcome: Result<Recovery>) {
        let kind = self.kinds.entry(fault).or_default();
        match outcome {
            Ok(recovery) => kind.recoveries.push(recovery),
            Err(error) => kind.unrecovered.push(Unrecovered { at, why: format!("{error:#}") }),
        }
    }

    fn faults(&self) -> usize {
        self.kinds.values().map(|kind| kind.recoveries.len() + kind.unrecovered.len()).sum()
    }

    fn unrecovered(&self) -> usize {
        self.kinds.values().map(|kind| kind.unrecovered.len()).sum()
    }

    /// What should be nothing and is not, in sentences.
    pub fn failures(&self) -> Vec<String> {
        let mut failures = Vec::new();
        let mut must_be_none = |count: usize, what: &str| {
            if count > 0 {
                failures.push(format!("{count} {what}"));
            }
        };
        must_be_none(self.unrecovered(), "faults from which the server did not recover");
        must_be_none(self.broker_restarts as usize, "times the broker was gone");
        let Self { leftovers, observed: BeforeAndAfter { before, after }, .. } = self;
        must_be_none(
            after.children.saturating_sub(before.children),
            "children of the broker beyond those before",
        );
        must_be_none(after.descriptors.saturating_sub(before.descriptors), "descriptors beyond those before");
        must_be_none(leftovers.processes.len(), "processes left behind");
        must_be_none(leftovers.cgroups.len(), "cgroups left behind");
        must_be_none(leftovers.files.len(), "temporary files left behind");
        must_be_none(self.complaints.count, "panics or errors in the server's log");
        if self.faults() == 0 {
            failures.push("nothing was tried".to_owned());
        }
        if !self.leftovers.is_clean_exit() {
            failures.push(format!("the server did not end in order: {:?}", self.leftovers.exit));
        }
        failures
    }

    pub fn to_json(&self) -> String {
        let kinds: BTreeMap<&str, Value> =
            self.kinds.iter().map(|(name, kind)| (*name, kind.to_json())).collect();
        let BeforeAndAfter { before, after } = &self.observed;
        json!({
            "duration_s": self.duration.as_secs(),
            "seed": self.seed,
            "sessions": self.sessions,
            "faults": self.faults(),
            "unrecovered": self.unrecovered(),
            "kinds": kinds,
            "full_disk_left_out": self.without_disk,
            "scene_ends": self.scene_ends,
            "broker_restarts": self.broker_restarts,
            "broker_rss": {
                "start_bytes": self.trend.start_bytes,
                "end_bytes": self.trend.end_bytes,
                "max_bytes": self.trend.max_bytes,
                "slope_mib_per_hour": self.trend.slope_mib_per_hour,
            },
            "at_rest": { "before": before, "after": after },
            "leftovers": self.leftovers,
            "log": self.complaints,
            "failures": self.failures(),
        })
        .to_string()
    }
}

impl Kind {
    fn to_json(&self) -> Value {
        let unrecovered: Vec<_> = self
            .unrecovered
            .iter()
            .map(|one| json!({ "at_ms": one.at.as_millis() as u64, "why": one.why }))
            .collect();
        json!({
            "times": self.recoveries.len() + self.unrecovered.len(),
            "unrecovered": unrecovered,
            "promise_ms": self.quantiles(|recovery| recovery.promise).to_json(),
            "recovery_ms": self.quantiles(|recovery| recovery.whole).to_json(),
            "others_longest_gap_ms": self.quantiles(|recovery| recovery.longest_gap).to_json(),
        })
    }

    fn quantiles(&self, of: impl Fn(&Recovery) -> Duration) -> Quantiles {
        Quantiles::of(self.recoveries.iter().map(of).collect())
    }
}

/// In milliseconds.
struct Quantiles {
    p50: u64,
    p99: u64,
    max: u64,
}

impl Quantiles {
    fn of(mut durations: Vec<Duration>) -> Self {
        durations.sort_unstable();
        // The smallest that so many in a hundred do not exceed.
        let quantile = |percent: usize| {
            let rank = (durations.len() * percent).div_ceil(100).saturating_sub(1);
            durations.get(rank).map_or(0, |duration| duration.as_millis() as u64)
        };
        Self { p50: quantile(50), p99: quantile(99), max: quantile(100) }
    }

    fn to_json(&self) -> Value {
        json!({ "p50": self.p50, "p99": self.p99, "max": self.max })
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seed, sessions, .. } = self;
        writeln!(
            f,
            "\n{} s, {sessions} sessions with viewers, {} faults, seed {seed}\n",
            self.duration.as_secs(),
            self.faults()
        )?;
        self.write_faults(f)?;
        self.write_scenes(f)?;
        self.write_server(f)?;
        self.write_verdict(f)
    }
}

impl Report {
    fn write_faults(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:26}{:>6}{:>13}{:>24}{:>24}{:>20}",
            "fault", "times", "unrecovered", "promise kept, ms", "all recovered, ms", "others' gap, ms"
        )?;
        writeln!(
            f,
            "{:45}{:>10}{:>7}{:>7}{:>10}{:>7}{:>7}{:>12}{:>8}",
            "", "p50", "p99", "max", "p50", "p99", "max", "p50", "max"
        )?;
        for (name, kind) in &self.kinds {
            let times = kind.recoveries.len() + kind.unrecovered.len();
            let promise = kind.quantiles(|recovery| recovery.promise);
            let whole = kind.quantiles(|recovery| recovery.whole);
            let gap = kind.quantiles(|recovery| recovery.longest_gap);
            writeln!(
                f,
                "{name:26}{times:>6}{:>13}{:>10}{:>7}{:>7}{:>10}{:>7}{:>7}{:>12}{:>8}",
                kind.unrecovered.len(),
                promise.p50,
                promise.p99,
                promise.max,
                whole.p50,
                whole.p99,
                whole.max,
                gap.p50,
                gap.max
            )?;
        }
        if let Some(why) = &self.without_disk {
            writeln!(f, "no disk was filled: {why}")?;
        }
        for (name, kind) in &self.kinds {
            for Unrecovered { at, why } in &kind.unrecovered {
                writeln!(f, "  after {:.1} s, {name}: {why}", at.as_secs_f64())?;
            }
        }
        Ok(())
    }

    fn write_scenes(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (scene, ends) in &self.scene_ends {
            let ends: Vec<String> = ends.iter().map(|(code, count)| format!("{code} {count}x")).collect();
            writeln!(f, "  {scene}: {}", ends.join(", "))?;
        }
        Ok(())
    }

    fn write_server(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mib = |bytes: u64| bytes as f64 / MIB;
        let Followed { start_bytes, end_bytes, max_bytes, slope_mib_per_hour, .. } = &self.trend;
        let slope = slope_mib_per_hour.map_or_else(
            || "too short to fit".to_owned(),
            |slope| format!("{slope:+.1} MiB/h after warm-up"),
        );
        let BeforeAndAfter { before, after } = &self.observed;
        writeln!(f, "\nbroker restarts        {}", self.broker_restarts)?;
        writeln!(
            f,
            "broker's memory        {:.1} MiB at the start, {:.1} at the end, {:.1} at most; {slope}",
            mib(*start_bytes),
            mib(*end_bytes),
            mib(*max_bytes)
        )?;
        writeln!(
            f,
            "  without sessions     {:.1} MiB before, {:.1} after",
            mib(before.resident_bytes),
            mib(after.resident_bytes)
        )?;
        writeln!(f, "descriptors            {} before, {} after", before.descriptors, after.descriptors)?;
        writeln!(f, "children               {} before, {} after", before.children, after.children)?;
        let Leftovers { exit, processes, cgroups, files } = &self.leftovers;
        writeln!(f, "end of the server      {}", exit.as_deref().unwrap_or("it did not end"))?;
        writeln!(
            f,
            "left behind            {} processes, {} cgroups, {} temporary files",
            processes.len(),
            cgroups.len(),
            files.len()
        )?;
        processes.iter().try_for_each(|process| writeln!(f, "  {process}"))?;
        cgroups.iter().chain(files).try_for_each(|path| writeln!(f, "  {}", path.display()))?;
        if after.descriptors > before.descriptors {
            after.open.iter().try_for_each(|descriptor| writeln!(f, "  {descriptor}"))?;
        }
        writeln!(f, "panics, errors in log  {}", self.complaints.count)?;
        self.complaints.lines.iter().take(MAX_SHOWN).try_for_each(|line| writeln!(f, "  {line}"))
    }

    fn write_verdict(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let failures = self.failures();
        if failures.is_empty() {
            return writeln!(f, "\nThe server survived.");
        }
        writeln!(f, "\nTHE SERVER DID NOT SURVIVE UNHARMED:")?;
        failures.iter().try_for_each(|failure| writeln!(f, "  {failure}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recovery(ms: u64) -> Recovery {
        let whole = Duration::from_millis(ms);
        Recovery { promise: whole / 2, whole, longest_gap: Duration::ZERO }
    }

    fn survived() -> Report {
        let mut report = Report::new(7, 3, None);
        report.leftovers.exit = Some("exit status: 0".to_owned());
        report.note("worker killed", Duration::from_secs(1), Ok(recovery(400)));
        report
    }

    #[test]
    fn a_run_in_which_all_recovered_and_nothing_is_left_is_no_failure() {
        assert_eq!(survived().failures(), Vec::<String>::new());
    }

    #[test]
    fn whatever_should_be_nothing_and_is_not_is_a_failure() {
        let spoilers: &[fn(&mut Report)] = &[
            |report| report.note("worker killed", Duration::ZERO, Err(anyhow::anyhow!("never told"))),
            |report| report.kinds.clear(),
            |report| report.broker_restarts = 1,
            |report| report.observed.after.children = 1,
            |report| report.observed.after.descriptors = 1,
            |report| report.leftovers.processes.push("7: scenecast worker".to_owned()),
            |report| report.leftovers.cgroups.push("/sys/fs/cgroup/x".into()),
            |report| report.leftovers.files.push("/tmp/x".into()),
            |report| report.leftovers.exit = None,
            |report| report.complaints.count = 1,
        ];
        for spoil in spoilers {
            let mut report = survived();
            spoil(&mut report);
            assert_eq!(report.failures().len(), 1, "{report}");
        }
    }

    #[test]
    fn the_line_of_json_has_the_figures_of_each_kind() {
        let mut report = survived();
        (1..100).for_each(|ms| report.note("worker killed", Duration::ZERO, Ok(recovery(ms))));
        let json: Value = serde_json::from_str(&report.to_json()).unwrap();
        let kind = &json["kinds"]["worker killed"];
        assert_eq!(kind["times"], 100);
        assert_eq!(kind["recovery_ms"], json!({ "p50": 50, "p99": 99, "max": 400 }));
        assert_eq!(json["failures"], json!([]));
    }
}
