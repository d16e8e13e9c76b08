//! What an operator can set, where it is looked for, and what holds when nothing is set.
//!
//! [`Settings`] is the same list for flags, environment and file; [`Config`] is what comes out: complete and checked.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    str::FromStr,
    time::Duration,
};

use axum::http::{HeaderValue, Uri};
use renderer_protocol::{
    FrameSize, SceneLimits,
    limits::Limit,
    to_worker::{BITRATE_RANGE_BPS, FRAME_RATE_RANGE_HZ},
};
use serde::{Deserialize, Deserializer, de};

/// The UDP port that is tried when none is set: a fixed one, so that a firewall rule can name it.
pub const DEFAULT_UDP_PORT: u16 = 8189;
/// A machine that could run more has more than one server.
const MAX_SESSIONS: usize = 1_000;
/// Each picture is sent to each of them by one task.
const MAX_VIEWERS: usize = 100;
/// More than a day is not a grace period.
const MAX_GRACE_SECONDS: u64 = 86_400;
/// The extension has 12 bits, in units of 10 ms.
const MAX_PLAYOUT_DELAY_MS: u16 = 40_950;
/// A settings file is a page of text.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// The settings as they are given: each may be absent. A flag goes before the environment, that before the file.
#[derive(Clone, Debug, Default, PartialEq, clap::Args, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Settings {
    /// Where HTTP listens [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDRESS:PORT", env = "SCENECAST_LISTEN")]
    pub listen: Option<SocketAddr>,

    /// The folder with the scenes: NAME.wasm is the scene NAME [default: target/scenes]
    #[arg(long, value_name = "FOLDER", env = "SCENECAST_SCENES")]
    pub scenes: Option<PathBuf>,

    /// Where compiled scenes and drivers' caches are kept [default: scenecast in the folder of the user's caches, such as ~/.cache]
    #[arg(long, value_name = "FOLDER", env = "SCENECAST_CACHE_DIR")]
    pub cache_dir: Option<PathBuf>,

    /// The one UDP port for all video; 0 takes a free one [default: 8189, or a free one if that is taken]
    #[arg(long, value_name = "PORT", env = "SCENECAST_WEBRTC_UDP_PORT")]
    pub webrtc_udp_port: Option<u16>,

    /// An address that viewers reach the UDP port at, for servers behind NAT; repeatable. UDP then listens on all addresses
    #[arg(long, value_name = "IP", env = "SCENECAST_WEBRTC_PUBLIC_IP", value_delimiter = ',')]
    pub webrtc_public_ip: Option<Vec<IpAddr>>,

    /// The range of playout delay that viewers are asked for, in milliseconds, or `off` [default: 0-0]
    #[arg(long, value_name = "MIN-MAX", env = "SCENECAST_PLAYOUT_DELAY")]
    #[serde(deserialize_with = "from_text")]
    pub playout_delay: Option<PlayoutDelay>,

    /// Pictures a second: what a session gets, and the most it can ask for [default: 30]
    #[arg(long, value_name = "HZ", env = "SCENECAST_FRAME_RATE")]
    pub frame_rate: Option<u32>,

    /// The largest picture [default: 1920x1080]
    #[arg(long, value_name = "WIDTHxHEIGHT", env = "SCENECAST_MAX_SIZE")]
    #[serde(deserialize_with = "from_text")]
    pub max_size: Option<FrameSize>,

    /// Bits a second of a stream as long as nothing is known about the viewer's path [default: 4000000]
    #[arg(long, value_name = "BPS", env = "SCENECAST_BITRATE")]
    pub bitrate: Option<u32>,

    /// The most bits a second of a stream [default: 8000000]
    #[arg(long, value_name = "BPS", env = "SCENECAST_MAX_BITRATE")]
    pub max_bitrate: Option<u32>,

    /// Sessions at a time; each is a process that renders and encodes [default: 8]
    #[arg(long, value_name = "COUNT", env = "SCENECAST_MAX_SESSIONS")]
    pub max_sessions: Option<usize>,

    /// Viewers of one session at a time [default: 16]
    #[arg(long, value_name = "COUNT", env = "SCENECAST_MAX_VIEWERS")]
    pub max_viewers: Option<usize>,

    /// How long a session stays when its last viewer has left [default: 10]
    #[arg(long, value_name = "SECONDS", env = "SCENECAST_SESSION_GRACE_SECONDS")]
    pub session_grace_seconds: Option<u64>,

    /// An origin whose pages may use WHEP here, such as `https://example.com`, or `*` for any; repeatable [default: none]
    #[arg(long, value_name = "ORIGIN", env = "SCENECAST_ALLOW_ORIGIN", value_delimiter = ',')]
    pub allow_origin: Option<Vec<String>>,

    /// A further host name that a server on the loopback interface answers to, for example a reverse proxy's; repeatable
    #[arg(long, value_name = "NAME", env = "SCENECAST_ALLOW_HOST", value_delimiter = ',')]
    pub allow_host: Option<Vec<String>>,

    /// A limit of each scene, such as max-gpu-memory-bytes=1073741824; repeatable, and in the file a table [limits]. What is given here
    /// replaces the environment variable as a whole, and in the file each limit of that name. docs/limits.md lists them all
    #[arg(long, value_name = "NAME=NUMBER", env = "SCENECAST_LIMIT", value_delimiter = ',')]
    #[serde(rename = "limits", deserialize_with = "limits_table")]
    pub limit: Option<Vec<LimitSetting>>,

    /// What is logged: a level, or target=level, separated by commas; `RUST_LOG` is read if this is not set [default: info]
    #[arg(long, value_name = "FILTER", env = "SCENECAST_LOG")]
    pub log: Option<String>,

    /// How the log is written [default: text]
    #[arg(long, value_name = "FORMAT", env = "SCENECAST_LOG_FORMAT")]
    pub log_format: Option<LogFormat>,
}

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
    fn new(name: &str, value: u64) -> Result<Self, String> {
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

/// Settings that cannot hold.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("the settings file {} cannot be read: {cause}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        cause: std::io::Error,
    },
    /// The file is not TOML, or sets what there is not.
    #[error("the settings file {} is not understood: {cause}", path.display())]
    Form {
        /// Which.
        path: PathBuf,
        /// Where and why.
        cause: Box<toml::de::Error>,
    },
    /// A value that cannot be.
    #[error("{name} is {value}: it must be {allowed}")]
    Value {
        /// The setting, as its flag.
        name: &'static str,
        /// What was given.
        value: String,
        /// What can be.
        allowed: String,
    },
    /// Neither a cache folder nor a home.
    #[error("there is no home folder to keep compiled scenes in: name one with --cache-dir")]
    NoCacheDir,
}

