//! What the engine counts: the source of the metrics and of the closing summary.
//!
//! Contract: plain numbers; every contract's verdicts start at zero. Limits: keys come from the configuration and closed lists,
//! so their number is bounded.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{HeardLogs, LatencyHistogram};
use crate::alert::Alert;
use crate::detect::Severity;
use crate::incident::IncidentCounts;
use crate::input::{
    FirewallFact, HostLog, HostLoggingFact, InventoryEvent, LogFileFact, Loss, LossReason, MissedKind, RuntimeId,
};
use crate::inventory::{AttributionMethod, Confidence, Owner, Timeline};
use crate::path::{Amount, JudgedFlow, PathState, UnjudgedReason, Unobservable, Verdict};
use crate::time::Timestamp;

/// Reports about the host's firewall.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FirewallStats {
    /// Times that its rules were listed.
    pub listed: u64,
    /// Parts that are not read, each with the reason.
    pub unwatched: BTreeMap<String, String>,
}

impl FirewallStats {
    /// Parts of which the reason is kept.
    const MAX_PARTS: usize = 8;

    /// Counts a fact.
    pub fn count(&mut self, fact: &FirewallFact) {
        match fact {
            FirewallFact::Rules(_) => self.listed += 1,
            FirewallFact::Unwatched { part, why } if self.unwatched.len() < Self::MAX_PARTS => {
                self.unwatched.insert(part.clone(), why.clone());
            }
            FirewallFact::Unwatched { .. } => {}
        }
    }
}

/// Parts of the host's logs that are named.
const MAX_PARTS: usize = 16;

/// Reports about what records on the host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostLoggingStats {
    /// States.
    pub states: u64,
    /// Parts that cannot be read, and why.
    pub unwatched: BTreeMap<String, String>,
    /// Entries about recording itself.
    pub entries: u64,
    /// Gaps of logs, the last of each in words, and how many entries are known to be missing.
    pub gaps: BTreeMap<HostLog, (u64, String)>,
    /// When each log had its last entry.
    pub heard: HeardLogs,
}

impl HostLoggingStats {
    pub(super) fn count(&mut self, fact: &HostLoggingFact) {
        match fact {
            HostLoggingFact::State(_) => self.states += 1,
            HostLoggingFact::Unwatched { part, why } if self.unwatched.len() < MAX_PARTS => {
                self.unwatched.insert(part.clone(), why.clone());
            }
            HostLoggingFact::Unwatched { .. } => {}
            HostLoggingFact::Entry(_) => self.entries += 1,
            HostLoggingFact::Heard { part, at, entries, .. } => self.heard.hear(part, *at, *entries),
            HostLoggingFact::Gap { log, count, why, .. } => {
                let (missing, last) = self.gaps.entry(*log).or_default();
                *missing += count;
                last.clone_from(why);
            }
        }
    }
}

/// Reports about log files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogFileStats {
    /// Places that are watched, and those that were.
    pub watched: u64,
    /// Places that cannot be watched.
    pub unwatched: u64,
    /// Why the last of these cannot.
    pub why: Option<String>,
    /// Changes.
    pub changed: u64,
    /// Times at which some may have been missed.
    pub missed: u64,
}

impl LogFileStats {
    /// Counts a fact.
    pub fn count(&mut self, fact: &LogFileFact) {
        match fact {
            LogFileFact::Changed(_) => self.changed += 1,
            LogFileFact::Watched { .. } => self.watched += 1,
            LogFileFact::Unwatched { why, .. } => (self.unwatched, self.why) = (self.unwatched + 1, Some(why.clone())),
            LogFileFact::Missed { count, .. } => self.missed += count,
        }
    }
}

