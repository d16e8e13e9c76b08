//! `/api/sessions/{id}/grants`: giving and taking access to a session.

use std::{sync::Arc, time::Duration};

use axum::{
    Json,
    extract::{Request, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    super::{Names, body, find_session},
    problems::problems,
    with_location,
};
use crate::{
    auth::{Access, Action, IssuedGrant, Principal, Role},
    error::{Code, Problem},
    session::{Session, Sessions},
};

/// A link that holds longer is a token.
const MAX_SECONDS: u64 = 86_400;

problems! {
    CreateGrantProblems: BadRequest, Forbidden, ForeignOrigin, UnknownSession, RequestTimeout, SessionEnded, BodyTooLarge,
        UnsupportedMediaType, TooManyGrants;
    DeleteGrantProblems: Forbidden, ForeignOrigin, UnknownSession;
}

/// What access is given.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CreateGrant {
    #[serde(default)]
    role: GrantRole,
    /// How long it can be used to join; the server's setting if it is not said.
    #[schema(minimum = 1, maximum = 86_400)]
    seconds: Option<u64>,
}

/// What may be given away.
#[derive(Clone, Copy, Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum GrantRole {
    /// Watch.
    #[default]
    Viewer,
    /// Watch and send input.
    Controller,
}

/// Access that was given, and the link that carries it.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct GrantView {
    /// For taking it back.
    id: String,
    role: Role,
    /// By the clock of the server's machine.
    #[schema(value_type = String, format = DateTime)]
    expires_at: chrono::DateTime<chrono::Utc>,
    /// Sent as `Authorization: Bearer`.
    pub(super) grant: String,
    /// The page with the grant in its fragment, which no browser sends to a server.
    #[schema(example = "/view/orbit/0123456789abcdef0123456789abcdef#grant=…")]
    view: String,
}

impl GrantView {
    /// Of a grant for that session.
    pub(super) fn of(issued: IssuedGrant, session: &Session) -> Self {
        let IssuedGrant { id, role, life, text } = issued;
        let info = session.info();
        Self {
            id: id.to_string(),
            role,
            expires_at: chrono::Utc::now() + life,
            view: format!("/view/{}/{}#grant={text}", info.scene, info.id),
            grant: text,
        }
    }
}

/// Gives access to one session, for a link
#[utoipa::path(
    post, path = "/api/sessions/{id}/grants", tag = "sessions", request_body = CreateGrant,
    params(("id" = String, Path, description = "The session")),
    responses(
        (status = 201, description = "The grant; `Location` names it", body = GrantView),
        CreateGrantProblems,
    ),
)]
pub(super) async fn create_grant(
    State(sessions): State<Arc<Sessions>>,
    State(access): State<Arc<Access>>,
    Names(id): Names<String>,
    principal: Principal,
    request: Request,
) -> Result<Response, Problem> {
    let session = find_session(&sessions, &principal, &id, Action::ManageSession)?;
    session.check_alive()?;
    let CreateGrant { role, seconds } = body::read_json(request).await?;
    if seconds.is_some_and(|seconds| !(1..=MAX_SECONDS).contains(&seconds)) {
        return Err(Problem::new(Code::BadRequest, format!("`seconds` must be from 1 to {MAX_SECONDS}.")));
    }
    let role = match role {
        GrantRole::Viewer => Role::Viewer,
        GrantRole::Controller => Role::Controller,
    };
    let issued = access.give(&principal, session.info().id, role, seconds.map(Duration::from_secs))?;
    let view = GrantView::of(issued, &session);
    let location = format!("/api/sessions/{}/grants/{}", session.info().id, view.id);
    // The answer is a secret: no cache keeps it.
    let response = (StatusCode::CREATED, [(header::CACHE_CONTROL, "no-store")], Json(view)).into_response();
    Ok(with_location(response, &location))
}

/// Takes a grant back
///
/// Whoever watches with it is told and disconnected within a second.
#[utoipa::path(
    delete, path = "/api/sessions/{id}/grants/{grant}", tag = "sessions",
    params(("id" = String, Path, description = "The session"), ("grant" = String, Path, description = "The grant's id")),
    responses(
        (status = 204, description = "It holds no longer"),
        DeleteGrantProblems,
    ),
)]
pub(super) async fn delete_grant(
    State(sessions): State<Arc<Sessions>>,
    State(access): State<Arc<Access>>,
    Names((id, grant)): Names<(String, String)>,
    principal: Principal,
) -> Result<StatusCode, Problem> {
    let session = find_session(&sessions, &principal, &id, Action::ManageSession)?;
    access.take_back(&principal, session.info().id, &grant)?;
    Ok(StatusCode::NO_CONTENT)
}
