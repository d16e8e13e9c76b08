//! Where the kernel's control groups are, and how they are written: version 2 (one tree for all controllers, delegated by whoever
//! started the server) and version 1 (a tree for each controller).
//!
//! Owns file names and formats. Decides no number.

use std::{
    collections::HashMap,
    io,
    path::{Path, PathBuf},
};

use procfs::{
    ProcessCGroup,
    process::{MountInfo, Process},
};
use rustix::process::{Pid, Signal, kill_process};

use super::{Class, Controller};

/// The names of our groups begin with this; then come the server's process id and start time.
const PREFIX: &str = "scenecast-";
/// What version 1 calls weight 100.
const SHARES_OF_AN_ORDINARY_GROUP: u64 = 1_024;
/// Version 1 takes no less.
const MIN_SHARES: u64 = 2;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Version {
    One,
    Two,
}

/// What holds for a group.
#[derive(Clone, Copy, Debug)]
pub(super) struct Settings {
    pub share: CpuShare,
    /// None for the broker, which bounds itself.
    pub bounds: Option<Bounds>,
}

/// How a group competes for processors.
#[derive(Clone, Copy, Debug)]
pub(super) struct CpuShare {
    /// 100 for an ordinary group.
    pub weight: u64,
    /// It runs only where no other group wants to, if the kernel (5.15) knows this; otherwise the weight holds.
    pub idle: bool,
}

/// How much a group may have.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    pub memory_bytes: u64,
    pub threads: u64,
}

/// A tree of groups in which the server may make some.
#[derive(Debug)]
pub(super) struct Hierarchy {
    version: Version,
    controllers: Vec<Controller>,
    /// The group that the server was started in.
    base: PathBuf,
    /// The server's own, below it; removed when this is dropped.
    top: PathBuf,
}

impl Hierarchy {
    /// All that can be used, and why each other controller cannot.
    pub(super) fn open_all() -> (Vec<Self>, Vec<(Controller, String)>) {
        let (mut opened, mut missing) = (Vec::new(), Vec::new());
        let process = Process::myself();
        let read = process.and_then(|process| {
            let started = process.stat()?.starttime;
            Ok((process.cgroups()?, process.mountinfo()?, started))
        });
        let (groups, mounts, started) = match read {
            Ok(read) => read,
            Err(error) => {
                let why = |controller| (controller, format!("/proc cannot be read: {error}"));
                return (opened, Controller::ALL.map(why).into());
            }
        };
        let name = format!("{PREFIX}{}-{started}", std::process::id());
        for group in &groups.0 {
            let Some(base) = mounts.0.iter().find_map(|mount| place_of(group, mount)) else { continue };
            let version = if group.hierarchy == 0 { Version::Two } else { Version::One };
            let offered = match version {
                Version::One => group.controllers.clone(),
                Version::Two => words(&base.join("cgroup.controllers")),
            };
            let is_offered = |controller: &Controller| offered.iter().any(|name| name == controller.name());
            let controllers: Vec<_> = Controller::ALL.into_iter().filter(is_offered).collect();
            if controllers.is_empty() {
                continue;
            }
            match Self::open(version, controllers.clone(), base, &name) {
                Ok(hierarchy) => opened.push(hierarchy),
                Err(error) => missing.extend(controllers.iter().map(|of| (*of, error.to_string()))),
            }
        }
        (opened, missing)
    }

    fn open(version: Version, controllers: Vec<Controller>, base: PathBuf, name: &str) -> io::Result<Self> {
        remove_orphans(&base);
        let top = base.join(name);
        make_folder(&top)?;
        // From here on the folders and our place are undone if anything fails.
        let hierarchy = Self { version, controllers, base, top };
        match version {
            Version::One => hierarchy.settle_in_version_1()?,
            Version::Two => hierarchy.settle_in_version_2()?,
        }
        Ok(hierarchy)
    }

    /// Our threads stand beside our groups in the same tree; where processors are shared out, we go into a group, too.
    fn settle_in_version_1(&self) -> io::Result<()> {
        if self.has(Controller::Cpu) {
            let processors = std::thread::available_parallelism().map_or(1, |count| count.get() as u64);
            write(&self.top, "cpu.shares", &(processors * SHARES_OF_AN_ORDINARY_GROUP))?;
            self.move_in()?;
        }
        Ok(())
    }

    /// A group that has processes cannot give controllers to groups below it, so the server leaves the one that it was started in.
    fn settle_in_version_2(&self) -> io::Result<()> {
        let enable = |folder: &Path| -> io::Result<()> {
            let names: Vec<_> = self.controllers.iter().map(|of| format!("+{}", of.name())).collect();
            write(folder, "cgroup.subtree_control", &names.join(" "))
        };
        if enable(&self.base).is_err() {
            if words(&self.base.join("cgroup.procs")) != [std::process::id().to_string()] {
                return Err(io::Error::other(
                    "the group that the server was started in has other processes, too; start it as a service with Delegate=yes",
                ));
            }
            self.move_in()?;
            enable(&self.base)?;
        }
        self.move_in()?;
        enable(&self.top)?;
        self.set(&self.top.join("broker"), &Settings { share: Class::Broker.share(), bounds: None })
    }

