//! Splunk's HTTP Event Collector.
//!
//! Contract: with acknowledgement an event is delivered when an indexer says so; a 200 alone says only that it was valid. A token without
//! acknowledgement is found out before an event is sent. What is not acknowledged within the time that Splunk names is sent again, marked.
//! Limits: Splunk has no keys; an indexer that restarts forgets what it had to acknowledge. The end of a run and a reload wait for no
//! acknowledgement. Source: the documentation of the event collector and of its acknowledgement.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::batch::Batch;
use super::bell::Bell;
use super::http::{Answer, Client};
use super::outcome::Outcome;
use super::receiver::{Receiver, only};
use super::store::Delivery;
use crate::alert::Alert;
use crate::alert::render::encoding::Sensor;
use crate::clock::instant;
use crate::config::SplunkDestination;
use crate::escape::json::to_writer;
use crate::time::Timestamp;

/// Waits between two questions for an acknowledgement: the first, and the longest.
const FIRST_LOOK: Duration = Duration::from_millis(100);
const LONGEST_LOOK: Duration = Duration::from_secs(5);
/// An acknowledgement that takes longer is worth a look.
const SLOW_ACK: Duration = Duration::from_mins(1);
/// Names the channel.
const CHANNEL: &str = "X-Splunk-Request-Channel";

/// One event collector.
#[derive(Debug)]
pub struct Splunk {
    events: Client,
    acks: Client,
    /// How long an acknowledgement is waited for; none: it is not asked for.
    patience: Option<Duration>,
    channel: String,
    batch: Batch,
    bell: Arc<Bell>,
    /// Acknowledgement was asked for once, and the collector knows it.
    is_checked: bool,
}

/// What the collector says.
#[derive(Deserialize)]
struct Word {
    code: u32,
    #[serde(rename = "ackId")]
    ack: Option<u64>,
}

#[derive(Deserialize)]
struct Acks {
    acks: BTreeMap<String, bool>,
}

/// What stands in the outbox.
#[derive(Serialize)]
struct Envelope<'a> {
    time: Box<RawValue>,
    host: &'a str,
    source: &'static str,
    sourcetype: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    index: Option<&'a str>,
    event: Box<RawValue>,
    fields: Value,
}

/// An alert as an event; `encoded` is JSON, or a line of text.
pub fn event(alert: &Alert, encoded: &[u8], sensor: &Sensor, to: &SplunkDestination) -> io::Result<Vec<u8>> {
    let text = String::from_utf8_lossy(encoded).into_owned();
    let event = match RawValue::from_string(text.clone()) {
        Ok(json) => json,
        Err(_) => serde_json::value::to_raw_value(&text)?,
    };
    let millis = alert.last_seen.as_nanos() / 1_000_000;
    let time = RawValue::from_string(format!("{}.{:03}", millis.div_euclid(1000), millis.rem_euclid(1000)))?;
    let event = Envelope {
        time,
        host: &sensor.host,
        source: "hopwatch",
        sourcetype: &to.source_type,
        index: to.index.as_deref(),
        event,
        fields: json!({"hopwatch_key": format!("{}-{}", alert.id, alert.update)}),
    };
    let mut body = Vec::new();
    to_writer(&mut body, &event)?;
    Ok(body)
}

impl Splunk {
    /// Reads the secrets' files.
    pub fn new(to: &SplunkDestination) -> io::Result<Self> {
        let events = Client::new(&to.http)?;
        let acks = events.at(&to.ack_url);
        let channel = to.channel.clone().map_or_else(new_channel, Ok)?;
        let (batch, bell) = (Batch::default(), Arc::default());
        Ok(Self { events, acks, patience: to.acknowledge, channel, batch, bell, is_checked: false })
    }

