//! The sources of one observation point, what each has waiting for the engine, and what was left out of each.
//!
//! Contract: what is admitted counts as waiting until its [`Receipt`] is dropped with the batch; nothing here waits. What was left
//! out is reported once; what could not be reported is reported later. Limits: [`MAX_SOURCES`]; one that has been quiet for [`FORGET`] makes way.
//! Design: a source is who sends first: on a link that only one end uses the point itself, elsewhere a MAC. Counters are shared with the engine's
//! thread, one addition a batch and source.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::{Pressure, Share, WINDOW, Worth};
use crate::input::Mac;
use crate::time::Timestamp;

/// Sources of a point that are distinguished.
pub const MAX_SOURCES: usize = 256;
/// Sources whose losses are reported one by one.
const MAX_REPORTED: usize = 8;
/// A source that did nothing for so long makes way for another.
const FORGET: Duration = Duration::from_secs(10);

/// What waits for the engine, of all points.
#[derive(Debug)]
pub struct Backlog {
    waiting: AtomicU64,
    capacity: AtomicU64,
}

impl Default for Backlog {
    /// Without a bound.
    fn default() -> Self {
        Self::new(u64::MAX / 4)
    }
}

impl Backlog {
    /// With room for so many bytes.
    pub const fn new(capacity: u64) -> Self {
        Self { waiting: AtomicU64::new(0), capacity: AtomicU64::new(capacity) }
    }

    /// What waits, and how much may.
    pub fn pressure(&self) -> Pressure {
        let (waiting, capacity) = (self.waiting.load(Ordering::Relaxed), self.capacity.load(Ordering::Relaxed));
        Pressure { waiting, capacity }
    }

    /// So many bytes may wait from now on.
    pub fn set_capacity(&self, bytes: u64) {
        self.capacity.store(bytes, Ordering::Relaxed);
    }
}

/// Who can send at a point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PointKind {
    /// One end, whatever MAC it writes: a container's own link.
    OneSource,
    /// Several, distinguished by MAC: a bridge, an uplink.
    Shared,
}

/// Events of a source that were left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shed {
    /// Whose; absent where the whole point is one source, or for all sources beyond the bound.
    pub source: Option<Mac>,
    /// How many.
    pub count: u64,
    /// Since when.
    pub since: Timestamp,
}

#[derive(Debug, Default)]
struct Source {
    mac: Option<Mac>,
    share: Share,
    waiting: Arc<AtomicU64>,
    /// Admitted since the last receipt.
    pending: u64,
    shed: u64,
    shed_since: Timestamp,
    last: Timestamp,
}

/// Decides for one point.
#[derive(Debug)]
pub struct Admission {
    backlog: Arc<Backlog>,
    kind: PointKind,
    /// The first is the point itself, and on a shared point those without a place of their own.
    sources: Vec<Source>,
    places: HashMap<Mac, usize, foldhash::fast::RandomState>,
    pending: u64,
    shed_total: u64,
    shed_reported: u64,
    /// When a place was last looked for and not found.
    crowded: Timestamp,
}

impl Admission {
    /// Of a point from which the engine is fed with others.
    pub fn new(backlog: Arc<Backlog>, kind: PointKind) -> Self {
        Self {
            backlog,
            kind,
            sources: vec![Source::default()],
            places: HashMap::default(),
            pending: 0,
            shed_total: 0,
            shed_reported: 0,
            crowded: Timestamp::MIN,
        }
    }

    /// Whether it matters what an event of this sender is worth: there is pressure, or the sender is a scanner.
    pub fn weighs(&self, sender: Option<Mac>) -> bool {
        let place = sender.and_then(|mac| self.places.get(&mac)).copied().unwrap_or(0);
        self.backlog.pressure().is_high() || self.sources.get(place).is_some_and(|source| source.share.scans())
    }

    /// Whether an event of so many bytes, of a flow that this MAC began, is admitted; it then counts as waiting.
    pub fn admits(&mut self, at: Timestamp, sender: Option<Mac>, worth: Worth, bytes: u64) -> bool {
        let mut pressure = self.backlog.pressure();
        pressure.waiting = pressure.waiting.saturating_add(self.pending);
        let place = self.place(sender, at);
        let Some(source) = self.sources.get_mut(place) else { return true };
        source.last = at;
        let own = source.waiting.load(Ordering::Relaxed).saturating_add(source.pending);
        if source.share.admits(at, worth, (own, bytes), pressure) {
            source.pending += bytes;
            self.pending += bytes;
            return true;
        }
        if source.shed == 0 {
            source.shed_since = at;
        }
        source.shed += 1;
        self.shed_total += 1;
        false
    }

