//! WebRTC: one UDP socket for all sessions, a [`Peer`] for each viewer.
//!
//! Owns offers, answers, candidates, RTP packetisation, pacing, congestion control and the two data channels. Knows nothing of
//! sessions, workers or HTTP: a session gives a peer access units and texts, and takes [`PeerEvent`]s from it.
//!
//! The protocols are those of the sans-IO crate `rtc`. One task for each peer owns its engine (`driver`); one task for each socket
//! gives it its datagrams (`mux`); the session holds a [`Peer`], which only touches bounded queues. An offer is read by `offer`
//! before `engine` negotiates it.

mod congestion;
mod driver;
mod engine;
mod feedback;
mod line;
mod mux;
mod offer;
mod packets;
mod peer;
mod retransmission;
mod server;
#[cfg(test)]
mod tests;

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Instant,
};

use bytes::Bytes;

pub use self::{congestion::MIN_TARGET_BPS, peer::Peer, server::RtcServer};

/// Reads and answers an offer as [`RtcServer::accept`] does. What is made of one is an offer again, and of that one the same; if none
/// can be answered, that is the offer's fault and not ours.
pub(crate) fn fuzz_offer(sdp: &str) {
    let Ok(checked) = offer::check(sdp) else { return };
    // Its line ends may make it too long.
    if let Ok(again) = offer::check(&checked.sdp) {
        assert_eq!(again, checked);
    }
    let parameters = engine::Parameters {
        candidates: vec![SocketAddr::from(([192, 0, 2, 1], 9))],
        ufrag: "eightchr".to_owned(),
        password: "twentyfourcharactersorso".to_owned(),
        playout_delay_ms: Some((0, 0)),
        counters: Arc::default(),
        target_bps: Arc::default(),
    };
    match engine::build(&checked, &parameters, Instant::now()) {
        Ok(engine) => assert!(engine.answer_sdp.starts_with("v=0\r\n"), "{}", engine.answer_sdp),
        Err(error) => assert!(matches!(error, OfferError::Malformed(_)), "{error}"),
    }
}

/// Reads a trickle fragment as [`Peer::add_candidates`] does.
pub(crate) fn fuzz_fragment(fragment: &str) {
    let _ = offer::check_fragment(fragment);
}

/// Where and how to be reached.
#[derive(Clone, Debug)]
pub struct RtcConfig {
    /// The one UDP socket; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Addresses to offer as host candidates instead of the socket's own, for servers behind a 1:1 NAT.
    pub public_ips: Vec<IpAddr>,
    /// The playout-delay range in milliseconds to send on every packet when the offer has the extension.
    pub playout_delay_ms: Option<(u16, u16)>,
}

/// Which of the two pre-negotiated channels a text came on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Channel {
    /// Id 0: unordered, without retransmission.
    Motion,
    /// Id 1: ordered and reliable.
    Events,
}

/// What a peer reports to its session.
#[derive(Clone, Debug)]
pub enum PeerEvent {
    /// ICE and DTLS are done; access units can be sent, the first one must be a keyframe.
    Connected,
    /// The viewer's data channels are open.
    ChannelsOpen,
    /// A text of at most [`MAX_TEXT_BYTES`].
    Text(Channel, String),
    /// A message that is no text, or too long for one.
    BadMessage,
    /// The receiver cannot go on without a keyframe (PLI or FIR), or our own queue dropped to the next one.
    KeyframeNeeded,
    /// What the path to this viewer carries, clamped to the configured range.
    TargetBitrate {
        /// Bits a second; zero when it carries next to nothing, and its pictures are dropped until it is better.
        bps: u32,
    },
    /// The peer is gone; no event follows.
    Closed(String),
}

/// The longest text either side may send on a data channel.
pub const MAX_TEXT_BYTES: usize = 4096;

/// One access unit, shared by all peers of a session.
#[derive(Clone, Debug)]
pub struct VideoFrame {
    /// Annex B.
    pub data: Bytes,
    /// IDR with its parameter sets.
    pub keyframe: bool,
    /// 90 kHz, the same for all peers of a session.
    pub rtp_timestamp: u32,
}

/// Why no peer was made of an offer: the caller's fault, or the server's.
#[derive(Debug, thiserror::Error)]
pub enum OfferError {
    /// Not SDP, or SDP that no peer can be made of.
    #[error("the offer is not valid SDP: {0}")]
    Malformed(String),
    /// No video m-line with H.264 in packetization mode 1 that we can send.
    #[error("the offer has no H.264 video to receive: it offers {0}")]
    WithoutH264(String),
    /// As many peers as the server may have; trying again may help.
    #[error("the server has as many viewers as it can take")]
    Full,
    /// The server is shutting down.
    #[error("the server is shutting down")]
    ShuttingDown,
    /// Ours.
    #[error("the connection could not be set up: {0}")]
    Internal(String),
}

/// The answer to an offer, complete with candidates.
#[derive(Clone, Debug)]
pub struct Answer {
    /// SDP.
    pub sdp: String,
}

/// What became of a frame given to [`Peer::send_frame`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SendOutcome {
    /// Queued for the network.
    Sent,
    /// The peer's queue overflowed, its path carries next to nothing, or it has not had a keyframe yet: nothing goes out before
    /// the next one.
    DroppedUntilKeyframe,
    /// ICE and DTLS are not done, or the peer is gone.
    NotConnected,
}

/// Plain numbers about a peer, since it connected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PeerStats {
    /// RTP packets of the video, retransmissions not counted.
    pub packets_sent: u64,
    /// Packets that the receiver asked for again.
    pub nacks: u64,
    /// Payload of the packets that were sent again.
    pub retransmitted_bytes: u64,
    /// Keyframe requests (PLI and FIR) as they came, before they are merged.
    pub plis: u64,
    /// Round trip of the connectivity checks or receiver reports, rounded up; zero until one was measured.
    pub rtt_ms: u32,
}
