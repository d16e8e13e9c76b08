//! The scene's thread: gives the scene its ticks, and knows when a tick is over.

use std::{
    collections::BTreeMap,
    future::poll_fn,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
    time::Duration,
};

use futures::task::AtomicWaker;
use renderer_protocol::EndReason;

use super::{Event, Failure, TimedEvent, reader::TickOver, run::Shared};
use crate::{
    frame::{FrameClock, queue::Marker},
    host::{Outstanding, Window},
    scene::Run,
};

/// How often a scene that waits for its GPU is looked at, in case that it should stop.
const LOOK: Duration = Duration::from_millis(100);

/// What the scene is given, and when.
pub(super) struct Plan {
    pub(super) clock: FrameClock,
    pub(super) frame_rate_hz: u32,
    pub(super) window: Window,
    pub(super) last_frame: u32,
    pub(super) events: BTreeMap<u32, Vec<Event>>,
}

impl Plan {
    /// Events by their frames, in the order that they were given in.
    pub(super) fn events(events: Vec<TimedEvent>) -> BTreeMap<u32, Vec<Event>> {
        let mut by_frame: BTreeMap<u32, Vec<Event>> = BTreeMap::new();
        for TimedEvent { frame, event } in events {
            by_frame.entry(frame).or_default().push(event);
        }
        by_frame
    }
}

/// Runs the scene through all ticks, unless it fails or is stopped. Must be called inside of a runtime with timers.
pub(super) async fn drive(run: Run, mut plan: Plan, marker: Marker<TickOver>, shared: &Shared) {
    let mut scene = Scene::new(run);
    let mut ticks = plan.clock.ticks(plan.frame_rate_hz);
    let wall = FrameClock::real();
    let mut sequence = 0;
    let mut started_us = 0;
    // Its start, for which the clock stands at 0 as in its first tick.
    let mut finished = match scene.settle(shared).await {
        Settled::Ended(reason) => ended(reason, 0, shared),
        Settled::AtRest | Settled::Stopped => false,
    };
    for frame in 0..=plan.last_frame {
        if shared.is_stopped() {
            return;
        }
        shared.begin_tick(frame);
        ticks.next_tick().await;
        for event in plan.events.remove(&frame).unwrap_or_default() {
            match event {
                Event::Input(event) => {
                    sequence += 1;
                    plan.window.push_input(sequence, vec![event]);
                }
                Event::Resize(size) => plan.window.resize(size),
            }
        }
        plan.window.tick(plan.clock.now_us());
        if !finished && let Settled::Ended(reason) = scene.settle(shared).await {
            finished = ended(reason, frame, shared);
        }
        if shared.is_stopped() {
            return;
        }
        let at_work_us = wall.now_us().saturating_sub(marker.waited_us());
        let scene_us = at_work_us.saturating_sub(started_us);
        started_us = at_work_us;
        if marker.mark(TickOver { frame, scene_us, finished }).is_err() {
            return;
        }
    }
}

/// Takes a scene's end; true if it is no failure.
fn ended(reason: EndReason, frame: u32, shared: &Shared) -> bool {
    match reason {
        EndReason::Finished => return true,
        EndReason::Scene(fault) => shared.fail(Failure::Scene { frame, fault: fault.into() }),
        EndReason::Stopped => shared.fail(Failure::Internal("the scene was stopped".to_owned())),
        EndReason::Internal(message) => shared.fail(Failure::Internal(message)),
    }
    false
}

/// How a scene came to stand still.
enum Settled {
    /// It waits for a tick, input or time.
    AtRest,
    /// It ended.
    Ended(EndReason),
    /// Somebody said stop.
    Stopped,
}

/// A scene's run, polled by hand.
struct Scene {
    run: Pin<Box<dyn Future<Output = EndReason>>>,
    wakes: Arc<Wakes>,
    waker: Waker,
    outstanding: Outstanding,
}

impl Scene {
    fn new(run: Run) -> Self {
        let outstanding = run.outstanding();
        let wakes = Arc::new(Wakes { woken: AtomicBool::new(true), driver: AtomicWaker::new() });
        let scenes = Waker::from(Arc::clone(&wakes));
        Self { run: Box::pin(run.run(|| {})), wakes, waker: scenes, outstanding }
    }

    /// Runs the scene until it waits for nothing that comes by itself.
    async fn settle(&mut self, shared: &Shared) -> Settled {
        loop {
            if shared.is_stopped() {
                return Settled::Stopped;
            }
            self.wakes.take();
            // Unlike `await`, this does not pass our own waker on, and so knows whether the scene has been woken.
            if let Poll::Ready(reason) = self.run.as_mut().poll(&mut Context::from_waker(&self.waker)) {
                return Settled::Ended(reason);
            }
            // A task that yields is woken only when the runtime has had a turn.
            tokio::task::yield_now().await;
            if self.wakes.is_woken() {
                continue;
            }
            // In this order: an operation counts until the scene was polled after its end, so if there is none here, nothing is
            // left that could have woken the scene since the look above.
            if self.outstanding.count() == 0 {
                return Settled::AtRest;
            }
            // Real time, but without a say in what the scene sees.
            let _ = tokio::time::timeout(LOOK, self.wakes.wait()).await;
        }
    }
}

/// Whether the scene was woken since it was last polled.
struct Wakes {
    woken: AtomicBool,
    driver: AtomicWaker,
}

impl Wakes {
    fn take(&self) {
        self.woken.store(false, Ordering::Release);
    }

    fn is_woken(&self) -> bool {
        self.woken.load(Ordering::Acquire)
    }

    async fn wait(&self) {
        poll_fn(|context| {
            self.driver.register(context.waker());
            if self.is_woken() { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }
}

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.woken.store(true, Ordering::Release);
        self.driver.wake();
    }
}
