//! `/api`: scenes, sessions, health, metrics.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Request, State},
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use renderer_protocol::{FrameSize, to_worker::FRAME_RATE_RANGE_HZ};
use serde::{Deserialize, Serialize};

use super::{Names, Offer, body};
use crate::{
    error::{Code, Problem},
    library::{Library, SceneEntry, SceneName, unknown_scene},
    metrics::{CONTENT_TYPE, Metrics},
    session::{NewSession, Phase, SIZE_SNAP_PX, Session, SessionEnd, Sessions},
};

/// What a session gets that does not say a size, as far as the server's maximum allows.
const DEFAULT_SIZE_PX: (u32, u32) = (1280, 720);

/// `POST /api/sessions`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CreateSession {
    scene: String,
    width: Option<u32>,
    height: Option<u32>,
    frame_rate_hz: Option<u32>,
}

/// A session.
#[derive(Debug, Serialize)]
pub(super) struct SessionView {
    id: String,
    scene: SceneName,
    width: u32,
    height: u32,
    frame_rate_hz: u32,
    viewers: usize,
    state: &'static str,
    ended: Option<EndView>,
    whep: String,
    view: String,
}

#[derive(Debug, Serialize)]
struct EndView {
    code: &'static str,
    message: String,
}

impl SessionView {
    fn of(session: &Session) -> Self {
        let (info, status) = (session.info(), session.status());
        let (id, scene) = (info.id, info.scene.clone());
        let (state, ended) = match &status.phase {
            Phase::Starting => ("starting", None),
            Phase::Running => ("running", None),
            Phase::Ended(end) => ("ended", Some(EndView { code: end.code(), message: end.message() })),
        };
        Self {
            id: id.to_string(),
            width: status.size.width(),
            height: status.size.height(),
            frame_rate_hz: info.frame_rate_hz,
            viewers: status.viewers,
            state,
            ended,
            whep: format!("/whep/{id}"),
            view: format!("/view/{scene}/{id}"),
            scene,
        }
    }
}

pub(super) async fn list_scenes(
    State(library): State<Arc<Library>>,
) -> Result<Json<Vec<SceneEntry>>, Problem> {
    library.list().await.map(Json)
}

pub(super) async fn create_session(
    State(sessions): State<Arc<Sessions>>,
    State(library): State<Arc<Library>>,
    State(offer): State<Offer>,
    request: Request,
) -> Result<Response, Problem> {
    let create: CreateSession = body::read_json(request).await?;
    let Ok(scene) = create.scene.parse::<SceneName>() else { return Err(unknown_scene(&create.scene)) };
    let size = first_size(create.width, create.height, offer.max_size)?;
    let frame_rate_hz = create.frame_rate_hz.unwrap_or(offer.frame_rate_hz);
    let frame_rate_hz = frame_rate_hz.clamp(*FRAME_RATE_RANGE_HZ.start(), offer.frame_rate_hz);
    let path = library.path_of(&scene).await?;
    let session = sessions.create(NewSession { scene, path, size, frame_rate_hz }).await?;
    let mut response = (StatusCode::CREATED, Json(SessionView::of(&session))).into_response();
    let location = format!("/api/sessions/{}", session.info().id);
    if let Ok(location) = HeaderValue::from_str(&location) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    Ok(response)
}

fn first_size(width: Option<u32>, height: Option<u32>, max: FrameSize) -> Result<FrameSize, Problem> {
    let (width, height) = match (width, height) {
        (None, None) => DEFAULT_SIZE_PX,
        (Some(width), Some(height)) => (width, height),
        _ => return Err(Problem::new(Code::BadRequest, "Give both width and height, or neither.")),
    };
    Ok(FrameSize::snapped(width, height, max, SIZE_SNAP_PX))
}

pub(super) async fn list_sessions(State(sessions): State<Arc<Sessions>>) -> Json<Vec<SessionView>> {
    let mut views: Vec<_> = sessions.list().iter().map(|session| SessionView::of(session)).collect();
    views.sort_by(|one, other| one.id.cmp(&other.id));
    Json(views)
}

pub(super) async fn get_session(
    State(sessions): State<Arc<Sessions>>,
    Names(id): Names<String>,
) -> Result<Json<SessionView>, Problem> {
    let session = super::find_session(&sessions, &id)?;
    Ok(Json(SessionView::of(&session)))
}

pub(super) async fn delete_session(
    State(sessions): State<Arc<Sessions>>,
    Names(id): Names<String>,
) -> Result<StatusCode, Problem> {
    let session = super::find_session(&sessions, &id)?;
    session.end(SessionEnd::Deleted).await;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Serialize)]
pub(super) struct Health {
    status: &'static str,
}

pub(super) async fn health(State(sessions): State<Arc<Sessions>>) -> Result<Json<Health>, Problem> {
    sessions.check_not_draining()?;
    Ok(Json(Health { status: "ok" }))
}

pub(super) async fn metrics(State(metrics): State<Arc<Metrics>>) -> Result<Response, Problem> {
    let text = metrics.encode().map_err(|error| Problem::internal("Writing the metrics", &error))?;
    Ok(([(header::CONTENT_TYPE, CONTENT_TYPE)], text).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size(width: Option<u32>, height: Option<u32>) -> Result<String, &'static str> {
        let max = FrameSize::new(1920, 1080).unwrap();
        first_size(width, height, max).map(|size| size.to_string()).map_err(|problem| problem.code.name())
    }

    #[test]
    fn a_size_is_snapped_limited_or_the_default() {
        assert_eq!(size(None, None).as_deref(), Ok("1280x720"));
        assert_eq!(size(Some(800), Some(600)).as_deref(), Ok("800x592"));
        assert_eq!(size(Some(u32::MAX), Some(u32::MAX)).as_deref(), Ok("1072x1072"));
        assert_eq!(size(Some(0), Some(0)).as_deref(), Ok("16x16"));
        assert_eq!(size(Some(800), None), Err("bad_request"));
    }

    #[test]
    fn a_member_with_a_typing_mistake_is_refused() {
        let refused = serde_json::from_str::<CreateSession>(r#"{"scene":"orbit","widht":1}"#).unwrap_err();
        assert!(refused.to_string().contains("widht"), "{refused}");
    }
}
