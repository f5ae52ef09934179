//! The directions between the rooms of the crate, held by reading the source.
//!
//! Contract: every `crate::` path in `src/` leads where [`ROOMS`] allows; the core names nothing of the outside world; files stay
//! small. Limits: it reads text, not types, so a path that a macro builds is not seen; there is none.
//! Design: the table is data, `ARCHITECTURE.md` shows the same one, and the checks are themselves tested with planted mistakes.

pub mod source;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use source::{SourceFile, crate_paths, read_sources, super_paths};

/// A room, whether it is pure, and the rooms that it may name. Order: the data's way.
struct Room {
    name: &'static str,
    what: &'static str,
    core: bool,
    may_use: &'static [&'static str],
}

const fn core(name: &'static str, what: &'static str, may_use: &'static [&'static str]) -> Room {
    Room { name, what, core: true, may_use }
}

const fn shell(name: &'static str, what: &'static str, may_use: &'static [&'static str]) -> Room {
    Room { name, what, core: false, may_use }
}

/// Who may name whom. A room that is not here is refused, and so is a line for a room that is gone.
const ROOMS: &[Room] = &[
    core("time", "event time", &[]),
    core("wording", "counts in the texts that people read", &[]),
    core("input", "the facts that everything speaks of", &["time"]),
    core("decode", "bytes to headers", &["input"]),
    core("flow", "the meter, one an observation point", &["decode", "input", "time"]),
    core("names", "which names addresses have, for the actor that asked", &["input", "time"]),
    core("inventory", "who owned which address when", &["input", "time"]),
    core("path", "contracts, judge, tracker, verdicts", &["inventory", "input", "time", "wording"]),
    core("baseline", "what each service is expected to be like", &["path", "inventory", "input", "time"]),
    core(
        "detect",
        "rules, each with its strategy",
        &["baseline", "path", "inventory", "names", "input", "time", "wording"],
    ),
    core("alert", "model, grouping, exceptions", &["detect", "path", "flow", "inventory", "names", "input", "time"]),
    core("incident", "alerts and events of one chain", &["alert", "detect", "path", "inventory", "input", "time"]),
    core(
        "engine",
        "owns the state; inputs in, alerts out",
        &["incident", "alert", "detect", "baseline", "path", "inventory", "names", "input", "time"],
    ),
    core(
        "evidence",
        "what an alert leaves behind: packets and facts from before it",
        &["alert", "detect", "flow", "decode", "input", "time"],
    ),
    core(
        "respond",
        "what can be done about the container of an alert",
        &["evidence", "alert", "path", "input", "time"],
    ),
    shell(
        "host",
        "the kernel's interfaces, namespaces, sockets, processes and translations",
        &["decode", "input", "time"],
    ),
    shell("clock", "the clocks", &["time"]),
    shell("sync", "locks that outlive a panic", &[]),
    shell("sink_counters", "what each alert sink delivered and lost", &["clock", "sync", "time", "wording"]),
    shell("sandbox", "what a live run gives up once it has started", &[]),
    shell("spelling", "the word that was probably meant", &[]),
    shell("inventory::discover", "which runtimes there are, and where", &["input"]),
    shell(
        "inventory::reader",
        "what a reader of a runtime is, and what they share",
        &["inventory", "clock", "sync", "input", "time"],
    ),
    shell(
        "inventory::docker",
        "runtimes that speak the Docker API",
        &["inventory::reader", "inventory", "clock", "host", "sandbox", "sync", "input", "time"],
    ),
    shell(
        "inventory::containerd",
        "the containerd socket",
        &["inventory::reader", "inventory", "clock", "input", "time"],
    ),
    shell(
        "inventory::cri",
        "the CRI socket: pods",
        &["inventory::containerd", "inventory::reader", "inventory", "clock", "host", "sync", "input", "time"],
    ),
    shell(
        "inventory::file",
        "facts and `docker inspect` output",
        &["inventory::docker", "inventory", "spelling", "input", "time"],
    ),
    shell("observe", "live taps, capture files", &["clock", "sandbox", "sync", "flow", "decode", "input", "time"]),
    shell("escape", "text from elsewhere, made safe for a terminal", &[]),
    shell("layout", "text that fits the terminal", &[]),
    shell(
        "alert::render",
        "an alert or an incident as text and JSON",
        &["incident", "alert", "detect", "path", "inventory", "escape", "layout", "input", "time", "wording"],
    ),
    shell(
        "export",
        "flow records as text, JSON Lines, CSV, conn.log",
        &["escape", "layout", "flow", "names", "input", "time"],
    ),
    shell(
        "judged_flows",
        "judged flows as text and JSON Lines, and which of them",
        &["alert", "detect", "path", "inventory", "names", "escape", "layout", "time"],
    ),
    shell(
        "view",
        "the picture of `hopwatch top`, and its keys",
        &["engine", "alert", "escape", "detect", "path", "inventory", "input", "time"],
    ),
    shell(
        "report",
        "whether traffic kept to its path, and what proves it",
        &["engine", "escape", "layout", "baseline", "detect", "path", "flow", "inventory", "input", "time", "wording"],
    ),
    shell(
        "serve",
        "metrics and health",
        &[
            "evidence",
            "engine",
            "detect",
            "flow",
            "decode",
            "sink_counters",
            "clock",
            "sandbox",
            "sync",
            "input",
            "time",
        ],
    ),
    shell(
        "config",
        "file to checked values",
        &[
            "evidence",
            "engine",
            "incident",
            "alert",
            "detect",
            "alert::render",
            "path",
            "flow",
            "inventory",
            "inventory::discover",
            "escape",
            "layout",
            "spelling",
            "input",
            "time",
        ],
    ),
    shell(
        "sweep",
        "who else shows the pattern of an alert",
        &["engine", "alert", "detect", "path", "inventory", "names", "input", "time"],
    ),
    shell(
        "respond::act",
        "what is sent to runtimes, and the audit log of it",
        &["respond", "config", "inventory::discover", "evidence", "clock", "input", "time"],
    ),
    shell(
        "deliver",
        "outbox, and what alerts are sent to",
        &[
            "config",
            "sink_counters",
            "alert::render",
            "incident",
            "input",
            "alert",
            "detect",
            "path",
            "escape",
            "clock",
            "sandbox",
            "sync",
            "time",
            "wording",
        ],
    ),
    shell(
        "app",
        "threads, channels, signals",
        &[
            "deliver",
            "config",
            "serve",
            "sink_counters",
            "view",
            "report",
            "export",
            "judged_flows",
            "alert::render",
            "escape",
            "clock",
            "sandbox",
            "sync",
            "layout",
            "observe",
            "inventory::file",
            "inventory::docker",
            "inventory::containerd",
            "inventory::cri",
            "inventory::discover",
            "inventory::reader",
            "host",
            "evidence",
            "engine",
            "incident",
            "alert",
            "baseline",
            "detect",
            "path",
            "flow",
            "inventory",
            "names",
            "decode",
            "input",
            "time",
            "wording",
        ],
    ),
    shell(
        "cli",
        "subcommands",
        &[
            "app",
            "deliver",
            "respond",
            "respond::act",
            "config",
            "engine",
            "export",
            "judged_flows",
            "sweep",
            "report",
            "escape",
            "clock",
            "sync",
            "layout",
            "observe",
            "inventory::file",
            "inventory",
            "host",
            "evidence",
            "incident",
            "alert",
            "baseline",
            "detect",
            "path",
            "input",
            "time",
            "wording",
        ],
    ),
];

