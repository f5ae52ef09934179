//! `log-files-tampered`.
//!
//! Contract: reports what no rotation does to a log file of a running container, once a file and kind of change, until the file is back. Limits:
//! [`MAX_PENDING`] changes wait for the container's end at once; beyond, they are reported without that wait. Design: facts say what became of a file;
//! which of that its writer does itself follows from its source, its driver and its options.

mod strategy;

use std::collections::BTreeMap;
use std::sync::Arc;

pub use self::strategy::META;
use crate::detect::params::rule_params;
use crate::detect::{Context, Finding, Findings, HoldTime, Rule, Severity};
use crate::input::{
    InventoryEvent, LogChange, LogFileChange, LogFileFact, LogFileSource, RecordedFact, Workload, WorkloadId,
};
use crate::path::{Evidence, Selector};
use crate::time::Timestamp;

const MAX_PENDING: usize = 16_384;
/// A log of a folder that was shorter than this before it was cut is no loss.
const LITTLE: u64 = 4096;
/// Where everything that is written is gone.
const SINKS: [&str; 3] = ["/dev/null", "/dev/zero", "/dev/full"];

rule_params! {
    /// How long a file may be gone, or another one, before its container ends: what removes a container removes its files too.
    settle: HoldTime = HoldTime::secs(2),
    /// Workloads whose log files may be changed by hand.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    allowed: Vec<Selector> = Vec::new(),
}

/// The rule.
#[derive(Debug)]
pub struct LogFilesTampered {
    settle: HoldTime,
    allowed: Vec<Selector>,
    /// Changes that the end of the container may explain, by file.
    pending: BTreeMap<(WorkloadId, String), Pending>,
    /// Causes that were reported and may end, by file.
    reported: BTreeMap<(WorkloadId, String), (Arc<Workload>, String)>,
    forgotten: u64,
}

#[derive(Clone, Debug)]
struct Pending {
    at: Timestamp,
    due: Timestamp,
    change: Arc<LogFileChange>,
}

/// The rule with its parameters.
pub fn rule(params: &Params) -> impl Rule + use<> {
    LogFilesTampered {
        settle: params.settle,
        allowed: params.allowed.clone(),
        pending: BTreeMap::new(),
        reported: BTreeMap::new(),
        forgotten: 0,
    }
}

impl Rule for LogFilesTampered {
    fn on_fact(&mut self, context: Context<'_>, fact: &RecordedFact, findings: &mut Findings) {
        match fact {
            RecordedFact::LogFile(LogFileFact::Changed(change)) => self.changed(context, change, findings),
            RecordedFact::Inventory(InventoryEvent::Stopped { id, .. }) => {
                self.pending.retain(|(workload, _), _| workload != id);
                self.reported.retain(|(workload, _), _| workload != id);
            }
            _ => {}
        }
    }

    fn on_time(&mut self, context: Context<'_>, findings: &mut Findings) {
        let is_due = |_: &(WorkloadId, String), pending: &mut Pending| pending.due <= context.now;
        let due: Vec<_> = self.pending.extract_if(.., is_due).collect();
        for (_, Pending { at, change, .. }) in due {
            self.report(context, at, &change, findings);
        }
    }

    fn forgotten(&self) -> u64 {
        self.forgotten
    }
}

impl LogFilesTampered {
    fn changed(&mut self, context: Context<'_>, change: &Arc<LogFileChange>, findings: &mut Findings) {
        let key = (change.workload.clone(), change.path.clone());
        if matches!(change.change, LogChange::Restored | LogChange::Rotated { .. }) {
            self.pending.remove(&key);
            if let Some((workload, cause)) = self.reported.remove(&key) {
                let text = format!("{} is a file again", change.path);
                let finding =
                    Finding::of_workload(&META, context.now, &workload, &cause, vec![Evidence::new("over", text)]);
                findings.push(Finding { is_over: true, ..finding });
            }
            return;
        }
        let Some(workload) = context.timeline.workload(&change.workload) else { return };
        if is_writers_own(workload, change) || Selector::any(&self.allowed, workload) {
            return;
        }
        // A link, a pipe and a cut are made by somebody; only what is missing may be missing with its container.
        if !matches!(change.change, LogChange::Removed { .. } | LogChange::Replaced { .. }) {
            return self.report(context, context.now, change, findings);
        }
        if self.pending.len() >= MAX_PENDING {
            self.forgotten += 1;
            return self.report(context, context.now, change, findings);
        }
        let due = context.now.plus(self.settle.get());
        self.pending.insert(key, Pending { at: context.now, due, change: Arc::clone(change) });
        findings.schedule(due);
    }

