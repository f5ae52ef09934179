//! What this run cannot see although it is asked to, and the rules that cannot fire because of it.
//!
//! Contract: every reason is one sentence for a person, is logged once when it begins to hold for [`HOLD`], and stands in the summary
//! while it holds. Reasons of [`Blindness::not_ready`] make the sensor not ready; a rule that cannot fire at the configured interfaces
//! does not. Limits: knows interfaces, rights, a filter and connection tracking; what a contract's hop can be proven by is said by `paths`.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::message::InterfaceScan;
use crate::input::{Fact, FirewallFact, Input, LogFileFact, NatFact, RecordedFact};
use crate::time::Timestamp;

/// Starting takes a moment; what is over by then is not logged.
const HOLD: Duration = Duration::from_secs(1);
/// Reasons that are remembered as logged.
const MAX_LOGGED: usize = 1000;
/// Rules that rest on what the kernel shows of other processes.
const BY_KERNEL: [&str; 4] = ["foreign-interface", "host-network-flow", "namespace-mismatch", "packet-socket"];

/// What is not seen.
#[derive(Debug, Default)]
pub struct Blindness {
    enabled: BTreeSet<&'static str>,
    /// Capabilities that this process lacks.
    missing: Vec<&'static str>,
    scan: InterfaceScan,
    /// Why the host's connection tracking is not received.
    tracking: Option<String>,
    /// Why the host's firewall is not read.
    firewall: Option<String>,
    /// Why no log file can be watched.
    log_files: Option<String>,
    /// What is said of the filter that hides frames.
    filter: Option<String>,
    /// Since when each reason holds, and whether it is logged.
    since: BTreeMap<String, (Timestamp, bool)>,
}

impl Blindness {
    /// Of a run with these rules, by a process that lacks these capabilities.
    pub fn new(enabled: BTreeSet<&'static str>, missing: Vec<&'static str>) -> Self {
        Self { enabled, missing, ..Self::default() }
    }

    /// The same, of a run with a filter, of which this is to be said.
    #[must_use]
    pub fn filtered(self, filter: Option<String>) -> Self {
        Self { filter, ..self }
    }

    /// Other rules are switched on.
    pub fn enable(&mut self, rules: BTreeSet<&'static str>) {
        self.enabled = rules;
    }

    /// The host's interfaces were listed.
    pub fn scanned(&mut self, scan: InterfaceScan) {
        self.scan = scan;
    }

    /// Facts on their way to the engine.
    pub fn facts(&mut self, inputs: &[Input]) {
        for input in inputs {
            match &input.fact {
                Fact::Recorded(RecordedFact::Nat(NatFact::Unwatched { netns: None, error })) => {
                    self.tracking = Some(error.clone());
                }
                Fact::Recorded(RecordedFact::Nat(NatFact::Watched { netns: None })) => self.tracking = None,
                Fact::Recorded(RecordedFact::LogFile(LogFileFact::Unwatched { workload: None, why, .. })) => {
                    self.log_files = Some(why.clone());
                }
                Fact::Recorded(RecordedFact::Firewall(FirewallFact::Unwatched { part, why })) if part == "nftables" => {
                    self.firewall = Some(why.clone());
                }
                _ => {}
            }
        }
    }

    /// Interfaces that match now; none before the first listing.
    pub const fn matching(&self) -> Option<usize> {
        self.scan.matching
    }

    /// What is missed of that which this run observes.
    pub fn not_ready(&self) -> Vec<String> {
        let down = self.scan.down.iter().map(|point| format!("{point} is down: nothing can be captured on it"));
        let tracking = self.tracking.iter().map(|error| {
            format!("connection tracking is not received, so translated flows may be unobservable: {error}")
        });
        let missing = (!self.missing.is_empty()).then(|| {
            let missing = self.missing.join(", ");
            format!("without {missing}, hopwatch cannot read other processes' sockets, namespaces and packet sockets")
        });
        down.chain(tracking).chain(missing).chain(self.filter.clone()).collect()
    }

