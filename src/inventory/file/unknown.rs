//! Keys that this version does not know, in files that others write.
//!
//! Contract: each is named with its path, its first line, how often it was there and the nearest key that is known at that place; nothing is
//! left out silently. A file is read all the same: within a version of a schema, keys are only added. Limits: [`MAX_NAMED`] paths are named,
//! the rest is counted. Design: `serde` says whether a line has such keys; only then it is compared with the schema of its type.

use std::collections::BTreeMap;

use schemars::Schema;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::spelling::nearest;

/// Paths that are named.
const MAX_NAMED: usize = 20;

/// Reads values of one type.
pub(super) struct Reader {
    schema_of: fn() -> Schema,
    schema: Option<Value>,
    found: BTreeMap<String, Found>,
    unnamed: u64,
}

struct Found {
    line: usize,
    count: u64,
    near: Option<String>,
}

impl Reader {
    pub(super) const fn new(schema_of: fn() -> Schema) -> Self {
        Self { schema_of, schema: None, found: BTreeMap::new(), unnamed: 0 }
    }

    /// One value, which begins at this line.
    pub(super) fn read<T: DeserializeOwned>(&mut self, line: usize, bytes: &[u8]) -> serde_json::Result<T> {
        let mut is_whole = true;
        let mut deserializer = serde_json::Deserializer::from_slice(bytes);
        let read = serde_ignored::deserialize(&mut deserializer, |_| is_whole = false)?;
        deserializer.end()?;
        if !is_whole {
            self.name(line, &serde_json::from_slice(bytes)?);
        }
        Ok(read)
    }

    fn name(&mut self, line: usize, value: &Value) {
        let schema = self.schema.take().unwrap_or_else(|| (self.schema_of)().to_value());
        let mut keys = Vec::new();
        compare(&schema, &schema, value, "", &mut keys);
        self.schema = Some(schema);
        for (path, near) in keys {
            if let Some(found) = self.found.get_mut(&path) {
                found.count += 1;
            } else if self.found.len() < MAX_NAMED {
                self.found.insert(path, Found { line, count: 1, near });
            } else {
                self.unnamed += 1;
            }
        }
    }

    /// What was found, in words.
    pub(super) fn unknown(&self) -> Vec<String> {
        let text = |(path, found): (&String, &Found)| {
            let times = if found.count == 1 { String::new() } else { format!(" ({} times)", found.count) };
            let near = found.near.as_ref().map(|near| format!("; did you mean {near:?}?")).unwrap_or_default();
            format!("line {}: the key {path:?} is not known and was left out{times}{near}", found.line)
        };
        let more = (self.unnamed > 0).then(|| format!("{} more keys are not known and were left out", self.unnamed));
        self.found.iter().map(text).chain(more).collect()
    }
}

/// The keys of a value that its schema does not have, each with the nearest that it has.
fn compare(root: &Value, schema: &Value, value: &Value, path: &str, found: &mut Vec<(String, Option<String>)>) {
    match value {
        Value::Array(list) => {
            if let Some(items) = alternatives(root, schema).into_iter().find_map(|one| one.get("items")) {
                for value in list {
                    compare(root, items, value, path, found);
                }
            }
        }
        Value::Object(map) => object(root, schema, map, path, found),
        _ => {}
    }
}

fn object(
    root: &Value,
    schema: &Value,
    map: &Map<String, Value>,
    path: &str,
    found: &mut Vec<(String, Option<String>)>,
) {
    let all = alternatives(root, schema);
    let properties = |one: &'_ Value| one.get("properties").and_then(Value::as_object).cloned().unwrap_or_default();
    // Of the variants of a fact, the one that has its name.
    let known = |one: &&Value| map.keys().any(|key| one.pointer(&format!("/properties/{}", escaped(key))).is_some());
    let Some(one) = all.iter().copied().find(known).or_else(|| all.iter().copied().find(|one| is_object(one))) else {
        return;
    };
    let (properties, others) = (properties(one), one.get("additionalProperties").filter(|others| others.is_object()));
    for (key, value) in map {
        let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        if let Some(schema) = properties.get(key).or(others) {
            compare(root, schema, value, &path, found);
        } else {
            let near = nearest(key, properties.keys().map(String::as_str).filter(|known| !map.contains_key(*known)));
            found.push((path, near.map(str::to_owned)));
        }
    }
}

fn is_object(schema: &Value) -> bool {
    schema.get("properties").or_else(|| schema.get("additionalProperties")).is_some()
}

/// A schema with what it refers to and what it allows.
fn alternatives<'a>(root: &'a Value, schema: &'a Value) -> Vec<&'a Value> {
    let referred = schema.get("$ref").and_then(Value::as_str).and_then(|text| root.pointer(text.strip_prefix('#')?));
    let parts = ["anyOf", "oneOf", "allOf"].into_iter().filter_map(|key| schema.get(key)?.as_array()).flatten();
    std::iter::once(schema).chain(referred.into_iter().chain(parts).flat_map(|part| alternatives(root, part))).collect()
}

/// A key in a JSON pointer (RFC 6901).
fn escaped(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}
