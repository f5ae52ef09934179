//! The plan: exactly what would be done to the container of an alert, or why not.
//!
//! Contract: a function of its arguments, without clock or I/O, so that the same alert, container and configuration give the same text. What `--apply` does is what the plan
//! says. Limits: it speaks of the moment of the inspect; each step is looked at again when it is done.

use std::time::Duration;

use serde::{Serialize, Serializer};

use super::action::Action;
use super::addresses;
use super::container::{Container, EndpointState, short};
use super::history::{Response, Target};
use super::network::{check_id, has_networks, network_of};
use super::protection::{self, Policy, Refusal};
use super::situation::{Request, Situation};
use super::step::{Effect, PlannedStep, QUARANTINE, Seen, Step};
use super::subject::Subject;
use crate::time::duration_text;

/// The API of Docker 28: gateways that do not answer.
const ISOLATED_SINCE: u32 = 48;
/// Name and version of the shape.
pub const PLAN_SCHEMA: &str = "hopwatch.response-plan/1";

/// What would be done.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Plan {
    /// [`PLAN_SCHEMA`].
    pub schema: &'static str,
    /// The alert.
    pub alert: String,
    /// Its rule.
    pub rule: String,
    /// What.
    pub action: Action,
    /// To which container; none when it is gone.
    pub target: Option<Target>,
    /// The version of the API that stands before each path.
    pub api: String,
    /// What it really does.
    pub does: &'static str,
    /// What can go wrong.
    pub dangers: Vec<String>,
    /// Its steps, in order.
    pub steps: Vec<PlannedStep>,
    /// What is so already.
    pub already: Vec<String>,
    /// The response that does this already.
    pub standing: Option<u64>,
    /// The network that was named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network: Option<String>,
    /// Whether doubts are set aside.
    pub force: bool,
    /// When it is undone.
    #[serde(serialize_with = "as_text")]
    pub undo_after: Duration,
    /// Why it is not done; empty: it can be.
    pub refused: Vec<Refusal>,
}

/// Whether an action fits an alert.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Fit {
    /// The action.
    pub action: Action,
    /// What it does.
    pub does: &'static str,
    /// Why it does not fit or is refused; none: it can be done.
    pub refused: Option<String>,
    /// Whether it is the one to begin with.
    pub recommended: bool,
}

fn as_text<S: Serializer>(value: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&duration_text(*value))
}

/// What would be done, or why not.
pub fn plan(subject: &Subject, request: &Request, situation: &Situation, policy: &Policy) -> Plan {
    let mut plan = Plan {
        schema: PLAN_SCHEMA,
        alert: subject.alert.clone(),
        rule: subject.rule.clone(),
        action: request.action,
        target: None,
        api: situation.api.clone(),
        does: request.action.does(),
        dangers: request.action.dangers().iter().map(|danger| (*danger).to_owned()).collect(),
        steps: Vec::new(),
        already: Vec::new(),
        standing: None,
        network: request.network.clone(),
        force: request.force,
        undo_after: request.undo_after,
        refused: Vec::new(),
    };
    let id = &subject.accused.id;
    let same = |response: &&Response| {
        response.intent.target.id == *id && response.intent.action == request.action && covers(response, request)
    };
    plan.standing = situation.standing.iter().find(same).map(|response| response.number);
    let Some(container) = &situation.container else {
        if plan.standing.is_some() {
            return plan;
        }
        plan.refused.push(Refusal::always(gone(subject, situation)));
        return plan;
    };
    let workload = container.workload(subject.accused.runtime, &situation.digest);
    plan.target = Some(Target::of(container, subject.accused.runtime, &situation.host));
    plan.refused.extend(protection::of_alert(subject, container));
    plan.refused.extend(protection::of_container(container, &workload, situation, policy));
    plan.refused.extend(protection::of_policy(situation, policy));
    plan.refused.retain(|refusal| !(refusal.force_lifts && request.force));
    plan.dangers.extend(dangers(situation));
    if plan.standing.is_none() {
        add_steps(&mut plan, subject, request, container, situation);
        if request.action == Action::Block {
            plan.refused.extend(addresses::refusals(&plan.steps, container, situation, policy));
        }
    }
    plan
}