    fn headers(&self) -> [(&'static str, String); 1] {
        [(CHANNEL, self.channel.clone())]
    }

    /// Whether the token has acknowledgement at all, before an event is sent that nobody acknowledges.
    fn check(&mut self) -> Result<(), Outcome> {
        if self.is_checked || self.patience.is_none() {
            return Ok(());
        }
        let answer = self.acks.post("application/json", &self.headers(), br#"{"acks":[0]}"#)?;
        if acks(&answer).is_none() {
            return Err(self.failure(&answer));
        }
        self.is_checked = true;
        Ok(())
    }

    /// What a request without success became.
    fn failure(&self, answer: &Answer) -> Outcome {
        let word = word(answer);
        match word.as_ref().and_then(|word| meaning(word.code)) {
            Some(Meaning::Later) => {
                Outcome::Again { why: self.events.said(answer), maybe_taken: false, after: answer.after }
            }
            Some(Meaning::Person) => Outcome::Configuration { why: self.events.said(answer) },
            Some(Meaning::Bad) => Outcome::Refused { why: self.events.said(answer) },
            None if !(200..300).contains(&answer.status) => self.events.outcome(answer),
            None if word.is_some() => Outcome::again(self.events.said(answer)),
            None => self.events.unreadable(answer, "Splunk's event collector"),
        }
    }

    /// Asks until it is acknowledged.
    fn wait_for(&self, ack: u64, patience: Duration) -> Outcome {
        let until = instant() + patience;
        let question = json!({"acks": [ack]}).to_string();
        let mut pause = FIRST_LOOK;
        let shown = self.events.shown();
        let mut last = String::new();
        loop {
            match self.acks.post("application/json", &self.headers(), question.as_bytes()) {
                Ok(answer) => match acks(&answer).map(|acks| acks.get(&ack.to_string()).copied()) {
                    Some(Some(true)) => return Outcome::Delivered,
                    Some(_) => last.clear(),
                    None => last = format!("; {}", self.acks.said(&answer)),
                },
                Err(failed) => last = format!("; {}", failed.why()),
            }
            if instant() >= until {
                let seconds = patience.as_secs();
                return Outcome::ambiguous(format!(
                    "{shown} took it, but acknowledged nothing within {seconds} s{last}"
                ));
            }
            if self.bell.ends_within(pause) {
                return Outcome::ambiguous(format!("{shown} took it, but had not acknowledged it when the run ended"));
            }
            pause = (pause * 2).min(LONGEST_LOOK);
        }
    }

    /// What became of a request as a whole.
    fn request(&mut self, deliveries: &[Delivery]) -> Result<(), Outcome> {
        self.check()?;
        let answer = self.events.post("application/json", &self.headers(), &body(deliveries))?;
        let word = word(&answer).filter(|word| answer.status == 200 && word.code == 0);
        let word = word.ok_or_else(|| self.failure(&answer))?;
        let Some(patience) = self.patience else { return Ok(()) };
        let why = || format!("{} gave no ackId: has its token indexer acknowledgement?", self.events.shown());
        let ack = word.ack.ok_or_else(|| Outcome::ambiguous(why()))?;
        match self.wait_for(ack, patience) {
            Outcome::Delivered => Ok(()),
            other => Err(other),
        }
    }
}

/// What a code of the collector asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Meaning {
    /// It may take it later.
    Later,
    /// A person must change something.
    Person,
    /// It never takes this.
    Bad,
}

/// None for codes that are not in the documentation.
const fn meaning(code: u32) -> Option<Meaning> {
    match code {
        // Internal error; busy; queues full or acknowledgement unavailable.
        8 | 9 | 18..=20 => Some(Meaning::Later),
        // Token disabled, missing or wrong; no such index; channel missing or wrong; acknowledgement or query tokens not enabled.
        1..=4 | 7 | 10 | 11 | 14 | 16 => Some(Meaning::Person),
        // No data; wrong format; no event, or an empty one; wrong fields.
        5 | 6 | 12 | 13 | 15 => Some(Meaning::Bad),
        _ => None,
    }
}

fn word(answer: &Answer) -> Option<Word> {
    serde_json::from_str(&answer.body).ok()
}

fn acks(answer: &Answer) -> Option<BTreeMap<String, bool>> {
    let acks: Option<Acks> = serde_json::from_str(&answer.body).ok();
    acks.filter(|_| answer.status == 200).map(|acks| acks.acks)
}

/// One event after the other.
fn body(deliveries: &[Delivery]) -> Vec<u8> {
    let mut body = Vec::new();
    for delivery in deliveries {
        match serde_json::from_slice(&delivery.body) {
            Ok(Value::Object(mut event)) if delivery.maybe_taken => {
                if let Some(fields) = event.get_mut("fields").and_then(Value::as_object_mut) {
                    fields.insert("redelivered".to_owned(), "true".into());
                }
                body.extend_from_slice(Value::Object(event).to_string().as_bytes());
            }
            _ => body.extend_from_slice(&delivery.body),
        }
        body.push(b'\n');
    }
    body
}

/// A random one: acknowledgements of a channel are told to the one who asks first.
fn new_channel() -> io::Result<String> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(io::Error::other)?;
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    Ok([&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-"))
}

impl Receiver for Splunk {
    fn send(&mut self, delivery: &Delivery, now: Timestamp) -> Outcome {
        only(self.send_some(std::slice::from_ref(delivery), now))
    }

    fn most(&self) -> usize {
        self.batch.most()
    }

    fn send_some(&mut self, deliveries: &[Delivery], _: Timestamp) -> Vec<Outcome> {
        match self.request(deliveries) {
            Ok(()) => {
                self.batch.went_well();
                vec![Outcome::Delivered; deliveries.len()]
            }
            Err(whole) => {
                // One event that it does not take makes it refuse all, and which one it is stands for no more than a number.
                let is_too_much = matches!(whole, Outcome::Refused { .. });
                self.batch.failed(deliveries.len(), whole, is_too_much)
            }
        }
    }

    /// Indexers acknowledge after some seconds, those that are busy after many.
    fn slow_after(&self) -> Option<Duration> {
        self.patience.map(|patience| patience.min(SLOW_ACK))
    }

    fn heed(&mut self, bell: &Arc<Bell>) {
        self.bell = Arc::clone(bell);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alert::render::testing::{alert, sensor};
    use crate::config::{HttpDestination, UrlSource};

    fn splunk() -> SplunkDestination {
        let url = UrlSource::Inline("http://127.0.0.1:1/services/collector/event".to_owned());
        let http =
            HttpDestination { url: url.clone(), credentials: None, ca_file: None, timeout: Duration::from_secs(1) };
        let source_type = "hopwatch:alert".to_owned();
        SplunkDestination { http, ack_url: url_text(&url), acknowledge: None, channel: None, index: None, source_type }
    }

    fn url_text(url: &UrlSource) -> String {
        let UrlSource::Inline(text) = url else { panic!("inline") };
        text.clone()
    }

    fn outcome(status: u16, body: &str) -> Outcome {
        let splunk = Splunk::new(&splunk()).expect("nothing to read");
        splunk.failure(&Answer { status, body: body.to_owned(), after: Some(Duration::from_secs(7)) })
    }

    #[test]
    fn the_code_says_what_is_to_be_done_and_a_200_with_another_code_than_0_is_no_success() {
        let coded = |code: u32| format!("{{\"text\":\"said\",\"code\":{code}}}");
        for (status, code) in [(503, 9), (200, 9), (500, 8), (503, 18), (429, 26), (200, 99)] {
            assert!(matches!(outcome(status, &coded(code)), Outcome::Again { .. }), "{status}, {code}");
        }
        let asked = Outcome::Again { why: String::new(), maybe_taken: false, after: Some(Duration::from_secs(7)) };
        assert_eq!(outcome(503, &coded(9)).wait(1, 1.0), asked.wait(1, 1.0), "it says when");
        for (status, code) in
            [(401, 2), (401, 3), (403, 1), (403, 4), (400, 7), (400, 10), (400, 11), (400, 14), (200, 4)]
        {
            assert!(matches!(outcome(status, &coded(code)), Outcome::Configuration { .. }), "{status}, {code}");
        }
        for (status, code) in [(400, 5), (400, 6), (400, 12), (400, 13), (400, 15), (200, 6)] {
            let Outcome::Refused { why } = outcome(status, &coded(code)) else { panic!("{status}, {code}") };
            assert!(why.contains("said"), "{why}");
        }
        assert!(matches!(outcome(200, "<html>"), Outcome::Configuration { .. }), "it is not Splunk");
    }

    #[test]
    fn an_event_has_its_time_its_key_and_the_alert() {
        let to = SplunkDestination { index: Some("sec".to_owned()), ..splunk() };
        let event = |encoded: &[u8]| -> Value {
            serde_json::from_slice(&event(&alert(), encoded, &sensor(), &to).expect("JSON")).expect("JSON")
        };
        let json = event(br#"{"id": 1}"#);
        assert_eq!((&json["time"], &json["event"]["id"]), (&json!(1_770_000_003.123), &1.into()));
        assert_eq!((&json["index"], &json["sourcetype"]), (&"sec".into(), &"hopwatch:alert".into()));
        assert_eq!(json["fields"], json!({"hopwatch_key": "2491e3e63140177f-0"}));
        assert_eq!(event(b"CEF:0|hopwatch")["event"], "CEF:0|hopwatch", "a line of text is text");
    }

    #[test]
    fn a_channel_is_a_guid() {
        let (one, other) = (new_channel().expect("random"), new_channel().expect("random"));
        assert_ne!(one, other);
        assert_eq!(one.split('-').map(str::len).collect::<Vec<_>>(), [8, 4, 4, 4, 12]);
    }
}