/// Complete and checked.
#[derive(Clone, Debug)]
pub struct Config {
    /// See [`Settings::listen`].
    pub listen: SocketAddr,
    /// See [`Settings::scenes`].
    pub scenes: PathBuf,
    /// See [`Settings::cache_dir`].
    pub cache_dir: PathBuf,
    /// The port that was asked for; `None` for the default with its fallback.
    pub webrtc_udp_port: Option<u16>,
    /// See [`Settings::webrtc_public_ip`].
    pub webrtc_public_ips: Vec<IpAddr>,
    /// See [`Settings::playout_delay`].
    pub playout_delay_ms: Option<(u16, u16)>,
    /// See [`Settings::frame_rate`].
    pub frame_rate_hz: u32,
    /// See [`Settings::max_size`].
    pub max_size: FrameSize,
    /// See [`Settings::bitrate`].
    pub bitrate_bps: u32,
    /// See [`Settings::max_bitrate`].
    pub max_bitrate_bps: u32,
    /// See [`Settings::max_sessions`].
    pub max_sessions: usize,
    /// See [`Settings::max_viewers`].
    pub max_viewers: usize,
    /// See [`Settings::session_grace_seconds`].
    pub session_grace: Duration,
    /// See [`Settings::allow_origin`].
    pub allowed_origins: AllowedOrigins,
    /// See [`Settings::allow_host`].
    pub allowed_hosts: Vec<String>,
    /// See [`Settings::limit`].
    pub scene_limits: SceneLimits,
}

