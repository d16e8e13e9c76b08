//! The `OpenAPI` document: what clients can rely on, made from the types that answer.
//!
//! WHEP is described here by hand: its bodies are SDP, and its rules are its own specification's.

use std::sync::LazyLock;

use axum::{
    http::header,
    response::{IntoResponse, Response},
};
use utoipa::{
    Modify, OpenApi,
    openapi::{
        Components, ContentBuilder, HeaderBuilder, HttpMethod, ObjectBuilder, Paths, Required,
        ResponseBuilder, SecurityRequirement, Type,
        path::{HttpMethod as Method, Operation, OperationBuilder, ParameterBuilder, ParameterIn},
        request_body::RequestBodyBuilder,
        security::{Http, HttpAuthScheme, SecurityScheme},
    },
};

use super::{grants, operation, problems, scenes, sessions};
use crate::{
    error::{Code, Problem},
    http::whep::{SDP, SDP_FRAGMENT},
    session::log,
};

/// The name of the security scheme.
const BEARER: &str = "bearer";

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Scenecast",
        description = "Runs WebAssembly scenes and streams what they draw. Errors are `application/problem+json` (RFC 9457) with a \
            stable `code`.",
        license(name = "MIT OR Apache-2.0", identifier = "MIT OR Apache-2.0"),
    ),
    paths(
        scenes::list_scenes,
        scenes::upload_scene,
        scenes::get_scene,
        scenes::delete_scene,
        scenes::get_thumbnail,
        sessions::list_sessions,
        sessions::create_session,
        sessions::get_session,
        sessions::delete_session,
        sessions::get_screenshot,
        sessions::get_log,
        grants::create_grant,
        grants::delete_grant,
        operation::health,
        operation::metrics,
        operation::whoami,
        document,
    ),
    components(schemas(problems::ProblemSchema, log::Line, log::Source)),
    modifiers(&Whep, &Bearer),
    security((), ("bearer" = [])),
    tags(
        (name = "scenes", description = "What can be run"),
        (name = "sessions", description = "What runs"),
        (name = "operation", description = "For operators, and for programs that read this"),
        (name = "whep", description = "Watching: WebRTC-HTTP Egress Protocol (draft-ietf-wish-whep)"),
    ),
)]
struct Document;

static DOCUMENT: LazyLock<Result<String, String>> =
    LazyLock::new(|| Document::openapi().to_json().map_err(|error| error.to_string()));

/// This document
#[utoipa::path(
    get, path = "/api/openapi.json", tag = "operation", security(()),
    responses((status = 200, description = "An OpenAPI 3.1 document", body = Object), problems::PublicProblems),
)]
pub(super) async fn document() -> Result<Response, Problem> {
    match &*DOCUMENT {
        Ok(text) => Ok(([(header::CONTENT_TYPE, "application/json")], text.as_str()).into_response()),
        Err(error) => Err(Problem::internal("Writing the OpenAPI document", error)),
    }
}

struct Bearer;

impl Modify for Bearer {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let scheme = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
        document.components.get_or_insert_with(Components::new).add_security_scheme(BEARER, scheme);
    }
}

struct Whep;

impl Modify for Whep {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let paths: &mut Paths = &mut document.paths;
        let endpoint = "/whep/{session}";
        let resource = "/whep/{session}/{viewer}";
        let join = [
            Code::BadRequest,
            Code::BadSdp,
            Code::SdpWithoutH264,
            Code::Forbidden,
            Code::ForeignOrigin,
            Code::UnknownSession,
            Code::SessionEnded,
            Code::RequestTimeout,
            Code::BodyTooLarge,
            Code::UnsupportedMediaType,
            Code::TooManyRequests,
            Code::TooManyViewers,
            Code::TooManyPendingOffers,
            Code::Draining,
        ];
        let answer = ResponseBuilder::new()
            .description("An SDP answer with all candidates")
            .content(SDP, text())
            .header("Location", HeaderBuilder::new().schema(Some(string())).build())
            .header("Accept-Patch", HeaderBuilder::new().schema(Some(string())).build());
        let join = operation("join", "Watches a session", &join, "201", answer)
            .parameter(in_path("session"))
            .request_body(Some(body(SDP)));
        paths.add_path_operation(endpoint, vec![Method::Post], join.build());
        paths.add_path_operation(endpoint, vec![HttpMethod::Options], options(&["session"]));

