//! What a caller is told when a request fails: `application/problem+json` (RFC 9457) with a stable code.
//!
//! Knows HTTP status codes and nothing of routes. A failure of ours is logged in full and told to the caller without details.

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;

/// The stable names of all failures; docs/viewer-protocol.md lists them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Code {
    /// No scene of that name.
    UnknownScene,
    /// No session of that id, or one that ended long ago.
    UnknownSession,
    /// The session has ended.
    SessionEnded,
    /// No viewer of that id, or one that left.
    UnknownViewer,
    /// The scene file is not WebAssembly.
    SceneNotWasm,
    /// The scene file is a core module, not a component.
    SceneCoreModule,
    /// The scene imports something that is not offered.
    SceneImportNotOffered,
    /// The scene exports no entry point.
    SceneNoEntryPoint,
    /// The scene could not be compiled.
    SceneUncompilable,
    /// The scene is larger than may be uploaded.
    SceneTooLarge,
    /// The library, or the caller's part of it, is full.
    LibraryFull,
    /// The disk is full.
    DiskFull,
    /// The place where uploaded scenes are kept does not answer.
    StoreUnavailable,
    /// There is no picture to show yet, or none any more.
    NoPicture,
    /// The caller did not say who it is, or not so that it is believed.
    Unauthorized,
    /// The caller may not do this.
    Forbidden,
    /// The request comes from a page of another origin.
    ForeignOrigin,
    /// The caller's address asks too often, or more is being worked on than may be at a time.
    TooManyRequests,
    /// The request is not of the documented form.
    BadRequest,
    /// The body is not SDP that a peer can be made of.
    BadSdp,
    /// The offer cannot receive H.264.
    SdpWithoutH264,
    /// The body is longer than allowed.
    BodyTooLarge,
    /// The body did not arrive in time.
    RequestTimeout,
    /// The body has another content type than documented.
    UnsupportedMediaType,
    /// Nothing is served at this path.
    NotFound,
    /// The path does not have this method.
    MethodNotAllowed,
    /// The `Host` of the request is not one that this server answers to.
    ForeignHost,
    /// The server runs as many sessions as it may.
    TooManySessions,
    /// The session has as many viewers as it may.
    TooManyViewers,
    /// As many viewers as allowed are connecting at this moment.
    TooManyPendingOffers,
    /// Access to the session was given as often as it may be.
    TooManyGrants,
    /// The worker process of the session did not start.
    WorkerStartFailed,
    /// No worker can open a GPU.
    NoGpu,
    /// The server is shutting down.
    Draining,
    /// A failure of ours.
    Internal,
}

