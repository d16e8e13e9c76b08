//! The broker as a whole: everything is opened, served until told to stop, and ended in order.

use std::{
    future::Future,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
};
use tokio_util::sync::CancellationToken;

use crate::{
    auth::{Access, AccessError, KnownTokens, SessionOwners},
    compiler::Compiler,
    config::{Config, DEFAULT_UDP_PORT},
    http::{self, Admission, AllowedHosts, App, Offer, PendingOffers},
    library::{self, Library},
    metrics::Metrics,
    rtc::{RtcConfig, RtcServer},
    session::{
        Probed, Program, Sandbox, SessionCounts, SessionLimits, Sessions, StartError, cgroup::Cgroups,
        portrait::Painter,
    },
    text::escape_untrusted,
};

/// Why the server could not start.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The scenes are not there, or cannot be kept.
    #[error(transparent)]
    Library(#[from] library::OpenError),
    /// The cache cannot be used.
    #[error("the cache folder {} cannot be used: {cause}; name another one with --cache-dir", folder.display())]
    Cache {
        /// Which.
        folder: PathBuf,
        /// Why not.
        cause: std::io::Error,
    },
    /// What was asked for cannot be had.
    #[error("{cause}; give the server what is missing, or leave --require-sandbox out")]
    Sandbox {
        /// What is missing.
        cause: StartError,
    },
    /// The same, of control groups.
    #[error(
        "--require-sandbox is set, and workers cannot be put into control groups: {missing}; docs/operations.md says how"
    )]
    Cgroups {
        /// What, and why.
        missing: String,
    },
    /// Nobody, or everybody, could do everything.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// The address is taken, or not ours.
    #[error("cannot listen on {protocol} {address}: {}; {remedy}", plain(cause))]
    Bind {
        /// TCP or UDP.
        protocol: &'static str,
        /// Where.
        address: SocketAddr,
        /// Why not.
        cause: std::io::Error,
        /// What to do.
        remedy: &'static str,
    },
}

fn plain(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::AddrInUse => "the port is in use by another program".to_owned(),
        std::io::ErrorKind::AddrNotAvailable => "this machine does not have that address".to_owned(),
        std::io::ErrorKind::PermissionDenied => "this user may not use that port".to_owned(),
        _ => error.to_string(),
    }
}

/// How a server is told to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// Sessions may go on as long as the settings say.
    Drain,
    /// They end at once.
    Now,
}

/// File descriptors of a session: two sockets and a pipe of its worker, and what is open for it for a moment.
const DESCRIPTORS_OF_SESSION: usize = 16;
/// Those of the runtime, the library, compilers and workers that wait.
const OTHER_DESCRIPTORS: usize = 256;

/// Said where there are no tokens.
const OPEN_NOTE: &str = "There are no tokens: every user and program of this machine may do everything here. Set --auth-token to change that.";

/// What is said when the server can be used.
pub struct Ready {
    /// What a person on this machine opens.
    pub address: String,
    /// What they should know.
    pub note: Option<&'static str>,
}

