//! Contracts that never judge anything, because an earlier one takes all that they are about.
//!
//! Contract: a contract is named only where this is certain from the configuration. Limits: globs are compared by their literal parts, so some
//! shadowed contracts are not found. Design: what an earlier contract does not cover, its own hops above all, is left to the later one.

use super::Lint;
use crate::config::problem::quoted;
use crate::config::source::Span;
use crate::path::{Contract, DestinationSet, PortSpec, Selector, Service};

/// Each contract that another one shadows; `names`: the places of their names, in the same order.
pub(in crate::config) fn shadowed(contracts: &[Contract], names: &[Span]) -> Vec<Lint> {
    let mut judged: Vec<_> = contracts.iter().zip(names).collect();
    // As the judge tries them: DNS before others, else in the order of the file.
    judged.sort_by_key(|(contract, _)| contract.service);
    let mut lints = Vec::new();
    for (place, (later, span)) in judged.iter().enumerate() {
        let mut before = judged.iter().take(place).map(|(earlier, _)| earlier);
        if let Some(earlier) = before.find(|earlier| takes_all_of(earlier, later)) {
            let text = format!(
                "the contract {} never judges: {} comes first and is about all of its traffic; take it out, or put it before that one",
                quoted(&later.name),
                quoted(&earlier.name)
            );
            lints.push((**span, text));
        }
    }
    lints
}

fn takes_all_of(earlier: &Contract, later: &Contract) -> bool {
    let same_way = (earlier.service == Service::Ingress) == (later.service == Service::Ingress);
    let workloads = || each(&later.workloads, &earlier.workloads, Selector::covers);
    let is_exempt = |selector: &Selector| {
        earlier.hops().any(|hop| !hop.addresses.is_empty() || hop.workloads.iter().any(|one| one.may_overlap(selector)))
    };
    same_way
        && earlier.family.is_none_or(|family| later.family == Some(family))
        && workloads()
        && !later.workloads.iter().any(is_exempt)
        && each(&later.remotes, &earlier.remotes, set_covers)
        && (earlier.ports.is_empty()
            || (!later.ports.is_empty()
                && each(&later.ports, &earlier.ports, |spec, other| port_covers(*spec, *other))))
}

/// Whether each is covered by one of the others.
fn each<T>(covered: &[T], by: &[T], covers: impl Fn(&T, &T) -> bool) -> bool {
    covered.iter().all(|one| by.iter().any(|other| covers(other, one)))
}

fn set_covers(set: &DestinationSet, other: &DestinationSet) -> bool {
    match (set, other) {
        (DestinationSet::Any, _) => true,
        (DestinationSet::Ranges(ranges), DestinationSet::Ranges(others)) => {
            each(others, ranges, |range, other| range.prefix() <= other.prefix() && range.contains(other.network()))
        }
        _ => set == other,
    }
}

fn port_covers(spec: PortSpec, other: PortSpec) -> bool {
    spec.port == other.port && (spec.protocol.is_none() || spec.protocol == other.protocol)
}
