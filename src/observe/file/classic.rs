//! The classic pcap format: one header, then records.
//!
//! Contract: micro- and nanoseconds, both byte orders. Limits: versions 2.x; records up to [`MAX_CAPTURED`] bytes, as
//! libpcap and wiretap allow; Kuznetzov's and other vendors' record formats are not read.

use super::{Record, bytes_at};
use crate::decode::LinkType;
use crate::time::Timestamp;

/// The most that a writer captures of one packet.
pub(super) const MAX_CAPTURED: usize = 262_144;
/// Length of the file header.
pub(super) const FILE_HEADER: usize = 24;
/// Length of a record header.
pub(super) const RECORD_HEADER: usize = 16;

/// How the records of a file are written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Classic {
    big_endian: bool,
    nanoseconds: bool,
    lengths: Lengths,
}

/// In which order a record states its two lengths; old versions of the format have it the other way round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lengths {
    CapturedFirst,
    WireFirst,
    /// Version 2.3 was written both ways; the captured length is the smaller one.
    Either,
}

/// What the file header says.
#[derive(Clone, Copy, Debug)]
pub(super) struct FileHeader {
    pub(super) format: Classic,
    pub(super) version: (u16, u16),
    pub(super) snap_length: u32,
    pub(super) link: LinkType,
}

/// The format that the first four bytes announce.
pub(super) fn recognise(magic: [u8; 4]) -> Option<Classic> {
    let (big_endian, nanoseconds) = match magic {
        [0xa1, 0xb2, 0xc3, 0xd4] => (true, false),
        [0xd4, 0xc3, 0xb2, 0xa1] => (false, false),
        [0xa1, 0xb2, 0x3c, 0x4d] => (true, true),
        [0x4d, 0x3c, 0xb2, 0xa1] => (false, true),
        _ => return None,
    };
    Some(Classic { big_endian, nanoseconds, lengths: Lengths::CapturedFirst })
}

impl Classic {
    fn u16(self, bytes: &[u8], at: usize) -> Option<u16> {
        let bytes = bytes_at(bytes, at)?;
        Some(if self.big_endian { u16::from_be_bytes(bytes) } else { u16::from_le_bytes(bytes) })
    }

    fn u32(self, bytes: &[u8], at: usize) -> Option<u32> {
        let bytes = bytes_at(bytes, at)?;
        Some(if self.big_endian { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) })
    }

    /// Reads the file header; `None` when it is shorter than [`FILE_HEADER`].
    pub(super) fn file_header(self, bytes: &[u8]) -> Option<FileHeader> {
        // The upper half of the last field says how long the frame check sequence is.
        let link = self.u32(bytes, 20)? & 0xffff;
        let version = (self.u16(bytes, 4)?, self.u16(bytes, 6)?);
        let lengths = match version {
            (2, 0..=2) => Lengths::WireFirst,
            (2, 3) => Lengths::Either,
            _ => Lengths::CapturedFirst,
        };
        Some(FileHeader {
            format: Self { lengths, ..self },
            version,
            snap_length: self.u32(bytes, 16)?,
            link: LinkType(u16::try_from(link).unwrap_or(u16::MAX)),
        })
    }

    /// Reads a record header; `None` when it is shorter than [`RECORD_HEADER`].
    #[inline]
    pub(super) fn record(self, bytes: &[u8]) -> Option<Record> {
        let head: &[u8; RECORD_HEADER] = bytes.first_chunk()?;
        let word = |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        let mut words = [word(0), word(4), word(8), word(12)];
        if self.big_endian {
            words = words.map(u32::swap_bytes);
        }
        let [seconds, fraction, first, second] = words;
        let (seconds, fraction) = (i64::from(seconds), i64::from(fraction));
        let odd = fraction >= if self.nanoseconds { 1_000_000_000 } else { 1_000_000 };
        // A fraction is less than a second. In microseconds such a one is most likely nanoseconds.
        let nanos = if self.nanoseconds || odd { fraction.min(999_999_999) } else { fraction * 1000 };
        let (captured, wire_len) = match self.lengths {
            Lengths::CapturedFirst => (first, second),
            Lengths::WireFirst => (second, first),
            Lengths::Either => (first.min(second), first.max(second)),
        };
        Some(Record {
            interface: 0,
            at: Timestamp::from_nanos(seconds * 1_000_000_000 + nanos),
            wire_len,
            data_at: RECORD_HEADER,
            captured: captured as usize,
            odd,
            dropped: 0,
        })
    }

    /// The record at the start, if all of it is there and it is not absurd, and its length.
    #[inline]
    pub(super) fn whole(self, bytes: &[u8]) -> Option<(Record, usize)> {
        let record = self.record(bytes)?;
        let whole = RECORD_HEADER + record.captured;
        (record.captured <= MAX_CAPTURED && whole <= bytes.len()).then_some((record, whole))
    }
}
