//! JSON Lines: one record a line, `hopwatch.flow/1`.
//!
//! Contract: every line is a JSON object that fits `docs/flow.schema.json`; escapes keep
//! out what a terminal obeys.

use std::io::{self, Write};

use super::FlowWriter;
use super::lines::Lines;
use super::record::FlowLine;
use crate::escape::json;
use crate::input::{EndReason, FlowRecord};
use crate::names::KnownName;
use crate::time::Timestamp;

/// Writes JSON Lines.
#[derive(Debug)]
pub(super) struct Jsonl<W>(Lines<W>);

impl<W: Write> Jsonl<W> {
    pub(super) fn new(out: W) -> Self {
        Self(Lines::new(out))
    }
}

impl<W: Write> FlowWriter for Jsonl<W> {
    fn record(
        &mut self,
        _: Timestamp,
        record: &FlowRecord,
        reason: EndReason,
        name: Option<&KnownName>,
    ) -> io::Result<()> {
        json::to_writer(self.0.buffer(), &FlowLine::new(record, reason, name))?;
        self.0.end_line()
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }

    fn finish(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}
