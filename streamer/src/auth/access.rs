//! From what a request presents to who it is: by the tokens of the settings, or by a grant.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use axum::http::{HeaderMap, header};

use super::{
    AccessError, Action, Owner, Principal, Role, SessionOwners,
    grants::{Grants, NoGrant, SteadyClock},
    is_loopback,
    tokens::{HashKey, Parsed, Tokens},
};
use crate::{
    config::AuthConfig,
    error::{Code, Problem},
    session::{GrantId, SessionId, unknown_session},
};

/// A grant that was just given.
pub struct IssuedGrant {
    /// Its name, for taking it back.
    pub id: GrantId,
    /// What it allows.
    pub role: Role,
    /// How long.
    pub life: Duration,
    /// What is presented; whoever has it, has access.
    pub text: String,
}

/// See the module.
pub struct Access {
    /// `None` where anybody may do everything.
    protected: Option<Protected>,
    grants: Grants,
    clock: SteadyClock,
    grant_life: Duration,
    sessions: Arc<dyn SessionOwners>,
}

/// Who the settings say may do what, before there is anything to protect.
pub struct KnownTokens(Option<Protected>);

impl KnownTokens {
    /// As the settings say, for a server that shall listen there.
    pub fn read(config: &AuthConfig, listen: SocketAddr) -> Result<Self, AccessError> {
        let is_open = config.tokens.is_empty() && config.token_file.is_none();
        if is_open && !is_loopback(listen.ip()) {
            return Err(AccessError::Unprotected { listen });
        }
        if is_open { Ok(Self(None)) } else { Protected::new(config).map(Some).map(Self) }
    }
}

struct Protected {
    key: HashKey,
    /// As they were given by flags and environment, which do not change.
    settings: Vec<String>,
    file: Option<PathBuf>,
    tokens: RwLock<Tokens>,
}

impl Protected {
    fn new(config: &AuthConfig) -> Result<Self, AccessError> {
        let protected = Self {
            key: HashKey::random(),
            settings: config.tokens.clone(),
            file: config.token_file.clone(),
            tokens: RwLock::default(),
        };
        let tokens = Tokens::default().replace_with(protected.read()?)?;
        Ok(Self { tokens: RwLock::new(tokens), ..protected })
    }

    fn read(&self) -> Result<Vec<Parsed>, AccessError> {
        let mut parsed = Vec::new();
        for text in &self.settings {
            let refused =
                |why| AccessError::Token { place: "--auth-token or SCENECAST_AUTH_TOKEN".to_owned(), why };
            parsed.push(self.key.parse(text).map_err(refused)?);
        }
        if let Some(file) = &self.file {
            parsed.extend(self.key.read_file(file)?);
            // Also when it is read again: whatever writes it may have emptied it first, and has not finished.
            if parsed.is_empty() {
                return Err(AccessError::EmptyFile { path: file.clone() });
            }
        }
        Ok(parsed)
    }
}

impl Access {
    /// For those of `tokens`, and for those who are given access to one of `sessions`, each time for as long as `grant_life` if nothing else
    /// is said.
    pub fn new(
        KnownTokens(protected): KnownTokens,
        grant_life: Duration,
        sessions: Arc<dyn SessionOwners>,
    ) -> Self {
        Self { protected, grants: Grants::new(), clock: SteadyClock::new(), grant_life, sessions }
    }

    /// Whether anybody may do everything.
    pub fn is_open(&self) -> bool {
        self.protected.is_none()
    }

    /// The file that is read again by [`Self::reload`].
    pub fn token_file(&self) -> Option<&Path> {
        self.protected.as_ref()?.file.as_deref()
    }

    /// Reads the file of tokens again. What came with a token that is gone ends. A file that cannot be read changes nothing.
    pub fn reload(&self) {
        let Some(protected) = &self.protected else { return };
        let read = protected.read().and_then(|parsed| {
            let mut tokens = protected.tokens.write().unwrap_or_else(PoisonError::into_inner);
            let now = tokens.replace_with(parsed)?;
            let gone = tokens.revoke_all_but(&now);
            *tokens = now;
            Ok((tokens.len(), gone))
        });
        match read {
            Ok((tokens, gone)) => tracing::info!(tokens, gone, "the tokens were read again"),
            Err(error) => tracing::error!(%error, "the tokens stay as they were"),
        }
    }

    /// Who asks. Where there are no tokens that is anybody, unless a grant is presented, which then counts.
    pub fn identify(&self, headers: &HeaderMap) -> Result<Principal, Problem> {
        let Some(protected) = &self.protected else {
            return match bearer(headers) {
                Ok(Some(text)) if is_grant_like(text) => self.by_grant(text),
                _ => Ok(Principal::open()),
            };
        };
        let text = bearer(headers)?.ok_or_else(no_token)?;
        {
            let tokens = protected.tokens.read().unwrap_or_else(PoisonError::into_inner);
            if let Some(identity) = tokens.find(&protected.key, text) {
                return Ok(Principal {
                    owner: identity.owner.clone(),
                    role: identity.role,
                    grant: None,
                    revoked: identity.revoked.clone(),
                    sessions: Some(Arc::clone(&self.sessions)),
                });
            }
        }
        if is_grant_like(text) { self.by_grant(text) } else { Err(bad_token()) }
    }

