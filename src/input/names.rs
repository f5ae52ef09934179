//! What an answer of name resolution said: a name has these addresses.
//!
//! Contract: made from packets by the flow meter, from an answer to a question of the same flow; so a replay makes the same ones. The name is the one
//! that was asked for, in lower case as RFC 4343 §2.1 writes it, never the target of an alias. Who answers chooses the addresses.

use std::net::IpAddr;

use super::ObservationPoint;

/// A name was answered with addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NameAnswer {
    /// Where it was seen.
    pub point: ObservationPoint,
    /// Who asked.
    pub asker: IpAddr,
    /// Who answered.
    pub resolver: IpAddr,
    /// The name that was asked for.
    pub name: Box<str>,
    /// Where it is; a bounded number.
    pub addresses: Box<[IpAddr]>,
    /// Seconds for which that holds.
    pub ttl: u32,
}
