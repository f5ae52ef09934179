//! `undeclared-relay`.

mod echoes;
mod legs;

use std::sync::Arc;

use crate::detect::params::rule_params;
use crate::detect::{Ads, Context, Finding, Findings, Rule, RuleMeta, Severity, Technique};
use crate::input::{Endpoint, FiveTuple, FlowEvent, FlowRecord, Protocol, Workload};
use crate::inventory::{Owner, Timeline};
use crate::path::relay::{RelayMatch, RelayProof, echoed, matched};
use crate::path::{Contract, Evidence, Hop, JudgedFlow, ObservedFlow, Oriented, PerWorkload, Selector, responder_of};
use echoes::Echoes;
use legs::{Direction, Leg, Legs, Pair};

/// Name resolution: a forwarder of questions is a resolver, and dns-skips-resolver's matter.
const RESOLUTION: [u16; 3] = [53, 853, 5353];

rule_params! {
    /// Workloads that may relay: reverse proxies, load balancers, jump hosts that no contract names as a hop.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    relays: Vec<Selector> = Vec::new(),
}

/// The rule; it remembers the last legs of each workload.
#[derive(Debug)]
pub struct UndeclaredRelay {
    relays: Vec<Selector>,
    /// Every hop of every contract.
    hops: Vec<Arc<Hop>>,
    /// Whether a workload is one of them, or may relay.
    may_relay: PerWorkload<bool>,
    legs: Legs,
    echoes: Echoes,
}

/// The rule with its parameters.
pub fn rule(params: &Params) -> impl Rule + use<> {
    UndeclaredRelay {
        relays: params.relays.clone(),
        hops: Vec::new(),
        may_relay: PerWorkload::default(),
        legs: Legs::default(),
        echoes: Echoes::default(),
    }
}

impl Rule for UndeclaredRelay {
    fn contracts(&mut self, contracts: &[Contract]) {
        self.hops = contracts.iter().flat_map(Contract::hops).cloned().collect();
        self.hops.sort_by_key(|hop| Arc::as_ptr(hop).addr());
        self.hops.dedup_by(|one, other| Arc::ptr_eq(one, other));
    }

    fn on_flow(&mut self, context: Context<'_>, flow: &JudgedFlow, findings: &mut Findings) {
        let record = &flow.view.record;
        // Read backwards, a leg would come in that went out.
        if flow.again || !flow.oriented.certain || !may_be_leg(record) {
            return;
        }
        let (responder, reached) = answered_by(context.timeline, flow);
        let (source, responder_workload) = (flow.source.workload(), responder.workload());
        if source.zip(responder_workload).is_some_and(|(one, other)| one.id == other.id) {
            return;
        }
        let legs =
            [(responder_workload, Direction::Inbound, reached), (source, Direction::Outbound, record.tuple.resp)];
        for (workload, direction, resp) in legs {
            let Some(workload) = workload else { continue };
            if self.may_relay(workload) {
                continue;
            }
            let mut record = record.clone();
            record.tuple.resp = resp;
            let leg = Leg::new(Arc::clone(workload), direction, flow.source.clone(), record);
            let place = self.legs.insert(leg);
            self.check(place, findings);
        }
    }

    fn on_progress(&mut self, _context: Context<'_>, flow: &JudgedFlow, event: &FlowEvent, findings: &mut Findings) {
        let mut places = self.legs.of_flow(flow.view.record.id).peekable();
        if places.peek().is_none() {
            return;
        }
        let record = flow.oriented.read(&event.record);
        for place in places {
            self.legs.go_on(place, &record);
            self.check(place, findings);
        }
    }

    fn forgotten(&self) -> u64 {
        self.legs.forgotten + self.echoes.forgotten
    }
}

