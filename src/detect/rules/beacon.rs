//! `beacon`.

mod seldom;
mod series;
mod strategy;

use std::collections::BTreeMap;
use std::time::Duration;

use crate::detect::anomaly::asked::Asked;
use crate::detect::anomaly::contacts::{Contact, ContactStep};
use crate::detect::anomaly::digest::{Digest, digest};
use crate::detect::anomaly::per_actor::PerActor;
use crate::detect::anomaly::regularity::{Chance, Regularity};
use crate::detect::params::rule_params;
use crate::detect::{
    Actor, Alternative, Context, ExpectedFrom, Explanation, Finding, Findings, Rule, Severity, name_of,
};
use crate::input::{FlowRecord, Protocol};
use crate::names::registered;
use crate::path::{Selector, is_internet};
use crate::time::Timestamp;
use crate::time::readable;
use seldom::Seldom;
use series::{Key, Series};
pub use strategy::META;

/// Peers of one actor, of connections and of questions each; the one that was quiet longest makes room.
const MAX_SERIES: usize = 256;

/// A regular contact that has lasted so long, or so many times, may be worth more than `low`.
const LASTED: Duration = Duration::from_hours(1);
/// See [`LASTED`].
const TIMES: u32 = 60;

rule_params! {
    /// Services whose regular contacts are expected.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    allowed: Vec<Selector> = Vec::new(),
    /// How often arrivals without memory may be as regular: `0.01`, `0.001` or `0.0002`.
    chance: Chance = Chance::Thousandth,
    /// The share of periods, gaps left out, in which there must be a contact.
    coverage: f64 = 0.6,
}

#[derive(Debug, Default)]
struct ActorSeries {
    connections: Peers,
    /// Many domains are asked for once: they take no room of connections.
    questions: Peers,
    /// The regular ones, as they were reported.
    regular: BTreeMap<Key, String>,
    /// Whether any contact of this actor had a name: then one without is a sign.
    has_names: bool,
}

/// Those that were contacted once, and the series of the others.
#[derive(Debug, Default)]
struct Peers {
    seldom: Seldom,
    series: BTreeMap<Key, Box<Series>>,
}

/// The rule; it remembers when each actor contacted whom.
#[derive(Debug)]
pub struct Beacon {
    params: Params,
    actors: PerActor<ActorSeries>,
    asked: Asked,
    forgotten: u64,
}

/// The rule with its parameters.
pub fn rule(params: &Params) -> impl Rule + use<> {
    Beacon { params: params.clone(), actors: PerActor::default(), asked: Asked::default(), forgotten: 0 }
}

impl Rule for Beacon {
    fn on_contact(&mut self, context: Context<'_>, contact: &Contact<'_>, findings: &mut Findings) {
        let Some(actor) = contact.source.filter(|actor| contact.outcome.is_contact() && !self.is_allowed(actor)) else {
            return;
        };
        if asks_resolver(contact.record) {
            return self.on_questions(context, (actor, contact), findings);
        }
        let is_made = matches!(contact.step, ContactStep::Decided | ContactStep::Resumed { .. });
        if !is_made || !may_be_series(contact.record) {
            return;
        }
        let known = name_of(context, contact.flow, contact.record);
        let key = Key::of(contact.record, known.as_ref());
        let own = self.actors.of(actor);
        own.has_names |= key.name().is_some();
        if own.connections.add(&key, contact, &mut self.forgotten) {
            let name_known_by = known.map(|known| known.by.as_str());
            findings.extend(judge(&self.params, own, context, (actor, contact, &key), name_known_by));
        }
    }

    fn forgotten(&self) -> u64 {
        self.forgotten + self.actors.forgotten()
    }
}

impl Beacon {
    fn is_allowed(&self, actor: &Actor) -> bool {
        actor.workload().is_some_and(|workload| Selector::any(&self.params.allowed, workload))
    }

