//! What of a service's traffic is not learned unseen, by the alerts that it raised meanwhile.
//!
//! Contract: what an alert of medium or more is about waits in quarantine, and what the rules of [`HOSTILE`] find at any severity. Of a scan, which
//! names few of its targets, all that the service reached for the first time since waits. Regular contacts wait where they are to an address of
//! the internet without a name. Alerts about settings, and about what the baseline does not hold, hold nothing back.

use crate::alert::Alert;
use crate::baseline::traffic::Doubt;
use crate::detect::{Severity, rules};

/// Rules whose findings are never learned, however low.
const HOSTILE: [&str; 7] = [
    "anonymizer",
    "control-api-contact",
    "dns-anomaly",
    "exfiltration",
    "miner",
    "protocol-mismatch",
    "tunnel-from-container",
];
/// Rules about many targets, of which an alert names a few.
const SCANS: [&str; 2] = ["port-scan", "host-scan"];
const REGULAR: &str = "beacon";

/// What an alert says against a service's traffic.
pub(super) fn doubts(alert: &Alert) -> Vec<Doubt> {
    let is_scan = SCANS.contains(&alert.rule);
    let is_regular = alert.rule == REGULAR && alert.severity < Severity::Medium;
    let is_hostile = alert.severity >= Severity::Medium || HOSTILE.contains(&alert.rule);
    let is_of_baseline = rules::is_about_settings(alert.rule)
        || rules::is_about_new_traffic(alert.rule)
        || alert.rule == "baseline-changed";
    if is_of_baseline || !(is_scan || is_regular || is_hostile) {
        return Vec::new();
    }
    let reason = format!("{}: {}", alert.rule, alert.title);
    let doubt = |address| Doubt { address, unnamed_only: is_regular, since: alert.first_seen, reason: reason.clone() };
    if is_scan || alert.destinations.is_empty() {
        return vec![doubt(None)];
    }
    alert.destinations.iter().map(|destination| doubt(Some(destination.endpoint.ip))).collect()
}
