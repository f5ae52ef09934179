//! How often the configuration may be read again because a request asks for it.
//!
//! Contract: at most [`PER_MINUTE`] reloads in a minute of the wall clock; what is beyond is refused at once. Any user of this host may ask for one, and
//! each is a fact that a recording keeps with its configuration; signals, which only root and the own user can send, have no share. A clock that steps
//! begins a new minute.

use std::time::Duration;

use crate::time::Timestamp;

/// Reloads that a minute has room for.
pub(super) const PER_MINUTE: u32 = 60;
const MINUTE: Duration = Duration::from_mins(1);

/// The minute that runs, and what it has left.
#[derive(Debug, Default)]
pub(super) struct ReloadTurns {
    began: Option<Timestamp>,
    taken: u32,
}

impl ReloadTurns {
    /// Whether there is a turn for a reload now.
    pub(super) fn take(&mut self, now: Timestamp) -> bool {
        let runs = self.began.is_some_and(|began| began <= now && now < began.plus(MINUTE));
        if !runs {
            (self.began, self.taken) = (Some(now), 0);
        }
        self.taken = self.taken.saturating_add(1);
        self.taken <= PER_MINUTE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_secs(seconds)
    }

    #[test]
    fn a_minute_has_its_share_and_the_next_one_too() {
        let mut turns = ReloadTurns::default();
        assert!((0..PER_MINUTE).all(|_| turns.take(at(1_000))));
        assert!(!turns.take(at(1_000)));
        assert!(!turns.take(at(1_059)));
        assert!(turns.take(at(1_060)));
        assert!(turns.take(at(10)), "a clock that went back does not lock anybody out");
    }
}
