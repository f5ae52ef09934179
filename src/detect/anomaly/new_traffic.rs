//! What the four rules about traffic that the baseline does not hold have in common.
//!
//! Contract: nothing is news of a service without a traffic part in force. Of each service a rule remembers what was new, so that it speaks of each
//! object once, and of all of them at powers of ten. Limits: [`MAX_NEW`] objects a service; further ones are counted without their names.
//! Design: [`OnNewTraffic`] asks, a [`NewTrafficRule`] judges; a flow is looked at when its first bytes say something, when it goes on and when it ends: its name may come after the handshake.

use std::collections::BTreeMap;
use std::time::Duration;

use super::actor::Actor;
use super::contacts::{Contact, ContactStep};
use super::dealing::{Dealings, Side};
use super::explanation::{Alternative, ExpectedFrom, Explanation};
use super::per_actor::PerActor;
use crate::baseline::traffic::{Novelty, TrafficBaseline, Way};
use crate::baseline::{Baseline, ServiceBaseline, ServiceState};
use crate::detect::{Context, Finding, Findings, Rule, RuleMeta, Severity};
use crate::input::Protocol;
use crate::inventory::configuration::ServiceKey;
use crate::time::{Timestamp, readable};
use crate::wording::many;

/// New objects of one service.
const MAX_NEW: usize = 256;
/// What happens within this time after a container's start belongs to its start.
const STARTUP: Duration = Duration::from_mins(2);

/// What is expected of a service's traffic, where that is in force.
pub fn in_force<'a>(baseline: &'a Baseline, key: &ServiceKey) -> Option<(&'a ServiceBaseline, &'a TrafficBaseline)> {
    let service = baseline.service(key).filter(|service| service.state == ServiceState::Enforced)?;
    Some((service, service.traffic.as_ref()?))
}

/// Something new of a service.
#[derive(Debug)]
pub struct News<'a> {
    /// What the baseline holds of the service.
    pub service: &'a ServiceBaseline,
    /// Of its traffic.
    pub traffic: &'a TrafficBaseline,
    /// What is new.
    pub novelty: Novelty<'a>,
}

/// A rule about what the traffic part of a baseline does not hold.
pub trait NewTrafficRule: std::fmt::Debug + Send {
    /// Whether it may speak of this contact from this side.
    fn wants(&self, context: Context<'_>, contact: &Contact<'_>, way: Way) -> bool;

    /// What it says of something new; it asks [`NewObjects::note`] last: from then on the object is known.
    fn judge(&self, seen: &mut NewObjects, what: &NewOfContact<'_>) -> Option<Finding>;

    /// Whether an exception of the configuration covers the contact: services, by default whose news it is.
    fn is_allowed(&self, contact: &Contact<'_>, side: &Side<'_>) -> bool;
}

/// Something new that a contact showed of a service.
#[derive(Debug)]
pub struct NewOfContact<'a> {
    /// What the rules know beside it.
    pub context: Context<'a>,
    /// The contact.
    pub contact: &'a Contact<'a>,
    /// What it is to the services at its ends.
    pub dealings: &'a Dealings,
    /// From whose side.
    pub side: &'a Side<'a>,
    /// What is new.
    pub news: &'a News<'a>,
}

impl NewOfContact<'_> {
    /// The finding about it.
    pub fn finding(&self, rule: &'static RuleMeta, severity: Severity, cause: &str, why: Explanation) -> Finding {
        let flow = self.contact.flow;
        Finding {
            severity,
            attribution: Some(flow.source.clone()),
            flow: Some(flow.view.clone()),
            destination: Some(self.contact.tuple.resp),
            ..Finding::of_actor(rule, self.contact.record.start, self.side.actor, cause, why)
        }
    }
}

/// Asks a rule about each side of a contact that is news, and remembers what was new of each service.
#[derive(Debug)]
pub struct OnNewTraffic<R> {
    rule: R,
    actors: PerActor<NewObjects>,
}

impl<R: NewTrafficRule> OnNewTraffic<R> {
    /// Nothing was new yet.
    pub fn new(rule: R) -> Self {
        Self { rule, actors: PerActor::default() }
    }
}

