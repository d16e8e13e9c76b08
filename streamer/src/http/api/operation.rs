//! What an operator asks: whether the server lives, what it counts.

use std::sync::Arc;

use axum::{
    Json,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use utoipa::ToSchema;

use super::problems::{PublicProblems, problems};
use crate::{
    auth::{Access, Action, Principal, Role},
    error::Problem,
    metrics::{CONTENT_TYPE, Metrics},
    session::{GpuState, Sessions},
};

/// Whether sessions can be started.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Health {
    /// In a word.
    status: Status,
    /// It answers.
    live: bool,
    /// It takes sessions.
    ready: bool,
    /// It is shutting down.
    draining: bool,
    /// What is known of its GPU.
    gpu: Gpu,
}

/// What the last worker that was started said of the GPU.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = GpuState)]
enum Gpu {
    Unknown,
    Open,
    Unavailable,
}

/// How a server is.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = HealthStatus)]
enum Status {
    Ok,
    Draining,
}

/// Who asks.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct WhoAmI {
    /// `open` where nobody needs a token, else `token`.
    authentication: &'static str,
    /// What the token allows.
    role: Role,
    /// Whose it is.
    name: String,
    /// The one session that a grant is for; null for a token.
    session: Option<String>,
}

problems! {
    MetricsProblems: Forbidden;
    WhoAmIProblems: Forbidden;
}

/// Whether the server takes sessions
#[utoipa::path(
    get, path = "/api/health", tag = "operation", security(()),
    responses(
        (status = 200, description = "It does", body = Health),
        (status = 503, description = "It does not", body = Health),
        PublicProblems,
    ),
)]
pub(super) async fn health(State(sessions): State<Arc<Sessions>>) -> Response {
    let draining = sessions.is_draining();
    let gpu = match sessions.node().gpu() {
        GpuState::Unknown => Gpu::Unknown,
        GpuState::Open => Gpu::Open,
        GpuState::Unavailable => Gpu::Unavailable,
    };
    let ready = !draining && matches!(gpu, Gpu::Open);
    let status = if draining { Status::Draining } else { Status::Ok };
    let health = Health { status, live: true, ready, draining, gpu };
    let code = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (code, [(header::CACHE_CONTROL, "no-store")], Json(health)).into_response()
}

/// Counters for Prometheus
#[utoipa::path(
    get, path = "/api/metrics", tag = "operation",
    responses(
        (status = 200, description = "`OpenMetrics` text", body = String,
            content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8"),
        MetricsProblems,
    ),
)]
pub(super) async fn metrics(
    principal: Principal,
    State(metrics): State<Arc<Metrics>>,
    State(sessions): State<Arc<Sessions>>,
) -> Result<Response, Problem> {
    principal.require(Action::ReadMetrics)?;
    sessions.measure();
    let text = metrics.encode().map_err(|error| Problem::internal("Writing the metrics", &error))?;
    Ok(([(header::CONTENT_TYPE, CONTENT_TYPE)], text).into_response())
}

/// What the caller's token allows
#[utoipa::path(
    get, path = "/api/whoami", tag = "operation",
    responses((status = 200, description = "The caller", body = WhoAmI), WhoAmIProblems),
)]
pub(super) async fn whoami(State(access): State<Arc<Access>>, principal: Principal) -> impl IntoResponse {
    let who = WhoAmI {
        authentication: if access.is_open() { "open" } else { "token" },
        role: principal.role(),
        name: principal.owner().0.clone(),
        session: principal.only_session().map(|session| session.to_string()),
    };
    ([(header::CACHE_CONTROL, "no-store")], Json(who))
}
