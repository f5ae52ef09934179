//! Grafana Loki, by its push API.
//!
//! Contract: labels are few and bounded (`job`, `host`, `rule`, `severity`); what is searched for otherwise is structured metadata, and the alert is
//! the line. One entry in a request, so that an answer is about this one. The time is the alert's, so that an entry that is sent again is the
//! same and is stored once; one that is older than [`TOO_OLD`] gets the time of sending, since Loki takes no old entries, and is marked when it is repeated.
//! Limits: the mark needs structured metadata. Source: the documentation of the push API, and Loki's messages about rejected entries.

use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::http::{Answer, Client};
use super::outcome::Outcome;
use super::receiver::Receiver;
use super::store::Delivery;
use crate::alert::Alert;
use crate::alert::render::encoding::Sensor;
use crate::config::LokiDestination;
use crate::escape::json::to_writer;
use crate::time::Timestamp;

/// Half of what Loki takes behind the newest entry of a stream by default.
const TOO_OLD: Duration = Duration::from_mins(30);

/// What Loki says of entries that it never takes, and what that means.
const REJECTED: &[(&str, &str)] = &[
    ("too far behind", "it is too far behind the newest entry of its stream"),
    ("out of order", "it is out of order in its stream"),
    ("too old", "it is older than Loki takes"),
    ("greater than max age", "it is older than Loki takes"),
    ("too new", "it is newer than Loki takes: are both clocks right?"),
];

/// One Loki.
#[derive(Debug)]
pub struct Loki {
    client: Client,
    tenant: Option<String>,
    structured_metadata: bool,
}

/// What stands in the outbox.
#[derive(Serialize, Deserialize)]
struct Entry {
    labels: BTreeMap<String, String>,
    at: Timestamp,
    line: String,
    metadata: BTreeMap<String, String>,
}

/// An alert as an entry.
pub fn entry(alert: &Alert, encoded: &[u8], sensor: &Sensor) -> io::Result<Vec<u8>> {
    let own = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
        let given = pairs.iter().filter(|(_, value)| !value.is_empty());
        given.map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    };
    let labels = [
        ("job", "hopwatch"),
        ("host", sensor.host.as_str()),
        ("rule", alert.rule),
        ("severity", alert.severity.as_str()),
    ];
    let workload = alert.workload.as_ref();
    let to = alert.destinations.first().map(|to| to.endpoint.shown(to.protocol)).unwrap_or_default();
    let metadata = [
        ("alert_id", alert.id.as_str()),
        ("update", &alert.update.to_string()),
        ("workload", workload.map(|workload| workload.name.as_str()).unwrap_or_default()),
        ("container_id", workload.map(|workload| workload.id.as_str()).unwrap_or_default()),
        ("destination", &to),
        ("contract", alert.contract.as_deref().unwrap_or_default()),
        ("verdict", alert.verdict.as_ref().map(|verdict| verdict.verdict).unwrap_or_default()),
    ];
    let line = String::from_utf8_lossy(encoded).into_owned();
    let entry = Entry { labels: own(&labels), at: alert.last_seen, line, metadata: own(&metadata) };
    let mut body = Vec::new();
    to_writer(&mut body, &entry)?;
    Ok(body)
}

impl Loki {
    /// Reads the secrets' files.
    pub fn new(to: &LokiDestination) -> io::Result<Self> {
        let client = Client::new(&to.http)?;
        Ok(Self { client, tenant: to.tenant.clone(), structured_metadata: to.structured_metadata })
    }

    /// The request of an entry.
    fn body(&self, entry: &Entry, is_repeated: bool, now: Timestamp) -> String {
        let in_time = entry.at <= now && now.since(entry.at) <= TOO_OLD;
        let at = if in_time { entry.at } else { now };
        let mut metadata = entry.metadata.clone();
        if is_repeated && !in_time {
            metadata.insert("redelivered".to_owned(), "true".to_owned());
        }
        let mut value = vec![json!(at.as_nanos().to_string()), json!(entry.line)];
        if self.structured_metadata {
            value.push(json!(metadata));
        }
        json!({"streams": [{"stream": entry.labels, "values": [value]}]}).to_string()
    }

