//! Places among the sessions that may run: so many on the server, and of those so many for one owner.
//!
//! Knows owners and numbers, and nothing of what takes the places.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::{
    auth::Owner,
    error::{Code, Problem},
};

/// How many sessions may run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionCounts {
    /// On the server.
    pub all: usize,
    /// Of one owner that shares the server with others.
    pub per_owner: usize,
}

/// See the module.
pub(super) struct Places {
    counts: SessionCounts,
    free: Arc<Semaphore>,
    taken: Arc<Taken>,
}

/// A place; given back when dropped.
pub(super) struct Place {
    _permit: OwnedSemaphorePermit,
    _share: Option<Share>,
}

/// One of its owner's.
struct Share {
    owner: Owner,
    taken: Arc<Taken>,
}

/// How many each owner has that has any: no more owners than there are places.
#[derive(Default)]
struct Taken(Mutex<HashMap<Owner, usize>>);

impl Taken {
    fn lock(&self) -> MutexGuard<'_, HashMap<Owner, usize>> {
        // Whole after each statement, whatever panicked.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut taken = self.taken.lock();
        if let Some(count) = taken.get_mut(&self.owner) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                taken.remove(&self.owner);
            }
        }
    }
}

impl Places {
    /// All are free.
    pub(super) fn new(counts: SessionCounts) -> Self {
        Self { counts, free: Arc::new(Semaphore::new(counts.all)), taken: Arc::default() }
    }

    /// Takes one, for an owner that has to leave places to others, or for whoever need not.
    pub(super) fn take(&self, sharer: Option<&Owner>) -> Result<Place, Problem> {
        let permit = Arc::clone(&self.free).try_acquire_owned().map_err(|_| {
            let detail =
                format!("The server runs {} sessions, its maximum; end one or wait.", self.counts.all);
            Problem::new(Code::TooManySessions, detail)
        })?;
        let share = sharer.map(|owner| self.share(owner)).transpose()?;
        Ok(Place { _permit: permit, _share: share })
    }

    fn share(&self, owner: &Owner) -> Result<Share, Problem> {
        let mut taken = self.taken.lock();
        let most = self.counts.per_owner;
        if taken.get(owner).copied().unwrap_or(0) >= most {
            let detail =
                format!("You run {most} sessions, the maximum of one token; end one of yours or wait.");
            return Err(Problem::new(Code::TooManySessions, detail));
        }
        *taken.entry(owner.clone()).or_default() += 1;
        Ok(Share { owner: owner.clone(), taken: Arc::clone(&self.taken) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(all: usize, per_owner: usize) -> Places {
        Places::new(SessionCounts { all, per_owner })
    }

    fn refusal(places: &Places, sharer: Option<&Owner>) -> String {
        let Err(problem) = places.take(sharer) else { panic!("a place too many") };
        assert_eq!(problem.code, Code::TooManySessions);
        problem.detail
    }

    #[test]
    fn an_owner_cannot_take_the_places_of_others() {
        let (alice, bob) = (Owner("alice".to_owned()), Owner("bob".to_owned()));
        let places = places(3, 2);
        let first = places.take(Some(&alice)).unwrap();
        let _second = places.take(Some(&alice)).unwrap();
        assert!(refusal(&places, Some(&alice)).contains("the maximum of one token"));
        let of_bob = places.take(Some(&bob)).unwrap();
        assert!(refusal(&places, Some(&bob)).contains("The server runs 3 sessions"));
        drop(first);
        drop(of_bob);
        let _third = places.take(Some(&alice)).unwrap();
        assert!(refusal(&places, Some(&alice)).contains("one token"), "one was given back, not two");
        assert_eq!(places.taken.lock().len(), 1, "owners without a session are forgotten");
    }

    #[test]
    fn who_shares_with_nobody_may_have_all_places() {
        let places = places(2, 1);
        let taken = [places.take(None), places.take(None)];
        assert!(taken.iter().all(Result::is_ok));
        assert!(refusal(&places, None).contains("The server runs 2 sessions"));
    }
}
