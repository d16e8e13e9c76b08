//! A network between one viewer and the server: a UDP proxy that loses, delays and throttles by a seed.

use std::{
    collections::VecDeque,
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use rand::{RngExt, SeedableRng, rngs::StdRng};
use tokio::task::JoinSet;
use tokio::{
    net::UdpSocket,
    time::{Instant, sleep_until},
};

/// The longest datagram there is.
const MAX_DATAGRAM_BYTES: usize = 65_536;
/// What a throttled line keeps waiting, in time: as much as a router of a slow line does.
const MAX_QUEUE: Duration = Duration::from_millis(500);

/// How the way between a viewer and the server is. The default passes everything on at once.
#[derive(Clone, Copy, Debug, Default)]
pub struct Network {
    /// What the losses and delays are drawn from.
    pub seed: u64,
    /// The part of all datagrams that is lost, either way: 0 to 1.
    pub loss: f64,
    /// The part that is delivered twice, either way.
    pub duplicate: f64,
    /// What the line to the viewer carries in bits a second; `None` is everything.
    pub rate_bps: Option<u64>,
    /// How long every datagram travels, either way.
    pub delay: Duration,
    /// A part of this, drawn for each datagram, is added; so datagrams overtake each other.
    pub jitter: Duration,
}

pub(super) struct Proxy {
    address: SocketAddr,
    network: Arc<Mutex<Network>>,
    offered_bytes: Arc<AtomicU64>,
    _task: JoinSet<()>,
}

impl Proxy {
    pub(super) async fn start(server: SocketAddr) -> Self {
        let loopback = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let (front, back) =
            (UdpSocket::bind(loopback).await.unwrap(), UdpSocket::bind(loopback).await.unwrap());
        let address = front.local_addr().unwrap();
        let network = Arc::<Mutex<Network>>::default();
        let offered_bytes = Arc::<AtomicU64>::default();
        let mut task = JoinSet::new();
        task.spawn(pass(front, back, server, Arc::clone(&network), Arc::clone(&offered_bytes)));
        Self { address, network, offered_bytes, _task: task }
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// What the server has sent towards the viewer, whether or not the network carried it.
    pub(super) fn offered_bytes(&self) -> u64 {
        self.offered_bytes.load(Ordering::Relaxed)
    }

    pub(super) fn set(&self, network: Network) {
        *self.network.lock().unwrap_or_else(PoisonError::into_inner) = network;
    }
}

/// One direction.
#[derive(Default)]
struct Line {
    /// In the order in which they arrive.
    travelling: VecDeque<(Instant, Vec<u8>)>,
    /// When the line has sent what it has taken.
    free_at: Option<Instant>,
}

impl Line {
    fn take(&mut self, datagram: &[u8], network: &Network, rate_bps: Option<u64>, random: &mut StdRng) {
        if random.random::<f64>() < network.loss {
            return;
        }
        let now = Instant::now();
        let mut sent_at = now;
        if let Some(rate_bps) = rate_bps {
            let begins = self.free_at.map_or(now, |free_at| free_at.max(now));
            if begins.duration_since(now) > MAX_QUEUE {
                return;
            }
            sent_at = begins + Duration::from_nanos(datagram.len() as u64 * 8 * 1_000_000_000 / rate_bps);
            self.free_at = Some(sent_at);
        }
        let copies = if random.random::<f64>() < network.duplicate { 2 } else { 1 };
        for _ in 0..copies {
            let arrives = sent_at + network.delay + network.jitter.mul_f64(random.random());
            let place = self.travelling.partition_point(|(other, _)| *other <= arrives);
            self.travelling.insert(place, (arrives, datagram.to_vec()));
        }
    }

    fn next_at(&self) -> Option<Instant> {
        self.travelling.front().map(|(at, _)| *at)
    }

    fn arrived(&mut self) -> Option<Vec<u8>> {
        if self.next_at()? > Instant::now() {
            return None;
        }
        self.travelling.pop_front().map(|(_, datagram)| datagram)
    }
}

async fn pass(
    front: UdpSocket,
    back: UdpSocket,
    server: SocketAddr,
    network: Arc<Mutex<Network>>,
    offered_bytes: Arc<AtomicU64>,
) {
    let mut random: Option<(u64, StdRng)> = None;
    let (mut up, mut down) = (Line::default(), Line::default());
    let mut viewer = None;
    let (mut up_buffer, mut down_buffer) = (vec![0; MAX_DATAGRAM_BYTES], vec![0; MAX_DATAGRAM_BYTES]);
    loop {
        let next = [up.next_at(), down.next_at()].into_iter().flatten().min();
        tokio::select! {
            Ok((bytes, from)) = front.recv_from(&mut up_buffer) => {
                viewer = Some(from);
                let (network, random) = current(&network, &mut random);
                up.take(&up_buffer[..bytes], &network, None, random);
            }
            Ok((bytes, _)) = back.recv_from(&mut down_buffer) => {
                offered_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
                let (network, random) = current(&network, &mut random);
                down.take(&down_buffer[..bytes], &network, network.rate_bps, random);
            }
            () = async { sleep_until(next.unwrap_or_else(Instant::now)).await }, if next.is_some() => {}
        }
        while let Some(datagram) = up.arrived() {
            let _ = back.send_to(&datagram, server).await;
        }
        while let Some(datagram) = down.arrived() {
            if let Some(viewer) = viewer {
                let _ = front.send_to(&datagram, viewer).await;
            }
        }
    }
}

/// The network as it is now, and its source of chance, which begins anew with each seed.
fn current<'a>(network: &Mutex<Network>, random: &'a mut Option<(u64, StdRng)>) -> (Network, &'a mut StdRng) {
    let network = *network.lock().unwrap_or_else(PoisonError::into_inner);
    if random.as_ref().is_none_or(|(seed, _)| *seed != network.seed) {
        *random = None;
    }
    let (_, random) = random.get_or_insert_with(|| (network.seed, StdRng::seed_from_u64(network.seed)));
    (network, random)
}
