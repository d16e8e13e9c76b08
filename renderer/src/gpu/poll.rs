//! A thread per device that waits for the GPU while somebody waits for it.
//!
//! wgpu calls back (buffers mapped, work done) only inside a call to `poll`. The thread sleeps until [`Poller::wake`], then
//! waits in `poll` for all work submitted until then, and sleeps again.

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
    /// Starts the thread for `device`.
    pub fn start(device: wgpu::Device) -> Result<Self, GpuError> {
        let shared = Arc::new(Shared::default());
        let theirs = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name(THREAD_NAME.to_owned())
            .spawn(move || run(&device, &theirs))
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

fn run(device: &wgpu::Device, shared: &Shared) {
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
        match device.poll(wgpu::PollType::Wait { submission_index: None, timeout: Some(POLL_SLICE) }) {
            Err(wgpu::PollError::Timeout) => shared.state().wanted = true,
            // There is no index of ours that could be wrong.
            Ok(_) | Err(wgpu::PollError::WrongSubmissionIndex(..)) => {}
        }
    }
}
