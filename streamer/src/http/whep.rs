//! `/whep`: how a player joins and leaves a session (draft-ietf-wish-whep, on the lines of RFC 9725).
//!
//! One POST with an offer, one answer with all candidates. ICE restarts are not offered, so there are no entity tags.

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    http::{HeaderName, StatusCode, header},
    response::{IntoResponse, Response},
};

use super::{Names, PendingOffers, body, find_session};
use crate::{
    auth::{Action, Principal},
    error::{Code, Problem},
    rtc::{OfferError, RtcServer},
    session::{NewViewer, Sessions, ViewerKey},
};

pub(super) const SDP: &str = "application/sdp";
pub(super) const SDP_FRAGMENT: &str = "application/trickle-ice-sdpfrag";
pub(super) const ACCEPT_POST: HeaderName = HeaderName::from_static("accept-post");
pub(super) const ACCEPT_PATCH: HeaderName = HeaderName::from_static("accept-patch");

pub(super) async fn join(
    State(sessions): State<Arc<Sessions>>,
    State(rtc): State<Arc<RtcServer>>,
    State(PendingOffers(pending)): State<PendingOffers>,
    Names(id): Names<String>,
    principal: Principal,
    request: Request,
) -> Result<Response, Problem> {
    sessions.check_not_draining()?;
    let offer = body::read_text(request, SDP, body::MAX_SDP_BYTES).await?;
    let session = find_session(&sessions, &principal, &id, Action::Watch)?;
    session.check_alive()?;
    // It has the last word below; this spares the work of an answer.
    session.check_room().await?;
    let pending = pending
        .try_acquire_owned()
        .map_err(|_| Problem::new(Code::TooManyPendingOffers, "Try again in a second."))?;
    let (answer, peer, events) = rtc.accept(&offer).await.map_err(offer_problem)?;
    let pass = principal.pass(session.info().id);
    let key = session.add_viewer(NewViewer { peer, events, pending, pass }).await?;
    let location = format!("/whep/{}/{key}", session.info().id);
    let headers = [
        (header::CONTENT_TYPE, SDP.to_owned()),
        (header::LOCATION, location),
        (ACCEPT_PATCH, SDP_FRAGMENT.to_owned()),
        (header::CACHE_CONTROL, "no-store".to_owned()),
    ];
    Ok((StatusCode::CREATED, headers, answer.sdp).into_response())
}

pub(super) async fn trickle(
    State(sessions): State<Arc<Sessions>>,
    Names((id, viewer)): Names<(String, String)>,
    principal: Principal,
    request: Request,
) -> Result<StatusCode, Problem> {
    let fragment = body::read_text(request, SDP_FRAGMENT, body::MAX_SDP_BYTES).await?;
    let session = find_session(&sessions, &principal, &id, Action::Watch)?;
    let peer = session.peer(viewer_key(&viewer)?).await?;
    peer.add_candidates(&fragment).await.map_err(offer_problem)?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn leave(
    State(sessions): State<Arc<Sessions>>,
    Names((id, viewer)): Names<(String, String)>,
    principal: Principal,
) -> Result<StatusCode, Problem> {
    let session = find_session(&sessions, &principal, &id, Action::Watch)?;
    session.remove_viewer(viewer_key(&viewer)?).await?;
    Ok(StatusCode::OK)
}

pub(super) async fn describe_endpoint() -> impl IntoResponse {
    (StatusCode::NO_CONTENT, [(ACCEPT_POST, SDP), (header::ALLOW, "OPTIONS, POST")])
}

pub(super) async fn describe_resource() -> impl IntoResponse {
    (StatusCode::NO_CONTENT, [(ACCEPT_PATCH, SDP_FRAGMENT), (header::ALLOW, "DELETE, OPTIONS, PATCH")])
}

fn viewer_key(text: &str) -> Result<ViewerKey, Problem> {
    text.parse().map_err(|_| {
        Problem::new(Code::UnknownViewer, "Its address is the `Location` of the answer to POST.")
    })
}

fn offer_problem(error: OfferError) -> Problem {
    match error {
        OfferError::Malformed(_) => Problem::new(Code::BadSdp, sentence(&error)),
        OfferError::WithoutH264(_) => Problem::new(Code::SdpWithoutH264, sentence(&error)),
        OfferError::Full => Problem::new(
            Code::TooManyPendingOffers,
            format!("{}; a place becomes free when one leaves.", sentence(&error)),
        ),
        OfferError::ShuttingDown => Problem::new(Code::Draining, "Try again when it is back."),
        OfferError::Internal(cause) => Problem::internal("Answering the offer", &cause),
    }
}

/// The error's text quotes the offer, which is the caller's own; but an answer is not as long as an offer may be.
fn sentence(error: &OfferError) -> String {
    const MAX_BYTES: usize = 512;
    let mut text = error.to_string();
    text.truncate(text.floor_char_boundary(MAX_BYTES));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_with_an_offer_is_the_callers_and_what_is_wrong_with_us_is_not_told() {
        let codes = [
            (OfferError::Malformed("no m-line".into()), "bad_sdp", 400),
            (OfferError::WithoutH264("VP8, AV1".into()), "sdp_without_h264", 422),
            (OfferError::Full, "too_many_pending_offers", 503),
            (OfferError::ShuttingDown, "draining", 503),
            (OfferError::Internal("socket".into()), "internal", 500),
        ];
        for (error, code, status) in codes {
            let problem = offer_problem(error);
            assert_eq!((problem.code.name(), problem.code.status().as_u16()), (code, status));
            assert!(!problem.detail.contains("socket"));
        }
    }

    #[test]
    fn an_offer_without_h264_is_told_what_it_offers() {
        assert!(offer_problem(OfferError::WithoutH264("VP8, AV1".into())).detail.contains("VP8, AV1"));
    }

    #[test]
    fn a_long_complaint_is_cut() {
        assert!(offer_problem(OfferError::Malformed("é".repeat(60_000))).detail.len() <= 512);
    }
}
