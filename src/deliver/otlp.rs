//! OpenTelemetry's protocol: a log record over HTTP, in JSON.
//!
//! Contract: one record in a request, so that `rejectedLogRecords` is about this one: it is refused then, and not sent again. Only 429, 502,
//! 503, 504 and lost connections are tried again, and what a person must repair (401, 403, 404, a redirect); every other status refuses the
//! record, 500 too. Limits: there are no keys; a repetition has the attribute `hopwatch.redelivered`. Source: the OTLP specification.

use std::io;

use serde::Deserialize;
use serde_json::{Value, json};

use super::http::{Answer, Client};
use super::outcome::Outcome;
use super::receiver::Receiver;
use super::store::Delivery;
use crate::alert::render::encoding::{self, Encoding, Sensor};
use crate::alert::{Alert, AlertFlow, AlertWorkload};
use crate::config::OtlpDestination;
use crate::detect::Severity;
use crate::escape::json::to_writer;
use crate::time::Timestamp;

/// One receiver, perhaps a Collector.
#[derive(Debug)]
pub struct Otlp {
    client: Client,
}

/// What it answers.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ExportAnswer {
    partial_success: Option<PartialSuccess>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct PartialSuccess {
    /// A 64-bit number is text in JSON, but some write it as a number.
    rejected_log_records: Value,
    error_message: String,
}

impl PartialSuccess {
    fn rejected(&self) -> Option<u64> {
        match &self.rejected_log_records {
            Value::Null => Some(0),
            Value::String(text) => text.parse().ok(),
            number => number.as_u64(),
        }
    }
}

/// The request of an alert.
pub fn request(alert: &Alert, sensor: &Sensor) -> io::Result<Vec<u8>> {
    let whole = encoding::encode(alert, Encoding::Hopwatch, sensor)?;
    let (number, text) = severity(alert.severity);
    let nanos = alert.last_seen.as_nanos().to_string();
    let record = json!({
        "timeUnixNano": nanos,
        "observedTimeUnixNano": nanos,
        "severityNumber": number,
        "severityText": text,
        "eventName": "hopwatch.alert",
        "body": {"stringValue": alert.title},
        "attributes": attributes(alert, &String::from_utf8_lossy(&whole)),
    });
    let resource = [
        string("service.name", "hopwatch"),
        string("service.version", sensor.version),
        string("host.name", &sensor.host),
    ];
    let scope = json!({"name": "hopwatch", "version": sensor.version});
    let request = json!({"resourceLogs": [{
        "resource": {"attributes": resource},
        "scopeLogs": [{"scope": scope, "logRecords": [record]}],
    }]});
    let mut body = Vec::new();
    to_writer(&mut body, &request)?;
    Ok(body)
}

fn attributes(alert: &Alert, whole: &str) -> Vec<Value> {
    let mut all = vec![
        string("hopwatch.alert.id", &alert.id),
        number("hopwatch.alert.update", alert.update.into()),
        string("hopwatch.rule", alert.rule),
        string("hopwatch.severity", alert.severity.as_str()),
        number("hopwatch.count", alert.count),
        string("hopwatch.link", &alert.link),
    ];
    all.extend(alert.contract.iter().map(|contract| string("hopwatch.contract", contract)));
    all.extend(alert.verdict.iter().map(|verdict| string("hopwatch.verdict", verdict.verdict)));
    alert.workload.iter().for_each(|workload| all.extend(container(workload)));
    alert.flow.iter().for_each(|flow| all.extend(network(flow)));
    // Nothing is lost for those who want all of it.
    all.push(string("hopwatch.json", whole));
    all
}

fn container(workload: &AlertWorkload) -> Vec<Value> {
    let mut all = vec![
        string("container.id", &workload.id),
        string("container.name", &workload.name),
        string("container.image.name", &workload.image),
        string("container.runtime", &workload.runtime),
    ];
    if workload.digest.contains(':') {
        let digest = json!({"stringValue": format!("{}@{}", workload.image, workload.digest)});
        let values = json!({"arrayValue": {"values": [digest]}});
        all.push(json!({"key": "container.image.repo_digests", "value": values}));
    }
    all
}

fn network(flow: &AlertFlow) -> Vec<Value> {
    vec![
        string("source.address", &flow.orig.endpoint.ip.to_string()),
        number("source.port", flow.orig.endpoint.port.into()),
        string("destination.address", &flow.resp.endpoint.ip.to_string()),
        number("destination.port", flow.resp.endpoint.port.into()),
        string("network.transport", &flow.protocol_name),
    ]
}

fn string(key: &str, value: &str) -> Value {
    json!({"key": key, "value": {"stringValue": value}})
}

/// 64-bit numbers are text in JSON.
fn number(key: &str, value: u64) -> Value {
    json!({"key": key, "value": {"intValue": value.to_string()}})
}

/// INFO, WARN, ERROR, FATAL, with our own word beside it.
const fn severity(severity: Severity) -> (u8, &'static str) {
    match severity {
        Severity::Low => (9, "INFO"),
        Severity::Medium => (13, "WARN"),
        Severity::High => (17, "ERROR"),
        Severity::Critical => (21, "FATAL"),
    }
}

impl Otlp {
    /// Reads the secrets' files.
    pub fn new(to: &OtlpDestination) -> io::Result<Self> {
        Ok(Self { client: Client::new(&to.http)? })
    }

