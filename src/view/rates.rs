//! How fast counters grow: differences over the last seconds.
//!
//! Contract: a rate is over [`WINDOW`], or over what there was of it; a row that was not there at its beginning began at zero.
//! Limits: [`SAMPLES`] samples, one a second. Design: flows are reported now and then, so a shorter window would show jumps.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::TopSnapshot;
use crate::engine::{Tally, Who};
use crate::time::Timestamp;

const WINDOW: Duration = Duration::from_secs(5);
const STEP: Duration = Duration::from_secs(1);
const SAMPLES: usize = 6;

/// What is measured of a row.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Rate {
    pub(super) flows: f64,
    pub(super) bytes_in: f64,
    pub(super) bytes_out: f64,
}

impl Rate {
    pub(super) fn bytes(self) -> f64 {
        self.bytes_in + self.bytes_out
    }
}

#[derive(Debug)]
struct Sample {
    at: Timestamp,
    packets: u64,
    bytes: u64,
    rows: BTreeMap<Who, (u64, u64, u64)>,
}

/// The samples of the last seconds.
#[derive(Debug, Default)]
pub(super) struct Rates {
    samples: VecDeque<Sample>,
}

impl Rates {
    /// Notes a snapshot, unless the last one is too fresh.
    pub(super) fn record(&mut self, snapshot: &TopSnapshot) {
        if self.samples.back().is_some_and(|last| snapshot.at >= last.at && snapshot.at.since(last.at) < STEP) {
            return;
        }
        let row = |tally: &Tally| (tally.flows, tally.bytes_in, tally.bytes_out);
        let rows = snapshot.workloads.rows.iter().map(|shown| (shown.who.clone(), row(&shown.tally))).collect();
        self.samples.push_back(Sample { at: snapshot.at, packets: snapshot.packets, bytes: snapshot.bytes, rows });
        while self.samples.len() > SAMPLES {
            self.samples.pop_front();
        }
    }

    /// The sample to compare with, and how long ago that was.
    fn since(&self, snapshot: &TopSnapshot) -> Option<(&Sample, f64)> {
        let begin = snapshot.at.minus(WINDOW);
        let sample = self.samples.iter().find(|sample| sample.at >= begin && sample.at < snapshot.at)?;
        Some((sample, snapshot.at.since(sample.at).as_secs_f64()))
    }

    /// Packets and bytes per second, over all points.
    pub(super) fn of_host(&self, snapshot: &TopSnapshot) -> (f64, f64) {
        let Some((sample, seconds)) = self.since(snapshot) else { return (0.0, 0.0) };
        (per(sample.packets, snapshot.packets, seconds), per(sample.bytes, snapshot.bytes, seconds))
    }

    /// Of a row.
    pub(super) fn of(&self, snapshot: &TopSnapshot, who: &Who, tally: &Tally) -> Rate {
        let Some((sample, seconds)) = self.since(snapshot) else { return Rate::default() };
        let (flows, bytes_in, bytes_out) = sample.rows.get(who).copied().unwrap_or_default();
        Rate {
            flows: per(flows, tally.flows, seconds),
            bytes_in: per(bytes_in, tally.bytes_in, seconds),
            bytes_out: per(bytes_out, tally.bytes_out, seconds),
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
fn per(before: u64, now: u64, seconds: f64) -> f64 {
    now.saturating_sub(before) as f64 / seconds.max(0.001)
}
