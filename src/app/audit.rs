//! `hopwatch audit` of a recording: what was known of every container at its end. Of this host: [`super::on_host`].

use std::collections::BTreeMap;

use super::output::Output;
use super::replay::{self, ReplayOptions};
use crate::clock::now;
use crate::config::Config;
use crate::engine::{Who, WorkloadRow, WorkloadStats, WorkloadStatsLimits};
use crate::input::WorkloadId;
use crate::inventory::Timeline;
use crate::path::{PathState, coverage};
use crate::report::audit::{Audit, AuditInput};
use crate::report::paths::Paths;

/// Of a recording at its end.
pub fn recording(config: &Config, mut options: ReplayOptions, progress: &mut dyn FnMut(u64)) -> anyhow::Result<Audit> {
    options.engine = config.engine.clone();
    options.observer = Some(Box::new(WorkloadStats::new(WorkloadStatsLimits::SHOWN)));
    let mut report = replay::run(options, &Output::none(), progress)?;
    let rows = report.engine.workload_stats();
    let (timeline, path) = (report.engine.timeline(), report.engine.path());
    let covered = coverage(timeline, &config.engine.contracts, path);
    let end = report.span.map(|(_, last)| last);
    let mut warnings = report.summary.warnings;
    warnings.extend(super::paths::host_logs_unseen(&report.engine.stats().host_logging, end));
    let paths = Paths::new(timeline, path, &covered, warnings);
    let own = |row: &WorkloadRow| match &row.who {
        Who::Workload(id) => Some((id.clone(), row.tally.verdicts)),
        _ => None,
    };
    let verdicts: BTreeMap<WorkloadId, [u64; 4]> =
        rows.iter().flat_map(|table| table.rows.iter().filter_map(own)).collect();
    let at = end.unwrap_or_else(now);
    Ok(audit(config, at, true, timeline, path, &paths, Some(&verdicts)))
}

pub(super) fn audit(
    config: &Config,
    at: crate::time::Timestamp,
    is_recording: bool,
    timeline: &Timeline,
    path: &PathState,
    paths: &Paths,
    verdicts: Option<&BTreeMap<WorkloadId, [u64; 4]>>,
) -> Audit {
    let baseline = config.engine.baseline.as_deref();
    Audit::new(&AuditInput { at, is_recording, baseline, timeline, path, paths, verdicts })
}
