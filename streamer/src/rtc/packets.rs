//! Access units to RTP packets: the H.264 payload format in packetization mode 1 (RFC 6184).

use bytes::Bytes;
use rtc::{
    rtp::{self, codec::h264::H264Payloader, packetizer::Payloader},
    shared::error::Error,
};

use super::VideoFrame;

/// RTP payload of a packet. With the RTP header, its extensions, the SRTP tag, and UDP and IPv6 headers the packet stays below
/// 1280 bytes, the minimum MTU of IPv6 (RFC 8200), and it leaves the two bytes that a retransmission adds.
const MAX_PAYLOAD_BYTES: usize = 1150;

/// Numbers the packets of one stream.
pub(super) struct Packetizer {
    payloader: H264Payloader,
    ssrc: u32,
    payload_type: u8,
    next_sequence_number: u16,
}

impl Packetizer {
    pub(super) fn new(ssrc: u32, payload_type: u8, first_sequence_number: u16) -> Self {
        Self {
            payloader: H264Payloader::default(),
            ssrc,
            payload_type,
            next_sequence_number: first_sequence_number,
        }
    }

    /// The packets of an access unit; the last one has the marker (RFC 6184, section 5.1).
    pub(super) fn packetize(&mut self, frame: &VideoFrame) -> Result<Vec<rtp::Packet>, Error> {
        let payloads: Vec<Bytes> = self.payloader.payload(MAX_PAYLOAD_BYTES, &frame.data)?;
        let last = payloads.len().saturating_sub(1);
        Ok(payloads
            .into_iter()
            .enumerate()
            .map(|(index, payload)| {
                let sequence_number = self.next_sequence_number;
                self.next_sequence_number = sequence_number.wrapping_add(1);
                rtp::Packet {
                    header: rtp::Header {
                        version: 2,
                        marker: index == last,
                        payload_type: self.payload_type,
                        sequence_number,
                        timestamp: frame.rtp_timestamp,
                        ssrc: self.ssrc,
                        ..rtp::Header::default()
                    },
                    payload,
                }
            })
            .collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(bytes: usize) -> VideoFrame {
        let mut data = vec![0, 0, 0, 1, 0x67, 1, 2, 3, 0, 0, 0, 1, 0x68, 4, 5, 0, 0, 0, 1, 0x65];
        data.extend((0..bytes).map(|index| u8::try_from(index % 250).unwrap() + 1));
        VideoFrame { data: data.into(), keyframe: true, rtp_timestamp: 90_000 }
    }

    #[test]
    fn a_keyframe_becomes_consecutive_packets_that_fit_with_the_marker_on_the_last() {
        let mut packetizer = Packetizer::new(7, 109, u16::MAX - 1);
        let packets = packetizer.packetize(&frame(20_000)).unwrap();
        assert!(packets.len() > 10);
        for (index, packet) in packets.iter().enumerate() {
            let expected = (u16::MAX - 1).wrapping_add(u16::try_from(index).unwrap());
            assert_eq!(packet.header.sequence_number, expected);
            assert_eq!(packet.header.marker, index == packets.len() - 1);
            assert_eq!((packet.header.timestamp, packet.header.ssrc), (90_000, 7));
            assert!(packet.payload.len() <= MAX_PAYLOAD_BYTES);
        }
        assert_eq!(packets[0].payload[0] & 0x1f, 24, "the parameter sets go together in one STAP-A");
    }

    #[test]
    fn what_is_not_annex_b_makes_no_panic() {
        let mut packetizer = Packetizer::new(7, 109, 0);
        for data in [&[][..], &[0], &[0, 0, 1], &[0, 0, 0, 1], &[0, 0, 0, 1, 0, 0, 0, 1], &[0x67; 5000]] {
            let frame = VideoFrame { data: Bytes::copy_from_slice(data), keyframe: false, rtp_timestamp: 0 };
            let _ = packetizer.packetize(&frame);
        }
    }
}
