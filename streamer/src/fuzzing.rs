//! What strangers' bytes meet first, one function for each way in, for the fuzz targets in `fuzz/` and for nothing else.
//!
//! Each takes whatever bytes and returns; it panics if something that must hold does not. What is reached is the code that a server runs,
//! not a copy of it.

use std::time::{Duration, Instant};

use futures::FutureExt as _;
use renderer_protocol::{FromWorker, ToWorker, ViewerId, codec, to_worker::MAX_INPUT_BATCH};

use crate::{
    http,
    input::{InputQueue, Lane, ViewerInput},
    rtc,
    session::order::MessageOrder,
    viewer_protocol::ClientMessage,
};

/// What a worker sends: a stream of frames, read until the first that ends the worker.
pub fn worker_frames(bytes: &[u8]) {
    let mut stream = bytes;
    let mut order = MessageOrder::default();
    let now = Instant::now().into();
    loop {
        let before = stream.len();
        // All bytes are there, so nothing is waited for.
        let Some(Ok(message)) = codec::read::<FromWorker>(&mut stream).now_or_never() else { return };
        assert!(stream.len() < before, "a message was read of no bytes");
        if message.check().is_err() || order.check(&message, now).is_err() {
            return;
        }
        if let FromWorker::Ended(reason) = &message {
            // As a viewer and a log are told it.
            assert!(!reason.to_string().is_empty() && !reason.code().is_empty());
        }
    }
}

/// What a viewer sends on its data channels: a text on each line. A line that begins with `~` is on the unordered one; one with `+` is a
/// pause.
pub fn viewer_messages(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let mut now = Instant::now();
    let mut viewer = ViewerInput::new(ViewerId(1), now);
    let mut queue = InputQueue::default();
    for line in text.lines() {
        let (lane, text) = match line.strip_prefix('~') {
            Some(text) => (Lane::Motion, text),
            None => (Lane::Events, line),
        };
        if let Some(pause) = line.strip_prefix('+') {
            now += Duration::from_millis(pause.parse::<u16>().unwrap_or(0).into());
        } else if let Ok(message) = ClientMessage::parse(text)
            && (lane == Lane::Events || matches!(message, ClientMessage::PointerMove(_)))
        {
            let _ = message.seq();
            viewer.apply(message, lane, now, &mut |event| {
                let _ = queue.push(event);
            });
        }
        send(&mut queue);
    }
    viewer.release_all(&mut |event| {
        let _ = queue.push(event);
    });
    send(&mut queue);
    let mut left = 0;
    viewer.release_all(&mut |_| left += 1);
    assert_eq!(left, 0, "a viewer that has let go of everything holds something");
}

/// A worker is sent nothing that it would refuse.
fn send(queue: &mut InputQueue) {
    while let Some(events) = queue.take_batch() {
        assert!(events.len() <= MAX_INPUT_BATCH);
        let message = ToWorker::Input { sequence: 1, events };
        assert!(message.check().is_ok(), "{message:?}");
    }
}

/// The body of a viewer's offer.
pub fn offer(bytes: &[u8]) {
    if let Ok(sdp) = std::str::from_utf8(bytes) {
        rtc::fuzz_offer(sdp);
    }
}

/// The body of a viewer's trickle fragment.
pub fn trickle_fragment(bytes: &[u8]) {
    if let Ok(fragment) = std::str::from_utf8(bytes) {
        rtc::fuzz_fragment(fragment);
    }
}

