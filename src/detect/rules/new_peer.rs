//! `new-peer`.

mod strategy;

use crate::baseline::traffic::{Novelty, Peer, Way};
use crate::detect::anomaly::contacts::Contact;
use crate::detect::anomaly::new_traffic::{NewObjects, NewOfContact, NewTrafficRule, OnNewTraffic, in_force};
use crate::detect::params::rule_params;
use crate::detect::{Actor, Alternative, Context, Finding, Rule, Severity, Side};
use crate::path::{Selector, is_internet};
pub use strategy::META;

rule_params! {
    /// Services that may deal with anybody: monitoring, backups, ingress.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    allowed: Vec<Selector> = Vec::new(),
}

/// The rule.
#[derive(Debug)]
struct NewPeer {
    params: Params,
}

/// The rule with its parameters.
pub fn rule(params: &Params) -> impl Rule + use<> {
    OnNewTraffic::new(NewPeer { params: params.clone() })
}

impl NewTrafficRule for NewPeer {
    /// Who asks speaks, where its traffic is known; else who is asked.
    fn wants(&self, context: Context<'_>, contact: &Contact<'_>, way: Way) -> bool {
        if way == Way::Reaches {
            return contact.target.is_some_and(|target| target.service().is_some())
                || !is_internet(contact.tuple.resp.ip);
        }
        let source = contact.source.and_then(|source| source.service());
        context.baseline.zip(source).is_none_or(|(baseline, key)| in_force(baseline, key).is_none())
    }

    fn is_allowed(&self, contact: &Contact<'_>, _: &Side<'_>) -> bool {
        let mut workloads = [contact.source, contact.target].into_iter().flatten().filter_map(Actor::workload);
        workloads.any(|workload| Selector::any(&self.params.allowed, workload))
    }

    fn judge(&self, seen: &mut NewObjects, what: &NewOfContact<'_>) -> Option<Finding> {
        let &NewOfContact { contact, side, news, .. } = what;
        let peer = &side.dealing.peer;
        let is_asking = side.dealing.way == Way::Reaches;
        let expected = match &news.novelty {
            Novelty::Peer if is_asking => "this service never reached this peer".to_owned(),
            Novelty::Peer => format!("this peer never reached the service at {}", contact.tuple.resp.port),
            Novelty::Port(ports) => {
                let known: Vec<String> = ports.iter().map(ToString::to_string).collect();
                format!("it is known at {}", known.join(", "))
            }
            Novelty::Listener | Novelty::Speaks(..) | Novelty::Fingerprint(_) => return None,
        };
        let (word, other) =
            if is_asking { ("reached", contact.tuple.resp) } else { ("was reached by", contact.tuple.orig) };
        let object = format!("{word} {peer} ({}) at {}/{}", other.ip, contact.tuple.resp.port, contact.tuple.protocol);
        // Who asks from outside is not told apart, and has a new address each time.
        let key = match peer {
            Peer::Inside | Peer::Outside => {
                format!("{word} {peer} at {}/{}", contact.tuple.resp.port, contact.tuple.protocol)
            }
            _ => object,
        };
        if !seen.note(&key, contact) {
            return None;
        }
        let mut why = seen.explain("peer", &key, expected, what);
        "rules.new-peer.allowed".clone_into(&mut why.parameter);
        why.alternatives.extend(look_alikes());
        let is_ordinary = matches!(peer, Peer::Host | Peer::Inside) && !is_asking;
        let severity = if is_ordinary { Severity::Low } else { META.severity };
        Some(Finding { destination: Some(other), ..what.finding(&META, severity, "peer", why) })
    }
}

/// What is harmless and looks the same.
fn look_alikes() -> [Alternative; 3] {
    [
        Alternative::new("a new service, or one more step of a deployment", "is the other end new as well?"),
        Alternative::new(
            "monitoring, a backup, a debug shell",
            "who started it, and does it name itself in its image?",
        ),
        Alternative::new("a failover to a replica of another service", "did the usual peer fall silent?"),
    ]
}
