//! A datagram, and its bytes as the frames of a packet.

use hopwatch::decode::app::quic::{Initials, Keys, crypto_frames};

pub fn check(input: &[u8]) {
    let mut plain = Vec::new();
    for packet in Initials::new(input).take(8) {
        if let Some(keys) = Keys::client(packet.version, packet.destination) {
            packet.open(&keys, &mut plain);
            assert!(plain.len() <= input.len());
        }
    }
    let mut total = 0;
    crypto_frames(input, false, |_, bytes| total += bytes.len());
    assert!(total <= input.len());
}
