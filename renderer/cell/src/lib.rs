//! What a process gives up before it meets a scene.
//!
//! [`enter`] is called at the very start of `scenecast worker` and `scenecast compile`. Each module makes one part of the cell and says
//! whether it holds; a part that the system refuses is reported, and the others are made all the same. Nothing can be taken back, by
//! whoever runs in the process later. Knows neither scenes nor GPUs, and of drivers only where their files are.

mod capabilities;
mod descriptors;
mod files;
mod limits;
mod namespaces;
mod parent;
mod system_calls;

use std::{
    io,
    path::{Path, PathBuf},
};

use renderer_protocol::{Cell, CellPart};

pub use limits::{ADDRESS_SPACE_BYTES, DRIVER_DATA_BYTES, MAX_FILE_BYTES, MAX_OPEN_FILES, MAX_THREADS};

/// What a process may still do in its cell.
#[derive(Clone, Debug)]
pub struct CellConfig {
    kind: Kind,
    readable: Vec<PathBuf>,
    writable: Option<PathBuf>,
    limits: limits::Limits,
}

/// What a process is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Runs a scene and its drivers, and writes no file.
    Worker,
    /// Turns bytes into files of one folder, of which it reads nothing.
    Compiler,
}

impl CellConfig {
    /// For a worker whose scene, with its GPU memory on a machine without a GPU, may have so many bytes.
    pub fn worker(scene_bytes: u64) -> Self {
        Self {
            kind: Kind::Worker,
            readable: Vec::new(),
            writable: None,
            limits: limits::Limits::of_worker(scene_bytes),
        }
    }

    /// For the compiler, with its private memory and its processor time. It puts files into this folder, which is there.
    pub fn compiler(folder: &Path, memory_bytes: u64, cpu_seconds: u64) -> Self {
        Self {
            kind: Kind::Compiler,
            readable: Vec::new(),
            writable: Some(folder.to_owned()),
            limits: limits::Limits::of_compiler(memory_bytes, cpu_seconds),
        }
    }

    /// Lets it read this file too.
    pub fn reading(mut self, path: &Path) -> Self {
        self.readable.push(path.to_owned());
        self
    }
}

/// Why a process may not go on.
#[derive(Debug, thiserror::Error)]
pub enum EnterError {
    /// What holds for one thread would not hold for the others.
    #[error("the process has {0} threads before it is in its cell")]
    Threads(usize),
    /// Who started it is gone.
    #[error("the process that started this one is gone")]
    Orphan,
    /// It cannot look at itself.
    #[error("/proc cannot be read: {0}")]
    Proc(io::Error),
}

/// Enters the cell. Call it first: before a thread is started, a file is opened, or a byte of a scene is read.
///
/// Closes every file descriptor but the standard ones.
pub fn enter(config: &CellConfig) -> Result<Cell, EnterError> {
    let threads = std::fs::read_dir("/proc/self/task").map_err(EnterError::Proc)?.count();
    if threads != 1 {
        return Err(EnterError::Threads(threads));
    }
    let mut cell = Cell::default();
    let mut make = |part, made: Result<(), String>| {
        if let Err(reason) = made {
            cell.lacks(part, reason);
        }
    };
    make(CellPart::Descriptors, descriptors::close());
    // While there may be capabilities: without them, namespaces are had by way of one of users.
    make(CellPart::Namespaces, namespaces::unshare());
    make(CellPart::ResourceLimits, limits::set(&config.limits));
    make(CellPart::Capabilities, capabilities::drop());
    // After what changes credentials, which makes the kernel forget it.
    make(CellPart::ParentDeath, parent::die_with_parent()?);
    make(
        CellPart::NoNewPrivileges,
        rustix::thread::set_no_new_privs(true).map_err(|error| error.to_string()),
    );
    make(CellPart::Files, files::restrict(config));
    // Last, because it forbids what the others are made with.
    make(CellPart::SystemCalls, system_calls::restrict(config.kind));
    Ok(cell)
}
