//! A real server for a test: started on a free port, asked over HTTP, ended with the test.

mod server;

pub use server::{Server, ServerOptions, scenecast, wait_for};
