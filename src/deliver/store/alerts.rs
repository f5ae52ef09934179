//! Alerts and incidents that were kept, and what people decided about them.
//!
//! Contract: a decision is about what was known then. An alert that goes on after it was closed is open again; one that was acknowledged
//! is open again when its severity rises. Limits: [`MAX_KEPT`] lines, fewer in memory; beyond, the oldest of the lowest severity leave.

use rusqlite::{Connection, Row, params};

use super::{Store, StoreError};
use crate::sync;
use crate::time::Timestamp;

/// Lines of alerts that are kept: first ones and updates.
pub const MAX_KEPT: u64 = 100_000;

/// Where people are with an alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum AlertState {
    /// Nobody has decided about it, or it got worse since.
    Open,
    /// Somebody works on it.
    Acknowledged,
    /// Somebody is done with it.
    Closed,
}

impl AlertState {
    /// As it is written.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Acknowledged => "acknowledged",
            Self::Closed => "closed",
        }
    }
}

/// What a person decided about an alert.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Decision {
    /// What.
    pub state: AlertState,
    /// Who.
    pub by: String,
    /// Why.
    pub why: String,
    /// When.
    pub at: Timestamp,
}

/// A line of an alert that was kept: its first one or an update.
#[derive(Clone, Debug, PartialEq)]
pub struct Kept {
    /// Its number; later lines have higher ones.
    pub seq: i64,
    /// The alert's or incident's id.
    pub id: String,
    /// Its update.
    pub update: u32,
    /// Its rule; `incident` for an incident.
    pub rule: String,
    /// When it was last seen.
    pub at: Timestamp,
    /// Its severity, by number.
    pub severity: u8,
    /// It, as `hopwatch.alert/1` or `hopwatch.incident/1`.
    pub body: Vec<u8>,
    /// It, as a person sees it; none if an earlier version kept it.
    pub text: Option<String>,
    /// Where people are with it.
    pub state: AlertState,
    /// The last decision, also one that no longer counts.
    pub decision: Option<Decision>,
}

/// Which alerts are asked for.
#[derive(Clone, Debug, Default)]
pub struct Which<'a> {
    /// This alert.
    pub id: Option<&'a str>,
    /// The rule, exactly.
    pub rule: Option<&'a str>,
    /// This severity, by number, or a higher one.
    pub severity: u8,
    /// Seen at or after.
    pub since: Option<Timestamp>,
    /// With a higher number than this.
    pub after: i64,
}

/// The least important beyond the most that are kept leave.
pub(super) fn forget_excess(connection: &Connection, most: u64) -> rusqlite::Result<u64> {
    let kept: u64 = connection.query_row("SELECT count(*) FROM alert", [], |row| row.get(0))?;
    let excess = kept.saturating_sub(most);
    if excess > 0 {
        let sql = "DELETE FROM alert WHERE seq IN (SELECT seq FROM alert ORDER BY severity, seq LIMIT ?1)";
        connection.execute(sql, [excess])?;
    }
    connection
        .execute("DELETE FROM decision WHERE NOT EXISTS (SELECT 1 FROM alert WHERE alert.id = decision.id)", [])?;
    Ok(excess)
}

const LINES: &str = "
    SELECT a.seq, a.id, a.update_no, a.rule, a.at, a.severity, a.body, a.text, d.state, d.by_whom, d.why, d.at, d.update_no, d.severity
    FROM alert AS a LEFT JOIN decision AS d ON d.id = a.id
    WHERE (?1 IS NULL OR a.id = ?1) AND a.seq > ?2 AND a.severity >= ?3 AND (?4 IS NULL OR a.rule = ?4) AND a.at >= ?5";

impl Store {
    /// Every line, in order.
    pub fn lines(&self, which: &Which<'_>) -> Result<Vec<Kept>, StoreError> {
        self.ask(&format!("{LINES} ORDER BY a.seq"), which)
    }

    /// The last line of each alert, the latest first.
    pub fn alerts(&self, which: &Which<'_>) -> Result<Vec<Kept>, StoreError> {
        let last = "NOT EXISTS (SELECT 1 FROM alert AS b WHERE b.id = a.id AND b.update_no > a.update_no)";
        self.ask(&format!("{LINES} AND {last} ORDER BY a.seq DESC"), which)
    }

    fn ask(&self, sql: &str, which: &Which<'_>) -> Result<Vec<Kept>, StoreError> {
        let since = which.since.map_or(i64::MIN, Timestamp::as_nanos);
        let values = params![which.id, which.after, which.severity, which.rule, since];
        let connection = &sync::lock(&self.inner).connection;
        let rows = connection.prepare_cached(sql).and_then(|mut query| query.query_map(values, kept)?.collect());
        rows.map_err(StoreError::of("listing alerts"))
    }

    /// The ids that begin so.
    pub fn ids_like(&self, prefix: &str) -> Result<Vec<String>, StoreError> {
        let sql = "SELECT DISTINCT id FROM alert WHERE substr(id, 1, length(?1)) = ?1 ORDER BY id LIMIT 10";
        let connection = &sync::lock(&self.inner).connection;
        let ids =
            connection.prepare_cached(sql).and_then(|mut query| query.query_map([prefix], |row| row.get(0))?.collect());
        ids.map_err(StoreError::of("looking for an alert"))
    }

    /// Notes what a person decided about an alert as it is now.
    pub fn decide(&self, about: &Kept, decision: &Decision) -> Result<(), StoreError> {
        let sql = "INSERT OR REPLACE INTO decision (id, state, by_whom, why, at, update_no, severity)
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
        let Decision { state, by, why, at } = decision;
        let values = params![about.id, state.name(), by, why, at.as_nanos(), about.update, about.severity];
        let connection = &sync::lock(&self.inner).connection;
        connection.execute(sql, values).map(drop).map_err(StoreError::of("noting a decision"))
    }
}

fn kept(row: &Row<'_>) -> rusqlite::Result<Kept> {
    let (update, severity) = (row.get(2)?, row.get(5)?);
    let decision = decision(row)?;
    let state = match &decision {
        Some((decision, _, then)) if decision.state == AlertState::Acknowledged && severity > *then => AlertState::Open,
        Some((decision, then, _)) if decision.state == AlertState::Closed && update > *then => AlertState::Open,
        Some((decision, ..)) => decision.state,
        None => AlertState::Open,
    };
    Ok(Kept {
        seq: row.get(0)?,
        id: row.get(1)?,
        update,
        rule: row.get(3)?,
        at: Timestamp::from_nanos(row.get(4)?),
        severity,
        body: row.get(6)?,
        text: row.get(7)?,
        state,
        decision: decision.map(|(decision, ..)| decision),
    })
}

/// With the update and the severity that it was about.
fn decision(row: &Row<'_>) -> rusqlite::Result<Option<(Decision, u32, u8)>> {
    let Some(state) = row.get::<_, Option<String>>(8)? else { return Ok(None) };
    let state = match state.as_str() {
        "acknowledged" => AlertState::Acknowledged,
        "closed" => AlertState::Closed,
        _ => AlertState::Open,
    };
    let decision = Decision { state, by: row.get(9)?, why: row.get(10)?, at: Timestamp::from_nanos(row.get(11)?) };
    Ok(Some((decision, row.get(12)?, row.get(13)?)))
}
