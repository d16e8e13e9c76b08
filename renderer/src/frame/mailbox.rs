//! A slot between two threads in which the latest wins.
//!
//! The sender never waits: what it posts takes the place of what was not received yet, and is counted. The receiver blocks until
//! there is something, a nudge comes, time is up or the mailbox is closed. It knows nothing of frames.

use std::{
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// Makes a mailbox. It closes when either end is dropped, or by [`Nudger::close`].
pub fn mailbox<T>() -> (Sender<T>, Receiver<T>) {
    let shared = Arc::new(Shared {
        state: Mutex::new(State { item: None, replaced: 0, nudged: false, closed: false }),
        changed: Condvar::new(),
    });
    (Sender { shared: Arc::clone(&shared) }, Receiver { shared })
}

#[derive(Debug)]
struct Shared<T> {
    state: Mutex<State<T>>,
    changed: Condvar,
}

#[derive(Debug)]
struct State<T> {
    item: Option<T>,
    replaced: u32,
    nudged: bool,
    closed: bool,
}

impl<T> Shared<T> {
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        // No code of a `T` runs under the lock, so a panic elsewhere leaves the state whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_all();
    }
}

/// The end that posts.
#[derive(Debug)]
pub struct Sender<T> {
    shared: Arc<Shared<T>>,
}

/// The mailbox is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("nobody receives any more")]
pub struct Closed;

impl<T> Sender<T> {
    /// Puts an item in, in place of one that was not received yet.
    pub fn post(&self, item: T) -> Result<(), Closed> {
        let mut state = self.shared.lock();
        if state.closed {
            return Err(Closed);
        }
        let replaced = state.item.replace(item);
        if replaced.is_some() {
            state.replaced = state.replaced.saturating_add(1);
        }
        drop(state);
        drop(replaced);
        self.shared.changed.notify_one();
        Ok(())
    }

    /// Takes back what was not received yet, to make way for something newer; it counts as replaced.
    pub fn retract(&self) -> Option<T> {
        let mut state = self.shared.lock();
        let item = state.item.take()?;
        state.replaced = state.replaced.saturating_add(1);
        Some(item)
    }

    /// Counts an item that never came to be posted.
    pub fn count_lost(&self) {
        let mut state = self.shared.lock();
        state.replaced = state.replaced.saturating_add(1);
    }

    /// True when nothing that is posted will be received.
    pub fn is_closed(&self) -> bool {
        self.shared.lock().closed
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        self.shared.close();
    }
}

/// What a receiver woke for.
#[derive(Debug, PartialEq, Eq)]
pub enum Received<T> {
    /// The latest item.
    Item(T),
    /// A [`Nudger`] asked it to look at something else.
    Nudge,
    /// Nothing came in time.
    Timeout,
    /// Nothing will come any more.
    Closed,
}

/// The end that receives.
#[derive(Debug)]
pub struct Receiver<T> {
    shared: Arc<Shared<T>>,
}

impl<T> Receiver<T> {
    /// Blocks until something is there; for ever without a `timeout`. A nudge comes before an item, an item before the end.
    pub fn receive(&self, timeout: Option<Duration>) -> Received<T> {
        let idle = |state: &mut State<T>| !state.nudged && state.item.is_none() && !state.closed;
        let state = self.shared.lock();
        let mut state = match timeout {
            Some(timeout) => {
                let waited = self.shared.changed.wait_timeout_while(state, timeout, idle);
                waited.unwrap_or_else(PoisonError::into_inner).0
            }
            None => self.shared.changed.wait_while(state, idle).unwrap_or_else(PoisonError::into_inner),
        };
        if std::mem::take(&mut state.nudged) {
            Received::Nudge
        } else if let Some(item) = state.item.take() {
            Received::Item(item)
        } else if state.closed {
            Received::Closed
        } else {
            Received::Timeout
        }
    }

    /// How many items were replaced or lost since the last call.
    pub fn take_replaced(&self) -> u32 {
        std::mem::take(&mut self.shared.lock().replaced)
    }

    /// A handle that can wake this receiver.
    pub fn nudger(&self) -> Nudger<T> {
        Nudger { shared: Arc::clone(&self.shared) }
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        self.shared.close();
        // What nobody receives must not hold on to what it is made of.
        let unreceived = self.shared.lock().item.take();
        drop(unreceived);
    }
}

/// Wakes a receiver from beside.
#[derive(Debug)]
pub struct Nudger<T> {
    shared: Arc<Shared<T>>,
}

impl<T> Clone for Nudger<T> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl<T> Nudger<T> {
    /// The receiver's wait ends with [`Received::Nudge`]; several nudges before it looks are one.
    pub fn nudge(&self) {
        self.shared.lock().nudged = true;
        self.shared.changed.notify_one();
    }

    /// Closes the mailbox from beside.
    pub fn close(&self) {
        self.shared.close();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Option<Duration> = Some(Duration::from_millis(1));

    #[test]
    fn the_latest_wins_and_what_it_replaced_is_counted_once() {
        let (sender, receiver) = mailbox();
        for item in 1..=5 {
            sender.post(item).unwrap();
        }
        assert_eq!(receiver.receive(None), Received::Item(5));
        assert_eq!((receiver.take_replaced(), receiver.take_replaced()), (4, 0));
        assert_eq!(receiver.receive(SOON), Received::Timeout);
    }

    #[test]
    fn what_is_retracted_or_lost_counts_as_replaced() {
        let (sender, receiver) = mailbox();
        sender.post(1).unwrap();
        assert_eq!((sender.retract(), sender.retract()), (Some(1), None));
        sender.count_lost();
        assert_eq!(receiver.receive(SOON), Received::Timeout);
        assert_eq!(receiver.take_replaced(), 2);
    }

    #[test]
    fn a_receiver_that_waits_is_woken_by_an_item_a_nudge_and_the_end() {
        let (sender, receiver) = mailbox();
        let nudger = receiver.nudger();
        std::thread::scope(|scope| {
            let waiter =
                scope.spawn(|| [receiver.receive(None), receiver.receive(None), receiver.receive(None)]);
            sender.post(7).unwrap();
            while sender.shared.lock().item.is_some() {
                std::thread::yield_now();
            }
            nudger.nudge();
            while sender.shared.lock().nudged {
                std::thread::yield_now();
            }
            drop(sender);
            assert_eq!(waiter.join().unwrap(), [Received::Item(7), Received::Nudge, Received::Closed]);
        });
    }

    #[test]
    fn the_last_item_is_received_after_the_sender_is_gone() {
        let (sender, receiver) = mailbox();
        sender.post("last").unwrap();
        drop(sender);
        assert_eq!(receiver.receive(None), Received::Item("last"));
        assert_eq!(receiver.receive(None), Received::Closed);
    }

    #[test]
    fn a_sender_learns_that_the_receiver_is_gone_and_nothing_is_kept_for_it() {
        let (sender, receiver) = mailbox();
        let item = Arc::new(());
        sender.post(Arc::clone(&item)).unwrap();
        drop(receiver);
        assert_eq!(Arc::strong_count(&item), 1);
        assert_eq!(sender.post(item), Err(Closed));
        assert!(sender.is_closed());
    }
}
