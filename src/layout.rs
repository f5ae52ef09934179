//! Text that fits the terminal.
//!
//! Contract: wrapping loses nothing: words move to the next line, and only a word that is wider than a whole line is cut; a link of a
//! page never is, so that it can be followed. Without a width (a pipe,
//! a file) lines stay whole, so that `grep` finds them. Limits: below [`NARROWEST`] columns lines are longer than the terminal.
//! Design: ANSI styles take no columns, so that styled text can be wrapped.

use std::io::{self, IsTerminal};
use std::os::fd::AsFd;

use textwrap::{Options, WordSeparator, WordSplitter};

/// A terminal narrower than this gets lines of this width.
const NARROWEST: usize = 40;

/// Columns of the terminal that standard output is; `None` where it is none, and lines stay whole.
pub fn columns() -> Option<usize> {
    columns_of(&io::stdout())
}

/// The same of standard error.
pub fn error_columns() -> Option<usize> {
    columns_of(&io::stderr())
}

fn columns_of(stream: &(impl IsTerminal + AsFd)) -> Option<usize> {
    let size = stream.is_terminal().then(|| terminal_size::terminal_size_of(stream)).flatten();
    size.map(|(width, _)| usize::from(width.0).max(NARROWEST))
}

/// `text` behind `first`; further lines begin with `rest`.
pub fn hang(first: &str, rest: &str, text: &str, columns: Option<usize>) -> String {
    let Some(columns) = columns else { return format!("{first}{text}") };
    // An indent that leaves no room for text is worse than none.
    let rest = if width(rest) + NARROWEST / 2 > columns { "  " } else { rest };
    let options = Options::new(columns)
        .initial_indent(first)
        .subsequent_indent(rest)
        .word_separator(WordSeparator::AsciiSpace)
        .word_splitter(WordSplitter::NoHyphenation);
    textwrap::fill(text, options)
}

/// Columns that a text takes on the screen.
pub fn width(text: &str) -> usize {
    textwrap::core::display_width(text)
}

/// A table with a head line. Where it is wider than the terminal, each row keeps its first `head` cells on one line, and the others follow below,
/// each with its title. Columns without any value are left out.
pub fn table(titles: &[&str], rows: &[Vec<String>], head: usize, columns: Option<usize>) -> String {
    let cell = |row: &[String], at: usize| row.get(at).cloned().unwrap_or_default();
    let used: Vec<usize> =
        (0..titles.len()).filter(|at| *at < head || rows.iter().any(|row| !cell(row, *at).is_empty())).collect();
    let widest = |at: &usize| rows.iter().map(|row| width(&cell(row, *at))).max().unwrap_or(0).max(width(titles[*at]));
    let widths: Vec<usize> = used.iter().map(widest).collect();
    let all: usize = widths.iter().map(|width| width + 2).sum();
    let shown = if columns.is_some_and(|columns| all > columns + 2) { head.min(used.len()) } else { used.len() };
    let mut text = aligned(used[..shown].iter().map(|at| titles[*at].to_owned()), &widths, columns);
    for row in rows {
        text += &aligned(used[..shown].iter().map(|at| cell(row, *at)), &widths, columns);
        let rest = used[shown..].iter().filter(|at| !cell(row, **at).is_empty());
        let only = used.len() == shown + 1;
        let named = |at: &usize| {
            let title = titles[*at].to_lowercase();
            if only { cell(row, *at) } else { format!("{title} {}", cell(row, *at)) }
        };
        let rest = rest.map(named).collect::<Vec<_>>().join("  ");
        if !rest.is_empty() {
            text += &(hang("    ", "    ", &rest, columns) + "\n");
        }
    }
    text
}

/// Cells one after the other, each as wide as its column; one line where they fit.
fn aligned(cells: impl Iterator<Item = String>, widths: &[usize], columns: Option<usize>) -> String {
    let padded = cells.zip(widths).map(|(cell, wide)| {
        let missing = wide.saturating_sub(width(&cell));
        cell + &" ".repeat(missing)
    });
    let line = padded.collect::<Vec<_>>().join("  ");
    let line = line.trim_end();
    if columns.is_some_and(|columns| width(line) > columns) {
        hang("", "    ", line, columns) + "\n"
    } else {
        format!("{line}\n")
    }
}

/// Markdown with its paragraphs and lists wrapped; tables and links in lists stay as they are.
pub fn markdown(page: &str, columns: Option<usize>) -> String {
    let line = |line: &str| {
        let indent = match line.split_once(' ') {
            Some(("-", _)) => 2,
            Some((number, _)) if number.ends_with('.') && number[..number.len() - 1].parse::<u8>().is_ok() => {
                number.len() + 1
            }
            _ => 0,
        };
        if line.starts_with('|') || line.starts_with("- https://") {
            format!("{line}\n")
        } else {
            hang("", &" ".repeat(indent), line, columns) + "\n"
        }
    };
    page.lines().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_line_is_wrapped_at_words_and_indented() {
        let text = "the responder 198.51.100.10:80 is not the hop";
        assert_eq!(
            hang("why   ", "      ", text, Some(40)),
            "why   the responder 198.51.100.10:80 is\n      not the hop"
        );
        assert_eq!(hang("why   ", "      ", text, None), format!("why   {text}"));
    }

    #[test]
    fn a_table_that_is_too_wide_keeps_its_first_cells_and_names_the_others() {
        let titles = ["ID", "NAME", "IMAGE", "PID", "SERVICE"];
        let rows = [["c3c0a5bb29f4", "web-1", "registry.example/shop/web:3", "4242", ""].map(str::to_owned).to_vec()];
        assert_eq!(
            table(&titles, &rows, 2, None),
            "ID            NAME   IMAGE                        PID\nc3c0a5bb29f4  web-1  registry.example/shop/web:3  4242\n"
        );
        assert_eq!(
            table(&titles, &rows, 2, Some(48)),
            "ID            NAME\nc3c0a5bb29f4  web-1\n    image registry.example/shop/web:3  pid 4242\n"
        );
        let narrow = table(&titles, &rows, 2, Some(40));
        assert!(narrow.lines().all(|line| width(line) <= 40), "{narrow}");
    }

    #[test]
    fn lists_of_a_page_hang() {
        let page = format!("# t\n\n- {0}\n12. {0}\n| a | {0} |\n", "word ".repeat(9).trim_end());
        let text = markdown(&page, Some(40));
        assert!(text.contains("\n  word") && text.contains("\n    word"), "{text}");
        assert_eq!(markdown(&page, None), page);
        let link = format!("- https://docs.example/{}\n", "long/".repeat(9));
        assert_eq!(markdown(&link, Some(40)), link);
    }

    #[test]
    fn styles_take_no_columns_and_a_word_wider_than_the_line_is_cut() {
        let styled = format!("\u{1b}[1m{}\u{1b}[0m end", "x".repeat(34));
        assert_eq!(hang("", "", &styled, Some(40)).lines().count(), 1);
        let cut = hang("", "", &"x".repeat(100), Some(40));
        assert_eq!((cut.lines().count(), cut.replace('\n', "").len()), (3, 100), "nothing is lost");
    }
}
