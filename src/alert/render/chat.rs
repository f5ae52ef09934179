//! An alert as a message to people: Slack, Microsoft Teams, PagerDuty, ntfy.
//!
//! Contract: pure; a body is within its receiver's limits. A container's name is the attacker's text: it cannot mention anybody, and is
//! no link and no markup. Source: the receivers' documentation of incoming webhooks, Workflows, Events API v2 and publishing as JSON.

#[cfg(test)]
mod tests;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::encoding::Sensor;
use crate::alert::Alert;
use crate::detect::Severity;
use crate::escape::printable;
use crate::wording::many;

/// Characters of a title.
const TITLE: usize = 250;
/// Characters of a text: Slack's section takes 3,000, ntfy 4,096 bytes in all.
const TEXT: usize = 2_000;
/// Characters of PagerDuty's summary.
const SUMMARY: usize = 1_024;

/// Whose form a message has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Template {
    /// The alert in the sink's `encoding`.
    #[default]
    Plain,
    /// Slack's incoming webhooks.
    Slack,
    /// A Workflow of Microsoft Teams.
    Teams,
    /// PagerDuty's Events API v2; needs `key_file`.
    Pagerduty,
    /// ntfy; needs `topic`.
    Ntfy,
}

/// A message of Slack.
pub fn slack(alert: &Alert, sensor: &Sensor) -> Value {
    let escaped = |text: &str| text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let (title, text) = (escaped(&cut(&title(alert), TITLE)), escaped(&cut(&text(alert, sensor), TEXT)));
    json!({
        "text": title,
        "blocks": [
            {"type": "header", "text": {"type": "plain_text", "text": cut(&title_of(alert), 150)}},
            {"type": "section", "text": {"type": "plain_text", "text": cut(&text, 3_000)}},
            {"type": "context", "elements": [{"type": "mrkdwn", "text": slack_link(alert)}]},
        ],
    })
}

fn slack_link(alert: &Alert) -> String {
    alert.url().map_or_else(|| alert.rule.to_owned(), |url| format!("<{url}|{}>", alert.rule))
}

/// An adaptive card of Teams.
pub fn teams(alert: &Alert, sensor: &Sensor) -> Value {
    let text = escape_markdown(&cut(&text(alert, sensor), TEXT));
    let card = json!({
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "body": [
            {"type": "TextBlock", "size": "Medium", "weight": "Bolder", "wrap": true, "text": escape_markdown(&cut(&title(alert), TITLE))},
            {"type": "TextBlock", "wrap": true, "text": text},
        ],
        "actions": alert.url().map(|url| json!({"type": "Action.OpenUrl", "title": alert.rule, "url": url})).into_iter().collect::<Vec<_>>(),
    });
    json!({
        "type": "message",
        "attachments": [{"contentType": "application/vnd.microsoft.card.adaptive", "content": card}],
    })
}

/// An event of PagerDuty; the receiver's own key is added when it is sent.
pub fn pagerduty(alert: &Alert, sensor: &Sensor) -> Value {
    json!({
        "event_action": if alert.ended { "resolve" } else { "trigger" },
        "dedup_key": alert.id,
        "client": "hopwatch",
        "client_url": alert.url(),
        "links": alert.url().map(|url| json!({"href": url, "text": alert.rule})).into_iter().collect::<Vec<_>>(),
        "payload": {
            "summary": cut(&title(alert), SUMMARY),
            "source": sensor.host,
            "severity": match alert.severity {
                Severity::Low => "info",
                Severity::Medium => "warning",
                Severity::High => "error",
                Severity::Critical => "critical",
            },
            "timestamp": alert.last_seen,
            "component": alert.workload.as_ref().map(|workload| printable(&workload.name)),
            "class": alert.rule,
            "custom_details": {"text": cut(&text(alert, sensor), TEXT), "count": alert.count, "id": alert.id},
        },
    })
}

/// A message of ntfy.
pub fn ntfy(alert: &Alert, sensor: &Sensor, topic: &str) -> Value {
    let mut message = json!({
        "topic": topic,
        "title": cut(&title(alert), TITLE),
        "message": cut(&text(alert, sensor), TEXT / 2),
        "priority": match alert.severity {
            Severity::Low => 2,
            Severity::Medium => 3,
            Severity::High => 4,
            Severity::Critical => 5,
        },
        "tags": ["hopwatch", alert.severity.as_str()],
    });
    if let Some(url) = alert.url() {
        message["click"] = url.into();
    }
    message
}

/// `HIGH: traffic skips the proxy: shop-web`.
pub fn title(alert: &Alert) -> String {
    let whose = alert.workload.as_ref().map(|workload| format!(": {}", printable(&workload.name))).unwrap_or_default();
    format!("{}: {}{whose}", alert.severity.as_str().to_uppercase(), alert.title)
}

fn title_of(alert: &Alert) -> String {
    format!("{}: {}", alert.severity.as_str().to_uppercase(), alert.title)
}

/// Where, how to see all of it there, who, to where, against which contract, how it is known, what to do.
pub fn text(alert: &Alert, sensor: &Sensor) -> String {
    let mut lines = vec![
        format!("on {} at {}, seen {}", sensor.host, alert.last_seen.readable(), many(alert.count, "time")),
        format!("there: hopwatch alerts show {}", alert.id),
    ];
    if alert.can_be_responded_to() {
        lines.push(format!("respond: hopwatch respond {}", alert.id));
    }
    if let Some(workload) = &alert.workload {
        let short = workload.id.get(..12).unwrap_or(&workload.id);
        lines.push(format!("container {} ({short}), image {}", workload.name, workload.image));
    }
    let to: Vec<_> = alert.destinations.iter().take(5).map(|to| to.endpoint.shown(to.protocol)).collect();
    if !to.is_empty() {
        let more = (alert.destinations.len() - to.len()) as u64 + alert.destinations_omitted;
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        lines.push(format!("to {}{more}", to.join(", ")));
    }
    if let Some(contract) = &alert.contract {
        let verdict = alert.verdict.as_ref().map_or("", |verdict| verdict.verdict);
        lines.push(format!("contract {contract}: {verdict}"));
    }
    lines.extend(alert.evidence.iter().take(5).map(|evidence| format!("[{}] {}", evidence.kind, evidence.text)));
    lines.extend(alert.response.iter().enumerate().map(|(number, step)| format!("{}. {step}", number + 1)));
    lines.iter().map(|line| printable(line)).collect::<Vec<_>>().join("\n")
}

/// Not more than so many characters.
fn cut(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    let kept: String = text.chars().take(most.saturating_sub(1)).collect();
    kept + "…"
}

/// Nothing of it is markup, a link or an image.
fn escape_markdown(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut safe, c| {
        if matches!(c, '\\' | '`' | '*' | '_' | '[' | ']' | '(' | ')' | '<' | '>' | '#' | '~' | '|' | '!') {
            safe.push('\\');
        }
        safe.push(c);
        safe
    })
}
