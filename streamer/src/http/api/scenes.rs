//! `/api/scenes`: what can be run, and what is added to it.

use std::{sync::Arc, time::Duration};

use axum::{
    Json,
    body::BodyDataStream,
    extract::{Request, State},
    http::{HeaderMap, StatusCode, Uri, header},
    response::{IntoResponse, Response},
};
use chrono::{DateTime, Utc};
use futures::StreamExt as _;
use serde::Serialize;
use tokio::time::timeout;
use utoipa::ToSchema;

use super::{
    super::{Names, body},
    png,
    problems::problems,
    with_location,
};
use crate::{
    auth::{Action, Principal, Role},
    error::{Code, Problem},
    library::{Added, Checked, DisplayName, Library, NewScene, SceneEntry, SceneId, unknown_scene},
};

/// The content type of a component.
const WASM: &str = "application/wasm";
/// Where the name is that a scene shall have, beside the query.
const NAME_HEADER: &str = "scenecast-name";
/// What is read and thrown away of a component that is refused, so that a client that sends before it reads gets its answer: twice the
/// largest scene. Of what is longer, or comes slower, the connection is closed.
const MAX_DISCARDED_BYTES: usize = 64 << 20;
const DISCARD_TIMEOUT: Duration = Duration::from_secs(2);

/// A scene.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Scene)]
pub(super) struct SceneView {
    /// The name of a file of the folder, or the SHA-256 of what was uploaded.
    #[schema(value_type = String, example = "orbit")]
    id: SceneId,
    /// What people call it.
    name: String,
    /// The component's length.
    bytes: u64,
    /// The component's SHA-256; null for a file that is too large to be one.
    sha256: Option<String>,
    /// When it was uploaded; null for a scene of the folder.
    uploaded_at: Option<DateTime<Utc>>,
    /// Whether whoever asks may delete it.
    owned: bool,
    /// What it imports; of a scene of the folder it is known some time after it was first listed.
    imports: Vec<String>,
    /// The export that is called; null as long as it is not known.
    entry_point: Option<String>,
    /// What its author may want to know, although it can be run.
    warnings: Vec<String>,
    /// Where its picture is; null until there is one.
    thumbnail: Option<String>,
    /// The page that runs it.
    view: String,
}

impl SceneView {
    fn of(entry: SceneEntry, principal: &Principal) -> Self {
        let SceneEntry { id, name, bytes, hash, uploaded, checked, has_thumbnail } = entry;
        let owned = uploaded.as_ref().is_some_and(|uploaded| {
            principal.require(Action::DeleteScene).is_ok()
                && (principal.role() == Role::Admin || *principal.owner() == uploaded.owner)
        });
        let Checked { imports, entry_point, warnings } = checked.unwrap_or_default();
        Self {
            name,
            bytes,
            sha256: hash.map(|hash| hash.to_string()),
            uploaded_at: uploaded.map(|uploaded| uploaded.at),
            owned,
            imports,
            entry_point,
            warnings,
            thumbnail: has_thumbnail.then(|| format!("/api/scenes/{id}/thumbnail.png")),
            view: format!("/view/{id}"),
            id,
        }
    }
}

problems! {
    ListProblems: Forbidden, StoreUnavailable;
    UploadProblems: BadRequest, Forbidden, ForeignOrigin, RequestTimeout, SceneTooLarge, UnsupportedMediaType, SceneNotWasm,
        SceneCoreModule, SceneImportNotOffered, SceneNoEntryPoint, SceneUncompilable, TooManyRequests, LibraryFull, DiskFull, StoreUnavailable;
    SceneProblems: Forbidden, UnknownScene, StoreUnavailable;
    DeleteProblems: Forbidden, ForeignOrigin, UnknownScene, TooManyRequests, StoreUnavailable;
    ThumbnailProblems: Forbidden, UnknownScene, NoPicture, StoreUnavailable;
}

/// All scenes
///
/// The folder's by name, then the uploaded ones, the latest first.
#[utoipa::path(
    get, path = "/api/scenes", tag = "scenes",
    responses((status = 200, description = "The scenes", body = Vec<SceneView>), ListProblems),
)]
pub(super) async fn list_scenes(
    principal: Principal,
    State(library): State<Arc<Library>>,
) -> Result<Json<Vec<SceneView>>, Problem> {
    principal.require(Action::Browse)?;
    let scenes = library.list().await?;
    Ok(Json(scenes.into_iter().map(|scene| SceneView::of(scene, &principal)).collect()))
}

