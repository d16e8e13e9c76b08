//! Grants: short-lived signed access to one session, for a link.
//!
//! A grant is a JSON web token (HS256). It is signed with a key of this process and noted in a table: one that is forged is refused
//! without looking anything up, one that was taken back, or is of an earlier start, is refused although it is signed. Time is a
//! parameter, and it is [`SteadyClock`]'s: nobody's life is made longer or shorter by setting the machine's clock.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, Once, PoisonError},
    time::Duration,
};

use hmac::{Hmac, Mac};
use jsonwebtoken::{
    Algorithm, DecodingKey, EncodingKey, Header, Validation,
    crypto::{CryptoProvider, JwtSigner, JwtVerifier, KeyUtils},
    errors::ErrorKind,
    signature,
};
use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use tokio_util::sync::CancellationToken;

use super::Role;
use crate::session::{GrantId, SessionId};

/// A session has so many viewers at most, and each could have a link of its own, twice.
pub(super) const MAX_GRANTS_PER_SESSION: usize = 256;
/// In all sessions together; an entry has about a hundred bytes.
const MAX_GRANTS: usize = 20_000;
/// Ours have some 250; nothing longer is looked at.
const MAX_GRANT_BYTES: usize = 1_024;
const ISSUER: &str = "scenecast";
/// Says what the token is for, so that no other signed text can be taken for one (RFC 8725, section 3.11).
const TYPE: &str = "scenecast-grant+jwt";

/// Seconds since 1970 as they were when the server started, plus the time that went by since; a machine that sleeps counts too.
pub(super) struct SteadyClock {
    unix_at_start: Duration,
    start: Duration,
}

impl SteadyClock {
    pub(super) fn new() -> Self {
        let unix = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        Self { unix_at_start: unix.unwrap_or_default(), start: since_boot() }
    }

    pub(super) fn now_s(&self) -> u64 {
        self.unix_at_start.saturating_add(since_boot().saturating_sub(self.start)).as_secs()
    }
}

