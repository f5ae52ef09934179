//! What is shown, in which order, and which row is selected.
//!
//! Contract: a row stays selected while others overtake it; the filter is a part of a name, image, runtime, pod, project or id.

use std::cmp::Reverse;
use std::sync::Arc;

use ratatui::widgets::TableState;

use super::TopSnapshot;
use super::rates::{Rate, Rates};
use crate::engine::{Who, WorkloadRow};
use crate::input::NetworkMode;

/// Order of the rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Sort {
    /// Bytes a second.
    #[default]
    Traffic,
    /// Flows that go on.
    Flows,
    /// Alerts, the most severe first.
    Alerts,
    /// Flows that skipped a hop.
    Bypassed,
    /// Name.
    Name,
}

impl Sort {
    pub(super) const fn next(self) -> Self {
        match self {
            Self::Traffic => Self::Flows,
            Self::Flows => Self::Alerts,
            Self::Alerts => Self::Bypassed,
            Self::Bypassed => Self::Name,
            Self::Name => Self::Traffic,
        }
    }

    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Traffic => "traffic",
            Self::Flows => "flows",
            Self::Alerts => "alerts",
            Self::Bypassed => "bypassed",
            Self::Name => "name",
        }
    }
}

/// A row with its rates, ready to be drawn.
#[derive(Clone, Debug)]
pub(super) struct Line {
    pub(super) row: WorkloadRow,
    pub(super) rate: Rate,
    /// The name of the workload whose namespace it joined.
    pub(super) joined: Option<String>,
}

impl Line {
    /// The name for a person.
    pub(super) fn name(&self) -> &str {
        self.row.workload.as_ref().map_or_else(|| self.row.who.as_str(), |workload| workload.name.as_str())
    }

    fn holds(&self, part: &str) -> bool {
        let runtime = self.row.workload.as_ref().map(|workload| workload.runtime.to_string());
        let mut texts = vec![self.name()];
        texts.extend(runtime.as_deref());
        if let Some(workload) = &self.row.workload {
            texts.extend([workload.image.as_str(), workload.id.as_str()]);
            texts.extend(workload.compose_project());
            texts.extend(workload.compose_service());
            texts.extend(workload.pod.iter().flat_map(|pod| [pod.name.as_str(), pod.namespace.as_str()]));
        }
        texts.iter().any(|text| text.to_lowercase().contains(part))
    }
}

/// The state of the view.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "four switches of the keyboard, each by itself")]
pub struct Top {
    pub(super) host: String,
    pub(super) snapshot: Arc<TopSnapshot>,
    pub(super) rates: Rates,
    pub(super) lines: Vec<Line>,
    pub(super) hidden: usize,
    pub(super) sort: Sort,
    pub(super) filter: String,
    pub(super) typing: bool,
    pub(super) details: bool,
    pub(super) help: bool,
    pub(super) paused: bool,
    pub(super) selected: Option<Who>,
    pub(super) table: TableState,
    /// Lines of the table that were shown last: a page.
    pub(super) page: usize,
}

impl Top {
    /// Shows nothing yet.
    pub fn new(host: &str) -> Self {
        Self {
            host: host.to_owned(),
            snapshot: Arc::default(),
            rates: Rates::default(),
            lines: Vec::new(),
            hidden: 0,
            sort: Sort::default(),
            filter: String::new(),
            typing: false,
            details: false,
            help: false,
            paused: false,
            selected: None,
            table: TableState::default(),
            page: 10,
        }
    }

    /// Takes a snapshot; whether there is something new to draw. A paused view keeps what it shows.
    pub fn update(&mut self, snapshot: &Arc<TopSnapshot>) -> bool {
        if self.paused {
            return false;
        }
        self.rates.record(snapshot);
        if Arc::ptr_eq(snapshot, &self.snapshot) || !snapshot.differs_from(&self.snapshot) {
            return false;
        }
        self.snapshot = Arc::clone(snapshot);
        self.arrange();
        true
    }

    /// The rows that the filter leaves, in order.
    pub(super) fn arrange(&mut self) {
        let part = self.filter.to_lowercase();
        let (rates, snapshot) = (&self.rates, &self.snapshot);
        let rows = snapshot
            .workloads
            .rows
            .iter()
            .filter(|row| row.runs || row.tally.flows > 0 || row.who.workload().is_none());
        let line = |row: &WorkloadRow| Line {
            row: row.clone(),
            rate: rates.of(snapshot, &row.who, &row.tally),
            joined: owner(&snapshot.workloads.rows, row),
        };
        let mut lines: Vec<Line> = rows.map(line).collect();
        let all = lines.len();
        lines.retain(|line| part.is_empty() || line.holds(&part));
        order(&mut lines, self.sort);
        self.hidden = all - lines.len();
        self.lines = lines;
        self.select_again();
    }

    fn select_again(&mut self) {
        let place = self.selected.as_ref().and_then(|who| self.lines.iter().position(|line| line.row.who == *who));
        let place = place.or_else(|| {
            let last = self.table.selected()?;
            Some(last.min(self.lines.len().saturating_sub(1)))
        });
        self.select(place.unwrap_or(0));
    }

    pub(super) fn select(&mut self, place: usize) {
        let line = self.lines.get(place.min(self.lines.len().saturating_sub(1)));
        self.selected = line.map(|line| line.row.who.clone());
        self.table.select(line.map(|_| place.min(self.lines.len().saturating_sub(1))));
    }

    /// The selected line.
    pub(super) fn current(&self) -> Option<&Line> {
        self.lines.get(self.table.selected()?)
    }
}

/// The name of the workload that a row's workload joined; its id where it has no row.
fn owner(rows: &[WorkloadRow], row: &WorkloadRow) -> Option<String> {
    let NetworkMode::Container(id) = &row.workload.as_ref()?.network_mode else { return None };
    // Rows stand in the order of [`Who`].
    let place = rows.binary_search_by(|other| other.who.cmp(&Who::Workload(id.clone()))).ok();
    let owner = place.and_then(|place| rows.get(place)?.workload.as_ref());
    Some(owner.map_or_else(|| id.short().to_owned(), |owner| owner.name.clone()))
}

fn order(lines: &mut [Line], sort: Sort) {
    lines.sort_by(|a, b| a.name().cmp(b.name()).then_with(|| a.row.who.cmp(&b.row.who)));
    match sort {
        Sort::Name => {}
        Sort::Traffic => lines.sort_by(|a, b| {
            let total = |line: &Line| line.row.tally.bytes_in + line.row.tally.bytes_out;
            b.rate.bytes().total_cmp(&a.rate.bytes()).then_with(|| total(b).cmp(&total(a)))
        }),
        Sort::Flows => lines.sort_by_key(|line| Reverse((line.row.tally.flows_now, line.row.tally.flows))),
        Sort::Alerts => lines.sort_by_key(|line| {
            let [low, medium, high, critical] = line.row.tally.alerts;
            Reverse([critical, high, medium, low])
        }),
        Sort::Bypassed => lines.sort_by_key(|line| {
            let [_, bypassed, partial, unobservable] = line.row.tally.verdicts;
            Reverse([bypassed, partial, unobservable])
        }),
    }
}