    fn own_word(&self, answer: &Answer) -> Option<Outcome> {
        match answer.status {
            200..=299 => Some(self.success(answer)),
            300..=399 | 401 | 403 | 404 | 407 | 429 | 502..=504 => None,
            // The specification forbids another attempt.
            _ => Some(Outcome::Refused { why: self.client.said(answer) }),
        }
    }

    fn success(&self, answer: &Answer) -> Outcome {
        let body = answer.body.trim();
        if body.is_empty() {
            return Outcome::Delivered;
        }
        // An array would be read as an object without fields.
        let read = body.starts_with('{').then(|| serde_json::from_str::<ExportAnswer>(body).ok()).flatten();
        let Some(read) = read else { return self.client.unreadable(answer, "an OTLP receiver") };
        let Some(partial) = read.partial_success else { return Outcome::Delivered };
        match partial.rejected() {
            Some(0) => {
                if !partial.error_message.is_empty() {
                    tracing::warn!("an alert was taken with a warning: {}", self.client.said(answer));
                }
                Outcome::Delivered
            }
            Some(_) => Outcome::Refused { why: self.client.said(answer) },
            None => self.client.stranger(answer, "an OTLP receiver"),
        }
    }
}

/// The same record, marked.
fn marked(body: &[u8]) -> Option<Vec<u8>> {
    let mut request: Value = serde_json::from_slice(body).ok()?;
    let record = request.pointer_mut("/resourceLogs/0/scopeLogs/0/logRecords/0/attributes")?;
    record.as_array_mut()?.push(json!({"key": "hopwatch.redelivered", "value": {"boolValue": true}}));
    Some(request.to_string().into_bytes())
}

impl Receiver for Otlp {
    fn send(&mut self, delivery: &Delivery, _: Timestamp) -> Outcome {
        let again = delivery.maybe_taken.then(|| marked(&delivery.body)).flatten();
        let body = again.as_deref().unwrap_or(&delivery.body);
        self.client.attempt("application/json", &[], body, |answer| self.own_word(answer))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::alert::render::testing::{alert, sensor};
    use crate::config::{HttpDestination, UrlSource};

    fn otlp() -> Otlp {
        let url = UrlSource::Inline("http://127.0.0.1:1/v1/logs".to_owned());
        let http = HttpDestination { url, credentials: None, ca_file: None, timeout: Duration::from_secs(1) };
        Otlp::new(&OtlpDestination { http }).expect("nothing to read")
    }

    #[test]
    fn a_record_has_the_form_of_the_protocol_in_json() {
        let body = request(&alert(), &sensor()).expect("JSON");
        let request: Value = serde_json::from_slice(&body).expect("JSON");
        let record = &request["resourceLogs"][0]["scopeLogs"][0]["logRecords"][0];
        assert_eq!(record["timeUnixNano"], "1770000003123456789", "64 bits are text");
        assert_eq!((&record["severityNumber"], &record["severityText"]), (&17.into(), &"ERROR".into()));
        let attribute = |key: &str| {
            let all = record["attributes"].as_array().expect("a list");
            all.iter().find(|one| one["key"] == key).map(|one| one["value"].clone()).unwrap_or_default()
        };
        assert_eq!(attribute("destination.port"), json!({"intValue": "443"}));
        assert_eq!(attribute("network.transport"), json!({"stringValue": "tcp"}));
        assert_eq!(attribute("hopwatch.alert.update"), json!({"intValue": "0"}));
        let whole = attribute("hopwatch.json");
        let whole: Value = serde_json::from_str(whole["stringValue"].as_str().expect("text")).expect("JSON");
        assert_eq!(whole["id"], "2491e3e63140177f");
        let resource = &request["resourceLogs"][0]["resource"]["attributes"];
        assert_eq!(resource[2], json!({"key": "host.name", "value": {"stringValue": "edge 1"}}));
        let again: Value = serde_json::from_slice(&marked(&body).expect("marked")).expect("JSON");
        assert!(again.to_string().contains("hopwatch.redelivered") && !request.to_string().contains("redelivered"));
    }

    #[test]
    fn what_is_rejected_is_not_sent_again_and_a_warning_is_no_rejection() {
        let of = |status, body: &str| otlp().own_word(&Answer { status, body: body.to_owned(), after: None });
        for body in ["", "{}", r#"{"partialSuccess":{}}"#, r#"{"partialSuccess":{"errorMessage":"slow down"}}"#] {
            assert_eq!(of(200, body), Some(Outcome::Delivered), "{body}");
        }
        for count in ["\"1\"", "1"] {
            let body = format!(r#"{{"partialSuccess":{{"rejectedLogRecords":{count},"errorMessage":"too long"}}}}"#);
            let Some(Outcome::Refused { why }) = of(200, &body) else { panic!("{body}") };
            assert!(why.contains("too long"), "{why}");
        }
        for body in ["[]", "<html>", r#"{"partialSuccess":{"rejectedLogRecords":"many"}}"#] {
            assert!(matches!(of(200, body), Some(Outcome::Configuration { .. })), "{body}");
        }
        assert!(matches!(of(200, r#"{"partialSuc"#), Some(Outcome::Again { maybe_taken: true, .. })));
        for status in [400, 408, 413, 500, 501, 505] {
            assert!(matches!(of(status, ""), Some(Outcome::Refused { .. })), "{status}");
        }
        for status in [401, 403, 404, 429, 502, 503, 504] {
            assert_eq!(of(status, ""), None, "{status} is read as elsewhere");
        }
    }
}
