//! A stream, a message, a datagram. What is found whole in a part must be found in all of it.

use hopwatch::decode::app::{Parsed, tls};

pub fn check(input: &[u8]) {
    let whole = tls::stream(input, true);
    for len in [5, 9, 43, input.len() / 2] {
        if let (Some(part), Parsed::Whole(hello)) =
            (input.get(..len), tls::stream(input.get(..len).unwrap_or(input), false))
        {
            assert!(part.len() < input.len());
            assert_eq!(whole, Parsed::Whole(hello));
        }
    }
    if let Parsed::Whole(hello) = tls::client_hello(input, true) {
        let facts = hello.facts(tls::Transport::Quic);
        assert!(facts.ja4.is_none_or(|ja4| ja4.chars().count() == 36));
        assert!(facts.alpn.len() <= tls::MAX_ALPN);
        assert!(facts.sni.is_none_or(|name| name.len() <= 3 * tls::MAX_NAME));
    }
    tls::datagram(input);
}
