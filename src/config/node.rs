//! YAML text as a tree in which every key and value knows where it stands.
//!
//! Contract: any text gives a tree or a [`Problem`], never a panic. Limits: files of [`MAX_BYTES`], nesting of
//! [`MAX_DEPTH`], one document a file. Design: the layers are merged as trees, so that a mistake found after merging
//! still points at the file and line that caused it, and `config print --origin` can say where a value comes from.

use std::fmt;

use serde::de::{Deserialize, DeserializeOwned, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_saphyr::options::DuplicateKeyPolicy;
use serde_saphyr::{Error, Location, NonFiniteFloatPolicy, Spanned};

use super::problem::{Problem, quoted};
use super::source::{Sources, Span};

/// Nobody writes a configuration of a mebibyte; a wrong file does.
pub(super) const MAX_BYTES: usize = 1 << 20;
/// The shape is at most seven deep.
const MAX_DEPTH: usize = 32;
/// Aliases may repeat parts, not multiply them.
const MAX_NODES: usize = 100_000;

/// A value and its place.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Node {
    /// Distinguishes the nodes of one merged tree, see [`Node::number`]; 0 before.
    pub id: usize,
    pub span: Span,
    pub kind: Kind,
}

/// What a value is.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Kind {
    Null,
    /// Value, and how it is written.
    Bool(bool, String),
    Int(i128, String),
    Float(f64, String),
    Text(String),
    List(Vec<Node>),
    Map(Vec<(Key, Node)>),
}

/// A key and its place.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Key {
    pub text: String,
    pub span: Span,
}

impl Node {
    /// An empty mapping.
    pub const fn empty() -> Self {
        Self { id: 0, span: Span { source: 0, start: 0, end: 0 }, kind: Kind::Map(Vec::new()) }
    }

    /// Numbers this node and all below it from `next` on: places do not distinguish nodes, since a block mapping stands where
    /// its first key stands, and what an alias repeats stands at the alias.
    pub fn number(&mut self, next: &mut usize) {
        *next += 1;
        self.id = *next;
        match &mut self.kind {
            Kind::List(list) => list.iter_mut().for_each(|element| element.number(next)),
            Kind::Map(entries) => entries.iter_mut().for_each(|(_, value)| value.number(next)),
            _ => {}
        }
    }

    /// The value of a key of a mapping.
    pub fn get(&self, key: &str) -> Option<&Self> {
        self.entries().iter().find(|(k, _)| k.text == key).map(|(_, value)| value)
    }

    /// The entries of a mapping; none for other kinds.
    pub fn entries(&self) -> &[(Key, Self)] {
        if let Kind::Map(entries) = &self.kind { entries } else { &[] }
    }

    /// Sets the value at a path, making mappings on the way.
    pub fn set(&mut self, path: &[&str], value: Self) {
        let Some((first, rest)) = path.split_first() else {
            *self = value;
            return;
        };
        let span = value.span;
        if !matches!(self.kind, Kind::Map(_)) {
            *self = Self { id: 0, span, kind: Kind::Map(Vec::new()) };
        }
        let Kind::Map(entries) = &mut self.kind else { return };
        let at = entries.iter().position(|(key, _)| key.text == *first).unwrap_or_else(|| {
            entries.push((Key { text: (*first).to_owned(), span }, Self { id: 0, span, kind: Kind::Map(Vec::new()) }));
            entries.len() - 1
        });
        entries[at].1.set(rest, value);
    }

    /// Lays a later layer over this one: mappings merge, the named top-level lists append, everything else is replaced.
    pub fn overlay(&mut self, later: Self, appended: &[&str]) {
        match (&mut self.kind, later.kind) {
            (_, Kind::Null) => {}
            (Kind::Map(entries), Kind::Map(over)) => over.into_iter().for_each(|e| merge_entry(entries, e, appended)),
            (kind, over) => {
                *kind = over;
                self.span = later.span;
            }
        }
    }
}

fn merge_entry(entries: &mut Vec<(Key, Node)>, (key, value): (Key, Node), appended: &[&str]) {
    let Some((_, old)) = entries.iter_mut().find(|(k, _)| k.text == key.text) else {
        entries.push((key, value));
        return;
    };
    match (&mut old.kind, value.kind) {
        (Kind::List(list), Kind::List(more)) if appended.contains(&key.text.as_str()) => list.extend(more),
        (_, kind) => old.overlay(Node { id: 0, span: value.span, kind }, &[]),
    }
}