    fn report(&mut self, context: Context<'_>, at: Timestamp, change: &Arc<LogFileChange>, findings: &mut Findings) {
        if !context.timeline.is_running(&change.workload) {
            return;
        }
        let Some(workload) = context.timeline.workload(&change.workload) else { return };
        let cause = format!("{} {}", kind(&change.change), change.path);
        let mut evidence = vec![Evidence::new("file", text(change))];
        let whose = match change.source {
            LogFileSource::Runtime => "it is the runtime's own file with the container's output".to_owned(),
            LogFileSource::Folder => {
                "it is in a folder of the host that is mounted over the container's log folder".to_owned()
            }
        };
        evidence.push(Evidence::new("source", whose));
        let key = (change.workload.clone(), change.path.clone());
        if self.reported.len() < MAX_PENDING {
            self.reported.insert(key, (Arc::clone(workload), cause.clone()));
        }
        let severity = if change.source == LogFileSource::Folder { META.severity.lower() } else { META.severity };
        let severity = if is_sink(&change.change) { Severity::High } else { severity };
        let finding = Finding::of_workload(&META, at, workload, &cause, evidence);
        let known = vec![("PATH", change.path.clone())];
        findings.push(Finding { severity, known, ..finding });
    }
}

/// Whether who writes the log does this itself, or what rotates it.
fn is_writers_own(workload: &Workload, change: &LogFileChange) -> bool {
    let logging = workload.configuration.as_ref().and_then(|configuration| configuration.logging.as_ref());
    let rotates = logging.is_some_and(|logging| logging.options.contains_key("max-size"));
    let is_json = logging.is_none_or(|logging| logging.driver == "json-file");
    match (&change.change, change.source) {
        (LogChange::Rotated { .. } | LogChange::Restored | LogChange::Truncated { copy: Some(_), .. }, _)
        // An application removes and creates its own files as it likes.
        | (LogChange::Replaced { .. } | LogChange::Special, LogFileSource::Folder) => true,
        // Podman's monitor cuts its own file at `max-size`; Docker's json-file never does.
        (LogChange::Truncated { .. }, LogFileSource::Runtime) => rotates && !is_json,
        // With one file, newer engines remove it and create it anew.
        (LogChange::Replaced { .. }, LogFileSource::Runtime) => rotates,
        (LogChange::Removed { .. } | LogChange::Special | LogChange::Linked { .. }, LogFileSource::Runtime) => false,
        (LogChange::Truncated { from, to, .. }, LogFileSource::Folder) => *from < LITTLE || *to > from / 2,
        (LogChange::Linked { .. }, LogFileSource::Folder) => !is_sink(&change.change),
        (LogChange::Removed { size, renamed }, LogFileSource::Folder) => *size < LITTLE || renamed.is_some(),
    }
}

fn is_sink(change: &LogChange) -> bool {
    matches!(change, LogChange::Linked { to } if SINKS.contains(&to.as_str()))
}

/// One word: changes of one kind of one file are one cause.
const fn kind(change: &LogChange) -> &'static str {
    match change {
        LogChange::Truncated { .. } => "truncated",
        LogChange::Removed { .. } => "removed",
        LogChange::Linked { .. } => "linked",
        LogChange::Special => "special",
        LogChange::Rotated { .. } => "rotated",
        LogChange::Replaced { .. } => "replaced",
        LogChange::Restored => "restored",
    }
}

fn text(change: &LogFileChange) -> String {
    let path = &change.path;
    match &change.change {
        LogChange::Truncated { from, to, .. } => {
            format!("{path} was cut from {from} to {to} bytes, and no copy of it is beside it")
        }
        LogChange::Removed { size, renamed: None } => {
            format!("{path} ({size} bytes) was removed; the container runs on")
        }
        LogChange::Removed { size, renamed: Some(name) } => {
            format!(
                "{path} ({size} bytes) was renamed to {name}, and no new file took its place; the container runs on"
            )
        }
        LogChange::Linked { to } if is_sink(&change.change) => {
            format!("{path} is a link to {to}: what is written there is gone")
        }
        LogChange::Linked { to } => format!("{path} is a link to {to}, which no runtime makes"),
        LogChange::Special => format!("{path} is a pipe or a device, which no runtime makes"),
        LogChange::Rotated { to } => format!("{path} was rotated to {to}"),
        LogChange::Replaced { size } => format!("{path} ({size} bytes) was removed and another file took its place"),
        LogChange::Restored => format!("{path} is a file again"),
    }
}
