//! What an offer asks for, found and bounded before the WebRTC stack sees it.
//!
//! An offer comes from whoever can reach the HTTP port. This module limits its size, finds the H.264 payload type to send
//! with, and rewrites it to what a server that only sends may be asked for and to the formats that it will answer with, so that
//! the stack underneath negotiates exactly one codec and does no work for others. It knows SDP (RFC 8866) and the H.264 payload format (RFC 6184), and nothing of connections.

use super::OfferError;

/// Browsers send 6–10 KB; more than this is not an offer.
const MAX_OFFER_BYTES: usize = 64 * 1024;
/// A browser's offer has some 200 lines.
const MAX_OFFER_LINES: usize = 2000;
/// Video, audio and data channels, and room for a client that asks for more than one of each.
const MAX_MEDIA_SECTIONS: usize = 8;
/// Payload types have seven bits.
const MAX_FORMATS: usize = 128;
/// `a=rtcp-fb` lines of a section that the stack gets to see; a browser has six for each of its formats.
const MAX_FEEDBACK_LINES: usize = 32;
/// How much of what was offered is repeated in an error.
const MAX_NAMED_CODECS: usize = 12;

/// The constrained-baseline profile as browsers write it, and then plain baseline: the stream is valid in both.
const PROFILES_BY_PREFERENCE: [&str; 2] = ["42e0", "4200"];

/// An audio codec to accept: the viewer page needs none, but players offer audio first and fail when it is rejected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct AudioCodec {
    pub(super) payload_type: u8,
    pub(super) mime_type: String,
    pub(super) clock_rate_hz: u32,
    pub(super) channels: u16,
    pub(super) fmtp: String,
}

/// An offer that can be answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct CheckedOffer {
    /// The offer without its candidates, with every audio and video section receive-only and with the formats below alone.
    pub(super) sdp: String,
    pub(super) h264: PayloadFormat,
    /// The retransmission format (RFC 4588) of `h264`.
    pub(super) rtx: Option<PayloadFormat>,
    pub(super) audio: Option<AudioCodec>,
    pub(super) has_data_channels: bool,
}

/// A payload type with its `a=fmtp` parameters, as offered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PayloadFormat {
    pub(super) payload_type: u8,
    pub(super) fmtp: String,
}

/// Finds what to send for `sdp`, or says why nothing can be.
pub(super) fn check(sdp: &str) -> Result<CheckedOffer, OfferError> {
    let malformed = |why: &str| OfferError::Malformed(why.to_owned());
    if sdp.len() > MAX_OFFER_BYTES {
        return Err(OfferError::Malformed(format!("it is longer than {MAX_OFFER_BYTES} bytes")));
    }
    let lines: Vec<&str> = sdp.lines().map(str::trim_end).filter(|line| !line.is_empty()).collect();
    if lines.len() > MAX_OFFER_LINES {
        return Err(OfferError::Malformed(format!("it has more than {MAX_OFFER_LINES} lines")));
    }
    if lines.first() != Some(&"v=0") {
        return Err(malformed("it does not begin with v=0"));
    }
    let starts: Vec<usize> =
        lines.iter().enumerate().filter(|(_, line)| line.starts_with("m=")).map(|(index, _)| index).collect();
    if starts.is_empty() {
        return Err(malformed("it has no media section"));
    }
    if starts.len() > MAX_MEDIA_SECTIONS {
        return Err(OfferError::Malformed(format!("it has more than {MAX_MEDIA_SECTIONS} media sections")));
    }

    let (session, rest) = lines.split_at(starts.first().copied().unwrap_or_default());
    let mut sections: Vec<Section<'_>> = Vec::with_capacity(starts.len());
    for line in rest {
        if line.starts_with("m=") {
            sections.push(Section { lines: vec![line] });
        } else if let Some(section) = sections.last_mut() {
            section.lines.push(line);
        }
    }
    if sections.iter().any(|section| section.attribute("mid").is_none_or(str::is_empty)) {
        return Err(malformed("a media section has no a=mid"));
    }
    if sections.iter().any(|section| section.count_formats() > MAX_FORMATS) {
        return Err(OfferError::Malformed(format!("a media section has more than {MAX_FORMATS} formats")));
    }

    let (h264, rtx) =
        sections.iter().find_map(Section::h264).ok_or_else(|| OfferError::WithoutH264(offered(&sections)))?;
    let audio = sections.iter().find_map(Section::audio);
    let has_data_channels = sections.iter().any(Section::is_data_channels);
    let chosen: Vec<u8> = [Some(h264.payload_type), rtx.as_ref().map(|rtx| rtx.payload_type)]
        .into_iter()
        .chain([audio.as_ref().map(|audio| audio.payload_type)])
        .flatten()
        .collect();
    let mut rewritten = String::with_capacity(sdp.len());
    for line in session.iter().copied().filter(|line| !is_candidate(line)) {
        push_line(&mut rewritten, line);
    }
    for section in &sections {
        section.write_receive_only(&chosen, &mut rewritten);
    }
    Ok(CheckedOffer { sdp: rewritten, h264, rtx, audio, has_data_channels })
}

