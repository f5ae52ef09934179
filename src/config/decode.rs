//! From the tree to the file shape: a serde deserializer that knows the place of everything it reads.
//!
//! Contract: every failure carries the place of the node that caused it. Limits: [`MAX_PROBLEMS`] rounds.
//! Design: serde stops at the first mistake. [`decode`] therefore notes it, takes the bad part out of the tree and reads
//! again, so that one run tells all mistakes; what was taken from is remembered, so that no mistake is told as its own
//! consequence.

mod at;
mod read;

use std::collections::BTreeSet;

use serde::de::DeserializeOwned;

pub(super) use at::At;

use super::node::{Kind, Node};
use super::problem::{MAX_PROBLEMS, Problem, quoted, suggestion};
use super::source::{Sources, Span};

/// Why a node was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    why: Why,
    at: Option<Span>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Why {
    UnknownKey { word: String, known: &'static [&'static str] },
    UnknownWord { word: String, known: &'static [&'static str] },
    MissingKey(&'static str),
    Other { message: String, help: Option<String> },
}

impl Refusal {
    fn new(message: impl Into<String>, help: Option<&str>) -> Self {
        Self { why: Why::Other { message: message.into(), help: help.map(str::to_owned) }, at: None }
    }

    /// The place, unless a deeper one is known already.
    fn or_at(mut self, span: Span) -> Self {
        self.at.get_or_insert(span);
        self
    }

    fn problem(&self, sources: &Sources) -> Problem {
        let span = self.at.unwrap_or_default();
        match &self.why {
            Why::UnknownKey { word, known } => Problem::at(sources, span, format!("unknown key {}", quoted(word)))
                .with_label("no such key here")
                .with_help(suggestion(word, known, "keys here")),
            Why::UnknownWord { word, known } => Problem::at(sources, span, format!("unknown word {}", quoted(word)))
                .with_help(suggestion(word, known, "possible here")),
            Why::MissingKey(key) => Problem::at(sources, span, format!("the key {key:?} is missing"))
                .with_label("in this mapping")
                .with_help(Some(format!("add {key}: …"))),
            Why::Other { message, help } => Problem::at(sources, span, message).with_help(help.clone()),
        }
    }
}

/// What could be read.
pub(super) struct Decoded<T> {
    /// The value, without the bad parts; `None` when nothing of it could be read.
    pub value: Option<T>,
    /// What was wrong.
    pub problems: Vec<Problem>,
    /// Mappings and lists that a bad part was taken out of.
    pub tainted: BTreeSet<Span>,
}

/// Reads a value from a tree, and all that is wrong with it.
pub(super) fn decode<T: DeserializeOwned>(sources: &Sources, mut tree: Node) -> Decoded<T> {
    let mut pruned = Pruned::default();
    let mut problems = Vec::new();
    for _ in 0..=MAX_PROBLEMS {
        let refusal = match T::deserialize(read::De(&tree)) {
            Ok(value) => return Decoded { value: Some(value), problems, tainted: pruned.tainted },
            Err(refusal) => refusal,
        };
        let span = refusal.at.unwrap_or_default();
        let missing = matches!(refusal.why, Why::MissingKey(key) if !pruned.keys.contains(&(span, key.to_owned())));
        let consequence = pruned.tainted.contains(&span) && !missing;
        if !consequence {
            problems.push(refusal.problem(sources));
        }
        if !pruned.take(&mut tree, span) {
            break;
        }
    }
    Decoded { value: None, problems, tainted: pruned.tainted }
}

/// What was taken out of the tree.
#[derive(Default)]
struct Pruned {
    tainted: BTreeSet<Span>,
    keys: BTreeSet<(Span, String)>,
}

impl Pruned {
    /// Takes the part with this place out; `false` when there is none.
    fn take(&mut self, node: &mut Node, span: Span) -> bool {
        let before = place_of(node);
        let mut removed = None;
        let found = match &mut node.kind {
            Kind::Map(entries) => {
                if let Some(at) = entries.iter().position(|(key, value)| key.span == span || place_of(value) == span) {
                    removed = Some(entries.remove(at).0.text);
                    true
                } else {
                    entries.iter_mut().any(|(_, value)| self.take(value, span))
                }
            }
            Kind::List(list) => {
                if let Some(at) = list.iter().position(|value| place_of(value) == span) {
                    list.remove(at);
                    true
                } else {
                    list.iter_mut().any(|value| self.take(value, span))
                }
            }
            _ => false,
        };
        if found {
            // A block mapping stands where its first key stands, so taking that out moves it.
            for place in [before, place_of(node)] {
                self.tainted.insert(place);
                self.keys.extend(removed.iter().map(|key| (place, key.clone())));
            }
        }
        found
    }
}

/// Where to point for a node: the node itself, or the first key of a block mapping, which has no width of its own.
pub(super) fn place_of(node: &Node) -> Span {
    match &node.kind {
        Kind::Map(entries) if node.span.start == node.span.end => {
            entries.first().map_or(node.span, |(key, _)| key.span)
        }
        _ => node.span,
    }
}
