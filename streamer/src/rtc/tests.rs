//! The seam against a viewer made with the `webrtc` crate, over loopback.

use std::{future::Future, net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use rtc::{
    interceptor::Registry,
    rtcp::payload_feedbacks::{
        full_intra_request::{FirEntry, FullIntraRequest},
        picture_loss_indication::PictureLossIndication,
    },
    rtp::{self, codec::h264::H264Packet, packetizer::Depacketizer},
    rtp_transceiver::rtp_sender::RtpCodecKind,
};
use tokio::sync::mpsc;
use webrtc::{
    data_channel::{DataChannel, DataChannelEvent, RTCDataChannelInit},
    media_stream::track_remote::{TrackRemote, TrackRemoteEvent},
    peer_connection::{
        MediaEngine, PeerConnection, PeerConnectionBuilder, PeerConnectionEventHandler, RTCIceGatheringState,
        RTCSessionDescription, register_default_interceptors,
    },
    rtp_transceiver::{RTCRtpTransceiverDirection, RTCRtpTransceiverInit},
};

use super::{Answer, Channel, OfferError, Peer, PeerEvent, RtcConfig, RtcServer, SendOutcome, VideoFrame};

/// A step that takes longer has failed; on a busy machine a handshake takes a second.
const STEP: Duration = Duration::from_secs(30);

async fn step<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(STEP, future).await.unwrap_or_else(|_| panic!("{what}: nothing happened"))
}

fn loopback() -> RtcConfig {
    RtcConfig {
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        public_ips: Vec::new(),
        playout_delay_ms: Some((0, 0)),
    }
}

async fn server() -> Arc<RtcServer> {
    RtcServer::bind(loopback()).await.unwrap()
}

struct Handler {
    gathered: mpsc::Sender<()>,
    tracks: mpsc::Sender<Arc<dyn TrackRemote>>,
}

#[async_trait::async_trait]
impl PeerConnectionEventHandler for Handler {
    async fn on_ice_gathering_state_change(&self, state: RTCIceGatheringState) {
        if state == RTCIceGatheringState::Complete {
            let _ = self.gathered.try_send(());
        }
    }

    async fn on_track(&self, track: Arc<dyn TrackRemote>) {
        let _ = self.tracks.try_send(track);
    }
}

/// What a viewer asks for beside video.
#[derive(Clone, Copy, Default)]
struct Wants {
    audio_first: bool,
    channels: bool,
}

struct Viewer {
    connection: Arc<dyn PeerConnection>,
    tracks: mpsc::Receiver<Arc<dyn TrackRemote>>,
    gathered: mpsc::Receiver<()>,
    motion: Option<Arc<dyn DataChannel>>,
    events: Option<Arc<dyn DataChannel>>,
}

impl Viewer {
    async fn new(wants: Wants) -> Self {
        let mut media = MediaEngine::default();
        media.register_default_codecs().unwrap();
        let registry = register_default_interceptors(Registry::new(), &mut media).unwrap();
        let (gathered_sender, gathered) = mpsc::channel(1);
        let (track_sender, tracks) = mpsc::channel(4);
        let building = PeerConnectionBuilder::new()
            .with_media_engine(media)
            .with_interceptor_registry(registry)
            .with_handler(Arc::new(Handler { gathered: gathered_sender, tracks: track_sender }))
            .with_udp_addrs(vec!["127.0.0.1:0".to_owned()])
            .build();
        let connection: Arc<dyn PeerConnection> = Arc::new(Box::pin(building).await.unwrap());
        let receive = || {
            Some(RTCRtpTransceiverInit {
                direction: RTCRtpTransceiverDirection::Recvonly,
                streams: Vec::new(),
                send_encodings: Vec::new(),
            })
        };
        if wants.audio_first {
            connection.add_transceiver_from_kind(RtpCodecKind::Audio, receive()).await.unwrap();
        }
        connection.add_transceiver_from_kind(RtpCodecKind::Video, receive()).await.unwrap();
        let (mut motion, mut events) = (None, None);
        if wants.channels {
            let init = |id| RTCDataChannelInit {
                protocol: "scenecast.1".to_owned(),
                negotiated: Some(id),
                ..Default::default()
            };
            let unreliable = RTCDataChannelInit { ordered: false, max_retransmits: Some(0), ..init(0) };
            motion = Some(connection.create_data_channel("motion", Some(unreliable)).await.unwrap());
            events = Some(connection.create_data_channel("events", Some(init(1))).await.unwrap());
        }
        Self { connection, tracks, gathered, motion, events }
    }

