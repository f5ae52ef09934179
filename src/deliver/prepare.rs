//! What a sink is to send of an alert: whether, and in which form.
//!
//! Contract: pure. It is decided when the alert is kept, so that a later configuration changes nothing that already waits.

use std::io;

use super::store::Addressed;
use super::{alertmanager, journal, loki, otlp, splunk, syslog};
use crate::alert::render::chat::{self, Template};
use crate::alert::render::encoding::{Encoding, Sensor, encode};
use crate::alert::{Alert, AlertWorkload};
use crate::config::{Destination, SinkConfig, Updates, WebhookDestination};
use crate::detect::Severity;
use crate::escape::json::to_writer;
use crate::incident::Incident;
use crate::path::Description;

/// What is sent of an alert; `before` is the highest severity of its earlier updates. `None` where the sink does not get it.
pub fn alert(
    sink: &SinkConfig,
    alert: &Alert,
    before: Option<Severity>,
    sensor: &Sensor,
) -> io::Result<Option<Addressed>> {
    if !is_wanted(sink, alert, before) {
        return Ok(None);
    }
    let body = match &sink.to {
        Destination::File(_) | Destination::Elasticsearch(_) | Destination::Opensearch(_) => {
            encode(alert, sink.encoding, sensor)?
        }
        Destination::Journald { .. } => journal::entry(alert, &encode(alert, sink.encoding, sensor)?),
        Destination::Syslog(to) => match sink.encoding {
            Encoding::Hopwatch => syslog::message(alert, None, sensor, to),
            encoding => syslog::message(alert, Some(&encode(alert, encoding, sensor)?), sensor, to),
        },
        Destination::Webhook(to) => webhook(sink, to, alert, sensor)?,
        Destination::Splunk(to) => splunk::event(alert, &encode(alert, sink.encoding, sensor)?, sensor, to)?,
        Destination::Loki(_) => loki::entry(alert, &encode(alert, sink.encoding, sensor)?, sensor)?,
        Destination::Otlp(_) => otlp::request(alert, sensor)?,
        Destination::Alertmanager(_) => json(&alertmanager::body(alert, sensor))?,
    };
    Ok(Some(Addressed { sink: sink.name.clone(), body, supersedes: holds_state(&sink.to) }))
}

/// What is sent of an incident: only where hopwatch's own format is asked for, and all workloads are: an incident may be about several.
pub fn incident(sink: &SinkConfig, incident: &Incident) -> io::Result<Option<Addressed>> {
    let takes = match &sink.to {
        Destination::File(_) => true,
        Destination::Webhook(to) => to.template == Template::Plain,
        _ => false,
    };
    if !takes || sink.encoding != Encoding::Hopwatch || incident.severity < sink.severity || !sink.workloads.is_empty()
    {
        return Ok(None);
    }
    Ok(Some(Addressed { sink: sink.name.clone(), body: json(incident)?, supersedes: false }))
}

/// Whether a sink is about this workload, or about all.
fn is_of_its_workloads(sink: &SinkConfig, workload: Option<&AlertWorkload>) -> bool {
    let selects = |AlertWorkload { name, image, digest, labels, .. }: &AlertWorkload| {
        let of = Description { name, image, digest, labels };
        sink.workloads.iter().any(|selector| selector.matches_description(of))
    };
    sink.workloads.is_empty() || workload.is_some_and(selects)
}

fn is_wanted(sink: &SinkConfig, alert: &Alert, before: Option<Severity>) -> bool {
    if alert.severity < sink.severity
        || (!sink.rules.is_empty() && !sink.rules.iter().any(|rule| rule.is_match(alert.rule)))
        || !is_of_its_workloads(sink, alert.workload.as_ref())
    {
        return false;
    }
    // Its first one here: earlier updates were below the sink's severity.
    let is_first = before.is_none_or(|before| before < sink.severity);
    match sink.updates {
        Updates::All => true,
        Updates::Rises => is_first || before.is_some_and(|before| before < alert.severity),
        Updates::None => is_first,
    }
}

fn webhook(sink: &SinkConfig, to: &WebhookDestination, alert: &Alert, sensor: &Sensor) -> io::Result<Vec<u8>> {
    let value = match to.template {
        Template::Plain => return encode(alert, sink.encoding, sensor),
        Template::Slack => chat::slack(alert, sensor),
        Template::Teams => chat::teams(alert, sensor),
        Template::Pagerduty => chat::pagerduty(alert, sensor),
        Template::Ntfy => chat::ntfy(alert, sensor, to.topic.as_deref().unwrap_or_default()),
    };
    json(&value)
}

/// Whether the receiver shows the newest state, so that an earlier update that still waits is needless.
fn holds_state(to: &Destination) -> bool {
    match to {
        Destination::Alertmanager(_) => true,
        Destination::Webhook(to) => to.template != Template::Plain,
        _ => false,
    }
}

fn json(value: &impl serde::Serialize) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    to_writer(&mut body, value)?;
    Ok(body)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alert::render::testing::{alert as example, sensor};
    use crate::config;

    /// Whether a sink with these keys takes an alert.
    fn takes(keys: &str, one: &Alert) -> bool {
        let text = format!("sinks: {{s: {{file: {{path: /x/y.jsonl}}{keys}}}}}");
        let sinks = config::from_str("test.yaml", &text).expect("a configuration").config.sinks;
        alert(&sinks[0], one, None, &sensor()).expect("encoded").is_some()
    }

    #[test]
    fn a_sink_of_some_workloads_takes_their_alerts_and_none_about_nobody() {
        let mut one = example();
        let workload = one.workload.as_mut().expect("a workload");
        workload.name = "shop-web-1".to_owned();
        workload.labels = [("team".to_owned(), "shop".to_owned())].into();
        for (keys, is_taken) in [
            ("", true),
            (", workloads: [{name: shop-*}]", true),
            (", workloads: [{name: bank-*}, {labels: {team: s*}}]", true),
            (", workloads: [{name: bank-*}]", false),
            (", workloads: [{name: shop-*, labels: {team: bank}}]", false),
        ] {
            assert_eq!(takes(keys, &one), is_taken, "{keys}");
        }
        one.workload = None;
        assert!(takes("", &one) && !takes(", workloads: [{name: \"*\"}]", &one));
    }

    #[test]
    fn a_sink_that_selects_by_what_no_alert_has_is_refused() {
        let text = "sinks: {s: {file: {path: /x/y.jsonl}, workloads: [{network: shop_*}]}}";
        let refused = config::from_str("test.yaml", text).expect_err("refused").to_string();
        assert!(refused.contains("a sink cannot select by network or addresses"), "{refused}");
    }
}
