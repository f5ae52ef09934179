//! The deliveries of the outbox: what waits, what is tried next, what is dead.

use rusqlite::{Connection, Params, Row, Transaction, params};

use super::counts::Inner;
use super::{Added, Addressed, Entry, MAX_AGE, MAX_BODY, Store, StoreError};
use crate::deliver::outcome::LONGEST_WAIT;
use crate::sync;
use crate::time::Timestamp;

/// Whether a delivery is still tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It is.
    Waiting,
    /// It was refused, or is too old: a person decides.
    Dead,
}

/// One body for one sink.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// Its number, which is never used again.
    pub seq: i64,
    /// The alert's or incident's id.
    pub id: String,
    /// Its update.
    pub update: u32,
    /// What is sent.
    pub body: Vec<u8>,
    /// Attempts so far.
    pub attempts: u32,
    /// Whether an earlier attempt may have arrived.
    pub maybe_taken: bool,
}

/// One that is shown to a person.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Listed {
    /// Its number.
    pub seq: i64,
    /// The sink.
    pub sink: String,
    /// The alert's or incident's id.
    pub id: String,
    /// Its update.
    pub update: u32,
    /// The rule.
    pub rule: String,
    /// Whether it is still tried.
    pub state: State,
    /// When it was added.
    pub added: Timestamp,
    /// Attempts so far.
    pub attempts: u32,
    /// What the last one ended with.
    pub error: Option<String>,
}

/// What waits for a sink.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Waiting {
    /// How many deliveries.
    pub count: u64,
    /// When the oldest was added.
    pub oldest: Option<Timestamp>,
}

/// `1 delivery waits`, `2 deliveries wait`.
pub(in crate::deliver) fn waits(count: u64) -> String {
    if count == 1 { "1 delivery waits".to_owned() } else { format!("{count} deliveries wait") }
}

/// Adds one in a transaction; there is room for so many.
pub(super) fn add(
    transaction: &Transaction<'_>,
    entry: &Entry<'_>,
    to: &Addressed,
    now: Timestamp,
    room: u64,
) -> rusqlite::Result<Added> {
    if to.body.len() > MAX_BODY {
        return Ok(Added { too_large: 1, ..Added::default() });
    }
    let mut superseded = 0;
    if to.supersedes {
        let sql = "DELETE FROM delivery WHERE sink = ?1 AND id = ?2 AND state = 'waiting'";
        superseded = transaction.prepare_cached(sql)?.execute(params![to.sink, entry.id])? as u64;
    }
    let sql = "INSERT INTO delivery (sink, id, update_no, severity, rule, added, body)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
    let severity = entry.severity as u8;
    transaction.prepare_cached(sql)?.execute(params![
        to.sink,
        entry.id,
        entry.update,
        severity,
        entry.rule,
        now.as_nanos(),
        to.body
    ])?;
    let displaced = if room + superseded == 0 { displace(transaction, &to.sink)? } else { 0 };
    Ok(Added { waiting: 1, superseded, displaced, too_large: 0 })
}

/// The oldest of the lowest severity leaves.
fn displace(transaction: &Transaction<'_>, sink: &str) -> rusqlite::Result<u64> {
    let sql = "DELETE FROM delivery WHERE seq = (SELECT seq FROM delivery WHERE sink = ?1 AND state = 'waiting'
               ORDER BY severity, seq LIMIT 1)";
    Ok(transaction.prepare_cached(sql)?.execute([sink])? as u64)
}

impl Store {
    /// The next one to try; see [`Self::take_some`].
    pub fn take(&self, sink: &str, now: Timestamp) -> Result<Option<Delivery>, StoreError> {
        Ok(self.take_some(sink, now, 1)?.pop())
    }

    /// The next ones to try, `most` of them: each the first of its alert, and due. From now on they may have arrived, also when this process
    /// is killed.
    pub fn take_some(&self, sink: &str, now: Timestamp, most: usize) -> Result<Vec<Delivery>, StoreError> {
        let sql = "SELECT seq, id, update_no, body, attempts, maybe_taken FROM delivery AS d
                   WHERE sink = ?1 AND state = 'waiting' AND (next_at <= ?2 OR next_at > ?3) AND NOT EXISTS
                   (SELECT 1 FROM delivery AS e
                    WHERE e.sink = d.sink AND e.id = d.id AND e.state = 'waiting' AND e.seq < d.seq)
                   ORDER BY seq LIMIT ?4";
        // A clock that was set back must not stop delivery.
        let latest = now.plus(LONGEST_WAIT).as_nanos();
        let inner = &mut *sync::lock(&self.inner);
        let taken = inner.connection.prepare_cached(sql).and_then(|mut query| {
            let rows = query.query_map(params![sink, now.as_nanos(), latest, most], delivery)?;
            rows.collect::<rusqlite::Result<Vec<_>>>()
        });
        let marked = taken.and_then(|taken| mark(&mut inner.connection, &taken).map(|()| taken));
        marked.map_err(StoreError::of("looking for what to deliver"))
    }

