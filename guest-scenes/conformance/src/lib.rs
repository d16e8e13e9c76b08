//! What a conformance topic is made of: a device, checks that are counted, and a report.
//!
//! A topic is a scene of its own. It checks what the host does by what a scene can see (results, errors, bytes and pixels), reports each
//! failed check and at last the count as lines of the session's log, and returns. The host's test reads these lines:
//!
//! ```text
//! FAILED a mapped buffer has its bytes: got [0, 0], expected [1, 2]
//! checked 12, failed 1
//! ```
//!
//! A topic that traps has no last line, and so has failed too.

mod attended;
pub mod bindings;
mod compute;
pub mod drawing;
pub mod formats;
mod gpu;

use core::fmt::Debug;

pub use futures;
pub use kit;
use kit::log::{Level, log};
pub use kit::webgpu;

pub use attended::Host;
pub use compute::{pipeline, stage, whole, words};
pub use gpu::{Error, Texel, bytes_per_row, catching_on, filter_of};

/// Failures that are told. A topic whose every pixel is wrong says so a few times.
const MAX_TOLD: u32 = 40;

/// One run of a topic.
pub struct Topic {
    /// A device with the default features and limits, and its queue.
    pub gpu: kit::Gpu,
    checked: u32,
    failed: u32,
}

impl Topic {
    /// Used by [`export_topic!`].
    #[doc(hidden)]
    pub async fn begin() -> Self {
        kit::log::panics();
        Self { gpu: kit::Gpu::request().await, checked: 0, failed: 0 }
    }

    /// Used by [`export_topic!`].
    #[doc(hidden)]
    pub fn end(self) {
        log(Level::Info, &format!("checked {}, failed {}", self.checked, self.failed));
    }

    /// Counts a check. `what` is a sentence that is true when it holds.
    pub fn check(&mut self, what: &str, holds: bool) {
        self.count(holds, || what.to_owned());
    }

    /// Checks that two values are the same.
    #[expect(clippy::needless_pass_by_value, reason = "a check reads better with its values in it")]
    pub fn equal<T: PartialEq<U> + Debug, U: Debug>(&mut self, what: &str, actual: T, expected: U) {
        self.count(actual == expected, || {
            format!("{what}: got {}, expected {}", short(&actual), short(&expected))
        });
    }

    fn count(&mut self, holds: bool, what: impl FnOnce() -> String) {
        self.checked += 1;
        if !holds {
            self.failed += 1;
            if self.failed <= MAX_TOLD {
                log(Level::Error, &format!("FAILED {}", what()));
            }
        }
    }

    /// Says something that the host's test may read, or a person.
    pub fn say(&self, line: &str) {
        log(Level::Info, line);
    }
}

/// A value as text, without the thousands of bytes that it may have.
fn short(value: &impl Debug) -> String {
    const SHOWN_CHARACTERS: usize = 400;
    let text = format!("{value:?}");
    match text.char_indices().nth(SHOWN_CHARACTERS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// Makes `async fn(&mut Topic)` the component's entry point.
#[macro_export]
macro_rules! export_topic {
    ($run:path) => {
        struct Start;
        impl $crate::kit::bindings::Guest for Start {
            async fn start() {
                let mut topic = $crate::Topic::begin().await;
                $run(&mut topic).await;
                topic.end();
            }
        }
        $crate::kit::bindings::export_start!(Start with_types_in $crate::kit::bindings);
    };
}
