//! An alert for a person: what happened, to whom, why we say so, what to do.
//!
//! Contract: a block per alert, one paragraph per update, both within the terminal's width. Characters that a terminal obeys are shown as escapes.
//! Times are UTC, to the millisecond. Limits: [`SHOWN_DESTINATIONS`] and the evidence of a terminal; JSON has all.
//! Design: always styled; the stream that it is written to (anstream) strips colours where they do not belong.

use std::fmt::Write as _;

use owo_colors::{OwoColorize, Style};

use super::anomaly;
use crate::alert::{Alert, AlertFlow, AttributionInfo, Destination, FrameSender, HopKind, MissingHop, Translated};
use crate::detect::Severity;
use crate::escape::printable;
use crate::input::Protocol;
use crate::layout::hang;
use crate::wording::many;

const LABEL_WIDTH: usize = 12;
/// Destinations shown in a block; JSON has all that are listed.
const SHOWN_DESTINATIONS: usize = 5;

/// The block for a new alert, or the lines for an update, for a terminal of so many columns.
pub fn render(alert: &Alert, columns: Option<usize>) -> String {
    if alert.update == 0 { block(alert, columns) } else { update(alert, columns) }
}

fn block(alert: &Alert, columns: Option<usize>) -> String {
    let mut text = String::new();
    let style = severity_style(alert.severity);
    let head = format!("{} {}  {}", badge(alert, style.reversed()), alert.title.bold(), alert.rule.dimmed());
    let _ = writeln!(text, "{}", hang("", "  ", &head, columns));
    let mut line = |label: &str, value: String| {
        let label = format!("  {:LABEL_WIDTH$}", label.dimmed());
        let _ = writeln!(text, "{}", hang(&label, &" ".repeat(LABEL_WIDTH + 2), &value, columns));
    };
    line("when", alert.first_seen.readable());
    if let Some(who) = who(alert) {
        line("who", who.style(style).to_string());
    }
    if let Some(flow) = &alert.flow {
        line("to where", to_where(alert, flow));
        line("flow", flow_line(flow));
    }
    if let Some((translated, flow)) = alert.flow.as_ref().and_then(|flow| Some((flow.translated.as_ref()?, flow))) {
        line("behind NAT", translated_line(translated, flow));
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
    for blind in &alert.blind_spots {
        line("not seen", printable(&blind.text));
    }
    for (label, text) in anomaly::lines(alert) {
        line(label, printable(&text));
    }
    if let Some(attribution) = &alert.attribution {
        line("attribution", printable(&how_known(attribution)));
    }
    if let Some(sender) = alert.sender.as_ref().map(|sender| sender_line(sender)).filter(|said| !said.is_empty()) {
        line("sender", printable(&sender));
    }
    for (number, step) in alert.response.iter().enumerate() {
        line(if number == 0 { "do next" } else { "" }, format!("{}. {}", number + 1, printable(step)));
    }
    line(
        "more",
        format!("hopwatch rules explain {}  {}", alert.rule, techniques(alert).dimmed()).trim_end().to_owned(),
    );
    if let Some(bundle) = &alert.bundle {
        line("evidence", format!("hopwatch evidence show {}", alert.id));
        line("", format!("hopwatch replay {}", printable(&bundle.path)));
        if alert.can_be_responded_to() {
            line("respond", format!("hopwatch respond {}", alert.id));
        }
    }
    line("id", alert.id.dimmed().to_string());
    text
}

/// What is new since the last line of this alert.
fn update(alert: &Alert, columns: Option<usize>) -> String {
    let times = if alert.count == 1 { "once".to_owned() } else { many(alert.count, "time") };
    let mut text = format!(
        "{} {}{}: {times}, last {}",
        badge(alert, severity_style(alert.severity)),
        alert.rule,
        subject(alert),
        alert.last_seen.readable()
    );
    let new = &alert.destinations[alert.destinations.len().saturating_sub(alert.destinations_new)..];
    if !new.is_empty() {
        let _ = write!(text, "; new {}", ends(new).bold());
    }
    if let Some(why) = &alert.anomaly {
        let _ = write!(text, "; {}", printable(&why.observed));
    }
    if let Some(over) = alert.evidence.iter().rev().find(|evidence| evidence.kind == "over") {
        let _ = write!(text, "; over: {}", printable(&over.text));
    }
    if let Some(flow) = &alert.flow {
        let (out, back) = (many(flow.orig.bytes, "byte"), many(flow.resp.bytes, "byte"));
        let _ = write!(text, "; first flow {out} out, {back} back");
    }
    let of = format!("update {} of {}", alert.update, alert.id);
    hang("", "        ", &format!("{text}  {}", of.dimmed()), columns) + "\n"
}

fn badge(alert: &Alert, style: Style) -> String {
    format!(" {} ", alert.severity.as_str().to_uppercase()).style(style).to_string()
}

/// Which workload or which hop an update is about.
fn subject(alert: &Alert) -> String {
    let hop = || alert.missing_hop.as_ref().map(|hop| printable(&hop.name()));
    who(alert).or_else(hop).map(|subject| format!(" {subject}")).unwrap_or_default()
}

/// Whom it is about; `None` where it is about no workload and no flow.
fn who(alert: &Alert) -> Option<String> {
    let Some(workload) = &alert.workload else {
        if let Some(actor) = &alert.actor {
            return Some(printable(&anomaly::actor(actor)));
        }
        let address = alert.flow.as_ref()?.orig.endpoint.ip;
        return Some(format!("{address} (no workload known)"));
    };
    let short = workload.id.get(..12).unwrap_or(&workload.id);
    let service =
        workload.compose.as_ref().map(|c| format!(", service {}/{}", c.project, c.service)).unwrap_or_default();
    Some(printable(&format!("{} ({short}, image {}{service})", workload.name, workload.image)))
}

/// `gateway vpn: 172.20.0.2 (vpn-1)`.
fn hop_line(hop: &MissingHop) -> String {
    let Some(kind) = hop.kind else { return "no path is allowed".bold().to_string() };
    let kind = if kind == HopKind::Endpoint { String::new() } else { format!("{} ", kind.as_str()) };
    let expected = if hop.expected.is_empty() { String::new() } else { format!(": {}", hop.expected.join(", ")) };
    format!("{kind}{}{}", printable(&hop.name()).bold(), printable(&expected))
}

/// `egress-through-vpn: unobservable (hop_not_ready)`.
fn contract_line(alert: &Alert, style: Style) -> Option<String> {
    let contract = printable(alert.contract.as_ref()?);
    let Some(verdict) = &alert.verdict else { return Some(contract) };
    let reason = verdict.reason.map(|reason| format!(" ({reason})")).unwrap_or_default();
    Some(format!("{contract}: {}{reason}", verdict.verdict.style(style)))
}

fn translated_line(translated: &Translated, flow: &AlertFlow) -> String {
    let (from, to) = (translated.orig.shown(flow.protocol), translated.resp.shown(flow.protocol));
    format!("{from} -> {to}, {}", translated.community_id)
}

fn to_where(alert: &Alert, flow: &AlertFlow) -> String {
    let shown = alert.destinations.get(..SHOWN_DESTINATIONS).unwrap_or(&alert.destinations);
    let mut text = ends(shown);
    if text.is_empty() {
        text = end(&flow.resp.endpoint.shown(flow.protocol), flow.protocol);
    }
    let more = (alert.destinations.len() - shown.len()) as u64 + alert.destinations_omitted;
    if more > 0 {
        let _ = write!(text, " and {more} more");
    }
    text.bold().to_string()
}

/// `198.51.100.10:80 tcp, 198.51.100.11 icmp`.
fn ends(destinations: &[Destination]) -> String {
    let all = destinations.iter().map(|to| end(&to.endpoint.shown(to.protocol), to.protocol) + &name(to));
    all.collect::<Vec<_>>().join(", ")
}

/// ` (www.example, by dns)`.
fn name(destination: &Destination) -> String {
    let known = destination.name.as_deref().zip(destination.name_known_by);
    known.map_or_else(String::new, |(name, by)| format!(" ({}, by {})", printable(name), by.as_str()))
}

fn end(place: &str, protocol: Protocol) -> String {
    format!("{place} {}", keyword(protocol))
}

/// A protocol by its keyword where people know it by that: GRE, not IP protocol 47. JSON has the number.
fn keyword(protocol: Protocol) -> String {
    match protocol.0 {
        2 => "igmp".to_owned(),
        4 => "ipip".to_owned(),
        41 => "ipv6-in-ip".to_owned(),
        47 => "gre".to_owned(),
        50 => "esp".to_owned(),
        51 => "ah".to_owned(),
        _ => protocol.to_string(),
    }
}

fn flow_line(flow: &AlertFlow) -> String {
    let points: Vec<_> = flow.observation_points.iter().map(ToString::to_string).collect();
    let (out, back) = (&flow.orig, &flow.resp);
    printable(&format!(
        "{} -> {}, {} {} out, {} {} back, seen at {}, {}",
        out.endpoint.shown(flow.protocol),
        back.endpoint.shown(flow.protocol),
        many(out.packets, "packet"),
        many(out.bytes, "byte"),
        many(back.packets, "packet"),
        many(back.bytes, "byte"),
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

/// `curl (pid 4242, by its socket), over vethab12, MAC 02:42:ac:11:00:02; the address is forged, it belongs to web`.
fn sender_line(sender: &FrameSender) -> String {
    let process = sender.process.as_ref().map(|process| {
        let pid = process.pid.map(|pid| format!("pid {pid}, ")).unwrap_or_default();
        format!("{} ({pid}{})", process.command, process.how.as_str())
    });
    let interface = sender.interface.as_ref().map(|interface| format!("over {interface}"));
    let mac = sender.mac.map(|mac| format!("MAC {mac}"));
    let mut text = [process, interface, mac].into_iter().flatten().collect::<Vec<_>>().join(", ");
    if sender.forged {
        let whose = sender.address_of.as_ref().map(|whose| format!(", it belongs to {whose}")).unwrap_or_default();
        let _ = write!(text, "{}the address is forged{whose}", if text.is_empty() { "" } else { "; " });
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

pub(super) const fn severity_style(severity: Severity) -> Style {
    match severity {
        Severity::Critical | Severity::High => Style::new().red().bold(),
        Severity::Medium => Style::new().yellow().bold(),
        Severity::Low => Style::new().cyan(),
    }
}
