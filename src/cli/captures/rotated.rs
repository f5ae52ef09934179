//! Sets of files that a capture was rotated through, and what is missing in them.
//!
//! Contract: a number left out between two that are there is reported. Limits: two ways of numbering, `trace.pcap`, `trace.pcap1` (`tcpdump -C`) and
//! `trace_00001_20261124101500.pcapng` (`dumpcap -b`); files missing at either end of a set cannot be known, and names with a time only say nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Missing files that are named; one more is a guess at another way of numbering.
const MOST_NAMED: usize = 3;

/// For a person: the gaps in the sets among these captures.
pub(super) fn gaps(captures: &[PathBuf]) -> Vec<String> {
    let mut sets: BTreeMap<String, BTreeSet<u64>> = BTreeMap::new();
    for (set, number) in captures.iter().filter_map(|path| place(path)) {
        sets.entry(set).or_default().insert(number);
    }
    sets.into_iter().filter_map(|(set, numbers)| gap(&set, &numbers)).collect()
}

fn gap(set: &str, numbers: &BTreeSet<u64>) -> Option<String> {
    let (first, last) = (*numbers.first()?, *numbers.last()?);
    let there = u64::try_from(numbers.len()).unwrap_or(u64::MAX);
    let missing = (last - first).saturating_add(1).saturating_sub(there);
    if missing == 0 {
        return None;
    }
    let named: Vec<_> =
        (first..last).filter(|number| !numbers.contains(number)).take(MOST_NAMED).map(|n| n.to_string()).collect();
    let more = missing.saturating_sub(u64::try_from(named.len()).unwrap_or(0));
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    Some(format!("of the capture files {set} number {}{more} is missing: what it held was not read", named.join(", ")))
}

/// The set that a file belongs to, as a pattern of its name, and its number there.
fn place(path: &Path) -> Option<(String, u64)> {
    let name = path.file_name()?.to_str()?;
    let name = name.strip_suffix(".gz").or_else(|| name.strip_suffix(".zst")).unwrap_or(name);
    let (stem, extension) = name.rsplit_once('.')?;
    let set = |pattern: String| path.with_file_name(pattern).display().to_string();
    if let Some((base, number)) = in_the_middle(stem) {
        return Some((set(format!("{base}_*.{extension}")), number.parse().ok()?));
    }
    let kind = extension.trim_end_matches(|c: char| c.is_ascii_digit());
    let number = &extension[kind.len()..];
    let number = if number.is_empty() { 0 } else { number.parse().ok()? };
    Some((set(format!("{stem}.{kind}*")), number))
}

/// `trace` and `00001` of `trace_00001_20261124101500`.
fn in_the_middle(stem: &str) -> Option<(&str, &str)> {
    let is_number = |text: &str, len: usize| text.len() == len && text.bytes().all(|byte| byte.is_ascii_digit());
    let (rest, time) = stem.rsplit_once('_')?;
    let (base, number) = rest.rsplit_once('_')?;
    (is_number(time, 14) && is_number(number, 5)).then_some((base, number))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(names: &[&str]) -> Vec<String> {
        gaps(&names.iter().map(PathBuf::from).collect::<Vec<_>>())
    }

    #[test]
    fn a_number_left_out_is_missing() {
        assert_eq!(
            of(&["d/t.pcap", "d/t.pcap2", "d/u.pcap"]),
            ["of the capture files d/t.pcap* number 1 is missing: what it held was not read"]
        );
        assert_eq!(of(&["t_00004_20261124101500.pcapng.gz", "t_00009_20261124101800.pcapng.gz"]).len(), 1);
        assert_eq!(of(&["t.pcap00", "t.pcap18446744073709551615"]).len(), 1, "as far as the numbers go");
    }

    #[test]
    fn whole_sets_and_names_without_numbers_are_not() {
        let whole = ["t.pcap", "t.pcap1", "t.pcap2", "t_00007_20261124101500.pcapng", "t_00008_20261124101500.pcapng"];
        assert!(of(&whole).is_empty());
        assert!(of(&["br-1.pcap", "br-9.pcap", "traffic.pcapng", "t.pcap3"]).is_empty());
    }
}
