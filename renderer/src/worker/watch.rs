//! Watches over a scene from outside: whether a driver holds its thread, whether the GPU does its work, whether its devices last.
//!
//! Decides by the time in which this process ran. A machine that was suspended, or a worker that was stopped, has done nothing in that
//! time, and so it is held against nobody. A software rasteriser draws with this process' own processor time: where others have the
//! processors it is slow and does not hang, and so what it is given is judged by that time.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use renderer_protocol::SceneFault;

use crate::host::webgpu::{GpuWork, Unfinished};

/// How often is looked.
pub(super) const INTERVAL: Duration = Duration::from_millis(500);
/// What the GPU or its driver has not done after this time, they never will.
const LIMIT_MS: u32 = 5_000;
/// The longest time between two looks that counts: beyond it, this process did not run.
const LONGEST_STEP_US: u64 = 1_000_000;
/// A software rasteriser that uses no processor time at all, because it waits for something that never happens, has this many times as
/// long by the clock. As many as a scene that computes.
pub(super) const SOFTWARE_WALL_FACTOR: u32 = 10;
/// So many losses of devices within [`LOSS_WINDOW_US`] are no accident.
const MAX_LOSSES: u32 = 3;
const LOSS_WINDOW_US: u64 = 60_000_000;

/// See the module.
pub(super) struct Watch {
    time: Time,
    turn: StuckTurn,
    work: HungWork,
    losses: Losses,
}

impl Watch {
    /// Over a scene on a software rasteriser, or on a GPU.
    pub(super) fn new(is_software: bool) -> Self {
        Self {
            time: Time::new(is_software),
            turn: StuckTurn::default(),
            work: HungWork::default(),
            losses: Losses::default(),
        }
    }

    /// What ends the scene, if something does; `now_us` is the clock, and `cpu_us` the processor time of this process.
    pub(super) fn look(
        &mut self,
        now_us: u64,
        cpu_us: u64,
        turn: Option<u64>,
        work: &GpuWork,
    ) -> Option<SceneFault> {
        self.time.pass(now_us, cpu_us);
        (self.turn.look(turn, self.time.driver_us))
            .or_else(|| self.work.look(&work.unfinished(), self.time.driver_us))
            .or_else(|| self.losses.look(work.losses(), self.time.ran_us))
    }
}

/// What counts of the time that passes.
#[derive(Default)]
struct Time {
    is_software: bool,
    /// The clock and the processor time at the last look.
    looked_us: u64,
    cpu_us: u64,
    /// The time in which this process ran.
    ran_us: u64,
    /// The time in which the driver could work. On a GPU this is [`Self::ran_us`]. A software rasteriser could work while this process had a
    /// processor. What all threads had is added up and is not divided among them, because work that hangs may hang in one thread; together
    /// they count no more than the clock, so that many processors make nobody's time shorter.
    driver_us: u64,
}

impl Time {
    fn new(is_software: bool) -> Self {
        Self { is_software, ..Self::default() }
    }

    fn pass(&mut self, now_us: u64, cpu_us: u64) {
        let step_us = now_us.saturating_sub(self.looked_us).min(LONGEST_STEP_US);
        let used_us = cpu_us.saturating_sub(self.cpu_us);
        (self.looked_us, self.cpu_us) = (now_us, cpu_us);
        self.ran_us = self.ran_us.saturating_add(step_us);
        let least_us = step_us / u64::from(SOFTWARE_WALL_FACTOR);
        let driver_step_us = if self.is_software { used_us.clamp(least_us, step_us) } else { step_us };
        self.driver_us = self.driver_us.saturating_add(driver_step_us);
    }
}

/// Asks the driver how far it is, as long as the process lives and something is unfinished. On a thread of its own, because a driver may
/// not return; and because nobody else asks when a scene submits work and waits for none of it.
pub(super) fn poll_while_unfinished(work: GpuWork) -> std::io::Result<()> {
    std::thread::Builder::new().name("gpu-watch".to_owned()).spawn(move || {
        loop {
            std::thread::sleep(INTERVAL);
            if !work.unfinished().is_empty() {
                work.poll();
            }
        }
    })?;
    Ok(())
}

/// The fault, when this has taken too long.
fn timeout(since_us: u64, now_us: u64) -> Option<SceneFault> {
    let waited_ms = u32::try_from(now_us.saturating_sub(since_us) / 1_000).unwrap_or(u32::MAX);
    (waited_ms >= LIMIT_MS).then_some(SceneFault::GpuTimeout { waited_ms })
}

/// Notices a scene's thread that is held by a driver: calls that never return to us.
#[derive(Default)]
struct StuckTurn {
    /// The turn that was looked at, and when it was first seen.
    seen: Option<(u64, u64)>,
}

impl StuckTurn {
    fn look(&mut self, turn: Option<u64>, now_us: u64) -> Option<SceneFault> {
        let Some(turn) = turn else {
            self.seen = None;
            return None;
        };
        match self.seen {
            Some((seen, since_us)) if seen == turn => timeout(since_us, now_us),
            _ => {
                self.seen = Some((turn, now_us));
                None
            }
        }
    }
}

/// Notices submitted work that the GPU does not get on with, whether anybody waits for it or not.
#[derive(Default)]
struct HungWork {
    /// By device: how many submits were done, and when that was first seen.
    seen: BTreeMap<u64, (u64, u64)>,
}