    fn own_word(&self, answer: &Answer) -> Option<Outcome> {
        let why = || self.client.said(answer);
        match answer.status {
            204 => Some(Outcome::Delivered),
            200..=299 if answer.body.is_empty() => Some(Outcome::Delivered),
            200..=299 => Some(self.client.stranger(answer, "Loki")),
            400 if answer.body.contains("allow_structured_metadata") => {
                let why = format!("{} (or set structured_metadata: false)", why());
                Some(Outcome::Configuration { why })
            }
            400 => {
                let reason = REJECTED.iter().find(|(says, _)| answer.body.contains(says));
                reason.map(|(_, meaning)| Outcome::Refused { why: format!("{meaning}: {}", why()) })
            }
            _ => None,
        }
    }
}

impl Receiver for Loki {
    fn send(&mut self, delivery: &Delivery, now: Timestamp) -> Outcome {
        let Ok(entry) = serde_json::from_slice::<Entry>(&delivery.body) else {
            return Outcome::Refused { why: "the outbox holds no entry there".to_owned() };
        };
        let body = self.body(&entry, delivery.maybe_taken, now);
        let tenant: Vec<_> = self.tenant.iter().map(|tenant| ("X-Scope-OrgID", tenant.clone())).collect();
        self.client.attempt("application/json", &tenant, body.as_bytes(), |answer| self.own_word(answer))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::alert::render::testing::{HOSTILE, alert, sensor};
    use crate::config::{HttpDestination, UrlSource};

    fn loki(structured_metadata: bool) -> Loki {
        let url = UrlSource::Inline("http://127.0.0.1:1".to_owned());
        let http = HttpDestination { url, credentials: None, ca_file: None, timeout: Duration::from_secs(1) };
        Loki::new(&LokiDestination { http, tenant: None, structured_metadata }).expect("nothing to read")
    }

    fn written() -> Entry {
        serde_json::from_slice(&entry(&alert(), b"line", &sensor()).expect("JSON")).expect("JSON")
    }

    fn value(loki: &Loki, is_repeated: bool, later: Duration) -> Value {
        let entry = written();
        let body: Value = serde_json::from_str(&loki.body(&entry, is_repeated, entry.at.plus(later))).expect("JSON");
        body["streams"][0]["values"][0].clone()
    }

    #[test]
    fn labels_are_bounded_and_text_of_containers_is_metadata() {
        let entry = written();
        let labels: Vec<_> = entry.labels.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        let expected = [("host", "edge 1"), ("job", "hopwatch"), ("rule", "egress-skips-proxy"), ("severity", "high")];
        assert_eq!(labels, expected);
        assert_eq!(entry.metadata["workload"], HOSTILE);
        assert_eq!(entry.metadata["alert_id"], "2491e3e63140177f");
    }

    #[test]
    fn a_repetition_is_the_same_entry_until_loki_would_find_it_too_old() {
        let loki = loki(true);
        let first = value(&loki, false, Duration::ZERO);
        assert_eq!(first[0], written().at.as_nanos().to_string());
        assert_eq!(first, value(&loki, true, TOO_OLD), "Loki stores it once");
        let late = value(&loki, true, TOO_OLD + Duration::from_secs(1));
        assert_eq!(late[2]["redelivered"], "true");
        assert_ne!(late[0], first[0], "the time of sending");
        let bare = value(&self::loki(false), true, Duration::ZERO);
        assert_eq!(bare.as_array().map(Vec::len), Some(2), "no structured metadata");
    }

    #[test]
    fn a_refusal_says_what_it_means() {
        let loki = loki(true);
        let of = |status, body: &str| loki.own_word(&Answer { status, body: body.to_owned(), after: None });
        for (body, says) in [
            ("entry with timestamp 2026 ignored, reason: 'entry too far behind'", "too far behind the newest"),
            ("entry out of order", "out of order in its stream"),
            ("entry for stream '{}' has timestamp too old: 2020", "older than Loki takes"),
        ] {
            let Some(Outcome::Refused { why }) = of(400, body) else { panic!("{body}") };
            assert!(why.contains(says) && why.contains(body), "{why}");
        }
        let disallowed = "stream includes structured metadata, see `limits_config.allow_structured_metadata`";
        assert!(matches!(of(400, disallowed), Some(Outcome::Configuration { .. })));
        assert_eq!(of(204, ""), Some(Outcome::Delivered));
        assert!(matches!(of(200, "<html>"), Some(Outcome::Configuration { .. })));
        assert_eq!(of(429, "rate limit"), None, "by the status");
    }
}
