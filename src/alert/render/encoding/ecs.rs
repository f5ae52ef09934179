//! Elastic Common Schema 9.
//!
//! Contract: labels are a list of key and value, since keys with dots would become objects that contradict each other.

use serde_json::{Value, json};

use super::{Sensor, action, asker, path_facts, process};
use crate::alert::{Alert, AlertFlow, AlertWorkload, Direction};
use crate::detect::Severity;

pub(super) fn encode(alert: &Alert, sensor: &Sensor) -> Value {
    let (number, level) = severity(alert.severity);
    let mut event = json!({
        "@timestamp": alert.last_seen,
        "ecs": {"version": "9.0.0"},
        "message": alert.title,
        "event": {
            "kind": "alert",
            "category": ["network", "intrusion_detection"],
            "type": ["info"],
            "module": "hopwatch",
            "dataset": "hopwatch.alert",
            "id": format!("{}-{}", alert.id, alert.update),
            "action": action(alert),
            "severity": number,
            "start": alert.first_seen,
            "end": alert.last_seen,
        },
        "log": {"level": level},
        "rule": {"name": alert.rule, "id": alert.rule, "reference": alert.link},
        "threat": threat(alert),
        "related": {"ip": related(alert)},
        "observer": {"type": "sensor", "vendor": "hopwatch", "product": "hopwatch", "hostname": sensor.host, "version": sensor.version},
        "host": {"name": sensor.host},
        "hopwatch": hopwatch(alert),
    });
    if let Some(sha256) = &alert.config_sha256 {
        event["labels"] = json!({"config_sha256": sha256});
    }
    if let Some(workload) = &alert.workload {
        event["container"] = container(workload);
        if let Some(compose) = &workload.compose {
            event["service"] = json!({"name": compose.service});
        }
    }
    if let Some(flow) = &alert.flow {
        event["source"] = end(&flow.orig);
        if let Some(mac) = asker(alert).and_then(|sender| sender.mac) {
            // As RFC 7042 writes it.
            event["source"]["mac"] = mac.to_string().to_uppercase().replace(':', "-").into();
        }
        event["destination"] = end(&flow.resp);
        event["network"] = network(flow);
    }
    if let Some(process) = process(alert) {
        event["process"] = json!({"name": process.command, "pid": process.pid});
    }
    event
}

fn hopwatch(alert: &Alert) -> Value {
    let mut own = path_facts(alert);
    own["alert"] = json!({"id": alert.id, "update": alert.update});
    own["count"] = alert.count.into();
    own["response"] = json!(alert.response);
    if let Some(workload) = &alert.workload {
        own["labels"] = workload.labels.iter().map(|(key, value)| json!({"key": key, "value": value})).collect();
    }
    own
}

fn threat(alert: &Alert) -> Value {
    let (sub, whole): (Vec<_>, Vec<_>) = alert.attack.iter().partition(|technique| technique.v19.contains('.'));
    let column = |of: &[&crate::alert::Technique]| {
        let ids: Vec<_> = of.iter().map(|technique| technique.v19).collect();
        let names: Vec<_> = of.iter().map(|technique| technique.name).collect();
        json!({"id": ids, "name": names})
    };
    let mut technique = column(&whole);
    technique["subtechnique"] = column(&sub);
    json!({"framework": "MITRE ATT&CK", "technique": technique})
}

fn related(alert: &Alert) -> Vec<std::net::IpAddr> {
    let from = alert.flow.iter().map(|flow| flow.orig.endpoint.ip);
    let mut all: Vec<_> = from.chain(alert.destinations.iter().map(|to| to.endpoint.ip)).collect();
    all.sort_unstable();
    all.dedup();
    all
}

fn container(workload: &AlertWorkload) -> Value {
    json!({
        "id": workload.id,
        "name": workload.name,
        "runtime": workload.runtime,
        "image": {"name": [workload.image], "hash": {"all": [workload.digest]}},
    })
}

fn end(end: &Direction) -> Value {
    json!({"ip": end.endpoint.ip, "port": end.endpoint.port, "bytes": end.bytes, "packets": end.packets})
}

fn network(flow: &AlertFlow) -> Value {
    json!({
        "transport": flow.protocol_name,
        "iana_number": flow.protocol.0.to_string(),
        "community_id": flow.community_id,
        "direction": "egress",
    })
}

const fn severity(severity: Severity) -> (u32, &'static str) {
    match severity {
        Severity::Low => (21, "notice"),
        Severity::Medium => (47, "warning"),
        Severity::High => (73, "error"),
        Severity::Critical => (99, "critical"),
    }
}
