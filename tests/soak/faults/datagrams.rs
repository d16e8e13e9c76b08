//! What arrives at the port of the video and is nobody's.

use std::net::Ipv4Addr;

use anyhow::{Context as _, Result};
use async_trait::async_trait;
use rand::{RngExt as _, seq::IndexedRandom as _};
use tokio::net::UdpSocket;

use super::Fault;
use crate::stage::Stage;

const DATAGRAMS: usize = 3_000;
/// What fits into a packet of most networks.
const MAX_BYTES: usize = 1_400;
/// How a STUN request, a STUN answer, DTLS handshakes and data, RTP and RTCP begin; and what is none of them.
const BEGINNINGS: &[&[u8]] = &[
    b"\0\x01\0\x08\x21\x12\xa4\x42",
    b"\x01\x01\0\x0c\x21\x12\xa4\x42",
    b"\x16\xfe\xfd\0\0",
    b"\x17\xfe\xfd\0\x01",
    b"\x80\x60",
    b"\x80\xc8",
    b"",
];

/// Garbage from an address that nobody knows, to the port that all video goes through. Nobody notices.
pub struct Garbage;

#[async_trait(?Send)]
impl Fault for Garbage {
    fn name(&self) -> &'static str {
        "garbage datagrams"
    }

    async fn strike(&self, stage: &mut Stage) -> Result<()> {
        let port = stage.server.log.udp_address().context("the log does not tell the port of the video")?;
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        stage.struck();
        for _ in 0..DATAGRAMS {
            let beginning = BEGINNINGS.choose(&mut stage.rng).copied().unwrap_or_default();
            let rest = stage.rng.random_range(0..MAX_BYTES);
            socket.send_to(&[beginning, &stage.garbage(rest)].concat(), &port).await?;
        }
        Ok(())
    }
}
