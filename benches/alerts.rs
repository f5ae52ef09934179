//! What an alert update, an eviction and a wake-up cost with few and with many open alerts: they may grow with the logarithm of their number. Counts
//! instructions, so that the exponent can be held; needs valgrind and `gungraun-runner`, as `instructions` does.
//!
//! Each number is for [`ROUNDS`] findings.
#![allow(clippy::expect_used, reason = "a benchmark that cannot build its findings has nothing to measure")]
#![allow(missing_docs, reason = "the macros make items without a text")]

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use gungraun::{library_benchmark, library_benchmark_group, main};
use hopwatch::alert::{AlertBudget, AlertGrouper, GroupingLimits, SeverityPolicy};
use hopwatch::detect::{Finding, rules};
use hopwatch::input::{NetworkMode, RuntimeId, Workload, WorkloadId, WorkloadState};
use hopwatch::time::Timestamp;

/// Findings of a benchmark.
const ROUNDS: u32 = 500;
/// Alerts of one workload; fewer than the budget.
const CAUSES: u32 = 4;

fn at(seconds: u32, number: u32) -> Timestamp {
    Timestamp::from_secs(1_764_000_000 + i64::from(seconds)).plus(Duration::from_micros(number.into()))
}

fn workload(number: u32) -> Workload {
    Workload {
        id: WorkloadId::new(&format!("{number:064x}")),
        name: format!("app-{number}"),
        image: "image".into(),
        image_digest: String::new(),
        published: Vec::new(),
        labels: std::collections::BTreeMap::new(),
        runtime: RuntimeId::DOCKER,
        network_mode: NetworkMode::Own,
        attachments: Vec::new(),
        pod: None,
        pid: None,
        state: WorkloadState::Running,
        since: None,
        configuration: None,
    }
}

/// The finding of an alert, at a time.
fn finding(number: u32, at: Timestamp) -> Finding {
    let workload = Arc::new(workload(number / CAUSES));
    let rule = rules::ALL.first().copied().expect("a rule");
    Finding::of_workload(rule, at, &workload, &format!("cause {}", number % CAUSES), Vec::new())
}

/// So many open alerts of at most `max_open`, and findings about some of them spread over all; `new`: about others.
fn prepared(open: u32, max_open: u32, new: bool) -> (AlertGrouper, Vec<Finding>) {
    let limits = GroupingLimits {
        update_interval: Duration::from_mins(1),
        close_after: Duration::from_mins(10),
        max_open: max_open.try_into().expect("small"),
        max_destinations: 20,
        budget: AlertBudget { burst: 20, refill: Duration::from_mins(1) },
    };
    let mut grouper = AlertGrouper::new(Vec::new(), SeverityPolicy::default(), limits);
    for number in 0..open {
        grouper.ingest(finding(number, at(0, number)), |_| {});
    }
    let step = (open / ROUNDS).max(1);
    let number = |round: u32| if new { open + round } else { round * step % open };
    let findings = (0..ROUNDS).map(|round| finding(number(round), at(61, round))).collect();
    (grouper, findings)
}

#[library_benchmark]
#[bench::open_500(prepared(500, 100_000, false))]
#[bench::open_2000(prepared(2_000, 100_000, false))]
#[bench::open_16000(prepared(16_000, 100_000, false))]
fn updates((mut grouper, findings): (AlertGrouper, Vec<Finding>)) -> AlertGrouper {
    for (round, finding) in (0..).zip(findings) {
        black_box(grouper.ingest(finding, |_| {}));
        black_box(grouper.due(at(62, round)));
    }
    grouper
}

#[library_benchmark]
#[bench::open_500(prepared(500, 500, true))]
#[bench::open_2000(prepared(2_000, 2_000, true))]
#[bench::open_16000(prepared(16_000, 16_000, true))]
fn evictions((mut grouper, findings): (AlertGrouper, Vec<Finding>)) -> AlertGrouper {
    for finding in findings {
        black_box(grouper.ingest(finding, |_| {}));
    }
    assert_eq!(grouper.closed_early(), u64::from(ROUNDS));
    grouper
}

library_benchmark_group!(name = alerts; benchmarks = updates, evictions);
main!(library_benchmark_groups = alerts);
