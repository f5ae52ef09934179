//! How many deliveries wait and how many are dead, without counting them each time.
//!
//! Contract: each number is counted when it is first asked for, and kept up to date with each change through this connection;
//! after another process (`hopwatch outbox retry`) has changed it, it is counted anew.

use std::collections::BTreeMap;

use rusqlite::{Connection, params};

/// The connection, and what is known without asking it.
#[derive(Debug)]
pub(super) struct Inner {
    pub(super) connection: Connection,
    /// By sink and state.
    counts: BTreeMap<(String, &'static str), u64>,
    /// The outbox as this connection knew it: changes with each commit of another.
    version: Option<i64>,
}

pub(super) const WAITING: &str = "waiting";
pub(super) const DEAD: &str = "dead";

impl Inner {
    pub(super) const fn new(connection: Connection) -> Self {
        Self { connection, counts: BTreeMap::new(), version: None }
    }

    /// A number that changes when another process has changed the outbox.
    pub(super) fn version(&self) -> rusqlite::Result<i64> {
        self.connection.prepare_cached("PRAGMA data_version")?.query_row([], |row| row.get(0))
    }

    /// How many wait for a sink.
    pub(super) fn waiting(&mut self, sink: &str) -> rusqlite::Result<u64> {
        self.count(sink, WAITING)
    }

    /// How many of a sink are dead.
    pub(super) fn dead(&mut self, sink: &str) -> rusqlite::Result<u64> {
        self.count(sink, DEAD)
    }

    fn count(&mut self, sink: &str, state: &'static str) -> rusqlite::Result<u64> {
        let version = Some(self.version()?);
        if version != self.version {
            self.counts.clear();
            self.version = version;
        }
        let key = (sink.to_owned(), state);
        if let Some(count) = self.counts.get(&key) {
            return Ok(*count);
        }
        let sql = "SELECT count(*) FROM delivery WHERE sink = ?1 AND state = ?2";
        let count = self.connection.prepare_cached(sql)?.query_row(params![sink, state], |row| row.get(0))?;
        self.counts.insert(key, count);
        Ok(count)
    }

    pub(super) fn came(&mut self, sink: &str, count: u64) {
        self.change(sink, WAITING, |waiting| waiting.saturating_add(count));
    }

    pub(super) fn left(&mut self, sink: &str, count: u64) {
        self.change(sink, WAITING, |waiting| waiting.saturating_sub(count));
    }

    pub(super) fn died(&mut self, sink: &str, count: u64) {
        self.left(sink, count);
        self.change(sink, DEAD, |dead| dead.saturating_add(count));
    }

    pub(super) fn buried(&mut self, sink: &str, count: u64) {
        self.change(sink, DEAD, |dead| dead.saturating_sub(count));
    }

    /// They are counted anew when they are next asked for.
    pub(super) fn forget_counts(&mut self) {
        self.counts.clear();
    }

    fn change(&mut self, sink: &str, state: &'static str, to: impl FnOnce(u64) -> u64) {
        if let Some(count) = self.counts.get_mut(&(sink.to_owned(), state)) {
            *count = to(*count);
        }
    }
}
