//! A judged flow for a person.
//!
//! Contract: one line, and in the long form below it what the verdict rests on; control characters that a sender chose are shown as escapes. Without a
//! width (a pipe) lines stay whole. Limits: columns line up for names and addresses of usual length.

use std::fmt::Write as _;

use owo_colors::{OwoColorize as _, Style};

use super::FlowLine;
use crate::escape::printable;
use crate::layout::hang;

/// How much is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detail {
    /// With what the verdict rests on.
    Long,
    /// One line.
    Compact,
}

/// Where the text behind time and verdict begins.
const INDENT: &str = "                            ";
/// Above the first line.
pub const HEAD: &str = "time (UTC)    verdict       flow\n";

/// A line or a few, each with its line break.
pub fn render(line: &FlowLine, detail: Detail, columns: Option<usize>) -> String {
    let clock = line.first_seen.readable_clock();
    let clock = clock.trim_end_matches(" UTC");
    let verdict = format!("{:<12}", line.verdict.replace('_', " "));
    let first = format!("{clock}  {}  ", verdict.style(colour(line.verdict)));
    let mut text = hang(&first, INDENT, &what(line), columns) + "\n";
    if detail == Detail::Long {
        for reason in why(line) {
            text += &(hang(INDENT, &format!("{INDENT}  "), &reason, columns) + "\n");
        }
    }
    text
}

/// `web → 198.51.100.7:443 tcp api.example.com, contract egress, around proxy`.
fn what(line: &FlowLine) -> String {
    let (orig, resp) = (line.flow.orig.endpoint, line.flow.resp.endpoint);
    let protocol = line.flow.protocol;
    let who = line.workload.as_ref().map_or_else(
        || format!("{} ({})", orig.shown(protocol), line.attribution.result),
        |workload| printable(&workload.name),
    );
    let mut text = format!("{who} → {} {}", resp.shown(protocol), line.flow.protocol_name);
    if let Some(workload) = &line.destination_workload {
        let _ = write!(text, " {}", printable(&workload.name));
    }
    if let Some(name) = &line.name {
        let _ = write!(text, " {}", printable(name));
    }
    if let Some(contract) = &line.contract {
        let _ = write!(text, ", contract {}", printable(contract));
    }
    if let Some(hop) = &line.missing_hop {
        let _ = write!(text, ", around {}", printable(&hop.name()));
    } else if !line.passed.is_empty() {
        let _ = write!(text, ", through {}", printable(&line.passed.join(", ")));
    }
    if let Some(reason) = line.reason {
        let _ = write!(text, ", {}", reason.as_str());
    }
    if let Some(before) = line.revised_from {
        let _ = write!(text, " (was {before})");
    }
    if !line.answered {
        text.push_str(", no answer yet");
    }
    text
}

/// What the verdict rests on, and what would make it better.
fn why(line: &FlowLine) -> Vec<String> {
    let evidence = line.evidence.iter().map(|evidence| format!("{}: {}", evidence.kind, printable(&evidence.text)));
    evidence.chain(line.reason.map(|reason| format!("to see more: {}", reason.fix()))).collect()
}

fn colour(verdict: &str) -> Style {
    match verdict {
        "bypassed" => Style::new().red().bold(),
        "partial" | "unobservable" => Style::new().yellow(),
        "verified" => Style::new().green(),
        _ => Style::new().dimmed(),
    }
}
