//! Does what a plan says, undoes it, and puts in order what a crash left.
//!
//! Contract: intent on the disk, then the requests, then the outcome. Each step looks first, so that doing twice and undoing twice change nothing; a step that fails undoes those before it. An undo that
//! finds its container gone, or its run over, says so and does nothing. Limits: one response at a time; the log's lock is held meanwhile.

use super::audit_log::{AuditError, AuditLog};
use super::look::look;
use super::orders::{carry_out, restore_blocks, reverse};
use super::runtime_client::{CallError, RuntimeClient};
use crate::clock::now;
use crate::respond::{Effect, Event, Intent, Plan, Response, ResponseState, Seen};

/// Why a response did not come about.
#[derive(Debug, thiserror::Error)]
pub enum RespondError {
    /// The log.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// The runtime cannot be asked.
    #[error(transparent)]
    Call(#[from] CallError),
    /// What is there cannot be seen.
    #[error("{0}")]
    Unknown(String),
    /// The plan refuses.
    #[error("refused: {}", .0.join("; "))]
    Refused(Vec<String>),
    /// It was tried and nothing of it is in effect.
    #[error("not done: {0}")]
    NotDone(String),
    /// It was tried, and something may be in effect.
    #[error("response {number} could not be undone: {why}; `hopwatch respond run` tries again each minute")]
    NotUndone {
        /// Which.
        number: u64,
        /// Why.
        why: String,
    },
}

/// Who asked, and with what consequences.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Who.
    pub by: String,
    /// Whether doubts were set aside.
    pub forced: bool,
}

/// Holds the log and acts.
#[derive(Debug)]
pub struct Responder {
    log: AuditLog,
}

impl Responder {
    /// With a log that this process holds.
    pub const fn new(log: AuditLog) -> Self {
        Self { log }
    }

    /// The log.
    pub const fn log(&self) -> &AuditLog {
        &self.log
    }

    /// Does what a plan says; the number of the response, or of the one that does it already. `None`: it is so, by somebody else.
    pub fn apply(&mut self, client: &RuntimeClient, plan: &Plan, asked: &Asked) -> Result<Option<u64>, RespondError> {
        let refused: Vec<_> = plan.refused.iter().map(|refusal| refusal.why.clone()).collect();
        if !refused.is_empty() {
            let container = plan.target.as_ref().map(|target| target.id.clone()).unwrap_or_default();
            let (alert, by, why) = (plan.alert.clone(), asked.by.clone(), refused.clone());
            self.log.append(Event::Refused { alert, action: plan.action, container, by, why })?;
            return Err(RespondError::Refused(refused));
        }
        if plan.standing.is_some() || plan.steps.is_empty() {
            return Ok(plan.standing);
        }
        let Some(target) = plan.target.clone() else { return Ok(None) };
        self.log.check()?;
        let intent = Intent {
            alert: plan.alert.clone(),
            action: plan.action,
            target,
            steps: plan.steps.iter().map(|planned| planned.step.clone()).collect(),
            until: (!plan.undo_after.is_zero()).then(|| now().plus(plan.undo_after)),
            by: asked.by.clone(),
            forced: asked.forced,
        };
        let response = self.log.responses().next_number();
        self.log.append(Event::Intent { response, intent: Box::new(intent.clone()) })?;
        match carry_out(client, &intent, &self.log.snapshots()) {
            Ok(detail) => {
                self.log.append(Event::Done { response, detail })?;
                Ok(Some(response))
            }
            Err(why) => {
                self.take_back(client, response, &intent, &why)?;
                Err(RespondError::NotDone(why))
            }
        }
    }

    /// After a step failed, or its process died: nothing of it stays.
    fn take_back(
        &mut self,
        client: &RuntimeClient,
        response: u64,
        intent: &Intent,
        why: &str,
    ) -> Result<(), RespondError> {
        let seen = self.look(client, intent)?;
        if !intent.steps.iter().any(|step| step.can_be_undone(&seen, intent.target.started)) {
            return Ok(self.log.append(Event::Failed { response, detail: why.to_owned() })?);
        }
        self.undo(client, response, "hopwatch", why).map(drop)
    }

