//! A baseline as it is written: `hopwatch.baseline/1`.
//!
//! Contract: what [`BaselineDocument::from`] makes of a baseline, [`BaselineDocument::checked`] gives back equal. A key, a field or a form
//! that is not known is refused with the nearest right one. Limits: services of [`MAX_SERVICES`]. Design: made to be reviewed in git: one
//! entry a service in order, one line a field, groups as mappings; values in clear only where the inventory shows them.

mod field;
mod shape;
mod text;
mod traffic;
mod volume;

use std::collections::BTreeMap;

use serde::Deserialize as _;

pub use shape::BaselineDocument;
use shape::{ApprovalShape, LearnedShape, MatchShape, QuarantineShape, ServiceShape};

use super::model::{
    Approval, Baseline, Expectation, Held, Learned, MAX_SERVICES, QuarantineItem, ServiceBaseline, ServiceState,
};
use super::traffic::{MAX_ROWS, Row, Way};
use crate::inventory::configuration::{Field, ServiceKey, ServiceName};

/// The schema that a document names.
pub const BASELINE_SCHEMA: &str = "hopwatch.baseline/1";

/// Why a document is no baseline.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DocumentError {
    /// Made by a newer version.
    #[error("{0} was made by a newer hopwatch; this one reads {BASELINE_SCHEMA}")]
    Newer(String),
    /// Something else.
    #[error("{0:?} is no baseline; its schema is {BASELINE_SCHEMA}")]
    Other(String),
    /// A service that names nothing, or several managers.
    #[error("service {number}: a match names one of compose, pod, swarm, unit, name")]
    Match {
        /// Which, from 1.
        number: usize,
    },
    /// Two entries for one service.
    #[error("{0} has two entries; a service has one")]
    Twice(String),
    /// Traffic that stands twice, overlaps, or finds no room.
    #[error("{service}: `{row}` overlaps another entry of the same peer, or is one more than {MAX_ROWS}")]
    Traffic {
        /// Whose.
        service: String,
        /// Which.
        row: String,
    },
    /// Amounts that cannot be read.
    #[error("{service}: `volume`: {why}")]
    Volume {
        /// Whose.
        service: String,
        /// Why, and what to do.
        why: String,
    },
    /// A quarantined item that is about nothing, or about several things.
    #[error("quarantine {id}: it names a field and its value, or `reaches`, or `listens`")]
    Quarantine {
        /// Which.
        id: String,
    },
    /// More than are read.
    #[error("{0} services are more than {MAX_SERVICES}")]
    TooMany(usize),
}

impl BaselineDocument {
    /// Whether the schema is this version's.
    pub fn check_schema(schema: &str) -> Result<(), DocumentError> {
        if schema == BASELINE_SCHEMA {
            return Ok(());
        }
        let number = schema.strip_prefix("hopwatch.baseline/").and_then(|number| number.parse::<u32>().ok());
        Err(match number {
            Some(number) if number > 1 => DocumentError::Newer(schema.to_owned()),
            _ => DocumentError::Other(schema.to_owned()),
        })
    }

    /// The baseline that it describes.
    pub fn checked(self) -> Result<Baseline, DocumentError> {
        Self::check_schema(&self.schema)?;
        if self.services.len() > MAX_SERVICES {
            return Err(DocumentError::TooMany(self.services.len()));
        }
        let mut baseline = Baseline::new(self.serial, self.hash_key);
        for (number, shape) in (1..).zip(self.services) {
            let service = service(shape, number)?;
            if baseline.service(&service.key).is_some() {
                return Err(DocumentError::Twice(service.key.to_string()));
            }
            baseline.insert(service);
        }
        for (number, shape) in (1..).zip(self.quarantine) {
            baseline.quarantine.push(quarantined(shape, number)?);
        }
        Ok(baseline)
    }
}

impl Baseline {
    /// From a document as JSON, which is how a recording keeps one that was approved on the way.
    pub fn from_json(document: &serde_json::Value) -> Result<Self, String> {
        let document = BaselineDocument::deserialize(document).map_err(|error| error.to_string())?;
        document.checked().map_err(|error| error.to_string())
    }
}

impl From<&Baseline> for BaselineDocument {
    fn from(baseline: &Baseline) -> Self {
        Self {
            schema: BASELINE_SCHEMA.to_owned(),
            serial: baseline.serial,
            hash_key: baseline.hash_key.clone(),
            services: baseline.services().map(service_shape).collect(),
            quarantine: {
                // Amounts are accepted or not, and never wait there.
                let items = baseline.quarantine.iter().filter(|item| !matches!(item.what, Held::Volume(..)));
                items.map(quarantine_shape).collect()
            },
        }
    }
}

