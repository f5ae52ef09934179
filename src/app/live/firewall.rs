//! Watches the host's firewall while the sniffer runs.
//!
//! Contract: reports the rules that redirect, mark, queue or drop at the start, and whenever these changed; changes within [`GATHER`] are looked
//! at together. What can no longer be read stays as it was last, so that it is not taken for removed. Never waits for the engine. Limits: those of
//! [`Firewall`]; what is not read is a fact. iptables-legacy reports nothing: it is read every [`LEGACY`]. Design: a thread of its own, in the
//! host's network namespace.

use std::time::{Duration, Instant};

use super::outbox::Outbox;
use super::source::{self, Source, SourceContext};
use crate::clock::{instant, now};
use crate::host::firewall::{Firewall, MAX_RULES, legacy_rules};
use crate::input::{FirewallFact, FirewallRule, FirewallRules, RecordedFact};
use crate::sandbox::Role;

/// How long this thread waits at once, so that it notices the end.
const NOTICE: Duration = Duration::from_millis(300);
/// One transaction makes many reports.
const GATHER: Duration = Duration::from_millis(50);
/// Of the time of a core: a fortieth.
const SHARE: u32 = 40;
const MOST: Duration = Duration::from_secs(5);
/// Processes that are named.
const MAX_PROCESSES: usize = 16;
/// Between two reads of iptables-legacy, at least.
const LEGACY: Duration = Duration::from_secs(10);

/// Starts the source.
pub(super) fn start(context: &SourceContext) -> anyhow::Result<Source> {
    source::spawn(Role::Helpers, "firewall", context, |context| {
        let mut outbox = Outbox::new(context.sender.clone());
        run(&mut outbox, &context);
        outbox.finish();
    })
}

fn run(outbox: &mut Outbox, context: &SourceContext) {
    let (mut nftables, mut legacy) = (Nftables::open(outbox), Legacy::default());
    let (mut last, mut is_refused): (Option<FirewallRules>, bool) = (None, false);
    while !context.is_over() {
        let is_new = nftables.list(outbox) | legacy.list(outbox);
        if is_new || is_refused {
            let rules = together(&nftables.rules, &legacy.rules);
            let is_same = last.as_ref().is_some_and(|last| last.rules == rules.rules && last.omitted == rules.omitted);
            // Refused, it is as new the next time.
            is_refused = !is_same && !outbox.fact(now(), FirewallFact::Rules(rules.clone().into()).into());
            if !is_refused {
                last = Some(rules);
                // Who changed nftables did not change what differs next.
                nftables.rules.processes.clear();
            }
        }
        outbox.send();
        nftables.wait();
    }
}

/// Both firewalls as one.
fn together(nftables: &FirewallRules, legacy: &[FirewallRule]) -> FirewallRules {
    let mut rules = nftables.clone();
    rules.omitted += u64::try_from(legacy.len().saturating_sub(MAX_RULES)).unwrap_or(u64::MAX);
    rules.rules.extend(legacy.iter().take(MAX_RULES).cloned());
    rules
}

struct Nftables {
    firewall: Option<Firewall>,
    rules: FirewallRules,
    changed: bool,
    wait: Duration,
}

impl Nftables {
    fn open(outbox: &mut Outbox) -> Self {
        let firewall = Firewall::open().map_err(|error| outbox.rare(nftables_unwatched(&error.to_string()))).ok();
        Self { firewall, rules: FirewallRules::default(), changed: true, wait: Duration::ZERO }
    }

    /// Lists the rules if something changed; whether they are new.
    fn list(&mut self, outbox: &mut Outbox) -> bool {
        let Some(firewall) = self.firewall.as_mut().filter(|_| self.changed) else { return false };
        std::thread::sleep(GATHER.max(self.wait));
        firewall.wait(Duration::ZERO);
        let began = instant();
        match firewall.list() {
            Ok(mut rules) => {
                // Those of a list that was refused are not known to anybody yet.
                let mut processes = std::mem::take(&mut self.rules.processes);
                processes.append(&mut rules.processes);
                processes.truncate(MAX_PROCESSES);
                self.rules = FirewallRules { processes, ..rules };
            }
            Err(error) => {
                outbox.rare(nftables_unwatched(&error.to_string()));
                self.firewall = None;
            }
        }
        self.wait = began.elapsed().saturating_mul(SHARE).min(MOST);
        self.firewall.is_some()
    }

    /// Waits a moment for a change.
    fn wait(&mut self) {
        if let Some(firewall) = &mut self.firewall {
            self.changed = firewall.wait(NOTICE);
        } else {
            std::thread::sleep(NOTICE);
        }
    }
}

/// The tables of iptables-legacy.
#[derive(Default)]
struct Legacy {
    rules: Vec<FirewallRule>,
    due: Option<Instant>,
    unread: Option<String>,
}

impl Legacy {
    /// Reads the rules when it is time; whether they are new.
    fn list(&mut self, outbox: &mut Outbox) -> bool {
        if self.due.is_some_and(|due| instant() < due) {
            return false;
        }
        let began = instant();
        let read = legacy_rules();
        self.due = Some(instant() + began.elapsed().saturating_mul(SHARE).max(LEGACY));
        match read {
            Ok(rules) => {
                self.unread = None;
                let is_new = rules != self.rules;
                self.rules = rules;
                is_new
            }
            Err(why) => {
                if self.unread.as_ref() != Some(&why) {
                    self.unread = Some(why.clone());
                    outbox.rare(legacy_unwatched(why).into());
                }
                false
            }
        }
    }
}

/// What of iptables-legacy is not read on this host.
pub fn unwatched() -> Option<FirewallFact> {
    legacy_rules().err().map(legacy_unwatched)
}

fn legacy_unwatched(why: String) -> FirewallFact {
    FirewallFact::Unwatched { part: "iptables-legacy".to_owned(), why }
}

fn nftables_unwatched(why: &str) -> RecordedFact {
    FirewallFact::Unwatched { part: "nftables".to_owned(), why: why.to_owned() }.into()
}
