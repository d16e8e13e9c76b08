//! A thread per device that waits for the GPU while somebody waits for it.
//!
//! wgpu calls back (buffers mapped, work done) only inside a call to `poll`. The thread sleeps until [`Poller::wake`], then
//! waits in `poll` for all work submitted until then, and sleeps again.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use super::GpuError;

/// One wait inside of `poll`. While it waits, wgpu keeps a lock that `destroy` of a buffer or texture needs, so it is short;
/// a hung GPU then costs ten wake-ups a second.
const POLL_SLICE: Duration = Duration::from_millis(100);

const THREAD_NAME: &str = "gpu-poll";

#[derive(Default)]
struct State {
    wanted: bool,
    stop: bool,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing panics while the lock is held, and two flags cannot be half-written.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Keeps a device's callbacks coming. Dropping it ends the thread and waits for it, at most for a [`POLL_SLICE`]: a thread that is
/// inside of a driver when the process ends takes the process down with it.
pub struct Poller {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Poller {
    /// Starts the thread for `device`. It ends when the driver fails, and then calls `on_failure` with the driver's reason: wgpu panics
    /// there, and nothing that the GPU was asked for will be known to be done.
    pub fn start(
        device: wgpu::Device,
        on_failure: impl FnOnce(&str) + Send + 'static,
    ) -> Result<Self, GpuError> {
        let shared = Arc::new(Shared::default());
        let theirs = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name(THREAD_NAME.to_owned())
            .spawn(move || run(|| poll(&device), &theirs, on_failure))
            .map_err(|source| GpuError::Thread { name: THREAD_NAME, source })?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Callbacks that were registered before this call will come once the work submitted before it is done.
    pub fn wake(&self) {
        self.shared.state().wanted = true;
        self.shared.changed.notify_one();
    }
}

impl Drop for Poller {
    fn drop(&mut self) {
        self.shared.state().stop = true;
        self.shared.changed.notify_one();
        super::join(self.thread.take());
    }
}

/// What a wait found.
enum Polled {
    Done,
    /// The GPU still works.
    Busy,
}

fn poll(device: &wgpu::Device) -> Polled {
    match device.poll(wgpu::PollType::Wait { submission_index: None, timeout: Some(POLL_SLICE) }) {
        Err(wgpu::PollError::Timeout) => Polled::Busy,
        // There is no index of ours that could be wrong.
        Ok(_) | Err(wgpu::PollError::WrongSubmissionIndex(..)) => Polled::Done,
    }
}

fn run(poll: impl Fn() -> Polled, shared: &Shared, on_failure: impl FnOnce(&str)) {
    loop {
        {
            let idle = |state: &mut State| !state.wanted && !state.stop;
            let mut state =
                shared.changed.wait_while(shared.state(), idle).unwrap_or_else(PoisonError::into_inner);
            if state.stop {
                return;
            }
            state.wanted = false;
        }
        // wgpu's state is as the driver left it, and it is asked for nothing here after this.
        match catch_unwind(AssertUnwindSafe(&poll)) {
            Ok(Polled::Done) => {}
            Ok(Polled::Busy) => shared.state().wanted = true,
            Err(panic) => return on_failure(reason(panic.as_ref())),
        }
    }
}

/// What wgpu says of a driver that failed.
fn reason(panic: &dyn Any) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("the GPU's driver failed")
}

/// Why a device does not say how far it is.
#[derive(Debug, PartialEq, Eq)]
pub enum PollFailure {
    /// It still works.
    Timeout,
    /// Its driver has given it up, for this reason.
    Lost(String),
}

/// Asks a device how far it is, or waits for it, from a thread that goes on if the driver has given it up: wgpu panics then.
pub fn poll_device(device: &wgpu::Device, how: wgpu::PollType) -> Result<(), PollFailure> {
    outcome(|| device.poll(how))
}

fn outcome(poll: impl FnOnce() -> Result<wgpu::PollStatus, wgpu::PollError>) -> Result<(), PollFailure> {
    // wgpu's state is as the driver left it; what is made of a device that is lost, is lost too.
    match catch_unwind(AssertUnwindSafe(poll)) {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(wgpu::PollError::Timeout)) => Err(PollFailure::Timeout),
        Ok(Err(error)) => Err(PollFailure::Lost(error.to_string())),
        Err(panic) => Err(PollFailure::Lost(reason(panic.as_ref()).to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn a_device_that_is_lost_in_a_poll_is_an_answer_and_no_panic() {
        assert_eq!(outcome(|| Err(wgpu::PollError::Timeout)), Err(PollFailure::Timeout));
        assert_eq!(
            outcome(|| panic!("the device is lost")),
            Err(PollFailure::Lost("the device is lost".to_owned()))
        );
        assert_eq!(outcome(|| Ok(wgpu::PollStatus::QueueEmpty)), Ok(()));
    }

    #[test]
    fn a_driver_that_fails_is_reported_once_and_not_asked_again() {
        let shared = Shared::default();
        shared.state().wanted = true;
        let (asked, failures) = (Cell::new(0), Cell::new(0));
        let poll = || {
            asked.set(asked.get() + 1);
            if asked.get() < 3 { Polled::Busy } else { panic!("the device is gone") }
        };
        run(poll, &shared, |reason| {
            assert_eq!(reason, "the device is gone");
            failures.set(failures.get() + 1);
        });
        assert_eq!((asked.get(), failures.get()), (3, 1));
    }
}
