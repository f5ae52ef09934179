//! A message and a stream. What is believed has the length of a reset, and a stream's answer does not depend on how it was cut.

use hopwatch::decode::app::{Parsed, openvpn};

pub fn check(input: &[u8]) {
    if let Some(found) = openvpn::datagram(input, input.len()) {
        assert!((14..=1078).contains(&input.len()));
        // The same behind its length.
        let len = u16::try_from(input.len()).unwrap_or(0).to_be_bytes();
        let framed = [&len, input].concat();
        assert_eq!(openvpn::stream(&framed, false), Parsed::Whole((found, framed.len())));
        assert_eq!(openvpn::stream(&framed[..framed.len() - 1], false), Parsed::More);
    }
    for len in [input.len() / 2, input.len(), input.len() + 200] {
        openvpn::datagram(input, len);
    }
    for last in [false, true] {
        if let Parsed::Whole((_, len)) = openvpn::stream(input, last) {
            assert!(len <= 1080 && (last || len <= input.len()));
        }
    }
}
