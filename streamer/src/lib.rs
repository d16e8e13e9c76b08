//! The broker: HTTP, signalling, WebRTC, sessions and the supervision of their workers.
//!
//! It never compiles, instantiates or touches a scene, a shader or a GPU, and survives whatever a scene, a worker, a viewer or
//! the network does.

pub mod rtc;
