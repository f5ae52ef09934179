//! A glob that is compiled as cheaply as it can be.
//!
//! Contract: matches what the glob matches. Design: most globs are a text, or a text with a star at one end; these are compared, and only the
//! others become an automaton.

use globset::{Glob, GlobMatcher};

/// Characters that mean something in a glob beside the star.
const SPECIAL: [char; 8] = ['?', '[', ']', '{', '}', '\\', '!', ','];

/// A compiled glob.
#[derive(Clone, Debug)]
pub(super) enum Pattern {
    /// This text.
    Exact(String),
    /// What starts so and ends so, without overlap: `a*`, `*z`, `a*z`, `*`.
    Around(String, String),
    /// Anything else.
    Other(Box<GlobMatcher>),
}

impl Pattern {
    pub(super) fn new(glob: &Glob) -> Self {
        let text = glob.glob();
        if text.contains(SPECIAL) {
            return Self::Other(Box::new(glob.compile_matcher()));
        }
        match text.split_once('*') {
            None => Self::Exact(text.to_owned()),
            Some((start, end)) if !end.contains('*') => Self::Around(start.to_owned(), end.to_owned()),
            Some(_) => Self::Other(Box::new(glob.compile_matcher())),
        }
    }

    pub(super) fn matches(&self, text: &str) -> bool {
        match self {
            Self::Exact(wanted) => text == wanted,
            Self::Around(start, end) => text.strip_prefix(&**start).is_some_and(|rest| rest.ends_with(&**end)),
            Self::Other(glob) => glob.is_match(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::path::selector::checked_glob;

    fn same(text: &str, name: &str) -> Result<(), TestCaseError> {
        let Ok(glob) = checked_glob(text) else { return Ok(()) };
        let (own, theirs) = (Pattern::new(&glob).matches(name), glob.compile_matcher().is_match(name));
        prop_assert_eq!(own, theirs, "{:?} against {:?}", text, name);
        Ok(())
    }

    proptest! {
        #[test]
        fn a_pattern_matches_what_its_glob_matches(text in "[ab/.*?\\[\\]{},!\\\\\\n-]{0,6}", name in "[ab/.\\n!,-]{0,6}") {
            same(&text, &name)?;
        }

        #[test]
        fn a_pattern_with_a_star_at_an_end_matches_what_its_glob_matches(
            text in "\\*?[ab/.]{0,3}\\*?[ab/.]{0,3}\\*?", name in "[ab/.\\n]{0,6}",
        ) {
            same(&text, &name)?;
        }
    }
}
