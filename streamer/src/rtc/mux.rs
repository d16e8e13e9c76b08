//! One UDP port for all peers.
//!
//! Owns the sockets and decides which peer a datagram is for: connectivity checks by the user name fragment in them, everything
//! else by the address that passed such a check. What a peer has not proved to need is dropped here, before it costs a queue
//! entry. Knows the shape of STUN, DTLS and RTP headers (RFC 7983), and nothing of what is in them.

use std::{
    collections::HashMap,
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::BytesMut;
use rustix::net::{AddressFamily, SocketFlags, SocketType, sockopt};
use tokio::{net::UdpSocket, sync::mpsc};
use tokio_util::sync::CancellationToken;

use super::RtcConfig;

/// Datagrams waiting for a peer. A peer's task takes them at once unless the machine is overloaded; what does not fit is lost,
/// as on any network.
const MAX_QUEUED_DATAGRAMS: usize = 256;
/// Nothing that peers exchange is larger; Ethernet carries 1500.
const MAX_DATAGRAM_BYTES: usize = 2048;
/// Addresses one peer may be reached at: its interfaces and what NATs make of them.
pub(super) const MAX_PEER_ADDRESSES: usize = 32;
/// Interfaces to offer when listening on all: each is a candidate in every answer.
const MAX_LOCAL_ADDRESSES: usize = 16;
/// How many ports are tried when any will do, which must be free at all addresses at once.
const FREE_PORT_ATTEMPTS: u32 = 16;
/// Socket buffers: a keyframe for each of a few dozen viewers. The system may give less.
const SOCKET_BUFFER_BYTES: usize = 2 * 1024 * 1024;
/// Pause after an error of a socket, so that one that fails always does not take a core.
const PAUSE_AFTER_ERROR: Duration = Duration::from_millis(20);
/// A handshake takes some ten datagrams and 5 KB, more with retransmission. Its reassembly underneath has no limit of its own.
const MAX_HANDSHAKE_DATAGRAMS: u32 = 100;
const MAX_HANDSHAKE_BYTES: u32 = 64 * 1024;

/// A datagram for a peer.
pub(super) struct Datagram {
    pub(super) at: Instant,
    /// The candidate of ours that it reached.
    pub(super) local: SocketAddr,
    pub(super) remote: SocketAddr,
    pub(super) bytes: BytesMut,
}

/// The first bytes tell what a datagram is (RFC 7983, section 7; RFC 5761, section 4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Stun,
    Dtls,
    Rtp,
    Rtcp,
    Other,
}

pub(super) fn kind(datagram: &[u8]) -> Kind {
    match datagram {
        [0..=3, ..] => Kind::Stun,
        [20..=63, ..] => Kind::Dtls,
        [128..=191, 192..=223, ..] => Kind::Rtcp,
        [128..=191, ..] => Kind::Rtp,
        _ => Kind::Other,
    }
}

/// Where a peer's datagrams go.
#[derive(Clone)]
struct Route {
    ufrag: Arc<str>,
    queue: mpsc::Sender<Datagram>,
    gate: Arc<Gate>,
}

/// What a peer may be sent before it has proved who it is.
#[derive(Debug, Default)]
pub(super) struct Gate {
    connected: AtomicBool,
    handshake_datagrams: AtomicU32,
    handshake_bytes: AtomicU32,
}

impl Gate {
    /// DTLS is done.
    pub(super) fn open(&self) {
        self.connected.store(true, Ordering::Relaxed);
    }

    fn admits(&self, datagram: &[u8]) -> bool {
        match kind(datagram) {
            Kind::Stun => true,
            // Handshake messages have one budget for the whole life of a connection: reassembly has no limit after the
            // handshake either.
            Kind::Dtls => {
                let is_connected = self.connected.load(Ordering::Relaxed);
                if is_connected && !has_handshake_record(datagram) {
                    return true;
                }
                let bytes = u32::try_from(datagram.len()).unwrap_or(u32::MAX);
                let datagrams = self.handshake_datagrams.fetch_add(1, Ordering::Relaxed);
                let total = self.handshake_bytes.fetch_add(bytes, Ordering::Relaxed);
                // A counter that wrapped would open the gate again, so it stays at its limit.
                if datagrams >= MAX_HANDSHAKE_DATAGRAMS || total.saturating_add(bytes) > MAX_HANDSHAKE_BYTES {
                    self.handshake_datagrams.store(MAX_HANDSHAKE_DATAGRAMS, Ordering::Relaxed);
                    self.handshake_bytes.store(MAX_HANDSHAKE_BYTES, Ordering::Relaxed);
                    return false;
                }
                true
            }
            Kind::Rtcp => self.connected.load(Ordering::Relaxed),
            // Viewers send no media.
            Kind::Rtp | Kind::Other => false,
        }
    }
}

