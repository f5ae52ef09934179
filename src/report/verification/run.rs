//! What a run read, as the report is made from it.

use super::Source;
use crate::time::Timestamp;

/// What a run read.
#[derive(Clone, Debug)]
pub struct Run {
    /// From where.
    pub source: Source,
    /// Begin and end.
    pub span: Option<(Timestamp, Timestamp)>,
    /// The observation points, in order of name.
    pub points: Vec<PointRead>,
    /// What went wrong.
    pub warnings: Vec<String>,
}

/// What a run read at a point.
#[derive(Clone, Debug)]
pub struct PointRead {
    /// Its name.
    pub name: String,
    /// Packets captured.
    pub packets: u64,
    /// Frames among them that could not be decoded.
    pub not_decoded: u64,
    /// Payloads that were not read for names.
    pub refused_payloads: u64,
}
