//! Accepting connections: bounded in number, of one address and in all, in the time that a request head may take, and ended in order.
//!
//! HTTP/1.1 and nothing else: what HTTP/2 lets one connection ask for at once is not offered.

use std::{
    collections::HashMap,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::{Router, extract::Request};
use hyper::{HeaderMap, body::Incoming, server::conn::http1, service::Service};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{RwLock, Semaphore},
    time::{sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::limits::AddressKey;

/// A browser opens six, a server for many viewers needs one for each for a moment. Further ones wait in the kernel's queue.
pub(crate) const MAX_CONNECTIONS: usize = 1024;
/// An office behind one address. So it takes several addresses to use up the places of all.
const MAX_CONNECTIONS_OF_ADDRESS: usize = 256;
/// A request head is one packet; who takes longer is broken, or means to hold the connection. It is also how long a connection may be
/// idle between two requests.
const HEADER_TIMEOUT: Duration = Duration::from_secs(5);
/// Addresses, methods and headers of a browser have two kilobytes.
const MAX_HEAD_BYTES: usize = 64 << 10;
/// After a failure to accept, mostly for want of file descriptors, some time for connections to end.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// A client that reads no answers would hold its place for ever; who has more to ask connects again. The longest request is an upload: it
/// waits for its place for half a minute, comes in within two, and has as long again to be compiled behind others.
const MAX_CONNECTION_LIFE: Lifetime = Lifetime {
    open: Duration::from_mins(3),
    answering: Duration::from_mins(5),
    closing: Duration::from_secs(10),
};
/// How long requests in progress may take when the server ends.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(2);

/// How long a connection may be held.
#[derive(Clone, Copy)]
struct Lifetime {
    /// Until it takes no further request.
    open: Duration,
    /// What the request in progress may then still take, until there is an answer.
    answering: Duration,
    /// What the client may then still take to read it.
    closing: Duration,
}

/// Who asks, beside each request: the connection's other end, or whom a trusted proxy names.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ClientAddress(pub(crate) IpAddr);

/// Serves until `shutdown`, then lets requests in progress finish. Proxies that are trusted say for whom they ask, and may have any
/// number of connections.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    trusted_proxies: Arc<[IpAddr]>,
    shutdown: CancellationToken,
) {
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let addresses = Addresses::default();
    let connections = TaskTracker::new();
    loop {
        let next = async {
            // The semaphore is never closed.
            let place = Arc::clone(&places).acquire_owned().await.ok();
            (place, listener.accept().await)
        };
        let (place, accepted) = tokio::select! {
            () = shutdown.cancelled() => break,
            next = next => next,
        };
        match accepted {
            Ok((stream, peer)) => {
                let is_proxy = trusted_proxies.contains(&peer.ip().to_canonical());
                let counted = if is_proxy { None } else { Some(addresses.enter(peer)) };
                if let Some(None) = counted {
                    tracing::debug!(%peer, "a connection was closed: its address has too many");
                    continue;
                }
                let connection = Connection {
                    peer: peer.ip(),
                    router: router.clone(),
                    trusted_proxies: Arc::clone(&trusted_proxies),
                    shutdown: shutdown.clone(),
                    lifetime: MAX_CONNECTION_LIFE,
                };
                connections.spawn(async move {
                    let _place = (place, counted);
                    connection.serve(stream).await;
                });
            }
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    connections.close();
    if timeout(DRAIN_TIMEOUT, connections.wait()).await.is_err() {
        tracing::debug!(connections = connections.len(), "connections were cut");
    }
}

/// How many connections each address has; only of those that have one.
#[derive(Clone, Default)]
struct Addresses(Arc<Mutex<HashMap<AddressKey, usize>>>);

/// One of an address's connections, as long as it exists.
struct Entered {
    addresses: Addresses,
    key: AddressKey,
}

impl Addresses {
    fn enter(&self, peer: SocketAddr) -> Option<Entered> {
        let key = AddressKey::of(peer.ip());
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(key).or_default();
        if *count >= MAX_CONNECTIONS_OF_ADDRESS {
            return None;
        }
        *count += 1;
        Some(Entered { addresses: self.clone(), key })
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        let mut counts = self.addresses.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&self.key) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                counts.remove(&self.key);
            }
        }
    }
}

