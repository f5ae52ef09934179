//! How many alerts one rule may raise about one sender: a token bucket for each pair.
//!
//! Contract: [`AlertBudget::burst`] at once, then one every [`AlertBudget::refill`] of event time. Limits: [`MAX_BUCKETS`] pairs; at the bound the
//! one that is full again first is forgotten, so its sender gets at most one burst more.
//! Design: what a sender chooses (addresses, names, ports) is part of a cause, never of a bucket's key.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::time::Timestamp;

/// Pairs of rule and sender that are remembered.
const MAX_BUCKETS: usize = 16_384;

/// Alerts that one rule may raise about one sender; further causes are counted in one alert that summarises them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AlertBudget {
    /// At once.
    pub burst: u32,
    /// Until one more may be raised.
    pub refill: Duration,
}

type Key = (&'static str, String);

/// The buckets that are not full.
#[derive(Debug)]
pub(super) struct Budgets {
    budget: AlertBudget,
    /// When a bucket is full again.
    full_at: BTreeMap<Key, Timestamp>,
    by_time: BTreeSet<(Timestamp, Key)>,
}

impl Budgets {
    /// All are full.
    pub(super) const fn new(budget: AlertBudget) -> Self {
        Self { budget, full_at: BTreeMap::new(), by_time: BTreeSet::new() }
    }

    /// A bucket that is full again is as good as one that is not known.
    fn forget_full(&mut self, now: Timestamp) {
        while self.by_time.first().is_some_and(|(full, _)| *full <= now)
            && let Some((_, key)) = self.by_time.pop_first()
        {
            self.full_at.remove(&key);
        }
    }

    /// Takes one token; false where there is none.
    pub(super) fn take(&mut self, rule: &'static str, sender: String, now: Timestamp) -> bool {
        let AlertBudget { burst, refill } = self.budget;
        self.forget_full(now);
        let key = (rule, sender);
        let known = self.full_at.get(&key).copied();
        let next = known.map_or(now, |full| full.max(now)).plus(refill);
        if next.since(now) > refill.saturating_mul(burst.max(1)) {
            return false;
        }
        if let Some(known) = known {
            self.by_time.remove(&(known, key.clone()));
        } else if self.full_at.len() >= MAX_BUCKETS
            && let Some((_, first)) = self.by_time.pop_first()
        {
            self.full_at.remove(&first);
        }
        self.full_at.insert(key.clone(), next);
        self.by_time.insert((next, key));
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BUDGET: AlertBudget = AlertBudget { burst: 50, refill: Duration::from_secs(10) };

    fn at(secs: i64) -> Timestamp {
        Timestamp::from_secs(10_000 + secs)
    }

    #[test]
    fn a_sender_has_a_burst_and_then_one_for_each_interval() {
        let mut budgets = Budgets::new(BUDGET);
        let taken = |budgets: &mut Budgets, sender: &str, secs| {
            (0..1000).filter(|_| budgets.take("rule", sender.to_owned(), at(secs))).count()
        };
        assert_eq!(taken(&mut budgets, "a", 0), 50);
        assert_eq!(taken(&mut budgets, "b", 0), 50, "the other sender has its own");
        assert_eq!((taken(&mut budgets, "a", 9), taken(&mut budgets, "a", 10)), (0, 1));
        assert_eq!(taken(&mut budgets, "a", 10_000), 50, "never more than a burst");
        assert_eq!(taken(&mut budgets, "a", 5000), 0, "time that goes back gives nothing");
        assert!(budgets.take("another rule", "a".to_owned(), at(5000)), "the other rule has its own");
    }

    #[test]
    fn memory_is_bounded() {
        let mut budgets = Budgets::new(BUDGET);
        for number in 0..MAX_BUCKETS + 100 {
            assert!(budgets.take("rule", number.to_string(), at(0)));
        }
        assert_eq!((budgets.full_at.len(), budgets.by_time.len()), (MAX_BUCKETS, MAX_BUCKETS));
    }
}