    /// What waits is due now: a run begins, perhaps because somebody repaired what was wrong.
    pub fn begin(&self, sink: &str) -> Result<(), StoreError> {
        let sql = "UPDATE delivery SET next_at = 0 WHERE sink = ?1 AND state = 'waiting'";
        let connection = &sync::lock(&self.inner).connection;
        connection.execute(sql, [sink]).map(drop).map_err(StoreError::of("beginning to deliver"))
    }

    /// When something of a sink becomes due after `now`. What is due already and was not taken waits for an earlier update of its alert.
    pub fn due_after(&self, sink: &str, now: Timestamp) -> Result<Option<Timestamp>, StoreError> {
        let sql = "SELECT min(next_at) FROM delivery WHERE sink = ?1 AND state = 'waiting' AND next_at > ?2";
        let connection = &sync::lock(&self.inner).connection;
        let at = connection
            .prepare_cached(sql)
            .and_then(|mut query| query.query_row(params![sink, now.as_nanos()], |row| row.get(0)));
        at.map(|at: Option<i64>| at.map(Timestamp::from_nanos)).map_err(StoreError::of("looking for what to deliver"))
    }

    /// It was taken. Returns whether it was still kept: a later update may have superseded it meanwhile.
    pub fn delivered(&self, seq: i64) -> Result<bool, StoreError> {
        let sql = "DELETE FROM delivery WHERE seq = ?1 AND state = 'waiting' RETURNING sink";
        let inner = &mut *sync::lock(&self.inner);
        let sink = changed(&inner.connection, sql, params![seq]).map_err(StoreError::of("noting a delivery"))?;
        if let Some(sink) = &sink {
            inner.left(sink, 1);
        }
        Ok(sink.is_some())
    }

    /// It is tried again from `at` on. Where it was added too long before `now`, it and all that wait as long are dead. Returns how many.
    pub fn again(
        &self,
        seq: i64,
        at: Timestamp,
        maybe_taken: bool,
        why: &str,
        now: Timestamp,
    ) -> Result<u64, StoreError> {
        let sql = "UPDATE delivery SET attempts = attempts + 1, next_at = ?2, maybe_taken = ?3, error = ?4
                   WHERE seq = ?1 AND state = 'waiting' RETURNING sink";
        let inner = &mut *sync::lock(&self.inner);
        let failed = StoreError::of("noting an attempt");
        let noted = changed(&inner.connection, sql, params![seq, at.as_nanos(), maybe_taken, why])
            .and_then(|sink| sink.map_or(Ok(0), |sink| self.expire(inner, &sink, now)));
        noted.map_err(failed)
    }

    /// What waits for too long is dead, whether it was ever tried or not.
    fn expire(&self, inner: &mut Inner, sink: &str, now: Timestamp) -> rusqlite::Result<u64> {
        let sql =
            "UPDATE delivery SET state = 'dead', error = coalesce(error, 'it waited for longer than a delivery is tried')
                   WHERE sink = ?1 AND state = 'waiting' AND added < ?2";
        let oldest = now.minus(MAX_AGE).as_nanos();
        let expired = inner.connection.prepare_cached(sql)?.execute(params![sink, oldest])? as u64;
        inner.died(sink, expired);
        self.bury(inner, sink)?;
        Ok(expired)
    }

    /// The oldest of too many dead ones leave.
    fn bury(&self, inner: &mut Inner, sink: &str) -> rusqlite::Result<()> {
        let excess = inner.dead(sink)?.saturating_sub(self.max_waiting);
        if excess > 0 {
            let sql = "DELETE FROM delivery WHERE seq IN
                       (SELECT seq FROM delivery WHERE sink = ?1 AND state = 'dead' ORDER BY seq LIMIT ?2)";
            let gone = inner.connection.prepare_cached(sql)?.execute(params![sink, excess])? as u64;
            inner.buried(sink, gone);
        }
        Ok(())
    }

    /// The receiver will never take it. Returns whether it was still kept.
    pub fn refused(&self, seq: i64, why: &str) -> Result<bool, StoreError> {
        let sql = "UPDATE delivery SET attempts = attempts + 1, state = 'dead', error = ?2
                   WHERE seq = ?1 AND state = 'waiting' RETURNING sink";
        let inner = &mut *sync::lock(&self.inner);
        let noted = changed(&inner.connection, sql, params![seq, why]).and_then(|sink| {
            let Some(sink) = sink else { return Ok(false) };
            inner.died(&sink, 1);
            self.bury(inner, &sink).map(|()| true)
        });
        noted.map_err(StoreError::of("noting a refusal"))
    }

