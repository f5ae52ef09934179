//! The laboratory's figures as a page: what was found, what was missed, what was raised for nothing, what could not be seen, how soon alerts came.
//!
//! Contract: every scenario of the run is a row, also one that failed; one that never came to its end missed all it expects and says nothing
//! else. Verdicts and attributions are those of the sniffer's own summaries; a flow counts once for each contract that judged it. Limits: a
//! run on a busy machine measures that machine as well. Design: knows no other part of the laboratory, so that `tests/core/scorecard.rs` can check it.

mod benign;
mod figures;
mod page;

use std::collections::BTreeMap;

pub use benign::Benign;
#[allow(unused_imports, reason = "the laboratory has no use for them, the test of the scorecard does")]
pub use figures::{Delays, Goal, Share};
use serde_json::Value;

/// Results of attribution in which one workload is named.
const NAMED: [&str; 2] = ["exact", "likely"];
/// Those in which the source is one of ours, and nobody, or more than one, could be named.
const UNNAMED: [&str; 2] = ["ambiguous", "unknown"];

/// The page.
#[derive(Debug)]
pub struct Scorecard {
    /// How many scenarios there are, run or not.
    pub scenarios: usize,
    /// The benign captures, or why they were not measured.
    pub benign: Result<Benign, String>,
    rows: Vec<Run>,
}

/// A scenario's run.
#[derive(Debug, Default, Clone)]
pub struct Run {
    /// The scenario.
    pub name: String,
    /// Whether all was as it should be.
    pub passed: bool,
    /// Alerts that it expects.
    pub expected: usize,
    /// Expected alerts that did not come.
    pub missed: usize,
    /// Alerts that came and were not expected.
    pub unexpected: usize,
    /// Whether every place is observed that its traffic passes.
    pub whole: bool,
    /// Whether a container shares the host's network.
    pub shares_host: bool,
    /// How many milliseconds an alert may take.
    pub latest_ms: u64,
    /// From packet to alert, in nanoseconds.
    pub delays: Vec<i128>,
    /// What hopwatch summed up; `None` where it never came to that.
    pub summary: Option<Value>,
}

impl Scorecard {
    /// Without a run yet.
    pub fn new(scenarios: usize, benign: Result<Benign, String>) -> Self {
        Self { scenarios, benign, rows: Vec::new() }
    }

    /// Takes in a scenario's run.
    pub fn add(&mut self, mut run: Run) {
        if run.summary.is_none() {
            run.missed = run.expected;
        }
        self.rows.push(run);
    }
}

impl Run {
    /// Whether nothing may be raised: the benign twin.
    const fn is_benign(&self) -> bool {
        self.expected == 0
    }

    /// Whether waiting belongs to the rule.
    const fn waits(&self) -> bool {
        self.latest_ms > page::LATEST_MS
    }

    /// Flows of workloads, and how many of them have a name.
    fn attributed(&self) -> Share {
        let count = |results: &[&str]| -> u64 {
            results.iter().filter_map(|result| self.summary.as_ref()?["attributions"][result].as_u64()).sum()
        };
        let named = count(&NAMED);
        Share { part: named, whole: named + count(&UNNAMED) }
    }

    /// Flows by verdict, over all contracts.
    fn verdicts(&self) -> BTreeMap<String, u64> {
        let mut sums = BTreeMap::new();
        let contracts = self.summary.as_ref().and_then(|summary| summary["verdicts"].as_object());
        contracts.into_iter().flat_map(serde_json::Map::values).for_each(|contract| add(&mut sums, contract));
        sums
    }

    /// Flows judged, and how many of them were unobservable.
    fn unobservable(&self) -> Share {
        let verdicts = self.verdicts();
        Share { part: verdicts.get("unobservable").copied().unwrap_or(0), whole: verdicts.values().sum() }
    }
}

/// Adds counts by name.
fn add(sums: &mut BTreeMap<String, u64>, counts: &Value) {
    for (name, count) in counts.as_object().into_iter().flatten() {
        *sums.entry(name.clone()).or_default() += count.as_u64().unwrap_or(0);
    }
}