/// Who answers a flow, and where: behind a translation, who answers after it. Whether a point's record or its translated twin stands for a connection is
/// a matter of milliseconds.
fn answered_by(timeline: &Timeline, flow: &JudgedFlow) -> (Owner, Endpoint) {
    let own = (flow.responder.clone(), flow.oriented.tuple.resp);
    let resp = flow.view.translated.map_or(own.1, |translated| translated.resp);
    if own.0.workload().is_some() || resp == own.1 {
        return own;
    }
    let Oriented { tuple, ref point, .. } = flow.oriented;
    let behind = Oriented { tuple: FiveTuple { resp, ..tuple }, point: point.clone(), ..flow.oriented };
    let responder = responder_of(timeline, &behind);
    if responder.workload().is_some() { (responder, resp) } else { own }
}

/// Whether a flow can be a leg: a conversation that is no name resolution.
fn may_be_leg(record: &FlowRecord) -> bool {
    let is_resolution =
        RESOLUTION.contains(&record.tuple.resp.port) || record.app.as_ref().is_some_and(|app| !app.dns.is_empty());
    matches!(record.tuple.protocol, Protocol::TCP | Protocol::UDP) && !is_resolution
}

impl UndeclaredRelay {
    /// Whether a workload is a declared hop, or allowed.
    fn may_relay(&mut self, workload: &Arc<Workload>) -> bool {
        let Self { relays, hops, may_relay, .. } = self;
        may_relay.get(workload, || {
            let is_hop =
                |hop: &Arc<Hop>| hop.is_workload(workload) || workload.addresses().any(|ip| hop.is_address(ip));
            Selector::any(relays, workload) || hops.iter().any(is_hop)
        })
    }

    /// Looks for the other leg of this one, and reports it once.
    fn check(&mut self, place: usize, findings: &mut Findings) {
        let Some(leg) = self.legs.get(place).filter(|leg| !leg.reported) else { return };
        let pairs = self.legs.pairs(leg);
        let found = pairs.clone().find_map(|(other, inbound, outbound)| {
            let found = matched(&inbound.record, &outbound.record)?;
            Some((other, Some(finding(inbound, outbound, found))))
        });
        let Some((other, finding)) = found.or_else(|| alike(pairs, &mut self.echoes)) else { return };
        self.legs.report([place, other]);
        if let Some(finding) = finding {
            findings.push(finding);
        }
    }
}

/// A pair of legs that carry as many bytes in all directions is counted; the finding once they are enough.
fn alike<'l>(mut pairs: impl Iterator<Item = Pair<'l>>, echoes: &mut Echoes) -> Option<(usize, Option<Finding>)> {
    let (other, inbound, outbound, bytes) = pairs.find_map(|(other, inbound, outbound)| {
        Some((other, inbound, outbound, echoed(&inbound.record, &outbound.record)?))
    })?;
    let text = echoes.count(&outbound.workload.id, bytes, outbound.record.end);
    let found = text.map(|text| RelayMatch { proof: RelayProof::Bytes, text });
    Some((other, found.map(|found| finding(inbound, outbound, found))))
}

fn finding(inbound: &Leg, outbound: &Leg, found: RelayMatch) -> Finding {
    let (came, went) = (inbound.record.tuple, outbound.record.tuple);
    let client = match &inbound.source {
        Owner::Workload { workload, .. } => format!("{} ({})", came.orig, workload.name),
        owner => format!("{} ({})", came.orig, owner.as_str()),
    };
    let legs = format!("{client} talks to {}, and {} to {} ({})", came.resp, went.orig, went.resp, went.protocol);
    let evidence = vec![Evidence::new("relay", found.text), Evidence::new("legs", legs)];
    let view =
        ObservedFlow { points: vec![outbound.record.point.clone()], record: outbound.record.clone(), translated: None };
    Finding {
        severity: if found.proof == RelayProof::Bytes { META.severity.lower() } else { META.severity },
        attribution: Some(outbound.source.clone()),
        flow: Some(view),
        destination: Some(went.resp),
        ..Finding::of_workload(&META, outbound.record.start, &outbound.workload, "relay", evidence)
    }
}

