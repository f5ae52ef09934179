//! Mistakes in a configuration, and how they are reported.
//!
//! Contract: every problem names file, line, column and the wrong word, and the nearest right word where there is one.
//! Limits: at most [`MAX_PROBLEMS`] are reported at once. What a terminal obeys never reaches it, not even from a file's name.
//! Design: problems own what they show, so that they outlive the load.

use std::fmt;
use std::io::{IsTerminal as _, Write as _};
use std::sync::Arc;

use miette::{Diagnostic, GraphicalReportHandler, GraphicalTheme, LabeledSpan, NamedSource, SourceCode};

use super::source::{Source, Sources, Span};
use crate::escape::{is_obeyed, printable};
use crate::spelling::nearest;

/// More mistakes than anybody fixes in one go; the rest is only counted.
pub const MAX_PROBLEMS: usize = 32;

/// One mistake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    message: String,
    label: String,
    help: Option<String>,
    place: Option<Place>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Place {
    source: Arc<Source>,
    span: Span,
}

impl Problem {
    /// A mistake without a place, such as a file that cannot be read.
    pub(super) fn nowhere(message: impl Into<String>) -> Self {
        Self { message: message.into(), label: String::new(), help: None, place: None }
    }

    /// A mistake at a place.
    pub(super) fn at(sources: &Sources, span: Span, message: impl Into<String>) -> Self {
        let place = sources.get(span.source).map(|source| Place { source: Arc::clone(source), span });
        Self { place, label: "here".to_owned(), ..Self::nowhere(message) }
    }

    /// What stands beside the marked word.
    pub(super) fn with_label(mut self, label: impl Into<String>) -> Self {
        self.label = label.into();
        self
    }

    /// What to do about it.
    pub(super) fn with_help(mut self, help: Option<String>) -> Self {
        self.help = help;
        self
    }

    /// What is wrong.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// File name, line and column.
    pub fn position(&self) -> Option<(&str, usize, usize)> {
        self.place.as_ref().map(|place| {
            let (line, column) = place.source.position(place.span.start);
            (place.source.name.as_str(), line, column)
        })
    }

    fn order(&self) -> (usize, usize) {
        self.place.as_ref().map_or((0, 0), |place| (place.span.source, place.span.start))
    }
}

/// One line: `hopwatch.yaml:12:10: unknown hop "prox"; did you mean "proxy"?`
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some((name, line, column)) = self.position() {
            write!(f, "{}:{line}:{column}: ", printable(name))?;
        }
        f.write_str(&printable(&self.message))?;
        self.help.as_ref().map_or(Ok(()), |help| write!(f, "; {}", printable(help)))
    }
}

impl std::error::Error for Problem {}

/// Everything that is wrong with a configuration, in the order in which it stands there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    problems: Vec<Problem>,
    untold: usize,
}

impl ConfigError {
    pub(super) fn new(mut problems: Vec<Problem>) -> Self {
        problems.sort_by_key(Problem::order);
        problems.dedup();
        let untold = problems.len().saturating_sub(MAX_PROBLEMS);
        problems.truncate(MAX_PROBLEMS);
        Self { problems, untold }
    }

    /// The mistakes.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// Prints the report on standard error, coloured where that belongs.
    pub fn print(&self) {
        let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let mut stderr = std::io::stderr();
        let report = self.report(stderr.is_terminal() && !no_color);
        // There is nobody left to read it when standard error is closed; the exit code still says it.
        let _ = stderr.write_all(report.as_bytes());
    }

    /// For people: each mistake with the line it stands in. `color` is for a terminal that wants it.
    pub fn report(&self, color: bool) -> String {
        let theme = if color { GraphicalTheme::unicode() } else { GraphicalTheme::unicode_nocolor() };
        let handler = GraphicalReportHandler::new_themed(theme).with_links(false).with_width(100).with_context_lines(1);
        let mut report = String::new();
        for problem in &self.problems {
            // The handler fails only when the place is outside of the text; the plain line then still says it.
            let mut block = String::new();
            if handler.render_report(&mut block, &Shown::new(problem)).is_err() {
                block = format!("{problem}\n");
            }
            report.push_str(&block);
            report.push('\n');
        }
        report.push_str(&self.closing());
        report
    }

