//! Why a session is over: in the worker's words, or in ours when it has none.

use renderer_protocol::{EndReason, SceneFault};

/// As JSON it then fits into one text message: at worst every byte is escaped, to two.
const MAX_MESSAGE_BYTES: usize = crate::rtc::MAX_TEXT_BYTES * 3 / 8;

/// The reason, latched once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SessionEnd {
    /// The worker said so.
    Worker(EndReason),
    /// The worker's process is gone without a word.
    WorkerDied {
        /// How the process ended, for example "signal 9 (SIGKILL)".
        how: String,
    },
    /// The worker did not answer, or did not take what it was sent.
    WorkerUnresponsive,
    /// The worker said what it may not say.
    WorkerProtocol {
        /// What.
        what: String,
    },
    /// Nobody came, or everybody left.
    NobodyWatching,
    /// Somebody ended it over the API.
    Deleted,
    /// The server is shutting down.
    Draining,
    /// We failed.
    Internal,
}

impl SessionEnd {
    /// A stable name.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Worker(reason) => reason.code(),
            Self::WorkerDied { .. } => "worker_died",
            Self::WorkerUnresponsive => "worker_unresponsive",
            Self::WorkerProtocol { .. } => "worker_protocol",
            Self::NobodyWatching => "nobody_watching",
            Self::Deleted => "deleted",
            Self::Draining => "draining",
            Self::Internal => "internal",
        }
    }

    /// Whether a GPU that is gone could be why: its driver gave devices up, did not get on, or failed the worker. A process that dies is none
    /// of these: what kills it is rarely the GPU, and the next worker shows it.
    pub(super) fn casts_doubt_on_gpu(&self) -> bool {
        let Self::Worker(reason) = self else { return false };
        matches!(
            reason,
            EndReason::Internal(_)
                | EndReason::Scene(SceneFault::DeviceLost { .. } | SceneFault::GpuTimeout { .. })
        )
    }

    /// A sentence for people.
    pub fn message(&self) -> String {
        match self {
            Self::Worker(reason) => fit_for_viewers(&reason.to_string()),
            Self::WorkerDied { how } => format!(
                "the process that rendered the scene died ({how}); start a new session, and look into the scene's log if it happens again"
            ),
            Self::WorkerUnresponsive => "the process that rendered the scene did not answer for two seconds and was ended; start a new \
                                         session"
                .to_owned(),
            // What it said is for the log: a worker that was taken over shall not write to viewers.
            Self::WorkerProtocol { .. } => {
                "the process that rendered the scene misbehaved and was ended; start a new session".to_owned()
            }
            Self::NobodyWatching => "nobody was watching any more".to_owned(),
            Self::Deleted => "the session was ended".to_owned(),
            Self::Draining => "the server is shutting down".to_owned(),
            Self::Internal => "the server failed".to_owned(),
        }
    }
}

/// A worker's words may be long, and a trap's have several lines. Lines stay; other control characters, which JSON would write
/// with six characters, do not.
fn fit_for_viewers(text: &str) -> String {
    let is_plain = |character: &char| !character.is_control() || *character == '\n';
    let mut text: String = text.chars().filter(is_plain).collect();
    text.truncate(text.floor_char_boundary(MAX_MESSAGE_BYTES));
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{rtc::MAX_TEXT_BYTES, viewer_protocol::ServerMessage};

    #[test]
    fn any_reason_fits_into_one_message_to_viewers() {
        for piece in ["\"", "\\", "\n", "\u{1}", "é", "x"] {
            let end = SessionEnd::Worker(EndReason::Scene(SceneFault::Trap(piece.repeat(8_000))));
            let message = end.message();
            let text = ServerMessage::Ended { code: end.code(), message: &message }.to_text();
            assert!(text.len() <= MAX_TEXT_BYTES, "{piece:?}: {} bytes", text.len());
        }
    }

    #[test]
    fn row_37_ends_that_a_lost_gpu_brings_cast_doubt_on_it_and_no_others_do() {
        let casts_doubt = |end: &SessionEnd| end.casts_doubt_on_gpu();
        let fault = |fault| SessionEnd::Worker(EndReason::Scene(fault));
        for end in [
            fault(SceneFault::DeviceLost { losses: 3 }),
            fault(SceneFault::GpuTimeout { waited_ms: 5_000 }),
            SessionEnd::Worker(EndReason::Internal("the device is lost".to_owned())),
        ] {
            assert!(casts_doubt(&end), "{end:?}");
        }
        for end in [
            fault(SceneFault::Trap("unreachable".to_owned())),
            fault(SceneFault::Limit("memory".to_owned())),
            SessionEnd::Worker(EndReason::Finished),
            SessionEnd::WorkerDied { how: "signal 9".to_owned() },
            SessionEnd::WorkerUnresponsive,
            SessionEnd::WorkerProtocol { what: "noise".to_owned() },
            SessionEnd::Deleted,
        ] {
            assert!(!casts_doubt(&end), "{end:?}");
        }
    }

    #[test]
    fn what_a_worker_said_against_the_protocol_is_not_passed_on() {
        let end = SessionEnd::WorkerProtocol { what: "click here".to_owned() };
        assert!(!end.message().contains("click"));
    }
}
