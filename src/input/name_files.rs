//! What the host's copies of a container's `resolv.conf` and `hosts` say.
//!
//! Contract: the files that runtimes mount into a container, which its root may write to; told when they are new and when they say something else. Limits:
//! the collector's (`host::kernel::name_files`). Names are attacker-chosen; none of it is a secret.

use std::collections::BTreeMap;
use std::net::IpAddr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::WorkloadId;

/// Both files of a workload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NameFiles {
    /// Of which workload.
    pub workload: WorkloadId,
    /// Its first process, as the sensor's namespace numbers it.
    pub pid: u32,
    /// When that began, in clock ticks since boot: with the pid, its identity.
    pub start: u64,
    /// Which resolvers it asks; absent where the file is not known or cannot be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolver: Option<ResolverFile>,
    /// Names with fixed addresses; absent where the file is not known or cannot be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hosts: Option<HostsFile>,
}

/// What a `resolv.conf` says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ResolverFile {
    /// Addresses of resolvers, in order.
    #[serde(default)]
    pub servers: Vec<String>,
    /// Domains that are tried behind a name, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub search: Vec<String>,
    /// Options (`ndots:2`), in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub options: Vec<String>,
    /// The file is longer than what is read.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_cut: bool,
}

/// What a `hosts` says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HostsFile {
    /// Addresses of each name, in the file's order: programs take the first.
    #[serde(default)]
    pub names: BTreeMap<String, Vec<IpAddr>>,
    /// Names beyond what is kept; a file that is longer than what is read counts as one more.
    #[serde(default)]
    pub omitted: u32,
}
