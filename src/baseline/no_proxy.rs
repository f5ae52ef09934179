//! Whether a list of destinations without a proxy covers more than another, or the whole internet.
//!
//! Contract: pure; compares the lists as sets of names and ranges, not as text. Source: curl's and Go's reading of `NO_PROXY`: `*` is
//! everything, `example.com` and `.example.com` cover the names below it, a range covers the addresses in it. Limits: a port at the end of an
//! entry is compared as it is written.

use std::net::IpAddr;

use ipnetwork::IpNetwork;

/// Ranges of IPv4 that are not the internet (RFC 6890).
const NO_INTERNET_V4: [&str; 7] =
    ["0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "224.0.0.0/3"];
/// Ranges of IPv6 that are not the internet: all but `2000::/3`.
const NO_INTERNET_V6: [&str; 3] = ["::/3", "4000::/2", "8000::/1"];

/// Whether `after` has an entry that no entry of `before` covers.
pub fn covers_more(before: &str, after: &str) -> bool {
    let before: Vec<String> = entries(before).collect();
    entries(after).any(|entry| !before.iter().any(|known| covers(known, &entry)))
}

/// Whether the ranges of a list together hold every address of the internet, of IPv4 or of IPv6. What is not the internet may be in none.
pub fn covers_internet(list: &str) -> bool {
    let ranges: Vec<IpNetwork> = entries(list).filter_map(|entry| range(&entry)).collect();
    let with = |beside: &[&str], is_family: fn(&IpNetwork) -> bool| {
        let own = ranges.iter().copied().filter(is_family).collect::<Vec<_>>();
        !own.is_empty() && are_all(own.into_iter().chain(beside.iter().filter_map(|text| range(text))))
    };
    with(&NO_INTERNET_V4, IpNetwork::is_ipv4) || with(&NO_INTERNET_V6, IpNetwork::is_ipv6)
}

/// Whether ranges of one address family hold all of its addresses.
fn are_all(ranges: impl Iterator<Item = IpNetwork>) -> bool {
    let mut spans: Vec<(u128, u128)> = ranges.map(span).collect();
    spans.sort_unstable();
    // The first address that no range so far holds; `None` once the last is held.
    let mut next = Some(0_u128);
    for (first, last) in spans {
        match next {
            Some(open) if first > open => return false,
            Some(open) if last >= open => next = last.checked_add(1),
            _ => {}
        }
    }
    next.is_none()
}

/// First and last address; those of IPv4 as the upper 32 bits.
fn span(range: IpNetwork) -> (u128, u128) {
    let first = match range.network() {
        IpAddr::V4(ip) => u128::from(u32::from(ip)) << 96,
        IpAddr::V6(ip) => u128::from(ip),
    };
    (first, first | u128::MAX.checked_shr(u32::from(range.prefix())).unwrap_or_default())
}

fn entries(list: &str) -> impl Iterator<Item = String> {
    list.split([',', ' ']).map(|entry| entry.trim().to_ascii_lowercase()).filter(|entry| !entry.is_empty())
}

fn covers(known: &str, entry: &str) -> bool {
    if known == "*" || known == entry {
        return true;
    }
    if let (Some(known), Some(entry)) = (range(known), range(entry)) {
        return known.contains(entry.network()) && known.prefix() <= entry.prefix();
    }
    let (known, entry) = (known.trim_start_matches("*.").trim_start_matches('.'), entry.trim_start_matches("*."));
    let entry = entry.trim_start_matches('.');
    !known.is_empty() && (entry == known || entry.strip_suffix(known).is_some_and(|rest| rest.ends_with('.')))
}

fn range(text: &str) -> Option<IpNetwork> {
    text.parse::<IpNetwork>().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNetwork::from))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_compared_as_sets_of_names_and_ranges() {
        for (before, after, more) in [
            ("localhost,.internal", ".internal,localhost", false),
            ("localhost", "localhost,*", true),
            ("*", "localhost", false),
            (".internal", "db.internal", false),
            ("db.internal", ".internal", true),
            ("10.0.0.0/16", "10.0.3.0/24,10.0.0.7", false),
            ("10.0.0.0/16", "10.0.0.0/8", true),
            ("", "localhost", true),
            ("localhost", "", false),
            ("internal", "notinternal", true),
        ] {
            assert_eq!(covers_more(before, after), more, "{before} → {after}");
        }
    }
}
