//! `docs/configuration.md` and `hopwatch.yaml(5)`, from the published schema.
//!
//! Contract: every key of the schema is there, with its description, default and example. Design: one table a mapping, in the
//! order in which the schema refers to them; the manual page has the same sections and keys ([`man`]).

mod man;

use std::collections::BTreeSet;
use std::mem::discriminant;

use serde_json::Value;

pub(super) use man::manual_page;

const HEAD: &str = "# Configuration\n\n\
    `/etc/hopwatch/hopwatch.yaml`, then `conf.d/*.yaml` beside it in order of name (contracts, exceptions, severities and maintenance windows are added, everything else is \
    replaced), then variables such as `HOPWATCH__CAPTURE__SNAP_LENGTH=512` (any key that holds a value or a plain list, lists with \
    commas: `HOPWATCH__CAPTURE__INTERFACES=eth0,br-*`), then flags. `-c FILE` replaces the files. \
    `hopwatch config check` tells every mistake at its place, `hopwatch config print --origin` where each value was set.\n\n\
    How to write a contract, and what proves it: [contracts](contracts.md). Working files: [examples](../config/examples). For editors: [hopwatch.schema.json](../config/hopwatch.schema.json).\n";

/// One mapping of the file.
struct Section<'a> {
    /// Its key; of the whole file a title.
    title: String,
    text: &'a str,
    keys: Vec<Key<'a>>,
}

struct Key<'a> {
    name: &'a str,
    is_required: bool,
    default: Option<&'a Value>,
    example: Option<&'a Value>,
    text: String,
}

/// Every mapping, in the order in which the schema refers to them.
fn sections(schema: &Value) -> Vec<Section<'_>> {
    let mut sections = Vec::new();
    let mut seen = BTreeSet::new();
    let mut waiting = vec![("The file".to_owned(), schema)];
    while let Some((title, mapping)) = waiting.pop() {
        if !seen.insert(title.clone()) {
            continue;
        }
        sections.push(section(title, mapping));
        let keys = mapping["properties"].as_object().into_iter().flatten();
        let inner: Vec<_> = keys.filter_map(|(key, value)| mapping_of(schema, key, value)).collect();
        waiting.extend(inner.into_iter().rev());
    }
    sections
}

fn section(title: String, mapping: &Value) -> Section<'_> {
    let required: Vec<_> = mapping["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let keys = mapping["properties"].as_object().into_iter().flatten();
    let keys = keys.map(|(name, value)| Key {
        name,
        is_required: required.contains(&name.as_str()),
        default: Some(&value["default"]).filter(|default| !default.is_null() && !default.is_object()),
        example: Some(&value["examples"][0]).filter(|example| shows_more(example, &value["default"])),
        text: value["description"].as_str().unwrap_or_default().replace('\n', " "),
    });
    Section { title, text: mapping["description"].as_str().unwrap_or_default(), keys: keys.collect() }
}

/// The reference as Markdown.
pub(super) fn markdown(schema: &Value) -> String {
    sections(schema).iter().fold(HEAD.to_owned(), |page, section| page + &table(section))
}

fn table(Section { title, text, keys }: &Section<'_>) -> String {
    let rows: String = keys
        .iter()
        .map(|Key { name, is_required, default, example, text }| {
            let code = |value: Option<&Value>| value.map(|value| format!("`{value}`")).unwrap_or_default();
            let default = if *is_required { "must be given".to_owned() } else { code(*default) };
            format!("| `{name}` | {default} | {} | {text} |\n", code(*example))
        })
        .collect();
    format!("\n## {title}\n\n{text}\n\n| key | default | example | what it is |\n|---|---|---|---|\n{rows}")
}

/// Whether an example is there, and of another form than a default that says as much.
fn shows_more(example: &Value, default: &Value) -> bool {
    let says_little = default.is_object() || default.as_array().is_some_and(Vec::is_empty);
    !example.is_null() && (says_little || discriminant(example) != discriminant(default))
}

/// The mapping that a key holds, directly, in a list or under names.
fn mapping_of<'a>(schema: &'a Value, key: &str, value: &'a Value) -> Option<(String, &'a Value)> {
    let alternatives = value["anyOf"].as_array().into_iter().flatten();
    let inside = [value, &value["items"], &value["additionalProperties"]].into_iter().chain(alternatives);
    let reference = inside.into_iter().find_map(|part| part["$ref"].as_str())?;
    let target = schema.pointer(reference.trim_start_matches('#'))?;
    target["properties"].is_object().then(|| (format!("`{key}`"), target))
}
