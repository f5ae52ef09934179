//! The panes under the table: the latest alerts, or the selected row.
//!
//! Contract: an alert is one line; the details say who the workload is, and of each of its latest flows where to and how that is known.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line as Text, Span};
use ratatui::widgets::{Block, Borders, Paragraph};

use super::Top;
use super::format::{clock, count, safe};
use super::state::Line;
use super::style::{BAD, BOLD, DIM, WARN};
use super::table::network;
use crate::alert::Alert;
use crate::detect::Severity;
use crate::engine::FlowLine;
use crate::input::Workload;
use crate::path::Verdict;

/// Columns of the longest text that is worth a line.
const WIDE: usize = 400;

/// The latest alerts, the newest first.
pub(super) fn alerts(top: &Top, frame: &mut Frame<'_>, area: Rect) {
    if area.height == 0 {
        return;
    }
    let alerts = &top.snapshot.workloads.alerts;
    let shown = alerts.iter().take(usize::from(area.height));
    let mut lines: Vec<Text<'_>> = shown.map(|alert| alert_line(alert)).collect();
    if lines.is_empty() {
        lines.push(Text::styled("none so far", DIM));
    }
    let block = Block::new().borders(Borders::TOP).title("latest alerts");
    frame.render_widget(Paragraph::new(lines).block(block), area);
}

fn alert_line(alert: &Alert) -> Text<'static> {
    let style = match alert.severity {
        Severity::Critical | Severity::High => BAD,
        Severity::Medium => WARN,
        Severity::Low => Style::new(),
    };
    let who = alert.workload.as_ref().map_or("no workload known", |workload| &workload.name);
    let place = alert.destinations.first().map(|end| end.endpoint.to_string());
    let place = place.or_else(|| alert.flow.as_ref().map(|flow| flow.resp.endpoint.to_string())).unwrap_or_default();
    let more = alert.destinations.len().saturating_sub(1) as u64 + alert.destinations_omitted;
    let more = if more > 0 { format!(" +{more}") } else { String::new() };
    let times = if alert.count > 1 { format!(" {}x", count(alert.count)) } else { String::new() };
    Text::from(vec![
        Span::raw(clock(alert.last_seen)),
        Span::styled(format!(" {:8} ", alert.severity.as_str().to_uppercase()), style),
        Span::styled(alert.rule, BOLD),
        Span::raw(format!(" {}{}{place}{more}{times}", safe(who, 40), if place.is_empty() { "" } else { " → " })),
        Span::styled(format!("  {}", alert.title), DIM),
    ])
}

/// The selected row.
pub(super) fn details(top: &Top, frame: &mut Frame<'_>, area: Rect) {
    let Some(line) = top.current() else {
        frame.render_widget(Paragraph::new("no row is selected"), area);
        return;
    };
    let mut lines = Vec::new();
    if let Some(workload) = &line.row.workload {
        lines.extend(identity(line, workload));
    }
    lines.push(totals(line));
    lines.extend(line.row.latest.iter().map(|flow| flow_line(flow)));
    let block = Block::new().borders(Borders::TOP).title(safe(line.name(), 60));
    frame.render_widget(Paragraph::new(lines).block(block), area);
}

fn field(label: &str, value: &str) -> Text<'static> {
    Text::from(vec![Span::styled(format!("{label:9}"), DIM), Span::raw(safe(value, WIDE))])
}

fn identity(line: &Line, workload: &Workload) -> Vec<Text<'static>> {
    let pid = workload.pid.map(|pid| format!(", pid {pid}")).unwrap_or_default();
    let mut lines = vec![
        field("id", &format!("{} ({}{pid}), network {}", workload.id.short(), workload.runtime, network(line))),
        field("image", &workload.image),
        field("digest", &workload.image_digest),
    ];
    if let Some(pod) = &workload.pod {
        lines.push(field("pod", &format!("{}/{}", pod.namespace, pod.name)));
    }
    if let (Some(project), Some(service)) = (workload.compose_project(), workload.compose_service()) {
        lines.push(field("service", &format!("{project}/{service}")));
    }
    for attachment in &workload.attachments {
        let addresses: Vec<_> = attachment.addresses.iter().map(ToString::to_string).collect();
        let mac = attachment.mac.map(|mac| format!(" {mac}")).unwrap_or_default();
        let veth = attachment.host_interface.as_ref().map(|veth| format!(" on {veth}")).unwrap_or_default();
        lines.push(field("address", &format!("{}: {}{mac}{veth}", attachment.network, addresses.join(" "))));
    }
    lines
}

fn totals(line: &Line) -> Text<'static> {
    let tally = &line.row.tally;
    let how: Vec<_> = tally.how.iter().map(|(how, n)| format!("{} {}", how.as_str(), count(*n))).collect();
    let [exact, likely, ambiguous] = tally.confidence.map(count);
    let text = format!(
        "{} flows, {}B in, {}B out; attributed: {exact} exactly, {likely} likely, {ambiguous} ambiguously ({})",
        count(tally.flows),
        count(tally.bytes_in),
        count(tally.bytes_out),
        if how.is_empty() { "-".to_owned() } else { how.join(", ") },
    );
    field("so far", &text)
}

fn flow_line(flow: &FlowLine) -> Text<'static> {
    let verdict = flow.verdict.map_or_else(|| "no contract".to_owned(), |verdict| verdict.to_string());
    let style = match flow.verdict {
        Some(Verdict::Bypassed) => BAD,
        Some(Verdict::Unobservable(_) | Verdict::Partial) => WARN,
        Some(Verdict::Verified) | None => Style::new(),
    };
    let mut known = match (flow.how, flow.confidence) {
        (Some(how), Some(confidence)) => format!("by {}, {}", how.as_str(), confidence.as_str()),
        (None, Some(confidence)) => confidence.as_str().to_owned(),
        _ => String::new(),
    };
    if let Some(why) = flow.why {
        known += &format!(": {}", why.as_str());
    }
    let ends = format!(
        " {} {} → {} {} {} on {}  ",
        safe(&flow.source, 30),
        flow.tuple.orig,
        safe(&flow.responder, 30),
        flow.tuple.resp,
        flow.tuple.protocol,
        safe(flow.point.as_str(), 16),
    );
    Text::from(vec![
        Span::raw(clock(flow.at)),
        Span::raw(ends),
        Span::styled(verdict, style),
        Span::styled(format!("  {known}"), DIM),
    ])
}