/// What the rule is.
pub static META: RuleMeta = RuleMeta {
    name: "undeclared-relay",
    title: "Container relays traffic although it is no declared hop",
    severity: Severity::High,
    techniques: &[Technique { name: "Proxy: Internal Proxy", v19: "T1090.001", v18: "T1090.001" }],
    ads: Ads {
        goal: "Detects a container that relays the connections of others: what comes in on one connection goes out \
             on another, although no contract names the container as a hop. Every client of the relay reaches what \
             the container may reach.",
        categorization: "Command and Control: an internal proxy turns one container's rights into everybody's, hides where a connection \
             really comes from, and leads around the proxies, gateways and monitors that contracts name.",
        strategy: "For each workload the last connections that came in and went out are kept. They are compared when \
             they are judged, when their first bytes are read, and when their counters grow or they end. Two belong \
             together when the target asked for on the way in (CONNECT, SOCKS) is the other end of the way out; when \
             the same TLS hello (name and JA4) or the same forwarded request passes both; or else when both \
             directions carry as many bytes, the way out begins within two seconds of the way in and while it lasts, \
             and both end within two seconds. Where all four directions carry as many bytes (an echo), one pair of connections may be \
             chance: three pairs of different sizes within ten minutes are reported. What rests on bytes is reported one severity lower. Hops of any contract and \
             workloads under `relays` may relay.",
        technical_context: "socat, ssh -L/-D/-R, chisel, gost, microsocks or a few lines of Python make a relay in any container. Its two \
             legs are two flows with different addresses and ports, often on different networks: nothing in the packets joins them \
             but what they carry and when. A raw relay passes bytes as they are; SOCKS and CONNECT add a preamble on the way in; \
             the PROXY protocol adds a header on the way out.",
        blind_spots: &[
            "A relay that encrypts one leg (ssh -D, a VPN, a TLS-terminating proxy) changes the bytes: matched only \
             where the target is named. tunnel-from-container detects some of these.",
            "One that keeps connections ready, multiplexes, delays for more than two seconds or pads.",
            "Conversations with less than 200 bytes, or without an answer, say nothing; fewer than three with equal bytes in both \
             directions, or all of one size, do not either.",
            "Name resolution is left out: a forwarder is a resolver.",
            "Connections whose start was not seen and whose ports do not show who asked; legs that lead back to the client.",
            "Of a busy workload only the last 64 connections each way are compared, and 32768 of all workloads.",
            "Legs on the loopback or in a shared namespace are seen only where these are captured.",
        ],
        assumptions: &[
            "Both legs are captured, each where its end at the workload can be attributed.",
            "Hops are declared in contracts.",
        ],
        false_positives: &[
            "Reverse proxies and load balancers that pass bytes on (haproxy in TCP mode, nginx stream, Traefik TCP) and that no \
             contract names: name them under rules.undeclared-relay.relays, by digest, or as hops.",
            "Jump hosts and port forwards that a person set up to debug.",
            "A service that asks another one with as many bytes in both directions at the same time, by chance.",
        ],
        true_positives: &["relay-undeclared", "relay-by-bytes"],
        benign_twins: &["relay-declared"],
        priority: "High: a relay gives away whatever the container may reach, and hides who uses it; by bytes and time alone, medium.",
        response: &[
            "The evidence names both legs: who came in, and where it went.",
            "Find the process: `docker top NAME`, `nsenter -t PID -n ss -tnp` shows both sockets with one pid.",
            "Was it started with the container, or by an exec? Look into the runtime's history.",
            "If there is no explanation, `docker pause NAME`, keep it as evidence, and look at what the client did \
             through it.",
            "If it is meant, declare it as a hop, or add it to rules.undeclared-relay.relays, by digest.",
        ],
        resources: &[
            "https://attack.mitre.org/techniques/T1090/001/",
            "https://www.rfc-editor.org/rfc/rfc1928",
            "https://www.rfc-editor.org/rfc/rfc9110#section-9.3.6",
        ],
    },
};

#[cfg(test)]
mod tests;
