//! The answer for a person.
//!
//! Contract: what was asked, what was looked at, every exception that is listed, what could not be seen, and last the conclusion. Text of runtimes
//! is escaped. Times are UTC. Design: always styled; the stream that it is written to (anstream) strips colours where they do not belong.

use std::fmt::Write as _;

use owo_colors::{OwoColorize, Style};

use super::conclusion::{Outcome, many, rounded};
use super::unseen::{clock, span};
use super::{ExceptionView, HopAsked, NotSeen, Source, Verification, WorkloadSeen};
use crate::escape::printable;

const LABEL: usize = 13;
/// Lines of a kind; JSON has more.
const MOST: usize = 20;

impl Verification {
    /// The whole report; `asked`: the workloads as they were written.
    pub fn text(&self, asked: &[String]) -> String {
        let mut page = Page(String::new());
        let (hop, to) = (&self.question.through, self.question.to.join(", "));
        page.line("asked", &format!("{} to {to}, through {}", asked.join(", "), asked_hop(hop)));
        page.line("watched", &self.watched());
        page.lines("workloads", self.workloads.iter().map(workload_line));
        page.lines("proof", self.proof());
        page.line("flows", &self.counts());
        page.lines(
            "unobservable",
            self.unobservable.iter().map(|reason| {
                let when = span(reason.first_seen, Some(reason.last_seen));
                format!(
                    "{} × {} ({}) at {}, {when}",
                    reason.count,
                    reason.text,
                    reason.reason.as_str(),
                    reason.observation_points.join(", ")
                )
            }),
        );
        page.exceptions(self);
        page.lines("not seen", self.not_seen.iter().map(not_seen_line));
        page.lines("warning", self.warnings.iter().cloned());
        page.conclusion(self);
        page.0
    }

    fn watched(&self) -> String {
        let observed = &self.observed;
        let from = match observed.source {
            Source::Live => "this host",
            Source::Recording => "a recording",
        };
        let when = observed.from.zip(observed.until).map(|(from, until)| {
            let day = from.to_string();
            let lasted = rounded(until.since(from));
            format!(", {} {} UTC ({lasted})", day.get(..10).unwrap_or_default(), span(from, Some(until)))
        });
        let points: Vec<_> =
            observed.observation_points.iter().filter(|p| p.relevant).map(|p| p.name.as_str()).collect();
        let at =
            if points.is_empty() { "nowhere that matters".to_owned() } else { format!("at {}", points.join(", ")) };
        let lost = if observed.lost > 0 { format!(", {} lost", observed.lost) } else { String::new() };
        format!("{from}{}; {} packets{lost}; {at}", when.unwrap_or_default(), observed.packets)
    }

    fn counts(&self) -> String {
        let flows = self.flows;
        format!(
            "{}: verified {}, bypassed {}, partial {}, unobservable {}",
            flows.total, flows.verified, flows.bypassed, flows.partial, flows.unobservable
        )
    }

    fn proof(&self) -> impl Iterator<Item = String> {
        self.hop.evidence.iter().map(|evidence| match &evidence.blind {
            None => format!("{}: {}", evidence.kind.as_str(), evidence.by.join(", ")),
            Some(blind) => format!("{}: blind, {}; {}", evidence.kind.as_str(), blind.why, blind.mend),
        })
    }
}

/// `proxy (endpoint)`.
fn asked_hop(hop: &HopAsked) -> String {
    let kind = format!("{:?}", hop.kind).to_lowercase();
    let ports = if hop.ports.is_empty() { String::new() } else { format!(", port {}", hop.ports.join(", ")) };
    format!("{} ({kind}{ports})", hop.name)
}

fn workload_line(seen: &WorkloadSeen) -> String {
    let short = seen.workload.id.get(..12).unwrap_or(&seen.workload.id);
    let points = seen.workload.observation_points.join(", ");
    let place = match seen.workload.observation {
        "watched" => format!("seen at {points}"),
        "partly" => format!("seen at {points}, but not on each of its networks"),
        "unwatched" => "not seen anywhere".to_owned(),
        "no_traffic" => "without a network, or not running".to_owned(),
        _ => "where it is seen is not known".to_owned(),
    };
    format!("{} ({short}): {}; {place}", seen.workload.name, many(seen.flows, "flow"))
}

fn not_seen_line(not: &NotSeen) -> String {
    let mend = not.mend.as_ref().map(|mend| format!("; {mend}"));
    format!("{}{}", not.text, mend.unwrap_or_default())
}

struct Page(String);

impl Page {
    fn line(&mut self, label: &str, text: &str) {
        let _ = writeln!(self.0, "{:LABEL$}{}", label.dimmed(), printable(text));
    }

    fn lines(&mut self, label: &str, all: impl Iterator<Item = String>) {
        let mut left_out = 0;
        for (number, text) in all.enumerate() {
            if number < MOST {
                self.line(if number == 0 { label } else { "" }, &text);
            } else {
                left_out += 1;
            }
        }
        if left_out > 0 {
            self.line("", &format!("and {left_out} more; --json has them"));
        }
    }

    fn exceptions(&mut self, report: &Verification) {
        for (number, exception) in report.exceptions.iter().take(MOST).enumerate() {
            self.line(if number == 0 { "exceptions" } else { "" }, &exception_line(exception));
            for flow in &exception.flows {
                let who = flow.workload.as_deref().unwrap_or("an unknown owner");
                let answer = if flow.answered { "answered" } else { "not answered" };
                let points = flow.observation_points.join(", ");
                let ends = format!("{} → {} {}", flow.orig, flow.resp, exception.protocol_name);
                let at = clock(flow.at);
                let id = &flow.community_id;
                self.line("", &format!("  {at} {who} {ends}, {}, {answer}, at {points}, {id}", flow.verdict));
                for evidence in &flow.evidence {
                    self.line("", &format!("    [{}] {}", evidence.kind, evidence.text));
                }
            }
            if exception.flows_omitted > 0 {
                self.line("", &format!("  and {} more flows", exception.flows_omitted));
            }
        }
        let rest = report.exceptions.iter().skip(MOST).map(|exception| exception.count).sum::<u64>();
        let rest = rest + report.exceptions_omitted;
        if rest > 0 {
            self.line("", &format!("and {rest} flows to further destinations"));
        }
    }

    fn conclusion(&mut self, report: &Verification) {
        let style = match report.conclusion.outcome {
            Outcome::Verified => Style::new().green(),
            Outcome::Exceptions => Style::new().red(),
            Outcome::Unknown => Style::new().yellow(),
        };
        let _ = writeln!(self.0, "\n{}", printable(&report.conclusion.text).style(style.bold()));
    }
}

/// `198.51.100.10:80 tcp: 2 flows (2 bypassed), 13:17:43`.
fn exception_line(exception: &ExceptionView) -> String {
    let counts = [("bypassed", exception.bypassed), ("partial", exception.partial)];
    let counts = counts.iter().filter(|(_, n)| *n > 0).map(|(what, n)| format!("{n} {what}")).collect::<Vec<_>>();
    let when = span(exception.first_seen, Some(exception.last_seen));
    format!("{} {}: {}, {when}", exception.destination, exception.protocol_name, counts.join(", "))
}
