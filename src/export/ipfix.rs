//! Flows as IPFIX messages (RFC 7011), each record a flow with both its directions (RFC 5103).
//!
//! Contract: pure; the same records give the same bytes. Every message is whole and at most as long as its transport takes; the sequence number counts data records
//! of the session; the export time is the latest event time so far. Templates come first, and again for datagrams ([`RESEND_AFTER`], [`RESEND_EVERY`]), since these
//! may be lost (RFC 7011, 8.1 and 10.3.6). Limits: texts of [`element::MAX_TEXT`] bytes; times of milliseconds. Design: one table of fields ([`element`]) is the template and
//! the way a record is written, so the two cannot differ; who sends asks for messages with [`Exporter::take`].

mod element;
#[cfg(test)]
mod tests;
mod writer;

use std::collections::VecDeque;
use std::net::IpAddr;
use std::time::Duration;

pub(super) use writer::Ipfix;

use crate::input::{EndReason, FiveTuple, TcpFacts};
use crate::time::Timestamp;
use element::template;

/// The enterprise number of RFC 5612, which is for documentation: hopwatch has none of its own.
pub const EXAMPLE_ENTERPRISE: u32 = 32_473;
/// Templates of a datagram session are sent again after so many messages.
pub const RESEND_EVERY: u32 = 20;
/// The same after so long, by the export time.
pub const RESEND_AFTER: Duration = Duration::from_mins(10);
/// A datagram that no IPv6 path has to cut into fragments: 1,280 bytes less its headers.
const DATAGRAM: usize = 1_232;
/// A message of a stream or a file; the format allows 65,535.
const STREAM_MESSAGE: usize = 8 * 1024;
/// Version, length, export time, sequence, domain.
const HEADER: usize = 16;
const SET_HEADER: usize = 4;
const VERSION: u16 = 10;
const TEMPLATE_SET: u16 = 2;
/// This process meters in one place; the point of each record stands in the record.
const DOMAIN: u32 = 1;

/// What a session carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// Flow records, when they end.
    Flows,
    /// Flows with their verdicts, when they are judged.
    JudgedFlows,
}

/// By what messages travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carrier {
    /// UDP: messages are short, and templates come again.
    Datagrams,
    /// TCP, or a file.
    Stream,
}

/// One flow, as it is exported.
#[derive(Clone, Debug)]
pub struct Record<'a> {
    /// First packet.
    pub start: Timestamp,
    /// Last packet, or when it was judged.
    pub end: Timestamp,
    /// Originator and responder.
    pub tuple: FiveTuple,
    /// Packets and bytes of IP that the originator sent.
    pub orig: (u64, u64),
    /// The same of the responder.
    pub resp: (u64, u64),
    /// TCP only.
    pub tcp: Option<TcpFacts>,
    /// Why the record ended; of a judged flow `None`.
    pub end_reason: Option<EndReason>,
    /// Where it was seen.
    pub point: &'a str,
    /// Community ID v1.
    pub community_id: &'a str,
    /// The responder's name.
    pub name: &'a str,
    /// What is known of a judged flow.
    pub judged: Judged<'a>,
}

/// What a verdict says; empty texts of what is not known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Judged<'a> {
    /// The verdict.
    pub verdict: &'a str,
    /// Why it is unobservable.
    pub reason: &'a str,
    /// The contract that it is about.
    pub contract: &'a str,
    /// Name of the workload that asked.
    pub workload: &'a str,
    /// Its id.
    pub workload_id: &'a str,
    /// How sure that is.
    pub confidence: &'a str,
    /// Name of the workload that was asked.
    pub destination_workload: &'a str,
    /// The hop that was skipped.
    pub missing_hop: &'a str,
}

/// Makes messages of records.
#[derive(Debug)]
pub struct Exporter {
    content: Content,
    carrier: Carrier,
    enterprise: u32,
    /// The message that is being filled; empty before its first set.
    message: Vec<u8>,
    /// Where the open set of it begins, and of which template it is.
    set: Option<(usize, u16)>,
    /// Data records in it.
    records: u32,
    /// Data records of the session before it.
    sequence: u32,
    /// The latest event time.
    now: Timestamp,
    /// When templates were sent, and how many messages ago; `None`: not yet in this session.
    templates: Option<(Timestamp, u32)>,
    /// Whole messages, and how many records each carries.
    ready: VecDeque<(Vec<u8>, u32)>,
    taken: u32,
}

impl Exporter {
    /// Of a session that has not begun.
    pub const fn new(content: Content, carrier: Carrier, enterprise: u32) -> Self {
        Self {
            content,
            carrier,
            enterprise,
            message: Vec::new(),
            set: None,
            records: 0,
            sequence: 0,
            now: Timestamp::MIN,
            templates: None,
            ready: VecDeque::new(),
            taken: 0,
        }
    }

