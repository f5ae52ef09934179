//! What the kernel says of a workload's first process: its rights, and what is mounted where its logs, certificates and resolver are.
//!
//! Contract: the kernel's word, whatever a runtime says; told when it is new and when it has changed. A process is its pid and start. Limits: the collector's
//! (`host::kernel::first_process`). Paths are attacker-chosen.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::WorkloadId;

/// How the kernel filters a process's system calls (`Seccomp` in `/proc/PID/status`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SeccompMode {
    /// Not at all.
    Off,
    /// Only four calls are allowed.
    Strict,
    /// By a program.
    Filter,
}

/// What a workload's first process may do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ProcessRights {
    /// Of which workload.
    pub workload: WorkloadId,
    /// As the sensor's namespace numbers it.
    pub pid: u32,
    /// When it began, in clock ticks since boot: with the pid, its identity.
    pub start: u64,
    /// The capabilities that it has now (`CAP_…`).
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub effective: BTreeSet<String>,
    /// Those that it and its children can have.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub bounding: BTreeSet<String>,
    /// Whether it can gain no rights by executing; absent where the kernel does not show it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub no_new_privileges: Option<bool>,
    /// How its system calls are filtered; absent where the kernel does not show it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seccomp: Option<SeccompMode>,
    /// Whether it is in a user namespace other than the sensor's: its capabilities hold in there only.
    #[serde(default)]
    pub own_users: bool,
}

/// What is mounted for a workload's first process over places that matter to who watches it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ProcessMounts {
    /// Of which workload.
    pub workload: WorkloadId,
    /// As the sensor's namespace numbers it.
    pub pid: u32,
    /// When it began, in clock ticks since boot: with the pid, its identity.
    pub start: u64,
    /// In the kernel's order: of two at one path the later covers the other.
    #[serde(default)]
    pub mounts: Vec<KernelMount>,
    /// Further ones, and those beyond what is read.
    #[serde(default)]
    pub omitted: u32,
}

/// A mount as `/proc/PID/mountinfo` shows it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct KernelMount {
    /// The kernel's number of it, which may be given again once it is gone.
    pub id: u32,
    /// Where, as the process sees it.
    pub target: String,
    /// File system: `tmpfs`, `overlay`, `ext4`, …
    pub kind: String,
    /// What is mounted: a device, or a word of the one who mounted it.
    pub source: String,
    /// Which part of that file system: of a bind mount the path in there.
    pub root: String,
}
