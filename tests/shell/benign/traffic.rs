//! A capture as the engine gets it, and an inventory in which everybody in it is a container.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hopwatch::config;
use hopwatch::flow::Meter;
use hopwatch::input::*;
use hopwatch::observe::CaptureReader;
use hopwatch::path::is_internet;
use hopwatch::time::Timestamp;

/// What a capture shows.
pub struct Traffic {
    /// Flow events and claims, in the order in which a replay pushes them.
    pub inputs: Vec<Input>,
    pub flows: u64,
}

impl Traffic {
    /// `None` where the file is no capture.
    pub fn read(path: &Path) -> Option<Self> {
        let mut reader = CaptureReader::open(path).ok()?;
        let (mut meters, mut inputs) = (BTreeMap::new(), Vec::new());
        while let Ok(Some(packet)) = reader.next_packet() {
            let (point, link) = (&packet.origin.point, packet.origin.link);
            let new = || Meter::new(point.clone(), link, config::default_meter());
            let meter = meters.entry((point.clone(), link)).or_insert_with(new);
            meter.packet(packet.at, packet.wire_len, packet.data, &mut inputs);
        }
        for meter in meters.values_mut() {
            meter.drain(&mut inputs);
        }
        let flows = meters.values().map(|meter| meter.stats().flows).sum();
        Some(Self { inputs, flows })
    }

    fn records(&self) -> impl Iterator<Item = &FlowRecord> {
        self.inputs.iter().filter_map(|input| match &input.fact {
            Fact::Flow(event) => Some(&event.record),
            _ => None,
        })
    }

    /// Who only asks and who only answers, by the first packet of each flow.
    pub fn roles(&self) -> (Vec<String>, Vec<String>) {
        let asks: BTreeSet<IpAddr> = self.records().map(|record| record.tuple.orig.ip).collect();
        let answers: BTreeSet<IpAddr> = self.records().map(|record| record.tuple.resp.ip).collect();
        (quoted(asks.difference(&answers)), quoted(answers.difference(&asks)))
    }

    /// Every local address is a running container's, on a network of its own range, known since before the first packet.
    pub fn everybody_a_workload(&self) -> Vec<Input> {
        let Some(first) = self.inputs.iter().map(|input| input.at).min() else { return Vec::new() };
        let at = Timestamp::from_nanos(first.as_nanos().saturating_sub(1_000_000_000));
        let local = self.records().flat_map(|record| [record.tuple.orig.ip, record.tuple.resp.ip]);
        let local: BTreeSet<IpAddr> = local.filter(|ip| is_a_containers(*ip)).collect();
        let mut facts = vec![InventoryEvent::Connected { runtime: hopwatch::input::RuntimeId::DOCKER }];
        facts.push(InventoryEvent::Network(Arc::new(RuntimeNetwork {
            id: "n".into(),
            name: "net".into(),
            driver: "bridge".into(),
            subnets: local.iter().map(|ip| (*ip).into()).collect(),
            gateways: vec![],
            bridge: Some("br-net".into()),
            parent: None,
        })));
        facts.extend(local.iter().map(|ip| InventoryEvent::Workload(Arc::new(workload(*ip, at)))));
        let running = local.iter().map(|ip| id(*ip)).collect();
        facts.push(InventoryEvent::Reconciled { runtime: hopwatch::input::RuntimeId::DOCKER, running });
        facts.into_iter().map(|event| Input::new(at, Fact::Recorded(RecordedFact::Inventory(event)))).collect()
    }
}

fn is_a_containers(ip: IpAddr) -> bool {
    let special = ip.is_multicast() || ip.is_unspecified() || ip.is_loopback();
    let broadcast = ip == IpAddr::from([255, 255, 255, 255]);
    !special && !broadcast && !is_internet(ip)
}

fn id(ip: IpAddr) -> WorkloadId {
    let bits = match ip {
        IpAddr::V4(ip) => u128::from(u32::from(ip)),
        IpAddr::V6(ip) => u128::from(ip),
    };
    WorkloadId::new(&format!("{bits:064x}"))
}

fn workload(ip: IpAddr, since: Timestamp) -> Workload {
    Workload {
        image: "app:1".into(),
        image_digest: "sha256:aa".into(),
        attachments: vec![Attachment { network: "net".into(), addresses: vec![ip], ..Attachment::default() }],
        pid: Some(1),
        since: Some(since),
        ..Workload::new(id(ip), &format!("w-{ip}"), hopwatch::input::RuntimeId::DOCKER)
    }
}

/// As YAML; an address that nobody has where there is none.
fn quoted<'a>(ips: impl Iterator<Item = &'a IpAddr>) -> Vec<String> {
    let ips: Vec<_> = ips.map(|ip| format!("\"{ip}\"")).collect();
    if ips.is_empty() { vec!["240.0.0.1".to_owned()] } else { ips }
}

/// Every file below a folder.
pub fn files_below(folder: &Path, found: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for path in entries.flatten().map(|entry| entry.path()) {
        if path.is_dir() {
            files_below(&path, found);
        } else {
            found.push(path);
        }
    }
}
