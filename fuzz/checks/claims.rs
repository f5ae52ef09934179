//! Any bytes as ARP and as neighbour discovery: what is claimed stands in the frame, and an address is told once until it changes.

use std::time::Duration;

use hopwatch::decode::{Decoded, LinkType, arp_claim, decode, neighbour_claim};
use hopwatch::flow::{Meter, MeterLimits};
use hopwatch::input::{Fact, ObservationPoint};
use hopwatch::time::Timestamp;

const LIMITS: MeterLimits = MeterLimits {
    max_flows: 16,
    idle_timeout: Duration::from_millis(200),
    active_timeout: Duration::from_millis(500),
    update_interval: Duration::ZERO,
};

/// The whole input is one frame, on Ethernet and cooked; then it goes through a meter twice.
pub fn check(input: &[u8]) {
    let wire_len = u32::try_from(input.len()).unwrap_or(u32::MAX);
    for link in [LinkType::ETHERNET, LinkType::LINUX_SLL, LinkType::LINUX_SLL2, LinkType::RAW] {
        let neighbour = match decode(link, wire_len, input) {
            Ok(Decoded::Ip(headers)) => neighbour_claim(&headers, input),
            Ok(Decoded::NonIp) | Err(_) => None,
        };
        let claims: Vec<_> = arp_claim(link, input).into_iter().chain(neighbour).collect();
        assert!(claims.len() <= 1, "a frame is one or the other");
        for claim in &claims {
            assert!(!claim.ip.is_unspecified());
            assert!(input.windows(6).any(|window| window == claim.mac.0), "a MAC that nobody wrote");
        }
        let mut meter = Meter::new(ObservationPoint::new("fuzz"), link, LIMITS);
        let mut out = Vec::new();
        for _ in 0..2 {
            meter.packet(Timestamp::from_secs(1), wire_len, input, &mut out);
        }
        let told = out.iter().filter(|told| matches!(told.fact, Fact::Claim(_))).count();
        assert_eq!(told, claims.len());
        assert_eq!(meter.stats().claims_withheld, u64::try_from(claims.len()).unwrap_or(0));
    }
}
