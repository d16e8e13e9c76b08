//! One binary with all integration tests: what a user of the server, of its API and of its command line would notice.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::unwrap_used,
    unreachable_pub,
    reason = "all of this crate is tests, whose helpers fail by panicking"
)]

mod access;
mod bench;
mod binary;
mod bucket;
mod cell;
mod cli;
mod compiler;
mod conformance;
mod deadlines;
mod dependency_rule;
mod faults;
mod goldens;
mod headless;
mod hostile;
mod http_abuse;
mod http_api;
mod interface_coverage;
mod library;
mod limits;
mod openapi;
mod operating;
mod pool;
mod property;
mod reliability;
mod sessions;
mod support;
mod wasi;
mod wasm;
mod wit;
mod worker;
