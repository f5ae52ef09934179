//! The table of workloads.
//!
//! Contract: a column is shown when it fits beside those that matter more; the name always is and takes what is left.

use ratatui::Frame;
use ratatui::layout::{Constraint, Rect};
use ratatui::style::{Modifier, Style};
use ratatui::widgets::{Block, Borders, Cell, Row, Table};

use super::Top;
use super::format::{count, percents, safe, short};
use super::state::Line;
use super::style::{BAD, DIM, WARN};
use crate::input::{NetworkMode, WorkloadState};

/// Columns left for the name, at least.
const NAME: u16 = 14;

struct Column {
    title: &'static str,
    width: u16,
    /// The lower, the longer it stays on a narrow terminal.
    rank: u8,
    cell: fn(&Line) -> (String, Style),
}

const fn column(title: &'static str, width: u16, rank: u8, cell: fn(&Line) -> (String, Style)) -> Column {
    Column { title, width, rank, cell }
}

const COLUMNS: [Column; 10] = [
    column("RUNTIME", 10, 7, |line| {
        plain(&line.row.workload.as_ref().map_or_else(String::new, |workload| workload.runtime.to_string()))
    }),
    column("NETWORK", 12, 6, |line| plain(&network(line))),
    column("STATE", 7, 9, |line| plain(state(line))),
    column("FLOWS", 6, 2, |line| plain(&count(line.row.tally.flows_now))),
    column("FLOWS/S", 7, 8, |line| plain(&short(line.rate.flows))),
    column("IN/S", 6, 3, |line| plain(&short(line.rate.bytes_in))),
    column("OUT/S", 6, 1, |line| plain(&short(line.rate.bytes_out))),
    column("V/B/P/U", 15, 4, verdicts),
    column("E/L/A% HOW", 17, 5, attribution),
    column("ALERTS", 12, 0, alerts),
];

fn plain(text: &str) -> (String, Style) {
    (text.to_owned(), Style::new())
}

fn state(line: &Line) -> &'static str {
    match &line.row.workload {
        Some(workload) if line.row.runs || workload.state == WorkloadState::Created => workload.state.as_str(),
        Some(_) => WorkloadState::Exited.as_str(),
        None => "",
    }
}

/// `own`, `host`, `none`, `with web-1`, `slirp4netns`.
pub(super) fn network(line: &Line) -> String {
    if let Some(owner) = &line.joined {
        return format!("with {owner}");
    }
    match line.row.workload.as_ref().map(|workload| &workload.network_mode) {
        Some(NetworkMode::Rootless(stack)) => stack.clone(),
        Some(mode) => mode.to_string(),
        None => String::new(),
    }
}

fn verdicts(line: &Line) -> (String, Style) {
    let counts = line.row.tally.verdicts;
    let style = match counts {
        [_, bypassed, ..] if bypassed > 0 => BAD,
        [_, _, _, unobservable] if unobservable > 0 => WARN,
        _ => Style::new(),
    };
    if counts == [0; 4] { (String::new(), style) } else { (counts.map(count).join("/"), style) }
}

fn attribution(line: &Line) -> (String, Style) {
    let Some(shares) = percents(line.row.tally.confidence) else { return (String::new(), Style::new()) };
    let most = line.row.tally.how.iter().max_by_key(|(_, count)| **count);
    let how = most.map_or("", |(how, _)| how.as_str());
    let style = if shares[2] > 0 { WARN } else { Style::new() };
    (format!("{} {how}", shares.map(|share| share.to_string()).join("/")), style)
}

/// `C1 H2`: the worst first, without zeros.
fn alerts(line: &Line) -> (String, Style) {
    let [low, medium, high, critical] = line.row.tally.alerts;
    let each = [("C", critical), ("H", high), ("M", medium), ("L", low)];
    let words: Vec<_> = each.iter().filter(|(_, n)| *n > 0).map(|(word, n)| format!("{word}{}", count(*n))).collect();
    let style = if critical + high > 0 { BAD } else { WARN };
    (words.join(" "), style)
}

/// The columns that fit, in order of the table.
fn fitting(width: u16) -> Vec<&'static Column> {
    const ALL: &[Column] = &COLUMNS;
    let mut by_rank: Vec<usize> = (0..ALL.len()).collect();
    by_rank.sort_by_key(|place| ALL[*place].rank);
    let mut left = width.saturating_sub(NAME);
    let mut taken: Vec<usize> = by_rank
        .into_iter()
        .map_while(|place| {
            left = left.checked_sub(ALL[place].width + 1)?;
            Some(place)
        })
        .collect();
    taken.sort_unstable();
    taken.into_iter().map(|place| &ALL[place]).collect()
}

/// Draws the rows that fit around the selected one.
pub(super) fn draw(top: &mut Top, frame: &mut Frame<'_>, area: Rect) {
    // A page less a line, so that the eye finds where it was.
    top.page = usize::from(area.height.saturating_sub(3)).max(1);
    let columns = fitting(area.width);
    let widths: Vec<Constraint> = std::iter::once(Constraint::Min(1))
        .chain(columns.iter().map(|column| Constraint::Length(column.width)))
        .collect();
    let taken: u16 = columns.iter().map(|column| column.width + 1).sum();
    let name_width = usize::from(area.width.saturating_sub(taken));
    let titles = std::iter::once("NAME").chain(columns.iter().map(|column| column.title));
    // Only what can be seen is made: with ten thousand workloads a frame costs the same.
    let first = first_shown(top, usize::from(area.height).saturating_sub(2).max(1));
    let shown = top.lines.iter().skip(first).take(usize::from(area.height));
    let rows = shown.map(|line| row(line, &columns, name_width)).collect::<Vec<_>>();
    let mut place = ratatui::widgets::TableState::default();
    place.select(top.table.selected().and_then(|selected| selected.checked_sub(first)));
    let table = Table::new(rows, widths)
        .header(Row::new(titles).style(Style::new().add_modifier(Modifier::BOLD)))
        .row_highlight_style(Style::new().add_modifier(Modifier::REVERSED))
        .column_spacing(1);
    let table =
        if area.height >= 4 { table.block(Block::new().borders(Borders::TOP).title(title(top))) } else { table };
    frame.render_stateful_widget(table, area, &mut place);
}

/// Scrolls as little as is needed to show the selected row.
fn first_shown(top: &mut Top, height: usize) -> usize {
    let selected = top.table.selected().unwrap_or(0);
    let last = top.lines.len().saturating_sub(height);
    let first = top.table.offset().min(last).min(selected).max((selected + 1).saturating_sub(height));
    *top.table.offset_mut() = first;
    first
}

fn title(top: &Top) -> String {
    let mut title = format!("{} rows, by {}", top.lines.len(), top.sort.as_str());
    if !top.filter.is_empty() {
        title += &format!(", with \"{}\" ({} hidden)", safe(&top.filter, 24), top.hidden);
    }
    title
}

fn row(line: &Line, columns: &[&Column], name_width: usize) -> Row<'static> {
    let ended = line.row.workload.is_some() && !line.row.runs;
    let name_style = if ended || line.row.workload.is_none() { DIM } else { Style::new() };
    let name = Cell::new(safe(line.name(), name_width)).style(name_style);
    let others = columns.iter().map(|column| {
        let (text, style) = (column.cell)(line);
        Cell::new(safe(&text, usize::from(column.width))).style(style)
    });
    Row::new(std::iter::once(name).chain(others).collect::<Vec<_>>())
}