/// Checks a trickle-ice-sdpfrag (RFC 8840, section 9). Its candidates are not needed: the connectivity checks of the viewer
/// tell its addresses, and a server that probed addresses a stranger names would be a reflector.
pub(super) fn check_fragment(fragment: &str) -> Result<(), OfferError> {
    if fragment.len() > MAX_OFFER_BYTES {
        return Err(OfferError::Malformed(format!("the fragment is longer than {MAX_OFFER_BYTES} bytes")));
    }
    for line in fragment.lines().map(str::trim_end).filter(|line| !line.is_empty()) {
        let mut characters = line.chars();
        let (kind, equals) = (characters.next(), characters.next());
        if !kind.is_some_and(|kind| kind.is_ascii_lowercase()) || equals != Some('=') {
            return Err(OfferError::Malformed("a line of the fragment is not of the form x=…".to_owned()));
        }
        if let Some(candidate) = line.strip_prefix("a=candidate:")
            && candidate.split_ascii_whitespace().count() < 8
        {
            return Err(OfferError::Malformed("a candidate of the fragment is incomplete".to_owned()));
        }
    }
    Ok(())
}

/// One `m=` line and what belongs to it.
struct Section<'a> {
    lines: Vec<&'a str>,
}

impl<'a> Section<'a> {
    /// Kind, port, protocol and formats, parted as the stack does: by any white space.
    fn media(&self) -> impl Iterator<Item = &'a str> {
        let line = self.lines.first().and_then(|line| line.strip_prefix("m=")).unwrap_or_default();
        line.split_whitespace()
    }

    fn is_kind(&self, kind: &str) -> bool {
        self.media().next() == Some(kind)
    }

    /// The port of a section is zero when it was stopped or is not offered.
    fn is_enabled(&self) -> bool {
        self.media().nth(1).is_some_and(|port| port != "0")
    }

    fn is_data_channels(&self) -> bool {
        self.is_kind("application") && self.is_enabled() && self.media().last() == Some("webrtc-datachannel")
    }

    fn attribute(&self, name: &str) -> Option<&'a str> {
        self.attributes(name).next()
    }

    fn attributes(&self, name: &str) -> impl Iterator<Item = &'a str> {
        self.lines
            .iter()
            .filter_map(move |line| line.strip_prefix("a=")?.strip_prefix(name)?.strip_prefix(':'))
    }

    fn has_flag(&self, flag: &str) -> bool {
        self.lines.iter().any(|line| line.strip_prefix("a=") == Some(flag))
    }

    fn wants_to_receive(&self) -> bool {
        self.is_enabled() && !self.has_flag("sendonly") && !self.has_flag("inactive")
    }

    fn count_formats(&self) -> usize {
        self.media().skip(3).count()
    }

    /// Payload types in the order of preference of the `m=` line, with the text of their `a=rtpmap`.
    fn formats(&self) -> Vec<(u8, &'a str)> {
        self.media()
            .skip(3)
            .filter_map(|payload_type| payload_type.parse::<u8>().ok())
            .filter_map(|payload_type| Some((payload_type, self.value_of("rtpmap", payload_type)?)))
            .collect()
    }

    fn value_of(&self, attribute: &str, payload_type: u8) -> Option<&'a str> {
        self.attributes(attribute).find_map(|value| {
            let (first, rest) = value.split_once(' ')?;
            (first.parse::<u8>().ok()? == payload_type).then_some(rest)
        })
    }

    /// H.264 in packetization mode 1 that the encoder's stream is valid for, and its retransmission format.
    fn h264(&self) -> Option<(PayloadFormat, Option<PayloadFormat>)> {
        if !self.is_kind("video") || !self.wants_to_receive() {
            return None;
        }
        let candidates: Vec<(u8, &str)> = self
            .formats()
            .into_iter()
            .filter(|(_, map)| map.get(..5).is_some_and(|name| name.eq_ignore_ascii_case("H264/")))
            .filter_map(|(payload_type, _)| Some((payload_type, self.value_of("fmtp", payload_type)?)))
            .filter(|(_, fmtp)| parameter(fmtp, "packetization-mode") == Some("1"))
            .collect();
        let (payload_type, fmtp) = PROFILES_BY_PREFERENCE
            .iter()
            .flat_map(|profile| {
                // Of two formats of one profile the one that frees us from its level comes first.
                ["1", "0"].into_iter().map(move |asymmetry| (profile, asymmetry))
            })
            .find_map(|(profile, asymmetry)| {
                candidates.iter().find(|(_, fmtp)| {
                    parameter(fmtp, "profile-level-id").is_some_and(|id| {
                        id.get(..4).is_some_and(|start| start.eq_ignore_ascii_case(profile))
                    }) && parameter(fmtp, "level-asymmetry-allowed").unwrap_or("0") == asymmetry
                })
            })
            .copied()?;
        let rtx = self.formats().into_iter().find_map(|(rtx_type, map)| {
            let fmtp = self.value_of("fmtp", rtx_type)?;
            (map.get(..4)?.eq_ignore_ascii_case("rtx/")
                && parameter(fmtp, "apt")?.parse::<u8>().ok()? == payload_type)
                .then(|| PayloadFormat { payload_type: rtx_type, fmtp: fmtp.to_owned() })
        });
        Some((PayloadFormat { payload_type, fmtp: fmtp.to_owned() }, rtx))
    }

    /// Opus where it is offered, otherwise the first codec that is described in full.
    fn audio(&self) -> Option<AudioCodec> {
        if !self.is_kind("audio") || !self.is_enabled() {
            return None;
        }
        let formats = self.formats();
        let mut codecs = formats.into_iter().filter_map(|(format, map)| self.audio_codec(format, map));
        let first = codecs.next()?;
        let is_opus = |codec: &AudioCodec| codec.mime_type.eq_ignore_ascii_case("audio/opus");
        Some(if is_opus(&first) { first } else { codecs.find(is_opus).unwrap_or(first) })
    }

    fn audio_codec(&self, payload_type: u8, map: &str) -> Option<AudioCodec> {
        let mut parts = map.split('/');
        let name = parts.next()?;
        Some(AudioCodec {
            payload_type,
            mime_type: format!("audio/{name}"),
            clock_rate_hz: parts.next()?.parse().ok()?,
            channels: parts.next().and_then(|channels| channels.parse().ok()).unwrap_or_default(),
            fmtp: self.value_of("fmtp", payload_type).unwrap_or_default().to_owned(),
        })
    }

    /// A server that only sends answers an offer to send and receive as one to receive; what would be sent is dropped, and so is what
    /// belongs to formats that are not `chosen`: the stack copies the feedback lines of a section for each of its formats.
    fn write_receive_only(&self, chosen: &[u8], into: &mut String) {
        let is_media = self.is_kind("audio") || self.is_kind("video");
        let rewrites_direction = is_media && !self.has_flag("inactive") && !self.has_flag("sendonly");
        let kept = self.kept_formats(chosen);
        let mut of_formats: Vec<(&str, u8)> = Vec::new();
        let mut feedback_lines = 0;
        for line in &self.lines {
            let is_direction = matches!(*line, "a=sendrecv" | "a=recvonly");
            let is_of_sender = ["a=ssrc:", "a=ssrc-group:", "a=rid:", "a=simulcast:", "a=msid:"]
                .iter()
                .any(|prefix| line.starts_with(prefix));
            if is_candidate(line) || rewrites_direction && (is_direction || is_of_sender) {
                continue;
            }
            let keep = match format_attribute(line) {
                None => true,
                Some(("rtcp-fb", format)) => {
                    let is_kept = format == "*" || format.parse().is_ok_and(|format| kept.contains(&format));
                    feedback_lines += usize::from(is_kept);
                    is_kept && feedback_lines <= MAX_FEEDBACK_LINES
                }
                // Of two lines for one format the first is the one that was read.
                Some((name, format)) => format.parse().is_ok_and(|format| {
                    let is_first = !of_formats.contains(&(name, format));
                    if is_first {
                        of_formats.push((name, format));
                    }
                    is_first && kept.contains(&format)
                }),
            };
            if line.starts_with("m=") && is_media {
                push_line(into, &self.media_line(&kept));
            } else if keep {
                push_line(into, line);
            }
        }
        if rewrites_direction {
            push_line(into, "a=recvonly");
        }
    }

    /// The formats of the section that are `chosen`; of one without any the first, since an `m=` line has at least one (RFC 8866,
    /// section 9).
    fn kept_formats(&self, chosen: &[u8]) -> Vec<u8> {
        let offered: Vec<u8> = self.media().skip(3).filter_map(|format| format.parse().ok()).collect();
        let mut kept: Vec<u8> = Vec::new();
        for format in &offered {
            if chosen.contains(format) && !kept.contains(format) {
                kept.push(*format);
            }
        }
        if kept.is_empty() {
            kept.extend(offered.first());
        }
        kept
    }

    fn media_line(&self, formats: &[u8]) -> String {
        let kind_port_and_protocol = self.media().take(3).map(str::to_owned);
        let line: Vec<_> = kind_port_and_protocol.chain(formats.iter().map(u8::to_string)).collect();
        format!("m={}", line.join(" "))
    }
}

