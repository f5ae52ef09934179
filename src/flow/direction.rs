//! Which end of a flow sent a packet.

/// Who sent a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    Orig,
    Resp,
}

impl Direction {
    pub(super) const fn index(self) -> usize {
        self as usize
    }
}
