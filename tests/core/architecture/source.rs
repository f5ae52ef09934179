//! Reads the source as text: which files there are, and which paths they name.
//!
//! Contract: comments and texts are no code. Design: a scanner of characters, enough for `use` trees and paths; not a parser.

use std::path::{Path, PathBuf};

/// One file.
pub struct SourceFile {
    /// Path from the root of the repository.
    pub path: String,
    /// Module: `src/flow/key.rs` is `flow::key`.
    pub module: String,
    /// The code, without comments and without what stands between quotes.
    pub code: String,
    /// The rest: documentation and what stands between quotes.
    pub prose: String,
    /// Lines, comments included.
    pub lines: usize,
    /// Whether it begins with `//!`.
    pub starts_with_contract: bool,
}

impl SourceFile {
    /// From its path and text.
    pub fn from_text(path: String, text: &str) -> Self {
        let inside = path.split_once('/').map_or(path.as_str(), |(_, inside)| inside);
        let module = inside.trim_end_matches(".rs").replace('/', "::");
        let starts_with_contract = text.starts_with("//!");
        let (code, prose) = code_and_prose(text);
        Self { module, code, prose, lines: text.lines().count(), starts_with_contract, path }
    }
}

/// The root of the repository.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every `.rs` file below a folder, in order.
pub fn read_sources(folder: &str) -> Vec<SourceFile> {
    let mut paths = Vec::new();
    collect(&root().join(folder), &mut paths);
    paths.sort();
    let read = |path: &PathBuf| {
        let text = std::fs::read_to_string(path).expect("a source file in UTF-8");
        let name = path.strip_prefix(root()).expect("below the root").to_string_lossy().into_owned();
        SourceFile::from_text(name, &text)
    };
    paths.iter().map(read).collect()
}

fn collect(folder: &Path, paths: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("a folder of the repository") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            collect(&path, paths);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            paths.push(path);
        }
    }
}

/// Every path after `crate::`, with `use` trees written out, at most two parts deep: `inventory::docker`.
pub fn crate_paths(code: &str) -> Vec<String> {
    let starts = code.match_indices("crate::").filter(|(at, _)| !is_word(code[..*at].chars().next_back()));
    starts.flat_map(|(at, found)| expand(&code[at + found.len()..], 2)).collect()
}

/// Every path that begins with `super::`, seen from the root, at most two parts deep.
pub fn super_paths(code: &str, module: &str) -> Vec<String> {
    let starts = code
        .match_indices("super::")
        .filter(|(at, _)| !code[..*at].ends_with("::") && !is_word(code[..*at].chars().next_back()));
    starts.flat_map(|(at, _)| from_super(&code[at..], module)).collect()
}

/// Every path that the code names from the root of the crate, its `use` trees written out: after `crate::`, `super::`, `self::`, and from one of
/// the modules that its own module declares.
pub fn written_out(code: &str, module: &str, children: &[String]) -> Vec<String> {
    let parent = |module: &str| module.rsplit_once("::").map_or(String::new(), |(parent, _)| parent.to_owned());
    let mut found = Vec::new();
    found.extend(after(code, "crate", ""));
    found.extend(after(code, "self", module));
    let (mut above, mut word) = (parent(module), "super".to_owned());
    while !module.is_empty() && word.len() < "super::super::super::super::super".len() {
        found.extend(after(code, &word, &above).into_iter().filter(|path| !path.contains("super")));
        (above, word) = (parent(&above), word + "::super");
    }
    for child in children {
        found.extend(after(code, child, &joined(module, child)));
    }
    found
}

/// What follows `word::`, at the start of a path, below a module.
pub fn after(code: &str, word: &str, below: &str) -> Vec<String> {
    let start = format!("{word}::");
    let starts = code.match_indices(&start).filter(|(at, _)| {
        let before = &code[..*at];
        !before.ends_with("::") && !is_word(before.chars().next_back())
    });
    let trees = starts.flat_map(|(at, found)| expand(&code[at + found.len()..], usize::MAX));
    trees.map(|tree| joined(below, tree.trim_end_matches("::self"))).collect()
}

fn joined(module: &str, path: &str) -> String {
    if module.is_empty() { path.to_owned() } else { format!("{module}::{path}") }
}

/// The modules that the code declares.
pub fn declared(code: &str) -> Vec<String> {
    let names = code.split(';').filter_map(|statement| statement.rsplit_once("mod ").map(|(_, name)| name));
    names.filter(|name| name.chars().all(|c| is_word(Some(c)))).map(str::to_owned).collect()
}

