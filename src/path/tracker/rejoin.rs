//! A record that began with a stranger's frame, and goes on with frames of the address's owner.
//!
//! Contract: once the owner's own frames show in it, it is part of the owner's trail; before that, and where only the stranger's show, it is a trail
//! of its own (ADR 10). Limits: [`MAX_REJOINED`] records a trail; only the record that meters the stranger's trail.
//! Design: a neighbour that sends one datagram before a flow would else split what the points saw of it in two, and each half would look like a
//! flow that no other point saw.

use super::key::TrailKey;
use super::{Deadline, Step, Tracker};
use crate::input::FlowRecord;
use crate::path::JudgeContext;
use crate::path::source;
use crate::time::Timestamp;

/// Records of one trail.
const MAX_REJOINED: usize = 8;

/// How a record becomes part of the owner's trail.
#[derive(Clone, Copy)]
enum Join {
    /// As the next record of the point that meters the trail.
    GoesOn,
    /// As what another point saw of it.
    Witnesses,
}

impl Tracker {
    /// The key under which a record of a stranger's trail is followed from now on.
    pub(super) fn rejoin(
        &mut self,
        context: JudgeContext<'_>,
        key: TrailKey,
        record: &FlowRecord,
        now: Timestamp,
        step: &mut Step,
    ) -> TrailKey {
        let is_candidate = key.stranger.is_some() && key.sequence.is_none();
        let is_metering = |tracked: &super::TrackedFlow| tracked.id == record.id && tracked.over.is_none();
        if !is_candidate
            || !self.flows.get(&key).is_some_and(is_metering)
            || !source::shows_an_owner(context.timeline, record)
        {
            return key;
        }
        let own = self.trail_of(TrailKey::of(record.tuple));
        let joins = match self.flows.get(&own) {
            None => return self.rename(key, own),
            Some(tracked) if tracked.point == record.point && tracked.goes_on_in(record) => Join::GoesOn,
            Some(tracked) if tracked.over.is_none() && tracked.rejoined.len() < MAX_REJOINED => Join::Witnesses,
            Some(_) => return key,
        };
        // What the stranger sent is said of it before its trail is given up.
        self.try_judge(context, record.id, now, Deadline::Now, step);
        let witnesses = self.flows.get_mut(&key).map(|stranger| stranger.give_up(record)).unwrap_or_default();
        self.give_up(record.id, step);
        match joins {
            Join::GoesOn => self.go_on(own, record),
            Join::Witnesses => self.join_own(context, own, record),
        }
        if let Some(tracked) = self.flows.get_mut(&own) {
            let is_turned = tracked.tuple != record.tuple;
            tracked.join(witnesses.into_iter().map(|one| if is_turned { one.turned() } else { one }).collect());
        }
        self.alias(key, own);
        own
    }

    fn rename(&mut self, old: TrailKey, new: TrailKey) -> TrailKey {
        let Some(tracked) = self.flows.rename(&old, new) else { return old };
        for twin in &tracked.twins {
            self.twins.insert(*twin, new);
        }
        self.alias(old, new);
        new
    }

    /// What other points report under the stranger's key belongs to the owner's trail.
    fn alias(&mut self, old: TrailKey, new: TrailKey) {
        if self.flows.get_mut(&new).is_some_and(|tracked| tracked.add_twin(old)) {
            self.twins.insert(old, new);
        }
    }

    fn join_own(&mut self, context: JudgeContext<'_>, own: TrailKey, record: &FlowRecord) {
        let Some(tracked) = self.flows.get_mut(&own) else { return };
        let old = tracked.id;
        if tracked.witness_same(context, record) {
            tracked.forged = true;
            self.renumber(old, record.id, own);
        } else {
            tracked.rejoined.push(record.id);
            self.flows.join(record.id, &own);
        }
    }
}
