//! The interceptor between the retransmission buffer and the transport-wide numbering.
//!
//! On the way out it stamps the playout delay on every video packet, retransmissions too, and keeps those within their budget. On
//! the way in it reads what the receiver says: PLI and FIR, NACK, and the round trip of its receiver reports. What it learns goes
//! into [`Counters`]; nothing is delivered as a packet.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use rtc::{
    interceptor::{Attribute, Interceptor, Packet, StreamInfo, TaggedPacket},
    rtcp::{
        payload_feedbacks::{
            full_intra_request::FullIntraRequest, picture_loss_indication::PictureLossIndication,
        },
        receiver_report::ReceiverReport,
        sender_report::SenderReport,
        transport_feedbacks::transport_layer_nack::{NackPair, TransportLayerNack},
    },
    rtp::extension::playout_delay_extension::PlayoutDelayExtension,
    sansio::Protocol,
    shared::{error::Error, marshal::Marshal},
};

use super::retransmission::Retransmission;

/// <https://webrtc.googlesource.com/src/+/refs/heads/main/docs/native-code/rtp-hdrext/playout-delay>
pub(super) const PLAYOUT_DELAY_URI: &str = "http://www.webrtc.org/experiments/rtp-hdrext/playout-delay";

/// Sender reports remembered to measure the round trip: receivers answer the last or the one before.
const MAX_REMEMBERED_REPORTS: usize = 4;
/// Local streams are the video, its retransmissions and the silent audio.
const MAX_STREAMS: usize = 4;
/// What the interceptor and the driver of a peer share.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) packets_sent: AtomicU64,
    pub(super) nacked_packets: AtomicU64,
    pub(super) retransmitted_packets: AtomicU64,
    pub(super) retransmitted_bytes: AtomicU64,
    /// Packets, retransmissions too, that the receiver has reported.
    pub(super) arrived_packets: AtomicU64,
    pub(super) keyframe_requests: AtomicU64,
    pub(super) rtt_ms: AtomicU32,
    /// Set by a request, taken by the driver.
    pub(super) keyframe_wanted: AtomicBool,
}

/// See the module.
pub(super) struct Feedback {
    counters: Arc<Counters>,
    playout_delay: Option<Bytes>,
    /// Stream and negotiated id of the playout-delay extension.
    streams: Vec<(u32, u8)>,
    reports: VecDeque<(u32, Instant)>,
    retransmission: Retransmission,
    read_queue: VecDeque<TaggedPacket>,
    write_queue: VecDeque<TaggedPacket>,
}

impl Feedback {
    /// `playout_delay_ms` is the minimum and maximum, in steps of 10 ms.
    pub(super) fn new(counters: Arc<Counters>, playout_delay_ms: Option<(u16, u16)>) -> Self {
        let playout_delay = playout_delay_ms.and_then(|(min_ms, max_ms)| {
            PlayoutDelayExtension { min_delay: min_ms / 10, max_delay: max_ms / 10 }
                .marshal()
                .ok()
                .map(bytes::BytesMut::freeze)
        });
        Self {
            counters,
            playout_delay,
            streams: Vec::new(),
            reports: VecDeque::new(),
            retransmission: Retransmission::new(),
            read_queue: VecDeque::new(),
            write_queue: VecDeque::new(),
        }
    }

    fn on_rtcp(&mut self, now: Instant, packet: &dyn rtc::rtcp::Packet) {
        let any = packet.as_any();
        if any.is::<PictureLossIndication>() || any.is::<FullIntraRequest>() {
            self.counters.keyframe_requests.fetch_add(1, Ordering::Relaxed);
            self.counters.keyframe_wanted.store(true, Ordering::Relaxed);
        } else if let Some(nack) = any.downcast_ref::<TransportLayerNack>() {
            let asked: u64 =
                nack.nacks.iter().map(|pair| 1 + u64::from(pair.lost_packets.count_ones())).sum();
            self.counters.nacked_packets.fetch_add(asked, Ordering::Relaxed);
        } else if let Some(report) = any.downcast_ref::<ReceiverReport>() {
            for block in &report.reports {
                self.measure_round_trip(now, block.last_sender_report, block.delay);
            }
        }
    }

    /// What of a request is answered; the rest goes no further.
    fn answered(&mut self, now: Instant, nack: &TransportLayerNack) -> TransportLayerNack {
        let round_trip = Duration::from_millis(self.counters.rtt_ms.load(Ordering::Relaxed).into());
        let asked = nack.nacks.iter().flat_map(|pair| pair.into_iter());
        let answered = asked.filter(|number| self.retransmission.answers(now, *number, round_trip));
        let nacks = answered.map(NackPair::new).collect();
        TransportLayerNack { nacks, ..nack.clone() }
    }

    /// RFC 3550, section 6.4.1: the time since the sender report, less what the receiver held it. `delay` is in 1/65536 s.
    fn measure_round_trip(&self, now: Instant, last_sender_report: u32, delay: u32) {
        let Some((_, sent)) = self.reports.iter().find(|(middle, _)| *middle == last_sender_report) else {
            return;
        };
        let held = Duration::from_secs_f64(f64::from(delay) / 65_536.0);
        let round_trip = now.saturating_duration_since(*sent).saturating_sub(held);
        let rtt_ms = u32::try_from(round_trip.as_micros().div_ceil(1000)).unwrap_or(u32::MAX);
        self.counters.rtt_ms.store(rtt_ms.max(1), Ordering::Relaxed);
    }