    async fn offer(&mut self) -> String {
        let offer = self.connection.create_offer(None).await.unwrap();
        self.connection.set_local_description(offer).await.unwrap();
        step("gathering", self.gathered.recv()).await.unwrap();
        self.connection.local_description().await.unwrap().sdp
    }

    async fn take(&self, answer: &Answer) {
        let answer = RTCSessionDescription::answer(answer.sdp.clone()).unwrap();
        self.connection.set_remote_description(answer).await.unwrap();
    }

    async fn track(&mut self) -> Arc<dyn TrackRemote> {
        step("a track", self.tracks.recv()).await.unwrap()
    }
}

/// A viewer that is connected, with its end at the server.
async fn connect(server: &RtcServer, wants: Wants) -> (Viewer, Peer, mpsc::Receiver<PeerEvent>) {
    let mut viewer = Viewer::new(wants).await;
    let (answer, peer, mut events) = server.accept(&viewer.offer().await).await.unwrap();
    viewer.take(&answer).await;
    until(&mut events, |event| matches!(event, PeerEvent::Connected)).await;
    (viewer, peer, events)
}

async fn until(events: &mut mpsc::Receiver<PeerEvent>, wanted: impl Fn(&PeerEvent) -> bool) -> PeerEvent {
    step("an event", async {
        loop {
            let event = events.recv().await.expect("the peer ended before the event");
            if wanted(&event) {
                return event;
            }
            assert!(!matches!(event, PeerEvent::Closed(_)), "{event:?}");
        }
    })
    .await
}

/// An access unit in Annex B: parameter sets before a keyframe, and a slice whose bytes tell `number`.
fn access_unit(number: u32, keyframe: bool, bytes: usize) -> VideoFrame {
    let mut data = Vec::new();
    if keyframe {
        data.extend([0, 0, 0, 1, 0x67, 0x42, 0xe0, 0x1f, 0, 0, 0, 1, 0x68, 0xce, 0x3c, 0x80]);
    }
    data.extend([0, 0, 0, 1, if keyframe { 0x65 } else { 0x41 }]);
    // No zeros, or they would read as start codes.
    data.extend(number.to_be_bytes().map(|byte| byte | 1));
    data.extend((0..bytes).map(|index| u8::try_from(index % 255).unwrap() + 1));
    VideoFrame { data: data.into(), keyframe, rtp_timestamp: number.wrapping_mul(3000) }
}

/// The next access unit that arrives on `track`.
async fn receive(track: &dyn TrackRemote, packets: &mut Vec<rtp::Packet>) -> (u32, Bytes) {
    let mut depacketizer = H264Packet::default();
    let mut data = Vec::new();
    step("an access unit", async {
        loop {
            let Some(TrackRemoteEvent::OnRtpPacket(packet)) = track.poll().await else { continue };
            data.extend(depacketizer.depacketize(&packet.payload).unwrap());
            let (marker, timestamp) = (packet.header.marker, packet.header.timestamp);
            packets.push(packet);
            if marker {
                return (timestamp, data.into());
            }
        }
    })
    .await
}

