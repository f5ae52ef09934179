//! Which traffic some contract may cover, by addresses and ports alone.
//!
//! Contract: errs to the side of yes; says nothing of verdicts. It is asked by threads that have no inventory, when not everything can be judged: what
//! may be covered goes first. Limits: [`MAX_ADDRESSES`] addresses of workloads; an address that was covered once stays so.

use std::collections::HashSet;
use std::net::IpAddr;

use super::{Contract, Family, Service};
use crate::input::{FiveTuple, Workload};

/// Addresses of workloads that are remembered for all contracts together.
const MAX_ADDRESSES: usize = 131_072;

/// The contracts, each with the addresses of the workloads that it selects.
#[derive(Debug, Default)]
pub struct MayCover {
    contracts: Vec<(Contract, HashSet<IpAddr, foldhash::fast::RandomState>)>,
    addresses: usize,
}

impl MayCover {
    /// What these contracts cover by addresses that they name.
    pub fn new(contracts: &[Contract]) -> Self {
        let with = |contract: &Contract| (contract.clone(), HashSet::default());
        Self { contracts: contracts.iter().map(with).collect(), addresses: 0 }
    }

    /// A workload was reported.
    pub fn add(&mut self, workload: &Workload) {
        for (contract, addresses) in &mut self.contracts {
            let is_meant = contract.workloads.iter().any(|selector| selector.matches(workload));
            for ip in workload.addresses().filter(|_| is_meant) {
                if self.addresses < MAX_ADDRESSES && addresses.insert(ip) {
                    self.addresses += 1;
                }
            }
        }
    }

    /// Whether a flow with these ends may be covered.
    pub fn covers(&self, tuple: &FiveTuple) -> bool {
        self.contracts.iter().any(|(contract, addresses)| {
            let (own, other) = match contract.service {
                Service::Ingress => (tuple.resp.ip, tuple.orig.ip),
                Service::Egress | Service::Dns => (tuple.orig.ip, tuple.resp.ip),
            };
            let is_named = || contract.workloads.iter().any(|by| by.matches_bare_address(own) == Some(true));
            let port = tuple.resp.port;
            (contract.ports.is_empty() || contract.ports.iter().any(|spec| spec.matches(tuple.protocol, port)))
                && contract.family.is_none_or(|family| Family::of(other) == family)
                && contract.remotes.iter().any(|set| set.contains(other))
                && (addresses.contains(&own) || is_named())
        })
    }
}
