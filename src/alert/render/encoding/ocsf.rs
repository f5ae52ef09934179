//! OCSF 1.8, class 2004 (Detection Finding).
//!
//! Contract: `verdict_id` is never set, because it is the analyst's. `time` and all others are milliseconds since 1970.

use serde_json::{Value, json};

use super::{Sensor, asker, description, namings, path_facts, process};
use crate::alert::{Alert, AlertFlow, AlertWorkload, Direction};
use crate::detect::Severity;
use crate::inventory::Confidence;
use crate::time::Timestamp;

const CLASS: u32 = 2004;
const CREATE: u32 = 1;
const UPDATE: u32 = 2;
const CLOSE: u32 = 3;
/// What a sensor may say of its state: new, or that it has ended by itself.
const NEW: u32 = 1;
const RESOLVED: u32 = 4;
/// Type of an observable: IP address.
const IP_ADDRESS: u32 = 2;

pub(super) fn encode(alert: &Alert, sensor: &Sensor) -> Value {
    let (activity, status) = match (alert.ended, alert.update) {
        (true, _) => (CLOSE, RESOLVED),
        (false, 0) => (CREATE, NEW),
        (false, _) => (UPDATE, NEW),
    };
    json!({
        "class_uid": CLASS,
        "category_uid": 2,
        "activity_id": activity,
        "type_uid": CLASS * 100 + activity,
        "severity_id": severity(alert.severity),
        "status_id": status,
        "is_alert": alert.update == 0,
        "time": millis(alert.last_seen),
        "start_time": millis(alert.first_seen),
        "end_time": millis(alert.last_seen),
        "count": alert.count,
        "message": alert.title,
        "metadata": {
            "version": "1.8.0",
            "uid": format!("{}-{}", alert.id, alert.update),
            "product": {"name": "hopwatch", "vendor_name": "hopwatch", "version": sensor.version},
        },
        "finding_info": finding(alert),
        "resources": alert.workload.iter().map(resource).collect::<Vec<_>>(),
        "evidences": evidences(alert),
        "observables": observables(alert),
        "confidence_id": confidence(alert),
        "remediation": {"desc": alert.response.join("\n"), "references": [alert.link]},
        "device": {"hostname": sensor.host, "type_id": 1},
        "unmapped": unmapped(alert),
    })
}

fn unmapped(alert: &Alert) -> Value {
    let mut own = path_facts(alert);
    own["config_sha256"] = json!(alert.config_sha256);
    own
}

fn finding(alert: &Alert) -> Value {
    let attacks = alert.attack.iter().flat_map(|technique| {
        namings(technique)
            .map(|(version, id)| json!({"version": version, "technique": {"uid": id, "name": technique.name}}))
    });
    json!({
        "uid": alert.id,
        "title": alert.title,
        "desc": description(alert),
        "first_seen_time": millis(alert.first_seen),
        "last_seen_time": millis(alert.last_seen),
        "related_events_count": alert.count,
        "src_url": alert.url(),
        "analytic": {"type_id": 1, "uid": alert.rule, "name": alert.rule},
        "attacks": attacks.collect::<Vec<_>>(),
    })
}

fn resource(workload: &AlertWorkload) -> Value {
    json!({"uid": workload.id, "name": workload.name, "type": "Container"})
}

fn container(workload: &AlertWorkload) -> Value {
    let labels: Vec<_> = workload.labels.iter().map(|(key, value)| json!({"name": key, "value": value})).collect();
    json!({
        "uid": workload.id,
        "name": workload.name,
        "runtime": workload.runtime,
        "image": {"name": workload.image, "uid": workload.digest},
        "tags": labels,
    })
}

/// The flow first, then one for each further destination.
fn evidences(alert: &Alert) -> Vec<Value> {
    let mut first = json!({"data": path_facts(alert)});
    if let Some(workload) = &alert.workload {
        first["container"] = container(workload);
    }
    if let Some(flow) = &alert.flow {
        first["src_endpoint"] = endpoint(&flow.orig);
        if let Some(sender) = asker(alert) {
            first["src_endpoint"]["mac"] = json!(sender.mac);
            first["src_endpoint"]["interface_name"] = json!(sender.interface);
        }
        first["dst_endpoint"] = endpoint(&flow.resp);
        first["connection_info"] = connection(flow);
    }
    if let Some(process) = process(alert) {
        first["process"] = json!({"name": process.command, "pid": process.pid});
    }
    let known = alert.flow.as_ref().map(|flow| flow.resp.endpoint);
    let further = alert.destinations.iter().filter(|to| Some(to.endpoint) != known);
    let further = further.map(|to| json!({"dst_endpoint": {"ip": to.endpoint.ip, "port": to.endpoint.port}}));
    std::iter::once(first).chain(further).collect()
}

fn endpoint(end: &Direction) -> Value {
    json!({"ip": end.endpoint.ip, "port": end.endpoint.port})
}

fn connection(flow: &AlertFlow) -> Value {
    json!({
        "protocol_num": flow.protocol.0,
        "protocol_name": flow.protocol_name,
        "community_uid": flow.community_id,
        "direction_id": 2,
    })
}

fn observables(alert: &Alert) -> Vec<Value> {
    let to = alert.destinations.iter();
    to.map(|to| json!({"name": "evidences.dst_endpoint.ip", "type_id": IP_ADDRESS, "value": to.endpoint.ip})).collect()
}

/// 3 high, 2 medium, 1 low, 0 unknown.
fn confidence(alert: &Alert) -> u32 {
    match alert.attribution.as_ref().and_then(|attribution| attribution.confidence) {
        Some(Confidence::Exact) => 3,
        Some(Confidence::Likely) => 2,
        Some(Confidence::Ambiguous) => 1,
        None => 0,
    }
}

const fn severity(severity: Severity) -> u32 {
    match severity {
        Severity::Low => 2,
        Severity::Medium => 3,
        Severity::High => 4,
        Severity::Critical => 5,
    }
}

const fn millis(at: Timestamp) -> i64 {
    at.as_nanos() / 1_000_000
}
