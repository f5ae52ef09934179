//! Flow records as IPFIX messages, one after the other: into a file (RFC 5655 without its options), or to a collector.
//!
//! Contract: each message is handed over by one write, so that what writes datagrams sends each as one. Limits: those of what it writes to. Design: the same
//! trait as the forms of text have, so that all have the same records.

use std::io::{self, Write};

use super::{Carrier, Content, Exporter, Judged, Record};
use crate::export::FlowWriter;
use crate::flow::community_id;
use crate::input::{EndReason, FlowRecord};
use crate::names::KnownName;
use crate::time::Timestamp;

impl Exporter {
    /// Writes the messages that are whole, each by one write.
    pub fn hand_over(&mut self, out: &mut impl Write) -> io::Result<()> {
        while let Some(message) = self.take() {
            out.write_all(&message)?;
        }
        Ok(())
    }
}

/// Writes messages.
#[derive(Debug)]
pub(in crate::export) struct Ipfix<W> {
    out: W,
    exporter: Exporter,
}

impl<W: Write> Ipfix<W> {
    pub(in crate::export) const fn new(out: W, carrier: Carrier, enterprise: u32) -> Self {
        Self { out, exporter: Exporter::new(Content::Flows, carrier, enterprise) }
    }
}

impl<W: Write> FlowWriter for Ipfix<W> {
    fn record(
        &mut self,
        at: Timestamp,
        record: &FlowRecord,
        reason: EndReason,
        name: Option<&KnownName>,
    ) -> io::Result<()> {
        self.exporter.push(
            at,
            &Record {
                start: record.start,
                end: record.end,
                tuple: record.tuple,
                orig: (record.orig.counters.packets, record.orig.counters.ip_bytes),
                resp: (record.resp.counters.packets, record.resp.counters.ip_bytes),
                tcp: record.tcp,
                end_reason: Some(reason),
                point: record.point.as_str(),
                community_id: &community_id(&record.tuple, 0),
                name: name.map_or("", |known| &*known.name),
                judged: Judged::default(),
            },
        );
        self.exporter.hand_over(&mut self.out)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.exporter.flush();
        self.exporter.hand_over(&mut self.out)?;
        self.out.flush()
    }

    fn finish(&mut self) -> io::Result<()> {
        self.exporter.finish();
        self.exporter.hand_over(&mut self.out)?;
        self.out.flush()
    }
}
