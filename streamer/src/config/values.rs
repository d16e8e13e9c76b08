//! The kinds of values that settings have, and how they are written.

use std::str::FromStr;

use axum::http::{HeaderValue, Uri};
use renderer_protocol::{SceneLimits, limits::Limit};
use serde::Deserialize;

use super::{ConfigError, value};

/// The extension has 12 bits, in units of 10 ms.
const MAX_PLAYOUT_DELAY_MS: u16 = 40_950;

/// How the log is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// A line for people.
    #[default]
    Text,
    /// An object on each line.
    Json,
}

/// One of the [`LIMITS`](renderer_protocol::limits::LIMITS), and a value that it allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LimitSetting {
    name: &'static str,
    value: u64,
}

impl LimitSetting {
    pub(super) fn new(name: &str, value: u64) -> Result<Self, String> {
        let limit = Limit::named(name)
            .ok_or_else(|| format!("there is no limit {name:?}: docs/limits.md lists them"))?;
        if !limit.allows(value) {
            return Err(format!("{name} is {value}: it must be from {} to {}", limit.min, limit.max));
        }
        Ok(Self { name: limit.name, value })
    }
}

impl FromStr for LimitSetting {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.split_once('=').and_then(|(name, value)| Some((name, value.parse().ok()?)));
        let Some((name, value)) = parts else {
            return Err(format!("{text:?} is no limit: write NAME=NUMBER, for example max-buffers=1000"));
        };
        Self::new(name, value)
    }
}

/// `MIN-MAX` in milliseconds, or `off`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlayoutDelay(pub Option<(u16, u16)>);

impl FromStr for PlayoutDelay {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "off" {
            return Ok(Self(None));
        }
        let range = text.split_once('-').and_then(|(min, max)| Some((min.parse().ok()?, max.parse().ok()?)));
        match range {
            Some((min, max)) if min <= max && max <= MAX_PLAYOUT_DELAY_MS => Ok(Self(Some((min, max)))),
            _ => Err(format!(
                "{text:?} is no range of playout delay: write MIN-MAX in milliseconds up to {MAX_PLAYOUT_DELAY_MS}, for example \
                 0-0, or off"
            )),
        }
    }
}

/// Whose pages may use WHEP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AllowedOrigins {
    /// Only our own.
    None,
    /// Those of these origins.
    List(Vec<HeaderValue>),
    /// Anybody's.
    Any,
}

pub(super) fn allowed_origins(origins: Vec<String>) -> Result<AllowedOrigins, ConfigError> {
    if origins.iter().any(|origin| origin == "*") {
        return Ok(AllowedOrigins::Any);
    }
    if origins.is_empty() {
        return Ok(AllowedOrigins::None);
    }
    let check = |origin: String| {
        // As a browser writes it: a scheme and an authority, and nothing after them.
        let is_origin = origin
            .parse::<Uri>()
            .is_ok_and(|uri| uri.scheme().is_some() && uri.authority().is_some() && !origin.ends_with('/'))
            && origin.matches('/').count() == 2;
        match HeaderValue::from_str(&origin) {
            Ok(header) if is_origin => Ok(header),
            _ => Err(value("--allow-origin", &origin, "an origin such as https://example.com:8443, or *")),
        }
    };
    origins.into_iter().map(check).collect::<Result<_, _>>().map(AllowedOrigins::List)
}

pub(super) fn scene_limits(settings: &[LimitSetting]) -> SceneLimits {
    let mut limits = SceneLimits::default();
    for setting in settings {
        if let Some(limit) = Limit::named(setting.name) {
            limit.set(&mut limits, setting.value);
        }
    }
    limits
}
