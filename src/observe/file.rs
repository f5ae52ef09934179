//! Reads capture files: pcap and pcapng, compressed or not, from a file or a pipe.
//!
//! Contract: packets come in the order of the file. Damage and early ends are an error that comes once, after the packets
//! before it; then the stream is over. Packets of every link type are given: who decodes them counts what it cannot decode.
//! Limits: [`CaptureReader::MAX_INTERFACES`] interfaces a file; memory is the window, which holds the biggest block.
//! Design: own framing (the `pcap-parser` crate allocates a list of options per packet and gives up a block for one bad
//! option); formats are pure functions over the window, this file drives them.

mod batch;
mod classic;
mod error;
mod file_type;
mod losses;
mod pcapng;
mod points;
mod read_buffer;
mod source;

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

pub use batch::Batch;
pub use error::CaptureError;
pub use losses::FileLoss;
pub use points::Interface;

use crate::decode::LinkType;
use crate::time::Timestamp;
use losses::StatedLosses;
use pcapng::{Fault, Kind, Order, Timing};
use points::Points;
use read_buffer::ReadBuffer;

/// A packet, as long as the reader is not asked for the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet<'a> {
    /// Which of [`CaptureReader::interfaces`].
    pub interface: usize,
    /// That interface.
    pub origin: &'a Interface,
    /// When it was captured.
    pub at: Timestamp,
    /// Its length on the wire.
    pub wire_len: u32,
    /// What was captured of it.
    pub data: &'a [u8],
}

/// A packet's place in the window.
#[derive(Clone, Copy, Debug)]
struct Record {
    interface: usize,
    at: Timestamp,
    wire_len: u32,
    data_at: usize,
    captured: usize,
    /// Its time is a guess.
    odd: bool,
    /// Packets that the file says were lost before it.
    dropped: u64,
}

impl Record {
    const NONE: Self = Self {
        interface: 0,
        at: Timestamp::from_nanos(0),
        wire_len: 0,
        data_at: 0,
        captured: 0,
        odd: false,
        dropped: 0,
    };
}

#[derive(Clone, Copy, Debug)]
enum Format {
    Classic(classic::Classic),
    Pcapng(Order),
}

/// Reads one capture file.
pub struct CaptureReader {
    path: String,
    window: ReadBuffer,
    format: Format,
    points: Points,
    /// The interfaces of the current section (pcapng); they are the last of `points`.
    section: Vec<Timing>,
    /// The record that `current` shows, and how long it is in the window.
    record: Option<Record>,
    held: usize,
    /// The packets of the last batch.
    batch: Box<[Record; Batch::MAX]>,
    packets: u64,
    skipped: u64,
    odd_fractions: u64,
    losses: StatedLosses,
    last_at: Timestamp,
    finished: bool,
    bytes_read: Arc<AtomicU64>,
    total_bytes: Option<u64>,
}

impl std::fmt::Debug for CaptureReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CaptureReader")
            .field("path", &self.path)
            .field("packets", &self.packets)
            .finish_non_exhaustive()
    }
}

impl CaptureReader {
    /// Interfaces that are kept; a file that describes more is damaged or hostile.
    pub const MAX_INTERFACES: usize = 65_536;

    /// Opens a capture; `-` is standard input.
    pub fn open(path: &Path) -> Result<Self, CaptureError> {
        Self::from_source(path, source::open(path)?)
    }

    /// Reads a capture from any stream; `path` gives the name for points and errors.
    pub fn from_stream(path: &Path, stream: Box<dyn io::Read + Send>) -> Result<Self, CaptureError> {
        Self::from_source(path, source::wrap(path, stream, None)?)
    }

