//! Who asks is found out before anything else is done: below `/api` and `/whep` nothing is for everybody unless it is named here.

use std::sync::Arc;

use axum::{
    extract::{MatchedPath, Request, State},
    http::{HeaderValue, Method, header},
    middleware::Next,
    response::{IntoResponse, Response},
};

use crate::auth::Access;

/// What monitors, proxies and clients ask before they have a token; nothing of it is about a scene or a session.
const PUBLIC: [&str; 2] = ["/api/health", "/api/openapi.json"];

/// Puts the [`Principal`](crate::auth::Principal) of a request beside it, or answers 401.
pub(super) async fn authenticate(
    State(access): State<Arc<Access>>,
    mut request: Request,
    next: Next,
) -> Response {
    let route = request.extensions().get::<MatchedPath>().map_or("", MatchedPath::as_str);
    let is_private = route.starts_with("/api/") || route.starts_with("/whep/");
    // OPTIONS says what there is, and browsers send it without a token.
    if !is_private || PUBLIC.contains(&route) || *request.method() == Method::OPTIONS {
        return next.run(request).await;
    }
    match access.identify(request.headers()) {
        Ok(principal) => {
            request.extensions_mut().insert(principal);
            next.run(request).await
        }
        Err(problem) => {
            let was_presented = request.headers().contains_key(header::AUTHORIZATION);
            let mut response = problem.into_response();
            if was_presented && let Some(challenge) = response.headers_mut().get_mut(header::WWW_AUTHENTICATE)
            {
                *challenge = HeaderValue::from_static("Bearer realm=\"scenecast\", error=\"invalid_token\"");
            }
            response
        }
    }
}
