//! The server's memory over time, and the cgroups that its workers were in.

use std::{
    collections::BTreeSet,
    path::PathBuf,
    time::{Duration, Instant},
};

use tokio::{sync::oneshot, task::JoinHandle};

use crate::processes;

const INTERVAL: Duration = Duration::from_secs(1);
/// In the first part of a run caches fill and the allocator finds its size; it is not fitted.
const WARM_UP_PART: f64 = 0.25;
const MAX_WARM_UP: Duration = Duration::from_mins(5);

/// One look.
#[derive(Clone, Copy, Debug)]
struct Sample {
    at: Duration,
    resident_bytes: u64,
}

/// What came of all looks.
#[derive(Clone, Debug, Default)]
pub struct Followed {
    pub start_bytes: u64,
    pub end_bytes: u64,
    pub max_bytes: u64,
    /// The straight line through all looks after the warm-up; `None` of too few.
    pub slope_mib_per_hour: Option<f64>,
    /// Folders of the cgroups, below those that we are in, that the server or its children were in.
    pub cgroups: BTreeSet<PathBuf>,
}

pub struct Trend {
    stop: oneshot::Sender<()>,
    looking: JoinHandle<Followed>,
}

impl Trend {
    /// Looks once a second from now on.
    pub fn follow(server: i32) -> Self {
        let (stop, stopped) = oneshot::channel();
        Self { stop, looking: tokio::spawn(look(server, stopped)) }
    }

    pub async fn finish(self) -> Followed {
        // Whether it has ended by itself makes no difference.
        let _ = self.stop.send(());
        self.looking.await.unwrap_or_default()
    }
}

async fn look(server: i32, mut stopped: oneshot::Receiver<()>) -> Followed {
    let (begun, mut samples, mut cgroups) = (Instant::now(), Vec::new(), BTreeSet::new());
    let ours = processes::cgroups(rustix::process::getpid().as_raw_pid());
    let mut timer = tokio::time::interval(INTERVAL);
    loop {
        tokio::select! {
            _ = &mut stopped => break,
            _ = timer.tick() => {}
        }
        // A server that has died is found by others.
        let Ok(resident_bytes) = processes::resident_bytes(server) else { break };
        samples.push(Sample { at: begun.elapsed(), resident_bytes });
        let theirs = processes::children(server).into_iter().chain([server]).flat_map(processes::cgroups);
        // A process that is ending is in the root of a tree, whichever group it was in.
        let is_below = |group: &PathBuf| ours.iter().any(|own| group != own && group.starts_with(own));
        cgroups.extend(theirs.filter(is_below));
    }
    let bytes = |sample: Option<&Sample>| sample.map_or(0, |sample| sample.resident_bytes);
    Followed {
        start_bytes: bytes(samples.first()),
        end_bytes: bytes(samples.last()),
        max_bytes: bytes(samples.iter().max_by_key(|sample| sample.resident_bytes)),
        slope_mib_per_hour: slope(warm(&samples)),
        cgroups,
    }
}

fn warm(samples: &[Sample]) -> &[Sample] {
    let total = samples.last().map_or(Duration::ZERO, |sample| sample.at);
    let warm_up = total.mul_f64(WARM_UP_PART).min(MAX_WARM_UP);
    &samples[samples.partition_point(|sample| sample.at < warm_up)..]
}

/// By least squares, in MiB an hour.
fn slope(samples: &[Sample]) -> Option<f64> {
    const MIN_SAMPLES: usize = 60;
    const MIB: f64 = (1 << 20) as f64;
    if samples.len() < MIN_SAMPLES {
        return None;
    }
    let points: Vec<(f64, f64)> = samples
        .iter()
        .map(|sample| (sample.at.as_secs_f64() / 3600.0, sample.resident_bytes as f64 / MIB))
        .collect();
    let count = points.len() as f64;
    let (mean_x, mean_y) = (
        points.iter().map(|(x, _)| x).sum::<f64>() / count,
        points.iter().map(|(_, y)| y).sum::<f64>() / count,
    );
    let covariance: f64 = points.iter().map(|(x, y)| (x - mean_x) * (y - mean_y)).sum();
    let variance: f64 = points.iter().map(|(x, _)| (x - mean_x).powi(2)).sum();
    (variance > 0.0).then(|| covariance / variance)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(count: u64, bytes: impl Fn(u64) -> u64) -> Vec<Sample> {
        (0..count).map(|at| Sample { at: Duration::from_secs(at), resident_bytes: bytes(at) }).collect()
    }

    #[test]
    fn memory_that_grows_by_a_mebibyte_a_minute_grows_by_sixty_an_hour() {
        let slope = slope(&samples(600, |second| (100 << 20) + second * (1 << 20) / 60)).unwrap();
        assert!((slope - 60.0).abs() < 0.1, "{slope}");
    }

    #[test]
    fn what_happens_while_caches_fill_is_not_fitted() {
        let slope = slope(warm(&samples(400, |second| second.min(100) << 20))).unwrap();
        assert!(slope.abs() < 0.1, "{slope}");
    }

    #[test]
    fn a_few_looks_are_no_trend() {
        assert_eq!(slope(&samples(59, |_| 1)), None);
    }
}
