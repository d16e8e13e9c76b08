//! Bodies of requests: of the right type, of bounded length, in bounded time.

use std::time::Duration;

use axum::{body::Body, extract::Request, http::header};
use futures::StreamExt;
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use crate::error::{Code, Problem};

/// An offer has a few kilobytes, with all codecs and candidates of a browser some twenty.
pub(super) const MAX_SDP_BYTES: usize = 64 << 10;
/// A session is described by a handful of members.
pub(super) const MAX_JSON_BYTES: usize = 16 << 10;
/// What is read and thrown away of a body that is too long, so that a client that sends before it reads gets its answer; of what
/// is longer still, the connection is closed.
const MAX_DISCARDED_BYTES: usize = 4 << 20;
/// A body of the lengths above needs less on the slowest link that can carry video.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// Reads a text of the given content type.
pub(super) async fn read_text(
    request: Request,
    content_type: &str,
    max_bytes: usize,
) -> Result<String, Problem> {
    check_content_type(&request, content_type)?;
    let bytes = read_in_time(request.into_body(), max_bytes, BODY_TIMEOUT).await?;
    String::from_utf8(bytes).map_err(|_| Problem::new(Code::BadRequest, "The body is not UTF-8."))
}

/// Reads a JSON object; members that it does not have are an error, so that a typing mistake is not silently a default.
pub(super) async fn read_json<T: DeserializeOwned>(request: Request) -> Result<T, Problem> {
    let text = read_text(request, "application/json", MAX_JSON_BYTES).await?;
    serde_json::from_str(&text)
        .map_err(|error| Problem::new(Code::BadRequest, format!("The body is refused: {error}.")))
}

pub(super) fn check_content_type(request: &Request, expected: &str) -> Result<(), Problem> {
    let given =
        request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
    // Parameters such as a charset change nothing: all of these are UTF-8 or ASCII.
    let essence = given.split(';').next().unwrap_or("").trim();
    if essence.eq_ignore_ascii_case(expected) {
        return Ok(());
    }
    let given = if essence.is_empty() { "none".to_owned() } else { format!("{essence:?}") };
    Err(Problem::new(
        Code::UnsupportedMediaType,
        format!("The content type must be {expected:?}; it is {given}."),
    ))
}

async fn read_in_time(body: Body, max_bytes: usize, time: Duration) -> Result<Vec<u8>, Problem> {
    timeout(time, read_limited(body, max_bytes)).await.unwrap_or_else(|_| {
        let detail = format!("The body was not there after {} s.", time.as_secs());
        Err(Problem::new(Code::RequestTimeout, detail))
    })
}

async fn read_limited(body: Body, max_bytes: usize) -> Result<Vec<u8>, Problem> {
    let mut chunks = body.into_data_stream();
    let mut bytes = Vec::new();
    let mut length = 0_usize;
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|_| Problem::new(Code::BadRequest, "The body ended early."))?;
        length = length.saturating_add(chunk.len());
        if length <= max_bytes {
            bytes.extend_from_slice(&chunk);
        } else if length > MAX_DISCARDED_BYTES {
            break;
        }
    }
    if length > max_bytes {
        return Err(Problem::new(Code::BodyTooLarge, format!("At most {max_bytes} bytes are taken here.")));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(content_type: &str, body: impl Into<Body>) -> Request {
        Request::builder().header("content-type", content_type).body(body.into()).unwrap()
    }

    async fn code(request: Request) -> Result<String, &'static str> {
        read_text(request, "application/sdp", 8).await.map_err(|problem| problem.code.name())
    }

    #[tokio::test]
    async fn only_the_documented_type_is_taken() {
        assert_eq!(code(request("application/sdp", "v=0")).await.as_deref(), Ok("v=0"));
        assert_eq!(code(request("Application/SDP; charset=utf-8", "v=0")).await.as_deref(), Ok("v=0"));
        assert_eq!(code(request("text/plain", "v=0")).await, Err("unsupported_media_type"));
        assert_eq!(code(Request::new(Body::from("v=0"))).await, Err("unsupported_media_type"));
    }

    #[tokio::test]
    async fn a_body_is_taken_up_to_its_limit() {
        assert!(code(request("application/sdp", "12345678")).await.is_ok());
        assert_eq!(code(request("application/sdp", "123456789")).await, Err("body_too_large"));
        assert_eq!(code(request("application/sdp", vec![0xff, 0xfe])).await, Err("bad_request"));
    }

    #[tokio::test]
    async fn a_body_that_does_not_come_is_not_waited_for_for_ever() {
        let never = Body::from_stream(futures::stream::pending::<std::io::Result<Vec<u8>>>());
        let problem = read_in_time(never, 8, Duration::from_millis(1)).await.unwrap_err();
        assert_eq!(problem.code, Code::RequestTimeout);
    }

    #[tokio::test]
    async fn an_endless_body_is_not_read_to_its_end() {
        let endless =
            Body::from_stream(futures::stream::repeat_with(|| std::io::Result::Ok(vec![0_u8; 1 << 16])));
        assert_eq!(code(request("application/sdp", endless)).await, Err("body_too_large"));
    }
}
