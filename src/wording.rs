//! Counts in the texts that people read.
//!
//! Contract: a count of one takes the singular, every other the plural. Limits: for nouns whose plural ends with a plain `s`. Design: a room of
//! its own that uses nothing, so that the core's evidence and the shell's reports say it alike.

use std::fmt::Display;

/// `1 flow`, `2 flows`.
pub fn many<N: Copy + Display + PartialEq + From<u8>>(count: N, what: &str) -> String {
    let plural = if count == N::from(1) { "" } else { "s" };
    format!("{count} {what}{plural}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_singular_and_none_is_plural() {
        assert_eq!([many(0_u64, "flow"), many(1_usize, "flow"), many(2_u32, "flow")], ["0 flows", "1 flow", "2 flows"]);
    }
}
