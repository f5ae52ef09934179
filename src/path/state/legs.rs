//! What hops send on: the legs that relayed conversations are matched with.
//!
//! Contract: only hops whose evidence includes `relay` are followed. Limits: [`MAX_LEGS`] a hop, the oldest go first.

use std::collections::{BTreeMap, VecDeque};

use crate::input::{FlowRecord, Workload};
use crate::path::{Contract, EvidenceKind, Hop};

const MAX_LEGS: usize = 512;

#[derive(Debug)]
struct Relay {
    hop: std::sync::Arc<Hop>,
    legs: VecDeque<FlowRecord>,
}

/// The legs of every hop that relays.
#[derive(Debug, Default)]
pub struct Legs {
    relays: BTreeMap<String, Relay>,
}

impl Legs {
    /// No legs yet; the hops are those of these contracts.
    pub fn new<'a>(contracts: impl Iterator<Item = &'a Contract>) -> Self {
        let hops = contracts.flat_map(Contract::hops).filter(|hop| hop.accepts(EvidenceKind::Relay));
        let relay = |hop: &std::sync::Arc<Hop>| Relay { hop: hop.clone(), legs: VecDeque::new() };
        Self { relays: hops.map(|hop| (hop.name.clone(), relay(hop))).collect() }
    }

    /// Takes over other contracts. A hop that is the same as before keeps its legs.
    pub(in crate::path) fn reconfigure<'a>(&mut self, contracts: impl Iterator<Item = &'a Contract>) {
        let mut before = std::mem::replace(self, Self::new(contracts)).relays;
        for (name, relay) in &mut self.relays {
            if let Some(known) = before.remove(name).filter(|known| known.hop == relay.hop) {
                relay.legs = known.legs;
            }
        }
    }

    /// Whether no hop relays.
    pub fn is_empty(&self) -> bool {
        self.relays.is_empty()
    }

    /// A flow as it stands, read from the end that asked; `source` is who asked.
    pub(in crate::path) fn record(&mut self, record: &FlowRecord, source: Option<&Workload>) {
        for relay in self.relays.values_mut() {
            if !is_from(&relay.hop, record, source) {
                continue;
            }
            if let Some(known) = relay.legs.iter_mut().rev().find(|known| known.id == record.id) {
                *known = record.clone();
                continue;
            }
            if relay.legs.len() >= MAX_LEGS {
                relay.legs.pop_front();
            }
            relay.legs.push_back(record.clone());
        }
    }

    /// A leg as it stands now.
    pub(in crate::path) fn go_on(&mut self, record: &FlowRecord, source: Option<&Workload>) {
        for relay in self.relays.values_mut().filter(|relay| is_from(&relay.hop, record, source)) {
            if let Some(known) = relay.legs.iter_mut().rev().find(|known| known.id == record.id) {
                *known = record.clone();
            }
        }
    }

    /// A hop's legs, newest first.
    pub(in crate::path) fn of(&self, hop: &str) -> impl Iterator<Item = &FlowRecord> {
        self.relays.get(hop).into_iter().flat_map(|relay| relay.legs.iter().rev())
    }
}

fn is_from(hop: &Hop, record: &FlowRecord, source: Option<&Workload>) -> bool {
    source.is_some_and(|workload| hop.is_workload(workload)) || hop.is_address(record.tuple.orig.ip)
}
