//! How much traffic each service has in each hour.
//!
//! Contract: event time alone; a flow's growth belongs to the hour of its last packet. An hour is closed [`GRACE`] after its end: what is reported
//! later of it is left out. Only whole hours are given, in which anything at all was seen before and after: silence of everybody is no silence of
//! one. Limits: [`MAX_FLOWS`] open flows; of one that finds no room only its beginning counts. [`MAX_SERVICES`] services an hour.
//! Design: what goes on is counted by its growth, so that a transfer of a day is one of 24 hours.

use std::collections::BTreeMap;
use std::time::Duration;

use super::actor::Actor;
use super::contacts::{Contact, ContactStep};
use super::dealing::counts;
use crate::baseline::volume::{Amounts, Figure, hour_of, of_one, start_of};
use crate::input::{FlowId, FlowRecord, WorkloadState};
use crate::inventory::Timeline;
use crate::inventory::configuration::ServiceKey;
use crate::time::Timestamp;

/// Open flows whose amounts are known so far.
const MAX_FLOWS: usize = 65_536;
/// Services of one hour.
const MAX_SERVICES: usize = 4096;
/// Hours that are open at once: more are a step of the clock.
const MAX_OPEN: usize = 3;
/// How long after its end an hour stays open: flows that fell silent are reported late.
pub const GRACE: Duration = Duration::from_mins(5);

/// What a flow carried so far: payload and packets from each end.
type Carried = [u64; 4];

/// An hour that is over.
#[derive(Debug)]
pub struct ClosedHour {
    /// Counted from the epoch.
    pub hour: i64,
    /// What each service had, together; one that is not here had nothing.
    pub amounts: BTreeMap<Actor, Amounts>,
}

/// Counts.
#[derive(Debug, Default)]
pub struct Hours {
    flows: hashbrown::HashMap<FlowId, Carried, foldhash::fast::RandomState>,
    open: BTreeMap<i64, BTreeMap<Actor, Amounts>>,
    /// The first hour that is not closed; nothing of the time before is whole.
    next: Option<i64>,
    forgotten: u64,
}

impl Hours {
    /// Takes a contact in, for each of its ends that is a service and wanted.
    pub fn note(&mut self, contact: &Contact<'_>, is_wanted: impl Fn(&Actor) -> bool) {
        let hour = hour_of(contact.record.end);
        let next = *self.next.get_or_insert(hour.saturating_add(1));
        let sides = [(contact.source, false), (contact.target, true)];
        let is_service = |actor: &&Actor| actor.service().is_some() && is_wanted(actor);
        let is_meant = sides.iter().any(|(actor, _)| actor.as_ref().is_some_and(is_service)) && !is_loopback(contact);
        let grew = if is_meant { self.grew(contact) } else { [0; 4] };
        if hour < next {
            return;
        }
        let of_hour = self.open.entry(hour).or_default();
        let is_flow = u64::from(contact.step == ContactStep::Decided && counts(contact));
        for (actor, is_asked) in sides.into_iter().filter(|_| is_meant) {
            let Some(actor) = actor.filter(is_service) else { continue };
            let [bytes_sent, bytes_back, packets_sent, packets_back] = grew;
            let more: Amounts = if is_asked {
                [bytes_back, bytes_sent, packets_back, packets_sent, 0, is_flow]
            } else {
                [bytes_sent, bytes_back, packets_sent, packets_back, is_flow, 0]
            };
            if more == Amounts::default() {
                continue;
            }
            if of_hour.len() >= MAX_SERVICES && !of_hour.contains_key(actor) {
                self.forgotten += 1;
                continue;
            }
            let known = of_hour.entry(actor.clone()).or_default();
            known.iter_mut().zip(more).for_each(|(known, more)| *known = known.saturating_add(more));
        }
        while self.open.len() > MAX_OPEN {
            self.skip();
        }
    }

