//! `flood`.

mod meter;
mod new_macs;
mod strategy;

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::detect::anomaly::contacts::{Contact, ContactStep};
use crate::detect::anomaly::outcome::Outcome;
use crate::detect::params::rule_params;
use crate::detect::{Actor, Alternative, Context, ExpectedFrom, Explanation, Finding, Findings, Rule, Severity};
use crate::input::{FlowEvent, FlowEventKind, FlowId, FlowRecord, Protocol};
use crate::path::{JudgedFlow, Selector};
use crate::time::Timestamp;
use meter::{Amount, FloodKind, Meter};
use new_macs::NewMacs;
pub use strategy::META;

/// Packets of a flow that goes on, from which it is looked at before its end.
const LEAST: u64 = 500;
/// Open flows whose packets are known so far.
const MAX_FLOWS: usize = 16_384;
/// A source that spreads its connections over more targets and ports than this searches: `port-scan` and `host-scan` report that many failures.
const SEARCH: u64 = 9;

rule_params! {
    /// Services whose task it is: load tests, stress tests.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    allowed: Vec<Selector> = Vec::new(),
    /// Connections a second that are tried, four of five without an answer.
    syn: u64 = 500,
    /// Datagrams a second, less than a twentieth of them answered.
    udp: u64 = 5000,
    /// ICMP messages a second.
    icmp: u64 = 1000,
    /// DHCP requests a second.
    dhcp: u64 = 50,
    /// Fragments a second, less than a twentieth of the packets answered.
    fragments: u64 = 1000,
    /// Flows of TCP segments a second that belong to no connection.
    stray: u64 = 1000,
    /// Source MACs within ten seconds that send one frame and get no answer. 0: never.
    macs: u64 = 64,
}

impl Params {
    const fn floor(&self, kind: FloodKind) -> u64 {
        match kind {
            FloodKind::Syn => self.syn,
            FloodKind::Udp => self.udp,
            FloodKind::Icmp => self.icmp,
            FloodKind::Dhcp => self.dhcp,
            FloodKind::Fragments => self.fragments,
            FloodKind::Stray => self.stray,
        }
    }
}

/// The rule; it remembers what each address sent and received in the last seconds.
#[derive(Debug)]
pub struct Flood {
    params: Params,
    sources: Meter,
    targets: Meter,
    /// Connections tried, by address and port.
    services: Meter<(IpAddr, u16)>,
    macs: NewMacs,
    /// What of open flows is counted.
    counted: BTreeMap<FlowId, (Amount, Timestamp)>,
    forgotten: u64,
}

/// The rule with its parameters.
pub fn rule(params: &Params) -> impl Rule + use<> {
    Flood {
        params: params.clone(),
        sources: Meter::default(),
        targets: Meter::default(),
        services: Meter::default(),
        macs: NewMacs::default(),
        counted: BTreeMap::new(),
        forgotten: 0,
    }
}

impl Rule for Flood {
    fn on_flow(&mut self, context: Context<'_>, flow: &JudgedFlow, findings: &mut Findings) {
        let record = &flow.view.record;
        match (flow.again, flow.over) {
            (true, _) => {}
            (false, true) => self.end(context, flow, record, findings),
            (false, false) => self.grow(context, flow, record, findings),
        }
    }

    fn on_progress(&mut self, context: Context<'_>, flow: &JudgedFlow, event: &FlowEvent, findings: &mut Findings) {
        if matches!(event.kind, FlowEventKind::Ended(_)) {
            self.end(context, flow, &event.record, findings);
        } else {
            self.grow(context, flow, &event.record, findings);
        }
    }

    fn on_contact(&mut self, context: Context<'_>, contact: &Contact<'_>, findings: &mut Findings) {
        if contact.step != ContactStep::Decided {
            return findings.want_no_more();
        }
        let answered = match contact.outcome {
            Outcome::Answered | Outcome::Empty => 1,
            Outcome::Refused | Outcome::Silent => 0,
            _ => return,
        };
        if contact.tuple.protocol == Protocol::TCP {
            let span = (contact.record.start, contact.record.start);
            self.count(context, contact.flow, contact.record, (FloodKind::Syn, (1, answered), span), findings);
        }
    }