        let gone = [Code::Forbidden, Code::ForeignOrigin, Code::UnknownSession, Code::UnknownViewer];
        let trickle: Vec<Code> = [
            Code::BadRequest,
            Code::BadSdp,
            Code::RequestTimeout,
            Code::BodyTooLarge,
            Code::UnsupportedMediaType,
        ]
        .into_iter()
        .chain(gone)
        .collect();
        let taken = ResponseBuilder::new().description("The candidates are taken");
        let trickle = operation("trickle", "Adds candidates of the viewer's", &trickle, "204", taken)
            .parameter(in_path("session"))
            .parameter(in_path("viewer"))
            .request_body(Some(body(SDP_FRAGMENT)));
        paths.add_path_operation(resource, vec![HttpMethod::Patch], trickle.build());
        let left = ResponseBuilder::new().description("The viewer has left");
        let leave = operation("leave", "Leaves a session", &gone, "200", left)
            .parameter(in_path("session"))
            .parameter(in_path("viewer"));
        paths.add_path_operation(resource, vec![HttpMethod::Delete], leave.build());
        paths.add_path_operation(resource, vec![HttpMethod::Options], options(&["session", "viewer"]));
    }
}

fn operation(
    id: &str,
    summary: &str,
    codes: &[Code],
    status: &str,
    response: ResponseBuilder,
) -> OperationBuilder {
    let codes: Vec<Code> = codes.iter().chain(problems::COMMON).copied().collect();
    let operation = OperationBuilder::new()
        .operation_id(Some(id))
        .summary(Some(summary))
        .tag("whep")
        .securities(Some([SecurityRequirement::default(), SecurityRequirement::new(BEARER, [""; 0])]))
        .response(status, response.build());
    problems::responses_of(&codes)
        .into_iter()
        .fold(operation, |operation, (status, response)| operation.response(status, response))
}

fn options(names: &[&str]) -> Operation {
    let id = format!("options_{}", names.join("_"));
    let allowed = ResponseBuilder::new().description("What is taken here");
    let cors = ResponseBuilder::new().description("The same, where pages of other origins are allowed");
    let operation = operation(&id, "What is taken here", &[], "204", allowed).response("200", cors.build());
    names.iter().fold(operation, |operation, name| operation.parameter(in_path(name))).build()
}

fn in_path(name: &str) -> ParameterBuilder {
    ParameterBuilder::new()
        .name(name)
        .parameter_in(ParameterIn::Path)
        .required(Required::True)
        .schema(Some(string()))
}

fn string() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String)
}

fn text() -> utoipa::openapi::Content {
    ContentBuilder::new().schema(Some(string())).build()
}

fn body(content_type: &str) -> utoipa::openapi::request_body::RequestBody {
    RequestBodyBuilder::new().content(content_type, text()).required(Some(Required::True)).build()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::http::api::routes;

    #[test]
    fn every_route_of_the_api_is_in_the_document_and_every_path_of_the_document_is_a_route() {
        let document = Document::openapi();
        let documented: BTreeSet<&str> =
            document.paths.paths.keys().map(String::as_str).filter(|path| path.starts_with("/api")).collect();
        let table = routes();
        let routed: BTreeSet<&str> = table.iter().map(|(path, _)| *path).collect();
        assert_eq!(documented, routed);
    }

    #[test]
    fn every_operation_has_a_name_of_its_own() {
        let document: serde_json::Value = serde_json::from_str(DOCUMENT.as_ref().unwrap()).unwrap();
        let mut names = BTreeSet::new();
        for (path, item) in document["paths"].as_object().unwrap() {
            for (method, operation) in item.as_object().unwrap() {
                let name = operation["operationId"].as_str().unwrap_or_default().to_owned();
                assert!(!name.is_empty() && names.insert(name), "{method} {path}");
            }
        }
    }
}
