//! Chains: files of lines, each with the hash of the line before it. The one of bundles has a line for each bundle that was written or removed.
//!
//! Contract: [`Chain::read`] is total over hostile text: it gives what holds together and says what does not. A bundle that is gone with a line that
//! removes it was removed by hopwatch; one that is gone without was removed by somebody. Limits: somebody who may write the folder can write the whole chain
//! anew; against that only a head that was kept elsewhere speaks, so the head leaves with each alert and in the log. [`Chained::MAX_LINE`] bytes a line.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::manifest::{is_alert_id, sha256};
use crate::time::Timestamp;

/// What the first link names as the one before it.
pub const GENESIS: &str = "sha256:0000000000000000000000000000000000000000000000000000000000000000";

/// A line of a chain.
pub trait Chained: Serialize + DeserializeOwned {
    /// Bytes of a line.
    const MAX_LINE: usize;

    /// Its number, without gaps.
    fn seq(&self) -> u64;

    /// SHA-256 of the line before.
    fn previous(&self) -> &str;

    /// Whether it says what hopwatch could have written.
    fn is_sound(&self) -> bool;

    /// The line, without its end.
    fn line(&self) -> String {
        // A structure of strings and numbers has no reason to fail.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// The hash by which the next line names it.
    fn hash(&self) -> String {
        sha256(self.line().as_bytes())
    }
}

/// A line of the chain of bundles.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Link {
    /// Its number, without gaps.
    pub seq: u64,
    /// SHA-256 of the line before.
    pub previous: String,
    /// When.
    pub at: Timestamp,
    /// Id of the alert.
    pub alert: String,
    /// What happened to its bundle.
    pub kind: LinkKind,
    /// SHA-256 of the bundle's manifest.
    pub manifest: String,
}

/// What happened to a bundle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LinkKind {
    /// It was written.
    Written,
    /// It was removed to stay within the budget.
    Removed,
}

impl Chained for Link {
    const MAX_LINE: usize = 4096;

    fn seq(&self) -> u64 {
        self.seq
    }

    fn previous(&self) -> &str {
        &self.previous
    }

    fn is_sound(&self) -> bool {
        is_alert_id(&self.alert)
    }
}

/// What is wrong with a line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Wrong {
    /// Counted from 1.
    pub line: usize,
    /// In words.
    pub what: String,
}

/// A chain that was read.
#[derive(Clone, Debug)]
pub struct Chain<L> {
    /// Its links, in order.
    pub links: Vec<L>,
    /// What is wrong with it.
    pub wrong: Vec<Wrong>,
}

/// The chain of bundles.
pub type Links = Chain<Link>;

impl<L> Default for Chain<L> {
    fn default() -> Self {
        Self { links: Vec::new(), wrong: Vec::new() }
    }
}

impl<L: Chained> Chain<L> {
    /// Reads a chain; the last line may be cut off, as a crash leaves it, which is wrong all the same.
    pub fn read(text: &str) -> Self {
        let mut chain = Self::default();
        for (number, line) in (1..).zip(text.split_terminator('\n')) {
            let link = match serde_json::from_str::<L>(line) {
                Ok(link) if line.len() <= L::MAX_LINE && link.is_sound() && link.line() == line => link,
                Ok(_) => {
                    chain.wrong(number, "is not written as hopwatch writes it");
                    continue;
                }
                Err(_) => {
                    chain.wrong(number, "is no link of a chain");
                    continue;
                }
            };
            let (seq, previous) = (chain.next_seq(), chain.head());
            if link.seq() != seq {
                chain.wrong(
                    number,
                    &format!("has the number {}, expected {seq}: links are missing or out of order", link.seq()),
                );
            } else if link.previous() != previous {
                chain.wrong(number, "does not name the line before it: one of them was changed");
            }
            chain.links.push(link);
        }
        if !text.is_empty() && !text.ends_with('\n') {
            let last = chain.links.len() + chain.wrong.len();
            chain.wrong(last, "has no end: the file was cut");
        }
        chain
    }

    fn wrong(&mut self, line: usize, what: &str) {
        self.wrong.push(Wrong { line, what: what.to_owned() });
    }

    /// The hash of the last link.
    pub fn head(&self) -> String {
        self.links.last().map_or_else(|| GENESIS.to_owned(), Chained::hash)
    }

    /// The number of the next link.
    pub fn next_seq(&self) -> u64 {
        self.links.last().map_or(1, |link| link.seq().saturating_add(1))
    }
}

impl Chain<Link> {
    /// The link that follows.
    pub fn following(&self, at: Timestamp, alert: &str, kind: LinkKind, manifest: String) -> Link {
        Link { seq: self.next_seq(), previous: self.head(), at, alert: alert.to_owned(), kind, manifest }
    }

    /// Of each alert the link that wrote its bundle last, and whether it was removed since.
    pub fn bundles(&self) -> Vec<(&Link, bool)> {
        let mut bundles: Vec<(&Link, bool)> = Vec::new();
        for link in &self.links {
            match link.kind {
                LinkKind::Written => bundles.push((link, false)),
                LinkKind::Removed => bundles
                    .iter_mut()
                    .filter(|(written, _)| written.alert == link.alert && written.manifest == link.manifest)
                    .for_each(|(_, removed)| *removed = true),
            }
        }
        bundles
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chain(count: u64) -> (Links, String) {
        let mut chain = Links::default();
        let mut text = String::new();
        for number in 0..count {
            let alert = format!("{number:016x}");
            let link = chain.following(Timestamp::from_secs(1), &alert, LinkKind::Written, sha256(alert.as_bytes()));
            text += &(link.line() + "\n");
            chain.links.push(link);
        }
        (chain, text)
    }

    fn what(text: &str) -> Vec<usize> {
        Links::read(text).wrong.iter().map(|wrong| wrong.line).collect()
    }

    #[test]
    fn a_chain_that_nobody_touched_reads_back_equal() {
        let (written, text) = chain(5);
        let read = Links::read(&text);
        assert_eq!((read.wrong.len(), &read.links, read.head()), (0, &written.links, written.head()));
    }

    #[test]
    fn a_line_that_is_gone_moved_changed_or_made_up_is_found() {
        let (_, text) = chain(5);
        let lines: Vec<_> = text.lines().collect();
        let without: String =
            lines.iter().enumerate().filter(|(at, _)| *at != 2).map(|(_, line)| format!("{line}\n")).collect();
        assert_eq!(what(&without), [3]);
        let swapped = [lines[0], lines[2], lines[1], lines[3], ""].join("\n");
        assert_eq!(what(&swapped), [2, 3, 4]);
        let changed = text.replacen("\"written\"", "\"removed\"", 1);
        assert_eq!(what(&changed), [2], "the next line does not name it");
        assert_eq!(what("{}\n"), [1]);
        assert_eq!(what(&(text.clone() + "garbage")), [6, 6]);
        let path = text.replacen("0000000000000001", "../../../etc/xxx", 1);
        assert!(!what(&path).is_empty());
    }

    #[test]
    fn a_removal_is_no_loss() {
        let (mut chain, _) = chain(2);
        let gone = chain.links[0].clone();
        let link = chain.following(Timestamp::from_secs(2), &gone.alert, LinkKind::Removed, gone.manifest);
        chain.links.push(link);
        let removed: Vec<_> = chain.bundles().iter().map(|(_, removed)| *removed).collect();
        assert_eq!(removed, [true, false]);
    }
}