    fn move_in(&self) -> io::Result<()> {
        let broker = self.top.join("broker");
        if broker.is_dir() {
            return Ok(());
        }
        make_folder(&broker)?;
        if self.version == Version::One {
            self.set(&broker, &Settings { share: Class::Broker.share(), bounds: None })?;
        }
        admit(&broker, std::process::id())
    }

    /// One whose folder is not there any more.
    #[cfg(test)]
    pub(super) fn taken_away(below: &Path) -> Self {
        let top = below.join("gone");
        Self { version: Version::Two, controllers: Controller::ALL.into(), base: below.to_owned(), top }
    }

    pub(super) fn has(&self, controller: Controller) -> bool {
        self.controllers.contains(&controller)
    }

    /// Makes a group with these limits.
    pub(super) fn make(&self, name: &str, settings: &Settings) -> io::Result<PathBuf> {
        let folder = self.top.join(name);
        make_folder(&folder)?;
        self.set(&folder, settings).inspect_err(|_| drop(std::fs::remove_dir(&folder)))?;
        Ok(folder)
    }

    /// Changes a group's limits.
    pub(super) fn set(&self, folder: &Path, settings: &Settings) -> io::Result<()> {
        let version = self.version;
        self.set_share(folder, settings.share)?;
        let Some(bounds) = settings.bounds else { return Ok(()) };
        if self.has(Controller::Pids) {
            write(folder, "pids.max", &bounds.threads)?;
        }
        if self.has(Controller::Memory) {
            match version {
                Version::One => {
                    // The limit with swap is never below the one without, so in one of the two orders each is allowed.
                    let both = ["memory.limit_in_bytes", "memory.memsw.limit_in_bytes"];
                    let swap_is_counted = folder.join(both[1]).exists();
                    if swap_is_counted && write(folder, both[1], &bounds.memory_bytes).is_err() {
                        write(folder, both[0], &bounds.memory_bytes)?;
                        write(folder, both[1], &bounds.memory_bytes)?;
                    }
                    write(folder, both[0], &bounds.memory_bytes)?;
                }
                Version::Two => {
                    write(folder, "memory.max", &bounds.memory_bytes)?;
                    write(folder, "memory.oom.group", &1)?;
                    if folder.join("memory.swap.max").exists() {
                        write(folder, "memory.swap.max", &0)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Changes how a group competes for processors, if that is this tree's matter.
    pub(super) fn set_share(&self, folder: &Path, share: CpuShare) -> io::Result<()> {
        if !self.has(Controller::Cpu) {
            return Ok(());
        }
        if folder.join("cpu.idle").exists() {
            // An idle group takes no weight.
            write(folder, "cpu.idle", &u64::from(share.idle))?;
            if share.idle {
                return Ok(());
            }
        }
        match self.version {
            Version::One => write(
                folder,
                "cpu.shares",
                &((share.weight * SHARES_OF_AN_ORDINARY_GROUP / 100).max(MIN_SHARES)),
            ),
            Version::Two => write(folder, "cpu.weight", &share.weight),
        }
    }

    /// Whether the kernel ended a process of this group because it wanted more memory than the group may have.
    pub(super) fn has_killed_for_memory(&self, folder: &Path) -> bool {
        if !self.has(Controller::Memory) {
            return false;
        }
        let file = match self.version {
            Version::One => "memory.oom_control",
            Version::Two => "memory.events",
        };
        let words = words(&folder.join(file));
        let count = words.iter().skip_while(|word| *word != "oom_kill").nth(1);
        count.and_then(|count| count.parse::<u64>().ok()).is_some_and(|count| count > 0)
    }
}

impl Drop for Hierarchy {
    fn drop(&mut self) {
        // What cannot be undone here is undone by the next server that starts.
        let broker = self.top.join("broker");
        if broker.is_dir() {
            let _ = admit(&self.base, std::process::id());
            let _ = remove(&broker);
        }
        let _ = remove(&self.top);
    }
}

/// The folder of one of our groups, if this is where its tree is mounted.
fn place_of(group: &ProcessCGroup, mount: &MountInfo) -> Option<PathBuf> {
    let is_its_tree = if group.hierarchy == 0 {
        mount.fs_type == "cgroup2"
    } else {
        mount.fs_type == "cgroup"
            && group.controllers.iter().all(|name| has_option(&mount.super_options, name))
    };
    if !is_its_tree {
        return None;
    }
    // A mount may show a part of the tree only.
    let inside = Path::new(&group.pathname).strip_prefix(&mount.root).ok()?;
    Some(mount.mount_point.join(inside))
}

fn has_option(options: &HashMap<String, Option<String>>, name: &str) -> bool {
    let (name, value) =
        name.split_once('=').map_or((name, None), |(name, value)| (name, Some(value.to_owned())));
    options.get(name) == Some(&value)
}

/// Removes the groups of servers that are not there any more.
fn remove_orphans(base: &Path) {
    for entry in std::fs::read_dir(base).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let Some(owner) = name.to_str().and_then(owner_of) else { continue };
        if !is_alive(owner) {
            remove_tree(&entry.path());
        }
    }
}

/// Process id and start time in the name of a server's group.
fn owner_of(name: &str) -> Option<(i32, u64)> {
    let (pid, started) = name.strip_prefix(PREFIX)?.split_once('-')?;
    Some((pid.parse().ok()?, started.parse().ok()?))
}

fn is_alive((pid, started): (i32, u64)) -> bool {
    let stat = Process::new(pid).and_then(|process| process.stat());
    stat.is_ok_and(|stat| stat.starttime == started)
}

/// The tree of a server is two groups deep. Its workers have ended with it; a process that has not is killed.
fn remove_tree(top: &Path) {
    for entry in std::fs::read_dir(top).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            kill_all(&entry.path());
            let _ = remove(&entry.path());
        }
    }
    let _ = remove(top);
}

/// Moves a process with all its threads.
pub(super) fn admit(folder: &Path, process: u32) -> io::Result<()> {
    write(folder, "cgroup.procs", &process)
}

/// Kills whatever is in the group.
pub(super) fn kill_all(folder: &Path) {
    let at_once = folder.join("cgroup.kill");
    if at_once.exists() {
        let _ = write(folder, "cgroup.kill", &1);
        return;
    }
    for process in words(&folder.join("cgroup.procs")) {
        if let Some(process) = process.parse().ok().and_then(Pid::from_raw) {
            // It may have ended by itself.
            let _ = kill_process(process, Signal::KILL);
        }
    }
}

/// Removes a group; fails as long as a process is in it.
pub(super) fn remove(folder: &Path) -> io::Result<()> {
    match std::fs::remove_dir(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn make_folder(folder: &Path) -> io::Result<()> {
    match std::fs::create_dir(folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(about(folder, &error)),
        _ => Ok(()),
    }
}

fn write(folder: &Path, file: &str, value: &impl ToString) -> io::Result<()> {
    let path = folder.join(file);
    // Opened, not created: these files are there or their feature is not.
    let mut opened =
        std::fs::OpenOptions::new().write(true).open(&path).map_err(|error| about(&path, &error))?;
    io::Write::write_all(&mut opened, value.to_string().as_bytes()).map_err(|error| about(&path, &error))
}

fn about(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

fn words(file: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    text.split_whitespace().map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_servers_group_names_its_process_and_when_that_began() {
        assert_eq!(owner_of("scenecast-12-345"), Some((12, 345)));
        for name in ["scenecast-12", "scenecast--1", "other-12-345", "scenecast-12-345-6", ""] {
            assert_eq!(owner_of(name), None, "{name}");
        }
        let started = Process::myself().unwrap().stat().unwrap().starttime;
        let pid = i32::try_from(std::process::id()).unwrap();
        assert!(is_alive((pid, started)));
        assert!(!is_alive((pid, started + 1)), "another process got the number");
    }

    #[test]
    fn a_tree_is_found_where_it_is_mounted_and_where_a_part_of_it_is() {
        let mount = |line: &str| MountInfo::from_line(line).unwrap();
        let group = |hierarchy, controllers: &[&str], path: &str| ProcessCGroup {
            hierarchy,
            controllers: controllers.iter().map(|name| (*name).to_owned()).collect(),
            pathname: path.to_owned(),
        };
        let unified = mount("41 31 0:38 / /sys/fs/cgroup rw,relatime - cgroup2 cgroup2 rw,nsdelegate");
        let service = group(0, &[], "/system.slice/scenecast.service");
        let place = Some(PathBuf::from("/sys/fs/cgroup/system.slice/scenecast.service"));
        assert_eq!(place_of(&service, &unified), place);
        let cpu = mount("32 31 0:29 /docker/1 /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu,cpuacct");
        let in_container = group(1, &["cpu", "cpuacct"], "/docker/1/x");
        assert_eq!(place_of(&in_container, &cpu), Some(PathBuf::from("/sys/fs/cgroup/cpu/x")));
        assert_eq!(place_of(&group(1, &["cpu", "cpuacct"], "/docker/2"), &cpu), None);
        assert_eq!(place_of(&group(4, &["memory"], "/docker/1"), &cpu), None);
        assert_eq!(place_of(&service, &cpu), None);
        let named = mount("40 31 0:37 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,name=systemd");
        assert!(place_of(&group(9, &["name=systemd"], "/"), &named).is_some());
    }

    #[test]
    fn what_a_server_that_was_killed_left_is_removed_and_what_a_living_one_has_is_not() {
        let base = tempfile::tempdir().unwrap();
        let started = Process::myself().unwrap().stat().unwrap().starttime;
        let mine = base.path().join(format!("{PREFIX}{}-{started}", std::process::id()));
        let orphan = base.path().join(format!("{PREFIX}{}-{}", std::process::id(), started + 1));
        let foreign = base.path().join("other");
        for folder in [&mine, &orphan, &foreign] {
            std::fs::create_dir_all(folder.join("process-1")).unwrap();
        }
        remove_orphans(base.path());
        assert!(mine.join("process-1").is_dir() && foreign.join("process-1").is_dir());
        assert!(!orphan.exists());
    }
}
