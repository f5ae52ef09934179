//! No two files of `src` need each other, but for two grammars that are recursive.
//!
//! Contract: an arrow from file to file is a path that the first names and the second defines, followed through `pub use`. Limits: it reads text, and
//! not types, so a method called on a value of another file is no arrow; neither is what a file takes from the modules that it is a part of; parts that are only for tests are left out.

use std::collections::{BTreeMap, BTreeSet};

use crate::architecture::source::{SourceFile, after, declared, read_sources, written_out};

/// Files that may need each other: a fingerprint of a hello, and frames inside frames.
const ALLOWED: [&[&str]; 2] =
    [&["decode::app::ja4", "decode::app::tls"], &["decode::link::ethertype", "decode::link::ppp"]];

/// How many re-exports lead to a name at most.
const HOPS: usize = 8;

/// The files of the crate, by module, without what is only for tests.
struct Crate(BTreeMap<String, Module>);

/// What a file says of others.
struct Module {
    code: String,
    /// Names that it hands on, with where they come from; `*` for all of a module.
    handed_on: Vec<(String, String)>,
}

impl Crate {
    fn new(files: Vec<SourceFile>) -> Self {
        let is_test = |module: &str| module.split("::").any(|part| part == "tests" || part == "testing");
        let files = files.into_iter().filter(|file| !is_test(&file.module));
        let modules = files.map(|file| {
            let name = if file.module == "lib" { String::new() } else { file.module };
            let code = without_tests(&file.code);
            let handed_on = re_exports(&code, &name);
            (name, Module { code, handed_on })
        });
        Self(modules.collect())
    }

    /// The file that defines what a path names.
    fn home(&self, path: &str, hops: usize) -> Option<&str> {
        let mut module = path;
        while !self.0.contains_key(module) {
            module = module.rsplit_once("::")?.0;
        }
        let (name, held) = self.0.get_key_value(module)?;
        let rest = path.strip_prefix(module)?.trim_start_matches("::");
        let item = rest.split("::").next().filter(|item| !item.is_empty());
        let Some(item) = item.filter(|_| hops > 0) else { return Some(name) };
        let further = held.handed_on.iter().find_map(|(handed, from)| match handed.as_str() {
            "*" => self.home(&format!("{from}::{item}"), hops - 1).filter(|home| self.defines(home, item)),
            handed if handed == item => self.home(from, hops - 1),
            _ => None,
        });
        Some(further.unwrap_or(name))
    }

    fn defines(&self, module: &str, item: &str) -> bool {
        let kinds = ["fn", "struct", "enum", "trait", "type", "const", "static"];
        self.0.get(module).is_some_and(|held| kinds.iter().any(|kind| held.code.contains(&format!("{kind} {item}"))))
    }

    /// Every file that a file needs.
    fn needs(&self, name: &str) -> BTreeSet<&str> {
        let Some(module) = self.0.get(name) else { return BTreeSet::new() };
        let mut paths = written_out(&module.code, name, &declared(&module.code));
        // A module that was imported is a prefix, too.
        let modules = paths.iter().filter(|path| self.0.contains_key(*path));
        let through: Vec<_> =
            modules.filter_map(|path| Some(after(&module.code, path.rsplit("::").next()?, path))).flatten().collect();
        paths.extend(through);
        let homes = paths.iter().filter_map(|path| self.home(path, HOPS));
        let is_own = |home: &str| home.is_empty() || name.strip_prefix(home).is_some_and(|rest| rest.starts_with("::"));
        homes.filter(|home| *home != name && !is_own(home)).collect()
    }

    /// The sets of files that need each other.
    fn circles(&self) -> Vec<Vec<&str>> {
        let needs: BTreeMap<&str, BTreeSet<&str>> =
            self.0.keys().filter(|name| !name.is_empty()).map(|name| (name.as_str(), self.needs(name))).collect();
        let reached: BTreeMap<_, _> = needs.keys().map(|from| (*from, reached(from, &needs))).collect();
        let mut circles: Vec<Vec<&str>> = Vec::new();
        for (from, all) in &reached {
            let circle: Vec<_> = all.iter().copied().filter(|to| reached[to].contains(from)).collect();
            if circle.len() > 1 && !circles.contains(&circle) {
                circles.push(circle);
            }
        }
        circles
    }
}

fn reached<'a>(from: &'a str, needs: &BTreeMap<&'a str, BTreeSet<&'a str>>) -> BTreeSet<&'a str> {
    let (mut found, mut open) = (BTreeSet::new(), vec![from]);
    while let Some(at) = open.pop() {
        open.extend(needs[at].iter().filter(|next| found.insert(**next)));
    }
    found
}

/// Code without what is only for tests: a declaration is one line, a module with a body stands last in a file.
fn without_tests(code: &str) -> String {
    let mut parts = code.split("#[cfg(test)]\nmod ");
    let mut kept = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let Some((_, rest)) = part.split_once(';').filter(|(name, _)| !name.contains('{')) else { break };
        kept.push_str(rest);
    }
    kept
}

/// The names that a module hands on, each with the path that it comes from.
fn re_exports(code: &str, module: &str) -> Vec<(String, String)> {
    let children = declared(code);
    let statements = code.split(';').filter_map(|statement| {
        let at = statement.rfind("pub use ").or_else(|| statement.rfind(") use ").map(|at| at + 2))?;
        let tree = statement[at..].split_once("use ")?.1;
        Some(written_out(&format!("use {tree};"), module, &children))
    });
    let named = |path: String| (path.rsplit("::").next().unwrap_or_default().to_owned(), path);
    statements
        .flatten()
        .map(named)
        .map(|(name, path)| match name.as_str() {
            "*" => (name, path.trim_end_matches("::*").to_owned()),
            _ => (name, path),
        })
        .collect()
}

#[test]
fn no_two_files_need_each_other() {
    let files = Crate::new(read_sources("src"));
    let circles: Vec<_> = files.circles().into_iter().filter(|circle| !ALLOWED.contains(&&circle[..])).collect();
    let told: Vec<_> = circles
        .iter()
        .map(|circle| {
            let arrows = circle.iter().map(|from| {
                let to: Vec<_> = files.needs(from).into_iter().filter(|to| circle.contains(to)).collect();
                format!("  {from} needs {}", to.join(", "))
            });
            format!("{} files need each other:\n{}", circle.len(), arrows.collect::<Vec<_>>().join("\n"))
        })
        .collect();
    assert!(circles.is_empty(), "{}", told.join("\n"));
}

#[test]
fn a_circle_through_a_re_export_is_found() {
    let planted = [
        ("room", "pub mod open; mod closed; pub use closed::Door;"),
        ("room/open", "#[cfg(test)]\nmod tests;\nuse super::Door; pub struct Window(Door);"),
        ("room/closed", "use super::open::Window; pub struct Door(Option<Box<Window>>);"),
        ("room/garden", "use crate::room::{Door, open::Window}; #[cfg(test)]\nmod tests {}"),
    ];
    let planted = planted.map(|(module, code)| SourceFile::from_text(format!("src/{module}.rs"), code));
    let files = Crate::new(planted.into());
    assert_eq!(files.circles(), [["room::closed", "room::open"]]);
    assert_eq!(files.needs("room::garden"), BTreeSet::from(["room::closed", "room::open"]));
}
