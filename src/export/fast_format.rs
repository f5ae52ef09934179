//! Times and other short values as bytes, fast.
//!
//! Contract: the same text as the types' own `Display`, a test compares them. Design: two times and two MACs are in every
//! record; written digit by digit they cost a tenth of the general way.

use std::io::Write as _;
use std::net::IpAddr;

use crate::input::Mac;
use crate::time::Timestamp;

const NANOS: i64 = 1_000_000_000;
const DAY: i64 = 86_400;

/// A short text on the stack.
#[derive(Clone, Copy, Debug)]
pub(super) struct Short<const N: usize>([u8; N]);

impl<const N: usize> Short<N> {
    pub(super) fn as_str(&self) -> &str {
        // Only ASCII is put in.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }

    pub(super) const fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Decimal digits of `value` at `at`, `len` of them.
    fn digits(&mut self, at: usize, len: usize, mut value: i64) {
        for place in self.0[at..at + len].iter_mut().rev() {
            *place = b'0' + u8::try_from(value % 10).unwrap_or(0);
            value /= 10;
        }
    }
}

/// Year, month and day of a day since the epoch.
const fn civil(days: i64) -> (i64, i64, i64) {
    // Counted from 1 March of the year 0, so that the leap day is the last of its year; 400 years are 146,097 days.
    let since = days + 719_468;
    let era = since.div_euclid(146_097);
    let day_of_era = since.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    (year_of_era + era * 400 + (month <= 2) as i64, month, day)
}

/// RFC 3339, UTC, nanoseconds: `2026-11-24T10:00:00.000000001Z`.
pub(super) fn rfc3339(time: Timestamp) -> Short<30> {
    let mut text = Short(*b"0000-00-00T00:00:00.000000000Z");
    date_and_time(&mut text, time);
    text.digits(20, 9, time.as_nanos().rem_euclid(NANOS));
    text
}

/// As Zeek writes `#open`: `2026-11-24-10-00-00`.
pub(super) fn dashed(time: Timestamp) -> Short<19> {
    let mut text = Short(*b"0000-00-00-00-00-00");
    date_and_time(&mut text, time);
    text
}

fn date_and_time<const N: usize>(text: &mut Short<N>, time: Timestamp) {
    let seconds = time.as_nanos().div_euclid(NANOS);
    let (year, month, day) = civil(seconds.div_euclid(DAY));
    let of_day = seconds.rem_euclid(DAY);
    let parts = [
        (0, 4, year),
        (5, 2, month),
        (8, 2, day),
        (11, 2, of_day / 3_600),
        (14, 2, of_day / 60 % 60),
        (17, 2, of_day % 60),
    ];
    for (at, len, value) in parts {
        text.digits(at, len, value);
    }
}

/// `02:42:ac:11:00:02`.
pub(super) fn mac(mac: Mac) -> Short<17> {
    let mut text = Short(*b"00:00:00:00:00:00");
    for (place, octet) in text.0.chunks_mut(3).zip(mac.0) {
        for (digit, half) in place.iter_mut().zip([octet >> 4, octet & 15]) {
            *digit = b"0123456789abcdef"[usize::from(half)];
        }
    }
    text
}

/// A decimal number.
pub(super) fn number(out: &mut Vec<u8>, number: u64) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

/// An address.
pub(super) fn ip(out: &mut Vec<u8>, ip: IpAddr) {
    let IpAddr::V4(ip) = ip else {
        let _ = write!(out, "{ip}");
        return;
    };
    for (place, octet) in ip.octets().into_iter().enumerate() {
        if place > 0 {
            out.push(b'.');
        }
        number(out, octet.into());
    }
}

/// Seconds with microseconds, as Zeek writes times and intervals: `1764000000.000001`.
pub(super) fn seconds(out: &mut Vec<u8>, nanos: i128) {
    let sign = if nanos < 0 { "-" } else { "" };
    let micros = nanos.unsigned_abs() / 1_000;
    let _ = write!(out, "{sign}{}.{:06}", micros / 1_000_000, micros % 1_000_000);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_same_as_the_general_way(nanos: i64, octets: [u8; 6], count: u64, address: IpAddr) {
            let time = Timestamp::from_nanos(nanos);
            let stamp = rfc3339(time);
            prop_assert_eq!(stamp.as_str(), time.to_string());
            let text = mac(Mac(octets));
            prop_assert_eq!(text.as_str(), Mac(octets).to_string());
            let mut out = Vec::new();
            number(&mut out, count);
            out.push(b' ');
            ip(&mut out, address);
            prop_assert_eq!(String::from_utf8_lossy(&out), format!("{count} {address}"));
        }
    }

    #[test]
    fn edges_of_the_calendar() {
        for text in
            ["1677-09-21T00:12:43.145224192Z", "1970-01-01T00:00:00.000000000Z", "2000-02-29T23:59:59.999999999Z"]
        {
            assert_eq!(rfc3339(text.parse().expect("a time")).as_str(), text);
        }
        assert_eq!(rfc3339(Timestamp::MAX).as_str(), Timestamp::MAX.to_string());
        assert_eq!(dashed("2100-03-01T01:02:03Z".parse().expect("a time")).as_str(), "2100-03-01-01-02-03");
    }

    #[test]
    fn seconds_have_a_sign_and_six_digits() {
        for (nanos, expected) in [(1_500_000_000, "1.500000"), (-1_500_000, "-0.001500"), (999, "0.000000")] {
            let mut out = Vec::new();
            seconds(&mut out, nanos);
            assert_eq!(String::from_utf8_lossy(&out), expected);
        }
    }
}
