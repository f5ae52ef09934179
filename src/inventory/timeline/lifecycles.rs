//! The lifecycles of workloads: when each ran, in what state it was last seen, and which of the dead are still remembered.
//!
//! Contract: a lifecycle opens spans when its workload runs and closes them when it ends; an end reported by the runtime is final,
//! an end inferred from a list can be taken back. Limits: [`TimelineLimits`] workloads, [`MAX_SPANS`] spans each; at the
//! bound the oldest dead goes first, and with no dead left the newcomer is refused. Both are counted.
//! Design: what does not run is kept in order of its end, so forgetting takes the first.

mod namespace_membership;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use self::namespace_membership::NamespaceMembership;

use super::TimelineLimits;
use super::at_interface::AtInterface;
use super::changes::Changes;
use super::index::{Index, Span};
use super::key::Key;
use crate::input::{RuntimeId, Workload, WorkloadId, WorkloadState};
use crate::time::{Timestamp, Watermark};

/// Spans of one workload, past ones included: a container on thirty networks with two addresses each, renamed once.
/// Beyond it the oldest past span is dropped, and of more open ones the rest is refused.
pub(super) const MAX_SPANS: usize = 256;

/// What the bounds of the timeline cost so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TimelineCounts {
    /// Dead workloads forgotten before their time, because there was no room.
    pub evicted: u64,
    /// Workloads refused, because everything remembered still runs.
    pub refused: u64,
    /// Intervals dropped or refused, because one workload had too many.
    pub spans_dropped: u64,
    /// Networks and links refused, because there were too many.
    pub networks_refused: u64,
    /// Words about a lifecycle that had already ended, and so were not believed.
    pub stale: u64,
    /// Namespaces, and their workloads, interfaces and addresses, for which there was no room.
    pub namespaces_refused: u64,
    /// Closed sockets forgotten before their time, because there was no room.
    pub sockets_evicted: u64,
    /// Sockets refused, because all that are remembered are still open.
    pub sockets_refused: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum RunState {
    /// Runs, as far as known; last confirmed at this time.
    Runs { seen: Timestamp },
    /// Created only, or ended. Whether that is the runtime's own word or was inferred from a list.
    Rests { at: Timestamp, is_final: bool },
}

#[derive(Debug)]
struct Lifecycle {
    serial: u64,
    workload: Arc<Workload>,
    /// Start of the present or last run; `None` when it was never dated.
    since: Option<Timestamp>,
    state: RunState,
    /// Keys at which the index holds spans of it.
    keys: BTreeSet<Key>,
}

/// All lifecycles, and the index of what they own.
#[derive(Debug)]
pub(super) struct Lifecycles {
    limits: TimelineLimits,
    by_id: BTreeMap<WorkloadId, Lifecycle>,
    at_interface: AtInterface,
    /// What does not run, oldest end first.
    resting: BTreeSet<(Timestamp, WorkloadId)>,
    /// In which namespaces the kernel shows them.
    memberships: NamespaceMembership,
    /// Whether anybody ever was in a namespace with others, as far as reported; while not, nobody needs to be looked for.
    sharing: bool,
    pub(super) index: Index,
    pub(super) changes: Changes,
    pub(super) counts: TimelineCounts,
    now: Watermark,
    serial: u64,
}

impl Lifecycles {
    pub(super) fn new(limits: TimelineLimits) -> Self {
        Self {
            limits,
            by_id: BTreeMap::new(),
            at_interface: AtInterface::default(),
            resting: BTreeSet::new(),
            memberships: NamespaceMembership::default(),
            sharing: false,
            index: Index::default(),
            changes: Changes::default(),
            counts: TimelineCounts::default(),
            now: Watermark::default(),
            serial: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.by_id.len()
    }

    pub(super) fn get(&self, id: &WorkloadId) -> Option<&Arc<Workload>> {
        self.by_id.get(id).map(|lifecycle| &lifecycle.workload)
    }

    /// The keys at which the index knows a workload.
    pub(super) fn keys_of(&self, id: &WorkloadId) -> impl Iterator<Item = &Key> {
        self.by_id.get(id).into_iter().flat_map(|lifecycle| &lifecycle.keys)
    }

    pub(super) fn is_running(&self, id: &WorkloadId) -> bool {
        self.by_id.get(id).is_some_and(Lifecycle::runs)
    }

    pub(super) fn running(&self) -> impl Iterator<Item = &Arc<Workload>> {
        self.by_id.values().filter(|lifecycle| lifecycle.runs()).map(|lifecycle| &lifecycle.workload)
    }

    pub(super) fn workloads(&self) -> impl Iterator<Item = &Arc<Workload>> {
        self.by_id.values().map(|lifecycle| &lifecycle.workload)
    }

    /// The state of every lifecycle.
    pub(super) fn states(&self) -> impl Iterator<Item = WorkloadState> + '_ {
        self.by_id.values().map(|lifecycle| match (lifecycle.runs(), lifecycle.workload.state) {
            (false, WorkloadState::Running | WorkloadState::Paused) => WorkloadState::Exited,
            (_, state) => state,
        })
    }

