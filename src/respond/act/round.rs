//! What `hopwatch respond run` does each second: settle what a crash cut short, undo what is due.
//!
//! Contract: while another process holds the log nothing is cut short, and nothing is done. A runtime that does not answer leaves its responses as they are, for the next round. Limits: deadlines are
//! those of the wall clock, as they were written; a clock that is set moves them. Design: the log is read again only after it changed or when something is due, so that a quiet second costs one `stat`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::audit_log::{AuditError, AuditLog};
use super::responder::{RespondError, Responder};
use super::runtime_client::{CallError, RuntimeClient};
use super::situation::find_runtime;
use crate::clock::now;
use crate::inventory::discover::Sought;
use crate::respond::{Response, ResponseState, Responses};
use crate::time::Timestamp;

/// After a round in which something could not be done, and between two looks at blocks.
const RETRY: Duration = Duration::from_secs(5);
/// Who undoes, in the log.
const TIMER: &str = "hopwatch respond run";

/// What was done in a round, or could not be, in words.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Round {
    /// Done.
    pub done: Vec<String>,
    /// Not done; tried again.
    pub failed: Vec<String>,
}

/// Carries out what is due.
#[derive(Debug)]
pub struct Timekeeper {
    state_dir: PathBuf,
    sought: Sought,
    seen: Option<(u64, SystemTime)>,
    next: Option<Timestamp>,
}

impl Timekeeper {
    /// For the log of a state directory.
    pub fn new(state_dir: &Path, sought: Sought) -> Self {
        Self { state_dir: state_dir.to_owned(), sought, seen: None, next: None }
    }

    /// One round.
    pub fn round(&mut self) -> Result<Round, AuditError> {
        let path = AuditLog::path_in(&self.state_dir);
        let state = std::fs::metadata(&path).ok().and_then(|file| Some((file.len(), file.modified().ok()?)));
        let Some(state) = state else { return Ok(Round::default()) };
        let is_due = self.next.is_some_and(|next| next <= now());
        if self.seen == Some(state) && !is_due {
            return Ok(Round::default());
        }
        let Some(log) = AuditLog::try_open(&self.state_dir)? else { return Ok(Round::default()) };
        let mut responder = Responder::new(log);
        let round = self.work(&mut responder);
        let file = std::fs::metadata(&path).ok();
        self.seen = file.and_then(|file| Some((file.len(), file.modified().ok()?)));
        self.next = next(responder.log().responses(), !round.failed.is_empty());
        Ok(round)
    }

    fn work(&self, responder: &mut Responder) -> Round {
        let mut round = Round::default();
        let mut clients: BTreeMap<String, Option<RuntimeClient>> = BTreeMap::new();
        let at = now();
        let waiting = |response: &&Response| response.is_cut_short() || response.is_due(at);
        let waiting: Vec<_> = responder.log().responses().all().filter(waiting).cloned().collect();
        let tended = |response: &Response| response.state == ResponseState::Active && response.intent.has_block();
        let more: Vec<_> = responder.log().responses().all().filter(|response| tended(response)).cloned().collect();
        for response in waiting.into_iter().chain(more) {
            let host = response.intent.target.host.clone();
            if !clients.contains_key(&host) {
                let client = self.client(&response).map_err(|error| round.failed.push(error.to_string())).ok();
                clients.insert(host.clone(), client);
            }
            let Some(Some(client)) = clients.get(&host) else { continue };
            let number = response.number;
            let name =
                format!("response {number} ({} of {})", response.intent.action.as_str(), response.intent.target.name);
            match carry_out(responder, client, &response) {
                Ok(detail) if detail.is_empty() => {}
                Ok(detail) => round.done.push(format!("{name}: {detail}")),
                Err(error) => round.failed.push(format!("{name}: {error}")),
            }
        }
        round
    }

    fn client(&self, response: &Response) -> Result<RuntimeClient, CallError> {
        let target = &response.intent.target;
        let user = find_runtime(&self.sought, target.runtime).ok().and_then(|runtime| runtime.user);
        RuntimeClient::open(&target.host, user)
    }
}

fn carry_out(responder: &mut Responder, client: &RuntimeClient, response: &Response) -> Result<String, RespondError> {
    let mut said = Vec::new();
    if response.is_cut_short() {
        said.push(responder.settle(client, response.number)?);
    }
    let now = now();
    if responder.log().responses().all().any(|other| other.number == response.number && other.is_due(now)) {
        said.push(responder.undo(client, response.number, TIMER, "its time is over")?);
    }
    said.extend(responder.tend(client, response.number)?);
    Ok(said.join("; "))
}

/// When there is something to do again.
fn next(responses: &Responses, failed: bool) -> Option<Timestamp> {
    let due = responses.standing().filter_map(Response::due).min();
    let tend = responses.standing().any(|response| response.intent.has_block());
    let soon = (failed || tend).then(|| now().plus(RETRY));
    if failed { soon } else { due.into_iter().chain(soon).min() }
}
