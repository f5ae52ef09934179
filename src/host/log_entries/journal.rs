//! Lines of `journalctl -o json --all`: one entry each.
//!
//! Contract: only fields that journald or systemd itself added decide: those that begin with `_`, and others of an entry by journald
//! (`_TRANSPORT=driver`) or by process 1. A field may be a text, bytes as numbers, several of them, or null where it was too long. Limits: the number in
//! the cursor grows by one with each entry of a journal; a jump is entries that are gone, or that this user may not read.
//! Source: systemd.journal-fields(7), `sd-messages.h`.

use serde::Deserialize;
use serde_json::{Map, Value};

use super::daemon;
use crate::input::{HostLog, HostLogEntry, LogAct, LogActor};
use crate::time::Timestamp;

/// `SD_MESSAGE_JOURNAL_START`, `_STOP`, `_DROPPED`, `SD_MESSAGE_UNIT_STARTED`, `_STOPPED`, `_FAILED`.
const JOURNAL_START: &str = "f77379a8490b408bbe5f6940505a777b";
const JOURNAL_STOP: &str = "d93fb3c9c24d451a97cea615ce59c00b";
const JOURNAL_DROPPED: &str = "a596d6fe7bfa4994828e72309e95d61e";
const UNIT_STARTED: &str = "39f53479d3a045ac8e11786248231fbf";
const UNIT_STOPPED: &str = "9d1aaa27d60140bd96365438aad20286";
const UNIT_FAILED: &str = "be02cf6855d2428ba40df7e9d022f03d";

/// What one line holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JournalLine {
    /// Where it stands; given back to `journalctl`, reading goes on there.
    pub cursor: String,
    /// The journal (`s=` of the cursor), and the entry's number in it.
    pub number: Option<(String, u64)>,
    /// What it says of recording.
    pub entry: Option<HostLogEntry>,
}

/// Reads a line; `None` where it is no entry.
pub fn journal_line(line: &[u8]) -> Option<JournalLine> {
    #[derive(Deserialize)]
    #[serde(transparent)]
    struct Line(Map<String, Value>);
    let Line(fields) = serde_json::from_slice(line).ok()?;
    let cursor = text(&fields, "__CURSOR").filter(|cursor| is_cursor(cursor))?;
    let at = text(&fields, "__REALTIME_TIMESTAMP")?.parse::<i64>().ok()?.checked_mul(1000)?;
    let number = number_of(&cursor);
    let entry = act(&fields).map(|act| HostLogEntry {
        log: HostLog::Journal,
        at: Timestamp::from_nanos(at),
        act,
        by: actor(&fields),
    });
    Some(JournalLine { cursor, number, entry })
}

/// A cursor is handed to a program.
fn is_cursor(text: &str) -> bool {
    text.len() <= 512 && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"=;".contains(&byte))
}

fn number_of(cursor: &str) -> Option<(String, u64)> {
    let part = |name: &str| cursor.split(';').find_map(|part| part.strip_prefix(name)?.strip_prefix('='));
    Some((part("s")?.to_owned(), u64::from_str_radix(part("i")?, 16).ok()?))
}

fn act(fields: &Map<String, Value>) -> Option<LogAct> {
    let message = text(fields, "MESSAGE_ID")?;
    let journald = || "journald".to_owned();
    if text(fields, "_TRANSPORT").as_deref() == Some("driver") {
        return Some(match message.as_str() {
            JOURNAL_START => LogAct::Started { daemon: journald() },
            JOURNAL_STOP => LogAct::Stopped { daemon: journald() },
            JOURNAL_DROPPED => LogAct::Dropped { count: text(fields, "N_DROPPED")?.parse().ok()? },
            _ => return None,
        });
    }
    if text(fields, "_PID").as_deref() != Some("1") {
        return None;
    }
    let unit = daemon(&text(fields, "UNIT")?)?.to_owned();
    Some(match message.as_str() {
        UNIT_STARTED => LogAct::Started { daemon: unit },
        UNIT_STOPPED | UNIT_FAILED => LogAct::Stopped { daemon: unit },
        _ => return None,
    })
}

