//! The followed flows, by key and by the ids of their records.
//!
//! Contract: a flow is found by its key, by the id of the record that meters it, and by the ids of those that rejoined it. Limits: those of the tracker.
//! Design: a flow has a place, to which key and ids lead: an id is one number, and a key is dear to look up.

use super::key::TrailKey;
use super::tracked_flow::TrackedFlow;
use crate::input::FlowId;

type Seeded = foldhash::fast::RandomState;

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Flows {
    places: Vec<Option<TrackedFlow>>,
    free: Vec<usize>,
    by_key: hashbrown::HashMap<TrailKey, usize, Seeded>,
    by_id: hashbrown::HashMap<FlowId, usize, Seeded>,
}

/// Whether a record is one of a flow's own.
fn is_of(tracked: &TrackedFlow, id: FlowId) -> bool {
    tracked.id == id || tracked.rejoined.contains(&id)
}

impl Flows {
    /// Flows followed now.
    pub(super) fn len(&self) -> usize {
        self.by_key.len()
    }

    /// Whether no flow is followed.
    pub(super) fn is_empty(&self) -> bool {
        self.by_key.is_empty()
    }

    pub(super) fn contains_key(&self, key: &TrailKey) -> bool {
        self.by_key.contains_key(key)
    }

    /// The flow with a key.
    pub(super) fn get(&self, key: &TrailKey) -> Option<&TrackedFlow> {
        self.places.get(*self.by_key.get(key)?)?.as_ref()
    }

    /// The same.
    pub(super) fn get_mut(&mut self, key: &TrailKey) -> Option<&mut TrackedFlow> {
        self.places.get_mut(*self.by_key.get(key)?)?.as_mut()
    }

    /// The flow of a record.
    pub(super) fn of(&self, id: FlowId) -> Option<&TrackedFlow> {
        let place = *self.by_id.get(&id)?;
        self.places.get(place)?.as_ref().filter(|tracked| is_of(tracked, id))
    }

    /// The same.
    pub(super) fn of_mut(&mut self, id: FlowId) -> Option<&mut TrackedFlow> {
        let place = *self.by_id.get(&id)?;
        self.places.get_mut(place)?.as_mut().filter(|tracked| is_of(tracked, id))
    }

    /// Two flows at once.
    pub(super) fn both_mut(&mut self, one: &TrailKey, other: &TrailKey) -> Option<[&mut TrackedFlow; 2]> {
        let places = [*self.by_key.get(one)?, *self.by_key.get(other)?];
        match self.places.get_disjoint_mut(places).ok()? {
            [Some(one), Some(other)] => Some([one, other]),
            _ => None,
        }
    }

    /// Follows a flow under its key and the id of the record that meters it.
    pub(super) fn insert(&mut self, tracked: TrackedFlow) {
        let (id, key) = (tracked.id, tracked.key);
        let Self { places, free, by_key, by_id } = self;
        let new = || {
            free.pop().unwrap_or_else(|| {
                places.push(None);
                places.len() - 1
            })
        };
        let place = *by_key.entry(key).or_insert_with(new);
        by_id.insert(id, place);
        if let Some(free) = places.get_mut(place) {
            *free = Some(tracked);
        }
    }

    /// A record belongs to the flow with a key from now on.
    pub(super) fn join(&mut self, id: FlowId, key: &TrailKey) {
        if let Some(place) = self.by_key.get(key) {
            self.by_id.insert(id, *place);
        }
    }

    /// A record is none of a followed flow's any more.
    pub(super) fn leave(&mut self, id: FlowId) {
        self.by_id.remove(&id);
    }

    /// Another key leads to a flow from now on.
    pub(super) fn rename(&mut self, old: &TrailKey, new: TrailKey) -> Option<&mut TrackedFlow> {
        let place = self.by_key.remove(old)?;
        self.by_key.insert(new, place);
        let tracked = self.places.get_mut(place)?.as_mut()?;
        tracked.key = new;
        Some(tracked)
    }

    /// Follows the flow of a record no more.
    pub(super) fn remove(&mut self, id: FlowId) -> Option<TrackedFlow> {
        let place = self.by_id.remove(&id)?;
        let tracked = self.places.get_mut(place)?.take_if(|tracked| is_of(tracked, id))?;
        self.free.push(place);
        self.by_key.remove(&tracked.key);
        for other in tracked.rejoined.iter().chain([&tracked.id]).filter(|other| **other != id) {
            self.by_id.remove(other);
        }
        Some(tracked)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::input::{Endpoint, FiveTuple, FlowRecord, ObservationPoint, Protocol};
    use crate::path::tracker::asked::Observed;
    use crate::time::Timestamp;

    fn flow(id: u64, port: u16) -> TrackedFlow {
        let end = |port| Endpoint { ip: [192, 0, 2, 1].into(), port };
        let tuple = FiveTuple { protocol: Protocol::TCP, orig: end(port), resp: end(443) };
        let record = FlowRecord::new(FlowId(id), ObservationPoint::new("veth1"), tuple, Timestamp::default());
        TrackedFlow::new(TrailKey::of(tuple), &record, id, Box::new(Observed::of(&record)))
    }

    #[test]
    fn a_place_that_is_used_again_is_not_found_by_what_led_to_it_before() {
        let mut flows = Flows::default();
        let (first, second) = (flow(1, 1001), flow(2, 1002));
        let (first_key, second_key) = (first.key, second.key);
        flows.insert(first);
        flows.join(FlowId(10), &first_key);
        if let Some(first) = flows.get_mut(&first_key) {
            first.rejoined.push(FlowId(10));
        }
        assert_eq!(flows.of(FlowId(10)).map(|flow| flow.id), Some(FlowId(1)));
        assert_eq!(flows.remove(FlowId(1)).map(|flow| flow.id), Some(FlowId(1)));
        flows.insert(second);
        assert_eq!(flows.places.len(), 1, "the place was empty");
        assert!([1, 10].into_iter().all(|id| flows.of(FlowId(id)).is_none()) && flows.get(&first_key).is_none());
        assert_eq!(flows.get(&second_key).map(|flow| flow.id), Some(FlowId(2)));
    }

    #[test]
    fn a_flow_under_another_key_keeps_its_records() {
        let mut flows = Flows::default();
        let flow = flow(1, 1001);
        let (old, new) = (flow.key, flow.key.aside(7));
        flows.insert(flow);
        assert_eq!(flows.rename(&old, new).map(|flow| flow.key), Some(new));
        assert_eq!(
            (flows.get(&old).is_none(), flows.of(FlowId(1)).map(|flow| flow.key), flows.len()),
            (true, Some(new), 1)
        );
    }
}
