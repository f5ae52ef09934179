//! Identity of flow records.
//!
//! Contract: derived from content alone (point, tuple, start), with a hash that never changes, so that a replay gives the
//! same ids. Limits: 64 bits, not cryptographic; it names a record, it proves nothing. Where a clock is set back and shows the very
//! nanosecond again in which a record of the same tuple began, both records have one id.
//! Design: FNV-1a over the fields, then a finaliser so that near inputs land far apart.

use std::net::IpAddr;

use crate::input::{FiveTuple, FlowId, ObservationPoint};
use crate::time::Timestamp;

/// A hash of what was fed to it so far.
#[derive(Clone, Copy, Debug)]
struct Fnv(u64);

impl Fnv {
    const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x0000_0100_0000_01b3;

    fn feed(self, bytes: &[u8]) -> Self {
        Self(bytes.iter().fold(self.0, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(Self::PRIME)))
    }

    /// The 64-bit finaliser of `MurmurHash3`.
    fn finish(self) -> u64 {
        let mut hash = self.0;
        hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
        hash = (hash ^ (hash >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
        hash ^ (hash >> 33)
    }
}

/// Makes the ids of one observation point.
#[derive(Clone, Copy, Debug)]
pub(super) struct IdMaker(Fnv);

impl IdMaker {
    pub(super) fn new(point: &ObservationPoint) -> Self {
        Self(Fnv(Fnv::OFFSET).feed(point.as_str().as_bytes()).feed(&[0]))
    }

    /// `again` counts records of one tuple that start in the same instant; 0 for the first.
    pub(super) fn id(self, tuple: &FiveTuple, start: Timestamp, again: u32) -> FlowId {
        let mut hash = self.0.feed(&[tuple.protocol.0]);
        for end in [tuple.orig, tuple.resp] {
            hash = match end.ip {
                IpAddr::V4(ip) => hash.feed(&[4]).feed(&ip.octets()),
                IpAddr::V6(ip) => hash.feed(&[6]).feed(&ip.octets()),
            };
            hash = hash.feed(&end.port.to_be_bytes());
        }
        hash = hash.feed(&start.as_nanos().to_be_bytes());
        if again > 0 {
            hash = hash.feed(&again.to_be_bytes());
        }
        FlowId(hash.finish())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::input::{Endpoint, Protocol};

    #[test]
    fn ids_are_fixed_for_ever_and_differ_by_every_field() {
        let end = |ip: [u8; 4], port| Endpoint { ip: ip.into(), port };
        let tuple =
            FiveTuple { protocol: Protocol::TCP, orig: end([192, 0, 2, 1], 1000), resp: end([192, 0, 2, 2], 80) };
        let maker = IdMaker::new(&ObservationPoint::new("docker0"));
        let start = Timestamp::from_secs(1);
        assert_eq!(maker.id(&tuple, start, 0), FlowId(2_719_557_014_014_614_733));
        let others = [
            maker.id(&tuple.reversed(), start, 0),
            maker.id(&tuple, Timestamp::from_secs(2), 0),
            maker.id(&tuple, start, 1),
            IdMaker::new(&ObservationPoint::new("docker1")).id(&tuple, start, 0),
        ];
        assert!(others.iter().all(|other| *other != maker.id(&tuple, start, 0)));
    }
}
