//! An alert in the words of other systems: OCSF, ECS, Suricata EVE, Falco, CEF.
//!
//! Contract: pure and deterministic; the same alert gives the same bytes. Names of fields never hold text of a container; texts are
//! escaped as in `hopwatch.alert/1`. Limits: what a format has no place for stands in its free part (`unmapped`, `hopwatch.*`,
//! `metadata`, `output_fields`). Source: OCSF 1.8 Detection Finding (2004), ECS 9, Suricata's EVE documentation, falcosidekick's
//! payload, ArcSight's CEF.

mod cef;
mod ecs;
mod eve;
mod falco;
mod ocsf;
#[cfg(test)]
mod tests;

use std::io;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::alert::{Alert, FrameSender, SenderProcess, Technique};
use crate::escape::json::to_writer;

/// The format of what is delivered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Encoding {
    /// `hopwatch.alert/1`, JSON.
    #[default]
    Hopwatch,
    /// OCSF 1.8, Detection Finding.
    Ocsf,
    /// Elastic Common Schema 9.
    Ecs,
    /// Suricata's `alert` event.
    Eve,
    /// What Falco writes, and falcosidekick takes.
    Falco,
    /// ArcSight's Common Event Format, a line of text.
    Cef,
}

/// Who detected it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sensor {
    /// The host's name.
    pub host: String,
    /// hopwatch's version.
    pub version: &'static str,
}

/// One line without its end.
pub fn encode(alert: &Alert, encoding: Encoding, sensor: &Sensor) -> io::Result<Vec<u8>> {
    match encoding {
        Encoding::Hopwatch => line(&alert),
        Encoding::Ocsf => line(&ocsf::encode(alert, sensor)),
        Encoding::Ecs => line(&ecs::encode(alert, sensor)),
        Encoding::Eve => line(&eve::encode(alert, sensor)),
        Encoding::Falco => line(&falco::encode(alert, sensor)),
        Encoding::Cef => Ok(cef::encode(alert, sensor).into_bytes()),
    }
}

pub(super) fn line(value: &impl Serialize) -> io::Result<Vec<u8>> {
    let mut line = Vec::new();
    to_writer(&mut line, value)?;
    Ok(line)
}

/// A row for every id and naming: `19` and, where it differs, `18`.
fn namings(technique: &Technique) -> impl Iterator<Item = (&'static str, &'static str)> {
    let older = (technique.v18 != technique.v19).then_some(("18", technique.v18));
    [("19", technique.v19)].into_iter().chain(older)
}

/// What became of the alert with this line.
const fn action(alert: &Alert) -> &'static str {
    match (alert.ended, alert.update) {
        (true, _) => "closed",
        (false, 0) => "raised",
        (false, _) => "updated",
    }
}

/// What the formats have no place of their own for.
fn path_facts(alert: &Alert) -> Value {
    json!({
        "contract": alert.contract,
        "verdict": alert.verdict,
        "missing_hop": alert.missing_hop,
        "attribution": alert.attribution,
        "sender": alert.sender,
        "destinations_omitted": alert.destinations_omitted,
        "evidence": alert.evidence,
        "blind_spots": alert.blind_spots,
    })
}

/// Who sent the frames, where that is the end that asked: an answer may be what an alert is about.
fn asker(alert: &Alert) -> Option<&FrameSender> {
    alert.sender.as_deref().filter(|_| !alert.is_about_an_answer())
}

/// The process that sent them.
fn process(alert: &Alert) -> Option<&SenderProcess> {
    alert.sender.as_ref()?.process.as_ref()
}

/// What happened and how it is known, in one paragraph.
fn description(alert: &Alert) -> String {
    let texts = alert.evidence.iter().map(|evidence| evidence.text.as_str());
    std::iter::once(alert.title).chain(texts).collect::<Vec<_>>().join(". ")
}
