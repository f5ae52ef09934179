//! The laboratory's figures as a page: what was found, what was missed, whose traffic was attributed, how soon alerts came.
//!
//! Contract: every scenario of the run is a row, also one that failed; ratios count flows of the sniffer's own summaries. Limits: a run on
//! a busy machine tells of that machine as well. Design: Markdown, made in one go when the run is over.

use std::collections::BTreeMap;
use std::fmt;

use crate::run::Outcome;
use crate::scenario::Scenario;

/// Results of attribution in which one workload is named.
const NAMED: [&str; 2] = ["exact", "likely"];
/// Those in which the source is one of ours, and nobody, or more than one, could be named.
const UNNAMED: [&str; 2] = ["ambiguous", "unknown"];

/// Rows and sums.
#[derive(Debug, Default)]
pub struct Scorecard {
    rows: Vec<Row>,
    attributions: BTreeMap<String, u64>,
    verdicts: BTreeMap<String, u64>,
    reasons: BTreeMap<String, u64>,
    delays: Vec<i128>,
}

#[derive(Debug)]
struct Row {
    name: String,
    passed: bool,
    expected: usize,
    missed: usize,
    unexpected: usize,
    named: u64,
    unnamed: u64,
    shares_host: bool,
    slowest: Option<i128>,
}

impl Scorecard {
    /// Takes in a scenario's outcome.
    pub fn add(&mut self, scenario: &Scenario, outcome: &Outcome) {
        let count = |results: &[&str]| -> u64 {
            let summary = outcome.summary.as_ref();
            results.iter().filter_map(|result| summary?["attributions"][result].as_u64()).sum()
        };
        self.rows.push(Row {
            name: scenario.name.clone(),
            passed: outcome.wrong.is_empty(),
            expected: outcome.expected,
            missed: outcome.missed,
            unexpected: outcome.unexpected,
            named: count(&NAMED),
            unnamed: count(&UNNAMED),
            shares_host: scenario.shares_host(),
            slowest: outcome.alerts.iter().map(|(_, delay)| *delay).max(),
        });
        self.delays.extend(outcome.alerts.iter().map(|(_, delay)| *delay));
        let Some(summary) = &outcome.summary else { return };
        add(&mut self.attributions, &summary["attributions"]);
        add(&mut self.reasons, &summary["unobservable"]);
        for contract in summary["verdicts"].as_object().into_iter().flat_map(serde_json::Map::values) {
            add(&mut self.verdicts, contract);
        }
    }

    fn delay(&self, percent: usize) -> i128 {
        let mut delays = self.delays.clone();
        delays.sort_unstable();
        delays.get(delays.len().saturating_sub(1) * percent / 100).map_or(0, |delay| delay / 1_000_000)
    }
}

fn add(sums: &mut BTreeMap<String, u64>, counts: &serde_json::Value) {
    for (name, count) in counts.as_object().into_iter().flatten() {
        *sums.entry(name.clone()).or_default() += count.as_u64().unwrap_or(0);
    }
}

fn ratio(part: u64, rest: u64) -> String {
    let whole = part + rest;
    if whole == 0 {
        return "–".to_owned();
    }
    // Two decimals, rounded down: a ratio just below its goal must not look like it.
    let hundredths = part * 10_000 / whole;
    format!("{}.{:02} %", hundredths / 100, hundredths % 100)
}

fn list(counts: &BTreeMap<String, u64>) -> String {
    let all: Vec<_> =
        counts.iter().filter(|(_, count)| **count > 0).map(|(name, count)| format!("{name} {count}")).collect();
    if all.is_empty() { "none".to_owned() } else { all.join(", ") }
}

impl fmt::Display for Scorecard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sum = |value: fn(&Row) -> usize| self.rows.iter().map(value).sum::<usize>();
        let attributed = |shares_host| {
            let rows = || self.rows.iter().filter(move |row| row.shares_host == shares_host);
            ratio(rows().map(|row| row.named).sum(), rows().map(|row| row.unnamed).sum())
        };
        writeln!(
            f,
            "# Scorecard\n\nMade by `make scorecard`: every scenario of the laboratory (`tests/lab/scenarios`), live with real containers. A flow counts\n\
             as attributed when one workload is named as its source; flows from outside and the host's own count neither way.\n"
        )?;
        writeln!(f, "| figure | value |\n|---|---|")?;
        writeln!(
            f,
            "| scenarios passed | {} of {} |",
            self.rows.iter().filter(|row| row.passed).count(),
            self.rows.len()
        )?;
        writeln!(
            f,
            "| expected alerts raised | {} of {} |",
            sum(|r| r.expected) - sum(|r| r.missed),
            sum(|r| r.expected)
        )?;
        writeln!(f, "| alerts that were not expected, benign twins included | {} |", sum(|r| r.unexpected))?;
        writeln!(f, "| flows of workloads attributed | {} |", attributed(false))?;
        writeln!(
            f,
            "| where a container shares the host's network: flows of the host's addresses attributed to one workload, the host's own short \
             connections among the others | {} |",
            attributed(true)
        )?;
        writeln!(f, "| sources of flows | {} |", list(&self.attributions))?;
        writeln!(f, "| verdicts | {} |", list(&self.verdicts))?;
        writeln!(f, "| unobservable, by reason | {} |", list(&self.reasons))?;
        let (median, late) = (self.delay(50), self.delay(99));
        writeln!(f, "| from first packet or fact to alert | median {median} ms, 99th percentile {late} ms |\n")?;
        writeln!(
            f,
            "| scenario | passed | alerts raised | unexpected | attributed | slowest alert |\n|---|---|---|---|---|---|"
        )?;
        for row in &self.rows {
            let slowest = row.slowest.map_or("–".to_owned(), |delay| format!("{} ms", delay / 1_000_000));
            writeln!(
                f,
                "| {} | {} | {}/{} | {} | {} of {} | {slowest} |",
                row.name,
                if row.passed { "yes" } else { "no" },
                row.expected - row.missed,
                row.expected,
                row.unexpected,
                row.named,
                row.named + row.unnamed,
            )?;
        }
        Ok(())
    }
}
