//! What a capture file itself says is missing in it.
//!
//! Contract: counts that are written beside packets, and those of the statistics at the end, are of the same losses: the larger one counts.
//! Statistics are totals, so the last of an interface counts. Limits: a file says how many were lost, not when: the window is the whole file.
//! Blocks of a type that nobody documents may hold packets, and are counted.

use std::collections::BTreeMap;

use super::Interface;
use crate::input::LossReason;

/// Packets that an interface lost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Dropped {
    /// By the interface or its driver: `isb_ifdrop`.
    pub(super) interface: u64,
    /// By the kernel, for want of room: `isb_osdrop`.
    pub(super) kernel: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct OfInterface {
    beside_packets: u64,
    in_statistics: Dropped,
}

/// Packets that the writer of a file lost.
#[derive(Clone, Copy, Debug)]
pub struct FileLoss<'a> {
    /// Where; absent where the file does not describe the interface.
    pub interface: Option<&'a Interface>,
    /// Why.
    pub reason: LossReason,
    /// How many.
    pub count: u64,
}

/// All of a file, by the number of the interface.
#[derive(Debug, Default)]
pub(super) struct StatedLosses {
    of: BTreeMap<Option<usize>, OfInterface>,
    unknown_blocks: u64,
}

impl StatedLosses {
    /// A packet says how many were lost before it.
    pub(super) fn before_packet(&mut self, interface: usize, count: u64) {
        let beside = &mut self.of.entry(Some(interface)).or_default().beside_packets;
        *beside = beside.saturating_add(count);
    }

    /// Statistics of an interface, since its capture began.
    pub(super) fn statistics(&mut self, interface: Option<usize>, dropped: Dropped) {
        let known = &mut self.of.entry(interface).or_default().in_statistics;
        known.interface = known.interface.max(dropped.interface);
        known.kernel = known.kernel.max(dropped.kernel);
    }

    pub(super) fn unknown_block(&mut self) {
        self.unknown_blocks += 1;
    }

    pub(super) const fn unknown_blocks(&self) -> u64 {
        self.unknown_blocks
    }

    pub(super) fn all<'a>(&'a self, interfaces: &'a [Interface]) -> impl Iterator<Item = FileLoss<'a>> {
        self.of
            .iter()
            .flat_map(move |(number, of)| {
                let interface = number.and_then(|number| interfaces.get(number));
                let Dropped { interface: by_interface, kernel } = of.in_statistics;
                let kernel = kernel.max(of.beside_packets.saturating_sub(by_interface));
                let loss = move |reason, count| FileLoss { interface, reason, count };
                [loss(LossReason::Kernel, kernel), loss(LossReason::Interface, by_interface)]
            })
            .filter(|loss| loss.count > 0)
    }
}