    /// Questions for names below a domain that were not asked for lately: a resolver has no answer to them, so they reach the domain's own servers.
    fn on_questions(
        &mut self,
        context: Context<'_>,
        (actor, contact): (&Actor, &Contact<'_>),
        findings: &mut Findings,
    ) {
        let questions = self.asked.anew(contact);
        if questions.is_empty() {
            return;
        }
        let own = self.actors.of(actor);
        for question in questions {
            let name = question.query.trim_end_matches('.').to_ascii_lowercase();
            let domain = registered(&name);
            if domain.len() == name.len() || is_of_no_domain(&name) {
                continue;
            }
            let key = Key::below(contact.record, domain);
            if own.questions.ask(&key, digest(&name), contact.record.end, &mut self.forgotten) {
                findings.extend(judge(&self.params, own, context, (actor, contact, &key), None));
            }
        }
    }
}

impl ActorSeries {
    fn series(&mut self, key: &Key) -> Option<&mut Series> {
        let peers = if key.is_question() { &mut self.questions } else { &mut self.connections };
        peers.series.get_mut(key).map(|series| &mut **series)
    }
}

impl Peers {
    /// A contact; whether its series is to be looked at now. `forgotten` counts peers that made room.
    fn add(&mut self, key: &Key, contact: &Contact<'_>, forgotten: &mut u64) -> bool {
        if let Some(series) = self.series.get_mut(key) {
            return series.add(contact);
        }
        let (number, at, bytes) = (digest(key), series::when(contact), series::first_bytes(contact));
        let Some((first, before)) = self.seldom.get(number) else {
            self.begin(number, at, bytes, forgotten);
            return false;
        };
        if at.since(first) < series::ONE {
            self.seldom.add(number, at, bytes);
            return false;
        }
        self.seldom.remove(number);
        self.series.entry(key.clone()).or_insert_with(|| Box::new(Series::after(first, before))).add(contact)
    }

    /// A question for a name; as [`Self::add`].
    fn ask(&mut self, key: &Key, name: Digest, at: Timestamp, forgotten: &mut u64) -> bool {
        if let Some(series) = self.series.get_mut(key) {
            return series.ask(name, at);
        }
        let number = digest(key);
        let Some((first, before)) = self.seldom.get(number) else {
            self.begin(number, at, name, forgotten);
            return false;
        };
        if before == name {
            return false;
        }
        self.seldom.remove(number);
        self.series.entry(key.clone()).or_insert_with(|| Box::new(Series::after_question(first, before))).ask(name, at)
    }

