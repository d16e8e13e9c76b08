//! A disk without room.

use anyhow::{Context as _, Result, ensure};
use async_trait::async_trait;

use super::Fault;
use crate::{api::Answer, files, server::GOOD_SCENES, stage::Stage};

/// Longer than what filling the disk may leave.
const PADDING_BYTES: usize = 256 << 10;

/// The disk of uploaded scenes is full. An upload is answered by 507 and leaves nothing; with room again, it is taken.
pub struct Full;

#[async_trait(?Send)]
impl Fault for Full {
    fn name(&self) -> &'static str {
        "disk full"
    }

    async fn strike(&self, stage: &mut Stage) -> Result<()> {
        let scene = new_scene(stage)?;
        let data = stage.server.folders.data();
        let (files, scenes) = (files::below(&data), stage.server.api.scenes().await?);
        disk(stage)?.fill()?;
        stage.struck();
        let refused = stage.server.api.upload("full", scene.clone()).await;
        let (files_after, scenes_after) = (files::below(&data), stage.server.api.scenes().await);
        // Before anything is judged, or a fault that is not recovered from would be one for ever.
        disk(stage)?.free()?;
        let refused = refused?;
        ensure!(refused.status == 507 && refused.code() == "disk_full", "{refused:?}");
        ensure!(files == files_after, "there were the files {files:?}, and with a full disk {files_after:?}");
        ensure!(scenes == scenes_after?, "another list of scenes");
        let taken = stage.server.api.upload("full", scene).await?.expect(&[200, 201])?;
        let id = id_of(&taken)?;
        stage.server.api.delete(&format!("/api/scenes/{id}")).await?.expect(&[204])?;
        Ok(())
    }
}

fn disk(stage: &Stage) -> Result<&crate::disk::SmallDisk> {
    stage.server.disk.as_ref().ok().context("there is no small disk")
}

fn id_of(answer: &Answer) -> Result<String> {
    let scene: serde_json::Value = answer.json()?;
    Ok(scene["id"].as_str().context("a scene without an id")?.to_owned())
}

/// A good scene that has not been there: with a custom section of garbage at its end.
fn new_scene(stage: &mut Stage) -> Result<Vec<u8>> {
    let mut scene = std::fs::read(stage.server.folders.scenes().join(format!("{}.wasm", GOOD_SCENES[0])))?;
    let name = b"garbage";
    let mut section = vec![u8::try_from(name.len())?];
    section.extend(name);
    section.extend(stage.garbage(PADDING_BYTES));
    scene.push(0);
    scene.extend(leb128(section.len()));
    scene.extend(section);
    Ok(scene)
}

/// An unsigned number as WebAssembly writes it.
fn leb128(mut value: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let byte = (value & 0x7f) as u8;
        value >>= 7;
        if value == 0 {
            bytes.push(byte);
            return bytes;
        }
        bytes.push(byte | 0x80);
    }
}