impl Code {
    /// The name that programs compare.
    pub const fn name(self) -> &'static str {
        self.row().0
    }

    /// The HTTP status that goes with it.
    pub const fn status(self) -> StatusCode {
        self.row().1
    }

    /// The sentence that is the same for every occurrence.
    pub const fn title(self) -> &'static str {
        self.row().2
    }

    const fn row(self) -> (&'static str, StatusCode, &'static str) {
        use StatusCode as S;
        match self {
            Self::UnknownScene => ("unknown_scene", S::NOT_FOUND, "There is no such scene"),
            Self::UnknownSession => ("unknown_session", S::NOT_FOUND, "There is no such session"),
            Self::SessionEnded => ("session_ended", S::GONE, "The session has ended"),
            Self::UnknownViewer => ("unknown_viewer", S::NOT_FOUND, "There is no such viewer"),
            Self::SceneNotWasm => ("scene_not_wasm", S::UNPROCESSABLE_ENTITY, "The scene is not WebAssembly"),
            Self::SceneCoreModule => {
                ("scene_core_module", S::UNPROCESSABLE_ENTITY, "The scene is a core module, not a component")
            }
            Self::SceneImportNotOffered => (
                "scene_import_not_offered",
                S::UNPROCESSABLE_ENTITY,
                "The scene imports something that is not offered here",
            ),
            Self::SceneNoEntryPoint => {
                ("scene_no_entry_point", S::UNPROCESSABLE_ENTITY, "The scene has no entry point")
            }
            Self::SceneUncompilable => {
                ("scene_uncompilable", S::UNPROCESSABLE_ENTITY, "The scene cannot be compiled")
            }
            Self::SceneTooLarge => ("scene_too_large", S::PAYLOAD_TOO_LARGE, "The scene is too large"),
            Self::LibraryFull => {
                ("library_full", S::INSUFFICIENT_STORAGE, "There is no room for another scene")
            }
            Self::DiskFull => ("disk_full", S::INSUFFICIENT_STORAGE, "The server's disk is full"),
            Self::StoreUnavailable => {
                ("store_unavailable", S::SERVICE_UNAVAILABLE, "The server cannot reach its uploaded scenes")
            }
            Self::NoPicture => ("no_picture", S::NOT_FOUND, "There is no picture"),
            Self::Unauthorized => ("unauthorized", S::UNAUTHORIZED, "A valid token is needed"),
            Self::Forbidden => ("forbidden", S::FORBIDDEN, "This is not allowed"),
            Self::ForeignOrigin => {
                ("foreign_origin", S::FORBIDDEN, "The request comes from a page of another origin")
            }
            Self::TooManyRequests => ("too_many_requests", S::TOO_MANY_REQUESTS, "That is too much at once"),
            Self::BadRequest => ("bad_request", S::BAD_REQUEST, "The request cannot be understood"),
            Self::BadSdp => ("bad_sdp", S::BAD_REQUEST, "The body is not a usable SDP"),
            Self::SdpWithoutH264 => {
                ("sdp_without_h264", S::UNPROCESSABLE_ENTITY, "The offer cannot receive H.264 video")
            }
            Self::BodyTooLarge => ("body_too_large", S::PAYLOAD_TOO_LARGE, "The body is too large"),
            Self::RequestTimeout => {
                ("request_timeout", S::REQUEST_TIMEOUT, "The request took too long to arrive")
            }
            Self::UnsupportedMediaType => (
                "unsupported_media_type",
                S::UNSUPPORTED_MEDIA_TYPE,
                "The body has a content type that is not taken here",
            ),
            Self::NotFound => ("not_found", S::NOT_FOUND, "There is nothing at this address"),
            Self::MethodNotAllowed => {
                ("method_not_allowed", S::METHOD_NOT_ALLOWED, "The address does not have this method")
            }
            Self::ForeignHost => {
                ("foreign_host", S::MISDIRECTED_REQUEST, "The server does not answer to this host name")
            }
            Self::TooManySessions => {
                ("too_many_sessions", S::SERVICE_UNAVAILABLE, "As many sessions as allowed are running")
            }
            Self::TooManyViewers => {
                ("too_many_viewers", S::SERVICE_UNAVAILABLE, "The session has as many viewers as allowed")
            }
            Self::TooManyPendingOffers => (
                "too_many_pending_offers",
                S::SERVICE_UNAVAILABLE,
                "Too many viewers are connecting at this moment",
            ),
            Self::TooManyGrants => {
                ("too_many_grants", S::SERVICE_UNAVAILABLE, "The session has as many links as allowed")
            }
            Self::WorkerStartFailed => {
                ("worker_start_failed", S::INTERNAL_SERVER_ERROR, "The session's worker did not start")
            }
            Self::NoGpu => ("no_gpu", S::SERVICE_UNAVAILABLE, "The server has no GPU at this moment"),
            Self::Draining => ("draining", S::SERVICE_UNAVAILABLE, "The server is shutting down"),
            Self::Internal => ("internal", S::INTERNAL_SERVER_ERROR, "The server failed"),
        }
    }

    /// Seconds after which trying again may help; for `Retry-After`.
    const fn retry_after_seconds(self) -> Option<u16> {
        match self {
            Self::TooManyPendingOffers => Some(1),
            Self::TooManyRequests => Some(5),
            Self::TooManySessions
            | Self::TooManyViewers
            | Self::TooManyGrants
            | Self::NoGpu
            | Self::StoreUnavailable
            | Self::Draining => Some(10),
            _ => None,
        }
    }
}

