//! The real things for a test: a server that is started on a free port, asked over HTTP and ended with the test; and a worker process alone.

pub mod bombs;
pub mod compiler;
mod raw;
mod server;
mod worker;

pub use raw::Raw;
pub use server::{Reply, Server, ServerOptions, scenecast, wait_for, watch};
pub use worker::{PATIENCE, Worker, assert_over_limit, size};
