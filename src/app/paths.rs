//! `hopwatch paths` of a recording: what proved each contract at its end. Of this host: [`super::on_host`].
//!
//! Contract: what was not recorded is a warning.

use super::output::Output;
use super::replay::{self, ReplayOptions};
use crate::config::Config;
use crate::engine::{HostLoggingStats, LogFileStats};
use crate::path::coverage;
use crate::report::paths::Paths;
use crate::time::Timestamp;

/// How things stood at the end of a recording.
pub fn recording(config: &Config, mut options: ReplayOptions, progress: &mut dyn FnMut(u64)) -> anyhow::Result<Paths> {
    options.engine = config.engine.clone();
    let report = replay::run(options, &Output::none(), progress)?;
    let (timeline, path) = (report.engine.timeline(), report.engine.path());
    let mut warnings = report.summary.warnings;
    let stats = report.engine.stats();
    let (files, firewall) = (stats.log_files, stats.firewall);
    if firewall.listed == 0 {
        warnings.push("nothing was recorded of the host's firewall: host-firewall-changed cannot fire".to_owned());
    }
    warnings.extend(host_logs_unseen(&stats.host_logging, report.span.map(|(_, last)| last)));
    let unread = firewall.unwatched.iter();
    warnings.extend(unread.map(|(part, why)| format!("the host's firewall is not read in part ({part}): {why}")));
    if files.watched + files.unwatched == 0 && timeline.running().next().is_some() {
        warnings.push("nothing was recorded of log files: log-files-tampered cannot fire".to_owned());
    } else {
        warnings.extend(log_files_unwatched(&files));
    }
    Ok(Paths::new(timeline, path, &coverage(timeline, &config.engine.contracts, path), warnings))
}

/// What a recording does not hold of the host's own logs, up to its end.
pub(super) fn host_logs_unseen(stats: &HostLoggingStats, end: Option<Timestamp>) -> Vec<String> {
    let mut warnings = Vec::new();
    if stats.states == 0 {
        warnings.push("nothing was recorded of the host's log daemons: host-audit-tampered cannot fire".to_owned());
    }
    let unread = stats.unwatched.iter();
    warnings.extend(unread.map(|(part, why)| format!("of the host's logs, {part} was not seen: {why}")));
    let gaps = stats.gaps.iter();
    warnings
        .extend(gaps.map(|(log, (count, why))| format!("{} has gaps of {count} entries or more: {why}", log.name())));
    let silent = end.into_iter().flat_map(|end| stats.heard.silent(end));
    warnings.extend(silent.map(|silent| format!("of the host's logs, {silent}")));
    warnings
}

/// What log-files-tampered cannot see.
pub(super) fn log_files_unwatched(files: &LogFileStats) -> Option<String> {
    let why = files.why.as_ref()?;
    Some(format!("log files of containers are not watched at {} places, the last because: {why}", files.unwatched))
}
