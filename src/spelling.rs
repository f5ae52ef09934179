//! The word that was probably meant.
//!
//! Contract: the nearest of some known words, or none where none is near. Limits: 80 characters are compared.

/// The candidate nearest to a word, if one is near enough to be what was meant.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let folded = fold(word);
    let rate = |candidate: &'a str| {
        let other = fold(candidate);
        let distance = strsim::damerau_levenshtein(&folded, &other);
        let near = distance * 3 <= folded.chars().count().max(other.chars().count())
            || strsim::jaro_winkler(&folded, &other) >= 0.88;
        near.then_some((distance, candidate))
    };
    candidates.into_iter().filter_map(rate).min_by_key(|(distance, _)| *distance).map(|(_, candidate)| candidate)
}

fn fold(word: &str) -> String {
    // A hostile word must not make the comparison slow.
    word.chars().take(80).map(|c| if c == '-' { '_' } else { c.to_ascii_lowercase() }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_word_is_near_or_none() {
        let keys = ["interfaces", "snap_length", "ring_mib"];
        assert_eq!(nearest("interface", keys), Some("interfaces"));
        assert_eq!(nearest("SNAP-LENGHT", keys), Some("snap_length"));
        assert_eq!(nearest("snaplen", keys), Some("snap_length"));
        assert_eq!(nearest("colour", keys), None);
        assert_eq!(nearest("", keys), None);
    }
}
