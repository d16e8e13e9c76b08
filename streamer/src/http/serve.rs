//! Accepting connections: bounded in number, in the time a request head may take, and ended in order.

use std::{sync::Arc, time::Duration};

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    time::{sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// A browser opens six, a server for many viewers needs one for each for a moment. Further ones wait in the kernel's queue.
const MAX_CONNECTIONS: usize = 1024;
/// A request head is one packet; who takes longer is broken, or means to hold the connection.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// Addresses, methods and headers of a browser have two kilobytes.
const MAX_HEAD_BYTES: usize = 64 << 10;
/// After a failure to accept, mostly for want of file descriptors, some time for connections to end.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// No request takes so long, and a client that reads no answers would hold its place for ever; who has more to ask connects
/// again.
const MAX_CONNECTION_LIFE: Lifetime =
    Lifetime { open: Duration::from_mins(3), closing: Duration::from_secs(10) };
/// How long requests in progress may take when the server ends.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(2);

/// How long a connection may be held.
#[derive(Clone, Copy)]
struct Lifetime {
    /// Until it takes no further request.
    open: Duration,
    /// What the request in progress may then still take.
    closing: Duration,
}

/// Serves until `shutdown`, then lets requests in progress finish.
pub async fn serve(listener: TcpListener, router: Router, shutdown: CancellationToken) {
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
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
            Ok((stream, _)) => {
                let (router, shutdown) = (router.clone(), shutdown.clone());
                connections.spawn(async move {
                    let _place = place;
                    serve_connection(stream, router, shutdown, MAX_CONNECTION_LIFE).await;
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

async fn serve_connection(
    stream: TcpStream,
    router: Router,
    shutdown: CancellationToken,
    lifetime: Lifetime,
) {
    // Answers are small and wanted at once.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "TCP_NODELAY");
    }
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_buf_size(MAX_HEAD_BYTES)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    tokio::pin!(connection);
    let result = tokio::select! {
        result = connection.as_mut() => Ok(result),
        // Either is a reason to close.
        _ = timeout(lifetime.open, shutdown.cancelled()) => {
            connection.as_mut().graceful_shutdown();
            timeout(lifetime.closing, connection).await
        }
    };
    match result {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "connection"),
        Err(_) => tracing::debug!("a connection was cut whose client did not take its answer"),
    }
}

#[cfg(test)]
mod tests {
    use axum::routing::get;
    use tokio::io::AsyncWriteExt;

    use super::*;

    #[tokio::test]
    async fn a_client_that_does_not_read_its_answer_does_not_keep_its_place() {
        // More than the buffers of both sockets hold.
        let router = Router::new().route("/", get(|| async { vec![0_u8; 64 << 20] }));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        client.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        let lifetime = Lifetime { open: Duration::from_millis(50), closing: Duration::from_millis(50) };
        let served = serve_connection(stream, router, CancellationToken::new(), lifetime);
        let is_over = timeout(Duration::from_secs(20), served).await.is_ok();
        assert!(is_over, "the connection is still open");
    }
}
