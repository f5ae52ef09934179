//! `docs/configuration.md`, from the published schema.
//!
//! Contract: every key of the schema is there, with its description, default and example. Design: one table a mapping, in the
//! order in which the schema refers to them.

use std::collections::BTreeSet;
use std::mem::discriminant;

use serde_json::Value;

const HEAD: &str = "# Configuration\n\n\
    `/etc/hopwatch/hopwatch.yaml`, then `conf.d/*.yaml` beside it in order of name (contracts, exceptions, severities and maintenance windows are added, everything else is \
    replaced), then variables such as `HOPWATCH__CAPTURE__SNAP_LENGTH=512` (any key that holds a value or a plain list, lists with \
    commas: `HOPWATCH__CAPTURE__INTERFACES=eth0,br-*`), then flags. `-c FILE` replaces the files. \
    `hopwatch config check` tells every mistake at its place, `hopwatch config print --origin` where each value was set.\n\n\
    How to write a contract, and what proves it: [contracts](contracts.md). Working files: [examples](../config/examples). For editors: [hopwatch.schema.json](../config/hopwatch.schema.json).\n";

/// The reference as Markdown.
pub(super) fn markdown(schema: &Value) -> String {
    let mut page = HEAD.to_owned();
    let mut seen = BTreeSet::new();
    let mut waiting = vec![("The file".to_owned(), schema)];
    while let Some((title, mapping)) = waiting.pop() {
        if !seen.insert(title.clone()) {
            continue;
        }
        page.push_str(&table(&title, mapping));
        let keys = mapping["properties"].as_object().into_iter().flatten();
        let inner: Vec<_> = keys.filter_map(|(key, value)| mapping_of(schema, key, value)).collect();
        waiting.extend(inner.into_iter().rev());
    }
    page
}

fn table(title: &str, mapping: &Value) -> String {
    let described = mapping["description"].as_str().unwrap_or_default();
    let required: Vec<_> = mapping["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let keys = mapping["properties"].as_object().into_iter().flatten();
    let rows: String = keys
        .map(|(key, value)| {
            let default = match (required.contains(&key.as_str()), &value["default"]) {
                (true, _) => "must be given".to_owned(),
                (_, Value::Null | Value::Object(_)) => String::new(),
                (_, default) => format!("`{default}`"),
            };
            let example = Some(&value["examples"][0]).filter(|example| shows_more(example, &value["default"]));
            let example = example.map(|example| format!("`{example}`")).unwrap_or_default();
            let text = value["description"].as_str().unwrap_or_default().replace('\n', " ");
            format!("| `{key}` | {default} | {example} | {text} |\n")
        })
        .collect();
    format!("\n## {title}\n\n{described}\n\n| key | default | example | what it is |\n|---|---|---|---|\n{rows}")
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