/// Runs the broker until `shutdown` completes. `ready` is called as soon as its address can be opened.
pub async fn run(
    config: Config,
    ready: impl FnOnce(&Ready),
    shutdown: impl Future<Output = Stop>,
) -> Result<(), ServeError> {
    // First, so that a start that is refused has done nothing.
    let tokens = KnownTokens::read(&config.auth, config.listen)?;
    raise_open_files(config.max_sessions);
    let cache_error = |cause| ServeError::Cache { folder: config.cache_dir.clone(), cause };
    let metrics = Arc::new(Metrics::new());
    let sandbox = Sandbox {
        scene_bytes: config.scene_limits.total_memory_bytes(),
        is_required: config.require_sandbox,
    };
    let cgroups = open_cgroups(&config)?;
    let program = Program::this_binary(&config.cache_dir)
        .map_err(cache_error)?
        .with_sandbox(sandbox)
        .with_cgroups(cgroups);
    let compiler = Compiler::open(&program, config.compile, Arc::clone(&metrics)).map_err(cache_error)?;
    let compiler = Arc::new(compiler);
    let painter = Painter::new(&program, Arc::clone(&compiler), config.scene_limits);
    let library = Library::open(
        config.scenes.clone(),
        &config.cache_dir,
        config.library.clone(),
        Arc::clone(&compiler),
        painter,
    )?;
    let listener = TcpListener::bind(config.listen).await.map_err(|cause| ServeError::Bind {
        protocol: "TCP",
        address: config.listen,
        cause,
        remedy: "choose another address with --listen",
    })?;
    // Known from the socket, because port 0 means any.
    let listen = listener.local_addr().unwrap_or(config.listen);
    let rtc = bind_rtc(&config).await?;
    let limits = SessionLimits {
        max_viewers: config.max_viewers,
        max_size: config.max_size,
        bitrate_bps: config.bitrate_bps,
        max_bitrate_bps: config.max_bitrate_bps,
        grace: config.session_grace,
        scene: config.scene_limits,
    };
    let counts = SessionCounts { all: config.max_sessions, per_owner: config.max_sessions_per_token };
    let sessions = Sessions::new(program, compiler, limits, counts, Arc::clone(&metrics));
    let first = look_at_workers(&sessions, config.require_sandbox).await?;
    let sessions = Arc::new(sessions.with_warm_workers(config.warm_workers, first));
    let owners: Arc<dyn SessionOwners> = sessions.clone();
    let access = Arc::new(Access::new(tokens, config.auth.grant, owners));
    read_tokens_again(&access);
    let library = Arc::new(library);
    let app = App {
        sessions: Arc::clone(&sessions),
        library: Arc::clone(&library),
        rtc: Arc::clone(&rtc),
        access: Arc::clone(&access),
        metrics,
        offer: Offer { max_size: config.max_size, frame_rate_hz: config.frame_rate_hz },
        pending_offers: PendingOffers::new(config.max_pending_offers),
    };
    let admission = Admission {
        origins: config.allowed_origins.clone(),
        hosts: AllowedHosts::new(listen, &config.allowed_hosts),
        rates: config.rates,
    };
    let router = http::router(app, admission);
    let stop_http = CancellationToken::new();
    let proxies = config.trusted_proxies.as_slice().into();
    let http = tokio::spawn(http::serve::serve(listener, router, proxies, stop_http.clone()));

    tracing::info!(%listen, udp = %rtc.local_addr(), scenes = %config.scenes.display(), "serving");
    if access.is_open() {
        tracing::info!("{OPEN_NOTE}");
    }
    ready(&Ready { address: page_address(listen), note: access.is_open().then_some(OPEN_NOTE) });
    let limit = match shutdown.await {
        Stop::Drain => config.drain,
        Stop::Now => Duration::ZERO,
    };
    tracing::info!(at_most_seconds = limit.as_secs(), "shutting down: no new sessions or viewers");
    // HTTP goes on answering meanwhile, with `draining`.
    sessions.drain(limit).await;
    stop_http.cancel();
    if let Err(error) = http.await {
        tracing::error!(%error, "the HTTP server failed");
    }
    tokio::join!(rtc.shutdown(), library.finish());
    tracing::info!("stopped");
    Ok(())
}

/// Lets this process open as many files as it may, because connections take up what a shell or a service manager gives by default. It is
/// also more than its workers may have, all of whose descriptors that are on their way over sockets the kernel counts together with ours.
fn raise_open_files(max_sessions: usize) {
    let limits = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limits.maximum, maximum: limits.maximum };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::warn!(%error, "the limit of open files cannot be raised");
    }
    let may_have = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let sessions = max_sessions.saturating_mul(DESCRIPTORS_OF_SESSION);
    let needed = http::serve::MAX_CONNECTIONS.saturating_add(sessions).saturating_add(OTHER_DESCRIPTORS);
    if may_have < u64::try_from(needed).unwrap_or(u64::MAX) {
        tracing::warn!(
            may_have,
            needed,
            "this process may open fewer files than all its connections and sessions need; raise the limit, in a service with LimitNOFILE="
        );
    }
}

