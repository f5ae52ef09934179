//! `metadata-service-direct`.

mod endpoints;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use crate::detect::params::rule_params;
use crate::detect::{Ads, Context, Finding, Findings, HoldTime, Rule, RuleMeta, Severity, Technique};
use crate::input::{FlowEvent, FlowEventKind, FlowId, FlowRecord, Protocol, Workload, tcp_flags};
use crate::inventory::Owner;
use crate::path::{Evidence, JudgedFlow, Selector, Skip, Verdict};
use crate::time::Timestamp;
use endpoints::service_at;

/// Connections that wait for an answer; beyond, one is reported as an attempt at once.
const MAX_OPEN: usize = 4096;
/// Name resolution, which some clouds offer at the same address.
const RESOLUTION: [u16; 2] = [53, 853];

rule_params! {
    /// Workloads that may ask for metadata: cloud agents, those that use the instance's or task's role.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    allowed: Vec<Selector> = Vec::new(),
    /// Further addresses of metadata services.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    also: Vec<IpAddr> = Vec::new(),
    /// How long a connection may be without an answer before it is reported as an attempt.
    settle: HoldTime = HoldTime::millis(500),
}

/// The rule; it remembers connections that nobody answered yet.
#[derive(Debug)]
pub struct MetadataServiceDirect {
    params: Params,
    open: BTreeMap<FlowId, Attempt>,
    due: BTreeSet<(Timestamp, FlowId)>,
}

/// A connection without an answer.
#[derive(Debug)]
struct Attempt {
    /// As it was judged.
    flow: Box<JudgedFlow>,
    /// When it is reported; `None` once it was.
    due: Option<Timestamp>,
}

/// The rule with its parameters.
pub fn rule(params: &Params) -> impl Rule + use<> {
    MetadataServiceDirect { params: params.clone(), open: BTreeMap::new(), due: BTreeSet::new() }
}

impl Rule for MetadataServiceDirect {
    fn on_flow(&mut self, context: Context<'_>, flow: &JudgedFlow, findings: &mut Findings) {
        let Some(workload) = self.asks(flow).filter(|_| !flow.again) else { return };
        let record = &flow.view.record;
        if flow.answered || is_answered(record) {
            findings.push(self.finding(flow, record, workload, true));
        } else if flow.over || self.open.len() >= MAX_OPEN {
            findings.push(self.finding(flow, record, workload, false));
        } else {
            let due = context.now.plus(self.params.settle.get());
            self.open.insert(record.id, Attempt { flow: Box::new(flow.clone()), due: Some(due) });
            self.due.insert((due, record.id));
            findings.schedule(due);
        }
    }

    fn on_progress(&mut self, _context: Context<'_>, flow: &JudgedFlow, event: &FlowEvent, findings: &mut Findings) {
        let id = flow.view.record.id;
        let Some(untold) = self.open.get(&id).map(|attempt| attempt.due.is_some()) else { return };
        let record = flow.oriented.read(&event.record);
        let (answered, ended) = (is_answered(&record), matches!(event.kind, FlowEventKind::Ended(_)));
        if !answered && !ended {
            return;
        }
        self.forget(id);
        // An answer that comes late is reported too: the alert of the attempt rises.
        if let Some(workload) = flow.source.workload().filter(|_| answered || untold) {
            findings.push(self.finding(flow, &record, workload, answered));
        }
    }

    fn on_time(&mut self, context: Context<'_>, findings: &mut Findings) {
        while let Some((due, id)) = self.due.first().copied().filter(|(due, _)| *due <= context.now) {
            self.due.remove(&(due, id));
            let Some(attempt) = self.open.get_mut(&id) else { continue };
            attempt.due = None;
            let flow = attempt.flow.clone();
            if let Some(workload) = flow.source.workload() {
                findings.push(self.finding(&flow, &flow.view.record, workload, false));
            }
        }
    }
}

impl MetadataServiceDirect {
    /// The workload that asks a metadata service, where it is nobody else's matter.
    fn asks<'a>(&self, flow: &'a JudgedFlow) -> Option<&'a Arc<Workload>> {
        let to = flow.oriented.tuple.resp;
        let is_asking = flow.oriented.tuple.protocol == Protocol::TCP && !RESOLUTION.contains(&to.port);
        if !is_asking || self.service(to.ip).is_none() {
            return None;
        }
        // What a contract proved is allowed, and so is its hop; what it found skipped has an alert of its own. That a hop was not there yet is no
        // excuse for credentials that were handed out.
        let is_settled = flow.sent_on
            || flow.judgement.as_ref().is_some_and(|judgement| match judgement.skip {
                Some(skip) => skip != Skip::Startup,
                None => matches!(judgement.verdict, Verdict::Verified | Verdict::Bypassed),
            });
        let Owner::Workload { workload, .. } = &flow.source else { return None };
        (!is_settled && !Selector::any(&self.params.allowed, workload)).then_some(workload)
    }

    fn service(&self, ip: IpAddr) -> Option<&'static str> {
        let ip = ip.to_canonical();
        let also = || self.params.also.iter().any(|other| other.to_canonical() == ip).then_some("the configuration");
        service_at(ip).or_else(also)
    }

    fn forget(&mut self, id: FlowId) {
        if let Some(due) = self.open.remove(&id).and_then(|attempt| attempt.due) {
            self.due.remove(&(due, id));
        }
    }

    fn finding(&self, flow: &JudgedFlow, record: &FlowRecord, workload: &Arc<Workload>, answered: bool) -> Finding {
        let to = flow.oriented.tuple.resp;
        let whose = self.service(to.ip).unwrap_or("a cloud");
        let answer = if answered { "the service answered" } else { "no answer seen, or a refusal: an attempt" };
        let mut evidence = vec![
            Evidence::new("peer", format!("{to} is a metadata service, by {whose}")),
            Evidence::new("answer", answer.to_owned()),
        ];
        if let Some(request) = record.app.as_ref().and_then(|app| app.http.as_ref()) {
            let host = request.host.as_deref().map(|host| format!(" at {host}")).unwrap_or_default();
            evidence.push(Evidence::new("request", format!("an HTTP {} request{host}", request.method)));
        }
        let judgement = flow.judgement.as_ref();
        Finding {
            severity: if answered { META.severity } else { META.severity.lower() },
            attribution: Some(flow.source.clone()),
            flow: Some(flow.view.clone()),
            destination: Some(to),
            verdict: judgement.map(|judgement| judgement.verdict),
            ..Finding::of_workload(&META, record.start, workload, "metadata service", evidence)
        }
    }
}

