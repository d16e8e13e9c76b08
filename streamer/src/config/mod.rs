//! What an operator can set, where it is looked for, and what holds when nothing is set.
//!
//! [`Settings`] is the same list for flags, environment and file; [`Config`] is what comes out: complete and checked.

mod settings;
mod values;

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

use renderer_protocol::{
    FrameSize, SceneLimits,
    to_worker::{BITRATE_RANGE_BPS, FRAME_RATE_RANGE_HZ},
};

pub use settings::Settings;
pub use values::{AllowedOrigins, LimitSetting, LogFormat, PlayoutDelay};

/// The largest components known, 20 MB of Python, take 8 to 23 s on two slow cores.
pub const DEFAULT_COMPILE_SECONDS: u64 = 30;
/// The same need 640 MiB; one of 32 MiB, the largest that is taken, in proportion the whole of this.
pub const DEFAULT_COMPILE_MEMORY_BYTES: u64 = 1 << 30;
/// The UDP port that is tried when none is set: a fixed one, so that a firewall rule can name it.
pub const DEFAULT_UDP_PORT: u16 = 8189;
/// A machine that could run more has more than one server.
const MAX_SESSIONS: usize = 1_000;
/// Uploaded scenes: they are counted by listing them.
pub const MAX_SCENES: usize = 10_000;
/// A pebibyte, which is beyond what so many scenes can have.
const MAX_LIBRARY_BYTES: u64 = 1 << 50;
/// Each picture is sent to each of them by one task.
const MAX_VIEWERS: usize = 100;
/// More than a day is not a grace period, a compilation, or a viewer link.
const MAX_SECONDS: u64 = 86_400;
/// A worker that waits has a GPU open and some 60 MiB.
const MAX_WARM_WORKERS: usize = 16;
/// The compiler itself needs the lower one, whatever it compiles.
const COMPILE_MEMORY_RANGE_BYTES: std::ops::RangeInclusive<u64> = 256 << 20..=64 << 30;
/// What the compiler takes at most, whatever an operator sets.
const MAX_SCENE_BYTES: u64 = 32 << 20;
/// Each holds the state of ICE and DTLS.
const MAX_PENDING_OFFERS: usize = 10_000;
/// Beyond this a rate is no limit.
const MAX_PER_MINUTE: u32 = 1_000_000;

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
    #[error("{name} ({} in the environment, {} in a settings file) is {value}: it must be {allowed}", variable(name), name.trim_start_matches('-'))]
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
    /// Neither a data folder nor a home.
    #[error("there is no home folder to keep uploaded scenes in: name one with --data")]
    NoDataDir,
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
    /// See [`Settings::max_sessions_per_token`].
    pub max_sessions_per_token: usize,
    /// See [`Settings::max_viewers`].
    pub max_viewers: usize,
    /// See [`Settings::session_grace_seconds`].
    pub session_grace: Duration,
    /// See [`Settings::allow_origin`].
    pub allowed_origins: AllowedOrigins,
    /// See [`Settings::allow_host`].
    pub allowed_hosts: Vec<String>,
    /// See [`Settings::trusted_proxy`].
    pub trusted_proxies: Vec<IpAddr>,
    /// See [`Settings::limit`].
    pub scene_limits: SceneLimits,
    /// Uploaded scenes.
    pub library: LibraryConfig,
    /// Who may do what.
    pub auth: AuthConfig,
    /// How often one address may ask.
    pub rates: RateConfig,
    /// See [`Settings::max_pending_offers`].
    pub max_pending_offers: usize,
    /// See [`Settings::warm_workers`].
    pub warm_workers: usize,
    /// See [`Settings::require_sandbox`].
    pub require_sandbox: bool,
    /// What a compilation may cost.
    pub compile: CompileConfig,
    /// See [`Settings::drain_seconds`].
    pub drain: Duration,
}

