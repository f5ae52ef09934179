//! What the rows of the table of metrics make their series of.

use std::collections::BTreeMap;

use super::{Number, Sample};
use crate::flow::PointCounters;
use crate::serve::{SinkSnapshot, Snapshot};
use crate::time::Timestamp;

/// Sinks that are always shown.
pub(super) const SINKS: [&str; 1] = ["stdout"];

pub(super) fn sample<const N: usize>(labels: [(&'static str, &str); N], value: u64) -> Sample {
    let value = Number::Whole(value);
    Sample { labels: labels.map(|(name, value)| (name, value.to_owned())).into(), value }
}

pub(super) fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

pub(super) const fn plain(value: u64) -> Sample {
    Sample { labels: Vec::new(), value: Number::Whole(value) }
}

/// A number that may not be known.
pub(super) fn known(value: Option<u64>) -> Vec<Sample> {
    value.map(plain).into_iter().collect()
}

/// The points one by one, and the sum of those without series of their own.
pub(super) fn each_point(snapshot: &Snapshot, samples: impl Fn(&str, &PointCounters) -> Vec<Sample>) -> Vec<Sample> {
    let own = snapshot.points.own.iter().map(|(name, counters)| (name.as_str(), counters));
    let other = snapshot.points.other.iter().map(|counters| ("other", counters));
    own.chain(other).flat_map(|(name, counters)| samples(name, counters)).collect()
}

pub(super) fn seconds(at: Option<Timestamp>) -> u64 {
    at.map_or(0, |at| u64::try_from(at.as_nanos() / 1_000_000_000).unwrap_or(0))
}

pub(super) fn each_sink(snapshot: &Snapshot, value: impl Fn(&SinkSnapshot) -> u64) -> Vec<Sample> {
    let mut all: BTreeMap<&str, u64> = SINKS.map(|name| (name, 0)).into();
    all.extend(snapshot.sinks.iter().map(|(name, sink)| (name.as_str(), value(sink))));
    all.into_iter().map(|(name, value)| sample([("sink", name)], value)).collect()
}
