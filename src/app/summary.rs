//! The closing summary: what was read, what was judged, what was raised.
//!
//! Contract: JSON `hopwatch.summary/1`; packets = in flows + non-IP + not decoded, at every point. Text is for a person.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Serialize;

use crate::engine::EngineStats;
use crate::escape::printable;
use crate::flow::PointCounters;
use crate::input::ObservationPoint;
use crate::layout::hang;
use crate::path::UnjudgedTraffic;
use crate::report::Unjudged;
use crate::wording::many;

/// Name and version of the shape.
pub const SCHEMA: &str = "hopwatch.summary/1";
/// Lines of unjudged traffic in the text; JSON has more.
const MOST_UNJUDGED: usize = 10;

/// One observation point.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct PointSummary {
    /// Its name.
    pub observation_point: String,
    /// What was counted there.
    #[serde(flatten)]
    pub counters: PointCounters,
}

impl PointSummary {
    /// From what was counted there.
    pub fn new(point: &ObservationPoint, counters: PointCounters) -> Self {
        Self { observation_point: point.to_string(), counters }
    }
}

/// The whole summary.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// Always `hopwatch.summary/1`.
    pub schema: &'static str,
    /// Packets captured, over all points.
    pub packets: u64,
    /// Packets lost, over all points and reasons.
    pub dropped: u64,
    /// Packets that a filter (`-f`) hid, over all points; they are not among those lost.
    #[serde(skip_serializing_if = "is_zero")]
    pub hidden: u64,
    /// Flows started, over all points.
    pub flows: u64,
    /// Flows that a contract covers, by contract and verdict.
    pub verdicts: BTreeMap<String, BTreeMap<&'static str, u64>>,
    /// Why flows were unobservable.
    pub unobservable: BTreeMap<&'static str, u64>,
    /// What covered workloads sent without a verdict, by sender, contract and reason.
    pub unjudged: Unjudged,
    /// Alerts raised, by rule.
    pub alerts: BTreeMap<&'static str, u64>,
    /// Alerts raised, by severity.
    pub severities: BTreeMap<&'static str, u64>,
    /// Sources of flows, by how well they are known.
    pub attributions: BTreeMap<&'static str, u64>,
    /// Findings that a summarising alert counted because their rule had raised too many about their sender, by rule.
    pub alerts_over_budget: BTreeMap<&'static str, u64>,
    /// Findings held back, by exception.
    pub exceptions: BTreeMap<String, u64>,
    /// Points, in order of name.
    pub points: Vec<PointSummary>,
    /// What could not be read or received.
    pub warnings: Vec<String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
const fn is_zero(number: &u64) -> bool {
    *number == 0
}

fn by_result(stats: &EngineStats) -> BTreeMap<&'static str, u64> {
    let mut results = BTreeMap::new();
    for ((result, _), count) in &stats.attributions {
        *results.entry(*result).or_default() += count;
    }
    results
}

impl Summary {
    /// From the engine's and the points' counters.
    pub fn new(
        stats: &EngineStats,
        unjudged: &UnjudgedTraffic,
        points: Vec<PointSummary>,
        warnings: Vec<String>,
    ) -> Self {
        let mut summary = Self {
            schema: SCHEMA,
            packets: points.iter().map(|point| point.counters.packets).sum(),
            dropped: points.iter().map(|point| point.counters.lost()).sum(),
            hidden: points.iter().map(|point| point.counters.hidden()).sum(),
            flows: points.iter().map(|point| point.counters.flows).sum(),
            verdicts: BTreeMap::new(),
            unobservable: stats.unobservable.iter().map(|(reason, count)| (reason.as_str(), *count)).collect(),
            unjudged: Unjudged::new(unjudged),
            alerts: BTreeMap::new(),
            severities: BTreeMap::new(),
            attributions: by_result(stats),
            alerts_over_budget: stats.alerts_over_budget.clone(),
            exceptions: stats.exception_hits.clone(),
            points,
            warnings,
        };
        for ((contract, verdict, _), count) in stats.verdicts() {
            *summary.verdicts.entry(contract.to_string()).or_default().entry(verdict).or_default() += count;
        }
        for ((rule, severity), count) in &stats.alerts {
            *summary.alerts.entry(rule).or_default() += count;
            *summary.severities.entry(severity.as_str()).or_default() += count;
        }
        summary
    }

    /// For a person: one paragraph per subject, for a terminal of so many columns.
    pub fn text(&self, columns: Option<usize>) -> String {
        let mut text = String::new();
        let mut line = |line: &str| _ = writeln!(text, "{}", hang("  ", "    ", line, columns));
        for point in &self.points {
            line(&printable(&point_line(point)));
        }
        for (contract, verdicts) in &self.verdicts {
            line(&printable(&format!("contract {contract}: {}", counts(verdicts))));
        }
        for unjudged in self.unjudged.text(MOST_UNJUDGED) {
            line(&printable(&unjudged));
        }
        if !self.exceptions.is_empty() {
            line(&printable(&format!("held back by exceptions: {}", counts(&self.exceptions))));
        }
        if !self.alerts_over_budget.is_empty() {
            line(&format!("above alerts.burst, counted in summarising alerts: {}", counts(&self.alerts_over_budget)));
        }
        for warning in &self.warnings {
            line(&printable(&format!("warning: {warning}")));
        }
        let _ = writeln!(text, "{}", hang("", "  ", &self.closing_line(), columns));
        text
    }

    fn closing_line(&self) -> String {
        let mut verdicts: BTreeMap<&str, u64> = BTreeMap::new();
        for (verdict, count) in self.verdicts.values().flatten() {
            *verdicts.entry(verdict).or_default() += count;
        }
        let alerts: u64 = self.alerts.values().sum();
        let by_rule = if alerts == 0 { String::new() } else { format!(" ({})", counts(&self.alerts)) };
        let hidden = if self.hidden == 0 { String::new() } else { format!(", {} hidden by the filter", self.hidden) };
        format!(
            "{}, {} dropped{hidden}, {}; verdicts: {}; {}{by_rule}",
            many(self.packets, "packet"),
            self.dropped,
            many(self.flows, "flow"),
            counts(&verdicts),
            many(alerts, "alert"),
        )
    }
}

fn point_line(point: &PointSummary) -> String {
    let PointSummary { observation_point, counters } = point;
    let mut line = format!(
        "{observation_point}: {} captured, {} dropped; {} in flows, {} without IP",
        many(counters.packets, "packet"),
        counters.lost(),
        counters.flow_packets,
        counters.non_ip
    );
    if counters.hidden() > 0 {
        let _ = write!(line, ", {} hidden by the filter", counters.hidden());
    }
    if !counters.not_decoded.is_empty() {
        let _ = write!(line, ", not decoded: {}", counts(&counters.not_decoded));
    }
    if counters.evicted_flows > 0 {
        let _ = write!(line, ", {} evicted early", many(counters.evicted_flows, "flow"));
    }
    line
}

/// `verified 3, bypassed 1`, without zeros; `none` when nothing is left.
fn counts<K: std::fmt::Display>(counts: &BTreeMap<K, u64>) -> String {
    let listed: Vec<_> = counts.iter().filter(|(_, n)| **n > 0).map(|(what, n)| format!("{what} {n}")).collect();
    if listed.is_empty() { "none".to_owned() } else { listed.join(", ") }
}
