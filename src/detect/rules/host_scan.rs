//! `host-scan`.

mod questions;
mod strategy;
mod sweep;

use std::net::IpAddr;

use crate::detect::anomaly::asked::Asked;
use crate::detect::anomaly::contacts::{Contact, ContactStep};
use crate::detect::anomaly::digest::{Digest, digest};
use crate::detect::anomaly::outcome::Outcome;
use crate::detect::anomaly::per_actor::{PerActor, Recent};
use crate::detect::anomaly::routers::Routers;
use crate::detect::anomaly::tally::{Levels, Tally};
use crate::detect::params::rule_params;
use crate::detect::{
    Actor, Alternative, Context, ExpectedFrom, Explanation, Finding, Findings, HoldTime, Rule, Severity,
};
use crate::input::NeighbourClaim;
use crate::path::{JudgedFlow, Selector};
use crate::time::readable;
use questions::Questions;
pub use strategy::META;
use sweep::{Means, Sweep};

/// Addresses that an actor is known to have contacted.
const MAX_KNOWN: usize = 256;

rule_params! {
    /// Services that may: monitors, exporters, crawlers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    allowed: Vec<Selector> = Vec::new(),
    /// The share of honest actors that may be accused, for `low`: 5 net failures.
    accused_low: f64 = 1e-3,
    /// The same, for `medium`: 9 net failures.
    accused_medium: f64 = 1e-5,
    /// Addresses that failed, for `high`.
    high: u32 = 100,
    /// New addresses at one port, or by echo requests, that are a sweep although they answer; half of them neighbours.
    sweep: u32 = 16,
    /// The time in which a sweep contacts so many.
    sweep_window: HoldTime = HoldTime::secs(60),
    /// Addresses that failed in a day that are a slow scan, where at least half of the first contacts failed; three times as many where a third did.
    slow: u32 = 10,
}

#[derive(Debug, Default)]
struct ActorAddresses {
    /// Digests of addresses.
    known: Recent<Digest, MAX_KNOWN>,
    tally: Tally<IpAddr>,
    sweep: Sweep,
    day: sweep::Day,
    on_link: Questions,
    for_names: Questions,
}

/// The rule; it remembers which addresses each actor contacted.
#[derive(Debug)]
pub struct HostScan {
    params: Params,
    actors: PerActor<ActorAddresses>,
    routers: Routers,
    asked: Asked,
}

/// The rule with its parameters.
pub fn rule(params: &Params) -> impl Rule + use<> {
    HostScan {
        params: params.clone(),
        actors: PerActor::default(),
        routers: Routers::default(),
        asked: Asked::default(),
    }
}

impl Rule for HostScan {
    fn on_flow(&mut self, _: Context<'_>, flow: &JudgedFlow, _: &mut Findings) {
        self.routers.see(flow);
    }

    fn on_claim(&mut self, context: Context<'_>, claim: &NeighbourClaim, findings: &mut Findings) {
        findings.extend(questions::asked_on_link(self, context, claim));
    }

    fn on_contact(&mut self, context: Context<'_>, contact: &Contact<'_>, findings: &mut Findings) {
        let Some(actor) = contact.source.filter(|actor| !self.is_allowed(actor)) else { return };
        findings.extend(questions::asked_for_names(self, context, (actor, contact)));
        let to = contact.tuple.resp.ip.to_canonical();
        if contact.step != ContactStep::Decided
            || matches!(contact.outcome, Outcome::Midstream | Outcome::Error | Outcome::Unknown | Outcome::OneSided)
            || to.is_loopback()
        {
            return;
        }
        let levels = self.levels();
        let own = self.actors.of(actor);
        if !own.known.is_new(digest(&to)) {
            return;
        }
        let at = contact.flow.view.record.start;
        own.tally.count(to, contact.outcome, contact.tuple.protocol, at);
        own.day.count(contact.outcome, at);
        own.sweep.add(at, to, Means::of(&contact.tuple), self.params.sweep_window.get());
        let found = judge(own, &self.params, levels);
        if let Some((severity, amount, why)) = found
            && own.tally.is_due(severity, amount)
        {
            findings.push(finding(context, actor, contact, severity, why));
        }
    }