    /// Enabled rules that cannot fire, each with the reason.
    pub fn rules(&self) -> BTreeMap<&'static str, String> {
        let mut blind = BTreeMap::new();
        let elsewhere = &self.scan.uncaptured_ways_out;
        if !elsewhere.is_empty() {
            let names = elsewhere.join(" and ");
            let why = format!("what leaves the host is not captured: capture {names} too (capture.interfaces or -i)");
            blind.insert("host-network-flow", why);
        }
        if !self.missing.is_empty() {
            let why = format!("this process lacks {}", self.missing.join(", "));
            blind.extend(BY_KERNEL.map(|rule| (rule, why.clone())));
        }
        if let Some(why) = &self.firewall {
            blind.insert("host-firewall-changed", why.clone());
        }
        if let Some(why) = &self.log_files {
            blind.insert("log-files-tampered", why.clone());
        }
        blind.retain(|rule, _| self.enabled.contains(rule));
        blind
    }

    /// Everything, for the log and the summary.
    pub fn warnings(&self) -> Vec<String> {
        let unmatched = self.scan.unmatched.iter().map(|glob| format!("no interface is called {glob}"));
        let rules = self.rules();
        let rules = rules.iter().map(|(rule, why)| format!("the rule {rule} cannot fire: {why}"));
        self.not_ready().into_iter().chain(unmatched).chain(rules).collect()
    }

    /// Logs reasons that hold for a while; `others` are those of the sources.
    pub fn log(&mut self, now: Timestamp, others: Vec<String>) {
        let mut before = std::mem::take(&mut self.since);
        for reason in self.warnings().into_iter().chain(others).take(MAX_LOGGED) {
            let (since, logged) = before.remove(&reason).unwrap_or((now, false));
            let is_due = now.since(since) >= HOLD;
            if is_due && !logged {
                tracing::warn!("{reason}");
            }
            self.since.insert(reason, (since, logged || is_due));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::input::ObservationPoint;

    const CONTAINERS_ONLY: &str =
        "what leaves the host is not captured: capture eth0 and lo too (capture.interfaces or -i)";

    fn scan(down: &[&str], ways_out: &[&str]) -> InterfaceScan {
        InterfaceScan {
            matching: Some(1),
            unmatched: Vec::new(),
            down: down.iter().map(|name| ObservationPoint::new(name)).collect(),
            uncaptured_ways_out: ways_out.iter().map(|&name| name.to_owned()).collect(),
        }
    }

    #[test]
    fn a_rule_without_its_interfaces_cannot_fire_but_does_not_hold_up_readiness() {
        let mut blindness = Blindness::new(["host-network-flow"].into(), Vec::new());
        assert_eq!(blindness.warnings(), [""; 0]);
        blindness.scanned(scan(&[], &["eth0", "lo"]));
        assert_eq!(blindness.rules(), [("host-network-flow", CONTAINERS_ONLY.to_owned())].into());
        assert_eq!(blindness.not_ready(), [""; 0]);
        assert!(blindness.warnings()[0].starts_with("the rule host-network-flow cannot fire: "));
        blindness.scanned(scan(&[], &[]));
        assert_eq!(blindness.warnings(), [""; 0]);
        let mut off = Blindness::new(BTreeSet::new(), Vec::new());
        off.scanned(scan(&[], &["lo"]));
        assert_eq!(off.warnings(), [""; 0], "nobody asked for the rule");
    }

    #[test]
    fn missing_rights_blind_the_rules_that_rest_on_the_kernel() {
        let blindness = Blindness::new(["packet-socket", "unknown-source"].into(), vec!["CAP_SYS_PTRACE"]);
        assert_eq!(blindness.rules().into_keys().collect::<Vec<_>>(), ["packet-socket"]);
        assert!(blindness.not_ready()[0].starts_with("without CAP_SYS_PTRACE,"), "{:?}", blindness.not_ready());
    }

    #[test]
    fn a_filter_is_named_as_long_as_it_hides_frames() {
        let blindness = Blindness::default().filtered(Some("only \"tcp\" is looked at".to_owned()));
        assert_eq!(
            (blindness.not_ready(), blindness.warnings()),
            (vec!["only \"tcp\" is looked at".to_owned()], blindness.not_ready())
        );
    }

    #[test]
    fn a_captured_bridge_that_is_down_and_unheard_connection_tracking_are_not_ready_until_they_are_back() {
        let mut blindness = Blindness::default();
        let nat = |fact| [Input::new(Timestamp::MIN, fact)];
        blindness.scanned(scan(&["br-app"], &[]));
        blindness.facts(&nat(NatFact::Unwatched { netns: None, error: "not permitted".into() }));
        let reasons = blindness.not_ready();
        assert!(reasons[0].starts_with("br-app is down") && reasons[1].ends_with("not permitted"), "{reasons:?}");
        blindness.scanned(scan(&[], &[]));
        blindness.facts(&nat(NatFact::Watched { netns: None }));
        assert_eq!(blindness.not_ready(), [""; 0]);
    }

    #[test]
    fn a_reason_is_logged_once_and_again_after_it_was_over() {
        let mut blindness = Blindness::default();
        let logged = |blindness: &Blindness| blindness.since.values().map(|(_, logged)| *logged).collect::<Vec<_>>();
        let at = Timestamp::from_secs;
        blindness.log(at(1), vec!["no runtime".into()]);
        assert_eq!(logged(&blindness), [false], "it may just be starting");
        blindness.log(at(3), vec!["no runtime".into()]);
        assert_eq!(logged(&blindness), [true]);
        blindness.log(at(4), Vec::new());
        blindness.log(at(5), vec!["no runtime".into()]);
        assert_eq!(logged(&blindness), [false]);
    }
}