fn service(shape: ServiceShape, number: usize) -> Result<ServiceBaseline, DocumentError> {
    let key = shape.of.key().ok_or(DocumentError::Match { number })?;
    let field::Expect { fields, groups } = shape.expect;
    let traffic = shape.traffic.map(|traffic| traffic.checked(&key.to_string())).transpose()?;
    Ok(ServiceBaseline {
        state: if shape.shadow { ServiceState::Shadow } else { ServiceState::Enforced },
        learned: shape.learned.map(|LearnedShape { from, to, starts, replicas }| Learned {
            from,
            to,
            starts,
            replicas,
        }),
        expect: fields,
        groups,
        traffic,
        approved: shape.approved.map(|ApprovalShape { by, at, why, changes }| Approval { by, at, why, changes }),
        ..ServiceBaseline::new(key)
    })
}

fn quarantined(shape: QuarantineShape, number: usize) -> Result<QuarantineItem, DocumentError> {
    let QuarantineShape { of, id, field, value, reaches, listens, first, seen, reason } = shape;
    let service = of.key().ok_or(DocumentError::Match { number })?;
    let traffic = |row: traffic::RowShape, way| Held::Traffic(Box::new(row.row(way)));
    let what = match (field, value, reaches, listens) {
        (Some(field), Some(value), None, None) => Held::Setting(field.0, value.0),
        (None, None, Some(row), None) => traffic(row, Way::Reaches),
        (None, None, None, Some(row)) => traffic(row, Way::Listens),
        _ => return Err(DocumentError::Quarantine { id }),
    };
    Ok(QuarantineItem { id, service, what, first, seen, reason })
}

fn service_shape(service: &ServiceBaseline) -> ServiceShape {
    let learned = service.learned.clone();
    let approved = service.approved.clone();
    ServiceShape {
        of: MatchShape::from(&service.key),
        shadow: service.state == ServiceState::Shadow,
        learned: learned.map(|Learned { from, to, starts, replicas }| LearnedShape { from, to, starts, replicas }),
        expect: field::Expect { fields: service.expect.clone(), groups: service.groups.clone() },
        traffic: service.traffic.as_ref().map(traffic::TrafficShape::from),
        approved: approved.map(|Approval { by, at, why, changes }| ApprovalShape { by, at, why, changes }),
    }
}

fn quarantine_shape(item: &QuarantineItem) -> QuarantineShape {
    let (setting, row): (_, Option<&Row>) = match &item.what {
        Held::Setting(field, value) => (Some((field, value)), None),
        Held::Traffic(row) => (None, Some(row)),
        Held::Volume(..) => (None, None),
    };
    let of = |way: Way| row.filter(|row| row.way == way).map(traffic::RowShape::from);
    QuarantineShape {
        of: MatchShape::from(&item.service),
        id: item.id.clone(),
        field: setting.map(|(field, _)| field::FieldText(field.clone())),
        value: setting.map(|(_, value)| field::ValueShape(value.clone())),
        reaches: of(Way::Reaches),
        listens: of(Way::Listens),
        first: item.first,
        seen: item.seen,
        reason: item.reason.clone(),
    }
}

impl MatchShape {
    /// The service, where exactly one manager is named.
    fn key(&self) -> Option<ServiceKey> {
        let compose = self.compose.clone().map(|it| ServiceName::Compose { project: it.project, service: it.service });
        let pod = self.pod.clone().map(|it| ServiceName::Pod {
            namespace: it.namespace,
            controller: it.controller,
            container: it.container,
        });
        let swarm = self.swarm.clone().map(ServiceName::Swarm);
        let unit = self.unit.clone().map(ServiceName::Unit);
        let name = self.name.clone().map(ServiceName::Name);
        let mut all = [compose, pod, swarm, unit, name].into_iter().flatten();
        let first = all.next()?;
        all.next().is_none().then(|| ServiceKey::new(first, &self.image))
    }
}

impl From<&ServiceKey> for MatchShape {
    fn from(key: &ServiceKey) -> Self {
        let mut shape = Self { image: key.repository().to_owned(), ..Self::default() };
        match key.name().clone() {
            ServiceName::Compose { project, service } => shape.compose = Some(shape::ComposeShape { project, service }),
            ServiceName::Pod { namespace, controller, container } => {
                shape.pod = Some(shape::PodShape { namespace, controller, container });
            }
            ServiceName::Swarm(name) => shape.swarm = Some(name),
            ServiceName::Unit(name) => shape.unit = Some(name),
            ServiceName::Name(name) => shape.name = Some(name),
        }
        shape
    }
}

/// What a document holds of each field.
type Fields = BTreeMap<Field, Expectation>;

#[cfg(test)]
mod tests;
