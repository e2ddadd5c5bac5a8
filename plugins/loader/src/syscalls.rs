//! Which system calls a child may make. Who thinks gets a list of what is needed to think; who acts on the
//! world gets all but what no plugin has any business with. Whatever is refused fails with `EPERM`.
use crate::{grant::Grant, sandbox::Profile, sandbox::profile_file};
use libc::*;
use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch, apply_filter,
};
use std::{collections::BTreeMap, io};

/// What it takes to think, to have threads, to open one library and to answer.
const THINKING: &[c_long] = &[
    SYS_read, SYS_write, SYS_readv, SYS_writev, SYS_pread64, SYS_close, SYS_fstat, SYS_newfstatat, SYS_statx,
    SYS_lseek, SYS_openat, SYS_readlinkat, SYS_faccessat, SYS_faccessat2, SYS_getcwd, SYS_fcntl, SYS_dup,
    SYS_mmap, SYS_munmap, SYS_mprotect, SYS_mremap, SYS_madvise, SYS_brk, SYS_futex, SYS_set_robust_list,
    SYS_get_robust_list, SYS_rseq, SYS_set_tid_address, SYS_sched_yield, SYS_sched_getaffinity, SYS_getrandom,
    SYS_clock_gettime, SYS_clock_getres, SYS_clock_nanosleep, SYS_nanosleep, SYS_gettimeofday, SYS_gettid,
    SYS_getpid, SYS_getppid, SYS_getuid, SYS_geteuid, SYS_getgid, SYS_getegid, SYS_prlimit64, SYS_getrusage,
    SYS_times, SYS_uname, SYS_sysinfo, SYS_rt_sigaction, SYS_rt_sigprocmask, SYS_rt_sigreturn, SYS_sigaltstack,
    SYS_exit, SYS_exit_group, SYS_restart_syscall, SYS_ppoll, SYS_recvfrom, SYS_sendto, SYS_recvmsg, SYS_sendmsg,
    SYS_shutdown, SYS_prctl, SYS_membarrier, SYS_landlock_create_ruleset, SYS_landlock_add_rule,
    SYS_landlock_restrict_self,
];
/// The same under names that only this machine's kind has.
#[cfg(target_arch = "x86_64")]
const THINKING_HERE: &[c_long] = &[
    SYS_open, SYS_access, SYS_readlink, SYS_stat, SYS_lstat, SYS_poll, SYS_getrlimit, SYS_arch_prctl, SYS_time,
];
#[cfg(not(target_arch = "x86_64"))]
const THINKING_HERE: &[c_long] = &[];
/// What a build that measures its own coverage needs to write it down.
const COUNTING: &[c_long] = &[SYS_ftruncate, SYS_flock, SYS_mkdirat, SYS_msync];

/// What no plugin has any business with.
const NEVER: &[c_long] = &[
    SYS_ptrace, SYS_process_vm_readv, SYS_process_vm_writev, SYS_mount, SYS_umount2, SYS_move_mount,
    SYS_open_tree, SYS_fsopen, SYS_fsmount, SYS_pivot_root, SYS_chroot, SYS_setns, SYS_unshare, SYS_bpf,
    SYS_perf_event_open, SYS_keyctl, SYS_add_key, SYS_request_key, SYS_init_module, SYS_finit_module,
    SYS_delete_module, SYS_kexec_load, SYS_reboot, SYS_swapon, SYS_swapoff, SYS_userfaultfd, SYS_io_uring_setup,
    SYS_settimeofday, SYS_clock_settime, SYS_adjtimex, SYS_clock_adjtime, SYS_sethostname, SYS_setdomainname,
    SYS_quotactl, SYS_acct, SYS_pidfd_send_signal, SYS_pidfd_getfd, SYS_open_by_handle_at, SYS_mknodat,
    SYS_setuid, SYS_setgid, SYS_setreuid, SYS_setregid, SYS_setresuid, SYS_setresgid, SYS_setgroups,
];
/// What starts a program.
const PROGRAMS: &[c_long] = &[SYS_execve, SYS_execveat];
#[cfg(target_arch = "x86_64")]
const FORKS: &[c_long] = &[SYS_fork, SYS_vfork];
#[cfg(not(target_arch = "x86_64"))]
const FORKS: &[c_long] = &[];
/// What begins a conversation with others.
const NETWORK: &[c_long] = &[SYS_socket, SYS_socketpair, SYS_connect, SYS_bind, SYS_listen, SYS_accept4];
/// What signals a process, which is the first argument.
const SIGNALS: &[c_long] = &[SYS_kill, SYS_tgkill, SYS_rt_sigqueueinfo, SYS_rt_tgsigqueueinfo];