/// Adds a scene
///
/// The body is the component. It is checked and compiled before the answer; a picture of it is made afterwards. The same bytes are one
/// scene, whoever uploads them and whatever they are called.
#[utoipa::path(
    post, path = "/api/scenes", tag = "scenes",
    params(
        ("name" = Option<String>, Query, description = "What people shall call it: invisible characters are left out, and what is \
            beyond 80 characters"),
        ("Scenecast-Name" = Option<String>, Header, description = "The same, for names in ASCII; the query goes before it"),
    ),
    request_body(content = Vec<u8>, content_type = "application/wasm", description = "The component, without content encoding"),
    responses(
        (status = 201, description = "A new scene", body = SceneView, headers(("Location" = String, description = "Where it is"))),
        (status = 200, description = "These bytes were there already", body = SceneView),
        UploadProblems,
    ),
)]
pub(super) async fn upload_scene(
    principal: Principal,
    State(library): State<Arc<Library>>,
    request: Request,
) -> Result<Response, Problem> {
    principal.require(Action::UploadScene)?;
    let waits = request.headers().contains_key(header::EXPECT);
    let parts = read_head(&request);
    let mut body = request.into_body().into_data_stream();
    let added = match parts {
        Ok((name, declared_bytes)) => {
            let new = NewScene { name, owner: principal.owner().clone(), declared_bytes };
            library.add(new, &mut body).await
        }
        Err(problem) => Err(problem),
    };
    match added {
        Ok(Added::Created(entry)) => {
            let location = format!("/api/scenes/{}", entry.id);
            let response = (StatusCode::CREATED, Json(SceneView::of(entry, &principal))).into_response();
            Ok(with_location(response, &location))
        }
        Ok(Added::Existing(entry)) => Ok(Json(SceneView::of(entry, &principal)).into_response()),
        Err(problem) => {
            // Beside the answer, which is not held back by it. A client that waits to be told to send has not begun.
            if !waits {
                tokio::spawn(discard(body));
            }
            Err(problem)
        }
    }
}

/// The name and the length of what follows, if it is what it should be.
fn read_head(request: &Request) -> Result<(DisplayName, Option<u64>), Problem> {
    let headers = request.headers();
    body::check_content_type(request, WASM)?;
    let is_plain = |value: &axum::http::HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"identity");
    if headers.get_all(header::CONTENT_ENCODING).iter().any(|value| !is_plain(value)) {
        return Err(Problem::new(
            Code::UnsupportedMediaType,
            "Send the component as it is, without a content encoding: nothing is unpacked here.",
        ));
    }
    let length = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    Ok((name_of(request.uri(), headers)?, length))
}

/// Reads the head of an upload as [`upload_scene`] does first; see `fuzzing`.
pub(crate) fn fuzz_head(request: &Request) {
    if let Ok((name, _)) = read_head(request) {
        let name = name.as_str();
        assert!(!name.is_empty() && name.len() <= 1_024 && !name.contains(char::is_control), "{name:?}");
    }
}

fn name_of(uri: &Uri, headers: &HeaderMap) -> Result<DisplayName, Problem> {
    // The query of an address; the address itself is none of ours.
    let mut url = reqwest::Url::parse("http://scenes/")
        .map_err(|error| Problem::internal("Reading the query", &error))?;
    url.set_query(uri.query());
    let mut name = None;
    for (key, value) in url.query_pairs() {
        if key != "name" || name.is_some() {
            return Err(Problem::new(Code::BadRequest, "The query has one member here, `name`, once."));
        }
        name = Some(value.into_owned());
    }
    let in_header = || headers.get(NAME_HEADER).map(|value| String::from_utf8_lossy(value.as_bytes()));
    Ok(match name {
        Some(name) => DisplayName::of(&name),
        None => DisplayName::of(&in_header().unwrap_or_default()),
    })
}

/// Reads what a client still sends, for a while.
async fn discard(mut body: BodyDataStream) {
    let read = async {
        let mut bytes = 0_usize;
        while let Some(Ok(chunk)) = body.next().await {
            bytes = bytes.saturating_add(chunk.len());
            if bytes > MAX_DISCARDED_BYTES {
                return;
            }
        }
    };
    let _ = timeout(DISCARD_TIMEOUT, read).await;
}

