//! A scene component in, frames and H.264 access units out.
//!
//! A frame flows `scene` → `host` → `frame` → `encode`; [`worker`] joins them to the broker, [`headless`] to files, and nothing here
//! knows the network.

// What a scene controls must not be able to end its worker: no index that may be outside, no number that silently becomes another,
// and, where a scene's own numbers arrive, no sum that may overflow.
#![cfg_attr(
    not(test),
    deny(
        clippy::cast_possible_truncation,
        clippy::cast_possible_wrap,
        clippy::cast_sign_loss,
        clippy::indexing_slicing,
        clippy::string_slice
    )
)]

pub mod bench;
pub mod encode;
mod exit;
pub mod frame;
#[cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]
pub mod gpu;
pub mod headless;
#[cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]
pub mod host;
#[cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]
pub mod scene;
#[cfg(test)]
mod test_process;
pub mod worker;

pub use exit::end_process;