    fn closing(&self) -> String {
        match (self.problems.len(), self.untold) {
            (1, 0) => "1 mistake in the configuration\n".to_owned(),
            (listed, 0) => format!("{listed} mistakes in the configuration\n"),
            (listed, more) => format!("{listed} mistakes in the configuration, and {more} more\n"),
        }
    }
}

/// One line, for error chains and logs.
impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.problems.first() {
            Some(first) => write!(f, "{first}")?,
            None => f.write_str("the configuration is not valid")?,
        }
        match self.problems.len() + self.untold {
            0 | 1 => Ok(()),
            all => write!(f, " (and {} more)", all - 1),
        }
    }
}

impl std::error::Error for ConfigError {}

/// A problem with a source whose control characters are blanked out.
#[derive(Debug)]
struct Shown<'a> {
    problem: &'a Problem,
    source: Option<NamedSource<String>>,
}

impl<'a> Shown<'a> {
    fn new(problem: &'a Problem) -> Self {
        let source = problem
            .place
            .as_ref()
            .map(|place| NamedSource::new(printable(&place.source.name), blanked(&place.source.text)));
        Self { problem, source }
    }
}

/// The same text, of the same length in bytes, without control characters.
fn blanked(text: &str) -> String {
    let blank = |c: char| is_obeyed(c) && c != '\n' && c != '\t';
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if blank(c) { out.extend(std::iter::repeat_n(' ', c.len_utf8())) } else { out.push(c) }
    }
    out
}

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&printable(&self.problem.message))
    }
}

impl std::error::Error for Shown<'_> {}

impl Diagnostic for Shown<'_> {
    fn help<'b>(&'b self) -> Option<Box<dyn fmt::Display + 'b>> {
        self.problem.help.as_ref().map(|help| Box::new(printable(help)) as Box<dyn fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.source.as_ref().map(|source| source as &dyn SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let place = self.problem.place.as_ref()?;
        let length = place.span.end - place.span.start;
        let label = LabeledSpan::new(Some(self.problem.label.clone()), place.span.start, length);
        Some(Box::new(std::iter::once(label)))
    }
}

/// A word from the file, quoted and without control characters.
pub(super) fn quoted(word: &str) -> String {
    const LONGEST: usize = 80;
    let mut shown: String = word.chars().take(LONGEST).collect();
    if shown.len() < word.len() {
        shown.push('…');
    }
    format!("{shown:?}")
}

/// What a checked scalar says, "what is wrong; what to do", in its two parts.
pub(super) fn split(text: &str) -> (String, Option<String>) {
    match text.rsplit_once("; ") {
        Some((message, help)) => (message.to_owned(), Some(help.to_owned())),
        None => (text.to_owned(), None),
    }
}

/// `did you mean "x"?`, or else the words that are possible there.
pub(super) fn suggestion(word: &str, candidates: &[&str], kind: &str) -> Option<String> {
    const LISTED: usize = 16;
    if let Some(near) = nearest(word, candidates.iter().copied()) {
        return Some(format!("did you mean {near:?}?"));
    }
    match candidates {
        [] => None,
        all if all.len() <= LISTED => Some(format!("{kind}: {}", all.join(", "))),
        all => Some(format!("{kind}: {}, … ({} in all)", all[..LISTED].join(", "), all.len())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_not_shown() {
        assert_eq!(quoted("a\u{1b}[31m"), "\"a\\u{1b}[31m\"");
        assert_eq!(blanked("a\u{1b}b\u{85}c\nd").len(), "a\u{1b}b\u{85}c\nd".len());
        assert!(!blanked("a\u{1b}b\u{85}c").contains(char::is_control));
    }

    #[test]
    fn a_long_word_is_cut() {
        assert!(quoted(&"x".repeat(500)).len() < 100);
    }
}
