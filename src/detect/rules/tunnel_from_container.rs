//! `tunnel-from-container`.

mod kind;
pub(super) mod names;
mod signs;
mod strategy;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::detect::params::rule_params;
use crate::detect::{Context, Finding, Findings, Rule};
use crate::input::{
    DnsMessage, Endpoint, FlowEvent, FlowEventKind, FlowId, FlowRecord, Mac, Protocol, Tunnel, Workload,
};
use crate::inventory::{AttributionMethod, Confidence, Doubt, Owner};
use crate::path::dns_detection::is_among_neighbours;
use crate::path::{Contract, Evidence, Hop, JudgedFlow, Selector, Service, is_anothers, owner_of, responder_of};
use crate::wording::many;
pub use kind::Kind;
pub use names::DnsThresholds;
use names::Names;
use signs::Sign;
pub use signs::Volumes;
pub use strategy::META;

/// Flows whose kinds were reported, or whose questions were counted, at once; beyond, one is reported again.
const MAX_FLOWS: usize = 65_536;

rule_params! {
    /// Workloads that may, and which kinds.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    allowed: Vec<Allowed> = Vec::new(),
    /// From when on names carry data.
    dns: DnsThresholds = DnsThresholds::default(),
    /// From when on counters are those of a tunnel.
    volumes: Volumes = Volumes::default(),
}

/// Who may have tunnels.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "AllowedTunnels")]
pub struct Allowed {
    /// The workload.
    pub workload: Selector,
    /// Kinds that it may have; empty: any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub kinds: Vec<Kind>,
}

/// The rule; it remembers what it reported of which flow, and the names that workloads ask for.
#[derive(Debug)]
pub struct TunnelFromContainer {
    params: Params,
    /// Resolvers by contract: they only pass questions on.
    resolvers: Vec<Arc<Hop>>,
    reported: BTreeMap<FlowId, BTreeSet<Kind>>,
    /// Flows in which a stranger's source-routed packets were reported.
    forged: BTreeSet<FlowId>,
    /// Questions of a flow that were counted after it was judged: those kept, and those beyond.
    counted: BTreeMap<FlowId, Asked>,
    names: Names,
    forgotten: u64,
}

/// The rule with its parameters.
pub fn rule(params: &Params) -> impl Rule + use<> {
    TunnelFromContainer {
        params: params.clone(),
        resolvers: Vec::new(),
        reported: BTreeMap::new(),
        forged: BTreeSet::new(),
        counted: BTreeMap::new(),
        names: Names::default(),
        forgotten: 0,
    }
}

impl Rule for TunnelFromContainer {
    fn contracts(&mut self, contracts: &[Contract]) {
        let dns = contracts.iter().filter(|contract| contract.service == Service::Dns);
        self.resolvers = dns.flat_map(Contract::hops).cloned().collect();
    }

    fn on_flow(&mut self, context: Context<'_>, flow: &JudgedFlow, findings: &mut Findings) {
        let record = &flow.view.record;
        if flow.again {
            // Progress reports what is new.
            return;
        }
        self.headers(context, flow, record, findings);
        self.contents(context, flow, record, Asked::default(), findings);
        if flow.over {
            self.reported.remove(&record.id);
            self.forged.remove(&record.id);
        }
    }

    fn on_progress(&mut self, context: Context<'_>, flow: &JudgedFlow, event: &FlowEvent, findings: &mut Findings) {
        let read = flow.oriented.read(&event.record);
        let (id, record) = (flow.view.record.id, &*read);
        if !record.tunnels.is_empty() {
            self.headers(context, flow, record, findings);
        }
        let before = if record.id == id { Asked::of(&flow.view.record) } else { Asked::default() };
        let counted = self.counted.get(&id).copied().unwrap_or(before);
        self.contents(context, flow, record, counted, findings);
        if matches!(event.kind, FlowEventKind::Ended(_)) {
            self.reported.remove(&id);
            self.forged.remove(&id);
            self.counted.remove(&id);
        } else if Asked::of(record) != counted {
            if self.counted.len() < MAX_FLOWS || self.counted.contains_key(&id) {
                self.counted.insert(id, Asked::of(record));
            } else {
                self.forgotten += 1;
            }
        }
    }

    fn forgotten(&self) -> u64 {
        self.forgotten + self.names.forgotten
    }
}

/// How many questions a record shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Asked {
    kept: usize,
    more: u64,
}

impl Asked {
    fn of(record: &FlowRecord) -> Self {
        let app = record.app.as_ref();
        app.map_or_else(Self::default, |app| Self { kept: app.dns.len(), more: app.dns_more })
    }
}