/// Whether a DTLS datagram has a record that is not application data or an alert (RFC 6347, section 4.1).
fn has_handshake_record(mut datagram: &[u8]) -> bool {
    const APPLICATION_DATA: u8 = 23;
    const ALERT: u8 = 21;
    const HEADER_BYTES: usize = 13;
    while let Some((header, rest)) = datagram.split_at_checked(HEADER_BYTES) {
        let [content_type, .., high, low] = header else { return true };
        if *content_type != APPLICATION_DATA && *content_type != ALERT {
            return true;
        }
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        match rest.get(length..) {
            Some(next) => datagram = next,
            None => return true,
        }
    }
    !datagram.is_empty()
}

#[derive(Default)]
struct Tables {
    by_ufrag: HashMap<Arc<str>, Route>,
    by_address: HashMap<SocketAddr, Route>,
}

struct LocalSocket {
    socket: UdpSocket,
    candidates: Vec<SocketAddr>,
}

/// The sockets and who is reached through them.
pub(super) struct Mux {
    sockets: Vec<LocalSocket>,
    local_addr: SocketAddr,
    tables: Mutex<Tables>,
}

impl Mux {
    /// Binds the sockets: one, or one for each interface when `config` listens on all, so that an answer comes from the
    /// address that was asked.
    pub(super) fn bind(config: &RtcConfig) -> io::Result<Arc<Self>> {
        let is_any_port = config.listen.port() == 0;
        let mut attempts_left = FREE_PORT_ATTEMPTS;
        loop {
            attempts_left = attempts_left.saturating_sub(1);
            match Self::bind_once(config) {
                // The port that was free at one address is somebody's at another: another port may be free at all.
                Err(error)
                    if is_any_port && attempts_left > 0 && error.kind() == io::ErrorKind::AddrInUse => {}
                bound => return bound,
            }
        }
    }

    fn bind_once(config: &RtcConfig) -> io::Result<Arc<Self>> {
        let mut sockets: Vec<LocalSocket> = Vec::new();
        let mut port = config.listen.port();
        for (ip, candidate_ips) in local_addresses(config)? {
            match bind_socket(SocketAddr::new(ip, port)) {
                Ok(socket) => {
                    port = socket.local_addr()?.port();
                    let candidates =
                        candidate_ips.into_iter().map(|candidate| SocketAddr::new(candidate, port)).collect();
                    sockets.push(LocalSocket { socket, candidates });
                }
                // An interface may vanish between the listing and here; the one that was asked for by name may not.
                Err(error)
                    if config.listen.ip().is_unspecified() && error.kind() != io::ErrorKind::AddrInUse =>
                {
                    tracing::warn!(%ip, %error, "cannot listen on this interface");
                }
                Err(error) => return Err(error),
            }
        }
        if sockets.is_empty() {
            return Err(io::Error::new(io::ErrorKind::AddrNotAvailable, "no interface has a usable address"));
        }
        Ok(Arc::new(Self {
            sockets,
            local_addr: SocketAddr::new(config.listen.ip(), port),
            tables: Mutex::default(),
        }))
    }

    /// Starts to receive, until `stop`.
    pub(super) fn start(self: &Arc<Self>, tracker: &tokio_util::task::TaskTracker, stop: &CancellationToken) {
        for index in 0..self.sockets.len() {
            let (mux, stop) = (Arc::clone(self), stop.clone());
            tracker.spawn(async move {
                tokio::select! {
                    () = stop.cancelled() => {}
                    () = mux.receive(index) => {}
                }
            });
        }
    }

    pub(super) fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// The host candidates of an answer.
    pub(super) fn candidates(&self) -> Vec<SocketAddr> {
        self.sockets.iter().flat_map(|socket| socket.candidates.iter().copied()).collect()
    }

