//! An alert for a person: what happened, to whom, why we say so, what to do.
//!
//! Contract: a block an alert, one line an update. Control characters in the runtime's text are shown as escapes.
//! Design: always styled; the stream that it is written to (anstream) strips colours where they do not belong.

use std::fmt::Write as _;

use owo_colors::{OwoColorize, Style};

use crate::alert::{Alert, AlertFlow, AttributionInfo};
use crate::detect::Severity;

const LABEL_WIDTH: usize = 12;
/// Destinations shown; JSON has all that are listed.
const SHOWN_DESTINATIONS: usize = 5;

/// The block for a new alert, or the line for an update.
pub fn render(alert: &Alert) -> String {
    if alert.update == 0 { block(alert) } else { update_line(alert) }
}

fn block(alert: &Alert) -> String {
    let mut text = String::new();
    let style = severity_style(alert.severity);
    let badge = format!(" {} ", alert.severity.as_str().to_uppercase());
    let _ = writeln!(text, "{} {}  {}", badge.style(style.reversed()), alert.title.bold(), alert.rule.dimmed());
    let mut line = |label: &str, value: String| {
        let _ = writeln!(text, "  {:LABEL_WIDTH$}{value}", label.dimmed());
    };
    line("when", alert.first_seen.to_string());
    line("who", who(alert).style(style).to_string());
    if let Some(flow) = &alert.flow {
        line("to where", to_where(alert, flow));
        line("flow", flow_line(flow));
    }
    if let Some(hop) = &alert.missing_hop {
        let expected = if hop.expected.is_empty() { String::new() } else { format!(" ({})", hop.expected.join(", ")) };
        let skipped = format!("{}{}", printable(&hop.name).bold(), printable(&expected));
        line("skipped", skipped);
    }
    if let (Some(contract), Some(verdict)) = (&alert.contract, &alert.verdict) {
        line("contract", format!("{contract}: {}", verdict.verdict.style(style)));
    }
    for evidence in &alert.evidence {
        line("evidence", format!("[{}] {}", evidence.kind, printable(&evidence.text)));
    }
    if let Some(attribution) = &alert.attribution {
        line("attribution", printable(&how_known(attribution)));
    }
    for (number, step) in alert.response.iter().enumerate() {
        line(if number == 0 { "do next" } else { "" }, format!("{}. {step}", number + 1));
    }
    line("more", format!("{}  {}", alert.link, techniques(alert).dimmed()));
    line("id", alert.id.dimmed().to_string());
    text
}

fn update_line(alert: &Alert) -> String {
    let more = if alert.destinations_omitted > 0 { "+" } else { "" };
    let destinations = alert.destinations.len();
    let flow =
        alert.flow.as_ref().map(|flow| format!(", first flow {} bytes out, {} back", flow.orig.bytes, flow.resp.bytes));
    format!(
        "{} {} {}: {} times now, {destinations}{more} destinations{}, last {}  {}\n",
        format!(" {} ", alert.severity.as_str().to_uppercase()).style(severity_style(alert.severity)),
        alert.rule,
        who(alert),
        alert.count,
        flow.unwrap_or_default(),
        alert.last_seen,
        format!("update {} of {}", alert.update, alert.id).dimmed(),
    )
}

fn who(alert: &Alert) -> String {
    let Some(workload) = &alert.workload else {
        let address = alert.flow.as_ref().map_or_else(String::new, |flow| flow.orig.endpoint.ip.to_string());
        return format!("{address} (no workload known)");
    };
    let short = workload.id.get(..12).unwrap_or(&workload.id);
    let service =
        workload.compose.as_ref().map(|c| format!(", service {}/{}", c.project, c.service)).unwrap_or_default();
    printable(&format!("{} ({short}, image {}{service})", workload.name, workload.image))
}

fn to_where(alert: &Alert, flow: &AlertFlow) -> String {
    let shown = alert.destinations.iter().take(SHOWN_DESTINATIONS).map(|end| end.endpoint.to_string());
    let mut text = shown.collect::<Vec<_>>().join(", ");
    if text.is_empty() {
        text = flow.resp.endpoint.to_string();
    }
    let more = alert.destinations.len().saturating_sub(SHOWN_DESTINATIONS) as u64 + alert.destinations_omitted;
    if more > 0 {
        let _ = write!(text, " and {more} more");
    }
    format!("{} {}", text.bold(), flow.protocol_name)
}

fn flow_line(flow: &AlertFlow) -> String {
    let points: Vec<_> = flow.observation_points.iter().map(ToString::to_string).collect();
    let (out, back) = (&flow.orig, &flow.resp);
    printable(&format!(
        "{} -> {}, {} packets {} bytes out, {} packets {} bytes back, seen at {}, {}",
        out.endpoint,
        back.endpoint,
        out.packets,
        out.bytes,
        back.packets,
        back.bytes,
        points.join(", "),
        flow.community_id
    ))
}

fn how_known(attribution: &AttributionInfo) -> String {
    let mut text = attribution.result.to_owned();
    if let (Some(how), Some(confidence)) = (attribution.how, attribution.confidence) {
        text = format!("by {}, {}", how.as_str(), confidence.as_str());
    }
    if let Some(why) = attribution.why {
        let _ = write!(text, ": {why}");
    }
    if !attribution.candidates.is_empty() {
        let _ = write!(text, ": {}", attribution.candidates.join(" or "));
    }
    text
}

fn techniques(alert: &Alert) -> String {
    if alert.attack.is_empty() {
        return String::new();
    }
    let one = |t: &crate::alert::Technique| {
        if t.v18 == t.v19 { t.v19.to_owned() } else { format!("{} (v18 {})", t.v19, t.v18) }
    };
    format!("ATT&CK {}", alert.attack.iter().map(one).collect::<Vec<_>>().join(", "))
}

const fn severity_style(severity: Severity) -> Style {
    match severity {
        Severity::Critical | Severity::High => Style::new().red().bold(),
        Severity::Medium => Style::new().yellow().bold(),
        Severity::Low => Style::new().cyan(),
    }
}

/// Whether a terminal may obey a character instead of showing it: control characters, line breaks, bidirectional overrides.
pub(crate) fn is_obeyed(c: char) -> bool {
    c.is_control() || matches!(c, '\u{200e}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// The text with control characters (terminal escapes, line breaks, bidirectional overrides) shown as escapes.
pub fn printable(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut safe, c| {
        if is_obeyed(c) {
            safe.extend(c.escape_unicode());
        } else {
            safe.push(c);
        }
        safe
    })
}

#[cfg(test)]
mod tests {
    use super::printable;

    #[test]
    fn terminal_escapes_in_names_are_shown_not_obeyed() {
        assert_eq!(printable("web\u{1b}[2J\n"), "web\\u{1b}[2J\\u{a}");
        assert_eq!(printable("a\u{202e}b"), "a\\u{202e}b");
        assert_eq!(printable("dépôt-1"), "dépôt-1");
    }
}
