//! Kernel facts: network namespaces, their interfaces and sockets, and which workloads' processes are behind them.
//!
//! Contract: what the kernel shows, whatever a runtime says; an object is named by its inode (namespace, socket), which is unique while it
//! lives. Collected by looking now and then: a change happened between the look before (`since`) and the time of the input.
//! Limits: what came and went between two scans is reported as [`KernelFact::Missed`]. Command names are attacker-chosen.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Endpoint, InterfaceSettings, Mac, NameFiles, ProcessMounts, ProcessRights, Protocol, WorkloadId};
use crate::time::Timestamp;

/// A network namespace: the inode number behind `/proc/PID/ns/net`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct NetnsId(pub u64);

/// `net:[4026531840]`, as `readlink /proc/PID/ns/net` shows it.
impl fmt::Display for NetnsId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "net:[{}]", self.0)
    }
}

/// What the kernel showed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum KernelFact {
    /// A network namespace as it is now; replaces what was known of it.
    Namespace(Arc<NamespaceView>),
    /// A namespace that is no longer looked at: nothing of a workload is in it.
    NamespaceGone {
        /// Which.
        netns: NetnsId,
    },
    /// The namespaces of a workload's processes, when that is new or has changed.
    Processes(Arc<ProcessNamespaces>),
    /// A socket that was not there at the look before.
    SocketOpened(Arc<SocketView>),
    /// A socket that is gone.
    SocketClosed {
        /// Its namespace.
        netns: NetnsId,
        /// Its inode.
        inode: u64,
    },
    /// A packet socket or raw socket that was not there at the look before.
    SnifferOpened(Arc<SnifferView>),
    /// A packet socket or raw socket that is gone.
    SnifferClosed {
        /// Its namespace.
        netns: NetnsId,
        /// Its inode.
        inode: u64,
    },
    /// A process of an agent inside a workload began, was stopped, went on or ended; not its end with its workload.
    Agent(Arc<AgentProcess>),
    /// What a workload's first process may do, when that is new or has changed.
    Rights(Arc<ProcessRights>),
    /// What is mounted for it over places that matter, when that is new or has changed.
    Mounts(Arc<ProcessMounts>),
    /// What the files say by which it finds names, when that is new or has changed.
    Names(Arc<NameFiles>),
    /// hopwatch itself runs.
    Sensor {
        /// The process, as the host numbers it. A container whose first process it is, is hopwatch's own.
        pid: u32,
    },
    /// Something that could not be looked at, or came and went between two looks.
    Missed {
        /// What.
        what: MissedKind,
        /// How often since the last such fact.
        count: u64,
    },
}

/// A network namespace and what is inside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NamespaceView {
    /// Which.
    pub netns: NetnsId,
    /// Whether it is the one that the sensor itself, and so the host, uses.
    #[serde(default)]
    pub host: bool,
    /// Workloads whose first process is in it, in order.
    #[serde(default)]
    pub workloads: Vec<WorkloadId>,
    /// Its interfaces, in order of index. Not listed for the host's namespace: links are facts of their own there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub interfaces: Vec<InsideInterface>,
    /// Settings of all its interfaces (`conf/all`); absent for the host's, and where they are not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settings: Option<InterfaceSettings>,
}

/// An interface inside a namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct InsideInterface {
    /// Name in there.
    pub name: String,
    /// Index in there.
    pub index: u32,
    /// The driver's word (`IFLA_INFO_KIND`): `veth`, `macvlan`, `tun`, `wireguard`, `vxlan` …; empty for a physical one and `lo`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub kind: String,
    /// Its MAC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mac: Option<Mac>,
    /// Its addresses, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<IpAddr>,
    /// Administratively up.
    #[serde(default)]
    pub up: bool,
    /// How many ask it to take every frame (`IFLA_PROMISCUITY`).
    #[serde(default)]
    pub promiscuity: u32,
    /// The other end in the host's namespace: of a veth its peer, of a macvlan or ipvlan its parent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host_interface: Option<String>,
    /// What the kernel does with its packets; absent where it does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settings: Option<InterfaceSettings>,
}