    pub(super) fn peers(&self) -> usize {
        self.tables().by_ufrag.len()
    }

    /// Makes a peer reachable by `ufrag`. Dropping the registration takes it out again.
    pub(super) fn register(self: &Arc<Self>, ufrag: &str) -> (Registration, mpsc::Receiver<Datagram>) {
        let (queue, datagrams) = mpsc::channel(MAX_QUEUED_DATAGRAMS);
        let route = Route { ufrag: ufrag.into(), queue, gate: Arc::default() };
        self.tables().by_ufrag.insert(Arc::clone(&route.ufrag), route.clone());
        (Registration { mux: Arc::clone(self), route, addresses: Vec::new() }, datagrams)
    }

    /// Sends from the candidate `local`. What the system does not take is lost, as on any network.
    pub(super) async fn send(&self, local: SocketAddr, remote: SocketAddr, bytes: &[u8]) {
        let same_family = |socket: &&LocalSocket| {
            socket.candidates.iter().any(|candidate| candidate.is_ipv4() == remote.is_ipv4())
        };
        let socket = self
            .sockets
            .iter()
            .find(|socket| socket.candidates.contains(&local))
            .or_else(|| self.sockets.iter().find(same_family));
        if let Some(socket) = socket
            && let Err(error) = socket.socket.send_to(bytes, remote).await
        {
            tracing::debug!(%remote, %error, "a datagram could not be sent");
        }
    }

    async fn receive(&self, index: usize) {
        let Some(LocalSocket { socket, candidates }) = self.sockets.get(index) else { return };
        let mut buffer = vec![0_u8; MAX_DATAGRAM_BYTES];
        loop {
            match socket.recv_from(&mut buffer).await {
                Ok((length, remote)) => {
                    // A datagram that fills the buffer was cut.
                    let Some(bytes) = buffer.get(..length).filter(|_| length < MAX_DATAGRAM_BYTES) else {
                        continue;
                    };
                    let local = candidates
                        .iter()
                        .find(|candidate| candidate.is_ipv4() == remote.is_ipv4())
                        .or_else(|| candidates.first());
                    if let Some(local) = local {
                        self.dispatch(*local, remote, bytes);
                    }
                }
                Err(error) => {
                    tracing::debug!(%error, "a datagram could not be received");
                    tokio::time::sleep(PAUSE_AFTER_ERROR).await;
                }
            }
        }
    }

    fn dispatch(&self, local: SocketAddr, remote: SocketAddr, bytes: &[u8]) {
        let route = {
            let tables = self.tables();
            match ufrag_of_request(bytes) {
                Some(ufrag) => tables.by_ufrag.get(ufrag),
                None => tables.by_address.get(&remote),
            }
            .cloned()
        };
        let Some(route) = route.filter(|route| route.gate.admits(bytes)) else { return };
        let datagram = Datagram { at: Instant::now(), local, remote, bytes: BytesMut::from(bytes) };
        if route.queue.try_send(datagram).is_err() {
            tracing::trace!(%remote, "a datagram was dropped: its peer's queue is full");
        }
    }

    fn tables(&self) -> MutexGuard<'_, Tables> {
        // The tables are whole after each statement, whatever panicked.
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A peer's place in the tables.
pub(super) struct Registration {
    mux: Arc<Mux>,
    route: Route,
    addresses: Vec<SocketAddr>,
}

impl Registration {
    pub(super) fn mux(&self) -> &Mux {
        &self.mux
    }

    pub(super) fn gate(&self) -> &Gate {
        &self.route.gate
    }

