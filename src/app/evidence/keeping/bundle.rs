//! Writes one bundle: a recording that `hopwatch replay` reads, with the alert and a manifest.
//!
//! Contract: the recorder writes `traffic.pcapng`, `facts.jsonl` and `hopwatch.yaml` as it does for `hopwatch record`; `alert.json` and `baseline.yaml` stand beside
//! them, and `manifest.json` is written last. Every file is fsynced. Limits: packets beyond the budget of a bundle are left out, the latest first, and the manifest says so.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::Path;

use super::replay_check::{ReplaySetup, check};
use super::store::{Store, bytes_of};
use crate::alert::Alert;
use crate::alert::render::json;
use crate::app::evidence::folder::MANIFEST;
use crate::app::recorder::{RecordError, Recorder};
use crate::app::state_dir::write_private;
use crate::evidence::{
    BUNDLE_SCHEMA, Blanker, BundleFile, Copied, KeptPacket, Known, Manifest, PayloadPolicy, PointCopy, ReplayCheck,
    Window, sha256,
};
use crate::input::{ObservationPoint, RecordedFact};
use crate::time::Timestamp;

/// Everything that goes into a bundle.
#[derive(Debug)]
pub(super) struct Contents<'a> {
    pub(super) alert: &'a Alert,
    pub(super) copies: Vec<Copied>,
    pub(super) facts: Vec<Known>,
    /// What is missing, in words.
    pub(super) incomplete: Vec<String>,
    /// When the rings were asked the last time.
    pub(super) to: Timestamp,
    /// Bytes of packets, at most.
    pub(super) most: u64,
    pub(super) payload: PayloadPolicy,
    pub(super) host: &'a str,
    /// No time is left to replay it.
    pub(super) in_haste: bool,
}

/// A bundle that is written and not in its place yet.
#[derive(Debug)]
pub(super) struct Written {
    pub(super) manifest: Vec<u8>,
    pub(super) bytes: u64,
    pub(super) is_incomplete: bool,
}

/// Writes a bundle as a draft.
pub(super) fn write(store: &Store, mut contents: Contents<'_>, setup: &ReplaySetup) -> Result<Written, RecordError> {
    let folder = store.draft(&contents.alert.id);
    let in_folder = |source: io::Error| RecordError::Create { path: folder.clone(), source };
    if folder.exists() {
        fs::remove_dir_all(&folder).map_err(in_folder)?;
    }
    let comment = format!("evidence of the hopwatch alert {} ({})", contents.alert.id, contents.alert.rule);
    let headers_only = contents.payload == PayloadPolicy::None;
    let recorder = Recorder::create_commented(&folder, headers_only, Some(setup.config_text()), Some(&comment))?;
    let points = record_packets(&recorder, &mut contents).map_err(in_folder)?;
    record_facts(&recorder, &contents);
    if let Some(baseline) = setup.baseline() {
        recorder.beside(crate::config::KEPT_BASELINE, baseline)?;
    }
    let mut alert = Vec::new();
    json::write(&mut alert, contents.alert).map_err(in_folder)?;
    recorder.beside("alert.json", &String::from_utf8_lossy(&alert))?;
    recorder.finish()?;
    let replay = if contents.in_haste {
        ReplayCheck { same_id: false, why: Some("not tried: hopwatch ended".to_owned()) }
    } else {
        check(&folder, contents.alert, setup)
    };
    let manifest = manifest(store, &contents, points, replay, files(&folder).map_err(in_folder)?);
    let text = serde_json::to_vec_pretty(&manifest).map_err(|error| in_folder(error.into()))?;
    write_private(&folder.join(MANIFEST), &text).map_err(in_folder)?;
    File::open(&folder).and_then(|folder| folder.sync_all()).map_err(in_folder)?;
    Ok(Written { bytes: bytes_of(&manifest), is_incomplete: !manifest.incomplete.is_empty(), manifest: text })
}

/// All packets in order of time; what each point gave.
fn record_packets(recorder: &Recorder, contents: &mut Contents<'_>) -> io::Result<Vec<PointCopy>> {
    let mut points: BTreeMap<ObservationPoint, PointCopy> = BTreeMap::new();
    let mut packets = Vec::new();
    for copied in &mut contents.copies {
        let point = &copied.point;
        let entry = points.entry(point.clone());
        let known = entry.or_insert_with(|| PointCopy { point: point.clone(), packets: 0, ring_from: copied.from });
        known.ring_from = [known.ring_from, copied.from].into_iter().flatten().min();
        if copied.truncated {
            contents.incomplete.push(format!("{point}: more packets were selected than a bundle holds"));
        }
        let interface =
            if copied.packets.is_empty() { None } else { Some(recorder.interface(point, copied.link, 0)?) };
        let link = copied.link;
        packets.extend(
            std::mem::take(&mut copied.packets)
                .into_iter()
                .filter_map(|packet| Some((interface?, link, point.clone(), packet))),
        );
    }
    packets.sort_by(|one, other| (one.3.at, &one.2, one.3.sequence).cmp(&(other.3.at, &other.2, other.3.sequence)));
    let mut left = contents.most;
    let mut left_out = 0_u64;
    let mut blanker = Blanker::default();
    for (interface, link, point, KeptPacket { at, wire_len, first, mut data, .. }) in packets {
        let Some(rest) = left.checked_sub(data.len() as u64) else {
            left_out += 1;
            continue;
        };
        left = rest;
        if contents.payload == PayloadPolicy::Head {
            blanker.apply(link, wire_len, &mut data, first);
        }
        recorder.packet(interface, at, wire_len, &data);
        if let Some(known) = points.get_mut(&point) {
            known.packets += 1;
        }
    }
    if left_out > 0 {
        contents.incomplete.push(format!("{left_out} packets found no room in the bundle"));
    }
    Ok(points.into_values().collect())
}

fn record_facts(recorder: &Recorder, contents: &Contents<'_>) {
    for (at, fact) in &contents.facts {
        recorder.fact(*at, fact);
    }
    let last = contents.facts.last().map_or(contents.to, |(at, _)| (*at).max(contents.to));
    recorder.fact(last, &RecordedFact::Ended { point: None });
}

/// Every file that was written so far, fsynced.
fn files(folder: &Path) -> io::Result<Vec<BundleFile>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        File::open(&path)?.sync_all()?;
        let bytes = fs::read(&path)?;
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        files.push(BundleFile { path: name, bytes: bytes.len() as u64, sha256: sha256(&bytes) });
    }
    files.sort_by(|one, other| one.path.cmp(&other.path));
    Ok(files)
}

fn manifest(
    store: &Store,
    contents: &Contents<'_>,
    points: Vec<PointCopy>,
    replay: ReplayCheck,
    files: Vec<BundleFile>,
) -> Manifest {
    let from = points.iter().filter_map(|point| point.ring_from).min();
    Manifest {
        schema: BUNDLE_SCHEMA.to_owned(),
        alert: contents.alert.id.clone(),
        rule: contents.alert.rule.to_owned(),
        severity: contents.alert.severity.as_str().to_owned(),
        seq: store.next_seq(),
        previous: store.head(),
        made: contents.to,
        host: contents.host.to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        window: Window {
            from: from.unwrap_or(contents.alert.first_seen).min(contents.alert.first_seen),
            to: contents.to,
        },
        payload: contents.payload,
        points,
        incomplete: contents.incomplete.clone(),
        replay,
        files,
    }
}