/// The namespaces of a workload's processes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ProcessNamespaces {
    /// Whose.
    pub workload: WorkloadId,
    /// Of its first process.
    pub netns: NetnsId,
    /// Processes in other namespaces than the first one, in order of pid; at most some.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub strays: Vec<Stray>,
}

/// A process that is not where its workload's first process is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Stray {
    /// As the sensor's namespace numbers it.
    pub pid: u32,
    /// Its command's name (`/proc/PID/comm`).
    pub command: String,
    /// Where it is.
    pub netns: NetnsId,
}

/// How a socket's owner is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SocketEvidence {
    /// The kernel names the socket's cgroup (`INET_DIAG_CGROUP_ID` of `sock_diag`), which is the workload's.
    Cgroup,
    /// A process of the workload holds it open (`/proc/PID/fd`).
    Process,
}

/// An internet socket and who holds it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SocketView {
    /// Its namespace.
    pub netns: NetnsId,
    /// Its inode.
    pub inode: u64,
    /// TCP or UDP.
    pub protocol: Protocol,
    /// Its own address, unspecified where it is bound to all; an IPv4-mapped address is written as IPv4.
    pub local: Endpoint,
    /// The other end; absent when it listens or is not connected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remote: Option<Endpoint>,
    /// Workloads that hold it, in order; none: only processes of no workload do.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub owners: Vec<WorkloadId>,
    /// How that is known.
    pub how: SocketEvidence,
    /// A process that holds it: its command's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
    /// And its pid, as the sensor's namespace numbers it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
    /// It was not there yet at this look; absent at the first look, when it may be older.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
}

/// What a sniffing socket takes in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SnifferKind {
    /// `AF_PACKET`: frames of an interface.
    Packet,
    /// `SOCK_RAW`: IP packets of a protocol.
    Raw,
}

/// A packet socket or raw socket and who holds it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SnifferView {
    /// Its namespace.
    pub netns: NetnsId,
    /// Its inode.
    pub inode: u64,
    /// Kind.
    pub kind: SnifferKind,
    /// Ethertype of a packet socket (0x0003: all), IP protocol of a raw socket.
    pub protocol: u16,
    /// The interface that it is bound to; absent for all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interface: Option<String>,
    /// Workloads that hold it, in order; none: only processes of no workload do (in a workload's namespace that is a tool of the host's).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub owners: Vec<WorkloadId>,
    /// A process that holds it: its command's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
    /// And its pid, as the sensor's namespace numbers it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
}

/// A process that watches others, or collects what they log, inside a workload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AgentProcess {
    /// In which workload.
    pub workload: WorkloadId,
    /// As the sensor's namespace numbers it.
    pub pid: u32,
    /// When it began, in clock ticks since boot: with the pid, its identity.
    pub start: u64,
    /// Its command's name when it was first seen.
    pub program: String,
    /// What it does.
    pub state: AgentState,
}

/// What an agent's process does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AgentState {
    /// It runs, or waits.
    Running,
    /// A signal or a debugger stopped it (`T`, `t` in `/proc/PID/stat`).
    Stopped,
    /// It ended.
    Ended,
}

/// What the kernel's collector could not see.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum MissedKind {
    /// A socket was opened and closed between two looks.
    ShortSocket,
    /// A socket whose holder was gone, or hidden, when it was looked for.
    SocketOwner,
    /// A process that ended between two calls.
    Process,
    /// `/proc` hides processes from the sensor.
    HiddenProc,
    /// A namespace that could not be entered.
    Namespace,
    /// No room in a table of the collector.
    Overflow,
}

impl MissedKind {
    /// All kinds, in order.
    pub const ALL: [Self; 6] =
        [Self::ShortSocket, Self::SocketOwner, Self::Process, Self::HiddenProc, Self::Namespace, Self::Overflow];

    /// The metric label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ShortSocket => "short_socket",
            Self::SocketOwner => "socket_owner",
            Self::Process => "process",
            Self::HiddenProc => "hidden_proc",
            Self::Namespace => "namespace",
            Self::Overflow => "overflow",
        }
    }
}