/// A bound of what the engine remembers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Bound {
    /// Flows followed; the one that was quiet longest is forgotten.
    Flows,
    /// Open alerts; one is closed early.
    Alerts,
    /// Open incidents, and events that wait for one: the oldest goes.
    Incidents,
    /// Workloads remembered: a dead one is forgotten early, or a new one refused because all of them run.
    Workloads,
    /// Intervals in which one workload owned something.
    Spans,
    /// Networks and links.
    Networks,
    /// Network namespaces, their workloads, interfaces and addresses.
    Namespaces,
    /// Sockets: a closed one is forgotten early, or a new one refused because all of them are open.
    Sockets,
    /// Packet sockets and namespaces that the kernel showed.
    Kernel,
    /// Address translations that stood.
    Bindings,
    /// Stretches of time in which something was lost: absence counts in them again.
    LossWindows,
    /// Observation points, and since when they are observed.
    Points,
    /// Contracts that a workload was seen to keep.
    KeptContracts,
    /// Senders of traffic without a verdict; the totals keep what they sent.
    Senders,
    /// Names of addresses: the one that was answered first goes.
    Names,
    /// What rules remember of flows, workloads, namespaces and names to compare with.
    Rules,
}

impl Bound {
    /// All of them.
    pub const ALL: [Self; 16] = [
        Self::Flows,
        Self::Alerts,
        Self::Incidents,
        Self::Workloads,
        Self::Spans,
        Self::Networks,
        Self::Namespaces,
        Self::Sockets,
        Self::Kernel,
        Self::Bindings,
        Self::LossWindows,
        Self::Points,
        Self::KeptContracts,
        Self::Senders,
        Self::Names,
        Self::Rules,
    ];

    /// As the metric's label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Flows => "flows",
            Self::Alerts => "alerts",
            Self::Incidents => "incidents",
            Self::Workloads => "workloads",
            Self::Spans => "spans",
            Self::Networks => "networks",
            Self::Namespaces => "namespaces",
            Self::Sockets => "sockets",
            Self::Kernel => "kernel",
            Self::Bindings => "bindings",
            Self::LossWindows => "loss_windows",
            Self::Points => "points",
            Self::KeptContracts => "kept_contracts",
            Self::Senders => "senders",
            Self::Names => "names",
            Self::Rules => "rules",
        }
    }
}

/// Counters of the engine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EngineStats {
    /// What was reported of the host's firewall.
    pub firewall: FirewallStats,
    /// What was reported of the host's own recording.
    pub host_logging: HostLoggingStats,
    /// What was reported of log files.
    pub log_files: LogFileStats,
    /// Flows judged, covered by a contract or not.
    pub flows_judged: u64,
    /// Flows followed now.
    pub flows_followed: usize,
    /// Flows forgotten early because too many were followed.
    pub flows_forgotten: u64,
    /// Flows by contract, first verdict and reason, which is empty unless the verdict is `unobservable`.
    pub path_flows: BTreeMap<(Arc<str>, &'static str, &'static str), u64>,
    /// Revised verdicts by contract: from, to (ADR 11).
    pub revised: BTreeMap<(Arc<str>, Verdict, Verdict), u64>,
    /// How long after its first packet the verdict on a flow was final.
    pub verdict_seconds: LatencyHistogram,
    /// When a flow was last proven to have passed each hop.
    pub hops_seen: BTreeMap<Arc<str>, Option<Timestamp>>,
    /// Why flows are unobservable now.
    pub unobservable: BTreeMap<Unobservable, u64>,
    /// What covered workloads sent without a verdict but `unobservable`, by contract and reason.
    pub unjudged: BTreeMap<(Arc<str>, UnjudgedReason), Amount>,
    /// Alerts raised (updates not counted), by rule and the severity at which they were raised.
    pub alerts: BTreeMap<(&'static str, Severity), u64>,
    /// Counted updates delivered at once.
    pub alert_updates: u64,
    /// Alerts closed early because too many were open.
    pub alerts_closed_early: u64,
    /// Findings that a summarising alert counted because the budget of their rule and sender was spent, by rule.
    pub alerts_over_budget: BTreeMap<&'static str, u64>,
    /// Incidents written, and what their bounds cost.
    pub incidents: IncidentCounts,
    /// Findings held back, by exception.
    pub exception_hits: BTreeMap<String, u64>,
    /// When each last held one back.
    pub exception_last_hits: BTreeMap<String, Timestamp>,
    /// When each exception in force expires; of several of one name, the last to.
    pub exceptions_expire: BTreeMap<String, Timestamp>,
    /// Sources of flows, by how well they are known (`result`) and how (`how`, empty unless it is a workload).
    pub attributions: BTreeMap<(&'static str, &'static str), u64>,
    /// Workloads that run now.
    pub workloads_running: usize,
    /// Known runtimes, and whether they answer.
    pub runtimes: BTreeMap<RuntimeId, bool>,
    /// How often a runtime stopped answering or its event stream was cut.
    pub runtime_event_gaps: u64,
    /// When each runtime's whole list was last compared.
    pub reconciled: BTreeMap<RuntimeId, Timestamp>,
    /// Workloads remembered, by state.
    pub workloads: BTreeMap<&'static str, usize>,
    /// What the kernel's collector could not see, by kind.
    pub kernel_missed: BTreeMap<MissedKind, u64>,
    /// How often each bound was reached, with the loss of something remembered.
    pub bounds: BTreeMap<Bound, u64>,
    /// Lost packets and events reported as facts, by reason.
    pub loss: BTreeMap<LossReason, u64>,
}

