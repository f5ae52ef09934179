//! Any bytes as a capture file; sections of pcapng are left to the other target.

use super::pcapng_reader::{both_ways, is_pcapng};

pub fn check(input: &[u8]) {
    if !is_pcapng(input) {
        both_ways(input);
    }
}
