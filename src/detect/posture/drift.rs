//! Dangerous settings and differences from the baseline, taken together.
//!
//! Contract: a field speaks once: as a difference where the baseline has an expectation of it, as a dangerous setting where it has none.
//! What the baseline expects says nothing. A service that was learned from one start alone counts one severity less, except for what is
//! dangerous in itself. Design: used by all rules about settings, and by learning, which holds back what is dangerous.

use super::{Posture, Signal};
use crate::baseline::{Baseline, Compared, Deviation, Hostile, Known, ServiceBaseline};
use crate::detect::{RuleMeta, rules};
use crate::input::Workload;

/// What a rule has to say of a container.
pub(super) struct Drift {
    /// In order: differences, then what is dangerous and not in the baseline.
    pub(super) signals: Vec<Signal>,
    /// What the baseline is to this container.
    pub(super) baseline: Option<String>,
    /// Whether something of it is dangerous whatever the service.
    pub(super) is_hostile: bool,
}

impl Drift {
    pub(super) fn new(posture: &Posture, beside: Option<(&Baseline, &Compared)>, dangerous: Vec<Signal>) -> Self {
        let Some((baseline, compared)) = beside else {
            let is_hostile = !dangerous.is_empty();
            return Self { signals: dangerous, baseline: None, is_hostile };
        };
        let text = described(baseline, compared);
        let service = baseline.service(&compared.key).filter(|_| compared.known == Known::Enforced);
        let is_dangerous = !dangerous.is_empty();
        let (signals, is_hostile) = if let Some(service) = service {
            unexpected(posture, service, &compared.deviations, dangerous)
        } else {
            (dangerous, is_dangerous)
        };
        Self { signals, baseline: Some(text), is_hostile }
    }
}

/// What of a service's container is not as expected, and what of it the baseline does not know and is dangerous.
fn unexpected(
    posture: &Posture,
    service: &ServiceBaseline,
    deviations: &[Deviation],
    dangerous: Vec<Signal>,
) -> (Vec<Signal>, bool) {
    let mut is_hostile = false;
    let mut signals = Vec::new();
    for deviation in deviations.iter().filter(|deviation| (posture.owns)(&deviation.field)) {
        let of_field: Vec<&Signal> = dangerous.iter().filter(|signal| signal.field == deviation.field).collect();
        is_hostile |= !of_field.is_empty();
        let drift = (posture.drift)(deviation);
        let drift = if service.is_single_start() { drift.lower() } else { drift };
        let severity = of_field.iter().map(|signal| signal.severity).chain([drift]).max().unwrap_or(drift);
        let why: String = of_field.iter().map(|signal| format!("; {}", signal.text)).collect();
        let name = format!("{} {}", deviation.field, deviation.words());
        signals.push(Signal::new(name, deviation.field.clone(), severity, format!("{deviation}{why}")));
    }
    let unknown = dangerous.into_iter().filter(|signal| service.expectation(&signal.field).is_none());
    for signal in unknown {
        is_hostile = true;
        let text = format!("{}; the baseline has nothing approved for {}", signal.text, signal.field);
        signals.push(Signal { text, ..signal });
    }
    (signals, is_hostile)
}

fn described(baseline: &Baseline, compared: &Compared) -> String {
    let serial = baseline.serial;
    match &compared.known {
        Known::Enforced => {
            let service = baseline.service(&compared.key);
            let starts = service.and_then(|service| service.learned.as_ref()).map(|learned| learned.starts);
            let confidence = match starts {
                Some(1) => ", learned from one start alone",
                _ => "",
            };
            format!("the service is in the baseline, serial {serial}{confidence}")
        }
        Known::Shadow => {
            format!("the service is in the baseline, serial {serial}, in shadow: its differences raise no alert")
        }
        Known::OtherImage(others) => {
            let others: Vec<&str> = others.iter().map(String::as_str).collect();
            let others = others.join(", ");
            format!(
                "the baseline, serial {serial}, has a service of this name from {others}; this one has another image"
            )
        }
        Known::Unknown => format!("the baseline, serial {serial}, has no such service"),
    }
}

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
