//! `new-destination`.

mod strategy;

use crate::baseline::traffic::{Novelty, Peer, Way};
use crate::detect::anomaly::contacts::Contact;
use crate::detect::anomaly::new_traffic::{NewObjects, NewOfContact, NewTrafficRule, News, OnNewTraffic, after_start};
use crate::detect::params::rule_params;
use crate::detect::{Alternative, Context, Finding, HoldTime, Rule, Severity, Side, asker_of};
use crate::input::{FlowRecord, Protocol};
use crate::path::{Selector, is_internet};
pub use strategy::META;

/// Ports at which the internet is asked for pages, names, time and mail.
const USUAL: [u16; 8] = [25, 53, 80, 123, 443, 465, 587, 853];

rule_params! {
    /// Services that may reach anybody: crawlers, proxies, resolvers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    allowed: Vec<Selector> = Vec::new(),
    /// How long the questions of a service are watched before an address without a name counts, where its baseline knows names.
    watch_names: HoldTime = HoldTime::secs(3600),
}

/// The rule.
#[derive(Debug)]
struct NewDestination {
    params: Params,
}

/// The rule with its parameters.
pub fn rule(params: &Params) -> impl Rule + use<> {
    OnNewTraffic::new(NewDestination { params: params.clone() })
}

impl NewTrafficRule for NewDestination {
    fn wants(&self, _: Context<'_>, contact: &Contact<'_>, way: Way) -> bool {
        let is_service = contact.target.is_some_and(|target| target.service().is_some());
        way == Way::Reaches && !is_service && is_internet(contact.tuple.resp.ip)
    }

    fn is_allowed(&self, _: &Contact<'_>, side: &Side<'_>) -> bool {
        side.actor.workload().is_some_and(|workload| Selector::any(&self.params.allowed, workload))
    }

    fn judge(&self, seen: &mut NewObjects, what: &NewOfContact<'_>) -> Option<Finding> {
        let &NewOfContact { context, contact, dealings, side, news } = what;
        if side.dealing.peer == Peer::Host || is_withheld(&self.params, what) {
            return None;
        }
        let (expected, ports) = match &news.novelty {
            Novelty::Peer => ("this service never reached this peer".to_owned(), Vec::new()),
            Novelty::Port(ports) => {
                let known: Vec<String> = ports.iter().map(ToString::to_string).collect();
                (format!("this service reaches {} at {}", side.dealing.peer, known.join(", ")), ports.clone())
            }
            Novelty::Listener | Novelty::Speaks(..) | Novelty::Fingerprint(_) => return None,
        };
        let resp = contact.tuple.resp;
        let object = match &side.dealing.name {
            Some(name) => format!("{} as {name} at {}/{}", side.dealing.peer, resp.port, contact.tuple.protocol),
            None => {
                format!(
                    "{} by {} over {}",
                    side.dealing.peer,
                    resp.shown(contact.tuple.protocol),
                    contact.tuple.protocol
                )
            }
        };
        if !seen.note(&object, contact) {
            return None;
        }
        let signs = signs(side, contact.record, !ports.is_empty(), news);
        let mut why = seen.explain("destination", &object, expected, what);
        "rules.new-destination.allowed".clone_into(&mut why.parameter);
        why.name_observable = Some(news.traffic.has_names());
        why.alternatives.extend(look_alikes());
        let is_startup = news.traffic.learned.is_some_and(|learned| learned.starts == 0)
            && after_start(context, side.actor).is_some();
        let severity = if signs.is_empty() || is_startup { Severity::Low } else { Severity::Medium };
        why.signs = signs;
        let name = dealings.name().cloned();
        Some(Finding { name, ..what.finding(&META, severity, "destination", why) })
    }
}

/// An address without a name says nothing where names would have been missed: they were asked for before anybody watched.
fn is_withheld(params: &Params, what: &NewOfContact<'_>) -> bool {
    let NewOfContact { context, contact, side, news, .. } = what;
    let is_unnamed = matches!(side.dealing.peer, Peer::Network(_)) && matches!(news.novelty, Novelty::Peer);
    let asker = asker_of(&contact.flow.source, contact.tuple.orig.ip);
    let watched = context.names.observed_since(&asker).map(|since| context.now.since(since));
    is_unnamed && news.traffic.has_names() && watched.is_none_or(|watched| watched < params.watch_names.get())
}

/// What makes it more than news.
fn signs(side: &Side<'_>, record: &FlowRecord, is_known_peer: bool, news: &News<'_>) -> Vec<String> {
    let mut signs = Vec::new();
    if matches!(side.dealing.peer, Peer::Network(_)) && news.traffic.has_names() {
        signs.push("the peer has no name, although the service reaches others by name".to_owned());
    }
    let has_payload = record.orig.counters.payload_bytes > 0;
    if record.tuple.protocol == Protocol::TCP && has_payload && side.dealing.speaks.is_empty() {
        signs.push("the protocol is not known".to_owned());
    }
    if record.tuple.protocol.has_ports() && !USUAL.contains(&record.tuple.resp.port) {
        let what = if is_known_peer {
            "a known peer at another port"
        } else {
            "the port is not one of those that all services use"
        };
        signs.push(what.to_owned());
    }
    signs
}

/// What is harmless and looks the same.
fn look_alikes() -> [Alternative; 3] {
    [
        Alternative::new("a new version of the image, or a changed setting", "was the service deployed lately?"),
        Alternative::new(
            "a provider that moved to another domain or network",
            "is it the successor of a peer that fell silent?",
        ),
        Alternative::new(
            "a check of a certificate or a list that comes once a week",
            "is the peer an authority, and the amount small?",
        ),
    ]
}