    fn remember_report(&mut self, now: Instant, report: &SenderReport) {
        if self.reports.len() >= MAX_REMEMBERED_REPORTS {
            self.reports.pop_front();
        }
        // Receivers repeat the middle 32 of its 64 bits.
        if let Ok(middle) = u32::try_from((report.ntp_time >> 16) & u64::from(u32::MAX)) {
            self.reports.push_back((middle, now));
        }
    }
}

impl Protocol<TaggedPacket, TaggedPacket, ()> for Feedback {
    type Rout = TaggedPacket;
    type Wout = TaggedPacket;
    type Eout = ();
    type Error = Error;
    type Time = Instant;

    fn handle_read(&mut self, mut msg: TaggedPacket) -> Result<(), Error> {
        if let Packet::Rtcp(packets) = &mut msg.message.packet {
            for packet in packets {
                self.on_rtcp(msg.now, packet.as_ref());
                if let Some(nack) = packet.as_any().downcast_ref::<TransportLayerNack>() {
                    *packet = Box::new(self.answered(msg.now, nack));
                }
            }
        }
        self.read_queue.push_back(msg);
        Ok(())
    }

    fn poll_read(&mut self) -> Option<TaggedPacket> {
        self.read_queue.pop_front()
    }

    fn handle_write(&mut self, mut msg: TaggedPacket) -> Result<(), Error> {
        let is_retransmission = msg.message.has(&Attribute::Retransmission);
        match &mut msg.message.packet {
            Packet::Rtp(packet) => {
                let bytes = packet.payload.len();
                if is_retransmission {
                    if !self.retransmission.pays(bytes) {
                        return Ok(());
                    }
                    self.counters.retransmitted_packets.fetch_add(1, Ordering::Relaxed);
                    self.counters.retransmitted_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
                } else {
                    self.retransmission.sent(msg.now, packet.header.sequence_number, bytes);
                    self.counters.packets_sent.fetch_add(1, Ordering::Relaxed);
                }
                if let Some(delay) = &self.playout_delay
                    && let Some((_, id)) = self.streams.iter().find(|(ssrc, _)| *ssrc == packet.header.ssrc)
                {
                    packet.header.set_extension(*id, delay.clone())?;
                }
            }
            Packet::Rtcp(packets) => {
                let reports: Vec<SenderReport> = packets
                    .iter()
                    .filter_map(|packet| packet.as_any().downcast_ref::<SenderReport>().cloned())
                    .collect();
                for report in reports {
                    self.remember_report(msg.now, &report);
                }
            }
            _ => {}
        }
        self.write_queue.push_back(msg);
        Ok(())
    }

    fn poll_write(&mut self) -> Option<TaggedPacket> {
        self.write_queue.pop_front()
    }
}

impl Interceptor for Feedback {
    fn bind_local_stream(&mut self, info: &StreamInfo) {
        let negotiated =
            info.rtp_header_extensions.iter().find(|extension| extension.uri == PLAYOUT_DELAY_URI);
        let Some(id) = negotiated.and_then(|extension| u8::try_from(extension.id).ok()) else { return };
        for ssrc in [Some(info.ssrc), info.ssrc_rtx].into_iter().flatten() {
            if self.streams.len() < MAX_STREAMS && self.streams.iter().all(|(bound, _)| *bound != ssrc) {
                self.streams.push((ssrc, id));
            }
        }
    }

    fn unbind_local_stream(&mut self, info: &StreamInfo) {
        self.streams.retain(|(ssrc, _)| *ssrc != info.ssrc && Some(*ssrc) != info.ssrc_rtx);
    }

    fn bind_remote_stream(&mut self, _info: &StreamInfo) {}

    fn unbind_remote_stream(&mut self, _info: &StreamInfo) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nack(packets: &[u16]) -> TransportLayerNack {
        let nacks = packets.iter().map(|number| NackPair::new(*number)).collect();
        TransportLayerNack { sender_ssrc: 1, media_ssrc: 7, nacks }
    }

    #[test]
    fn of_a_flood_of_requests_the_retransmission_buffer_sees_each_packet_once() {
        let counters = Arc::<Counters>::default();
        let mut feedback = Feedback::new(Arc::clone(&counters), None);
        let now = Instant::now();
        for number in 0..20 {
            feedback.retransmission.sent(now, number, 1_000);
        }
        let asked: Vec<u16> = (0..100).collect();
        let first = feedback.answered(now, &nack(&asked));
        assert_eq!(first.nacks.len(), 20, "what was never sent is not looked for");
        let again = feedback.answered(now, &nack(&asked));
        assert!(again.nacks.is_empty(), "{again:?}");
    }

    #[test]
    fn the_round_trip_is_the_time_since_the_report_less_what_the_receiver_held_it() {
        let counters = Arc::<Counters>::default();
        let mut feedback = Feedback::new(Arc::clone(&counters), None);
        let start = Instant::now();
        feedback
            .remember_report(start, &SenderReport { ntp_time: 0x1234_5678_9abc_def0, ..Default::default() });
        feedback.measure_round_trip(start + Duration::from_millis(540), 0x5678_9abc, 32_768);
        assert_eq!(counters.rtt_ms.load(Ordering::Relaxed), 40);
        feedback.measure_round_trip(start + Duration::from_millis(900), 0xffff_ffff, 0);
        assert_eq!(
            counters.rtt_ms.load(Ordering::Relaxed),
            40,
            "a report that was never sent measures nothing"
        );
    }
}