impl Settings {
    /// Reads a file in TOML, with the names of the flags.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        use std::io::Read;
        let read = || {
            let mut text = String::new();
            std::fs::File::open(path)?.take(MAX_FILE_BYTES).read_to_string(&mut text)?;
            Ok(text)
        };
        let text = read().map_err(|cause| ConfigError::File { path: path.to_owned(), cause })?;
        toml::from_str(&text)
            .map_err(|cause| ConfigError::Form { path: path.to_owned(), cause: Box::new(cause) })
    }

    /// What is set here, and where nothing is, what is set there.
    pub fn or(self, other: Self) -> Self {
        Self {
            listen: self.listen.or(other.listen),
            scenes: self.scenes.or(other.scenes),
            cache_dir: self.cache_dir.or(other.cache_dir),
            webrtc_udp_port: self.webrtc_udp_port.or(other.webrtc_udp_port),
            webrtc_public_ip: self.webrtc_public_ip.or(other.webrtc_public_ip),
            playout_delay: self.playout_delay.or(other.playout_delay),
            frame_rate: self.frame_rate.or(other.frame_rate),
            max_size: self.max_size.or(other.max_size),
            bitrate: self.bitrate.or(other.bitrate),
            max_bitrate: self.max_bitrate.or(other.max_bitrate),
            max_sessions: self.max_sessions.or(other.max_sessions),
            max_viewers: self.max_viewers.or(other.max_viewers),
            session_grace_seconds: self.session_grace_seconds.or(other.session_grace_seconds),
            allow_origin: self.allow_origin.or(other.allow_origin),
            allow_host: self.allow_host.or(other.allow_host),
            limit: match (self.limit, other.limit) {
                // The later one of a name holds.
                (Some(first), Some(second)) => Some(second.into_iter().chain(first).collect()),
                (first, second) => first.or(second),
            },
            log: self.log.or(other.log),
            log_format: self.log_format.or(other.log_format),
        }
    }

    /// Puts in what was not set, and checks what was.
    pub fn resolve(self) -> Result<Config, ConfigError> {
        let max_size = self.max_size.map_or_else(|| FrameSize::new(1920, 1080), Ok);
        let max_size = max_size.map_err(|error| value("--max-size", &error, "a picture size"))?;
        let max_bitrate_bps =
            in_range("--max-bitrate", self.max_bitrate.unwrap_or(8_000_000), BITRATE_RANGE_BPS)?;
        let bitrate_bps = match self.bitrate {
            Some(bps) => in_range("--bitrate", bps, *BITRATE_RANGE_BPS.start()..=max_bitrate_bps)?,
            None => 4_000_000.min(max_bitrate_bps),
        };
        let grace = in_range(
            "--session-grace-seconds",
            self.session_grace_seconds.unwrap_or(10),
            0..=MAX_GRACE_SECONDS,
        )?;
        Ok(Config {
            listen: self.listen.unwrap_or_else(|| SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 8080)),
            scenes: self.scenes.unwrap_or_else(|| PathBuf::from("target/scenes")),
            cache_dir: self.cache_dir.map_or_else(default_cache_dir, Ok)?,
            webrtc_udp_port: self.webrtc_udp_port,
            webrtc_public_ips: self.webrtc_public_ip.unwrap_or_default(),
            playout_delay_ms: self.playout_delay.map_or(Some((0, 0)), |PlayoutDelay(range)| range),
            frame_rate_hz: in_range("--frame-rate", self.frame_rate.unwrap_or(30), FRAME_RATE_RANGE_HZ)?,
            max_size,
            bitrate_bps,
            max_bitrate_bps,
            max_sessions: in_range("--max-sessions", self.max_sessions.unwrap_or(8), 1..=MAX_SESSIONS)?,
            max_viewers: in_range("--max-viewers", self.max_viewers.unwrap_or(16), 1..=MAX_VIEWERS)?,
            session_grace: Duration::from_secs(grace),
            allowed_origins: allowed_origins(self.allow_origin.unwrap_or_default())?,
            allowed_hosts: self.allow_host.unwrap_or_default(),
            scene_limits: scene_limits(&self.limit.unwrap_or_default()),
        })
    }
}