    /// Adds a record whose event time is `at`; messages that are full can be taken then.
    pub fn push(&mut self, at: Timestamp, record: &Record<'_>) {
        self.now = self.now.max(at);
        let (id, fields) = element::of(self.content, is_v4(&record.tuple));
        let mut data = Vec::with_capacity(256);
        for field in fields {
            field.write(record, &mut data);
        }
        let open = self.set.is_some_and(|(_, open)| open == id);
        let needed = data.len() + if open { 0 } else { SET_HEADER };
        if !self.message.is_empty() && self.message.len() + needed > self.longest() {
            self.close();
        }
        if self.message.is_empty() {
            self.begin();
        }
        if self.set.is_none_or(|(_, open)| open != id) {
            self.end_set();
            self.set = Some((self.message.len(), id));
            self.message.extend(id.to_be_bytes());
            self.message.extend([0; 2]);
        }
        self.message.extend(data);
        self.records += 1;
    }

    /// Closes the message that is being filled.
    pub fn flush(&mut self) {
        if self.records > 0 {
            self.close();
        }
    }

    /// Of a session without records: its templates alone, so that a file of it can be read.
    pub fn finish(&mut self) {
        self.flush();
        if self.templates.is_none() {
            self.send_templates();
        }
    }

    /// The next whole message.
    pub fn take(&mut self) -> Option<Vec<u8>> {
        let (message, records) = self.ready.pop_front()?;
        self.taken = records;
        Some(message)
    }

    /// How many records the message carries that was taken last.
    pub const fn records_taken(&self) -> u32 {
        self.taken
    }

    /// Another session begins, as after a new connection: what is not taken yet is lost, and counted in records.
    pub fn restart(&mut self) -> u64 {
        let lost = self.ready.iter().map(|(_, records)| u64::from(*records)).sum::<u64>() + u64::from(self.records);
        self.ready.clear();
        self.message.clear();
        (self.set, self.records, self.sequence, self.templates) = (None, 0, 0, None);
        lost
    }

    const fn longest(&self) -> usize {
        match self.carrier {
            Carrier::Datagrams => DATAGRAM,
            Carrier::Stream => STREAM_MESSAGE,
        }
    }

    /// Begins a message of data, behind the templates where these are due.
    fn begin(&mut self) {
        let are_due = match (self.templates, self.carrier) {
            (None, _) => true,
            (Some(_), Carrier::Stream) => false,
            (Some((at, messages)), Carrier::Datagrams) => {
                messages >= RESEND_EVERY || self.now.since(at) >= RESEND_AFTER
            }
        };
        if are_due {
            self.send_templates();
        }
        self.message.resize(HEADER, 0);
    }

    fn send_templates(&mut self) {
        let mut message = vec![0; HEADER];
        message.extend(TEMPLATE_SET.to_be_bytes());
        message.extend([0; 2]);
        for is_v4 in [true, false] {
            let (id, fields) = element::of(self.content, is_v4);
            template(id, fields, self.enterprise, &mut message);
        }
        put_length(&mut message, HEADER);
        self.head(&mut message);
        self.ready.push_back((message, 0));
        self.templates = Some((self.now, 0));
    }

    /// The message is whole.
    fn close(&mut self) {
        self.end_set();
        let mut message = std::mem::take(&mut self.message);
        self.head(&mut message);
        let records = std::mem::take(&mut self.records);
        self.sequence = self.sequence.wrapping_add(records);
        if let Some((_, messages)) = &mut self.templates {
            *messages += 1;
        }
        self.ready.push_back((message, records));
    }

    fn end_set(&mut self) {
        if let Some((at, _)) = self.set.take() {
            put_length(&mut self.message, at);
        }
    }

    /// Writes the header of a message that is whole otherwise.
    fn head(&self, message: &mut [u8]) {
        let length = u16::try_from(message.len()).unwrap_or(u16::MAX);
        let seconds = u32::try_from(self.now.as_nanos().max(0) / 1_000_000_000).unwrap_or(u32::MAX);
        let mut header = [0; HEADER];
        header[..2].copy_from_slice(&VERSION.to_be_bytes());
        header[2..4].copy_from_slice(&length.to_be_bytes());
        header[4..8].copy_from_slice(&seconds.to_be_bytes());
        header[8..12].copy_from_slice(&self.sequence.to_be_bytes());
        header[12..].copy_from_slice(&DOMAIN.to_be_bytes());
        if let Some(place) = message.get_mut(..HEADER) {
            place.copy_from_slice(&header);
        }
    }
}

/// Writes the length of the set that begins at a place and goes to the end.
fn put_length(message: &mut [u8], at: usize) {
    let length = u16::try_from(message.len() - at).unwrap_or(u16::MAX);
    if let Some(place) = message.get_mut(at + 2..at + SET_HEADER) {
        place.copy_from_slice(&length.to_be_bytes());
    }
}

const fn is_v4(tuple: &FiveTuple) -> bool {
    matches!((tuple.orig.ip, tuple.resp.ip), (IpAddr::V4(_), IpAddr::V4(_)))
}
