//! The one socket and the peers behind it: takes offers, makes peers, ends them.

use std::{
    io,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use rand::{RngExt as _, distr::Alphanumeric};
use tokio::sync::mpsc;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    Answer, OfferError, Peer, PeerEvent, RtcConfig,
    driver::{CONNECT_TIMEOUT, Driver, Wiring},
    engine::{self, Parameters},
    mux::Mux,
    offer,
    peer::{MAX_QUEUED_TEXTS, Shared},
};

/// Events that may wait for a session. Further texts stay with the viewer: the window of its association closes.
const MAX_QUEUED_EVENTS: usize = 128;
/// Viewers of one server; each costs some 200 KB and one to two percent of a core.
const MAX_PEERS: usize = 1024;
/// Characters of ICE credentials: 48 bits and 143 bits of chance, more than RFC 8445, section 5.3 asks for.
const UFRAG_CHARACTERS: usize = 8;
const PASSWORD_CHARACTERS: usize = 24;
/// A session that takes no events is given so long to take the last one.
const LAST_EVENT_TIMEOUT: Duration = Duration::from_secs(5);
/// Peers are told that the server ends; none of them can hold it up.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(3);

/// The one socket, and what all peers share.
pub struct RtcServer {
    mux: Arc<Mux>,
    playout_delay_ms: Option<(u16, u16)>,
    connect_timeout: Duration,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl RtcServer {
    /// Binds the socket and starts to receive.
    #[expect(clippy::unused_async, reason = "must be called where there is a runtime to receive on")]
    pub async fn bind(config: RtcConfig) -> io::Result<Arc<Self>> {
        Self::with_connect_timeout(&config, CONNECT_TIMEOUT)
    }

    pub(super) fn with_connect_timeout(
        config: &RtcConfig,
        connect_timeout: Duration,
    ) -> io::Result<Arc<Self>> {
        let mux = Mux::bind(config)?;
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        mux.start(&tasks, &stop);
        let playout_delay_ms = config.playout_delay_ms;
        Ok(Arc::new(Self { mux, playout_delay_ms, connect_timeout, tasks, stop }))
    }

    /// The address of the one socket, with the port that was taken when zero was asked for.
    pub fn local_addr(&self) -> SocketAddr {
        self.mux.local_addr()
    }

    /// Makes a peer for an offer. The receiver gets its events, [`PeerEvent::Closed`] last; it is bounded, and a session that
    /// does not take its events makes the viewer's texts wait.
    pub async fn accept(
        &self,
        offer_sdp: &str,
    ) -> Result<(Answer, Peer, mpsc::Receiver<PeerEvent>), OfferError> {
        let offer = offer::check(offer_sdp)?;
        if self.stop.is_cancelled() {
            return Err(OfferError::ShuttingDown);
        }
        if self.mux.peers() >= MAX_PEERS {
            return Err(OfferError::Full);
        }
        let shared = Arc::<Shared>::default();
        let ufrag = random_characters(UFRAG_CHARACTERS);
        let parameters = Parameters {
            candidates: self.mux.candidates(),
            ufrag: ufrag.clone(),
            password: random_characters(PASSWORD_CHARACTERS),
            playout_delay_ms: self.playout_delay_ms,
            counters: Arc::clone(&shared.counters),
            target_bps: Arc::clone(&shared.target_bps),
        };
        // Certificates and keys take a few milliseconds of a core, and a panic over a hostile offer ends that thread's work only.
        let engine = tokio::task::spawn_blocking(move || engine::build(&offer, &parameters, Instant::now()))
            .await
            .map_err(|_| OfferError::Malformed("it cannot be understood".to_owned()))??;
        let answer = Answer { sdp: engine.answer_sdp.clone() };

        let (registration, datagrams) = self.mux.register(&ufrag);
        let (events, event_receiver) = mpsc::channel(MAX_QUEUED_EVENTS);
        let (texts, text_receiver) = mpsc::channel(MAX_QUEUED_TEXTS);
        let (stop, finished) = (self.stop.child_token(), CancellationToken::new());
        let driver = Driver::new(Wiring {
            engine,
            registration,
            shared: Arc::clone(&shared),
            events: events.clone(),
            datagrams,
            texts: text_receiver,
            stop: stop.clone(),
            connect_timeout: self.connect_timeout,
        });
        self.supervise(driver, events, finished.clone());
        Ok((answer, Peer::new(shared, texts, stop, finished), event_receiver))
    }

    /// Closes all peers and stops to receive.
    pub async fn shutdown(&self) {
        self.stop.cancel();
        self.tasks.close();
        if tokio::time::timeout(SHUTDOWN_TIMEOUT, self.tasks.wait()).await.is_err() {
            tracing::warn!("some peers did not end in time");
        }
    }

    /// Runs a driver, and reports its end even if it panics over what a viewer sent.
    fn supervise(&self, driver: Driver, events: mpsc::Sender<PeerEvent>, finished: CancellationToken) {
        let driving = self.tasks.spawn(driver.run());
        self.tasks.spawn(async move {
            let reason = driving.await.unwrap_or_else(|error| {
                tracing::error!(%error, "a connection ended by a bug");
                "the connection failed".to_owned()
            });
            // Before the event: a session that waits for the end takes no events meanwhile.
            finished.cancel();
            let _ = tokio::time::timeout(LAST_EVENT_TIMEOUT, events.send(PeerEvent::Closed(reason))).await;
        });
    }
}

fn random_characters(count: usize) -> String {
    rand::rng().sample_iter(Alphanumeric).take(count).map(char::from).collect()
}
