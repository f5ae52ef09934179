//! `new-destination`.

mod strategy;

use crate::baseline::traffic::{Novelty, Peer, Way};
use crate::detect::anomaly::contacts::Contact;
use crate::detect::anomaly::new_traffic::{self, Book, News};
use crate::detect::anomaly::per_actor::PerActor;
use crate::detect::params::rule_params;
use crate::detect::{Alternative, Context, Dealings, Finding, Findings, HoldTime, Rule, Severity, Side, asker_of};
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

/// The rule; it remembers what was new of each service.
#[derive(Debug)]
pub struct NewDestination {
    params: Params,
    books: PerActor<Book>,
}

/// The rule with its parameters.
pub fn rule(params: &Params) -> impl Rule + use<> {
    NewDestination { params: params.clone(), books: PerActor::default() }
}

impl Rule for NewDestination {
    fn on_contact(&mut self, context: Context<'_>, contact: &Contact<'_>, findings: &mut Findings) {
        if contact.target.is_some_and(|target| target.service().is_some()) || !is_internet(contact.tuple.resp.ip) {
            return;
        }
        let Self { params, books } = self;
        new_traffic::each(
            context,
            contact,
            |way, _| way == Way::Reaches,
            |dealings, side, news| {
                let is_allowed = side.actor.workload().is_some_and(|workload| Selector::any(&params.allowed, workload));
                if is_allowed || side.dealing.peer == Peer::Host || is_withheld(context, params, contact, side, news) {
                    return;
                }
                if let Some(finding) = judge(context, books.of(side.actor), contact, dealings, side, news) {
                    findings.push(finding);
                }
            },
        );
    }

    fn forgotten(&self) -> u64 {
        self.books.forgotten()
    }
}

/// An address without a name says nothing where names would have been missed: they were asked for before anybody watched.
fn is_withheld(context: Context<'_>, params: &Params, contact: &Contact<'_>, side: &Side<'_>, news: &News<'_>) -> bool {
    let is_unnamed = matches!(side.dealing.peer, Peer::Network(_)) && matches!(news.novelty, Novelty::Peer);
    let asker = asker_of(&contact.flow.source, contact.tuple.orig.ip);
    let watched = context.names.observed_since(&asker).map(|since| context.now.since(since));
    is_unnamed && news.traffic.has_names() && watched.is_none_or(|watched| watched < params.watch_names.get())
}

fn judge(
    context: Context<'_>,
    book: &mut Book,
    contact: &Contact<'_>,
    dealings: &Dealings,
    side: &Side<'_>,
    news: &News<'_>,
) -> Option<Finding> {
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
            format!("{} by {} over {}", side.dealing.peer, resp.shown(contact.tuple.protocol), contact.tuple.protocol)
        }
    };
    if !book.note(&object, contact) {
        return None;
    }
    let signs = signs(side, contact.record, !ports.is_empty(), news);
    let mut why = book.explain("destination", &object, expected, (context, side, news));
    "rules.new-destination.allowed".clone_into(&mut why.parameter);
    why.name_observable = Some(news.traffic.has_names());
    why.alternatives.extend(look_alikes());
    let is_startup = news.traffic.learned.is_some_and(|learned| learned.starts == 0)
        && new_traffic::after_start(context, side.actor).is_some();
    let severity = if signs.is_empty() || is_startup { Severity::Low } else { Severity::Medium };
    why.signs = signs;
    Some(Finding {
        severity,
        attribution: Some(contact.flow.source.clone()),
        flow: Some(contact.flow.view.clone()),
        destination: Some(resp),
        name: dealings.name().cloned(),
        ..Finding::of_actor(&META, contact.record.start, side.actor, "destination", why)
    })
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