    /// What was admitted since the last receipt waits until this one is dropped.
    pub fn receipt(&mut self) -> Receipt {
        let total = std::mem::take(&mut self.pending);
        if total == 0 {
            return Receipt::default();
        }
        let with = self.sources.iter_mut().filter(|source| source.pending > 0);
        let each = with.map(|source| (Arc::clone(&source.waiting), std::mem::take(&mut source.pending)));
        let each: Vec<_> = each.inspect(|(waiting, bytes)| _ = waiting.fetch_add(*bytes, Ordering::Relaxed)).collect();
        self.backlog.waiting.fetch_add(total, Ordering::Relaxed);
        Receipt { backlog: Some(Arc::clone(&self.backlog)), total, each }
    }

    /// Whether something was left out that is not reported yet.
    pub const fn has_unreported(&self) -> bool {
        self.shed_total > self.shed_reported
    }

    /// What was left out and is not reported yet, by source; as one loss of the point where more than [`MAX_REPORTED`] lost something.
    pub fn unreported(&self) -> Vec<Shed> {
        let with = self.sources.iter().filter(|source| source.shed > 0);
        let all: Vec<_> =
            with.map(|source| Shed { source: source.mac, count: source.shed, since: source.shed_since }).collect();
        if all.len() <= MAX_REPORTED {
            return all;
        }
        let (count, since) = (all.iter().map(|shed| shed.count).sum(), all.iter().map(|shed| shed.since).min());
        vec![Shed { source: None, count, since: since.unwrap_or_default() }]
    }

    /// All of that was reported.
    pub fn reported(&mut self) {
        self.shed_reported = self.shed_total;
        self.sources.iter_mut().for_each(|source| source.shed = 0);
    }

    /// Events left out so far.
    pub const fn shed_total(&self) -> u64 {
        self.shed_total
    }

    fn place(&mut self, sender: Option<Mac>, at: Timestamp) -> usize {
        let Some(mac) = sender.filter(|_| self.kind == PointKind::Shared) else { return 0 };
        match self.places.get(&mac) {
            Some(place) => *place,
            None => self.new_place(mac, at).unwrap_or(0),
        }
    }

    fn new_place(&mut self, mac: Mac, at: Timestamp) -> Option<usize> {
        let source = Source { mac: Some(mac), ..Source::default() };
        let place = if self.sources.len() < MAX_SOURCES {
            self.sources.push(source);
            self.sources.len() - 1
        } else {
            let place = self.quiet_place(at)?;
            let old = std::mem::replace(self.sources.get_mut(place)?, source);
            old.mac.map(|mac| self.places.remove(&mac));
            place
        };
        self.places.insert(mac, place);
        Some(place)
    }

    /// A place whose source did nothing for long; looked for once a window, since a flood of new MACs would look at each of its frames.
    fn quiet_place(&mut self, at: Timestamp) -> Option<usize> {
        if at < self.crowded.plus(WINDOW) {
            return None;
        }
        let is_quiet = |source: &Source| {
            let holds = source.pending + source.shed + source.waiting.load(Ordering::Relaxed) > 0;
            source.mac.is_some() && !holds && at.since(source.last) >= FORGET
        };
        let place = self.sources.iter().position(is_quiet);
        if place.is_none() {
            self.crowded = at;
        }
        place
    }
}

/// What a batch counts as waiting, until it is dropped.
#[derive(Debug, Default)]
pub struct Receipt {
    backlog: Option<Arc<Backlog>>,
    total: u64,
    each: Vec<(Arc<AtomicU64>, u64)>,
}

impl Receipt {
    /// Bytes.
    pub const fn bytes(&self) -> u64 {
        self.total
    }
}

impl Drop for Receipt {
    fn drop(&mut self) {
        for (waiting, bytes) in &self.each {
            waiting.fetch_sub(*bytes, Ordering::Relaxed);
        }
        if let Some(backlog) = &self.backlog {
            backlog.waiting.fetch_sub(self.total, Ordering::Relaxed);
        }
    }
}
