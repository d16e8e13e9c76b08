//! Makes the connection that answers an offer: codecs, interceptors, ICE and data channels, in the sans-IO stack.
//!
//! Everything here runs once for each viewer, on a thread where a panic of the stack over a hostile offer ends nothing else.

use std::{
    net::SocketAddr,
    sync::{Arc, atomic::AtomicU32},
    time::{Duration, Instant},
};

use rtc::{
    data_channel::{RTCDataChannelId, RTCDataChannelInit},
    ice::mdns::MulticastDnsMode,
    interceptor::{
        CongestionControlBuilder, NackResponderBuilder, Registry, SenderReportBuilder, Slot,
        TwccSenderBuilder,
    },
    media_stream::MediaStreamTrack,
    peer_connection::{
        RTCPeerConnection, RTCPeerConnectionBuilder,
        configuration::{
            media_engine::{MIME_TYPE_H264, MIME_TYPE_RTX, MediaEngine},
            setting_engine::{SctpMaxMessageSize, SettingEngine, SettingEngineBuilder},
        },
        sdp::RTCSessionDescription,
        transport::{CandidateConfig, CandidateHostConfig, RTCIceCandidate, RTCIceCandidateInit},
    },
    rtp_transceiver::{
        RTCRtpSenderId,
        rtp_sender::{
            RTCPFeedback, RTCRtpCodec, RTCRtpCodecParameters, RTCRtpCodingParameters,
            RTCRtpEncodingParameters, RTCRtpHeaderExtensionCapability, RtpCodecKind,
        },
    },
    sdp::extmap::TRANSPORT_CC_URI,
    shared::error::Error,
};

use super::{
    MAX_TEXT_BYTES, OfferError,
    congestion::Congestion,
    feedback::{Counters, Feedback, PLAYOUT_DELAY_URI},
    offer::CheckedOffer,
};

/// Subprotocol of both data channels; docs/viewer-protocol.md.
const DATA_CHANNEL_PROTOCOL: &str = "scenecast.1";
/// Pre-negotiated stream ids; docs/viewer-protocol.md.
const MOTION_STREAM: u16 = 0;
const EVENTS_STREAM: u16 = 1;
/// Viewers check their consent every few seconds (RFC 7675 wants it at least every 30, browsers do it every 2.5). After these
/// two times together without a check a viewer is gone.
const ICE_DISCONNECTED_TIMEOUT: Duration = Duration::from_secs(5);
const ICE_FAILED_TIMEOUT: Duration = Duration::from_secs(7);
const ICE_KEEPALIVE_INTERVAL: Duration = Duration::from_secs(2);
/// Sent packets kept for retransmission: two seconds at 4 Mb/s. A power of two, as the buffer requires.
pub(super) const RETRANSMISSION_PACKETS: u16 = 1024;
/// What a viewer may send before the session has taken it: 32 of the largest texts.
const MAX_RECEIVE_BUFFER_BYTES: u32 = 128 * 1024;
/// Between the retransmission buffer and the transport-wide numbering, where both new and repeated packets pass.
const FEEDBACK_SLOT: usize = 3_500;

/// A connection that waits for its viewer's first check.
pub(super) struct Engine {
    pub(super) connection: RTCPeerConnection,
    pub(super) sender: RTCRtpSenderId,
    pub(super) track_id: String,
    pub(super) ssrc: u32,
    pub(super) payload_type: u8,
    pub(super) motion: Option<RTCDataChannelId>,
    pub(super) events: Option<RTCDataChannelId>,
    pub(super) answer_sdp: String,
}

/// What a connection is made with, beside the offer.
pub(super) struct Parameters {
    pub(super) candidates: Vec<SocketAddr>,
    pub(super) ufrag: String,
    pub(super) password: String,
    pub(super) playout_delay_ms: Option<(u16, u16)>,
    pub(super) counters: Arc<Counters>,
    pub(super) target_bps: Arc<AtomicU32>,
}

/// Answers `offer`.
pub(super) fn build(
    offer: &CheckedOffer,
    parameters: &Parameters,
    now: Instant,
) -> Result<Engine, OfferError> {
    let ours = |error: Error| OfferError::Internal(error.to_string());
    let theirs = |error: Error| OfferError::Malformed(error.to_string());

    let video = video_codec(offer);
    let mut connection = RTCPeerConnectionBuilder::new()
        .with_media_engine(media_engine(offer, &video).map_err(ours)?)
        .with_setting_engine(setting_engine(parameters))
        .with_interceptor_registry(interceptors(parameters))
        .build(now)
        .map_err(ours)?;

    let ssrc: u32 = rand::random();
    let track = MediaStreamTrack::new(
        "scenecast".to_owned(),
        "video".to_owned(),
        "scene".to_owned(),
        RtpCodecKind::Video,
        vec![RTCRtpEncodingParameters {
            rtp_coding_parameters: RTCRtpCodingParameters { ssrc: Some(ssrc), ..Default::default() },
            codec: video,
            ..Default::default()
        }],
    );
    let track_id = track.track_id().clone();
    let sender = connection.add_track(track).map_err(ours)?;

    let (mut motion, mut events) = (None, None);
    if offer.has_data_channels {
        let init = RTCDataChannelInit {
            ordered: false,
            max_retransmits: Some(0),
            protocol: DATA_CHANNEL_PROTOCOL.to_owned(),
            negotiated: Some(MOTION_STREAM),
            ..Default::default()
        };
        motion = Some(connection.create_data_channel("motion", Some(init)).map_err(ours)?.id());
        let init = RTCDataChannelInit {
            protocol: DATA_CHANNEL_PROTOCOL.to_owned(),
            negotiated: Some(EVENTS_STREAM),
            ..Default::default()
        };
        events = Some(connection.create_data_channel("events", Some(init)).map_err(ours)?.id());
    }

    let description = RTCSessionDescription::offer(offer.sdp.clone()).map_err(theirs)?;
    connection.set_remote_description(now, description).map_err(theirs)?;
    for candidate in &parameters.candidates {
        connection.add_local_candidate(host_candidate(*candidate).map_err(ours)?).map_err(ours)?;
    }
    // An empty candidate ends the gathering.
    connection.add_local_candidate(RTCIceCandidateInit::default()).map_err(ours)?;
    let answer = connection.create_answer(None).map_err(theirs)?;
    connection.set_local_description(now, answer).map_err(theirs)?;
    let answer_sdp = connection
        .local_description()
        .map(|description| description.sdp)
        .ok_or_else(|| OfferError::Internal("no answer was made".to_owned()))?;
    Ok(Engine {
        connection,
        sender,
        track_id,
        ssrc,
        payload_type: offer.h264.payload_type,
        motion,
        events,
        answer_sdp,
    })
}

