//! A place in a source, shown with the lines around it.
//!
//! Contract: the place is marked, under its file's name, line and column. Limits: one line before the place and one after it; of a place
//! in many lines its beginning and its end. What a terminal obeys is blanked out. Design: the renderer gets only these lines, so that
//! its work does not grow with the file, and each line has its end, so that a place at the end of the file is on a line of its own.

use std::ops::Range;

use annotate_snippets::{Annotation, AnnotationKind, Snippet};

use super::source::{Source, Span};
use crate::escape::{is_obeyed, printable};

/// The lines of `span`, and one before and after them; `label` stands under the marked word.
pub(super) fn excerpt<'a>(source: &Source, span: Span, label: &'a str) -> Snippet<'a, Annotation<'a>> {
    let lines = around(&source.text, span.start..span.end);
    let marked = span.start - lines.start..span.end - lines.start;
    let text = blanked(&source.text[lines.clone()]) + "\n";
    let line = source.position(lines.start).0;
    // The first and the last line have no mark that they would be shown for.
    let context = [0, text.len() - 1].map(|at| AnnotationKind::Visible.span(at..at));
    Snippet::source(text)
        .path(printable(&source.name))
        .line_start(line)
        .annotation(AnnotationKind::Primary.span(marked).label(label))
        .annotations(context)
}

/// The range of whole lines, without the last one's end, from the line before `place` to the line after it.
fn around(text: &str, place: Range<usize>) -> Range<usize> {
    let start_of_line = |at: usize| text[..at].rfind('\n').map_or(0, |end| end + 1);
    let end_of_line = |at: usize| text[at..].find('\n').map_or(text.len(), |end| at + end);
    let start = start_of_line(place.start);
    let end = end_of_line(place.end);
    let before = start_of_line(start.saturating_sub(1));
    let after = if end + 1 < text.len() { end_of_line(end + 1) } else { end };
    before..after
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

#[cfg(test)]
mod tests {
    use annotate_snippets::{Level, Renderer};

    use super::*;

    fn shown(text: &str, place: Range<usize>) -> String {
        let source = Source { name: "a.yaml".into(), text: text.into(), variable: None };
        let span = Span { source: 0, start: place.start, end: place.end };
        let report = [Level::ERROR.primary_title("wrong").element(excerpt(&source, span, "here"))];
        let line = source.position(place.start);
        let shown = Renderer::plain().render(&report);
        assert!(shown.contains(&format!("--> a.yaml:{}:{}\n", line.0, line.1)), "{line:?}\n{shown}");
        shown
    }

    #[test]
    fn every_place_of_a_text_can_be_shown() {
        for text in ["", "\n", "a", "a: 1", "a: 1\nb: é\n\nc:\td\n", "a\r\n漢: 字\r\n", "\n\n\n"] {
            let bounds: Vec<usize> = (0..=text.len()).filter(|at| text.is_char_boundary(*at)).collect();
            for (from, start) in bounds.iter().enumerate() {
                for end in &bounds[from..] {
                    assert!(shown(text, *start..*end).contains("here"), "{text:?} {start}..{end}");
                }
            }
        }
    }

    #[test]
    fn the_lines_around_a_place_are_shown_and_no_further_ones() {
        let text = "zero\none\ntwo\nthree\nfour\n";
        let two = shown(text, 9..12);
        assert!(two.contains("2 | one\n3 | two\n  | ^^^ here\n4 | three"), "{two}");
        assert!(!two.contains("zero") && !two.contains("four"), "{two}");
        let last = shown(text, 19..23);
        assert!(last.ends_with("4 | three\n5 | four\n  | ^^^^ here"), "{last}");
    }

    #[test]
    fn a_place_in_many_lines_is_shown_by_its_beginning_and_its_end() {
        let text = (0..100).map(|line| format!("line {line}\n")).collect::<String>();
        let all = shown(&text, 14..text.len() - 10);
        assert!(all.contains("line 2\n") && all.contains("line 98\n") && !all.contains("line 50\n"), "{all}");
        assert!(all.lines().count() < 16, "{all}");
    }

    #[test]
    fn a_long_line_is_cut_around_the_place() {
        let text = format!("{}wrong{}", "x".repeat(5000), "y".repeat(5000));
        let cut = shown(&text, 5000..5005);
        assert!(cut.contains("xwrongy") && cut.len() < 600, "{cut}");
    }

    #[test]
    fn control_characters_are_not_shown() {
        let text = "a\u{1b}b\u{85}c\u{202e}d";
        assert_eq!(blanked(text).len(), text.len());
        assert!(!blanked(text).contains(is_obeyed));
    }
}