    /// Moves time forward and forgets the dead whose time is over.
    pub(super) fn advance(&mut self, at: Timestamp) {
        let horizon = self.now.advance(at).minus(self.limits.remember);
        self.memberships.expire(horizon);
        while let Some((ended, id)) = self.resting.first().cloned() {
            if ended >= horizon {
                break;
            }
            self.remove(&id);
        }
    }

    /// A workload as it is reported at a time.
    pub(super) fn apply(&mut self, at: Timestamp, workload: &Arc<Workload>) {
        let runs = matches!(workload.state, WorkloadState::Running | WorkloadState::Paused);
        self.changes.note(&workload.id);
        match self.by_id.get(&workload.id).map(|lifecycle| (lifecycle.state, lifecycle.since)) {
            None => self.first_seen(at, workload, runs),
            Some((RunState::Runs { .. }, _)) if !runs => {
                self.replace(workload);
                self.end(&workload.id, at, false);
            }
            Some((RunState::Runs { seen }, since)) => self.update(at, workload, seen, since),
            Some((RunState::Rests { .. }, _)) if !runs => self.replace(workload),
            Some((RunState::Rests { at: ended, is_final }, _)) => self.resume(at, workload, ended, is_final),
        }
    }

    /// First sight.
    fn first_seen(&mut self, at: Timestamp, workload: &Arc<Workload>, runs: bool) {
        if !self.make_room() {
            self.counts.refused += 1;
            return;
        }
        self.serial += 1;
        let state = if runs { RunState::Runs { seen: at } } else { RunState::Rests { at, is_final: false } };
        let since = workload.since;
        let lifecycle =
            Lifecycle { serial: self.serial, workload: workload.clone(), since, state, keys: BTreeSet::new() };
        self.by_id.insert(workload.id.clone(), lifecycle);
        self.at_interface.attach(workload);
        if runs {
            self.open(&workload.id, since.unwrap_or(Timestamp::MIN));
        } else {
            self.resting.insert((at, workload.id.clone()));
        }
    }

    /// It runs, and is reported to run: the same run, refined or changed, or a restart whose end was not reported.
    fn update(&mut self, at: Timestamp, workload: &Arc<Workload>, seen: Timestamp, since: Option<Timestamp>) {
        let id = &workload.id;
        let changed = self.by_id.get(id).is_some_and(|lifecycle| differs(&lifecycle.workload, workload));
        self.replace(workload);
        self.confirm(id, at.max(seen));
        match (since, workload.since) {
            (None, None) if changed => {
                self.each_span(id, |_| false);
                self.open(id, Timestamp::MIN);
            }
            (None, Some(start)) => {
                self.each_span(id, |_| false);
                self.set_since(id, Some(start));
                self.open(id, start);
            }
            (Some(_), Some(start)) if start > seen => {
                self.memberships.leave(id, seen);
                self.close(id, start);
                self.set_since(id, Some(start));
                self.open(id, start);
            }
            (Some(known), reported) => {
                let start = reported.map_or(known, |reported| reported.min(known));
                self.set_since(id, Some(start));
                self.each_span(id, |span| {
                    span.from = if span.from == known && span.until.is_none() { start } else { span.from };
                    true
                });
                if changed {
                    let turn = at.max(start);
                    self.close(id, turn);
                    self.open(id, turn);
                } else {
                    self.refresh(workload);
                }
            }
            (None, None) => self.refresh(workload),
        }
    }

