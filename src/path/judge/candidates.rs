//! Which contracts may be about a flow, so that not each has to be asked.
//!
//! Contract: never leaves out a contract that covers the flow, or for which its source sends on what the contract brought to it. Limits: where
//! nobody knows whose an address is, every contract may be about it.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use ipnetwork::IpNetwork;

use super::members::Members;
use crate::input::Workload;
use crate::inventory::{Owner, Timeline};
use crate::path::{Contract, HopKind, Service};
use crate::time::Timestamp;

/// The contracts that addresses alone lead to, by number.
#[derive(Debug, Default)]
pub(super) struct ByAddress {
    /// An address without a known workload may be enough for these.
    selecting: Vec<usize>,
    /// Contracts about what is sent, by the addresses of their hops, sidecars left out.
    hops: BTreeMap<IpAddr, Vec<usize>>,
    /// The same for ranges of several addresses.
    hop_ranges: BTreeMap<IpNetwork, Vec<usize>>,
}

impl ByAddress {
    pub(super) fn new<'a>(contracts: impl Iterator<Item = &'a Contract>) -> Self {
        let mut all = Self::default();
        for (number, contract) in contracts.enumerate() {
            if contract.workloads.iter().any(super::super::Selector::is_by_address_alone) {
                all.selecting.push(number);
            }
            if contract.service == Service::Ingress {
                continue;
            }
            let hops = contract.hops().filter(|hop| hop.kind != HopKind::Sidecar);
            for range in hops.flat_map(|hop| &hop.addresses) {
                let numbers = if range.size() == 1_u32.into() {
                    all.hops.entry(range.ip()).or_default()
                } else {
                    all.hop_ranges.entry(*range).or_default()
                };
                numbers.push(number);
            }
        }
        all
    }

    /// The contracts about what is sent, of which this address is a hop.
    pub(super) fn hops_at(&self, ip: IpAddr) -> impl Iterator<Item = usize> + '_ {
        let single = self.hops.get(&ip).into_iter();
        let ranges = self.hop_ranges.iter().filter(move |(range, _)| range.contains(ip)).map(|(_, numbers)| numbers);
        single.chain(ranges).flatten().copied()
    }
}

/// Contracts to ask, in order.
pub(super) enum Candidates {
    All,
    These(Vec<usize>),
}

impl Candidates {
    /// The numbers of those in a range.
    pub(super) fn within(self, range: std::ops::Range<usize>) -> Box<dyn Iterator<Item = usize>> {
        match self {
            Self::All => Box::new(range),
            Self::These(numbers) => Box::new(numbers.into_iter().filter(move |number| range.contains(number))),
        }
    }

    /// The contracts that may be about what this owner sends or receives.
    pub(super) fn of(
        owner: &Owner,
        (members, by_address): (&Members, &ByAddress),
        timeline: &Timeline,
        at: Timestamp,
    ) -> Self {
        match owner {
            Owner::Workload { workload, .. } => {
                let mut all = timeline.companions(workload, at);
                all.push(Arc::clone(workload));
                Self::of_workloads(&all, members)
            }
            Owner::Ambiguous { candidates, .. } if !candidates.is_empty() => Self::of_workloads(candidates, members),
            Owner::External if timeline.is_complete() => Self::These(by_address.selecting.clone()),
            Owner::Host => Self::These(by_address.selecting.clone()),
            Owner::External | Owner::Unknown | Owner::Ambiguous { .. } => Self::All,
        }
    }

    fn of_workloads(workloads: &[Arc<Workload>], members: &Members) -> Self {
        let mut numbers = Vec::new();
        for workload in workloads {
            let Some(relations) = members.of(workload) else { return Self::All };
            numbers.extend_from_slice(&relations.may_cover);
        }
        if workloads.len() > 1 {
            numbers.sort_unstable();
            numbers.dedup();
        }
        Self::These(numbers)
    }
}