/// Results that `attributions` counts.
pub const ATTRIBUTION_RESULTS: [&str; 6] = ["exact", "likely", "ambiguous", "host", "unknown", "external"];

/// Every result with every way in which it can be known, which is empty where nobody is named.
fn attributions() -> impl Iterator<Item = (&'static str, &'static str)> {
    let [exact, likely, ambiguous, rest @ ..] = ATTRIBUTION_RESULTS;
    let named = [exact, likely].into_iter();
    let named = named.flat_map(|result| AttributionMethod::ALL.map(|how| (result, how.as_str())));
    named.chain([ambiguous].into_iter().chain(rest).map(|result| (result, "")))
}

impl EngineStats {
    /// Zero everywhere, with every series present.
    pub(super) fn new<'a>(contracts: impl Iterator<Item = &'a Arc<str>>) -> Self {
        let mut stats = Self { attributions: attributions().map(|key| (key, 0)).collect(), ..Self::default() };
        stats.add_contracts(contracts);
        stats
    }

    /// Contracts that count from now on.
    pub(super) fn add_contracts<'a>(&mut self, contracts: impl Iterator<Item = &'a Arc<str>>) {
        let known = [Verdict::Verified, Verdict::Bypassed, Verdict::Partial].into_iter();
        let known: Vec<_> = known.chain(Unobservable::ALL.map(Verdict::Unobservable)).collect();
        let verdicts = |name: &Arc<str>| {
            let name = Arc::clone(name);
            let known = known.clone();
            known.into_iter().map(move |verdict| ((Arc::clone(&name), verdict.as_str(), verdict.reason()), 0))
        };
        for (key, zero) in contracts.flat_map(verdicts) {
            self.path_flows.entry(key).or_insert(zero);
        }
    }

    /// Flows by contract, the verdict that holds now, and reason.
    pub fn verdicts(&self) -> BTreeMap<(Arc<str>, &'static str, &'static str), u64> {
        let mut now = self.path_flows.clone();
        let key = |contract: &Arc<str>, verdict: Verdict| (Arc::clone(contract), verdict.as_str(), verdict.reason());
        for ((contract, _, to), count) in &self.revised {
            *now.entry(key(contract, *to)).or_default() += count;
        }
        for ((contract, from, _), count) in &self.revised {
            let left = now.entry(key(contract, *from)).or_default();
            *left = left.saturating_sub(*count);
        }
        now
    }

    /// Counts a judged flow, but for what [`super::judged_counts`] counts.
    pub(super) fn judged(&mut self, flow: &JudgedFlow) {
        self.flows_judged += u64::from(!flow.again);
        let Some(judgement) = &flow.judgement else { return };
        let verdict = judgement.verdict;
        if let Some(from) = flow.revised_from {
            return self.revised(&judgement.contract, from, verdict);
        }
        self.verdict_seconds.add(flow.took);
        if let Verdict::Unobservable(reason) = judgement.verdict {
            *self.unobservable.entry(reason).or_default() += 1;
        }
    }

    fn revised(&mut self, contract: &Arc<str>, from: Verdict, to: Verdict) {
        if from == to {
            return;
        }
        *self.revised.entry((Arc::clone(contract), from, to)).or_default() += 1;
        if let Verdict::Unobservable(reason) = to {
            *self.unobservable.entry(reason).or_default() += 1;
        }
        if let Verdict::Unobservable(reason) = from {
            let left = self.unobservable.entry(reason).or_default();
            *left = left.saturating_sub(1);
        }
    }

    pub(super) fn alert(&mut self, alert: &Alert) {
        if alert.is_first_of_run {
            *self.alerts.entry((alert.rule, alert.severity)).or_default() += 1;
        } else {
            self.alert_updates += 1;
        }
    }

    /// What the bounds cost so far.
    pub(super) fn count_bounds(&mut self, timeline: &Timeline, path: &PathState, forgotten_points: u64) {
        let (kernel, timeline) = (timeline.kernel().refused(), timeline.counts());
        let (bindings, losses) = (&path.bindings, &path.losses);
        let counts = [
            (Bound::Flows, self.flows_forgotten),
            (Bound::Alerts, self.alerts_closed_early),
            (Bound::Incidents, self.incidents.forgotten),
            (Bound::Workloads, timeline.evicted + timeline.refused),
            (Bound::Spans, timeline.spans_dropped),
            (Bound::Networks, timeline.networks_refused),
            (Bound::Namespaces, timeline.namespaces_refused),
            (Bound::Sockets, timeline.sockets_evicted + timeline.sockets_refused),
            (Bound::Kernel, kernel),
            (Bound::Bindings, bindings.evicted()),
            (Bound::LossWindows, losses.forgotten_windows() + bindings.forgotten_windows()),
            (Bound::Points, losses.forgotten_points() + forgotten_points),
            (Bound::KeptContracts, path.hops.forgotten()),
            (Bound::Senders, path.unjudged.forgotten()),
        ];
        self.bounds = counts.into();
    }

    pub(super) fn loss(&mut self, loss: &Loss) {
        *self.loss.entry(loss.reason).or_default() += loss.count;
    }

    pub(super) fn runtime(&mut self, event: &InventoryEvent, at: Timestamp) {
        match event {
            InventoryEvent::Connected { runtime } => {
                self.runtimes.insert(*runtime, true);
            }
            InventoryEvent::Disconnected { runtime, .. } => {
                let was_connected = self.runtimes.insert(*runtime, false);
                self.runtime_event_gaps += u64::from(was_connected == Some(true));
            }
            InventoryEvent::GivenUp { runtime } => {
                self.runtimes.remove(runtime);
                self.reconciled.remove(runtime);
            }
            InventoryEvent::Reconciled { runtime, .. } => {
                self.reconciled.insert(*runtime, at);
            }
            _ => {}
        }
    }
}

pub(super) const fn how(owner: &Owner) -> &'static str {
    match owner {
        Owner::Workload { how, .. } => how.as_str(),
        _ => "",
    }
}

pub(super) const fn result(owner: &Owner) -> &'static str {
    match owner {
        Owner::Workload { confidence: Confidence::Exact, .. } => "exact",
        Owner::Workload { confidence: Confidence::Likely, .. } => "likely",
        Owner::Workload { confidence: Confidence::Ambiguous, .. } | Owner::Ambiguous { .. } => "ambiguous",
        Owner::Host => "host",
        Owner::Unknown => "unknown",
        Owner::External => "external",
    }
}
