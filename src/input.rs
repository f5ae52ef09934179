//! The facts that the engine consumes: one enum, each with its event time.
//!
//! Contract: an [`Input`] says what was observed and when; live capture, capture files and recordings differ only in who
//! produces it. `facts.jsonl` holds one [`RecordedFact`] per line (schema `hopwatch.fact/1`); what frames show (flow events, claims,
//! frames that could not be read) is decoded again from `traffic.pcapng`.
//! Limits: text in facts (names, labels) is chosen by attackers; who prints it must escape it.
//! Design: plain data without behaviour, so that every part of the crate may import it.

mod app;
mod baseline;
mod configuration;
mod container_event;
mod firewall;
mod first_process;
mod flow;
mod host_logging;
mod interface_settings;
mod kernel;
mod log_file;
mod mac;
mod name_files;
mod names;
mod nat;
mod neighbour;
mod observation_point;
mod open_alert;
mod rare;
mod reload;
mod roster;
mod runtime;
mod runtime_id;
mod tcp;
mod tunnel;
mod workload_id;

pub use app::{
    AppFacts, DnsMessage, EchoFacts, HttpRequest, Magic, OpenVpn, OpenVpnProtection, OpenVpnReset, ProxyHeader,
    QuicInitial, SocksRequest, TlsHello,
};
pub use baseline::{BaselineChange, BaselineFact};
pub use configuration::{
    Configuration, Confinement, Logging, Mount, NamespaceMode, Namespaces, ResourceLimits, SET, Setting, Variable,
};
pub use container_event::{ContainerAct, ContainerEvent, ExecutedCommand, HIDDEN, MAX_WORDS};
pub use firewall::{FirewallFact, FirewallRule, FirewallRules};
pub use first_process::{KernelMount, ProcessMounts, ProcessRights, SeccompMode};
pub use flow::{
    Counters, EndReason, Endpoint, FiveTuple, FlowEvent, FlowEventKind, FlowId, FlowRecord, Protocol, Side, TcpFacts,
    tcp_flags,
};
pub use host_logging::{AuditState, HostLog, HostLogEntry, HostLogging, HostLoggingFact, LogAct, LogActor};
pub use interface_settings::InterfaceSettings;
pub use kernel::{
    AgentProcess, AgentState, InsideInterface, KernelFact, MissedKind, NamespaceView, NetnsId, ProcessNamespaces,
    SnifferKind, SnifferView, SocketEvidence, SocketView, Stray,
};
pub use log_file::{LogChange, LogFileChange, LogFileFact, LogFileSource};
pub use mac::Mac;
pub use name_files::{HostsFile, NameFiles, ResolverFile};
pub use names::NameAnswer;
pub use nat::{NatBinding, NatFact};
pub use neighbour::{ClaimKind, NeighbourClaim};
pub use observation_point::ObservationPoint;
pub use open_alert::OpenAlert;
pub use rare::{LinkShare, RareFacts, Undecoded};
pub use reload::Reload;
pub use roster::{Change, Roster};
pub use runtime::{
    Attachment, InventoryEvent, NetworkMode, Pod, PublishedPort, RuntimeNetwork, Workload, WorkloadState,
};
pub use runtime_id::{MAX_RUNTIMES, RuntimeId, RuntimeKind, UnknownRuntime};
pub use tcp::{ConnState, History};
pub use tunnel::{Tunnel, TunnelKind};
pub use workload_id::WorkloadId;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::time::Timestamp;

/// One observation: what, and when by event time.
#[derive(Clone, Debug, PartialEq)]
pub struct Input {
    /// When it happened (packets) or became known (everything else).
    pub at: Timestamp,
    /// What was observed.
    pub fact: Fact,
}

impl Input {
    /// An input at a time.
    pub fn new(at: Timestamp, fact: impl Into<Fact>) -> Self {
        Self { at, fact: fact.into() }
    }

    /// The observation point at which frames showed it; `None` where it is no matter of frames.
    pub fn point(&self) -> Option<&ObservationPoint> {
        match &self.fact {
            Fact::Flow(event) => Some(&event.record.point),
            Fact::Claim(claim) => Some(&claim.point),
            Fact::Undecoded(undecoded) => Some(&undecoded.point),
            Fact::Answer(answer) => Some(&answer.point),
            Fact::Recorded(_) | Fact::Tick => None,
        }
    }
}

/// What was observed.
#[derive(Clone, Debug, PartialEq)]
pub enum Fact {
    /// A flow started, was answered, went on or ended.
    Flow(Box<FlowEvent>),
    /// ARP or neighbour discovery on a link claimed an address.
    Claim(Box<NeighbourClaim>),
    /// Frames of one sender could not be read, or carried neither IP nor ARP.
    Undecoded(Box<Undecoded>),
    /// A name was answered with addresses.
    Answer(Box<NameAnswer>),
    /// Anything that a recording keeps in `facts.jsonl`.
    Recorded(RecordedFact),
    /// A promise of an idle source: nothing older than this will come. Rules never see it.
    Tick,
}

