//! Which judged flows are wanted.
//!
//! Contract: a flow is wanted if it fits each part that was given, and of a part with several values any of them. Names that people chose are globs.

use std::net::{IpAddr, SocketAddr};

use globset::GlobMatcher;
use ipnetwork::IpNetwork;

use super::FlowLine;
use crate::path::{JudgedFlow, RangeError, Verdict, checked_glob, parse_range};
use crate::time::Timestamp;

/// What became of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Kind {
    /// Every hop was passed.
    Verified,
    /// A hop was skipped.
    Bypassed,
    /// Some hops were passed, the rest not.
    Partial,
    /// It cannot be said; the reason stands beside it.
    Unobservable,
    /// No contract is about it.
    Uncovered,
    /// A hop sends on what its contract brought to it.
    #[value(alias = "sent_on")]
    SentOn,
}

impl Kind {
    /// Of a judged flow.
    pub const fn of(judged: &JudgedFlow) -> Self {
        match &judged.judgement {
            Some(judgement) => Self::of_verdict(judgement.verdict),
            None if judged.sent_on => Self::SentOn,
            None => Self::Uncovered,
        }
    }

    const fn of_verdict(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Verified => Self::Verified,
            Verdict::Bypassed => Self::Bypassed,
            Verdict::Partial => Self::Partial,
            Verdict::Unobservable(_) => Self::Unobservable,
        }
    }
}

/// Text that is no filter.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum BadFilter {
    /// A glob that is none.
    #[error("{text:?} is no pattern: {reason}; write a name, or a glob such as web-*")]
    Pattern {
        /// Its beginning.
        text: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A range that is none.
    #[error(transparent)]
    Range(#[from] RangeError),
    /// An address with a port.
    #[error("{0} has a port: give the address with --to, and the port with --port")]
    Port(SocketAddr),
}

/// An end that was asked: an address, a range, or a glob for its name.
#[derive(Clone, Debug)]
pub enum Target {
    /// Addresses.
    Range(IpNetwork),
    /// A name in DNS, or of a workload.
    Name(Box<GlobMatcher>),
}

impl Target {
    /// From what a person wrote.
    pub fn parse(text: &str) -> Result<Self, BadFilter> {
        if let Ok(end) = text.parse() {
            return Err(BadFilter::Port(end));
        }
        if text.contains('/') || text.parse::<IpAddr>().is_ok() {
            return Ok(Self::Range(parse_range(text)?));
        }
        Ok(Self::Name(Box::new(glob(&text.to_ascii_lowercase())?)))
    }

    fn is(&self, line: &FlowLine) -> bool {
        match self {
            Self::Range(range) => range.contains(line.flow.resp.endpoint.ip.to_canonical()),
            Self::Name(name) => {
                let workload = line.destination_workload.as_ref().map(|workload| workload.name.to_ascii_lowercase());
                line.name.as_deref().is_some_and(|known| name.is_match(known))
                    || workload.is_some_and(|workload| name.is_match(workload))
            }
        }
    }
}

/// What is wanted; nothing given: everything.
#[derive(Clone, Debug, Default)]
pub struct FlowFilter {
    /// Names or ids of workloads, at either end.
    pub workloads: Vec<GlobMatcher>,
    /// Verdicts.
    pub kinds: Vec<Kind>,
    /// Names of contracts.
    pub contracts: Vec<GlobMatcher>,
    /// Ends that were asked.
    pub to: Vec<Target>,
    /// Their ports.
    pub ports: Vec<u16>,
    /// Flows that began at this time or later.
    pub since: Option<Timestamp>,
}

impl FlowFilter {
    /// Of workloads, at either end, and of contracts with these names.
    pub fn new(workloads: &[String], contracts: &[String]) -> Result<Self, BadFilter> {
        let globs = |texts: &[String]| texts.iter().map(|text| glob(text)).collect::<Result<Vec<_>, _>>();
        Ok(Self { workloads: globs(workloads)?, contracts: globs(contracts)?, ..Self::default() })
    }

    /// Whether a judged flow may be wanted, by what costs nothing to know. A verdict that replaces one that is wanted is wanted, too.
    pub fn may_want(&self, judged: &JudgedFlow) -> bool {
        let before = judged.revised_from.map(Kind::of_verdict);
        let is_asked = |kind: Kind| self.kinds.contains(&kind);
        (self.kinds.is_empty() || is_asked(Kind::of(judged)) || before.is_some_and(is_asked))
            && (self.ports.is_empty() || self.ports.contains(&judged.oriented.tuple.resp.port))
            && self.since.is_none_or(|since| judged.oriented.at >= since)
    }

    /// Whether its line is wanted.
    pub fn wants(&self, line: &FlowLine) -> bool {
        let ends = || [&line.workload, &line.destination_workload].into_iter().flatten();
        let is_of = |glob: &GlobMatcher| ends().any(|end| glob.is_match(&end.name) || glob.is_match(&end.id));
        let by = |glob: &GlobMatcher| line.contract.as_deref().is_some_and(|contract| glob.is_match(contract));
        (self.workloads.is_empty() || self.workloads.iter().any(is_of))
            && (self.contracts.is_empty() || self.contracts.iter().any(by))
            && (self.to.is_empty() || self.to.iter().any(|target| target.is(line)))
    }
}

fn glob(text: &str) -> Result<GlobMatcher, BadFilter> {
    let glob = if text.is_empty() { Err("it is empty".to_owned()) } else { checked_glob(text) };
    glob.map(|glob| glob.compile_matcher())
        .map_err(|reason| BadFilter::Pattern { text: text.chars().take(40).collect(), reason })
}
