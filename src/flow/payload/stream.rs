//! The start of one stream, put together from pieces.
//!
//! Contract: bytes are in order without a gap in [`Stream::prefix`]; pieces behind a gap wait. The first copy of a byte counts.
//! Limits: [`WINDOW`] bytes from the start, [`MAX_WAITING`] waiting pieces; memory is what really came, never what was claimed.

/// How far a stream is put together, in bytes.
pub(super) const WINDOW: usize = 16 * 1024 + 512;
/// Pieces behind a gap. Clients send the handshake of QUIC in up to some twenty, shuffled.
const MAX_WAITING: usize = 48;

/// The start of one stream.
#[derive(Debug, Default)]
pub(super) struct Stream {
    prefix: Vec<u8>,
    /// Offset and bytes.
    waiting: Vec<(usize, Box<[u8]>)>,
}

impl Stream {
    /// What came without a gap.
    pub(super) fn prefix(&self) -> &[u8] {
        &self.prefix
    }

    /// Bytes held.
    pub(super) fn held(&self) -> usize {
        self.prefix.len() + self.waiting.iter().map(|(_, piece)| piece.len()).sum::<usize>()
    }

    /// Adds bytes at an offset from the start; false where they do not fit.
    pub(super) fn push(&mut self, offset: usize, piece: &[u8]) -> bool {
        let fits = offset.checked_add(piece.len()).is_some_and(|end| end <= WINDOW);
        if offset > self.prefix.len() {
            if !fits || self.waiting.len() >= MAX_WAITING {
                return false;
            }
            self.waiting.push((offset, piece.into()));
            return true;
        }
        self.append(offset, piece.get(..WINDOW.saturating_sub(offset)).unwrap_or(piece));
        while let Some(place) = self.waiting.iter().position(|(offset, _)| *offset <= self.prefix.len()) {
            let (offset, piece) = self.waiting.swap_remove(place);
            self.append(offset, &piece);
        }
        fits
    }

    fn append(&mut self, offset: usize, piece: &[u8]) {
        let new = self.prefix.len().checked_sub(offset).and_then(|known| piece.get(known..)).unwrap_or(&[]);
        // One message is expected to end here: no room for growth.
        self.prefix.reserve_exact(new.len());
        self.prefix.extend_from_slice(new);
    }

    /// The stream starts so many bytes later.
    pub(super) fn consume(&mut self, len: usize) {
        if len == 0 {
            return;
        }
        self.prefix.drain(..len.min(self.prefix.len()));
        let waiting = std::mem::take(&mut self.waiting);
        for (offset, piece) in waiting {
            let known = len.saturating_sub(offset);
            if let Some(rest) = piece.get(known..).filter(|rest| !rest.is_empty()) {
                self.push(offset.saturating_sub(len), rest);
            }
        }
    }
}
