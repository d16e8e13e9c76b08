//! A scene component in, frames and H.264 access units out.
//!
//! A frame flows `scene` → `host` → `frame` → `encode`; [`worker`] joins them to the broker, and nothing here knows the network.

pub mod bench;
