//! What `hopwatch verify` is asked, as a contract.

use std::sync::Arc;

use crate::path::{Contract, DestinationSet, Hop, PortSpec, Selector, Service, Stage};

/// What is asked.
#[derive(Clone, Debug)]
pub struct Question {
    /// Whose traffic.
    pub workloads: Vec<Selector>,
    /// The same, as it was written.
    pub asked: Vec<String>,
    /// What it must pass.
    pub hop: Arc<Hop>,
    /// To where, each by its name.
    pub to: Vec<(String, DestinationSet)>,
    /// To which ports; empty: any.
    pub ports: Vec<PortSpec>,
    /// Of 100 flows, so many may be unobservable.
    pub max_unobservable: f64,
}

impl Question {
    /// As a contract.
    pub fn contract(&self) -> Contract {
        Contract {
            name: "verify".to_owned(),
            service: Service::Egress,
            workloads: self.workloads.clone(),
            remotes: self.to.iter().map(|(_, set)| set.clone()).collect(),
            ports: self.ports.clone(),
            family: None,
            networks: Vec::new(),
            via: vec![Stage { any_of: vec![Arc::clone(&self.hop)] }],
        }
    }
}