fn video_codec(offer: &CheckedOffer) -> RTCRtpCodec {
    let feedback = [("nack", ""), ("nack", "pli"), ("ccm", "fir"), ("transport-cc", "")];
    RTCRtpCodec {
        mime_type: MIME_TYPE_H264.to_owned(),
        clock_rate: 90_000,
        channels: 0,
        sdp_fmtp_line: offer.h264.fmtp.clone(),
        rtcp_feedback: feedback
            .iter()
            .map(|(typ, parameter)| RTCPFeedback {
                typ: (*typ).to_owned(),
                parameter: (*parameter).to_owned(),
            })
            .collect(),
    }
}

fn media_engine(offer: &CheckedOffer, video: &RTCRtpCodec) -> Result<MediaEngine, Error> {
    let mut engine = MediaEngine::default();
    let h264 = RTCRtpCodecParameters { rtp_codec: video.clone(), payload_type: offer.h264.payload_type };
    engine.register_codec(h264, RtpCodecKind::Video)?;
    if let Some(rtx) = &offer.rtx {
        let codec = RTCRtpCodec {
            mime_type: MIME_TYPE_RTX.to_owned(),
            clock_rate: 90_000,
            channels: 0,
            sdp_fmtp_line: rtx.fmtp.clone(),
            rtcp_feedback: Vec::new(),
        };
        let rtx = RTCRtpCodecParameters { rtp_codec: codec, payload_type: rtx.payload_type };
        engine.register_codec(rtx, RtpCodecKind::Video)?;
    }
    if let Some(audio) = &offer.audio {
        let codec = RTCRtpCodec {
            mime_type: audio.mime_type.clone(),
            clock_rate: audio.clock_rate_hz,
            channels: audio.channels,
            sdp_fmtp_line: audio.fmtp.clone(),
            rtcp_feedback: Vec::new(),
        };
        let audio = RTCRtpCodecParameters { rtp_codec: codec, payload_type: audio.payload_type };
        engine.register_codec(audio, RtpCodecKind::Audio)?;
    }
    for uri in [TRANSPORT_CC_URI, PLAYOUT_DELAY_URI] {
        let extension = RTCRtpHeaderExtensionCapability { uri: uri.to_owned() };
        engine.register_header_extension(extension, RtpCodecKind::Video, None)?;
    }
    Ok(engine)
}

fn setting_engine(parameters: &Parameters) -> SettingEngine {
    // A lite agent (RFC 8445, section 2.5) probes no address that an offer names: it answers the checks that reach it. The
    // viewer is always a full agent.
    SettingEngineBuilder::new()
        .with_lite(true)
        .with_ice_credentials(parameters.ufrag.clone(), parameters.password.clone())
        .with_ice_timeouts(
            Some(ICE_DISCONNECTED_TIMEOUT),
            Some(ICE_FAILED_TIMEOUT),
            Some(ICE_KEEPALIVE_INTERVAL),
        )
        .with_multicast_dns_mode(MulticastDnsMode::Disabled)
        .with_sctp_max_message_size(SctpMaxMessageSize::Bounded(
            u32::try_from(MAX_TEXT_BYTES).unwrap_or(SctpMaxMessageSize::DEFAULT_MESSAGE_SIZE),
        ))
        .with_sctp_max_receive_buffer_size(MAX_RECEIVE_BUFFER_BYTES)
        .build()
}

/// There is no pacer: its backlog would delay every frame behind a large one. The driver spreads large frames itself.
fn interceptors(parameters: &Parameters) -> Registry {
    let congestion = Congestion::new(Arc::clone(&parameters.target_bps), Arc::clone(&parameters.counters));
    let feedback = Feedback::new(Arc::clone(&parameters.counters), parameters.playout_delay_ms);
    Registry::new()
        .with(Slot::CongestionControl, CongestionControlBuilder::new(congestion).build())
        .with(Slot::TwccSender, TwccSenderBuilder::new().build())
        .with(Slot::from(FEEDBACK_SLOT), feedback)
        .with(Slot::NackResponder, NackResponderBuilder::new().with_size(RETRANSMISSION_PACKETS).build())
        .with(Slot::SenderReport, SenderReportBuilder::new().build())
}

fn host_candidate(address: SocketAddr) -> Result<RTCIceCandidateInit, Error> {
    let candidate = CandidateHostConfig {
        base_config: CandidateConfig {
            network: "udp".to_owned(),
            address: address.ip().to_string(),
            port: address.port(),
            component: 1,
            ..Default::default()
        },
        ..Default::default()
    }
    .new_candidate_host()?;
    RTCIceCandidate::from(&candidate).to_json()
}
