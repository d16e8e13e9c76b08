//! A program from which the kernel withholds something, as an old one or a container's policy does.

use std::{collections::BTreeMap, os::unix::process::CommandExt as _, process::Command};

use seccompiler::{BpfProgram, SeccompAction, SeccompFilter};

/// Starts a program that is told that there is no Landlock.
pub(crate) fn landlock(program: &str, arguments: &[&str]) -> ! {
    let calls =
        [libc::SYS_landlock_create_ruleset, libc::SYS_landlock_add_rule, libc::SYS_landlock_restrict_self];
    let rules: BTreeMap<_, _> = calls.map(|call| (call, Vec::new())).into();
    let none = SeccompAction::Errno(libc::EOPNOTSUPP.unsigned_abs());
    let architecture = std::env::consts::ARCH.try_into().unwrap();
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, none, architecture).unwrap();
    let filter = BpfProgram::try_from(filter).unwrap();
    seccompiler::apply_filter(&filter).unwrap();
    let error = Command::new(program).args(arguments).exec();
    panic!("{program}: {error}");
}
