//! Processes of sessions that end, or stand still.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use async_trait::async_trait;
use rustix::process::Signal;
use tokio::time::sleep;

use super::Fault;
use crate::{patience::eventually, processes, stage::Stage};

/// A worker gets SIGKILL, as from the kernel when memory is short. Its viewer is told `worker_died`.
pub struct Killed;

#[async_trait(?Send)]
impl Fault for Killed {
    fn name(&self) -> &'static str {
        "worker killed"
    }

    async fn strike(&self, stage: &mut Stage) -> Result<()> {
        ends_as(stage, Signal::KILL, "worker_died").await
    }
}

/// A worker gets SIGSTOP, as one that hangs in a driver. Its viewer is told `worker_unresponsive`, and the process is gone.
pub struct Stopped;

#[async_trait(?Send)]
impl Fault for Stopped {
    fn name(&self) -> &'static str {
        "worker stopped"
    }

    async fn strike(&self, stage: &mut Stage) -> Result<()> {
        ends_as(stage, Signal::STOP, "worker_unresponsive").await
    }
}

/// A worker that was there for so long has opened its GPU: one that is killed before tells that there is none.
const READY_AFTER: Duration = Duration::from_secs(3);

/// A worker that waits for its session gets SIGKILL. Another one comes to wait in its place.
pub struct WaitingKilled;

#[async_trait(?Send)]
impl Fault for WaitingKilled {
    fn name(&self) -> &'static str {
        "waiting worker killed"
    }

    async fn strike(&self, stage: &mut Stage) -> Result<()> {
        let server = &stage.server;
        let worker = eventually("a worker waits", async || {
            let before = server.waiting_workers();
            sleep(READY_AFTER).await;
            Ok(server.waiting_workers().into_iter().find(|pid| before.contains(pid)))
        })
        .await?;
        processes::kill(worker, Signal::KILL)?;
        stage.struck();
        let server = &stage.server;
        eventually("another worker waits", async || {
            Ok(server.waiting_workers().iter().any(|pid| *pid != worker).then_some(()))
        })
        .await
    }
}

async fn ends_as(stage: &mut Stage, signal: Signal, code: &str) -> Result<()> {
    let victim = stage.choose_victim();
    let session = &stage.population.member(victim)?.session;
    let worker =
        stage.server.log.worker_of(&session.id).context("the log does not tell the session's process")?;
    processes::kill(worker, signal)?;
    stage.struck();
    let told = stage.population.member(victim)?.is_told_the_end(&stage.server).await?;
    ensure!(told == code, "the viewer was told {told} instead of {code}");
    eventually("its process is gone", async || Ok((!processes::lives(worker)).then_some(()))).await
}