    fn from_source(path: &Path, source: source::Source) -> Result<Self, CaptureError> {
        let shown = source::shown(path);
        let mut window = ReadBuffer::new(source.stream);
        if let Err(error) = window.fill(64) {
            return Err(CaptureError::Unreadable { path: shown, source: error });
        }
        let head = window.bytes();
        let head = head.get(..64).unwrap_or(head);
        let classic = bytes_at(head, 0).and_then(classic::recognise);
        let format = match (classic, pcapng::order_of_section(head)) {
            (Some(classic), _) => Format::Classic(classic),
            (None, Some(order)) if head.starts_with(&pcapng::SECTION_HEADER.to_be_bytes()) => Format::Pcapng(order),
            _ => return Err(CaptureError::NotACapture { path: shown, looks_like: file_type::looks_like(head) }),
        };
        let mut reader = Self {
            path: shown,
            window,
            format,
            points: Points::new(path),
            section: Vec::new(),
            record: None,
            held: 0,
            batch: Box::new([Record::NONE; Batch::MAX]),
            packets: 0,
            skipped: 0,
            odd_fractions: 0,
            losses: StatedLosses::default(),
            last_at: Timestamp::default(),
            finished: false,
            bytes_read: source.bytes_read,
            total_bytes: source.len,
        };
        reader.read_file_header()?;
        Ok(reader)
    }

    /// The interfaces described so far; pcapng may describe more later.
    pub fn interfaces(&self) -> &[Interface] {
        self.points.all()
    }

    /// The file's name as it was given.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Bytes read of the file so far, compressed if it is.
    pub fn bytes_read(&self) -> u64 {
        self.bytes_read.load(Ordering::Relaxed)
    }

    /// Length of the file, which [`Self::bytes_read`] reaches; `None` for pipes.
    pub const fn total_bytes(&self) -> Option<u64> {
        self.total_bytes
    }

    /// Packets given so far.
    pub const fn packets(&self) -> u64 {
        self.packets
    }

    /// Packet blocks left out because they name an interface that the file does not describe.
    pub const fn skipped(&self) -> u64 {
        self.skipped
    }

    /// Packets whose fraction of a second was no fraction of a second, so that their time is a guess.
    pub const fn odd_fractions(&self) -> u64 {
        self.odd_fractions
    }

