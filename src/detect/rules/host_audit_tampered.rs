//! `host-audit-tampered`.
//!
//! Contract: what recorded on the host and does not for `settle` is reported once, until it does again. Limits: [`MAX_NAMED`] daemons are
//! followed. Design: facts hold the whole state; what is missing against the last state that was in order waits, and is looked at again
//! when it is due. Entries of the host's logs say who it was; where the kernel cannot be asked, they also say that audit rules are gone.
//! audit.log is expected to have a line when the kernel must have written one, and at no other time (ADR 28).

mod audit_log;
mod strategy;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use self::audit_log::{AuditLog, WITHIN};
pub use self::strategy::META;
use crate::detect::params::rule_params;
use crate::detect::{Context, Finding, Findings, HoldTime, Rule};
use crate::input::{AuditState, HostLog, HostLogEntry, HostLogging, HostLoggingFact, LogAct, LogActor, RecordedFact};
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
    /// Its log, which auditd writes.
    AuditLog,
    /// Who takes its records.
    AuditReader,
    AuditRules,
    Daemon(String),
}

/// What a log of the host said of it last.
#[derive(Clone, Debug)]
struct Said {
    log: HostLog,
    at: Timestamp,
    by: Option<LogActor>,
}

impl Said {
    /// Whether it was said about the time at which something was missing first.
    fn is_about(&self, since: Timestamp) -> bool {
        const NEAR: Duration = Duration::from_secs(30);
        self.at <= since.plus(NEAR) && since <= self.at.plus(NEAR)
    }

    fn evidence(&self) -> Evidence {
        let by = self.by.as_ref().map_or_else(|| "not known".to_owned(), ToString::to_string);
        Evidence::new("by", format!("{} says at {}: by {by}", self.log.name(), self.at.readable()))
    }
}

#[derive(Clone, Copy, Debug)]
struct Missing {
    since: Timestamp,
    reported: bool,
    /// Only a log said so: the kernel could not be asked.
    by_log: bool,
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
    said: BTreeMap<Recorder, Said>,
    /// Audit rules that logs say were removed and not added again.
    removed: u64,
    /// Whether the kernel handed its records to auditd at some time.
    read_by_auditd: bool,
    audit_log: AuditLog,
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
        said: BTreeMap::new(),
        removed: 0,
        read_by_auditd: false,
        audit_log: AuditLog::default(),
    }
}

impl Rule for HostAuditTampered {
    fn on_fact(&mut self, context: Context<'_>, fact: &RecordedFact, findings: &mut Findings) {
        let RecordedFact::HostLogging(fact) = fact else { return };
        match fact {
            HostLoggingFact::State(state) => self.state(context, state, findings),
            HostLoggingFact::Entry(entry) => self.entry(context, entry, findings),
            // The kernel's own records have another name: they do not say that the file is written.
            HostLoggingFact::Heard { log: HostLog::Audit, part, at, entries: 1.. } if part == AuditLog::PART => {
                self.audit_log_heard(context, *at, findings);
            }
            HostLoggingFact::Unwatched { part, .. } if part == AuditLog::PART => {
                self.missing.remove(&Recorder::AuditLog);
                self.audit_log.unread();
            }
            HostLoggingFact::Gap { log, truncated: true, why, .. } => findings.push(lost(context, *log, why)),
            HostLoggingFact::Heard { .. } | HostLoggingFact::Unwatched { .. } | HostLoggingFact::Gap { .. } => {}
        }
    }

