//! Control groups: a bound on the memory and the processes, and a weight for the processor time, of each process that handles a
//! scene.
//!
//! Owns the groups that the server makes below its own one, and their removal. Knows process ids and numbers; not what a process does.
//! Where the kernel's interface is, and in which of its two versions, is [`hierarchy`]'s.

mod hierarchy;

use std::{
    io,
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use renderer_protocol::SceneLimits;

use hierarchy::{Bounds, CpuShare, Hierarchy, Settings};

/// What a worker needs beside the scene's memory and the textures of a software rasteriser, which the scene's limits name: at rest
/// some 130 MiB of driver, encoder and code; machine code of 1,024 pipelines, some 300 MiB; recorded commands, some 100 MiB; parsed
/// shaders, 64 MiB. The rest is room for pictures on their way.
const WORKER_OVERHEAD_BYTES: u64 = 768 << 20;
/// Threads of a worker: at most eight devices, each with a software rasteriser's 32 threads and a few of its driver. A compiler has
/// some 20.
const MAX_THREADS: u64 = 512;

/// What processor time is shared by: a process with twice the weight gets twice the time when both want all of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// The broker: it does little for each picture, and every session waits for it.
    Broker,
    /// A worker that runs a session's scene.
    Session,
    /// A worker whose session takes more than its share: it runs where nobody else wants to.
    Greedy,
    /// Whatever nobody is watching: compilers, workers that start in advance, thumbnails.
    Background,
}

impl Class {
    /// 100 is the kernel's word for an ordinary group.
    const fn weight(self) -> u64 {
        match self {
            Self::Broker => 1_000,
            Self::Session => 100,
            Self::Background => 10,
            Self::Greedy => 1,
        }
    }

    fn share(self) -> CpuShare {
        CpuShare { weight: self.weight(), idle: self == Self::Greedy }
    }
}

/// What the kernel can bound for a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Controller {
    /// A share of the processors.
    Cpu,
    /// Bytes.
    Memory,
    /// Processes and threads.
    Pids,
}

impl Controller {
    const ALL: [Self; 3] = [Self::Cpu, Self::Memory, Self::Pids];

    /// The kernel's name for it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Memory => "memory",
            Self::Pids => "pids",
        }
    }
}

/// Which controllers this server may use, and why not the others.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Availability {
    /// Those that hold for every process that handles a scene.
    pub held: Vec<Controller>,
    /// Those that do not, with a reason.
    pub missing: Vec<(Controller, String)>,
}

impl Availability {
    /// Whether memory, processes and processor time are all bounded.
    pub const fn is_complete(&self) -> bool {
        self.missing.is_empty()
    }

    /// What is missing and why, for people; empty when nothing is.
    pub fn describe_missing(&self) -> String {
        let missing: Vec<_> =
            self.missing.iter().map(|(controller, why)| format!("{} ({why})", controller.name())).collect();
        missing.join(", ")
    }
}

/// Makes groups for processes, as far as the kernel lets it.
#[derive(Clone, Debug, Default)]
pub struct Cgroups(Option<Arc<Tree>>);

#[derive(Debug)]
struct Tree {
    hierarchies: Vec<Hierarchy>,
    /// Of a worker that runs a session's scene.
    session_memory_bytes: u64,
    /// Of a process in the background, which may be a compiler.
    background_memory_bytes: u64,
    last_number: AtomicU64,
    /// Groups whose last process was still ending when they were to be removed. Each was a worker's or a compiler's, whose numbers are
    /// limited, and they go with the next group.
    leaving: Mutex<Vec<PathBuf>>,
}

