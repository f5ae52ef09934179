//! What an alert says that matters for a response.
//!
//! Contract: reads `hopwatch.alert/1` leniently, but what becomes a part of a request (the container's id) is checked: 64 hexadecimal digits. Limits: an
//! incident is no alert; it names several containers.

use std::net::IpAddr;

use serde_json::Value;

use crate::evidence::is_alert_id;
use crate::input::RuntimeId;
use crate::time::Timestamp;

/// Destinations of one alert that are blocked.
const MAX_DESTINATIONS: usize = 64;

/// What is responded to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    /// The alert's id.
    pub alert: String,
    /// Its rule.
    pub rule: String,
    /// When it was last seen.
    pub last_seen: Timestamp,
    /// The container that it is about.
    pub accused: Accused,
    /// How sure that is, or what is known instead; none where the alert is about the container's settings, as its runtime reports them.
    pub confidence: Option<String>,
    /// Originator and responder of its flow.
    pub ends: Option<[IpAddr; 2]>,
    /// Destinations that it lists.
    pub destinations: Vec<IpAddr>,
    /// Where people are with it; none where it comes from a file.
    pub state: Option<String>,
}

/// The container of an alert.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accused {
    /// Full id.
    pub id: String,
    /// Its name at the time of the alert.
    pub name: String,
    /// Who reported it.
    pub runtime: RuntimeId,
}

impl Subject {
    /// Of an alert's JSON.
    pub fn read(alert: &Value) -> Result<Self, String> {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        if alert["schema"] != crate::alert::SCHEMA {
            return Err("it is no alert (hopwatch.alert/1); of an incident, name one of its alerts".to_owned());
        }
        let id = text(&alert["id"]).filter(|id| is_alert_id(id)).ok_or("it has no id of sixteen hexadecimal digits")?;
        let last_seen = serde_json::from_value(alert["last_seen"].clone());
        let last_seen = last_seen.map_err(|_| "it does not say when it was last seen")?;
        let workload = alert.get("workload").ok_or("it names no container, so nothing can be done to one")?;
        let container = text(&workload["id"]).filter(|id| is_container_id(id));
        let container =
            container.ok_or("its workload's id is not the full id of a container (64 hexadecimal digits)")?;
        let runtime = text(&workload["runtime"]).unwrap_or_default();
        let runtime = runtime.parse().map_err(|error| format!("its workload's runtime: {error}"))?;
        let end = |side: &str| alert["flow"][side]["ip"].as_str().and_then(|ip| ip.parse::<IpAddr>().ok());
        Ok(Self {
            alert: id,
            rule: text(&alert["rule"]).unwrap_or_default(),
            last_seen,
            accused: Accused { id: container, name: text(&workload["name"]).unwrap_or_default(), runtime },
            confidence: confidence(alert),
            ends: end("orig").zip(end("resp")).map(|(orig, resp)| [orig, resp]),
            destinations: destinations(alert),
            state: None,
        })
    }
}

/// An alert about a flow that does not say who its sender was leaves that open.
fn confidence(alert: &Value) -> Option<String> {
    let (attribution, flow) = (&alert["attribution"], &alert["flow"]);
    if attribution.is_null() && flow.is_null() {
        return None;
    }
    let stated = [&attribution["confidence"], &attribution["result"]].into_iter().find_map(Value::as_str);
    Some(stated.unwrap_or("not stated").to_owned())
}

/// Of an alert's list, without repetitions.
fn destinations(alert: &Value) -> Vec<IpAddr> {
    let listed = alert["destinations"].as_array().into_iter().flatten();
    let mut all: Vec<IpAddr> =
        listed.filter_map(|one| one["ip"].as_str()?.parse().ok()).take(MAX_DESTINATIONS).collect();
    all.sort_unstable();
    all.dedup();
    all
}

/// A full id: what may stand in a request's path.
pub(super) fn is_container_id(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn alert() -> Value {
        json!({
            "schema": "hopwatch.alert/1", "id": "2491e3e63140177f", "rule": "egress-skips-proxy", "last_seen": "2026-11-29T03:00:00Z",
            "workload": {"id": "ab".repeat(32), "name": "web", "runtime": "docker"},
            "attribution": {"confidence": "exact"},
            "flow": {"orig": {"ip": "172.18.0.2", "port": 4000}, "resp": {"ip": "198.51.100.7", "port": 443}},
        })
    }

    #[test]
    fn what_matters_is_read() {
        let subject = Subject::read(&alert()).expect("an alert");
        assert_eq!(subject.accused.runtime, RuntimeId::DOCKER);
        assert_eq!(subject.ends, Some(["172.18.0.2", "198.51.100.7"].map(|ip| ip.parse().expect("an address"))));
        assert_eq!(subject.confidence.as_deref(), Some("exact"));
    }

    #[test]
    fn an_alert_about_a_flow_that_does_not_say_how_sure_its_sender_is_leaves_a_doubt() {
        let confidence = |attribution: Value| {
            let mut alert = alert();
            alert["attribution"] = attribution;
            Subject::read(&alert).expect("an alert").confidence
        };
        assert_eq!(confidence(json!({"result": "ambiguous"})).as_deref(), Some("ambiguous"));
        for attribution in [Value::Null, json!({}), json!({"confidence": 1})] {
            assert_eq!(confidence(attribution).as_deref(), Some("not stated"));
        }
        let mut settings = alert();
        settings.as_object_mut().expect("an object").retain(|key, _| key != "attribution" && key != "flow");
        assert_eq!(Subject::read(&settings).expect("an alert").confidence, None);
    }

    #[test]
    fn what_would_become_part_of_a_request_is_checked() {
        for (place, value, why) in [
            ("/workload/id", json!("../../images"), "64 hexadecimal digits"),
            ("/workload/id", json!("ab12"), "64 hexadecimal digits"),
            ("/workload/runtime", json!("docker; rm"), "is no runtime"),
            ("/id", json!("../../../etc/xx"), "sixteen hexadecimal digits"),
            ("/schema", json!("hopwatch.incident/1"), "is no alert"),
            ("/last_seen", json!("soon"), "last seen"),
        ] {
            let mut alert = alert();
            *alert.pointer_mut(place).expect("a field") = value;
            let error = Subject::read(&alert).expect_err(place);
            assert!(error.contains(why), "{place}: {error}");
        }
        let mut without = alert();
        without.as_object_mut().expect("an object").remove("workload");
        assert!(Subject::read(&without).expect_err("no container").contains("names no container"));
    }
}
