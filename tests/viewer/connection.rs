//! The peer connection of a viewer, its data channels and its track.

use std::{sync::Arc, time::Instant};

use rtc::{interceptor::Registry, rtp_transceiver::rtp_sender::RtpCodecKind};
use serde_json::Value;
use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
};
use webrtc::{
    data_channel::{DataChannel, DataChannelEvent, RTCDataChannelInit},
    media_stream::track_remote::TrackRemote,
    peer_connection::{
        MediaEngine, PeerConnection, PeerConnectionBuilder, PeerConnectionEventHandler, RTCIceGatheringState,
        RTCPeerConnectionState, RTCSessionDescription, register_default_interceptors,
    },
    rtp_transceiver::{RTCRtpTransceiverDirection, RTCRtpTransceiverInit},
};

use super::{Seen, stream};

pub(super) struct Connection {
    pub(super) peer: Arc<dyn PeerConnection>,
    pub(super) motion: Arc<dyn DataChannel>,
    pub(super) events: Arc<dyn DataChannel>,
    gathered: mpsc::Receiver<()>,
    tracks: Option<mpsc::Receiver<Arc<dyn TrackRemote>>>,
    seeing: Arc<watch::Sender<Seen>>,
}

struct Handler {
    gathered: mpsc::Sender<()>,
    tracks: mpsc::Sender<Arc<dyn TrackRemote>>,
    seeing: Arc<watch::Sender<Seen>>,
}

#[async_trait::async_trait]
impl PeerConnectionEventHandler for Handler {
    async fn on_ice_gathering_state_change(&self, state: RTCIceGatheringState) {
        if state == RTCIceGatheringState::Complete {
            let _ = self.gathered.try_send(());
        }
    }

    async fn on_connection_state_change(&self, state: RTCPeerConnectionState) {
        self.seeing.send_modify(|seen| match state {
            RTCPeerConnectionState::Connected => seen.connected = true,
            RTCPeerConnectionState::Failed | RTCPeerConnectionState::Closed => {
                (seen.connected, seen.disconnected) = (false, true);
            }
            _ => {}
        });
    }

    async fn on_track(&self, track: Arc<dyn TrackRemote>) {
        let _ = self.tracks.try_send(track);
    }
}

impl Drop for Connection {
    /// Its tasks keep its sockets until it is closed. Who leaves without a word has cut the line before, so nothing of this is heard.
    fn drop(&mut self) {
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let peer = Arc::clone(&self.peer);
            runtime.spawn(async move {
                let _ = peer.close().await;
            });
        }
    }
}

impl Connection {
    pub(super) async fn new(seeing: Arc<watch::Sender<Seen>>) -> Self {
        let mut media = MediaEngine::default();
        media.register_default_codecs().unwrap();
        let registry = register_default_interceptors(Registry::new(), &mut media).unwrap();
        let (gathered_sender, gathered) = mpsc::channel(1);
        let (track_sender, tracks) = mpsc::channel(4);
        let handler =
            Handler { gathered: gathered_sender, tracks: track_sender, seeing: Arc::clone(&seeing) };
        let building = PeerConnectionBuilder::new()
            .with_media_engine(media)
            .with_interceptor_registry(registry)
            .with_handler(Arc::new(handler))
            .with_udp_addrs(vec!["127.0.0.1:0".to_owned()])
            .build();
        let peer: Arc<dyn PeerConnection> = Arc::new(Box::pin(building).await.unwrap());
        let receive = RTCRtpTransceiverInit {
            direction: RTCRtpTransceiverDirection::Recvonly,
            streams: Vec::new(),
            send_encodings: Vec::new(),
        };
        peer.add_transceiver_from_kind(RtpCodecKind::Video, Some(receive)).await.unwrap();
        let init = |id| RTCDataChannelInit {
            protocol: "scenecast.1".to_owned(),
            negotiated: Some(id),
            ..Default::default()
        };
        let unreliable = RTCDataChannelInit { ordered: false, max_retransmits: Some(0), ..init(0) };
        let motion = peer.create_data_channel("motion", Some(unreliable)).await.unwrap();
        let events = peer.create_data_channel("events", Some(init(1))).await.unwrap();
        Self { peer, motion, events, gathered, tracks: Some(tracks), seeing }
    }

    pub(super) async fn offer(&mut self) -> String {
        let offer = self.peer.create_offer(None).await.unwrap();
        self.peer.set_local_description(offer).await.unwrap();
        self.gathered.recv().await.expect("candidates are gathered");
        self.peer.local_description().await.unwrap().sdp
    }

    /// Connects. What arrives is noted by the tasks that this returns.
    pub(super) async fn take_answer(&mut self, answer: &str) -> JoinSet<()> {
        let mut tasks = JoinSet::new();
        tasks.spawn(listen(Arc::clone(&self.events), Arc::clone(&self.seeing)));
        if let Some(mut tracks) = self.tracks.take() {
            let seeing = Arc::clone(&self.seeing);
            tasks.spawn(async move {
                while let Some(track) = tracks.recv().await {
                    stream::watch(track.as_ref(), &seeing).await;
                }
            });
        }
        let answer = RTCSessionDescription::answer(answer.to_owned()).unwrap();
        self.peer.set_remote_description(answer).await.unwrap();
        tasks
    }
}

/// Notes what the server says on the ordered channel.
async fn listen(events: Arc<dyn DataChannel>, seeing: Arc<watch::Sender<Seen>>) {
    while let Some(event) = events.poll().await {
        match event {
            DataChannelEvent::OnOpen => seeing.send_modify(|seen| seen.channels_open = true),
            DataChannelEvent::OnMessage(message) => {
                let message: Value = serde_json::from_slice(&message.data).expect("the server speaks JSON");
                seeing.send_modify(|seen| note(seen, message));
            }
            DataChannelEvent::OnClose => return,
            _ => {}
        }
    }
}

fn note(seen: &mut Seen, message: Value) {
    match message["type"].as_str() {
        Some("stats") => seen.stats = Some(message),
        Some("frame" | "pong") => {}
        kind => {
            if kind == Some("ended") {
                let text = |name: &str| message[name].as_str().unwrap_or_default().to_owned();
                seen.ended = Some((text("code"), text("message")));
                seen.ended_at = Some(Instant::now());
            }
            Seen::remember(&mut seen.messages, message);
        }
    }
}
