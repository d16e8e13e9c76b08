//! Things that a worker must not be able to do, each tried once.

use std::{ffi::CString, io::Result, mem::size_of, path::PathBuf};

use libc::{
    AF_INET, AF_INET6, AF_NETLINK, AF_PACKET, AF_TIPC, AF_UNIX, AF_VSOCK, SOCK_DGRAM, SOCK_RAW,
    SOCK_SEQPACKET, SOCK_STREAM,
};

use crate::calls::{call, text};

/// Who and what the attempts are made on.
pub(crate) struct Targets {
    /// The process that started this one, in the role of the broker.
    pub(crate) parent: usize,
    /// A folder of the parent's with a file `artifact` in it, the cache, and with a datagram socket `socket`, as a service's.
    pub(crate) folder: PathBuf,
}

impl Targets {
    pub(crate) fn new(folder: &str) -> Self {
        Self { parent: std::os::unix::process::parent_id() as usize, folder: folder.into() }
    }
}

/// What was tried, and what came of it.
pub(crate) struct Attempt {
    name: String,
    run: Box<dyn Fn() -> Result<usize>>,
    /// Whether it can be done outside of a cell and then hurts nobody.
    pub(crate) is_harmless: bool,
}

impl Attempt {
    pub(crate) fn new(name: impl Into<String>, run: impl Fn() -> Result<usize> + 'static) -> Self {
        Self { name: name.into(), run: Box::new(run), is_harmless: false }
    }

    fn harmless(self) -> Self {
        Self { is_harmless: true, ..self }
    }
}

/// Makes the attempts, and prints a line of JSON for each.
pub(crate) fn report(attempts: &[Attempt]) {
    for Attempt { name, run, .. } in attempts {
        let line = match run() {
            Ok(value) => serde_json::json!({ "attempt": name, "succeeded": value }),
            Err(error) => serde_json::json!({ "attempt": name, "refused": error.to_string() }),
        };
        println!("{line}");
    }
}

/// All of them.
pub(crate) fn all(targets: &Targets) -> Vec<Attempt> {
    let mut attempts = files(targets);
    attempts.extend(sockets());
    attempts.extend(pairs(targets));
    attempts.extend(processes(targets.parent));
    attempts.extend(privileges(targets.parent));
    attempts.extend(the_kernel());
    attempts
}

/// Those of a compiler, which may put a file into the folder, and make one as its first attempt.
pub(crate) fn of_a_compiler(targets: &Targets) -> Vec<Attempt> {
    let (folder, new) = (targets.folder.to_str().unwrap(), targets.folder.join("new"));
    let new = new.to_str().unwrap().to_owned();
    let mut attempts = vec![
        Attempt::new("put a file", {
            let new = new.clone();
            move || open(&new, libc::O_CREAT | libc::O_EXCL | libc::O_WRONLY)
        }),
        reads(folder),
        reads(new.clone()),
    ];
    attempts.extend(files(targets).into_iter().filter(|attempt| attempt.name != format!("write {new}")));
    attempts.extend(sockets());
    attempts.extend(processes(targets.parent));
    attempts.extend(privileges(targets.parent));
    attempts.extend(the_kernel());
    attempts
}

fn open(path: &str, flags: i32) -> Result<usize> {
    let path = CString::new(path).unwrap();
    call(libc::SYS_openat, [libc::AT_FDCWD as usize, path.as_ptr() as usize, flags as usize, 0o600])
}

fn reads(path: impl Into<String>) -> Attempt {
    let path = path.into();
    Attempt::new(format!("read {path}"), move || open(&path, libc::O_RDONLY))
}

fn writes(path: impl Into<String>) -> Attempt {
    let path = path.into();
    Attempt::new(format!("write {path}"), move || open(&path, libc::O_CREAT | libc::O_WRONLY))
}