#[tokio::test]
async fn frames_arrive_whole_and_in_order() {
    let server = server().await;
    let (mut viewer, peer, _events) = connect(&server, Wants::default()).await;
    let sent: Vec<VideoFrame> = (0..60)
        .map(|number| access_unit(number, number % 20 == 0, 400 + 1500 * number as usize % 90_000))
        .collect();
    let sending = async {
        for frame in &sent {
            while peer.send_frame(frame) != SendOutcome::Sent {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            tokio::time::sleep(Duration::from_millis(15)).await;
        }
    };
    let receiving = async {
        let track = viewer.track().await;
        let mut packets = Vec::new();
        for frame in &sent {
            let (timestamp, data) = receive(track.as_ref(), &mut packets).await;
            assert_eq!(timestamp, frame.rtp_timestamp);
            assert!(data == frame.data, "the access unit of {timestamp} is not the one sent");
        }
        packets
    };
    let ((), packets) = tokio::join!(sending, receiving);
    let numbers: Vec<u16> = packets.iter().map(|packet| packet.header.sequence_number).collect();
    assert!(numbers.windows(2).all(|pair| pair[1] == pair[0].wrapping_add(1)), "{numbers:?}");
    let stats = peer.stats();
    assert_eq!(stats.packets_sent, packets.len() as u64);
    server.shutdown().await;
}

#[tokio::test]
async fn nothing_is_sent_before_a_keyframe() {
    let server = server().await;
    let mut viewer = Viewer::new(Wants::default()).await;
    let (answer, peer, mut events) = server.accept(&viewer.offer().await).await.unwrap();
    assert_eq!(peer.send_frame(&access_unit(0, true, 10)), SendOutcome::NotConnected);
    viewer.take(&answer).await;
    until(&mut events, |event| matches!(event, PeerEvent::Connected)).await;
    assert_eq!(peer.send_frame(&access_unit(1, false, 10)), SendOutcome::DroppedUntilKeyframe);
    assert_eq!(peer.send_frame(&access_unit(2, true, 10)), SendOutcome::Sent);
    let track = viewer.track().await;
    let (timestamp, _) = receive(track.as_ref(), &mut Vec::new()).await;
    assert_eq!(timestamp, 6000);
}

#[tokio::test]
async fn texts_go_both_ways_and_keep_their_channel_and_order() {
    let server = server().await;
    let (viewer, peer, mut events) = connect(&server, Wants { channels: true, ..Wants::default() }).await;
    until(&mut events, |event| matches!(event, PeerEvent::ChannelsOpen)).await;
    let (motion, ordered) = (viewer.motion.clone().unwrap(), viewer.events.clone().unwrap());
    step("opening", async { while !matches!(ordered.poll().await, Some(DataChannelEvent::OnOpen)) {} }).await;
    for number in 0..300 {
        ordered.send_text(&format!("event {number}")).await.unwrap();
    }
    for number in 0..300 {
        let event = until(&mut events, |event| matches!(event, PeerEvent::Text(..))).await;
        let PeerEvent::Text(channel, text) = event else { unreachable!() };
        assert_eq!((channel, text), (Channel::Events, format!("event {number}")));
    }
    motion.send_text("move").await.unwrap();
    let event = until(&mut events, |event| matches!(event, PeerEvent::Text(..))).await;
    assert!(matches!(event, PeerEvent::Text(Channel::Motion, text) if text == "move"));

    assert!(peer.send_text("welcome".to_owned()));
    assert!(!peer.send_text("x".repeat(super::MAX_TEXT_BYTES + 1)));
    let received = step("a text", async {
        loop {
            if let Some(DataChannelEvent::OnMessage(message)) = ordered.poll().await {
                return String::from_utf8(message.data.to_vec()).unwrap();
            }
        }
    })
    .await;
    assert_eq!(received, "welcome");
}

#[tokio::test]
async fn a_message_that_is_no_text_is_reported_in_its_place() {
    let server = server().await;
    let (viewer, _peer, mut events) = connect(&server, Wants { channels: true, ..Wants::default() }).await;
    until(&mut events, |event| matches!(event, PeerEvent::ChannelsOpen)).await;
    let ordered = viewer.events.clone().unwrap();
    step("opening", async { while !matches!(ordered.poll().await, Some(DataChannelEvent::OnOpen)) {} }).await;
    ordered.send(bytes::BytesMut::from(&[0xff_u8, 0xfe][..])).await.unwrap();
    ordered.send_text("a text").await.unwrap();
    let is_message = |event: &PeerEvent| matches!(event, PeerEvent::BadMessage | PeerEvent::Text(..));
    assert!(matches!(until(&mut events, is_message).await, PeerEvent::BadMessage));
    assert!(matches!(until(&mut events, is_message).await, PeerEvent::Text(_, text) if text == "a text"));
}

#[tokio::test]
async fn picture_loss_and_intra_requests_ask_for_a_keyframe() {
    let server = server().await;
    let (mut viewer, peer, mut events) = connect(&server, Wants::default()).await;
    peer.send_frame(&access_unit(0, true, 100));
    let track = viewer.track().await;
    let mut packets = Vec::new();
    receive(track.as_ref(), &mut packets).await;
    let ssrc = packets[0].header.ssrc;
    track
        .write_rtcp(vec![Box::new(PictureLossIndication { sender_ssrc: 1, media_ssrc: ssrc })])
        .await
        .unwrap();
    until(&mut events, |event| matches!(event, PeerEvent::KeyframeNeeded)).await;
    let entry = FirEntry { ssrc, sequence_number: 1 };
    let request = FullIntraRequest { sender_ssrc: 1, media_ssrc: ssrc, fir: vec![entry] };
    track.write_rtcp(vec![Box::new(request)]).await.unwrap();
    until(&mut events, |event| matches!(event, PeerEvent::KeyframeNeeded)).await;
    assert_eq!(peer.stats().plis, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_viewers_share_the_one_port_and_each_gets_its_own_frames() {
    const VIEWERS: u32 = 12;
    let server = server().await;
    let mut viewing = tokio::task::JoinSet::new();
    for number in 0..VIEWERS {
        let server = Arc::clone(&server);
        viewing.spawn(async move {
            let (mut viewer, peer, _events) = connect(&server, Wants::default()).await;
            let frame = access_unit(number, true, 5000);
            assert_eq!(peer.send_frame(&frame), SendOutcome::Sent);
            let track = viewer.track().await;
            let (timestamp, data) = receive(track.as_ref(), &mut Vec::new()).await;
            assert_eq!(timestamp, frame.rtp_timestamp);
            assert!(data == frame.data);
            peer.close().await;
        });
    }
    while let Some(result) = viewing.join_next().await {
        result.unwrap();
    }
    server.shutdown().await;
}

#[tokio::test]
async fn an_offer_with_audio_first_gets_both_sections_accepted_in_its_order() {
    let server = server().await;
    let mut viewer = Viewer::new(Wants { audio_first: true, channels: true }).await;
    let (answer, _peer, mut events) = server.accept(&viewer.offer().await).await.unwrap();
    let sections: Vec<&str> = answer.sdp.lines().filter(|line| line.starts_with("m=")).collect();
    assert_eq!(sections.len(), 3, "{}", answer.sdp);
    for (section, kind) in sections.iter().zip(["audio", "video", "application"]) {
        assert!(section.starts_with(&format!("m={kind} ")), "{section}");
        assert!(!section.starts_with(&format!("m={kind} 0 ")), "rejected: {section}");
    }
    assert!(answer.sdp.contains("a=candidate:"), "{}", answer.sdp);
    viewer.take(&answer).await;
    until(&mut events, |event| matches!(event, PeerEvent::ChannelsOpen)).await;
}

#[tokio::test]
async fn a_viewer_that_leaves_is_reported_and_freed() {
    let server = server().await;
    let (viewer, peer, mut events) = connect(&server, Wants::default()).await;
    viewer.connection.close().await.unwrap();
    let reason = step("the end", async {
        loop {
            if let PeerEvent::Closed(reason) = events.recv().await.unwrap() {
                return reason;
            }
        }
    })
    .await;
    assert_eq!(reason, "the viewer closed the connection");
    assert!(events.recv().await.is_none(), "nothing follows the end");
    assert_eq!(peer.send_frame(&access_unit(0, true, 10)), SendOutcome::NotConnected);
    assert!(!peer.send_text("late".to_owned()));
}

#[tokio::test]
async fn a_viewer_that_never_comes_is_given_up() {
    let server = RtcServer::with_connect_timeout(&loopback(), Duration::from_millis(200)).unwrap();
    let offer = Viewer::new(Wants::default()).await.offer().await;
    let (_answer, _peer, mut events) = server.accept(&offer).await.unwrap();
    let event = step("the end", events.recv()).await.unwrap();
    assert!(
        matches!(&event, PeerEvent::Closed(reason) if reason == "it did not connect in time"),
        "{event:?}"
    );
    assert!(step("nothing more", events.recv()).await.is_none());
}

#[tokio::test]
async fn a_dropped_peer_tells_its_viewer_and_shutdown_ends_the_rest() {
    let server = server().await;
    let (_viewer, peer, mut events) = connect(&server, Wants::default()).await;
    let (_other_viewer, _other_peer, mut other_events) = connect(&server, Wants::default()).await;
    drop(peer);
    until_closed(&mut events).await;
    server.shutdown().await;
    until_closed(&mut other_events).await;
    assert!(server.accept("v=0").await.is_err());
}

async fn until_closed(events: &mut mpsc::Receiver<PeerEvent>) {
    step("the end", async { while !matches!(events.recv().await, Some(PeerEvent::Closed(_)) | None) {} })
        .await;
}

#[tokio::test]
async fn hostile_offers_are_refused_as_the_caller_s_fault() {
    let server = server().await;
    let offer = Viewer::new(Wants::default()).await.offer().await;
    let without = |attribute: &str| -> String {
        offer.split_inclusive("\r\n").filter(|line| !line.starts_with(attribute)).collect()
    };
    for sdp in [
        without("a=fingerprint"),
        without("a=ice-ufrag"),
        without("a=ice-pwd"),
        without("a=mid"),
        without("t=") + "t=x\r\n",
        offer.replace("UDP/TLS/RTP/SAVPF", ""),
        offer.replace("a=rtpmap:", "a=rtpmap:x"),
        offer.replace("H264/90000", "H264/0"),
        offer.replace('1', "99999999999999999999"),
    ] {
        match server.accept(&sdp).await {
            Err(OfferError::Malformed(_) | OfferError::WithoutH264(_)) => {}
            Err(error @ (OfferError::Full | OfferError::ShuttingDown | OfferError::Internal(_))) => {
                panic!("{error} for {sdp}")
            }
            // Some mutations leave a good offer.
            Ok((answer, ..)) => assert!(answer.sdp.starts_with("v=0")),
        }
    }
    // Cut anywhere, and with any byte changed: an answer or a refusal, never a panic of this task.
    for cut in (0..offer.len()).step_by(offer.len() / 40) {
        let _ = server.accept(&offer[..cut]).await;
        let changed = format!("{}\u{0}{}", &offer[..cut], offer.get(cut + 1..).unwrap_or_default());
        let _ = server.accept(&changed).await;
    }
    assert!(server.accept(&offer).await.is_ok(), "and the next viewer is served");
}

#[tokio::test]
async fn garbage_on_the_port_disturbs_nobody() {
    let server = server().await;
    let (mut viewer, peer, _events) = connect(&server, Wants::default()).await;
    let stranger = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    for first in 0..=255_u8 {
        for length in [0, 1, 2, 13, 20, 100, 1400] {
            let datagram = vec![first; length];
            stranger.send_to(&datagram, server.local_addr()).await.unwrap();
        }
    }
    let frame = access_unit(7, true, 30_000);
    assert_eq!(peer.send_frame(&frame), SendOutcome::Sent);
    let track = viewer.track().await;
    let (_, data) = receive(track.as_ref(), &mut Vec::new()).await;
    assert!(data == frame.data);
}
