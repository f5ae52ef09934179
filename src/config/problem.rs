//! Mistakes in a configuration, and how they are reported.
//!
//! Contract: every problem names file, line, column and the wrong word, and the nearest right word where there is one.
//! Limits: at most [`MAX_PROBLEMS`] are reported at once. What a terminal obeys never reaches it, not even from a file's name.
//! Design: problems own what they show, so that they outlive the load.

use std::fmt;
use std::io::{IsTerminal as _, Write as _};
use std::sync::Arc;

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{Group, Level, Renderer};

use super::excerpt::excerpt;
use super::source::{Source, Sources, Span};
use crate::escape::printable;
use crate::layout;
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

    /// The message, the place and the help, for the renderer.
    fn shown(&self) -> Group<'_> {
        let message = Level::ERROR.primary_title(wrapped(&self.message));
        let place = self.place.as_ref().map(|place| excerpt(&place.source, place.span, &self.label));
        let help = self.help.as_ref().map(|help| Level::HELP.message(wrapped(help)));
        Group::with_title(message).elements(place).elements(help)
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
        let renderer = if color { Renderer::styled().hyperlink(false) } else { Renderer::plain() };
        let renderer = renderer.decor_style(DecorStyle::Unicode);
        let mut report = String::new();
        for problem in &self.problems {
            report.push_str(&renderer.render(&[problem.shown()]));
            report.push_str("\n\n");
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

/// Text for a terminal. A long one is wrapped, also in a file: below it stands the place, in several lines anyway.
fn wrapped(text: &str) -> String {
    const WIDEST: usize = 100;
    layout::hang("", "", &printable(text), Some(WIDEST))
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
    }

    #[test]
    fn a_long_word_is_cut() {
        assert!(quoted(&"x".repeat(500)).len() < 100);
    }
}
