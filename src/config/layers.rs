//! The layers of a configuration, merged into one tree.
//!
//! Contract: later layers win; `contracts` and `exceptions` of `conf.d` files are added. Limits: files of `node::MAX_BYTES`.

use std::ffi::OsString;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use super::file::APPENDED;
use super::node::{self, MAX_BYTES, Node};
use super::problem::{ConfigError, Problem, quoted, suggestion};
use super::source::{Sources, Span};

/// The usual place.
const USUAL: &str = "/etc/hopwatch/hopwatch.yaml";
/// Beginning of variables that set a value.
const PREFIX: &str = "HOPWATCH__";
/// Sections whose values variables can set.
const SECTIONS: [&str; 7] = ["capture", "runtime", "serve", "flows", "detection", "inventory", "alerts"];

/// Sources and the merged tree.
pub(super) struct Layers {
    pub sources: Sources,
    pub tree: Node,
}

/// One text as the only layer.
pub(super) fn of_text(name: &str, text: &str) -> Result<Layers, ConfigError> {
    let mut layers = Layers { sources: Sources::default(), tree: Node::empty() };
    layers.add(name, text.to_owned()).map_err(|problem| ConfigError::new(vec![problem]))?;
    Ok(layers)
}

/// Files, then variables.
pub(super) fn read(
    explicit: Option<&Path>,
    variables: impl Iterator<Item = (OsString, OsString)>,
) -> Result<Layers, ConfigError> {
    let mut layers = Layers { sources: Sources::default(), tree: Node::empty() };
    let mut problems = Vec::new();
    for path in files(explicit) {
        let added = text_of(&path).and_then(|text| layers.add(&path.display().to_string(), text));
        problems.extend(added.err());
    }
    let mut variables: Vec<_> = variables.filter_map(|(name, value)| Some((name.into_string().ok()?, value))).collect();
    variables.sort();
    for (name, value) in variables.into_iter().filter(|(name, _)| name.starts_with(PREFIX)) {
        problems.extend(layers.set(&name, &value.to_string_lossy()).err());
    }
    if problems.is_empty() { Ok(layers) } else { Err(ConfigError::new(problems)) }
}

fn files(explicit: Option<&Path>) -> Vec<PathBuf> {
    if let Some(path) = explicit {
        return vec![path.to_owned()];
    }
    let usual = Path::new(USUAL);
    let mut more: Vec<PathBuf> = usual
        .with_file_name("conf.d")
        .read_dir()
        .map(|entries| entries.filter_map(|entry| Some(entry.ok()?.path())).collect())
        .unwrap_or_default();
    more.retain(|path| path.extension().is_some_and(|extension| extension == "yaml"));
    more.sort();
    usual.is_file().then(|| usual.to_owned()).into_iter().chain(more).collect()
}

fn text_of(path: &Path) -> Result<String, Problem> {
    let failed = |why: &dyn std::fmt::Display| {
        Problem::nowhere(format!("cannot read the configuration {}: {why}", path.display()))
            .with_help(Some("check the path and its permissions; config/examples holds working files".to_owned()))
    };
    let mut text = String::new();
    let file = std::fs::File::open(path).map_err(|error| failed(&error))?;
    let limit = u64::try_from(MAX_BYTES).unwrap_or(u64::MAX);
    file.take(limit + 1).read_to_string(&mut text).map_err(|error| failed(&error))?;
    if text.len() > MAX_BYTES {
        return Err(failed(&"it is larger than a mebibyte"));
    }
    Ok(text)
}

impl Layers {
    fn add(&mut self, name: &str, text: String) -> Result<(), Problem> {
        let source = self.sources.add_file(name, text);
        let tree = node::parse(&self.sources, source)?;
        self.tree.overlay(tree, &APPENDED);
        Ok(())
    }

    /// Sets one value from a variable such as `HOPWATCH__CAPTURE__SNAP_LENGTH`.
    fn set(&mut self, name: &str, value: &str) -> Result<(), Problem> {
        let path: Vec<String> = name[PREFIX.len()..].split("__").map(str::to_lowercase).collect();
        let span = self.sources.add_variable(name, value);
        let section = path.first().map_or("", String::as_str);
        if path.len() < 2 || !SECTIONS.contains(&section) {
            let whole = Span { start: 0, end: name.len(), ..span };
            let help = suggestion(section, &SECTIONS, "sections that variables can set");
            return Err(
                Problem::at(&self.sources, whole, format!("no such section: {}", quoted(section))).with_help(help)
            );
        }
        let mut value_only = Sources::default();
        let source = value_only.add_file(name, value.to_owned());
        let parsed = node::parse(&value_only, source)?;
        let path: Vec<&str> = path.iter().map(String::as_str).collect();
        self.tree.set(&path, moved(parsed, span));
        Ok(())
    }
}

/// The same value, standing where the variable stands.
fn moved(node: Node, span: Span) -> Node {
    use node::Kind;
    let kind = match node.kind {
        Kind::List(list) => Kind::List(list.into_iter().map(|element| moved(element, span)).collect()),
        Kind::Map(map) => {
            Kind::Map(map.into_iter().map(|(key, value)| (node::Key { span, ..key }, moved(value, span))).collect())
        }
        scalar => scalar,
    };
    Node { span, kind }
}

/// Where each `section.key` was set.
pub(super) fn origins(sources: &Sources, tree: &Node) -> Vec<(String, String)> {
    let mut origins = Vec::new();
    let mut note = |name: String, node: &Node| {
        let place = super::decode::place_of(node);
        if let Some(source) = sources.get(place.source) {
            let origin = match &source.variable {
                Some(variable) => variable.clone(),
                None => format!("{}:{}", source.name, source.position(place.start).0),
            };
            origins.push((name, origin));
        }
    };
    for (section, value) in tree.entries() {
        if value.entries().is_empty() {
            note(section.text.clone(), value);
        }
        for (key, value) in value.entries() {
            note(format!("{}.{}", section.text, key.text), value);
        }
    }
    origins
}
