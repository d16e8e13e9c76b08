//! How many components come in or are checked at a time, in all and of one owner, and how many wait for that.
//!
//! Knows owners and counts, and nothing of scenes. A place is kept by whoever does the work, not by whoever asked for it: one that has
//! left does not make room for the next.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, Weak},
    time::Duration,
};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

use crate::{
    auth::Owner,
    error::{Code, Problem},
};

/// Each is a file of up to the largest scene.
const PLACES: usize = 8;
/// Whoever sends slowly keeps a place for two minutes: it takes four owners to keep all.
const PLACES_OF_OWNER: usize = 2;
/// Uploads that wait; each is an open request.
const MAX_WAITING: usize = 256;
/// Of one owner, those with a place included.
const MAX_WAITING_OF_OWNER: usize = 128;
/// So long.
const PATIENCE: Duration = Duration::from_secs(30);

/// See the module.
pub(super) struct Places {
    all: Arc<Semaphore>,
    waiting: Semaphore,
    /// Of those who upload or wait for it.
    owners: Mutex<HashMap<Owner, Weak<Semaphore>>>,
}

/// One upload's place.
#[derive(Debug)]
pub(super) struct Place {
    _of_owner: OwnedSemaphorePermit,
    _of_all: OwnedSemaphorePermit,
}

impl Places {
    pub(super) fn new() -> Self {
        Self {
            all: Arc::new(Semaphore::new(PLACES)),
            waiting: Semaphore::new(MAX_WAITING),
            owners: Mutex::default(),
        }
    }

    /// A place, as soon as there is one for that owner.
    pub(super) async fn take(&self, owner: &Owner) -> Result<Place, Problem> {
        self.take_within(PATIENCE, owner).await
    }

    async fn take_within(&self, patience: Duration, owner: &Owner) -> Result<Place, Problem> {
        let own = self.of_owner(owner);
        // Each one that waits or has a place holds it once.
        if Arc::strong_count(&own) > MAX_WAITING_OF_OWNER {
            return Err(you_are_busy());
        }
        let _waiting = self.waiting.try_acquire().map_err(|_| all_are_busy())?;
        let deadline = tokio::time::Instant::now() + patience;
        let of_owner = timeout(patience, own.acquire_owned()).await;
        let of_owner = of_owner.map_err(|_| you_are_busy())?.map_err(|_| all_are_busy())?;
        let of_all = tokio::time::timeout_at(deadline, Arc::clone(&self.all).acquire_owned()).await;
        let of_all = of_all.map_err(|_| all_are_busy())?.map_err(|_| all_are_busy())?;
        Ok(Place { _of_owner: of_owner, _of_all: of_all })
    }

    fn of_owner(&self, owner: &Owner) -> Arc<Semaphore> {
        let mut owners = self.owners.lock().unwrap_or_else(PoisonError::into_inner);
        owners.retain(|_, places| places.strong_count() > 0);
        if let Some(places) = owners.get(owner).and_then(Weak::upgrade) {
            return places;
        }
        let places = Arc::new(Semaphore::new(PLACES_OF_OWNER));
        owners.insert(owner.clone(), Arc::downgrade(&places));
        places
    }
}

fn all_are_busy() -> Problem {
    Problem::new(
        Code::TooManyRequests,
        "Too many scenes are being uploaded at this moment; try again in a while.",
    )
}

fn you_are_busy() -> Problem {
    let detail = format!(
        "{PLACES_OF_OWNER} of your scenes are being uploaded or checked; wait until one of them is there."
    );
    Problem::new(Code::TooManyRequests, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHORT: Duration = Duration::from_millis(20);

    fn owner(name: &str) -> Owner {
        Owner(name.to_owned())
    }

    async fn is_taken(places: &Places, name: &str) -> Option<Place> {
        places.take_within(SHORT, &owner(name)).await.ok()
    }

    #[tokio::test]
    async fn one_who_uploads_slowly_leaves_places_for_others() {
        let places = Places::new();
        let one = is_taken(&places, "alice").await.unwrap();
        let _other = is_taken(&places, "alice").await.unwrap();
        let refused = places.take_within(SHORT, &owner("alice")).await.unwrap_err();
        assert_eq!(refused.code, Code::TooManyRequests);
        assert!(is_taken(&places, "bob").await.is_some());
        drop(one);
        assert!(is_taken(&places, "alice").await.is_some());
    }

    #[tokio::test]
    async fn places_are_bounded_whoever_takes_them() {
        let places = Places::new();
        let mut taken = Vec::new();
        for number in 0..PLACES {
            taken.push(is_taken(&places, &number.to_string()).await.unwrap());
        }
        assert!(is_taken(&places, "one more").await.is_none());
        taken.clear();
        assert!(is_taken(&places, "one more").await.is_some());
        assert_eq!(places.owners.lock().unwrap().len(), 1, "nothing is kept of who has left");
    }

    #[tokio::test]
    async fn one_who_asks_too_often_is_refused_at_once_and_others_are_not() {
        let places = Places::new();
        let (alice, bob) = (owner("alice"), owner("bob"));
        let waiting: Vec<_> = (0..MAX_WAITING_OF_OWNER).map(|_| places.of_owner(&alice)).collect();
        // Without any waiting: it would take forever.
        let refused = places.take_within(Duration::MAX, &alice).await.unwrap_err();
        assert_eq!(refused.code, Code::TooManyRequests);
        assert!(places.take_within(SHORT, &bob).await.is_ok());
        drop(waiting);
    }
}
