//! In which network namespaces the kernel shows the processes of each workload.
//!
//! Contract: the latest word; what it means for the past is written into the index as spans of the lifecycle. A word about a workload that the
//! runtime has not reported yet is kept until it does. Limits: [`MAX_MEMBERSHIPS`]; beyond, newcomers are refused and counted by the caller.
//! Design: a first process is in one namespace, its home; others of its processes may be strays. Namespaces go by number, not by inode: an
//! inode comes back.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::super::index::{Owners, Span};
use super::super::key::Key;
use super::Lifecycles;
use crate::input::WorkloadId;
use crate::time::Timestamp;

/// Running workloads, and those that no runtime reports.
const MAX_MEMBERSHIPS: usize = 65_536;
/// Of one workload; the collector reports at most some.
const MAX_STRAYS: usize = 16;
/// Homes that a workload left before the runtime reported it: one, for the short-lived.
const MAX_STAYS: usize = 4;

#[derive(Debug, Default)]
pub(super) struct NamespaceMembership {
    by_id: BTreeMap<WorkloadId, Membership>,
    /// Whose home each namespace is, or was and is not reported yet.
    residents: BTreeMap<u64, BTreeSet<WorkloadId>>,
    /// Workloads that have left their home, and when; to be forgotten if no runtime ever reports them.
    homeless: VecDeque<(Timestamp, WorkloadId)>,
}

/// A home that was left before the runtime reported the workload.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stay {
    pub(super) ns: u64,
    pub(super) seen: Timestamp,
    pub(super) until: Timestamp,
    /// It was there before it was seen.
    pub(super) first: bool,
}

#[derive(Debug)]
struct Membership {
    /// When the kernel showed it last.
    at: Timestamp,
    home: Option<u64>,
    /// Whether it ever had a home in this run.
    settled: bool,
    strays: BTreeSet<u64>,
    stays: Vec<Stay>,
}

impl NamespaceMembership {
    /// The keys of where a workload is, and when it was seen there.
    pub(super) fn keys(&self, id: &WorkloadId) -> impl Iterator<Item = (Key, Timestamp)> + '_ {
        self.by_id.get(id).into_iter().flat_map(|membership| {
            let strays = membership.strays.iter().map(|ns| Key::Stray(*ns));
            membership.home.map(Key::Home).into_iter().chain(strays).map(|key| (key, membership.at))
        })
    }

    /// A run ended: what was seen until then says nothing of the next.
    pub(super) fn leave(&mut self, id: &WorkloadId, until: Timestamp) {
        let Some(membership) = self.by_id.get_mut(id) else { return };
        if membership.at <= until {
            self.forget(id);
        } else {
            membership.settled &= membership.home.is_some();
        }
    }

    pub(super) fn forget(&mut self, id: &WorkloadId) {
        let Some(membership) = self.by_id.remove(id) else { return };
        let left = membership.stays.iter().map(|stay| stay.ns);
        for ns in membership.home.into_iter().chain(left) {
            self.moved_out(ns, id);
        }
    }

    /// The homes that it left before the runtime reported it; asked for once.
    pub(super) fn drain_stays(&mut self, id: &WorkloadId) -> Vec<Stay> {
        let Some(membership) = self.by_id.get_mut(id) else { return Vec::new() };
        let (stays, home) = (std::mem::take(&mut membership.stays), membership.home);
        for stay in stays.iter().filter(|stay| Some(stay.ns) != home) {
            self.moved_out(stay.ns, id);
        }
        stays
    }

    /// Forgets those that left their home before a time and have not been seen since.
    pub(super) fn expire(&mut self, horizon: Timestamp) {
        while let Some((_, id)) = self.homeless.pop_front_if(|(left, _)| *left < horizon) {
            if self.by_id.get(&id).is_some_and(|membership| membership.home.is_none() && membership.strays.is_empty()) {
                self.forget(&id);
            }
        }
    }

    fn moved_out(&mut self, home: u64, id: &WorkloadId) {
        let empty = self.residents.get_mut(&home).is_some_and(|residents| {
            residents.remove(id);
            residents.is_empty()
        });
        if empty {
            self.residents.remove(&home);
        }
    }

    fn membership(&mut self, id: &WorkloadId, at: Timestamp) -> Option<&mut Membership> {
        if self.by_id.len() >= MAX_MEMBERSHIPS && !self.by_id.contains_key(id) {
            return None;
        }
        let new = || Membership { at, home: None, settled: false, strays: BTreeSet::new(), stays: Vec::new() };
        Some(self.by_id.entry(id.clone()).or_insert_with(new))
    }
}

/// What changes in the index when a workload is seen elsewhere.
struct Move {
    left: Vec<Key>,
    entered: Vec<Key>,
    /// It has just been found, and was there before.
    first: bool,
}

