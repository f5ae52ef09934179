//! Which workloads watch others, or carry what others log.
//!
//! Contract: a workload is a monitor when the configuration selects it under `monitors`, when it is a hop, or when the program that it
//! was started with, or its image, has the name of a known agent. Limits: names are chosen by the one who starts a container: they make
//! a workload a monitor that is missed when it stops, and never one that is believed.

use std::fmt;
use std::sync::Arc;

use super::{Hop, HopKind, MissingHop, Selector};
use crate::input::Workload;
use crate::inventory::command_words::Vocabulary;
use crate::inventory::configuration::ServiceKey;

/// What the configuration says of monitors.
#[derive(Clone, Debug, Default)]
pub struct Monitors {
    /// Workloads that are monitors.
    pub workloads: Vec<Selector>,
    /// Names of agents, beside those that are known.
    pub programs: Arc<Vocabulary>,
    /// Hops of the configuration.
    pub hops: Vec<Arc<Hop>>,
}

/// Why a workload is a monitor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MonitorRole {
    /// The configuration selects it.
    Declared,
    /// It is the hop of this name and kind.
    Hop(String, HopKind),
    /// It runs this agent.
    Agent(String),
}

impl MonitorRole {
    /// The hop, as an alert names it.
    pub fn hop(&self) -> Option<MissingHop> {
        let Self::Hop(name, kind) = self else { return None };
        Some(MissingHop { alternatives: vec![name.clone()], kind: Some(*kind), expected: Vec::new() })
    }
}

impl fmt::Display for MonitorRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Declared => f.write_str("it is declared under monitors"),
            Self::Hop(name, _) => write!(f, "it is the hop {name}"),
            Self::Agent(program) => write!(f, "it runs the agent {program}"),
        }
    }
}

impl Monitors {
    /// Why a workload is a monitor; `None` when it is none.
    pub fn role(&self, workload: &Workload) -> Option<MonitorRole> {
        if Selector::any(&self.workloads, workload) {
            return Some(MonitorRole::Declared);
        }
        if let Some(hop) = self.hops.iter().find(|hop| hop.is_workload(workload)) {
            return Some(MonitorRole::Hop(hop.name.clone(), hop.kind));
        }
        let service = ServiceKey::of(workload);
        let command = workload.configuration.as_ref().and_then(|settings| settings.command.first());
        let names = command.map(String::as_str).into_iter().chain([service.repository()]);
        let mut names = names.map(|name| name.rsplit('/').next().unwrap_or_default());
        names.find(|name| self.programs.is_agent(name)).map(|name| MonitorRole::Agent(name.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::input::{RuntimeId, WorkloadId};

    #[test]
    fn an_agent_is_known_by_its_image_and_a_policy_names_others() {
        let workload = |image: &str| Workload {
            image: image.to_owned(),
            ..Workload::new(WorkloadId::new("1"), "logs", RuntimeId::DOCKER)
        };
        let known = Monitors::default();
        let agent = Some(MonitorRole::Agent("fluent-bit".into()));
        assert_eq!(known.role(&workload("registry.example/team/fluent-bit:3.1")), agent);
        assert_eq!(known.role(&workload("nginx:1")), None);
        let selector: Selector = serde_json::from_str(r#"{"name":"logs"}"#).expect("a selector");
        let declared = Monitors { workloads: vec![selector], ..Monitors::default() };
        assert_eq!(declared.role(&workload("nginx:1")), Some(MonitorRole::Declared));
        let named = Monitors { programs: Arc::new(Vocabulary::new(["nginx".to_owned()])), ..Monitors::default() };
        assert_eq!(named.role(&workload("nginx:1")), Some(MonitorRole::Agent("nginx".into())));
    }
}
