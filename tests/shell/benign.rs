//! Benign traffic of the real world raises no alert, and no capture brings the engine down.
//!
//! Contract: every capture that is labelled benign is replayed three times: by a configuration whose contracts cover nothing of it, with every
//! local address a workload under every rule, and with contracts that all of it keeps. What may be reported of them is in [`TOLD`] with the
//! reason. Of the other captures a fixed sample goes the same ways, whatever is reported. Limits: where there are no captures the test says so and
//! passes. `HOPWATCH_BENIGN_REPORT` names a file to which a line of JSON with the figures is added.

mod traffic;

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use crate::support::cases::Cases;
use hopwatch::alert::Alert;
use hopwatch::config;
use hopwatch::detect::Severity;
use hopwatch::engine::{Engine, EngineConfig, EngineStats};
use hopwatch::input::Input;
use traffic::Traffic;

/// Of the captures without a label, every so manieth is replayed.
const SAMPLE: usize = 16;
/// Captures larger than this are left to the benchmarks.
const LARGEST: u64 = 4 << 20;

/// What a rule rightly reports of a benign capture when everybody in it is a container that nobody allowed anything.
const TOLD: [(&str, &str, &str); 3] = [
    ("ndpi/default/pcap/false_positives.pcapng", "tunnel-from-container", "a mobile network: GTP-U is a tunnel"),
    ("ndpi/default/pcap/syslog.pcap", "log-shipper-redirected", "two senders go on to a collector that nobody named"),
    ("zeek/ssh/ssh.pcap", "tunnel-from-container", "SSH servers at ports 2200 and 41644"),
];

/// What a replay gave.
struct Replayed {
    alerts: Vec<Alert>,
    stats: EngineStats,
}

fn replay(config: &EngineConfig, facts: &[Input], traffic: &Traffic) -> Replayed {
    let mut engine = Engine::new(config.clone());
    let mut alerts = Vec::new();
    facts.iter().chain(&traffic.inputs).for_each(|input| engine.push(input, &mut alerts));
    engine.finish(&mut alerts);
    Replayed { alerts, stats: engine.stats() }
}

/// Contracts of every kind about addresses that nobody has (RFC 1112 §4, class E).
fn about_nobody() -> EngineConfig {
    let text = "hops:\n\
        \x20 endpoint: {addresses: [240.0.0.1]}\n\
        \x20 gateway: {kind: gateway, addresses: [240.0.0.2]}\n\
        contracts:\n\
        \x20 - {name: proxy, from: [{addresses: [240.0.1.0/24]}], to: [any], via: [endpoint]}\n\
        \x20 - {name: gateway, from: [{addresses: [240.0.1.0/24]}], to: [any], via: [gateway]}\n\
        \x20 - {name: dns, service: dns, from: [{addresses: [240.0.1.0/24]}], via: [endpoint]}\n\
        \x20 - {name: ingress, service: ingress, into: [{addresses: [240.0.1.0/24]}], sources: [any], via: [endpoint]}\n\
        \x20 - {name: nowhere, from: [{addresses: [240.0.1.0/24]}], to: [any], deny: true}\n";
    config::from_str("benign.yaml", text).expect("a configuration").config.engine
}

/// Contracts that all of this traffic keeps: the ends that only answer are the hop of the ends that only ask.
fn kept_by(traffic: &Traffic) -> EngineConfig {
    let (asks, answers) = traffic.roles();
    let [asks, answers] = [asks, answers].map(|ends| ends.join(", "));
    let between = format!("from: [{{addresses: [{asks}]}}], to: [{answers}], via: [anybody]");
    let text = format!(
        "hops:\n  anybody: {{addresses: [{answers}]}}\ncontracts:\n\
        \x20 - {{name: names, service: dns, {between}}}\n\x20 - {{name: everything, {between}}}\n"
    );
    config::from_str("benign.yaml", &text).unwrap_or_else(|error| panic!("{error}\n{text}")).config.engine
}

#[derive(Default)]
struct Figures {
    captures: usize,
    flows: u64,
    alerts: usize,
    told: BTreeMap<&'static str, usize>,
    unlabelled: usize,
    unlabelled_alerts: BTreeMap<&'static str, usize>,
    verdicts: BTreeMap<String, u64>,
}

impl Figures {
    fn count(&mut self, replayed: &Replayed) {
        for ((_, verdict, reason), count) in &replayed.stats.path_flows {
            let reason = if reason.is_empty() { String::new() } else { format!(" {reason}") };
            if *count > 0 {
                *self.verdicts.entry(format!("{verdict}{reason}")).or_default() += count;
            }
        }
    }

