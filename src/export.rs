//! Flow records for people and programs: `text`, `jsonl`, `csv`, `zeek`, and `ipfix` for collectors.
//!
//! Contract: a writer writes each record once, in the order it is given, and nothing else; two runs over the same records give
//! the same bytes. Text that a sender chose is escaped where a terminal could obey it. Limits: what a form cannot say (CSV and
//! Zeek have no lists of facts) is in `jsonl`, which has everything.
//! Design: one file a form, each over any [`std::io::Write`], buffered by itself; a record is borrowed, never copied.

mod conn;
mod csv;
mod fast_format;
pub mod ipfix;
mod jsonl;
mod lines;
mod record;
mod text;
mod zeek;

pub use record::{FLOW_SCHEMA, json_schema};
pub use zeek::FIELDS as ZEEK_FIELDS;

use std::io::{self, Write};

use crate::input::{EndReason, FlowRecord};
use crate::names::KnownName;
use crate::time::Timestamp;

/// Takes flow records.
pub trait FlowWriter {
    /// A record that ended at `at`, and the name of its responder.
    fn record(
        &mut self,
        at: Timestamp,
        record: &FlowRecord,
        reason: EndReason,
        name: Option<&KnownName>,
    ) -> io::Result<()>;
    /// Hands over what is buffered.
    fn flush(&mut self) -> io::Result<()>;
    /// Writes what comes after the last record, and hands over what is buffered.
    fn finish(&mut self) -> io::Result<()>;
}

/// How flow records are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum FlowFormat {
    /// One line per flow, for a person.
    Text,
    /// JSON Lines, `hopwatch.flow/1`: everything that is known about a flow.
    Jsonl,
    /// Comma-separated values (RFC 4180) with a head line.
    Csv,
    /// Zeek's conn.log, tab-separated.
    Zeek,
    /// IPFIX messages (RFC 7011), for collectors; a file, or --to.
    Ipfix,
}

impl FlowFormat {
    /// A writer of this form; text fits a terminal of so many columns.
    pub fn writer<'a>(self, out: impl Write + 'a, columns: Option<usize>) -> Box<dyn FlowWriter + 'a> {
        match self {
            Self::Text => Box::new(text::Text::new(out, columns)),
            Self::Jsonl => Box::new(jsonl::Jsonl::new(out)),
            Self::Csv => Box::new(csv::Csv::new(out)),
            Self::Zeek => Box::new(zeek::Zeek::new(out)),
            Self::Ipfix => ipfix_writer(out, ipfix::Carrier::Stream, ipfix::EXAMPLE_ENTERPRISE),
        }
    }
}

/// A writer of IPFIX messages, each by one write, with hopwatch's own elements under this enterprise number.
pub fn ipfix_writer<'a>(out: impl Write + 'a, carrier: ipfix::Carrier, enterprise: u32) -> Box<dyn FlowWriter + 'a> {
    Box::new(ipfix::Ipfix::new(out, carrier, enterprise))
}