    fn forgotten(&self) -> u64 {
        self.actors.forgotten()
    }
}

impl HostScan {
    const fn levels(&self) -> Levels {
        let Params { accused_low: low, accused_medium: medium, high, .. } = self.params;
        Levels { low, medium, high }
    }

    fn is_allowed(&self, actor: &Actor) -> bool {
        actor.workload().is_some_and(|workload| Selector::any(&self.params.allowed, workload))
    }
}

/// The strongest of the three tests, with what it counted.
fn judge(own: &ActorAddresses, params: &Params, levels: Levels) -> Option<(Severity, u32, Explanation)> {
    if let Some(severity) = own.tally.severity(levels) {
        let why = own.tally.explain("addresses", levels, "rules.host-scan.accused_low");
        return Some((severity, own.tally.failed, why));
    }
    if let Some(found) = judge_sweep(&own.sweep, params) {
        return Some(found);
    }
    let (failed, total) = own.day.slow(params.slow)?;
    let observed = format!("{failed} of {total} addresses that were contacted for the first time within a day failed");
    let mut why = Explanation::new(
        observed,
        "an honest actor's first contacts succeed in four of five cases",
        ExpectedFrom::Floor,
    );
    why.threshold =
        format!("{} addresses and half of all, or {} and a third", params.slow, params.slow.saturating_mul(3));
    "rules.host-scan.slow".clone_into(&mut why.parameter);
    Some((Severity::Low, failed, why.about(&own.tally.shown)))
}

/// Many neighbours at once, although they answer.
fn judge_sweep(sweep: &Sweep, params: &Params) -> Option<(Severity, u32, Explanation)> {
    let (found, severity) = sweep.found(params.sweep, params.high)?;
    let observed = format!(
        "{} addresses were contacted for the first time {} within {}, {} of them in {}",
        found.addresses,
        found.by,
        readable(params.sweep_window.get()),
        found.neighbours,
        found.network
    );
    let expected = "nobody needs so many neighbours at once";
    let mut why = Explanation::new(observed, expected, ExpectedFrom::Floor).about(&found.shown);
    why.threshold = format!("{} addresses, half of them in one /24 or /120", params.sweep);
    "rules.host-scan.sweep".clone_into(&mut why.parameter);
    Some((severity, found.addresses, why))
}

/// What else contacts many addresses.
fn alternatives() -> impl Iterator<Item = Alternative> {
    [
        (
            "a monitor or an exporter that probes many targets",
            "is this its task? Then name it under rules.host-scan.allowed",
        ),
        ("a client whose peers are down", "are the addresses those of one service that is not running?"),
        ("service discovery, a crawler, peer-to-peer, a mail queue", "what does the program at this address do?"),
    ]
    .into_iter()
    .map(|(what, check)| Alternative::new(what, check))
}

fn finding(
    context: Context<'_>,
    actor: &Actor,
    contact: &Contact<'_>,
    severity: Severity,
    mut why: Explanation,
) -> Finding {
    why.alternatives = alternatives().collect();
    why.limits = limits(context, contact);
    "rules.host-scan.allowed (a service), or an exception".clone_into(&mut why.silence);
    Finding {
        severity,
        attribution: Some(contact.flow.source.clone()),
        flow: Some(contact.flow.view.clone()),
        destination: Some(contact.tuple.resp),
        ..Finding::of_actor(&META, contact.flow.view.record.start, actor, "hosts", why)
    }
}

/// What weakens a walk.
pub(super) fn limits(context: Context<'_>, contact: &Contact<'_>) -> Vec<String> {
    let record = &contact.flow.view.record;
    let since = context.path.losses.observed_since(&record.point);
    let mut limits = Vec::new();
    if let Some(since) = since {
        let watched = context.now.since(since);
        if watched.as_secs() < 3600 {
            limits.push(format!(
                "{} has been watched for {} only: first contacts may have been made before",
                record.point,
                readable(watched)
            ));
        }
    }
    if context.actors.are_assumed() {
        limits.push("no address of this capture is known to be yours: --local CIDR would tell".to_owned());
    }
    limits
}

#[cfg(test)]
mod tests;
