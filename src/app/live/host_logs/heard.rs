//! When a log that is followed had entries.
//!
//! Contract: says at the start when its file was written last, and then at most once each [`PERIOD`] that there were entries; a log without any says nothing,
//! so its silence is what follows the last such fact. Limits: an entry that is about nothing that matters here counts all the same.

use std::path::Path;
use std::time::{Duration, Instant};

use crate::clock::{instant, now};
use crate::input::{HostLog, HostLoggingFact};
use crate::time::Timestamp;

/// Between two facts about one log.
const PERIOD: Duration = Duration::from_mins(1);

/// What was heard of one log.
pub(super) struct Heard {
    log: HostLog,
    part: String,
    /// Since the last fact, and when the last of them was read.
    entries: u64,
    last: Timestamp,
    due: Instant,
    has_begun: bool,
}

impl Heard {
    pub(super) fn new(log: HostLog, part: &str) -> Self {
        Self { log, part: part.to_owned(), entries: 0, last: Timestamp::MIN, due: instant(), has_begun: false }
    }

    /// Its file is read from now on.
    pub(super) fn begin(&mut self, path: &Path) -> Option<HostLoggingFact> {
        if std::mem::replace(&mut self.has_begun, true) {
            return None;
        }
        let at = written(path)?;
        Some(HostLoggingFact::Heard { log: self.log, part: self.part.clone(), at, entries: 0 })
    }

    /// So many entries were read just now.
    pub(super) fn entries(&mut self, count: u64) {
        if count > 0 {
            self.entries = self.entries.saturating_add(count);
            self.last = now();
        }
    }

    /// What there is to say.
    pub(super) fn take(&mut self) -> Option<HostLoggingFact> {
        if self.entries == 0 || instant() < self.due {
            return None;
        }
        self.due = instant() + PERIOD;
        let entries = std::mem::take(&mut self.entries);
        Some(HostLoggingFact::Heard { log: self.log, part: self.part.clone(), at: self.last, entries })
    }
}

/// When a file was written last.
pub(super) fn written(path: &Path) -> Option<Timestamp> {
    let modified = path.metadata().ok()?.modified().ok()?;
    let since = modified.duration_since(std::time::UNIX_EPOCH).ok()?;
    Some(Timestamp::from_secs(0).plus(since))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_entries_are_told_at_once_further_ones_together_and_silence_is_nothing() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("auth.log");
        let mut heard = Heard::new(HostLog::Syslog, "auth.log");
        std::fs::write(&path, "old\n").expect("written");
        let first = heard.begin(&path);
        assert!(matches!(first, Some(HostLoggingFact::Heard { entries: 0, at, .. }) if at <= now()), "{first:?}");
        assert_eq!((heard.begin(&path), heard.take()), (None, None));
        heard.entries(2);
        assert!(matches!(heard.take(), Some(HostLoggingFact::Heard { entries: 2, .. })));
        heard.entries(3);
        heard.entries(4);
        assert_eq!(heard.take(), None, "not yet");
        heard.due = instant();
        assert!(matches!(heard.take(), Some(HostLoggingFact::Heard { entries: 7, .. })));
        heard.due = instant();
        assert_eq!(heard.take(), None, "nothing was heard");
    }
}