    /// What waits for a sink.
    pub fn waiting(&self, sink: &str) -> Result<Waiting, StoreError> {
        let sql = "SELECT min(added) FROM delivery WHERE sink = ?1 AND state = 'waiting'";
        let inner = &mut *sync::lock(&self.inner);
        let waiting = inner.waiting(sink).and_then(|count| {
            let oldest: Option<i64> = inner.connection.prepare_cached(sql)?.query_row([sink], |row| row.get(0))?;
            Ok(Waiting { count, oldest: oldest.map(Timestamp::from_nanos) })
        });
        waiting.map_err(StoreError::of("counting what waits"))
    }

    /// Which sinks something waits for, and how much.
    pub fn sinks(&self) -> Result<Vec<(String, u64)>, StoreError> {
        let sql = "SELECT sink, count(*) FROM delivery WHERE state = 'waiting' GROUP BY sink";
        let connection = &sync::lock(&self.inner).connection;
        let sinks = connection
            .prepare_cached(sql)
            .and_then(|mut query| query.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect());
        sinks.map_err(StoreError::of("counting what waits"))
    }

    /// Changes when another process has changed the outbox: somebody wants something tried again, or removed.
    pub fn version(&self) -> Result<i64, StoreError> {
        sync::lock(&self.inner).version().map_err(StoreError::of("looking for changes"))
    }

    /// What waits and what is dead, of one sink or of all.
    pub fn list(&self, sink: Option<&str>, limit: u64) -> Result<Vec<Listed>, StoreError> {
        let sql = "SELECT seq, sink, id, update_no, rule, state, added, attempts, error FROM delivery
                   WHERE ?1 IS NULL OR sink = ?1 ORDER BY sink, seq LIMIT ?2";
        let connection = &sync::lock(&self.inner).connection;
        let rows = connection
            .prepare_cached(sql)
            .and_then(|mut query| query.query_map(params![sink, limit], listed)?.collect());
        rows.map_err(StoreError::of("listing what waits"))
    }

    /// Everything that waits or is dead is tried again, now. Returns how many.
    pub fn retry(&self, sink: Option<&str>, seq: Option<i64>, now: Timestamp) -> Result<u64, StoreError> {
        let sql = "UPDATE delivery SET state = 'waiting', next_at = 0, added = iif(state = 'dead', ?3, added)
                   WHERE (?1 IS NULL OR sink = ?1) AND (?2 IS NULL OR seq = ?2)";
        let inner = &mut *sync::lock(&self.inner);
        inner.forget_counts();
        let changed = inner.connection.execute(sql, params![sink, seq, now.as_nanos()]);
        changed.map(|changed| changed as u64).map_err(StoreError::of("trying again"))
    }

    /// Removes what waits and what is dead. Returns how many.
    pub fn remove(&self, sink: Option<&str>, seq: Option<i64>) -> Result<u64, StoreError> {
        let sql = "DELETE FROM delivery WHERE (?1 IS NULL OR sink = ?1) AND (?2 IS NULL OR seq = ?2)";
        let inner = &mut *sync::lock(&self.inner);
        inner.forget_counts();
        let changed = inner.connection.execute(sql, params![sink, seq]);
        changed.map(|changed| changed as u64).map_err(StoreError::of("removing deliveries"))
    }
}

/// From now on they may have arrived.
fn mark(connection: &mut Connection, taken: &[Delivery]) -> rusqlite::Result<()> {
    if taken.iter().all(|one| one.maybe_taken) {
        return Ok(());
    }
    let transaction = connection.transaction()?;
    for one in taken.iter().filter(|one| !one.maybe_taken) {
        let sql = "UPDATE delivery SET maybe_taken = 1 WHERE seq = ?1";
        transaction.prepare_cached(sql)?.execute([one.seq])?;
    }
    transaction.commit()
}

/// The sink of the one delivery that a statement changed.
fn changed(connection: &Connection, sql: &str, values: impl Params) -> rusqlite::Result<Option<String>> {
    connection.prepare_cached(sql)?.query_map(values, |row| row.get(0))?.next().transpose()
}

fn delivery(row: &Row<'_>) -> rusqlite::Result<Delivery> {
    Ok(Delivery {
        seq: row.get(0)?,
        id: row.get(1)?,
        update: row.get(2)?,
        body: row.get(3)?,
        attempts: row.get(4)?,
        maybe_taken: row.get(5)?,
    })
}

fn listed(row: &Row<'_>) -> rusqlite::Result<Listed> {
    let state: String = row.get(5)?;
    Ok(Listed {
        seq: row.get(0)?,
        sink: row.get(1)?,
        id: row.get(2)?,
        update: row.get(3)?,
        rule: row.get(4)?,
        state: if state == "dead" { State::Dead } else { State::Waiting },
        added: Timestamp::from_nanos(row.get(6)?),
        attempts: row.get(7)?,
        error: row.get(8)?,
    })
}