    /// What the file says so far that its writer lost.
    pub fn losses(&self) -> impl Iterator<Item = FileLoss<'_>> {
        self.losses.all(self.points.all())
    }

    /// Blocks passed over that are of no documented type, and so may have held packets.
    pub const fn unknown_blocks(&self) -> u64 {
        self.losses.unknown_blocks()
    }

    /// The next packet; `None` at the end. After an error the stream is over.
    pub fn next_packet(&mut self) -> Result<Option<Packet<'_>>, CaptureError> {
        self.advance()?;
        Ok(self.current())
    }

    /// Moves to the next packet and returns its time; `None` at the end.
    pub(super) fn advance(&mut self) -> Result<Option<Timestamp>, CaptureError> {
        self.window.consume(self.held);
        self.held = 0;
        self.record = None;
        if self.finished {
            return Ok(None);
        }
        let found = match self.format {
            Format::Classic(classic) => self.next_record(classic),
            Format::Pcapng(_) => self.next_block_packet(),
        };
        self.finished = !matches!(found, Ok(Some(_)));
        self.record = found?;
        if let Some(record) = self.record {
            self.packets += 1;
            self.odd_fractions += u64::from(record.odd);
            self.last_at = record.at;
            if record.dropped > 0 {
                self.losses.before_packet(record.interface, record.dropped);
            }
        }
        Ok(self.record.map(|record| record.at))
    }

    /// The packet that was moved to last.
    pub(super) fn current(&self) -> Option<Packet<'_>> {
        let Record { interface, at, wire_len, data_at, captured, .. } = self.record?;
        let data = self.window.bytes().get(data_at..)?.get(..captured)?;
        Some(Packet { interface, origin: self.points.all().get(interface)?, at, wire_len, data })
    }

    fn read_file_header(&mut self) -> Result<(), CaptureError> {
        let Format::Classic(classic) = self.format else { return self.check_first_section() };
        let Some(header) = classic.file_header(self.window.bytes()) else { return Err(self.truncated()) };
        let (major, minor) = header.version;
        if major != 2 {
            return Err(self.not_a_capture(format!("pcap version {major}.{minor}, which is obsolete")));
        }
        self.format = Format::Classic(header.format);
        self.window.consume(classic::FILE_HEADER);
        self.add_interface(None, header.link, header.snap_length)
    }

    /// A first section of another version means that nothing can be read at all.
    fn check_first_section(&mut self) -> Result<(), CaptureError> {
        let Format::Pcapng(order) = self.format else { return Ok(()) };
        match (order.u16(self.window.bytes(), 12), order.u16(self.window.bytes(), 14)) {
            (Some(1), Some(0 | 2)) => Ok(()),
            (Some(major), Some(minor)) => Err(self.not_a_capture(format!("pcapng version {major}.{minor}"))),
            _ => Err(self.truncated()),
        }
    }

    fn next_record(&mut self, classic: classic::Classic) -> Result<Option<Record>, CaptureError> {
        if self.fill(classic::RECORD_HEADER)? == 0 {
            return Ok(None);
        }
        let Some(record) = classic.record(self.window.bytes()) else { return Err(self.truncated()) };
        if record.captured > classic::MAX_CAPTURED {
            return Err(self.damaged(format!("a packet of {} captured bytes", record.captured)));
        }
        let whole = classic::RECORD_HEADER + record.captured;
        if self.fill(whole)? < whole {
            return Err(self.truncated());
        }
        self.held = whole;
        Ok(Some(record))
    }

    /// Reads blocks up to the next packet.
    fn next_block_packet(&mut self) -> Result<Option<Record>, CaptureError> {
        loop {
            let there = self.fill(pcapng::MIN_BLOCK)?;
            if there == 0 {
                return Ok(None);
            }
            if there < pcapng::MIN_BLOCK {
                return Err(self.truncated());
            }
            let order = self.order_of_next_block()?;
            let (block_type, stated, len) = self.block_header(order)?;
            let kind = pcapng::kind(block_type);
            if matches!(kind, Kind::Other | Kind::Unknown) {
                if !self.skip(len)? {
                    return Err(self.truncated());
                }
                if kind == Kind::Unknown {
                    self.losses.unknown_block();
                }
                continue;
            }
            self.take_block(order, stated, len)?;
            match kind {
                Kind::Section => self.start_section(order, len)?,
                Kind::Interface => self.describe_interface(order, len)?,
                Kind::Statistics => self.take_statistics(order, len),
                _ => match self.packet_block(order, block_type, len)? {
                    Some(record) => return Ok(Some(record)),
                    None => self.window.consume(len),
                },
            }
        }
    }

    /// The byte order of the section, or of the section that starts here.
    fn order_of_next_block(&mut self) -> Result<Order, CaptureError> {
        let Format::Pcapng(order) = self.format else { return Err(self.damaged("no section".to_owned())) };
        if !self.window.bytes().starts_with(&pcapng::SECTION_HEADER.to_be_bytes()) {
            return Ok(order);
        }
        if self.fill(pcapng::MIN_SECTION)? < pcapng::MIN_SECTION {
            return Err(self.truncated());
        }
        pcapng::order_of_section(self.window.bytes())
            .ok_or_else(|| self.damaged("a section without byte-order magic".to_owned()))
    }

    /// Type, stated length and padded length of the next block.
    fn block_header(&self, order: Order) -> Result<(u32, u32, usize), CaptureError> {
        let bytes = self.window.bytes();
        let (Some(block_type), Some(stated)) = (order.u32(bytes, 0), order.u32(bytes, 4)) else {
            return Err(self.truncated());
        };
        let len = (stated as usize).checked_next_multiple_of(4).unwrap_or(usize::MAX);
        if len < pcapng::MIN_BLOCK || (block_type == pcapng::SECTION_HEADER && len < pcapng::MIN_SECTION) {
            return Err(self.damaged(format!("a block of {stated} bytes")));
        }
        Ok((block_type, stated, len))
    }

    /// Brings a whole block into the window and checks the length at its end.
    fn take_block(&mut self, order: Order, stated: u32, len: usize) -> Result<(), CaptureError> {
        if len > pcapng::MAX_BLOCK {
            return Err(self.damaged(format!("a block of {stated} bytes")));
        }
        if self.fill(len)? < len {
            return Err(self.truncated());
        }
        match order.u32(self.window.bytes(), len - 4) {
            Some(repeated) if repeated == stated => Ok(()),
            repeated => {
                let repeated = repeated.unwrap_or(0);
                Err(self.damaged(format!("a block that starts with length {stated} and ends with {repeated}")))
            }
        }
    }

    fn start_section(&mut self, order: Order, len: usize) -> Result<(), CaptureError> {
        let version = (order.u16(self.window.bytes(), 12), order.u16(self.window.bytes(), 14));
        if !matches!(version, (Some(1), Some(0 | 2))) {
            return Err(self.damaged("a section of an unknown version".to_owned()));
        }
        self.format = Format::Pcapng(order);
        self.section.clear();
        self.window.consume(len);
        Ok(())
    }

    fn describe_interface(&mut self, order: Order, len: usize) -> Result<(), CaptureError> {
        let block = self.window.bytes().get(..len).unwrap_or(&[]);
        let Some(description) = order.interface(block) else {
            return Err(self.damaged(format!("an interface description of {len} bytes")));
        };
        self.add_interface(description.name, LinkType(description.link), description.snap_length)?;
        self.section.push(Timing { clock: description.clock, snap_length: description.snap_length });
        self.window.consume(len);
        Ok(())
    }

    fn take_statistics(&mut self, order: Order, len: usize) {
        if let Some((number, dropped)) = self.window.bytes().get(..len).and_then(|block| order.statistics(block)) {
            let first = self.points.all().len() - self.section.len();
            self.losses.statistics((number < self.section.len()).then_some(first + number), dropped);
        }
        self.window.consume(len);
    }

    /// The packet of a block; `None` when its interface is not known.
    fn packet_block(&mut self, order: Order, block_type: u32, len: usize) -> Result<Option<Record>, CaptureError> {
        let block = self.window.bytes().get(..len).unwrap_or(&[]);
        match order.packet(block_type, block, &self.section, self.last_at) {
            Ok(record) => {
                self.held = len;
                let first = self.points.all().len() - self.section.len();
                Ok(Some(Record { interface: first + record.interface, ..record }))
            }
            Err(Fault::UnknownInterface) => {
                self.skipped += 1;
                Ok(None)
            }
            Err(Fault::Short) => Err(self.damaged("a packet that is longer than its block".to_owned())),
        }
    }

    fn add_interface(&mut self, name: Option<String>, link: LinkType, snap_length: u32) -> Result<(), CaptureError> {
        if self.points.all().len() >= Self::MAX_INTERFACES {
            return Err(self.damaged(format!("more than {} interfaces", Self::MAX_INTERFACES)));
        }
        self.points.add(name, link, snap_length);
        Ok(())
    }

    fn fill(&mut self, wanted: usize) -> Result<usize, CaptureError> {
        self.window.fill(wanted).map_err(|error| self.read_error(&error))
    }

    fn skip(&mut self, count: usize) -> Result<bool, CaptureError> {
        self.window.skip(count).map_err(|error| self.read_error(&error))
    }

    fn read_error(&self, error: &io::Error) -> CaptureError {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => self.truncated(),
            _ => self.damaged(error.to_string()),
        }
    }

    fn truncated(&self) -> CaptureError {
        CaptureError::Truncated { path: self.path.clone(), offset: self.window.offset(), packets: self.packets }
    }

    fn damaged(&self, what: String) -> CaptureError {
        CaptureError::Damaged { path: self.path.clone(), offset: self.window.offset(), packets: self.packets, what }
    }

    fn not_a_capture(&self, looks_like: String) -> CaptureError {
        CaptureError::NotACapture { path: self.path.clone(), looks_like }
    }
}

/// `N` bytes at a place.
fn bytes_at<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk().copied()
}

/// What is wrong with the times of a file, for a person.
pub fn odd_fractions(path: &str, count: u64) -> String {
    let (packets, have, were) = if count == 1 { ("packet", "has", "it was") } else { ("packets", "have", "they were") };
    format!(
        "{path}: {count} {packets} {have} a fraction of a second that is a second or more; {were} read as nanoseconds"
    )
}

/// What was passed over in a file, for a person.
pub fn unknown_blocks(path: &str, count: u64) -> String {
    let (blocks, were) = if count == 1 { ("block", "it was") } else { ("blocks", "they were") };
    format!("{path}: {count} {blocks} of unknown type may hold packets; {were} left out")
}
