//! Sessions: one running scene each, with its worker process and its viewers.
//!
//! [`Sessions`] starts, finds and ends them; [`Session`] is how the HTTP side talks to one; the rest of a session's life is in
//! its own task. Knows peers and the worker protocol, and nothing of HTTP routes, scenes' contents or GPUs.

mod actor;
pub mod cgroup;
mod end;
mod id;
pub mod log;
mod node;
pub(crate) mod order;
mod places;
mod pool;
pub mod portrait;
pub(crate) mod process;
mod registry;
mod screenshot;
mod share;
mod status;
mod stream_state;
mod throttle;
mod usage;
mod viewers;
mod worker;

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use renderer_protocol::FrameSize;
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::timeout,
};

use crate::{
    auth::Owner,
    error::{Code, Problem},
    library::SceneId,
    rtc::Peer,
};
use actor::Command;
pub use actor::SessionLimits;
pub use end::SessionEnd;
pub use id::{GrantId, NotAnId, SessionId, ViewerKey};
pub use node::{GpuState, Node};
pub use places::SessionCounts;
pub use process::{Program, Sandbox};
pub use registry::{NewSession, Probed, Sessions, unknown_session};
pub use status::{Phase, Status};
pub use stream_state::SIZE_SNAP_PX;
pub use viewers::NewViewer;
pub use worker::{Ready, StartError};

/// What never changes about a session.
#[derive(Clone, Debug)]
pub struct SessionInfo {
    /// Its name.
    pub id: SessionId,
    /// Who created it.
    pub owner: Owner,
    /// What it runs.
    pub scene: SceneId,
    /// The size it began with.
    pub size: FrameSize,
    /// Ticks a second.
    pub frame_rate_hz: u32,
}

/// A session, as others see it. It may have ended; it is forgotten a while after that.
#[derive(Debug)]
pub struct Session {
    info: SessionInfo,
    status: watch::Receiver<Status>,
    mailbox: mpsc::Sender<Command>,
    log: log::SessionLog,
    /// Its worker's.
    process: Option<u32>,
}

impl Session {
    /// What never changes.
    pub fn info(&self) -> &SessionInfo {
        &self.info
    }

    /// What it is now.
    pub fn status(&self) -> Status {
        self.status.borrow().clone()
    }

    /// The process of its worker, as long as it runs.
    fn process(&self) -> Option<u32> {
        self.process.filter(|_| !matches!(self.status.borrow().phase, Phase::Ended(_)))
    }

    /// Fails when the session is over, with the reason.
    pub fn check_alive(&self) -> Result<(), Problem> {
        match &self.status.borrow().phase {
            Phase::Ended(end) => {
                Err(Problem::new(Code::SessionEnded, format!("It ended because {}.", end.message())))
            }
            Phase::Starting | Phase::Running => Ok(()),
        }
    }

    /// Fails when it has as many viewers as it may, those that are connecting included.
    pub async fn check_room(&self) -> Result<(), Problem> {
        if self.ask(Command::HasRoom).await? { Ok(()) } else { Err(too_many_viewers()) }
    }

    /// Takes a viewer in.
    pub async fn add_viewer(&self, viewer: NewViewer) -> Result<ViewerKey, Problem> {
        let key = self.ask(|reply| Command::AddViewer(viewer, reply)).await?;
        key.ok_or_else(too_many_viewers)
    }

    /// The connection of a viewer.
    pub async fn peer(&self, key: ViewerKey) -> Result<Arc<Peer>, Problem> {
        // To a viewer of a session that is over, it is the viewer that is not there any more.
        let peer = self.ask(|reply| Command::Peer(key, reply)).await.ok().flatten();
        peer.ok_or_else(unknown_viewer)
    }

    /// What its scene printed, also after its end.
    pub fn log(&self) -> log::Excerpt {
        self.log.excerpt()
    }

    /// What viewers see, as a PNG file.
    pub async fn screenshot(&self) -> Result<Bytes, Problem> {
        let no_picture = |why: &str| Problem::new(Code::NoPicture, why);
        let (reply, answer) = oneshot::channel();
        if self.mailbox.send(Command::Screenshot(reply)).await.is_err() {
            self.check_alive()?;
        }
        match timeout(screenshot::TIMEOUT, answer).await {
            Ok(Ok(Some(png))) => Ok(png),
            Ok(Ok(None)) => Err(no_picture("The scene has not drawn anything yet; ask again in a moment.")),
            Ok(Err(_)) => {
                self.check_alive()?;
                Err(Problem::new(Code::TooManyRequests, "Too many wait for a picture of this session."))
            }
            Err(_) => Err(no_picture("The session gave none in time; ask again in a moment.")),
        }
    }

    /// A viewer leaves.
    pub async fn remove_viewer(&self, key: ViewerKey) -> Result<(), Problem> {
        let was_there = self.ask(|reply| Command::RemoveViewer(key, reply)).await.unwrap_or(false);
        if was_there { Ok(()) } else { Err(unknown_viewer()) }
    }

    /// Ends it and waits until everybody has been told.
    pub async fn end(&self, end: SessionEnd) {
        // A session whose mailbox is closed has ended.
        if self.mailbox.send(Command::End(end)).await.is_ok() {
            let mut status = self.status.clone();
            let _ = status.wait_for(|status| matches!(status.phase, Phase::Ended(_))).await;
        }
    }

    /// Lets it go on until its viewers have left, and no longer than this.
    async fn drain(&self, limit: Duration) {
        // A session whose mailbox is closed has ended.
        let _ = self.mailbox.send(Command::Drain(limit)).await;
    }

    async fn ask<T>(&self, command: impl FnOnce(oneshot::Sender<T>) -> Command) -> Result<T, Problem> {
        let (reply, answer) = oneshot::channel();
        if self.mailbox.send(command(reply)).await.is_ok()
            && let Ok(answer) = answer.await
        {
            return Ok(answer);
        }
        self.check_alive()?;
        Err(Problem::new(Code::SessionEnded, "It is ending at this moment."))
    }
}

fn too_many_viewers() -> Problem {
    Problem::new(Code::TooManyViewers, "A place becomes free when a viewer leaves.")
}

fn unknown_viewer() -> Problem {
    Problem::new(Code::UnknownViewer, "It left, was disconnected, or its session ended.")
}