fn files(targets: &Targets) -> Vec<Attempt> {
    let Targets { parent, folder } = targets;
    let in_folder = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    let mut attempts = vec![
        reads(in_folder("artifact")).harmless(),
        reads("/etc/passwd").harmless(),
        reads("/proc/self/root/etc/passwd").harmless(),
        reads(format!("/proc/{parent}/environ")).harmless(),
        reads(format!("/proc/{parent}/maps")).harmless(),
        reads(format!("/proc/{parent}/fd")).harmless(),
        reads(format!("/proc/{parent}/root/etc/passwd")),
        writes(in_folder("artifact")).harmless(),
        writes(in_folder("new")).harmless(),
        Attempt::new("write what is open for reading", || {
            let file = open("/dev/zero", libc::O_RDONLY)?;
            open(&format!("/proc/self/fd/{file}"), libc::O_RDWR)
        })
        .harmless(),
        Attempt::new("a file without a name in /tmp", || open("/tmp", libc::O_TMPFILE | libc::O_RDWR)),
    ];
    attempts.extend(
        [
            "/etc/shadow",
            "/etc",
            "/root",
            "/home",
            "/tmp",
            "/usr/bin/env",
            "/proc/1/environ",
            "/dev/mem",
            "/dev/kmsg",
        ]
        .map(reads),
    );
    attempts.extend(
        [
            "/tmp/evil",
            "/dev/shm/evil",
            "/var/tmp/evil",
            "/usr/lib/evil",
            "/proc/self/mem",
            "/proc/self/oom_score_adj",
            "/proc/sys/kernel/core_pattern",
            "/sys/fs/cgroup/evil",
            "/dev/ptmx",
            "/dev/kvm",
            "/dev/net/tun",
        ]
        .map(writes),
    );
    let at = libc::AT_FDCWD as usize;
    let (tmp, new) = (text(c"/tmp"), text(c"/tmp/evil"));
    attempts.extend([
        Attempt::new("mkdir", move || call(libc::SYS_mkdirat, [at, new, 0o700])),
        Attempt::new("mknod", move || call(libc::SYS_mknodat, [at, new, libc::S_IFIFO as usize | 0o600, 0])),
        Attempt::new("symlink", move || call(libc::SYS_symlinkat, [tmp, at, new])),
        Attempt::new("link", move || call(libc::SYS_linkat, [at, text(c"/etc/passwd"), at, new, 0])),
        Attempt::new("rename", move || call(libc::SYS_renameat2, [at, new, at, text(c"/tmp/evil-2"), 0])),
        Attempt::new("unlink", move || call(libc::SYS_unlinkat, [at, new, 0])),
        Attempt::new("truncate", move || call(libc::SYS_truncate, [new, 0])),
        Attempt::new("chmod", move || call(libc::SYS_fchmodat, [at, new, 0o777])),
        Attempt::new("chown", move || call(libc::SYS_fchownat, [at, new, 0, 0, 0])),
        Attempt::new("setxattr", move || call(libc::SYS_setxattr, [new, text(c"user.evil"), tmp, 1, 0])),
        Attempt::new("utimensat", move || call(libc::SYS_utimensat, [at, new, 0, 0])),
        Attempt::new("open_by_handle_at", || call(libc::SYS_open_by_handle_at, [0, 0, 0])),
        Attempt::new("name_to_handle_at", move || call(libc::SYS_name_to_handle_at, [at, tmp, 0, 0, 0])),
        Attempt::new("inotify_init1", || call(libc::SYS_inotify_init1, [0])).harmless(),
        Attempt::new("fanotify_init", || call(libc::SYS_fanotify_init, [0, 0])),
    ]);
    attempts
}

