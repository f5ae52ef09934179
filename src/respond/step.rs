//! The steps of an action: the requests that do and undo each, and whether it is in effect.
//!
//! Contract: a step asks nothing; it says which requests it needs and reads from an inspect whether it is in effect, since the runtime's calls are not idempotent. Its
//! undo may have several forms: the first that the runtime takes counts. Limits: what a step saves stands in the audit log, 0600.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::container::Container;
use crate::time::Timestamp;

/// One thing that is done to a container.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "step", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Step {
    /// Its processes are frozen.
    Pause,
    /// It is taken off a network.
    Disconnect {
        /// The network's name.
        network: String,
        /// The network's id.
        network_id: String,
        /// How it was connected.
        endpoint: Value,
    },
}

/// A request to the runtime.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Call {
    /// `POST`, `DELETE`.
    pub method: &'static str,
    /// Path, without the version of the API.
    pub path: String,
    /// Body.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body: Option<Value>,
}

/// Whether a step is in effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// It is.
    There,
    /// It is not.
    Absent,
}

impl Call {
    fn post(path: String, body: Option<Value>) -> Self {
        Self { method: "POST", path, body }
    }
}

impl Step {
    /// What does it.
    pub fn calls(&self, id: &str) -> Vec<Call> {
        match self {
            Self::Pause => vec![Call::post(format!("/containers/{id}/pause"), None)],
            Self::Disconnect { network_id, .. } => {
                let body = json!({"Container": id, "Force": false});
                vec![Call::post(format!("/networks/{network_id}/disconnect"), Some(body))]
            }
        }
    }

    /// What undoes it: forms, the first that the runtime takes counts.
    pub fn undo(&self, id: &str) -> Vec<Call> {
        match self {
            Self::Pause => vec![Call::post(format!("/containers/{id}/unpause"), None)],
            Self::Disconnect { network_id, endpoint, .. } => {
                let connect = |endpoint: Value| {
                    let body = json!({"Container": id, "EndpointConfig": endpoint});
                    Call::post(format!("/networks/{network_id}/connect"), Some(body))
                };
                let without = |keys: &[&str]| {
                    let mut less = endpoint.clone();
                    if let Some(settings) = less.as_object_mut() {
                        settings.retain(|key, _| !keys.contains(&key.as_str()));
                    }
                    less
                };
                let forms = [endpoint.clone(), without(&["MacAddress"]), without(&["MacAddress", "IPAMConfig"])];
                let mut calls: Vec<_> = forms.into_iter().map(connect).collect();
                calls.dedup();
                calls
            }
        }
    }

    /// Whether it is in effect.
    pub fn effect(&self, container: &Container) -> Effect {
        let there = match self {
            Self::Pause => container.paused,
            Self::Disconnect { network_id, .. } => container.endpoint(network_id).is_none(),
        };
        if there { Effect::There } else { Effect::Absent }
    }

    /// Whether it ends with the run of the container in which it was done.
    pub const fn ends_with_the_run(&self) -> bool {
        matches!(self, Self::Pause)
    }

    /// Whether there is still something to undo in the container as it is now.
    pub fn can_be_undone(&self, container: &Container, started: Timestamp) -> bool {
        self.effect(container) == Effect::There && (!self.ends_with_the_run() || container.started == started)
    }

    /// In words, for a list.
    pub fn describe(&self) -> String {
        match self {
            Self::Pause => "paused".to_owned(),
            Self::Disconnect { network, .. } => format!("off the network {network}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::respond::container::tests::document;

    #[test]
    fn what_connects_again_gives_up_the_mac_first_and_the_address_last() {
        let container = Container::read(&document()).expect("a container");
        let front = container.endpoint("front").expect("an endpoint");
        let (network, network_id) = (front.network.clone(), front.network_id.clone());
        let step = Step::Disconnect { network, network_id, endpoint: front.settings.clone() };
        assert_eq!(step.effect(&container), Effect::Absent);
        let undo = step.undo(&container.id);
        let config = |call: &Call| call.body.as_ref().expect("a body")["EndpointConfig"].clone();
        assert_eq!(config(&undo[0]), front.settings);
        assert!(config(&undo[1]).get("MacAddress").is_none() && config(&undo[1]).get("IPAMConfig").is_some());
        assert_eq!(config(&undo[2]), json!({"Aliases": ["shop"], "DriverOpts": {"com.example.mtu": "1400"}}));
        assert_eq!(undo.len(), 3);
    }

    #[test]
    fn a_pause_is_over_with_the_run_of_the_container_and_a_disconnection_is_not() {
        let mut container = Container::read(&document()).expect("a container");
        let (before, back) = (container.started, container.endpoints.remove(0));
        container.paused = true;
        let off = Step::Disconnect { network: back.network, network_id: back.network_id, endpoint: back.settings };
        assert!(Step::Pause.can_be_undone(&container, before) && off.can_be_undone(&container, before));
        container.started = Timestamp::from_secs(1);
        assert!(!Step::Pause.can_be_undone(&container, before) && off.can_be_undone(&container, before));
    }
}