    fn forgotten(&self) -> u64 {
        self.forgotten + self.sources.forgotten() + self.targets.forgotten() + self.services.forgotten()
    }
}

impl Flood {
    /// A flow goes on: what it added counts where that is much.
    fn grow(&mut self, context: Context<'_>, flow: &JudgedFlow, record: &FlowRecord, findings: &mut Findings) {
        let (id, now) = (flow.view.record.id, Amount::of(record));
        let (before, since) = self.counted.get(&id).copied().unwrap_or((Amount::default(), record.start));
        let grew = now.since(before);
        if grew.packets < LEAST {
            return;
        }
        if self.counted.len() >= MAX_FLOWS && !self.counted.contains_key(&id) {
            self.forgotten += 1;
            return;
        }
        self.counted.insert(id, (now, record.end));
        for (kind, amount) in grew.kinds(record, false) {
            self.count(context, flow, record, (kind, amount, (since.min(record.end), record.end)), findings);
        }
    }

    /// A flow has ended: what it added since it was counted last, and who sent a single frame.
    fn end(&mut self, context: Context<'_>, flow: &JudgedFlow, record: &FlowRecord, findings: &mut Findings) {
        if self.params.macs > 0
            && let Some(found) = self.macs.add(flow, record, self.params.macs)
        {
            findings.push(found.finding(flow));
        }
        let before = self.counted.remove(&flow.view.record.id);
        let (before, since) = before.unwrap_or((Amount::default(), record.start));
        for (kind, amount) in Amount::of(record).since(before).kinds(record, true) {
            self.count(context, flow, record, (kind, amount, (since.min(record.end), record.end)), findings);
        }
    }

    /// Counts an amount at both ends.
    fn count(
        &mut self,
        context: Context<'_>,
        flow: &JudgedFlow,
        record: &FlowRecord,
        (kind, amount, span): (FloodKind, (u64, u64), (Timestamp, Timestamp)),
        findings: &mut Findings,
    ) {
        let tuple = flow.oriented.tuple;
        let (from, to) = (tuple.orig.ip.to_canonical(), tuple.resp.ip.to_canonical());
        let is_allowed = flow.source.workload().is_some_and(|workload| Selector::any(&self.params.allowed, workload));
        if is_allowed || to.is_loopback() {
            return;
        }
        let floor = self.params.floor(kind);
        let sent = self.sources.add((from, kind), amount, span, from);
        let received = self.targets.add((to, kind), amount, span, from);
        // Where one source makes most of it, its side speaks; else the side of who is flooded.
        let one_source = sent.rate.saturating_mul(2) > received.rate;
        if kind == FloodKind::Syn {
            let aimed = self.services.add((to, tuple.resp.port), amount, span, from);
            if one_source && aimed.rate.saturating_mul(SEARCH) < sent.rate {
                return;
            }
        }
        let (reading, key, meter) =
            if one_source { (sent, from, &mut self.sources) } else { (received, to, &mut self.targets) };
        if reading.is_flood(kind, floor) && meter.is_due((key, kind), reading.total) {
            findings.push(finding(context, flow, record, (kind, floor, reading), &Sides { from, to, one_source }));
        }
    }
}

/// Who floods whom.
struct Sides {
    from: IpAddr,
    to: IpAddr,
    one_source: bool,
}

