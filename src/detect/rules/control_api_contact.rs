//! `control-api-contact`.

mod paths;
mod strategy;
#[cfg(test)]
mod tests;

use crate::detect::anomaly::once::{InFlow, OnRecords, Once, RecordRule};
use crate::detect::params::rule_params;
use crate::detect::{Alternative, Context, ExpectedFrom, Explanation, Finding, Rule, Severity};
use crate::input::{FlowRecord, Protocol};
use crate::inventory::Owner;
use crate::path::{JudgedFlow, Selector, responder_of};
use paths::{Api, api_of};
pub use strategy::META;

/// Ports of control APIs on a host: Docker (plain, TLS, its old one), etcd, the kubelet (TLS, read-only), the scheduler.
const PORTS: [(u16, &str); 7] = [
    (2375, "Docker"),
    (2376, "Docker over TLS"),
    (2379, "etcd"),
    (4243, "Docker"),
    (10_250, "kubelet"),
    (10_255, "kubelet"),
    (10_259, "scheduler"),
];

rule_params! {
    /// Services that may: ingress, Portainer, Watchtower, socket proxies, cAdvisor, metrics-server, operators, CI runners.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    allowed: Vec<Selector> = Vec::new(),
}

/// The rule.
#[derive(Debug)]
struct ControlApiContact {
    params: Params,
}

/// The rule with its parameters.
pub fn rule(params: &Params) -> impl Rule + use<> {
    OnRecords::new(ControlApiContact { params: params.clone() })
}

/// What was contacted, and how.
#[derive(Debug, PartialEq, Eq)]
struct Contact {
    api: &'static str,
    severity: Severity,
    observed: String,
}

impl RecordRule for ControlApiContact {
    fn look(
        &mut self,
        context: Context<'_>,
        flow: &JudgedFlow,
        record: &FlowRecord,
        reported: &mut Once,
    ) -> Option<Finding> {
        let contact = by_request(record).or_else(|| by_port(context, flow, record))?;
        let actor = context.actors.source(flow)?;
        let is_allowed = flow.source.workload().is_some_and(|one| Selector::any(&self.params.allowed, one));
        // The host's own programs manage it.
        if is_allowed || matches!(flow.source, Owner::Host) || !flow.oriented.certain || !reported.is_new(flow) {
            return None;
        }
        let found = InFlow { rule: &META, flow, record, actor: &actor };
        let (severity, cause) = (contact.severity, contact.api);
        Some(found.finding(context, severity, cause, contact.explain()))
    }
}

/// An API that a request names, at any port.
fn by_request(record: &FlowRecord) -> Option<Contact> {
    let request = record.app.as_ref()?.http.as_ref()?;
    let path = request.path.as_deref()?;
    let api = api_of(path, record.tuple.resp.port)?;
    let changes = matches!(request.method.as_str(), "POST" | "PUT" | "PATCH" | "DELETE");
    let is_asked = api == Api::Docker && path.ends_with("/images/search");
    let severity = if changes && !is_asked { Severity::High } else { Severity::Medium };
    let observed = format!("{} {path} is a request of the {} API", request.method, api.as_str());
    Some(Contact { api: api.as_str(), severity, observed })
}

/// A port of the host that control APIs listen at, where data came back.
fn by_port(context: Context<'_>, flow: &JudgedFlow, record: &FlowRecord) -> Option<Contact> {
    let (tuple, counters) = (record.tuple, record.resp.counters);
    let (port, api) = PORTS.into_iter().find(|(port, _)| *port == tuple.resp.port)?;
    let spoke = tuple.protocol == Protocol::TCP && counters.payload_bytes > 0;
    let is_host = || {
        let owner = responder_of(context.timeline, &flow.oriented);
        matches!(owner, Owner::Host) || context.timeline.is_on_host(tuple.resp.ip)
    };
    if !spoke || flow.source.workload().is_none() || !is_host() {
        return None;
    }
    let observed = format!(
        "the host answered at port {port}, where the {api} API listens: {} bytes asked, {} answered",
        record.orig.counters.payload_bytes, counters.payload_bytes
    );
    Some(Contact { api, severity: Severity::Medium, observed })
}

impl Contact {
    fn explain(&self) -> Explanation {
        let expected = "only services that manage containers talk to what controls them";
        let mut why = Explanation::new(self.observed.clone(), expected, ExpectedFrom::Floor);
        why.threshold = "one request, or one answered connection to such a port of the host".into();
        why.parameter = "rules.control-api-contact.allowed".into();
        if self.severity == Severity::High {
            why.signs.push("the request changes something".into());
        }
        why.alternatives = vec![
            Alternative::new(
                "an ingress, a dashboard, an updater, a socket proxy, cAdvisor, metrics-server, an operator, a CI runner",
                "the image and what it is for",
            ),
            Alternative::new("an application of its own with such a path", "who serves the far end"),
        ];
        why.limits.push("the first request of each connection is read".into());
        why.silence = "name the service under rules.control-api-contact.allowed, by image digest".into();
        why
    }
}