/// Where uploaded scenes are kept, and how many.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LibraryConfig {
    /// See [`Settings::data`].
    pub data: PathBuf,
    /// See [`Settings::scene_store`].
    pub store_url: Option<String>,
    /// See [`Settings::max_scene_bytes`].
    pub max_scene_bytes: u64,
    /// See [`Settings::max_scenes`].
    pub max_scenes: usize,
    /// See [`Settings::max_total_scene_bytes`].
    pub max_total_bytes: u64,
    /// See [`Settings::max_scenes_per_token`].
    pub max_scenes_per_token: usize,
    /// See [`Settings::max_scene_bytes_per_token`].
    pub max_bytes_per_token: u64,
}

/// The tokens, as they are written, and how long a viewer link holds.
#[derive(Clone)]
pub struct AuthConfig {
    /// See [`Settings::auth_token`].
    pub tokens: Vec<String>,
    /// See [`Settings::auth_token_file`].
    pub token_file: Option<PathBuf>,
    /// See [`Settings::grant_seconds`].
    pub grant: Duration,
}

/// Secrets are for comparing only.
impl std::fmt::Debug for AuthConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AuthConfig")
            .field("tokens", &self.tokens.len())
            .field("token_file", &self.token_file)
            .field("grant", &self.grant)
            .finish()
    }
}

/// Requests of one address in a minute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateConfig {
    /// See [`Settings::offers_per_minute`].
    pub offers_per_minute: u32,
    /// See [`Settings::uploads_per_minute`].
    pub uploads_per_minute: u32,
    /// See [`Settings::sessions_per_minute`].
    pub sessions_per_minute: u32,
}

/// What a compilation may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CompileConfig {
    /// See [`Settings::compile_seconds`].
    pub time: Duration,
    /// See [`Settings::compile_memory_bytes`].
    pub memory_bytes: u64,
}

impl Default for CompileConfig {
    fn default() -> Self {
        Self {
            time: Duration::from_secs(DEFAULT_COMPILE_SECONDS),
            memory_bytes: DEFAULT_COMPILE_MEMORY_BYTES,
        }
    }
}

/// A setting as it is called in the environment.
fn variable(flag: &str) -> String {
    format!("SCENECAST_{}", flag.trim_start_matches('-').replace('-', "_").to_uppercase())
}

