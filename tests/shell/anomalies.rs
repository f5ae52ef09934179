//! The labelled captures: what the rules about anomalies find, and what they say of benign traffic.
//!
//! Contract: each capture is replayed alone, without runtime and policy. *Found*: a rule that the scope names raised an alert, at any severity.
//! On benign captures no anomaly is `medium` or above, and no actor has more than one `low` an hour and rule. Limits: skips where there are no captures; the
//! scope (`tests/data/anomaly-scope.tsv`) was fixed before the first measurement.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::support::cases::Cases;
use hopwatch::alert::Alert;
use hopwatch::app::output::Output;
use hopwatch::app::replay::{self, ReplayOptions};
use hopwatch::config;
use hopwatch::detect::Severity;

/// Rules of this family that are built; others are counted as not built.
const BUILT: [&str; 12] = [
    "port-scan",
    "host-scan",
    "beacon",
    "brute-force",
    "exfiltration",
    "flood",
    "protocol-mismatch",
    "miner",
    "control-api-contact",
    "anonymizer",
    "address-conflict",
    "dns-anomaly",
];

/// Captures larger than this are left to the benchmarks.
const LARGEST: u64 = 4 << 20;

fn alerts_of(path: &Path) -> Vec<Alert> {
    if path.metadata().is_ok_and(|file| file.len() > LARGEST) {
        println!("left out, too large: {}", path.display());
        return Vec::new();
    }
    let config = config::from_str("anomalies.yaml", "{}").expect("the defaults").config;
    let kept = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let options = ReplayOptions {
        captures: vec![path.to_owned()],
        facts: vec![],
        warnings: vec![],
        engine: config.engine,
        shown_labels: config.runtimes.shown_labels,
        reloads: hopwatch::app::replay::Reloads::Follow,
        meter: config.meter,
        verdict_log: None,
        filter: None,
        observer: Some(Box::new(Keeps(std::sync::Arc::clone(&kept)))),
        stop: None,
    };
    let replayed = replay::run(options, &Output::none(), &mut |_| {});
    if let Err(error) = replayed {
        println!("{}: {error}", path.display());
    }
    kept.lock().expect("one thread").clone()
}

/// Keeps every alert.
#[derive(Debug)]
struct Keeps(std::sync::Arc<std::sync::Mutex<Vec<Alert>>>);

impl hopwatch::engine::Observer for Keeps {
    fn alert(&mut self, alert: &Alert) {
        self.0.lock().expect("one thread").push(alert.clone());
    }
}

fn scope() -> Vec<[String; 5]> {
    let text = include_str!("../data/anomaly-scope.tsv");
    let rows = text.lines().skip(1).map(|line| line.split('\t').map(str::to_owned).collect::<Vec<_>>());
    rows.map(|row| row.try_into().expect("five columns")).collect()
}

/// `rule severity` of what was raised, each once, at its highest.
fn raised(alerts: &[Alert]) -> BTreeMap<&'static str, Severity> {
    let mut raised = BTreeMap::new();
    for alert in alerts {
        let highest = raised.entry(alert.rule).or_insert(alert.severity);
        *highest = (*highest).max(alert.severity);
    }
    raised
}

#[test]
fn what_is_in_scope_is_found_and_benign_traffic_is_left_alone() {
    let Some(cases) = Cases::unpack() else { return };
    let mut families = BTreeMap::<String, (u32, u32, u32)>::new();
    for [file, family, scope, rules, reason] in scope() {
        let alerts = alerts_of(&cases.path(&file));
        let raised = raised(&alerts);
        let is_found = rules.split('|').any(|rule| raised.contains_key(rule));
        let shown: Vec<String> =
            raised.iter().map(|(rule, severity)| format!("{rule} {}", severity.as_str())).collect();
        let is_built = rules.split('|').any(|rule| BUILT.contains(&rule));
        let verdict = match (scope.as_str(), is_found, is_built) {
            ("in", true, _) => "found",
            ("in", false, true) => "MISSED",
            ("in", false, false) => "not built",
            _ => "out of scope",
        };
        let counts = families.entry(family).or_default();
        counts.0 += u32::from(verdict == "found");
        counts.1 += u32::from(verdict == "MISSED");
        counts.2 += u32::from(scope == "in");
        println!("{verdict:12} {file}: [{}] wanted {rules}: {reason}", shown.join(", "));
    }
    for (family, (found, missed, all)) in &families {
        println!("recall {family}: {found} of {all} in scope, {missed} missed");
    }
    let wrong = benign(&cases);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Alerts about anomalies that benign captures must not raise.
fn benign(cases: &Cases) -> Vec<String> {
    let (mut wrong, mut low, mut captures) = (Vec::new(), 0, 0);
    for file in cases.column("benign-dev.tsv", 1) {
        captures += 1;
        let alerts = alerts_of(&cases.path(&file));
        let mut hours = BTreeSet::new();
        for alert in alerts.iter().filter(|alert| alert.anomaly.is_some()) {
            let what = format!(
                "{file}: {} {} {:?}",
                alert.rule,
                alert.severity.as_str(),
                alert.anomaly.as_ref().map(|why| &why.observed)
            );
            let hour = alert.first_seen.as_nanos() / 3_600_000_000_000;
            let actor = alert.actor.as_ref().map(|actor| actor.name.clone());
            if alert.severity > Severity::Low {
                wrong.push(what);
            } else if alert.update == 0 {
                low += 1;
                println!("low {what}");
                if !hours.insert((alert.rule, actor, hour)) {
                    wrong.push(format!("two in an hour: {what}"));
                }
            }
        }
    }
    println!("benign: {captures} captures, {low} low alerts, {} wrong", wrong.len());
    wrong
}