    /// It rests, and is reported to run: a new run, an end that was inferred wrongly, or stale words.
    fn resume(&mut self, at: Timestamp, workload: &Arc<Workload>, ended: Timestamp, is_final: bool) {
        let id = &workload.id;
        let never_ran = self.by_id.get(id).is_some_and(|lifecycle| lifecycle.keys.is_empty() && !is_final);
        let fresh = workload.since.is_some_and(|start| start > ended);
        if is_final && !fresh {
            self.counts.stale += 1;
            return;
        }
        self.resting.remove(&(ended, id.clone()));
        if fresh {
            self.memberships.leave(id, ended);
        }
        self.replace(workload);
        self.confirm(id, at);
        let from = if fresh || never_ran { workload.since.unwrap_or(Timestamp::MIN) } else { ended };
        if workload.since.is_some() {
            self.set_since(id, workload.since);
        }
        self.open(id, from);
    }

    /// The runtime says when it ended.
    pub(super) fn stop(&mut self, id: &WorkloadId, until: Timestamp) {
        self.end(id, until, true);
    }

    /// The whole list of a runtime: whatever started before `at` and is not in it has ended.
    pub(super) fn reconcile(&mut self, at: Timestamp, runtime: &RuntimeId, running: &[WorkloadId]) {
        let listed: BTreeSet<&WorkloadId> = running.iter().collect();
        let missing: Vec<WorkloadId> = self
            .by_id
            .iter()
            .filter(|(id, lifecycle)| {
                lifecycle.runs() && lifecycle.workload.runtime == *runtime && !listed.contains(id)
            })
            .map(|(id, _)| id.clone())
            .collect();
        for id in missing {
            self.end(&id, at, false);
        }
    }

    fn end(&mut self, id: &WorkloadId, until: Timestamp, is_final: bool) {
        self.changes.note(id);
        self.close(id, until);
        let Some(lifecycle) = self.by_id.get_mut(id) else { return };
        // A late word about an earlier run says nothing of this one.
        if lifecycle.since.is_some_and(|since| since > until) {
            return;
        }
        match lifecycle.state {
            RunState::Rests { is_final: false, at } if is_final => {
                self.resting.remove(&(at, id.clone()));
            }
            RunState::Rests { .. } => return,
            RunState::Runs { .. } => {}
        }
        lifecycle.state = RunState::Rests { at: until, is_final };
        self.resting.insert((until, id.clone()));
        if is_final {
            self.memberships.leave(id, until);
        }
    }

    /// Ends every span that began by then and lasts longer. One that would be empty is kept: a late packet may need it.
    fn close(&mut self, id: &WorkloadId, until: Timestamp) {
        self.each_span(id, |span| {
            if (span.undated || span.from <= until) && span.until.is_none_or(|end| end > until) {
                span.until = Some(until);
            }
            true
        });
    }

    /// Opens a span for everything that the workload owns now, and for where the kernel shows it.
    fn open(&mut self, id: &WorkloadId, from: Timestamp) {
        let Some(lifecycle) = self.by_id.get(id) else { return };
        let undated = lifecycle.since.is_none();
        let by_runtime = Key::of(&lifecycle.workload).map(|key| (key, (from, undated)));
        let shown = self.memberships.keys(id).map(|(key, seen)| {
            // Its first process was in its namespace since its start; a start that nobody reported means nothing.
            let home = matches!(key, Key::Home(_)) && !undated;
            (key, (if home { from } else { from.max(seen) }, false))
        });
        let keys: BTreeMap<Key, (Timestamp, bool)> = by_runtime.chain(shown).collect();
        self.sharing |= keys.keys().any(|key| matches!(key, Key::Joined(_) | Key::Home(_) | Key::Stray(_)));
        let room = self.spare_spans(id, keys.len());
        self.counts.spans_dropped += u64::try_from(keys.len().saturating_sub(room)).unwrap_or(u64::MAX);
        for (key, (from, undated)) in keys.into_iter().take(room) {
            self.push(id, key, (from, None), undated);
        }
        for stay in self.memberships.drain_stays(id) {
            let from = if stay.first && !undated { from } else { stay.seen };
            if from < stay.until {
                self.sharing = true;
                self.push(id, Key::Home(stay.ns), (from, Some(stay.until)), false);
            }
        }
    }

    fn push(&mut self, id: &WorkloadId, key: Key, (from, until): (Timestamp, Option<Timestamp>), undated: bool) {
        let Some(lifecycle) = self.by_id.get_mut(id) else { return };
        let (serial, workload) = (lifecycle.serial, lifecycle.workload.clone());
        self.index.push(key.clone(), Span { serial, workload, from, until, undated });
        lifecycle.keys.insert(key);
    }

