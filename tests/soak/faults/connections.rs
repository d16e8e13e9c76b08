//! Clients that take their time.

use std::time::Duration;

use anyhow::{Context as _, Result};
use async_trait::async_trait;
use rand::RngExt as _;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    task::JoinSet,
    time::{sleep, timeout},
};

use super::Fault;
use crate::{
    patience::{PATIENCE, eventually},
    server::MOVING_SCENE,
    stage::Stage,
};

/// Of a kind; together fewer than one address may have.
const CONNECTIONS: usize = 8;
/// As many as one owner may have on the way at a time: a further one waits for its turn, and is ended later.
const UPLOADS: usize = 2;
/// Between two bytes.
const PAUSE: Duration = Duration::from_millis(500);
/// What the client says at once, before it says the rest a byte at a time; and the rest, over and over.
const KINDS: &[(usize, &str, &str)] = &[
    // A head that never ends.
    (CONNECTIONS, "GET /api/scenes HTTP/1.1\r\n", "x: y\r\n"),
    // A body that comes far too slowly.
    (
        CONNECTIONS,
        "POST /api/sessions HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\ncontent-length: 10000\r\n\r\n",
        " ",
    ),
    (
        UPLOADS,
        "POST /api/scenes?name=slow HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/wasm\r\ncontent-length: 1000000\r\n\r\n",
        "\0",
    ),
];

/// Connections that send a byte now and then. The server answers others meanwhile, and ends each of these by itself.
pub struct Dribbling;

#[async_trait(?Send)]
impl Fault for Dribbling {
    fn name(&self) -> &'static str {
        "dribbling connections"
    }

    async fn strike(&self, stage: &mut Stage) -> Result<()> {
        let address = stage.server.api.origin.trim_start_matches("http://").to_owned();
        let mut clients = JoinSet::new();
        for &(count, head, rest) in KINDS {
            for _ in 0..count {
                let address = address.clone();
                clients.spawn(async move { timeout(PATIENCE, dribble(&address, head, rest)).await });
            }
        }
        stage.struck();
        stage.server.api.scenes().await.context("while others dribble")?;
        while let Some(ended) = clients.join_next().await {
            ended?.context("the server keeps a connection that dribbles")?;
        }
        Ok(())
    }
}

/// Sessions that are asked for by clients that do not wait for the answer.
const ABANDONED: usize = 6;
/// Within this time a client loses its patience; a session takes about as long to begin.
const MAX_WAIT_MS: u64 = 500;

/// Clients ask for a session and hang up before it is there. What was begun for them is undone; what came about can be ended; and no
/// process is left.
pub struct HangsUp;

#[async_trait(?Send)]
impl Fault for HangsUp {
    fn name(&self) -> &'static str {
        "client hangs up"
    }

    async fn strike(&self, stage: &mut Stage) -> Result<()> {
        let address = stage.server.api.origin.trim_start_matches("http://").to_owned();
        let body = format!("{{\"scene\":{MOVING_SCENE:?}}}");
        let request = format!(
            "POST /api/sessions HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        for _ in 0..ABANDONED {
            let mut stream = TcpStream::connect(&address).await?;
            stream.write_all(request.as_bytes()).await?;
            sleep(Duration::from_millis(stage.rng.random_range(0..MAX_WAIT_MS))).await;
        }
        stage.struck();
        let Stage { server, population, children_at_rest, .. } = stage;
        let children = *children_at_rest + population.len();
        eventually("nothing is left of abandoned sessions", async || {
            for session in server.api.live_sessions().await? {
                if population.iter().all(|watched| watched.session.id != session.id) {
                    server.api.delete_session(&session.id).await?;
                }
            }
            Ok((server.children().len() <= children).then_some(()))
        })
        .await
    }
}

/// Sends until the server does not take or say any more.
async fn dribble(address: &str, head: &str, rest: &str) {
    // A server that does not take the connection at all has ended it.
    let Ok(mut stream) = TcpStream::connect(address).await else { return };
    let _ = stream.write_all(head.as_bytes()).await;
    let (mut reader, mut writer) = stream.split();
    let listens = async {
        let mut answer = [0; 4096];
        while reader.read(&mut answer).await.is_ok_and(|bytes| bytes > 0) {}
    };
    let talks = async {
        for byte in rest.bytes().cycle() {
            if writer.write_all(&[byte]).await.is_err() {
                return;
            }
            sleep(PAUSE).await;
        }
    };
    tokio::select! {
        () = listens => {}
        () = talks => {}
    }
}
