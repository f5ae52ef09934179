//! What may be written, and what leaves for it.
//!
//! Contract: pure. A bundle is written while the hour and the total have room; where the total has none, bundles of a lower severity leave first, of one
//! severity the oldest, and none of a higher severity for a lower one. Limits: a bundle's size is known when it is written, so an hour may be
//! exceeded by one bundle.

use std::collections::VecDeque;
use std::time::Duration;

use crate::detect::Severity;
use crate::time::Timestamp;

const HOUR: Duration = Duration::from_hours(1);
/// Hours that are remembered one by one.
const MAX_WRITTEN: usize = 100_000;

/// The bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BudgetLimits {
    /// Bytes of one bundle.
    pub bundle: u64,
    /// Bytes of an hour.
    pub hour: u64,
    /// Bytes of all bundles.
    pub total: u64,
}

/// A bundle on the disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// Id of its alert.
    pub alert: String,
    /// When it was written.
    pub made: Timestamp,
    /// Severity of its alert.
    pub severity: Severity,
    /// Its bytes.
    pub bytes: u64,
}

/// Why an alert has no bundle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum NotKept {
    /// The hour's bytes are spent.
    Hour,
    /// The total is spent on bundles of higher severities.
    Total,
    /// Too many alerts came at once.
    Busy,
    /// It could not be written.
    Disk,
    /// There is one of the same alert.
    Exists,
}

impl NotKept {
    /// All reasons, in order.
    pub const ALL: [Self; 5] = [Self::Hour, Self::Total, Self::Busy, Self::Disk, Self::Exists];

    /// The metric's label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Hour => "hour",
            Self::Total => "total",
            Self::Busy => "busy",
            Self::Disk => "disk",
            Self::Exists => "exists",
        }
    }
}

/// What is on the disk, and what was written within the hour.
#[derive(Debug)]
pub struct Budget {
    limits: BudgetLimits,
    held: Vec<Held>,
    written: VecDeque<(Timestamp, u64)>,
}

impl Budget {
    /// With what is on the disk.
    pub fn new(limits: BudgetLimits, held: Vec<Held>) -> Self {
        let mut written: Vec<_> = held.iter().map(|bundle| (bundle.made, bundle.bytes)).collect();
        written.sort_unstable();
        Self { limits, held, written: written.into() }
    }

    /// Bytes of all bundles.
    pub fn bytes(&self) -> u64 {
        self.held.iter().map(|bundle| bundle.bytes).sum()
    }

    /// How many there are.
    pub const fn bundles(&self) -> usize {
        self.held.len()
    }

    /// Whether the hour has room for another one. A higher severity may take what a lower one may not: the last fifth.
    pub fn admits(&mut self, severity: Severity, now: Timestamp) -> Result<(), NotKept> {
        while self.written.front().is_some_and(|(at, _)| *at < now.minus(HOUR) || self.written.len() > MAX_WRITTEN) {
            self.written.pop_front();
        }
        let spent: u64 = self.written.iter().map(|(_, bytes)| *bytes).sum();
        let limit = if severity >= Severity::High { self.limits.hour } else { self.limits.hour / 5 * 4 };
        if spent < limit { Ok(()) } else { Err(NotKept::Hour) }
    }

    /// The bundles that leave so that one of these bytes has room, in order.
    pub fn make_room(&self, bytes: u64, severity: Severity) -> Result<Vec<Held>, NotKept> {
        let mut over = (self.bytes().saturating_add(bytes)).saturating_sub(self.limits.total);
        let mut may_leave: Vec<_> = self.held.iter().filter(|held| held.severity <= severity).collect();
        may_leave.sort_by_key(|bundle| (bundle.severity, bundle.made));
        let mut leaving = Vec::new();
        for held in may_leave {
            if over == 0 {
                break;
            }
            over = over.saturating_sub(held.bytes);
            leaving.push(held.clone());
        }
        if over == 0 { Ok(leaving) } else { Err(NotKept::Total) }
    }

    /// A bundle was written.
    pub fn wrote(&mut self, bundle: Held) {
        self.written.push_back((bundle.made, bundle.bytes));
        self.held.push(bundle);
    }

    /// A bundle is gone.
    pub fn removed(&mut self, alert: &str) {
        self.held.retain(|held| held.alert != alert);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(alert: &str, second: i64, severity: Severity) -> Held {
        Held { alert: alert.to_owned(), made: Timestamp::from_secs(second), severity, bytes: 10 }
    }

    fn limits() -> BudgetLimits {
        BudgetLimits { bundle: 10, hour: 100, total: 40 }
    }

    #[test]
    fn low_ones_leave_first_then_the_oldest_and_none_for_a_lower_one() {
        let bundles = vec![
            held("old high", 1, Severity::High),
            held("new low", 4, Severity::Low),
            held("old low", 2, Severity::Low),
            held("medium", 3, Severity::Medium),
        ];
        let budget = Budget::new(limits(), bundles);
        let leaving = |bytes, severity| {
            budget.make_room(bytes, severity).map(|all| all.into_iter().map(|held| held.alert).collect::<Vec<_>>())
        };
        assert_eq!(leaving(15, Severity::Low), Ok(vec!["old low".to_owned(), "new low".to_owned()]));
        assert_eq!(leaving(25, Severity::Low), Err(NotKept::Total), "nothing of a higher severity leaves for it");
        let names = ["old low", "new low", "medium", "old high"].map(str::to_owned).to_vec();
        assert_eq!(leaving(40, Severity::Critical), Ok(names));
    }

    #[test]
    fn an_hour_has_its_bytes_and_the_last_fifth_is_for_high_ones() {
        let mut budget = Budget::new(limits(), Vec::new());
        let now = Timestamp::from_secs(100_000);
        for second in 0..8 {
            assert_eq!(budget.admits(Severity::Low, now), Ok(()));
            budget.wrote(held("x", 100_000 + second, Severity::Low));
        }
        assert_eq!(budget.admits(Severity::Low, now), Err(NotKept::Hour));
        assert_eq!(budget.admits(Severity::High, now), Ok(()));
        assert_eq!(budget.admits(Severity::Low, now.plus(HOUR * 2)), Ok(()), "another hour");
    }
}