/// The process that wrote the entry, by journald's word.
fn actor(fields: &Map<String, Value>) -> Option<LogActor> {
    let number = |name: &str| text(fields, name).and_then(|text| text.parse().ok());
    let program = text(fields, "_EXE").map(|path| path.chars().take(256).collect());
    let login = number("_AUDIT_LOGINUID").filter(|login| *login != u32::MAX);
    let by = LogActor { login, uid: number("_UID"), pid: number("_PID"), program };
    Some(by).filter(|by| *by != LogActor::default())
}

/// A field as text; of several values the first.
fn text(fields: &Map<String, Value>, name: &str) -> Option<String> {
    as_text(fields.get(name)?)
}

fn as_text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Array(list) if list.first().is_some_and(Value::is_number) => {
            let bytes: Option<Vec<u8>> = list.iter().map(|byte| byte.as_u64()?.try_into().ok()).collect();
            Some(String::from_utf8_lossy(&bytes?).into_owned())
        }
        Value::Array(list) => list.first().and_then(as_text),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(fields: &str) -> Option<JournalLine> {
        let head = r#""__CURSOR":"s=ab12;i=1f;b=cd;m=1;t=2;x=3","__REALTIME_TIMESTAMP":"1795000000243000""#;
        journal_line(format!("{{{head},{fields}}}").as_bytes())
    }

    fn act_of(fields: &str) -> Option<LogAct> {
        line(fields).expect("an entry").entry.map(|entry| entry.act)
    }

    #[test]
    fn what_journald_and_systemd_say_of_daemons_is_read() {
        let stopped = format!(
            r#""_TRANSPORT":"journal","_PID":"1","_UID":"0","_EXE":"/usr/lib/systemd/systemd","MESSAGE_ID":"{UNIT_STOPPED}","UNIT":"rsyslog.service""#
        );
        let read = line(&stopped).expect("an entry");
        assert_eq!(read.number, Some(("ab12".to_owned(), 0x1f)));
        let entry = read.entry.expect("about a daemon");
        assert_eq!(entry.act, LogAct::Stopped { daemon: "rsyslogd".to_owned() });
        assert_eq!(entry.by.expect("somebody").to_string(), "/usr/lib/systemd/systemd, pid 1, uid 0");
        let dropped = format!(r#""_TRANSPORT":"driver","MESSAGE_ID":"{JOURNAL_DROPPED}","N_DROPPED":"47""#);
        assert_eq!(act_of(&dropped), Some(LogAct::Dropped { count: 47 }));
        let journald = format!(r#""_TRANSPORT":["driver"],"MESSAGE_ID":"{JOURNAL_STOP}""#);
        assert_eq!(act_of(&journald), Some(LogAct::Stopped { daemon: "journald".to_owned() }));
    }

    #[test]
    fn what_anybody_may_write_is_not_believed() {
        for fields in [
            format!(r#""_TRANSPORT":"journal","_PID":"4711","MESSAGE_ID":"{UNIT_STOPPED}","UNIT":"rsyslog.service""#),
            format!(
                r#""_TRANSPORT":"syslog","_PID":"4711","MESSAGE_ID":"{JOURNAL_STOP}","SYSLOG_IDENTIFIER":"systemd-journald""#
            ),
            format!(r#""_TRANSPORT":"journal","_PID":"1","MESSAGE_ID":"{UNIT_STOPPED}","UNIT":"shop.service""#),
            r#""MESSAGE":null,"_PID":[49]"#.to_owned(),
        ] {
            assert_eq!(act_of(&fields), None, "{fields}");
        }
    }

    #[test]
    fn a_line_without_a_cursor_and_one_that_is_cut_are_none() {
        for text in ["", "{", "[]", r#"{"MESSAGE":"x"}"#, r#"{"__CURSOR":"--help x","__REALTIME_TIMESTAMP":"1"}"#] {
            assert_eq!(journal_line(text.as_bytes()), None, "{text}");
        }
    }
}
