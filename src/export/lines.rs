//! A buffer of whole lines.
//!
//! Contract: what is handed over ends with a line break, so that a reader of the file or pipe never sees half a line that is
//! not followed by its rest. Design: lines are built in the buffer itself, so that nothing is copied before the system call.

use std::io::{self, Write};

/// Bytes that are collected before they are handed over.
const PIECE: usize = 128 * 1024;

/// Collects lines.
#[derive(Debug)]
pub(super) struct Lines<W> {
    out: W,
    buffer: Vec<u8>,
}

impl<W: Write> Lines<W> {
    pub(super) fn new(out: W) -> Self {
        Self { out, buffer: Vec::with_capacity(PIECE + PIECE / 4) }
    }

    /// Where the next line is written; call [`Self::end_line`] after it.
    pub(super) const fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.buffer
    }

    /// Ends the line.
    pub(super) fn end_line(&mut self) -> io::Result<()> {
        self.buffer.push(b'\n');
        if self.buffer.len() >= PIECE { self.hand_over() } else { Ok(()) }
    }

    /// Hands over everything.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.hand_over()?;
        self.out.flush()
    }

    fn hand_over(&mut self) -> io::Result<()> {
        let written = self.out.write_all(&self.buffer);
        self.buffer.clear();
        written
    }
}