fn value(name: &'static str, value: &impl ToString, allowed: impl Into<String>) -> ConfigError {
    ConfigError::Value { name, value: value.to_string(), allowed: allowed.into() }
}

fn in_range<T: PartialOrd + ToString + Copy>(
    name: &'static str,
    given: T,
    range: std::ops::RangeInclusive<T>,
) -> Result<T, ConfigError> {
    if range.contains(&given) {
        return Ok(given);
    }
    Err(value(name, &given, format!("from {} to {}", range.start().to_string(), range.end().to_string())))
}

fn allowed_origins(origins: Vec<String>) -> Result<AllowedOrigins, ConfigError> {
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

fn scene_limits(settings: &[LimitSetting]) -> SceneLimits {
    let mut limits = SceneLimits::default();
    for setting in settings {
        if let Some(limit) = Limit::named(setting.name) {
            limit.set(&mut limits, setting.value);
        }
    }
    limits
}

fn limits_table<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<LimitSetting>>, D::Error> {
    let table = BTreeMap::<String, u64>::deserialize(deserializer)?;
    let settings = table.into_iter().map(|(name, value)| LimitSetting::new(&name, value));
    settings.collect::<Result<_, _>>().map(Some).map_err(de::Error::custom)
}

/// The folder `scenecast` among the user's caches.
pub fn default_cache_dir() -> Result<PathBuf, ConfigError> {
    let absolute = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let base = absolute("XDG_CACHE_HOME").or_else(|| absolute("HOME").map(|home| home.join(".cache")));
    base.map(|base| base.join("scenecast")).ok_or(ConfigError::NoCacheDir)
}

fn from_text<'de, D: Deserializer<'de>, T: FromStr<Err: std::fmt::Display>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    String::deserialize(deserializer)?.parse().map(Some).map_err(de::Error::custom)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> Result<Settings, ConfigError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("scenecast.toml");
        std::fs::write(&path, text).unwrap();
        Settings::read(&path)
    }

    fn refusal(settings: Settings) -> String {
        settings.resolve().unwrap_err().to_string()
    }

    #[test]
    fn what_is_not_set_is_the_documented_default() {
        let config = Settings::default().resolve().unwrap();
        assert_eq!(config.listen.to_string(), "127.0.0.1:8080");
        assert_eq!(config.scenes, Path::new("target/scenes"));
        assert_eq!(config.max_size.to_string(), "1920x1080");
        assert_eq!(
            (config.frame_rate_hz, config.bitrate_bps, config.max_bitrate_bps),
            (30, 4_000_000, 8_000_000)
        );
        assert_eq!(config.playout_delay_ms, Some((0, 0)));
        assert_eq!(config.session_grace, Duration::from_secs(10));
        assert_eq!(config.allowed_origins, AllowedOrigins::None);
    }

    #[test]
    fn a_flag_goes_before_the_file() {
        let flags = Settings { max_viewers: Some(3), ..Settings::default() };
        let file = file("max-viewers = 7\nmax-size = \"640x480\"\nplayout-delay = \"off\"").unwrap();
        let config = flags.or(file).resolve().unwrap();
        assert_eq!((config.max_viewers, config.max_size.to_string().as_str()), (3, "640x480"));
        assert_eq!(config.playout_delay_ms, None);
    }

    #[test]
    fn a_limit_is_set_by_flag_and_file_and_each_other_one_keeps_its_default() {
        let flags = Settings { limit: Some(vec!["max-buffers=100".parse().unwrap()]), ..Settings::default() };
        let file = file("[limits]\nmax-buffers = 200\nmax-devices = 2").unwrap();
        let limits = flags.or(file).resolve().unwrap().scene_limits;
        assert_eq!(limits, SceneLimits { max_buffers: 100, max_devices: 2, ..SceneLimits::default() });
        assert_eq!(Settings::default().resolve().unwrap().scene_limits, SceneLimits::default());
    }

    #[test]
    fn a_limit_that_does_not_exist_or_cannot_be_so_is_named() {
        for (text, expected) in [
            ("max-wishes=3", "max-wishes"),
            ("max-devices=0", "from 1 to 64"),
            ("max-shader-bytes=262145", "from 1024 to 262144"),
            ("max-devices", "NAME=NUMBER"),
            ("max-devices=-1", "NAME=NUMBER"),
        ] {
            let error = text.parse::<LimitSetting>().unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        }
        let error = file("[limits]\nmax-wishes = 3").unwrap_err().to_string();
        assert!(error.contains("max-wishes"), "{error}");
    }

    #[test]
    fn a_typing_mistake_in_the_file_is_named() {
        let error = file("max-viewer = 7").unwrap_err().to_string();
        assert!(error.contains("max-viewer") && error.contains("scenecast.toml"), "{error}");
        let error = file("max-size = \"641x480\"").unwrap_err().to_string();
        assert!(error.contains("641x480"), "{error}");
        assert!(Settings::read(Path::new("/nowhere/at/all")).is_err());
    }

    #[test]
    fn a_value_out_of_range_says_what_can_be() {
        let error = refusal(Settings { frame_rate: Some(0), ..Settings::default() });
        assert_eq!(error, "--frame-rate is 0: it must be from 1 to 120");
        let error = refusal(Settings {
            bitrate: Some(5_000_000),
            max_bitrate: Some(1_000_000),
            ..Settings::default()
        });
        assert_eq!(error, "--bitrate is 5000000: it must be from 50000 to 1000000");
        assert!(
            refusal(Settings { max_sessions: Some(0), ..Settings::default() }).contains("--max-sessions")
        );
    }

    #[test]
    fn a_low_maximum_lowers_the_default_bitrate() {
        let config = Settings { max_bitrate: Some(1_000_000), ..Settings::default() }.resolve().unwrap();
        assert_eq!(config.bitrate_bps, 1_000_000);
    }

    #[test]
    fn a_playout_delay_is_a_range_or_off() {
        assert_eq!("0-0".parse(), Ok(PlayoutDelay(Some((0, 0)))));
        assert_eq!("0-10".parse(), Ok(PlayoutDelay(Some((0, 10)))));
        assert_eq!("off".parse(), Ok(PlayoutDelay(None)));
        for text in ["", "0", "10-0", "0-50000", "-1-2", "a-b"] {
            assert!(text.parse::<PlayoutDelay>().is_err(), "{text}");
        }
    }

    #[test]
    fn an_origin_is_written_as_a_browser_writes_it() {
        let origins = |texts: &[&str]| allowed_origins(texts.iter().map(|text| (*text).to_owned()).collect());
        assert!(matches!(
            origins(&["https://example.com", "http://localhost:3000"]),
            Ok(AllowedOrigins::List(_))
        ));
        assert!(matches!(origins(&["https://example.com", "*"]), Ok(AllowedOrigins::Any)));
        for text in ["example.com", "https://example.com/", "https://example.com/page", "null", ""] {
            assert!(origins(&[text]).is_err(), "{text}");
        }
    }
}
