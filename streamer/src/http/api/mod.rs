//! `/api`: scenes, sessions, and what an operator asks.

mod grants;
mod openapi;
mod operation;
mod problems;
mod scenes;
mod sessions;

pub(crate) use scenes::fuzz_head;

use axum::{
    http::{HeaderValue, header},
    response::{IntoResponse, Response},
    routing::{MethodRouter, delete, get, post},
};
use bytes::Bytes;

use super::App;

/// All routes of the API. Each is in the `OpenAPI` document, and each of the document is here; a test holds that.
pub(super) fn routes() -> [(&'static str, MethodRouter<App>); 13] {
    [
        ("/api/scenes", get(scenes::list_scenes).post(scenes::upload_scene)),
        ("/api/scenes/{id}", get(scenes::get_scene).delete(scenes::delete_scene)),
        ("/api/scenes/{id}/thumbnail.png", get(scenes::get_thumbnail)),
        ("/api/sessions", get(sessions::list_sessions).post(sessions::create_session)),
        ("/api/sessions/{id}", get(sessions::get_session).delete(sessions::delete_session)),
        ("/api/sessions/{id}/screenshot.png", get(sessions::get_screenshot)),
        ("/api/sessions/{id}/log", get(sessions::get_log)),
        ("/api/sessions/{id}/grants", post(grants::create_grant)),
        ("/api/sessions/{id}/grants/{grant}", delete(grants::delete_grant)),
        ("/api/health", get(operation::health)),
        ("/api/metrics", get(operation::metrics)),
        ("/api/openapi.json", get(openapi::document)),
        ("/api/whoami", get(operation::whoami)),
    ]
}

/// A picture that was made of a scene: never looked at as anything else, and never kept where it is out of date.
fn png(picture: Bytes, cache_control: &'static str) -> Response {
    let headers = [(header::CONTENT_TYPE, "image/png"), (header::CACHE_CONTROL, cache_control)];
    (headers, picture).into_response()
}

/// Adds where what was made is.
fn with_location(mut response: Response, path: &str) -> Response {
    if let Ok(location) = HeaderValue::from_str(path) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    response
}
