//! The plain answer.
//!
//! Contract: `verified` needs flows, evidence for each but the few that may be unobservable, and nothing that would hide others: no network of
//! the workloads unseen, not too much lost. Nothing seen is never `verified`. Design: reads the report only, so that it can be checked against it.

use std::fmt::Write as _;

use schemars::JsonSchema;
use serde::Serialize;

use super::beside::UNSPECIFIED;
use super::phrases::{percent, share, span};
use super::{ExceptionView, FlowCounts, Verification};
use crate::time::readable;
use crate::wording::many;

/// What the answer is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Every flow passed the hop.
    Verified,
    /// Some did not.
    Exceptions,
    /// It cannot be said.
    #[default]
    Unknown,
}

/// Entries of what hides flows that the sentence names; the report lists all.
const MOST_HIDDEN: usize = 3;

/// The answer, and the sentence.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Conclusion {
    /// What it is.
    pub outcome: Outcome,
    /// In a sentence.
    pub text: String,
}

impl Conclusion {
    /// From a report that is complete but for this; `asked`: the workloads as they were written.
    pub(super) fn new(report: &Verification, asked: &[String]) -> Self {
        let hop = &report.question.through.name;
        let FlowCounts { total, verified, bypassed, partial, .. } = report.flows;
        if bypassed + partial > 0 {
            let text = format!(
                "{}: {verified} of {} verified{}",
                exceptions(report),
                many(total, "flow"),
                unobservable(report)
            );
            return Self { outcome: Outcome::Exceptions, text };
        }
        if total == 0 {
            return Self { outcome: Outcome::Unknown, text: nothing(report, asked) };
        }
        let hidden = hidden(report);
        let counted = format!("{verified} of {} verified{}", many(total, "flow"), unobservable(report));
        if verified == 0 || !hidden.is_empty() {
            let but = if hidden.is_empty() { String::new() } else { format!("; but {}", hidden.join("; ")) };
            let text = format!("unknown whether every flow passed hop {hop}: {counted}{but}");
            return Self { outcome: Outcome::Unknown, text };
        }
        let lost = lost(report).map(|lost| format!("; {lost}")).unwrap_or_default();
        Self { outcome: Outcome::Verified, text: format!("no flow bypassed hop {hop}: {counted}{lost}") }
    }
}

/// `3 flows bypassed hop vpn, to 2 destinations; 1 flow passed it only in part`.
fn exceptions(report: &Verification) -> String {
    let hop = &report.question.through.name;
    let FlowCounts { bypassed, partial, .. } = report.flows;
    let places = |of: fn(&ExceptionView) -> u64| report.exceptions.iter().filter(|e| of(e) > 0).count();
    let more = if report.exceptions_omitted > 0 { "more than " } else { "" };
    let to = places(|exception| exception.bypassed);
    let left = format!(
        "{} bypassed hop {hop}, to {more}{}",
        many(bypassed, "flow"),
        many(to.try_into().unwrap_or(u64::MAX), "destination")
    );
    match (bypassed, partial) {
        (0, _) => format!("{} passed hop {hop} only in part", many(partial, "flow")),
        (_, 0) => left,
        _ => format!("{left}; {} passed it only in part", many(partial, "flow")),
    }
}

/// `; 0.2 % of flows unobservable: capture loss on br-app 14:02:11`.
fn unobservable(report: &Verification) -> String {
    let count = report.flows.unobservable;
    if count == 0 {
        return String::new();
    }
    let reasons = report.unobservable.iter().map(|reason| {
        let place = match &reason.observation_points[..] {
            [] => String::new(),
            points => format!(" on {}", points.join(", ")),
        };
        format!("{}{place} {}", reason.text, span(reason.first_seen, Some(reason.last_seen)))
    });
    let share = percent(count, report.flows.total);
    format!("; {share} of flows unobservable: {}", reasons.collect::<Vec<_>>().join("; "))
}

/// What may hide flows that passed elsewhere; empty where nothing does.
fn hidden(report: &Verification) -> Vec<String> {
    let most = report.question.max_unobservable_percent;
    let mut hidden = Vec::new();
    if share(report.flows.unobservable, report.flows.total) > most {
        hidden.push(format!("more than {most} % are unobservable"));
    } else if share(report.flows.unobservable_bytes, report.flows.bytes) > most {
        hidden.push(format!("more than {most} % of the bytes are unobservable"));
    }
    let entries = report.not_seen.iter().filter(|not| not.hides).map(|not| match &not.fix {
        Some(fix) => format!("{} ({fix})", not.text),
        None => not.text.clone(),
    });
    hidden.extend(entries.take(MOST_HIDDEN));
    let more = report.not_seen.iter().filter(|not| not.hides).count().saturating_sub(MOST_HIDDEN);
    if more > 0 {
        hidden.push(format!("{more} more such {}", if more == 1 { "entry" } else { "entries" }));
    }
    if report.not_seen_omitted > 0 {
        hidden.push(format!("{} in which something was not seen", many(report.not_seen_omitted, "more window")));
    }
    hidden
}

/// `12 packets were lost on br-app 14:02:11`.
fn lost(report: &Verification) -> Option<String> {
    let losses: Vec<_> = report.not_seen.iter().filter(|not| not.what == "loss").collect();
    let first = losses.first()?;
    let more =
        if losses.len() > 1 { format!(", and {} more", many(losses.len() as u64 - 1, "time")) } else { String::new() };
    Some(format!("{}{more}", first.text))
}

/// Nothing was seen, and why that may be.
fn nothing(report: &Verification, asked: &[String]) -> String {
    let mut text = format!("nothing can be said: no flow of {} was seen", asked.join(", "));
    if let Some(lasted) = report.lasted() {
        let _ = write!(text, " in {}", readable(lasted));
    }
    let why = match &report.workloads[..] {
        [] if report.question.workloads.iter().all(|selector| selector.matches_bare_address(UNSPECIFIED).is_some()) => {
            return text;
        }
        [] if report.names.is_empty() => "no such workload ran".to_owned(),
        [] => format!("no such workload ran; there are {}", some(&report.names)),
        seen => {
            let unseen: Vec<_> = report.not_seen.iter().filter(|not| not.what == "network").collect();
            match (unseen.first(), seen.first()) {
                (Some(first), _) => first.text.clone(),
                (None, Some(one)) if one.workload.observation == "watched" => format!(
                    "{} was watched at {}, and sent nothing to {}",
                    one.workload.name,
                    one.workload.observation_points.join(", "),
                    report.question.to.join(", ")
                ),
                (None, Some(one)) if one.workload.observation == "no_traffic" => {
                    format!("{} has no network, or did not run", one.workload.name)
                }
                _ => "it is not known where its traffic passes".to_owned(),
            }
        }
    };
    let _ = write!(text, " ({why})");
    text
}

/// The first names.
fn some(names: &[String]) -> String {
    const MOST: usize = 12;
    let more = names.len().saturating_sub(MOST);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("{}{more}", names.iter().take(MOST).map(String::as_str).collect::<Vec<_>>().join(", "))
}
