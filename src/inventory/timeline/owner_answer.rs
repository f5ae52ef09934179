//! The answer to "who was behind this?", and how much it can be relied on.
//!
//! Contract: every answer that is less than certain says why. Design: not known, not ours and more than one are answers
//! of their own, never a guess.

use std::net::IpAddr;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::input::{Endpoint, Mac, ObservationPoint, Protocol, Workload};
use crate::time::Timestamp;

/// How the owner is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AttributionMethod {
    /// By address, valid at that time.
    Address,
    /// By MAC.
    Mac,
    /// By the host-side veth it was seen on.
    Veth,
    /// By the socket that the kernel shows behind it.
    Socket,
    /// By the network namespace in which the address is.
    Namespace,
    /// By an undated snapshot (such as `docker inspect` output).
    Snapshot,
}

impl AttributionMethod {
    /// All methods, in order.
    pub const ALL: [Self; 6] = [Self::Address, Self::Mac, Self::Veth, Self::Socket, Self::Namespace, Self::Snapshot];

    /// The word used in JSON and on a terminal.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Address => "address",
            Self::Mac => "mac",
            Self::Veth => "veth",
            Self::Socket => "socket",
            Self::Namespace => "namespace",
            Self::Snapshot => "snapshot",
        }
    }
}

/// How sure it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Confidence {
    /// Nothing contradicts it.
    Exact,
    /// Best explanation; `why` says what is missing.
    Likely,
    /// More than one candidate.
    Ambiguous,
}

impl Confidence {
    /// The word used in JSON and on a terminal.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Exact => "exact",
            Self::Likely => "likely",
            Self::Ambiguous => "ambiguous",
        }
    }
}

/// Why an owner is not surer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Doubt {
    /// The owner had ended shortly before.
    Late,
    /// Only an undated snapshot names the owner.
    Undated,
    /// Several claim the address; the MAC decided.
    MacDecides,
    /// Several claim the address; the veth decided.
    VethDecides,
    /// The frame's MAC belongs to another workload.
    MacDiffers,
    /// The address belongs to another workload than the frame's MAC, which is believed.
    BorrowedAddress,
    /// The runtime assigned the address to no workload; the frame's MAC is believed.
    UnownedAddress,
    /// The address is of no network of this host; the frame's MAC names the sender.
    ForeignAddress,
    /// Several workloads share the network namespace of the address's owner, and no socket distinguishes them.
    SharedNamespace,
    /// Several processes hold the socket, of which only one is a workload's.
    SharedSocket,
    /// The frames came over the veth of another workload than the one that owns address and MAC.
    VethDiffers,
    /// The address was given to nobody; the veth is believed.
    UnownedOnVeth,
    /// No frame was seen that is certainly the owner's: they carry another MAC, or did not come over its link.
    NotItsFrames,
    /// Frames of another sender are among its own, or came before them.
    AmongOthers,
}

impl Doubt {
    /// The sentence for a person.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Late => "its owner had ended up to five seconds before",
            Self::Undated => "only an undated snapshot names its owner",
            Self::MacDecides => "several workloads claim the address; the frame's MAC decides",
            Self::VethDecides => "several workloads claim the address; the veth decides",
            Self::MacDiffers => "the frame's MAC belongs to another workload",
            Self::BorrowedAddress => "the address belongs to another workload; the frame's MAC names the sender",
            Self::SharedNamespace => "several workloads share its network namespace, and no socket shows which it was",
            Self::SharedSocket => "several processes hold the socket, not all of the workload",
            Self::VethDiffers => "address and MAC belong to another workload; the veth names the sender",
            Self::UnownedOnVeth => "the runtime assigned the address to no workload; the veth names the sender",
            Self::NotItsFrames => {
                "none of the frames carries its MAC and came over its link; the address alone names it"
            }
            Self::AmongOthers => {
                "frames of another sender are among its own, and no link shows which of the two sent what"
            }
            Self::ForeignAddress => "the address is of no network here; the frame's MAC names the sender",
            Self::UnownedAddress => "the runtime assigned the address to no workload; the frame's MAC names the sender",
        }
    }
}

/// Who was behind an address.
#[derive(Clone, Debug, PartialEq)]
pub enum Owner {
    /// A workload.
    Workload {
        /// The workload as it was then.
        workload: Arc<Workload>,
        /// How it is known.
        how: AttributionMethod,
        /// How sure it is.
        confidence: Confidence,
        /// Why not surer.
        why: Option<Doubt>,
    },
    /// Several could own it.
    Ambiguous {
        /// The workloads among them, in order of id; none where there are more than are listed.
        candidates: Vec<Arc<Workload>>,
        /// Whether it may as well be the host itself.
        host: bool,
    },
    /// The host itself, or a network's gateway.
    Host,
    /// Inside a container network, without an owner at that time.
    Unknown,
    /// Not an address of this host's networks.
    External,
}

impl Owner {
    /// The workload, where there is exactly one.
    pub const fn workload(&self) -> Option<&Arc<Workload>> {
        match self {
            Self::Workload { workload, .. } => Some(workload),
            Self::Ambiguous { .. } | Self::Host | Self::Unknown | Self::External => None,
        }
    }

    /// The same owner, known less surely for a reason.
    #[must_use]
    pub fn less_sure(&self, doubt: Doubt) -> Self {
        match self {
            Self::Workload { workload, how, .. } => {
                let (confidence, why) = (Confidence::Likely, Some(doubt));
                Self::Workload { workload: Arc::clone(workload), how: *how, confidence, why }
            }
            other => other.clone(),
        }
    }

    /// Whether the address itself says who it was; false where frames came from a workload that does not own it.
    pub const fn owns_address(&self) -> bool {
        !matches!(
            self,
            Self::Workload {
                why: Some(
                    Doubt::BorrowedAddress
                        | Doubt::UnownedAddress
                        | Doubt::ForeignAddress
                        | Doubt::VethDiffers
                        | Doubt::UnownedOnVeth
                ),
                ..
            }
        )
    }

    /// The metric label.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Workload { .. } => "workload",
            Self::Ambiguous { .. } => "ambiguous",
            Self::Host => "host",
            Self::Unknown => "unknown",
            Self::External => "external",
        }
    }
}

/// Owner plus nothing else; kept as a name of its own because metrics count it.
pub type Attribution = Owner;

/// What is needed to find the socket behind one end of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SocketQuery {
    /// TCP or UDP.
    pub protocol: Protocol,
    /// Its own port.
    pub port: u16,
    /// The other end.
    pub remote: Endpoint,
}

/// What was seen of one end of a flow.
#[derive(Clone, Copy, Debug)]
pub struct AttributionQuery<'a> {
    /// Where.
    pub point: &'a ObservationPoint,
    /// Address.
    pub ip: IpAddr,
    /// Protocol, own port and the other end, where sockets can decide; absent for what has no ports.
    pub socket: Option<SocketQuery>,
    /// Source MAC of its frames, where there is one.
    pub mac: Option<Mac>,
    /// When.
    pub at: Timestamp,
}
