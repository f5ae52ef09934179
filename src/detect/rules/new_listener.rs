//! `new-listener`.

mod strategy;

use crate::baseline::traffic::{Novelty, Peer, Way};
use crate::detect::anomaly::contacts::Contact;
use crate::detect::anomaly::new_traffic::{NewObjects, NewOfContact, NewTrafficRule, OnNewTraffic};
use crate::detect::anomaly::outcome::Outcome;
use crate::detect::params::rule_params;
use crate::detect::{Alternative, Context, Finding, Rule, Severity, Side};
use crate::input::FiveTuple;
use crate::path::Selector;
pub use strategy::META;

/// Ports at which somebody answers by mistake: datagrams between two ephemeral ports have no direction.
const FIRST_DYNAMIC: u16 = 49_152;

rule_params! {
    /// Services that open ports of their own: FTP, RPC, build agents.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    allowed: Vec<Selector> = Vec::new(),
}

/// The rule.
#[derive(Debug)]
struct NewListener {
    params: Params,
}

/// The rule with its parameters.
pub fn rule(params: &Params) -> impl Rule + use<> {
    OnNewTraffic::new(NewListener { params: params.clone() })
}

impl NewTrafficRule for NewListener {
    fn wants(&self, _: Context<'_>, contact: &Contact<'_>, way: Way) -> bool {
        let is_answered = contact.outcome == Outcome::Answered && contact.flow.oriented.certain;
        let has_direction = contact.tuple.protocol.has_ports() && !has_no_direction(contact.tuple);
        way == Way::Listens && is_answered && has_direction
    }

    fn is_allowed(&self, _: &Contact<'_>, side: &Side<'_>) -> bool {
        side.actor.workload().is_some_and(|workload| Selector::any(&self.params.allowed, workload))
    }

    fn judge(&self, seen: &mut NewObjects, what: &NewOfContact<'_>) -> Option<Finding> {
        let &NewOfContact { contact, side, news, .. } = what;
        if news.novelty != Novelty::Listener {
            return None;
        }
        let resp = contact.tuple.resp;
        let object = format!("answered at {}/{}", resp.port, contact.tuple.protocol);
        if !seen.note(&object, contact) {
            return None;
        }
        let known: std::collections::BTreeSet<String> =
            news.traffic.rows().filter(|row| row.way == Way::Listens).map(|row| row.ports.to_string()).collect();
        let known =
            if known.is_empty() { "no port".to_owned() } else { known.into_iter().collect::<Vec<_>>().join(", ") };
        let mut why = seen.explain("listening port", &object, format!("it answers at {known}"), what);
        "rules.new-listener.allowed".clone_into(&mut why.parameter);
        let by = format!("asked by {} ({})", side.dealing.peer, side.address);
        if !side.dealing.speaks.is_empty() {
            why.signs.push(format!("it speaks {}", side.dealing.speaks.join(", ")));
        }
        why.signs.push(by);
        why.alternatives.extend(look_alikes());
        let severity = if matches!(side.dealing.peer, Peer::Host) { Severity::Low } else { META.severity };
        Some(what.finding(&META, severity, "listener", why))
    }
}

const fn has_no_direction(tuple: FiveTuple) -> bool {
    !matches!(tuple.protocol, crate::input::Protocol::TCP)
        && tuple.resp.port >= FIRST_DYNAMIC
        && tuple.orig.port < FIRST_DYNAMIC
}

/// What is harmless and looks the same.
fn look_alikes() -> [Alternative; 3] {
    [
        Alternative::new(
            "a metrics, health or debug port of a new version",
            "does the image or a variable name the port?",
        ),
        Alternative::new(
            "passive FTP, RPC, a port that the service gives out anew",
            "is the port another one each time?",
        ),
        Alternative::new(
            "a port that always was open, and that nobody asked while it was learned",
            "how long has the process been listening?",
        ),
    ]
}
