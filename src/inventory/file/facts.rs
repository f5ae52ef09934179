//! `facts.jsonl`: one fact a line, `{"schema":"hopwatch.fact/1","at":"…","fact":{…}}`.
//!
//! Contract: what is written as [`fact_line`]s, the reader gives back equal and in order; empty lines are skipped, an unknown schema
//! is refused. A last line that is cut off, as a full disk leaves it, is left out and reported; a cut line elsewhere is an error.
//! Limits: a line of [`MAX_LINE`] bytes.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::unknown::Reader;
use super::{FactsFile, MAX_LINE, Wrong};
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

/// One line of `facts.jsonl`.
#[derive(Deserialize, JsonSchema)]
#[schemars(title = "A line of facts.jsonl")]
struct LineIn {
    /// `hopwatch.fact/1`.
    schema: String,
    /// When it became known.
    at: Timestamp,
    /// What was observed.
    fact: RecordedFact,
}

/// The JSON Schema of a line of `facts.jsonl`.
pub fn fact_schema() -> schemars::Schema {
    schemars::schema_for!(LineIn)
}

pub(super) fn parse(bytes: &[u8]) -> Result<FactsFile, Wrong> {
    let mut file = FactsFile::default();
    let mut reader = Reader::new(fact_schema);
    let lines = bytes.split(|byte| *byte == b'\n').count().saturating_sub(1);
    for (number, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
        let number = number + 1;
        if line.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        if line.len() > MAX_LINE {
            let reason = format!("{} bytes are more than {MAX_LINE}", line.len());
            return Err(Wrong { line: number, column: 1, expected: EXPECTED, reason });
        }
        let read: LineIn = match reader.read(number, line) {
            Ok(read) => read,
            // Behind the last line break, and not the first line: a file that was a file of facts until there.
            Err(error) if error.is_eof() && number > lines && !file.inputs.is_empty() => {
                file.cut = Some(number);
                break;
            }
            Err(error) => return Err(Wrong::json(number, EXPECTED, &error)),
        };
        if read.schema != FACT_SCHEMA {
            let reason = format!("schema {:?} is not known", read.schema);
            return Err(Wrong { line: number, column: 1, expected: EXPECTED, reason });
        }
        file.inputs.push(Input::new(read.at, Fact::Recorded(read.fact)));
    }
    file.unknown = reader.unknown();
    Ok(file)
}

/// A fact as a line of the file, its end included.
pub fn fact_line(at: Timestamp, fact: &RecordedFact) -> serde_json::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(&LineOut { schema: FACT_SCHEMA, at, fact })?;
    line.push(b'\n');
    Ok(line)
}
