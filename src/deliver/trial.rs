//! A test alert for one sink.
//!
//! Contract: sent once, without the outbox; it says that it is a test, and has the sink's own form.

use super::outcome::Outcome;
use super::prepare;
use super::receivers::receiver;
use super::store::Delivery;
use crate::alert::render::encoding::Sensor;
use crate::alert::{Alert, SCHEMA};
use crate::clock::now;
use crate::config::SinkConfig;
use crate::detect::{SEED_REFERENCE, Severity};
use crate::path::Evidence;
use crate::time::Timestamp;

/// The name in the place of the rule's.
const RULE: &str = "delivery-test";

/// Sends a test alert; an error is why it was not taken.
pub fn send(sink: &SinkConfig) -> Result<(), String> {
    let at = now();
    let sink = SinkConfig { rules: Vec::new(), workloads: Vec::new(), ..sink.clone() };
    let sensor = Sensor { host: super::outbox::host_name(), version: env!("CARGO_PKG_VERSION") };
    let prepared = prepare::alert(&sink, &alert(at), None, &sensor).map_err(|error| error.to_string())?;
    let body = prepared.ok_or("the sink takes no alert of this severity")?.body;
    let delivery = Delivery { seq: 0, id: id(at), update: 0, body, attempts: 0, maybe_taken: false };
    let mut receiver = receiver(&sink).map_err(|error| error.to_string())?;
    match receiver.send(&delivery, at) {
        Outcome::Delivered => Ok(()),
        Outcome::Again { why, .. } | Outcome::Configuration { why } | Outcome::Refused { why } => Err(why),
    }
}

fn id(at: Timestamp) -> String {
    format!("{:016x}", at.as_nanos())
}

/// The test alert of a moment.
pub fn alert(at: Timestamp) -> Alert {
    let text = "sent by `hopwatch outbox test`; nothing was detected";
    Alert {
        schema: SCHEMA,
        id: id(at),
        update: 0,
        rule: RULE,
        title: "Test of delivery: nothing happened",
        severity: Severity::Critical,
        first_seen: at,
        last_seen: at,
        count: 1,
        workload: None,
        actor: None,
        flow: None,
        destinations: Vec::new(),
        destinations_new: 0,
        destinations_omitted: 0,
        contract: None,
        verdict: None,
        missing_hop: None,
        blind_spots: Vec::new(),
        witnesses: Vec::new(),
        evidence: vec![Evidence::new("test", text)],
        attribution: None,
        sender: None,
        anomaly: None,
        attack: Vec::new(),
        seed_reference: SEED_REFERENCE,
        response: vec!["Nothing: this alert is a test.".to_owned()],
        link: "docs/delivery.md".to_owned(),
        config_sha256: None,
        ended: false,
        is_first_of_run: true,
        condition: None,
        bundle: None,
    }
}
