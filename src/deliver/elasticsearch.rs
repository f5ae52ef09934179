//! Elasticsearch and `OpenSearch`: documents of a data stream, by `_bulk`.
//!
//! Contract: only `create`, which is what a data stream takes, with `_id` = `ID-UPDATE`: a document that is there already (409) is delivered,
//! so that a repetition shows nothing twice within one backing index. Each item of an answer has its own outcome. Limits: after a rollover
//! of the data stream the same `_id` is taken again. Source: the documentation of the bulk API.

use std::io;

use serde::Deserialize;
use serde_json::json;

use super::batch::Batch;
use super::http::{Answer, Client};
use super::outcome::Outcome;
use super::receiver::{Receiver, only};
use super::store::Delivery;
use crate::config::ElasticsearchDestination;
use crate::time::Timestamp;

/// It is there already.
const CONFLICT: u16 = 409;

/// A data stream.
#[derive(Debug)]
pub struct Elasticsearch {
    client: Client,
    /// What it is called.
    name: &'static str,
    batch: Batch,
}

/// The answer of `_bulk`, as far as it is asked for.
#[derive(Deserialize)]
struct BulkAnswer {
    items: Vec<BulkItem>,
}

#[derive(Deserialize)]
struct BulkItem {
    create: Created,
}

#[derive(Deserialize)]
struct Created {
    #[serde(rename = "_id")]
    id: Option<String>,
    status: u16,
    error: Option<BulkError>,
    failure_store: Option<String>,
}

#[derive(Deserialize)]
struct BulkError {
    #[serde(default, rename = "type")]
    kind: String,
    #[serde(default)]
    reason: String,
}

impl Elasticsearch {
    /// Reads the secrets' files.
    pub fn new(to: &ElasticsearchDestination, name: &'static str) -> io::Result<Self> {
        Ok(Self { client: Client::new(&to.http)?, name, batch: Batch::default() })
    }

    /// What became of each.
    fn outcomes(&mut self, deliveries: &[Delivery], answer: &Answer) -> Vec<Outcome> {
        let count = deliveries.len();
        if answer.status != 200 {
            let whole = self.client.outcome(answer);
            let whole = if whole == Outcome::Delivered { self.client.stranger(answer, self.name) } else { whole };
            // A line that it cannot read makes it refuse all of them.
            let is_too_much = matches!(whole, Outcome::Refused { .. });
            return self.batch.failed(count, whole, is_too_much);
        }
        let Ok(BulkAnswer { items }) = serde_json::from_str(&answer.body) else {
            let stranger = self.client.unreadable(answer, self.name);
            let is_too_much = matches!(stranger, Outcome::Again { .. });
            return self.batch.failed(count, stranger, is_too_much);
        };
        self.batch.went_well();
        let mut items = items.into_iter().map(|item| item.create);
        deliveries.iter().map(|delivery| self.outcome(delivery, items.next(), answer)).collect()
    }

    fn outcome(&self, delivery: &Delivery, item: Option<Created>, answer: &Answer) -> Outcome {
        let key = key(delivery);
        let Some(item) = item.filter(|item| item.id.as_ref().is_none_or(|id| *id == key)) else {
            return Outcome::ambiguous(format!("{} did not say what became of {key}", self.client.shown()));
        };
        if item.status == CONFLICT {
            return Outcome::Delivered;
        }
        if item.failure_store.as_deref() == Some("used") {
            let name = self.name;
            tracing::warn!(
                alert = key,
                "{name} could not index it and keeps it in the failure store of the data stream"
            );
        }
        let body = item.error.map(|error| format!("{}: {}", error.kind, error.reason)).unwrap_or_default();
        self.client.outcome(&Answer { status: item.status, body, after: answer.after })
    }
}

fn key(delivery: &Delivery) -> String {
    format!("{}-{}", delivery.id, delivery.update)
}

/// Two lines for each; the last one ends, too.
fn body(deliveries: &[Delivery]) -> Vec<u8> {
    let mut body = Vec::new();
    for delivery in deliveries {
        body.extend_from_slice(json!({"create": {"_id": key(delivery)}}).to_string().as_bytes());
        body.push(b'\n');
        body.extend_from_slice(&delivery.body);
        body.push(b'\n');
    }
    body
}

impl Receiver for Elasticsearch {
    fn send(&mut self, delivery: &Delivery, now: Timestamp) -> Outcome {
        only(self.send_some(std::slice::from_ref(delivery), now))
    }

    fn most(&self) -> usize {
        self.batch.most()
    }

    fn send_some(&mut self, deliveries: &[Delivery], _: Timestamp) -> Vec<Outcome> {
        match self.client.post("application/x-ndjson", &[], &body(deliveries)) {
            Ok(answer) => self.outcomes(deliveries, &answer),
            Err(outcome) => vec![outcome; deliveries.len()],
        }
    }
}
