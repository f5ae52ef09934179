//! What verdicts rest on beside the inventory: translations, losses, and when each hop was last seen.
//!
//! Contract: filled from facts and judged flows in event-time order; every table is bounded.

mod bindings;
mod hops;
mod legs;
mod losses;
mod unjudged;
mod windows;

pub use bindings::{Bindings, DECIDED};
pub use hops::{HopMemory, HopRecord};
pub use legs::Legs;
pub use losses::{LOSS_REPORTED_WITHIN, LossKind, Losses};
pub use unjudged::{Amount, SenderTraffic, UnjudgedReason, UnjudgedSender, UnjudgedTraffic};

use std::collections::BTreeMap;

use crate::input::{FlowEvent, FlowEventKind, LinkEvent, ObservationPoint};
use crate::inventory::Timeline;
use crate::time::Timestamp;

use super::{Contract, Family, JudgedFlow, Verdict};

/// All of it.
#[derive(Debug, Default)]
pub struct PathState {
    /// Address translations.
    pub bindings: Bindings,
    /// Windows in which something was not seen.
    pub losses: Losses,
    /// When each hop was last seen.
    pub hops: HopMemory,
    /// What relaying hops send on.
    pub legs: Legs,
    /// What covered workloads send without a verdict.
    pub unjudged: UnjudgedTraffic,
}

impl PathState {
    /// Nothing is known yet; the hops are those of these contracts.
    pub fn new<'a>(contracts: impl Iterator<Item = &'a Contract> + Clone) -> Self {
        Self {
            hops: HopMemory::new(contracts.clone()),
            legs: Legs::new(contracts.clone()),
            unjudged: UnjudgedTraffic::new(contracts),
            ..Self::default()
        }
    }

    /// Takes over other contracts; what was seen stays.
    pub fn reconfigure<'a>(
        &mut self,
        before: impl Iterator<Item = &'a Contract>,
        contracts: impl Iterator<Item = &'a Contract> + Clone,
    ) {
        let hops = |contract: &'a Contract| contract.hops().map(|hop| (hop.name.as_str(), hop));
        let (old, new): (BTreeMap<_, _>, BTreeMap<_, _>) =
            (before.flat_map(hops).collect(), contracts.clone().flat_map(hops).collect());
        let is_same = |name: &str| old.get(name).is_some_and(|hop| new.get(name) == Some(hop));
        self.hops.reconfigure(contracts.clone(), is_same, self.losses.observed());
        self.legs.reconfigure(contracts.clone());
        self.unjudged.reconfigure(contracts);
    }

    /// A point showed something at a time.
    pub fn see(&mut self, point: &ObservationPoint, at: Timestamp) {
        if self.losses.see(point, at) {
            self.hops.observe(point);
        }
    }

    /// Takes in what was reported about a link at a time.
    pub fn apply_link(&mut self, at: Timestamp, link: &LinkEvent) {
        self.losses.apply_link(at, link);
        self.hops.observe(&link.point);
    }

    /// A judged flow goes on: what a hop sends on says more of itself, what has no verdict grows.
    pub fn go_on(&mut self, flow: &JudgedFlow, event: &FlowEvent) {
        let record = &event.record;
        self.unjudged.went_on(flow, record, matches!(event.kind, FlowEventKind::Ended(_)));
        if !self.legs.is_empty() && record.id == flow.view.record.id {
            let record = flow.oriented.read(record);
            self.legs.go_on(&record, flow.source.workload().map(|workload| &**workload));
        }
    }

    /// Remembers what a judged flow says of hops.
    pub fn record(&mut self, timeline: &Timeline, flow: &JudgedFlow) {
        self.unjudged.judged(timeline, flow);
        if !self.legs.is_empty() {
            self.legs.record(&flow.view.record, flow.source.workload().map(|workload| &**workload));
        }
        let Some(judgement) = &flow.judgement else { return };
        let start = flow.oriented.at;
        for hop in &judgement.passed {
            self.hops.seen(&hop.name, start);
        }
        match (judgement.verdict, &judgement.missing_hop, flow.source.workload()) {
            (Verdict::Bypassed | Verdict::Partial, Some(missing), _)
                if !matches!(flow.revised_from, Some(Verdict::Bypassed | Verdict::Partial)) =>
            {
                missing.alternatives.iter().for_each(|hop| self.hops.missed(hop, start));
            }
            (Verdict::Verified, _, Some(workload)) => {
                let family = Family::of(flow.oriented.tuple.resp.ip);
                self.hops.kept(&judgement.contract, &workload.id, family);
            }
            _ => {}
        }
    }
}
