//! Who owned which address, MAC or veth, and who was in which network namespace, as intervals of event time.
//!
//! Contract: one [`Span`] is "this workload owned this key from–until"; an open span has no end yet. Limits: the caller
//! bounds the spans of a workload ([`super::lifecycles`]), so the index is bounded by workloads × spans each; of the owners of an address, MAC or
//! veth at one moment [`MAX_OWNERS`] and one more are listed.
//! Design: one map for all kinds of keys, spans in the order they were reported; reads go from the newest to the oldest, and
//! the oldest are removed at the front, which a deque does cheaply.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use super::key::{ChangedKeys, Key};
use crate::input::Workload;
use crate::time::Timestamp;

/// More owners than this of an address, a MAC or a veth at one moment are not told apart: then it is anybody's.
pub(super) const MAX_OWNERS: usize = 256;

/// How long after its owner's end a packet is still taken for a late one (a queued segment, a masqueraded FIN).
pub(super) const LATE: Duration = Duration::from_secs(5);

/// A workload owned a key for a time.
#[derive(Clone, Debug)]
pub(super) struct Span {
    /// Which lifecycle in [`super::lifecycles`] it belongs to; cheaper to compare than an id.
    pub(super) serial: u64,
    /// The workload as it was then.
    pub(super) workload: Arc<Workload>,
    /// First moment.
    pub(super) from: Timestamp,
    /// First moment that no longer belongs to it; `None` while it lasts.
    pub(super) until: Option<Timestamp>,
    /// Reported by an undated snapshot: then `from` means nothing.
    pub(super) undated: bool,
}

impl Span {
    pub(super) fn covers(&self, at: Timestamp) -> bool {
        self.from <= at && self.until.is_none_or(|until| at < until)
    }

    /// How long ago it ended, if that is short enough.
    pub(super) fn late_at(&self, at: Timestamp) -> Option<Timestamp> {
        late_at(self.until, at)
    }
}

/// How long before a time something ended, if that is short enough to be late: then, its end.
pub(super) fn late_at(until: Option<Timestamp>, at: Timestamp) -> Option<Timestamp> {
    until.filter(|until| *until <= at && at.since(*until) <= LATE)
}

/// One span a workload, in order of its id. Nearly every key has one owner, which costs no list.
#[derive(Debug)]
pub(super) enum Spans<'a> {
    One(&'a Span),
    Several(Vec<&'a Span>),
}

impl<'a> std::ops::Deref for Spans<'a> {
    type Target = [&'a Span];

    fn deref(&self) -> &Self::Target {
        match self {
            Self::One(span) => std::slice::from_ref(span),
            Self::Several(spans) => spans,
        }
    }
}

/// Which spans an answer rests on, best first.
#[derive(Debug)]
pub(super) enum Owners<'a> {
    /// Dated spans that cover the moment; one a workload.
    Dated(Spans<'a>),
    /// Nobody then, but these ended last, shortly before.
    Late(Spans<'a>),
    /// Only undated snapshots know it.
    Undated(Spans<'a>),
    /// Nobody.
    None,
}

/// All spans by key.
#[derive(Debug, Default)]
pub(super) struct Index {
    spans: HashMap<Key, VecDeque<Span>, foldhash::fast::RandomState>,
    /// Whose owners may have changed.
    pub(super) changed: ChangedKeys,
}

impl Index {
    pub(super) fn push(&mut self, key: Key, span: Span) {
        self.changed.note(&key);
        self.spans.entry(key).or_default().push_back(span);
    }

    /// Changes the spans of one lifecycle at a key; those for which `keep` answers false are removed. Returns how many are left.
    pub(super) fn retain(&mut self, key: &Key, serial: u64, mut keep: impl FnMut(&mut Span) -> bool) -> usize {
        let Some(spans) = self.spans.get_mut(key) else { return 0 };
        self.changed.note(key);
        let mut left = 0;
        let mut gone = Vec::new();
        for (position, span) in spans.iter_mut().enumerate().filter(|(_, span)| span.serial == serial) {
            if keep(span) {
                left += 1;
            } else {
                gone.push(position);
            }
        }
        for position in gone.into_iter().rev() {
            spans.remove(position);
        }
        if spans.is_empty() {
            self.spans.remove(key);
        }
        left
    }

    /// Who claims a key at a time; one more than [`MAX_OWNERS`] where there are more, but all who are in a place.
    pub(super) fn owners(&self, key: &Key, at: Timestamp) -> Owners<'_> {
        let limit = if matches!(key, Key::Ip(_) | Key::Mac(_) | Key::Veth(_)) { MAX_OWNERS + 1 } else { usize::MAX };
        let Some(spans) = self.spans.get(key) else { return Owners::None };
        if let (Some(only), 1) = (spans.front(), spans.len()) {
            return match (only.covers(at), only.undated) {
                (true, false) => Owners::Dated(Spans::One(only)),
                (true, true) => Owners::Undated(Spans::One(only)),
                (false, _) if only.late_at(at).is_some() => Owners::Late(Spans::One(only)),
                (false, _) => Owners::None,
            };
        }
        let newest_first = || spans.iter().rev();
        if let Some(dated) = one_each(newest_first().filter(|span| !span.undated && span.covers(at)), limit) {
            return Owners::Dated(dated);
        }
        let last = newest_first().filter_map(|span| span.late_at(at)).max();
        if let Some(late) =
            last.and_then(|last| one_each(newest_first().filter(|span| span.until == Some(last)), limit))
        {
            return Owners::Late(late);
        }
        let undated = one_each(newest_first().filter(|span| span.undated && span.covers(at)), limit);
        undated.map_or(Owners::None, Owners::Undated)
    }

    /// Whether a lifecycle owned a key at a time, or had until shortly before.
    pub(super) fn owned(&self, key: &Key, serial: u64, at: Timestamp) -> bool {
        let own = |span: &Span| span.serial == serial && (span.covers(at) || span.late_at(at).is_some());
        self.spans.get(key).is_some_and(|spans| spans.iter().rev().any(own))
    }

    /// Every span of a key, whatever its time.
    pub(super) fn ever(&self, key: &Key) -> impl Iterator<Item = &Span> {
        self.spans.get(key).into_iter().flatten()
    }

    /// The span reported last for a key, whatever its time.
    pub(super) fn newest(&self, key: &Key) -> Option<&Span> {
        self.spans.get(key)?.back()
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.spans.values().map(VecDeque::len).sum()
    }
}

/// The first span of each lifecycle up to a limit, in order of workload id; `None` where there is none.
fn one_each<'a>(mut spans: impl Iterator<Item = &'a Span>, limit: usize) -> Option<Spans<'a>> {
    let first = spans.next()?;
    let Some(other) = spans.find(|span| span.serial != first.serial) else { return Some(Spans::One(first)) };
    let mut serials = HashSet::from([first.serial, other.serial]);
    let others = spans.filter(|span| serials.insert(span.serial));
    let mut picked: Vec<_> = [first, other].into_iter().chain(others).take(limit).collect();
    picked.sort_by(|a, b| a.workload.id.cmp(&b.workload.id));
    Some(Spans::Several(picked))
}
