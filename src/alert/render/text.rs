//! An alert for a person: what happened, to whom, why we say so, what to do.
//!
//! Contract: a block an alert, one line an update. Control characters in the runtime's text are shown as escapes.
//! Design: always styled; the stream that it is written to (anstream) strips colours where they do not belong.

use std::fmt::Write as _;

use owo_colors::{OwoColorize, Style};

use crate::alert::{Alert, AlertFlow, AttributionInfo, HopKind, MissingHop, Translated};
use crate::detect::Severity;
use crate::escape::printable;

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
    if let Some(who) = who(alert) {
        line("who", who.style(style).to_string());
    }
    if let Some(flow) = &alert.flow {
        line("to where", to_where(alert, flow));
        line("flow", flow_line(flow));
    }
    if let Some(translated) = alert.flow.as_ref().and_then(|flow| flow.translated.as_ref()) {
        line("behind NAT", translated_line(translated));
    }
    if let Some(hop) = &alert.missing_hop {
        line(if alert.flow.is_some() { "skipped" } else { "hop" }, hop_line(hop));
    }
    if let Some(kept) = contract_line(alert, style) {
        line("contract", kept);
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
    let destinations = match alert.destinations.len() {
        0 => String::new(),
        count => format!(", {count}{more} destinations"),
    };
    let flow =
        alert.flow.as_ref().map(|flow| format!(", first flow {} bytes out, {} back", flow.orig.bytes, flow.resp.bytes));
    format!(
        "{} {}{}: {} times now{destinations}{}, last {}  {}\n",
        format!(" {} ", alert.severity.as_str().to_uppercase()).style(severity_style(alert.severity)),
        alert.rule,
        subject(alert),
        alert.count,
        flow.unwrap_or_default(),
        alert.last_seen,
        format!("update {} of {}", alert.update, alert.id).dimmed(),
    )
}

/// Whom or which hop an update is about.
fn subject(alert: &Alert) -> String {
    let hop = || alert.missing_hop.as_ref().map(|hop| printable(&hop.name()));
    who(alert).or_else(hop).map(|subject| format!(" {subject}")).unwrap_or_default()
}

/// Whom it is about; `None` where it is about no workload and no flow.
fn who(alert: &Alert) -> Option<String> {
    let Some(workload) = &alert.workload else {
        let address = alert.flow.as_ref()?.orig.endpoint.ip;
        return Some(format!("{address} (no workload known)"));
    };
    let short = workload.id.get(..12).unwrap_or(&workload.id);
    let service =
        workload.compose.as_ref().map(|c| format!(", service {}/{}", c.project, c.service)).unwrap_or_default();
    Some(printable(&format!("{} ({short}, image {}{service})", workload.name, workload.image)))
}

/// `gateway vpn (172.20.0.2 (vpn-1))`.
fn hop_line(hop: &MissingHop) -> String {
    let Some(kind) = hop.kind else { return "no path is allowed".bold().to_string() };
    let kind = if kind == HopKind::Endpoint { String::new() } else { format!("{} ", kind.as_str()) };
    let expected = if hop.expected.is_empty() { String::new() } else { format!(" ({})", hop.expected.join(", ")) };
    format!("{kind}{}{}", printable(&hop.name()).bold(), printable(&expected))
}

/// `egress-through-vpn: unobservable (hop_not_ready)`.
fn contract_line(alert: &Alert, style: Style) -> Option<String> {
    let contract = printable(alert.contract.as_ref()?);
    let Some(verdict) = &alert.verdict else { return Some(contract) };
    let reason = verdict.reason.map(|reason| format!(" ({reason})")).unwrap_or_default();
    Some(format!("{contract}: {}{reason}", verdict.verdict.style(style)))
}

fn translated_line(translated: &Translated) -> String {
    format!("{} -> {}, {}", translated.orig, translated.resp, translated.community_id)
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
