//! ArcSight's Common Event Format.
//!
//! Contract: one line. In the header `\` and `|` are escaped, in values `\` and `=`; line ends are shown as
//! escapes.

use std::fmt::Write as _;

use super::{Sensor, action, asker, process};
use crate::alert::Alert;
use crate::detect::Severity;
use crate::escape::printable;

pub(super) fn encode(alert: &Alert, sensor: &Sensor) -> String {
    let mut text = format!(
        "CEF:0|hopwatch|hopwatch|{}|{}|{}|{}|",
        header(sensor.version),
        header(alert.rule),
        header(alert.title),
        severity(alert.severity)
    );
    let mut add = |key: &str, value: &str| {
        let _ = write!(text, "{key}={} ", extension(value));
    };
    add("externalId", &alert.id);
    add("act", action(alert));
    add("rt", &(alert.last_seen.as_nanos() / 1_000_000).to_string());
    add("start", &(alert.first_seen.as_nanos() / 1_000_000).to_string());
    add("end", &(alert.last_seen.as_nanos() / 1_000_000).to_string());
    add("cnt", &alert.count.to_string());
    add("dvchost", &sensor.host);
    if let Some(flow) = &alert.flow {
        add("src", &flow.orig.endpoint.ip.to_string());
        add("spt", &flow.orig.endpoint.port.to_string());
        add("dst", &flow.resp.endpoint.ip.to_string());
        add("dpt", &flow.resp.endpoint.port.to_string());
        add("proto", &flow.protocol_name);
        add("out", &flow.orig.bytes.to_string());
        add("in", &flow.resp.bytes.to_string());
    }
    if let Some(mac) = asker(alert).and_then(|sender| sender.mac) {
        add("smac", &mac.to_string());
    }
    if let Some(process) = process(alert) {
        add("sproc", &process.command);
        if let Some(pid) = process.pid {
            add("spid", &pid.to_string());
        }
    }
    for (number, label, value) in custom(alert) {
        add(&format!("cs{number}Label"), label);
        add(&format!("cs{number}"), &value);
    }
    add("request", &alert.link);
    text.trim_end().to_owned()
}

/// The six texts that a format of 2006 leaves free.
fn custom(alert: &Alert) -> Vec<(u32, &'static str, String)> {
    let joined = |all: Vec<String>| Some(all.join(", ")).filter(|text| !text.is_empty());
    let to = alert.destinations.iter().map(|to| to.endpoint.shown(to.protocol)).collect();
    let techniques = alert.attack.iter().map(|technique| technique.v19.to_owned()).collect();
    let all = [
        (1, "container", alert.workload.as_ref().map(|workload| format!("{} ({})", workload.name, workload.id))),
        (2, "contract", alert.contract.clone()),
        (3, "verdict", alert.verdict.as_ref().map(|verdict| verdict.verdict.to_owned())),
        (4, "missingHop", alert.missing_hop.as_ref().map(crate::alert::MissingHop::name)),
        (5, "destinations", joined(to)),
        (6, "attack", joined(techniques)),
    ];
    all.into_iter().filter_map(|(number, label, value)| Some((number, label, value?))).collect()
}

fn header(text: &str) -> String {
    printable(text).replace('\\', "\\\\").replace('|', "\\|")
}

fn extension(text: &str) -> String {
    printable(text).replace('\\', "\\\\").replace('=', "\\=")
}

const fn severity(severity: Severity) -> u32 {
    match severity {
        Severity::Low => 3,
        Severity::Medium => 5,
        Severity::High => 8,
        Severity::Critical => 10,
    }
}