/// Control groups for the processes that handle scenes, as far as they can be had.
fn open_cgroups(config: &Config) -> Result<Cgroups, ServeError> {
    let (cgroups, availability) = Cgroups::open(&config.scene_limits, config.compile.memory_bytes);
    if availability.is_complete() {
        tracing::info!(
            "each process that handles a scene is bound in memory, threads and processor share by a control group"
        );
    } else if config.require_sandbox {
        return Err(ServeError::Cgroups { missing: availability.describe_missing() });
    } else {
        let missing = availability.describe_missing();
        tracing::warn!(
            missing,
            "control groups of workers lack something; docs/operations.md says what holds without"
        );
    }
    Ok(cgroups)
}

/// Learns from a first worker what scenes are confined by, and says what of that this system lacks.
async fn look_at_workers(
    sessions: &Sessions,
    is_sandbox_required: bool,
) -> Result<Option<Probed>, ServeError> {
    match sessions.probe().await {
        Ok(first) => {
            for lacking in &first.ready.cell.lacking {
                let (part, reason) = (lacking.part, escape_untrusted(&lacking.reason));
                if part.is_required() {
                    tracing::warn!(
                        "SCENES ARE LESS CONFINED THAN THEY COULD BE: this system gives workers no {part}: {reason}"
                    );
                } else {
                    tracing::info!(
                        "workers have no {part}, and other parts of their sandbox do without: {reason}"
                    );
                }
            }
            Ok(Some(first))
        }
        Err(cause) if is_sandbox_required => Err(ServeError::Sandbox { cause }),
        // The log has said it.
        Err(_) => Ok(None),
    }
}

/// On SIGHUP, where there is a file of tokens; elsewhere that signal means what it always means.
fn read_tokens_again(access: &Arc<Access>) {
    if access.token_file().is_none() {
        return;
    }
    match signal(SignalKind::hangup()) {
        Ok(mut hangup) => {
            let access = Arc::clone(access);
            tokio::spawn(async move {
                while hangup.recv().await.is_some() {
                    // A file is small, and on a disk.
                    let access = Arc::clone(&access);
                    let _ = tokio::task::spawn_blocking(move || access.reload()).await;
                }
            });
        }
        Err(error) => tracing::error!(%error, "SIGHUP cannot be received: the tokens are not read again"),
    }
}

async fn bind_rtc(config: &Config) -> Result<Arc<RtcServer>, ServeError> {
    // HTTP may be on loopback behind a reverse proxy while video comes from outside, which is what a public address says.
    let ip = match (config.webrtc_public_ips.is_empty(), config.listen.ip()) {
        (true, ip) => ip,
        (false, IpAddr::V4(_)) => Ipv4Addr::UNSPECIFIED.into(),
        (false, IpAddr::V6(_)) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let bind = |port| {
        let (public_ips, playout_delay_ms) = (config.webrtc_public_ips.clone(), config.playout_delay_ms);
        RtcServer::bind(RtcConfig { listen: SocketAddr::new(ip, port), public_ips, playout_delay_ms })
    };
    let port = config.webrtc_udp_port.unwrap_or(DEFAULT_UDP_PORT);
    let bound = match bind(port).await {
        Err(error) if config.webrtc_udp_port.is_none() && error.kind() == std::io::ErrorKind::AddrInUse => {
            tracing::warn!("UDP port {port} is in use; a free one is taken instead");
            bind(0).await
        }
        bound => bound,
    };
    bound.map_err(|cause| ServeError::Bind {
        protocol: "UDP",
        address: SocketAddr::new(ip, port),
        cause,
        remedy: "choose another port with --webrtc-udp-port",
    })
}

/// What a person on this machine opens.
fn page_address(listen: SocketAddr) -> String {
    let ip = match listen.ip() {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    format!("http://{}/", SocketAddr::new(ip, listen.port()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_can_be_opened_as_it_is() {
        for (listen, address) in [
            ("127.0.0.1:8080", "http://127.0.0.1:8080/"),
            ("0.0.0.0:80", "http://127.0.0.1:80/"),
            ("[::]:8080", "http://[::1]:8080/"),
        ] {
            assert_eq!(page_address(listen.parse().unwrap()), address);
        }
    }
}