    fn on_time(&mut self, context: Context<'_>, findings: &mut Findings) {
        let unknown = HostLogging::default();
        let state = self.now.as_deref().unwrap_or(&unknown);
        for (recorder, missing) in &mut self.missing {
            if missing.reported || context.now.since(missing.since) < recorder.patience(self.settle) {
                continue;
            }
            missing.reported = true;
            let text = match recorder {
                Recorder::Audit => "the kernel's audit no longer records: it was switched off".to_owned(),
                Recorder::AuditRules if missing.by_log => {
                    format!("audit rules removed and not added again: {}", self.removed)
                }
                Recorder::AuditRules => {
                    let now = state.audit.as_ref().map_or(0, |audit| audit.rules.len());
                    format!(
                        "of {} audit rules, {} are gone",
                        self.rules.len(),
                        gone(&self.rules, state).max(self.rules.len().saturating_sub(now))
                    )
                }
                Recorder::AuditLog => self.audit_log.text(),
                Recorder::AuditReader => {
                    let reader = state.audit.as_ref().and_then(|audit| audit.reader.as_deref()).unwrap_or("nobody");
                    format!("auditd runs, but the kernel hands audit's records to {reader}")
                }
                Recorder::Daemon(name) => format!("{name} no longer runs, or is stopped"),
            };
            let by = self.said.get(recorder).filter(|said| said.is_about(missing.since));
            let source = if missing.by_log { "the audit log" } else { "the kernel" };
            let unknown = if by.is_some() { "" } else { "; the responsible process is unknown" };
            let since = format!("{}, as reported by {source}{unknown}", missing.since.readable());
            let mut evidence = vec![Evidence::new("recorder", text), Evidence::new("since", since)];
            evidence.extend(by.map(Said::evidence));
            findings.push(Finding::of_nobody(&META, missing.since, &recorder.cause(), evidence));
        }
    }
}

/// A log that lost what it held: it was cut in place, removed, or replaced.
fn lost(context: Context<'_>, log: HostLog, why: &str) -> Finding {
    let text = match log {
        HostLog::Syslog => why.to_owned(),
        HostLog::Audit | HostLog::Journal => format!("{} lost what it held: {why}", log.name()),
    };
    Finding::of_nobody(&META, context.now, cause_of_loss(log, why), vec![Evidence::new("recorder", text)])
}

/// The cause of the alert, a part of its id: it does not change when texts give a log another name. Each syslog file is a recorder of its own, and its text names it.
fn cause_of_loss(log: HostLog, why: &str) -> &str {
    match log {
        HostLog::Audit => "audit.log truncated",
        HostLog::Journal => "the journal truncated",
        HostLog::Syslog => why,
    }
}

impl HostAuditTampered {
    /// How it is now, against what was in order.
    fn state(&mut self, context: Context<'_>, state: &Arc<HostLogging>, findings: &mut Findings) {
        if self.audit_log.must_have_a_line(self.now.as_deref(), state, context.now) {
            self.miss(context, Recorder::AuditLog, false, findings);
        }
        self.learn(state);
        self.now = Some(Arc::clone(state));
        let missing = self.missing_in(state);
        // Without the kernel's word, only the log says that audit records again.
        let is_back = |(recorder, known): &(&Recorder, &Missing)| {
            !missing.contains(*recorder) && (state.audit.is_some() || !known.by_log)
        };
        let back: Vec<Recorder> = self.missing.iter().filter(is_back).map(|(recorder, _)| recorder.clone()).collect();
        for recorder in &back {
            self.back(context, recorder, findings);
        }
        for recorder in missing {
            self.miss(context, recorder, false, findings);
        }
    }

    /// It is missing from now on, if it is not already.
    fn miss(&mut self, context: Context<'_>, recorder: Recorder, by_log: bool, findings: &mut Findings) {
        let patience = recorder.patience(self.settle);
        self.missing.entry(recorder).or_insert_with(|| {
            findings.schedule(context.now.plus(patience));
            Missing { since: context.now, reported: false, by_log }
        });
    }

    /// audit.log had a line at this time.
    fn audit_log_heard(&mut self, context: Context<'_>, at: Timestamp, findings: &mut Findings) {
        self.audit_log.hear(at);
        if self.missing.get(&Recorder::AuditLog).is_some_and(|missing| AuditLog::is_about(at, missing.since)) {
            self.back(context, &Recorder::AuditLog, findings);
        }
    }

