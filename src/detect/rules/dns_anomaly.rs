//! `dns-anomaly`.

mod score;
mod strategy;
#[cfg(test)]
mod tests;
mod window;

use std::collections::BTreeMap;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::detect::anomaly::once::InFlow;
use crate::detect::params::rule_params;
use crate::detect::rules::tunnel_from_container::names::{labels, split};
use crate::detect::{Actor, Context, Finding, Findings, Rule, Severity};
use crate::input::{DnsMessage, FlowEvent, FlowEventKind, FlowId, FlowRecord, Workload};
use crate::path::dns_detection::is_among_neighbours;
use crate::path::{Contract, Hop, JudgedFlow, Selector, Service};
pub use strategy::META;
use window::{Domains, Failures};

/// Flows whose questions are counted at once; beyond, those of one are counted again.
const MAX_FLOWS: usize = 65_536;

rule_params! {
    /// Services that may: resolvers that pass questions on, mail filters, virus scanners.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    allowed: Vec<Selector> = Vec::new(),
    /// From when on names carry data.
    tunnel: TunnelScore = TunnelScore::default(),
    /// Registered domains that do not exist, asked for within ten minutes: a storm. 0: never.
    failed_domains: usize = 20,
}

/// From when on names carry data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TunnelScore {
    /// Bytes of the labels of new names below one domain within ten minutes.
    pub bytes: usize,
    /// The same within a day.
    pub day_bytes: usize,
    /// Points for `medium`.
    pub medium: u32,
    /// Points for `high`.
    pub high: u32,
}

impl Default for TunnelScore {
    fn default() -> Self {
        Self { bytes: 2000, day_bytes: 20_000, medium: 4, high: 6 }
    }
}

/// How much of a flow's questions was counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Counted {
    kept: usize,
    failed: usize,
    asked_bytes: u64,
    answered_bytes: u64,
}

/// The rule; it remembers the names that each actor asked for.
#[derive(Debug)]
pub struct DnsAnomaly {
    params: Params,
    /// Resolvers by contract: they only pass questions on.
    resolvers: Vec<Arc<Hop>>,
    counted: BTreeMap<FlowId, Counted>,
    domains: Domains,
    failures: Failures,
    forgotten: u64,
}

/// The rule with its parameters.
pub fn rule(params: &Params) -> impl Rule + use<> {
    DnsAnomaly {
        params: params.clone(),
        resolvers: Vec::new(),
        counted: BTreeMap::new(),
        domains: Domains::default(),
        failures: Failures::default(),
        forgotten: 0,
    }
}

impl Rule for DnsAnomaly {
    fn contracts(&mut self, contracts: &[Contract]) {
        let dns = contracts.iter().filter(|contract| contract.service == Service::Dns);
        self.resolvers = dns.flat_map(Contract::hops).cloned().collect();
    }

    fn on_flow(&mut self, context: Context<'_>, flow: &JudgedFlow, findings: &mut Findings) {
        if !flow.again {
            let record = flow.oriented.read(&flow.view.record);
            self.look(context, flow, &record, flow.over, findings);
        }
    }

    fn on_progress(&mut self, context: Context<'_>, flow: &JudgedFlow, event: &FlowEvent, findings: &mut Findings) {
        let record = flow.oriented.read(&event.record);
        let is_over = matches!(event.kind, FlowEventKind::Ended(_));
        self.look(context, flow, &record, is_over, findings);
    }

    fn forgotten(&self) -> u64 {
        self.forgotten + self.domains.forgotten + self.failures.forgotten
    }
}

impl DnsAnomaly {
    fn look(
        &mut self,
        context: Context<'_>,
        flow: &JudgedFlow,
        record: &FlowRecord,
        is_over: bool,
        findings: &mut Findings,
    ) {
        let id = flow.view.record.id;
        let Some(app) = record.app.as_ref().filter(|app| !app.dns.is_empty()) else { return };
        let before = self.counted.get(&id).copied().unwrap_or_default();
        let now = Counted {
            kept: app.dns.len(),
            failed: app.dns.iter().filter(|one| failed(one)).count(),
            asked_bytes: record.orig.counters.payload_bytes,
            answered_bytes: record.resp.counters.payload_bytes,
        };
        if is_over {
            self.counted.remove(&id);
        } else if now == before {
            return;
        } else if self.counted.len() < MAX_FLOWS || self.counted.contains_key(&id) {
            self.counted.insert(id, now);
        } else {
            self.forgotten += 1;
            return;
        }
        let far = record.tuple.resp;
        let is_resolver = |one: &Workload| {
            self.resolvers.iter().any(|hop| hop.is_workload(one) || one.addresses().any(|ip| hop.is_address(ip)))
        };
        let is_let = |one: &Arc<Workload>| Selector::any(&self.params.allowed, one) || is_resolver(one);
        let is_allowed = flow.source.workload().is_some_and(is_let);
        if is_allowed
            || app.dns.first().is_some_and(|question| is_among_neighbours(far, question))
            || far.ip.is_multicast()
            || !flow.oriented.certain
        {
            return;
        }
        let Some(actor) = context.actors.source(flow) else { return };
        let found = InFlow { rule: &META, flow, record, actor: &actor };
        self.count(context, &found, &app.dns, (before, now), findings);
    }

    fn count(
        &mut self,
        context: Context<'_>,
        found: &InFlow<'_>,
        all: &[DnsMessage],
        (before, now): (Counted, Counted),
        findings: &mut Findings,
    ) {
        let at = context.now;
        let carried = (
            now.asked_bytes.saturating_sub(before.asked_bytes),
            now.answered_bytes.saturating_sub(before.answered_bytes),
        );
        let last = all.last().and_then(|question| split(&labels(&question.query)).map(|(_, domain)| domain));
        if let Some(domain) = &last {
            self.domains.window(found.actor, domain, at).carried(carried);
        }
        for question in all.get(before.kept..).unwrap_or(&[]) {
            self.failures.asked(found.actor, at);
            let labels = labels(&question.query);
            if let Some((below, domain)) = split(&labels) {
                self.domains.window(found.actor, &domain, at).ask(below, &question.kind, at);
                self.report(context, found, &domain, findings);
            }
        }
        if let Some(domain) = last {
            self.report(context, found, &domain, findings);
        }
        if now.failed > before.failed {
            for question in all.iter().filter(|one| failed(one)) {
                if let Some((_, domain)) = split(&labels(&question.query)) {
                    self.failures.failed(found.actor, domain, at);
                }
            }
            if let Some(storm) = self.storm(context, found) {
                findings.push(storm);
            }
        }
    }

    fn report(&mut self, context: Context<'_>, found: &InFlow<'_>, domain: &str, findings: &mut Findings) {
        let window = self.domains.window(found.actor, domain, context.now);
        if let Some((severity, why)) = window.report(&self.params.tunnel, domain) {
            findings.push(found.finding(context, severity, domain, why));
        }
    }

    /// Many domains that do not exist.
    fn storm(&mut self, context: Context<'_>, found: &InFlow<'_>) -> Option<Finding> {
        let least = self.params.failed_domains;
        let why = self.failures.report(found.actor, least)?;
        Some(found.finding(context, Severity::Low, "NXDOMAIN", why))
    }
}

fn failed(question: &DnsMessage) -> bool {
    question.rcode.as_deref() == Some("NXDOMAIN")
}

/// Whose and which.
type Key = (Actor, String);
