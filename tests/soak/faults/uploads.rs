//! Uploads that are no scenes.

use anyhow::{Result, ensure};
use async_trait::async_trait;
use rand::RngExt as _;

use super::Fault;
use crate::{server::GOOD_SCENES, stage::Stage};

/// Beyond what the server takes.
const TOO_LONG_BYTES: usize = (32 << 20) + 1;
/// The magic number of a component, which makes it one to be read.
const COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0";

/// Random bytes, half a scene, a damaged scene and far too much. Each is refused, and no scene is there afterwards that was not before.
pub struct Garbage;

#[async_trait(?Send)]
impl Fault for Garbage {
    fn name(&self) -> &'static str {
        "garbage uploads"
    }

    async fn strike(&self, stage: &mut Stage) -> Result<()> {
        let before = stage.server.api.scenes().await?;
        let random = stage.garbage(64 << 10);
        let mut half = std::fs::read(stage.server.folders.scenes().join(format!("{}.wasm", GOOD_SCENES[0])))?;
        half.truncate(half.len() / 2);
        let mut damaged = half.clone();
        for _ in 0..100 {
            let at = stage.rng.random_range(COMPONENT.len()..damaged.len());
            damaged[at] = stage.rng.random();
        }
        stage.struck();
        for (what, upload, statuses) in [
            ("nothing", Vec::new(), [400, 422]),
            ("random bytes", random.clone(), [422, 422]),
            ("random bytes that begin as a scene", [COMPONENT, &random].concat(), [422, 422]),
            ("half a scene", half, [422, 422]),
            ("half a damaged scene", damaged, [422, 422]),
        ] {
            let answer = stage.server.api.upload("garbage", upload).await?;
            ensure!(statuses.contains(&answer.status), "{what}: {answer:?}");
        }
        // The server need not read all of it, so that the answer may be a connection that is closed.
        if let Ok(answer) = stage.server.api.upload("garbage", vec![0; TOO_LONG_BYTES]).await {
            ensure!(answer.status == 413, "too much: {answer:?}");
        }
        let after = stage.server.api.scenes().await?;
        ensure!(before == after, "there were the scenes {before:?}, and now there are {after:?}");
        Ok(())
    }
}
