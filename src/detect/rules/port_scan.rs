//! `port-scan`.

mod strategy;

use std::net::IpAddr;

use super::host_scan::limits;
use crate::detect::anomaly::contacts::{Contact, ContactStep};
use crate::detect::anomaly::digest::{Digest, digest};
use crate::detect::anomaly::outcome::Outcome;
use crate::detect::anomaly::per_actor::{PerActor, Recent};
use crate::detect::anomaly::tally::{Levels, Tally};
use crate::detect::params::rule_params;
use crate::detect::{Actor, Alternative, Context, ExpectedFrom, Explanation, Finding, Findings, Rule, Severity};
use crate::input::Protocol;
use crate::path::Selector;
use crate::time::{Timestamp, readable};
pub use strategy::META;

/// Ports of all targets that an actor is known to have contacted.
const MAX_KNOWN: usize = 512;
/// Targets of one actor where contacts failed; the one that was quiet longest makes room.
const MAX_TARGETS: usize = 64;
/// Probes with impossible flags that belong together.
const OS_PROBE: std::time::Duration = std::time::Duration::from_secs(10);

rule_params! {
    /// Services that may: vulnerability scanners, monitors.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    allowed: Vec<Selector> = Vec::new(),
    /// The share of honest actors that may be accused, for `low`: 5 net failures.
    accused_low: f64 = 1e-3,
    /// The same, for `medium`: 9 net failures.
    accused_medium: f64 = 1e-5,
    /// Ports that failed, for `high`.
    high: u32 = 100,
}

/// A port, or a protocol without ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Port(Protocol, u16);

impl std::fmt::Display for Port {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.0.has_ports() { write!(f, "{}/{}", self.1, self.0) } else { self.0.fmt(f) }
    }
}

/// A port of a target: the digest of its address comes first, so that the ports of one target stand together.
type PortOf = (Digest, u8, u16);

/// The first and the last port that a target may have.
const fn ports_of(number: Digest) -> (PortOf, PortOf) {
    ((number, 0, 0), (number, u8::MAX, u16::MAX))
}

/// What is known of a target where contacts failed. Of the others only their ports are known.
#[derive(Debug)]
struct Target {
    ip: IpAddr,
    last: Timestamp,
    tally: Tally<Port>,
    /// The last probe with impossible flags, and which.
    probe: Option<(Timestamp, u8)>,
    is_probed: bool,
}

#[derive(Debug, Default)]
struct ActorTargets {
    known: Recent<PortOf, MAX_KNOWN>,
    targets: Vec<Target>,
}

/// The rule; it remembers which ports of which targets each actor contacted.
#[derive(Debug)]
pub struct PortScan {
    params: Params,
    actors: PerActor<ActorTargets>,
    /// Sources that are not ours.
    outside: PerActor<ActorTargets>,
    forgotten: u64,
}

/// The rule with its parameters.
pub fn rule(params: &Params) -> impl Rule + use<> {
    PortScan { params: params.clone(), actors: PerActor::default(), outside: PerActor::default(), forgotten: 0 }
}

impl Rule for PortScan {
    fn on_contact(&mut self, context: Context<'_>, contact: &Contact<'_>, findings: &mut Findings) {
        if contact.step != ContactStep::Decided {
            return findings.want_no_more();
        }
        let is_named = contact.source.is_some_and(|actor| self.is_allowed(actor));
        if contact.outcome.succeeded().is_none() || is_named {
            return;
        }
        let Params { accused_low: low, accused_medium: medium, high, .. } = self.params;
        let levels = Levels { low, medium, high };
        let (tuple, at) = (contact.tuple, contact.flow.view.record.start);
        if matches!(tuple.protocol, Protocol::ICMP | Protocol::ICMPV6) {
            return;
        }
        let outside = Actor::Address(tuple.orig.ip.to_canonical());
        let own = match contact.source {
            Some(source) => self.actors.of(source),
            None => self.outside.of(&outside),
        };
        let port = Port(tuple.protocol, if tuple.protocol.has_ports() { tuple.resp.port } else { 0 });
        let ip = tuple.resp.ip.to_canonical();
        let number = digest(&ip);
        let begins = contact.outcome.succeeded() == Some(false) && !own.is_followed(ip);
        let succeeded_before = if begins { own.succeeded(number) } else { 0 };
        let is_new = own.known.is_new((number, port.0.0, port.1));
        if !begins && !own.is_followed(ip) {
            return;
        }
        let (target, is_forgotten) = own.target(ip, at, succeeded_before);
        self.forgotten += u64::from(is_forgotten);
        if let Some(why) = target.probe(contact, at) {
            return findings.push(finding(context, contact, Severity::Medium, why));
        }
        if !is_new {
            return;
        }
        target.tally.count(port, contact.outcome, tuple.protocol, at);
        if let Some(severity) = target.tally.severity(levels)
            && target.tally.is_due(severity, target.tally.failed)
        {
            let what = format!("ports of {}", target.ip);
            let why = target.tally.explain(&what, levels, "rules.port-scan.accused_low");
            findings.push(finding(context, contact, severity, why));
        }
    }

