//! The four verdicts, and why something could not be judged.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Whether a flow passed the hop that its contract names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", tag = "verdict", content = "reason")]
pub enum Verdict {
    /// Every required hop was seen, with evidence.
    Verified,
    /// A required hop was provably skipped.
    Bypassed,
    /// Some required hops seen, the rest not.
    Partial,
    /// It could not be judged.
    Unobservable(Unobservable),
}

/// Why a flow could not be judged; a closed list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Unobservable {
    /// Nothing looks where the traffic passes.
    NoObservationPoint,
    /// Packets were lost in the window.
    CaptureLoss,
    /// Nobody is known to own an address that matters.
    UnattributedAddress,
    /// A rootless network stack hides the container.
    RootlessStack,
    /// Inside a tunnel that is not decoded.
    UndecodedTunnel,
    /// Translated, and the binding is not known.
    NatUnknown,
    /// The hop was not ready.
    HopNotReady,
    /// Only one direction was seen.
    OneSided,
    /// The hop did not answer, so this does not show that the flow passed it.
    Unanswered,
}

impl Verdict {
    /// The metric label, without the reason.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Verified => "verified",
            Self::Bypassed => "bypassed",
            Self::Partial => "partial",
            Self::Unobservable(_) => "unobservable",
        }
    }

    /// The reason of `unobservable`; empty for the others.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Unobservable(reason) => reason.as_str(),
            Self::Verified | Self::Bypassed | Self::Partial => "",
        }
    }

    /// The labels of all verdicts.
    pub const LABELS: [&'static str; 4] = ["verified", "bypassed", "partial", "unobservable"];
}

impl Unobservable {
    /// All reasons, in order.
    pub const ALL: [Self; 9] = [
        Self::NoObservationPoint,
        Self::CaptureLoss,
        Self::UnattributedAddress,
        Self::RootlessStack,
        Self::UndecodedTunnel,
        Self::NatUnknown,
        Self::HopNotReady,
        Self::OneSided,
        Self::Unanswered,
    ];

    /// How to fix it, in words.
    pub const fn fix(self) -> &'static str {
        match self {
            Self::NoObservationPoint => "capture where the traffic passes: `hopwatch paths` names the interface",
            Self::CaptureLoss => "raise capture.ring_mib or flows.max_flows, or capture fewer interfaces",
            Self::UnattributedAddress => "see that every container runtime answers, and its list is complete",
            Self::RootlessStack => "set `capture.inside_namespaces`",
            Self::UndecodedTunnel => "capture inside the tunnel's own interface, or forbid the tunnel",
            Self::NatUnknown => "run with CAP_NET_ADMIN, so that address translations are reported",
            Self::HopNotReady => "start the hop before its workloads, or raise detection.startup_grace",
            Self::OneSided => "start hopwatch before the connection, and capture both directions",
            Self::Unanswered => "see why the hop does not answer",
        }
    }

    /// The word used in JSON and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NoObservationPoint => "no_observation_point",
            Self::CaptureLoss => "capture_loss",
            Self::UnattributedAddress => "unattributed_address",
            Self::RootlessStack => "rootless_stack",
            Self::UndecodedTunnel => "undecoded_tunnel",
            Self::NatUnknown => "nat_unknown",
            Self::HopNotReady => "hop_not_ready",
            Self::OneSided => "one_sided",
            Self::Unanswered => "unanswered",
        }
    }
}

/// `bypassed`, `unobservable (capture_loss)`.
impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unobservable(reason) => write!(f, "unobservable ({})", reason.as_str()),
            other => f.write_str(other.as_str()),
        }
    }
}
