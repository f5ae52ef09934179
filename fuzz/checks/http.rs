//! Requests, and the other protocols that begin with text or a version.

use hopwatch::decode::app::{Parsed, http, proxy, socks, ssh};

pub fn check(input: &[u8]) {
    for last in [false, true] {
        if let Parsed::Whole((request, len)) = http::request(input, last) {
            assert!(len <= input.len() && !request.method.is_empty());
        }
        if let Parsed::Whole((_, len)) = proxy::header(input, last) {
            assert!(len <= input.len());
        }
        if let Parsed::Whole((_, len)) = socks::request(input, last) {
            assert!(len <= input.len());
        }
        if let Parsed::Whole(line) = ssh::identification(input, last) {
            assert!(line.starts_with("SSH-"));
        }
    }
}
