//! The sessions that are kept running, each with a viewer that receives its pictures.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, bail};
use tests::viewer::{JoinError, Joining, Viewer};
use tokio::time::timeout;

use crate::{
    api::Session,
    patience::{PATIENCE, eventually},
    server::{GOOD_SCENES, Server},
};

/// A session and its viewer.
pub struct Watched {
    pub session: Session,
    pub viewer: Viewer,
    pub scene: String,
}

impl Watched {
    /// Creates a session of a scene, and waits until its pictures arrive.
    pub async fn with_pictures(server: &Server, scene: &str) -> Result<Self> {
        // Places are given back when a process is gone, which is after its session has ended.
        let session = eventually("a place for a session", async || {
            let answer = server.api.ask_for_session(scene).await?;
            if answer.status == 503 { Ok(None) } else { answer.expect(&[201])?.json().map(Some) }
        })
        .await?;
        let watched = Self::join(server, session, scene).await?;
        watched.sees_pictures().await?;
        Ok(watched)
    }

    /// Joins a session.
    pub async fn join(server: &Server, session: Session, scene: &str) -> Result<Self> {
        let viewer = join(server, &session).await?;
        Ok(Self { session, viewer, scene: scene.to_owned() })
    }

    /// Waits for further pictures.
    pub async fn sees_pictures(&self) -> Result<()> {
        let before = self.viewer.look(|seen| seen.pictures);
        eventually("further pictures", async || {
            let (pictures, ended, gone) =
                self.viewer.look(|seen| (seen.pictures, seen.ended.clone(), seen.disconnected));
            if let Some((code, message)) = ended {
                bail!("the session has ended: {code}: {message}");
            }
            if gone {
                bail!("the viewer was disconnected");
            }
            Ok((pictures > before).then_some(()))
        })
        .await
        .with_context(|| format!("a session of {}", self.scene))
    }

    /// Waits until its viewer has been told that the session has ended, and the API says the same; returns the code.
    pub async fn is_told_the_end(&self, server: &Server) -> Result<String> {
        let code = eventually("the viewer is told why the session ended", async || {
            Ok(self.viewer.look(|seen| seen.ended.as_ref().map(|(code, _)| code.clone())))
        })
        .await?;
        let session = server.api.session(&self.session.id).await?;
        if session.end() == Some(&code) {
            Ok(code)
        } else {
            bail!("the viewer was told {code}, the API says {session:?}")
        }
    }

    /// The longest time that the viewer had to wait for a picture.
    pub fn longest_gap_since(&self, from: Instant) -> Duration {
        self.viewer.look(|seen| seen.longest_gap_since(from))
    }

    /// Ends both. A session that has ended is ended.
    pub async fn end(self, server: &Server) -> Result<()> {
        self.viewer.leave().await;
        server.api.delete_session(&self.session.id).await
    }
}

/// Joins a session in a task of its own, for a viewer that cannot go on panics.
pub async fn join(server: &Server, session: &Session) -> Result<Viewer> {
    let joining =
        Joining { origin: server.api.origin.to_string(), whep: session.whep.clone(), ..Joining::default() };
    let joined = timeout(PATIENCE, tokio::spawn(Viewer::join(joining))).await;
    joined.context("a viewer does not get connected")?.context("a viewer failed")?.map_err(
        |error| match error {
            JoinError::Refused(status, body) => anyhow!("a viewer was refused: {status} {body}"),
            JoinError::Failed(why) => anyhow!("a viewer could not join: {why}"),
        },
    )
}

#[derive(Default)]
pub struct Population(Vec<Watched>);

impl Population {
    /// Starts so many sessions more, of all good scenes in turn.
    pub async fn raise(&mut self, server: &Server, count: usize) -> Result<()> {
        for scene in GOOD_SCENES.iter().cycle().take(count) {
            self.0.push(Watched::with_pictures(server, scene).await?);
        }
        Ok(())
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn iter(&self) -> impl Iterator<Item = &Watched> {
        self.0.iter()
    }

    pub fn member(&self, index: usize) -> Result<&Watched> {
        self.0.get(index).context("there is no such session")
    }

    /// A new session in the place of one that has ended.
    pub async fn replace(&mut self, index: usize, server: &Server) -> Result<()> {
        let place = self.0.get_mut(index).context("there is no such session")?;
        let fresh = Watched::with_pictures(server, &place.scene).await?;
        std::mem::replace(place, fresh).viewer.leave().await;
        Ok(())
    }

    /// New sessions in the places of all whose pictures do not come any more.
    pub async fn heal(&mut self, server: &Server) -> Result<()> {
        for index in 0..self.0.len() {
            if self.member(index)?.sees_pictures().await.is_err() {
                self.replace(index, server).await?;
            }
        }
        Ok(())
    }

    /// Ends all sessions. What does not end is found by those who look at what is left.
    pub async fn end(self, server: &Server) {
        for watched in self.0 {
            let _ = watched.end(server).await;
        }
    }
}
