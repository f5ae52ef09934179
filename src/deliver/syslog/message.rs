//! A message of RFC 5424.
//!
//! Contract: the parts of the header are within their lengths and printable ASCII; values of the structured data are escaped.

use std::fmt::Write as _;

use crate::alert::Alert;
use crate::alert::render::chat;
use crate::alert::render::encoding::Sensor;
use crate::config::{SyslogDestination, SyslogTransport};
use crate::detect::Severity;
use crate::escape::printable;
use crate::time::Timestamp;

/// What begins the structured data, up to the enterprise number.
const DATA: &str = "[hopwatch@";

/// The message of an alert; `encoded` is the text, or none for one that a person reads. Sockets of the host get the older form, in which
/// the structured data begin the text: journald and rsyslog parse nothing else there.
pub fn message(alert: &Alert, encoded: Option<&[u8]>, sensor: &Sensor, to: &SyslogDestination) -> Vec<u8> {
    let priority = u32::from(to.facility) * 8 + severity(alert.severity);
    let process = std::process::id();
    let mut text = if matches!(to.transport, SyslogTransport::Unix(_)) {
        format!("<{priority}>{} hopwatch[{process}]: ", older_time(alert.last_seen))
    } else {
        let (time, host, rule) = (time(alert.last_seen), word(&sensor.host, 255), word(alert.rule, 32));
        format!("<{priority}>1 {time} {host} hopwatch {process} {rule} ")
    };
    let _ = write!(text, "{DATA}{}", to.enterprise);
    for (name, value) in data(alert) {
        let _ = write!(text, " {name}=\"{}\"", escaped(&value));
    }
    text.push_str("] ");
    let mut text = text.into_bytes();
    match encoded {
        Some(encoded) => text.extend_from_slice(encoded),
        None => text.extend_from_slice(readable(alert, sensor).as_bytes()),
    }
    text
}

/// With six digits of a second, the most that RFC 5424 allows.
fn time(at: Timestamp) -> String {
    let text = at.to_string();
    format!("{}.{:06}Z", text.get(..19).unwrap_or("-"), at.as_nanos().rem_euclid(1_000_000_000) / 1000)
}

/// `Nov 29 07:55:28` (RFC 3164), in UTC; the readers of these sockets take their own time.
fn older_time(at: Timestamp) -> String {
    let at = jiff::Timestamp::from_nanosecond(i128::from(at.as_nanos())).unwrap_or_default();
    at.strftime("%b %e %H:%M:%S").to_string()
}

fn data(alert: &Alert) -> Vec<(&'static str, String)> {
    let mut data = vec![
        ("id", alert.id.clone()),
        ("update", alert.update.to_string()),
        ("rule", alert.rule.to_owned()),
        ("severity", alert.severity.as_str().to_owned()),
    ];
    if let Some(workload) = &alert.workload {
        data.push(("workload", workload.name.clone()));
        data.push(("container", workload.id.clone()));
    }
    if let Some(flow) = &alert.flow {
        data.push(("src", flow.orig.endpoint.ip.to_string()));
        data.push(("dst", flow.resp.endpoint.shown(flow.protocol)));
    }
    data.extend(alert.contract.iter().map(|contract| ("contract", contract.clone())));
    data.extend(alert.verdict.iter().map(|verdict| ("verdict", verdict.verdict.to_owned())));
    data
}

fn readable(alert: &Alert, sensor: &Sensor) -> String {
    format!("{}; {}", chat::title(alert), chat::text(alert, sensor).replace('\n', "; "))
}

/// Printable ASCII without spaces, within a length; `-` for nothing.
fn word(text: &str, most: usize) -> String {
    let word: String = text.chars().filter(char::is_ascii_graphic).take(most).collect();
    if word.is_empty() { "-".to_owned() } else { word }
}

fn escaped(value: &str) -> String {
    printable(value).replace('\\', "\\\\").replace('"', "\\\"").replace(']', "\\]")
}

/// Cut to its length, and marked where it may be there already.
pub fn marked(message: &[u8], maybe_taken: bool, max_bytes: usize) -> Vec<u8> {
    let mark: &[u8] = b" redelivered=\"true\"";
    let start = message.windows(DATA.len()).position(|part| part == DATA.as_bytes()).filter(|_| maybe_taken);
    let name_end =
        start.and_then(|start| message.iter().skip(start).position(|byte| *byte == b' ').map(|end| start + end));
    let mut marked = match name_end.map(|at| message.split_at(at)) {
        Some((before, after)) => [before, mark, after].concat(),
        None => message.to_vec(),
    };
    if marked.len() > max_bytes {
        marked.truncate(max_bytes);
        // No half character.
        while std::str::from_utf8(&marked).is_err_and(|error| error.error_len().is_none()) {
            marked.pop();
        }
    }
    marked
}

const fn severity(severity: Severity) -> u32 {
    match severity {
        Severity::Critical => 2,
        Severity::High => 3,
        Severity::Medium => 4,
        Severity::Low => 5,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repetition_is_marked_and_a_long_message_is_cut_between_characters() {
        let message = "<132>1 - h hopwatch 1 r [hopwatch@32473 id=\"a\"] é";
        let again = String::from_utf8(marked(message.as_bytes(), true, 1000)).expect("text");
        assert_eq!(again, "<132>1 - h hopwatch 1 r [hopwatch@32473 redelivered=\"true\" id=\"a\"] é");
        assert_eq!(marked(message.as_bytes(), false, message.len()), message.as_bytes());
        assert_eq!(marked(message.as_bytes(), false, message.len() - 1), message.as_bytes()[..message.len() - 2]);
    }

    #[test]
    fn header_words_and_values_cannot_break_out() {
        assert_eq!(
            (word("my host\n", 255), word("é", 9), word("abcdef", 3)),
            ("myhost".into(), "-".into(), "abc".into())
        );
        assert_eq!(escaped("a\"]\\\n"), "a\\\"\\]\\\\\\\\u{a}");
    }
}