    fn line(&self) -> String {
        let Self { captures, flows, alerts, told, unlabelled, unlabelled_alerts, verdicts } = self;
        serde_json::json!({
            "captures": captures, "flows": flows, "alerts": alerts, "told_by_right": told.values().sum::<usize>(), "verdicts": verdicts,
            "unlabelled_captures": unlabelled, "unlabelled_alerts": unlabelled_alerts,
        })
        .to_string()
    }
}

/// One test, so that the archive is unpacked once.
#[test]
fn benign_traffic_raises_no_alert_and_no_capture_panics() {
    let Some(cases) = Cases::unpack() else { return };
    let (mut figures, mut wrong) = (Figures::default(), Vec::new());
    let benign = cases.column("benign-dev.tsv", 1);
    for name in &benign {
        wrong.extend(benign_capture(&cases, name, &mut figures));
    }
    for path in unlabelled(&cases, &benign) {
        any_capture(&path, &mut figures);
    }
    println!("{}", figures.line());
    report(&figures);
    assert!(figures.captures > 100 && figures.flows > 1000, "too little was replayed: {}", figures.line());
    let [verified, bypassed] =
        ["verified", "bypassed"].map(|verdict| figures.verdicts.get(verdict).copied().unwrap_or(0));
    assert!(verified > 500 && bypassed == 0, "contracts that were kept: {}", figures.line());
    let untold: Vec<_> = TOLD.iter().filter(|(file, ..)| !figures.told.contains_key(file)).collect();
    assert!(untold.is_empty(), "no longer reported, so no longer to be excused: {untold:?}");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What was told and should not have been.
fn benign_capture(cases: &Cases, name: &str, figures: &mut Figures) -> Vec<String> {
    let path = cases.path(name);
    let Some(traffic) = Traffic::read(&path) else { return Vec::new() };
    figures.captures += 1;
    figures.flows += traffic.flows;
    let (nobody, workloads, kept) = (about_nobody(), traffic.everybody_a_workload(), kept_by(&traffic));
    let runs = [("bare", &nobody, &[][..]), ("workloads", &nobody, &workloads[..]), ("kept", &kept, &workloads[..])];
    let mut wrong = Vec::new();
    for (run, config, facts) in runs {
        let replayed = replay(config, facts, &traffic);
        for alert in replayed.alerts.iter().filter(|alert| alert.update == 0 && !is_low_anomaly(alert)) {
            figures.alerts += 1;
            let by_right = TOLD.iter().find(|(file, rule, _)| *file == name && *rule == alert.rule);
            if let Some((file, ..)) = by_right.filter(|_| run != "bare") {
                *figures.told.entry(file).or_default() += 1;
            } else {
                wrong.push(format!("{name} ({run}): {} {}", alert.rule, said(alert)));
            }
        }
        if run == "kept" {
            figures.count(&replayed);
        }
    }
    wrong
}

/// Regular contact and the like, which `anomalies.rs` counts: one an hour, actor and rule at most.
fn is_low_anomaly(alert: &Alert) -> bool {
    alert.anomaly.is_some() && alert.severity == Severity::Low
}

fn said(alert: &Alert) -> String {
    let flow = alert.flow.as_ref().map(|flow| format!("{} -> {} ", flow.orig.endpoint, flow.resp.endpoint));
    let evidence: Vec<_> = alert.evidence.iter().map(|one| one.text.as_str()).collect();
    format!("{}[{}]", flow.unwrap_or_default(), evidence.join("; "))
}

fn any_capture(path: &Path, figures: &mut Figures) {
    let Some(traffic) = Traffic::read(path) else { return };
    let facts = traffic.everybody_a_workload();
    figures.unlabelled += 1;
    for config in [about_nobody(), kept_by(&traffic)] {
        for alert in replay(&config, &facts, &traffic).alerts.iter().filter(|alert| alert.update == 0) {
            *figures.unlabelled_alerts.entry(alert.rule).or_default() += 1;
        }
    }
}

/// A fixed sample of what is not labelled, in order of name.
fn unlabelled(cases: &Cases, benign: &[String]) -> Vec<PathBuf> {
    let mut all = Vec::new();
    traffic::files_below(cases.folder(), &mut all);
    all.sort();
    let labelled: Vec<_> = benign.iter().map(|name| cases.path(name)).collect();
    let is_small = |path: &PathBuf| std::fs::metadata(path).is_ok_and(|file| file.len() <= LARGEST);
    all.into_iter().step_by(SAMPLE).filter(|path| !labelled.contains(path) && is_small(path)).collect()
}

fn report(figures: &Figures) {
    let Some(path) = std::env::var_os("HOPWATCH_BENIGN_REPORT") else { return };
    let file = std::fs::OpenOptions::new().create(true).append(true).open(&path);
    writeln!(file.expect("the report's file"), "{}", figures.line()).expect("the report is written");
}