impl Lifecycles {
    /// The kernel shows the first process of a workload in a namespace, or not there any more.
    pub(in super::super) fn settle(&mut self, at: Timestamp, id: &WorkloadId, home: Option<u64>) {
        let runs = self.is_running(id);
        let Some(membership) = self.memberships.membership(id, at) else {
            self.counts.namespaces_refused += 1;
            return;
        };
        let old = std::mem::replace(&mut membership.home, home);
        let (seen, first) = (membership.at, !membership.settled);
        if home.is_some() {
            membership.at = at;
            membership.settled = true;
        }
        if old == home {
            return;
        }
        old.into_iter().chain(home).for_each(|ns| self.index.changed.note(&Key::Home(ns)));
        // Until the runtime reports it, it counts as one of those who were there.
        let stays = !runs && membership.stays.len() < MAX_STAYS;
        match old {
            Some(ns) if stays => {
                membership.stays.push(Stay { ns, seen, until: at, first: membership.stays.is_empty() });
            }
            Some(ns) => self.memberships.moved_out(ns, id),
            None => {}
        }
        match home {
            Some(home) => {
                self.memberships.residents.entry(home).or_default().insert(id.clone());
            }
            None => self.memberships.homeless.push_back((at, id.clone())),
        }
        let key = |ns: Option<u64>| ns.map(Key::Home).into_iter().collect();
        self.relocate(at, id, Move { left: key(old), entered: key(home), first });
    }

    /// The kernel shows other processes of a workload in these namespaces.
    pub(in super::super) fn stray(&mut self, at: Timestamp, id: &WorkloadId, strays: BTreeSet<u64>) {
        let Some(membership) = self.memberships.membership(id, at) else {
            self.counts.namespaces_refused += 1;
            return;
        };
        membership.at = membership.at.max(at);
        let strays: BTreeSet<u64> = strays.into_iter().take(MAX_STRAYS).collect();
        let old = std::mem::replace(&mut membership.strays, strays);
        let left = old.difference(&membership.strays).map(|ns| Key::Stray(*ns)).collect();
        let entered = membership.strays.difference(&old).map(|ns| Key::Stray(*ns)).collect();
        self.relocate(at, id, Move { left, entered, first: false });
    }

    /// A namespace is as reported now: only these have their home there.
    pub(in super::super) fn residents(&mut self, at: Timestamp, ns: u64, ids: &[WorkloadId]) {
        let known = self.memberships.residents.get(&ns);
        let left: Vec<WorkloadId> = known.into_iter().flatten().filter(|id| !ids.contains(id)).cloned().collect();
        for id in &left {
            self.settle(at, id, None);
        }
        for id in ids {
            self.settle(at, id, Some(ns));
        }
    }

    /// Writes it into the index, if it runs; else that is done when it does.
    fn relocate(&mut self, at: Timestamp, id: &WorkloadId, change: Move) {
        let Some(lifecycle) = self.by_id.get(id).filter(|lifecycle| lifecycle.runs()) else { return };
        let (serial, since) = (lifecycle.serial, lifecycle.since);
        for key in &change.left {
            self.index.retain(key, serial, |span| {
                span.until = span.until.or(Some(at));
                true
            });
        }
        for key in change.entered {
            self.sharing = true;
            if self.spare_spans(id, 1) == 0 {
                self.counts.spans_dropped += 1;
                continue;
            }
            let from = since.filter(|since| change.first && *since <= at).unwrap_or(at);
            self.push(id, key, (from, None), false);
        }
    }

    /// The namespace in which a workload was at home then.
    pub(in super::super) fn home_of(&self, id: &WorkloadId, at: Timestamp) -> Option<u64> {
        let lifecycle = self.by_id.get(id)?;
        let homes = lifecycle.keys.range(Key::Home(0)..=Key::Home(u64::MAX));
        homes.rev().find_map(|key| match key {
            Key::Home(ns) if self.index.owned(key, lifecycle.serial, at) => Some(*ns),
            _ => None,
        })
    }

    /// Whether the kernel shows somebody in a namespace whom the runtime has not reported.
    pub(in super::super) fn has_unreported(&self, ns: u64) -> bool {
        let residents = self.memberships.residents.get(&ns);
        residents.is_some_and(|residents| residents.iter().any(|id| !self.by_id.contains_key(id)))
    }

    /// Whether anybody may be in a namespace with others.
    pub(in super::super) const fn anybody_shares(&self) -> bool {
        self.sharing
    }

    /// Everybody who was in a place at a time, dated or not, in order of id, without repetition.
    pub(in super::super) fn present<'a>(&'a self, keys: &[Key], at: Timestamp) -> Vec<&'a Span> {
        let mut all: Vec<&Span> = Vec::new();
        for key in keys {
            match self.index.owners(key, at) {
                Owners::Dated(spans) | Owners::Undated(spans) => all.extend(spans.iter()),
                Owners::Late(_) | Owners::None => {}
            }
        }
        all.sort_by(|a, b| a.workload.id.cmp(&b.workload.id));
        all.dedup_by(|a, b| a.workload.id == b.workload.id);
        all
    }
}