/// A failed request.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}: {detail}", code.name())]
pub struct Problem {
    /// What kind of failure.
    pub code: Code,
    /// What happened here, to what, and what to do.
    pub detail: String,
}

#[derive(Serialize)]
struct Body<'a> {
    code: &'a str,
    title: &'a str,
    status: u16,
    detail: &'a str,
}

impl Problem {
    /// A failure that the caller can understand.
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into() }
    }

    /// A failure of ours: the log gets the cause, the caller does not.
    pub fn internal(doing: &str, cause: &dyn std::fmt::Display) -> Self {
        tracing::error!(%cause, "{doing} failed");
        Self::new(Code::Internal, format!("{doing} failed; the server's log says why."))
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let Self { code, detail } = self;
        let status = code.status();
        let body = Body { code: code.name(), title: code.title(), status: status.as_u16(), detail: &detail };
        // Three strings and a number serialise always.
        let body = serde_json::to_vec(&body).unwrap_or_default();
        let mut response = (status, body).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if code == Code::Unauthorized {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"scenecast\""));
        }
        if let Some(seconds) = code.retry_after_seconds() {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        // For those that count what is refused, and how often.
        response.extensions_mut().insert(code);
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn parts(problem: Problem) -> (StatusCode, axum::http::HeaderMap, serde_json::Value) {
        let (head, body) = problem.into_response().into_parts();
        let body = axum::body::to_bytes(body, 1 << 16).await.unwrap();
        (head.status, head.headers, serde_json::from_slice(&body).unwrap())
    }

    #[tokio::test]
    async fn a_problem_is_json_with_its_code_title_status_and_detail() {
        let (status, headers, body) = parts(Problem::new(Code::SceneCoreModule, "say \"component\"")).await;
        assert_eq!(status, 422);
        assert_eq!(headers["content-type"], "application/problem+json");
        assert_eq!(body["code"], "scene_core_module");
        assert_eq!(body["status"], 422);
        assert_eq!(body["title"], "The scene is a core module, not a component");
        assert_eq!(body["detail"], "say \"component\"");
    }

    #[test]
    fn every_code_is_documented_with_its_status() {
        use Code as C;
        let documentation = include_str!("../../docs/viewer-protocol.md");
        for code in [
            C::UnknownScene,
            C::UnknownSession,
            C::SessionEnded,
            C::UnknownViewer,
            C::SceneNotWasm,
            C::SceneCoreModule,
            C::SceneImportNotOffered,
            C::SceneNoEntryPoint,
            C::SceneUncompilable,
            C::SceneTooLarge,
            C::LibraryFull,
            C::DiskFull,
            C::StoreUnavailable,
            C::NoPicture,
            C::Unauthorized,
            C::Forbidden,
            C::ForeignOrigin,
            C::TooManyRequests,
            C::BadRequest,
            C::BadSdp,
            C::SdpWithoutH264,
            C::BodyTooLarge,
            C::RequestTimeout,
            C::UnsupportedMediaType,
            C::NotFound,
            C::MethodNotAllowed,
            C::ForeignHost,
            C::TooManySessions,
            C::TooManyViewers,
            C::TooManyPendingOffers,
            C::TooManyGrants,
            C::WorkerStartFailed,
            C::NoGpu,
            C::Draining,
            C::Internal,
        ] {
            let row =
                documentation.lines().find(|line| line.starts_with(&format!("| {}", code.status().as_u16())));
            assert!(row.is_some_and(|row| row.contains(&format!("`{}`", code.name()))), "{code:?}");
        }
    }

    #[tokio::test]
    async fn a_full_server_says_when_to_try_again() {
        let (status, headers, _) = parts(Problem::new(Code::TooManySessions, "")).await;
        assert_eq!((status.as_u16(), headers["retry-after"].to_str().unwrap()), (503, "10"));
    }

    #[tokio::test]
    async fn the_cause_of_an_internal_failure_is_not_told() {
        let (_, _, body) =
            parts(Problem::internal("Reading the scenes", &"/secret/path: permission denied")).await;
        assert!(!body.to_string().contains("secret"), "{body}");
    }
}
