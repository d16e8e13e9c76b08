//! What more than one test program needs: a viewer that is a real one, and the network between it and a server.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "all of this crate is tests, whose helpers fail by panicking"
)]

pub mod viewer;