    fn look(&self, client: &RuntimeClient, intent: &Intent) -> Result<Seen, RespondError> {
        look(client, &intent.target.id, &intent.steps, &self.log.snapshots()).map_err(RespondError::Unknown)
    }

    /// Undoes a response; what was found and done, in words.
    pub fn undo(&mut self, client: &RuntimeClient, number: u64, by: &str, why: &str) -> Result<String, RespondError> {
        let Some(response) = self.response(number) else {
            return Err(RespondError::NotDone(format!("there is no response {number}")));
        };
        if !response.state.is_standing() {
            return Ok(format!("nothing of it is in effect: {}", response.detail));
        }
        // A runtime that does not answer leaves no trace in the log: it is asked again.
        self.look(client, &response.intent)?;
        self.log.append(Event::UndoIntent { response: number, by: by.to_owned(), why: why.to_owned() })?;
        match reverse(client, &response.intent, &self.log.snapshots()) {
            Ok(detail) => {
                self.log.append(Event::Undone { response: number, detail: detail.clone() })?;
                Ok(detail)
            }
            Err(why) => {
                self.log.append(Event::UndoFailed { response: number, detail: why.clone() })?;
                Err(RespondError::NotUndone { number, why })
            }
        }
    }

    /// Finishes or undoes what a process left that died in the middle; in words.
    pub fn settle(&mut self, client: &RuntimeClient, number: u64) -> Result<String, RespondError> {
        let cut_short = self.response(number).filter(Response::is_cut_short);
        let Some(Response { intent, state, detail, .. }) = cut_short else { return Ok(String::new()) };
        if state == ResponseState::Undoing {
            return self.undo(client, number, "hopwatch", &format!("its undo was cut short ({detail})"));
        }
        let seen = self.look(client, &intent)?;
        let same_run = seen.container.as_ref().is_none_or(|container| container.started == intent.target.started);
        if same_run && intent.steps.iter().all(|step| step.effect(&seen) == Effect::There) {
            let detail = "found in effect after its process died".to_owned();
            self.log.append(Event::Done { response: number, detail: detail.clone() })?;
            return Ok(detail);
        }
        let why = "its process died before all of it was done, so nothing of it stays";
        self.take_back(client, number, &intent, why)?;
        Ok(why.to_owned())
    }

    /// Looks after a block that stands: ends it when its container is gone or has another address, and puts it back where somebody removed it. In words.
    pub fn tend(&mut self, client: &RuntimeClient, number: u64) -> Result<Option<String>, RespondError> {
        let active = |response: &Response| response.state == ResponseState::Active && response.intent.has_block();
        let Some(response) = self.response(number).filter(active) else { return Ok(None) };
        let seen = self.look(client, &response.intent)?;
        if !response.intent.still_has_its_addresses(&seen) {
            let why = "the container does not have the address any more, and another may get it";
            return self.undo(client, number, "hopwatch respond run", why).map(Some);
        }
        let left = response.intent.until.map(|until| until.since(now()).as_secs()).filter(|left| *left > 0);
        let is_there = response.intent.steps.iter().all(|step| step.effect(&seen) == Effect::There);
        let Some(left) = left.filter(|_| !is_there) else { return Ok(None) };
        restore_blocks(&response.intent, left).map_err(RespondError::Unknown)?;
        let detail = format!("put back for {left} s: somebody removed it from nftables");
        self.log.append(Event::Done { response: number, detail: detail.clone() })?;
        Ok(Some(detail))
    }

    fn response(&self, number: u64) -> Option<Response> {
        self.log.responses().all().find(|response| response.number == number).cloned()
    }
}
