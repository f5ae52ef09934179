//! Does what a plan says, undoes it, and puts in order what a crash left.
//!
//! Contract: intent on the disk, then the requests, then the outcome. Each step looks first, so that doing twice and undoing twice change nothing; a step that fails undoes those before it. An undo that
//! finds its container gone, or its run over, says so and does nothing. Limits: one response at a time; the log's lock is held meanwhile.

use super::audit_log::{AuditError, AuditLog};
use super::runtime_client::{CallError, RuntimeClient};
use super::situation::inspect;
use crate::clock::now;
use crate::respond::{Container, Effect, EndpointState, Event, Intent, Plan, Response, ResponseState, Step, Target};

/// Why a response did not come about.
#[derive(Debug, thiserror::Error)]
pub enum RespondError {
    /// The log.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// The runtime cannot be asked.
    #[error(transparent)]
    Call(#[from] CallError),
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
        match carry_out(client, &intent) {
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
        let container = inspect(client, &intent.target.id)?;
        let is_there = |container: &Container| {
            intent.steps.iter().any(|step| step.can_be_undone(container, intent.target.started))
        };
        if !container.as_ref().is_some_and(is_there) {
            return Ok(self.log.append(Event::Failed { response, detail: why.to_owned() })?);
        }
        self.undo(client, response, "hopwatch", why).map(drop)
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
        inspect(client, &response.intent.target.id)?;
        self.log.append(Event::UndoIntent { response: number, by: by.to_owned(), why: why.to_owned() })?;
        match reverse(client, &response.intent) {
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
        let container = inspect(client, &intent.target.id)?;
        let is_whole = |container: &Container| {
            let same = container.started == intent.target.started;
            same && intent.steps.iter().all(|step| step.effect(container) == Effect::There)
        };
        if container.as_ref().is_some_and(is_whole) {
            let detail = "found in effect after its process died".to_owned();
            self.log.append(Event::Done { response: number, detail: detail.clone() })?;
            return Ok(detail);
        }
        let why = "its process died before all of it was done, so nothing of it stays";
        self.take_back(client, number, &intent, why)?;
        Ok(why.to_owned())
    }

    fn response(&self, number: u64) -> Option<Response> {
        self.log.responses().all().find(|response| response.number == number).cloned()
    }
}

/// Each step in turn.
fn carry_out(client: &RuntimeClient, intent: &Intent) -> Result<String, String> {
    let mut done = Vec::new();
    for step in &intent.steps {
        let container = still_there(client, &intent.target)?;
        if step.effect(&container) == Effect::Absent {
            do_step(client, step, &intent.target)?;
        }
        done.push(step.describe());
    }
    Ok(done.join(", "))
}

fn still_there(client: &RuntimeClient, target: &Target) -> Result<Container, String> {
    let container = inspect(client, &target.id).map_err(|error| error.to_string())?;
    let container = container.ok_or("the container is gone")?;
    if container.started == target.started { Ok(container) } else { Err("the container was started anew".to_owned()) }
}

fn do_step(client: &RuntimeClient, step: &Step, target: &Target) -> Result<(), String> {
    let sent = step.calls(&target.id).iter().try_for_each(|call| client.send(call).map(drop));
    // What counts is what is so: an error may come after the deed, as a success may not mean it.
    let container = still_there(client, target)?;
    match (step.effect(&container), sent) {
        (Effect::There, _) => Ok(()),
        (Effect::Absent, Err(error)) => Err(error.to_string()),
        (Effect::Absent, Ok(())) => {
            Err(format!("the runtime took the request, but the container is not {}", step.describe()))
        }
    }
}

/// Each step's undo, the last first.
fn reverse(client: &RuntimeClient, intent: &Intent) -> Result<String, String> {
    let mut said = Vec::new();
    for step in intent.steps.iter().rev() {
        let Some(container) = inspect(client, &intent.target.id).map_err(|error| error.to_string())? else {
            return Ok("the container is gone, and the response with it".to_owned());
        };
        if step.can_be_undone(&container, intent.target.started) {
            said.push(undo_step(client, step, &intent.target)?);
        } else if container.started != intent.target.started && step.ends_with_the_run() {
            said.push("the container was started anew since, which ended it".to_owned());
        } else {
            said.push(format!("it is not {} any more", step.describe()));
        }
    }
    Ok(said.join("; "))
}

fn undo_step(client: &RuntimeClient, step: &Step, target: &Target) -> Result<String, String> {
    let mut last = String::new();
    for call in step.undo(&target.id) {
        let sent = client.send(&call);
        let container = inspect(client, &target.id).map_err(|error| error.to_string())?;
        let Some(container) = container else { return Ok("the container is gone".to_owned()) };
        if step.effect(&container) == Effect::Absent {
            return Ok(differences(step, &container));
        }
        last = sent
            .err()
            .map_or_else(|| "the runtime took the request, but nothing changed".to_owned(), |error| error.to_string());
    }
    Err(last)
}

/// What is not as it was before.
fn differences(step: &Step, container: &Container) -> String {
    let Step::Disconnect { network, network_id, endpoint } = step else {
        return format!("it is no longer {}", step.describe());
    };
    let Some(EndpointState { settings, .. }) = container.endpoint(network_id) else { return String::new() };
    let parts = ["IPAMConfig", "Aliases", "Links", "DriverOpts", "GwPriority", "MacAddress"];
    let differs = parts.iter().filter(|part| settings.get(**part) != endpoint.get(**part));
    let differs: Vec<_> =
        differs.map(|part| format!("{part} was {}, is {}", endpoint[*part], settings[*part])).collect();
    if differs.is_empty() {
        format!("it is on the network {network} again, as before")
    } else {
        format!("it is on the network {network} again, but: {}", differs.join("; "))
    }
}