/// Reads one source as a tree.
pub(super) fn parse(sources: &Sources, source: usize) -> Result<Node, Problem> {
    parse_up_to(sources, source, MAX_NODES)
}

/// Reads one source of so many nodes as a tree.
pub(super) fn parse_up_to(sources: &Sources, source: usize, max_nodes: usize) -> Result<Node, Problem> {
    let Some(text) = sources.get(source).map(|source| source.text.as_str()) else { return Ok(Node::empty()) };
    let tree = serde_saphyr::from_str_with_options::<Spanned<Raw>>(text, options(max_nodes));
    tree.map(|raw| plant(sources, source, raw)).map_err(|error| syntax_problem(sources, source, &error))
}

/// Reads a text without a tree: quick, and without places where it is wrong.
pub(super) fn parse_directly<T: DeserializeOwned>(text: &str, max_nodes: usize) -> Option<T> {
    serde_saphyr::from_str_with_options(text, options(max_nodes)).ok()
}

fn options(max_nodes: usize) -> serde_saphyr::Options {
    serde_saphyr::options! {
        strict_booleans: true,
        with_snippet: false,
        duplicate_keys: DuplicateKeyPolicy::Error,
        non_finite_float_policy: NonFiniteFloatPolicy::AsString,
        reject_unsupported_tags: true,
        emit_comments: false,
        budget: serde_saphyr::budget! {
            max_depth: MAX_DEPTH,
            flow_nesting_limit: MAX_DEPTH,
            max_nodes: max_nodes,
            max_events: 4 * max_nodes,
        },
        alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: MAX_NODES },
    }
}

/// A value as the parser gives it.
enum Raw {
    Null,
    Bool(bool),
    Int(i128),
    Float(f64),
    Text(String),
    List(Vec<Spanned<Raw>>),
    Map(Vec<(Spanned<String>, Spanned<Raw>)>),
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RawVisitor)
    }
}

struct RawVisitor;

impl<'de> Visitor<'de> for RawVisitor {
    type Value = Raw;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Raw, E> {
        Ok(Raw::Null)
    }