type Rules = BTreeMap<i64, Vec<SeccompRule>>;

/// Filters this process' system calls from here on.
///
/// # Errors
/// When a filter cannot be installed though the kernel knows of them.
pub(crate) fn restrict(profile: Profile, grant: &Grant) -> io::Result<()> {
    let program = match profile {
        Profile::Thinks => thinking(grant),
        Profile::Measures | Profile::Acts => acting(profile, grant),
    };
    // The strict one last: it takes away the call that filters are installed by.
    for program in [unseen(), program] {
        let program = program.map_err(|error| io::Error::other(error.to_string()))?;
        match apply_filter(&program) {
            Err(error) if absent(&error) => return Ok(()),
            applied => applied.map_err(|error| io::Error::other(error.to_string()))?,
        }
    }
    Ok(())
}

/// A kernel without seccomp does not know the call; `doctor` tells.
fn absent(error: &seccompiler::Error) -> bool {
    match error {
        seccompiler::Error::Prctl(error) | seccompiler::Error::Seccomp(error) => {
            [EINVAL, ENOSYS].map(Some).contains(&error.raw_os_error())
        }
        _ => false,
    }
}

fn eperm() -> SeccompAction {
    SeccompAction::Errno(EPERM as u32)
}

/// All but a list fails.
fn thinking(grant: &Grant) -> Result<BpfProgram, BackendError> {
    let counting = if profile_file().is_some() { COUNTING } else { &[] };
    let writing: &[c_long] = if grant.write.is_empty() { &[] } else { &[SYS_ftruncate, SYS_fsync, SYS_unlinkat] };
    let network = if grant.network { NETWORK } else { &[] };
    let programs: &[c_long] = if grant.programs { &[SYS_execve, SYS_wait4, SYS_pipe2] } else { &[] };
    let lists = [THINKING, THINKING_HERE, counting, writing, network, programs];
    let mut rules: Rules = lists.into_iter().flatten().map(|call| (*call, Vec::new())).collect();
    let itself = vec![SeccompRule::new(vec![own_process(SeccompCmpOp::Eq)?])?];
    rules.extend(SIGNALS.iter().map(|call| (*call, itself.clone())));
    rules.insert(SYS_clone, if grant.programs { Vec::new() } else { vec![threads(true)?] });
    // It is told that there is no such call, below: this list must not say otherwise.
    rules.insert(SYS_clone3, Vec::new());
    compile(rules, eperm(), SeccompAction::Allow)
}

/// A list fails, all else is let through.
fn acting(profile: Profile, grant: &Grant) -> Result<BpfProgram, BackendError> {
    let silent = profile == Profile::Measures && !grant.network;
    let network = if silent { NETWORK } else { &[] };
    let (programs, forks) = if grant.programs { (&[][..], &[][..]) } else { (PROGRAMS, FORKS) };
    let lists = [NEVER, programs, forks, network];
    let mut rules: Rules = lists.into_iter().flatten().map(|call| (*call, Vec::new())).collect();
    let others = vec![SeccompRule::new(vec![own_process(SeccompCmpOp::Ne)?])?];
    rules.extend(SIGNALS.iter().map(|call| (*call, others.clone())));
    if !grant.programs {
        rules.insert(SYS_clone, vec![threads(false)?]);
    }
    compile(rules, SeccompAction::Allow, eperm())
}

/// Calls whose arguments a filter cannot see are said not to exist: the system's libraries then use older ones.
fn unseen() -> Result<BpfProgram, BackendError> {
    let rules = [(SYS_clone3, Vec::new())].into_iter().collect();
    compile(rules, SeccompAction::Allow, SeccompAction::Errno(ENOSYS as u32))
}

/// The first argument is, or is not, this process.
fn own_process(operator: SeccompCmpOp) -> Result<SeccompCondition, BackendError> {
    SeccompCondition::new(0, SeccompCmpArgLen::Dword, operator, u64::from(std::process::id()))
}

/// A new thread of this process, or anything but that.
fn threads(wanted: bool) -> Result<SeccompRule, BackendError> {
    let flag = CLONE_THREAD as u64;
    let value = if wanted { flag } else { 0 };
    SeccompRule::new(vec![SeccompCondition::new(
        0,
        SeccompCmpArgLen::Qword,
        SeccompCmpOp::MaskedEq(flag),
        value,
    )?])
}

fn compile(rules: Rules, otherwise: SeccompAction, matched: SeccompAction) -> Result<BpfProgram, BackendError> {
    let arch: TargetArch = std::env::consts::ARCH.try_into()?;
    SeccompFilter::new(rules, otherwise, matched, arch)?.try_into()
}