fn sockets() -> Vec<Attempt> {
    let socket = |family: i32, kind: i32| call(libc::SYS_socket, [family as usize, kind as usize, 0]);
    let abstract_name = |name: &[u8]| {
        // SAFETY: an address of zeros is one.
        let mut address: libc::sockaddr_un = unsafe { std::mem::zeroed() };
        address.sun_family = AF_UNIX as u16;
        for (to, from) in address.sun_path[1..].iter_mut().zip(name) {
            *to = *from as libc::c_char;
        }
        std::ptr::from_ref(Box::leak(Box::new(address))) as usize
    };
    let address = abstract_name(b"scenecast-evil");
    let bytes = size_of::<libc::sockaddr_un>();
    vec![
        Attempt::new("socket: TCP", move || socket(AF_INET, SOCK_STREAM)).harmless(),
        Attempt::new("socket: UDP", move || socket(AF_INET, SOCK_DGRAM)).harmless(),
        Attempt::new("socket: TCP over IPv6", move || socket(AF_INET6, SOCK_STREAM)),
        Attempt::new("socket: Unix", move || socket(AF_UNIX, SOCK_STREAM)).harmless(),
        Attempt::new("socket: netlink", move || socket(AF_NETLINK, SOCK_RAW)).harmless(),
        Attempt::new("socket: packets", move || socket(AF_PACKET, SOCK_RAW)),
        Attempt::new("socket: to the host of a virtual machine", move || socket(AF_VSOCK, SOCK_STREAM)),
        Attempt::new("connect the socket that it was given", move || {
            call(libc::SYS_connect, [0, address, bytes])
        }),
        Attempt::new("bind it to a name", move || call(libc::SYS_bind, [0, address, bytes])),
        Attempt::new("listen on it", || call(libc::SYS_listen, [0, 1])),
        Attempt::new("accept on it", || call(libc::SYS_accept4, [0, 0, 0, 0])),
        Attempt::new("setsockopt on it", || {
            let on = 1_i32;
            let value = (&raw const on) as usize;
            call(
                libc::SYS_setsockopt,
                [0, libc::SOL_SOCKET as usize, libc::SO_PASSCRED as usize, value, size_of::<i32>()],
            )
        }),
    ]
}

/// What an end of a pair of sockets can be used for beside talking to the other one.
fn pairs(targets: &Targets) -> Vec<Attempt> {
    // SAFETY: an address of zeros is one.
    let mut address: libc::sockaddr_un = unsafe { std::mem::zeroed() };
    address.sun_family = AF_UNIX as u16;
    let path = targets.folder.join("socket");
    let path = path.as_os_str().as_encoded_bytes();
    assert!(path.len() < address.sun_path.len());
    for (to, from) in address.sun_path.iter_mut().zip(path) {
        *to = *from as libc::c_char;
    }
    let to_service = std::ptr::from_ref(Box::leak(Box::new(address))) as usize;
    let send_to = move |socket: usize| {
        call(libc::SYS_sendto, [socket, text(c"evil"), 4, 0, to_service, size_of::<libc::sockaddr_un>()])
    };
    vec![
        Attempt::new("a pair of sockets that is no Unix one", || pair(AF_TIPC, SOCK_STREAM)),
        Attempt::new("a pair of sockets for datagrams", || pair(AF_UNIX, SOCK_DGRAM)).harmless(),
        Attempt::new("the same with flags", || pair(AF_UNIX, SOCK_DGRAM | libc::SOCK_CLOEXEC)).harmless(),
        Attempt::new("a pair of sockets for packets in order", || pair(AF_UNIX, SOCK_SEQPACKET)).harmless(),
        Attempt::new("a pair of raw sockets", || pair(AF_UNIX, SOCK_RAW)).harmless(),
        Attempt::new("a datagram to a service of the machine", move || send_to(pair(AF_UNIX, SOCK_DGRAM)?))
            .harmless(),
        Attempt::new("the same from a pair that it may have", move || send_to(pair(AF_UNIX, SOCK_STREAM)?)),
        Attempt::new("the same from the socket that it was given", move || send_to(0)),
        Attempt::new("a descriptor in flight", || descriptors_in_flight(1, libc::SYS_sendmsg)).harmless(),
        Attempt::new("a descriptor in flight by the call for many messages", || {
            descriptors_in_flight(1, libc::SYS_sendmmsg)
        })
        .harmless(),
        // The kernel counts them for all processes of a user together: nobody else could send one.
        Attempt::new("1,025 descriptors in flight", || descriptors_in_flight(1_025, libc::SYS_sendmsg)),
    ]
}

/// One end of a pair. The other one stays open.
fn pair(family: i32, kind: i32) -> Result<usize> {
    let mut pair = [0_i32; 2];
    call(libc::SYS_socketpair, [family as usize, kind as usize, 0, pair.as_mut_ptr() as usize])?;
    Ok(pair[0] as usize)
}

