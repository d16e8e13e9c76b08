//! Who asks, and what they may do.
//!
//! Knows tokens, roles and grants, and nothing of routes. A request has one [`Principal`]; a handler names the [`Action`] that it is about
//! to do, and the principal allows it or not. The rule is one table, [`MATRIX`]; docs/access.md shows it.

mod access;
mod grants;
mod tokens;

use std::{net::IpAddr, path::PathBuf, sync::Arc};

use axum::{extract::FromRequestParts, http::request::Parts};
use serde::{Deserialize, Serialize};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

pub use access::{Access, IssuedGrant, KnownTokens};
use grants::Grant;

use crate::{
    error::{Code, Problem},
    session::{SessionId, unknown_session},
};

/// What somebody may do. Each may do what those before it may.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, utoipa::ToSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Watch.
    Viewer,
    /// Start sessions and send input.
    Controller,
    /// Upload scenes, and delete one's own.
    Author,
    /// Everything.
    Admin,
}

impl Role {
    /// As it is written in tokens and answers.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Controller => "controller",
            Self::Author => "author",
            Self::Admin => "admin",
        }
    }

    fn named(name: &str) -> Option<Self> {
        [Self::Viewer, Self::Controller, Self::Author, Self::Admin]
            .into_iter()
            .find(|role| role.name() == name)
    }
}

/// Something that not everybody may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// List scenes and sessions, see thumbnails.
    Browse,
    /// Add a scene.
    UploadScene,
    /// Delete a scene of this owner.
    DeleteScene,
    /// Start a session.
    CreateSession,
    /// Watch this session.
    Watch(SessionId),
    /// Send input to this session.
    Control(SessionId),
    /// Read what this session's scene printed.
    ReadLog(SessionId),
    /// End this session, or give and take access to it.
    ManageSession(SessionId),
    /// Read the metrics.
    ReadMetrics,
}

/// How far a permission goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reach {
    /// Nowhere.
    None,
    /// To sessions of the same owner.
    Own,
    /// To all. Of a session one must know the id, which cannot be guessed.
    All,
}

/// Who may do what. The columns are the roles of tokens from viewer to admin, then those of grants, viewer and controller; what a grant
/// may do, it may do to its session only.
const MATRIX: [(&str, [Reach; 6]); 9] = {
    use Reach::{All, None, Own};
    [
        ("browse", [All, All, All, All, None, None]),
        ("upload a scene", [None, None, All, All, None, None]),
        ("delete a scene", [None, None, All, All, None, None]),
        ("create a session", [None, All, All, All, None, None]),
        ("watch a session", [All, All, All, All, All, All]),
        ("control a session", [None, Own, Own, All, None, All]),
        ("read a session's log", [None, Own, Own, All, None, All]),
        ("manage a session", [None, Own, Own, All, None, None]),
        ("read the metrics", [None, None, None, All, None, None]),
    ]
};

impl Action {
    /// Its row of the matrix, and the session that it is about.
    const fn row(self) -> (usize, Option<SessionId>) {
        match self {
            Self::Browse => (0, None),
            Self::UploadScene => (1, None),
            Self::DeleteScene => (2, None),
            Self::CreateSession => (3, None),
            Self::Watch(session) => (4, Some(session)),
            Self::Control(session) => (5, Some(session)),
            Self::ReadLog(session) => (6, Some(session)),
            Self::ManageSession(session) => (7, Some(session)),
            Self::ReadMetrics => (8, None),
        }
    }
}

/// Whose scenes and sessions something is. Two requests with the same token have the same owner.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Owner(pub String);

impl Owner {
    /// Of everything, where there are no tokens.
    pub fn anybody() -> Self {
        Self("anybody".to_owned())
    }
}

/// Whether an address is one of the loopback interface, however it is written: a socket that serves both families writes 127.0.0.1 as
/// `::ffff:127.0.0.1`. What trusts this machine and what protects it must not disagree about that.
pub fn is_loopback(address: IpAddr) -> bool {
    address.to_canonical().is_loopback()
}

/// Whose sessions there are.
pub trait SessionOwners: Send + Sync {
    /// The owner of a session; `None` when there is none of that id.
    fn owner_of(&self, session: SessionId) -> Option<Owner>;
}

