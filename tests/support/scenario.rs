//! Scenario folders: replay one, compare with what it expects.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

/// `expect.yaml`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expectation {
    /// Alerts that must appear; those of another rule and workload must not.
    #[serde(default)]
    pub alerts: Vec<ExpectedAlert>,
    /// Least numbers of flows, by contract and verdict.
    #[serde(default)]
    pub verdicts: BTreeMap<String, BTreeMap<String, u64>>,
}

/// One alert.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExpectedAlert {
    pub rule: String,
    pub workload: Option<String>,
    pub contract: Option<String>,
    pub destination: Option<String>,
    #[serde(default)]
    pub severity: Option<String>,
}

/// The standard output of `hopwatch replay FOLDER --format json`.
pub fn replay_json(folder: &Path) -> String {
    replay_as("json", folder)
}

/// The standard output of `hopwatch replay FOLDER` in a format.
pub fn replay_as(format: &str, folder: &Path) -> String {
    let output = assert_cmd::Command::new(env!("CARGO_BIN_EXE_hopwatch"))
        .args(["replay", "--format", format])
        .arg(folder)
        .output()
        .expect("run hopwatch");
    assert!(output.status.success(), "{}: {}", folder.display(), String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("UTF-8")
}

impl Expectation {
    /// Reads `expect.yaml`.
    pub fn read(path: &Path) -> Self {
        let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    /// What differs, in sentences.
    pub fn differences(&self, output: &str) -> Vec<String> {
        let lines: Vec<serde_json::Value> =
            output.lines().map(|line| serde_json::from_str(line).expect("JSON Lines")).collect();
        let (alerts, summaries): (Vec<_>, Vec<_>) = lines.iter().partition(|line| line["schema"] == "hopwatch.alert/1");
        let mut wrong = Vec::new();
        for expected in &self.alerts {
            if !alerts.iter().any(|alert| expected.matches(alert)) {
                wrong.push(format!("missing: {expected:?}"));
            }
        }
        for alert in alerts.iter().filter(|alert| !self.alerts.iter().any(|expected| expected.is_of(alert))) {
            wrong.push(format!("unexpected: {alert}"));
        }
        let summary = summaries.last().expect("a summary");
        for (contract, verdicts) in &self.verdicts {
            for (verdict, least) in verdicts {
                let found = summary["verdicts"][contract][verdict].as_u64().unwrap_or(0);
                if found < *least || (*least == 0 && found > 0) {
                    wrong.push(format!("{contract}: {found} flows {verdict}, expected {least}"));
                }
            }
        }
        wrong
    }
}

impl ExpectedAlert {
    /// Of this rule and workload.
    fn is_of(&self, alert: &serde_json::Value) -> bool {
        alert["rule"] == self.rule.as_str()
            && self.workload.as_ref().is_none_or(|name| alert["workload"]["name"] == name.as_str())
    }

    fn matches(&self, alert: &serde_json::Value) -> bool {
        let destination = |end: &serde_json::Value| {
            let (ip, port) = (end["ip"].as_str().unwrap_or_default(), end["port"].as_u64().unwrap_or_default());
            if ip.contains(':') { format!("[{ip}]:{port}") } else { format!("{ip}:{port}") }
        };
        self.is_of(alert)
            && self.severity.as_ref().is_none_or(|severity| alert["severity"] == severity.as_str())
            && self.contract.as_ref().is_none_or(|name| alert["contract"] == name.as_str())
            && self.destination.as_ref().is_none_or(|wanted| {
                alert["destinations"].as_array().is_some_and(|ends| ends.iter().any(|end| destination(end) == *wanted))
            })
    }
}
