//! Requests that a page of somebody else makes a browser send.
//!
//! There are no cookies, so such a page cannot borrow anybody's access; but on a server without tokens being able to send is access. A
//! browser says with each request that changes something where the page is from (`Origin`, `Sec-Fetch-Site`), and no page can
//! change that. A client that is no browser sends neither.

use axum::{
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, Method, header, uri::Authority},
    middleware::Next,
    response::{IntoResponse, Response},
};

use crate::{
    config::AllowedOrigins,
    error::{Code, Problem},
};

/// Refuses what a page of another origin sends, but for those that the operator allows.
pub(super) async fn check_origin(
    State(allowed): State<AllowedOrigins>,
    request: Request,
    next: Next,
) -> Response {
    // A preflight is answered by the CORS layer, which knows the same list.
    let is_harmless = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    let is_whep = request.uri().path().starts_with("/whep/");
    if is_harmless || is_ours(request.headers(), &allowed, is_whep) {
        return next.run(request).await;
    }
    let detail = "Such requests are taken from the server's own pages, and from programs that are no browser. Allow other pages with \
                  --allow-origin.";
    Problem::new(Code::ForeignOrigin, detail).into_response()
}

fn is_ours(headers: &HeaderMap, allowed: &AllowedOrigins, is_whep: bool) -> bool {
    let mut origins = headers.get_all(header::ORIGIN).iter();
    let (origin, further) = (origins.next(), origins.next());
    if further.is_some() {
        return false;
    }
    let is_allowed = origin.is_some_and(|origin| match allowed {
        AllowedOrigins::None => false,
        AllowedOrigins::List(list) => list.contains(origin),
        // Anybody's pages may play, and nothing else.
        AllowedOrigins::Any => is_whep,
    });
    if is_allowed {
        return true;
    }
    let is_same_site = match headers.get("sec-fetch-site").map(HeaderValue::as_bytes) {
        // `none` is a person, not a page.
        None | Some(b"same-origin" | b"none") => true,
        Some(_) => false,
    };
    is_same_site && origin.is_none_or(|origin| is_host(origin, headers))
}

/// Whether the origin's name and port are those that the request is for. The scheme may differ: a proxy ends TLS.
fn is_host(origin: &HeaderValue, headers: &HeaderMap) -> bool {
    let parts = |value: &HeaderValue| Some(value.to_str().ok()?.to_ascii_lowercase());
    let (Some(origin), Some(host)) = (parts(origin), headers.get(header::HOST).and_then(parts)) else {
        return false;
    };
    let Some((scheme, origin)) = origin.split_once("://") else { return false };
    let default_port = match scheme {
        "http" => 80,
        "https" => 443,
        _ => return false,
    };
    let (Ok(origin), Ok(host)) = (origin.parse::<Authority>(), host.parse::<Authority>()) else {
        return false;
    };
    let port = |authority: &Authority| authority.port_u16().unwrap_or(default_port);
    !origin.as_str().contains('@') && origin.host() == host.host() && port(&origin) == port(&host)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(list: &[(&'static str, &str)], allowed: &AllowedOrigins, is_whep: bool) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, HeaderValue::from_static("scenes.example:8080"));
        for (name, value) in list {
            headers.append(*name, HeaderValue::from_str(value).unwrap());
        }
        is_ours(&headers, allowed, is_whep)
    }

    #[test]
    fn row_40_only_our_own_pages_and_programs_may_change_something() {
        let judge = |list: &[(&'static str, &str)]| judge(list, &AllowedOrigins::None, true);
        assert!(judge(&[]), "a program");
        assert!(judge(&[("origin", "http://scenes.example:8080")]));
        assert!(judge(&[("origin", "https://SCENES.example:8080"), ("sec-fetch-site", "same-origin")]));
        for origin in [
            "http://evil.example",
            "http://scenes.example",
            "http://scenes.example:8081",
            "http://scenes.example:8080.evil.example",
            "http://scenes.example:8080@evil.example",
            "http://evil@scenes.example:8080",
            "http://evil.scenes.example:8080",
            "null",
            "",
            "file://",
            "scenes.example:8080",
            "chrome-extension://scenes.example:8080",
        ] {
            assert!(!judge(&[("origin", origin)]), "{origin}");
        }
        for site in ["cross-site", "same-site", "something-new"] {
            assert!(!judge(&[("sec-fetch-site", site)]), "{site}");
            assert!(!judge(&[("origin", "http://scenes.example:8080"), ("sec-fetch-site", site)]), "{site}");
        }
        assert!(!judge(&[("origin", "http://scenes.example:8080"), ("origin", "http://evil.example")]));
    }

    #[test]
    fn a_port_that_is_the_schemes_own_need_not_be_said() {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, HeaderValue::from_static("scenes.example"));
        headers.insert(header::ORIGIN, HeaderValue::from_static("https://scenes.example"));
        assert!(is_ours(&headers, &AllowedOrigins::None, false));
    }

    #[test]
    fn pages_that_the_operator_allows_may() {
        let list = AllowedOrigins::List(vec![HeaderValue::from_static("https://player.example")]);
        let player = [("origin", "https://player.example"), ("sec-fetch-site", "cross-site")];
        assert!(judge(&player, &list, true));
        assert!(!judge(&[("origin", "https://other.example"), player[1]], &list, true));
        assert!(judge(&player, &AllowedOrigins::Any, true));
        assert!(!judge(&player, &AllowedOrigins::Any, false), "anybody may play, and nothing else");
    }
}
