//! `scenecast:scene/log`: lines for the scene's author, each with its level.

use renderer_protocol::{LogLevel, LogSource};

use super::bindings::scenecast::scene::log::{self, Level};
use crate::host::wasi::{LogSink, write_lines};

impl log::Host for &LogSink {
    fn log(&mut self, level: Level, message: String) -> wasmtime::Result<()> {
        let level = match level {
            Level::Debug => LogLevel::Debug,
            Level::Info => LogLevel::Info,
            Level::Warn => LogLevel::Warn,
            Level::Error => LogLevel::Error,
        };
        write_lines(self, LogSource::Log(level), &message);
        Ok(())
    }
}
