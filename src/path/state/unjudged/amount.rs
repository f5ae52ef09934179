//! How much, and why.

use std::ops::{Add, AddAssign};

use schemars::JsonSchema;
use serde::Serialize;

use crate::input::Side;
use crate::path::Unobservable;

/// How much traffic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Amount {
    /// Flows.
    pub flows: u64,
    /// Packets.
    pub packets: u64,
    /// Their bytes on the wire.
    pub bytes: u64,
}

/// Why traffic has no verdict, or none but `unobservable`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum UnjudgedReason {
    /// Flows that a contract covers and that could not be judged.
    Flow(Unobservable),
    /// Frames that belong to no flow: a label of the counters `not_decoded`, or `non_ip`.
    Frame(&'static str),
    /// Flows that no contract covers.
    NotCovered,
}

impl UnjudgedReason {
    /// The word used in JSON and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Flow(reason) => reason.as_str(),
            Self::Frame(reason) => reason,
            Self::NotCovered => "not_covered",
        }
    }

    /// How to fix it, in words.
    pub const fn fix(self) -> &'static str {
        match self {
            Self::Flow(reason) => reason.fix(),
            Self::Frame(_) => {
                "look at these frames with `tcpdump -e`; drop NET_RAW and NET_ADMIN where the container does not need them"
            }
            Self::NotCovered => "widen a contract's `to` to what it should be about, or write another contract",
        }
    }

    /// Whether a contract covers it and cannot judge it.
    pub const fn is_unobservable(self) -> bool {
        !matches!(self, Self::NotCovered)
    }
}

impl Amount {
    /// What one end of a flow sent.
    pub(super) const fn of(side: &Side, flows: u64) -> Self {
        Self { flows, packets: side.counters.packets, bytes: side.counters.frame_bytes }
    }

    /// Without what was counted before.
    #[must_use]
    pub const fn minus(self, less: Self) -> Self {
        Self {
            flows: self.flows.saturating_sub(less.flows),
            packets: self.packets.saturating_sub(less.packets),
            bytes: self.bytes.saturating_sub(less.bytes),
        }
    }

    /// The greater of each number.
    #[must_use]
    pub fn max(self, other: Self) -> Self {
        Self {
            flows: self.flows.max(other.flows),
            packets: self.packets.max(other.packets),
            bytes: self.bytes.max(other.bytes),
        }
    }
}

impl Add for Amount {
    type Output = Self;

    fn add(self, more: Self) -> Self {
        Self {
            flows: self.flows + more.flows,
            packets: self.packets + more.packets,
            bytes: self.bytes.saturating_add(more.bytes),
        }
    }
}

impl AddAssign for Amount {
    fn add_assign(&mut self, more: Self) {
        *self = *self + more;
    }
}
