//! Inventory from files: our facts, the output of `docker inspect` as it is, or of `hopwatch inventory --format json`.
//!
//! Contract: a file is read whole or refused with the line, the column and what was expected there. Limits: [`MAX_FILE`]
//! bytes, [`MAX_LINE`] bytes per line of facts. `docker inspect` says what is, not since when: its workloads are undated, and
//! its inputs carry [`UNDATED_AT`], which lies before every capture.
//! Design: the first value decides which of the three it is; nothing is guessed from the file's name. UTF-16 with its mark is read, too.

mod facts;
mod inspect;
mod snapshot;
mod unknown;

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

pub use self::facts::{FACT_SCHEMA, fact_line, fact_schema};
pub use self::snapshot::{INVENTORY_SCHEMA, InventoryFile};
use crate::input::Input;
use crate::inventory::configuration::{Redaction, ShownLabels};
use crate::spelling::nearest;
use crate::time::Timestamp;

/// When the facts of an undated snapshot are put: 1970-01-01T00:00:00Z, before every capture.
pub const UNDATED_AT: Timestamp = Timestamp::from_nanos(0);
/// A whole `docker inspect` of five thousand containers is a tenth of it.
pub const MAX_FILE: u64 = 512 * 1024 * 1024;
/// One fact: a workload with all its labels is some kilobytes.
pub const MAX_LINE: usize = 4 * 1024 * 1024;

/// Why a facts file was refused.
#[derive(Debug, thiserror::Error)]
pub enum FactsError {
    /// It cannot be opened or read.
    #[error("cannot read {path}; check that it exists and may be read: {source}")]
    Read {
        /// Which file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// Larger than is read.
    #[error("{path} is larger than {limit} bytes; split it, or leave out what no capture needs")]
    TooLarge {
        /// Which file.
        path: PathBuf,
        /// The bound.
        limit: u64,
    },
    /// A place that is not what it must be.
    #[error("{path}:{line}:{column}: expected {expected}: {reason}")]
    Wrong {
        /// Which file.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
        /// Column in bytes, from 1.
        column: usize,
        /// What belongs there.
        expected: &'static str,
        /// What is wrong with what is there.
        reason: String,
    },
}

/// What a file holds.
#[derive(Debug, Default, PartialEq)]
pub struct FactsFile {
    /// In the order of the file.
    pub inputs: Vec<Input>,
    /// The last line, with this number, is cut off and left out.
    pub cut: Option<usize>,
    /// Keys that this version does not know, in words: each with its place, how often, and the nearest one that it knows.
    pub unknown: Vec<String>,
}

/// Something wrong at a place, before the file's name is added.
#[derive(Debug)]
struct Wrong {
    line: usize,
    column: usize,
    expected: &'static str,
    reason: String,
}

impl Wrong {
    /// From a JSON error in a text that begins at this line.
    fn json(first_line: usize, expected: &'static str, error: &serde_json::Error) -> Self {
        let line = first_line + error.line().saturating_sub(1);
        let text = error.to_string();
        let place = format!(" at line {} column {}", error.line(), error.column());
        let reason = without_text(text.strip_suffix(&place).unwrap_or(&text));
        Self { line, column: error.column().max(1), expected, reason }
    }
}

/// A reason of `serde_json` without the text that it found: `invalid type: string "…", expected a map` may quote a label's value.
fn without_text(reason: &str) -> String {
    let reason = &with_nearest(reason);
    let quoted = reason.find(": string \"").zip(reason.rfind("\", expected ")).filter(|(from, to)| from < to);
    match quoted {
        Some((from, to)) => format!("{}: text{}", &reason[..from], &reason[to + 1..]),
        None => reason.to_owned(),
    }
}

/// A reason of `serde` that lists what is known, with the nearest of that: `unknown variant `inventry`, expected one of …`.
fn with_nearest(reason: &str) -> String {
    let mut words = reason.split('`').skip(1).step_by(2);
    let near = words.next().filter(|_| reason.starts_with("unknown ")).and_then(|word| nearest(word, words));
    near.map_or_else(|| reason.to_owned(), |near| format!("{reason}; did you mean `{near}`?"))
}

/// Reads a file of facts, of whichever of the three kinds it is, in the order of the file. Of the output of `docker inspect`, these labels
/// are shown beside those that are known to hold no secret; in the other kinds everything is as who wrote them left it.
pub fn read_facts(path: &Path, shown: &ShownLabels) -> Result<FactsFile, FactsError> {
    let failed = |source| FactsError::Read { path: path.to_owned(), source };
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(failed)?;
    file.take(MAX_FILE + 1).read_to_end(&mut bytes).map_err(failed)?;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > MAX_FILE {
        return Err(FactsError::TooLarge { path: path.to_owned(), limit: MAX_FILE });
    }
    let redaction = Redaction { key: None, shown: shown.clone() };
    parse(&bytes, &redaction).map_err(|Wrong { line, column, expected, reason }| {
        let path = path.to_owned();
        FactsError::Wrong { path, line, column, expected, reason }
    })
}

/// The first value decides the kind: an array, or an object with an `Id`, is `docker inspect`; another object names its schema.
fn parse(bytes: &[u8], redaction: &Redaction) -> Result<FactsFile, Wrong> {
    let whole = |inputs| FactsFile { inputs, ..FactsFile::default() };
    if let Some(text) = from_utf16(bytes)? {
        return parse(text.as_bytes(), redaction);
    }
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    match bytes.iter().find(|byte| !byte.is_ascii_whitespace()) {
        None => Ok(FactsFile::default()),
        Some(b'[') => inspect::parse(bytes, redaction).map(whole),
        Some(_) if inspect::is_object(bytes) => inspect::parse(bytes, redaction).map(whole),
        Some(_) if is_inventory(bytes) => snapshot::parse(bytes),
        Some(_) => facts::parse(bytes),
    }
}

/// The text of a file that begins with the mark of UTF-16, as Windows PowerShell writes it.
fn from_utf16(bytes: &[u8]) -> Result<Option<String>, Wrong> {
    let (rest, is_little) = match bytes {
        [0xff, 0xfe, rest @ ..] => (rest, true),
        [0xfe, 0xff, rest @ ..] => (rest, false),
        _ => return Ok(None),
    };
    let (pairs, odd) = rest.as_chunks::<2>();
    let unit = |pair: &[u8; 2]| if is_little { u16::from_le_bytes(*pair) } else { u16::from_be_bytes(*pair) };
    let text: Result<String, _> = char::decode_utf16(pairs.iter().map(unit)).collect();
    let text = text.ok().filter(|_| odd.is_empty());
    let reason = || "its mark says UTF-16, and it is not; save the file as UTF-8".to_owned();
    text.map(Some).ok_or_else(|| Wrong { line: 1, column: 1, expected: "text", reason: reason() })
}

/// Whether the first value is the object of `hopwatch inventory`; it may be spread over many lines.
fn is_inventory(bytes: &[u8]) -> bool {
    #[derive(serde::Deserialize)]
    struct Head {
        schema: String,
    }
    let mut values = serde_json::Deserializer::from_slice(bytes).into_iter::<Head>();
    matches!(values.next(), Some(Ok(head)) if head.schema == INVENTORY_SCHEMA)
}

#[cfg(test)]
mod tests;
