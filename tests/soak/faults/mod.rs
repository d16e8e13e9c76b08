//! What is done to the server, and what must come true after each of it.
//!
//! A fault is a type: its name in the report, what it does, and what it then waits for. What must hold after every fault stands in
//! [`crate::judge`] and is not repeated. To add one: write it, and add it to [`all`].

mod cache;
mod connections;
mod datagrams;
mod full_disk;
mod offers;
mod pauses;
mod scenes;
mod uploads;
mod viewers;
mod workers;

use anyhow::Result;
use async_trait::async_trait;

use crate::stage::Stage;

#[async_trait(?Send)]
pub trait Fault {
    /// As it is called in the report.
    fn name(&self) -> &'static str;

    /// How often it happens in a round, in which every fault has its turns in an order that is drawn.
    fn per_round(&self) -> usize {
        1
    }

    /// Does it, says [`Stage::struck`] when the harm is done, and returns when what this fault promises has come true. An error is a
    /// promise that was not kept.
    async fn strike(&self, stage: &mut Stage) -> Result<()>;
}

/// All that can happen to this server.
pub fn all(stage: &Stage) -> Vec<Box<dyn Fault>> {
    let mut faults: Vec<Box<dyn Fault>> = vec![
        Box::new(workers::Killed),
        Box::new(workers::Stopped),
        Box::new(scenes::Hostile::default()),
        Box::new(viewers::Vanished),
        Box::new(viewers::TalksGarbage),
        Box::new(offers::Garbage),
        Box::new(offers::NeverFollowed),
        Box::new(cache::Damaged),
        Box::new(uploads::Garbage),
        Box::new(connections::Dribbling),
        Box::new(connections::HangsUp),
        Box::new(datagrams::Garbage),
        Box::new(pauses::BrokerPaused),
    ];
    if stage.children_at_rest > 0 {
        faults.push(Box::new(workers::WaitingKilled));
    }
    if stage.server.disk.is_ok() {
        faults.push(Box::new(full_disk::Full));
    }
    faults
}
