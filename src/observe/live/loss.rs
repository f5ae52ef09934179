//! What was lost on the way, and how much of it has been reported.
//!
//! Contract: each loss is reported once; a loss that could not be reported is reported later, with the time since which it began.
//! Limits: four counters. Design: totals and what was reported of them, so that a full queue costs no memory.

use crate::input::{Input, Loss};
use crate::input::{LossReason, ObservationPoint};
use crate::time::Timestamp;

const REASONS: usize = LossReason::ALL.len();

/// Losses of one observation point.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Losses {
    /// In the order of [`LossReason::ALL`].
    each: [Counted; REASONS],
}

#[derive(Clone, Copy, Debug, Default)]
struct Counted {
    total: u64,
    reported: u64,
    /// Since when what is not reported may have happened.
    since: Timestamp,
}

impl Losses {
    /// So many in all so far; what is new happened after `since`.
    pub fn reach(&mut self, reason: LossReason, total: u64, since: Timestamp) {
        if let Some(counted) = self.counted(reason).filter(|counted| total > counted.total) {
            if counted.reported == counted.total {
                counted.since = since;
            }
            counted.total = total;
        }
    }

    /// So many more, that happened after `since`.
    pub fn add(&mut self, reason: LossReason, count: u64, since: Timestamp) {
        let total = self.counted(reason).map_or(0, |counted| counted.total);
        self.reach(reason, total.saturating_add(count), since);
    }

    /// Totals by reason.
    pub fn totals(&self) -> Vec<(LossReason, u64)> {
        LossReason::ALL.into_iter().zip(self.each.iter().map(|counted| counted.total)).collect()
    }

    /// What is not reported yet, as facts.
    pub fn unreported(&self, point: &ObservationPoint, now: Timestamp) -> impl Iterator<Item = Input> {
        LossReason::ALL.into_iter().zip(self.each).filter(|(_, counted)| counted.total > counted.reported).map(
            move |(reason, Counted { total, reported, since })| {
                let loss = Loss { point: Some(point.clone()), reason, count: total - reported, since, source: None };
                Input::new(now, loss)
            },
        )
    }

    /// All of that was delivered.
    pub fn reported(&mut self) {
        for counted in &mut self.each {
            counted.reported = counted.total;
        }
    }

    fn counted(&mut self, reason: LossReason) -> Option<&mut Counted> {
        let place = LossReason::ALL.iter().position(|known| *known == reason)?;
        self.each.get_mut(place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::input::{Fact, RecordedFact};

    fn unreported(losses: &Losses) -> Vec<(LossReason, u64, i64)> {
        let loss = |input: Input| match input.fact {
            Fact::Recorded(RecordedFact::Loss(loss)) => (loss.reason, loss.count, loss.since.as_nanos()),
            other => panic!("{other:?}"),
        };
        losses.unreported(&ObservationPoint::new("br-1"), Timestamp::from_nanos(99)).map(loss).collect()
    }

    #[test]
    fn a_loss_is_told_once_and_what_was_not_told_is_told_with_its_beginning() {
        let at = Timestamp::from_nanos;
        let mut losses = Losses::default();
        losses.reach(LossReason::Kernel, 5, at(10));
        losses.reach(LossReason::Kernel, 5, at(20));
        assert_eq!(unreported(&losses), [(LossReason::Kernel, 5, 10)]);
        losses.reach(LossReason::Kernel, 8, at(30));
        losses.add(LossReason::Queue, 2, at(30));
        assert_eq!(
            unreported(&losses),
            [(LossReason::Kernel, 8, 10), (LossReason::Queue, 2, 30)],
            "the first was never reported"
        );
        losses.reported();
        assert_eq!(unreported(&losses), []);
        losses.add(LossReason::Queue, 1, at(40));
        assert_eq!(unreported(&losses), [(LossReason::Queue, 1, 40)]);
        assert_eq!(losses.totals()[..3], [(LossReason::Kernel, 8), (LossReason::Interface, 0), (LossReason::Queue, 3)]);
    }
}
