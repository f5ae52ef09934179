//! A message and a stream. Names are bounded, printable, and nothing is allocated but them.

use hopwatch::decode::app::{Parsed, dns};

pub fn check(input: &[u8]) {
    let mut name = String::new();
    if let Some(question) = dns::read(input, &mut name) {
        assert!(!name.is_empty() && name.len() <= 4 * 255 && name.bytes().all(|byte| matches!(byte, b' '..=b'~')));
        assert!(question.rest < input.len());
        dns::is_certain(input, &name, &question);
        assert_eq!(dns::is_question(input), !question.is_response);
        let found = dns::addresses(input, &name);
        assert!(found.addresses.len() <= dns::MAX_ADDRESSES);
        assert!(found.addresses.iter().all(|ip| !ip.is_unspecified() && !ip.is_multicast()));
    }
    for last in [false, true] {
        if let Parsed::Whole((_, len)) = dns::stream(input, last, &mut name) {
            assert!(len >= 14);
        }
    }
}