    fn by_grant(&self, text: &str) -> Result<Principal, Problem> {
        let grant = self.grants.find(text, self.clock.now_s()).ok_or_else(bad_token)?;
        Ok(Principal {
            owner: Owner(format!("link-{}", grant.id.short())),
            role: grant.role,
            revoked: grant.revoked.clone(),
            grant: Some(grant),
            sessions: Some(Arc::clone(&self.sessions)),
        })
    }

    /// Gives access to a session that `by` may manage.
    pub fn give(
        &self,
        by: &Principal,
        session: SessionId,
        role: Role,
        life: Option<Duration>,
    ) -> Result<IssuedGrant, Problem> {
        by.require(Action::ManageSession(session))?;
        let life = life.unwrap_or(self.grant_life);
        let is_known = |session| self.sessions.owner_of(session).is_some();
        let issued = self.grants.issue(session, role, life, &by.revoked, self.clock.now_s(), is_known);
        match issued {
            Ok((id, text)) => Ok(IssuedGrant { id, role, life, text }),
            Err(NoGrant::Full) => Err(Problem::new(
                Code::TooManyGrants,
                "A place becomes free when one is taken back, expires, or its session ends.",
            )),
            Err(NoGrant::Unsigned) => Err(Problem::internal("Signing the grant", &"no signature")),
        }
    }

    /// The grant that whoever creates a session gets with it: to control it, for as long as links hold. `None` where nobody needs one.
    pub fn grant_for_creator(&self, by: &Principal, session: SessionId) -> Option<IssuedGrant> {
        if self.is_open() {
            return None;
        }
        self.give(by, session, Role::Controller, None).ok()
    }

    /// Takes a grant back. Whoever watches with it is told and disconnected.
    pub fn take_back(&self, by: &Principal, session: SessionId, grant: &str) -> Result<(), Problem> {
        by.require(Action::ManageSession(session))?;
        let was_there = grant.parse().is_ok_and(|id| self.grants.revoke(session, id));
        if was_there { Ok(()) } else { Err(unknown_grant()) }
    }
}

/// The token of the header `Authorization: Bearer TOKEN`.
fn bearer(headers: &HeaderMap) -> Result<Option<&str>, Problem> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return if headers.contains_key(header::AUTHORIZATION) { Err(bad_token()) } else { Ok(None) };
    };
    let text = value.to_str().map_err(|_| bad_token())?;
    let (scheme, token) = text.split_once(' ').ok_or_else(bad_token)?;
    if scheme.eq_ignore_ascii_case("bearer") { Ok(Some(token.trim())) } else { Err(bad_token()) }
}

/// A JSON web token has three parts.
fn is_grant_like(text: &str) -> bool {
    text.bytes().filter(|byte| *byte == b'.').count() == 2
}

pub(super) fn no_token() -> Problem {
    Problem::new(Code::Unauthorized, "Send a token as `Authorization: Bearer TOKEN`.")
}

fn bad_token() -> Problem {
    Problem::new(
        Code::Unauthorized,
        "What was sent as token is none, has expired, or was withdrawn; ask for a new one.",
    )
}