    /// An entry of a log says who it was; what is missing it decides only where the kernel cannot be asked.
    fn entry(&mut self, context: Context<'_>, entry: &HostLogEntry, findings: &mut Findings) {
        let recorder = match &entry.act {
            LogAct::AuditOff | LogAct::AuditOn => Recorder::Audit,
            LogAct::RulesRemoved { .. } | LogAct::RulesAdded { .. } => Recorder::AuditRules,
            LogAct::Stopped { daemon } => Recorder::Daemon(daemon.clone()),
            LogAct::Started { .. } | LogAct::Dropped { .. } | LogAct::AskedRuntime => return,
        };
        // A process that writes to /dev/log must not hide what journald or auditd said.
        let is_worse =
            |known: &Said| entry.log == HostLog::Syslog && known.log != HostLog::Syslog && known.is_about(entry.at);
        if self.said.get(&recorder).is_some_and(is_worse) {
            return;
        }
        if self.said.len() < MAX_NAMED || self.said.contains_key(&recorder) {
            let (log, at, by) = (entry.log, entry.at, entry.by.clone());
            self.said.insert(recorder.clone(), Said { log, at, by });
        }
        if entry.log != HostLog::Audit || self.now.as_ref().is_some_and(|state| state.audit.is_some()) {
            return;
        }
        let is_missing = match entry.act {
            LogAct::AuditOff => true,
            LogAct::RulesRemoved { count } => {
                self.removed = self.removed.saturating_add(count);
                true
            }
            LogAct::RulesAdded { count } => {
                self.removed = self.removed.saturating_sub(count);
                self.removed > 0
            }
            LogAct::AuditOn => false,
            LogAct::Stopped { .. } | LogAct::Started { .. } | LogAct::Dropped { .. } | LogAct::AskedRuntime => return,
        };
        if is_missing {
            self.miss(context, recorder, true, findings);
        } else {
            self.back(context, &recorder, findings);
        }
    }

    /// It records again.
    fn back(&mut self, context: Context<'_>, recorder: &Recorder, findings: &mut Findings) {
        let Some(_) = self.missing.remove(recorder).filter(|missing| missing.reported) else { return };
        let evidence = vec![Evidence::new("over", format!("{} again", recorder.in_order()))];
        let over = Finding::of_nobody(&META, context.now, &recorder.cause(), evidence);
        findings.push(Finding { is_over: true, ..over });
    }

    /// What records now was in order, too.
    fn learn(&mut self, state: &HostLogging) {
        let room = MAX_NAMED.saturating_sub(self.daemons.len());
        self.daemons.extend(state.daemons.iter().take(room).cloned());
        let Some(AuditState { enabled, rules, .. }) = &state.audit else { return };
        self.enabled |= enabled;
        self.read_by_auditd |= audit_log::is_read_by_auditd(state);
        if gone(&self.rules, state) == 0 {
            self.rules.clone_from(rules);
        }
    }

    fn missing_in(&self, state: &HostLogging) -> BTreeSet<Recorder> {
        let daemons = self.daemons.difference(&state.daemons).cloned().map(Recorder::Daemon);
        let mut missing: BTreeSet<Recorder> = daemons.collect();
        // Only a line of it says that it is written.
        missing.extend(self.missing.contains_key(&Recorder::AuditLog).then_some(Recorder::AuditLog));
        if let Some(audit) = &state.audit {
            if self.enabled && !audit.enabled {
                missing.insert(Recorder::Audit);
            }
            let is_taken = audit_log::is_read_by_auditd(state);
            if self.read_by_auditd && audit.enabled && state.daemons.contains("auditd") && !is_taken {
                missing.insert(Recorder::AuditReader);
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
    /// How long it may be missing.
    fn patience(&self, settle: Duration) -> Duration {
        if *self == Self::AuditLog { WITHIN } else { settle }
    }

    fn cause(&self) -> String {
        match self {
            Self::Audit => "audit off".to_owned(),
            Self::AuditLog => "audit.log silent".to_owned(),
            Self::AuditReader => "audit's reader".to_owned(),
            Self::AuditRules => "audit rules".to_owned(),
            Self::Daemon(name) => format!("daemon {name}"),
        }
    }

    fn in_order(&self) -> String {
        match self {
            Self::Audit => "the kernel's audit records".to_owned(),
            Self::AuditLog => "audit.log is written".to_owned(),
            Self::AuditReader => "the kernel hands audit's records to auditd".to_owned(),
            Self::AuditRules => "the audit rules are there".to_owned(),
            Self::Daemon(name) => format!("{name} runs"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alert_about_a_log_that_lost_what_it_held_keeps_its_cause() {
        let causes =
            [HostLog::Audit, HostLog::Journal, HostLog::Syslog].map(|log| cause_of_loss(log, "/var/log/x: cut"));
        assert_eq!(causes, ["audit.log truncated", "the journal truncated", "/var/log/x: cut"]);
    }
}
