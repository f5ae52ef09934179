//! What the judge knows beside a flow, and how long it waits for evidence.

use std::time::Duration;

use super::{LOSS_REPORTED_WITHIN, PathState};
use crate::inventory::Timeline;

/// What the judge knows beside the flow.
#[derive(Clone, Copy, Debug)]
pub struct JudgeContext<'a> {
    /// Who owned what when.
    pub timeline: &'a Timeline,
    /// Translations, losses, and when each hop was last seen.
    pub path: &'a PathState,
    /// Waiting times.
    pub grace: GracePeriods,
}

/// How long evidence is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GracePeriods {
    /// For a flow to be seen at a hop's own point, and for its translation to be reported.
    pub transit: Duration,
    /// For a point to report of a running flow what it counted.
    pub report: Duration,
    /// For a hop to become ready after the workload started.
    pub hop_ready: Duration,
    /// For an answer.
    pub answer: Duration,
    /// Whether the observation has ended: every source has reported all that it saw and lost, so there is nothing to wait for.
    pub all_reported: bool,
}

impl GracePeriods {
    /// After this time every point has reported what it counted up to now.
    pub fn reports(&self) -> Duration {
        self.transit + self.report
    }

    /// After this time absence counts: the flow or its translation could have been seen, and what was lost meanwhile is reported.
    pub fn absence(&self) -> Duration {
        self.transit.max(LOSS_REPORTED_WITHIN)
    }
}
