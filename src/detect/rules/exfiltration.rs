//! `exfiltration`.

mod strategy;
mod volumes;

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::baseline::volume::Figure;
use crate::detect::anomaly::contacts::Contact;
use crate::detect::anomaly::hours::Running;
use crate::detect::anomaly::new_traffic::{in_force, provenance};
use crate::detect::anomaly::per_actor::PerActor;
use crate::detect::params::rule_params;
use crate::detect::{
    Actor, Alternative, Context, ExpectedFrom, Explanation, Finding, Findings, Rule, Severity, name_of,
};
use crate::input::FlowId;
use crate::path::{Selector, is_internet};
use crate::wording::many;
pub use strategy::META;
use volumes::{Grown, PeerVolumes, Volume};

/// Open flows whose bytes are known so far.
const MAX_FLOWS: usize = 65_536;

rule_params! {
    /// Services that may: backups, image builders, log shippers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    allowed: Vec<Selector> = Vec::new(),
    /// Payload sent to one outside peer within an hour, in bytes, where no baseline says what the service sends.
    floor: u64 = 100_000_000,
    /// The same where one does: less is never reported.
    floor_known: u64 = 10_000_000,
    /// How many times as much as 99 of 100 hours in the baseline have.
    times_p99: u64 = 3,
    /// How many times as much as was received.
    ratio: u64 = 10,
}

#[derive(Debug, Default)]
struct ActorVolumes {
    peers: PeerVolumes,
    has_names: bool,
}

/// The rule; it remembers what each actor sent to which outside address.
#[derive(Debug)]
pub struct Exfiltration {
    params: Params,
    actors: PerActor<ActorVolumes>,
    /// Bytes of open flows that were counted.
    counted: BTreeMap<FlowId, (u64, u64)>,
    forgotten: u64,
}

/// The rule with its parameters.
pub fn rule(params: &Params) -> impl Rule + use<> {
    Exfiltration { params: params.clone(), actors: PerActor::default(), counted: BTreeMap::new(), forgotten: 0 }
}

impl Rule for Exfiltration {
    fn on_contact(&mut self, context: Context<'_>, contact: &Contact<'_>, findings: &mut Findings) {
        // Who opened the connection does not matter: passive FTP sends on one that the other end asked for.
        let (orig, resp) = (contact.record.orig.counters.payload_bytes, contact.record.resp.counters.payload_bytes);
        let (ours, peer, now) = match (contact.source, contact.target) {
            (Some(source), _) if is_internet(contact.tuple.resp.ip) => (source, contact.tuple.resp.ip, (orig, resp)),
            (None, Some(target)) if is_internet(contact.tuple.orig.ip) => (target, contact.tuple.orig.ip, (resp, orig)),
            _ => return,
        };
        if ours.workload().is_some_and(|workload| Selector::any(&self.params.allowed, workload)) {
            return;
        }
        let id = contact.flow.view.record.id;
        let before = self.counted.get(&id).copied().unwrap_or_default();
        self.remember(id, now, contact);
        let grew = (now.0.saturating_sub(before.0), now.1.saturating_sub(before.1));
        if grew == (0, 0) {
            return;
        }
        let app = contact.record.app.as_ref();
        let names = contact.source.is_some() && name_of(context, contact.flow, contact.record).is_some();
        let grown = Grown {
            at: contact.record.end,
            sent: grew.0,
            received: grew.1,
            is_named: names,
            is_known_protocol: app.is_some_and(|app| !app.looks_encrypted),
        };
        let own = self.actors.of(ours);
        let (volume, forgotten) = own.peers.add(peer.to_canonical(), grown, self.params.least());
        self.forgotten += forgotten;
        own.has_names |= names;
        if !is_worth_a_look(&self.params, volume) {
            return;
        }
        let limit = Limit::of(context, &self.params, ours);
        let found = judge(context, &limit, own.has_names, (ours, contact, peer), volume);
        if let Some(kept) = own.peers.much(&peer.to_canonical()) {
            kept.next = next_look(volume.sum().0, &limit, found.is_some());
        }
        findings.extend(found);
    }

    fn forgotten(&self) -> u64 {
        self.forgotten + self.actors.forgotten()
    }
}

impl Exfiltration {
    fn remember(&mut self, id: FlowId, now: (u64, u64), contact: &Contact<'_>) {
        if contact.step == crate::detect::ContactStep::Ended {
            self.counted.remove(&id);
        } else if self.counted.len() < MAX_FLOWS || self.counted.contains_key(&id) {
            self.counted.insert(id, now);
        } else {
            self.forgotten += 1;
        }
    }
}

impl Params {
    /// Less than this is never too much.
    fn least(&self) -> u64 {
        self.floor.min(self.floor_known)
    }
}

