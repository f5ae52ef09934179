//! Losses by place, those above their budget, and their end.
//!
//! Contract: a place is where something was lost, whose it was where only one source lost something, and why. Limits: [`MAX_POINTS`] places; where
//! all of them lost something within the window, a new one is not followed, which is counted. Design: places in order of their last loss, so that a
//! storm of places costs each loss one look at the oldest.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::window::LossWindow;
use super::{MAX_POINTS, finding, over};
use crate::detect::{Finding, Findings, Severity};
use crate::input::{Loss, LossReason, Mac, ObservationPoint};
use crate::time::{Timestamp, readable};

/// Where, whose where only one source lost something, and why.
type Place = (Option<ObservationPoint>, Option<Mac>, LossReason);

/// What was lost at a place.
#[derive(Debug)]
struct Lost {
    window: LossWindow,
    last: Timestamp,
    /// Whether it was reported, and its end was not.
    is_reported: bool,
}

#[derive(Debug)]
pub(super) struct Losses {
    budget: u64,
    window: Duration,
    places: BTreeMap<Place, Lost>,
    by_last: BTreeSet<(Timestamp, Place)>,
    /// Places that found no room.
    pub(super) forgotten: u64,
    /// Places that were looked at because of others.
    #[cfg(test)]
    looked_at: u64,
}

impl Losses {
    pub(super) const fn new(budget: u64, window: Duration) -> Self {
        Self {
            budget,
            window,
            places: BTreeMap::new(),
            by_last: BTreeSet::new(),
            forgotten: 0,
            #[cfg(test)]
            looked_at: 0,
        }
    }

    /// Something was lost.
    pub(super) fn add(&mut self, now: Timestamp, loss: &Loss, findings: &mut Findings) {
        // Who starts hopwatch with a filter is told so all the time, and nobody else can set one.
        if loss.reason == LossReason::Filter {
            return;
        }
        let place = (loss.point.clone(), loss.source, loss.reason);
        let known = self.places.get(&place).map(|lost| lost.last);
        if let Some(last) = known {
            self.by_last.remove(&(last, place.clone()));
        } else if self.places.len() >= MAX_POINTS && !self.end_oldest(now, findings) {
            self.forgotten += 1;
            return;
        }
        self.by_last.insert((now, place.clone()));
        let new = || Lost { window: LossWindow::default(), last: now, is_reported: false };
        let entry = self.places.entry(place).or_insert_with(new);
        entry.last = now;
        // A loss whose size is not known is one at least.
        entry.window.add(now, loss.count.max(1), self.window);
        let is_behind = matches!(loss.reason, LossReason::Queue | LossReason::Shed);
        let budget = if is_behind { 0 } else { self.budget };
        let total = entry.window.sum();
        if total <= budget {
            return;
        }
        entry.window.clear();
        entry.is_reported = true;
        findings.push(above_budget(loss, total, self.window));
        findings.schedule(now.plus(self.window));
    }

    /// Places that have lost nothing for a whole window.
    pub(super) fn over(&mut self, now: Timestamp, findings: &mut Findings) {
        while self.end_oldest(now, findings) {}
        if let Some((oldest, _)) = self.by_last.first() {
            findings.schedule(oldest.plus(self.window));
        }
    }

    /// Forgets the place that lost something longest ago, if that is a whole window ago.
    fn end_oldest(&mut self, now: Timestamp, findings: &mut Findings) -> bool {
        #[cfg(test)]
        {
            self.looked_at += 1;
        }
        if self.by_last.first().is_none_or(|(last, _)| now.since(*last) < self.window) {
            return false;
        }
        let Some((_, place)) = self.by_last.pop_first() else { return false };
        if self.places.remove(&place).is_some_and(|lost| lost.is_reported) {
            let (point, source, reason) = &place;
            let whose = whose(point.as_ref(), *source);
            let text = format!("nothing was lost at {whose} for {}", readable(self.window));
            findings.push(over(now, text, &format!("loss {whose} {}", reason.as_str())));
        }
        true
    }
}

fn above_budget(loss: &Loss, total: u64, window: Duration) -> Finding {
    let whose = whose(loss.point.as_ref(), loss.source);
    let what = match loss.reason {
        LossReason::Kernel => "packets found the capture ring full",
        LossReason::Interface => "packets were dropped before the capture ring",
        LossReason::Queue => "events found the queue to the engine full",
        LossReason::FlowTable => "flows were evicted from a full flow table",
        LossReason::Shed => "events of a source that opened more flows than its share were left out",
        LossReason::Filter => "packets were hidden by a filter",
    };
    let text = format!("{total} {what} at {whose} within {}", readable(window));
    let cause = format!("loss {whose} {}", loss.reason.as_str());
    let found = finding(loss.since, Severity::Medium, "loss", text, &cause);
    Finding { point: loss.point.clone(), ..found }
}

/// Where something was lost, and whose it was where only one source lost something.
fn whose(point: Option<&ObservationPoint>, source: Option<Mac>) -> String {
    let point = point.map_or_else(|| "every point".to_owned(), ToString::to_string);
    source.map_or_else(|| point.clone(), |mac| format!("{point} from {mac}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Duration = Duration::from_secs(10);

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_secs(1000 + seconds)
    }

    fn lost(number: usize) -> Loss {
        let point = Some(ObservationPoint::new(&format!("veth{number}")));
        Loss { point, reason: LossReason::Queue, count: 1, since: at(0), source: None }
    }

    #[test]
    fn a_storm_of_places_costs_each_loss_one_look_and_is_counted() {
        let mut losses = Losses::new(1000, WINDOW);
        let mut findings = Findings::default();
        let all = MAX_POINTS + 10_000;
        for number in 0..all {
            losses.add(at(0), &lost(number), &mut findings);
        }
        assert_eq!((losses.places.len(), losses.forgotten), (MAX_POINTS, 10_000));
        for _ in 0..100 {
            losses.over(at(5), &mut findings);
        }
        let all = u64::try_from(all).expect("few");
        assert!(losses.looked_at <= all, "{}", losses.looked_at);
        losses.over(at(10), &mut findings);
        assert!(losses.looked_at <= 2 * all && losses.places.is_empty() && losses.by_last.is_empty());
    }

    #[test]
    fn a_new_place_takes_that_of_one_whose_losses_are_over() {
        let mut losses = Losses::new(1000, WINDOW);
        let mut findings = Findings::default();
        for number in 0..MAX_POINTS {
            losses.add(at(0), &lost(number), &mut findings);
        }
        losses.add(at(1), &lost(0), &mut findings);
        losses.add(at(10), &lost(MAX_POINTS), &mut findings);
        assert_eq!((losses.places.len(), losses.forgotten), (MAX_POINTS, 0));
        losses.over(at(10), &mut findings);
        assert_eq!(losses.places.len(), 2, "the one that lost again, and the new one");
    }
}