/// Sends descriptors that nobody receives, one a message.
fn descriptors_in_flight(count: usize, by: libc::c_long) -> Result<usize> {
    /// Space for a header and one descriptor, as the kernel wants it aligned.
    #[repr(C, align(8))]
    struct Control {
        header: libc::cmsghdr,
        descriptor: i32,
        _padding: i32,
    }
    let socket = pair(AF_UNIX, SOCK_STREAM)?;
    let descriptor_bytes = size_of::<i32>() as u32;
    // SAFETY: these are counts and pointers, of which zeros are none.
    let (mut control, mut message) = unsafe { std::mem::zeroed::<(Control, libc::mmsghdr)>() };
    // SAFETY: this only computes.
    control.header.cmsg_len = unsafe { libc::CMSG_LEN(descriptor_bytes) } as _;
    control.header.cmsg_level = libc::SOL_SOCKET;
    control.header.cmsg_type = libc::SCM_RIGHTS;
    control.descriptor = 0;
    let mut data = libc::iovec { iov_base: text(c"x") as *mut libc::c_void, iov_len: 1 };
    message.msg_hdr.msg_iov = &raw mut data;
    message.msg_hdr.msg_iovlen = 1;
    message.msg_hdr.msg_control = (&raw mut control).cast();
    message.msg_hdr.msg_controllen = size_of::<Control>() as _;
    // One message is the first part of one of many. A message that is sent returns its length, which is 1, and so does one of many.
    for _ in 0..count {
        let flags_or_count = [libc::MSG_DONTWAIT as usize, 1];
        let third = flags_or_count[usize::from(by == libc::SYS_sendmmsg)];
        call(by, [socket, (&raw mut message) as usize, third, libc::MSG_DONTWAIT as usize])?;
    }
    Ok(count)
}

fn processes(parent: usize) -> Vec<Attempt> {
    let fork = || {
        let pid = call(libc::SYS_clone, [libc::SIGCHLD as usize, 0, 0, 0, 0])?;
        if pid == 0 {
            // SAFETY: the child ends at once.
            unsafe { libc::_exit(0) }
        }
        call(libc::SYS_wait4, [pid, 0, 0, 0])
    };
    let [sigcont, sigkill] = [libc::SIGCONT as usize, libc::SIGKILL as usize];
    let argv = Box::leak(Box::new([text(c"true"), 0])).as_ptr() as usize;
    let region = Box::leak(Box::new([0_u8; 64])).as_mut_ptr() as usize;
    let local = Box::leak(Box::new([region, 64])).as_ptr() as usize;
    vec![
        Attempt::new("exec", move || call(libc::SYS_execve, [text(c"/bin/true"), argv, 0])),
        Attempt::new("exec of memory", move || {
            let file = call(libc::SYS_memfd_create, [text(c"evil"), 0])?;
            call(libc::SYS_execveat, [file, text(c""), argv, 0, libc::AT_EMPTY_PATH as usize])
        }),
        Attempt::new("fork", fork).harmless(),
        #[cfg(target_arch = "x86_64")]
        Attempt::new("vfork", || call(libc::SYS_vfork, [])),
        Attempt::new("clone3", || call(libc::SYS_clone3, [0, 0])),
        Attempt::new("clone into a new namespace", || {
            let flags = libc::CLONE_VM | libc::CLONE_THREAD | libc::CLONE_SIGHAND | libc::CLONE_NEWUSER;
            call(libc::SYS_clone, [flags as usize, 0, 0, 0, 0])
        }),
        Attempt::new("ptrace the parent", move || {
            call(libc::SYS_ptrace, [libc::PTRACE_SEIZE as usize, parent, 0, 0])
        }),
        Attempt::new("ptrace itself", || call(libc::SYS_ptrace, [libc::PTRACE_TRACEME as usize, 0, 0, 0])),
        Attempt::new("read the parent's memory", move || {
            call(libc::SYS_process_vm_readv, [parent, local, 1, local, 1, 0])
        }),
        Attempt::new("write the parent's memory", move || {
            call(libc::SYS_process_vm_writev, [parent, local, 1, local, 1, 0])
        }),
        Attempt::new("advise the parent's memory", || call(libc::SYS_process_madvise, [0, 0, 0, 0, 0])),
        Attempt::new("kcmp", move || call(libc::SYS_kcmp, [parent, parent, 0, 0, 0])),
        Attempt::new("signal the parent", move || call(libc::SYS_kill, [parent, sigcont])).harmless(),
        Attempt::new("kill the parent", move || call(libc::SYS_kill, [parent, sigkill])),
        Attempt::new("kill a thread of the parent", move || {
            call(libc::SYS_tgkill, [parent, parent, sigkill])
        }),
        Attempt::new("kill a thread by its id", move || call(libc::SYS_tkill, [parent, sigkill])),
        Attempt::new("queue a signal to the parent", move || {
            call(libc::SYS_rt_sigqueueinfo, [parent, sigkill, region])
        }),
        Attempt::new("a handle of the parent", move || call(libc::SYS_pidfd_open, [parent, 0])).harmless(),
        Attempt::new("a signal by a handle", move || call(libc::SYS_pidfd_send_signal, [0, sigkill, 0, 0])),
        Attempt::new("a descriptor of the parent's", || call(libc::SYS_pidfd_getfd, [0, 0, 0])),
        Attempt::new("signals of a socket to the parent", move || {
            call(libc::SYS_fcntl, [0, libc::F_SETOWN as usize, parent])
        })
        .harmless(),
        Attempt::new("the same by ioctl", move || {
            let owner = i32::try_from(parent).unwrap();
            call(libc::SYS_ioctl, [0, 0x8901, (&raw const owner) as usize])
        })
        .harmless(),
        Attempt::new("type into a terminal", || {
            call(libc::SYS_ioctl, [2, libc::TIOCSTI as usize, text(c"x")])
        }),
        Attempt::new("the parent's priority", move || call(libc::SYS_setpriority, [0, parent, 19])),
        Attempt::new("the parent's processors", move || {
            call(libc::SYS_sched_setaffinity, [parent, 64, region])
        }),
        Attempt::new("the parent's scheduler", move || {
            call(libc::SYS_sched_setscheduler, [parent, 5, region])
        }),
        Attempt::new("the parent's limits", move || call(libc::SYS_prlimit64, [parent, 0, 0, region]))
            .harmless(),
        Attempt::new("shared memory of System V", || call(libc::SYS_shmget, [0, 4096, 0o1600])).harmless(),
        Attempt::new("a message queue", || {
            call(libc::SYS_mq_open, [text(c"evil"), (libc::O_CREAT | libc::O_RDWR) as usize, 0o600, 0])
        }),
    ]
}

