//! Which system calls a process may make, by seccomp: those of a list. Every other one fails with `EPERM`, which drivers take for an answer; a
//! driver that asks for what it could do without goes on without it.

mod list;

use std::collections::BTreeMap;

use rustix::process::getpid;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    apply_filter_all_threads,
};

use self::list::{COMMON, COMPILER, WORKER};
use crate::Kind;

type Rules = BTreeMap<i64, Vec<SeccompRule>>;

pub(crate) fn restrict(kind: Kind) -> Result<(), String> {
    let programs = programs(kind).map_err(|error| error.to_string())?;
    for program in programs {
        apply_filter_all_threads(&program).map_err(|error| error.to_string())?;
    }
    Ok(())
}

/// A filter has one answer to what it forbids, and so there are two. The kernel asks both.
fn programs(kind: Kind) -> Result<[BpfProgram; 2], seccompiler::BackendError> {
    let own = match kind {
        Kind::Worker => WORKER,
        Kind::Compiler => COMPILER,
    };
    let mut allowed = Rules::new();
    for group in COMMON.iter().chain(own) {
        allowed.extend(group.iter().map(|call| (*call, Vec::new())));
    }
    allowed.extend(conditional()?);
    allowed.insert(libc::SYS_clone3, Vec::new());
    let architecture = std::env::consts::ARCH.try_into()?;
    let eperm = SeccompAction::Errno(libc::EPERM.unsigned_abs());
    let list = SeccompFilter::new(allowed, eperm, SeccompAction::Allow, architecture)?;
    // Its flags lie in memory, where a filter cannot look; told that there is no such call, the C library takes `clone`.
    let clone3 = Rules::from([(libc::SYS_clone3, Vec::new())]);
    let enosys = SeccompAction::Errno(libc::ENOSYS.unsigned_abs());
    let clone3 = SeccompFilter::new(clone3, SeccompAction::Allow, enosys, architecture)?;
    // The second one forbids that there is a third.
    Ok([clone3.try_into()?, list.try_into()?])
}

/// Calls of which only some uses are allowed.
fn conditional() -> Result<Rules, seccompiler::BackendError> {
    let own_process = u64::from(getpid().as_raw_nonzero().get().unsigned_abs());
    let mut rules = Rules::new();
    // Threads, and never a process: no fork, and no namespace.
    rules.insert(
        libc::SYS_clone,
        vec![all([argument(0, SeccompCmpOp::MaskedEq(CLONE_MASK), CLONE_THREAD)?])?],
    );
    // Two ends of one connection, by which the asynchronous runtime wakes itself. An end of a pair of datagram sockets could send to any
    // socket that has a path, of which Landlock knows nothing.
    let is_stream = argument(1, SeccompCmpOp::MaskedEq(SOCKET_TYPE_MASK), SOCK_STREAM)?;
    rules.insert(libc::SYS_socketpair, vec![all([argument(0, SeccompCmpOp::Eq, AF_UNIX)?, is_stream])?]);
    // To the other end alone: the address is none.
    let no_address = SeccompCondition::new(4, SeccompCmpArgLen::Qword, SeccompCmpOp::Eq, 0)?;
    rules.insert(libc::SYS_sendto, vec![all([no_address])?]);
    // To its own threads, as `abort` does.
    rules.insert(libc::SYS_tgkill, vec![all([argument(0, SeccompCmpOp::Eq, own_process)?])?]);
    // Its own limits, which are as low as they can be.
    rules.insert(libc::SYS_prlimit64, vec![all([argument(0, SeccompCmpOp::Eq, 0)?])?]);
    // Names of threads and of memory, for people; the auxiliary vector, which the standard library reads.
    rules.insert(libc::SYS_prctl, any(0, &[PR_SET_NAME, PR_GET_NAME, PR_SET_VMA, PR_GET_AUXV])?);
    // Not: who gets a signal when something can be read, which would be anybody of the same user.
    rules.insert(libc::SYS_fcntl, any(1, FCNTL_COMMANDS)?);
    // Drivers have hundreds of them, so what is named is what a node of a terminal or a socket must not be told.
    let but = |request: &u64| argument(1, SeccompCmpOp::Ne, *request);
    let conditions = FORBIDDEN_IOCTLS.iter().map(but).collect::<Result<_, _>>()?;
    rules.insert(libc::SYS_ioctl, vec![SeccompRule::new(conditions)?]);
    Ok(rules)
}

