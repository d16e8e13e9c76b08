//! Resource limits of one process. What many processes take together is the business of cgroups.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Address space of a worker. Each linear memory of a scene reserves 4 GiB, of which it uses what it grows to, and a scene may have 64; a GPU's
/// driver reserves tens of gigabytes. Beyond this nothing innocent goes.
pub const ADDRESS_SPACE_BYTES: u64 = 1 << 40;
/// Private memory of a worker beside its scene's: the runtime, a shader compiler, the drivers and their threads' stacks, of which only a part is
/// ever touched.
pub const DRIVER_DATA_BYTES: u64 = 4 << 30;
/// Open files of a worker. A software rasteriser has some 30; NVIDIA's driver opens a dozen of its nodes for each device.
pub const MAX_OPEN_FILES: u64 = 1024;
/// Threads of a worker. A software rasteriser has at most 32 a device, and a scene with its eight devices a quarter of the bound.
pub const MAX_THREADS: u64 = 1024;
/// The largest file. A worker can write none, but drivers keep memory in files that have no name.
pub const MAX_FILE_BYTES: u64 = 4 << 30;

/// The compiler has its standard descriptors and one file.
const COMPILER_OPEN_FILES: u64 = 64;
/// More than the largest artifact.
const COMPILER_FILE_BYTES: u64 = 1 << 30;

#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    address_space_bytes: u64,
    data_bytes: u64,
    open_files: u64,
    file_bytes: u64,
    cpu_seconds: Option<u64>,
}

impl Limits {
    pub(crate) fn of_worker(scene_bytes: u64) -> Self {
        Self {
            address_space_bytes: ADDRESS_SPACE_BYTES.saturating_add(scene_bytes),
            data_bytes: DRIVER_DATA_BYTES.saturating_add(scene_bytes),
            open_files: MAX_OPEN_FILES,
            file_bytes: MAX_FILE_BYTES.saturating_add(scene_bytes),
            cpu_seconds: None,
        }
    }

    pub(crate) fn of_compiler(memory_bytes: u64, cpu_seconds: u64) -> Self {
        Self {
            address_space_bytes: memory_bytes,
            data_bytes: memory_bytes,
            open_files: COMPILER_OPEN_FILES,
            file_bytes: COMPILER_FILE_BYTES,
            cpu_seconds: Some(cpu_seconds),
        }
    }
}

pub(crate) fn set(limits: &Limits) -> Result<(), String> {
    lower(Resource::Core, 0)?;
    lower(Resource::As, limits.address_space_bytes)?;
    lower(Resource::Data, limits.data_bytes)?;
    lower(Resource::Nofile, limits.open_files)?;
    lower(Resource::Fsize, limits.file_bytes)?;
    // The kernel counts all processes of a user in a namespace of users. Of the server's own user there may be any number, and root is not
    // counted.
    if has_own_users() {
        lower(Resource::Nproc, MAX_THREADS)?;
    }
    // The lower one ends the process with a signal of its own, by which it is known; a process that ignores that is killed.
    limits.cpu_seconds.map_or(Ok(()), |seconds| lower_to(Resource::Cpu, seconds, seconds.saturating_add(1)))
}

/// Both limits, so that neither can be raised again; never above what is there.
fn lower(resource: Resource, amount: u64) -> Result<(), String> {
    lower_to(resource, amount, amount)
}

fn lower_to(resource: Resource, current: u64, maximum: u64) -> Result<(), String> {
    let most = getrlimit(resource).maximum.unwrap_or(u64::MAX);
    let [current, maximum] = [current, maximum].map(|amount| Some(amount.min(most)));
    setrlimit(resource, Rlimit { current, maximum }).map_err(|error| format!("{resource:?}: {error}"))
}

/// Whether this process is alone in its namespace of users: then that maps one user, not all.
fn has_own_users() -> bool {
    let map = std::fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    map.split_whitespace().nth(2) == Some("1")
}
