//! Plain words: files have names that say what is in them, and what people read has no archaic turns.
//!
//! Contract: no file under `src/` has a name of [`NAMES`]; the texts in the sources (`src/`, tests, benchmarks, examples), and the pages (documentation,
//! scenarios, example configurations, scripts), hold each of [`TURNS`] at most
//! as often as listed. Limits: it counts words, and does not understand them; this file is not read. Design: a turn with a number is one that is being removed; the number only
//! goes down.

use crate::architecture::source::{read_sources, root};

/// Names that nobody understands before opening the file, and what to call it instead.
const NAMES: &[(&str, &str)] = &[
    ("board", "workload_stats"),
    ("books", "status"),
    ("census", "runtime_snapshot"),
    ("crew", "capture_pool"),
    ("crowd", "sampling"),
    ("desk", "grouping"),
    ("feed", "message"),
    ("ledger", "verdict_log, container_states"),
    ("news", "changes, link_monitor"),
    ("page", "contents"),
    ("parting", "final_updates"),
    ("place", "placement, evidence"),
    ("seat", "slot"),
    ("shot", "snapshot"),
    ("story", "history"),
    ("turn", "engine_loop"),
    ("wake", "timer, triggers"),
];

/// What to avoid, what to write instead, and how often it may stand in the sources and in the pages.
const TURNS: &[(&str, &str, usize, usize)] = &[
    ("tells of", "reports", 0, 0),
    ("tell of", "report", 0, 0),
    ("told of", "reported", 0, 0),
    ("whoever", "a process that, a user that", 0, 0),
    ("what is told", "the report, the events", 0, 0),
    ("nobody owns", "without an owner", 0, 0),
    // The change log names a field that was called so.
    ("mend", "fix", 0, 1),
    ("mends", "fixes", 0, 0),
    ("mended", "fixed", 0, 0),
    ("lest", "so that … not", 0, 0),
    ("thereof", "of it", 0, 0),
    ("whence", "from where", 0, 0),
    ("hitherto", "until now", 0, 0),
    ("as against", "unlike", 0, 0),
    ("a row a container", "one row per container", 0, 0),
    ("one alert a", "one alert per", 0, 0),
    ("in the mean", "on average", 0, 0),
];

/// How often a turn stands in a text, as whole words, whatever the line breaks.
fn count(text: &str, turn: &str) -> usize {
    let is_word = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
    let whole =
        |at: usize| !is_word(text[..at].chars().next_back()) && !is_word(text[at + turn.len()..].chars().next());
    text.match_indices(turn).filter(|(at, _)| whole(*at)).count()
}

/// In lower case, without line breaks and the signs of a comment.
fn plain(text: &str) -> String {
    let words = text.split_whitespace().filter(|word| !["///", "//!", "#"].contains(word));
    words.collect::<Vec<_>>().join(" ").to_lowercase()
}

/// Where sources are.
const SOURCES: [&str; 4] = ["src", "tests", "benches", "examples"];
/// Where pages are, besides those of the captures.
const FOLDERS: [&str; 10] = [
    "",
    "docs",
    "docs/adr",
    "docs/rules",
    "fuzz",
    "config",
    "config/examples",
    "config/prometheus",
    "scripts",
    "tests/lab/scenarios",
];
/// Names of pages end with one of these.
const PAGES: [&str; 6] = [".md", ".yaml", ".yml", ".sh", ".py", "Makefile"];

/// The pages that people read: what stands in a block of code as well.
fn pages() -> Vec<(String, String)> {
    let captures = root().join("captures").read_dir().expect("a folder of the repository");
    let captures = captures.map(|entry| entry.expect("an entry").path()).filter(|path| path.is_dir());
    let mut pages = Vec::new();
    for folder in FOLDERS.map(|folder| root().join(folder)).into_iter().chain(captures) {
        for entry in folder.read_dir().expect("a folder of the repository") {
            let path = entry.expect("an entry").path();
            let name = path.strip_prefix(root()).expect("below the root").display().to_string();
            if PAGES.iter().any(|end| name.ends_with(end)) && path.is_file() {
                pages.push((name, plain(&std::fs::read_to_string(&path).expect("UTF-8"))));
            }
        }
    }
    pages
}

fn too_many(texts: &[(String, String)], turn: &str, instead: &str, most: usize) -> Option<String> {
    let found: Vec<_> = texts.iter().map(|(name, text)| (name, count(text, turn))).filter(|(_, n)| *n > 0).collect();
    let total: usize = found.iter().map(|(_, n)| n).sum();
    let places = || found.iter().map(|(name, n)| format!("  {name}: {n}")).collect::<Vec<_>>().join("\n");
    (total > most).then(|| format!("`{turn}` {total} times, {most} at most; write `{instead}`\n{}", places()))
}

#[test]
fn files_have_names_that_say_what_is_in_them() {
    for file in read_sources("src") {
        let name = file.module.rsplit("::").next().unwrap_or_default();
        let better = NAMES.iter().find(|(banned, _)| *banned == name);
        if let Some((_, better)) = better {
            panic!("{}: name it for what it holds, for example {better}", file.path);
        }
    }
}

#[test]
fn what_people_read_is_in_plain_words() {
    let sources =
        SOURCES.iter().flat_map(|folder| read_sources(folder)).filter(|file| !file.path.ends_with("core/words.rs"));
    let sources: Vec<_> = sources.map(|file| (file.path, plain(&file.prose))).collect();
    let pages = pages();
    assert!(sources.len() > 500 && pages.len() > 150);
    let wrong: Vec<_> = TURNS
        .iter()
        .flat_map(|(turn, instead, in_source, in_pages)| {
            [too_many(&sources, turn, instead, *in_source), too_many(&pages, turn, instead, *in_pages)]
        })
        .flatten()
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn turns_are_counted_as_whole_words() {
    let text = plain("/// Whoever\n/// comes. \"recommend\", amend; mend, WHOEVER");
    assert_eq!((count(&text, "whoever"), count(&text, "mend")), (2, 1));
    assert_eq!(count(&plain("//! It tells\n//! of it."), "tells of"), 1);
}
