//! When each of the host's logs had its last entry, and how long it was ever silent before.
//!
//! Contract: says of a log that it is silent for longer than it ever was; that is no alert, since nothing proves that there was something to write (ADR 28).
//! Limits: [`MAX_LOGS`]; facts come once a minute at most, so the longest gap is up to a minute too long, and shorter ones are not known.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::time::{Timestamp, readable};

/// Logs that are remembered.
pub const MAX_LOGS: usize = 16;
/// Facts that a log needs before its longest gap means something.
const OFTEN: u64 = 20;
/// A shorter silence is none.
const LEAST: Duration = Duration::from_hours(1);
/// So many times the longest gap before is worth a word.
const TIMES: u32 = 3;

/// One log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeardLog {
    /// When its last entry was read, or its file written last.
    pub last: Timestamp,
    /// The longest time between two entries, rounded up.
    pub longest: Duration,
    /// How often it was heard.
    pub times: u64,
}

/// All of them, by their names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeardLogs(BTreeMap<String, HeardLog>);

impl HeardLogs {
    /// A log had so many entries, the last of them then; none: its file was written last then.
    pub(super) fn hear(&mut self, part: &str, at: Timestamp, entries: u64) {
        if let Some(log) = self.0.get_mut(part) {
            log.longest = log.longest.max(at.since(log.last));
            log.last = log.last.max(at);
            log.times += u64::from(entries > 0);
        } else if self.0.len() < MAX_LOGS {
            let log = HeardLog { last: at, longest: Duration::ZERO, times: u64::from(entries > 0) };
            self.0.insert(part.to_owned(), log);
        }
    }

    /// Each log by its name.
    pub fn all(&self) -> impl Iterator<Item = (&str, HeardLog)> {
        self.0.iter().map(|(part, log)| (part.as_str(), *log))
    }

    /// What there is to say of logs that are silent at this time for longer than they ever were.
    pub fn silent(&self, at: Timestamp) -> impl Iterator<Item = String> {
        self.0.iter().filter_map(move |(part, log)| {
            let silence = at.since(log.last);
            let is_long = silence >= LEAST && silence > log.longest.saturating_mul(TIMES) && log.times >= OFTEN;
            let (last, silence, longest) = (log.last.readable(), readable(silence), readable(log.longest));
            is_long.then(|| {
                format!(
                    "{part} had its last entry at {last}: silent for {silence}, and never longer than {longest} before"
                )
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minutes: u64) -> Timestamp {
        Timestamp::from_secs(1_795_000_000).plus(Duration::from_mins(minutes))
    }

    fn heard(every: u64, times: u64) -> HeardLogs {
        let mut logs = HeardLogs::default();
        for time in 0..times {
            logs.hear("journal", at(time * every), 5);
        }
        logs
    }

    #[test]
    fn silence_is_told_when_it_is_longer_than_it_ever_was() {
        let logs = heard(5, 30);
        let silent = |minutes: u64| logs.silent(at(29 * 5 + minutes)).collect::<Vec<_>>();
        assert_eq!(silent(59), [""; 0]);
        let told = silent(60);
        assert!(told[0].starts_with("journal had its last entry at ") && told[0].contains("5 min"), "{told:?}");
    }

    #[test]
    fn a_host_that_writes_little_is_not_silent() {
        assert_eq!(heard(60, 30).silent(at(29 * 60 + 170)).count(), 0, "once an hour, and two of them are missing");
        assert_eq!(heard(1, 19).silent(at(10_000)).count(), 0, "heard too seldom to know");
        let mut started = heard(5, 30);
        started.hear("journal", at(29 * 5 + 3000), 1);
        assert_eq!(started.silent(at(29 * 5 + 3000 + 8000)).count(), 0, "it was silent for two days once");
    }

    #[test]
    fn names_of_logs_are_bounded_and_a_clock_that_goes_back_is_no_silence() {
        let mut logs = HeardLogs::default();
        for number in 0..100 {
            logs.hear(&format!("/var/log/{number}"), at(9), 1);
        }
        assert_eq!(logs.all().count(), MAX_LOGS);
        logs.hear("/var/log/0", at(1), 1);
        assert_eq!(logs.all().find(|(part, _)| *part == "/var/log/0").map(|(_, log)| log.last), Some(at(9)));
        assert_eq!(logs.silent(at(0)).count(), 0);
    }
}