/// What the core must not name, and why. `std::net` is for addresses; its sockets are listed one by one.
const OUTSIDE: &[(&str, &str)] = &[
    ("tokio", "the core is synchronous"),
    ("std::fs", "files are read by the shell"),
    ("std::io", "the core neither reads nor prints"),
    ("std::env", "the environment is read by the shell"),
    ("std::process", "the core ends nothing and starts nothing"),
    ("std::thread", "threads are the shell's"),
    ("TcpStream", "sockets are the shell's"),
    ("TcpListener", "sockets are the shell's"),
    ("UdpSocket", "sockets are the shell's"),
    ("UnixStream", "sockets are the shell's"),
    ("SystemTime", "time comes with the input"),
    ("Instant", "time comes with the input"),
    ("Timestamp::now", "time comes with the input"),
    ("Zoned::now", "time comes with the input"),
    ("println!", "the core returns facts; the caller prints"),
    ("eprintln!", "the core returns facts; the caller prints"),
    ("tracing", "the core returns facts; the caller logs"),
];

const MAX_LINES: usize = 600;

fn room(name: &str) -> Option<&'static Room> {
    ROOMS.iter().find(|room| room.name == name)
}

/// The room of a path such as `inventory::docker::client`: the longest one that is listed.
fn room_of(path: &str) -> Option<&'static Room> {
    let mut parts = path.split("::");
    let first = parts.next()?;
    let inner = parts.next().and_then(|second| room(&format!("{first}::{second}")));
    inner.or_else(|| room(first))
}