fn finding(
    context: Context<'_>,
    flow: &JudgedFlow,
    record: &FlowRecord,
    (kind, floor, reading): (FloodKind, u64, meter::Reading),
    sides: &Sides,
) -> Finding {
    let (source, target) = (context.actors.source(flow), context.actors.responder(context.timeline, flow));
    // A group or an address that is none yet acts for nobody.
    let is_sent = sides.one_source && source.is_some();
    let actor: Option<Actor> = if is_sent { source } else { target };
    let whose = if sides.one_source {
        format!("from {} to {}", sides.from, sides.to)
    } else {
        format!("to {} from {} sources", sides.to, reading.sources)
    };
    let unanswered = 100 - (reading.answered.min(reading.rate) * 100).checked_div(reading.rate).unwrap_or(0);
    let observed = format!(
        "{} {} within one second {whose}, {unanswered} % without an answer; {} in all since it began",
        reading.rate,
        kind.unit(),
        reading.total
    );
    let mut why = Explanation::new(observed, kind.expected(), ExpectedFrom::Floor);
    why.threshold = format!("{floor} {} within a second{}", kind.unit(), kind.condition());
    why.parameter = format!("rules.flood.{}", kind.as_str());
    why.alternatives = alternatives(kind);
    if context.actors.are_assumed() {
        why.limits.push("no address of this capture is known to be yours: --local CIDR would tell".to_owned());
    }
    why.limits.push("a source address may be forged: where frames carry one MAC, that is who sends".to_owned());
    if let Some(mac) = record.orig.mac {
        why.signs.push(format!("the first frame came from {mac}"));
    }
    "rules.flood.allowed (a service), the floor of this kind, or an exception".clone_into(&mut why.silence);
    let is_certain = matches!(kind, FloodKind::Syn | FloodKind::Icmp | FloodKind::Dhcp);
    let severity = if is_sent && is_certain { Severity::Medium } else { META.severity };
    let cause = format!("{} {}", kind.as_str(), if is_sent { "sent" } else { "received" });
    let base = match &actor {
        Some(actor) => Finding::of_actor(&META, record.start, actor, &cause, why),
        None => of_nobody(record, &cause, why),
    };
    let end = if is_sent || actor.is_none() { flow.oriented.tuple.resp } else { flow.oriented.tuple.orig };
    Finding {
        severity,
        attribution: Some(flow.source.clone()),
        flow: Some(flow.view.clone()),
        destination: Some(end),
        ..base
    }
}

/// About a place, where nobody is known to act.
fn of_nobody(record: &FlowRecord, cause: &str, why: Explanation) -> Finding {
    let evidence = vec![crate::path::Evidence::new("observed", why.observed.clone())];
    Finding {
        explanation: Some(Box::new(why)),
        point: Some(record.point.clone()),
        ..Finding::of_nobody(&META, record.start, &format!("{cause} at {}", record.point), evidence)
    }
}

fn alternatives(kind: FloodKind) -> Vec<Alternative> {
    let first = match kind {
        FloodKind::Syn => {
            Alternative::new("clients that connect again after an outage", "did the service just come back?")
        }
        FloodKind::Udp => Alternative::new(
            "a stream of sound or pictures, NFS, a speed test",
            "is there one flow, and a session that was agreed before?",
        ),
        FloodKind::Icmp => {
            Alternative::new("a flood ping by an administrator, a path measurement", "who was logged in at the source?")
        }
        FloodKind::Dhcp => Alternative::new(
            "all machines of a network that start at once",
            "does each request have another hardware address?",
        ),
        FloodKind::Fragments => {
            Alternative::new("NFS over UDP, a tunnel with too small a packet size", "is it one flow that lasts?")
        }
        FloodKind::Stray => Alternative::new(
            "connections that were cut: a firewall that restarted, a failover",
            "did they begin before the capture?",
        ),
    };
    vec![
        first,
        Alternative::new("a load test", "is there a date for it? then name the service under rules.flood.allowed"),
    ]
}

impl FloodKind {
    const fn expected(self) -> &'static str {
        match self {
            Self::Syn | Self::Stray => "connections are answered, and segments belong to one",
            Self::Udp | Self::Fragments => "so many packets of one conversation are answered now and then",
            Self::Icmp => "hosts exchange a few messages a second",
            Self::Dhcp => "a host asks for an address a few times a day",
        }
    }

    const fn condition(self) -> &'static str {
        match self {
            Self::Syn => ", four of five without an answer",
            Self::Udp | Self::Fragments => ", less than a twentieth answered",
            Self::Icmp | Self::Dhcp | Self::Stray => "",
        }
    }

    const fn unit(self) -> &'static str {
        match self {
            Self::Syn => "connections were tried",
            Self::Udp => "datagrams were sent",
            Self::Icmp => "ICMP messages were sent",
            Self::Dhcp => "DHCP messages were sent",
            Self::Fragments => "fragments were sent",
            Self::Stray => "segments of no connection were sent",
        }
    }
}

/// Whether it is asked of a DHCP server (RFC 2131, RFC 8415).
const fn is_dhcp(record: &FlowRecord) -> bool {
    matches!(record.tuple.protocol, Protocol::UDP) && matches!(record.tuple.resp.port, 67 | 547)
}
