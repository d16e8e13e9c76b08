//! `/api/sessions`: scenes that run.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Request, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use renderer_protocol::{FrameSize, to_worker::FRAME_RATE_RANGE_HZ};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    super::{Names, Offer, body, find_session},
    png,
    problems::problems,
    with_location,
};
use crate::{
    auth::{Access, Action, Principal},
    error::{Code, Problem},
    library::{Library, SceneId, unknown_scene},
    session::{NewSession, Phase, SIZE_SNAP_PX, Session, SessionEnd, Sessions, log},
};

/// What a session gets that does not say a size, as far as the server's maximum allows.
const DEFAULT_SIZE_PX: (u32, u32) = (1280, 720);

/// What shall run.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CreateSession {
    /// The scene's id.
    #[schema(example = "orbit")]
    scene: String,
    /// The picture's width; fitted into the server's maximum, and snapped down to a multiple of 16.
    width: Option<u32>,
    /// The picture's height, which goes with the width.
    height: Option<u32>,
    /// Instead of width and height: both, such as `1280x720`.
    #[schema(example = "1280x720")]
    size: Option<String>,
    /// Ticks a second, at most what the server was started with.
    frame_rate_hz: Option<u32>,
    /// The same.
    fps: Option<u32>,
}

/// A session.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Session)]
pub(super) struct SessionView {
    /// 32 hexadecimal digits.
    id: String,
    /// The id of its scene.
    #[schema(value_type = String)]
    scene: SceneId,
    /// The width of its last picture.
    width: u32,
    /// The height of its last picture.
    height: u32,
    /// Ticks a second.
    frame_rate_hz: u32,
    /// Viewers that get pictures.
    viewers: usize,
    /// How far it is.
    state: Progress,
    /// Why it is over; null as long as it is not.
    ended: Option<EndView>,
    /// Where a WHEP player joins.
    whep: String,
    /// The page that shows it.
    view: String,
    /// Lets whoever created it control it; where nobody needs a token, there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    grant: Option<String>,
}

/// How far a session is.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = SessionState)]
enum Progress {
    Starting,
    Running,
    Ended,
}

/// Why a session is over.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SessionEnd)]
struct EndView {
    /// A stable name.
    code: &'static str,
    /// A sentence for people.
    message: String,
}

impl SessionView {
    fn of(session: &Session) -> Self {
        let (info, status) = (session.info(), session.status());
        let (id, scene) = (info.id, info.scene.clone());
        let (state, ended) = match &status.phase {
            Phase::Starting => (Progress::Starting, None),
            Phase::Running => (Progress::Running, None),
            Phase::Ended(end) => {
                (Progress::Ended, Some(EndView { code: end.code(), message: end.message() }))
            }
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
            grant: None,
        }
    }
}

problems! {
    ListProblems: Forbidden;
    CreateProblems: BadRequest, Forbidden, ForeignOrigin, UnknownScene, RequestTimeout, BodyTooLarge, SceneTooLarge,
        UnsupportedMediaType, SceneNotWasm, SceneCoreModule, SceneImportNotOffered, SceneNoEntryPoint, SceneUncompilable,
        TooManyRequests, WorkerStartFailed, TooManySessions, NoGpu, Draining, DiskFull, StoreUnavailable;
    SessionProblems: Forbidden, UnknownSession;
    DeleteProblems: Forbidden, ForeignOrigin, UnknownSession;
    ScreenshotProblems: Forbidden, UnknownSession, NoPicture, SessionEnded, TooManyRequests;
}

/// Sessions that run, and those that ended not long ago
#[utoipa::path(
    get, path = "/api/sessions", tag = "sessions",
    responses((status = 200, description = "The sessions", body = Vec<SessionView>), ListProblems),
)]
pub(super) async fn list_sessions(
    principal: Principal,
    State(sessions): State<Arc<Sessions>>,
) -> Result<Json<Vec<SessionView>>, Problem> {
    principal.require(Action::Browse)?;
    let sessions = sessions.list();
    let seen = sessions.iter().filter(|session| principal.sees(&session.info().owner));
    let mut views: Vec<_> = seen.map(|session| SessionView::of(session)).collect();
    views.sort_by(|one, other| one.id.cmp(&other.id));
    Ok(Json(views))
}

