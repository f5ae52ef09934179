//! Prometheus' Alertmanager, API v2.
//!
//! Contract: an alert is its labels, which never change; a severity that rises is another alert, and the earlier one ends in the same
//! request. Open alerts are sent again before they end by themselves, and end when nothing new came for `keep_open`, or within two intervals when what they are about is over; if hopwatch ends, they
//! end soon. Limits: [`MAX_OPEN`] alerts stay open; what was open before a restart opens again with its next update.

use std::any::Any;
use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

use serde_json::{Value, json};

use super::http::Client;
use super::outcome::Outcome;
use super::receiver::Receiver;
use super::store::Delivery;
use crate::alert::Alert;
use crate::alert::render::chat;
use crate::alert::render::encoding::Sensor;
use crate::config::AlertmanagerDestination;
use crate::time::Timestamp;

/// Alerts that are sent again and again.
const MAX_OPEN: usize = 10_000;
/// Alerts of one request.
const BATCH: usize = 200;
/// An alert ends after so many intervals in which it was not sent again, as Prometheus does.
const INTERVALS: u32 = 4;

/// Of a body in the outbox: what it is about no longer holds. Alertmanager does not get it.
const ENDED: &str = "ended";

/// One Alertmanager.
#[derive(Debug)]
pub struct Alertmanager {
    client: Client,
    to: AlertmanagerDestination,
    open: BTreeMap<String, Open>,
    due: Option<Timestamp>,
}

#[derive(Debug)]
struct Open {
    /// Labels, annotations and start.
    alert: Value,
    /// When it was last updated.
    updated: Timestamp,
}

/// What stands in the outbox: labels, annotations, start.
pub fn body(alert: &Alert, sensor: &Sensor) -> Value {
    let workload = alert.workload.as_ref().map(|workload| workload.name.as_str()).unwrap_or_default();
    let to: Vec<_> = alert.destinations.iter().map(|to| to.endpoint.shown(to.protocol)).collect();
    let mut labels = json!({
        "alertname": "Hopwatch",
        "severity": alert.severity.as_str(),
        "host": sensor.host,
        "rule": alert.rule,
        "alert_id": alert.id,
    });
    // A label without a value is none.
    if !workload.is_empty() {
        labels["workload"] = workload.into();
    }
    let mut body = json!({
        "labels": labels,
        "annotations": {
            "summary": chat::title(alert),
            "description": chat::text(alert, sensor),
            "runbook_url": alert.link,
            "destinations": to.join(", "),
            "response": alert.response.join("\n"),
        },
        "startsAt": alert.first_seen,
    });
    if alert.ended {
        body[ENDED] = true.into();
    }
    // Anything but an address is refused.
    if let Some(url) = alert.url() {
        body["generatorURL"] = url.into();
    }
    body
}

impl Alertmanager {
    /// Reads the secrets' files.
    pub fn new(to: &AlertmanagerDestination) -> io::Result<Self> {
        Ok(Self { client: Client::new(&to.http)?, to: to.clone(), open: BTreeMap::new(), due: None })
    }

    fn post(&self, alerts: &[Value]) -> Outcome {
        let body = Value::from(alerts.to_vec()).to_string();
        self.client.attempt("application/json", &[], body.as_bytes(), |_| None)
    }

    /// The alert with its end: in some intervals, unless it is sent again.
    fn lasting(&self, alert: &Value, now: Timestamp) -> Value {
        let mut alert = alert.clone();
        // A start in the future is refused.
        if starts_at(&alert).is_some_and(|start| start > now) {
            alert["startsAt"] = json!(now);
        }
        alert["endsAt"] = json!(now.plus(self.to.resend.saturating_mul(INTERVALS)));
        alert
    }

    fn ended(alert: &Value, now: Timestamp) -> Value {
        let mut alert = alert.clone();
        let start = starts_at(&alert).unwrap_or(now);
        // An end before its start is refused.
        alert["endsAt"] = json!(now.max(start));
        alert
    }
}

fn starts_at(alert: &Value) -> Option<Timestamp> {
    alert["startsAt"].as_str()?.parse().ok()
}

impl Receiver for Alertmanager {
    /// Open alerts are sent again by the successor.
    fn take_over(&mut self, before: Box<dyn Any>) {
        if let Ok(before) = before.downcast::<Self>() {
            (self.open, self.due) = (before.open, before.due);
        }
    }

    fn send(&mut self, delivery: &Delivery, now: Timestamp) -> Outcome {
        let Ok(mut alert) = serde_json::from_slice::<Value>(&delivery.body) else {
            return Outcome::Refused { why: "the outbox holds no alert there".to_owned() };
        };
        let has_ended = alert.as_object_mut().is_some_and(|body| body.remove(ENDED).is_some());
        // This process has not sent it as open: only its end is sent.
        if has_ended && !self.open.contains_key(&delivery.id) {
            return self.post(&[Self::ended(&alert, now)]);
        }
        let mut alerts = vec![self.lasting(&alert, now)];
        let before = self.open.get(&delivery.id).filter(|open| open.alert["labels"] != alert["labels"]);
        alerts.extend(before.map(|open| Self::ended(&open.alert, now)));
        let outcome = self.post(&alerts);
        if outcome == Outcome::Delivered {
            if self.open.len() >= MAX_OPEN && !self.open.contains_key(&delivery.id) {
                let quietest = self.open.iter().min_by_key(|(_, open)| open.updated).map(|(id, _)| id.clone());
                quietest.map(|id| self.open.remove(&id));
            }
            // One that has ended stays for an interval: Alertmanager may notify nobody of an alert that ends at once.
            let quiet = if has_ended { self.to.keep_open.saturating_sub(self.to.resend) } else { Duration::ZERO };
            self.open.insert(delivery.id.clone(), Open { alert, updated: now.minus(quiet) });
            self.due.get_or_insert(now.plus(self.to.resend));
        }
        outcome
    }

    fn keep_up(&mut self, now: Timestamp) -> Option<Outcome> {
        self.due.filter(|due| *due <= now)?;
        let keep_open = self.to.keep_open;
        let alerts: Vec<_> = self
            .open
            .values()
            .map(|open| {
                let is_over = now.since(open.updated) >= keep_open;
                if is_over { Self::ended(&open.alert, now) } else { self.lasting(&open.alert, now) }
            })
            .collect();
        for batch in alerts.chunks(BATCH) {
            match self.post(batch) {
                // The others of a batch that holds a refused one were taken.
                Outcome::Delivered | Outcome::Refused { .. } => {}
                failed => {
                    // Deliveries come first until then; what is open outlasts some intervals.
                    self.due = Some(now.plus(self.to.resend));
                    return Some(failed);
                }
            }
        }
        self.open.retain(|_, open| now.since(open.updated) < keep_open);
        self.due = (!self.open.is_empty()).then(|| now.plus(self.to.resend));
        Some(Outcome::Delivered)
    }

    fn next_due(&self) -> Option<Timestamp> {
        self.due
    }
}