    /// How many more spans a workload may have, after dropping past ones if `wanted` needs it.
    fn spare_spans(&mut self, id: &WorkloadId, wanted: usize) -> usize {
        let horizon = self.now.now().minus(self.limits.remember);
        let mut ends = Vec::new();
        let mut held = 0_usize;
        self.each_span(id, |span| {
            let keep = span.until.is_none_or(|until| until >= horizon);
            held += usize::from(keep);
            ends.extend(span.until.filter(|_| keep));
            keep
        });
        let excess = (held + wanted).saturating_sub(MAX_SPANS).min(ends.len());
        if excess > 0 {
            ends.sort_unstable();
            let mut left = excess;
            let newest_dropped = ends.get(excess - 1).copied();
            self.each_span(id, |span| {
                let drop = left > 0 && span.until.is_some() && span.until <= newest_dropped;
                left -= usize::from(drop);
                !drop
            });
            held -= excess;
            self.counts.spans_dropped += u64::try_from(excess).unwrap_or(u64::MAX);
        }
        MAX_SPANS.saturating_sub(held)
    }

    /// Visits every span of a workload; those for which `keep` answers false are removed.
    fn each_span(&mut self, id: &WorkloadId, mut keep: impl FnMut(&mut Span) -> bool) {
        let Some(lifecycle) = self.by_id.get_mut(id) else { return };
        let (index, serial) = (&mut self.index, lifecycle.serial);
        lifecycle.keys.retain(|key| index.retain(key, serial, &mut keep) > 0);
    }

    /// Lets the open spans speak of the workload as it is now; nothing that matters for the past changed.
    fn refresh(&mut self, workload: &Arc<Workload>) {
        self.each_span(&workload.id, |span| {
            if span.until.is_none() {
                span.workload = workload.clone();
            }
            true
        });
    }

    fn replace(&mut self, workload: &Arc<Workload>) {
        let Some(lifecycle) = self.by_id.get_mut(&workload.id) else { return };
        let old = std::mem::replace(&mut lifecycle.workload, workload.clone());
        if old.attachments != workload.attachments {
            self.at_interface.detach(&old);
            self.at_interface.attach(workload);
        }
    }

    /// The first running workload, in order of id, that the runtime attached to a host-side interface.
    pub(super) fn running_behind(&self, interface: &str) -> Option<&Arc<Workload>> {
        let mut attached = self.at_interface.attached_to(interface);
        attached.find(|id| self.is_running(id)).and_then(|id| self.get(id))
    }

    fn confirm(&mut self, id: &WorkloadId, seen: Timestamp) {
        if let Some(lifecycle) = self.by_id.get_mut(id) {
            lifecycle.state = RunState::Runs { seen };
        }
    }

    fn set_since(&mut self, id: &WorkloadId, since: Option<Timestamp>) {
        if let Some(lifecycle) = self.by_id.get_mut(id) {
            lifecycle.since = since;
        }
    }

    /// Makes room for one more by forgetting the oldest dead; false when everything runs.
    fn make_room(&mut self) -> bool {
        while self.by_id.len() >= self.limits.workloads {
            let Some((_, id)) = self.resting.first().cloned() else { return false };
            self.remove(&id);
            self.counts.evicted += 1;
        }
        true
    }

    fn remove(&mut self, id: &WorkloadId) {
        self.changes.note(id);
        self.each_span(id, |_| false);
        self.memberships.forget(id);
        let Some(Lifecycle { state, workload, .. }) = self.by_id.remove(id) else { return };
        self.at_interface.detach(&workload);
        if let RunState::Rests { at, .. } = state {
            self.resting.remove(&(at, id.clone()));
        }
    }
}

impl Lifecycle {
    const fn runs(&self) -> bool {
        matches!(self.state, RunState::Runs { .. })
    }
}

/// Whether the past must keep the old description: anything but what only "now" has.
fn differs(old: &Workload, new: &Workload) -> bool {
    let same = old.name == new.name
        && old.attachments == new.attachments
        && old.network_mode == new.network_mode
        && old.image == new.image
        && old.image_digest == new.image_digest
        && old.labels == new.labels;
    !same
}