/// Runs a scene
///
/// The session begins at once and ends when nobody watches it. It says what it got of what was asked for.
#[utoipa::path(
    post, path = "/api/sessions", tag = "sessions",
    request_body(
        content = CreateSession, content_type = "application/json",
        example = json!({"scene": "orbit", "size": "1280x720", "fps": 30}),
    ),
    responses(
        (status = 201, description = "The session", body = SessionView, headers(("Location" = String, description = "Where it is"))),
        CreateProblems,
    ),
)]
pub(super) async fn create_session(
    principal: Principal,
    State(sessions): State<Arc<Sessions>>,
    State(library): State<Arc<Library>>,
    State(offer): State<Offer>,
    State(access): State<Arc<Access>>,
    request: Request,
) -> Result<Response, Problem> {
    principal.require(Action::CreateSession)?;
    let create: CreateSession = body::read_json(request).await?;
    let Ok(scene) = create.scene.parse::<SceneId>() else { return Err(unknown_scene(&create.scene)) };
    let size = first_size(&create, offer.max_size)?;
    let frame_rate_hz = frame_rate(&create, offer.frame_rate_hz)?;
    let runnable = library.runnable(&scene).await?;
    let owner = principal.owner().clone();
    let shares_places = principal.shares_places();
    let new = NewSession { owner, shares_places, scene, runnable, size, frame_rate_hz };
    let session = sessions.create(new).await?;
    let grant = access.grant_for_creator(&principal, session.info().id).map(|issued| issued.text);
    let view = SessionView { grant, ..SessionView::of(&session) };
    let no_store = [(header::CACHE_CONTROL, "no-store")];
    let response = (StatusCode::CREATED, no_store, Json(view)).into_response();
    Ok(with_location(response, &format!("/api/sessions/{}", session.info().id)))
}

fn first_size(create: &CreateSession, max: FrameSize) -> Result<FrameSize, Problem> {
    let refused = |detail: &str| Err(Problem::new(Code::BadRequest, detail));
    let (width, height) = match (create.width, create.height, &create.size) {
        (None, None, None) => DEFAULT_SIZE_PX,
        (Some(width), Some(height), None) => (width, height),
        (None, None, Some(size)) => match parse_size(size) {
            Some(sides) => sides,
            None => return refused("`size` is written WIDTHxHEIGHT, for example 1280x720."),
        },
        _ => return refused("Give both width and height, or size, or none of them."),
    };
    Ok(FrameSize::snapped(width, height, max, SIZE_SNAP_PX))
}

/// Two numbers; which sizes there are is decided elsewhere.
fn parse_size(text: &str) -> Option<(u32, u32)> {
    let (width, height) = text.split_once(['x', 'X'])?;
    Some((width.parse().ok()?, height.parse().ok()?))
}

fn frame_rate(create: &CreateSession, max_hz: u32) -> Result<u32, Problem> {
    let asked_hz = match (create.frame_rate_hz, create.fps) {
        (Some(_), Some(_)) => {
            return Err(Problem::new(Code::BadRequest, "`fps` is `frame_rate_hz`; give one of them."));
        }
        (hz, fps) => hz.or(fps).unwrap_or(max_hz),
    };
    Ok(asked_hz.clamp(*FRAME_RATE_RANGE_HZ.start(), max_hz))
}

/// A session
#[utoipa::path(
    get, path = "/api/sessions/{id}", tag = "sessions",
    params(("id" = String, Path, description = "The session's id")),
    responses((status = 200, description = "The session", body = SessionView), SessionProblems),
)]
pub(super) async fn get_session(
    principal: Principal,
    State(sessions): State<Arc<Sessions>>,
    Names(id): Names<String>,
) -> Result<Json<SessionView>, Problem> {
    let session = find_session(&sessions, &principal, &id, Action::Watch)?;
    Ok(Json(SessionView::of(&session)))
}