/// The name and the format of an attribute that belongs to one format of its section, or to all of them (`*`). One that says nothing about its
/// format has none.
fn format_attribute(line: &str) -> Option<(&str, &str)> {
    let (name, value) = line.strip_prefix("a=")?.split_once(':')?;
    let (format, _) = value.split_once(' ').unwrap_or_default();
    ["rtpmap", "fmtp", "rtcp-fb"].contains(&name).then_some((name, format))
}

fn push_line(into: &mut String, line: &str) {
    into.push_str(line);
    into.push_str("\r\n");
}

fn is_candidate(line: &str) -> bool {
    line.starts_with("a=candidate:")
        || line == "a=end-of-candidates"
        || line.starts_with("a=remote-candidates:")
}

/// One `name=value` of an `a=fmtp`.
fn parameter<'a>(fmtp: &'a str, name: &str) -> Option<&'a str> {
    fmtp.split(';')
        .filter_map(|pair| pair.trim().split_once('='))
        .find_map(|(key, value)| key.trim().eq_ignore_ascii_case(name).then(|| value.trim()))
}

/// The video formats of an offer in words, for the message that says why none of them will do.
fn offered(sections: &[Section<'_>]) -> String {
    let mut names: Vec<String> = Vec::new();
    for section in sections.iter().filter(|section| section.is_kind("video")) {
        if !section.wants_to_receive() {
            names.push("video that it does not want to receive".to_owned());
            continue;
        }
        for (payload_type, map) in section.formats() {
            let name: String = map.chars().take_while(|letter| *letter != '/').take(16).collect();
            if ["rtx", "red", "ulpfec", "flexfec-03"].contains(&name.to_ascii_lowercase().as_str()) {
                continue;
            }
            let detail = section.value_of("fmtp", payload_type).filter(|_| name.eq_ignore_ascii_case("H264"));
            let name = match detail {
                Some(fmtp) => format!("{name} ({})", fmtp.chars().take(90).collect::<String>()),
                None => name,
            };
            if !names.contains(&name) {
                names.push(name);
            }
        }
    }
    names.truncate(MAX_NAMED_CODECS);
    if names.is_empty() { "no video".to_owned() } else { names.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SESSION: &str = "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n";

    fn video(formats: &str, attributes: &str) -> String {
        format!("{SESSION}m=video 9 UDP/TLS/RTP/SAVPF {formats}\r\na=mid:0\r\n{attributes}")
    }

    const CHROMIUM_LIKE: &str = "a=sendrecv\r\na=rtpmap:96 VP8/90000\r\na=rtpmap:103 H264/90000\r\n\
        a=fmtp:103 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42001f\r\na=rtpmap:104 rtx/90000\r\n\
        a=fmtp:104 apt=103\r\na=rtpmap:107 H264/90000\r\n\
        a=fmtp:107 level-asymmetry-allowed=1;packetization-mode=0;profile-level-id=42e01f\r\na=rtpmap:109 H264/90000\r\n\
        a=fmtp:109 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f\r\na=rtpmap:114 rtx/90000\r\n\
        a=fmtp:114 apt=109\r\na=candidate:1 1 udp 1 10.0.0.1 5 typ host\r\na=ssrc:1 cname:x\r\n";

    #[test]
    fn constrained_baseline_in_packetization_mode_1_is_chosen_with_its_retransmission_format() {
        let offer = check(&video("96 103 104 107 109 114", CHROMIUM_LIKE)).unwrap();
        assert_eq!(offer.h264.payload_type, 109);
        assert_eq!(offer.rtx.unwrap().payload_type, 114);
        assert!(!offer.has_data_channels);
        assert_eq!(offer.audio, None);
    }

    #[test]
    fn candidates_and_what_the_viewer_would_send_are_taken_out() {
        let offer = check(&video("96 103 104 107 109 114", CHROMIUM_LIKE)).unwrap();
        assert!(!offer.sdp.contains("a=candidate"), "{}", offer.sdp);
        assert!(!offer.sdp.contains("a=ssrc"), "{}", offer.sdp);
        assert!(!offer.sdp.contains("a=sendrecv"), "{}", offer.sdp);
        assert_eq!(offer.sdp.matches("a=recvonly\r\n").count(), 1);
    }

    #[test]
    fn an_offer_without_h264_is_refused_by_what_it_offers_instead() {
        let error = check(&video("96 97", "a=rtpmap:96 VP8/90000\r\na=rtpmap:97 AV1/90000\r\n")).unwrap_err();
        assert_eq!(error.to_string(), "the offer has no H.264 video to receive: it offers VP8, AV1");
        let error = check(&video(
            "98",
            "a=rtpmap:98 H264/90000\r\na=fmtp:98 packetization-mode=0;profile-level-id=42e01f\r\n",
        ))
        .unwrap_err();
        assert!(error.to_string().contains("H264 (packetization-mode=0"), "{error}");
        let error = check(&video("109", &CHROMIUM_LIKE.replace("sendrecv", "sendonly"))).unwrap_err();
        assert!(error.to_string().contains("does not want to receive"), "{error}");
    }

    #[test]
    fn what_is_not_an_offer_is_malformed_whatever_its_size() {
        let many_sections = format!("{SESSION}{}", "m=video 9 UDP/TLS/RTP/SAVPF 96\r\na=mid:0\r\n".repeat(9));
        let many_lines = format!("{SESSION}{}", "a=x\r\n".repeat(MAX_OFFER_LINES));
        let huge = format!("{SESSION}a={}\r\n", "x".repeat(1_000_000));
        for sdp in
            ["", "hello", "v=0\r\n", &many_sections, &many_lines, &huge, &"m=\r\n".repeat(5), "v=0\nm=\n"]
        {
            assert!(matches!(check(sdp), Err(OfferError::Malformed(_))), "{sdp:.60}");
        }
    }

    #[test]
    fn row_43_an_offer_with_more_formats_than_there_can_be_is_refused() {
        let with = |formats: usize| video(&format!("109{}", "\t109".repeat(formats - 1)), CHROMIUM_LIKE);
        let spaced = |formats: usize| with(formats).replace('\t', " ");
        assert!(check(&spaced(MAX_FORMATS)).is_ok());
        assert!(check(&spaced(MAX_FORMATS + 1)).is_err());
        let error = check(&with(MAX_FORMATS + 1)).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the offer is not valid SDP: a media section has more than 128 formats"
        );
    }

    #[test]
    fn row_43_the_stack_sees_the_formats_that_are_answered_with_and_no_others() {
        let offer = check(&video("96 103 104 107 109 114", CHROMIUM_LIKE)).unwrap();
        assert!(offer.sdp.contains("m=video 9 UDP/TLS/RTP/SAVPF 109 114\r\n"), "{}", offer.sdp);
        assert_eq!(offer.sdp.matches("a=rtpmap:").count(), 2, "{}", offer.sdp);
        assert_eq!(offer.sdp.matches("a=fmtp:").count(), 2, "{}", offer.sdp);
        // A section that is not answered with anything keeps its place.
        let other = CHROMIUM_LIKE.to_owned()
            + "m=video 9 UDP/TLS/RTP/SAVPF 120 121\r\na=mid:1\r\na=rtpmap:120 VP8/90000\r\n";
        let offer = check(&video("96 103 104 107 109 114", &other)).unwrap();
        assert!(offer.sdp.contains("m=video 9 UDP/TLS/RTP/SAVPF 120\r\n"), "{}", offer.sdp);
    }

    #[test]
    fn the_feedback_of_the_chosen_format_is_kept_however_many_formats_are_offered_before_it() {
        let kinds = ["goog-remb", "transport-cc", "ccm fir", "nack", "nack pli"];
        let feedback = |format: u8| kinds.map(|kind| format!("a=rtcp-fb:{format} {kind}\r\n")).concat();
        let offered = |format: u8| format!("a=rtpmap:{format} VP8/90000\r\n{}", feedback(format));
        let others = (30..90).map(offered).collect::<Vec<_>>().concat();
        let formats: Vec<String> = (30..90).chain([109, 114]).map(|format: u8| format.to_string()).collect();
        let offer = check(&video(&formats.join(" "), &(others + CHROMIUM_LIKE + &feedback(109)))).unwrap();
        assert_eq!(offer.sdp.matches("a=rtcp-fb:").count(), kinds.len(), "{}", offer.sdp);
        assert!(offer.sdp.contains("a=rtcp-fb:109 nack pli"), "{}", offer.sdp);
    }

    #[test]
    fn row_43_of_many_lines_for_a_format_the_stack_sees_a_few() {
        let lines = |line: &str| CHROMIUM_LIKE.to_owned() + &format!("{line}\r\n").repeat(1800);
        for line in ["a=rtcp-fb:109 nack", "a=rtcp-fb:* nack", "a=fmtp:109 x=1", "a=rtpmap:109 VP8/90000"] {
            let offer = check(&video("96 103 104 107 109 114", &lines(line))).unwrap();
            assert!(offer.sdp.lines().count() < 20 + MAX_FEEDBACK_LINES, "{line}: {}", offer.sdp);
            assert!(offer.sdp.contains("a=rtpmap:109 H264/90000"), "{line}");
        }
    }

    #[test]
    fn data_channels_and_audio_are_seen() {
        let sdp = video("109", CHROMIUM_LIKE)
            + "m=audio 9 UDP/TLS/RTP/SAVPF 0 111\r\na=mid:1\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:111 opus/48000/2\r\n\
               a=fmtp:111 minptime=10\r\nm=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\na=mid:2\r\n";
        let offer = check(&sdp).unwrap();
        assert!(offer.has_data_channels);
        let audio = offer.audio.unwrap();
        assert_eq!((audio.payload_type, audio.channels, audio.clock_rate_hz), (111, 2, 48_000));
        assert_eq!(audio.fmtp, "minptime=10");
    }

    #[test]
    fn a_trickle_fragment_is_checked_for_its_form_only() {
        let good = "a=ice-ufrag:x\r\na=ice-pwd:y\r\nm=video 9 RTP/AVP 0\r\na=mid:0\r\n\
                    a=candidate:1 1 udp 2122260223 abc.local 50000 typ host\r\na=end-of-candidates\r\n";
        assert!(check_fragment(good).is_ok());
        assert!(check_fragment("").is_ok());
        assert!(check_fragment("{}").is_err());
        assert!(check_fragment("a=candidate:1 1 udp").is_err());
        assert!(check_fragment(&"a=x\r\n".repeat(20_000)).is_err());
    }
}
