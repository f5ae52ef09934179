//! `new-fingerprint`.

mod strategy;

use crate::baseline::ServiceBaseline;
use crate::baseline::traffic::{KnownTexts, Novelty, Way};
use crate::detect::anomaly::contacts::Contact;
use crate::detect::anomaly::new_traffic::{NewObjects, NewOfContact, NewTrafficRule, OnNewTraffic};
use crate::detect::anomaly::spoken::spoken;
use crate::detect::params::rule_params;
use crate::detect::{Alternative, Context, Finding, Rule, Severity, Side};
use crate::input::Workload;
use crate::inventory::configuration::{Field, Value};
use crate::path::Selector;
pub use strategy::META;

rule_params! {
    /// Services whose clients may be of any kind: proxies, browsers, build agents.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    allowed: Vec<Selector> = Vec::new(),
}

/// The rule.
#[derive(Debug)]
struct NewFingerprint {
    params: Params,
}

/// The rule with its parameters.
pub fn rule(params: &Params) -> impl Rule + use<> {
    OnNewTraffic::new(NewFingerprint { params: params.clone() })
}

impl NewTrafficRule for NewFingerprint {
    fn wants(&self, _: Context<'_>, contact: &Contact<'_>, way: Way) -> bool {
        way == Way::Reaches && (contact.record.app.is_some() || !contact.record.tunnels.is_empty())
    }

    fn is_allowed(&self, _: &Contact<'_>, side: &Side<'_>) -> bool {
        side.actor.workload().is_some_and(|workload| Selector::any(&self.params.allowed, workload))
    }

    fn judge(&self, seen: &mut NewObjects, what: &NewOfContact<'_>) -> Option<Finding> {
        let &NewOfContact { contact, side, news, .. } = what;
        let (word, expected) = match &news.novelty {
            Novelty::Speaks(spoken, known) => (format!("spoke {spoken}"), format!("it speaks {known} there")),
            Novelty::Fingerprint(known) => {
                let ja4 = side.dealing.ja4.unwrap_or_default();
                (format!("greeted as {ja4}{}", changed_parts(ja4, known)), format!("it greets as {known} there"))
            }
            Novelty::Peer | Novelty::Port(_) | Novelty::Listener => return None,
        };
        let object =
            format!("{word} with {} at {}/{}", side.dealing.peer, contact.tuple.resp.port, contact.tuple.protocol);
        if !seen.note(&object, contact) {
            return None;
        }
        let mut why = seen.explain("fingerprint", &object, expected, what);
        "rules.new-fingerprint.allowed".clone_into(&mut why.parameter);
        let is_carrier = spoken(contact.record)
            .iter()
            .any(|spoken| spoken.is_carrier() && side.dealing.speaks.contains(&spoken.as_str()));
        if is_carrier && matches!(news.novelty, Novelty::Speaks(..)) {
            why.signs.push("the protocol carries other traffic".to_owned());
        }
        let image = side.actor.workload().and_then(|workload| is_expected_image(news.service, workload));
        match image {
            Some(false) => why.alternatives.push(Alternative::new(
                "another image than the baseline expects",
                "was the new image approved? then learn anew",
            )),
            Some(true) => why.signs.push("the image is the one that the baseline expects".to_owned()),
            None => {}
        }
        why.alternatives.extend(look_alikes());
        let severity = if is_carrier { Severity::Medium } else { META.severity };
        let name = what.dealings.name().cloned();
        Some(Finding { name, ..what.finding(&META, severity, "fingerprint", why) })
    }
}

/// Which parts of the fingerprint are unlike those of the nearest one that is known.
fn changed_parts(ja4: &str, known: &KnownTexts) -> String {
    const PARTS: [&str; 3] = ["protocol, name and ALPN", "ciphers", "extensions"];
    let KnownTexts::These(these) = known else { return String::new() };
    let changed = |other: &String| {
        let pairs = ja4.split('_').zip(other.split('_')).zip(PARTS);
        pairs.filter(|((one, other), _)| one != other).map(|(_, part)| part).collect::<Vec<_>>()
    };
    let nearest = these.iter().map(changed).min_by_key(Vec::len);
    nearest.filter(|parts| !parts.is_empty()).map_or_else(String::new, |parts| format!(" (other {})", parts.join(", ")))
}

/// Whether the service's image is the expected one; `None` where that is not known.
fn is_expected_image(service: &ServiceBaseline, workload: &Workload) -> Option<bool> {
    let expectation = service.expectation(&Field::single("image.digest"))?;
    Some(crate::baseline::holds(expectation, &Value::Text(workload.image_digest.clone())))
}

/// What is harmless and looks the same.
fn look_alikes() -> [Alternative; 3] {
    [
        Alternative::new(
            "an update of a TLS library, or of what the service runs",
            "did the fingerprint change for all its peers?",
        ),
        Alternative::new("a person's tool in a debug shell", "who was logged in then?"),
        Alternative::new("another client in the same service, used rarely", "does it come again at the same hour?"),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_that_changed_are_those_unlike_the_nearest_known_fingerprint() {
        let known = KnownTexts::These(["t13d1516h2_8daaf6152771_b186095e22b6".to_owned(), "x_y_z".to_owned()].into());
        let parts = |ja4: &str| changed_parts(ja4, &known);
        assert_eq!(parts("t13d1516h2_8daaf6152771_02713d6af862"), " (other extensions)");
        assert_eq!(parts("t13i1516h1_000000000000_b186095e22b6"), " (other protocol, name and ALPN, ciphers)");
        assert_eq!(changed_parts("a_b_c", &KnownTexts::Any), "");
    }
}
