//! Which contracts may be about a flow, so that not each has to be asked.
//!
//! Contract: never leaves out a contract that covers the flow, or for which its source sends on what the contract brought to it. Limits: where
//! nobody knows whose an address is, every contract may be about it.

use std::borrow::Cow;
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
pub(super) enum Candidates<'a> {
    All,
    These(Cow<'a, [usize]>),
}

impl<'a> Candidates<'a> {
    /// The first answer of those in a range.
    pub(super) fn find_map<T>(
        &self,
        mut range: std::ops::Range<usize>,
        ask: impl FnMut(usize) -> Option<T>,
    ) -> Option<T> {
        match self {
            Self::All => range.find_map(ask),
            Self::These(numbers) => numbers.iter().copied().filter(|number| range.contains(number)).find_map(ask),
        }
    }

    /// The contracts that may be about what this owner sends or receives.
    pub(super) fn of(
        owner: &Owner,
        (members, by_address): (&'a Members, &'a ByAddress),
        timeline: &Timeline,
        at: Timestamp,
    ) -> Self {
        match owner {
            Owner::Workload { workload, .. } => {
                let mut all = timeline.companions(workload, at);
                if all.is_empty() {
                    let relations = members.of(workload);
                    return relations.map_or(Self::All, |relations| Self::These(Cow::Borrowed(&relations.may_cover)));
                }
                all.push(Arc::clone(workload));
                Self::of_workloads(&all, members)
            }
            Owner::Ambiguous { candidates, .. } if !candidates.is_empty() => Self::of_workloads(candidates, members),
            Owner::External if timeline.is_complete() => Self::These(Cow::Borrowed(&by_address.selecting)),
            Owner::Host => Self::These(Cow::Borrowed(&by_address.selecting)),
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
        Self::These(Cow::Owned(numbers))
    }
}
