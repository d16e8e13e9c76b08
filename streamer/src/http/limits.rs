//! How often one address may ask for what costs something, and how often it may guess.
//!
//! An address is an IPv4 address, or an IPv6 network of 64 bits, which is what one subscriber has. What is kept of addresses is bounded.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    num::NonZeroU32,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use axum::{
    extract::{MatchedPath, Request, State},
    http::{HeaderValue, Method, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use governor::{
    Quota, RateLimiter,
    clock::{Clock, MonotonicClock},
    state::keyed::HashMapStateStore,
};

use super::serve::ClientAddress;
use crate::{
    auth::is_loopback,
    config::RateConfig,
    error::{Code, Problem},
};

/// Addresses that are kept for one limit at a time, some hundred bytes each; all further ones share one place.
const MAX_ADDRESSES: usize = 20_000;
/// How often those that could be forgotten are looked for while there are so many.
const FORGET_INTERVAL: Duration = Duration::from_secs(1);
/// Tokens and sessions' ids cannot be guessed. Who tries, or whose program has gone wrong, costs no more than this; a page that asks
/// for a session that has ended once a second is below it.
const GUESSES_PER_MINUTE: NonZeroU32 = NonZeroU32::MIN.saturating_add(119);
/// How long an address that guessed too often is not told whether a guess was right. Others behind it, who do not guess, notice nothing.
const GUESSING_PAUSE: Duration = Duration::from_secs(10);

/// Whom a limit is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct AddressKey(Option<IpAddr>);

impl AddressKey {
    /// Of an address.
    pub(super) fn of(address: IpAddr) -> Self {
        Self(Some(match address.to_canonical() {
            IpAddr::V6(address) => {
                let [a, b, c, d, ..] = address.segments();
                IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
            }
            address @ IpAddr::V4(_) => address,
        }))
    }

    /// Of those for which there was no place.
    const ALL_OTHERS: Self = Self(None);
}

type Limiter = RateLimiter<AddressKey, HashMapStateStore<AddressKey>, MonotonicClock>;

/// So many a minute of each address; all of them may come at once.
struct PerAddress {
    limiter: Limiter,
    forgot_at: Mutex<Option<Instant>>,
}

impl PerAddress {
    fn new(per_minute: NonZeroU32) -> Self {
        Self {
            limiter: RateLimiter::hashmap_with_clock(Quota::per_minute(per_minute), MonotonicClock),
            forgot_at: Mutex::default(),
        }
    }

    /// Counts one; fails with the time until the next one is taken.
    fn count(&self, address: AddressKey) -> Result<(), Duration> {
        let has_room = self.limiter.len() < MAX_ADDRESSES || self.forget();
        let key = if has_room { address } else { AddressKey::ALL_OTHERS };
        self.limiter.check_key(&key).map_err(|until| until.wait_time_from(MonotonicClock.now()))
    }

    /// Forgets those whose quota is whole again; says whether there is room now.
    fn forget(&self) -> bool {
        let now = Instant::now();
        let mut forgot_at = lock(&self.forgot_at);
        if forgot_at.is_some_and(|then| now.duration_since(then) < FORGET_INTERVAL) {
            return false;
        }
        *forgot_at = Some(now);
        self.limiter.retain_recent();
        self.limiter.len() < MAX_ADDRESSES
    }
}

/// All limits of addresses.
pub(super) struct Limits {
    /// Where there are no tokens, whoever asks from this machine is its user.
    spares_loopback: bool,
    offers: PerAddress,
    uploads: PerAddress,
    sessions: PerAddress,
    guesses: PerAddress,
    /// Who guessed too often, and until when further guesses are not answered.
    paused: Mutex<HashMap<AddressKey, Instant>>,
}

impl Limits {
    /// As the settings say.
    pub(super) fn new(rates: &RateConfig, spares_loopback: bool) -> Self {
        let per_minute = |count| PerAddress::new(NonZeroU32::new(count).unwrap_or(NonZeroU32::MIN));
        Self {
            spares_loopback,
            offers: per_minute(rates.offers_per_minute),
            uploads: per_minute(rates.uploads_per_minute),
            sessions: per_minute(rates.sessions_per_minute),
            guesses: PerAddress::new(GUESSES_PER_MINUTE),
            paused: Mutex::default(),
        }
    }

    fn of_route(&self, method: &Method, route: &str) -> Option<&PerAddress> {
        if *method != Method::POST {
            return None;
        }
        match route {
            "/whep/{session}" => Some(&self.offers),
            "/api/scenes" => Some(&self.uploads),
            "/api/sessions" => Some(&self.sessions),
            _ => None,
        }
    }

    fn check_pause(&self, address: AddressKey) -> Result<(), Duration> {
        let now = Instant::now();
        let mut paused = lock(&self.paused);
        match paused.get(&address) {
            Some(until) if *until > now => Err(until.duration_since(now)),
            Some(_) => {
                paused.remove(&address);
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// Counts what was a guess, and answers those of an address that is paused with 429. Judged by the answer, because an address may be a
    /// network's or a reverse proxy's: one stranger must not lock out everybody who comes by it with a token. To find out who asks costs
    /// little.
    fn judge(&self, address: AddressKey, response: Response) -> Response {
        let Some(Code::Unauthorized | Code::UnknownSession | Code::UnknownViewer) =
            response.extensions().get()
        else {
            return response;
        };
        if let Err(wait) = self.check_pause(address) {
            return too_many(
                "Too many tokens and names of sessions that are none came from this address.",
                wait,
            );
        }
        self.count_guess(address);
        response
    }

    fn count_guess(&self, address: AddressKey) {
        if self.guesses.count(address).is_ok() {
            return;
        }
        let now = Instant::now();
        let mut paused = lock(&self.paused);
        if paused.len() >= MAX_ADDRESSES {
            paused.retain(|_, until| *until > now);
        }
        if paused.len() < MAX_ADDRESSES {
            paused.insert(address, now + GUESSING_PAUSE);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Whole after each statement, whatever panicked.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Answers an address that asks too often with 429, before anything is done for it, and one that guesses too often instead of telling.
pub(super) async fn limit(State(limits): State<Arc<Limits>>, request: Request, next: Next) -> Response {
    let client = request.extensions().get::<ClientAddress>().copied();
    let client = client.map_or(IpAddr::V6(Ipv6Addr::UNSPECIFIED), |ClientAddress(address)| address);
    if limits.spares_loopback && is_loopback(client) {
        return next.run(request).await;
    }
    let address = AddressKey::of(client);
    let route = request.extensions().get::<MatchedPath>();
    if let Some(limit) = route.and_then(|route| limits.of_route(request.method(), route.as_str()))
        && let Err(wait) = limit.count(address)
    {
        return too_many(
            "The operator allows only so many of these requests a minute; try again after the seconds of Retry-After.",
            wait,
        );
    }
    let response = next.run(request).await;
    limits.judge(address, response)
}

fn too_many(why: &str, wait: Duration) -> Response {
    let mut response = Problem::new(Code::TooManyRequests, why).into_response();
    let seconds = wait.as_secs().saturating_add(1);
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(text: &str) -> AddressKey {
        AddressKey::of(text.parse().unwrap())
    }

    #[test]
    fn one_subscriber_is_one_address() {
        assert_eq!(key("2001:db8:1:2::1"), key("2001:db8:1:2:ffff:ffff:ffff:ffff"));
        assert_ne!(key("2001:db8:1:2::1"), key("2001:db8:1:3::1"));
        assert_eq!(key("::ffff:192.0.2.1"), key("192.0.2.1"));
        assert_ne!(key("192.0.2.1"), key("192.0.2.2"));
    }

    #[test]
    fn each_address_has_its_own_count() {
        let limit = PerAddress::new(NonZeroU32::new(3).unwrap());
        for _ in 0..3 {
            assert_eq!(limit.count(key("192.0.2.1")), Ok(()));
        }
        let wait = limit.count(key("192.0.2.1")).unwrap_err();
        assert!(wait <= Duration::from_secs(20), "{wait:?}");
        assert_eq!(limit.count(key("192.0.2.2")), Ok(()));
    }

    #[test]
    fn any_number_of_addresses_takes_bounded_room() {
        let limit = PerAddress::new(NonZeroU32::new(1).unwrap());
        let addresses =
            (0..u32::try_from(MAX_ADDRESSES).unwrap() + 5_000).map(|number| IpAddr::V4(number.into()));
        let refused = addresses.filter(|address| limit.count(AddressKey::of(*address)).is_err()).count();
        assert!(limit.limiter.len() <= MAX_ADDRESSES + 1, "{}", limit.limiter.len());
        assert!((4_990..5_000).contains(&refused), "the later ones share one place: {refused}");
    }

    #[test]
    fn row_41_a_pause_for_guessing_holds_for_guesses_only() {
        let rates = RateConfig { offers_per_minute: 1, uploads_per_minute: 1, sessions_per_minute: 1 };
        let limits = Limits::new(&rates, false);
        let shared = key("192.0.2.1");
        let status = |response: Response| limits.judge(shared, response).status().as_u16();
        let guess = |code| status(Problem::new(code, "").into_response());
        let mut guesses = std::iter::repeat_with(|| guess(Code::UnknownSession));
        // Some are earned anew while the test runs.
        assert!(guesses.by_ref().take(10_000).any(|status| status == 429));
        assert_eq!(guess(Code::Unauthorized), 429);
        assert_eq!(guess(Code::UnknownSession), 429);
        assert_eq!(status("what one with a token asked for".into_response()), 200);
        assert_eq!(guess(Code::Forbidden), 403);
    }

    #[test]
    fn row_41_who_guesses_too_often_is_not_listened_to_for_a_while() {
        let rates = RateConfig { offers_per_minute: 1, uploads_per_minute: 1, sessions_per_minute: 1 };
        let limits = Limits::new(&rates, false);
        let guesser = key("192.0.2.1");
        for _ in 0..GUESSES_PER_MINUTE.get() {
            limits.count_guess(guesser);
        }
        assert_eq!(limits.check_pause(guesser), Ok(()));
        limits.count_guess(guesser);
        limits.count_guess(guesser);
        assert!(limits.check_pause(guesser).unwrap_err() <= GUESSING_PAUSE);
        assert_eq!(limits.check_pause(key("192.0.2.2")), Ok(()));
    }
}
