//! What `hopwatch verify` is asked, as a contract.

use std::sync::Arc;

use ipnetwork::IpNetwork;

use crate::engine::Scope;
use crate::path::{Contract, DestinationSet, Hop, PortSpec, Selector, Service, Stage};

/// The contract about what is not asked.
const EXCEPT: &str = "except";

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
    /// Destinations that are not asked about, each by its name: an address range, and perhaps a port.
    pub except: Vec<(String, (IpNetwork, Option<PortSpec>))>,
    /// Of 100 flows, or of 100 bytes, so many may be unobservable.
    pub max_unobservable: f64,
    /// Kinds of blindness that hide nothing, as the person who asks knows, each with the reason.
    pub accepted: Vec<(&'static str, String)>,
}

/// Kinds of blindness that `--accept` takes, and what each is. The report has one more, `filter`, which nobody can accept.
pub const BLINDNESS: [(&str, &str); 12] = [
    ("loss", "packets or events were lost"),
    ("point_down", "the only observation point of a workload was down"),
    ("runtime_silent", "a container runtime did not answer"),
    ("translations", "address translations were not reported"),
    ("network", "nothing watches a network of a workload"),
    ("hop", "nothing could prove the hop at the end"),
    ("not_decoded", "frames could not be decoded"),
    ("payload", "payload could not be read for names"),
    ("input", "a file was cut, not read, or read with a warning"),
    ("absent", "a workload that was asked about was not there"),
    ("renamed", "a workload was asked about under one of its names only"),
    ("daemon_resolver", "Docker's resolver may ask from the host"),
];

impl Question {
    /// The contracts: what is not asked about comes first, so that it takes those flows from the question.
    pub fn contracts(&self) -> Vec<Contract> {
        let except = self.except.iter().map(|(_, (range, port))| Contract {
            name: EXCEPT.to_owned(),
            remotes: vec![DestinationSet::Ranges(vec![*range])],
            ports: port.iter().copied().collect(),
            via: Vec::new(),
            ..self.contract()
        });
        except.chain([self.contract()]).collect()
    }

    /// What a log of verdicts is to keep.
    pub fn scope(&self) -> Scope {
        Scope { workloads: self.workloads.clone(), except: Some(EXCEPT) }
    }

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
