//! A histogram of delays with fixed buckets.
//!
//! Contract: cumulative like Prometheus' own: bucket N counts delays of at most [`LatencyHistogram::BOUNDS`]`[N]`.

use std::time::Duration;

/// How often a delay was at most so long.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LatencyHistogram {
    /// By bound, cumulative.
    pub buckets: [u64; Self::BOUNDS.len()],
    /// All of them.
    pub count: u64,
    /// Their sum.
    pub sum: Duration,
}

impl LatencyHistogram {
    /// Upper bounds in milliseconds.
    pub const BOUNDS: [u32; 8] = [1, 50, 100, 200, 400, 600, 1000, 5000];

    /// Counts one.
    pub(super) fn add(&mut self, delay: Duration) {
        for (bucket, bound) in self.buckets.iter_mut().zip(Self::BOUNDS) {
            *bucket += u64::from(delay <= Duration::from_millis(u64::from(bound)));
        }
        self.count += 1;
        self.sum = self.sum.saturating_add(delay);
    }
}