/// What a thread is, and what it must not be.
const CLONE_THREAD: u64 = (libc::CLONE_THREAD | libc::CLONE_VM).unsigned_abs() as u64;
const CLONE_MASK: u64 = CLONE_THREAD
    | (libc::CLONE_NEWCGROUP
        | libc::CLONE_NEWIPC
        | libc::CLONE_NEWNET
        | libc::CLONE_NEWNS
        | libc::CLONE_NEWPID
        | libc::CLONE_NEWUSER
        | libc::CLONE_NEWUTS)
        .unsigned_abs() as u64;

const AF_UNIX: u64 = libc::AF_UNIX.unsigned_abs() as u64;
const SOCK_STREAM: u64 = libc::SOCK_STREAM.unsigned_abs() as u64;
/// The other bits are flags.
const SOCKET_TYPE_MASK: u64 = 0xf;
const PR_SET_NAME: u64 = 15;
const PR_GET_NAME: u64 = 16;
const PR_SET_VMA: u64 = 0x5356_4d41;
const PR_GET_AUXV: u64 = 0x4155_5856;

/// Duplicates, flags and seals.
const FCNTL_COMMANDS: &[u64] = &[
    libc::F_DUPFD as u64,
    libc::F_GETFD as u64,
    libc::F_SETFD as u64,
    libc::F_GETFL as u64,
    libc::F_SETFL as u64,
    libc::F_DUPFD_CLOEXEC as u64,
    libc::F_ADD_SEALS as u64,
    libc::F_GET_SEALS as u64,
];

/// Typing into the terminal that standard error may be, and signals to whom a socket names.
const FORBIDDEN_IOCTLS: &[u64] = &[
    libc::TIOCSTI,
    libc::TIOCLINUX,
    libc::TIOCSETD,
    libc::TIOCSCTTY,
    libc::TIOCSPGRP,
    libc::FIOASYNC,
    FIOSETOWN,
    SIOCSPGRP,
];
const FIOSETOWN: u64 = 0x8901;
const SIOCSPGRP: u64 = 0x8902;

/// The kernel takes the lower half of each of these arguments.
fn argument(index: u8, is: SeccompCmpOp, value: u64) -> Result<SeccompCondition, seccompiler::BackendError> {
    SeccompCondition::new(index, SeccompCmpArgLen::Dword, is, value)
}

fn all<const N: usize>(conditions: [SeccompCondition; N]) -> Result<SeccompRule, seccompiler::BackendError> {
    SeccompRule::new(conditions.into())
}

fn any(index: u8, values: &[u64]) -> Result<Vec<SeccompRule>, seccompiler::BackendError> {
    values.iter().map(|value| all([argument(index, SeccompCmpOp::Eq, *value)?])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_can_be_made_for_each_kind_of_process() {
        for kind in [Kind::Worker, Kind::Compiler] {
            let [clone3, list] = programs(kind).unwrap();
            assert!(list.len() > clone3.len());
        }
    }

    #[test]
    fn no_call_is_in_two_groups_and_none_of_those_that_must_never_be() {
        let rules = conditional().unwrap();
        for own in [WORKER, COMPILER] {
            let mut calls: Vec<_> = COMMON.iter().chain(own).copied().flatten().collect();
            calls.extend(rules.keys());
            let count = calls.len();
            calls.sort_unstable();
            calls.dedup();
            assert_eq!(calls.len(), count);
            for never in [
                libc::SYS_execve,
                libc::SYS_socket,
                libc::SYS_connect,
                libc::SYS_bind,
                libc::SYS_sendmsg,
                libc::SYS_sendmmsg,
                libc::SYS_ptrace,
                libc::SYS_mount,
                libc::SYS_unshare,
                libc::SYS_kill,
                libc::SYS_io_uring_setup,
            ] {
                assert!(!calls.contains(&&never), "{never}");
            }
        }
    }
}
