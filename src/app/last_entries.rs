//! When each log of this host was written last, for commands that look once.
//!
//! Contract: a log that was not written for [`LONG`] while its daemon runs is worth a warning, and never an alert: a host may have nothing to write
//! (ADR 28). Limits: syslog's files count together, since which of them is written is the daemon's configuration.

use std::time::Duration;

use super::live::{LastEntry, last_entries};
use crate::host::logging::Daemons;
use crate::time::{Timestamp, readable};

/// Most hosts write something once a day: timers, logins, rotation itself.
const LONG: Duration = Duration::from_hours(24);

/// All of them, in words.
pub(super) fn told(at: Timestamp) -> Option<String> {
    let each = |log: &LastEntry| format!("{} at {} ({} ago)", log.name, log.at.readable(), readable(at.since(log.at)));
    let all: Vec<_> = last_entries().iter().map(each).collect();
    (!all.is_empty()).then(|| format!("last entry of {}", all.join("; of ")))
}

/// Those that were not written for long.
pub(super) fn silent(at: Timestamp) -> Vec<String> {
    let mut daemons = Daemons::default();
    daemons.scan();
    let running = daemons.names();
    last_entries().iter().filter_map(|log| silence(log, at, |daemon| running.contains(daemon))).collect()
}

fn silence(log: &LastEntry, at: Timestamp, runs: impl Fn(&str) -> bool) -> Option<String> {
    let daemon = log.daemons.iter().find(|daemon| runs(daemon))?;
    let silence = at.since(log.at);
    (silence >= LONG).then(|| {
        format!(
            "of the host's logs, {} had its last entry at {}, {} ago, although {daemon} runs: it may have nothing to write",
            log.name,
            log.at.readable(),
            readable(silence)
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_is_silent_only_where_its_daemon_runs_and_writes_nothing_for_a_day() {
        let at = Timestamp::from_secs(1_795_000_000);
        let log = |hours: u64| LastEntry {
            name: "the journal",
            daemons: &["journald"],
            at: at.minus(Duration::from_hours(hours)),
        };
        assert_eq!(silence(&log(23), at, |_| true), None);
        assert_eq!(silence(&log(30), at, |_| false), None, "no daemon, and that is told elsewhere");
        let told = silence(&log(30), at, |daemon| daemon == "journald").expect("silent");
        assert!(told.contains("1 d 6 h ago, although journald runs"), "{told}");
    }
}
