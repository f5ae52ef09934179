//! Where the bytes above the IP headers are.

/// The bytes above the IP headers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Segment {
    pub(super) at: usize,
    /// Their number on the wire, as the IP header states it.
    pub(super) len: usize,
}

impl Segment {
    /// What was captured of it.
    pub(super) fn captured<'a>(&self, data: &'a [u8]) -> &'a [u8] {
        let end = self.at.saturating_add(self.len).min(data.len());
        data.get(self.at.min(end)..end).unwrap_or(&[])
    }

    /// What follows the first `size` bytes; the caller knows that they are there.
    pub(super) const fn behind(self, size: usize) -> Self {
        Self { at: self.at + size, len: self.len.saturating_sub(size) }
    }
}
