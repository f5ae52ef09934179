//! The last connections of each workload, by direction.
//!
//! Contract: a leg is found by its place, by its flow, and by the workload and direction that it is compared with. Limits: [`MAX_EACH`] legs a
//! workload and direction, [`MAX_LEGS`] of all; the oldest goes first; one without a packet for [`STALE`] is forgotten. Design: a place is a slot; lists of them lead there from the
//! flow, from the workload and from the age. A workload with legs has a number, so that its id is looked up once a leg.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use crate::input::{Counters, FlowId, FlowRecord, Side, Workload, WorkloadId};
use crate::inventory::Owner;
use crate::time::Timestamp;

/// Legs of one workload in one direction.
pub(super) const MAX_EACH: usize = 64;
/// Legs of all workloads: some 500 bytes each.
pub(super) const MAX_LEGS: usize = 32_768;
/// A connection without a packet for so long has no other leg any more.
const STALE: Duration = Duration::from_secs(30);

/// Which way a leg goes, seen from its workload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    Inbound,
    Outbound,
}

impl Direction {
    const fn opposite(self) -> Self {
        match self {
            Self::Inbound => Self::Outbound,
            Self::Outbound => Self::Inbound,
        }
    }
}

/// A connection of a workload.
#[derive(Debug)]
pub(super) struct Leg {
    pub(super) workload: Arc<Workload>,
    pub(super) direction: Direction,
    /// Who asked.
    pub(super) source: Owner,
    /// As it stands, with all its records' counters.
    pub(super) record: FlowRecord,
    /// The flow as it was judged: what its progress is reported under.
    flow: FlowId,
    /// Counters of records that ended while the connection went on.
    before: [Counters; 2],
    age: u64,
    /// The workload's number.
    number: usize,
    pub(super) reported: bool,
}

impl Leg {
    pub(super) fn new(workload: Arc<Workload>, direction: Direction, source: Owner, record: FlowRecord) -> Self {
        let flow = record.id;
        let before = [Counters::default(); 2];
        Self { workload, direction, source, record, flow, before, age: 0, number: 0, reported: false }
    }

    fn go_on(&mut self, record: &FlowRecord) {
        if self.record.id != record.id {
            self.before = [self.record.orig.counters, self.record.resp.counters];
        }
        let [orig, resp] = self.before;
        let app = record.app.clone().or_else(|| self.record.app.clone());
        self.record = FlowRecord {
            start: self.record.start,
            tuple: self.record.tuple,
            orig: with(record.orig, orig),
            resp: with(record.resp, resp),
            app,
            ..record.clone()
        };
    }
}

fn with(side: Side, before: Counters) -> Side {
    let Counters { packets, frame_bytes, ip_bytes, payload_bytes } = side.counters;
    let counters = Counters {
        packets: packets.saturating_add(before.packets),
        frame_bytes: frame_bytes.saturating_add(before.frame_bytes),
        ip_bytes: ip_bytes.saturating_add(before.ip_bytes),
        payload_bytes: payload_bytes.saturating_add(before.payload_bytes),
    };
    Side { counters, ..side }
}

/// Legs of all workloads.
#[derive(Debug, Default)]
pub(super) struct Legs {
    slots: Vec<Option<Leg>>,
    free: Vec<usize>,
    /// Ages and places, the oldest first; one whose leg is gone, or younger, counts no more.
    order: VecDeque<(u64, usize)>,
    /// Legs in slots.
    kept: usize,
    numbers: Table<WorkloadId, usize>,
    /// Of each workload, by its number.
    of: Vec<OfWorkload>,
    free_numbers: Vec<usize>,
    /// A flow between two workloads is a leg of both.
    flows: Table<FlowId, OfFlow>,
    next: u64,
    /// Legs that made room for others.
    pub(super) forgotten: u64,
}

/// The place of the other leg, the leg that came in, the one that went out.
pub(super) type Pair<'s> = (usize, &'s Leg, &'s Leg);

/// Whether an entry of the order is that of the leg at its place.
fn is_current(slots: &[Option<Leg>], (age, place): (u64, usize)) -> bool {
    slots.get(place).and_then(Option::as_ref).is_some_and(|leg| leg.age == age)
}

/// Places of a workload's legs, the oldest first.
#[derive(Debug, Default)]
struct OfWorkload {
    inbound: VecDeque<usize>,
    outbound: VecDeque<usize>,
}

impl OfWorkload {
    const fn way(&self, direction: Direction) -> &VecDeque<usize> {
        match direction {
            Direction::Inbound => &self.inbound,
            Direction::Outbound => &self.outbound,
        }
    }

    const fn way_mut(&mut self, direction: Direction) -> &mut VecDeque<usize> {
        match direction {
            Direction::Inbound => &mut self.inbound,
            Direction::Outbound => &mut self.outbound,
        }
    }
}

/// Places of the legs that a flow is: one where it came in, one where it went out, as it was inserted.
type OfFlow = [Option<usize>; 2];

type Table<K, V> = hashbrown::HashMap<K, V, foldhash::fast::RandomState>;

