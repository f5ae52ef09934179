//! Whether a list of destinations without a proxy covers more than another.
//!
//! Contract: pure; compares the lists as sets of names and ranges, not as text. Source: curl's and Go's reading of `NO_PROXY`: `*` is
//! everything, `example.com` and `.example.com` cover the names below it, a range covers the addresses in it. Limits: a port at the end of an
//! entry is compared as it is written.

use std::net::IpAddr;

use ipnetwork::IpNetwork;

/// Whether `after` has an entry that no entry of `before` covers.
pub fn covers_more(before: &str, after: &str) -> bool {
    let before: Vec<String> = entries(before).collect();
    entries(after).any(|entry| !before.iter().any(|known| covers(known, &entry)))
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