/// Why the server cannot say who may do what.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    /// Everybody could do everything.
    #[error(
        "anybody who reaches {listen} could run programs on this machine: give a token with --auth-token or a file of tokens with \
         --auth-token-file, or listen on 127.0.0.1"
    )]
    Unprotected {
        /// Where.
        listen: std::net::SocketAddr,
    },
    /// A token of the wrong form.
    #[error("the token in {place} is refused: {why}")]
    Token {
        /// The flag, or the line of the file.
        place: String,
        /// What is wrong with it, without its secret.
        why: String,
    },
    /// Two tokens that cannot be told apart.
    #[error("two tokens have the same secret; the second one is {name:?}")]
    SameSecret {
        /// Of whom.
        name: String,
    },
    /// More than can be compared with each request.
    #[error("there are more than {most} tokens")]
    TooManyTokens {
        /// How many there may be.
        most: usize,
    },
    /// The file cannot be read.
    #[error("the token file {} cannot be read: {cause}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        cause: std::io::Error,
    },
    /// A file without a token: nobody could do anything.
    #[error("the token file {} has no token: write one a line, as [NAME:]ROLE:SECRET", path.display())]
    EmptyFile {
        /// Which.
        path: PathBuf,
    },
}

/// Who asks.
#[derive(Clone)]
pub struct Principal {
    owner: Owner,
    role: Role,
    /// Set when it came with a grant.
    grant: Option<Grant>,
    revoked: CancellationToken,
    /// `None` where there are no tokens, and so no owners.
    sessions: Option<Arc<dyn SessionOwners>>,
}

impl std::fmt::Debug for Principal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Principal")
            .field("owner", &self.owner.0)
            .field("role", &self.role)
            .finish_non_exhaustive()
    }
}

impl Principal {
    /// Anybody, where there are no tokens.
    pub fn open() -> Self {
        Self {
            owner: Owner::anybody(),
            role: Role::Admin,
            grant: None,
            revoked: CancellationToken::new(),
            sessions: None,
        }
    }

    /// Whose things this one makes.
    pub fn owner(&self) -> &Owner {
        &self.owner
    }

    /// What it may do in general.
    pub fn role(&self) -> Role {
        self.role
    }

    /// The one session that it is for, if it is for one only.
    pub fn only_session(&self) -> Option<SessionId> {
        self.grant.as_ref().map(|grant| grant.session)
    }

    /// Whether it has to leave places for sessions to others: not where there are no tokens, and all are one owner; and not an admin, who
    /// can end everybody's sessions.
    pub fn shares_places(&self) -> bool {
        self.sessions.is_some() && self.role != Role::Admin
    }

    /// Whether a session of that owner is listed for it.
    pub fn sees(&self, owner: &Owner) -> bool {
        self.grant.is_none() && (self.role == Role::Admin || self.owner == *owner)
    }

    /// Fails when this one may not do that. A session that is none of its business is answered like one that does not exist.
    pub fn require(&self, action: Action) -> Result<(), Problem> {
        let (row, session) = action.row();
        if let (Some(only), Some(session)) = (self.only_session(), session)
            && only != session
        {
            return Err(unknown_session());
        }
        let column = match (self.role, self.grant.is_some()) {
            (Role::Viewer, false) => 0,
            (Role::Controller, false) => 1,
            (Role::Author, false) => 2,
            (Role::Admin, false) => 3,
            (Role::Viewer, true) => 4,
            (_, true) => 5,
        };
        let (name, reaches) = MATRIX.get(row).copied().unwrap_or(("do this", [Reach::None; 6]));
        match (reaches.get(column), session) {
            (Some(Reach::All), _) => Ok(()),
            (Some(Reach::Own), Some(session)) if self.owns(session) => Ok(()),
            (Some(Reach::Own), _) => Err(unknown_session()),
            _ => {
                let role = self.role.name();
                let detail = if self.grant.is_some() {
                    format!(
                        "A link of the role {role} does not allow to {name}. Ask the operator for a token."
                    )
                } else {
                    format!(
                        "A token of the role {role} does not allow to {name}. Ask the operator for one that does."
                    )
                };
                Err(Problem::new(Code::Forbidden, detail))
            }
        }
    }

    fn owns(&self, session: SessionId) -> bool {
        match &self.sessions {
            Some(sessions) => sessions.owner_of(session).is_some_and(|owner| owner == self.owner),
            None => true,
        }
    }

    /// What a viewer keeps of who it is.
    pub fn pass(&self, session: SessionId) -> Pass {
        Pass {
            may_control: self.require(Action::Control(session)).is_ok(),
            revoked: self.revoked.clone(),
            _grant: self.grant.clone(),
        }
    }
}

/// By what a viewer came, and what it may do.
#[derive(Clone, Debug)]
pub struct Pass {
    /// Its input counts.
    pub may_control: bool,
    revoked: CancellationToken,
    /// A grant is kept as long as somebody watches with it.
    _grant: Option<Grant>,
}

impl Pass {
    /// Completes when that by which it came is no longer valid.
    pub fn revoked(&self) -> WaitForCancellationFutureOwned {
        self.revoked.clone().cancelled_owned()
    }
}

