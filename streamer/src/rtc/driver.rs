//! Drives one connection: the only owner of the sans-IO engine of a viewer.
//!
//! The contract of the engine is "tell it something, then drain it": every turn of the loop hands it datagrams, frames, texts or
//! the time, and then takes out events, messages and packets until there are none. Time enters here and nowhere below.

use std::{
    collections::VecDeque,
    net::SocketAddr,
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use rtc::{
    data_channel::RTCDataChannelMessage,
    peer_connection::{
        event::{RTCDataChannelEvent, RTCPeerConnectionEvent},
        message::{RTCMessage, TaggedRTCMessage},
        state::RTCPeerConnectionState,
        transport::RTCDtlsTransportState,
    },
    rtp,
    sansio::Protocol,
    shared::{TaggedBytesMut, TransportContext, TransportProtocol},
};
use tokio::sync::mpsc::{self, error::TrySendError};
use tokio_util::sync::CancellationToken;

use super::{
    Channel, MAX_TEXT_BYTES, PeerEvent,
    congestion::is_worth_reporting,
    engine::Engine,
    line::{Change, Line, Totals},
    mux::{Datagram, Kind, MAX_PEER_ADDRESSES, Registration, kind},
    packets::Packetizer,
    peer::{Gate, Shared},
};

/// From the offer to the end of the DTLS handshake. A viewer that takes longer has no path to here.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);
/// The loop turns at least so often, whatever the engine says.
const MAX_TURN_INTERVAL: Duration = Duration::from_secs(5);
/// Datagrams taken in one turn, so that a flood of them does not keep frames from going out.
const MAX_DATAGRAMS_PER_TURN: usize = 64;
/// Drains of the engine in one turn; each but the last one found something to send.
const MAX_DRAINS_PER_TURN: usize = 8;
/// The engine's timers are of milliseconds and more; one that stands in the past would otherwise make the loop spin.
const MIN_TIMER_INTERVAL: Duration = Duration::from_millis(5);
/// A frame of up to so many packets, 18 KB, goes out at once.
const MIN_BURST_PACKETS: usize = 16;
/// A larger frame goes out in so many bursts, one each millisecond: a keyframe does not fill the queues of the path at once,
/// and yet delays nothing by more than a third of a frame interval.
const MAX_BURSTS: usize = 8;
const BURST_INTERVAL: Duration = Duration::from_millis(1);
/// Texts given to SCTP and not yet acknowledged. Further ones wait in the peer's bounded queue.
const MAX_UNACKNOWLEDGED_TEXT_BYTES: usize = 64 * 1024;
/// A connection that is closed waits so long for what was said last to be acknowledged. SCTP sends a text that was lost once more after a second
/// (RFC 9260, section 16: RTO.Min).
const LAST_TEXTS_TIMEOUT: Duration = Duration::from_millis(1_500);
/// Senders of RTCP that a viewer may have: the key context of each is kept for the life of the connection.
const MAX_RTCP_SENDERS: usize = 16;
/// One viewer's requests for keyframes are passed on so often at most: everybody in the session pays for each.
const KEYFRAME_REQUEST_INTERVAL: Duration = Duration::from_secs(1);
/// Channels that a viewer may open beside the negotiated ones; they are ignored.
const MAX_FOREIGN_CHANNELS: u32 = 16;

/// See the module.
pub(super) struct Driver {
    engine: Engine,
    registration: Registration,
    shared: Arc<Shared>,
    events: mpsc::Sender<PeerEvent>,
    datagrams: mpsc::Receiver<Datagram>,
    texts: mpsc::Receiver<String>,
    stop: CancellationToken,
    packetizer: Packetizer,
    line: Line,
    /// The line is to be tried, or to be used again.
    needs_keyframe: bool,
    next_keyframe_request: Instant,
    /// The rest of the frame that is going out.
    packets: VecDeque<rtp::Packet>,
    burst_packets: usize,
    next_burst: Instant,
    connect_deadline: Instant,
    /// Events that the session has no room for yet: at most one of each kind, and one message.
    pending: VecDeque<PeerEvent>,
    addresses: Vec<SocketAddr>,
    rtcp_senders: Vec<[u8; 4]>,
    reported_bps: u32,
    foreign_channels: u32,
    is_motion_open: bool,
    is_events_open: bool,
    last_timer: Option<Instant>,
    /// Set when it is being closed: at this time, however much is unacknowledged.
    close_deadline: Option<Instant>,
    end: Option<String>,
}

/// What the loop woke for.
enum Input {
    Stop,
    SessionGone,
    Datagram(Datagram),
    Text(String),
    /// A frame, a deadline, or room for an event: the turn finds it.
    Turn,
}

/// What a driver is made of.
pub(super) struct Wiring {
    pub(super) engine: Engine,
    pub(super) registration: Registration,
    pub(super) shared: Arc<Shared>,
    pub(super) events: mpsc::Sender<PeerEvent>,
    pub(super) datagrams: mpsc::Receiver<Datagram>,
    pub(super) texts: mpsc::Receiver<String>,
    pub(super) stop: CancellationToken,
    pub(super) connect_timeout: Duration,
}

impl Driver {
    pub(super) fn new(wiring: Wiring) -> Self {
        let now = Instant::now();
        let packetizer = Packetizer::new(wiring.engine.ssrc, wiring.engine.payload_type, rand::random());
        Self {
            engine: wiring.engine,
            registration: wiring.registration,
            shared: wiring.shared,
            events: wiring.events,
            datagrams: wiring.datagrams,
            texts: wiring.texts,
            stop: wiring.stop,
            packetizer,
            line: Line::new(now),
            needs_keyframe: false,
            next_keyframe_request: now,
            packets: VecDeque::new(),
            burst_packets: MIN_BURST_PACKETS,
            next_burst: now,
            connect_deadline: now + wiring.connect_timeout,
            pending: VecDeque::new(),
            addresses: Vec::new(),
            rtcp_senders: Vec::new(),
            reported_bps: 0,
            foreign_channels: 0,
            is_motion_open: false,
            is_events_open: false,
            last_timer: None,
            close_deadline: None,
            end: None,
        }
    }

    /// Runs until the connection ends, and says why it did.
    pub(super) async fn run(mut self) -> String {
        loop {
            self.turn().await;
            if self.can_close(Instant::now()) {
                self.end("closed by the server");
            }
            if let Some(reason) = self.end.take() {
                self.close().await;
                return reason;
            }
            let deadline = self.deadline();
            let can_send_text = self.can_send_text();
            let is_open = self.close_deadline.is_none();
            let input = tokio::select! {
                biased;
                () = self.stop.cancelled(), if is_open => Input::Stop,
                () = self.events.closed() => Input::SessionGone,
                Some(datagram) = self.datagrams.recv() => Input::Datagram(datagram),
                _ = self.events.reserve(), if !self.pending.is_empty() => Input::Turn,
                () = self.shared.wake.notified() => Input::Turn,
                Some(text) = self.texts.recv(), if can_send_text => Input::Text(text),
                () = tokio::time::sleep_until(deadline.into()) => Input::Turn,
            };
            match input {
                Input::Stop => {
                    self.shared.set_gate(Gate::Closed);
                    self.close_deadline = Some(Instant::now() + LAST_TEXTS_TIMEOUT);
                }
                Input::SessionGone => self.end("its session is gone"),
                Input::Datagram(first) => {
                    self.receive(first);
                    for _ in 1..MAX_DATAGRAMS_PER_TURN {
                        // The engine makes its channels when it is asked for events; a text that comes before that is lost to it.
                        self.take_events();
                        let Ok(datagram) = self.datagrams.try_recv() else { break };
                        self.receive(datagram);
                    }
                }
                Input::Text(text) => self.send_text(text),
                Input::Turn => {}
            }
        }
    }

    fn is_connected(&self) -> bool {
        self.shared.is_connected.load(Ordering::Relaxed)
    }

    /// The first reason stays.
    fn end(&mut self, reason: &str) {
        self.end.get_or_insert_with(|| reason.to_owned());
    }

    /// When the loop has to turn again if nothing comes.
    fn deadline(&mut self) -> Instant {
        let mut deadline = Instant::now() + MAX_TURN_INTERVAL;
        if let Some(timer) = self.engine.connection.poll_timeout() {
            let earliest = self.last_timer.map_or(timer, |last| timer.max(last + MIN_TIMER_INTERVAL));
            deadline = deadline.min(earliest);
        }
        if !self.packets.is_empty() {
            deadline = deadline.min(self.next_burst);
        }
        if let Some(close) = self.close_deadline {
            deadline = deadline.min(close);
        }
        if self.is_connected() {
            deadline = deadline.min(self.line.due());
            if self.is_keyframe_wanted() {
                deadline = deadline.min(self.next_keyframe_request);
            }
        } else {
            deadline = deadline.min(self.connect_deadline);
        }
        deadline
    }

    async fn turn(&mut self) {
        let now = Instant::now();
        if self.engine.connection.poll_timeout().is_some_and(|timer| timer <= now)
            && self.last_timer.is_none_or(|last| now.saturating_duration_since(last) >= MIN_TIMER_INTERVAL)
        {
            self.tick(now);
        }
        if !self.is_connected() && now >= self.connect_deadline {
            self.end("it did not connect in time");
        }
        self.send_video(now);
        for _ in 0..MAX_DRAINS_PER_TURN {
            let had_events = self.take_events();
            self.take_messages();
            let has_sent = self.transmit().await;
            if had_events {
                // What a layer begins because of an event, such as the handshake once there is a path, it sends when it is next
                // told the time: without this at the next timer, a fifth of a second later. And it goes after the answer to the
                // check that nominated the path, or the viewer may not know of the path yet.
                self.tick(now);
            } else if !has_sent {
                break;
            }
        }
        if self.is_dtls_closed() {
            self.end("the viewer closed the connection");
        }
        self.watch_line(now);
        self.report(now);
    }

    fn tick(&mut self, now: Instant) {
        self.last_timer = Some(now);
        if let Err(error) = self.engine.connection.handle_timeout(now) {
            tracing::debug!(%error, "a timer of the connection failed");
        }
    }

    fn watch_line(&mut self, now: Instant) {
        if !self.is_connected() {
            return;
        }
        let counters = &self.shared.counters;
        let totals = Totals {
            sent: counters
                .packets_sent
                .load(Ordering::Relaxed)
                .saturating_add(counters.retransmitted_packets.load(Ordering::Relaxed)),
            arrived: counters.arrived_packets.load(Ordering::Relaxed),
        };
        let Some(change) = self.line.look(now, totals, self.packets.is_empty()) else { return };
        tracing::debug!(?change, ?totals, "the viewer's line");
        self.shared.set_gate(match change {
            Change::Stop => Gate::Closed,
            Change::Try => Gate::OneKeyframe,
            Change::Resume => Gate::Open,
        });
        self.needs_keyframe = change != Change::Stop;
    }

    /// Whether the viewer asked for a keyframe, or its queue needs one. Over a line that carries none it is not worth one.
    fn is_keyframe_wanted(&self) -> bool {
        let has_asked = self.shared.counters.keyframe_wanted.load(Ordering::Relaxed);
        self.line.carries() && (has_asked || self.shared.has_overflowed.load(Ordering::Relaxed))
    }

    /// Gives the engine the next burst of the frame that is going out, or begins the next frame.
    fn send_video(&mut self, now: Instant) {
        if !self.is_connected() {
            return;
        }
        loop {
            if self.packets.is_empty() {
                let Some(frame) = self.shared.next_frame() else { return };
                match self.packetizer.packetize(&frame) {
                    Ok(packets) => self.packets.extend(packets),
                    Err(error) => tracing::debug!(%error, "an access unit could not be packetized"),
                }
                self.burst_packets = self.packets.len().div_ceil(MAX_BURSTS).max(MIN_BURST_PACKETS);
            } else if now < self.next_burst {
                return;
            }
            let burst = self.burst_packets.min(self.packets.len());
            for packet in self.packets.drain(..burst) {
                let message = RTCMessage::RtpPacket(self.engine.track_id.clone(), packet);
                if let Err(error) = self.engine.connection.handle_write(TaggedRTCMessage { now, message }) {
                    tracing::debug!(%error, "a packet was not taken by the connection");
                }
            }
            if !self.packets.is_empty() {
                self.next_burst = now + BURST_INTERVAL;
                return;
            }
        }
    }

    fn receive(&mut self, datagram: Datagram) {
        let Datagram { at, local, remote, bytes } = datagram;
        match kind(&bytes) {
            // Each address that a check comes from stays in the engine, so there are only so many.
            Kind::Stun if !self.addresses.contains(&remote) => {
                if self.addresses.len() >= MAX_PEER_ADDRESSES {
                    return;
                }
                self.addresses.push(remote);
            }
            Kind::Rtcp => {
                let Some(sender) = bytes.get(4..8).and_then(|bytes| <[u8; 4]>::try_from(bytes).ok()) else {
                    return;
                };
                if !self.rtcp_senders.contains(&sender) {
                    if self.rtcp_senders.len() >= MAX_RTCP_SENDERS {
                        return;
                    }
                    self.rtcp_senders.push(sender);
                }
            }
            _ => {}
        }
        let transport = TransportContext {
            local_addr: local,
            peer_addr: remote,
            transport_protocol: TransportProtocol::UDP,
            ecn: None,
        };
        let message = TaggedBytesMut { now: at, transport, message: bytes };
        if let Err(error) = self.engine.connection.handle_read(message) {
            tracing::debug!(%remote, %error, "a datagram was refused");
        }
    }

    /// Whether there was any.
    fn take_events(&mut self) -> bool {
        let mut has_taken = false;
        while let Some(event) = self.engine.connection.poll_event() {
            has_taken = true;
            match event {
                RTCPeerConnectionEvent::OnConnectionStateChangeEvent(state) => self.on_state(state),
                RTCPeerConnectionEvent::OnDataChannel(event) => self.on_data_channel(&event),
                _ => {}
            }
        }
        has_taken
    }

    fn on_state(&mut self, state: RTCPeerConnectionState) {
        match state {
            RTCPeerConnectionState::Connected if !self.is_connected() => {
                self.registration.gate().open();
                self.shared.is_connected.store(true, Ordering::Relaxed);
                self.pending.push_back(PeerEvent::Connected);
            }
            RTCPeerConnectionState::Failed if self.is_connected() => {
                self.end("the viewer is not there any more");
            }
            RTCPeerConnectionState::Failed => self.end("no connection could be made"),
            RTCPeerConnectionState::Closed => self.end("the viewer closed the connection"),
            _ => {}
        }
    }

    fn on_data_channel(&mut self, event: &RTCDataChannelEvent) {
        match event {
            RTCDataChannelEvent::OnOpen(id) => {
                let id = Some(*id);
                if id == self.engine.motion {
                    self.is_motion_open = true;
                } else if id == self.engine.events {
                    self.is_events_open = true;
                } else {
                    self.foreign_channels = self.foreign_channels.saturating_add(1);
                    if self.foreign_channels > MAX_FOREIGN_CHANNELS {
                        self.end("the viewer opened too many data channels");
                    }
                }
                let is_open = self.is_motion_open && self.is_events_open;
                if is_open && !self.shared.are_channels_open.swap(true, Ordering::Relaxed) {
                    self.pending.push_back(PeerEvent::ChannelsOpen);
                }
            }
            RTCDataChannelEvent::OnClose(id)
                if Some(*id) == self.engine.motion || Some(*id) == self.engine.events =>
            {
                self.shared.are_channels_open.store(false, Ordering::Relaxed);
            }
            _ => {}
        }
    }

    /// Hands texts to the session while it has room; what it has no room for stays in SCTP, whose window then closes.
    fn take_messages(&mut self) {
        // Nothing here is media; what the interceptors leave would otherwise pile up while texts wait.
        while self.engine.connection.poll_media_read().is_some() {}
        self.flush();
        while self.pending.is_empty() {
            let Some(message) = self.engine.connection.poll_read() else { break };
            let RTCMessage::DataChannelMessage(id, message) = message.message else { continue };
            let channel = if Some(id) == self.engine.motion {
                Channel::Motion
            } else if Some(id) == self.engine.events {
                Channel::Events
            } else {
                continue;
            };
            let event = text(&message).map_or(PeerEvent::BadMessage, |text| PeerEvent::Text(channel, text));
            self.pending.push_back(event);
            self.flush();
        }
    }

    /// Gives the session what it has room for, in order.
    fn flush(&mut self) {
        while let Some(event) = self.pending.pop_front() {
            match self.events.try_send(event) {
                Ok(()) => {}
                Err(TrySendError::Full(event)) => {
                    self.pending.push_front(event);
                    return;
                }
                Err(TrySendError::Closed(_)) => self.end("its session is gone"),
            }
        }
    }

    /// What the session should know; of each kind at most one waits.
    fn report(&mut self, now: Instant) {
        if !self.is_connected() {
            return;
        }
        let is_wanted = self.is_keyframe_wanted() && now >= self.next_keyframe_request;
        if is_wanted || self.needs_keyframe {
            self.shared.counters.keyframe_wanted.store(false, Ordering::Relaxed);
            self.shared.has_overflowed.store(false, Ordering::Relaxed);
            self.needs_keyframe = false;
            self.next_keyframe_request = now + KEYFRAME_REQUEST_INTERVAL;
            if !self.pending.iter().any(|event| matches!(event, PeerEvent::KeyframeNeeded)) {
                self.pending.push_back(PeerEvent::KeyframeNeeded);
            }
        }
        let carried_bps = self.shared.target_bps.load(Ordering::Relaxed);
        let target_bps = if self.line.carries() { carried_bps } else { 0 };
        if is_worth_reporting(self.reported_bps, target_bps) {
            self.reported_bps = target_bps;
            self.pending.retain(|event| !matches!(event, PeerEvent::TargetBitrate { .. }));
            self.pending.push_back(PeerEvent::TargetBitrate { bps: target_bps });
        }
        self.flush();
    }

    /// Sends what the engine has for the network. Whether there was anything.
    async fn transmit(&mut self) -> bool {
        let mut has_sent = false;
        while let Some(TaggedBytesMut { transport, message, .. }) = self.engine.connection.poll_write() {
            has_sent = true;
            // The engine answers a check with success only after it has proved that it comes from the viewer.
            if is_binding_success(&message) {
                self.registration.learn(transport.peer_addr);
            }
            self.registration.mux().send(transport.local_addr, transport.peer_addr, &message).await;
        }
        has_sent
    }

    fn can_send_text(&mut self) -> bool {
        self.shared.are_channels_open.load(Ordering::Relaxed)
            && self
                .engine
                .events
                .and_then(|id| self.engine.connection.data_channel(id))
                .is_some_and(|channel| channel.outstanding_bytes() < MAX_UNACKNOWLEDGED_TEXT_BYTES)
    }

    /// Whether it is being closed, and nothing is under way that is worth waiting for any longer.
    fn can_close(&mut self, now: Instant) -> bool {
        let Some(deadline) = self.close_deadline else { return false };
        now >= deadline || !self.has_texts_under_way()
    }

    fn has_texts_under_way(&mut self) -> bool {
        let is_unacknowledged = |driver: &mut Self| {
            let channel = driver.engine.events.and_then(|id| driver.engine.connection.data_channel(id));
            channel.is_some_and(|channel| channel.outstanding_bytes() > 0)
        };
        self.shared.are_channels_open.load(Ordering::Relaxed)
            && (!self.texts.is_empty() || is_unacknowledged(self))
    }

    fn send_text(&mut self, text: String) {
        let channel = self.engine.events.and_then(|id| self.engine.connection.data_channel(id));
        if let Some(mut channel) = channel
            && let Err(error) = channel.send_text(Instant::now(), text)
        {
            tracing::debug!(%error, "a text could not be sent");
        }
    }

    fn is_dtls_closed(&mut self) -> bool {
        self.is_connected()
            && self
                .engine
                .connection
                .rtp_sender(self.engine.sender)
                .and_then(|sender| sender.transport().map(|transport| transport.state()))
                .is_some_and(|state| {
                    matches!(state, RTCDtlsTransportState::Closed | RTCDtlsTransportState::Failed)
                })
    }

    /// Tells the viewer, so that it need not find out by waiting.
    async fn close(&mut self) {
        self.shared.is_connected.store(false, Ordering::Relaxed);
        self.shared.are_channels_open.store(false, Ordering::Relaxed);
        if let Err(error) = self.engine.connection.close() {
            tracing::debug!(%error, "the connection could not be closed in order");
        }
        self.transmit().await;
    }
}

/// The text of a message of the viewer protocol.
fn text(message: &RTCDataChannelMessage) -> Option<String> {
    let is_text = message.is_string && message.data.len() <= MAX_TEXT_BYTES;
    is_text.then(|| std::str::from_utf8(&message.data).ok().map(str::to_owned)).flatten()
}

/// A STUN success response to a binding request (RFC 8489, section 5).
fn is_binding_success(datagram: &[u8]) -> bool {
    datagram.starts_with(&[1, 1])
}