/// Ends a session
///
/// Its viewers are told.
#[utoipa::path(
    delete, path = "/api/sessions/{id}", tag = "sessions",
    params(("id" = String, Path, description = "The session's id")),
    responses((status = 204, description = "It has ended"), DeleteProblems),
)]
pub(super) async fn delete_session(
    principal: Principal,
    State(sessions): State<Arc<Sessions>>,
    Names(id): Names<String>,
) -> Result<StatusCode, Problem> {
    let session = find_session(&sessions, &principal, &id, Action::ManageSession)?;
    session.end(SessionEnd::Deleted).await;
    Ok(StatusCode::NO_CONTENT)
}

/// What a session shows now
///
/// At the size of its pictures, or half of that where the picture would have more than 8 MiB.
#[utoipa::path(
    get, path = "/api/sessions/{id}/screenshot.png", tag = "sessions",
    params(("id" = String, Path, description = "The session's id")),
    responses((status = 200, description = "The picture", body = Vec<u8>, content_type = "image/png"), ScreenshotProblems),
)]
pub(super) async fn get_screenshot(
    principal: Principal,
    State(sessions): State<Arc<Sessions>>,
    Names(id): Names<String>,
) -> Result<Response, Problem> {
    let session = find_session(&sessions, &principal, &id, Action::Watch)?;
    session.check_alive()?;
    Ok(png(session.screenshot().await?, "no-store"))
}

/// What a session's scene printed
///
/// The last 500 lines or 128 KiB, and why it ended; also of a session that ended not long ago.
#[utoipa::path(
    get, path = "/api/sessions/{id}/log", tag = "sessions",
    params(("id" = String, Path, description = "The session's id")),
    responses((status = 200, description = "The lines", body = log::Excerpt), SessionProblems),
)]
pub(super) async fn get_log(
    principal: Principal,
    State(sessions): State<Arc<Sessions>>,
    Names(id): Names<String>,
) -> Result<Json<log::Excerpt>, Problem> {
    let session = find_session(&sessions, &principal, &id, Action::ReadLog)?;
    Ok(Json(session.log()))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn asked(mut members: Value) -> CreateSession {
        members["scene"] = "orbit".into();
        serde_json::from_value(members).unwrap()
    }

    fn size(members: Value) -> Result<String, &'static str> {
        let max = FrameSize::new(1920, 1080).unwrap();
        first_size(&asked(members), max).map(|size| size.to_string()).map_err(|problem| problem.code.name())
    }

    #[test]
    fn a_size_is_snapped_limited_or_the_default() {
        assert_eq!(size(json!({})).as_deref(), Ok("1280x720"));
        assert_eq!(size(json!({"width": 800, "height": 600})).as_deref(), Ok("800x592"));
        assert_eq!(size(json!({"width": u32::MAX, "height": u32::MAX})).as_deref(), Ok("1072x1072"));
        assert_eq!(size(json!({"width": 0, "height": 0})).as_deref(), Ok("16x16"));
        assert_eq!(size(json!({"size": "640x360"})).as_deref(), Ok("640x352"));
        for wrong in
            [json!({"width": 800}), json!({"size": "big"}), json!({"size": "1x1", "width": 1, "height": 1})]
        {
            assert_eq!(size(wrong), Err("bad_request"));
        }
    }

    #[test]
    fn a_rate_has_two_names_and_one_maximum() {
        let rate = |members| frame_rate(&asked(members), 30).map_err(|problem| problem.code.name());
        assert_eq!(rate(json!({})), Ok(30));
        assert_eq!(rate(json!({"fps": 10})), Ok(10));
        assert_eq!(rate(json!({"frame_rate_hz": 1000})), Ok(30));
        assert_eq!(rate(json!({"fps": 0})), Ok(1));
        assert_eq!(rate(json!({"fps": 10, "frame_rate_hz": 10})), Err("bad_request"));
    }

    #[test]
    fn a_member_with_a_typing_mistake_is_refused() {
        let refused = serde_json::from_str::<CreateSession>(r#"{"scene":"orbit","widht":1}"#).unwrap_err();
        assert!(refused.to_string().contains("widht"), "{refused}");
    }
}
