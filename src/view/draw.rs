//! One frame: head, table, alerts or details, foot.
//!
//! Contract: no matter how small the terminal is, nothing panics and the table comes first. Design: heights are dealt out from
//! what there is: below [`ROOMY`] lines the panes go, below [`SMALL`] the head shrinks to a line.

use ratatui::Frame;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Borders, Clear, Paragraph, Wrap};

use super::format::{clock, count, safe, short, span};
use super::keys::KEYS;
use super::style::{BAD, BOLD, DIM, GOOD, WARN};
use super::{Top, panes, table};

/// From here on there is a pane under the table.
const ROOMY: u16 = 16;
/// From here on the head has all its lines, and there is a foot.
const SMALL: u16 = 9;

/// Draws the state.
pub fn draw(top: &mut Top, frame: &mut Frame<'_>) {
    let area = frame.area();
    let width = usize::from(area.width);
    let (head, foot) = if area.height >= SMALL { (head(top, width), 1) } else { (vec![first_line(top)], 0) };
    let pane = match area.height {
        height if height < ROOMY => 0,
        height if top.details => height / 2,
        height => (height / 3).min(10),
    };
    let head_height = u16::try_from(head.len()).unwrap_or(1);
    let rows =
        [Constraint::Length(head_height), Constraint::Min(1), Constraint::Length(pane), Constraint::Length(foot)];
    let [head_area, middle, pane_area, foot_area] = Layout::vertical(rows).areas(area);
    frame.render_widget(Paragraph::new(head), head_area);
    if top.details && pane == 0 {
        panes::details(top, frame, middle);
    } else {
        table::draw(top, frame, middle);
        if top.details {
            panes::details(top, frame, pane_area);
        } else {
            panes::alerts(top, frame, pane_area);
        }
    }
    frame.render_widget(Paragraph::new(foot_line(top)), foot_area);
    if top.help {
        help(frame, area);
    }
}

/// Lines of [`text`]; a host with more workloads is better watched on a terminal.
const MOST: u16 = 500;

/// One frame as lines of text, without colours, with room for all rows.
pub fn text(top: &mut Top, width: u16) -> String {
    let rows = u16::try_from(top.lines.len() + 17).unwrap_or(MOST);
    frame(top, width, rows.clamp(30, MOST))
}

/// One frame of this size as lines of text.
pub(super) fn frame(top: &mut Top, width: u16, height: u16) -> String {
    // Drawing into memory cannot fail.
    let Ok(mut terminal) = Terminal::new(TestBackend::new(width, height));
    let Ok(_) = terminal.draw(|frame| draw(top, frame));
    let buffer = terminal.backend().buffer();
    let mut text = String::new();
    for row in buffer.content().chunks(usize::from(width.max(1))) {
        let line = row.iter().fold((String::new(), 0), |(mut line, covered), cell| {
            // The cell after a wide character is covered by it.
            if covered == 0 {
                line.push_str(cell.symbol());
            }
            let covered =
                if covered == 0 { super::format::width(cell.symbol()).saturating_sub(1) } else { covered - 1 };
            (line, covered)
        });
        text.push_str(line.0.trim_end());
        text.push('\n');
    }
    text.truncate(text.trim_end().len());
    text.push('\n');
    text
}

fn head(top: &Top, width: usize) -> Vec<Line<'static>> {
    let mut lines = vec![first_line(top), traffic_line(top), runtimes_line(top)];
    if let Some(first) = top.snapshot.not_ready.first() {
        let more = top.snapshot.not_ready.len() - 1;
        let more = if more > 0 { format!(" (and {more} more)") } else { String::new() };
        let text = safe(first, width.saturating_sub(more.len() + 10));
        lines.push(Line::from(vec![Span::styled("not seen: ", WARN), Span::raw(text + &more)]));
    }
    lines
}

fn first_line(top: &Top) -> Line<'static> {
    let snapshot = &top.snapshot;
    let mut spans = vec![
        Span::styled("hopwatch top ", BOLD),
        Span::raw(safe(&top.host, 40)),
        Span::raw(format!("  up {}", span(snapshot.at.since(snapshot.started).as_secs()))),
        Span::raw(format!("  {} UTC", clock(snapshot.at))),
    ];
    if top.paused {
        spans.push(Span::styled("  PAUSED", WARN));
    }
    Line::from(spans)
}

fn traffic_line(top: &Top) -> Line<'static> {
    let snapshot = &top.snapshot;
    let (packets, bytes) = top.rates.of_host(snapshot);
    let followed: u64 =
        top.lines.iter().filter(|line| line.row.who.workload().is_some()).map(|l| l.row.tally.flows_now).sum();
    let lost = Span::styled(format!("{} lost", count(snapshot.dropped)), if snapshot.dropped > 0 { BAD } else { GOOD });
    let rest = format!(
        "{} packets/s  {}B/s  {} packets  {} interfaces  {} flows now  ",
        short(packets),
        short(bytes),
        count(snapshot.packets),
        snapshot.points,
        count(followed),
    );
    Line::from(vec![Span::raw(rest), lost])
}

fn runtimes_line(top: &Top) -> Line<'static> {
    let mut spans = vec![Span::raw("runtimes: ")];
    if top.snapshot.runtimes.is_empty() {
        spans.push(Span::styled("none answered yet", WARN));
    }
    for (number, (name, answers)) in top.snapshot.runtimes.iter().enumerate() {
        let (word, style) = if *answers { ("connected", GOOD) } else { ("not connected", BAD) };
        spans.push(Span::raw(format!("{}{name} ", if number > 0 { ", " } else { "" })));
        spans.push(Span::styled(word, style));
    }
    Line::from(spans)
}

fn foot_line(top: &Top) -> Line<'static> {
    if top.typing {
        return Line::from(vec![Span::styled("filter: ", BOLD), Span::raw(safe(&top.filter, 64)), Span::raw("_")]);
    }
    Line::styled("j/k select  Enter details  s sort  / filter  p pause  ? help  q quit", DIM)
}

fn help(frame: &mut Frame<'_>, area: Rect) {
    let wide = area.width.min(84);
    let high = area.height.min(u16::try_from(KEYS.len() + 5).unwrap_or(area.height));
    let place = Rect { x: (area.width - wide) / 2, y: (area.height - high) / 2, width: wide, height: high };
    let lines: Vec<Line<'_>> = KEYS
        .iter()
        .map(|(key, what)| Line::from(vec![Span::styled(format!("{key:12}"), BOLD), Span::raw(*what)]))
        .collect();
    let block = Block::new().borders(Borders::ALL).title("keys");
    frame.render_widget(Clear, place);
    frame.render_widget(Paragraph::new(lines).block(block).wrap(Wrap { trim: false }), place);
}
