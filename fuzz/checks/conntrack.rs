//! A datagram of connection tracking. Only what is translated comes out, both sides of one protocol and family.

use hopwatch::host::conntrack::read;

pub fn check(input: &[u8]) {
    let mut told = 0;
    let tally = read(input, |connection| {
        told += 1;
        let (before, after) = (connection.before, connection.after);
        assert!(before != after && before.protocol == after.protocol);
        let ends = [before.orig, before.resp, after.orig, after.resp];
        assert!(ends.iter().all(|end| end.ip.is_ipv4() == ends[0].ip.is_ipv4()));
    });
    assert!(told + tally.malformed <= tally.messages + 1);
    // A message takes 16 bytes at least.
    assert!(tally.messages <= input.len() as u64 / 16);
}
