//! Why a hop cannot be proven by one kind of evidence, and how to fix that.

/// Why evidence cannot hold.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Blind {
    /// No running workload is the hop, and it has no address.
    NotRunning,
    /// Its sockets are not seen, and it has no address of its own.
    NoSockets,
    /// No MAC of it is known.
    NoMac,
    /// It is on no network of the workloads.
    NoSharedNetwork(String),
    /// None of its interfaces on the host is observed; their names, where they are known.
    NoPoint(Vec<String>),
    /// No observed interface has such a name.
    NoSuchPoint(Vec<String>),
    /// The kernel's connection tracking is not watched.
    NoTracking,
    /// It does not share a network namespace with any of the workloads.
    NotShared(String),
    /// What leaves it is not seen on each of its networks.
    NoSecondLeg(String),
}

impl Blind {
    /// The word used in JSON.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::NotRunning => "not_running",
            Self::NoSockets => "no_sockets",
            Self::NoMac => "no_mac",
            Self::NoSharedNetwork(_) => "no_shared_network",
            Self::NoPoint(_) | Self::NoSuchPoint(_) => "no_observation_point",
            Self::NoTracking => "no_connection_tracking",
            Self::NotShared(_) => "not_shared",
            Self::NoSecondLeg(_) => "no_second_leg",
        }
    }

    /// What is missing, in a sentence without its end.
    pub fn why(&self) -> String {
        match self {
            Self::NotRunning => "no running workload is this hop".to_owned(),
            Self::NoSockets => {
                "it has no address of its own, and the sockets that would identify it are not read".to_owned()
            }
            Self::NoMac => "no MAC of it is known".to_owned(),
            Self::NoSharedNetwork(name) => format!("{name} is on no network of the workloads"),
            Self::NoPoint(names) if names.is_empty() => "it has no interface on the host that is observed".to_owned(),
            Self::NoPoint(names) => format!("its interface {} is not observed", names.join(", ")),
            Self::NoSuchPoint(globs) => format!("no observed interface is called {}", globs.join(", ")),
            Self::NoTracking => "the kernel's connection tracking is not watched".to_owned(),
            Self::NotShared(name) => format!("{name} shares its network namespace with none of the workloads"),
            Self::NoSecondLeg(name) => format!("what {name} sends on is not seen on each of its networks"),
        }
    }

    /// What to do about it.
    pub fn fix(&self) -> String {
        match self {
            Self::NotRunning => {
                "start it, or correct the hop's workloads; give it addresses if it is elsewhere".to_owned()
            }
            Self::NoSockets => {
                "run as root, or with cap_net_admin, cap_sys_ptrace and cap_sys_admin, so that sockets are seen"
                    .to_owned()
            }
            Self::NoMac => {
                "name the hop by workload: runtimes report the MAC of a container on a bridge network".to_owned()
            }
            Self::NoSharedNetwork(_) => "connect it to their network, or prove it by transit instead".to_owned(),
            Self::NoPoint(names) if names.is_empty() => {
                "name its interfaces in the hop, or observe inside its namespace: --inside".to_owned()
            }
            Self::NoPoint(names) => {
                format!(
                    "capture it too: add {} to capture.interfaces, or -i",
                    names.first().map_or("it", String::as_str)
                )
            }
            Self::NoSuchPoint(globs) => {
                format!("capture it too: add {} to capture.interfaces, or -i", globs.join(", "))
            }
            Self::NoTracking => "run as root, or with cap_net_admin, on the host that translates".to_owned(),
            Self::NotShared(_) => {
                "a sidecar joins the workload's network: --network container:NAME, or one pod".to_owned()
            }
            Self::NoSecondLeg(_) => "capture the hop's other networks too: -i, or --inside".to_owned(),
        }
    }
}
