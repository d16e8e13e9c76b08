//! The settings as they are given: one list for flags, environment and file.

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
    str::FromStr,
};

use renderer_protocol::FrameSize;
use serde::{Deserialize, Deserializer, de};

use super::{
    ConfigError,
    values::{LimitSetting, LogFormat, PlayoutDelay},
};

/// A settings file is a page of text.
const MAX_FILE_BYTES: u64 = 1 << 20;

fn socket_address(text: &str) -> Result<SocketAddr, &'static str> {
    text.parse().map_err(|_| "write an IP address and a port, such as 127.0.0.1:8080 or [::1]:8080")
}

/// The settings as they are given: each may be absent. A flag goes before the environment, that before the file.
#[derive(Clone, Debug, Default, PartialEq, clap::Args, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Settings {
    /// Where HTTP listens [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDRESS:PORT", env = "SCENECAST_LISTEN", value_parser = socket_address)]
    pub listen: Option<SocketAddr>,

    /// The folder with the scenes: NAME.wasm is the scene NAME [default: target/scenes]
    #[arg(long, value_name = "FOLDER", env = "SCENECAST_SCENES")]
    pub scenes: Option<PathBuf>,

    /// Where compiled scenes and copies of uploaded ones are kept [default: scenecast in the folder of the user's caches, such as ~/.cache]
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

    /// Sessions of one token at a time; an admin's may have all [default: half of max-sessions, rounded up]
    #[arg(long, value_name = "COUNT", env = "SCENECAST_MAX_SESSIONS_PER_TOKEN")]
    pub max_sessions_per_token: Option<usize>,

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

    /// The address of a reverse proxy that names its clients in X-Forwarded-For; repeatable. Limits for each address then count the
    /// proxy's clients. Without it, all that a proxy passes on is one client
    #[arg(long, value_name = "IP", env = "SCENECAST_TRUSTED_PROXY", value_delimiter = ',')]
    pub trusted_proxy: Option<Vec<IpAddr>>,

    /// A limit of each scene, such as max-gpu-memory-bytes=1073741824; repeatable, and in the file a table [limits]. What is given here
    /// replaces the environment variable as a whole, and in the file each limit of that name. docs/limits.md lists them all
    #[arg(long, value_name = "NAME=NUMBER", env = "SCENECAST_LIMIT", value_delimiter = ',')]
    #[serde(rename = "limits", deserialize_with = "limits_table")]
    pub limit: Option<Vec<LimitSetting>>,

    /// Where uploaded scenes are kept [default: scenecast in the folder of the user's data, such as ~/.local/share]
    #[arg(long, value_name = "FOLDER", env = "SCENECAST_DATA")]
    pub data: Option<PathBuf>,

    /// A bucket to keep uploaded scenes in instead of the folder, such as `s3://bucket/prefix`; the usual AWS_… variables say how to
    /// reach it. Several servers may share one
    #[arg(long, value_name = "URL", env = "SCENECAST_SCENE_STORE")]
    pub scene_store: Option<String>,

    /// The largest scene that can be uploaded, in bytes [default: 33554432]
    #[arg(long, value_name = "BYTES", env = "SCENECAST_MAX_SCENE_BYTES")]
    pub max_scene_bytes: Option<u64>,

    /// Uploaded scenes that are kept [default: 1000]
    #[arg(long, value_name = "COUNT", env = "SCENECAST_MAX_SCENES")]
    pub max_scenes: Option<usize>,

    /// Bytes of all uploaded scenes together [default: 10737418240]
    #[arg(long, value_name = "BYTES", env = "SCENECAST_MAX_TOTAL_SCENE_BYTES")]
    pub max_total_scene_bytes: Option<u64>,

    /// Uploaded scenes of one token [default: 200]
    #[arg(long, value_name = "COUNT", env = "SCENECAST_MAX_SCENES_PER_TOKEN")]
    pub max_scenes_per_token: Option<usize>,

    /// Bytes of all uploaded scenes of one token together [default: 2147483648]
    #[arg(long, value_name = "BYTES", env = "SCENECAST_MAX_SCENE_BYTES_PER_TOKEN")]
    pub max_scene_bytes_per_token: Option<u64>,

    /// A token, as [NAME:]ROLE:SECRET with the role admin, author, controller or viewer; a bare secret is an admin's. Repeatable. Other
    /// users of the machine see command lines: prefer the environment or a file
    #[arg(
        long,
        value_name = "TOKEN",
        env = "SCENECAST_AUTH_TOKEN",
        value_delimiter = ',',
        hide_env_values = true
    )]
    pub auth_token: Option<Vec<String>>,

    /// A file with a token on each line, of the same form; it is read again on SIGHUP
    #[arg(long, value_name = "FILE", env = "SCENECAST_AUTH_TOKEN_FILE")]
    pub auth_token_file: Option<PathBuf>,

    /// How long a viewer link can be used to join [default: 3600]
    #[arg(long, value_name = "SECONDS", env = "SCENECAST_GRANT_SECONDS")]
    pub grant_seconds: Option<u64>,

    /// Offers of viewers that one address may make in a minute [default: 60]
    #[arg(long, value_name = "COUNT", env = "SCENECAST_OFFERS_PER_MINUTE")]
    pub offers_per_minute: Option<u32>,

    /// Scenes that one address may upload in a minute [default: 30]
    #[arg(long, value_name = "COUNT", env = "SCENECAST_UPLOADS_PER_MINUTE")]
    pub uploads_per_minute: Option<u32>,

    /// Sessions that one address may create in a minute [default: 30]
    #[arg(long, value_name = "COUNT", env = "SCENECAST_SESSIONS_PER_MINUTE")]
    pub sessions_per_minute: Option<u32>,

    /// Viewers that may be connecting at a time, in all sessions [default: 256]
    #[arg(long, value_name = "COUNT", env = "SCENECAST_MAX_PENDING_OFFERS")]
    pub max_pending_offers: Option<usize>,

    /// Workers that are started before anybody asks for a session; each has a GPU open and waits [default: 1]
    #[arg(long, value_name = "COUNT", env = "SCENECAST_WARM_WORKERS")]
    pub warm_workers: Option<usize>,

    /// Refuse to start where the kernel lacks a part of the workers' sandbox
    #[arg(long, env = "SCENECAST_REQUIRE_SANDBOX", num_args = 0..=1, default_missing_value = "true", value_name = "BOOL")]
    pub require_sandbox: Option<bool>,

    /// How long a scene may be compiled, in seconds on the clock; processor time is limited to twice as much [default: 30]
    #[arg(long, value_name = "SECONDS", env = "SCENECAST_COMPILE_SECONDS")]
    pub compile_seconds: Option<u64>,

    /// Address space of the process that compiles a scene, in bytes [default: 1073741824]
    #[arg(long, value_name = "BYTES", env = "SCENECAST_COMPILE_MEMORY_BYTES")]
    pub compile_memory_bytes: Option<u64>,

    /// How long sessions may go on after SIGTERM; no new ones are taken meanwhile [default: 5]
    #[arg(long, value_name = "SECONDS", env = "SCENECAST_DRAIN_SECONDS")]
    pub drain_seconds: Option<u64>,

    /// What is logged: a level, or target=level, separated by commas; `RUST_LOG` is read if this is not set [default: info]
    #[arg(long, value_name = "FILTER", env = "SCENECAST_LOG")]
    pub log: Option<String>,

    /// How the log is written [default: text]
    #[arg(long, value_name = "FORMAT", env = "SCENECAST_LOG_FORMAT")]
    pub log_format: Option<LogFormat>,
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
            max_sessions_per_token: self.max_sessions_per_token.or(other.max_sessions_per_token),
            max_viewers: self.max_viewers.or(other.max_viewers),
            session_grace_seconds: self.session_grace_seconds.or(other.session_grace_seconds),
            allow_origin: self.allow_origin.or(other.allow_origin),
            allow_host: self.allow_host.or(other.allow_host),
            trusted_proxy: self.trusted_proxy.or(other.trusted_proxy),
            limit: match (self.limit, other.limit) {
                // The later one of a name holds.
                (Some(first), Some(second)) => Some(second.into_iter().chain(first).collect()),
                (first, second) => first.or(second),
            },
            data: self.data.or(other.data),
            scene_store: self.scene_store.or(other.scene_store),
            max_scene_bytes: self.max_scene_bytes.or(other.max_scene_bytes),
            max_scenes: self.max_scenes.or(other.max_scenes),
            max_total_scene_bytes: self.max_total_scene_bytes.or(other.max_total_scene_bytes),
            max_scenes_per_token: self.max_scenes_per_token.or(other.max_scenes_per_token),
            max_scene_bytes_per_token: self.max_scene_bytes_per_token.or(other.max_scene_bytes_per_token),
            auth_token: self.auth_token.or(other.auth_token),
            auth_token_file: self.auth_token_file.or(other.auth_token_file),
            grant_seconds: self.grant_seconds.or(other.grant_seconds),
            offers_per_minute: self.offers_per_minute.or(other.offers_per_minute),
            uploads_per_minute: self.uploads_per_minute.or(other.uploads_per_minute),
            sessions_per_minute: self.sessions_per_minute.or(other.sessions_per_minute),
            max_pending_offers: self.max_pending_offers.or(other.max_pending_offers),
            warm_workers: self.warm_workers.or(other.warm_workers),
            require_sandbox: self.require_sandbox.or(other.require_sandbox),
            compile_seconds: self.compile_seconds.or(other.compile_seconds),
            compile_memory_bytes: self.compile_memory_bytes.or(other.compile_memory_bytes),
            drain_seconds: self.drain_seconds.or(other.drain_seconds),
            log: self.log.or(other.log),
            log_format: self.log_format.or(other.log_format),
        }
    }
}

fn limits_table<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<LimitSetting>>, D::Error> {
    let table = BTreeMap::<String, u64>::deserialize(deserializer)?;
    let settings = table.into_iter().map(|(name, value)| LimitSetting::new(&name, value));
    settings.collect::<Result<_, _>>().map(Some).map_err(de::Error::custom)
}

fn from_text<'de, D: Deserializer<'de>, T: FromStr<Err: std::fmt::Display>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    String::deserialize(deserializer)?.parse().map(Some).map_err(de::Error::custom)
}
