//! Offers that nothing can be made of, and offers that nobody follows.

use anyhow::{Result, ensure};
use async_trait::async_trait;
use rand::RngExt as _;
use tests::viewer::h264_offer;

use super::Fault;
use crate::{
    api::{Answer, Session},
    patience::eventually,
    population,
    stage::Stage,
};

const SDP: &str = "application/sdp";
/// Random changes of a good offer, in one go.
const MUTATIONS: usize = 40;
/// Places that change in each.
const MAX_CHANGES: usize = 12;

/// Offers of every malformed kind. Each is refused as the caller's fault; what can be answered after all is.
pub struct Garbage;

#[async_trait(?Send)]
impl Fault for Garbage {
    fn name(&self) -> &'static str {
        "garbage offers"
    }

    async fn strike(&self, stage: &mut Stage) -> Result<()> {
        let session = some_session(stage)?;
        stage.struck();
        for (what, offer) in malformed() {
            // Offers of before that nobody follows may still hold all places.
            let answer = eventually("room for an offer", async || {
                let answer = stage.server.api.post(&session.whep, SDP, offer.clone()).await?;
                Ok((!is_full(&answer)).then_some(answer))
            });
            let answer = answer.await?;
            ensure!(matches!(answer.status, 400 | 413 | 422), "{what}: {answer:?}");
        }
        for _ in 0..MUTATIONS {
            let offer = mutated(stage);
            let answer = stage.server.api.post(&session.whep, SDP, offer.clone()).await?;
            let is_fair = matches!(answer.status, 201 | 400 | 422) || is_full(&answer);
            ensure!(is_fair, "{answer:?} to the offer {:?}", String::from_utf8_lossy(&offer));
        }
        Ok(())
    }
}

/// As many good offers as one can make in one go, of which nobody connects. Beyond a limit they are refused for a while; a viewer that means
/// it gets in again.
pub struct NeverFollowed;

/// More than the server keeps at a time.
const OFFERS: usize = 400;

#[async_trait(?Send)]
impl Fault for NeverFollowed {
    fn name(&self) -> &'static str {
        "offers never followed"
    }

    async fn strike(&self, stage: &mut Stage) -> Result<()> {
        let mut refused = 0;
        for number in 0..OFFERS {
            let session = stage.population.member(number % stage.population.len())?.session.clone();
            let answer = stage.server.api.post(&session.whep, SDP, h264_offer()).await?;
            ensure!(answer.status == 201 || is_full(&answer), "{answer:?}");
            refused += usize::from(answer.status != 201);
        }
        ensure!(refused > 0, "{OFFERS} offers were taken");
        stage.struck();
        let session = some_session(stage)?;
        let viewer = eventually("a viewer that connects gets in", async || {
            Ok(population::join(&stage.server, &session).await.ok())
        });
        viewer.await?.leave().await;
        Ok(())
    }
}

fn some_session(stage: &mut Stage) -> Result<Session> {
    let index = stage.choose_session();
    Ok(stage.population.member(index)?.session.clone())
}

fn is_full(answer: &Answer) -> bool {
    let is_code =
        matches!(&*answer.code(), "too_many_pending_offers" | "too_many_viewers" | "too_many_requests");
    is_code && answer.retry_after
}

fn malformed() -> Vec<(&'static str, Vec<u8>)> {
    let offer = h264_offer();
    let media = &offer[offer.find("m=").unwrap_or_default()..];
    vec![
        ("nothing", b"".to_vec()),
        ("a word", b"hello".to_vec()),
        ("no media", b"v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n".to_vec()),
        ("zeros", vec![0; 1000]),
        ("no text", vec![0xff; 1000]),
        ("a long line", [b"v=0\r\na=", &*vec![b'x'; 60_000], b"\r\n"].concat()),
        ("a mebibyte", offer.repeat((1 << 20) / offer.len()).into_bytes()),
        ("thousands of media", format!("{offer}{}", "m=video 9 X 96\r\n".repeat(3_000)).into_bytes()),
        ("the same media twenty times", format!("{offer}{}", media.repeat(20)).into_bytes()),
        (
            "a retransmission of itself",
            offer.replace("a=rtpmap", "a=fmtp:96 apt=96\r\na=rtpmap").replace("H264", "rtx").into_bytes(),
        ),
        ("no fingerprint", offer.replace("a=fingerprint", "a=footprint").into_bytes()),
    ]
}

/// A good offer of which some bytes or lines are others, gone, or there twice.
fn mutated(stage: &mut Stage) -> Vec<u8> {
    let mut lines: Vec<Vec<u8>> =
        h264_offer().split_inclusive('\n').map(|line| line.as_bytes().to_vec()).collect();
    for _ in 0..stage.rng.random_range(1..=MAX_CHANGES) {
        let index = stage.rng.random_range(0..lines.len());
        match stage.rng.random_range(0..4) {
            0 if lines.len() > 1 => drop(lines.remove(index)),
            1 => lines.insert(index, lines[index].clone()),
            2 => {
                let other = stage.rng.random_range(0..lines.len());
                lines.swap(index, other);
            }
            _ => {
                let at = stage.rng.random_range(0..lines[index].len());
                // Printable, so that not all are refused for not being text.
                lines[index][at] = stage.rng.random_range(b' '..=b'~');
            }
        }
    }
    lines.concat()
}
