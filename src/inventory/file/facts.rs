//! `facts.jsonl`: one fact a line, `{"schema":"hopwatch.fact/1","at":"…","fact":{…}}`.
//!
//! Contract: what the writer appends, the reader gives back equal and in order; empty lines are skipped, an unknown schema
//! is refused. Limits: a line of [`MAX_LINE`] bytes. Design: a line is complete or not there: each is written in one call.

use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{FactsError, MAX_LINE, Wrong};
use crate::input::{Fact, Input, RecordedFact};
use crate::time::Timestamp;

/// The schema that each line names.
pub const FACT_SCHEMA: &str = "hopwatch.fact/1";
const EXPECTED: &str = "a fact like {\"schema\":\"hopwatch.fact/1\",\"at\":\"2026-11-24T10:00:00Z\",\"fact\":{…}}";

#[derive(Serialize)]
struct LineOut<'a> {
    schema: &'static str,
    at: Timestamp,
    fact: &'a RecordedFact,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LineIn {
    schema: String,
    at: Timestamp,
    fact: RecordedFact,
}

pub(super) fn parse(bytes: &[u8]) -> Result<Vec<Input>, Wrong> {
    let mut inputs = Vec::new();
    for (number, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
        let number = number + 1;
        if line.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        if line.len() > MAX_LINE {
            let reason = format!("{} bytes are more than {MAX_LINE}", line.len());
            return Err(Wrong { line: number, column: 1, expected: EXPECTED, reason });
        }
        let read: LineIn = serde_json::from_slice(line).map_err(|error| Wrong::json(number, EXPECTED, &error))?;
        if read.schema != FACT_SCHEMA {
            let reason = format!("schema {:?} is not known", read.schema);
            return Err(Wrong { line: number, column: 1, expected: EXPECTED, reason });
        }
        inputs.push(Input::new(read.at, Fact::Recorded(read.fact)));
    }
    Ok(inputs)
}

/// Appends facts to a file, one a line.
#[derive(Debug)]
pub struct FactsWriter {
    path: PathBuf,
    out: BufWriter<File>,
}

impl FactsWriter {
    /// Opens the file for appending, and makes it if it is not there.
    pub fn append(path: &Path) -> Result<Self, FactsError> {
        let opened = OpenOptions::new().create(true).append(true).open(path);
        let file = opened.map_err(|source| FactsError::Write { path: path.to_owned(), source })?;
        Ok(Self { path: path.to_owned(), out: BufWriter::new(file) })
    }

    /// Appends one fact; it is on disk after [`Self::flush`].
    pub fn write(&mut self, at: Timestamp, fact: &RecordedFact) -> Result<(), FactsError> {
        let line = serde_json::to_vec(&LineOut { schema: FACT_SCHEMA, at, fact });
        let written = line.map_err(std::io::Error::from).and_then(|mut line| {
            line.push(b'\n');
            self.out.write_all(&line)
        });
        written.map_err(|source| self.failed(source))
    }

    /// Hands everything written so far to the system.
    pub fn flush(&mut self) -> Result<(), FactsError> {
        self.out.flush().map_err(|source| self.failed(source))
    }

    fn failed(&self, source: std::io::Error) -> FactsError {
        FactsError::Write { path: self.path.clone(), source }
    }
}