    /// Takes `remote` as the peer's, after it proved so with a connectivity check. An address that another living peer proved
    /// first stays with that one: a forged source address must not take a viewer's packets away.
    pub(super) fn learn(&mut self, remote: SocketAddr) {
        if self.addresses.contains(&remote) || self.addresses.len() >= MAX_PEER_ADDRESSES {
            return;
        }
        let mut tables = self.mux.tables();
        if let std::collections::hash_map::Entry::Vacant(vacant) = tables.by_address.entry(remote) {
            vacant.insert(self.route.clone());
            drop(tables);
            self.addresses.push(remote);
        }
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        let mut tables = self.mux.tables();
        tables.by_ufrag.remove(&self.route.ufrag);
        for address in &self.addresses {
            tables.by_address.remove(address);
        }
    }
}

/// The local user name fragment of a STUN binding request (RFC 8445, section 7.2.2), which is for the one that it names.
fn ufrag_of_request(datagram: &[u8]) -> Option<&str> {
    const BINDING_REQUEST: [u8; 2] = [0, 1];
    const MAGIC_COOKIE: [u8; 4] = [0x21, 0x12, 0xa4, 0x42];
    const HEADER_BYTES: usize = 20;
    const USERNAME: u16 = 6;
    let (header, mut attributes) = datagram.split_at_checked(HEADER_BYTES)?;
    if header.get(..2)? != BINDING_REQUEST || header.get(4..8)? != MAGIC_COOKIE {
        return None;
    }
    while let Some(([type_high, type_low, length_high, length_low], rest)) =
        attributes.split_first_chunk::<4>()
    {
        let length = usize::from(u16::from_be_bytes([*length_high, *length_low]));
        let value = rest.get(..length)?;
        if u16::from_be_bytes([*type_high, *type_low]) == USERNAME {
            return std::str::from_utf8(value).ok()?.split(':').next();
        }
        attributes = rest.get(length.next_multiple_of(4)..)?;
    }
    None
}

/// Addresses to bind, each with the addresses to offer for it.
fn local_addresses(config: &RtcConfig) -> io::Result<Vec<(IpAddr, Vec<IpAddr>)>> {
    let listen = config.listen.ip();
    let serves = |ip: &IpAddr| listen.is_ipv6() || ip.is_ipv4();
    if !config.public_ips.is_empty() {
        let families: &[IpAddr] = match listen {
            IpAddr::V6(ip) if ip.is_unspecified() => &[IpAddr::V4(Ipv4Addr::UNSPECIFIED), listen],
            _ => &[listen],
        };
        return Ok(families
            .iter()
            .map(|bound| {
                let offered = config.public_ips.iter().filter(|ip| ip.is_ipv4() == bound.is_ipv4());
                (*bound, offered.copied().take(MAX_LOCAL_ADDRESSES).collect::<Vec<IpAddr>>())
            })
            .filter(|(_, offered)| !offered.is_empty())
            .collect());
    }
    if !listen.is_unspecified() {
        return Ok(vec![(listen, vec![listen])]);
    }
    let mut addresses: Vec<IpAddr> = rtc::shared::ifaces::ifaces()?
        .into_iter()
        .filter_map(|interface| Some(interface.addr?.ip()))
        .filter(|ip| serves(ip) && !is_link_local(*ip))
        .collect();
    // Loopback is last, for viewers on this machine that have nothing better.
    addresses.sort_by_key(|ip| (ip.is_loopback(), *ip));
    addresses.dedup();
    addresses.truncate(MAX_LOCAL_ADDRESSES);
    Ok(addresses.into_iter().map(|ip| (ip, vec![ip])).collect())
}

/// Link-local addresses need a scope that candidates cannot carry.
fn is_link_local(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_link_local() || ip == Ipv4Addr::UNSPECIFIED,
        IpAddr::V6(ip) => ip.is_unicast_link_local() || ip == Ipv6Addr::UNSPECIFIED,
    }
}