impl TunnelFromContainer {
    /// Tunnels by their headers, no matter who sent the carrying packet.
    fn headers(&mut self, context: Context<'_>, flow: &JudgedFlow, record: &FlowRecord, findings: &mut Findings) {
        for tunnel in &record.tunnels {
            if let Some((workload, far)) = sender(context, flow, record, tunnel) {
                let kind = Kind::from(tunnel.kind);
                let id = tunnel.id.map(|id| format!(" {id}")).unwrap_or_default();
                let text = format!("{}{id} to {}", kind.as_str(), far.ip);
                self.report(flow, record, &workload, Sign { kind, text }, far, findings);
            }
        }
    }

    /// Tunnels by first bytes, counters and names; `counted` questions were looked at before.
    fn contents(
        &mut self,
        context: Context<'_>,
        flow: &JudgedFlow,
        record: &FlowRecord,
        counted: Asked,
        findings: &mut Findings,
    ) {
        if !may_show(record, counted) {
            return;
        }
        let doubted = among_others(context, flow, record);
        let flow = doubted.as_ref().unwrap_or(flow);
        let Some(workload) = flow.source.workload() else {
            return self.replies_to_nobody(context, flow, record, findings);
        };
        let far = record.tuple.resp;
        let signs: Vec<Sign> = signs::of(record, &self.params.volumes).collect();
        for sign in signs {
            self.report(flow, record, workload, sign, far, findings);
        }
        self.route(context, flow, record, workload, findings);
        let Some(app) = record.app.as_ref().filter(|_| Asked::of(record) != counted) else { return };
        if far.ip.is_multicast() || self.is_resolver(workload) {
            return;
        }
        let is_meant = |question: &&DnsMessage| !is_among_neighbours(far, question);
        let (limits, id) = (&self.params.dns, &workload.id);
        let new = app.dns.get(counted.kept..).unwrap_or(&[]);
        let mut texts: Vec<String> = new
            .iter()
            .filter(is_meant)
            .filter_map(|question| self.names.ask(limits, id, question, context.now))
            .collect();
        let more = app.dns_more.saturating_sub(counted.more);
        if app.dns.iter().any(|question| is_meant(&question)) {
            texts.extend(self.names.ask_more(limits, id, &app.dns, more, context.now));
        }
        for text in texts.into_iter().filter(|_| !self.is_allowed(workload, Kind::Dns)) {
            findings.push(finding(flow, record, workload, Sign { kind: Kind::Dns, text }, far));
        }
    }

    /// Packets that carry a source route, by their sender: the source, or a neighbour with its address.
    fn route(
        &mut self,
        context: Context<'_>,
        flow: &JudgedFlow,
        record: &FlowRecord,
        workload: &Arc<Workload>,
        findings: &mut Findings,
    ) {
        let (Some(sign), Some(rare)) = (signs::source_route(record), &record.rare) else { return };
        let is_anothers = |mac: &Mac| is_anothers(context.timeline, record, *mac, &flow.source);
        let is_own = rare.routed_by.is_empty() || !rare.routed_by.iter().all(is_anothers);
        if is_own {
            // A neighbour may have forged the MAC, too, and a bridge flood the frame to the workload's own link.
            let is_certain = rare.routed_by.is_empty();
            if self.is_new(flow, workload, sign.kind) {
                let found = finding(flow, record, workload, sign, record.tuple.resp);
                let source = &flow.source;
                let source = if is_certain { source.clone() } else { source.less_sure(Doubt::NotItsFrames) };
                findings.push(Finding { attribution: Some(source), ..found });
            }
            return;
        }
        let mut senders = rare.routed_by.iter().filter_map(|mac| context.timeline.owner_of_mac(*mac, record.start));
        let new = !self.forged.contains(&flow.view.record.id) && self.forged.len() < MAX_FLOWS;
        if let Some(sender) = senders.next().filter(|sender| new && !self.is_allowed(sender, sign.kind)) {
            let why = Some(Doubt::BorrowedAddress);
            let (how, confidence) = (AttributionMethod::Mac, Confidence::Likely);
            let owner = Owner::Workload { workload: Arc::clone(sender), how, confidence, why };
            self.forged.insert(flow.view.record.id);
            findings
                .push(Finding { attribution: Some(owner), ..finding(flow, record, sender, sign, record.tuple.resp) });
        }
    }

    /// Echo replies that come to a workload which asked for none.
    fn replies_to_nobody(
        &mut self,
        context: Context<'_>,
        flow: &JudgedFlow,
        record: &FlowRecord,
        findings: &mut Findings,
    ) {
        let Some(sign) = signs::unasked(record) else { return };
        let responder = responder_of(context.timeline, &flow.oriented);
        if let Some(workload) = responder.workload() {
            self.report(flow, record, workload, sign, record.tuple.orig, findings);
        }
    }