/// Edges of one file that the table does not allow, as sentences. Counts every edge that leaves its room.
fn forbidden_edges(file: &SourceFile, seen: &mut BTreeSet<(&'static str, &'static str)>) -> Vec<String> {
    let Some(from) = room_of(&file.module) else {
        return vec![format!("{}: no room of ROOMS holds this file; give it one", file.path)];
    };
    let mut wrong = Vec::new();
    // A `super` path that lies in no room ends in the file itself: an item of the module around its tests.
    let relative = super_paths(&file.code, &file.module).into_iter().filter(|path| room_of(path).is_some());
    for path in crate_paths(&file.code).into_iter().chain(relative) {
        match room_of(&path) {
            None => wrong.push(format!("{}: crate::{path} is in no room of ROOMS", file.path)),
            Some(to) if to.name == from.name => {}
            Some(to) if from.may_use.contains(&to.name) => _ = seen.insert((from.name, to.name)),
            Some(to) => wrong.push(format!("{}: {} must not use {} (crate::{path})", file.path, from.name, to.name)),
        }
    }
    wrong
}

fn outside_names(file: &SourceFile) -> Vec<String> {
    if room_of(&file.module).is_none_or(|room| !room.core) {
        return Vec::new();
    }
    OUTSIDE
        .iter()
        .filter(|(name, _)| source::names(&file.code, name))
        .map(|(name, why)| format!("{}: the core must not name {name}: {why}", file.path))
        .collect()
}

/// Files of the crate without its roots: `lib.rs` declares the rooms, `main.rs` enters `cli`.
fn rooms_of_the_crate() -> Vec<SourceFile> {
    read_sources("src").into_iter().filter(|file| file.module != "lib" && file.module != "main").collect()
}

#[test]
fn every_edge_is_allowed_and_every_allowance_is_needed() {
    let mut seen = BTreeSet::new();
    let wrong: Vec<_> = rooms_of_the_crate().iter().flat_map(|file| forbidden_edges(file, &mut seen)).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let allowed = ROOMS.iter().flat_map(|room| room.may_use.iter().map(|used| (room.name, *used)));
    let idle: Vec<_> = allowed.filter(|edge| !seen.contains(edge)).collect();
    assert!(idle.is_empty(), "allowed, but used nowhere; take them out of ROOMS: {idle:?}");
}

