//! What a process may open: its drivers' files for reading, the GPU's nodes, and nothing else. A worker can write no file at all.
//!
//! What an older kernel's Landlock cannot hold (truncation, networks, signals) the system call filter does. Landlock does not hide names: a
//! process can learn that a path exists, and how large the file is.

use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, Ruleset, RulesetAttr, RulesetCreatedAttr, RulesetError,
    RulesetStatus, Scope, path_beneath_rules,
};

use crate::{CellConfig, Kind};

/// Libraries, and what they find beside them. Not all of `/usr`: programs are not among them.
const LIBRARIES: &[&str] = &[
    "/lib",
    "/lib32",
    "/lib64",
    "/usr/lib",
    "/usr/lib32",
    "/usr/lib64",
    "/usr/local/lib",
    "/usr/local/lib64",
    // Where container toolkits put the driver of the machine.
    "/usr/local/nvidia",
    // NixOS has its libraries in one and its drivers in the other.
    "/nix/store",
    "/run/opengl-driver",
    "/etc/ld.so.cache",
    "/etc/ld.so.preload",
];

/// What a worker's drivers read.
const DRIVER_FILES: &[&str] = &[
    // Manifests of Vulkan's drivers and layers, and Mesa's settings for applications.
    "/etc/drirc",
    "/etc/glvnd",
    "/etc/nvidia",
    "/etc/vulkan",
    "/etc/xdg/vulkan",
    "/usr/local/share/vulkan",
    "/usr/share/drirc.d",
    "/usr/share/glvnd",
    "/usr/share/libdrm",
    "/usr/share/nvidia",
    "/usr/share/vulkan",
    // Which GPUs and processors there are.
    "/sys/bus/pci",
    "/sys/class/drm",
    "/sys/dev",
    "/sys/devices",
    "/sys/module/nvidia",
    "/sys/module/nvidia_drm",
    "/sys/module/nvidia_modeset",
    "/sys/module/nvidia_uvm",
    "/proc/devices",
    "/proc/driver",
    "/proc/modules",
    "/proc/sys/vm/mmap_min_addr",
];

/// What every process reads of the machine and of itself.
const SYSTEM_FILES: &[&str] = &[
    "/dev/random",
    "/dev/urandom",
    "/dev/zero",
    "/proc/cpuinfo",
    "/proc/filesystems",
    "/proc/meminfo",
    // This process's own folder: the name leads there when the rule is made.
    "/proc/self",
    "/proc/stat",
    "/proc/sys/vm/overcommit_memory",
    "/proc/version",
    // How many processors a container may use.
    "/sys/fs/cgroup",
];

/// Lists of paths, or one path, by which an operator names drivers that lie elsewhere.
const DRIVER_VARIABLES: &[&str] =
    &["LD_LIBRARY_PATH", "LIBGL_DRIVERS_PATH", "VK_ADD_DRIVER_FILES", "VK_DRIVER_FILES", "VK_ICD_FILENAMES"];

/// GPUs, as Mesa's drivers, as WSL and as NVIDIA's driver find them: folders, and the beginnings of names in them. Not Mesa's `card0`: who opens
/// that node first owns the screens of its GPU. A software rasteriser needs none of them.
const DEVICES: &[(&str, &str)] = &[("/dev/dri", "renderD"), ("/dev", "dxg"), ("/dev", "nvidia")];
/// Drivers list it, to find their nodes.
const DEVICE_FOLDER: &str = "/dev/dri";

pub(crate) fn restrict(config: &CellConfig) -> Result<(), String> {
    match rules(config) {
        Ok(RulesetStatus::NotEnforced) => {
            Err("the kernel has no Landlock, or a container's policy forbids it".to_owned())
        }
        Ok(_) => Ok(()),
        Err(error) => Err(error.to_string()),
    }
}

fn rules(config: &CellConfig) -> Result<RulesetStatus, RulesetError> {
    let abi = ABI::V6;
    let read: BitFlags<AccessFs> = AccessFs::ReadFile | AccessFs::ReadDir;
    let use_device = read | AccessFs::WriteFile | AccessFs::IoctlDev;
    // To make files, and to put them in the place of others. What is there it may not even list: that came of others' scenes.
    let put: BitFlags<AccessFs> = AccessFs::WriteFile | AccessFs::MakeReg | AccessFs::RemoveFile;
    // Rules are made for what is there; a path that is not there stays closed if it appears later.
    let rules = Ruleset::default()
        .handle_access(AccessFs::from_all(abi))?
        .handle_access(AccessNet::from_all(abi))?
        .scope(Scope::from_all(abi))?
        .create()?
        .add_rules(path_beneath_rules(LIBRARIES, read))?
        .add_rules(path_beneath_rules(SYSTEM_FILES, read))?
        .add_rules(path_beneath_rules(named_by_operator(), read))?
        .add_rules(path_beneath_rules(std::env::current_exe().iter(), read))?
        .add_rules(path_beneath_rules(&config.readable, read))?
        .add_rules(path_beneath_rules(["/dev/null"], read | AccessFs::WriteFile))?;
    let rules = match config.kind {
        Kind::Worker => rules
            .add_rules(path_beneath_rules(DRIVER_FILES, read))?
            .add_rules(path_beneath_rules([DEVICE_FOLDER], AccessFs::ReadDir))?
            .add_rules(path_beneath_rules(devices(), use_device))?,
        Kind::Compiler => rules.add_rules(path_beneath_rules(&config.writable, put))?,
    };
    Ok(rules.restrict_self()?.ruleset)
}

fn named_by_operator() -> Vec<PathBuf> {
    let values = DRIVER_VARIABLES.iter().filter_map(std::env::var_os);
    let paths = values.flat_map(|value| std::env::split_paths(&value).collect::<Vec<_>>());
    // An empty piece would be the folder in which the process was started.
    paths.filter(|path| path.is_absolute() && path != Path::new("/")).collect()
}

fn devices() -> Vec<PathBuf> {
    DEVICES.iter().flat_map(|(folder, name)| nodes(Path::new(folder), name)).collect()
}

/// What is in the folder and has a name that begins so.
fn nodes(folder: &Path, name: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let is_one = |entry: &std::ffi::OsStr| entry.as_encoded_bytes().starts_with(name.as_bytes());
    entries.filter(|entry| is_one(&entry.file_name())).map(|entry| entry.path()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gpu_is_its_nodes_for_rendering_and_not_those_for_screens() {
        let folder = std::env::temp_dir().join(format!("scenecast-dri-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        for node in ["card0", "renderD128", "renderD129", "by-path"] {
            std::fs::write(folder.join(node), "").unwrap();
        }
        let mut found = nodes(&folder, DEVICES[0].1);
        found.sort();
        std::fs::remove_dir_all(&folder).unwrap();
        assert_eq!(found, [folder.join("renderD128"), folder.join("renderD129")]);
        assert_eq!(nodes(&folder, "renderD"), Vec::<PathBuf>::new());
    }
}
