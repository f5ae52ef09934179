//! What the engine must know before it starts; the configuration builds it.

use std::sync::Arc;
use std::time::Duration;

use crate::alert::{AlertBudget, Exception, GroupingLimits, SeverityPolicy};
use crate::baseline::Baseline;
use crate::detect::LocalNetworks;
use crate::detect::rules::RuleParams;
use crate::incident::IncidentLimits;
use crate::inventory::TimelineLimits;
use crate::path::{Contract, GracePeriods, Monitors, TrackerLimits};

/// Checked configuration of the core.
#[derive(Clone, Debug)]
pub struct EngineConfig {
    /// The hash that names the configuration in alerts; `None`: it comes from no file.
    pub config_sha256: Option<Arc<str>>,
    /// Where the page of an alert's rule is: `{rule}` stands for its name. Without: in this version's sources.
    pub rule_page: Option<Arc<str>>,
    /// Path contracts; of those that cover a flow the first judges it, DNS contracts before others.
    pub contracts: Vec<Contract>,
    /// What watches others.
    pub monitors: Monitors,
    /// Exceptions.
    pub exceptions: Vec<Exception>,
    /// Severities in place of the rules' own; maintenance windows and environments.
    pub severities: SeverityPolicy,
    /// Parameters of the rules.
    pub rules: RuleParams,
    /// Addresses that are ours where no runtime explains them.
    pub local: LocalNetworks,
    /// What services are expected to be set up like.
    pub baseline: Option<Arc<Baseline>>,
    /// Waiting times.
    pub timings: Timings,
    /// Bounds of the inventory's timeline.
    pub timeline: TimelineLimits,
    /// Flows whose judgement is remembered at once; at the bound the oldest is forgotten and counted.
    pub max_flows: usize,
    /// Alerts that are open for counting at once; at the bound the oldest is closed.
    pub max_alerts: usize,
    /// Destinations listed in one alert; the rest is counted.
    pub max_destinations: usize,
    /// Bounds of incidents; `None`: none are made.
    pub incidents: Option<IncidentLimits>,
    /// Alerts that one rule raises about one sender.
    pub alert_budget: AlertBudget,
}

/// How long the engine waits for what, in event time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timings {
    /// For a runtime to report whose address this is.
    pub attribution_grace: Duration,
    /// For an answer, before an attempt is judged as an attempt.
    pub answer_grace: Duration,
    /// For a flow to be seen at a hop's observation point, and for its translation to be reported.
    pub transit_grace: Duration,
    /// Between two reports of a running flow by a meter.
    pub report_interval: Duration,
    /// For a hop to become ready after its start.
    pub hop_ready: Duration,
    /// Between two counted updates of one alert.
    pub update_interval: Duration,
    /// Without a repetition, an alert is closed; the same cause then raises a new one.
    pub close_after: Duration,
}

impl EngineConfig {
    pub(super) const fn tracking(&self) -> TrackerLimits {
        TrackerLimits {
            attribution_grace: self.timings.attribution_grace,
            answer_grace: self.timings.answer_grace,
            max_flows: self.max_flows,
        }
    }

    pub(super) const fn grouping(&self) -> GroupingLimits {
        GroupingLimits {
            update_interval: self.timings.update_interval,
            close_after: self.timings.close_after,
            max_open: self.max_alerts,
            max_destinations: self.max_destinations,
            budget: self.alert_budget,
        }
    }
}

impl Timings {
    pub(super) const fn grace(&self) -> GracePeriods {
        GracePeriods {
            transit: self.transit_grace,
            report: self.report_interval,
            hop_ready: self.hop_ready,
            answer: self.answer_grace,
            all_reported: false,
        }
    }
}
