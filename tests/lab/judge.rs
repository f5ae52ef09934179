//! Compares what hopwatch said with what a scenario expects.
//!
//! Contract: pure; every difference is one sentence. An expected alert must appear; an alert whose rule and workload are not
//! expected must not. Design: reads the JSON as any consumer would, knowing nothing of hopwatch's types.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::scenario::{Expect, ExpectedAlert, ExpectedSender};
use crate::watch::Line;

/// One alert line.
#[derive(Debug, Clone)]
pub struct Alert {
    /// Its id.
    pub id: String,
    /// Which update of it; 0 is the first line.
    pub update: u64,
    /// Rule.
    pub rule: String,
    /// Container name.
    pub workload: Option<String>,
    /// Contract.
    pub contract: Option<String>,
    /// When it was first seen, as written.
    pub first_seen: String,
    /// Severity.
    pub severity: String,
    /// `address:port` of each destination.
    pub destinations: Vec<String>,
    /// From the first packet that showed it to the arrival of the line, in nanoseconds.
    pub delay: i128,
}

/// Everything a run wrote to stdout.
#[derive(Debug, Default)]
pub struct Said {
    /// Alert lines, in order.
    pub alerts: Vec<Alert>,
    /// The summary, once there.
    pub summary: Option<Value>,
}

/// Reads output lines.
pub fn read(lines: &[Line]) -> Result<Said> {
    let mut said = Said::default();
    for line in lines {
        let value: Value = serde_json::from_str(&line.text).with_context(|| format!("not JSON: {}", line.text))?;
        ensure!(said.summary.is_none(), "a line after the summary: {}", line.text);
        match value["schema"].as_str() {
            Some("hopwatch.alert/1") => said.alerts.push(alert(&value, line.at).with_context(|| line.text.clone())?),
            // Beside the alerts, which say all that a scenario expects.
            Some("hopwatch.incident/1") => {}
            Some("hopwatch.summary/1") => said.summary = Some(value),
            other => anyhow::bail!("unknown schema {other:?}: {}", line.text),
        }
    }
    Ok(said)
}

fn alert(value: &Value, arrived: i128) -> Result<Alert> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let first_seen: jiff::Timestamp = value["first_seen"].as_str().context("no first_seen")?.parse()?;
    let destination = |value: &Value| {
        let ip: std::net::IpAddr = value["ip"].as_str()?.parse().ok()?;
        Some(std::net::SocketAddr::new(ip, u16::try_from(value["port"].as_u64()?).ok()?).to_string())
    };
    Ok(Alert {
        id: text(&value["id"]).context("no id")?,
        update: value["update"].as_u64().context("no update")?,
        rule: text(&value["rule"]).context("no rule")?,
        workload: text(&value["workload"]["name"]),
        contract: text(&value["contract"]),
        first_seen: text(&value["first_seen"]).context("no first_seen")?,
        severity: text(&value["severity"]).context("no severity")?,
        destinations: value["destinations"].as_array().into_iter().flatten().filter_map(destination).collect(),
        delay: arrived - first_seen.as_nanosecond(),
    })
}

/// Expected alerts that are not there (yet).
pub fn missing<'e>(expect: &'e Expect, alerts: &[Alert]) -> Vec<&'e ExpectedAlert> {
    expect.alerts.iter().filter(|wanted| !alerts.iter().any(|alert| is(alert, wanted))).collect()
}

/// All that is wrong with what was said.
pub fn differences(expect: &Expect, said: &Said) -> Vec<String> {
    let missing = missing(expect, &said.alerts).into_iter().map(|wanted| format!("missing: {wanted:?}"));
    let mut wrong: Vec<String> = missing.collect();
    wrong.extend(unexpected(expect, said).into_iter().map(|alert| format!("unexpected: {alert:?}")));
    wrong.extend(verdict_differences(expect, said.summary.as_ref()));
    wrong
}