fn since_boot() -> Duration {
    let time = clock_gettime(ClockId::Boottime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    Duration::from_secs(seconds)
        .saturating_add(Duration::from_nanos(u64::try_from(time.tv_nsec).unwrap_or(0)))
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Claims {
    iss: String,
    jti: String,
    session: String,
    role: Role,
    iat: u64,
    exp: u64,
}

/// A grant as long as it can be used, and as long as somebody watches with it.
#[derive(Clone, Debug)]
pub(super) struct Grant {
    pub(super) id: GrantId,
    pub(super) session: SessionId,
    pub(super) role: Role,
    expires_s: u64,
    /// Cancelled when it is taken back, or the token that it was given by.
    pub(super) revoked: CancellationToken,
    /// Held by the table once, and by each viewer that came with it.
    held: Arc<()>,
}

impl Grant {
    /// It can no longer be used, and nobody watches with it who could be thrown out.
    fn is_over(&self, now_s: u64) -> bool {
        self.revoked.is_cancelled() || (self.expires_s <= now_s && Arc::strong_count(&self.held) == 1)
    }
}

/// Why there is no further grant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoGrant {
    /// The session, or the server, has as many as it may.
    Full,
    /// It could not be signed.
    Unsigned,
}

/// See the module.
pub(super) struct Grants {
    signing: EncodingKey,
    verifying: DecodingKey,
    validation: Validation,
    table: Mutex<HashMap<SessionId, Vec<Grant>>>,
}

impl Grants {
    /// None yet, and a key that nobody else has.
    pub(super) fn new() -> Self {
        install_provider();
        let key: [u8; 32] = rand::random();
        let mut validation = Validation::new(Algorithm::HS256);
        validation.set_issuer(&[ISSUER]);
        validation.set_required_spec_claims(&["exp", "iss"]);
        // Judged below by the clock that `exp` was written with; so there is no skew to be lenient about.
        validation.validate_exp = false;
        Self {
            signing: EncodingKey::from_secret(&key),
            verifying: DecodingKey::from_secret(&key),
            validation,
            table: Mutex::default(),
        }
    }

    /// A new one. `is_known` says of a session whether it still exists: those that do not are forgotten.
    pub(super) fn issue(
        &self,
        session: SessionId,
        role: Role,
        life: Duration,
        given_by: &CancellationToken,
        now_s: u64,
        is_known: impl Fn(SessionId) -> bool,
    ) -> Result<(GrantId, String), NoGrant> {
        let id = GrantId::random();
        let expires_s = now_s.saturating_add(life.as_secs());
        let claims = Claims {
            iss: ISSUER.to_owned(),
            jti: id.to_string(),
            session: session.to_string(),
            role,
            iat: now_s,
            exp: expires_s,
        };
        let mut header = Header::new(Algorithm::HS256);
        header.typ = Some(TYPE.to_owned());
        let text = jsonwebtoken::encode(&header, &claims, &self.signing).map_err(|_| NoGrant::Unsigned)?;
        let mut table = self.table();
        if table.values().map(Vec::len).sum::<usize>() >= MAX_GRANTS {
            table.retain(|session, grants| {
                grants.retain(|grant| !grant.is_over(now_s));
                !grants.is_empty() && is_known(*session)
            });
        }
        let is_full = table.values().map(Vec::len).sum::<usize>() >= MAX_GRANTS;
        let grants = table.entry(session).or_default();
        grants.retain(|grant| !grant.is_over(now_s));
        if is_full || grants.len() >= MAX_GRANTS_PER_SESSION {
            return Err(NoGrant::Full);
        }
        let revoked = given_by.child_token();
        grants.push(Grant { id, session, role, expires_s, revoked, held: Arc::new(()) });
        Ok((id, text))
    }

    /// The grant that a text is, if it may be used now.
    pub(super) fn find(&self, text: &str, now_s: u64) -> Option<Grant> {
        if text.len() > MAX_GRANT_BYTES {
            return None;
        }
        let token = jsonwebtoken::decode::<Claims>(text, &self.verifying, &self.validation).ok()?;
        if token.header.typ.as_deref() != Some(TYPE) || token.claims.exp <= now_s {
            return None;
        }
        let id: GrantId = token.claims.jti.parse().ok()?;
        let session: SessionId = token.claims.session.parse().ok()?;
        let table = self.table();
        let grant = table.get(&session)?.iter().find(|grant| grant.id == id)?;
        let is_valid = grant.expires_s > now_s && !grant.revoked.is_cancelled();
        is_valid.then(|| grant.clone())
    }

    /// Takes one back; false when there is none of that name in that session.
    pub(super) fn revoke(&self, session: SessionId, id: GrantId) -> bool {
        let mut table = self.table();
        let Some(grants) = table.get_mut(&session) else { return false };
        let Some(position) = grants.iter().position(|grant| grant.id == id) else { return false };
        grants.swap_remove(position).revoked.cancel();
        true
    }

    fn table(&self) -> MutexGuard<'_, HashMap<SessionId, Vec<Grant>>> {
        // Whole after each statement, whatever panicked.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// `jsonwebtoken` takes its cryptography from whoever uses it: here that is HMAC-SHA256, and nothing else can be asked for.
fn install_provider() {
    static PROVIDER: CryptoProvider = CryptoProvider {
        signer_factory: |algorithm, key| {
            check_algorithm(*algorithm)?;
            Ok(Box::new(HmacSha256(mac(key.as_bytes())?)))
        },
        verifier_factory: |algorithm, key| {
            check_algorithm(*algorithm)?;
            Ok(Box::new(HmacSha256(mac(key.try_get_as_bytes()?)?)))
        },
        key_utils: KeyUtils::new_unimplemented(),
    };
    static INSTALL: Once = Once::new();
    INSTALL.call_once(|| {
        // Fails only when it is there already, which `Once` rules out.
        let _ = PROVIDER.install_default();
    });
}

fn check_algorithm(algorithm: Algorithm) -> jsonwebtoken::errors::Result<()> {
    if algorithm == Algorithm::HS256 { Ok(()) } else { Err(ErrorKind::InvalidAlgorithm.into()) }
}

fn mac(key: &[u8]) -> jsonwebtoken::errors::Result<Hmac<Sha256>> {
    Hmac::new_from_slice(key).map_err(|_| ErrorKind::InvalidKeyFormat.into())
}

struct HmacSha256(Hmac<Sha256>);

impl signature::Signer<Vec<u8>> for HmacSha256 {
    fn try_sign(&self, message: &[u8]) -> Result<Vec<u8>, signature::Error> {
        let mut mac = self.0.clone();
        mac.update(message);
        Ok(mac.finalize().into_bytes().to_vec())
    }
}

impl signature::Verifier<Vec<u8>> for HmacSha256 {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> Result<(), signature::Error> {
        let mut mac = self.0.clone();
        mac.update(message);
        // In constant time.
        mac.verify_slice(signature).map_err(|_| signature::Error::new())
    }
}

impl JwtSigner for HmacSha256 {
    fn algorithm(&self) -> Algorithm {
        Algorithm::HS256
    }
}

impl JwtVerifier for HmacSha256 {
    fn algorithm(&self) -> Algorithm {
        Algorithm::HS256
    }
}

#[cfg(test)]
mod tests {
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};

    use super::*;

    const NOW_S: u64 = 1_800_000_000;
    const MINUTE: Duration = Duration::from_mins(1);

    fn issue(grants: &Grants, session: SessionId) -> (GrantId, String) {
        grants.issue(session, Role::Viewer, MINUTE, &CancellationToken::new(), NOW_S, |_| true).unwrap()
    }

    #[test]
    fn a_grant_is_for_one_session_and_role_until_it_expires() {
        let (grants, session) = (Grants::new(), SessionId::random());
        let (id, text) = issue(&grants, session);
        let found = grants.find(&text, NOW_S).unwrap();
        assert_eq!((found.id, found.session, found.role), (id, session, Role::Viewer));
        assert!(grants.find(&text, NOW_S + 59).is_some());
        assert!(grants.find(&text, NOW_S + 60).is_none());
    }

    #[test]
    fn row_38_a_text_that_was_not_signed_here_is_no_grant() {
        let (grants, session) = (Grants::new(), SessionId::random());
        let (_, text) = issue(&grants, session);
        let [header, claims, signature]: [&str; 3] = text.split('.').collect::<Vec<_>>().try_into().unwrap();
        let encode = |text: &str| BASE64.encode(text);
        let decoded = String::from_utf8(BASE64.decode(claims).unwrap()).unwrap();
        let as_admin = decoded.replace("viewer", "controller");
        assert_ne!(decoded, as_admin);
        let none = encode(r#"{"alg":"none","typ":"scenecast-grant+jwt"}"#);
        let other_hash = encode(r#"{"alg":"HS512","typ":"scenecast-grant+jwt"}"#);
        let public_key = encode(r#"{"alg":"RS256","typ":"scenecast-grant+jwt"}"#);
        for forged in [
            String::new(),
            "..".to_owned(),
            format!("{header}.{claims}."),
            format!("{header}.{claims}"),
            format!("{header}.{}.{signature}", encode(&as_admin)),
            format!("{none}.{claims}."),
            format!("{none}.{claims}.{signature}"),
            format!("{other_hash}.{claims}.{signature}"),
            format!("{public_key}.{claims}.{signature}"),
            format!("{}.{claims}.{signature}", encode("{}")),
            format!("{text}.{signature}"),
            format!("{header}.{claims}.{}", BASE64.encode([0_u8; 32])),
            format!("{text}{}", "A".repeat(2_000)),
            // Of another start, or another server.
            issue(&Grants::new(), session).1,
        ] {
            assert!(grants.find(&forged, NOW_S).is_none(), "{forged}");
        }
        assert!(grants.find(&text, NOW_S).is_some());
    }

    #[test]
    fn row_38_what_is_signed_here_for_something_else_is_no_grant() {
        let (grants, session) = (Grants::new(), SessionId::random());
        let (id, _) = issue(&grants, session);
        let sign = |typ: Option<&str>, issuer: &str, exp: u64| {
            let claims = Claims {
                iss: issuer.to_owned(),
                jti: id.to_string(),
                session: session.to_string(),
                role: Role::Controller,
                iat: NOW_S,
                exp,
            };
            let mut header = Header::new(Algorithm::HS256);
            header.typ = typ.map(str::to_owned);
            jsonwebtoken::encode(&header, &claims, &grants.signing).unwrap()
        };
        assert!(grants.find(&sign(Some("JWT"), ISSUER, NOW_S + 10), NOW_S).is_none());
        assert!(grants.find(&sign(None, ISSUER, NOW_S + 10), NOW_S).is_none());
        assert!(grants.find(&sign(Some(TYPE), "somebody", NOW_S + 10), NOW_S).is_none());
        assert!(grants.find(&sign(Some(TYPE), ISSUER, NOW_S), NOW_S).is_none());
        let found = grants.find(&sign(Some(TYPE), ISSUER, NOW_S + 10), NOW_S).unwrap();
        assert_eq!(found.role, Role::Viewer, "the table has the last word about what was given");
    }

    #[test]
    fn a_grant_that_was_taken_back_is_refused_and_those_who_came_with_it_are_told() {
        let (grants, session) = (Grants::new(), SessionId::random());
        let (id, text) = issue(&grants, session);
        let held = grants.find(&text, NOW_S).unwrap();
        assert!(!grants.revoke(SessionId::random(), id), "it is of another session");
        assert!(grants.revoke(session, id));
        assert!(held.revoked.is_cancelled() && grants.find(&text, NOW_S).is_none());
        assert!(!grants.revoke(session, id));
    }

    #[test]
    fn a_grant_ends_with_the_token_that_it_was_given_by() {
        let (grants, token) = (Grants::new(), CancellationToken::new());
        let (_, text) =
            grants.issue(SessionId::random(), Role::Controller, MINUTE, &token, NOW_S, |_| true).unwrap();
        let held = grants.find(&text, NOW_S).unwrap();
        token.cancel();
        assert!(held.revoked.is_cancelled() && grants.find(&text, NOW_S).is_none());
    }

    #[test]
    fn a_session_has_so_many_grants_and_gets_room_by_those_that_are_over() {
        let (grants, session) = (Grants::new(), SessionId::random());
        let first = issue(&grants, session);
        for _ in 1..MAX_GRANTS_PER_SESSION {
            issue(&grants, session);
        }
        let again =
            |now_s| grants.issue(session, Role::Viewer, MINUTE, &CancellationToken::new(), now_s, |_| true);
        assert_eq!(again(NOW_S).unwrap_err(), NoGrant::Full);
        assert!(grants.revoke(session, first.0));
        assert!(again(NOW_S).is_ok());
        assert_eq!(again(NOW_S).unwrap_err(), NoGrant::Full);
        assert!(again(NOW_S + 60).is_ok());
        assert_eq!(grants.table().values().map(Vec::len).sum::<usize>(), 1);
    }

    #[test]
    fn who_watches_with_a_grant_that_expired_meanwhile_can_still_be_thrown_out() {
        let (grants, session) = (Grants::new(), SessionId::random());
        let (id, text) = issue(&grants, session);
        let held = grants.find(&text, NOW_S).unwrap();
        let later = NOW_S + 1_000;
        grants.issue(session, Role::Viewer, MINUTE, &CancellationToken::new(), later, |_| true).unwrap();
        assert!(grants.revoke(session, id) && held.revoked.is_cancelled());
    }

    #[test]
    fn grants_of_sessions_that_are_gone_make_room() {
        let grants = Grants::new();
        for _ in 0..MAX_GRANTS {
            issue(&grants, SessionId::random());
        }
        let next = |is_known: bool| {
            let token = CancellationToken::new();
            grants.issue(SessionId::random(), Role::Viewer, MINUTE, &token, NOW_S, |_| is_known)
        };
        assert_eq!(next(true).unwrap_err(), NoGrant::Full);
        assert!(next(false).is_ok());
    }

    #[test]
    fn row_59_the_clock_of_grants_goes_on_by_itself() {
        let clock = SteadyClock::new();
        let wall = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
        assert!(clock.now_s().abs_diff(wall) <= 30);
    }
}