/// The head of an upload: on the first line what is asked for, then a header on each.
pub fn upload_head(bytes: &[u8]) {
    let mut lines = bytes.split(|byte| *byte == b'\n');
    let mut request = axum::http::Request::post(lines.next().unwrap_or_default());
    for line in lines {
        let mut parts = line.splitn(2, |byte| *byte == b':');
        request = request.header(parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    }
    // What is no request at all is the HTTP library's to refuse.
    if let Ok(request) = request.body(axum::body::Body::empty()) {
        http::fuzz_upload_head(&request);
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
    use renderer_protocol::{
        AccessUnit, AdapterInfo, EndReason, FrameSize, LogLine, LogSource, SceneFault, StageTimes,
    };

    use super::*;

    /// Variations of each input.
    const MUTATIONS: u64 = 300;

    /// The files of a target's corpus; there are some.
    fn corpus(target: &str) -> Vec<Vec<u8>> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(target);
        let mut paths: Vec<_> =
            std::fs::read_dir(&folder).unwrap().map(|file| file.unwrap().path()).collect();
        paths.sort();
        assert!(!paths.is_empty(), "{}", folder.display());
        paths.into_iter().map(|path| std::fs::read(path).unwrap()).collect()
    }

    /// As a fuzzer without eyes: bits, bytes, pieces of the same and of other inputs.
    fn mutated(random: &mut StdRng, input: &[u8], others: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = input.to_vec();
        for _ in 0..random.random_range(1..6) {
            let at = random.random_range(0..=bytes.len());
            let end = (at + random.random_range(0..64)).min(bytes.len());
            match random.random_range(0..6) {
                0 if at < bytes.len() => bytes[at] = random.random(),
                1 if at < bytes.len() => bytes[at] ^= 1 << random.random_range(0..8),
                2 => drop(bytes.drain(at..end)),
                3 => {
                    let piece = bytes[at..end].to_vec();
                    drop(bytes.splice(at..at, piece));
                }
                4 => {
                    let other = &others[random.random_range(0..others.len())];
                    let from = random.random_range(0..=other.len());
                    drop(bytes.splice(at..end, other[from..].iter().copied().take(256)));
                }
                _ => {
                    // A length, or a number, at its ends.
                    let extreme = [0, 1, 0x7f, 0x80, 0xff][random.random_range(0..5)];
                    bytes[at..end].iter_mut().take(8).for_each(|byte| *byte = extreme);
                }
            }
        }
        bytes
    }

    fn replay(inputs: &[Vec<u8>], target: impl Fn(&[u8])) {
        for (index, input) in inputs.iter().enumerate() {
            target(input);
            let mut random = StdRng::seed_from_u64(index as u64);
            for _ in 0..MUTATIONS {
                target(&mutated(&mut random, input, inputs));
            }
        }
    }

    /// What a real worker says in its life.
    fn frames() -> Vec<FromWorker> {
        let size = FrameSize::new(640, 352).unwrap();
        let unit = |pts_us, input_sequence| {
            FromWorker::AccessUnit(AccessUnit {
                pts_us,
                keyframe: pts_us == 0,
                size,
                input_sequence,
                keep_alive: false,
                times: StageTimes { scene_us: 5_000, ..StageTimes::default() },
                cpu_times: StageTimes::default(),
                data: vec![0, 0, 0, 1, 0x65, 0x88],
            })
        };
        let line = LogLine { source: LogSource::Stdout, line: "a line".to_owned() };
        vec![
            FromWorker::Started,
            unit(0, 0),
            FromWorker::Log(line),
            unit(33_333, 0),
            FromWorker::FramesDropped { count: 3 },
            FromWorker::Pong { nonce: 7 },
            unit(66_666, u64::MAX),
            FromWorker::Ended(EndReason::Finished),
            FromWorker::Ended(EndReason::Scene(SceneFault::Trap("unreachable".to_owned()))),
            FromWorker::Ended(EndReason::Scene(SceneFault::GpuTimeout { waited_ms: 5_000 })),
            FromWorker::Ended(EndReason::Internal("no GPU".to_owned())),
        ]
    }

    #[test]
    fn row_32_whatever_a_worker_sends_is_read_refused_or_ends_it() {
        let mut inputs = corpus("worker_frames");
        let encoded: Vec<_> = frames().iter().map(|message| codec::encode(message).unwrap()).collect();
        inputs.push(encoded.concat());
        inputs.extend(encoded);
        // A length that is announced and does not come.
        inputs.extend([u32::MAX, codec::MAX_MESSAGE_BYTES, 1].map(|length| length.to_le_bytes().to_vec()));
        let adapter = AdapterInfo { name: "\u{1b}[2J".repeat(2_000), driver: String::new(), is_cpu: true };
        inputs.push(codec::encode(&adapter).unwrap());
        replay(&inputs, worker_frames);
    }

    #[test]
    fn row_15_whatever_head_an_upload_has_its_name_can_be_shown_or_it_is_refused() {
        replay(&corpus("upload_head"), upload_head);
    }

    #[test]
    fn row_43_whatever_offer_comes_is_read_or_refused() {
        let mut inputs = corpus("offer");
        let good = String::from_utf8_lossy(&inputs[0]).into_owned();
        inputs.push("m=video 9 UDP/TLS/RTP/SAVPF 96\r\na=mid:0\r\n".repeat(10_000).into_bytes());
        inputs.push([good.as_bytes(), &b"a=x\r\n".repeat(200_000)].concat());
        for (from, to) in [
            ("apt=", "apt=999999999999"),
            ("a=mid:", "a=mid:0\r\na=mid:"),
            ("\r\n", "\0\r\n"),
            ("profile-level-id=42", "profile-level-id=\u{e9}"),
            ("SAVPF ", "SAVPF 300 -1 "),
        ] {
            inputs.push(good.replace(from, to).into_bytes());
        }
        replay(&inputs, offer);
    }

    #[test]
    fn row_43_an_offer_of_as_many_lines_as_there_may_be_is_answered_or_refused() {
        let good = String::from_utf8_lossy(&corpus("offer")[0]).into_owned();
        let formats: Vec<String> = (0..120).map(|format| format.to_string()).collect();
        let formats = formats.join(" ");
        let mut longest = (Duration::ZERO, String::new());
        for line in [
            "a=rtcp-fb:N nack",
            "a=rtcp-fb:109 nack",
            "a=rtcp-fb:* nack pli",
            "a=rtpmap:N H264/90000",
            "a=fmtp:N level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f",
            "a=extmap:N urn:x",
            "a=extmap:1 http://www.webrtc.org/experiments/rtp-hdrext/playout-delay",
            "a=fingerprint:sha-256 19:E2",
            "a=ssrc-group:FID N N",
            "a=ssrc:N cname:x",
            "a=rid:N send",
            "a=simulcast:send N;N",
            "a=mid:N",
            "a=setup:actpass",
            "a=ice-ufrag:N",
            "a=group:BUNDLE N",
            "a=sctp-port:5000",
            "a=x",
        ] {
            let lines = |n: usize| line.replace('N', &(n % 128).to_string()) + "\r\n";
            let room = 60_000 - good.len();
            let mut many = String::new();
            for line in (0..1_750).map(lines) {
                if many.len() + line.len() <= room {
                    many.push_str(&line);
                }
            }
            for place in ["m=video", "m=audio", "m=application"] {
                let Some(at) = good.find(place) else { continue };
                let (before, section) = good.split_at(at);
                let (media, attributes) = section.split_once("\r\n").unwrap();
                for media in [media.to_owned(), format!("{media} {formats}")] {
                    let inside = format!("{before}{media}\r\n{many}{attributes}");
                    let outside = format!("{before}{many}{media}\r\n{attributes}");
                    for sdp in [inside, outside] {
                        let began = Instant::now();
                        offer(sdp.as_bytes());
                        longest = longest.max((began.elapsed(), format!("{line} in {place}")));
                    }
                }
            }
        }
        // The promise is 10 ms; on a busy machine nothing of that can be said.
        eprintln!(
            "an offer of up to 1,750 more lines was read twice and answered within {:?}: {}",
            longest.0, longest.1
        );
    }

    #[test]
    fn row_43_whatever_trickle_fragment_comes_is_read_or_refused() {
        replay(&corpus("trickle_fragment"), trickle_fragment);
    }

    #[test]
    fn row_50_whatever_a_viewer_sends_a_worker_gets_input_that_it_takes() {
        replay(&corpus("viewer_messages"), viewer_messages);
    }
}
