//! Time that passes for everybody but the server.

use std::time::Duration;

use anyhow::Result;
use async_trait::async_trait;
use rustix::process::Signal;
use tokio::time::sleep;

use super::Fault;
use crate::{processes, stage::Stage};

/// Below what a viewer waits for a server that says nothing, and above what a server waits for a worker.
const PAUSE: Duration = Duration::from_secs(3);

/// The broker stands still, as when its machine is moved to another host, and goes on. No session ends.
pub struct BrokerPaused;

#[async_trait(?Send)]
impl Fault for BrokerPaused {
    fn name(&self) -> &'static str {
        "broker paused"
    }

    async fn strike(&self, stage: &mut Stage) -> Result<()> {
        processes::kill(stage.server.pid, Signal::STOP)?;
        sleep(PAUSE).await;
        processes::kill(stage.server.pid, Signal::CONT)?;
        stage.struck();
        Ok(())
    }
}
