//! Bodies of requests: of the right type, of bounded length, and not slower than a line that could carry video.

use std::time::{Duration, Instant};

use axum::{body::BodyDataStream, extract::Request, http::header};
use bytes::Bytes;
use futures::StreamExt;
use serde::de::DeserializeOwned;
use tokio::time::timeout_at;

use crate::error::{Code, Problem};

/// An offer has a few kilobytes, with all codecs and candidates of a browser some twenty.
pub(super) const MAX_SDP_BYTES: usize = 64 << 10;
/// A session is described by a handful of members.
pub(super) const MAX_JSON_BYTES: usize = 16 << 10;
/// What is read and thrown away of a body that is too long, so that a client that sends before it reads gets its answer; of what
/// is longer still, the connection is closed.
const MAX_DISCARDED_BYTES: u64 = 4 << 20;
/// On a slower line nobody can watch what was uploaded; who sends less, means to hold the connection.
const MIN_BYTES_PER_SECOND: u64 = 16 << 10;
/// A line may stall so long, at the start and in the middle: three retransmissions of TCP.
const MAX_STALL: Duration = Duration::from_secs(5);

/// A body, in pieces.
pub(super) struct BoundedBody {
    chunks: BodyDataStream,
    /// `Content-Length`, if there is one.
    declared_bytes: Option<u64>,
    max_bytes: u64,
    pace: Pace,
    received_bytes: u64,
}

/// How slow a body may be.
#[derive(Clone, Copy)]
struct Pace {
    start: Instant,
    max_stall: Duration,
    min_bytes_per_second: u64,
}

impl Pace {
    /// Until when the next piece must be there.
    fn deadline(&self, received_bytes: u64, now: Instant) -> Instant {
        let earned = Duration::from_micros(
            received_bytes.saturating_mul(1_000_000) / self.min_bytes_per_second.max(1),
        );
        // What came fast at first does not pay for a long stall later.
        (self.start + self.max_stall + earned).min(now + self.max_stall)
    }
}

impl BoundedBody {
    /// The body of a request, of which at most so much is taken.
    pub(super) fn new(request: Request, max_bytes: u64) -> Self {
        let pace =
            Pace { start: Instant::now(), max_stall: MAX_STALL, min_bytes_per_second: MIN_BYTES_PER_SECOND };
        Self::with_pace(request, max_bytes, pace)
    }

    fn with_pace(request: Request, max_bytes: u64, pace: Pace) -> Self {
        let length = request.headers().get(header::CONTENT_LENGTH);
        let declared_bytes = length.and_then(|value| value.to_str().ok()?.parse().ok());
        let chunks = request.into_body().into_data_stream();
        Self { chunks, declared_bytes, max_bytes, pace, received_bytes: 0 }
    }

    /// The next piece; `None` after the last one.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, Problem> {
        let chunk = self.read().await?;
        if self.received_bytes <= self.max_bytes {
            return Ok(chunk);
        }
        let enough = self.max_bytes.saturating_add(MAX_DISCARDED_BYTES);
        // One that says how long it is, and is longer than is thrown away, is not read on.
        let is_worth_reading = self.declared_bytes.is_none_or(|bytes| bytes <= enough);
        while is_worth_reading && self.received_bytes <= enough && self.read().await?.is_some() {}
        Err(Problem::new(Code::BodyTooLarge, format!("At most {} bytes are taken here.", self.max_bytes)))
    }

    async fn read(&mut self) -> Result<Option<Bytes>, Problem> {
        let deadline = self.pace.deadline(self.received_bytes, Instant::now());
        match timeout_at(deadline.into(), self.chunks.next()).await {
            Ok(Some(Ok(chunk))) => {
                self.received_bytes = self.received_bytes.saturating_add(chunk.len() as u64);
                Ok(Some(chunk))
            }
            Ok(None) => Ok(None),
            Ok(Some(Err(_))) => Err(Problem::new(Code::BadRequest, "The body ended early.")),
            Err(_) => Err(Problem::new(
                Code::RequestTimeout,
                format!(
                    "After {} bytes the body stalled, or came slower than {} KiB a second.",
                    self.received_bytes,
                    self.pace.min_bytes_per_second >> 10
                ),
            )),
        }
    }
}

/// Reads a text of the given content type.
pub(super) async fn read_text(
    request: Request,
    content_type: &str,
    max_bytes: usize,
) -> Result<String, Problem> {
    check_content_type(&request, content_type)?;
    refuse_encoding(&request)?;
    let mut body = BoundedBody::new(request, max_bytes as u64);
    let mut bytes = Vec::new();
    while let Some(chunk) = body.next().await? {
        bytes.extend_from_slice(&chunk);
    }
    String::from_utf8(bytes).map_err(|_| Problem::new(Code::BadRequest, "The body is not UTF-8."))
}