fn privileges(parent: usize) -> Vec<Attempt> {
    let limit = |resource: usize, amount: u64| {
        let limit = [amount, amount];
        call(libc::SYS_prlimit64, [0, resource, limit.as_ptr() as usize, 0])
    };
    let prctl = |option: i32, value: usize| call(libc::SYS_prctl, [option as usize, value, 0, 0, 0]);
    vec![
        Attempt::new("more open files", move || limit(libc::RLIMIT_NOFILE as usize, 4096)),
        Attempt::new("more memory", move || limit(libc::RLIMIT_DATA as usize, u64::MAX)),
        Attempt::new("core dumps", move || limit(libc::RLIMIT_CORE as usize, u64::MAX)),
        Attempt::new("new privileges again", move || prctl(libc::PR_SET_NO_NEW_PRIVS, 0)),
        Attempt::new("outlive the parent", move || prctl(libc::PR_SET_PDEATHSIG, 0)).harmless(),
        Attempt::new("another tracer", move || prctl(0x5961_6d61, parent)),
        Attempt::new("another filter of system calls", || call(libc::SYS_seccomp, [1, 0, 0])),
        Attempt::new("another user", || call(libc::SYS_setresuid, [1000, 1000, 1000])),
        Attempt::new("another group", || call(libc::SYS_setresgid, [1000, 1000, 1000])),
        Attempt::new("other groups", || call(libc::SYS_setgroups, [0, 0])),
        Attempt::new("capabilities", || {
            let header = [0x2008_0522_u32, 0];
            let data = [u32::MAX; 6];
            call(libc::SYS_capset, [header.as_ptr() as usize, data.as_ptr() as usize])
        }),
        Attempt::new("unshare: users", || call(libc::SYS_unshare, [libc::CLONE_NEWUSER as usize])),
        Attempt::new("unshare: mounts", || call(libc::SYS_unshare, [libc::CLONE_NEWNS as usize])),
        Attempt::new("setns", || call(libc::SYS_setns, [0, 0])),
        Attempt::new("chroot", || call(libc::SYS_chroot, [text(c"/usr")])),
        Attempt::new("pivot_root", || call(libc::SYS_pivot_root, [text(c"/usr"), text(c"/usr")])),
        Attempt::new("mount", || call(libc::SYS_mount, [text(c"none"), text(c"/tmp"), text(c"tmpfs"), 0, 0])),
        Attempt::new("umount", || call(libc::SYS_umount2, [text(c"/proc"), 0])),
        Attempt::new("a mount by the new calls", || call(libc::SYS_fsopen, [text(c"tmpfs"), 0])),
        Attempt::new("open a tree of mounts", || {
            call(libc::SYS_open_tree, [libc::AT_FDCWD as usize, text(c"/"), 1])
        }),
    ]
}

