//! `wasi:clocks` of 0.2 and 0.3 on the session's [`FrameClock`], for reading it and for waiting on it.
//!
//! Both clocks count from the start of the session. A scene has no use for the date, and pictures that depend on it could not be
//! rendered again.

use wasmtime::component::{Accessor, HasData, Linker, Resource, ResourceTable};
use wasmtime_wasi::{
    p2::bindings::clocks as p2,
    p3::bindings::clocks::{self as p3, types::Duration},
};
use wasmtime_wasi_io::{
    async_trait,
    poll::{DynPollable, Pollable, subscribe},
};

use crate::frame::FrameClock;

const NANOS_PER_MICRO: u64 = 1_000;
const MICROS_PER_SECOND: u64 = 1_000_000;

/// Store data that has a [`FrameClock`].
pub trait ClocksView: Send {
    /// The session's clock, and the table that pollables go to.
    fn scene_clocks(&mut self) -> ClocksCtxView<'_>;
}

/// The clock, and the table that pollables go to.
pub struct ClocksCtxView<'a> {
    /// The session's clock.
    pub clock: &'a FrameClock,
    /// The scene's resources.
    pub table: &'a mut ResourceTable,
}

/// The marker that joins the interfaces to [`ClocksView`].
pub struct SceneClocks;

impl HasData for SceneClocks {
    type Data<'a> = ClocksCtxView<'a>;
}

pub(super) fn add_to_linker<T: ClocksView + 'static>(linker: &mut Linker<T>) -> wasmtime::Result<()> {
    p2::wall_clock::add_to_linker::<T, SceneClocks>(linker, T::scene_clocks)?;
    p2::monotonic_clock::add_to_linker::<T, SceneClocks>(linker, T::scene_clocks)?;
    p3::types::add_to_linker::<T, SceneClocks>(linker, T::scene_clocks)?;
    p3::system_clock::add_to_linker::<T, SceneClocks>(linker, T::scene_clocks)?;
    p3::monotonic_clock::add_to_linker::<T, SceneClocks>(linker, T::scene_clocks)
}

impl ClocksCtxView<'_> {
    fn now_ns(&self) -> u64 {
        self.clock.now_us().saturating_mul(NANOS_PER_MICRO)
    }

    /// Seconds, and nanoseconds of the second.
    fn wall(&self) -> (u64, u32) {
        let now_us = self.clock.now_us();
        let of_second =
            u32::try_from((now_us % MICROS_PER_SECOND).saturating_mul(NANOS_PER_MICRO)).unwrap_or(0);
        (now_us / MICROS_PER_SECOND, of_second)
    }
}

/// A time that a scene waits for. A wait is never cut short: one of a thousand years costs an entry of the table and a timer, and ends
/// with the session.
struct Deadline {
    clock: FrameClock,
    when_ns: u64,
}

impl Deadline {
    async fn reached(&self) {
        if self.when_ns <= self.clock.now_us().saturating_mul(NANOS_PER_MICRO) {
            // A scene that asks again and again without waiting lets the host's tasks run in between.
            tokio::task::yield_now().await;
        } else {
            // Rounded up, so that a scene that looks at the clock afterwards finds the time reached.
            self.clock.reached(self.when_ns.div_ceil(NANOS_PER_MICRO)).await;
        }
    }
}

#[async_trait]
impl Pollable for Deadline {
    async fn ready(&mut self) {
        self.reached().await;
    }
}

impl p2::wall_clock::Host for ClocksCtxView<'_> {
    fn now(&mut self) -> wasmtime::Result<p2::wall_clock::Datetime> {
        let (seconds, nanoseconds) = self.wall();
        Ok(p2::wall_clock::Datetime { seconds, nanoseconds })
    }

    fn resolution(&mut self) -> wasmtime::Result<p2::wall_clock::Datetime> {
        Ok(p2::wall_clock::Datetime { seconds: 0, nanoseconds: 1_000 })
    }
}

impl p2::monotonic_clock::Host for ClocksCtxView<'_> {
    fn now(&mut self) -> wasmtime::Result<u64> {
        Ok(self.now_ns())
    }

    fn resolution(&mut self) -> wasmtime::Result<u64> {
        Ok(NANOS_PER_MICRO)
    }

    fn subscribe_instant(&mut self, when_ns: u64) -> wasmtime::Result<Resource<DynPollable>> {
        let deadline = self.table.push(Deadline { clock: self.clock.clone(), when_ns })?;
        subscribe(self.table, deadline)
    }

    fn subscribe_duration(&mut self, duration_ns: u64) -> wasmtime::Result<Resource<DynPollable>> {
        let when_ns = self.now_ns().saturating_add(duration_ns);
        self.subscribe_instant(when_ns)
    }
}

impl p3::types::Host for ClocksCtxView<'_> {}

impl p3::system_clock::Host for ClocksCtxView<'_> {
    fn now(&mut self) -> wasmtime::Result<p3::system_clock::Instant> {
        let (seconds, nanoseconds) = self.wall();
        Ok(p3::system_clock::Instant { seconds: i64::try_from(seconds)?, nanoseconds })
    }

    fn get_resolution(&mut self) -> wasmtime::Result<Duration> {
        Ok(NANOS_PER_MICRO)
    }
}

impl p3::monotonic_clock::Host for ClocksCtxView<'_> {
    fn now(&mut self) -> wasmtime::Result<u64> {
        Ok(self.now_ns())
    }

    fn get_resolution(&mut self) -> wasmtime::Result<Duration> {
        Ok(NANOS_PER_MICRO)
    }
}

impl<T> p3::monotonic_clock::HostWithStore<T> for SceneClocks {
    async fn wait_until(store: &Accessor<T, Self>, when_ns: u64) -> wasmtime::Result<()> {
        let clock = store.with(|mut access| access.get().clock.clone());
        Deadline { clock, when_ns }.reached().await;
        Ok(())
    }

    async fn wait_for(store: &Accessor<T, Self>, duration_ns: Duration) -> wasmtime::Result<()> {
        let deadline = store.with(|mut access| {
            let view = access.get();
            Deadline { clock: view.clock.clone(), when_ns: view.now_ns().saturating_add(duration_ns) }
        });
        deadline.reached().await;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;
    use p2::monotonic_clock::Host as _;

    use super::*;

    #[tokio::test]
    async fn a_wait_ends_by_the_frame_clock_and_not_by_the_machines() {
        let clock = FrameClock::virtual_at_zero();
        let mut ticks = clock.ticks(10);
        ticks.next_tick().await;
        let deadline = Deadline { clock: clock.clone(), when_ns: 100_000_001 };
        assert!(deadline.reached().now_or_never().is_none());
        ticks.next_tick().await;
        assert!(deadline.reached().now_or_never().is_none(), "one nanosecond is missing");
        ticks.next_tick().await;
        deadline.reached().await;
    }

    #[tokio::test]
    async fn a_wait_beyond_the_end_of_time_is_a_wait_like_any_other() {
        let clock = FrameClock::virtual_at_zero();
        clock.ticks(1).next_tick().await;
        let mut table = ResourceTable::new();
        let mut view = ClocksCtxView { clock: &clock, table: &mut table };
        view.subscribe_duration(u64::MAX).unwrap();
        view.subscribe_instant(u64::MAX).unwrap();
        let deadline = Deadline { clock, when_ns: u64::MAX };
        assert!(deadline.reached().now_or_never().is_none());
    }
}