    fn visit_none<E>(self) -> Result<Raw, E> {
        Ok(Raw::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Raw, E> {
        Ok(Raw::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Raw, E> {
        Ok(Raw::Int(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Raw, E> {
        Ok(Raw::Int(value.into()))
    }

    fn visit_i128<E>(self, value: i128) -> Result<Raw, E> {
        Ok(Raw::Int(value))
    }

    fn visit_u128<E: serde::de::Error>(self, value: u128) -> Result<Raw, E> {
        i128::try_from(value).map(Raw::Int).map_err(|_| E::custom("this number is too large"))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Raw, E> {
        Ok(Raw::Float(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Raw, E> {
        Ok(Raw::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Raw, A::Error> {
        let mut list = Vec::new();
        while let Some(element) = seq.next_element()? {
            list.push(element);
        }
        Ok(Raw::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Raw, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry()? {
            if entries.len() >= MAX_NODES {
                return Err(A::Error::custom("too many keys"));
            }
            entries.push(entry);
        }
        Ok(Raw::Map(entries))
    }
}

fn plant(sources: &Sources, source: usize, raw: Spanned<Raw>) -> Node {
    let span = span_of(sources, source, &raw.referenced);
    let written = || sources.text(span_of(sources, source, &raw.defined)).to_owned();
    let kind = match raw.value {
        Raw::Null => Kind::Null,
        Raw::Bool(value) => Kind::Bool(value, written()),
        Raw::Int(value) => Kind::Int(value, written()),
        Raw::Float(value) => Kind::Float(value, written()),
        Raw::Text(text) => Kind::Text(text),
        Raw::List(list) => Kind::List(list.into_iter().map(|element| plant(sources, source, element)).collect()),
        Raw::Map(entries) => Kind::Map(
            entries
                .into_iter()
                .map(|(key, value)| {
                    let span = span_of(sources, source, &key.referenced);
                    (Key { text: key.value, span }, plant(sources, source, value))
                })
                .collect(),
        ),
    };
    Node { id: 0, span, kind }
}

fn span_of(sources: &Sources, source: usize, location: &Location) -> Span {
    let span = location.span();
    let number = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
    let range = if let (Some(start), Some(length)) = (span.byte_offset(), span.byte_len()) {
        number(start)..number(start).saturating_add(number(length))
    } else {
        let text = sources.get(source);
        let start = text.map_or(0, |text| text.offset(number(location.line()), number(location.column())));
        start..start + 1
    };
    let span = sources.span(source, range);
    let trimmed = sources.text(span).trim_end().len();
    Span { end: span.start + trimmed, ..span }
}

fn syntax_problem(sources: &Sources, source: usize, error: &Error) -> Problem {
    let error = error.without_snippet();
    let span = error.location().map_or_else(|| sources.span(source, 0..0), |at| span_of(sources, source, &at));
    let (message, help) = match error {
        Error::DuplicateMappingKey { key, .. } => {
            let key = key.as_deref().unwrap_or_else(|| sources.text(span));
            (format!("the key {} stands twice in the same mapping", quoted(key)), Some("keep one of them".to_owned()))
        }
        Error::MultipleDocuments { .. } => (
            "a second YAML document begins here".to_owned(),
            Some("keep one document in a file; put further ones into files of their own in conf.d".to_owned()),
        ),
        Error::UnknownAnchor { .. } => (
            "this is a YAML alias, but nothing has that anchor".to_owned(),
            Some("a text that begins with * must be quoted: \"*\"".to_owned()),
        ),
        other => plain_syntax(other),
    };
    Problem::at(sources, span, message).with_help(help)
}

fn plain_syntax(error: &Error) -> (String, Option<String>) {
    let message = match error {
        Error::Message { msg, .. } | Error::ExternalMessage { msg, .. } => msg.clone(),
        Error::Budget { .. } => "this is larger or nested deeper than any configuration needs".to_owned(),
        other => other.to_string(),
    };
    let message = message.split(" at line ").next().unwrap_or_default().to_owned();
    let hint = if message.contains("anchor or alias") {
        Some("a text that begins with * must be quoted: \"*\"")
    } else if message.contains("tab") {
        Some("indent with spaces")
    } else if message.contains("mapping values are not allowed") {
        Some("a text that holds \": \" must be quoted; or a key is indented wrongly")
    } else if message.contains("unclosed") {
        Some("close it, or quote the text if the bracket belongs to it")
    } else {
        None
    };
    (format!("not valid YAML: {message}"), hint.map(str::to_owned))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(texts: &[&str]) -> (Sources, Node) {
        let mut sources = Sources::default();
        let mut tree = Node::empty();
        for text in texts {
            let source = sources.add_file("a.yaml", (*text).to_owned());
            tree.overlay(parse(&sources, source).expect("valid"), &["contracts"]);
        }
        (sources, tree)
    }

    #[test]
    fn layers_merge_mappings_append_named_lists_and_replace_the_rest() {
        let (sources, tree) =
            tree(&["a: {x: 1, y: [1]}\ncontracts: [1]\n", "a: {x: 2, y: [2]}\ncontracts: [2]\nb: 3\n"]);
        let a = tree.get("a").expect("a");
        assert!(matches!(a.get("x").expect("x").kind, Kind::Int(2, _)));
        let length = |node: Option<&Node>| match node.map(|node| &node.kind) {
            Some(Kind::List(list)) => list.len(),
            other => panic!("{other:?} is no list"),
        };
        assert_eq!(length(a.get("y")), 1);
        assert_eq!(length(tree.get("contracts")), 2);
        assert_eq!(a.get("x").map(|x| x.span.source), Some(1));
        assert_eq!(sources.text(tree.get("b").expect("b").span), "3");
    }

    #[test]
    fn an_empty_section_in_a_later_layer_changes_nothing() {
        let (_, tree) = tree(&["a: {x: 1}", "a:\n"]);
        assert!(tree.get("a").expect("a").get("x").is_some());
    }

    #[test]
    fn alias_bombs_and_deep_nesting_are_refused() {
        let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for i in 1..12 {
            let refs = vec![format!("*a{}", i - 1); 10].join(", ");
            bomb.push_str(&format!("a{i}: &a{i} [{refs}]\n"));
        }
        for text in [bomb, "[".repeat(5000), "- ".repeat(5000), "{a: ".repeat(5000)] {
            let mut sources = Sources::default();
            let source = sources.add_file("a.yaml", text);
            assert!(parse(&sources, source).is_err());
        }
    }
}
