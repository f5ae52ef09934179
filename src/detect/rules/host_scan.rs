//! `host-scan`.

mod strategy;
mod sweep;

use std::net::IpAddr;

use crate::detect::anomaly::contacts::{Contact, ContactStep};
use crate::detect::anomaly::outcome::Outcome;
use crate::detect::anomaly::per_actor::{PerActor, Recent};
use crate::detect::anomaly::tally::{Levels, Tally};
use crate::detect::params::rule_params;
use crate::detect::{
    Actor, Alternative, Context, ExpectedFrom, Explanation, Finding, Findings, HoldTime, Rule, Severity,
};
use crate::path::Selector;
use crate::time::readable;
pub use strategy::META;
use sweep::Sweep;

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
    known: Recent<IpAddr, MAX_KNOWN>,
    tally: Tally<IpAddr>,
    sweep: Sweep,
    day: sweep::Day,
}

/// The rule; it remembers which addresses each actor contacted.
#[derive(Debug)]
pub struct HostScan {
    params: Params,
    actors: PerActor<ActorAddresses>,
}

/// The rule with its parameters.
pub fn rule(params: &Params) -> impl Rule + use<> {
    HostScan { params: params.clone(), actors: PerActor::default() }
}

impl Rule for HostScan {
    fn on_contact(&mut self, context: Context<'_>, contact: &Contact<'_>, findings: &mut Findings) {
        let Some(actor) = contact.source.filter(|_| contact.step == ContactStep::Decided) else { return };
        let to = contact.tuple.resp.ip.to_canonical();
        if matches!(contact.outcome, Outcome::Midstream | Outcome::Error | Outcome::Unknown | Outcome::OneSided)
            || to.is_loopback()
            || self.is_allowed(actor)
        {
            return;
        }
        let levels = self.levels();
        let own = self.actors.of(actor);
        if !own.known.is_new(to) {
            return;
        }
        let at = contact.flow.view.record.start;
        own.tally.count(to, contact.outcome, contact.tuple.protocol, at);
        own.day.count(contact.outcome, at);
        own.sweep.add(at, to, contact.tuple, self.params.sweep_window.get());
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
    if let Some((found, severity)) = own.sweep.found(params.sweep, params.high) {
        let window = readable(params.sweep_window.get());
        let observed = format!(
            "{} addresses were contacted for the first time {} within {window}, {} of them in {}",
            found.addresses, found.by, found.neighbours, found.network
        );
        let expected = "nobody needs so many neighbours at once";
        let mut why = Explanation::new(observed, expected, ExpectedFrom::Floor).about(&found.shown);
        why.threshold = format!("{} addresses, half of them in one /24 or /120", params.sweep);
        "rules.host-scan.sweep".clone_into(&mut why.parameter);
        return Some((severity, found.addresses, why));
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

fn finding(
    context: Context<'_>,
    actor: &Actor,
    contact: &Contact<'_>,
    severity: Severity,
    mut why: Explanation,
) -> Finding {
    why.alternatives = vec![
        Alternative::new(
            "a monitor or an exporter that probes many targets",
            "is this its task? Then name it under rules.host-scan.allowed",
        ),
        Alternative::new(
            "a client whose peers are down",
            "are the addresses those of one service that is not running?",
        ),
        Alternative::new(
            "service discovery, a crawler, peer-to-peer, a mail queue",
            "what does the program at this address do?",
        ),
    ];
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
