//! The server's HTTP API, as somebody with `curl` uses it: every request on a connection of its own, so that none of them is left open.

use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;
use serde_json::{Value, json};
use ureq::http;

use crate::patience::PATIENCE;

/// The pictures of the soak: small, for it is not about speed.
const SIZE_PX: (u32, u32) = (320, 176);
const FRAME_RATE_HZ: u32 = 10;

#[derive(Clone)]
pub struct Api {
    agent: ureq::Agent,
    /// `http://127.0.0.1:PORT`.
    pub origin: Arc<str>,
}

/// An answer, whatever it says.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub retry_after: bool,
    pub body: String,
}

impl Answer {
    /// The stable code of a problem; empty when this is none.
    pub fn code(&self) -> String {
        let body: Value = serde_json::from_str(&self.body).unwrap_or_default();
        body["code"].as_str().unwrap_or_default().to_owned()
    }

    /// Fails unless the status is one of these.
    pub fn expect(self, statuses: &[u16]) -> Result<Self> {
        if statuses.contains(&self.status) {
            return Ok(self);
        }
        bail!("{} instead of {statuses:?}: {}", self.status, self.body.chars().take(300).collect::<String>())
    }

    pub fn json<T: serde::de::DeserializeOwned>(&self) -> Result<T> {
        serde_json::from_str(&self.body).with_context(|| format!("not understood: {}", self.body))
    }
}

/// What the API says of a session.
#[derive(Clone, Debug, Deserialize)]
pub struct Session {
    pub id: String,
    pub ended: Option<End>,
    pub viewers: usize,
    pub whep: String,
}

#[derive(Clone, Debug, Deserialize)]
pub struct End {
    pub code: String,
}

impl Session {
    /// The code of its end.
    pub fn end(&self) -> Option<&str> {
        self.ended.as_ref().map(|end| end.code.as_str())
    }
}

impl Api {
    pub fn new(origin: &str) -> Self {
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(PATIENCE))
            .max_idle_connections(0)
            .build();
        Self { agent: config.into(), origin: origin.trim_end_matches('/').into() }
    }

    pub async fn get(&self, path: &str) -> Result<Answer> {
        self.send("GET", path, None, Vec::new()).await
    }

    pub async fn delete(&self, path: &str) -> Result<Answer> {
        self.send("DELETE", path, None, Vec::new()).await
    }

    pub async fn post(
        &self,
        path: &str,
        content_type: &'static str,
        body: impl Into<Vec<u8>>,
    ) -> Result<Answer> {
        self.send("POST", path, Some(content_type), body.into()).await
    }

    async fn send(
        &self,
        method: &'static str,
        path: &str,
        content_type: Option<&'static str>,
        body: Vec<u8>,
    ) -> Result<Answer> {
        let agent = self.agent.clone();
        let mut request = http::Request::builder().method(method).uri(format!("{}{path}", self.origin));
        request = request.header("connection", "close");
        if let Some(content_type) = content_type {
            request = request.header("content-type", content_type);
        }
        let ask = move || -> Result<Answer> {
            let answer =
                if body.is_empty() { agent.run(request.body(())?) } else { agent.run(request.body(body)?) };
            let mut answer = answer?;
            Ok(Answer {
                status: answer.status().as_u16(),
                retry_after: answer.headers().contains_key("retry-after"),
                body: answer.body_mut().read_to_string()?,
            })
        };
        tokio::task::spawn_blocking(ask).await?.with_context(|| format!("{method} {path}"))
    }

    /// Asks for a session; the answer may be a refusal.
    pub async fn ask_for_session(&self, scene: &str) -> Result<Answer> {
        let (width, height) = SIZE_PX;
        let asked =
            json!({ "scene": scene, "width": width, "height": height, "frame_rate_hz": FRAME_RATE_HZ });
        self.post("/api/sessions", "application/json", asked.to_string()).await
    }

    pub async fn session(&self, id: &str) -> Result<Session> {
        self.get(&format!("/api/sessions/{id}")).await?.expect(&[200])?.json()
    }

    /// The sessions that have not ended.
    pub async fn live_sessions(&self) -> Result<Vec<Session>> {
        let sessions: Vec<Session> = self.get("/api/sessions").await?.expect(&[200])?.json()?;
        Ok(sessions.into_iter().filter(|session| session.ended.is_none()).collect())
    }

    pub async fn delete_session(&self, id: &str) -> Result<()> {
        self.delete(&format!("/api/sessions/{id}")).await?.expect(&[204])?;
        Ok(())
    }

    /// The ids of all scenes that can be started.
    pub async fn scenes(&self) -> Result<Vec<String>> {
        let scenes: Vec<Value> = self.get("/api/scenes").await?.expect(&[200])?.json()?;
        Ok(scenes.iter().filter_map(|scene| scene["id"].as_str().map(str::to_owned)).collect())
    }

    pub async fn upload(&self, name: &str, component: Vec<u8>) -> Result<Answer> {
        self.post(&format!("/api/scenes?name={name}"), "application/wasm", component).await
    }
}
