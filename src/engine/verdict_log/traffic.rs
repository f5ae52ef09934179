//! How much the flows of a question carry.
//!
//! Contract: each flow counts with the packets and bytes of its last event, under its last verdict. Limits: [`MAX_FLOWS`] flows are followed; the
//! oldest keeps what it had. Design: keyed by five-tuple, since a flow may have several records.

use std::collections::{BTreeMap, HashMap, VecDeque};

use crate::input::{EndReason, FiveTuple, FlowEvent, FlowEventKind, FlowId, FlowRecord, ObservationPoint};
use crate::path::{Amount, JudgedFlow, Verdict};

/// Flows whose counters are followed.
const MAX_FLOWS: usize = 262_144;

/// What a flow is counted as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Traffic {
    /// Verified.
    Verified,
    /// Bypassed or partial.
    Exception,
    /// Unobservable.
    Unobservable,
    /// Not asked about.
    Excepted,
}

impl Traffic {
    pub(super) const fn of(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Verified => Self::Verified,
            Verdict::Bypassed | Verdict::Partial => Self::Exception,
            Verdict::Unobservable(_) => Self::Unobservable,
        }
    }
}

#[derive(Clone, Debug)]
struct Tracked {
    traffic: Traffic,
    id: FlowId,
    point: ObservationPoint,
    /// Packets and bytes of earlier records of the same flow.
    before: (u64, u64),
    now: (u64, u64),
    /// Its record was cut by time: the next one of this tuple goes on with it.
    continues: bool,
}

/// The flows that are followed, and the sum of those that are not any more.
#[derive(Debug, Default)]
pub(super) struct Flows {
    tracked: HashMap<FiveTuple, Tracked, foldhash::fast::RandomState>,
    oldest_first: VecDeque<FiveTuple>,
    done: BTreeMap<Traffic, Amount>,
}

fn add(amounts: &mut BTreeMap<Traffic, Amount>, one: &Tracked) {
    let amount = amounts.entry(one.traffic).or_default();
    amount.flows += 1;
    amount.packets += one.before.0 + one.now.0;
    amount.bytes += one.before.1 + one.now.1;
}

fn sum(record: &FlowRecord) -> (u64, u64) {
    let (orig, resp) = (record.orig.counters, record.resp.counters);
    (orig.packets + resp.packets, orig.frame_bytes + resp.frame_bytes)
}

impl Flows {
    /// Sums of everything so far.
    pub(super) fn amounts(&self) -> BTreeMap<Traffic, Amount> {
        let mut amounts = self.done.clone();
        self.tracked.values().for_each(|one| add(&mut amounts, one));
        amounts
    }

    /// A flow was judged, or judged again.
    pub(super) fn judged(&mut self, flow: &JudgedFlow, traffic: Traffic) {
        let key = flow.oriented.tuple.canonical();
        if flow.again {
            if let Some(known) = self.tracked.get_mut(&key) {
                known.traffic = traffic;
            }
            return;
        }
        while self.tracked.len() >= MAX_FLOWS {
            let Some(oldest) = self.oldest_first.pop_front() else { break };
            if let Some(old) = self.tracked.remove(&oldest) {
                add(&mut self.done, &old);
            }
        }
        let (record, before) = (&flow.view.record, (0, 0));
        let (id, point, now) = (record.id, record.point.clone(), sum(record));
        match self.tracked.insert(key, Tracked { traffic, id, point, before, now, continues: false }) {
            Some(old) => add(&mut self.done, &old),
            None => self.oldest_first.push_back(key),
        }
    }

    /// A flow began, was answered, went on or ended.
    pub(super) fn on_flow(&mut self, event: &FlowEvent) {
        let record = &event.record;
        let Some(one) = self.tracked.get_mut(&record.tuple.canonical()) else { return };
        if record.id != one.id {
            if !one.continues || record.point != one.point {
                return;
            }
            one.before = (one.before.0 + one.now.0, one.before.1 + one.now.1);
            one.id = record.id;
        }
        one.now = sum(record);
        one.continues = event.kind == FlowEventKind::Ended(EndReason::ActiveTimeout);
    }
}
