//! `new-peer`.

mod strategy;

use crate::baseline::traffic::{Novelty, Peer, Way};
use crate::detect::anomaly::contacts::Contact;
use crate::detect::anomaly::new_traffic::{self, Book, News};
use crate::detect::anomaly::per_actor::PerActor;
use crate::detect::params::rule_params;
use crate::detect::{Alternative, Context, Finding, Findings, Rule, Severity, Side};
use crate::path::{Selector, is_internet};
pub use strategy::META;

rule_params! {
    /// Services that may deal with anybody: monitoring, backups, ingress.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    allowed: Vec<Selector> = Vec::new(),
}

/// The rule; it remembers what was new of each service.
#[derive(Debug)]
pub struct NewPeer {
    params: Params,
    books: PerActor<Book>,
}

/// The rule with its parameters.
pub fn rule(params: &Params) -> impl Rule + use<> {
    NewPeer { params: params.clone(), books: PerActor::default() }
}

impl Rule for NewPeer {
    fn on_contact(&mut self, context: Context<'_>, contact: &Contact<'_>, findings: &mut Findings) {
        let is_inside =
            contact.target.is_some_and(|target| target.service().is_some()) || !is_internet(contact.tuple.resp.ip);
        // Who asks speaks, where its traffic is known; else who is asked.
        let source = contact.source.and_then(|source| source.service());
        let source_is_known =
            context.baseline.zip(source).is_some_and(|(baseline, key)| new_traffic::in_force(baseline, key).is_some());
        let wants = |way: Way| if way == Way::Reaches { is_inside } else { !source_is_known };
        let Self { params, books } = self;
        new_traffic::each(
            context,
            contact,
            |way, _| wants(way),
            |_, side, news| {
                let allowed = |actor: Option<&crate::detect::Actor>| {
                    actor
                        .and_then(crate::detect::Actor::workload)
                        .is_some_and(|workload| Selector::any(&params.allowed, workload))
                };
                if !(allowed(contact.source) || allowed(contact.target))
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

fn judge(
    context: Context<'_>,
    book: &mut Book,
    contact: &Contact<'_>,
    side: &Side<'_>,
    news: &News<'_>,
) -> Option<Finding> {
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
    if !book.note(&key, contact) {
        return None;
    }
    let mut why = book.explain("peer", &key, expected, (context, side, news));
    "rules.new-peer.allowed".clone_into(&mut why.parameter);
    why.alternatives.extend(look_alikes());
    let is_ordinary = matches!(peer, Peer::Host | Peer::Inside) && !is_asking;
    Some(Finding {
        severity: if is_ordinary { Severity::Low } else { META.severity },
        attribution: Some(contact.flow.source.clone()),
        flow: Some(contact.flow.view.clone()),
        destination: Some(other),
        ..Finding::of_actor(&META, contact.record.start, side.actor, "peer", why)
    })
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
