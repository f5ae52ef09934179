//! The tunnels around a packet, without an allocation.
//!
//! Contract: outermost first. Limits: [`super::MAX_TUNNELS`].

use super::MAX_TUNNELS;
use crate::input::Tunnel;

/// Tunnels, outermost first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TunnelStack {
    tunnels: [Option<Tunnel>; MAX_TUNNELS],
    len: u8,
}

impl TunnelStack {
    /// How many there are.
    pub const fn len(&self) -> usize {
        self.len as usize
    }

    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The tunnels, outermost first.
    pub fn iter(&self) -> impl Iterator<Item = Tunnel> + '_ {
        self.tunnels.iter().take(self.len()).copied().flatten()
    }

    /// Adds an inner tunnel; false when full.
    pub(super) fn push(&mut self, tunnel: Tunnel) -> bool {
        match self.tunnels.get_mut(usize::from(self.len)) {
            Some(place) => {
                *place = Some(tunnel);
                self.len += 1;
                true
            }
            None => false,
        }
    }
}
