//! `hopwatch.yaml(5)`.
//!
//! Contract: the sections and keys of `docs/configuration.md`, for `man`. Design: roff's `man` macros, written by hand: what the texts have of Markdown is
//! code, emphasis and links, nothing else.

use std::fmt::Write as _;

use serde_json::Value;

use super::{Key, Section, sections};

const FILES: [(&str, &str); 3] = [
    ("/etc/hopwatch/hopwatch.yaml", "The configuration. Without it the defaults hold."),
    (
        "/etc/hopwatch/conf.d/*.yaml",
        "Read behind it, in order of name: contracts, exceptions, severities and maintenance windows are added, everything else is replaced.",
    ),
    (
        "HOPWATCH__SECTION__KEY",
        "Variables of the environment that take the place of a key that holds a value or a plain list, such as HOPWATCH__CAPTURE__SNAP_LENGTH=512; lists with commas.",
    ),
];

/// The page, for `man -l` and packages.
pub(in crate::config) fn manual_page(schema: &Value) -> String {
    let mut page = format!(".TH hopwatch.yaml 5 \"\" \"hopwatch {}\" \"Configuration\"\n", env!("CARGO_PKG_VERSION"));
    page.push_str(".SH NAME\nhopwatch.yaml \\- the configuration of hopwatch\n.SH DESCRIPTION\n");
    paragraph(
        &mut page,
        "YAML. `hopwatch config check` tells every mistake at its place, `hopwatch config print --origin` where each value was set, `hopwatch config schema` prints a schema for editors.",
    );
    page.push_str(".SH FILES AND VARIABLES\n");
    for (name, text) in FILES {
        entry(&mut page, &bold(name), text);
    }
    for section in sections(schema) {
        add_section(&mut page, &section);
    }
    page.push_str(".SH SEE ALSO\n.BR hopwatch (1),\n.BR hopwatch\\-config\\-check (1),\n.BR hopwatch\\-sniff (1)\n");
    page
}

fn add_section(page: &mut String, Section { title, text, keys }: &Section<'_>) {
    let _ = writeln!(page, ".SH \"{}\"", escaped(&title.replace('`', "").to_uppercase()));
    paragraph(page, text);
    for Key { name, is_required, default, example, text } in keys {
        let mut head = bold(name);
        match default {
            _ if *is_required => head.push_str(" (must be given)"),
            Some(default) => _ = write!(head, " (default {})", escaped(&default.to_string())),
            None => {}
        }
        entry(page, &head, text);
        if let Some(example) = example {
            let _ = writeln!(page, ".br\nExample: {}", escaped(&example.to_string()));
        }
    }
}

fn entry(page: &mut String, head: &str, text: &str) {
    let _ = writeln!(page, ".TP\n{head}");
    let text = inline(text);
    // An entry has a body, or the next one is taken for it.
    let _ = writeln!(page, "{}", if text.is_empty() { "\\&" } else { &text });
}

fn paragraph(page: &mut String, text: &str) {
    for part in text.split("\n\n").filter(|part| !part.is_empty()) {
        let _ = writeln!(page, ".PP\n{}", inline(&part.replace('\n', " ")));
    }
}

fn bold(text: &str) -> String {
    format!("\\fB{}\\fR", escaped(text))
}

/// Characters that roff would read as its own.
fn escaped(text: &str) -> String {
    let text = text.replace('\\', "\\e").replace('-', "\\-").replace('"', "\\(dq").replace('\'', "\\(aq");
    if text.starts_with('.') { format!("\\&{text}") } else { text }
}

/// A text with Markdown's code as bold, and without its emphasis and links.
fn inline(text: &str) -> String {
    let text = without_links(text).replace("**", "");
    let parts = text.split('`').enumerate();
    let parts = parts.map(|(number, part)| if number % 2 == 1 { bold(part) } else { escaped(part) });
    parts.collect()
}

/// `[words](place)` becomes its words.
fn without_links(text: &str) -> String {
    let (mut rest, mut out) = (text, String::new());
    while let Some((before, words, behind)) = link(rest) {
        out.push_str(before);
        out.push_str(words);
        rest = behind;
    }
    out + rest
}

fn link(text: &str) -> Option<(&str, &str, &str)> {
    let (head, tail) = text.split_once("](")?;
    let (before, words) = head.rsplit_once('[')?;
    let (_, behind) = tail.split_once(')')?;
    Some((before, words, behind))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_roff_reads_as_its_own_is_escaped() {
        assert_eq!(inline("a `b-c` and [d](e.md) \\ **f**"), "a \\fBb\\-c\\fR and d \\e f");
        assert_eq!((inline(".x"), escaped("'y")), ("\\&.x".to_owned(), "\\(aqy".to_owned()));
        assert_eq!(inline("[a](b) [c"), "a [c", "half a link is text");
    }
}
