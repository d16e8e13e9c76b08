//! Pictures out of RTP packets, and what a receiver does about those that are missing.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use rtc::{rtcp::payload_feedbacks::picture_loss_indication::PictureLossIndication, rtp};
use tokio::sync::watch;
use webrtc::media_stream::track_remote::{TrackRemote, TrackRemoteEvent};

use super::{Picture, Seen};

/// A packet that has not come after this time is lost; retransmissions on a path of some 100 ms come before.
const LOST_AFTER: Duration = Duration::from_millis(400);
/// How often a keyframe is asked for at most.
const REQUEST_INTERVAL: Duration = Duration::from_secs(1);
/// Packets that are waited for at once; of a longer gap, the rest is lost at once.
const MAX_AWAITED: u64 = 1_024;

/// Notes what arrives on a track until it ends.
pub(super) async fn watch(track: &dyn TrackRemote, seeing: &watch::Sender<Seen>) {
    let mut stream = Stream::default();
    while let Some(event) = track.poll().await {
        let TrackRemoteEvent::OnRtpPacket(packet) = event else { continue };
        let now = Instant::now();
        let ssrc = packet.header.ssrc;
        let wants_keyframe = {
            let mut wants = false;
            seeing.send_modify(|seen| wants = stream.take(&packet, now, seen));
            wants
        };
        if wants_keyframe {
            let request = PictureLossIndication { sender_ssrc: 1, media_ssrc: ssrc };
            let _ = track.write_rtcp(vec![Box::new(request)]).await;
        }
    }
}

#[derive(Default)]
struct Stream {
    /// The highest sequence number, continued beyond 16 bits.
    highest: Option<u64>,
    /// Numbers below it that have not come, and since when they are missing.
    awaited: BTreeMap<u64, Instant>,
    requested: Option<Instant>,
    picture_bytes: usize,
    keyframe: bool,
}

impl Stream {
    /// Notes a packet. True when a keyframe is to be asked for.
    fn take(&mut self, packet: &rtp::Packet, now: Instant, seen: &mut Seen) -> bool {
        let number = self.continued(packet.header.sequence_number);
        let next = self.highest.map_or(number, |highest| highest + 1);
        if number >= next {
            let first = next.max(number.saturating_sub(MAX_AWAITED));
            seen.lost_packets += first - next;
            self.awaited.extend((first..number).map(|missing| (missing, now)));
            self.highest = Some(number);
        } else {
            self.awaited.remove(&number);
        }
        seen.packets += 1;
        seen.bytes += packet.payload.len() as u64;
        self.picture_bytes += packet.payload.len();
        self.keyframe |= begins_keyframe(&packet.payload);
        if packet.header.marker {
            let keyframe = std::mem::take(&mut self.keyframe);
            let bytes = std::mem::take(&mut self.picture_bytes);
            seen.pictures += 1;
            seen.keyframes += u64::from(keyframe);
            let rtp_timestamp = packet.header.timestamp;
            Seen::remember(&mut seen.last_pictures, Picture { at: now, rtp_timestamp, bytes, keyframe });
        }
        let before = self.awaited.len();
        self.awaited.retain(|_, since| now.duration_since(*since) < LOST_AFTER);
        let lost = before - self.awaited.len();
        seen.lost_packets += lost as u64;
        let may_request = self.requested.is_none_or(|at| now.duration_since(at) >= REQUEST_INTERVAL);
        if lost > 0 && may_request {
            self.requested = Some(now);
            seen.keyframe_requests += 1;
        }
        self.requested == Some(now)
    }

    /// The number whose last 16 bits are these that is nearest to the highest so far.
    fn continued(&self, number: u16) -> u64 {
        let Some(highest) = self.highest else { return (1 << 16) + u64::from(number) };
        let ahead = number.wrapping_sub((highest & 0xffff) as u16);
        if ahead < 1 << 15 {
            highest + u64::from(ahead)
        } else {
            highest.saturating_sub(u64::from(ahead.wrapping_neg()))
        }
    }
}

/// Whether a payload (RFC 6184) is, holds or begins an IDR slice or a sequence parameter set.
fn begins_keyframe(payload: &[u8]) -> bool {
    const IDR: u8 = 5;
    const SEQUENCE_PARAMETERS: u8 = 7;
    const STAP_A: u8 = 24;
    const FU_A: u8 = 28;
    let kind = |index: usize| payload.get(index).map_or(0, |byte| byte & 0x1f);
    let kind = match kind(0) {
        STAP_A => kind(3),
        FU_A => kind(1),
        single => single,
    };
    matches!(kind, IDR | SEQUENCE_PARAMETERS)
}