#[test]
fn the_core_names_nothing_of_the_outside_world() {
    let wrong: Vec<_> = rooms_of_the_crate().iter().flat_map(outside_names).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_core_never_uses_the_shell_and_the_table_has_no_circle() {
    let order: BTreeMap<_, _> = ROOMS.iter().enumerate().map(|(place, room)| (room.name, place)).collect();
    assert_eq!(order.len(), ROOMS.len(), "a room is listed twice");
    for room in ROOMS {
        for used in room.may_use {
            let place = order.get(used).unwrap_or_else(|| panic!("{} may use {used}, which is no room", room.name));
            assert!(*place < order[room.name], "{} may use only rooms listed before it, not {used}", room.name);
            assert!(!room.core || ROOMS[*place].core, "{} is core and must not use {used}", room.name);
        }
    }
}

#[test]
fn every_room_of_the_table_exists() {
    let modules: BTreeSet<_> = rooms_of_the_crate().into_iter().map(|file| file.module).collect();
    for room in ROOMS {
        assert!(modules.contains(room.name), "ROOMS lists {}, but there is no such file", room.name);
    }
}

#[test]
fn files_are_small_and_named_for_what_they_hold() {
    let mut wrong = Vec::new();
    for file in ["src", "tests", "benches"].into_iter().flat_map(read_sources) {
        if file.lines > MAX_LINES {
            wrong.push(format!("{} has {} lines; split it, {MAX_LINES} is the most", file.path, file.lines));
        }
        let last = file.module.rsplit("::").next().unwrap_or_default();
        if ["util", "utils", "helpers", "common", "misc"].contains(&last) {
            wrong.push(format!("{}: name the file for what it holds", file.path));
        }
        if file.path.starts_with("src/") && last == "mod" {
            wrong.push(format!("{}: a module is foo.rs beside foo/, not foo/mod.rs", file.path));
        }
        if file.path.starts_with("src/") && !file.starts_with_contract {
            wrong.push(format!("{} does not begin with //! and what it is for", file.path));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Names that every file of their kind gives to the same thing: the options of a subcommand, the parameters of a rule.
const ONE_EACH: [(&str, &str); 2] = [("cli", "Args"), ("detect", "Params")];

/// Names of types that others may use, from the code of a file.
fn shared_types(code: &str) -> impl Iterator<Item = &str> {
    code.lines().filter_map(|line| {
        let rest = line.trim_start().strip_prefix("pub")?;
        let rest = if rest.starts_with('(') { rest.split_once(')')?.1 } else { rest };
        let (kind, name) = rest.trim_start().split_once(' ')?;
        let end = name.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(name.len());
        ["struct", "enum", "trait", "type"].contains(&kind).then_some(&name[..end])
    })
}

fn names_given_twice(files: &[SourceFile]) -> Vec<String> {
    let mut given: BTreeMap<(&str, &str), Vec<&str>> = BTreeMap::new();
    for file in files {
        let Some(room) = room_of(&file.module) else { continue };
        shared_types(&file.code).for_each(|name| given.entry((room.name, name)).or_default().push(&file.path));
    }
    given.retain(|of, files| files.len() > 1 && !ONE_EACH.contains(of));
    given.into_iter().map(|((room, name), files)| format!("{room}: {name} names two types: {files:?}")).collect()
}

#[test]
fn no_room_gives_one_name_to_two_types() {
    let wrong = names_given_twice(&rooms_of_the_crate());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let planted = [("path/judge", "pub(crate) struct Proof<'a>(&'a str);"), ("path/coverage", "pub enum Proof {}")];
    let planted = planted.map(|(module, code)| SourceFile::from_text(format!("src/{module}.rs"), code));
    assert_eq!(names_given_twice(&planted).len(), 1);
}

#[test]
fn the_binary_holds_nothing_but_its_entry() {
    let main = read_sources("src").into_iter().find(|file| file.module == "main").expect("src/main.rs");
    assert!(main.lines <= 20, "src/main.rs has {} lines; it only calls the library", main.lines);
}

/// The table as `ARCHITECTURE.md` shows it.
fn documented() -> String {
    let mut text = "| room | what | may use |\n|---|---|---|\n".to_owned();
    for room in ROOMS {
        let mark = if room.core { "" } else { " ◦" };
        let named: Vec<_> = room.may_use.iter().map(|name| format!("`{name}`")).collect();
        let uses = if named.is_empty() { "–".to_owned() } else { named.join(", ") };
        let _ = writeln!(text, "| `{}`{mark} | {} | {uses} |", room.name, room.what);
    }
    text
}

#[test]
fn the_page_shows_the_same_table() {
    let page = std::fs::read_to_string(source::root().join("ARCHITECTURE.md")).expect("ARCHITECTURE.md");
    assert!(page.contains(&documented()), "ARCHITECTURE.md must show this table:\n{}", documented());
}

#[test]
fn planted_mistakes_are_found() {
    let planted = |module: &str, code: &str| {
        let file = SourceFile::from_text(format!("src/{}.rs", module.replace("::", "/")), code);
        let mut wrong = forbidden_edges(&file, &mut BTreeSet::new());
        wrong.extend(outside_names(&file));
        wrong.join("\n")
    };
    let refused = [
        ("decode::ip", "use crate::flow::FlowKey;", "decode must not use flow"),
        ("path::judge", "use crate::detect::{Finding, rules};", "path must not use detect"),
        ("engine", "use crate::{time::Timestamp, serve::Snapshot};", "engine must not use serve"),
        ("inventory::timeline", "use crate::inventory::{file::read, Owner};", "must not use inventory::file"),
        ("alert::grouping", "let x: crate::alert::render::text::Block = y;", "alert must not use alert::render"),
        ("detect::finding", "fn f() { let t = std::time::Instant::now(); }", "must not name Instant"),
        ("flow::meter", "use std::{fs::File, fmt};", "must not name std::fs"),
        ("engine", "use std::net::{IpAddr, UdpSocket};", "must not name UdpSocket"),
        ("decode", "use super::flow::FlowKey;", "decode must not use flow"),
        ("inventory::timeline", "use super::{docker, Owner};", "must not use inventory::docker"),
        ("path::judge", "let x = super::super::detect::rules::ALL;", "path must not use detect"),
        ("sundry", "use crate::time::Timestamp;", "no room"),
    ];
    for (module, code, expected) in refused {
        assert!(planted(module, code).contains(expected), "{module}: {code}: {:?}", planted(module, code));
    }
    let accepted = [
        ("decode::ip", "use std::net::{IpAddr, SocketAddr};\n// tokio is named in a comment\nuse crate::input::Mac;"),
        ("detect::finding", "let text = \"println! and crate::app in a text\"; let instantly = 1;"),
        ("app::live", "use crate::{engine::Engine, serve::{Snapshot, SnapshotCell}};"),
    ];
    for (module, code) in accepted {
        assert_eq!(planted(module, code), "", "{module}: {code}");
    }
}
