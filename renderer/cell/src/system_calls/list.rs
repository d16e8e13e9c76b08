//! The list. Found by running `orbit` and `triangle` under `strace -f -c`, and by looking for `EPERM` in what `strace -f` says of a worker in its
//! cell with them. That it suffices for other scenes is tested: conformance, hostile and WASI scenes, of Rust, C and Python, all run in the
//! cell in `make test`. What no machine here has asked for is from what NVIDIA's driver is known to need, and says so.
//!
//! Measured on an H100 with NVIDIA's driver of 2026: it tries to replace links in `/dev/char` (`unlink`, `symlink`) and to read
//! `/proc/sys/kernel/modprobe`, because it would load its module and make its nodes; refused, it goes on, and everything is rendered.

/// Of every process.
pub(super) const COMMON: &[&[i64]] = &[
    // Memory: allocators, linear memories, machine code, files without a name that hold a memory's first content.
    &[
        libc::SYS_brk,
        libc::SYS_ftruncate,
        libc::SYS_madvise,
        libc::SYS_membarrier,
        libc::SYS_memfd_create,
        libc::SYS_mincore,
        libc::SYS_mmap,
        libc::SYS_mprotect,
        libc::SYS_mremap,
        libc::SYS_munmap,
    ],
    // Threads and their locks.
    &[
        libc::SYS_exit,
        libc::SYS_exit_group,
        libc::SYS_futex,
        libc::SYS_get_robust_list,
        libc::SYS_getcpu,
        libc::SYS_gettid,
        libc::SYS_rseq,
        libc::SYS_sched_getaffinity,
        libc::SYS_sched_getparam,
        libc::SYS_sched_getscheduler,
        libc::SYS_sched_get_priority_max,
        libc::SYS_sched_get_priority_min,
        libc::SYS_sched_yield,
        libc::SYS_set_robust_list,
        libc::SYS_set_tid_address,
    ],
    // Signals to itself: traps of WebAssembly, overflowing stacks.
    &[
        libc::SYS_restart_syscall,
        libc::SYS_rt_sigaction,
        libc::SYS_rt_sigprocmask,
        libc::SYS_rt_sigreturn,
        libc::SYS_sigaltstack,
    ],
    // Time.
    &[
        libc::SYS_clock_getres,
        libc::SYS_clock_gettime,
        libc::SYS_clock_nanosleep,
        libc::SYS_gettimeofday,
        libc::SYS_nanosleep,
    ],
    // Files: which ones is Landlock's part.
    &[
        libc::SYS_close,
        libc::SYS_dup,
        libc::SYS_faccessat,
        libc::SYS_faccessat2,
        libc::SYS_fstat,
        libc::SYS_getcwd,
        libc::SYS_getdents64,
        libc::SYS_lseek,
        libc::SYS_newfstatat,
        libc::SYS_openat,
        libc::SYS_pread64,
        libc::SYS_preadv,
        libc::SYS_pwrite64,
        libc::SYS_read,
        libc::SYS_readlinkat,
        libc::SYS_readv,
        libc::SYS_statx,
        libc::SYS_write,
        libc::SYS_writev,
    ],
    // Facts about the process and the machine, and randomness.
    &[
        libc::SYS_getegid,
        libc::SYS_geteuid,
        libc::SYS_getgid,
        libc::SYS_getpid,
        libc::SYS_getppid,
        libc::SYS_getpriority,
        libc::SYS_getrandom,
        libc::SYS_getrusage,
        libc::SYS_getuid,
        libc::SYS_sysinfo,
        libc::SYS_uname,
    ],
    // Older names of the same, which this architecture still has.
    #[cfg(target_arch = "x86_64")]
    &[
        libc::SYS_access,
        libc::SYS_arch_prctl,
        libc::SYS_getrlimit,
        libc::SYS_lstat,
        libc::SYS_open,
        libc::SYS_readlink,
        libc::SYS_stat,
        libc::SYS_time,
    ],
];

/// Of a worker.
pub(super) const WORKER: &[&[i64]] = &[
    // Messages over the sockets that it was given. Not `sendmsg`: it takes descriptors along, and an address from memory, where a filter
    // cannot look.
    &[libc::SYS_getpeername, libc::SYS_getsockopt, libc::SYS_recvfrom, libc::SYS_recvmsg, libc::SYS_shutdown],
    // Waiting: the runtime's own, and NVIDIA's driver for its events.
    &[
        libc::SYS_epoll_create1,
        libc::SYS_epoll_ctl,
        libc::SYS_epoll_pwait,
        libc::SYS_epoll_pwait2,
        libc::SYS_eventfd2,
        libc::SYS_pipe2,
        libc::SYS_ppoll,
        libc::SYS_pselect6,
    ],
    // Where its own memory lies and stays, and who it is: NVIDIA's driver asks for these. What it asks for in vain, and lives without: to be
    // scheduled otherwise, to make its nodes, to talk to a daemon.
    &[
        libc::SYS_fallocate,
        libc::SYS_get_mempolicy,
        libc::SYS_getresgid,
        libc::SYS_getresuid,
        libc::SYS_mbind,
        libc::SYS_mlock,
        libc::SYS_munlock,
        libc::SYS_sched_getattr,
    ],
    // File systems: Mesa asks what kind its nodes are on.
    &[libc::SYS_fstatfs, libc::SYS_statfs],
    // Older names of the same, which this architecture still has.
    #[cfg(target_arch = "x86_64")]
    &[libc::SYS_epoll_wait, libc::SYS_poll],
];

/// Of the compiler: files of its one folder, written and put in their places, and standard input and output.
pub(super) const COMPILER: &[&[i64]] = &[
    // Files of the cache: written aside, made lasting, renamed, removed.
    &[
        libc::SYS_fallocate,
        libc::SYS_fdatasync,
        libc::SYS_flock,
        libc::SYS_fsync,
        libc::SYS_linkat,
        // Only Landlock's answer is wanted: a folder that is there need not be made.
        libc::SYS_mkdirat,
        libc::SYS_renameat,
        libc::SYS_renameat2,
        libc::SYS_unlinkat,
    ],
    // Standard input and output may be sockets.
    &[libc::SYS_recvfrom],
    // Waiting for them.
    &[libc::SYS_ppoll],
    // Older names of the same, which this architecture still has.
    #[cfg(target_arch = "x86_64")]
    &[libc::SYS_link, libc::SYS_mkdir, libc::SYS_poll, libc::SYS_rename, libc::SYS_unlink],
];
