//! Several packets at once, as they lie in the window.
//!
//! Contract: the same packets in the same order, and the same error after them, as [`CaptureReader::next_packet`] gives; the
//! two may be mixed. Nothing is copied. A batch is never empty.
//! Limits: [`Batch::MAX`] packets; a batch ends early where the window ends and at a block that is not a packet.
//! Design: the first packet is found the usual way, which reads, grows and complains; the others are taken while they are
//! whole. Whatever is not plainly whole is left for the next call. The reader keeps the places of a batch, so that a batch is three
//! references, however many packets it has.

use super::{CaptureError, CaptureReader, Format, Interface, Record};
use crate::flow::Frame;
use crate::time::Timestamp;

/// Packets of one file, as long as the reader is not asked for more.
#[derive(Clone, Copy, Debug)]
pub struct Batch<'a> {
    all: &'a [Interface],
    window: &'a [u8],
    records: &'a [Record],
}

impl<'a> Batch<'a> {
    /// The most packets of a batch: as many as a meter takes at once.
    pub const MAX: usize = crate::flow::BATCH;

    /// The packets in the order of the file, and of each which of [`CaptureReader::interfaces`] it is from.
    #[inline]
    pub fn packets(&self) -> impl ExactSizeIterator<Item = (usize, Frame<'a>)> + use<'a> {
        let window = self.window;
        self.records.iter().map(move |record| {
            let data = window.get(record.data_at..record.data_at + record.captured).unwrap_or(&[]);
            (record.interface, Frame { at: record.at, wire_len: record.wire_len, data })
        })
    }

    /// The interface with this number.
    pub fn origin(&self, interface: usize) -> Option<&'a Interface> {
        self.all.get(interface)
    }
}

impl CaptureReader {
    /// The next packets, at most `max` and at least one; `None` at the end. After an error the stream is over.
    pub fn next_batch(&mut self, max: usize) -> Result<Option<Batch<'_>>, CaptureError> {
        self.advance()?;
        Ok(self.batch(max, |_| true))
    }

    /// The packet that was moved to last, and those behind it whose time is wanted.
    pub(in crate::observe) fn batch(&mut self, max: usize, wanted: impl Fn(Timestamp) -> bool) -> Option<Batch<'_>> {
        let first = self.record.take()?;
        // Interfaces are counted within the section; those of a classic file have none.
        let section_start = match self.format {
            Format::Classic(_) => 0,
            Format::Pcapng(_) => self.points.all().len() - self.section.len(),
        };
        let window = self.window.bytes();
        let (mut record, mut start, mut held, mut last_at) = (first, 0, self.held, first.at);
        let (mut len, mut odd) = (0, 0);
        for place in self.batch.iter_mut().take(max.max(1)) {
            *place = Record { data_at: start + record.data_at, ..record };
            (len, last_at, self.held) = (len + 1, record.at, held);
            odd += u64::from(record.odd);
            // Of the first one it was counted as it was reached.
            if record.dropped > 0 && len > 1 {
                self.losses.before_packet(record.interface, record.dropped);
            }
            let rest = window.get(held..).unwrap_or(&[]);
            let next = match self.format {
                Format::Classic(classic) => classic.whole(rest),
                Format::Pcapng(order) => order.whole(rest, &self.section, last_at),
            };
            let Some((next, whole)) = next else { break };
            if !wanted(next.at) {
                break;
            }
            (record, start, held) = (next, held, held + whole);
            record.interface += section_start;
        }
        // The first one was counted as it was reached.
        self.odd_fractions += odd - u64::from(first.odd);
        self.packets += len as u64 - 1;
        self.last_at = last_at;
        Some(Batch { all: self.points.all(), window, records: &self.batch[..len] })
    }
}
