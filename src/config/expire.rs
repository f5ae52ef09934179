//! The files of a configuration without the exceptions that have expired.
//!
//! Contract: nothing is written. Whole lines leave, those of one expired exception each, and all others stay as they are, comments included; the text that results
//! is read again and says what the old one said, less those exceptions, or the file is named as one for a person to edit. Limits: an exception that does not stand in
//! lines of its own (`exceptions: [{…}]`) is not cut out.

use std::path::{Path, PathBuf};

use super::layers;
use super::node::{self, Kind, Node};
use super::problem::{ConfigError, Problem};
use super::scalar::Expiry;
use super::source::Sources;
use crate::time::Timestamp;

/// The key of the list.
const EXCEPTIONS: &str = "exceptions";

/// A file with exceptions that have expired.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileWithExpired {
    /// The file.
    pub path: PathBuf,
    /// The expired exceptions, in order.
    pub names: Vec<String>,
    /// Its text.
    pub before: String,
    /// Its text without them; `None`: they do not stand in lines of their own.
    pub after: Option<String>,
}

/// The files of the configuration that hold exceptions which have expired by then. The configuration is a right one.
pub fn files_with_expired(explicit: Option<&Path>, now: Timestamp) -> Result<Vec<FileWithExpired>, ConfigError> {
    let mut found = Vec::new();
    let mut problems = Vec::new();
    for path in layers::files(explicit) {
        match read(&path).map(|text| of_file(&path, text, now)) {
            Ok(Ok(file)) => found.extend(file),
            Ok(Err(problem)) | Err(problem) => problems.push(problem),
        }
    }
    if problems.is_empty() { Ok(found) } else { Err(ConfigError::new(problems)) }
}

fn read(path: &Path) -> Result<String, Problem> {
    let not_utf8 = |_| Problem::nowhere(format!("{} is not UTF-8: save it as that", path.display()));
    String::from_utf8(layers::bytes_of(path)?).map_err(not_utf8)
}

fn of_file(path: &Path, before: String, now: Timestamp) -> Result<Option<FileWithExpired>, Problem> {
    let tree = tree_of(path, &before)?;
    let list = exceptions(&tree);
    let expired: Vec<usize> = (0..list.len()).filter(|at| has_expired(&list[*at], now)).collect();
    if expired.is_empty() {
        return Ok(None);
    }
    let names = expired.iter().map(|at| name_of(&list[*at])).collect();
    let after = without(&tree, &before, &expired).filter(|after| says_the_rest(path, after, &tree, &expired));
    Ok(Some(FileWithExpired { path: path.to_owned(), names, before, after }))
}

fn tree_of(path: &Path, text: &str) -> Result<Node, Problem> {
    let mut sources = Sources::default();
    let source = sources.add_file(&path.display().to_string(), text.to_owned());
    node::parse(&sources, source)
}

fn exceptions(tree: &Node) -> &[Node] {
    match tree.get(EXCEPTIONS).map(|node| &node.kind) {
        Some(Kind::List(list)) => list,
        _ => &[],
    }
}

fn text_of<'a>(exception: &'a Node, key: &str) -> Option<&'a str> {
    match exception.get(key).map(|node| &node.kind) {
        Some(Kind::Text(text)) => Some(text),
        _ => None,
    }
}

fn name_of(exception: &Node) -> String {
    text_of(exception, "name").unwrap_or("without a name").to_owned()
}

fn has_expired(exception: &Node, now: Timestamp) -> bool {
    let expires = text_of(exception, "expires").and_then(|text| Expiry::parse(text).ok());
    expires.is_some_and(|expires| expires.at <= now)
}

/// The text without the lines of these; `None` where one does not stand in lines of its own.
fn without(tree: &Node, text: &str, expired: &[usize]) -> Option<String> {
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let list = exceptions(tree);
    let mut leaves = vec![false; lines.len()];
    for at in expired {
        let (from, to) = lines_of(text, &lines, list.get(*at)?.span.start)?;
        leaves.get_mut(from..to)?.fill(true);
    }
    let kept = lines.iter().zip(&leaves).filter(|(_, leaves)| !**leaves).map(|(line, _)| *line);
    let mut kept: String = kept.collect();
    if expired.len() == list.len() {
        // Only lines behind the key left, so it stands where it stood.
        let (key, _) = tree.entries().iter().find(|(key, _)| key.text == EXCEPTIONS)?;
        let colon = key.span.end + text.get(key.span.end..)?.find(':')? + 1;
        kept.insert_str(colon, " []");
    }
    Some(kept)
}

/// The lines of the element whose value begins at an offset, from that of its dash: all that is indented further, but no blank lines at the end.
fn lines_of(text: &str, lines: &[&str], start: usize) -> Option<(usize, usize)> {
    let dash = text.get(..start)?.trim_end().strip_suffix('-')?;
    let first = dash.matches('\n').count();
    let indent = dash.rsplit('\n').next()?;
    if !indent.trim().is_empty() {
        return None;
    }
    let is_inside = |line: &&&str| line.trim().is_empty() || indent_of(line) > indent.len();
    let following = lines.get(first + 1..)?;
    let inside = following.iter().take_while(is_inside).count();
    let blank = following.get(..inside)?.iter().rev().take_while(|line| line.trim().is_empty()).count();
    Some((first, first + 1 + inside - blank))
}

