//! `new-listener`.

mod strategy;

use crate::baseline::traffic::{Novelty, Peer, Way};
use crate::detect::anomaly::contacts::Contact;
use crate::detect::anomaly::new_traffic::{self, Book, News};
use crate::detect::anomaly::outcome::Outcome;
use crate::detect::anomaly::per_actor::PerActor;
use crate::detect::params::rule_params;
use crate::detect::{Alternative, Context, Finding, Findings, Rule, Severity, Side};
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

/// The rule; it remembers what was new of each service.
#[derive(Debug)]
pub struct NewListener {
    params: Params,
    books: PerActor<Book>,
}

/// The rule with its parameters.
pub fn rule(params: &Params) -> impl Rule + use<> {
    NewListener { params: params.clone(), books: PerActor::default() }
}

impl Rule for NewListener {
    fn on_contact(&mut self, context: Context<'_>, contact: &Contact<'_>, findings: &mut Findings) {
        let is_answered = contact.outcome == Outcome::Answered && contact.flow.oriented.certain;
        if !is_answered || !contact.tuple.protocol.has_ports() || has_no_direction(contact.tuple) {
            return;
        }
        let Self { params, books } = self;
        new_traffic::each(
            context,
            contact,
            |way, _| way == Way::Listens,
            |_, side, news| {
                let is_allowed = side.actor.workload().is_some_and(|workload| Selector::any(&params.allowed, workload));
                if news.novelty == Novelty::Listener
                    && !is_allowed
                    && let Some(finding) = judge(context, books.of(side.actor), contact, side, news)
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

const fn has_no_direction(tuple: FiveTuple) -> bool {
    !matches!(tuple.protocol, crate::input::Protocol::TCP)
        && tuple.resp.port >= FIRST_DYNAMIC
        && tuple.orig.port < FIRST_DYNAMIC
}

fn judge(
    context: Context<'_>,
    book: &mut Book,
    contact: &Contact<'_>,
    side: &Side<'_>,
    news: &News<'_>,
) -> Option<Finding> {
    let resp = contact.tuple.resp;
    let object = format!("answered at {}/{}", resp.port, contact.tuple.protocol);
    if !book.note(&object, contact) {
        return None;
    }
    let known: std::collections::BTreeSet<String> =
        news.traffic.rows().filter(|row| row.way == Way::Listens).map(|row| row.ports.to_string()).collect();
    let known = if known.is_empty() { "no port".to_owned() } else { known.into_iter().collect::<Vec<_>>().join(", ") };
    let mut why = book.explain("listening port", &object, format!("it answers at {known}"), (context, side, news));
    "rules.new-listener.allowed".clone_into(&mut why.parameter);
    let by = format!("asked by {} ({})", side.dealing.peer, side.address);
    if !side.dealing.speaks.is_empty() {
        why.signs.push(format!("it speaks {}", side.dealing.speaks.join(", ")));
    }
    why.signs.push(by);
    why.alternatives.extend(look_alikes());
    let severity = if matches!(side.dealing.peer, Peer::Host) { Severity::Low } else { META.severity };
    Some(Finding {
        severity,
        attribution: Some(contact.flow.source.clone()),
        flow: Some(contact.flow.view.clone()),
        destination: Some(resp),
        ..Finding::of_actor(&META, contact.record.start, side.actor, "listener", why)
    })
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
