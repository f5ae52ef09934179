//! What rules are asked about.
//!
//! Contract: a rule that does not want a kind of events is not asked about it. Limits: none; it is a list of kinds.

use crate::detect::ContactStep;

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
    /// A contact whose outcome is known now.
    Decided,
    /// One that goes on.
    GoesOn,
    /// One that ended a pause.
    Resumed,
    /// One that has ended.
    Ended,
}

impl Asked {
    pub(super) const COUNT: usize = Self::Ended as usize + 1;

    /// A contact that is so far.
    pub(super) const fn contact(step: ContactStep) -> Self {
        match step {
            ContactStep::Decided => Self::Decided,
            ContactStep::GoesOn => Self::GoesOn,
            ContactStep::Resumed { .. } => Self::Resumed,
            ContactStep::Ended => Self::Ended,
        }
    }
}
