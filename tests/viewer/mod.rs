//! A viewer of a session, made with the `webrtc` crate: joins by WHEP, receives the pictures, speaks on the data channels.
//!
//! It decodes nothing. A picture is what ends with an RTP packet that has the marker; whether it is one that a decoder can begin with
//! is read from its first packet. Like a browser it asks for lost packets again, and for a keyframe when they do not come.

mod connection;
mod network;
mod offer;
mod stream;

use std::{
    collections::VecDeque,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use serde_json::Value;
use tokio::{sync::watch, task::JoinSet, time::timeout};

use self::{connection::Connection, network::Proxy};
pub use self::{
    network::Network,
    offer::{h264_offer, offer_of},
};

/// A step that takes longer has failed; on a busy machine a handshake takes seconds.
const STEP: Duration = Duration::from_mins(1);
/// Pictures and messages that are remembered one by one: minutes of a stream.
const REMEMBERED: usize = 8_192;

/// Where a session is, and how to come to it.
#[derive(Clone, Debug, Default)]
pub struct Joining {
    /// `http://127.0.0.1:PORT`.
    pub origin: String,
    /// Its address there: `/whep/…`.
    pub whep: String,
    /// A token or a grant, where the server asks for one.
    pub bearer: Option<String>,
    /// The network between it and the server, from the beginning.
    pub network: Network,
}

/// Why a viewer could not join.
#[derive(Debug)]
pub enum JoinError {
    /// The server refused, with this status and this body.
    Refused(u16, String),
    /// The server could not be asked, or the connection did not come about.
    Failed(String),
}

/// A picture that has arrived.
#[derive(Clone, Copy, Debug)]
pub struct Picture {
    /// When its last packet came.
    pub at: Instant,
    /// Its time on the session's 90 kHz clock.
    pub rtp_timestamp: u32,
    /// Bytes of payload.
    pub bytes: usize,
    /// A decoder can begin with it.
    pub keyframe: bool,
}

/// What a viewer has seen so far.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// ICE and DTLS are done, and the connection has not ended since.
    pub connected: bool,
    /// It was connected and is not any more.
    pub disconnected: bool,
    /// Messages can be sent.
    pub channels_open: bool,
    /// Pictures, all of them.
    pub pictures: u64,
    /// Those among them that a decoder can begin with.
    pub keyframes: u64,
    /// Packets that came.
    pub packets: u64,
    /// Packets that never came, as far as is known.
    pub lost_packets: u64,
    /// Bytes of payload.
    pub bytes: u64,
    /// Keyframes that were asked for, because packets were lost.
    pub keyframe_requests: u64,
    /// The last pictures.
    pub last_pictures: VecDeque<Picture>,
    /// The last messages of the server, `stats`, `frame` and `pong` excepted.
    pub messages: VecDeque<Value>,
    /// The last `stats`.
    pub stats: Option<Value>,
    /// The code and the message of the session's end, when it was told.
    pub ended: Option<(String, String)>,
    /// When that was told.
    pub ended_at: Option<Instant>,
}

impl Seen {
    /// The longest time without a picture between `from` and now.
    pub fn longest_gap_since(&self, from: Instant) -> Duration {
        let mut last = from;
        let mut longest = Duration::ZERO;
        for picture in self.last_pictures.iter().filter(|picture| picture.at > from) {
            longest = longest.max(picture.at.duration_since(last));
            last = picture.at;
        }
        longest.max(last.elapsed())
    }

    /// Pictures that came after `from`.
    pub fn pictures_since(&self, from: Instant) -> usize {
        self.last_pictures.iter().filter(|picture| picture.at > from).count()
    }

    fn remember<T>(list: &mut VecDeque<T>, new: T) {
        if list.len() == REMEMBERED {
            list.pop_front();
        }
        list.push_back(new);
    }
}

/// A viewer that has joined. Leaves without a word when dropped.
pub struct Viewer {
    connection: Connection,
    proxy: Proxy,
    /// `/whep/{session}/{viewer}`.
    pub resource: String,
    joining: Joining,
    seen: watch::Receiver<Seen>,
    _tasks: JoinSet<()>,
}

impl Drop for Viewer {
    fn drop(&mut self) {
        self.proxy.set(Network { loss: 1.0, ..Network::default() });
    }
}

impl Viewer {
    /// Joins and waits until it is connected and its data channels are open. Everything goes through a proxy that passes all on, until
    /// [`Self::set_network`].
    pub async fn join(joining: Joining) -> Result<Self, JoinError> {
        timeout(STEP, Self::join_unbounded(joining))
            .await
            .unwrap_or_else(|_| Err(JoinError::Failed("nothing happened for a minute".to_owned())))
    }

    async fn join_unbounded(joining: Joining) -> Result<Self, JoinError> {
        let (sender, seen) = watch::channel(Seen::default());
        let seeing = Arc::new(sender);
        let mut connection = Connection::new(Arc::clone(&seeing)).await;
        let offer = connection.offer().await;
        let (answer, resource) = post_offer(&joining, offer).await?;
        let server = first_candidate(&answer)
            .ok_or_else(|| JoinError::Failed(format!("an answer without a candidate:\n{answer}")))?;
        let proxy = Proxy::start(server).await;
        proxy.set(joining.network);
        let tasks = connection.take_answer(&through(&answer, server, proxy.address())).await;
        let mut viewer = Self { connection, proxy, resource, joining, seen, _tasks: tasks };
        viewer
            .see("the connection", |seen| (seen.connected && seen.channels_open) || seen.disconnected)
            .await;
        if viewer.seen().disconnected {
            return Err(JoinError::Failed("the connection failed".to_owned()));
        }
        viewer.send(&serde_json::json!({ "type": "hello", "version": 1 })).await;
        Ok(viewer)
    }