impl From<RecordedFact> for Fact {
    fn from(fact: RecordedFact) -> Self {
        Self::Recorded(fact)
    }
}

/// `From` for each kind of fact, so that callers need not spell out both enums.
macro_rules! from_recorded {
    ($($kind:ident($fact:ty),)*) => {
        $(impl From<$fact> for RecordedFact {
            fn from(fact: $fact) -> Self {
                Self::$kind(fact)
            }
        }

        impl From<$fact> for Fact {
            fn from(fact: $fact) -> Self {
                Self::Recorded(fact.into())
            }
        })*
    };
}

from_recorded! {
    Inventory(InventoryEvent),
    Link(LinkEvent),
    Loss(Loss),
    Kernel(KernelFact),
    Nat(NatFact),
    LogFile(LogFileFact),
    Baseline(BaselineFact),
    Firewall(FirewallFact),
    HostLogging(HostLoggingFact),
    Reloaded(Reload),
    OpenAlert(OpenAlert),
}

/// Facts that do not come from packets; these are the lines of `facts.jsonl`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RecordedFact {
    /// The runtime reported a workload, a network, or its own state.
    Inventory(InventoryEvent),
    /// An observation point appeared, changed or vanished.
    Link(LinkEvent),
    /// Something was not observed that should have been.
    Loss(Loss),
    /// The kernel showed namespaces, sockets or processes.
    Kernel(KernelFact),
    /// Connection tracking reported address translation.
    Nat(NatFact),
    /// The host's file system showed what became of a log file.
    LogFile(LogFileFact),
    /// The baseline's file is, or is not, the one that was approved.
    Baseline(BaselineFact),
    /// The host's firewall steers or drops otherwise than before.
    Firewall(FirewallFact),
    /// The host's audit or a log daemon records otherwise than before.
    HostLogging(HostLoggingFact),
    /// hopwatch's own configuration was read again.
    Reloaded(Reload),
    /// The run of hopwatch before left an alert open.
    OpenAlert(OpenAlert),
    /// The observation ended; what waited for a time before this was reported by then.
    Ended {
        /// The point whose observation ended while others went on; absent where all of it ended.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        point: Option<ObservationPoint>,
    },
}

/// An observation point and what the host says of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LinkEvent {
    /// The interface.
    pub point: ObservationPoint,
    /// Whether packets can be seen there now.
    pub up: bool,
    /// The interface's own MAC: on a bridge, the source of everything routed in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mac: Option<Mac>,
    /// The host's own addresses on it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<std::net::IpAddr>,
    /// Whether every frame is taken in there, as the kernel reports it (`IFLA_PROMISCUITY` above zero); absent when not looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub promiscuous: Option<bool>,
    /// Programs that see frames before, or instead of, a tap: `xdp`, `tc ingress`, `tc egress`; in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub programs: Vec<String>,
    /// The workload inside whose namespace it is; absent on the host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inside: Option<WorkloadId>,
    /// Its new name, where the interface is still there and was renamed: this point is down because of that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub renamed: Option<ObservationPoint>,
}

/// Observation that was lost: a window in which absence proves nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Loss {
    /// Where it was lost; absent when it concerns every point.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub point: Option<ObservationPoint>,
    /// Why.
    pub reason: LossReason,
    /// How many packets or events; 0 where the number cannot be known.
    pub count: u64,
    /// Start of the window; its end is the time of the input.
    pub since: Timestamp,
    /// The MAC that sent what was lost, where only its frames were; absent when it may have been anybody's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Mac>,
}

/// Why something was not observed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LossReason {
    /// The kernel's capture ring was full.
    Kernel,
    /// The interface or its driver dropped before the ring.
    Interface,
    /// The queue to the engine was full.
    Queue,
    /// The flow table was full and evicted a flow early.
    FlowTable,
    /// Its source sent more than its share while the engine was behind.
    Shed,
    /// The filter that hopwatch was given (`-f`) hid it.
    Filter,
}

impl LossReason {
    /// All reasons, in order.
    pub const ALL: [Self; 6] = [Self::Kernel, Self::Interface, Self::Queue, Self::FlowTable, Self::Shed, Self::Filter];

    /// The metric label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Kernel => "kernel",
            Self::Interface => "interface",
            Self::Queue => "queue",
            Self::FlowTable => "flow_table",
            Self::Shed => "shed",
            Self::Filter => "filter",
        }
    }
}
