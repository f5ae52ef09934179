//! What `tests/shell/benign.rs` found on captures of benign traffic.
//!
//! Contract: the last line of the file that `HOPWATCH_BENIGN_REPORT` names; anything else is a reason why nothing was measured.

use serde_json::Value;

/// Figures of the benign captures.
#[derive(Debug, PartialEq, Eq)]
pub struct Benign {
    /// Captures replayed.
    pub captures: u64,
    /// Flows in them.
    pub flows: u64,
    /// Alerts raised.
    pub alerts: u64,
    /// Those among them that are right: the capture is labelled benign, and shows what the rule is about.
    pub told_by_right: u64,
}

impl Benign {
    /// Reads a report; the error says why there is none.
    pub fn read(report: &str) -> Result<Self, String> {
        let line = report.lines().rfind(|line| !line.is_empty()).ok_or("the report is empty")?;
        let value: Value = serde_json::from_str(line).map_err(|error| format!("the report is not JSON: {error}"))?;
        let number = |name: &str| value[name].as_u64().ok_or_else(|| format!("the report has no number {name:?}"));
        let (captures, flows, alerts) = (number("captures")?, number("flows")?, number("alerts")?);
        let told_by_right = value["told_by_right"].as_u64().unwrap_or(0);
        if captures == 0 || told_by_right > alerts {
            return Err(format!("the report makes no sense: {line}"));
        }
        Ok(Self { captures, flows, alerts, told_by_right })
    }
}