/// As for a session: what cannot be named, cannot be probed for.
fn unknown_grant() -> Problem {
    Problem {
        detail: "It was taken back, expired long ago, or never existed.".to_owned(),
        ..unknown_session()
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    struct Anybodys;

    impl SessionOwners for Anybodys {
        fn owner_of(&self, _: SessionId) -> Option<Owner> {
            Some(Owner("alice".to_owned()))
        }
    }

    const ALICE: &str = "0123456789abcdef";

    fn access(tokens: &[&str], file: Option<&Path>, listen: &str) -> Result<Access, AccessError> {
        let config = AuthConfig {
            tokens: tokens.iter().map(|token| (*token).to_owned()).collect(),
            token_file: file.map(Path::to_owned),
            grant: Duration::from_mins(1),
        };
        let tokens = KnownTokens::read(&config, listen.parse().unwrap())?;
        Ok(Access::new(tokens, config.grant, Arc::new(Anybodys)))
    }

    fn headers(values: &[&str]) -> HeaderMap {
        let header = |value: &&str| (header::AUTHORIZATION, HeaderValue::from_str(value).unwrap());
        values.iter().map(header).collect()
    }

    #[test]
    fn without_tokens_only_this_machine_is_served() {
        assert!(access(&[], None, "127.0.0.1:1").unwrap().is_open());
        assert!(access(&[], None, "[::1]:1").unwrap().is_open());
        assert!(access(&[], None, "[::ffff:127.0.0.1]:1").unwrap().is_open());
        for listen in ["0.0.0.0:1", "[::]:1", "192.0.2.1:1", "[::ffff:192.0.2.1]:1"] {
            let Err(error) = access(&[], None, listen) else { panic!("{listen} is served") };
            assert!(error.to_string().contains("--auth-token"), "{error}");
        }
        assert!(!access(&[ALICE], None, "0.0.0.0:1").unwrap().is_open());
    }

    #[test]
    fn row_38_only_a_bearer_with_a_whole_secret_is_believed() {
        let access = access(&[&format!("alice:controller:{ALICE}")], None, "127.0.0.1:1").unwrap();
        let who = |values: &[&str]| access.identify(&headers(values)).map(|principal| principal.owner.0);
        assert_eq!(who(&[&format!("Bearer {ALICE}")]).as_deref(), Ok("alice"));
        assert_eq!(who(&[&format!("bearer  {ALICE}")]).as_deref(), Ok("alice"));
        for values in [
            &[][..],
            &["Bearer"],
            &["Bearer "],
            &[ALICE],
            &["Bearer 0123456789abcde"],
            &["Basic 0123456789abcdef"],
            &["Bearer alice:controller:0123456789abcdef"],
            &["Bearer a.b.c"],
            &["Bearer 0123456789abcdef", "Bearer 0123456789abcdef"],
        ] {
            assert_eq!(who(values).unwrap_err().code, Code::Unauthorized, "{values:?}");
        }
    }

    #[test]
    fn row_38_a_grant_reaches_its_session_and_no_other() {
        let access = access(&[&format!("alice:controller:{ALICE}")], None, "127.0.0.1:1").unwrap();
        let alice = access.identify(&headers(&[&format!("Bearer {ALICE}")])).unwrap();
        let (session, other) = (SessionId::random(), SessionId::random());
        let viewer = access.give(&alice, session, Role::Viewer, None).unwrap();
        let controller = access.grant_for_creator(&alice, session).unwrap();
        let by =
            |grant: &IssuedGrant| access.identify(&headers(&[&format!("Bearer {}", grant.text)])).unwrap();
        for (grant, may_control) in [(&viewer, false), (&controller, true)] {
            let principal = by(grant);
            let refused = |action| principal.require(action).unwrap_err().code;
            assert_eq!(principal.require(Action::Watch(session)), Ok(()));
            assert_eq!(principal.pass(session).may_control, may_control);
            assert_eq!(refused(Action::Watch(other)), Code::UnknownSession);
            assert_eq!(refused(Action::ManageSession(other)), Code::UnknownSession);
            assert_eq!(refused(Action::ManageSession(session)), Code::Forbidden);
            assert_eq!(refused(Action::CreateSession), Code::Forbidden);
            assert_eq!(refused(Action::Browse), Code::Forbidden);
            assert!(access.give(&principal, session, Role::Viewer, None).is_err());
        }
    }

    #[test]
    fn a_file_that_is_read_again_withdraws_what_is_gone_and_a_broken_one_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("tokens");
        std::fs::write(&file, "alice:controller:0123456789abcdef\nbob:admin:1123456789abcdef\n").unwrap();
        let access = access(&["admin:2123456789abcdef"], Some(&file), "0.0.0.0:1").unwrap();
        let who = |secret: &str| access.identify(&headers(&[&format!("Bearer {secret}")]));
        let alice = who(ALICE).unwrap();
        std::fs::write(&file, "carol:viewer\n").unwrap();
        access.reload();
        assert!(who(ALICE).is_ok() && !alice.revoked.is_cancelled());
        std::fs::write(&file, "bob:admin:1123456789abcdef\n").unwrap();
        access.reload();
        assert!(alice.revoked.is_cancelled());
        assert_eq!(who(ALICE).unwrap_err().code, Code::Unauthorized);
        assert!(who("1123456789abcdef").is_ok() && who("2123456789abcdef").is_ok());
    }

    #[test]
    fn a_file_that_is_just_being_written_logs_nobody_out() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("tokens");
        std::fs::write(&file, format!("alice:controller:{ALICE}\n")).unwrap();
        let access = access(&[], Some(&file), "0.0.0.0:1").unwrap();
        let headers = headers(&[&format!("Bearer {ALICE}")]);
        let alice = access.identify(&headers).unwrap();
        for unfinished in ["", "\n", "# who may do what\n"] {
            std::fs::write(&file, unfinished).unwrap();
            access.reload();
            assert!(!alice.revoked.is_cancelled() && access.identify(&headers).is_ok(), "{unfinished:?}");
        }
    }

    #[test]
    fn a_file_without_tokens_is_no_protection() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("tokens");
        std::fs::write(&file, "# nobody yet\n").unwrap();
        assert!(matches!(access(&[], Some(&file), "0.0.0.0:1"), Err(AccessError::EmptyFile { .. })));
        assert!(matches!(
            access(&[], Some(Path::new("/nowhere")), "127.0.0.1:1"),
            Err(AccessError::File { .. })
        ));
    }
}
