//! Variables that set a value: `HOPWATCH__SECTION__KEY`, such as `HOPWATCH__CAPTURE__SNAP_LENGTH=512`.
//!
//! Contract: every key whose value is not a structure has a variable, its path in capitals with `-` as `_`; another name is a
//! mistake. Limits: names, hops, contracts and exceptions are for files only. Design: the variables are derived from the
//! defaults, so a new key has one without further ado. A list is written with commas.

use serde_json::Value;

use super::file::FileConfig;
use super::node::{Kind, Node};
use super::problem::{Problem, quoted, suggestion};
use super::source::{Sources, Span};

/// Beginning of every such variable.
pub(super) const PREFIX: &str = "HOPWATCH__";
/// Sections that only files can fill.
const FILE_ONLY: [&str; 7] =
    ["destinations", "hops", "contracts", "exceptions", "severities", "maintenance", "environments"];

/// A variable, the path that it sets, and the value that stands there by default.
#[derive(Debug)]
struct Variable {
    name: String,
    path: Vec<String>,
    default: Value,
}

/// Every variable there is.
#[derive(Debug)]
pub(super) struct Variables(Vec<Variable>);

impl Variables {
    /// From the defaults.
    pub fn known() -> Self {
        let mut all = Vec::new();
        if let Ok(Value::Object(sections)) = serde_json::to_value(FileConfig::default()) {
            for (section, value) in sections.into_iter().filter(|(name, _)| !FILE_ONLY.contains(&name.as_str())) {
                collect(&mut all, vec![section], value);
            }
        }
        Self(all)
    }

    /// Sets in `tree` what a variable says.
    pub fn set(&self, sources: &mut Sources, tree: &mut Node, name: &str, value: &str) -> Result<(), Problem> {
        let span = sources.add_variable(name, value);
        let Some(variable) = self.0.iter().find(|variable| variable.name == name) else {
            return Err(self.unknown(sources, name, span));
        };
        let path: Vec<&str> = variable.path.iter().map(String::as_str).collect();
        tree.set(&path, node(sources, span, &variable.default));
        Ok(())
    }

    fn unknown(&self, sources: &Sources, name: &str, span: Span) -> Problem {
        let names: Vec<&str> = self.0.iter().map(|variable| variable.name.as_str()).collect();
        let place = Span { start: 0, end: name.len(), ..span };
        let section = name[PREFIX.len()..].split("__").next().unwrap_or_default().to_lowercase();
        let help = if FILE_ONLY.contains(&section.as_str()) {
            Some(format!("{section} are written in a file"))
        } else {
            suggestion(name, &names, "variables")
        };
        Problem::at(sources, place, format!("no configuration key has the variable {}", quoted(name)))
            .with_label("no such key")
            .with_help(help)
    }
}

fn collect(all: &mut Vec<Variable>, path: Vec<String>, value: Value) {
    match value {
        Value::Object(keys) => {
            for (key, value) in keys {
                let mut path = path.clone();
                path.push(key);
                collect(all, path, value);
            }
        }
        default => {
            let name = format!("{PREFIX}{}", path.join("__").to_uppercase().replace('-', "_"));
            all.push(Variable { name, path, default });
        }
    }
}

/// The value at a place in a source, read as the kind of value that stands there by default.
fn node(sources: &Sources, span: Span, default: &Value) -> Node {
    let text = sources.text(span);
    let kind = match default {
        Value::Array(_) => Kind::List(elements(sources, span)),
        Value::Bool(_) if text == "true" || text == "false" => Kind::Bool(text == "true", text.to_owned()),
        Value::Number(_) => match text.parse() {
            Ok(number) => Kind::Int(number, text.to_owned()),
            Err(_) => Kind::Text(text.to_owned()),
        },
        _ => Kind::Text(text.to_owned()),
    };
    Node { id: 0, span, kind }
}

fn elements(sources: &Sources, span: Span) -> Vec<Node> {
    let text = sources.text(span);
    if text.trim().is_empty() {
        return Vec::new();
    }
    let mut start = span.start;
    let mut elements = Vec::new();
    for part in text.split(',') {
        let first = start + part.len() - part.trim_start().len();
        let place = Span { start: first, end: first + part.trim().len(), ..span };
        // A list of texts takes a number as it is written.
        let written = part.trim().to_owned();
        let kind =
            written.parse().map_or_else(|_| Kind::Text(written.clone()), |number| Kind::Int(number, written.clone()));
        elements.push(Node { id: 0, span: place, kind });
        start += part.len() + 1;
    }
    elements
}
