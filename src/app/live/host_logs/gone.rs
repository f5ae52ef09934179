//! When a log that is followed was removed.
//!
//! Contract: a file that has lost its name for [`REMOVED`] is news once, until the name is there again. Limits: a file that takes its place within that
//! time is rotation. Design: who writes the file, and who follows it, keep what has no name; only the name says that nobody else can read it.

use std::time::{Duration, Instant};

use crate::clock::instant;
use crate::host::log_entries::Tail;

/// Rotation gives a name back at once; a file without one so long was removed.
const REMOVED: Duration = Duration::from_secs(10);

/// Since when the file has no name, and whether that was told.
#[derive(Default)]
pub(super) struct Gone(Option<(Instant, bool)>);

impl Gone {
    /// What there is to say then.
    pub(super) const WHY: &str = "it was removed, and no other file has taken its place";

    /// Whether it is to be told now that it was removed.
    pub(super) fn is_news(&mut self, tail: &Tail) -> bool {
        if !tail.is_gone() {
            self.0 = None;
            return false;
        }
        let (since, is_told) = self.0.get_or_insert_with(|| (instant(), false));
        since.elapsed() >= REMOVED && !std::mem::replace(is_told, true)
    }

    /// As if it had had no name for long.
    #[cfg(test)]
    pub(super) fn grow_old(&mut self) {
        self.0 = instant().checked_sub(REMOVED).map(|since| (since, false));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_is_gone_is_news_once_after_a_while_and_again_after_it_was_back() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("audit.log");
        let (mut tail, mut gone) = (Tail::new(&path), Gone::default());
        assert!(!gone.is_news(&tail), "it was never there");
        for _ in 0..2 {
            std::fs::write(&path, "").expect("written");
            tail.read(|_| {}).expect("read");
            assert!(!gone.is_news(&tail));
            std::fs::remove_file(&path).expect("removed");
            assert!(!gone.is_news(&tail), "rotation gives the name back");
            gone.grow_old();
            assert_eq!([gone.is_news(&tail), gone.is_news(&tail)], [true, false]);
        }
    }
}