/// Whether more was sent than the least limit there is.
fn is_worth_a_look(params: &Params, volume: Volume) -> bool {
    volume.sum().0 >= params.least().max(volume.next)
}

/// When to look again: at ten times what was reported, and what is within the limit when it has grown by a quarter.
fn next_look(sent: u64, limit: &Limit, is_told: bool) -> u64 {
    if is_told { sent.saturating_mul(10) } else { sent.saturating_add(sent / 4).min(limit.sent) }
}

/// From when on it is too much.
#[derive(Debug)]
struct Limit {
    sent: u64,
    /// How many times as much as came back; `None`: that plays no part.
    ratio: Option<u64>,
    expected: String,
    from: ExpectedFrom,
    threshold: String,
    parameter: &'static str,
    known_by: String,
}

impl Limit {
    /// Of the service's own hours where its approved baseline knows them, else a fixed one.
    fn of(context: Context<'_>, params: &Params, actor: &Actor) -> Self {
        Self::known(context, params, actor).unwrap_or_else(|| Self {
            sent: params.floor,
            ratio: Some(params.ratio.max(1)),
            expected: "services receive more from outside than they send".to_owned(),
            from: ExpectedFrom::Floor,
            threshold: format!("{} bytes in an hour, {} times what came back", params.floor, params.ratio),
            parameter: "rules.exfiltration.floor",
            known_by: "without a baseline it is not known whether the peer is new".to_owned(),
        })
    }

    fn known(context: Context<'_>, params: &Params, actor: &Actor) -> Option<Self> {
        let baseline = context.baseline?;
        let (service, traffic) = in_force(baseline, actor.service()?)?;
        let volume = traffic.volume.as_ref()?;
        let p99 = volume.quantiles(Figure::BytesOut).p99;
        let running = Running::all(context.timeline).get(&service.key).map_or(1, |running| running.containers);
        let containers = running.max(volume.containers).max(1);
        let accepted = volume.accepted(Figure::BytesOut).map_or(0, |within| within.to);
        let sent =
            p99.saturating_mul(params.times_p99).max(accepted).saturating_mul(containers).max(params.floor_known);
        Some(Self {
            sent,
            ratio: None,
            expected: format!(
                "99 of 100 hours have no more than {p99} bytes out, to all peers, from each of {}",
                many(containers, "container")
            ),
            from: ExpectedFrom::Baseline,
            threshold: format!("{} times that, {} bytes at least: {sent} bytes", params.times_p99, params.floor_known),
            parameter: "rules.exfiltration.times_p99",
            known_by: provenance(service, traffic, baseline.serial),
        })
    }
}

fn judge(
    context: Context<'_>,
    limit: &Limit,
    has_names: bool,
    (actor, contact, peer): (&Actor, &Contact<'_>, IpAddr),
    volume: Volume,
) -> Option<Finding> {
    let (sent, received) = volume.sum();
    if sent < limit.sent || limit.ratio.is_some_and(|ratio| sent / ratio < received) {
        return None;
    }
    let mut signs = Vec::new();
    if !volume.is_named && has_names {
        signs.push("the peer has no name, although other peers of this actor have".to_owned());
    }
    if !volume.is_known_protocol {
        signs.push("the protocol is not known".to_owned());
    }
    let observed = format!("{sent} bytes of payload went to {peer} within an hour, {received} came back");
    let mut why = Explanation::new(observed, limit.expected.clone(), limit.from);
    why.threshold.clone_from(&limit.threshold);
    limit.parameter.clone_into(&mut why.parameter);
    why.alternatives = vec![
        Alternative::new(
            "a backup, an image push, a mirror",
            "is the peer its usual storage, and this its usual time?",
        ),
        Alternative::new("log and metric shipping, replication", "does the configuration name the peer?"),
        Alternative::new("mail with attachments, an upload by a person, a video call", "who used the service then?"),
    ];
    why.limits.push(limit.known_by.clone());
    if context.actors.are_assumed() {
        why.limits.push("no address of this capture is known to be yours: --local CIDR would tell".to_owned());
    }
    "rules.exfiltration.allowed (a service), rules.exfiltration.floor, or an exception".clone_into(&mut why.silence);
    let severity = if signs.is_empty() { Severity::Low } else { Severity::Medium };
    why.signs = signs;
    let ours = if contact.source.is_some() { contact.tuple.resp } else { contact.tuple.orig };
    Some(Finding {
        severity,
        attribution: Some(contact.flow.source.clone()),
        flow: Some(contact.flow.view.clone()),
        destination: Some(ours),
        ..Finding::of_actor(&META, contact.record.end, actor, "bytes out", why)
    })
}
