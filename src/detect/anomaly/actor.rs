//! Who acts.
//!
//! Contract: cheap to copy and to compare; services are ordered as they appeared, so the order of actors is that of the inputs.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::net::IpAddr;
use std::sync::Arc;

use crate::input::Workload;
use crate::inventory::configuration::ServiceKey;

/// A service, as far as traffic is concerned.
#[derive(Debug)]
pub struct ServiceActor {
    pub(super) number: u32,
    pub(super) key: ServiceKey,
    pub(super) workload: Arc<Workload>,
}

/// Who acts.
#[derive(Clone, Debug)]
pub enum Actor {
    /// All workloads of a service.
    Service(Arc<ServiceActor>),
    /// A plain address that no runtime explains.
    Address(IpAddr),
}

impl Actor {
    /// The first workload of the service that was seen; `None` of a plain address.
    pub fn workload(&self) -> Option<&Arc<Workload>> {
        match self {
            Self::Service(service) => Some(&service.workload),
            Self::Address(_) => None,
        }
    }

    /// The service.
    pub fn service(&self) -> Option<&ServiceKey> {
        match self {
            Self::Service(service) => Some(&service.key),
            Self::Address(_) => None,
        }
    }

    /// The plain address.
    pub const fn address(&self) -> Option<IpAddr> {
        match self {
            Self::Address(ip) => Some(*ip),
            Self::Service(_) => None,
        }
    }

    fn rank(&self) -> (Option<IpAddr>, u32) {
        match self {
            Self::Service(service) => (None, service.number),
            Self::Address(ip) => (Some(*ip), 0),
        }
    }
}

impl PartialEq for Actor {
    fn eq(&self, other: &Self) -> bool {
        self.rank() == other.rank()
    }
}

impl Eq for Actor {}

impl PartialOrd for Actor {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Actor {
    fn cmp(&self, other: &Self) -> Ordering {
        self.rank().cmp(&other.rank())
    }
}

impl Hash for Actor {
    #[inline]
    fn hash<H: Hasher>(&self, state: &mut H) {
        match self {
            Self::Service(service) => state.write_u32(service.number),
            Self::Address(ip) => ip.hash(state),
        }
    }
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Service(service) => service.key.name().fmt(f),
            Self::Address(ip) => ip.fmt(f),
        }
    }
}
