//! Where configuration text came from, and places in it.
//!
//! Contract: a [`Span`] always lies inside its source on character boundaries, so it can be cut out and pointed at.
//! Limits: lines and columns count from 1, columns in characters. Design: all layers share one table of sources, so that
//! a value keeps its place through merging.

use std::ops::Range;
use std::sync::Arc;

/// A text that configuration was read from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Source {
    /// File name as the user knows it, or `environment`.
    pub name: String,
    /// The whole text.
    pub text: String,
    /// The variable, where the text comes from the environment.
    pub variable: Option<String>,
}

impl Source {
    /// Line and column of a byte offset.
    pub fn position(&self, offset: usize) -> (usize, usize) {
        let before = self.text.get(..offset.min(self.text.len())).unwrap_or_default();
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
    }

    /// Byte offset of a line and column.
    pub fn offset(&self, line: usize, column: usize) -> usize {
        let line_start = if line <= 1 {
            0
        } else {
            self.text.match_indices('\n').nth(line - 2).map_or(self.text.len(), |(at, _)| at + 1)
        };
        let rest = &self.text[line_start..];
        let within = rest.char_indices().nth(column.saturating_sub(1)).map_or(rest.len(), |(at, _)| at);
        line_start + within.min(rest.find('\n').unwrap_or(rest.len()))
    }
}

/// A place in one of the sources.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Span {
    /// Which source.
    pub source: usize,
    /// First byte.
    pub start: usize,
    /// One past the last byte.
    pub end: usize,
}

/// All sources of one load, in the order of the layers.
#[derive(Debug, Clone, Default)]
pub(super) struct Sources(Vec<Arc<Source>>);

impl Sources {
    /// Adds a file (or a text given as one).
    pub fn add_file(&mut self, name: &str, text: String) -> usize {
        self.add(Source { name: name.to_owned(), text, variable: None })
    }

    /// Adds an environment variable, as the shell writes it; returns the source and where the value stands.
    pub fn add_variable(&mut self, variable: &str, value: &str) -> Span {
        let text = format!("{variable}={value}");
        let (start, end) = (variable.len() + 1, text.len());
        let source = self.add(Source { name: "environment".to_owned(), text, variable: Some(variable.to_owned()) });
        Span { source, start, end }
    }

    fn add(&mut self, source: Source) -> usize {
        self.0.push(Arc::new(source));
        self.0.len() - 1
    }

    /// The source of a span.
    pub fn get(&self, source: usize) -> Option<&Arc<Source>> {
        self.0.get(source)
    }

    /// A span, moved onto character boundaries and inside its source.
    pub fn span(&self, source: usize, range: Range<usize>) -> Span {
        let text = self.0.get(source).map_or("", |source| source.text.as_str());
        let start = text.floor_char_boundary(range.start.min(text.len()));
        let end = text.ceil_char_boundary(range.end.clamp(start, text.len()));
        Span { source, start, end }
    }

    /// `hopwatch.yaml:3:11`.
    pub fn describe(&self, span: Span) -> String {
        self.0.get(span.source).map_or_else(String::new, |source| {
            let (line, column) = source.position(span.start);
            format!("{}:{line}:{column}", source.name)
        })
    }

    /// The text of a span.
    pub fn text(&self, span: Span) -> &str {
        self.0.get(span.source).and_then(|source| source.text.get(span.start..span.end)).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_and_positions_are_inverse_and_count_characters() {
        let source = Source { name: "a".into(), text: "é: 1\nbé: 2\n".into(), variable: None };
        assert_eq!(source.position(source.text.find('2').expect("2")), (2, 5));
        assert_eq!(source.offset(2, 5), source.text.find('2').expect("2"));
        assert_eq!(source.offset(2, 99), source.text.len() - 1);
        assert_eq!(source.offset(99, 1), source.text.len());
        assert_eq!(source.position(usize::MAX), (3, 1));
    }

    #[test]
    fn a_span_never_cuts_a_character() {
        let mut sources = Sources::default();
        let file = sources.add_file("a", "é!".into());
        let span = sources.span(file, 1..2);
        assert_eq!(sources.text(span), "é");
        assert_eq!(sources.text(sources.span(file, 90..99)), "");
    }
}