/// Which actions fit, and which is the one to begin with.
pub fn fits(subject: &Subject, request: &Request, situation: &Situation, policy: &Policy) -> Vec<Fit> {
    let fit = |action: Action| {
        let plan = plan(subject, &Request { action, ..request.clone() }, situation, policy);
        let refused = plan.refused.first().map(|refusal| refusal.why.clone());
        Fit { action, does: action.does(), refused, recommended: false }
    };
    let mut fits: Vec<_> = Action::ALL.into_iter().map(fit).collect();
    // The least that stops it comes first.
    if let Some(first) = fits.iter_mut().find(|fit| fit.refused.is_none()) {
        first.recommended = true;
    }
    fits
}

/// Whether a response that stands is about what is asked for.
fn covers(response: &Response, request: &Request) -> bool {
    let of = |step: &Step| match step {
        Step::Pause | Step::Quarantine { .. } | Step::Block { .. } | Step::Stop { .. } => true,
        Step::Snapshot { .. } => false,
        Step::Disconnect { network, network_id, .. } => {
            request.network.as_ref().is_none_or(|asked| asked == network || asked == network_id)
        }
    };
    response.intent.steps.iter().any(of)
}

fn gone(subject: &Subject, situation: &Situation) -> String {
    let id = short(&subject.accused.id);
    let name = &subject.accused.name;
    match &situation.replaced_by {
        Some(other) => format!(
            "the container {id} is gone; {name:?} is another one now ({}), which may have nothing to do with it",
            short(other)
        ),
        None => format!("the container {id} ({name:?}) is gone"),
    }
}

fn dangers(situation: &Situation) -> Option<String> {
    let joined = &situation.joined_by;
    (!joined.is_empty()).then(|| format!("these containers use its network and are hit as well: {}", joined.join(", ")))
}

fn add_steps(plan: &mut Plan, subject: &Subject, request: &Request, container: &Container, situation: &Situation) {
    let seen = Seen { blocked: situation.blocked.clone(), ..Seen::of(container) };
    let steps = match request.action {
        Action::Block => addresses::block(subject, request, container, situation),
        Action::Quarantine => quarantine(container, situation),
        Action::Stop => stop(subject, container),
        Action::Pause => pause(container),
        Action::Disconnect => disconnect(subject, request, container),
    };
    match steps {
        Err(why) => plan.refused.push(Refusal::always(why)),
        Ok(steps) => {
            for step in steps {
                if step.effect(&seen) == Effect::There {
                    plan.already
                        .push(format!("it is {} already, by somebody else; that is not undone", step.describe()));
                    continue;
                }
                let (orders, undo) = (step.orders(&container.id), step.undo(&container.id));
                plan.steps.push(PlannedStep { step, orders, undo });
            }
        }
    }
}

fn pause(container: &Container) -> Result<Vec<Step>, String> {
    if container.running { Ok(vec![Step::Pause]) } else { Err("it does not run".to_owned()) }
}

fn disconnect(subject: &Subject, request: &Request, container: &Container) -> Result<Vec<Step>, String> {
    let endpoint = network_of(subject, request.network.as_deref(), container)?;
    Ok(vec![off(endpoint)])
}

/// Off every network first, so that it is never on both kinds at once.
fn quarantine(container: &Container, situation: &Situation) -> Result<Vec<Step>, String> {
    has_networks(container)?;
    let own = situation.networks.values().find(|network| network.name == QUARANTINE);
    if own.is_some_and(|network| !network.is_quarantine) {
        return Err(format!("there is a network {QUARANTINE} that hopwatch did not make, or that leads outside"));
    }
    let away = container.endpoints.iter().filter(|endpoint| endpoint.network != QUARANTINE);
    let mut steps = away.map(|endpoint| check_id(endpoint).map(off)).collect::<Result<Vec<_>, _>>()?;
    let minor = situation.api.rsplit_once('.').and_then(|(_, minor)| minor.parse::<u32>().ok());
    steps
        .push(Step::Quarantine { create: own.is_none(), isolated: minor.is_some_and(|minor| minor >= ISOLATED_SINCE) });
    Ok(steps)
}

fn stop(subject: &Subject, container: &Container) -> Result<Vec<Step>, String> {
    if !container.running {
        return Err("it does not run".to_owned());
    }
    // One of each run: it may go on after an undo.
    let run = container.started.as_nanos() / 1_000_000_000;
    let name = format!("{}-{}-{run}", subject.alert, container.short());
    Ok(vec![Step::Snapshot { name }, Step::Stop { removes: container.auto_remove }])
}

fn off(endpoint: &EndpointState) -> Step {
    Step::Disconnect {
        network: endpoint.network.clone(),
        network_id: endpoint.network_id.clone(),
        endpoint: endpoint.settings.clone(),
    }
}

#[cfg(test)]
mod tests;