impl Cgroups {
    /// Takes what there is, removes what a server that was killed has left, and puts this process into a group of its own.
    /// `compile_memory_bytes` is what a compiler may use by its own limit.
    pub fn open(scene: &SceneLimits, compile_memory_bytes: u64) -> (Self, Availability) {
        let mut availability = Availability::default();
        let (hierarchies, missing) = Hierarchy::open_all();
        for controller in Controller::ALL {
            if hierarchies.iter().any(|hierarchy| hierarchy.has(controller)) {
                availability.held.push(controller);
            } else {
                let why = missing.iter().find(|(of, _)| *of == controller);
                let why =
                    why.map_or_else(|| "the kernel does not offer it".to_owned(), |(_, why)| why.clone());
                availability.missing.push((controller, why));
            }
        }
        if hierarchies.is_empty() {
            return (Self::default(), availability);
        }
        let session_memory_bytes = session_memory_bytes(scene);
        let tree = Tree {
            hierarchies,
            session_memory_bytes,
            background_memory_bytes: session_memory_bytes.max(compile_memory_bytes),
            last_number: AtomicU64::new(0),
            leaving: Mutex::default(),
        };
        (Self(Some(Arc::new(tree))), availability)
    }

    /// Puts a process that has just been started into a group of its own. The kernel takes up to some ten milliseconds for this, so
    /// it is done where waiting is no harm. An error says why a group that is required cannot be had, which the kernel may refuse at
    /// any time, whatever it allowed before; where it is not required, the process runs without.
    pub async fn contain(&self, process: u32, class: Class, is_required: bool) -> io::Result<Group> {
        let Some(tree) = self.0.clone() else {
            let none = || io::Error::other("there are no control groups here");
            return if is_required { Err(none()) } else { Ok(Group::default()) };
        };
        let made = tokio::task::spawn_blocking(move || Group::make(tree, process, class, is_required)).await;
        made.unwrap_or_else(|error| Err(io::Error::other(error)))
    }
}

/// The scene's own memory, what a software rasteriser keeps of its GPU memory in the same process, and the rest.
fn session_memory_bytes(scene: &SceneLimits) -> u64 {
    scene.max_memory_bytes.saturating_add(scene.max_gpu_memory_bytes).saturating_add(WORKER_OVERHEAD_BYTES)
}

/// A process in a group of its own. When this is dropped, whatever is left in the group is killed and the group is removed.
#[derive(Debug, Default)]
pub struct Group(Option<Made>);

#[derive(Debug)]
struct Made {
    tree: Arc<Tree>,
    /// One for each of the tree's hierarchies, in their order; none where it could not be made.
    folders: Vec<Option<PathBuf>>,
}

impl Group {
    fn make(tree: Arc<Tree>, process: u32, class: Class, is_required: bool) -> io::Result<Self> {
        tree.remove_left();
        let number = tree.last_number.fetch_add(1, Ordering::Relaxed) + 1;
        let name = format!("process-{number}");
        let settings = tree.settings(class);
        let mut folders = Vec::new();
        for hierarchy in &tree.hierarchies {
            let made = hierarchy.make(&name, &settings).and_then(|folder| {
                hierarchy::admit(&folder, process).inspect_err(|_| drop(std::fs::remove_dir(&folder)))?;
                Ok(folder)
            });
            match made {
                Ok(folder) => folders.push(Some(folder)),
                Err(error) if is_required => {
                    tree.remove(folders.into_iter().flatten().collect());
                    return Err(error);
                }
                Err(error) => {
                    tracing::warn!(%error, process, "a process runs outside of a control group");
                    folders.push(None);
                }
            }
        }
        Ok(Self(Some(Made { tree, folders })))
    }

    /// Gives it what processes of this class may have. The kernel takes some ten microseconds for each file, so nothing is lost by
    /// writing them where this is asked for, unlike entering a group.
    pub fn set_class(&self, class: Class) {
        let Some(made) = &self.0 else { return };
        let settings = made.tree.settings(class);
        for (hierarchy, folder) in made.folders() {
            if let Err(error) = hierarchy.set(folder, &settings) {
                tracing::warn!(%error, "the limits of a control group could not be changed");
            }
        }
    }

    /// Changes how it competes for processors, and nothing else.
    pub fn set_greedy(&self, is_greedy: bool) {
        let Some(made) = &self.0 else { return };
        let share = if is_greedy { Class::Greedy } else { Class::Session }.share();
        for (hierarchy, folder) in made.folders() {
            if let Err(error) = hierarchy.set_share(folder, share) {
                tracing::warn!(%error, "the processor share of a control group could not be changed");
            }
        }
    }

