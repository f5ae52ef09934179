//! What lowers the severity of a finding: maintenance windows, and environments where little is at stake.
//!
//! Contract: the first window or environment that fits lowers the severity, and the evidence says so; the alert is written all the same. What is
//! dangerous in itself, and findings about no workload (the host, hopwatch's own sources), are never lowered. Design: granted by the
//! configuration alone, so that nobody who starts a container grants it to himself.

use std::time::Duration;

use crate::detect::{Finding, Severity};
use crate::path::{Evidence, Selector};
use crate::time::Timestamp;

/// A window or an environment.
#[derive(Clone, Debug)]
pub struct Lowering {
    /// Its name, in the evidence.
    pub name: String,
    /// Whose findings; empty: those of any workload.
    pub workloads: Vec<Selector>,
    /// When, and how far.
    pub kind: LoweringKind,
    /// Why.
    pub reason: String,
}

/// Which of both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoweringKind {
    /// For a time, once or again and again.
    Maintenance {
        /// When it begins.
        from: Timestamp,
        /// When it ends.
        until: Timestamp,
        /// After how long it comes again.
        every: Option<Duration>,
    },
    /// Always, one severity.
    Lower,
    /// Always, to the lowest.
    Observe,
}

impl Lowering {
    fn fits(&self, finding: &Finding) -> bool {
        let Some(workload) = &finding.workload else { return false };
        (self.workloads.is_empty() || Selector::any(&self.workloads, workload)) && self.kind.is_on(finding.at)
    }
}

impl LoweringKind {
    fn is_on(self, at: Timestamp) -> bool {
        let Self::Maintenance { from, until, every } = self else { return true };
        if at < from {
            return false;
        }
        let since = at.since(from);
        let since = match every {
            Some(every) if !every.is_zero() => {
                Duration::from_nanos(u64::try_from(since.as_nanos() % every.as_nanos()).unwrap_or_default())
            }
            _ => since,
        };
        since < until.since(from)
    }

    const fn lowered(self, severity: Severity) -> Severity {
        match self {
            Self::Maintenance { .. } | Self::Lower => severity.lower(),
            Self::Observe => Severity::Low,
        }
    }

    const fn word(self) -> &'static str {
        match self {
            Self::Maintenance { .. } => "maintenance",
            Self::Lower | Self::Observe => "environment",
        }
    }
}

/// Lowers the severity of a finding, where something says so.
pub(super) fn lower(all: &[Lowering], finding: &mut Finding) {
    if finding.is_hostile || finding.is_over {
        return;
    }
    let Some(found) = all.iter().find(|lowering| lowering.fits(finding)) else { return };
    let (before, after) = (finding.severity, found.kind.lowered(finding.severity));
    if before == after {
        return;
    }
    finding.severity = after;
    let (word, name, reason) = (found.kind.word(), &found.name, &found.reason);
    let text = format!("{word} {name} lowers this from {} to {}: {reason}", before.as_str(), after.as_str());
    finding.evidence.push(Evidence::new(word, text));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_that_comes_again_is_on_from_its_begin_for_its_length() {
        let at = |hours: i64| Timestamp::from_secs(1_000_000 + hours * 3600);
        let once = LoweringKind::Maintenance { from: at(0), until: at(2), every: None };
        let daily = LoweringKind::Maintenance { from: at(0), until: at(2), every: Some(Duration::from_hours(24)) };
        for (hour, is_on, is_on_daily) in [(-1, false, false), (0, true, true), (2, false, false), (25, false, true)] {
            assert_eq!((once.is_on(at(hour)), daily.is_on(at(hour))), (is_on, is_on_daily), "{hour}");
        }
    }
}
