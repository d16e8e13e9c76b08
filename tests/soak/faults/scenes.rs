//! Scenes that do their worst.

use std::{
    cell::Cell,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use async_trait::async_trait;

use super::Fault;
use crate::{api::Session, patience::eventually, population, processes, stage::Stage};

/// A scene that has not ended by then is one that may go on, or that takes its time: it is ended.
const RUN: Duration = Duration::from_secs(8);
/// How often is looked whether it has.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);
/// How a session ends that somebody ends.
const DELETED: &str = "deleted";
/// How a session ends whose process was ended by what its scene made it do, or by what keeps it in its place.
const BY_FORCE: &[&str] = &["worker_died", "worker_unresponsive"];
/// How a session ends by its scene.
const BY_ITSELF: &str = "finished";

/// A session of the next of the hostile scenes, with a viewer. It ends with a reason that is the scene's, of which the viewer is told, or
/// it can be ended; its process is gone then.
#[derive(Default)]
pub struct Hostile {
    next: Cell<usize>,
}

#[async_trait(?Send)]
impl Fault for Hostile {
    fn name(&self) -> &'static str {
        "hostile scene"
    }

    /// There are as many of them as of all other faults.
    fn per_round(&self) -> usize {
        4
    }

    async fn strike(&self, stage: &mut Stage) -> Result<()> {
        let turn = self.next.replace(self.next.get() + 1);
        let scenes = &stage.server.hostile_scenes;
        let scene = scenes.get(turn % scenes.len().max(1)).context("there are no hostile scenes")?.clone();
        let code = run(stage, &scene).await.with_context(|| scene.clone())?;
        *stage.scene_ends.entry(scene).or_default().entry(code).or_default() += 1;
        Ok(())
    }
}

/// Runs a scene to its end, and returns the code of that.
async fn run(stage: &mut Stage, scene: &str) -> Result<String> {
    let answer = stage.server.api.ask_for_session(scene).await?.expect(&[201, 422])?;
    stage.struck();
    if answer.status == 422 {
        return Ok(format!("refused as {}", answer.code()));
    }
    let session: Session = answer.json()?;
    // It may have ended before anybody could join, which is no harm.
    let viewer = population::join(&stage.server, &session).await.ok();
    let deadline = Instant::now() + RUN;
    while stage.server.api.session(&session.id).await?.end().is_none() {
        if Instant::now() >= deadline {
            stage.server.api.delete_session(&session.id).await?;
            break;
        }
        tokio::time::sleep(LOOK_INTERVAL).await;
    }
    // What it did is over; what follows is the recovery.
    stage.struck();
    let api = &stage.server.api;
    let code =
        eventually("the session ends", async || Ok(api.session(&session.id).await?.end().map(str::to_owned)))
            .await?;
    let is_expected =
        code == BY_ITSELF || code == DELETED || code.starts_with("scene_") || BY_FORCE.contains(&&*code);
    ensure!(is_expected, "the session ended as {code}");
    if let Some(viewer) = viewer {
        let told = eventually("the viewer is told, or gone", async || {
            let (ended, gone) = viewer.look(|seen| (seen.ended.clone(), seen.disconnected));
            Ok(ended.map(|(code, _)| Some(code)).or_else(|| gone.then_some(None)))
        });
        let told = told.await?;
        ensure!(
            told.as_ref().is_none_or(|told| *told == code),
            "it ended as {code} and the viewer was told {told:?}"
        );
        viewer.leave().await;
    }
    if let Some(worker) = stage.server.log.worker_of(&session.id) {
        eventually("its process is gone", async || Ok((!processes::lives(worker)).then_some(()))).await?;
    }
    Ok(code)
}