    /// By how much a flow grew. One whose beginning was not seen counts from now on.
    fn grew(&mut self, contact: &Contact<'_>) -> Carried {
        let now = carried(contact.record);
        let id = contact.flow.view.record.id;
        let before = match contact.step {
            ContactStep::Decided => {
                if self.flows.len() < MAX_FLOWS {
                    self.flows.insert(id, now);
                } else {
                    self.forgotten += 1;
                }
                return now;
            }
            ContactStep::GoesOn | ContactStep::Resumed { .. }
                if self.flows.len() < MAX_FLOWS || self.flows.contains_key(&id) =>
            {
                self.flows.insert(id, now)
            }
            ContactStep::GoesOn | ContactStep::Resumed { .. } => None,
            ContactStep::Ended => self.flows.remove(&id),
        };
        let Some(before) = before else { return [0; 4] };
        std::array::from_fn(|place| {
            let [now, before] = [now, before].map(|all| all.get(place).copied().unwrap_or(0));
            now.saturating_sub(before)
        })
    }

    /// When the next hour can be closed; `None`: nothing was seen.
    pub fn due(&self) -> Option<Timestamp> {
        self.next.map(|next| start_of(next.saturating_add(1)).plus(GRACE))
    }

    /// The next hour that is over; to be asked until there is none.
    pub fn close(&mut self, now: Timestamp) -> Option<ClosedHour> {
        while self.due().is_some_and(|due| now >= due) {
            let hour = self.next?;
            if let Some(amounts) = self.open.remove(&hour) {
                self.next = Some(hour.saturating_add(1));
                return Some(ClosedHour { hour, amounts });
            }
            self.skip();
        }
        None
    }

    /// Nothing of anybody was seen in an hour: what follows begins anew, and its first hour is not whole.
    fn skip(&mut self) {
        self.next = self.open.pop_first().map(|(hour, _)| hour.saturating_add(1));
    }

    /// Whether a service had any traffic since the hours that are closed.
    pub fn is_heard(&self, actor: &Actor) -> bool {
        self.open.values().any(|of_hour| of_hour.contains_key(actor))
    }

    /// How often a bound cost something.
    pub const fn forgotten(&self) -> u64 {
        self.forgotten
    }
}

fn carried(record: &FlowRecord) -> Carried {
    let (orig, resp) = (record.orig.counters, record.resp.counters);
    [orig.payload_bytes, resp.payload_bytes, orig.packets, resp.packets]
}

fn is_loopback(contact: &Contact<'_>) -> bool {
    let (orig, resp) = (contact.tuple.orig.ip.to_canonical(), contact.tuple.resp.ip.to_canonical());
    orig.is_loopback() || resp.is_loopback()
}

/// The containers of a service that run.
#[derive(Clone, Copy, Debug)]
pub struct Running {
    /// How many.
    pub containers: u64,
    /// When the latest of them started; of some that is not known.
    pub youngest: Option<Timestamp>,
}

impl Running {
    /// Of every service.
    pub fn all(timeline: &Timeline) -> BTreeMap<ServiceKey, Self> {
        let mut all: BTreeMap<ServiceKey, Self> = BTreeMap::new();
        let running = timeline.running().filter(|workload| workload.state == WorkloadState::Running);
        for workload in running {
            let known = all.entry(ServiceKey::of(workload)).or_insert(Self { containers: 0, youngest: None });
            known.containers += 1;
            known.youngest = known.youngest.max(workload.since);
        }
        all
    }

    /// Whether all of them ran through an hour.
    pub fn is_through(&self, hour: i64) -> bool {
        self.youngest.is_none_or(|since| since < start_of(hour))
    }

    /// What one of them had.
    pub fn of_one(&self, amounts: Amounts) -> Amounts {
        of_one(amounts, self.containers)
    }
}

/// Whether there was nothing at all.
pub fn is_silent(amounts: Amounts) -> bool {
    amounts == [0; Figure::ALL.len()]
}
