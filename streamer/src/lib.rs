//! The broker: HTTP, signalling, WebRTC, sessions and the supervision of their workers.
//!
//! It never compiles, instantiates or touches a scene, a shader or a GPU, and survives whatever a scene, a worker, a viewer or
//! the network does.

pub mod auth;
pub mod compiler;
pub mod config;
pub mod error;
pub mod fuzzing;
pub mod http;
pub mod input;
pub mod library;
pub mod metrics;
pub mod rtc;
pub mod server;
pub mod session;
pub mod text;
pub mod viewer_protocol;
