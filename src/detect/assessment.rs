//! What all rules about settings say of one container.
//!
//! Contract: pure; no state of the rules is used. Design: used by learning, which holds back what is dangerous, and by the audit.

use super::posture::{Drift, Signal};
use super::{RuleMeta, rules};
use crate::baseline::{Baseline, Compared, Hostile};
use crate::input::Workload;

/// What of a container is dangerous whatever its service, by the rules about settings and the one about the host's network.
pub fn hostile(workload: &Workload) -> Vec<Hostile> {
    let Some(configuration) = &workload.configuration else { return Vec::new() };
    let of_settings = rules::postures().into_iter().flat_map(|posture| (posture.signals)(workload, configuration));
    let settings = of_settings.map(|signal| Hostile { field: signal.field, reason: signal.text });
    let network = rules::unexpected_host_network::hostile(workload);
    let mut all: Vec<Hostile> = Vec::new();
    for one in settings.chain(network) {
        match all.iter_mut().find(|known| known.field == one.field) {
            Some(known) => known.reason = format!("{}; {}", known.reason, one.reason),
            None => all.push(one),
        }
    }
    all
}

/// What the rules about settings have to say of a container, each with its rule; the worst first.
pub fn assess(workload: &Workload, baseline: Option<&Baseline>) -> Vec<(&'static RuleMeta, Signal)> {
    let Some(configuration) = &workload.configuration else { return Vec::new() };
    let compared = baseline.and_then(|baseline| Compared::of(baseline, workload));
    let beside = baseline.zip(compared.as_ref());
    let mut all: Vec<_> = rules::postures()
        .into_iter()
        .flat_map(|posture| {
            let drift = Drift::new(posture, beside, (posture.signals)(workload, configuration));
            drift.signals.into_iter().map(move |signal| (posture.rule, signal))
        })
        .collect();
    all.sort_by_key(|(_, signal)| std::cmp::Reverse(signal.severity));
    all
}
