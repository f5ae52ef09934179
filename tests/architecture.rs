//! The directions of the tree: who may use whom, and what the pure core may not name.
#![allow(clippy::expect_used, missing_docs, reason = "a test: a failure ends it")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Room and the rooms that it may use; every room may use `time` and `input`.
const MAY_USE: &[(&str, &[&str])] = &[
    ("time", &[]),
    ("input", &[]),
    ("decode", &[]),
    ("flow", &["decode"]),
    ("inventory", &[]),
    ("path", &["inventory"]),
    ("detect", &["path", "inventory"]),
    ("alert", &["detect", "path", "inventory", "flow"]),
    ("engine", &["alert", "detect", "path", "inventory"]),
    ("observe", &["decode", "flow"]),
    ("host", &[]),
    ("inventory readers", &["inventory", "host"]),
    ("alert sinks", &["alert", "detect", "path"]),
    ("serve", &["engine", "detect", "decode"]),
    ("config", &["engine", "alert", "detect", "path", "flow", "inventory", "inventory readers"]),
    (
        "app",
        &[
            "config",
            "serve",
            "observe",
            "host",
            "inventory",
            "inventory readers",
            "alert",
            "alert sinks",
            "engine",
            "detect",
            "flow",
            "decode",
        ],
    ),
    ("cli", &["app", "config", "observe", "inventory", "inventory readers", "alert", "alert sinks", "detect"]),
    ("main", &["cli"]),
];

/// Rooms that hold no clock, file, socket or async runtime.
const CORE: &[&str] = &["time", "input", "decode", "flow", "inventory", "path", "detect", "alert", "engine"];

/// What the core may not name.
const OUTSIDE: &[&str] = &[
    "tokio",
    "std::fs",
    "std::io",
    "std::thread",
    "std::process",
    "std::env",
    "TcpStream",
    "TcpListener",
    "UdpSocket",
    "UnixStream",
    "SystemTime",
    "Instant",
    "Timestamp::now",
    "tracing::",
];

const MOST_LINES: usize = 600;

fn sources() -> Vec<PathBuf> {
    fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in folder.read_dir().expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    let mut found = Vec::new();
    walk(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut found);
    found.sort();
    found
}

fn relative(path: &Path) -> String {
    path.strip_prefix(Path::new(env!("CARGO_MANIFEST_DIR")).join("src"))
        .expect("in src")
        .with_extension("")
        .display()
        .to_string()
}

/// The room of a module path such as `inventory/docker/client` or `inventory::docker::Client`.
fn room(path: &str) -> String {
    let mut parts = path.split(['/', ':']).filter(|part| !part.is_empty());
    match (parts.next().unwrap_or_default(), parts.next()) {
        ("inventory", Some("docker" | "file")) => "inventory readers".to_owned(),
        ("alert", Some("sinks")) => "alert sinks".to_owned(),
        (first, _) => first.to_owned(),
    }
}

/// The code without comments and without its tests.
fn code(path: &Path) -> String {
    let text = std::fs::read_to_string(path).expect("readable");
    let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    text.lines().map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n")
}

/// Module paths named after `crate::`, with the names inside braces one by one.
fn named(code: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        let path: String = rest.chars().take_while(|c| c.is_alphanumeric() || matches!(c, '_' | ':')).collect();
        let braces = rest[path.len()..].strip_prefix('{').and_then(|inside| inside.split('}').next());
        match braces {
            Some(inside) => names.extend(inside.split(',').map(|name| format!("{path}{}", name.trim()))),
            None => drop(names.insert(path)),
        }
    }
    names
}

#[test]
fn every_use_goes_in_an_allowed_direction() {
    let mut wrong = Vec::new();
    for path in sources().iter().filter(|path| relative(path) != "lib") {
        let own = room(&relative(path));
        let allowed =
            MAY_USE.iter().find(|(name, _)| *name == own).unwrap_or_else(|| panic!("{own} has no row in the table")).1;
        for name in named(&code(path)) {
            let used = room(&name);
            let free = used == own || ["time", "input"].contains(&used.as_str()) || used.is_empty();
            if !free && !allowed.contains(&used.as_str()) {
                wrong.push(format!("{}: {own} uses {used} ({name})", relative(path)));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_core_names_no_clock_file_socket_or_runtime() {
    let mut wrong = Vec::new();
    for path in sources().iter().filter(|path| CORE.contains(&room(&relative(path)).as_str())) {
        let code = code(path);
        for (number, line) in code.lines().enumerate() {
            for word in OUTSIDE.iter().filter(|word| line.contains(**word)) {
                wrong.push(format!("{}:{}: {word}", relative(path), number + 1));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn files_stay_small_and_say_what_they_are() {
    let mut wrong = Vec::new();
    for path in sources() {
        let text = std::fs::read_to_string(&path).expect("readable");
        let name = relative(&path);
        let last = name.rsplit('/').next().unwrap_or_default();
        if text.lines().count() > MOST_LINES {
            wrong.push(format!("{name}: more than {MOST_LINES} lines"));
        }
        if !text.starts_with("//!") && !name.contains("/tests") {
            wrong.push(format!("{name}: no `//!` at its head"));
        }
        if ["mod", "util", "utils", "helpers", "common", "misc"].contains(&last) {
            wrong.push(format!("{name}: a name that says nothing"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_reader_of_edges_sees_braces_and_paths() {
    let code = "use crate::inventory::{Owner, Timeline};\nlet x = crate::path::is_internet(ip);";
    let names = named(code);
    assert!(
        names.contains("inventory::Owner")
            && names.contains("inventory::Timeline")
            && names.contains("path::is_internet")
    );
    assert_eq!(
        (room("inventory::docker::Reader"), room("alert/sinks/text")),
        ("inventory readers".into(), "alert sinks".into())
    );
}
