//! The amounts of a service in the document.
//!
//! Contract: figures are for people, sketches beside them decide; figures that are not their sketch's are refused, so that nobody believes an edit
//! that does nothing. What a person may write is `accepted`. Limits: a sketch of [`MAX_SKETCH`] bytes, [`MAX_HOURS`] hours.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::text::{Text, is_zero};
use crate::baseline::volume::{
    Figure, MAX_HOURS, MAX_SKETCH, Quantiles, SketchError, VolumeBaseline, Week, Within, Zone,
};

/// Bytes of an hour are fewer than this.
const HOUR_BYTES: usize = 32;

/// How much one container of a service has in an hour, in each direction.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Volume")]
pub(super) struct VolumeShape {
    /// By which clock the hours of the week go: `UTC`, or a rule like `CET-1CEST,M3.5.0,M10.5.0/3`.
    pub(super) time_zone: Text<Zone>,
    /// The most containers of the service at once.
    pub(super) containers: u64,
    /// Hours that were seen and not learned.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(super) left_out: u64,
    /// Payload that it sends.
    pub(super) bytes_out: FigureShape,
    /// Payload that it receives.
    pub(super) bytes_in: FigureShape,
    /// Packets that it sends.
    pub(super) packets_out: FigureShape,
    /// Packets that it receives.
    pub(super) packets_in: FigureShape,
    /// Contacts that it makes.
    pub(super) flows_out: FigureShape,
    /// Contacts that others make with it.
    pub(super) flows_in: FigureShape,
    /// The latest values of each hour of the week, in base64.
    pub(super) hours: String,
}

/// One figure over all hours.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Figure")]
pub(super) struct FigureShape {
    /// Half of the hours have no more.
    pub(super) median: u64,
    /// 99 of 100 hours have no more.
    pub(super) p99: u64,
    /// The most of an hour.
    pub(super) most: u64,
    /// From and to: what a person accepts beside what was learned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) accepted: Option<[u64; 2]>,
    /// All hours, as a t-digest of Apache DataSketches in base64.
    pub(super) sketch: String,
}

impl From<&VolumeBaseline> for VolumeShape {
    fn from(volume: &VolumeBaseline) -> Self {
        let figure = |figure: Figure| {
            let Quantiles { median, p99, most, .. } = *volume.quantiles(figure);
            FigureShape {
                median,
                p99,
                most,
                accepted: volume.accepted(figure).map(|within| [within.from, within.to]),
                sketch: STANDARD.encode(volume.quantiles(figure).sketch()),
            }
        };
        Self {
            time_zone: Text(volume.zone.clone()),
            containers: volume.containers,
            left_out: volume.left_out,
            bytes_out: figure(Figure::BytesOut),
            bytes_in: figure(Figure::BytesIn),
            packets_out: figure(Figure::PacketsOut),
            packets_in: figure(Figure::PacketsIn),
            flows_out: figure(Figure::FlowsOut),
            flows_in: figure(Figure::FlowsIn),
            hours: STANDARD.encode(volume.week.bytes()),
        }
    }
}

impl VolumeShape {
    /// The amounts that it describes; else why not.
    pub(super) fn checked(self) -> Result<VolumeBaseline, String> {
        let zone = self.time_zone.0;
        let shapes = [self.bytes_out, self.bytes_in, self.packets_out, self.packets_in, self.flows_out, self.flows_in];
        let accepted = std::array::from_fn(|place| shapes.get(place).and_then(FigureShape::within));
        let mut quantiles = Vec::new();
        for (figure, shape) in Figure::ALL.into_iter().zip(&shapes) {
            quantiles.push(shape.quantiles().map_err(|error| format!("{}: {error}", figure.as_str()))?);
        }
        let quantiles = quantiles.try_into().map_err(|_| SketchError::Figures.to_string())?;
        let hours = decoded(&self.hours, MAX_HOURS * HOUR_BYTES).ok_or("`hours` is no base64, or too long")?;
        let week = Week::read(&zone, &hours).map_err(|error| error.to_string())?;
        Ok(VolumeBaseline { zone, containers: self.containers, left_out: self.left_out, quantiles, accepted, week })
    }
}

impl FigureShape {
    fn within(&self) -> Option<Within> {
        self.accepted.map(|[from, to]| Within { from, to })
    }

    fn quantiles(&self) -> Result<Quantiles, String> {
        let bytes = decoded(&self.sketch, MAX_SKETCH).ok_or("`sketch` is no base64, or too long")?;
        let read = Quantiles::read(&bytes).map_err(|error| error.to_string())?;
        let is_own = [(read.median, self.median), (read.p99, self.p99), (read.most, self.most)]
            .into_iter()
            .all(|(own, written)| own.abs_diff(written) <= 1);
        if is_own { Ok(read) } else { Err(SketchError::Figures.to_string()) }
    }
}

/// What a text in base64 holds, where that is not more than so many bytes.
fn decoded(text: &str, most: usize) -> Option<Vec<u8>> {
    Some(text).filter(|text| text.len() / 4 * 3 <= most + 3).and_then(|text| STANDARD.decode(text).ok())
}