struct Connection {
    peer: IpAddr,
    router: Router,
    trusted_proxies: Arc<[IpAddr]>,
    shutdown: CancellationToken,
    lifetime: Lifetime,
}

impl Connection {
    async fn serve(self, stream: TcpStream) {
        let Self { peer, router, trusted_proxies, shutdown, lifetime } = self;
        // Answers are small and wanted at once.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "TCP_NODELAY");
        }
        // Held for reading as long as a request is answered: the connection is not cut meanwhile.
        let answering = Arc::new(RwLock::new(()));
        let router = TowerToHyperService::new(router);
        let service = hyper::service::service_fn(|mut request: Request<Incoming>| {
            let client = client_address(peer, request.headers(), &trusted_proxies);
            request.extensions_mut().insert(ClientAddress(client));
            let in_progress = Arc::clone(&answering).try_read_owned().ok();
            let answer = router.call(request);
            async move {
                let _in_progress = in_progress;
                answer.await
            }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEADER_TIMEOUT)
            .max_buf_size(MAX_HEAD_BYTES)
            .serve_connection(TokioIo::new(stream), service);
        tokio::pin!(connection);
        let result = tokio::select! {
            result = connection.as_mut() => Ok(result),
            // Either is a reason to close.
            _ = timeout(lifetime.open, shutdown.cancelled()) => {
                connection.as_mut().graceful_shutdown();
                let cut = async {
                    let _ = timeout(lifetime.answering, answering.write()).await;
                    sleep(lifetime.closing).await;
                };
                tokio::select! {
                    result = connection => Ok(result),
                    () = cut => Err(()),
                }
            }
        };
        match result {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!(%error, "connection"),
            Err(()) => tracing::debug!("a connection was cut whose client did not take its answer"),
        }
    }
}

/// The last address in `X-Forwarded-For` that is no trusted proxy's, if the request comes from one; else the connection's other end.
fn client_address(peer: IpAddr, headers: &HeaderMap, trusted: &[IpAddr]) -> IpAddr {
    let peer = peer.to_canonical();
    if !trusted.contains(&peer) {
        return peer;
    }
    let lists = headers.get_all("x-forwarded-for").iter().rev();
    let texts = lists.flat_map(|list| list.to_str().unwrap_or("").rsplit(','));
    for text in texts {
        match text.trim().parse::<IpAddr>().map(|address| address.to_canonical()) {
            Ok(address) if trusted.contains(&address) => {}
            Ok(address) => return address,
            Err(_) => break,
        }
    }
    peer
}

