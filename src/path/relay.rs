//! Whether two flows are the legs of one relayed conversation: one comes in to a workload, the other goes out of it.
//!
//! Contract: pure; what matched is said in words. Limits: a relay that re-encrypts and pads is matched by time alone, which is no match.

use crate::input::FlowRecord;

/// How two legs were matched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RelayMatch {
    /// For a person: what is the same on both legs.
    pub text: String,
}

/// Whether `outbound` carries on what `inbound` brought; both are read from the end that asked.
pub fn matched(_inbound: &FlowRecord, _outbound: &FlowRecord) -> Option<RelayMatch> {
    None
}
