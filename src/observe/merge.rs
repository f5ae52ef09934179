//! Several captures as one stream, in time order.
//!
//! Contract: the next packet is the earliest of those that are next in their files; ties go to the file that was given
//! first. The order within a file is kept, also where the file itself goes back in time. Damage in one file ends that file
//! and is reported; the others go on.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::{Batch, CaptureError, CaptureReader, Interface, Packet};
use crate::time::Timestamp;

/// A packet, and the file it is from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MergedPacket<'a> {
    /// Which of the readers, in the order they were given.
    pub file: usize,
    /// The interface that it was captured on.
    pub interface: &'a Interface,
    /// The packet.
    pub packet: Packet<'a>,
}

/// Several captures as one stream.
#[derive(Debug)]
pub struct Merge {
    readers: Vec<CaptureReader>,
    /// The files that stand at a packet, earliest first.
    heads: BinaryHeap<Reverse<(Timestamp, usize)>>,
    /// The files to be moved on before the next packet is chosen; the last first.
    behind: Vec<usize>,
}

impl Merge {
    /// Merges readers that were opened and not read yet.
    pub fn new(readers: Vec<CaptureReader>) -> Self {
        Self { behind: (0..readers.len()).rev().collect(), heads: BinaryHeap::new(), readers }
    }

    /// The readers, in the order they were given.
    pub fn readers(&self) -> &[CaptureReader] {
        &self.readers
    }

    /// Bytes read of all files.
    pub fn bytes_read(&self) -> u64 {
        self.readers.iter().map(CaptureReader::bytes_read).sum()
    }

    /// Length of all files; `None` when one of them is a pipe.
    pub fn total_bytes(&self) -> Option<u64> {
        self.readers.iter().map(CaptureReader::total_bytes).sum()
    }

    /// The next packet of all files. An error ends one file only: go on until `None`.
    pub fn next_packet(&mut self) -> Result<Option<MergedPacket<'_>>, CaptureError> {
        self.move_on()?;
        let Some(Reverse((_, file))) = self.heads.pop() else { return Ok(None) };
        self.behind.push(file);
        let reader = &self.readers[file];
        let packet = reader.current();
        Ok(packet.and_then(|packet| {
            Some(MergedPacket { file, interface: reader.interfaces().get(packet.interface)?, packet })
        }))
    }

    /// The next packets, all of one file: those that come before the next one of every other file. An error ends one file
    /// only: go on until `None`.
    pub fn next_batch(&mut self) -> Result<Option<(usize, Batch<'_>)>, CaptureError> {
        if self.readers.len() == 1 {
            return Ok(self.readers[0].next_batch(Batch::MAX)?.map(|batch| (0, batch)));
        }
        self.move_on()?;
        let Some(Reverse((_, file))) = self.heads.pop() else { return Ok(None) };
        self.behind.push(file);
        let other = self.heads.peek().map(|Reverse(head)| *head);
        let is_first = |at| other.is_none_or(|other| (at, file) < other);
        Ok(self.readers[file].batch(Batch::MAX, is_first).map(|batch| (file, batch)))
    }

    /// Moves on the files whose packet was given.
    fn move_on(&mut self) -> Result<(), CaptureError> {
        while let Some(file) = self.behind.pop() {
            if let Some(at) = self.readers[file].advance()? {
                self.heads.push(Reverse((at, file)));
            }
        }
        Ok(())
    }
}
