//! The plan: exactly what would be done to the container of an alert, or why not.
//!
//! Contract: a function of its arguments, without clock or I/O, so that the same alert, container and configuration give the same text. What `--apply` does is what the plan
//! says. Limits: it speaks of the moment of the inspect; each step is looked at again when it is done.

use std::time::Duration;

use serde::{Serialize, Serializer};

use super::action::Action;
use super::container::{Container, EndpointState, short};
use super::history::{Response, Target};
use super::protection::{self, Policy, Refusal};
use super::step::{Call, Effect, Step};
use super::subject::Subject;
use crate::time::duration_text;

/// Name and version of the shape.
pub const PLAN_SCHEMA: &str = "hopwatch.response-plan/1";

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// What.
    pub action: Action,
    /// Of which network, where it matters.
    pub network: Option<String>,
    /// Set doubts aside.
    pub force: bool,
    /// When it is undone; zero: by a person.
    pub undo_after: Duration,
}

/// What is there.
#[derive(Clone, Debug, Default)]
pub struct Situation {
    /// The runtime's socket.
    pub host: String,
    /// Version of its API, as it stands in paths: `v1.41`.
    pub api: String,
    /// The container; none when it is gone.
    pub container: Option<Container>,
    /// Digest of its image.
    pub digest: String,
    /// The container that has its name now.
    pub replaced_by: Option<String>,
    /// Names of containers that share its network namespace.
    pub joined_by: Vec<String>,
    /// Ids of containers that hopwatch runs in.
    pub own: Vec<String>,
    /// Folder of hopwatch's state.
    pub state_dir: Option<String>,
    /// Responses that stand.
    pub standing: Vec<Response>,
    /// Responses that were made within the period of the limit.
    pub recent: usize,
}

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
    /// When it is undone.
    #[serde(serialize_with = "as_text")]
    pub undo_after: Duration,
    /// Why it is not done; empty: it can be.
    pub refused: Vec<Refusal>,
}

/// A step and its requests.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PlannedStep {
    /// What is saved for its undo.
    #[serde(flatten)]
    pub step: Step,
    /// What does it.
    pub calls: Vec<Call>,
    /// What undoes it: forms, the first that the runtime takes counts.
    pub undo: Vec<Call>,
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
        undo_after: request.undo_after,
        refused: Vec::new(),
    };
    let Some(container) = &situation.container else {
        plan.refused.push(Refusal::always(gone(subject, situation)));
        return plan;
    };
    let workload = container.workload(subject.accused.runtime, &situation.digest);
    plan.target = Some(Target::of(container, subject.accused.runtime, &situation.host));
    let same = |response: &&Response| {
        response.intent.target.id == container.id
            && response.intent.action == request.action
            && covers(response, request)
    };
    plan.standing = situation.standing.iter().find(same).map(|response| response.number);
    plan.refused.extend(protection::of_alert(subject, container));
    plan.refused.extend(protection::of_container(container, &workload, situation, policy));
    plan.refused.extend(protection::of_policy(situation, policy));
    plan.refused.retain(|refusal| !(refusal.force_lifts && request.force));
    plan.dangers.extend(dangers(situation));
    if plan.standing.is_none() {
        add_steps(&mut plan, subject, request, container);
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
        Step::Pause => true,
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

fn add_steps(plan: &mut Plan, subject: &Subject, request: &Request, container: &Container) {
    let steps = match request.action {
        Action::Pause => pause(container),
        Action::Disconnect => disconnect(subject, request, container),
    };
    match steps {
        Err(why) => plan.refused.push(Refusal::always(why)),
        Ok(steps) => {
            for step in steps {
                if step.effect(container) == Effect::There {
                    plan.already
                        .push(format!("it is {} already, by somebody else; that is not undone", step.describe()));
                    continue;
                }
                let (calls, undo) = (step.calls(&container.id), step.undo(&container.id));
                plan.steps.push(PlannedStep { step, calls, undo });
            }
        }
    }
}

fn pause(container: &Container) -> Result<Vec<Step>, String> {
    if container.running { Ok(vec![Step::Pause]) } else { Err("it does not run".to_owned()) }
}

fn disconnect(subject: &Subject, request: &Request, container: &Container) -> Result<Vec<Step>, String> {
    let endpoint = network_of(subject, request.network.as_deref(), container)?;
    Ok(vec![Step::Disconnect {
        network: endpoint.network.clone(),
        network_id: endpoint.network_id.clone(),
        endpoint: endpoint.settings.clone(),
    }])
}

/// The network that is meant: the one that was named, that the flow went over, or the only one.
fn network_of<'a>(
    subject: &Subject,
    asked: Option<&str>,
    container: &'a Container,
) -> Result<&'a EndpointState, String> {
    match container.network_mode.as_str() {
        "host" => return Err("it uses the host's network, which it cannot be taken off".to_owned()),
        "none" => return Err("it has no network".to_owned()),
        mode if mode.starts_with("container:") => {
            return Err(format!("it uses the network of another container ({mode}): that one must be taken off"));
        }
        _ => {}
    }
    let names = || container.endpoints.iter().map(|endpoint| endpoint.network.as_str()).collect::<Vec<_>>().join(", ");
    let found = match (asked, subject.ends) {
        (Some(asked), _) => {
            let found = container.endpoint(asked);
            let found = found.ok_or_else(|| format!("it is not on the network {asked:?}; it is on: {}", names()))?;
            return check_id(found);
        }
        (None, Some(ends)) => container.endpoints.iter().find(|endpoint| {
            endpoint.addresses.iter().any(|own| ends.iter().any(|end| end.to_canonical() == own.to_canonical()))
        }),
        (None, None) => None,
    };
    match (found, container.endpoints.as_slice()) {
        (Some(endpoint), _) | (None, [endpoint]) => check_id(endpoint),
        (None, []) => Err("it is on no network".to_owned()),
        (None, _) => Err(format!("it is on several networks; say which with --network: {}", names())),
    }
}

/// The network's id becomes a part of a request.
fn check_id(endpoint: &EndpointState) -> Result<&EndpointState, String> {
    let is_id = endpoint.network_id.len() == 64 && endpoint.network_id.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_id { Ok(endpoint) } else { Err(format!("the id of its network {:?} is not known", endpoint.network)) }
}

#[cfg(test)]
mod tests;
