//! The MACs to which frames to the outside go.
//!
//! Contract: a router is known by what others send through it, never by what it says of itself. Limits: the first [`MAX_ROUTERS`].

use std::collections::BTreeSet;

use crate::input::Mac;
use crate::path::{JudgedFlow, is_internet};

/// Next hops to the outside that are known.
const MAX_ROUTERS: usize = 256;

/// The routers that were seen.
#[derive(Debug, Default)]
pub struct Routers {
    macs: BTreeSet<Mac>,
}

impl Routers {
    /// Takes in where the frames of a flow go.
    pub fn see(&mut self, flow: &JudgedFlow) {
        let record = &flow.view.record;
        let (to, side) = if flow.oriented.forward {
            (record.tuple.resp.ip, &record.orig)
        } else {
            (record.tuple.orig.ip, &record.resp)
        };
        if self.macs.len() < MAX_ROUTERS
            && is_internet(to)
            && let Some(mac) = side.next_hop
        {
            self.macs.insert(mac);
        }
    }

    /// Whether frames to the outside go to a MAC.
    pub fn contains(&self, mac: Mac) -> bool {
        self.macs.contains(&mac)
    }
}
