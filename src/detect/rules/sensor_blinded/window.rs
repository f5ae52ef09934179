//! A sum over the last seconds.
//!
//! Contract: never forgets something younger than the window; may remember a [`PARTS`]th of it longer. Limits: [`PARTS`] + 1 entries.

use std::collections::VecDeque;
use std::time::Duration;

use crate::time::Timestamp;

const PARTS: u32 = 16;

/// Counts with the time of the first of them.
#[derive(Debug, Default)]
pub(super) struct LossWindow(VecDeque<(Timestamp, Timestamp, u64)>);

impl LossWindow {
    pub(super) fn add(&mut self, now: Timestamp, count: u64, length: Duration) {
        while self.0.front().is_some_and(|(_, last, _)| now.since(*last) > length) {
            self.0.pop_front();
        }
        match self.0.back_mut() {
            Some((first, last, sum)) if now.since(*first) < length / PARTS => {
                (*last, *sum) = (now, sum.saturating_add(count));
            }
            _ => self.0.push_back((now, now, count)),
        }
    }

    pub(super) fn sum(&self) -> u64 {
        self.0.iter().fold(0, |sum, (_, _, count)| sum.saturating_add(*count))
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LENGTH: Duration = Duration::from_secs(16);

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_secs(100).plus(Duration::from_millis(millis))
    }

    #[test]
    fn what_is_older_than_the_window_is_forgotten() {
        let mut window = LossWindow::default();
        window.add(at(0), 5, LENGTH);
        window.add(at(10_000), 7, LENGTH);
        assert_eq!(window.sum(), 12);
        window.add(at(16_001), 1, LENGTH);
        assert_eq!(window.sum(), 8);
        window.add(at(33_000), 2, LENGTH);
        assert_eq!(window.sum(), 2);
    }

    #[test]
    fn a_storm_takes_no_more_room() {
        let mut window = LossWindow::default();
        for millis in 0..100_000 {
            window.add(at(millis), 1, LENGTH);
        }
        assert!(window.0.len() <= 18, "{}", window.0.len());
        assert!((16_000..=17_001).contains(&window.sum()), "{}", window.sum());
    }
}