    /// The memory limit of the group, if the kernel ended a process in it for that limit.
    pub fn ran_out_of_memory(&self) -> Option<u64> {
        let made = self.0.as_ref()?;
        let killed = made.folders().any(|(hierarchy, folder)| hierarchy.has_killed_for_memory(folder));
        killed.then_some(made.tree.session_memory_bytes)
    }
}

impl Made {
    fn folders(&self) -> impl Iterator<Item = (&Hierarchy, &PathBuf)> {
        let folders = self.tree.hierarchies.iter().zip(&self.folders);
        folders.filter_map(|(hierarchy, folder)| folder.as_ref().map(|folder| (hierarchy, folder)))
    }

    fn remove(self) {
        self.tree.remove(self.folders.iter().flatten().cloned().collect());
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let Some(made) = self.0.take() else { return };
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn_blocking(|| made.remove())),
            Err(_) => made.remove(),
        }
    }
}

impl Tree {
    fn settings(&self, class: Class) -> Settings {
        let memory_bytes = match class {
            Class::Broker => return Settings { share: class.share(), bounds: None },
            Class::Session | Class::Greedy => self.session_memory_bytes,
            Class::Background => self.background_memory_bytes,
        };
        Settings { share: class.share(), bounds: Some(Bounds { memory_bytes, threads: MAX_THREADS }) }
    }

    /// Kills what is left in the groups and removes them, or notes them for later when their processes have not ended yet.
    fn remove(&self, folders: Vec<PathBuf>) {
        for folder in folders {
            hierarchy::kill_all(&folder);
            if hierarchy::remove(&folder).is_err() {
                self.leaving.lock().unwrap_or_else(PoisonError::into_inner).push(folder);
            }
        }
    }

    fn remove_left(&self) {
        let mut leaving = self.leaving.lock().unwrap_or_else(PoisonError::into_inner);
        leaving.retain(|folder| hierarchy::remove(folder).is_err());
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        self.remove_left();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_may_use_what_its_scene_may_and_the_rest_it_needs() {
        let scene = SceneLimits::default();
        assert_eq!(session_memory_bytes(&scene), (256 + 512 + 768) << 20);
        let scene = SceneLimits { max_memory_bytes: u64::MAX, ..scene };
        assert_eq!(session_memory_bytes(&scene), u64::MAX);
    }

    #[test]
    fn a_server_without_any_says_what_is_missing_and_why() {
        let availability = Availability {
            held: vec![Controller::Cpu],
            missing: vec![
                (Controller::Memory, "not delegated".to_owned()),
                (Controller::Pids, "gone".to_owned()),
            ],
        };
        assert!(!availability.is_complete());
        assert_eq!(availability.describe_missing(), "memory (not delegated), pids (gone)");
    }

    #[tokio::test]
    async fn without_control_groups_a_process_runs_as_it_is() {
        let group = Cgroups::default().contain(std::process::id(), Class::Session, false).await.unwrap();
        group.set_class(Class::Background);
        assert_eq!(group.ran_out_of_memory(), None);
    }

    #[tokio::test]
    async fn row_33_a_process_that_must_be_in_a_control_group_is_refused_when_none_can_be_made_any_more() {
        let folder = tempfile::tempdir().unwrap();
        let tree = Tree {
            hierarchies: vec![Hierarchy::taken_away(folder.path())],
            session_memory_bytes: 0,
            background_memory_bytes: 0,
            last_number: AtomicU64::new(0),
            leaving: Mutex::default(),
        };
        let cgroups = Cgroups(Some(Arc::new(tree)));
        let error = cgroups.contain(std::process::id(), Class::Session, true).await.unwrap_err();
        assert!(error.to_string().contains("process-1"), "{error}");
        assert!(cgroups.contain(std::process::id(), Class::Session, false).await.is_ok());
        assert!(Cgroups::default().contain(std::process::id(), Class::Session, true).await.is_err());
    }
}