impl Settings {
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
        let max_sessions = in_range("--max-sessions", self.max_sessions.unwrap_or(8), 1..=MAX_SESSIONS)?;
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
            max_sessions,
            max_sessions_per_token: in_range(
                "--max-sessions-per-token",
                self.max_sessions_per_token.unwrap_or(max_sessions.div_ceil(2)),
                1..=MAX_SESSIONS,
            )?,
            max_viewers: in_range("--max-viewers", self.max_viewers.unwrap_or(16), 1..=MAX_VIEWERS)?,
            session_grace: seconds("--session-grace-seconds", self.session_grace_seconds.unwrap_or(10), 0)?,
            allowed_origins: values::allowed_origins(self.allow_origin.unwrap_or_default())?,
            allowed_hosts: self.allow_host.unwrap_or_default(),
            trusted_proxies: self
                .trusted_proxy
                .unwrap_or_default()
                .iter()
                .map(IpAddr::to_canonical)
                .collect(),
            scene_limits: values::scene_limits(&self.limit.unwrap_or_default()),
            library: LibraryConfig {
                data: self.data.map_or_else(default_data_dir, Ok)?,
                store_url: self.scene_store,
                max_scene_bytes: in_range(
                    "--max-scene-bytes",
                    self.max_scene_bytes.unwrap_or(MAX_SCENE_BYTES),
                    1..=MAX_SCENE_BYTES,
                )?,
                max_scenes: in_range("--max-scenes", self.max_scenes.unwrap_or(1_000), 1..=MAX_SCENES)?,
                max_total_bytes: in_range(
                    "--max-total-scene-bytes",
                    self.max_total_scene_bytes.unwrap_or(10 << 30),
                    1..=MAX_LIBRARY_BYTES,
                )?,
                max_scenes_per_token: in_range(
                    "--max-scenes-per-token",
                    self.max_scenes_per_token.unwrap_or(200),
                    1..=MAX_SCENES,
                )?,
                max_bytes_per_token: in_range(
                    "--max-scene-bytes-per-token",
                    self.max_scene_bytes_per_token.unwrap_or(2 << 30),
                    1..=MAX_LIBRARY_BYTES,
                )?,
            },
            auth: AuthConfig {
                tokens: self.auth_token.unwrap_or_default(),
                token_file: self.auth_token_file,
                grant: seconds("--grant-seconds", self.grant_seconds.unwrap_or(3_600), 1)?,
            },
            rates: RateConfig {
                offers_per_minute: per_minute("--offers-per-minute", self.offers_per_minute.unwrap_or(60))?,
                uploads_per_minute: per_minute(
                    "--uploads-per-minute",
                    self.uploads_per_minute.unwrap_or(30),
                )?,
                sessions_per_minute: per_minute(
                    "--sessions-per-minute",
                    self.sessions_per_minute.unwrap_or(30),
                )?,
            },
            max_pending_offers: in_range(
                "--max-pending-offers",
                self.max_pending_offers.unwrap_or(256),
                1..=MAX_PENDING_OFFERS,
            )?,
            warm_workers: in_range("--warm-workers", self.warm_workers.unwrap_or(1), 0..=MAX_WARM_WORKERS)?,
            require_sandbox: self.require_sandbox.unwrap_or(false),
            compile: CompileConfig {
                time: seconds(
                    "--compile-seconds",
                    self.compile_seconds.unwrap_or(DEFAULT_COMPILE_SECONDS),
                    1,
                )?,
                memory_bytes: in_range(
                    "--compile-memory-bytes",
                    self.compile_memory_bytes.unwrap_or(DEFAULT_COMPILE_MEMORY_BYTES),
                    COMPILE_MEMORY_RANGE_BYTES,
                )?,
            },
            drain: seconds("--drain-seconds", self.drain_seconds.unwrap_or(5), 0)?,
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

fn seconds(name: &'static str, given: u64, least: u64) -> Result<Duration, ConfigError> {
    in_range(name, given, least..=MAX_SECONDS).map(Duration::from_secs)
}

fn per_minute(name: &'static str, given: u32) -> Result<u32, ConfigError> {
    in_range(name, given, 1..=MAX_PER_MINUTE)
}

/// The folder `scenecast` among the user's caches.
pub fn default_cache_dir() -> Result<PathBuf, ConfigError> {
    user_folder("XDG_CACHE_HOME", ".cache").ok_or(ConfigError::NoCacheDir)
}

/// The folder `scenecast` among the user's data.
fn default_data_dir() -> Result<PathBuf, ConfigError> {
    user_folder("XDG_DATA_HOME", ".local/share").ok_or(ConfigError::NoDataDir)
}

/// As the XDG base directory specification says where.
fn user_folder(variable: &str, in_home: &str) -> Option<PathBuf> {
    let absolute = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let base = absolute(variable).or_else(|| absolute("HOME").map(|home| home.join(in_home)));
    base.map(|base| base.join("scenecast"))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{values::allowed_origins, *};

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
        assert_eq!(
            error,
            "--frame-rate (SCENECAST_FRAME_RATE in the environment, frame-rate in a settings file) is 0: it must be from 1 to 120"
        );
        let error = refusal(Settings {
            bitrate: Some(5_000_000),
            max_bitrate: Some(1_000_000),
            ..Settings::default()
        });
        assert_eq!(
            error,
            "--bitrate (SCENECAST_BITRATE in the environment, bitrate in a settings file) is 5000000: it must be from 50000 to 1000000"
        );
        assert!(
            refusal(Settings { max_sessions: Some(0), ..Settings::default() }).contains("--max-sessions")
        );
    }

    #[test]
    fn a_token_may_have_half_of_the_sessions_unless_the_operator_says_otherwise() {
        let per_token = |max_sessions, max_sessions_per_token| {
            let settings = Settings { max_sessions, max_sessions_per_token, ..Settings::default() };
            settings.resolve().map(|config| config.max_sessions_per_token).map_err(|error| error.to_string())
        };
        assert_eq!(per_token(None, None), Ok(4));
        assert_eq!(per_token(Some(1), None), Ok(1));
        assert_eq!(per_token(Some(25), None), Ok(13));
        assert_eq!(per_token(Some(8), Some(8)), Ok(8));
        assert!(per_token(None, Some(0)).unwrap_err().contains("--max-sessions-per-token"));
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
