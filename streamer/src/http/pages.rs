//! The pages: the files of web-client/, built into the binary.

use axum::{
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use rust_embed::{EmbeddedFile, RustEmbed};

use super::Names;
use crate::error::{Code, Problem};

#[derive(RustEmbed)]
#[folder = "../web-client"]
#[include = "*.html"]
#[include = "*.css"]
#[include = "*.js"]
#[include = "*.svg"]
#[include = "*.png"]
#[include = "*.ico"]
#[include = "*.webmanifest"]
#[exclude = "node_modules/*"]
struct WebClient;

pub(super) async fn gallery(headers: HeaderMap) -> Result<Response, Problem> {
    serve("index.html", &headers)
}

/// The same page for every scene and session: it reads its own address.
pub(super) async fn view(headers: HeaderMap) -> Result<Response, Problem> {
    serve("view.html", &headers)
}

pub(super) async fn asset(Names(path): Names<String>, headers: HeaderMap) -> Result<Response, Problem> {
    serve(&path, &headers)
}

fn serve(path: &str, headers: &HeaderMap) -> Result<Response, Problem> {
    let Some(file) = WebClient::get(path) else {
        return Err(Problem::new(Code::NotFound, "The page has no such part."));
    };
    let tag = entity_tag(&file);
    let is_current = headers.get_all(header::IF_NONE_MATCH).iter().any(|value| {
        value
            .to_str()
            .is_ok_and(|tags| tags.split(',').map(str::trim).any(|given| given == tag || given == "*"))
    });
    // Always asked for again, because a new server may have a new page; answered without a body if not.
    let common = [(header::ETAG, tag.as_str()), (header::CACHE_CONTROL, "no-cache")];
    if is_current {
        return Ok((StatusCode::NOT_MODIFIED, common).into_response());
    }
    let mimetype = match file.metadata.mimetype() {
        text if text.starts_with("text/") => format!("{text}; charset=utf-8"),
        other => other.to_owned(),
    };
    Ok((common, [(header::CONTENT_TYPE, mimetype)], file.data).into_response())
}

fn entity_tag(file: &EmbeddedFile) -> String {
    use std::fmt::Write;
    let hash = file.metadata.sha256_hash();
    let mut tag = String::with_capacity(34);
    tag.push('"');
    // Half of the hash tells any two builds of a file apart.
    for byte in hash.iter().take(16) {
        // Writing to a String does not fail.
        let _ = write!(tag, "{byte:02x}");
    }
    tag.push('"');
    tag
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_pages_are_built_in_and_nothing_that_is_not_a_page() {
        assert!(WebClient::get("index.html").is_some() && WebClient::get("view.html").is_some());
        for name in WebClient::iter() {
            assert!(
                !name.contains("node_modules") && !name.ends_with(".json") && !name.ends_with(".ts"),
                "{name}"
            );
        }
    }

    #[test]
    fn a_browser_that_has_the_page_gets_no_body() {
        let first = serve("index.html", &HeaderMap::new()).unwrap();
        assert_eq!(first.headers()["content-type"], "text/html; charset=utf-8");
        let tag = first.headers()["etag"].clone();
        let headers = HeaderMap::from_iter([(header::IF_NONE_MATCH, tag)]);
        assert_eq!(serve("index.html", &headers).unwrap().status(), StatusCode::NOT_MODIFIED);
    }

    #[test]
    fn a_path_out_of_the_folder_is_not_found() {
        for path in ["../Cargo.toml", "/etc/passwd", "", "index.html/..", "..%2fCargo.toml"] {
            assert_eq!(serve(path, &HeaderMap::new()).unwrap_err().code, Code::NotFound, "{path}");
        }
    }
}
