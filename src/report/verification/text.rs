//! The answer for a person.
//!
//! Contract: what was asked, what was watched, every exception that is listed, what could not be seen, and last the conclusion. Text of runtimes
//! is escaped. Times are UTC. Design: always styled; the stream that it is written to (anstream) strips colours where they do not belong.

use std::fmt::Write as _;

use owo_colors::{OwoColorize, Style};

use super::conclusion::Outcome;
use super::phrases::{clock, span};
use super::{ExceptionView, HopAsked, NotSeen, Source, Verification, WorkloadSeen};
use crate::escape::printable;
use crate::layout::hang;
use crate::time::readable;
use crate::wording::many;

const LABEL: usize = 13;
/// Lines of a kind; JSON has more.
const MOST: usize = 20;

impl Verification {
    /// The whole report; `asked`: the workloads as they were written.
    pub fn text(&self, asked: &[String], columns: Option<usize>) -> String {
        let mut page = Page { text: String::new(), columns };
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
        page.text
    }

    fn watched(&self) -> String {
        let observed = &self.observed;
        let from = match observed.source {
            Source::Live => "this host",
            Source::Recording => "a recording",
        };
        let when = observed.from.zip(observed.until).map(|(from, until)| {
            let day = from.to_string();
            let lasted = readable(until.since(from));
            format!(", {} {} ({lasted})", day.get(..10).unwrap_or_default(), span(from, Some(until)))
        });
        let points: Vec<_> =
            observed.observation_points.iter().filter(|p| p.relevant).map(|p| p.name.as_str()).collect();
        let at =
            if points.is_empty() { "nowhere that matters".to_owned() } else { format!("at {}", points.join(", ")) };
        let lost = if observed.lost > 0 { format!(", {} lost", observed.lost) } else { String::new() };
        format!("{from}{}; {}{lost}; {at}", when.unwrap_or_default(), many(observed.packets, "packet"))
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
            Some(blind) => format!("{}: blind, {}; {}", evidence.kind.as_str(), blind.why, blind.fix),
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
    let fix = not.fix.as_ref().map(|fix| format!("; {fix}"));
    format!("{}{}", not.text, fix.unwrap_or_default())
}

struct Page {
    text: String,
    columns: Option<usize>,
}

impl Page {
    fn line(&mut self, label: &str, text: &str) {
        self.indented(label, 0, text);
    }

    /// A line further to the right, which goes on below itself.
    fn indented(&mut self, label: &str, indent: usize, text: &str) {
        let (first, rest) = (format!("{:LABEL$}{:indent$}", label.dimmed(), ""), " ".repeat(LABEL + indent + 2));
        let rest = if indent == 0 { " ".repeat(LABEL) } else { rest };
        let _ = writeln!(self.text, "{}", hang(&first, &rest, &printable(text), self.columns));
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
                let (from, to) = (flow.orig.shown(exception.protocol), flow.resp.shown(exception.protocol));
                let ends = format!("{from} → {to} {}", exception.protocol_name);
                let at = clock(flow.at);
                let id = &flow.community_id;
                self.indented("", 2, &format!("{at} {who} {ends}, {}, {answer}, at {points}, {id}", flow.verdict));
                for evidence in &flow.evidence {
                    self.indented("", 4, &format!("[{}] {}", evidence.kind, evidence.text));
                }
            }
            if exception.flows_omitted > 0 {
                self.indented("", 2, &format!("and {} more", many(exception.flows_omitted, "flow")));
            }
        }
        let rest = report.exceptions.iter().skip(MOST).map(|exception| exception.count).sum::<u64>();
        let rest = rest + report.exceptions_omitted;
        if rest > 0 {
            self.line("", &format!("and {} to further destinations", many(rest, "flow")));
        }
    }

    fn conclusion(&mut self, report: &Verification) {
        let style = match report.conclusion.outcome {
            Outcome::Verified => Style::new().green(),
            Outcome::Exceptions => Style::new().red(),
            Outcome::Unknown => Style::new().yellow(),
        };
        let text = printable(&report.conclusion.text).style(style.bold()).to_string();
        let _ = writeln!(self.text, "\n{}", hang("", "", &text, self.columns));
    }
}

/// `198.51.100.10:80 tcp: 2 flows (2 bypassed), 13:17:43`.
fn exception_line(exception: &ExceptionView) -> String {
    let counts = [("bypassed", exception.bypassed), ("partial", exception.partial)];
    let counts = counts.iter().filter(|(_, n)| *n > 0).map(|(what, n)| format!("{n} {what}")).collect::<Vec<_>>();
    let when = span(exception.first_seen, Some(exception.last_seen));
    let to = exception.destination.shown(exception.protocol);
    format!("{to} {}: {}, {when}", exception.protocol_name, counts.join(", "))
}
