//! Watches the host's firewall while the sniffer runs.
//!
//! Contract: reports the rules that redirect, mark, queue or drop at the start, and whenever these changed; changes within [`GATHER`] are looked
//! at together. Never waits for the engine. Limits: those of [`Firewall`]; what is not read is a fact. Design: a thread of its own, in the
//! host's network namespace.

use std::time::Duration;

use super::outbox::Outbox;
use super::source::{self, Source, SourceContext};
use crate::clock::{instant, now};
use crate::host::firewall::{Firewall, legacy_tables};
use crate::input::{FirewallFact, FirewallRules, RecordedFact};

/// How long this thread waits at once, so that it notices the end.
const NOTICE: Duration = Duration::from_millis(300);
/// One transaction makes many reports.
const GATHER: Duration = Duration::from_millis(50);
/// Of the time of a core: a fortieth.
const SHARE: u32 = 40;
const MOST: Duration = Duration::from_secs(5);

/// Starts the source.
pub(super) fn start(context: &SourceContext) -> anyhow::Result<Source> {
    source::spawn("firewall", context, |context| {
        let mut outbox = Outbox::new(context.sender.clone());
        if let Some(fact) = unwatched() {
            outbox.rare(fact.into());
        }
        match Firewall::open() {
            Ok(firewall) => run(firewall, &mut outbox, &context),
            Err(error) => outbox.rare(nftables_unwatched(&error.to_string())),
        }
        outbox.finish();
    })
}

fn run(mut firewall: Firewall, outbox: &mut Outbox, context: &SourceContext) {
    let (mut last, mut changed, mut wait): (Option<FirewallRules>, bool, Duration) = (None, true, Duration::ZERO);
    while !context.is_over() {
        if changed {
            std::thread::sleep(GATHER.max(wait));
            firewall.wait(Duration::ZERO);
            let began = instant();
            match firewall.list() {
                Ok(rules) => {
                    if last.as_ref().is_none_or(|last| last.rules != rules.rules || last.omitted != rules.omitted) {
                        let fact = FirewallFact::Rules(rules.clone().into());
                        // Refused, it is as new the next time.
                        last = outbox.fact(now(), fact.into()).then_some(rules);
                    }
                }
                Err(error) => {
                    outbox.rare(nftables_unwatched(&error.to_string()));
                    return;
                }
            }
            wait = began.elapsed().saturating_mul(SHARE).min(MOST);
        }
        outbox.send();
        changed = firewall.wait(NOTICE);
    }
}

/// What is not read on this host.
pub fn unwatched() -> Option<FirewallFact> {
    let tables = legacy_tables();
    let why = format!("its tables {} are not read; rules there may steer or drop", tables.join(", "));
    (!tables.is_empty()).then(|| FirewallFact::Unwatched { part: "iptables-legacy".to_owned(), why })
}

fn nftables_unwatched(why: &str) -> RecordedFact {
    FirewallFact::Unwatched { part: "nftables".to_owned(), why: why.to_owned() }.into()
}
