//! Where the log goes and what is in it. Always standard error: standard output is for what was asked for.

use streamer::config::LogFormat;
use tracing_subscriber::EnvFilter;

/// The WebRTC crates report what peers do wrong as warnings of their own.
const DEFAULT_FILTER: &str = "info,rtc=error,webrtc=error";
/// A worker's or compiler's lines go through the broker's log.
const CHILD_FILTER: &str = "warn";

/// A filter that is none.
#[derive(Debug, thiserror::Error)]
#[error(
    "{filter:?} is no log filter: {cause}; write a level such as debug, or target=level, separated by commas"
)]
pub(crate) struct BadFilter {
    filter: String,
    cause: String,
}

/// For `serve`: the setting, then `RUST_LOG`, then the default.
pub(crate) fn for_server(setting: Option<&str>, format: LogFormat) -> Result<(), BadFilter> {
    let from_environment = std::env::var("RUST_LOG").ok().filter(|filter| !filter.is_empty());
    let filter = setting.or(from_environment.as_deref()).unwrap_or(DEFAULT_FILTER);
    let filter = EnvFilter::try_new(filter)
        .map_err(|cause| BadFilter { filter: filter.to_owned(), cause: cause.to_string() })?;
    let subscriber = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match format {
        LogFormat::Text => subscriber.with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr())).init(),
        LogFormat::Json => subscriber.json().init(),
    }
    Ok(())
}

/// For everything else: plain lines without time, which the broker adds; a filter that is none counts as absent.
pub(crate) fn for_child() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(CHILD_FILTER));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .without_time()
        .init();
}
