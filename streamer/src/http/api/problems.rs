//! Which problems a route answers with, for the `OpenAPI` document.

use std::collections::BTreeMap;

use utoipa::{
    IntoResponses, ToSchema,
    openapi::{ContentBuilder, HeaderBuilder, ObjectBuilder, Ref, RefOr, Response, ResponseBuilder, Type},
};

use crate::error::Code;

/// RFC 9457: what went wrong, for programs by `code`, for people by `detail`.
#[derive(ToSchema)]
#[schema(as = Problem)]
#[expect(dead_code, reason = "the form of what `Problem` writes")]
pub(super) struct ProblemSchema {
    /// A stable name.
    #[schema(example = "unknown_scene")]
    code: String,
    /// A sentence that is the same each time.
    title: String,
    /// The HTTP status.
    status: u16,
    /// What happened here, to what, and what to do.
    detail: String,
}

/// Of every route below `/api` but health and this document.
pub(super) const COMMON: &[Code] =
    &[Code::ForeignHost, Code::Unauthorized, Code::TooManyRequests, Code::Internal];

/// One response for each status among these codes.
pub(super) fn responses_of(codes: &[Code]) -> BTreeMap<String, RefOr<Response>> {
    let mut by_status: BTreeMap<u16, Vec<Code>> = BTreeMap::new();
    for code in codes {
        let listed = by_status.entry(code.status().as_u16()).or_default();
        if !listed.contains(code) {
            listed.push(*code);
        }
    }
    by_status
        .into_iter()
        .map(|(status, codes)| (status.to_string(), response(status, &codes).into()))
        .collect()
}

fn response(status: u16, codes: &[Code]) -> Response {
    let lines: Vec<String> =
        codes.iter().map(|code| format!("`{}`: {}", code.name(), code.title())).collect();
    let content = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build();
    let mut response =
        ResponseBuilder::new().description(lines.join("; ")).content("application/problem+json", content);
    if matches!(status, 429 | 503) {
        let seconds = HeaderBuilder::new()
            .schema(Some(ObjectBuilder::new().schema_type(Type::Integer)))
            .description(Some("Seconds after which trying again may help."));
        response = response.header("Retry-After", seconds.build());
    }
    response.build()
}

/// Names a route's problems: `problems!(GetScene: UnknownScene, Forbidden)` makes a type that can stand among the responses of
/// `utoipa::path`. Those of every route are added.
macro_rules! problems {
    ($($name:ident: $($code:ident),* $(,)?;)+) => {$(
        pub(super) struct $name;

        impl ::utoipa::IntoResponses for $name {
            fn responses() -> ::std::collections::BTreeMap<
                String,
                ::utoipa::openapi::RefOr<::utoipa::openapi::Response>,
            > {
                let codes = [$($crate::error::Code::$code),*];
                $crate::http::api::problems::responses_of(
                    &codes.into_iter().chain($crate::http::api::problems::COMMON.iter().copied()).collect::<Vec<_>>(),
                )
            }
        }
    )+};
}
pub(super) use problems;

/// What is answered to anybody.
pub(super) struct PublicProblems;

impl IntoResponses for PublicProblems {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        responses_of(&[Code::ForeignHost])
    }
}
