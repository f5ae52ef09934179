//! What rules are asked about.
//!
//! Contract: a rule that does not want a kind of events is not asked about it. Limits: none; it is a list of kinds.

/// The kinds of events that rules are asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// A flow that skipped no hop, as far as is known.
    Flow,
    /// A flow that did.
    SkippingFlow,
    Progress,
    NewLink,
    Workload,
    Fact,
    Claim,
    Unjudged,
    Contact,
}

impl Asked {
    pub(super) const COUNT: usize = Self::Contact as usize + 1;
}