/// Senders that the first line of an alert does not name as expected.
pub fn wrong_senders(expected: &[ExpectedSender], lines: &[Line]) -> Vec<String> {
    let said: Vec<Value> = lines.iter().filter_map(|line| serde_json::from_str(&line.text).ok()).collect();
    let of = |rule: &str| said.iter().find(|alert| alert["rule"] == *rule).map(|alert| &alert["sender"]);
    let names = |sender: &Value, wanted: &ExpectedSender| {
        let is = |value: &Value, name: &Option<String>| name.as_ref().is_none_or(|name| value == name.as_str());
        is(&sender["process"]["command"], &wanted.process)
            && is(&sender["address_of"], &wanted.address_of)
            && (wanted.address_of.is_none() || sender["forged"] == true)
            && (!wanted.veth || sender["interface"].as_str().is_some_and(|name| name.starts_with("veth")))
    };
    let wrong = expected.iter().filter(|wanted| !of(&wanted.rule).is_some_and(|sender| names(sender, wanted)));
    wrong.map(|wanted| format!("{wanted:?}, but the alert says {:?}", of(&wanted.rule))).collect()
}

/// Alerts of a rule and workload that were not expected.
pub fn unexpected<'s>(expect: &Expect, said: &'s Said) -> Vec<&'s Alert> {
    let known = |alert: &Alert| {
        let same = |wanted: &ExpectedAlert| wanted.workload.is_none() || wanted.workload == alert.workload;
        expect.alerts.iter().any(|wanted| wanted.rule == alert.rule && same(wanted))
    };
    said.alerts.iter().filter(|alert| alert.update == 0 && !known(alert)).collect()
}

/// Alerts that came later than so many milliseconds after the packet or fact that shows them.
pub fn late(alerts: &[Alert], most: u64) -> Vec<String> {
    let latest = i128::from(most) * 1_000_000;
    let first = alerts.iter().filter(|alert| alert.update == 0);
    first.filter(|alert| alert.delay > latest).map(|alert| format!("later than {most} ms: {alert:?}")).collect()
}

/// Each alert as its last line has it: by id, with time, severity and destinations.
pub fn by_id(said: &Said) -> BTreeMap<&str, String> {
    let line = |alert: &Alert| format!("first seen {}, {}", alert.first_seen, in_words(alert));
    said.alerts.iter().map(|alert| (alert.id.as_str(), line(alert))).collect()
}

/// What every run of a scenario must say alike: everything but ids, times and counts.
pub fn alike(said: &Said) -> BTreeSet<String> {
    let last: BTreeMap<_, _> = said.alerts.iter().map(|alert| (&alert.id, alert)).collect();
    last.into_values().map(in_words).collect()
}

fn in_words(alert: &Alert) -> String {
    let Alert { rule, severity, workload, contract, destinations, .. } = alert;
    let name = |name: &Option<String>| name.clone().unwrap_or_else(|| "?".to_owned());
    let destinations: BTreeSet<_> = destinations.iter().map(String::as_str).collect();
    format!("{rule} {severity} {} {} {destinations:?}", name(workload), name(contract))
}

fn is(alert: &Alert, wanted: &ExpectedAlert) -> bool {
    let holds = |wanted: &Option<String>, got: &Option<String>| wanted.is_none() || wanted == got;
    let reached = |destination: &String| alert.destinations.contains(destination);
    wanted.rule == alert.rule
        && holds(&wanted.workload, &alert.workload)
        && holds(&wanted.contract, &alert.contract)
        && wanted.destination.as_ref().is_none_or(reached)
        && wanted.severity.as_ref().is_none_or(|severity| *severity == alert.severity)
}

fn verdict_differences(expect: &Expect, summary: Option<&Value>) -> Vec<String> {
    let Some(summary) = summary else { return vec!["no summary".to_owned()] };
    let mut wrong = Vec::new();
    for (contract, verdicts) in &expect.verdicts {
        for (verdict, least) in verdicts {
            let got = summary["verdicts"][contract][verdict].as_u64().unwrap_or(0);
            if got < *least {
                wrong.push(format!("contract {contract}: {got} flows {verdict}, expected at least {least}"));
            }
        }
    }
    wrong
}
