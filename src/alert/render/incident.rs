//! An incident as text: its steps in order, with the time of each.
//!
//! Contract: one block when it is first written, two lines whenever it has grown. Everything from a runtime is escaped. Limits: none of its own;
//! an incident lists a bounded number of steps.

use std::fmt::Write as _;

use owo_colors::OwoColorize as _;

use super::text::severity_style;
use crate::escape::printable;
use crate::incident::{Incident, Step};
use crate::layout::hang;
use crate::wording::many;

/// The block for a new incident, or the lines for one that has grown, for a terminal of so many columns.
pub fn incident(incident: &Incident, columns: Option<usize>) -> String {
    let mut text = head(incident, columns);
    if incident.update > 0 {
        if let Some(last) = incident.steps.last() {
            let _ = writeln!(text, "{}", hang("  ", "    ", &format!("last {}", line(last)), columns));
        }
        return text;
    }
    for (number, step) in incident.steps.iter().enumerate() {
        let _ = writeln!(text, "{}", hang(&format!("  {:>2}. ", number + 1), "      ", &line(step), columns));
    }
    text
}

fn head(incident: &Incident, columns: Option<usize>) -> String {
    let badge = format!(" {} ", incident.severity.as_str().to_uppercase());
    let steps = incident.steps.len() as u64 + incident.steps_omitted;
    let subject = incident.service.as_ref().map_or_else(|| "the host".to_owned(), |service| printable(service));
    let head = format!(
        "{} {}  {}, {} to {}  {}",
        badge.style(severity_style(incident.severity).reversed()),
        format!("Incident: {subject}").bold(),
        many(steps, "step"),
        incident.first_seen.readable(),
        incident.last_seen.readable(),
        incident.id.dimmed()
    );
    hang("", "  ", &head, columns) + "\n"
}

fn line(step: &Step) -> String {
    let who = step.workload.as_ref().map(|name| format!("{} ", printable(name))).unwrap_or_default();
    let rule = step.rule.map(|rule| format!("  {}", rule.dimmed())).unwrap_or_default();
    let text = printable(&step.text);
    let text = match step.severity {
        Some(severity) => text.style(severity_style(severity)).to_string(),
        None => text,
    };
    format!("{} {who}{text}{rule}", step.at.readable())
}