/// A scene
#[utoipa::path(
    get, path = "/api/scenes/{id}", tag = "scenes",
    params(("id" = String, Path, description = "The scene's id")),
    responses((status = 200, description = "The scene", body = SceneView), SceneProblems),
)]
pub(super) async fn get_scene(
    principal: Principal,
    State(library): State<Arc<Library>>,
    Names(id): Names<String>,
) -> Result<Json<SceneView>, Problem> {
    principal.require(Action::Browse)?;
    let scene = library.get(&parse_id(&id)?).await?;
    Ok(Json(SceneView::of(scene, &principal)))
}

/// Deletes an uploaded scene
///
/// Sessions of it go on, no new one can be started, and its bytes go when the last of them ends.
#[utoipa::path(
    delete, path = "/api/scenes/{id}", tag = "scenes",
    params(("id" = String, Path, description = "The scene's id")),
    responses((status = 204, description = "It is deleted"), DeleteProblems),
)]
pub(super) async fn delete_scene(
    principal: Principal,
    State(library): State<Arc<Library>>,
    Names(id): Names<String>,
) -> Result<StatusCode, Problem> {
    principal.require(Action::DeleteScene)?;
    let id = parse_id(&id)?;
    let entry = library.get(&id).await?;
    let (SceneId::Uploaded(hash), Some(uploaded)) = (id, entry.uploaded) else {
        return Err(Problem::new(
            Code::Forbidden,
            "It is a file of the operator's folder of scenes, which is not changed from here.",
        ));
    };
    if principal.role() != Role::Admin && *principal.owner() != uploaded.owner {
        return Err(Problem::new(Code::Forbidden, "Somebody else uploaded it; ask them, or an admin."));
    }
    library.delete(hash).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// A picture of a scene
///
/// Of what it shows when it has run for a second.
#[utoipa::path(
    get, path = "/api/scenes/{id}/thumbnail.png", tag = "scenes",
    params(("id" = String, Path, description = "The scene's id")),
    responses((status = 200, description = "The picture", body = Vec<u8>, content_type = "image/png"), ThumbnailProblems),
)]
pub(super) async fn get_thumbnail(
    principal: Principal,
    State(library): State<Arc<Library>>,
    Names(id): Names<String>,
) -> Result<Response, Problem> {
    principal.require(Action::Browse)?;
    let picture = library.thumbnail(&parse_id(&id)?).await?;
    // A scene of the folder may change under its name.
    Ok(png(picture, "private, max-age=60"))
}

fn parse_id(id: &str) -> Result<SceneId, Problem> {
    id.parse().map_err(|_| unknown_scene(id))
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;

    fn head(uri: &str, headers: &[(&str, &str)]) -> Result<String, &'static str> {
        let mut request = Request::builder().uri(uri).header("content-type", WASM);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Body::empty()).unwrap();
        read_head(&request).map(|(name, _)| name.as_str().to_owned()).map_err(|problem| problem.code.name())
    }

    #[test]
    fn a_scene_is_named_by_the_query_or_else_the_header() {
        let header = [("scenecast-name", "From the header")];
        assert_eq!(head("/api/scenes?name=My%20sc%C3%A8ne+1", &header).as_deref(), Ok("My scène 1"));
        assert_eq!(head("/api/scenes", &header).as_deref(), Ok("From the header"));
        assert_eq!(head("/api/scenes", &[]).as_deref(), Ok("Untitled"));
        assert_eq!(head("/api/scenes?name=a%00%ff..%2f", &[]).as_deref(), Ok("a \u{fffd}../"));
    }

    #[test]
    fn a_query_with_a_typing_mistake_is_refused() {
        for uri in ["/api/scenes?nmae=x", "/api/scenes?name=x&name=y", "/api/scenes?x"] {
            assert_eq!(head(uri, &[]), Err("bad_request"), "{uri}");
        }
    }

    #[test]
    fn row_56_nothing_is_unpacked() {
        for encoding in ["gzip", "deflate", "br", "zstd", "identity, gzip"] {
            let refused = head("/api/scenes", &[("content-encoding", encoding)]);
            assert_eq!(refused, Err("unsupported_media_type"), "{encoding}");
        }
        assert!(head("/api/scenes", &[("content-encoding", "identity")]).is_ok());
    }
}