    fn forgotten(&self) -> u64 {
        self.forgotten + self.actors.forgotten() + self.outside.forgotten()
    }
}

impl PortScan {
    fn is_allowed(&self, actor: &Actor) -> bool {
        actor.workload().is_some_and(|workload| Selector::any(&self.params.allowed, workload))
    }
}

impl ActorTargets {
    /// How many first contacts with ports of a target that is not followed succeeded.
    fn succeeded(&self, number: Digest) -> u32 {
        let (from, to) = ports_of(number);
        u32::try_from(self.known.between(from, to)).unwrap_or(u32::MAX)
    }

    fn is_followed(&self, ip: IpAddr) -> bool {
        self.targets.iter().any(|target| target.ip == ip)
    }

    /// The target, and whether another one was forgotten for it.
    fn target(&mut self, ip: IpAddr, at: Timestamp, succeeded: u32) -> (&mut Target, bool) {
        let known = self.targets.iter().position(|target| target.ip == ip);
        let is_full = known.is_none() && self.targets.len() >= MAX_TARGETS;
        if is_full && let Some(quietest) = (0..self.targets.len()).min_by_key(|place| self.targets[*place].last) {
            let gone = self.targets.swap_remove(quietest);
            // Its ports failed: they must not count as good ones when it comes again.
            let (from, to) = ports_of(digest(&gone.ip));
            self.known.forget_between(from, to);
        }
        let place = known.unwrap_or_else(|| {
            let tally = Tally::after(succeeded);
            self.targets.push(Target { ip, last: at, tally, probe: None, is_probed: false });
            self.targets.len() - 1
        });
        let target = &mut self.targets[place];
        target.last = target.last.max(at);
        (target, is_full)
    }
}

impl Target {
    /// Two kinds of impossible flags within a moment: somebody asks which system it is.
    fn probe(&mut self, contact: &Contact<'_>, at: Timestamp) -> Option<Explanation> {
        let tcp = contact.record.tcp.filter(|_| contact.outcome == Outcome::Stealth)?;
        let flags = tcp.orig_flags;
        let is_odd = flags & crate::input::tcp_flags::ACK == 0;
        let (before, kind) = self.probe.replace((at, flags)).filter(|_| is_odd)?;
        let is_other = kind != flags && kind & crate::input::tcp_flags::ACK == 0 && at.since(before) <= OS_PROBE;
        if !is_other || std::mem::replace(&mut self.is_probed, true) {
            return None;
        }
        let observed = format!(
            "two segments to {} whose flags ({kind:#04x}, then {flags:#04x}) no connection begins with, within {}",
            self.ip,
            readable(OS_PROBE)
        );
        let mut why = Explanation::new(observed, "no program sends such flags", ExpectedFrom::Floor);
        "two kinds within 10 s".clone_into(&mut why.threshold);
        why.signs.push("certain by signature: such probes ask which operating system answers".to_owned());
        Some(why.about([self.ip]))
    }
}

/// About the actor that scans, or else about the target that is scanned from outside.
fn finding(context: Context<'_>, contact: &Contact<'_>, severity: Severity, mut why: Explanation) -> Finding {
    let at = contact.flow.view.record.start;
    why.alternatives = vec![
        Alternative::new(
            "a vulnerability scanner or a monitor",
            "is this its task? Then name it under rules.port-scan.allowed",
        ),
        Alternative::new(
            "a client that looks for a service among many ports (passive FTP, RPC, a cluster member that is down)",
            "does a service listen there at other times?",
        ),
    ];
    why.limits = limits(context, contact);
    "rules.port-scan.allowed (a service), or an exception".clone_into(&mut why.silence);
    let finding = match (contact.source, contact.target) {
        (Some(source), _) => Finding {
            attribution: Some(contact.flow.source.clone()),
            severity,
            ..Finding::of_actor(&META, at, source, "ports", why)
        },
        (None, Some(target)) => {
            why.limits.push("background scanning of addresses that the internet reaches is normal".to_owned());
            Finding { severity: Severity::Low, ..Finding::of_actor(&META, at, target, "ports, from outside", why) }
        }
        (None, None) => Finding { severity, ..Finding::of_nobody(&META, at, "ports", Vec::new()) },
    };
    Finding { flow: Some(contact.flow.view.clone()), destination: Some(contact.tuple.resp), ..finding }
}

#[cfg(test)]
mod tests;
