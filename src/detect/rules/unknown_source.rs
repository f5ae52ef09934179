//! `unknown-source`.

use std::net::IpAddr;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::detect::{Ads, Context, Finding, Rule, RuleMeta, Severity};
use crate::input::{Mac, Workload};
use crate::inventory::{Owner, Sighting};
use crate::path::{Evidence, JudgedFlow};

/// Parameters.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Params {
    /// Whether the rule speaks.
    pub enabled: bool,
}

impl Default for Params {
    fn default() -> Self {
        Self { enabled: true }
    }
}

/// The rule; it keeps no state.
#[derive(Debug)]
pub struct UnknownSource;

/// The rule with its parameters.
pub fn rule(_params: &Params) -> impl Rule + use<> {
    UnknownSource
}

/// What is wrong with a source.
struct Anomaly {
    sender: Option<Arc<Workload>>,
    cause: String,
    text: String,
}

impl Rule for UnknownSource {
    fn meta(&self) -> &'static RuleMeta {
        &META
    }

    fn on_flow(&mut self, context: Context<'_>, flow: &JudgedFlow, findings: &mut Vec<Finding>) {
        let Some(anomaly) = anomaly(context, flow) else { return };
        findings.push(Finding {
            rule: &META,
            at: flow.view.record.start,
            severity: META.severity,
            workload: anomaly.sender,
            attribution: Some(flow.source.clone()),
            flow: Some(flow.view.clone()),
            destination: Some(flow.view.record.tuple.resp),
            contract: None,
            verdict: None,
            missing_hop: None,
            evidence: vec![Evidence { kind: "mac".to_owned(), text: anomaly.text }],
            cause: anomaly.cause,
        });
    }
}

/// Compares the first packet's source address and MAC with what the runtime gave out.
fn anomaly(context: Context<'_>, flow: &JudgedFlow) -> Option<Anomaly> {
    let record = &flow.view.record;
    let (ip, at) = (record.tuple.orig.ip, record.start);
    let mac = record.orig.mac.filter(|mac| !mac.is_multicast())?;
    let network = context.timeline.network_at(&record.point, ip)?;
    let inside = network.subnets.iter().any(|subnet| subnet.contains(ip)) && !network.gateways.contains(&ip);
    let host = context.timeline.host_mac(&record.point);
    let sender = context.timeline.owner_of_mac(mac, at).cloned();
    // What the host routes in carries the bridge's MAC; while that is not known, only a workload's MAC can be blamed.
    let from_host = host == Some(mac) || (host.is_none() && sender.is_none());
    if !inside || !context.timeline.is_complete() || from_host {
        return None;
    }
    match context.timeline.attribute(&Sighting { point: &record.point, ip, mac: None, at }) {
        Owner::Unknown => Some(unknown(ip, mac, sender, &network.name)),
        Owner::Workload { workload, .. } => spoofed(&workload, ip, mac, sender),
        Owner::Ambiguous(_) | Owner::Host | Owner::External => None,
    }
}

fn unknown(ip: IpAddr, mac: Mac, sender: Option<Arc<Workload>>, network: &str) -> Anomaly {
    let whose = sender.as_ref().map_or("of no workload".to_owned(), |sender| format!("of {}", sender.name));
    Anomaly {
        sender,
        cause: format!("unknown {ip} {mac}"),
        text: format!("{ip} lies in network {network}, no runtime gave it to anybody; the frames came from {mac}, {whose}"),
    }
}

fn spoofed(owner: &Workload, ip: IpAddr, mac: Mac, sender: Option<Arc<Workload>>) -> Option<Anomaly> {
    let given = owner.attachments.iter().find(|attachment| attachment.addresses.contains(&ip))?.mac?;
    if given == mac {
        return None;
    }
    let whose = sender.as_ref().map_or("of no workload".to_owned(), |sender| format!("of {}", sender.name));
    Some(Anomaly {
        sender,
        cause: format!("spoofed {ip} {mac}"),
        text: format!("{ip} belongs to {} with MAC {given}; the frames came from {mac}, {whose}", owner.name),
    })
}

/// What the rule is.
pub static META: RuleMeta = RuleMeta {
    name: "unknown-source",
    title: "",
    severity: Severity::High,
    techniques: &[],
    ads: Ads {
        goal: "",
        categorization: "",
        strategy: "",
        technical_context: "",
        blind_spots: &[],
        assumptions: &[],
        false_positives: &[],
        true_positives: &[],
        benign_twins: &[],
        priority: "",
        response: &[],
        resources: &[],
    },
};
