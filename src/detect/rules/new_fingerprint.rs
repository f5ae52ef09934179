//! `new-fingerprint`.

mod strategy;

use crate::baseline::ServiceBaseline;
use crate::baseline::traffic::{KnownTexts, Novelty, Way};
use crate::detect::anomaly::contacts::Contact;
use crate::detect::anomaly::new_traffic::{self, Book, News};
use crate::detect::anomaly::per_actor::PerActor;
use crate::detect::anomaly::spoken::spoken;
use crate::detect::params::rule_params;
use crate::detect::{Alternative, Context, Dealings, Finding, Findings, Rule, Severity, Side};
use crate::input::Workload;
use crate::inventory::configuration::{Field, Value};
use crate::path::Selector;
pub use strategy::META;

rule_params! {
    /// Services whose clients may be of any kind: proxies, browsers, build agents.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    allowed: Vec<Selector> = Vec::new(),
}

/// The rule; it remembers what was new of each service.
#[derive(Debug)]
pub struct NewFingerprint {
    params: Params,
    books: PerActor<Book>,
}

/// The rule with its parameters.
pub fn rule(params: &Params) -> impl Rule + use<> {
    NewFingerprint { params: params.clone(), books: PerActor::default() }
}

impl Rule for NewFingerprint {
    fn on_contact(&mut self, context: Context<'_>, contact: &Contact<'_>, findings: &mut Findings) {
        if contact.record.app.is_none() && contact.record.tunnels.is_empty() {
            return;
        }
        let Self { params, books } = self;
        new_traffic::each(
            context,
            contact,
            |way, _| way == Way::Reaches,
            |dealings, side, news| {
                let is_allowed = side.actor.workload().is_some_and(|workload| Selector::any(&params.allowed, workload));
                if !is_allowed
                    && let Some(finding) = judge(context, books.of(side.actor), contact, dealings, side, news)
                {
                    findings.push(finding);
                }
            },
        );
    }

    fn forgotten(&self) -> u64 {
        self.books.forgotten()
    }
}

fn judge(
    context: Context<'_>,
    book: &mut Book,
    contact: &Contact<'_>,
    dealings: &Dealings,
    side: &Side<'_>,
    news: &News<'_>,
) -> Option<Finding> {
    let (what, expected) = match &news.novelty {
        Novelty::Speaks(spoken, known) => (format!("spoke {spoken}"), format!("it speaks {known} there")),
        Novelty::Fingerprint(known) => {
            let ja4 = side.dealing.ja4.unwrap_or_default();
            (format!("greeted as {ja4}{}", changed_parts(ja4, known)), format!("it greets as {known} there"))
        }
        Novelty::Peer | Novelty::Port(_) | Novelty::Listener => return None,
    };
    let object = format!("{what} with {} at {}/{}", side.dealing.peer, contact.tuple.resp.port, contact.tuple.protocol);
    if !book.note(&object, contact) {
        return None;
    }
    let mut why = book.explain("way to speak", &object, expected, (context, side, news));
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
    Some(Finding {
        severity,
        attribution: Some(contact.flow.source.clone()),
        flow: Some(contact.flow.view.clone()),
        destination: Some(contact.tuple.resp),
        name: dealings.name().cloned(),
        ..Finding::of_actor(&META, contact.record.start, side.actor, "fingerprint", why)
    })
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
