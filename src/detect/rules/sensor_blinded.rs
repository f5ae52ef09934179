//! `sensor-blinded`.
//!
//! Contract: says when hopwatch's own view shrank although it is still needed, once a cause. Limits: [`MAX_POINTS`] points and
//! [`MAX_RUNTIMES`] runtimes are followed; where there is no more room, a point that is down makes way, or else the newcomer is not
//! followed. Design: points, losses and runtimes each have their own small state; time comes only from [`Findings::schedule`].

mod losses;
mod points;
mod strategy;
mod window;

use std::collections::BTreeMap;
use std::time::Duration;

use self::losses::Losses;
use self::points::Points;
pub use self::strategy::META;
use crate::detect::params::rule_params;
use crate::detect::{Context, Finding, Findings, HoldTime, Rule, Severity};
use crate::input::{InventoryEvent, MAX_RUNTIMES, NatFact, RecordedFact, RuntimeId};
use crate::path::Evidence;
use crate::time::{Timestamp, readable};

/// As many as a host has interfaces worth watching, and those of a while ago.
const MAX_POINTS: usize = 4096;

rule_params! {
    /// How long after its interface went away a network may be removed, or a workload stop.
    settle: HoldTime = HoldTime::secs(2),
    /// How long a runtime that answered before may stop answering.
    runtime_grace: HoldTime = HoldTime::secs(10),
    /// Packets, or flows, that may be lost at one observation point within `loss_window`. Events that found no room on the way to the
    /// engine have no budget: each such loss is reported.
    loss_budget: u64 = 1000,
    /// See `loss_budget`.
    loss_window: HoldTime = HoldTime::secs(10),
}

/// The rule.
#[derive(Debug)]
pub struct SensorBlinded {
    runtime_grace: Duration,
    points: Points,
    losses: Losses,
    runtimes: BTreeMap<RuntimeId, RuntimeConnection>,
    /// Whether the host's connection tracking was received.
    translations: bool,
    /// Its end was reported.
    untracked: bool,
}

#[derive(Debug)]
enum RuntimeConnection {
    /// Its list was complete once, and it answers.
    Heard,
    /// It answered before; since when it does not, and what was seen of it.
    Cut { since: Timestamp, error: String, reported: bool },
}

/// The rule with its parameters.
pub fn rule(params: &Params) -> impl Rule + use<> {
    SensorBlinded {
        runtime_grace: params.runtime_grace.get(),
        points: Points::new(params.settle.get()),
        losses: Losses::new(params.loss_budget, params.loss_window.get()),
        runtimes: BTreeMap::new(),
        translations: false,
        untracked: false,
    }
}

impl Rule for SensorBlinded {
    fn on_fact(&mut self, context: Context<'_>, fact: &RecordedFact, findings: &mut Findings) {
        match fact {
            RecordedFact::Link(link) => self.points.link(context, link, findings),
            RecordedFact::Loss(loss) => self.losses.add(context.now, loss, findings),
            RecordedFact::Inventory(event) => self.runtime(context, event, findings),
            RecordedFact::Nat(fact) => self.translation(context.now, fact, findings),
            RecordedFact::Kernel(_)
            | RecordedFact::LogFile(_)
            | RecordedFact::Firewall(_)
            | RecordedFact::Baseline(_)
            | RecordedFact::HostLogging(_)
            | RecordedFact::Reloaded(_)
            | RecordedFact::OpenAlert(_)
            | RecordedFact::Ended { .. } => {}
        }
    }

    fn on_time(&mut self, context: Context<'_>, findings: &mut Findings) {
        self.points.settle(context, findings);
        self.losses.over(context.now, findings);
        for (runtime, connection) in &mut self.runtimes {
            let RuntimeConnection::Cut { since, error, reported } = connection else { continue };
            if !*reported && context.now.since(*since) >= self.runtime_grace {
                *reported = true;
                let text = format!("{runtime} has not answered for {}: {error}", readable(self.runtime_grace));
                // A user's own goes away when its user logs out.
                let severity = if runtime.is_users() { Severity::Low } else { Severity::High };
                findings.push(finding(*since, severity, "runtime", text, &format!("runtime {runtime}")));
            }
        }
    }

    fn forgotten(&self) -> u64 {
        self.points.forgotten + self.losses.forgotten
    }
}

impl SensorBlinded {
    /// Without connection tracking a redirected flow cannot be distinguished from one that went around its hop.
    fn translation(&mut self, now: Timestamp, fact: &NatFact, findings: &mut Findings) {
        let (since, text, cause) = match fact {
            NatFact::Watched { netns: None } => {
                if !std::mem::replace(&mut self.translations, true) && std::mem::take(&mut self.untracked) {
                    let text = "connection tracking answers again".to_owned();
                    findings.push(over(now, text, "translation unheard"));
                }
                return;
            }
            NatFact::Missed { since, .. } => {
                let text = "connection tracking lost events; flows that depend on them are unobservable (nat_unknown)";
                (*since, text.to_owned(), "translation lost")
            }
            NatFact::Unwatched { netns: None, error } if std::mem::take(&mut self.translations) => {
                self.untracked = true;
                (now, format!("connection tracking no longer answers: {error}"), "translation unheard")
            }
            _ => return,
        };
        findings.push(finding(since, Severity::Medium, "translation", text, cause));
    }

    fn runtime(&mut self, context: Context<'_>, event: &InventoryEvent, findings: &mut Findings) {
        match event {
            InventoryEvent::Reconciled { runtime, .. } => {
                if let Some(RuntimeConnection::Cut { since, reported: true, .. }) = self.runtimes.get(runtime) {
                    let text = format!("{runtime} answers again, after {}", readable(context.now.since(*since)));
                    findings.push(over(context.now, text, &format!("runtime {runtime}")));
                }
                if self.runtimes.len() < MAX_RUNTIMES || self.runtimes.contains_key(runtime) {
                    self.runtimes.insert(*runtime, RuntimeConnection::Heard);
                }
                self.points.received(context, findings);
            }
            InventoryEvent::Disconnected { runtime, error } => {
                // One that never answered is not cut but absent; /readyz says so.
                if let Some(connection @ RuntimeConnection::Heard) = self.runtimes.get_mut(runtime) {
                    *connection = RuntimeConnection::Cut { since: context.now, error: error.clone(), reported: false };
                    findings.schedule(context.now.plus(self.runtime_grace));
                }
            }
            InventoryEvent::Network(network) => {
                network.bridge.iter().for_each(|bridge| self.points.bridge(bridge));
            }
            _ => {}
        }
    }
}

/// One cause, with the steps that fit it.
fn finding(at: Timestamp, severity: Severity, kind: &str, text: String, cause: &str) -> Finding {
    let steps = strategy::steps(kind);
    Finding { severity, steps, ..Finding::of_nobody(&META, at, cause, vec![Evidence::new(kind, text)]) }
}

/// The end of a cause that was reported.
fn over(at: Timestamp, text: String, cause: &str) -> Finding {
    let evidence = vec![Evidence::new("over", text)];
    Finding { severity: Severity::Low, is_over: true, ..Finding::of_nobody(&META, at, cause, evidence) }
}
