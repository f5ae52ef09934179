//! TEMPORARY until the real configuration is merged.
#![allow(missing_docs, clippy::all, clippy::pedantic)]
use crate::engine::{EngineConfig, Timings};
use crate::flow::MeterLimits;
use crate::inventory::TimelineLimits;
use crate::path::*;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

#[derive(Debug, Clone)]
pub struct CaptureConfig {
    pub interfaces: Vec<String>,
    pub snap_length: u32,
    pub ring_bytes: u32,
}
#[derive(Debug, Clone)]
pub struct DockerConfig {
    pub host: String,
    pub reconcile_interval: Duration,
}
#[derive(Debug, Clone)]
pub struct Config {
    pub capture: CaptureConfig,
    pub docker: DockerConfig,
    pub listen: SocketAddr,
    pub meter: MeterLimits,
    pub engine: EngineConfig,
}
#[derive(Debug)]
pub struct Loaded {
    pub config: Config,
}
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct ConfigError(String);
impl ConfigError {
    pub fn print(&self) {
        eprintln!("{}", self.0)
    }
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct File {
    contracts: Vec<C>,
    hops: BTreeMap<String, H>,
    destinations: BTreeMap<String, Vec<ipnetwork::IpNetwork>>,
    rules: crate::detect::rules::RuleParams,
    capture: Cap,
}
#[derive(Deserialize, Default)]
#[serde(default)]
struct Cap {
    interfaces: Option<Vec<String>>,
}
#[derive(Deserialize)]
struct C {
    name: String,
    #[serde(default)]
    service: Service,
    from: Vec<Selector>,
    #[serde(default)]
    to: Vec<String>,
    via: Vec<String>,
}
#[derive(Deserialize, Default)]
#[serde(default)]
struct H {
    workloads: Vec<Selector>,
    addresses: Vec<ipnetwork::IpNetwork>,
    ports: Vec<serde_json::Value>,
}
fn port(v: &serde_json::Value) -> PortSpec {
    let s = v.to_string().replace('"', "");
    let (p, pr) = s.split_once('/').map_or((s.as_str(), None), |(a, b)| (a, Some(b)));
    PortSpec {
        port: p.parse().unwrap(),
        protocol: pr.map(|x| if x == "udp" { crate::input::Protocol::UDP } else { crate::input::Protocol::TCP }),
    }
}

pub fn parse_duration(t: &str) -> Result<Duration, String> {
    let n: u64 = t.trim_end_matches(char::is_alphabetic).parse().map_err(|_| "write it like 30s".to_owned())?;
    Ok(if t.ends_with("ms") {
        Duration::from_millis(n)
    } else if t.ends_with('m') {
        Duration::from_secs(n * 60)
    } else {
        Duration::from_secs(n)
    })
}
pub fn load(p: Option<&Path>) -> Result<Loaded, ConfigError> {
    let f: File = match p {
        None => File::default(),
        Some(p) => serde_saphyr::from_str(&std::fs::read_to_string(p).map_err(|e| ConfigError(e.to_string()))?)
            .map_err(|e| ConfigError(e.to_string()))?,
    };
    let contracts = f
        .contracts
        .into_iter()
        .map(|c| {
            let h = &f.hops[&c.via[0]];
            Contract {
                ports: if c.service == Service::Dns {
                    [53, 853].map(|p| PortSpec { port: p, protocol: None }).into()
                } else {
                    vec![]
                },
                to: if c.to.is_empty() {
                    vec![if c.service == Service::Dns { DestinationSet::Any } else { DestinationSet::Internet }]
                } else {
                    c.to.iter()
                        .map(|t| match t.as_str() {
                            "internet" => DestinationSet::Internet,
                            "any" => DestinationSet::Any,
                            n => DestinationSet::Ranges(
                                f.destinations.get(n).cloned().unwrap_or_else(|| vec![n.parse().unwrap()]),
                            ),
                        })
                        .collect()
                },
                via: Arc::new(Hop {
                    name: c.via[0].clone(),
                    workloads: h.workloads.clone(),
                    addresses: h.addresses.clone(),
                    ports: h.ports.iter().map(port).collect(),
                }),
                name: c.name,
                service: c.service,
                from: c.from,
                evidence: vec![EvidenceKind::Peer],
            }
        })
        .collect();
    let s = Duration::from_secs;
    Ok(Loaded {
        config: Config {
            capture: CaptureConfig {
                interfaces: f.capture.interfaces.unwrap_or_else(|| vec!["docker0".into(), "br-*".into()]),
                snap_length: 256,
                ring_bytes: 16 << 20,
            },
            docker: DockerConfig {
                host: std::env::var("DOCKER_HOST").unwrap_or_else(|_| crate::inventory::docker::DEFAULT_HOST.into()),
                reconcile_interval: s(30),
            },
            listen: "127.0.0.1:9921".parse().unwrap(),
            meter: MeterLimits {
                max_flows: 262144,
                idle_timeout: s(60),
                active_timeout: s(1800),
                update_interval: s(10),
            },
            engine: EngineConfig {
                contracts,
                exceptions: vec![],
                rules: f.rules,
                timings: Timings {
                    attribution_grace: Duration::from_millis(600),
                    answer_grace: Duration::from_millis(400),
                    update_interval: s(60),
                    close_after: s(600),
                },
                timeline: TimelineLimits { workloads: 20000, remember: s(600) },
                max_flows: 262144,
                max_alerts: 10000,
                max_destinations: 20,
            },
        },
    })
}