fn bind_socket(address: SocketAddr) -> io::Result<UdpSocket> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(family, SocketType::DGRAM, flags, None)?;
    if address.is_ipv6() {
        sockopt::set_ipv6_v6only(&socket, true)?;
    }
    // The system's maximum may be lower; a smaller buffer works.
    let _ = sockopt::set_socket_recv_buffer_size(&socket, SOCKET_BUFFER_BYTES);
    let _ = sockopt::set_socket_send_buffer_size(&socket, SOCKET_BUFFER_BYTES);
    rustix::net::bind(&socket, &address)?;
    UdpSocket::from_std(std::net::UdpSocket::from(socket))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(username: &str) -> Vec<u8> {
        let mut datagram = vec![0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42];
        datagram.extend([7; 12]);
        datagram.extend([0x80, 0x22, 0, 3, b'a', b'b', b'c', 0]);
        datagram.extend([0, 6, 0, u8::try_from(username.len()).unwrap()]);
        datagram.extend(username.as_bytes());
        datagram.resize(datagram.len().next_multiple_of(4), 0);
        datagram
    }

    #[test]
    fn a_connectivity_check_names_the_peer_that_it_is_for() {
        assert_eq!(ufrag_of_request(&request("server:browser")), Some("server"));
        for cut in 0..request("server:browser").len() {
            // Any cut datagram is without a name or with the right one, and never a panic.
            let name = ufrag_of_request(&request("server:browser")[..cut]).map(str::to_owned);
            assert!(name.is_none_or(|name| name == "server"));
        }
    }

    #[test]
    fn kinds_are_told_apart_by_their_first_bytes() {
        assert_eq!(kind(&[0, 1]), Kind::Stun);
        assert_eq!(kind(&[22, 254]), Kind::Dtls);
        assert_eq!(kind(&[0x80, 96]), Kind::Rtp);
        assert_eq!(kind(&[0x81, 206]), Kind::Rtcp);
        assert_eq!(kind(&[]), Kind::Other);
    }

    #[test]
    fn a_peer_that_is_not_connected_is_heard_for_a_handshake_and_no_more() {
        let gate = Gate::default();
        let record = [22, 254, 253, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        let admitted = (0..1000).filter(|_| gate.admits(&record)).count();
        assert_eq!(admitted, 100);
        let gate = Gate::default();
        let large = vec![22_u8; 1500];
        let admitted = (0..1000).filter(|_| gate.admits(&large)).count();
        assert_eq!(admitted, 43, "64 KB");
        assert!(!gate.admits(&[0x81, 206]), "RTCP before the keys are there");
    }

    #[test]
    fn a_connected_peer_is_heard_without_limit_but_for_handshake_records() {
        let gate = Gate::default();
        gate.open();
        let data = [23, 254, 253, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 9];
        assert_eq!((0..1000).filter(|_| gate.admits(&data)).count(), 1000);
        let mut hidden = data.to_vec();
        hidden.extend([22, 254, 253, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!((0..1000).filter(|_| gate.admits(&hidden)).count(), 100);
        assert!(gate.admits(&data), "the connection goes on");
        assert!(gate.admits(&[0x81, 206]));
        assert!(!gate.admits(&[0x80, 96]), "viewers send no media");
    }

    #[tokio::test]
    async fn listening_on_all_interfaces_offers_each_and_loopback_last() {
        let config = RtcConfig {
            listen: SocketAddr::from(([0, 0, 0, 0], 0)),
            public_ips: Vec::new(),
            playout_delay_ms: None,
        };
        let mux = Mux::bind(&config).unwrap();
        let candidates = mux.candidates();
        assert!(candidates.iter().all(|candidate| candidate.port() == mux.local_addr().port()));
        assert!(candidates.last().unwrap().ip().is_loopback());
    }

    #[tokio::test]
    async fn public_addresses_are_offered_instead_of_the_socket_s_own() {
        let public: IpAddr = "203.0.113.7".parse().unwrap();
        let config = RtcConfig {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            public_ips: vec![public],
            playout_delay_ms: None,
        };
        let mux = Mux::bind(&config).unwrap();
        assert_eq!(mux.candidates(), [SocketAddr::new(public, mux.local_addr().port())]);
    }

    #[tokio::test]
    async fn an_address_stays_with_the_peer_that_proved_it_first_until_that_is_gone() {
        let config = RtcConfig {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            public_ips: Vec::new(),
            playout_delay_ms: None,
        };
        let mux = Mux::bind(&config).unwrap();
        let viewer = SocketAddr::from(([192, 0, 2, 1], 5000));
        let (mut first, mut first_queue) = mux.register("first");
        let (mut second, mut second_queue) = mux.register("second");
        first.gate().open();
        second.gate().open();
        first.learn(viewer);
        second.learn(viewer);
        mux.dispatch(mux.local_addr(), viewer, &[0x81, 206]);
        assert!(first_queue.try_recv().is_ok());
        assert!(second_queue.try_recv().is_err());
        drop(first);
        second.learn(viewer);
        mux.dispatch(mux.local_addr(), viewer, &[0x81, 206]);
        assert!(second_queue.try_recv().is_ok());
        drop(second);
        assert_eq!(mux.peers(), 0);
        assert!(mux.tables().by_address.is_empty());
    }
}