/// The layer that identifies callers puts it there; on a route that does not have that layer, nobody is anybody.
impl<S: Send + Sync> FromRequestParts<S> for Principal {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        parts.extensions.get::<Self>().cloned().ok_or_else(access::no_token)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct OneSession(SessionId);

    impl SessionOwners for OneSession {
        fn owner_of(&self, session: SessionId) -> Option<Owner> {
            (session == self.0).then(|| Owner("alice".to_owned()))
        }
    }

    fn principal(name: &str, role: Role, sessions: &Arc<dyn SessionOwners>) -> Principal {
        Principal {
            owner: Owner(name.to_owned()),
            role,
            sessions: Some(Arc::clone(sessions)),
            ..Principal::open()
        }
    }

    /// What each of six callers is told: `+` yes, `-` the token does not allow it, `?` there is no such session.
    fn answers(callers: &[Principal], action: Action) -> String {
        let answer = |principal: &Principal| match principal.require(action) {
            Ok(()) => '+',
            Err(problem) if problem.code == Code::Forbidden => '-',
            Err(problem) if problem.code == Code::UnknownSession => '?',
            Err(problem) => panic!("{problem}"),
        };
        callers.iter().map(answer).collect()
    }

    #[test]
    fn the_whole_matrix_holds_for_each_role_on_ones_own_on_a_foreign_and_on_no_session() {
        let session = SessionId::random();
        let other = SessionId::random();
        let sessions: Arc<dyn SessionOwners> = Arc::new(OneSession(session));
        let roles = [Role::Viewer, Role::Controller, Role::Author, Role::Admin];
        let owner = roles.map(|role| principal("alice", role, &sessions));
        let stranger = roles.map(|role| principal("mallory", role, &sessions));
        for (action, of_owner, of_stranger) in [
            (Action::Browse, "++++", "++++"),
            (Action::UploadScene, "--++", "--++"),
            (Action::DeleteScene, "--++", "--++"),
            (Action::CreateSession, "-+++", "-+++"),
            (Action::Watch(session), "++++", "++++"),
            (Action::Control(session), "-+++", "-??+"),
            (Action::ReadLog(session), "-+++", "-??+"),
            (Action::ManageSession(session), "-+++", "-??+"),
            (Action::Control(other), "-??+", "-??+"),
            (Action::ReadLog(other), "-??+", "-??+"),
            (Action::ManageSession(other), "-??+", "-??+"),
            (Action::ReadMetrics, "---+", "---+"),
        ] {
            assert_eq!(answers(&owner, action), of_owner, "{action:?} by its owner");
            assert_eq!(answers(&stranger, action), of_stranger, "{action:?} by a stranger");
        }
        assert!(owner[1].sees(&Owner("alice".to_owned())) && !stranger[2].sees(&Owner("alice".to_owned())));
        assert!(stranger[3].sees(&Owner("alice".to_owned())), "an admin sees all");
        assert_eq!(
            roles.map(|role| principal("alice", role, &sessions).shares_places()),
            [true, true, true, false]
        );
    }

    #[test]
    fn the_loopback_interface_has_addresses_of_three_forms() {
        for (address, expected) in [
            ("127.0.0.1", true),
            ("127.3.2.1", true),
            ("::1", true),
            ("::ffff:127.0.0.1", true),
            ("::", false),
            ("0.0.0.0", false),
            ("::ffff:192.0.2.1", false),
        ] {
            assert_eq!(is_loopback(address.parse().unwrap()), expected, "{address}");
        }
    }

    #[test]
    fn where_there_are_no_tokens_anybody_may_do_everything() {
        let session = SessionId::random();
        for action in [Action::UploadScene, Action::ManageSession(session), Action::ReadMetrics] {
            assert_eq!(Principal::open().require(action), Ok(()), "{action:?}");
        }
        assert!(Principal::open().pass(session).may_control);
        assert!(!Principal::open().shares_places(), "all are one owner");
    }

    #[test]
    fn the_documented_table_is_the_one_that_holds() {
        let documentation = include_str!("../../../docs/access.md");
        for (name, reaches) in MATRIX {
            let line = documentation
                .lines()
                .find(|line| line.starts_with(&format!("| {name} |")))
                .unwrap_or_else(|| panic!("{name} is not documented"));
            let cells: Vec<&str> = line.trim_matches('|').split('|').skip(1).map(str::trim).collect();
            let documented: Vec<Reach> = cells
                .iter()
                .map(|cell| match *cell {
                    "" => Reach::None,
                    "own" => Reach::Own,
                    "yes" => Reach::All,
                    other => panic!("{other:?} in {line}"),
                })
                .collect();
            assert_eq!(documented, reaches, "{name}");
        }
    }
}
