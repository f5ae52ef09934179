//! Bounds on what a runtime may say of one workload.
//!
//! Contract: every text and every set of labels that leaves a reader went through here; what was cut is counted. Limits:
//! [`MAX_LABELS`] labels, [`MAX_KEY`], [`MAX_VALUE`] and [`MAX_TEXT`] bytes. Design: bytes that are not UTF-8 are replaced
//! rather than refused: one container with an odd label must not hide the others.

use std::collections::BTreeMap;

use super::ReaderCounters;
use super::proto::Entry;

/// Labels of one workload; Kubernetes itself writes about ten.
pub const MAX_LABELS: usize = 256;
/// A label's name: Kubernetes allows 253 + 1 + 63 bytes.
pub const MAX_KEY: usize = 512;
/// A label's value: containerd allows 4096 bytes for both together.
pub const MAX_VALUE: usize = 4096;
/// A name or an image reference.
pub const MAX_TEXT: usize = 1024;

/// Labels as they are kept.
pub fn labels(entries: &[Entry], counters: &ReaderCounters) -> BTreeMap<String, String> {
    let mut kept = BTreeMap::new();
    for entry in entries {
        if kept.len() >= MAX_LABELS {
            counters.labels_cut.add((entries.len() - MAX_LABELS) as u64);
            break;
        }
        let cut = entry.key.len() > MAX_KEY || entry.value.len() > MAX_VALUE;
        counters.labels_cut.add(u64::from(cut));
        kept.insert(lossy(&entry.key, MAX_KEY), lossy(&entry.value, MAX_VALUE));
    }
    kept
}

/// A name, an id or an image reference.
pub fn text(bytes: &[u8], counters: &ReaderCounters) -> String {
    counters.texts_cut.add(u64::from(bytes.len() > MAX_TEXT));
    lossy(bytes, MAX_TEXT)
}

/// At most `limit` bytes of it (a replaced byte becomes three), never half a character.
fn lossy(bytes: &[u8], limit: usize) -> String {
    let mut end = bytes.len().min(limit);
    // The first byte left out must begin a character.
    while end > 0 && bytes.get(end).is_some_and(|byte| byte & 0xc0 == 0x80) && limit - end < 3 {
        end -= 1;
    }
    String::from_utf8_lossy(bytes.get(..end).unwrap_or_default()).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_bounded_in_number_and_length_and_what_was_cut_is_counted() {
        let counters = ReaderCounters::default();
        let many: Vec<Entry> = (0..1000).map(|n| Entry { key: format!("{n}").into(), value: b"x".to_vec() }).collect();
        assert_eq!(labels(&many, &counters).len(), MAX_LABELS);
        assert_eq!(counters.labels_cut(), 1000 - MAX_LABELS as u64);
        let huge = [Entry { key: b"k".to_vec(), value: "é".repeat(MAX_VALUE).into() }];
        let kept = labels(&huge, &counters);
        assert_eq!(kept["k"], "é".repeat(MAX_VALUE / 2), "cut between two characters");
        assert_eq!(counters.labels_cut(), 1001 - MAX_LABELS as u64);
    }

    #[test]
    fn a_text_that_is_no_utf_8_is_kept_as_far_as_it_can_be_read() {
        let counters = ReaderCounters::default();
        assert_eq!(text(b"a\xffb", &counters), "a\u{fffd}b");
        assert_eq!(counters.texts_cut(), 0);
        assert_eq!(text(&[0x80; 5000], &counters).chars().count(), MAX_TEXT - 3, "no endless search for a beginning");
        assert_eq!(counters.texts_cut(), 1);
    }
}
