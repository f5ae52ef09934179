//! Frames that belong to no flow, by sender and reason.
//!
//! Contract: each is in one report: after an update interval, or when the observation ends. What is reported is forgotten.
//! Limits: [`MAX_ENTRIES`] pairs of sender and reason between two reports; further senders are counted together.
//! Design: a map in order, so that a report has one order; these frames are rare, or somebody's doing.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::input::{Mac, ObservationPoint, Undecoded};
use crate::time::Timestamp;

/// Pairs of sender and reason kept between two reports.
pub(super) const MAX_ENTRIES: usize = 256;

/// Frames that belong to no flow, since the last report.
#[derive(Debug, Default)]
pub(super) struct UndecodedFrames {
    /// Packets, bytes and the time of the last.
    counts: BTreeMap<(Option<Mac>, &'static str), (u64, u64, Timestamp)>,
    due: Option<Timestamp>,
}

impl UndecodedFrames {
    /// Counts a frame.
    pub(super) fn count(
        &mut self,
        (mac, reason): (Option<Mac>, &'static str),
        wire_len: u32,
        now: Timestamp,
        interval: Duration,
    ) {
        if self.counts.is_empty() && !interval.is_zero() {
            self.due = Some(now.plus(interval));
        }
        let has_room = self.counts.len() < MAX_ENTRIES || self.counts.contains_key(&(mac, reason));
        let (packets, bytes, last) = self.counts.entry((mac.filter(|_| has_room), reason)).or_default();
        *packets += 1;
        *bytes += u64::from(wire_len);
        *last = now;
    }

    /// When the next report is due.
    #[inline]
    pub(super) const fn due(&self) -> Option<Timestamp> {
        self.due
    }

    /// What is to be reported now.
    pub(super) fn take(&mut self, point: &ObservationPoint) -> Vec<Undecoded> {
        self.due = None;
        let entry = |((mac, reason), (packets, frame_bytes, last))| Undecoded {
            point: point.clone(),
            mac,
            reason,
            packets,
            frame_bytes,
            last,
        };
        std::mem::take(&mut self.counts).into_iter().map(entry).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_senders_than_the_bound_are_counted_together() {
        let mut frames = UndecodedFrames::default();
        let (now, point) = (Timestamp::default(), ObservationPoint::new("br0"));
        for number in 0..300_u16 {
            let [upper, lower] = number.to_be_bytes();
            frames.count((Some(Mac([2, 0, 0, 0, upper, lower])), "vlan_depth"), 100, now, Duration::from_secs(10));
        }
        assert_eq!(frames.due(), Some(now.plus(Duration::from_secs(10))));
        let reported = frames.take(&point);
        assert_eq!(reported.len(), MAX_ENTRIES + 1);
        assert_eq!(reported.iter().map(|entry| entry.packets).sum::<u64>(), 300);
        assert_eq!((reported[0].mac, reported[0].packets, reported[0].frame_bytes), (None, 44, 4400));
        assert!(frames.take(&point).is_empty() && frames.due().is_none());
    }
}
