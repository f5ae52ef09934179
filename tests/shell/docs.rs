//! The documents say what is so: every field and command is described, every link leads somewhere.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Markdown files of the repository, in order.
fn pages() -> Vec<PathBuf> {
    let mut pages = Vec::new();
    for folder in ["", "docs", "docs/adr", "docs/rules"] {
        let entries = root().join(folder).read_dir().expect("a folder of the repository");
        pages.extend(entries.map(|entry| entry.expect("an entry").path()));
    }
    pages.retain(|path| path.extension().is_some_and(|extension| extension == "md"));
    pages.sort();
    pages
}

/// Every property name of a schema, at any depth.
fn properties(schema: &serde_json::Value, found: &mut BTreeSet<String>) {
    if let Some(named) = schema.get("properties").and_then(serde_json::Value::as_object) {
        found.extend(named.keys().cloned());
    }
    match schema {
        serde_json::Value::Object(parts) => parts.values().for_each(|part| properties(part, found)),
        serde_json::Value::Array(parts) => parts.iter().for_each(|part| properties(part, found)),
        _ => {}
    }
}

#[test]
fn every_field_of_an_alert_is_described() {
    assert_described("docs/alert.schema.json", "docs/alert.md");
}

#[test]
fn every_field_of_a_flow_record_is_described() {
    assert_described("docs/flow.schema.json", "docs/flows.md");
    assert_described("docs/judged-flow.schema.json", "docs/observe.md");
}

#[test]
fn every_field_of_a_verification_and_of_paths_is_described() {
    assert_described("docs/verification.schema.json", "docs/verify.md");
    assert_described("docs/incident.schema.json", "docs/incident.md");
    assert_described("docs/paths.schema.json", "docs/verify.md");
}

#[test]
fn every_field_of_an_audit_is_described() {
    assert_described("docs/audit.schema.json", "docs/audit.md");
}

fn assert_described(schema: &str, page: &str) {
    let schema = serde_json::from_str(&read(schema)).expect("JSON");
    let mut fields = BTreeSet::new();
    properties(&schema, &mut fields);
    assert!(fields.len() > 20, "the schema was not understood: {fields:?}");
    let (name, page) = (page, read(page));
    // A field stands between backticks: alone, after what holds it, or before what it holds.
    let forms = |field: &str| [format!("`{field}`"), format!(".{field}`"), format!("`{field}."), format!("`{field}[")];
    let described = |field: &String| forms(field).iter().any(|text| page.contains(text));
    let missing: Vec<_> = fields.iter().filter(|field| !described(field)).collect();
    assert!(missing.is_empty(), "{name} does not describe {missing:?}");
}

#[test]
fn every_rule_is_in_the_readme() {
    for rule in hopwatch::detect::rules::ALL {
        let link = format!("[`{0}`](docs/rules/{0}.md)", rule.name);
        assert!(read("README.md").contains(&link), "README.md lacks {link}");
    }
}

#[cfg(feature = "shell")]
#[test]
fn every_command_is_in_the_readme() {
    let help = assert_cmd::Command::new(env!("CARGO_BIN_EXE_hopwatch")).arg("--help").output().expect("hopwatch runs");
    let help = String::from_utf8(help.stdout).expect("UTF-8");
    let list =
        help.split("Commands:").nth(1).and_then(|rest| rest.split("Options:").next()).expect("a list of commands");
    let names = list.lines().filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    let names: Vec<_> =
        names.filter_map(|line| line.split_whitespace().next()).filter(|name| *name != "help").collect();
    assert!(names.len() >= 8, "the help was not understood: {names:?}");
    let readme = read("README.md");
    for name in names {
        assert!(readme.contains(&format!("`{name}")), "README.md's table lacks `{name}`");
    }
}

#[test]
fn the_two_commands_come_first() {
    let readme = read("README.md");
    let first_block = readme.split("```").nth(1).expect("a block of commands");
    assert!(first_block.contains("make demo") && first_block.contains("make test"), "{first_block}");
}

#[test]
fn every_link_inside_the_repository_leads_somewhere() {
    let mut broken = Vec::new();
    for page in pages() {
        let text = std::fs::read_to_string(&page).expect("a page in UTF-8");
        for target in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let target = target.split('#').next().unwrap_or_default();
            if target.is_empty() || target.contains("://") {
                continue;
            }
            if !page.parent().expect("a folder").join(target).exists() {
                broken.push(format!("{}: {target}", page.strip_prefix(root()).expect("inside").display()));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[cfg(feature = "shell")]
#[test]
fn the_picture_shows_the_shipped_capture() {
    let mut replay = assert_cmd::Command::new(env!("CARGO_BIN_EXE_hopwatch"));
    replay.arg("replay").arg(root().join("captures/egress-around-proxy")).args(["--format", "json"]);
    let output = String::from_utf8(replay.output().expect("hopwatch runs").stdout).expect("UTF-8");
    let first = output.lines().next().expect("an alert");
    let alert: serde_json::Value = serde_json::from_str(first).expect("JSON");
    let id = alert["id"].as_str().expect("an id");
    assert!(
        read("docs/demo.svg").contains(id),
        "docs/demo.svg is older than the capture; scripts/demo-svg.py says how to draw it"
    );
}
