//! What the keys do.

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use super::Top;

/// Longest filter.
const MOST: usize = 64;

/// What a key asks of the one who reads the keyboard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// Nothing changed.
    Nothing,
    /// Draw again.
    Redraw,
    /// The end.
    Quit,
}

/// The keys, for the help.
pub(super) const KEYS: [(&str, &str); 9] = [
    ("↑ ↓ j k", "select a row; PgUp, PgDn, Home and End go further"),
    ("Enter", "details of the selected row, and back"),
    ("s", "sort by traffic, flows, alerts, bypassed flows or name"),
    ("/", "show only rows whose name, image, runtime, pod, project or id holds a text; Enter keeps it, Esc ends it"),
    ("p", "pause the view; capture and alerts go on"),
    ("Esc", "close details, help or filter"),
    ("?", "this help"),
    ("q, Ctrl-C", "quit"),
    (
        "",
        "V/B/P/U: verified, bypassed, partial, unobservable flows; E/L/A: % attributed exactly, likely, ambiguously, and how",
    ),
];

impl Top {
    /// A key was pressed.
    pub fn key(&mut self, key: KeyEvent) -> Act {
        if key.kind == KeyEventKind::Release {
            return Act::Nothing;
        }
        if key.modifiers.contains(KeyModifiers::CONTROL) {
            return if key.code == KeyCode::Char('c') { Act::Quit } else { Act::Nothing };
        }
        if self.typing {
            return self.typed(key.code);
        }
        let at = self.table.selected().unwrap_or(0);
        match key.code {
            KeyCode::Char('q') => return Act::Quit,
            KeyCode::Down | KeyCode::Char('j') => self.select(at.saturating_add(1)),
            KeyCode::Up | KeyCode::Char('k') => self.select(at.saturating_sub(1)),
            KeyCode::PageDown => self.select(at.saturating_add(self.page)),
            KeyCode::PageUp => self.select(at.saturating_sub(self.page)),
            KeyCode::Home => self.select(0),
            KeyCode::End => self.select(usize::MAX),
            KeyCode::Enter => self.details = !self.details,
            KeyCode::Char('s') => self.sort = self.sort.next(),
            KeyCode::Char('/') => self.typing = true,
            KeyCode::Char('p') => self.paused = !self.paused,
            KeyCode::Char('?') => self.help = !self.help,
            KeyCode::Esc => self.close(),
            _ => return Act::Nothing,
        }
        if matches!(key.code, KeyCode::Char('s') | KeyCode::Esc) {
            self.arrange();
        }
        Act::Redraw
    }

    fn close(&mut self) {
        if self.help {
            self.help = false;
        } else if self.details {
            self.details = false;
        } else {
            self.filter.clear();
        }
    }

    fn typed(&mut self, code: KeyCode) -> Act {
        match code {
            KeyCode::Enter => self.typing = false,
            KeyCode::Esc => {
                self.typing = false;
                self.filter.clear();
            }
            KeyCode::Backspace => _ = self.filter.pop(),
            KeyCode::Char(c) if self.filter.chars().count() < MOST => self.filter.push(c),
            _ => return Act::Nothing,
        }
        self.arrange();
        Act::Redraw
    }
}
