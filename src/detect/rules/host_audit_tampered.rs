//! `host-audit-tampered`.
//!
//! Contract: what recorded on the host and does not for `settle` is reported once, until it does again. Limits: [`MAX_NAMED`] daemons are
//! followed. Design: facts hold the whole state; what is missing against the last state that was in order waits, and is looked at again
//! when it is due.

mod strategy;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

pub use self::strategy::META;
use crate::detect::params::rule_params;
use crate::detect::{Context, Finding, Findings, HoldTime, Rule};
use crate::input::{AuditState, HostLogging, HostLoggingFact, RecordedFact};
use crate::path::Evidence;
use crate::time::Timestamp;

/// Causes that wait or were reported.
const MAX_NAMED: usize = 64;

rule_params! {
    /// How long it may be missing: audit rules are loaded anew by removing them first, and daemons are restarted.
    settle: HoldTime = HoldTime::secs(10),
}

/// Something that recorded.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Recorder {
    Audit,
    AuditRules,
    Daemon(String),
}

#[derive(Clone, Copy, Debug)]
struct Missing {
    since: Timestamp,
    reported: bool,
}

/// The rule.
#[derive(Debug)]
pub struct HostAuditTampered {
    settle: Duration,
    /// Everything that recorded at some time.
    daemons: BTreeSet<String>,
    enabled: bool,
    rules: Vec<String>,
    now: Option<Arc<HostLogging>>,
    missing: BTreeMap<Recorder, Missing>,
}

/// The rule with its parameters.
pub fn rule(params: &Params) -> impl Rule + use<> {
    HostAuditTampered {
        settle: params.settle.get(),
        daemons: BTreeSet::new(),
        enabled: false,
        rules: Vec::new(),
        now: None,
        missing: BTreeMap::new(),
    }
}

impl Rule for HostAuditTampered {
    fn on_fact(&mut self, context: Context<'_>, fact: &RecordedFact, findings: &mut Findings) {
        let RecordedFact::HostLogging(HostLoggingFact::State(state)) = fact else { return };
        self.learn(state);
        self.now = Some(Arc::clone(state));
        let missing = self.missing_in(state);
        let back: Vec<_> = self.missing.extract_if(.., |recorder, _| !missing.contains(recorder)).collect();
        for (recorder, _) in back.into_iter().filter(|(_, missing)| missing.reported) {
            let evidence = vec![Evidence::new("over", format!("{} again", recorder.in_order()))];
            let over = Finding::of_nobody(&META, context.now, &recorder.cause(), evidence);
            findings.push(Finding { is_over: true, ..over });
        }
        for recorder in missing {
            self.missing.entry(recorder).or_insert_with(|| {
                findings.schedule(context.now.plus(self.settle));
                Missing { since: context.now, reported: false }
            });
        }
    }

    fn on_time(&mut self, context: Context<'_>, findings: &mut Findings) {
        let Some(state) = &self.now else { return };
        for (recorder, missing) in &mut self.missing {
            if missing.reported || context.now.since(missing.since) < self.settle {
                continue;
            }
            missing.reported = true;
            let text = match recorder {
                Recorder::Audit => "the kernel's audit records nothing any more: it was switched off".to_owned(),
                Recorder::AuditRules => {
                    let now = state.audit.as_ref().map_or(0, |audit| audit.rules.len());
                    format!(
                        "of {} audit rules, {} are gone",
                        self.rules.len(),
                        gone(&self.rules, state).max(self.rules.len().saturating_sub(now))
                    )
                }
                Recorder::Daemon(name) => format!("{name} does not run any more, or is stopped"),
            };
            let evidence = vec![
                Evidence::new("recorder", text),
                Evidence::new(
                    "since",
                    format!("since {}, as reported by the kernel; the responsible process is unknown", missing.since),
                ),
            ];
            findings.push(Finding::of_nobody(&META, missing.since, &recorder.cause(), evidence));
        }
    }
}

impl HostAuditTampered {
    /// What records now was in order, too.
    fn learn(&mut self, state: &HostLogging) {
        let room = MAX_NAMED.saturating_sub(self.daemons.len());
        self.daemons.extend(state.daemons.iter().take(room).cloned());
        let Some(AuditState { enabled, rules }) = &state.audit else { return };
        self.enabled |= enabled;
        if gone(&self.rules, state) == 0 {
            self.rules.clone_from(rules);
        }
    }

    fn missing_in(&self, state: &HostLogging) -> BTreeSet<Recorder> {
        let daemons = self.daemons.difference(&state.daemons).cloned().map(Recorder::Daemon);
        let mut missing: BTreeSet<Recorder> = daemons.collect();
        if let Some(audit) = &state.audit {
            if self.enabled && !audit.enabled {
                missing.insert(Recorder::Audit);
            }
            if gone(&self.rules, state) > 0 {
                missing.insert(Recorder::AuditRules);
            }
        }
        missing
    }
}

/// How many of these rules are not there; none where audit cannot be asked.
fn gone(rules: &[String], state: &HostLogging) -> usize {
    let Some(audit) = &state.audit else { return 0 };
    rules.iter().filter(|rule| audit.rules.binary_search(rule).is_err()).count()
}

impl Recorder {
    fn cause(&self) -> String {
        match self {
            Self::Audit => "audit off".to_owned(),
            Self::AuditRules => "audit rules".to_owned(),
            Self::Daemon(name) => format!("daemon {name}"),
        }
    }

    fn in_order(&self) -> String {
        match self {
            Self::Audit => "the kernel's audit records".to_owned(),
            Self::AuditRules => "the audit rules are there".to_owned(),
            Self::Daemon(name) => format!("{name} runs"),
        }
    }
}