    fn is_resolver(&self, workload: &Workload) -> bool {
        self.resolvers.iter().any(|hop| hop.is_workload(workload) || workload.addresses().any(|ip| hop.is_address(ip)))
    }

    fn is_allowed(&self, workload: &Workload, kind: Kind) -> bool {
        let allows =
            |one: &Allowed| (one.kinds.is_empty() || one.kinds.contains(&kind)) && one.workload.matches(workload);
        self.params.allowed.iter().any(allows)
    }

    /// Reports a sign, once a flow and kind.
    fn report(
        &mut self,
        flow: &JudgedFlow,
        record: &FlowRecord,
        workload: &Arc<Workload>,
        sign: Sign,
        far: Endpoint,
        findings: &mut Findings,
    ) {
        if self.is_new(flow, workload, sign.kind) {
            findings.push(finding(flow, record, workload, sign, far));
        }
    }

    /// Whether a kind is not allowed, and was not reported of a flow before; from now on it was.
    fn is_new(&mut self, flow: &JudgedFlow, workload: &Workload, kind: Kind) -> bool {
        let id = flow.view.record.id;
        let is_reported = self.reported.get(&id).is_some_and(|kinds| kinds.contains(&kind));
        if is_reported || self.is_allowed(workload, kind) {
            return false;
        }
        if self.reported.len() < MAX_FLOWS || self.reported.contains_key(&id) {
            self.reported.entry(id).or_default().insert(kind);
        }
        true
    }
}

/// Whether a record may show a tunnel by anything but its headers: most flows show nothing.
fn may_show(record: &FlowRecord, counted: Asked) -> bool {
    let says = record.app.as_ref().is_some_and(|app| app.ssh.is_some() || app.openvpn.is_some() || app.echo.is_some());
    says || signs::may_count(record) || record.rare.is_some() || Asked::of(record) != counted
}

/// The workload that sends the carrying packets of a tunnel, and where to.
fn sender(
    context: Context<'_>,
    flow: &JudgedFlow,
    record: &FlowRecord,
    tunnel: &Tunnel,
) -> Option<(Arc<Workload>, Endpoint)> {
    let (orig, resp) = (record.tuple.orig, record.tuple.resp);
    let ends = [tunnel.src, tunnel.dst];
    if ends.contains(&orig.ip) && ends.contains(&resp.ip) {
        if let Some(workload) = flow.source.workload() {
            return Some((Arc::clone(workload), resp));
        }
        // Without ports both ends send in one flow, and who sent first is chance.
        let both_send = record.tuple.protocol != Protocol::UDP && record.resp.counters.packets > 0;
        let responder = both_send.then(|| responder_of(context.timeline, &flow.oriented))?;
        return responder.workload().map(|workload| (Arc::clone(workload), orig));
    }
    // The flow is inside; whose are the carrying packet's ends?
    let end = |ip| Endpoint { ip, port: 0 };
    let owner = owner_of(context.timeline, &record.point, end(tunnel.src), flow.oriented.at);
    owner.workload().map(|workload| (Arc::clone(workload), end(tunnel.dst)))
}

/// The flow with a source that is less sure, where a neighbour's frames are among those of the source: their bytes and names count, too.
fn among_others(context: Context<'_>, flow: &JudgedFlow, record: &FlowRecord) -> Option<JudgedFlow> {
    let mut others = record.rare.iter().flat_map(|rare| &rare.other_links).filter(|link| link.from_orig);
    let is_anothers = |mac: Mac| is_anothers(context.timeline, record, mac, &flow.source);
    let mixed = others.any(|link| link.mac.is_some_and(is_anothers)) || record.orig.mac.is_some_and(is_anothers);
    mixed.then(|| JudgedFlow { source: flow.source.less_sure(Doubt::AmongOthers), ..flow.clone() })
}

fn finding(flow: &JudgedFlow, record: &FlowRecord, workload: &Arc<Workload>, sign: Sign, far: Endpoint) -> Finding {
    let (sent, received) = (record.orig.counters, record.resp.counters);
    let seen = format!("{} sent and {} received so far in this flow", many(sent.packets, "packet"), received.packets);
    let evidence = vec![Evidence::new("tunnel", sign.text), Evidence::new("flow", seen)];
    Finding {
        attribution: Some(flow.source.clone()),
        flow: Some(flow.view.clone()),
        destination: Some(far),
        ..Finding::of_workload(&META, record.start, workload, sign.kind.as_str(), evidence)
    }
}

#[cfg(test)]
mod tests;