impl Legs {
    /// Takes in a leg; gives its place.
    pub(super) fn insert(&mut self, mut leg: Leg) -> usize {
        self.forget_stale(leg.record.start);
        leg.number = self.number(&leg.workload);
        let own = self.of.get(leg.number).map(|own| own.way(leg.direction));
        let spilled = own.filter(|own| own.len() >= MAX_EACH).and_then(|own| own.front().copied());
        if let Some(place) = spilled {
            self.forgotten += 1;
            self.forget(place);
        } else if self.kept >= MAX_LEGS
            && let Some(oldest) = self.oldest()
        {
            self.forgotten += 1;
            self.forget(oldest);
            // It may have been the only one of this workload.
            leg.number = self.number(&leg.workload);
        }
        let place = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            self.slots.len() - 1
        });
        leg.age = self.next;
        self.next += 1;
        self.order.push_back((leg.age, place));
        self.kept += 1;
        if let Some(own) = self.of.get_mut(leg.number) {
            own.way_mut(leg.direction).push_back(place);
        }
        let of_flow = self.flows.entry(leg.flow).or_default();
        if let Some(free) = of_flow.iter_mut().find(|leg| leg.is_none()) {
            *free = Some(place);
        }
        if let Some(slot) = self.slots.get_mut(place) {
            *slot = Some(leg);
        }
        place
    }

    /// The number of a workload, which has one from now on.
    fn number(&mut self, workload: &Workload) -> usize {
        let Self { numbers, of, free_numbers, .. } = self;
        let new = || {
            free_numbers.pop().unwrap_or_else(|| {
                of.push(OfWorkload::default());
                of.len() - 1
            })
        };
        *numbers.entry(workload.id.clone()).or_insert_with(new)
    }

    /// Looks at the oldest: what goes on is young again, what does not is forgotten. More go than come, so none stays for long.
    fn forget_stale(&mut self, now: Timestamp) {
        for _ in 0..4 {
            let Some(place) = self.oldest() else { return };
            let Some(leg) = self.slots.get_mut(place).and_then(Option::as_mut) else { return };
            if leg.record.end.plus(STALE) < now {
                self.forget(place);
            } else if leg.record.start.plus(STALE) < now {
                leg.age = self.next;
                self.next += 1;
                self.order.push_back((leg.age, place));
            } else {
                return;
            }
        }
    }

    /// The place of the oldest leg.
    fn oldest(&mut self) -> Option<usize> {
        let Self { slots, order, .. } = self;
        while order.front().is_some_and(|entry| !is_current(slots, *entry)) {
            order.pop_front();
        }
        order.front().map(|(_, place)| *place)
    }

    pub(super) fn get(&self, place: usize) -> Option<&Leg> {
        self.slots.get(place)?.as_ref()
    }

    fn get_mut(&mut self, place: usize) -> Option<&mut Leg> {
        self.slots.get_mut(place)?.as_mut()
    }

    /// The legs that a flow is.
    pub(super) fn of_flow(&self, flow: FlowId) -> impl Iterator<Item = usize> + use<> {
        self.flows.get(&flow).copied().unwrap_or_default().into_iter().flatten()
    }

    /// The connection goes on.
    pub(super) fn go_on(&mut self, place: usize, record: &FlowRecord) {
        if let Some(leg) = self.get_mut(place) {
            leg.go_on(record);
        }
    }

    /// What this leg may be one pair with, the latest first.
    pub(super) fn pairs<'s>(&'s self, leg: &'s Leg) -> impl Iterator<Item = Pair<'s>> + Clone {
        let others = self.of.get(leg.number).map(|own| own.way(leg.direction.opposite()));
        let others = others.into_iter().flatten().rev().filter_map(|place| Some((*place, self.get(*place)?)));
        others.filter(|(_, other)| !other.reported).filter_map(move |(place, other)| {
            let (inbound, outbound) = if leg.direction == Direction::Inbound { (leg, other) } else { (other, leg) };
            // Who asks and is asked back needs nobody to carry it.
            let elsewhere = inbound.record.tuple.orig.ip != outbound.record.tuple.resp.ip;
            elsewhere.then_some((place, inbound, outbound))
        })
    }

    /// These were reported.
    pub(super) fn report(&mut self, places: [usize; 2]) {
        for place in places {
            if let Some(leg) = self.get_mut(place) {
                leg.reported = true;
            }
        }
    }

    fn forget(&mut self, place: usize) {
        let Some(leg) = self.slots.get_mut(place).and_then(Option::take) else { return };
        self.free.push(place);
        self.kept -= 1;
        if self.order.len() > 2 * self.kept + MAX_EACH {
            let Self { slots, order, .. } = self;
            order.retain(|entry| is_current(slots, *entry));
        }
        if let Some(all) = self.of.get_mut(leg.number) {
            let own = all.way_mut(leg.direction);
            // The oldest goes first, as a rule.
            if own.front() == Some(&place) {
                own.pop_front();
            } else {
                own.retain(|other| *other != place);
            }
            if all.inbound.is_empty() && all.outbound.is_empty() {
                // An empty list keeps no room.
                *all = OfWorkload::default();
                self.numbers.remove(&leg.workload.id);
                self.free_numbers.push(leg.number);
            }
        }
        if let Some(of_flow) = self.flows.get_mut(&leg.flow) {
            *of_flow = of_flow.map(|other| other.filter(|other| *other != place));
            if of_flow.iter().all(Option::is_none) {
                self.flows.remove(&leg.flow);
            }
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> [usize; 4] {
        let kept = self.slots.iter().flatten().count();
        [
            kept,
            self.order.iter().filter(|entry| is_current(&self.slots, **entry)).count(),
            self.of.iter().map(|own| own.inbound.len() + own.outbound.len()).sum(),
            self.flows.values().map(|of_flow| of_flow.iter().flatten().count()).sum(),
        ]
    }
}