impl<R: NewTrafficRule> Rule for OnNewTraffic<R> {
    fn on_contact(&mut self, context: Context<'_>, contact: &Contact<'_>, findings: &mut Findings) {
        let Some(baseline) = context.baseline else { return findings.want_no_more() };
        let is_wanted = |way, actor: Option<&Actor>| {
            let has_traffic = |actor: &Actor| actor.service().is_some_and(|key| in_force(baseline, key).is_some());
            actor.is_some_and(has_traffic) && self.rule.wants(context, contact, way)
        };
        let wanted = (is_wanted(Way::Reaches, contact.source), is_wanted(Way::Listens, contact.target));
        if wanted == (false, false) || !is_ripe(contact) {
            return;
        }
        let Some(dealings) = Dealings::of(context.names, context.timeline, contact) else { return };
        for side in dealings.sides(contact) {
            let is_wanted = if side.dealing.way == Way::Reaches { wanted.0 } else { wanted.1 };
            let Some((service, traffic)) = in_force(baseline, side.key).filter(|_| is_wanted) else { continue };
            let Some(novelty) = traffic.novelty(&side.dealing) else { continue };
            if self.rule.is_allowed(contact, &side) {
                continue;
            }
            let news = &News { service, traffic, novelty };
            let what = NewOfContact { context, contact, dealings: &dealings, side: &side, news };
            if let Some(finding) = self.rule.judge(self.actors.of(side.actor), &what) {
                findings.push(finding);
            }
        }
    }

    fn forgotten(&self) -> u64 {
        self.actors.forgotten()
    }
}

/// Whether enough is known of a flow: what it speaks and whom it names comes with its first bytes.
fn is_ripe(contact: &Contact<'_>) -> bool {
    let is_said = contact.record.app.is_some() || contact.tuple.protocol != Protocol::TCP;
    contact.step != ContactStep::Decided || is_said
}

/// What was new of one service.
#[derive(Debug, Default)]
pub struct NewObjects {
    objects: BTreeMap<String, u64>,
    more: u64,
    flows: u64,
    next: u64,
    since: Option<Timestamp>,
}

impl NewObjects {
    /// Takes an object in; whether it is time to speak.
    pub fn note(&mut self, object: &str, contact: &Contact<'_>) -> bool {
        self.since.get_or_insert(contact.record.start);
        let (has_ended, is_known) = (contact.step == ContactStep::Ended, self.objects.contains_key(object));
        let is_new = !is_known && self.objects.len() < MAX_NEW;
        self.flows += u64::from(has_ended);
        if is_known || is_new {
            *self.objects.entry(object.to_owned()).or_default() += u64::from(has_ended);
        } else {
            self.more += u64::from(has_ended);
        }
        let is_due = is_new || self.flows >= self.next.max(10);
        if is_due {
            let mut next = 10;
            while next <= self.flows {
                next *= 10;
            }
            self.next = next;
        }
        is_due
    }

    /// How many objects, in how many flows, since when.
    fn observed(&self, what: &str, now: Timestamp) -> String {
        let span = self.since.map_or(Duration::ZERO, |since| now.since(since));
        let more = if self.more > 0 { format!(", and {} to others", many(self.more, "flow")) } else { String::new() };
        format!(
            "{} not in the baseline, {} ended, within {}{more}",
            many(self.objects.len(), what),
            many(self.flows, "flow"),
            readable(span)
        )
    }

    /// The explanation that all four share; `object` is the latest.
    pub fn explain(
        &self,
        what: &str,
        object: &str,
        expected: String,
        &NewOfContact { context, side, news, .. }: &NewOfContact<'_>,
    ) -> Explanation {
        let observed = format!("{object}; {}", self.observed(what, context.now));
        let mut why = Explanation::new(observed, expected, ExpectedFrom::Baseline);
        let serial = context.baseline.map_or(0, |baseline| baseline.serial);
        why.threshold = format!("the first one that {} has no entry for", side.key.name());
        why.limits.push(provenance(news.service, news.traffic, serial));
        if news.traffic.learned.is_some_and(|learned| learned.starts == 0) {
            why.limits.push("the baseline saw no start: what the service does only then is not known".to_owned());
            if after_start(context, side.actor).is_some() {
                why.alternatives.push(Alternative::new(
                    "what the service does at each start",
                    "does it come again after the next restart, and then no more?",
                ));
            }
        }
        "hopwatch baseline approve, after `baseline diff --read RECORDING`; `shadow: true` for the service; an exception".clone_into(&mut why.silence);
        why.about(self.objects.iter().map(|(object, flows)| format!("{object} ({})", many(*flows, "flow"))))
    }
}

/// Since when the service runs, where that is not long ago.
pub fn after_start(context: Context<'_>, actor: &Actor) -> Option<Duration> {
    let since = actor
        .workload()
        .and_then(|workload| context.timeline.workload(&workload.id))
        .and_then(|workload| workload.since)?;
    Some(context.now.since(since)).filter(|age| *age < STARTUP)
}

/// From what the expectation comes.
pub fn provenance(service: &ServiceBaseline, traffic: &TrafficBaseline, serial: u64) -> String {
    let learned = traffic.learned.map_or_else(
        || "its traffic part was written by hand".to_owned(),
        |it| format!("learned from {} in {}", many(it.contacts, "contact"), readable(it.to.since(it.from))),
    );
    match &service.approved {
        Some(approval) => format!(
            "baseline serial {serial}, {learned}, last approval by {} at {}",
            approval.by,
            approval.at.readable()
        ),
        None => format!("baseline serial {serial}, {learned}"),
    }
}
