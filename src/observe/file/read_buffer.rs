//! A buffer that slides over a byte stream.
//!
//! Contract: holds whole records without copying them out. It grows only while it is full of bytes that really came, and then
//! by one [`SIZE`], so a length field in a file can never make it allocate more than the file holds (tests/allocation.rs).
//! Design: one buffer of 256 KiB; a record that is cut by its end is moved to its start, then the rest is read.

use std::io::{self, Read};

/// Usual size: reads of this size cost less than mapping the file when frames are small.
const SIZE: usize = 256 * 1024;

/// A sliding window over a byte stream.
pub(super) struct ReadBuffer {
    source: Box<dyn Read + Send>,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    /// Place of `start` in the stream.
    offset: u64,
    finished: bool,
}

impl ReadBuffer {
    pub(super) fn new(source: Box<dyn Read + Send>) -> Self {
        Self { source, buffer: vec![0; SIZE], start: 0, end: 0, offset: 0, finished: false }
    }

    /// Where the window starts in the stream.
    pub(super) const fn offset(&self) -> u64 {
        self.offset
    }

    /// What is in the window.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.buffer[self.start..self.end]
    }

    /// Reads until `wanted` bytes are there; fewer are only at the end of the stream. Returns how many there are.
    pub(super) fn fill(&mut self, wanted: usize) -> io::Result<usize> {
        while self.end - self.start < wanted && !self.finished {
            self.make_space();
            match self.source.read(&mut self.buffer[self.end..]) {
                Ok(0) => self.finished = true,
                Ok(count) => self.end += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(self.end - self.start)
    }

    fn make_space(&mut self) {
        if self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        if self.end == self.buffer.len() {
            // Exactly so much: a vector that grows by itself doubles.
            self.buffer.reserve_exact(SIZE);
            self.buffer.resize(self.buffer.len() + SIZE, 0);
        }
    }

    /// Drops bytes that are in the window.
    pub(super) fn consume(&mut self, count: usize) {
        let count = count.min(self.end - self.start);
        self.start += count;
        self.offset += count as u64;
    }

    /// Drops bytes, whether they are in the window or not; false when the stream ends before.
    pub(super) fn skip(&mut self, mut count: usize) -> io::Result<bool> {
        while count > 0 {
            let there = self.fill(1)?.min(count);
            if there == 0 {
                return Ok(false);
            }
            self.consume(there);
            count -= there;
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grows_for_big_records_but_not_for_promises() {
        let bytes: Vec<u8> = (0..SIZE * 3).map(|at| u8::try_from(at % 251).unwrap_or(0)).collect();
        let mut window = ReadBuffer::new(Box::new(io::Cursor::new(bytes.clone())));
        window.fill(10).expect("read");
        window.consume(10);
        assert_eq!(window.fill(SIZE * 2).expect("read").min(SIZE * 2), SIZE * 2);
        assert_eq!(window.bytes()[..SIZE * 2], bytes[10..SIZE * 2 + 10]);
        assert_eq!(window.fill(usize::MAX / 2).expect("read"), SIZE * 3 - 10);
        assert!(window.buffer.capacity() <= SIZE * 4);
        assert!(!window.skip(SIZE * 3).expect("read"));
        assert_eq!(window.offset(), SIZE as u64 * 3);
    }
}
