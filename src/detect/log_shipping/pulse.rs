//! How regularly a sender ships logs, and whether it is quiet although there is something to ship.
//!
//! Contract: quiet is only who shipped [`MIN_SHIPMENTS`] times before, over at least as long a time; whose silence is longer than the
//! configured one and than [`FACTOR`] times its longest gap; and in whose silence [`FACTOR`] times as many flows were opened as in any gap
//! before, the last of them late in it. Losses at every point where it was seen start the waiting anew. Limits: [`MAX_POINTS`] points
//! and [`MAX_NAMES`] names are remembered.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::input::ObservationPoint;
use crate::path::PathState;
use crate::time::Timestamp;

const MIN_SHIPMENTS: u64 = 3;
const FACTOR: u32 = 3;
const MAX_POINTS: usize = 16;
const MAX_NAMES: usize = 8;

/// When is quiet too quiet.
#[derive(Clone, Copy, Debug)]
pub struct Quiet {
    /// At least so long.
    pub silence: Duration,
    /// At least so many flows of those who talk meanwhile.
    pub min_flows: u64,
}

/// What is known of one sender.
#[derive(Clone, Debug)]
pub struct Pulse {
    first: Timestamp,
    /// Last time that logs were seen.
    pub last: Timestamp,
    /// Times that logs were seen.
    pub shipments: u64,
    /// Longest time between two of them.
    pub longest_gap: Duration,
    /// Most flows of those who talk between two of them.
    most_talk: u64,
    /// From when on the waiting counts; later than `last` after a loss.
    pub from: Timestamp,
    /// Flows of those who talk, since then.
    pub talk: u64,
    last_talk: Timestamp,
    /// Who talked.
    pub talkers: BTreeSet<String>,
    points: BTreeSet<ObservationPoint>,
    /// Its silence was reported.
    pub reported: bool,
}

impl Pulse {
    /// The first logs.
    pub const fn new(at: Timestamp) -> Self {
        Self {
            first: at,
            last: at,
            shipments: 0,
            longest_gap: Duration::ZERO,
            most_talk: 0,
            from: at,
            talk: 0,
            last_talk: at,
            talkers: BTreeSet::new(),
            points: BTreeSet::new(),
            reported: false,
        }
    }

    /// Logs were seen; whether that ends a silence that was reported.
    pub fn shipped(&mut self, at: Timestamp, points: &[ObservationPoint]) -> bool {
        let was_reported = std::mem::take(&mut self.reported);
        if at > self.last {
            // The end of a silence that was an alert is no habit.
            if !was_reported {
                self.longest_gap = self.longest_gap.max(at.since(self.last));
                self.most_talk = self.most_talk.max(self.talk);
            }
            self.last = at;
        }
        self.shipments += 1;
        self.wait_from(self.last);
        for point in points {
            if self.points.len() < MAX_POINTS {
                self.points.insert(point.clone());
            }
        }
        was_reported
    }

    /// Somebody whose logs it ships opened a flow.
    pub fn talked(&mut self, at: Timestamp, name: &str) {
        if at <= self.from {
            return;
        }
        self.talk += 1;
        self.last_talk = self.last_talk.max(at);
        if self.talkers.len() < MAX_NAMES {
            self.talkers.insert(name.to_owned());
        }
    }

    /// The waiting begins at this time.
    pub fn wait_from(&mut self, at: Timestamp) {
        (self.from, self.talk) = (at, 0);
        self.talkers.clear();
    }

    /// When it can be quiet at the earliest.
    pub fn due(&self, quiet: Quiet) -> Timestamp {
        self.from.plus(quiet.silence.max(self.longest_gap.saturating_mul(FACTOR)))
    }

    /// Whether it is quiet now, and it would have been seen.
    pub fn is_quiet(&mut self, quiet: Quiet, path: &PathState, now: Timestamp) -> bool {
        let due = self.due(quiet);
        let flows = quiet.min_flows.max(self.most_talk.saturating_mul(FACTOR.into()));
        let is_habit = self.shipments >= MIN_SHIPMENTS && self.last.since(self.first) >= due.since(self.from);
        if self.reported || !is_habit || now < due || self.talk < flows {
            return false;
        }
        // Who fell silent together with its logs has nothing to ship.
        let half = due.since(self.from) / 2;
        if self.last_talk < self.from.plus(half) {
            return false;
        }
        if !self.was_watched(path, now) {
            self.wait_from(now);
            return false;
        }
        true
    }

    /// Whether one of the points at which its flows were seen lost nothing since the waiting began.
    fn was_watched(&self, path: &PathState, now: Timestamp) -> bool {
        self.points.iter().any(|point| self.is_clean(point, path, now))
    }

    fn is_clean(&self, point: &ObservationPoint, path: &PathState, now: Timestamp) -> bool {
        path.losses.observed_since(point).is_some() && !path.losses.overlap(point, self.from, now)
    }

    /// The points that lost nothing, in words.
    pub fn watched_at(&self, path: &PathState, now: Timestamp) -> String {
        let clean = self.points.iter().filter(|point| self.is_clean(point, path, now));
        clean.map(ObservationPoint::as_str).collect::<Vec<_>>().join(", ")
    }

    /// Who talked, in words.
    pub fn talkers(&self) -> String {
        self.talkers.iter().map(String::as_str).collect::<Vec<_>>().join(", ")
    }
}
