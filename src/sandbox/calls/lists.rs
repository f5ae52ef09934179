//! The calls that are refused.
//!
//! Contract: names of the kernel's calls, in groups by what they would do; those that only old architectures have stand apart. Source: syscalls(2).

use libc::c_long;

/// Terminals that take input from a program: `ioctl(2)`, `ioctl_tty(2)`.
pub(super) const TIOCSTI: u64 = 0x5412;
/// The same of the console.
pub(super) const TIOCLINUX: u64 = 0x541c;

/// Namespaces that a clone could begin; in one of users it would hold every capability.
pub(super) const NAMESPACES: &[i32] = &[
    libc::CLONE_NEWUSER,
    libc::CLONE_NEWNS,
    libc::CLONE_NEWNET,
    libc::CLONE_NEWPID,
    libc::CLONE_NEWUTS,
    libc::CLONE_NEWIPC,
    libc::CLONE_NEWCGROUP,
];

/// Newer than the C library's list; the same number everywhere.
const FCHMODAT2: c_long = 452;
const SETXATTRAT: c_long = 463;
const REMOVEXATTRAT: c_long = 466;
const OPEN_TREE_ATTR: c_long = 467;
const FILE_SETATTR: c_long = 469;

/// What no thread ever needs.
pub(super) const NEVER: &[c_long] = &[
    // Other processes.
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_process_madvise,
    libc::SYS_pidfd_getfd,
    libc::SYS_kcmp,
    // Mounts and roots.
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_move_mount,
    libc::SYS_open_tree,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_mount_setattr,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_unshare,
    libc::SYS_quotactl,
    libc::SYS_quotactl_fd,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_acct,
    // The kernel itself.
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_kexec_load,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_reboot,
    libc::SYS_syslog,
    libc::SYS_personality,
    libc::SYS_userfaultfd,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_fanotify_init,
    libc::SYS_move_pages,
    libc::SYS_migrate_pages,
    libc::SYS_vhangup,
    libc::SYS_lookup_dcookie,
    // Memory that other processes of the user share.
    libc::SYS_shmget,
    libc::SYS_shmat,
    libc::SYS_shmctl,
    libc::SYS_semget,
    libc::SYS_semctl,
    libc::SYS_msgget,
    libc::SYS_msgctl,
    libc::SYS_mq_open,
    libc::SYS_mq_unlink,
    // How much others may run.
    libc::SYS_setpriority,
    libc::SYS_ioprio_set,
    libc::SYS_sched_setscheduler,
    libc::SYS_sched_setparam,
    libc::SYS_sched_setattr,
    libc::SYS_sched_setaffinity,
    // Owners, modes, attributes and times of files: Landlock does not look at them, and the owner, root, needs no right.
    libc::SYS_fchmod,
    libc::SYS_fchmodat,
    FCHMODAT2,
    libc::SYS_fchown,
    libc::SYS_fchownat,
    libc::SYS_setxattr,
    libc::SYS_lsetxattr,
    libc::SYS_fsetxattr,
    SETXATTRAT,
    libc::SYS_removexattr,
    libc::SYS_lremovexattr,
    libc::SYS_fremovexattr,
    REMOVEXATTRAT,
    FILE_SETATTR,
    OPEN_TREE_ATTR,
    libc::SYS_utimensat,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_chmod,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_chown,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_lchown,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_utime,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_utimes,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_futimesat,
    // Keys.
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_keyctl,
    // Files by handle, and files that are nowhere.
    libc::SYS_open_by_handle_at,
    libc::SYS_memfd_create,
    libc::SYS_memfd_secret,
    libc::SYS_mknodat,
    // The clock and names of the host.
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_clock_adjtime,
    libc::SYS_adjtimex,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_kexec_file_load,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_mknod,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_iopl,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_ioperm,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_modify_ldt,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_uselib,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_ustat,
];

/// What libraries do without when the kernel has it not: their arguments lie in memory, where no filter sees them.
pub(super) const UNKNOWN: &[c_long] = &[libc::SYS_clone3, libc::SYS_openat2, libc::SYS_io_uring_setup];

/// Runs a program.
pub(super) const PROGRAMS: &[c_long] = &[libc::SYS_execve, libc::SYS_execveat];

/// Reaches another process, beside `kill`. A thread signals itself by `tgkill`.
pub(super) const SIGNALS: &[c_long] =
    &[libc::SYS_tkill, libc::SYS_pidfd_send_signal, libc::SYS_rt_sigqueueinfo, libc::SYS_rt_tgsigqueueinfo];

/// Waits for somebody who speaks.
pub(super) const LISTENS: &[c_long] = &[libc::SYS_listen, libc::SYS_accept, libc::SYS_accept4];

/// What threads without Landlock ask of a descriptor: whether it is a terminal, not to wait, to close it; of a network, what its interfaces are like. Everything
/// else would reach devices.
pub(super) const ASKED: &[u64] = &[0x5401, 0x5421, 0x5450, 0x5451];
/// `SIOCADDRT` and what follows: of sockets.
pub(super) const NETWORK: std::ops::RangeInclusive<u64> = 0x8900..=0x89ff;

/// Opens a file; where its flags are.
pub(super) const OPENS: &[(c_long, u8)] = &[
    (libc::SYS_openat, 2),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_open, 1),
];

/// Changes names of files, or what is in a file that is not open.
pub(super) const WRITES: &[c_long] = &[
    libc::SYS_renameat,
    libc::SYS_renameat2,
    libc::SYS_unlinkat,
    libc::SYS_mkdirat,
    libc::SYS_linkat,
    libc::SYS_symlinkat,
    libc::SYS_truncate,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_creat,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_rename,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_unlink,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_rmdir,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_mkdir,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_link,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_symlink,
];

/// The numbers that x32, a second table of x86-64's kernel, may have for the same call; old kernels take either.
#[cfg(target_arch = "x86_64")]
pub(super) fn on_x32(call: c_long) -> Vec<c_long> {
    const BIT: c_long = 0x4000_0000;
    vec![BIT | call, BIT | own_of_x32(call)]
}

#[cfg(not(target_arch = "x86_64"))]
pub(super) fn on_x32(_: c_long) -> Vec<c_long> {
    Vec::new()
}

/// Where x32 has a number of its own: `arch/x86/entry/syscalls/syscall_64.tbl`.
#[cfg(target_arch = "x86_64")]
const fn own_of_x32(call: c_long) -> c_long {
    match call {
        libc::SYS_ioctl => 514,
        libc::SYS_execve => 520,
        libc::SYS_ptrace => 521,
        libc::SYS_rt_sigqueueinfo => 524,
        libc::SYS_kexec_load => 528,
        libc::SYS_move_pages => 533,
        libc::SYS_rt_tgsigqueueinfo => 536,
        libc::SYS_process_vm_readv => 539,
        libc::SYS_process_vm_writev => 540,
        libc::SYS_execveat => 545,
        other => other,
    }
}