#[cfg(test)]
mod tests {
    use axum::routing::get;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        task::JoinHandle,
    };

    use super::*;
    use crate::http::body::BoundedBody;

    const SHORT: Lifetime = Lifetime {
        open: Duration::from_millis(50),
        answering: Duration::from_millis(50),
        closing: Duration::from_millis(50),
    };

    const PATIENT: Lifetime = Lifetime { answering: Duration::from_secs(30), ..SHORT };
    const GET: &[u8] = b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n";

    fn connection(router: Router, lifetime: Lifetime) -> Connection {
        let peer = IpAddr::from([127, 0, 0, 1]);
        let shutdown = CancellationToken::new();
        Connection { peer, router, trusted_proxies: Arc::new([]), shutdown, lifetime }
    }

    /// A connection of that lifetime whose client has sent this, and its end.
    async fn served(router: Router, lifetime: Lifetime, head: &[u8]) -> (TcpStream, JoinHandle<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        client.write_all(head).await.unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        (client, tokio::spawn(connection(router, lifetime).serve(stream)))
    }

    #[tokio::test]
    async fn a_client_that_does_not_read_its_answer_does_not_keep_its_place() {
        // More than the buffers of both sockets hold.
        let router = Router::new().route("/", get(|| async { vec![0_u8; 64 << 20] }));
        let (_client, served) = served(router, SHORT, GET).await;
        let is_over = timeout(Duration::from_secs(20), served).await.is_ok_and(|ended| ended.is_ok());
        assert!(is_over, "the connection is still open");
    }

    #[tokio::test]
    async fn an_upload_that_goes_on_is_not_cut_for_the_age_of_its_connection() {
        let read = |request: Request| async move {
            let mut body = BoundedBody::new(request, 1 << 20);
            let mut bytes = 0;
            while let Some(chunk) = body.next().await.unwrap() {
                bytes += chunk.len();
            }
            bytes.to_string()
        };
        let router = Router::new().route("/", axum::routing::post(read));
        let head = b"POST / HTTP/1.1\r\nhost: localhost\r\ncontent-length: 20\r\n\r\n";
        let (mut client, served) = served(router, PATIENT, head).await;
        for _ in 0..20 {
            sleep(Duration::from_millis(10)).await;
            client.write_all(b"x").await.unwrap();
        }
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("20"), "{answer}");
        served.await.unwrap();
    }

    #[tokio::test]
    async fn a_request_that_takes_long_to_answer_is_not_cut_for_the_age_of_its_connection() {
        let slow = || async {
            sleep(Duration::from_millis(500)).await;
            "done"
        };
        let router = Router::new().route("/", get(slow));
        let (mut client, served) = served(router, PATIENT, GET).await;
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("done"), "{answer}");
        served.await.unwrap();
    }

    #[tokio::test]
    async fn a_request_that_is_never_answered_does_not_keep_its_connection() {
        let router = Router::new().route("/", get(std::future::pending::<String>));
        let (_client, served) = served(router, SHORT, GET).await;
        let is_over = timeout(Duration::from_secs(20), served).await.is_ok_and(|ended| ended.is_ok());
        assert!(is_over, "the connection is still open");
    }

    #[test]
    fn row_54_an_address_has_so_many_connections_and_another_one_its_own() {
        let addresses = Addresses::default();
        let from = |last: u8| SocketAddr::from(([192, 0, 2, last], 1));
        let mut entered: Vec<_> =
            (0..MAX_CONNECTIONS_OF_ADDRESS).map(|_| addresses.enter(from(1)).unwrap()).collect();
        assert!(addresses.enter(from(1)).is_none());
        let other = addresses.enter(from(2));
        assert!(other.is_some());
        entered.pop();
        drop(addresses.enter(from(1)).unwrap());
        drop((entered, other));
        assert!(addresses.0.lock().unwrap().is_empty(), "nothing is kept of who has left");
    }

    #[test]
    fn only_a_trusted_proxy_says_for_whom_it_asks() {
        let [proxy, inner, client] =
            ["192.0.2.1", "192.0.2.2", "198.51.100.7"].map(|text| text.parse().unwrap());
        let mut headers = HeaderMap::new();
        // The first part is what the client claims of itself.
        headers.append("x-forwarded-for", "203.0.113.9, 198.51.100.7".parse().unwrap());
        headers.append("x-forwarded-for", "192.0.2.2".parse().unwrap());
        assert_eq!(client_address(proxy, &headers, &[]), proxy);
        assert_eq!(client_address(proxy, &headers, &[proxy]), inner);
        assert_eq!(client_address(proxy, &headers, &[proxy, inner]), client);
        headers.append("x-forwarded-for", "nonsense".parse().unwrap());
        assert_eq!(client_address(proxy, &headers, &[proxy]), proxy);
        assert_eq!(client_address("::ffff:192.0.2.1".parse().unwrap(), &HeaderMap::new(), &[proxy]), proxy);
    }
}