    /// What it has seen so far.
    pub fn seen(&self) -> Seen {
        self.seen.borrow().clone()
    }

    /// Looks at what it has seen so far, without a copy of it.
    pub fn look<T>(&self, at: impl FnOnce(&Seen) -> T) -> T {
        at(&self.seen.borrow())
    }

    /// Waits until what it has seen is as wanted; fails the test when that takes a minute.
    pub async fn see(&mut self, what: &str, wanted: impl FnMut(&Seen) -> bool) -> Seen {
        let seeing = timeout(STEP, self.seen.wait_for(wanted)).await;
        let seen = seeing.ok().and_then(Result::ok).map(|seen| seen.clone());
        seen.unwrap_or_else(|| {
            let Seen { connected, disconnected, pictures, packets, lost_packets, messages, stats, .. } =
                self.seen();
            panic!(
                "waited for {what} in vain: connected {connected}, disconnected {disconnected}, {pictures} pictures, {packets} \
                 packets, {lost_packets} lost, {stats:?}, {messages:?}"
            )
        })
    }

    /// Waits for so many more pictures.
    pub async fn see_pictures(&mut self, count: u64) -> Seen {
        let wanted = self.seen().pictures + count;
        self.see("pictures", |seen| seen.pictures >= wanted).await
    }

    /// Waits until the server says that the session has ended, and how: code and message.
    pub async fn see_end(&mut self) -> (String, String) {
        let seen = self.see("the session's end", |seen| seen.ended.is_some()).await;
        seen.ended.expect("it was waited for")
    }

    /// Sends a message on the ordered channel.
    pub async fn send(&self, message: &Value) {
        // The connection may have ended, which `seen` tells.
        let _ = self.connection.events.send_text(&message.to_string()).await;
    }

    /// Sends bytes on the ordered channel, which may be no message at all.
    pub async fn send_bytes(&self, bytes: &[u8]) {
        let _ = self.connection.events.send(bytes.into()).await;
    }

    /// Sends bytes on the unordered channel.
    pub async fn send_motion_bytes(&self, bytes: &[u8]) {
        let _ = self.connection.motion.send(bytes.into()).await;
    }

    /// From now on the network between this viewer and the server is like this.
    pub fn set_network(&self, network: Network) {
        self.proxy.set(network);
    }

    /// Bytes of datagrams that the server has sent towards it, whether or not the network carried them.
    pub fn offered_bytes(&self) -> u64 {
        self.proxy.offered_bytes()
    }

    /// Leaves in order: `DELETE` of its resource, then the connection.
    pub async fn leave(self) {
        let (joining, resource) = (self.joining.clone(), self.resource.clone());
        let _ = tokio::task::spawn_blocking(move || ask(&joining, "DELETE", &resource, None)).await;
        let _ = self.connection.peer.close().await;
    }

    /// Vanishes: nothing comes from it or reaches it any more, and it says nothing.
    pub fn vanish(self) {
        drop(self);
    }
}

async fn post_offer(joining: &Joining, offer: String) -> Result<(String, String), JoinError> {
    let joining = joining.clone();
    let asking =
        tokio::task::spawn_blocking(move || ask(&joining, "POST", &joining.whep.clone(), Some(offer)));
    let (status, location, body) = asking.await.expect("asking does not panic").map_err(JoinError::Failed)?;
    if status == 201 { Ok((body, location)) } else { Err(JoinError::Refused(status, body)) }
}

/// Status, `Location` and body of an answer.
fn ask(
    joining: &Joining,
    method: &str,
    path: &str,
    body: Option<String>,
) -> Result<(u16, String, String), String> {
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .timeout_global(Some(STEP))
        .allow_non_standard_methods(true)
        .build()
        .into();
    let mut request = ureq::http::Request::builder().method(method).uri(format!("{}{path}", joining.origin));
    if let Some(bearer) = &joining.bearer {
        request = request.header("authorization", format!("Bearer {bearer}"));
    }
    let answer = match body {
        Some(body) => {
            agent.run(request.header("content-type", "application/sdp").body(body).expect("a request"))
        }
        None => agent.run(request.body(()).expect("a request")),
    };
    let mut answer = answer.map_err(|error| error.to_string())?;
    let location = answer.headers().get("location").and_then(|value| value.to_str().ok()).unwrap_or_default();
    let (status, location) = (answer.status().as_u16(), location.to_owned());
    Ok((status, location, answer.body_mut().read_to_string().map_err(|error| error.to_string())?))
}

/// The first address over UDP at which the server can be reached.
fn first_candidate(answer: &str) -> Option<SocketAddr> {
    answer.lines().filter_map(|line| line.strip_prefix("a=candidate:")).find_map(|candidate| {
        let fields: Vec<&str> = candidate.split(' ').collect();
        let (address, port) = (fields.get(4)?.parse().ok()?, fields.get(5)?.parse().ok()?);
        fields.get(2)?.eq_ignore_ascii_case("udp").then(|| SocketAddr::new(address, port))
    })
}

/// The answer with one candidate only: the proxy.
fn through(answer: &str, server: SocketAddr, proxy: SocketAddr) -> String {
    let server = format!(" {} {} ", server.ip(), server.port());
    let proxy = format!(" {} {} ", proxy.ip(), proxy.port());
    let lines = answer.split_inclusive('\n').filter_map(|line| {
        if line.starts_with("a=candidate:") {
            line.contains(&server).then(|| line.replace(&server, &proxy))
        } else {
            Some(line.to_owned())
        }
    });
    lines.collect()
}