/// Reads a JSON object; members that it does not have are an error, so that a typing mistake is not silently a default.
pub(super) async fn read_json<T: DeserializeOwned>(request: Request) -> Result<T, Problem> {
    let text = read_text(request, "application/json", MAX_JSON_BYTES).await?;
    serde_json::from_str(&text)
        .map_err(|error| Problem::new(Code::BadRequest, format!("The body is refused: {error}.")))
}

/// Fails unless the body is said to be of that type.
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

/// Fails when the body is compressed: nothing is decompressed here, so nothing small becomes large.
pub(super) fn refuse_encoding(request: &Request) -> Result<(), Problem> {
    match request.headers().get(header::CONTENT_ENCODING) {
        Some(encoding) if !encoding.as_bytes().eq_ignore_ascii_case(b"identity") => Err(Problem::new(
            Code::UnsupportedMediaType,
            "Send the body as it is, without Content-Encoding: nothing is decompressed here.",
        )),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;

    fn request(content_type: &str, body: impl Into<Body>) -> Request {
        Request::builder().header("content-type", content_type).body(body.into()).unwrap()
    }

    async fn code(request: Request) -> Result<String, &'static str> {
        read_text(request, "application/sdp", 8).await.map_err(|problem| problem.code.name())
    }

    async fn read_all(mut body: BoundedBody) -> Result<u64, Code> {
        while body.next().await.map_err(|problem| problem.code)?.is_some() {}
        Ok(body.received_bytes)
    }

    /// One byte, as often as asked, at that interval.
    fn trickle(bytes: usize, interval: Duration) -> Body {
        Body::from_stream(futures::stream::unfold(0, move |sent| async move {
            tokio::time::sleep(interval).await;
            (sent < bytes).then_some((std::io::Result::Ok(vec![0_u8]), sent + 1))
        }))
    }

    #[tokio::test]
    async fn only_the_documented_type_is_taken() {
        assert_eq!(code(request("application/sdp", "v=0")).await.as_deref(), Ok("v=0"));
        assert_eq!(code(request("Application/SDP; charset=utf-8", "v=0")).await.as_deref(), Ok("v=0"));
        assert_eq!(code(request("text/plain", "v=0")).await, Err("unsupported_media_type"));
        assert_eq!(code(Request::new(Body::from("v=0"))).await, Err("unsupported_media_type"));
    }

    #[tokio::test]
    async fn a_compressed_body_is_not_decompressed() {
        for (encoding, expected) in
            [("gzip", Err("unsupported_media_type")), ("identity", Ok("v=0".to_owned()))]
        {
            let mut request = request("application/sdp", "v=0");
            request.headers_mut().insert(header::CONTENT_ENCODING, encoding.parse().unwrap());
            assert_eq!(code(request).await, expected);
        }
    }

    #[tokio::test]
    async fn a_body_is_taken_up_to_its_limit() {
        assert!(code(request("application/sdp", "12345678")).await.is_ok());
        assert_eq!(code(request("application/sdp", "123456789")).await, Err("body_too_large"));
        assert_eq!(code(request("application/sdp", vec![0xff, 0xfe])).await, Err("bad_request"));
    }

    #[tokio::test]
    async fn row_54_a_body_that_does_not_come_or_trickles_is_not_waited_for() {
        let pace = |max_stall| Pace { start: Instant::now(), max_stall, min_bytes_per_second: 1 << 20 };
        let read = |body, pace| read_all(BoundedBody::with_pace(Request::new(body), 1 << 20, pace));
        let short = Duration::from_millis(50);
        let never = Body::from_stream(futures::stream::pending::<std::io::Result<Vec<u8>>>());
        assert_eq!(read(never, pace(short)).await, Err(Code::RequestTimeout));
        // Never silent for long, and yet it would take an hour.
        let slow = trickle(1_000_000, Duration::from_millis(4));
        assert_eq!(read(slow, pace(short)).await, Err(Code::RequestTimeout));
        let patient = Duration::from_mins(1);
        assert_eq!(read(trickle(10, Duration::from_millis(1)), pace(patient)).await, Ok(10));
    }

    #[test]
    fn what_came_fast_at_first_does_not_pay_for_a_long_stall() {
        let start = Instant::now();
        let pace = Pace { start, max_stall: MAX_STALL, min_bytes_per_second: MIN_BYTES_PER_SECOND };
        assert_eq!(pace.deadline(0, start), start + MAX_STALL);
        assert_eq!(pace.deadline(u64::MAX, start), start + MAX_STALL);
        let after_a_minute = start + Duration::from_mins(1);
        let deadline = pace.deadline(MIN_BYTES_PER_SECOND * 58, after_a_minute);
        assert_eq!(deadline, start + Duration::from_secs(63));
    }

    #[tokio::test]
    async fn an_endless_body_is_not_read_to_its_end() {
        let endless =
            Body::from_stream(futures::stream::repeat_with(|| std::io::Result::Ok(vec![0_u8; 1 << 16])));
        assert_eq!(code(request("application/sdp", endless)).await, Err("body_too_large"));
    }
}
