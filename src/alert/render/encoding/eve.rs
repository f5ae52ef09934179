//! Suricata's EVE: an `alert` event.
//!
//! Contract: what Suricata's schema has no key for stands below `alert.metadata`, as lists of texts. A rule's `signature_id` is made of
//! its name, so that it stays and is never used for another rule.

use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use super::Sensor;
use crate::alert::{Alert, AlertFlow};
use crate::detect::Severity;
use crate::time::Timestamp;

/// hopwatch's generator id; Suricata's own is 1.
const GENERATOR: u32 = 4907;

pub(super) fn encode(alert: &Alert, sensor: &Sensor) -> Value {
    let mut event = json!({
        "timestamp": timestamp(alert.last_seen),
        "event_type": "alert",
        "host": sensor.host,
        "alert": {
            "action": "allowed",
            "gid": GENERATOR,
            "signature_id": signature_id(alert.rule),
            "rev": 1,
            "signature": alert.title,
            "category": alert.rule,
            "severity": severity(alert.severity),
            "metadata": metadata(alert),
        },
    });
    if let Some(flow) = &alert.flow {
        event["flow_id"] = flow_id(flow).into();
        event["src_ip"] = json!(flow.orig.endpoint.ip);
        event["src_port"] = flow.orig.endpoint.port.into();
        event["dest_ip"] = json!(flow.resp.endpoint.ip);
        event["dest_port"] = flow.resp.endpoint.port.into();
        event["proto"] = flow.protocol_name.to_uppercase().into();
        event["community_id"] = flow.community_id.clone().into();
        event["flow"] = json!({
            "pkts_toserver": flow.orig.packets,
            "pkts_toclient": flow.resp.packets,
            "bytes_toserver": flow.orig.bytes,
            "bytes_toclient": flow.resp.bytes,
            "start": timestamp(alert.first_seen),
        });
    }
    event
}

fn metadata(alert: &Alert) -> Value {
    let mut all = Map::new();
    let mut add = |key: &str, values: Vec<String>| {
        if !values.is_empty() {
            all.insert(key.to_owned(), values.into());
        }
    };
    add("hopwatch_id", vec![alert.id.clone()]);
    add("hopwatch_update", vec![alert.update.to_string()]);
    add("hopwatch_count", vec![alert.count.to_string()]);
    add("hopwatch_link", vec![alert.link.clone()]);
    add("mitre_technique_id", alert.attack.iter().map(|technique| technique.v19.to_owned()).collect());
    add("mitre_technique_name", alert.attack.iter().map(|technique| technique.name.to_owned()).collect());
    add("config_sha256", alert.config_sha256.iter().map(ToString::to_string).collect());
    add("contract", alert.contract.iter().cloned().collect());
    add("verdict", alert.verdict.iter().map(|verdict| verdict.verdict.to_owned()).collect());
    add("missing_hop", alert.missing_hop.iter().map(crate::alert::MissingHop::name).collect());
    add("destinations", alert.destinations.iter().map(|to| to.endpoint.shown(to.protocol)).collect());
    if let Some(sender) = &alert.sender {
        add("sender_interface", sender.interface.iter().cloned().collect());
        add("sender_mac", sender.mac.iter().map(ToString::to_string).collect());
        add("sender_forged", sender.forged.then(|| "true".to_owned()).into_iter().collect());
        add("process_name", sender.process.iter().map(|process| process.command.clone()).collect());
        let pid = sender.process.as_ref().and_then(|process| process.pid);
        add("process_pid", pid.iter().map(ToString::to_string).collect());
    }
    if let Some(workload) = &alert.workload {
        add("container_id", vec![workload.id.clone()]);
        add("container_name", vec![workload.name.clone()]);
        add("container_image", vec![workload.image.clone()]);
    }
    Value::Object(all)
}

/// Positive, and of its name.
pub(super) fn signature_id(rule: &str) -> u32 {
    u32::try_from(first_bytes(rule) >> 33).unwrap_or_default()
}

/// Below 2^53, which every reader of JSON keeps.
fn flow_id(flow: &AlertFlow) -> u64 {
    first_bytes(&flow.community_id) >> 11
}

fn first_bytes(text: &str) -> u64 {
    let digest: [u8; 32] = Sha256::digest(text).into();
    digest.iter().take(8).fold(0, |number, byte| (number << 8) | u64::from(*byte))
}

/// Microseconds and a numeric zone.
fn timestamp(at: Timestamp) -> String {
    let text = at.to_string();
    let seconds = text.get(..19).unwrap_or(&text);
    format!("{seconds}.{:06}+0000", at.as_nanos().rem_euclid(1_000_000_000) / 1000)
}

/// 1 is the highest.
const fn severity(severity: Severity) -> u32 {
    match severity {
        Severity::Low => 4,
        Severity::Medium => 3,
        Severity::High => 2,
        Severity::Critical => 1,
    }
}
