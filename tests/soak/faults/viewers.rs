//! Viewers that do not behave.

use anyhow::{Result, ensure};
use async_trait::async_trait;
use rand::RngExt as _;
use tests::viewer::Viewer;

use super::Fault;
use crate::{patience::eventually, population, stage::Stage};

/// A viewer of a session is gone without a word, as when its network is. The session counts one viewer less.
pub struct Vanished;

#[async_trait(?Send)]
impl Fault for Vanished {
    fn name(&self) -> &'static str {
        "viewer vanished"
    }

    async fn strike(&self, stage: &mut Stage) -> Result<()> {
        let (viewer, session) = further_viewer(stage).await?;
        viewer.vanish();
        stage.struck();
        only_its_own_is_left(stage, &session).await
    }
}

/// A viewer sends what is no message, on both channels, more often than is forgiven. It is disconnected.
pub struct TalksGarbage;

/// Beyond what the server forgives, which docs/viewer-protocol.md tells.
const MESSAGES: usize = 400;
/// What a viewer can send; a longer one it refuses itself.
const MAX_GARBAGE_BYTES: usize = 4 << 10;
/// Of the form of a message, with values that are none.
const ALMOST: &[&str] = &[
    "{}",
    "[]",
    "null",
    r#"{"type":7}"#,
    r#"{"type":"pointer-move"}"#,
    r#"{"type":"pointer-move","seq":-1,"id":1e400,"kind":"nose","x":"0","y":null,"buttons":1,"pressure":2}"#,
    r#"{"type":"key-down","seq":9,"code":"KeyNone","text":"","repeat":1}"#,
    r#"{"type":"resize","width":-1,"height":1e99}"#,
    r#"{"type":"hello","version":"#,
];

#[async_trait(?Send)]
impl Fault for TalksGarbage {
    fn name(&self) -> &'static str {
        "garbage on data channels"
    }

    async fn strike(&self, stage: &mut Stage) -> Result<()> {
        let (viewer, session) = further_viewer(stage).await?;
        stage.struck();
        for number in 0..MESSAGES {
            let message = if number % 2 == 0 {
                let bytes = stage.rng.random_range(1..MAX_GARBAGE_BYTES);
                stage.garbage(bytes)
            } else {
                ALMOST[stage.rng.random_range(0..ALMOST.len())].as_bytes().to_vec()
            };
            if number % 3 == 0 {
                viewer.send_motion_bytes(&message).await;
            } else {
                viewer.send_bytes(&message).await;
            }
        }
        only_its_own_is_left(stage, &session).await?;
        ensure!(viewer.look(|seen| seen.ended.is_none()), "the viewer's nonsense ended the session");
        viewer.leave().await;
        Ok(())
    }
}

/// A second viewer of one of the sessions, and that session's id.
async fn further_viewer(stage: &mut Stage) -> Result<(Viewer, String)> {
    let index = stage.choose_session();
    let session = stage.population.member(index)?.session.clone();
    // Offers of another fault that nobody follows may have all places for a while.
    let viewer = eventually("a second viewer gets in", async || {
        Ok(population::join(&stage.server, &session).await.ok())
    })
    .await?;
    let id = session.id;
    eventually("a second viewer is counted", async || {
        Ok((stage.server.api.session(&id).await?.viewers == 2).then_some(()))
    })
    .await?;
    Ok((viewer, id))
}

async fn only_its_own_is_left(stage: &Stage, session: &str) -> Result<()> {
    eventually("the viewer is counted no more", async || {
        Ok((stage.server.api.session(session).await?.viewers == 1).then_some(()))
    })
    .await
}