impl HungWork {
    fn look(&mut self, unfinished: &[Unfinished], now_us: u64) -> Option<SceneFault> {
        self.seen.retain(|device, _| unfinished.iter().any(|work| work.device == *device));
        let mut fault = None;
        for work in unfinished {
            let (done, since_us) = self.seen.entry(work.device).or_insert((work.done, now_us));
            if *done == work.done {
                fault = fault.or_else(|| timeout(*since_us, now_us));
            } else {
                (*done, *since_us) = (work.done, now_us);
            }
        }
        fault
    }
}

/// Counts the devices that a driver gave up. A scene may make a new one; a scene whose devices never last gets no further.
#[derive(Default)]
struct Losses {
    counted: u32,
    /// When, at most the last [`MAX_LOSSES`].
    at_us: VecDeque<u64>,
}

impl Losses {
    fn look(&mut self, count: u32, now_us: u64) -> Option<SceneFault> {
        let new = count.saturating_sub(self.counted);
        self.counted = count;
        self.at_us.extend(std::iter::repeat_n(now_us, usize::try_from(new.min(MAX_LOSSES)).unwrap_or(0)));
        self.at_us.retain(|at_us| now_us.saturating_sub(*at_us) < LOSS_WINDOW_US);
        let losses = u32::try_from(self.at_us.len()).unwrap_or(u32::MAX);
        (losses >= MAX_LOSSES).then_some(SceneFault::DeviceLost { losses })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMEOUT: Option<SceneFault> = Some(SceneFault::GpuTimeout { waited_ms: 5_000 });

    #[test]
    fn a_turn_that_does_not_end_is_a_fault_and_one_that_does_is_none() {
        let mut stuck = StuckTurn::default();
        assert_eq!(stuck.look(Some(1), 0), None);
        assert_eq!(stuck.look(Some(1), 4_999_000), None);
        assert_eq!(stuck.look(Some(2), 6_000_000), None);
        assert_eq!(stuck.look(None, 20_000_000), None);
        assert_eq!(stuck.look(Some(3), 30_000_000), None);
        assert_eq!(stuck.look(Some(3), 35_000_000), TIMEOUT);
    }

    #[test]
    fn row_22_work_that_does_not_get_on_is_a_fault_and_a_long_queue_is_none() {
        let mut hung = HungWork::default();
        let (first, second) = (Unfinished { device: 1, done: 7 }, Unfinished { device: 2, done: 0 });
        assert_eq!(hung.look(&[first], 0), None);
        // It gets on, and another device has just begun.
        assert_eq!(hung.look(&[Unfinished { done: 8, ..first }, second], 4_900_000), None);
        assert_eq!(hung.look(&[Unfinished { done: 9, ..first }, second], 9_800_000), None);
        // It was done in between.
        assert_eq!(hung.look(&[Unfinished { done: 10, ..first }], 10_000_000), None);
        assert_eq!(hung.look(&[second], 14_000_000), None);
        assert_eq!(hung.look(&[second], 19_000_000), TIMEOUT);
    }

    #[test]
    fn row_37_three_losses_within_a_minute_end_the_scene_and_one_now_and_then_does_not() {
        let mut losses = Losses::default();
        let second = 1_000_000;
        assert_eq!(losses.look(1, second), None);
        assert_eq!(losses.look(2, 50 * second), None);
        assert_eq!(losses.look(3, 70 * second), None);
        assert_eq!(losses.look(3, 109 * second), None);
        assert_eq!(losses.look(4, 109 * second), Some(SceneFault::DeviceLost { losses: 3 }));
        assert_eq!(Losses::default().look(1_000, 0), Some(SceneFault::DeviceLost { losses: 3 }));
    }

    #[test]
    fn row_59_time_in_which_the_worker_did_not_run_is_held_against_nobody() {
        for is_software in [false, true] {
            let mut time = Time::new(is_software);
            for (now_us, ran_us) in
                [(10_500_000, 1_000_000), (11_000_000, 1_500_000), (3_600_000_000, 2_500_000)]
            {
                time.pass(now_us, 0);
                assert_eq!(time.ran_us, ran_us);
                assert!(time.driver_us <= ran_us);
            }
        }
    }

    /// How many seconds of the clock pass until work that is never done is a fault, where the process gets so many percent of a processor.
    fn seconds_until_hung(is_software: bool, cpu_percent: u64) -> u64 {
        let mut time = Time::new(is_software);
        let mut hung = HungWork::default();
        let mut seconds = (0..1_000).filter(|second| {
            let now_us = second * 1_000_000;
            time.pass(now_us, now_us / 100 * cpu_percent);
            hung.look(&[Unfinished { device: 1, done: 0 }], time.driver_us) == TIMEOUT
        });
        seconds.next().expect("an end")
    }

    #[test]
    fn rows_22_and_23_a_software_rasteriser_that_gets_no_processor_is_starved_and_does_not_hang() {
        // One that hangs uses the processors that it gets, one or all of many: then it is as on a GPU.
        for cpu_percent in [100, 200, 6_400] {
            assert_eq!(seconds_until_hung(true, cpu_percent), 5);
        }
        // With a fifth of a processor it has five times as long, and with nothing not for ever.
        assert_eq!(seconds_until_hung(true, 20), 25);
        assert_eq!(seconds_until_hung(true, 0), 50);
        // A GPU works whatever this process gets.
        assert_eq!(seconds_until_hung(false, 0), 5);
    }
}