fn from_super(path: &str, module: &str) -> Vec<String> {
    let (mut rest, mut above) = (path, module);
    while let Some(after) = rest.strip_prefix("super::") {
        rest = after;
        above = above.rsplit_once("::").map_or("", |(parent, _)| parent);
    }
    let joined = |part: String| if above.is_empty() { part } else { format!("{above}::{part}") };
    expand(rest, 2).into_iter().map(joined).collect()
}

/// Whether the code names something: `UdpSocket` as a whole word, `std::fs` also inside `use std::{fs, fmt}`.
pub fn names(code: &str, name: &str) -> bool {
    let whole = |(at, found): (usize, &str)| {
        let before = code[..at].chars().next_back();
        !is_word(before) && (found.ends_with('!') || !is_word(code[at + found.len()..].chars().next()))
    };
    if code.match_indices(name).any(whole) {
        return true;
    }
    let Some((root, inner)) = name.split_once("::") else { return false };
    let opening = format!("{root}::{{");
    let mut trees = code.match_indices(&opening).map(|(at, _)| &code[at + root.len() + 2..]);
    trees.any(|tree| expand(tree, 1).iter().any(|part| part == inner))
}

fn is_word(c: Option<char>) -> bool {
    c.is_some_and(|c| c.is_alphanumeric() || c == '_')
}

/// The paths of a `use` tree, cut at a depth: `a::{b, c::d}` to depth 2 is `a::b`, `a::c`.
fn expand(tree: &str, depth: usize) -> Vec<String> {
    let tree = tree.trim_start();
    if let Some(inside) = tree.strip_prefix('{') {
        return branches(inside).into_iter().flat_map(|branch| expand(branch, depth)).collect();
    }
    if tree.starts_with('*') {
        return vec!["*".to_owned()];
    }
    let end = tree.find(|c: char| !is_word(Some(c))).unwrap_or(tree.len());
    let (first, rest) = tree.split_at(end);
    if first.is_empty() {
        return Vec::new();
    }
    match rest.strip_prefix("::") {
        Some(rest) if depth > 1 => {
            let below = expand(rest, depth - 1);
            if below.is_empty() {
                vec![first.to_owned()]
            } else {
                below.iter().map(|b| format!("{first}::{b}")).collect()
            }
        }
        _ => vec![first.to_owned()],
    }
}

/// What stands between commas up to the closing brace.
fn branches(inside: &str) -> Vec<&str> {
    let (mut depth, mut start, mut found) = (0_usize, 0, Vec::new());
    for (at, c) in inside.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => {
                found.push(&inside[start..at]);
                break;
            }
            '}' => depth -= 1,
            ',' if depth == 0 => {
                found.push(&inside[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    found
}

fn code_and_prose(text: &str) -> (String, String) {
    let (mut code, mut prose) = (String::with_capacity(text.len()), String::new());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let skipped = match c {
            '/' if rest.starts_with("//") => rest.find('\n').unwrap_or(rest.len()),
            '/' if rest.starts_with("/*") => rest.find("*/").map_or(rest.len(), |end| end + 2),
            'r' if !is_word(code.chars().next_back()) => raw_text(rest),
            '"' => quoted(rest),
            '\'' => character(rest),
            _ => 0,
        };
        if skipped == 0 {
            code.push(c);
            rest = &rest[c.len_utf8()..];
        } else {
            code.push(' ');
            let is_documentation = rest.starts_with("///") || rest.starts_with("//!");
            if c != '/' || is_documentation {
                prose.push_str(&rest[..skipped]);
                prose.push('\n');
            }
            rest = &rest[skipped..];
        }
    }
    (code, prose)
}

/// Length of `r"…"` or `r#"…"#`; 0 for anything else that begins with `r`.
fn raw_text(text: &str) -> usize {
    let hashes = text[1..].chars().take_while(|c| *c == '#').count();
    let Some(body) = text[1 + hashes..].strip_prefix('"') else { return 0 };
    let end = format!("\"{}", "#".repeat(hashes));
    body.find(&end).map_or(text.len(), |at| 2 + hashes + at + end.len())
}

/// Length of `"…"`.
fn quoted(text: &str) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// Length of `'x'` or `'\n'`; 0 for a lifetime.
fn character(text: &str) -> usize {
    let body = &text[1..];
    if body.starts_with('\\') {
        return body[2..].find('\'').map_or(0, |at| 1 + 2 + at + 1);
    }
    let mut chars = body.char_indices().skip(1);
    match chars.next() {
        Some((at, '\'')) => 1 + at + 1,
        _ => 0,
    }
}
