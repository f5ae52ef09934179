//! `hopwatch.yaml(5)`.
//!
//! Contract: the sections and keys of `docs/configuration.md`, for `man`. Design: what the texts have of Markdown is code, emphasis and
//! links, nothing else.

use clap_mangen::roff::{Inline, Roff, bold, roman};
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
    let mut page = Roff::new();
    let version = concat!("hopwatch ", env!("CARGO_PKG_VERSION"));
    // No date: an argument that is empty would be none.
    page.control("TH", ["hopwatch.yaml", "5", " ", version, "Configuration"]);
    page.control("SH", ["NAME"]).text([roman("hopwatch.yaml - the configuration of hopwatch")]);
    page.control("SH", ["DESCRIPTION"]);
    paragraph(
        &mut page,
        "YAML. `hopwatch config check` tells every mistake at its place, `hopwatch config print --origin` where each value was set, `hopwatch config schema` prints a schema for editors.",
    );
    page.control("SH", ["FILES AND VARIABLES"]);
    for (name, text) in FILES {
        entry(&mut page, vec![bold(name)], text);
    }
    for section in sections(schema) {
        add_section(&mut page, &section);
    }
    page.control("SH", ["SEE ALSO"]);
    page.text([roman("hopwatch(1), hopwatch-config-check(1), hopwatch-sniff(1)")]);
    page.render()
}

fn add_section(page: &mut Roff, Section { title, text, keys }: &Section<'_>) {
    // One argument, whatever is in it: quotation marks cannot be escaped in it.
    page.control("SH", [title.replace(['`', '"'], "").to_uppercase().as_str()]);
    paragraph(page, text);
    for Key { name, is_required, default, example, text } in keys {
        let mut head = vec![bold(*name)];
        match default {
            _ if *is_required => head.push(roman(" (must be given)")),
            Some(default) => head.push(roman(format!(" (default {default})"))),
            None => {}
        }
        entry(page, head, text);
        if let Some(example) = example {
            page.control("br", []).text([roman(format!("Example: {example}"))]);
        }
    }
}

fn entry(page: &mut Roff, head: Vec<Inline>, text: &str) {
    // An entry has a body, or the next one is taken for it.
    let body = if text.is_empty() { vec![roman(" ")] } else { inline(text) };
    page.control("TP", []).text(head).text(body);
}

fn paragraph(page: &mut Roff, text: &str) {
    for part in text.split("\n\n").filter(|part| !part.is_empty()) {
        page.control("PP", []).text(inline(&part.replace('\n', " ")));
    }
}

/// A text with Markdown's code as bold, and without its emphasis and links.
fn inline(text: &str) -> Vec<Inline> {
    let text = without_links(text).replace("**", "");
    let parts = text.split('`').enumerate();
    parts.map(|(number, part)| if number % 2 == 1 { bold(part) } else { roman(part) }).collect()
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
    fn code_is_bold_and_links_are_their_words() {
        let wanted = [roman("a "), bold("b-c"), roman(" and d f")];
        assert_eq!(inline("a `b-c` and [d](e.md) **f**"), wanted);
        assert_eq!(inline("[a](b) [c"), [roman("a [c")], "half a link is text");
    }

    #[test]
    fn every_key_is_an_entry_with_a_body_and_no_text_is_taken_for_a_request() {
        let key = serde_json::json!({"default": 5, "examples": ["z"]});
        let section = Section {
            title: "`a`".to_owned(),
            text: "",
            keys: vec![
                Key {
                    name: "a.b",
                    is_required: false,
                    default: Some(&key["default"]),
                    example: Some(&key["examples"][0]),
                    text: ".x 'y'".to_owned(),
                },
                Key { name: "a.c", is_required: true, default: None, example: None, text: String::new() },
            ],
        };
        let mut page = Roff::new();
        add_section(&mut page, &section);
        let page = page.to_roff();
        assert_eq!(
            page,
            ".SH A\n.TP\n\\fBa.b\\fR (default 5)\n\\&.x 'y'\n.br\nExample: \"z\"\n.TP\n\\fBa.c\\fR (must be given)\n \n"
        );
    }
}
