//! Compiled scenes that are not what they were.

use std::path::Path;

use anyhow::{Result, ensure};
use async_trait::async_trait;
use rand::{RngExt as _, seq::IndexedRandom as _};

use super::Fault;
use crate::{files, population::Watched, server::GOOD_SCENES, stage::Stage};

/// What compiled scenes are named.
const COMPILED: &str = "cwasm";
/// Bytes that change in each.
const FLIPS: usize = 64;

/// All compiled scenes have bytes that are others, or lack their end, as on a disk that fails. Each scene can be started as before.
pub struct Damaged;

#[async_trait(?Send)]
impl Fault for Damaged {
    fn name(&self) -> &'static str {
        "cache damaged"
    }

    async fn strike(&self, stage: &mut Stage) -> Result<()> {
        let compiled = files::below(&stage.server.folders.cache());
        let compiled: Vec<_> = compiled
            .into_iter()
            .filter(|path| path.extension().is_some_and(|kind| kind == COMPILED))
            .collect();
        ensure!(!compiled.is_empty(), "there are no compiled scenes in the cache");
        for path in &compiled {
            damage(path, stage)?;
        }
        stage.struck();
        for scene in GOOD_SCENES {
            Watched::with_pictures(&stage.server, scene).await?.end(&stage.server).await?;
        }
        Ok(())
    }
}

/// Puts a damaged copy in the place of a file. The file itself stays as it is for those that have it open, for what a process has mapped
/// does not change when a disk fails.
fn damage(path: &Path, stage: &mut Stage) -> Result<()> {
    let mut bytes = std::fs::read(path)?;
    if bytes.is_empty() {
        // Cut to nothing earlier, and not asked for since.
        return Ok(());
    }
    if stage.rng.random_ratio(1, 4) {
        bytes.truncate(stage.rng.random_range(0..bytes.len()));
    } else {
        for _ in 0..FLIPS {
            let at = stage.rng.random_range(0..bytes.len());
            bytes[at] ^= 1 << [0, 3, 7].choose(&mut stage.rng).copied().unwrap_or_default();
        }
    }
    let copy = path.with_extension("damaged");
    std::fs::write(&copy, bytes)?;
    std::fs::set_permissions(&copy, std::fs::metadata(path)?.permissions())?;
    std::fs::rename(copy, path)?;
    Ok(())
}