fn indent_of(line: &str) -> usize {
    line.len() - line.trim_start_matches(' ').len()
}

/// Whether the new text says what the old one says, less these exceptions.
fn says_the_rest(path: &Path, after: &str, before: &Node, expired: &[usize]) -> bool {
    let Ok(after) = tree_of(path, after) else { return false };
    let (old, new) = (before.entries(), after.entries());
    let left: Vec<&Node> =
        exceptions(before).iter().enumerate().filter(|(at, _)| !expired.contains(at)).map(|(_, node)| node).collect();
    let now = exceptions(&after);
    old.len() == new.len()
        && old.iter().zip(new).all(|((key, value), (other, with))| {
            key.text == other.text && (key.text == EXCEPTIONS || says_the_same(value, with))
        })
        && left.len() == now.len()
        && left.iter().zip(now).all(|(one, other)| says_the_same(one, other))
}

/// Whether two values are equal, wherever they stand.
fn says_the_same(one: &Node, other: &Node) -> bool {
    match (&one.kind, &other.kind) {
        (Kind::List(one), Kind::List(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| says_the_same(one, other))
        }
        (Kind::Map(one), Kind::Map(other)) => {
            one.len() == other.len()
                && one
                    .iter()
                    .zip(other)
                    .all(|((key, one), (with, other))| key.text == with.text && says_the_same(one, other))
        }
        (one, other) => one == other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: &str = "2026-11-30T00:00:00Z";

    fn cut(text: &str) -> Option<FileWithExpired> {
        of_file(Path::new("hopwatch.yaml"), text.to_owned(), NOW.parse().expect("a time")).expect("YAML")
    }

    fn one(name: &str, expires: &str) -> String {
        format!(
            "  - name: {name}\n    rule: unknown-source # why\n    owner: me\n    reason: |\n      because\n\n      # of that\n    expires: {expires}\n"
        )
    }

    #[test]
    fn the_lines_of_what_expired_leave_and_every_other_stays() {
        let (old, new) = (one("old", "2026-11-01"), one("new", "2027-11-01"));
        let head = "# Ours.\nalerts: {burst: 3}\nexceptions:\n  # Ask Ann.\n";
        let tail = "\n# The end.\ncapture: {snap_length: 100}\n";
        let text = format!("{head}{old}\n{new}{old}{tail}");
        let cut = cut(&text).expect("some expired");
        assert_eq!(cut.names, ["old", "old"]);
        assert_eq!(cut.after, Some(format!("{head}\n{new}{tail}")));
    }

    #[test]
    fn a_list_of_which_nothing_is_left_is_an_empty_one() {
        let text = format!("exceptions: # ours\n{}alerts: {{}}\n", one("old", "2026-11-01"));
        assert_eq!(cut(&text).expect("expired").after.as_deref(), Some("exceptions: [] # ours\nalerts: {}\n"));
        let flow =
            "exceptions:\n- {name: old, rule: unknown-source, owner: me, reason: none,\n   expires: 2026-11-29}\n";
        assert_eq!(cut(flow).expect("expired at the end of that day").after.as_deref(), Some("exceptions: []\n"));
    }

    #[test]
    fn what_does_not_stand_in_lines_of_its_own_is_left_to_a_person() {
        for text in [
            "exceptions: [{name: old, rule: unknown-source, owner: me, reason: none, expires: 2026-11-01}]\n",
            "exceptions:\n  - &a {name: old, rule: unknown-source, owner: me, reason: none, expires: 2026-11-01}\n  - {<<: *a, name: b}\n",
            "x: {exceptions: []}\n\"exceptions\":\n  -\n    # a\n    name: old\n    expires: 2026-11-01\n",
        ] {
            if let Ok(Some(cut)) = of_file(Path::new("x"), text.to_owned(), NOW.parse().expect("a time")) {
                assert_eq!(cut.after, None, "{text}");
            }
        }
        assert_eq!(cut("exceptions:\n  - {name: new, expires: 2026-11-30}\n"), None, "until the end of that day");
    }

    proptest::proptest! {
        #[test]
        fn whatever_stands_in_the_file_the_rest_of_it_is_said_as_before(
            parts in proptest::collection::vec((proptest::bool::ANY, "[ #\\-a:\n]{0,12}"), 0..6),
        ) {
            let mut text = "exceptions:\n".to_owned();
            for (is_old, noise) in &parts {
                text += &one("some", if *is_old { "2026-11-01" } else { "2027-11-01" });
                text += noise;
                text += "\n";
            }
            if let Ok(Some(FileWithExpired { after: Some(after), names, .. })) =
                of_file(Path::new("x"), text.clone(), NOW.parse().expect("a time"))
            {
                let left = |text: &str| exceptions(&tree_of(Path::new("x"), text).expect("YAML")).len();
                proptest::prop_assert_eq!(left(&after) + names.len(), left(&text));
                proptest::prop_assert!(after.lines().all(|line| line == "exceptions: []" || text.contains(line)));
                proptest::prop_assert_eq!(of_file(Path::new("x"), after, NOW.parse().expect("a time")).expect("YAML"), None);
            }
        }
    }
}
