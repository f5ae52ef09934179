//! Stretches of time in which something was not seen.
//!
//! Contract: a bounded list, the newest kept; touching stretches of one thing become one. Limits: [`MAX_WINDOWS`]; an older one is
//! forgotten, which is counted, since absence counts in it again.

use std::collections::VecDeque;

use crate::time::Timestamp;

const MAX_WINDOWS: usize = 1024;

#[derive(Debug)]
pub(super) struct Windows<K> {
    all: VecDeque<(K, Timestamp, Timestamp)>,
    forgotten: u64,
}

impl<K> Default for Windows<K> {
    fn default() -> Self {
        Self { all: VecDeque::new(), forgotten: 0 }
    }
}

impl<K: PartialEq> Windows<K> {
    /// Adds a stretch.
    pub(super) fn add(&mut self, what: K, from: Timestamp, until: Timestamp) {
        let place = self.all.iter().rposition(|(known, ..)| *known == what);
        let touches = |(_, start, end): &&mut (K, Timestamp, Timestamp)| *start <= from && from <= *end;
        if let Some(place) = place
            && let Some((_, _, end)) = self.all.get_mut(place).filter(touches)
        {
            *end = (*end).max(until);
            // One that goes on is not the oldest.
            if place == 0
                && let Some(first) = self.all.pop_front()
            {
                self.all.push_back(first);
            }
            return;
        }
        if self.all.len() >= MAX_WINDOWS {
            self.all.pop_front();
            self.forgotten += 1;
        }
        self.all.push_back((what, from, until));
    }

    /// Whether a stretch of something that is meant touches the time between two.
    pub(super) fn overlap(&self, is_meant: impl Fn(&K) -> bool, from: Timestamp, until: Timestamp) -> bool {
        // The newest are the likeliest.
        self.all.iter().rev().any(|(what, start, end)| *start <= until && from <= *end && is_meant(what))
    }

    /// Stretches forgotten because there were too many.
    pub(super) const fn forgotten(&self) -> u64 {
        self.forgotten
    }

    /// All of them, oldest first.
    pub(super) fn iter(&self) -> impl Iterator<Item = &(K, Timestamp, Timestamp)> {
        self.all.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stretches_of_many_things_in_turn_stay_one_each_and_cost_others_nothing() {
        let mut windows = Windows::default();
        windows.add(1000, Timestamp::from_secs(0), Timestamp::from_secs(1));
        for second in 0..200 {
            for thing in 0..40 {
                windows.add(thing, Timestamp::from_secs(second), Timestamp::from_secs(second + 1));
            }
        }
        assert_eq!((windows.iter().count(), windows.forgotten()), (41, 0));
        let is_covered =
            |thing| windows.overlap(|known| *known == thing, Timestamp::from_secs(3), Timestamp::from_secs(4));
        assert!((0..40).all(is_covered) && !is_covered(1000));
    }

    #[test]
    fn a_window_beyond_the_bound_is_forgotten_and_counted() {
        let mut windows = Windows::default();
        for number in 0..=i64::try_from(MAX_WINDOWS).expect("small") {
            windows.add(number, Timestamp::from_secs(number), Timestamp::from_secs(number));
        }
        assert_eq!((windows.iter().count(), windows.forgotten()), (MAX_WINDOWS, 1));
        assert!(!windows.overlap(|_| true, Timestamp::from_secs(0), Timestamp::from_secs(0)));
    }
}
