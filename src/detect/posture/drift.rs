//! Dangerous settings and differences from the baseline, taken together.
//!
//! Contract: a field speaks once: as a difference where the baseline has an expectation of it, as a dangerous setting where it has none.
//! What the baseline expects says nothing. A service that was learned from one start alone counts one severity less, except for what is
//! dangerous in itself.

use super::{Posture, Signal};
use crate::baseline::{Baseline, Compared, Deviation, Known, ServiceBaseline};

/// What a rule has to say of a container.
pub(in crate::detect) struct Drift {
    /// In order: differences, then what is dangerous and not in the baseline.
    pub(in crate::detect) signals: Vec<Signal>,
    /// What the baseline is to this container.
    pub(super) baseline: Option<String>,
    /// Whether something of it is dangerous whatever the service.
    pub(super) is_hostile: bool,
}

impl Drift {
    pub(in crate::detect) fn new(
        posture: &Posture,
        beside: Option<(&Baseline, &Compared)>,
        dangerous: Vec<Signal>,
    ) -> Self {
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