fn the_kernel() -> Vec<Attempt> {
    let mut attempts = vec![
        Attempt::new("bpf", || call(libc::SYS_bpf, [0, 0, 0])),
        Attempt::new("perf_event_open", || call(libc::SYS_perf_event_open, [0, 0, 0, 0, 0])),
        Attempt::new("io_uring_setup", || {
            let parameters = Box::leak(Box::new([0_u8; 120]));
            call(libc::SYS_io_uring_setup, [1, parameters.as_mut_ptr() as usize])
        })
        .harmless(),
        Attempt::new("userfaultfd", || call(libc::SYS_userfaultfd, [1])),
        Attempt::new("keyctl", || call(libc::SYS_keyctl, [0, -3_isize as usize, 0])).harmless(),
        Attempt::new("add_key", || {
            call(libc::SYS_add_key, [text(c"user"), text(c"evil"), text(c"x"), 1, -3_isize as usize])
        }),
        Attempt::new("request_key", || call(libc::SYS_request_key, [text(c"user"), text(c"evil"), 0, 0])),
        Attempt::new("init_module", || call(libc::SYS_init_module, [0, 0, text(c"")])),
        Attempt::new("finit_module", || call(libc::SYS_finit_module, [0, text(c""), 0])),
        Attempt::new("delete_module", || call(libc::SYS_delete_module, [text(c"evil"), 0])),
        Attempt::new("kexec_load", || call(libc::SYS_kexec_load, [0, 0, 0, 0])),
        // What Ctrl-Alt-Del does; the machine stays.
        Attempt::new("reboot", || call(libc::SYS_reboot, [0xfee1_dead, 672_274_793, 0, 0])),
        Attempt::new("swapon", || call(libc::SYS_swapon, [text(c"/tmp/evil"), 0])),
        Attempt::new("settimeofday", || call(libc::SYS_settimeofday, [0, 0])),
        Attempt::new("clock_settime", || call(libc::SYS_clock_settime, [0, 0])),
        Attempt::new("sethostname", || call(libc::SYS_sethostname, [text(c"evil"), 4])),
        Attempt::new("syslog", || call(libc::SYS_syslog, [10, 0, 0])),
        Attempt::new("acct", || call(libc::SYS_acct, [0])),
        Attempt::new("quotactl", || call(libc::SYS_quotactl, [0, 0, 0, 0])),
        Attempt::new("personality", || call(libc::SYS_personality, [0x0040_0000])),
        Attempt::new("a call that does not exist", || call(9_999, [])),
    ];
    #[cfg(target_arch = "x86_64")]
    attempts.extend([
        Attempt::new("iopl", || call(libc::SYS_iopl, [3])),
        Attempt::new("ioperm", || call(libc::SYS_ioperm, [0, 1, 1])),
        Attempt::new("modify_ldt", || call(libc::SYS_modify_ldt, [0, 0, 0])),
        // The numbers of programs with short pointers are those of this architecture with one bit more.
        Attempt::new("a system call of x32", || call(0x4000_0000 + libc::SYS_getpid, [])),
    ]);
    attempts
}
