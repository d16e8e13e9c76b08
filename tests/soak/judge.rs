//! What must hold after every fault, and what must be left when all is over.

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};

use crate::{
    faults::Fault,
    files,
    patience::{PATIENCE, eventually},
    processes,
    server::{MOVING_SCENE, Server},
    stage::Stage,
};

/// A server whose processes and descriptors have not changed for so long is at rest.
const STILL: Duration = Duration::from_secs(2);

/// How long it took until the server was as it should be again.
#[derive(Clone, Copy, Debug)]
pub struct Recovery {
    /// Until what this fault promises had come true.
    pub promise: Duration,
    /// Until everything else was proved as well.
    pub whole: Duration,
    /// The longest time without a picture for the viewer of a moving scene that the fault was not to harm.
    pub longest_gap: Duration,
}

/// Lets a fault happen, and waits until the server has recovered: what the fault promises has come true, all other sessions run and
/// give further pictures, the server is well, and a fresh session of a good scene gives pictures.
pub async fn strike(fault: &dyn Fault, stage: &mut Stage) -> Result<Recovery> {
    stage.begin();
    fault.strike(stage).await?;
    let promise = stage.since_struck();
    let (victim, struck) = (stage.victim(), stage.struck_at());
    let mut longest_gap = Duration::ZERO;
    for (index, watched) in stage.population.iter().enumerate() {
        if victim != Some(index) {
            watched.sees_pictures().await.context("another session")?;
            if watched.scene == MOVING_SCENE {
                longest_gap = longest_gap.max(watched.longest_gap_since(struck));
            }
        }
    }
    eventually("the server is well", async || {
        Ok((stage.server.api.get("/api/health").await?.status == 200).then_some(()))
    })
    .await?;
    match victim {
        Some(index) => stage.population.replace(index, &stage.server).await,
        None => stage.probe().await,
    }
    .context("a fresh session")?;
    Ok(Recovery { promise, whole: stage.since_struck(), longest_gap })
}

/// What a server without sessions has.
#[derive(Clone, Debug, Default, serde::Serialize)]
pub struct Observed {
    pub children: usize,
    pub descriptors: usize,
    pub resident_bytes: u64,
    /// What the descriptors are; for a person who looks for one too many.
    #[serde(skip)]
    pub open: Vec<String>,
}

impl Observed {
    /// Waits until nothing changes any more and there is no more than there was before, and looks. Of a server that does not come
    /// to rest, what it has after all that time.
    pub async fn at_rest(server: &mut Server, before: Option<&Self>) -> Result<Self> {
        let deadline = Instant::now() + PATIENCE;
        let mut last = Self::now(server)?;
        let mut since = Instant::now();
        loop {
            tokio::time::sleep(STILL / 10).await;
            let now = Self::now(server)?;
            if (now.children, now.descriptors) != (last.children, last.descriptors) {
                since = Instant::now();
            }
            last = now;
            let is_back = before.is_none_or(|before| last.is_within(before));
            if (is_back && since.elapsed() >= STILL) || Instant::now() >= deadline {
                return Ok(last);
            }
        }
    }

    fn now(server: &Server) -> Result<Self> {
        let open = processes::descriptors(server.pid)?;
        Ok(Self {
            children: server.children().len(),
            descriptors: open.len(),
            resident_bytes: processes::resident_bytes(server.pid)?,
            open,
        })
    }

    pub fn is_within(&self, before: &Self) -> bool {
        self.children <= before.children && self.descriptors <= before.descriptors
    }
}

/// What is there although the server is gone.
#[derive(Clone, Debug, Default, serde::Serialize)]
pub struct Leftovers {
    /// How it ended when it was asked to; `None` if it did not.
    pub exit: Option<String>,
    pub processes: Vec<String>,
    pub cgroups: Vec<PathBuf>,
    pub files: Vec<PathBuf>,
}

impl Leftovers {
    /// Ends the server and looks at what it left.
    pub async fn after(server: &mut Server, cgroups: impl IntoIterator<Item = PathBuf>) -> Result<Self> {
        let exit = server.end().await.map(|status| status.to_string());
        // A worker ends when it sees that its broker is gone, which is a moment later.
        let gone = eventually("no process is left", async || {
            Ok(processes::orphans(server.pid).is_empty().then_some(()))
        });
        let processes = if gone.await.is_ok() { Vec::new() } else { processes::orphans(server.pid) };
        server.log.end().await?;
        Ok(Self {
            exit,
            processes,
            cgroups: cgroups.into_iter().filter(|folder| folder.exists()).collect(),
            files: temporary_files(server),
        })
    }

    pub fn is_clean_exit(&self) -> bool {
        self.exit.as_deref() == Some("exit status: 0")
    }
}

/// Files that were begun and not finished: all in the folder for such files, and what is named like one elsewhere.
fn temporary_files(server: &Server) -> Vec<PathBuf> {
    let folders = &server.folders;
    let mut files = files::below(&folders.temporary());
    let kept = [folders.cache(), folders.data()].into_iter().flat_map(|folder| files::below(&folder));
    files.extend(kept.filter(|path| files::is_temporary(path)));
    files
}