    fn begin(&mut self, number: Digest, at: Timestamp, more: [u32; 2], forgotten: &mut u64) {
        if self.seldom.len() + self.series.len() >= MAX_SERIES {
            *forgotten += 1;
            let quietest = self.series.iter().min_by_key(|(_, one)| one.last());
            let quietest = quietest.map(|(key, one)| (one.last(), key.clone()));
            match (self.seldom.oldest(), quietest) {
                (Some((once, number)), other) if other.as_ref().is_none_or(|(last, _)| once <= *last) => {
                    self.seldom.remove(number);
                }
                (_, Some((_, key))) => drop(self.series.remove(&key)),
                _ => {}
            }
        }
        *forgotten += self.seldom.insert(number, at, more);
    }
}

/// What there is to say of a series that has grown.
fn judge(
    params: &Params,
    own: &mut ActorSeries,
    context: Context<'_>,
    (actor, contact, key): (&Actor, &Contact<'_>, &Key),
    name_known_by: Option<&'static str>,
) -> Option<Finding> {
    let has_names = own.has_names;
    let series = own.series(key)?;
    let is_regular = |found: &Regularity| found.coverage >= params.coverage && found.is_regular(params.chance);
    let found = series.look().filter(is_regular)?;
    let signs = if series.has_lasted(LASTED, TIMES) { signs(key, contact, has_names) } else { Vec::new() };
    let severity = if signs.is_empty() { Severity::Low } else { Severity::Medium };
    if !series.is_due(severity) {
        return None;
    }
    let mut why = explain(key, series, found, signs, params.chance);
    why.name_known_by = name_known_by;
    why.name_observable = Some(has_names);
    if own.regular.len() >= MAX_SERIES && !own.regular.contains_key(key) {
        own.regular.pop_first();
    }
    own.regular.insert(key.clone(), why.observed.clone());
    let why = why.about(own.regular.values());
    Some(finding(actor, contact, severity, limits(context, why)))
}

/// Whether it asks a resolver for names.
fn asks_resolver(record: &FlowRecord) -> bool {
    record.tuple.resp.port == 53 && record.app.as_ref().is_some_and(|app| !app.dns.is_empty())
}

/// Names of the link and of addresses: who asks for them wants no contact with the owner of a domain.
fn is_of_no_domain(name: &str) -> bool {
    let top = name.rsplit('.').next().unwrap_or_default();
    ["arpa", "local", "localdomain", "internal", "lan", "home"].contains(&top)
}

/// What is regular by its protocol is never a series: time, leases, discovery on the link. Questions are asked of a resolver, not sent to it.
fn may_be_series(record: &FlowRecord) -> bool {
    const REGULAR: [u16; 12] = [53, 67, 68, 123, 137, 138, 546, 547, 853, 1900, 5353, 5355];
    let (tuple, app) = (record.tuple, record.app.as_ref());
    let is_regular =
        REGULAR.contains(&tuple.resp.port) || (tuple.protocol == Protocol::UDP && REGULAR.contains(&tuple.orig.port));
    tuple.protocol.has_ports() && !is_regular && app.is_none_or(|app| app.dns.is_empty())
}

/// What beside the pattern speaks against it.
fn signs(key: &Key, contact: &Contact<'_>, has_names: bool) -> Vec<String> {
    let is_outside = is_internet(contact.tuple.resp.ip) && contact.target.is_none();
    let mut signs = Vec::new();
    if is_outside && key.name().is_none() && has_names {
        signs.push("an outside address without any name, although other contacts of this actor have names".to_owned());
    }
    signs
}

fn explain(key: &Key, series: &Series, found: Regularity, signs: Vec<String>, chance: Chance) -> Explanation {
    let Regularity { median, d1, p10, p90, d2, intervals, coverage } = found;
    let span = |seconds: f64| readable(Duration::try_from_secs_f64(seconds).unwrap_or_default());
    let observed = format!(
        "contacted {key} every {} (median; half within ±{}; 10 % to 90 %: {} to {}), {} times in {}{}{}",
        span(median),
        span(d1 * median),
        span(p10),
        span(p90),
        series.contacts(),
        readable(series.span()),
        series.inside(),
        series.sizes()
    );
    let mut why = Explanation::new(observed, "arrivals without memory are less regular", ExpectedFrom::RandomArrivals);
    why.chance = Some(chance.p());
    why.threshold =
        crate::detect::anomaly::regularity::limits(intervals, chance).map_or_else(String::new, |(most1, most2)| {
            format!(
                "D1 {d1:.3} ≤ {most1:.3} or D2 {d2:.3} ≤ {most2:.3} of {intervals} intervals, coverage {coverage:.2}"
            )
        });
    "rules.beacon.chance".clone_into(&mut why.parameter);
    why.name = key.name().map(str::to_owned);
    why.signs = signs;
    why.alternatives = alternatives(key, series);
    "a baseline that holds this period, rules.beacon.allowed (a service), or an exception".clone_into(&mut why.silence);
    why
}

/// What else is as regular, most likely first.
fn alternatives(key: &Key, series: &Series) -> Vec<Alternative> {
    let mut all = Vec::new();
    if key.is_question() {
        all.push(Alternative::new(
            "a reputation or measurement service that is asked by DNS (mail filters, virus scanners, probes)",
            "do the names below the domain hold digests or addresses, and does the program document that?",
        ));
    }
    if series.is_mostly_inside() {
        all.push(Alternative::new(
            "the heartbeat of a protocol that keeps its connection (WebSocket, AMQP, MQTT, SSH, a VPN, a database pool)",
            "which protocol does the program speak, and does its configuration name this interval?",
        ));
    }
    if series.is_download() {
        all.push(Alternative::new(
            "a poll of a feed, a registry or a package mirror",
            "are the answers large and of the same file?",
        ));
    }
    if key.name().is_some() {
        all.push(Alternative::new(
            "telemetry, updates, connectivity checks",
            "does the name belong to the maker of the image?",
        ));
    }
    all.push(Alternative::new(
        "the heartbeat of a client library, a pool, a monitor that reports by itself",
        "does the service's documentation name this peer and period?",
    ));
    all.push(Alternative::new("a loop of a deploy script, cron", "did it begin with a deploy?"));
    all
}

fn limits(context: Context<'_>, mut why: Explanation) -> Explanation {
    if context.actors.are_assumed() {
        why.limits.push("no address of this capture is known to be yours: --local CIDR would tell".to_owned());
    }
    why
}

/// All regular contacts of an actor are one alert.
fn finding(actor: &Actor, contact: &Contact<'_>, severity: Severity, why: Explanation) -> Finding {
    Finding {
        severity,
        attribution: Some(contact.flow.source.clone()),
        flow: Some(contact.flow.view.clone()),
        destination: Some(contact.tuple.resp),
        ..Finding::of_actor(&META, series::when(contact), actor, "regular contacts", why)
    }
}