/// Whether the other end accepted the connection, by what the record shows.
fn is_answered(record: &FlowRecord) -> bool {
    record.tcp.is_some_and(|tcp| tcp.resp_flags & tcp_flags::SYN != 0) || record.resp.counters.payload_bytes > 0
}

/// What the rule is.
pub static META: RuleMeta = RuleMeta {
    name: "metadata-service-direct",
    title: "Container asked the cloud's metadata service",
    severity: Severity::High,
    techniques: &[Technique {
        name: "Unsecured Credentials: Cloud Instance Metadata API",
        v19: "T1552.005",
        v18: "T1552.005",
    }],
    ads: Ads {
        goal: "Detects a container that queries the metadata service of its cloud although no contract routes it \
             there and no exception allows it. The service hands out the credentials of the host.",
        categorization: "Credential Access: an attacker who makes a container fetch a URL (server-side request \
             forgery) or runs code in it reads the role's temporary keys, user data and tokens there.",
        strategy: "A TCP connection of a workload to an address on the list of metadata services (the page of the \
             rule's source names whom each is of; `also` adds to it), at any port but those of name resolution. It \
             is quiet where a contract judged the flow: `verified` is allowed, `bypassed` has an alert of its own, except \
             one of `startup-window`, which is lower. A contract's hop may ask where that contract leads, and workloads \
             under `allowed` may. A connection that is not answered within `settle` is reported as an \
             attempt, one severity lower, and rises when an answer comes.",
        technical_context: "The service answers at a link-local address, so every process on the machine reaches it, containers on a \
             bridge too, by way of the host's routing. AWS's version 2 wants a token and limits the answer's hops to 1 by \
             default, which keeps bridged containers out unless it was raised; version 1, OpenStack and others want nothing or \
             one fixed header. On ECS and EKS the agents at 169.254.170.2 and 169.254.170.23 are meant for containers.",
        blind_spots: &[
            "A request that goes through an allowed proxy shows the proxy as its other end; block the addresses there.",
            "A container in the host's network namespace is seen only where the uplink is captured and its socket shows.",
            "Services at names or addresses that are not listed, and Kubernetes' own API, which hands out other secrets.",
            "What was asked is known only where the request was captured: the path is not kept, method and host are.",
            "A source that is not attributed to a workload is not reported.",
        ],
        assumptions: &[
            "The bridge or veth is captured.",
            "Metadata services keep their addresses, which are documented by each cloud.",
        ],
        false_positives: &[
            "Cloud agents, and applications that use the instance's or task's role by design: name them under \
             rules.metadata-service-direct.allowed, by digest.",
            "SDKs that look for credentials everywhere before they use those given by the environment: an attempt, or an answer \
             without use; AWS_EC2_METADATA_DISABLED=true keeps them from it.",
            "On Azure, agents that talk to the wire server (168.63.129.16) for the host's own business.",
        ],
        true_positives: &["metadata-direct"],
        benign_twins: &["metadata-allowed"],
        priority: "High: one answered request is enough to act as the host's role from anywhere.",
        response: &[
            "Does the container's task need the role? Ask its owner, and look at what it asked: the evidence has the request.",
            "Look into the cloud's audit log for the role's keys used from elsewhere, from this time on.",
            "If there is no explanation, `docker pause NAME`, revoke the role's sessions, and rotate what user data \
             holds.",
            "Make version 2 mandatory and keep the hop limit at 1, or drop the address in the DOCKER-USER chain.",
            "If it is allowed, add it to rules.metadata-service-direct.allowed, by digest, or write a contract that brings it \
             there.",
        ],
        resources: &[
            "https://attack.mitre.org/techniques/T1552/005/",
            "https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-data-retrieval.html",
            "https://cloud.google.com/compute/docs/metadata/overview",
            "https://learn.microsoft.com/en-us/azure/virtual-network/what-is-ip-address-168-63-129-16",
        ],
    },
};

#[cfg(test)]
mod tests;
