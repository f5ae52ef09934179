//! What Falco writes with `json_output`, which falcosidekick takes unchanged.
//!
//! Contract: every value of `output_fields` is a text, since falcosidekick casts some without a check; `uuid` is left to it.

use serde_json::{Map, Value, json};

use super::{Sensor, description, process};
use crate::alert::Alert;
use crate::detect::Severity;

pub(super) fn encode(alert: &Alert, sensor: &Sensor) -> Value {
    json!({
        "output": description(alert),
        "priority": priority(alert.severity),
        "rule": alert.rule,
        "source": "hopwatch",
        "hostname": sensor.host,
        "time": alert.last_seen,
        "tags": alert.attack.iter().map(|technique| technique.v19).collect::<Vec<_>>(),
        "output_fields": fields(alert),
    })
}

fn fields(alert: &Alert) -> Value {
    let mut all = Map::new();
    let mut add = |key: &str, value: String| drop(all.insert(key.to_owned(), value.into()));
    add("hopwatch.id", alert.id.clone());
    add("hopwatch.update", alert.update.to_string());
    add("hopwatch.count", alert.count.to_string());
    add("hopwatch.link", alert.link.clone());
    if let Some(sha256) = &alert.config_sha256 {
        add("hopwatch.config_sha256", sha256.to_string());
    }
    if let Some(contract) = &alert.contract {
        add("hopwatch.contract", contract.clone());
    }
    if let Some(verdict) = &alert.verdict {
        add("hopwatch.verdict", verdict.verdict.to_owned());
    }
    if let Some(hop) = &alert.missing_hop {
        add("hopwatch.missing_hop", hop.name());
    }
    if let Some(process) = process(alert) {
        add("proc.name", process.command.clone());
        if let Some(pid) = process.pid {
            add("proc.pid", pid.to_string());
        }
    }
    if let Some(workload) = &alert.workload {
        let (repository, tag) = repository_and_tag(&workload.image);
        add("container.id", workload.id.chars().take(12).collect());
        add("container.name", workload.name.clone());
        add("container.image.repository", repository.to_owned());
        add("container.image.tag", tag.to_owned());
        add("container.image.digest", workload.digest.clone());
    }
    if let Some(flow) = &alert.flow {
        add("fd.cip", flow.orig.endpoint.ip.to_string());
        add("fd.cport", flow.orig.endpoint.port.to_string());
        add("fd.sip", flow.resp.endpoint.ip.to_string());
        add("fd.sport", flow.resp.endpoint.port.to_string());
        add("fd.l4proto", flow.protocol_name.clone());
    }
    Value::Object(all)
}

/// `registry:5000/app:1` is `registry:5000/app` and `1`.
fn repository_and_tag(image: &str) -> (&str, &str) {
    let image = image.split('@').next().unwrap_or(image);
    match image.rsplit_once(':') {
        Some((repository, tag)) if !tag.contains('/') => (repository, tag),
        _ => (image, ""),
    }
}

const fn priority(severity: Severity) -> &'static str {
    match severity {
        Severity::Low => "Notice",
        Severity::Medium => "Warning",
        Severity::High => "Error",
        Severity::Critical => "Critical",
    }
}
