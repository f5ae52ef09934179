//! From the tree to the file shape: a serde deserializer that knows the place of everything it reads.
//!
//! Contract: every failure carries the place of the node that caused it. Limits: [`MAX_PROBLEMS`] rounds.
//! Design: serde stops at the first mistake. [`decode`] therefore notes it, takes the bad part out of the tree and reads
//! again, so that one run reports all mistakes; what was taken from is remembered, so that no mistake is reported as its own
//! consequence.

mod read;

use std::collections::BTreeSet;

use serde::de::DeserializeOwned;

use super::node::{Kind, Node};
use super::problem::{MAX_PROBLEMS, Problem, quoted, suggestion};
use super::source::{Sources, Span};
use crate::spelling::nearest;

/// Keys that were moved: the key, one that still stands beside its old place, and what to do now.
pub(super) type MovedKeys = &'static [(&'static str, &'static str, &'static str)];

/// Why a node was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    why: Why,
    at: Option<RefusedNode>,
}

/// The node that is refused (for a key: its value), and where to point.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct RefusedNode {
    id: usize,
    span: Span,
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
    fn or_at(mut self, node: &Node) -> Self {
        self.at.get_or_insert(RefusedNode { id: node.id, span: place_of(node) });
        self
    }

    fn problem(&self, sources: &Sources, moved: MovedKeys) -> Problem {
        let span = self.at.unwrap_or_default().span;
        match &self.why {
            Why::UnknownKey { word, known } => Problem::at(sources, span, format!("unknown key {}", quoted(word)))
                .with_label("no such key here")
                .with_help(moved_to(moved, word, known).or_else(|| suggestion(word, known, "keys here"))),
            Why::UnknownWord { word, known } => Problem::at(sources, span, format!("unknown word {}", quoted(word)))
                .with_help(suggestion(word, known, "possible here")),
            Why::MissingKey(key) => Problem::at(sources, span, format!("the key {key:?} is missing"))
                .with_label("in this mapping")
                .with_help(Some(format!("add {key}: …"))),
            Why::Other { message, help } => Problem::at(sources, span, message).with_help(help.clone()),
        }
    }
}

/// Where a key went that stood among these once.
fn moved_to(moved: MovedKeys, word: &str, known: &[&str]) -> Option<String> {
    let (.., help) = moved.iter().find(|(key, beside, _)| *key == word && known.contains(beside))?;
    Some((*help).to_owned())
}

/// What could be read.
pub(super) struct Decoded<T> {
    /// The value, without the bad parts; `None` when nothing of it could be read.
    pub value: Option<T>,
    /// What was wrong.
    pub problems: Vec<Problem>,
    /// The bad parts.
    pub removed: Removed,
}

/// Reads a value from a tree, and all that is wrong with it.
pub(super) fn decode<T: DeserializeOwned>(sources: &Sources, mut tree: Node, moved: MovedKeys) -> Decoded<T> {
    let mut removed = Removed::default();
    let mut problems = Vec::new();
    for _ in 0..=MAX_PROBLEMS {
        let refusal = match T::deserialize(read::De(&tree)) {
            Ok(value) => return Decoded { value: Some(value), problems, removed },
            Err(refusal) => refusal,
        };
        let id = refusal.at.unwrap_or_default().id;
        let consequence = match refusal.why {
            Why::MissingKey(key) => removed.had(id, key),
            // What a whole mapping or list lacks, it may lack because something was taken out.
            Why::Other { .. } => !removed.is_whole(id),
            Why::UnknownKey { .. } | Why::UnknownWord { .. } => false,
        };
        if !consequence {
            problems.push(refusal.problem(sources, moved));
        }
        if !removed.remove(&mut tree, id) {
            break;
        }
    }
    Decoded { value: None, problems, removed }
}

/// What was taken out of the tree, because it is bad.
#[derive(Debug, Default)]
pub(super) struct Removed {
    /// The mappings and lists that something was taken out of, at any depth.
    tainted: BTreeSet<usize>,
    /// The mapping and the key.
    keys: BTreeSet<(usize, String)>,
}

impl Removed {
    /// Whether nothing was taken out of this mapping or list, so that what it lacks is really missing.
    pub fn is_whole(&self, id: usize) -> bool {
        !self.tainted.contains(&id)
    }

    /// Whether this key was taken out of this mapping: it was there and bad, or there and misspelt.
    pub fn had(&self, map: usize, key: &str) -> bool {
        self.keys.iter().any(|(from, removed)| *from == map && nearest(removed, [key]).is_some())
    }

    /// Takes the node with this id out, with its key; `false` when there is none below this one.
    fn remove(&mut self, node: &mut Node, id: usize) -> bool {
        let found = match &mut node.kind {
            Kind::Map(entries) => match entries.iter().position(|(_, value)| value.id == id) {
                Some(at) => {
                    self.keys.insert((node.id, entries.remove(at).0.text));
                    true
                }
                None => entries.iter_mut().any(|(_, value)| self.remove(value, id)),
            },
            Kind::List(list) => match list.iter().position(|value| value.id == id) {
                Some(at) => {
                    list.remove(at);
                    true
                }
                None => list.iter_mut().any(|value| self.remove(value, id)),
            },
            _ => false,
        };
        if found {
            self.tainted.insert(node.id);
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
