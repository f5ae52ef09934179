//! A tree of lines, drawn with rules.

use std::fmt::Write as _;

use crate::escape::printable;
use crate::layout::hang;

/// Characters of one line.
pub(super) const MOST: usize = 300;

/// A line and those under it.
#[derive(Debug, Default)]
pub(super) struct Node {
    pub(super) text: String,
    pub(super) children: Vec<Node>,
}

impl Node {
    pub(super) const fn new(text: String) -> Self {
        Self { text, children: Vec::new() }
    }

    /// The whole tree, for a terminal of so many columns; what a terminal would obey is shown as escapes.
    pub(super) fn text(&self, columns: Option<usize>) -> String {
        let mut text = String::new();
        self.draw("", "", columns, &mut text);
        text
    }

    fn draw(&self, first: &str, rest: &str, columns: Option<usize>, text: &mut String) {
        let cut: String = self.text.chars().take(MOST).collect();
        let more = if cut.len() < self.text.len() { "…" } else { "" };
        // A line that goes on stands between its own branch and its children's.
        let on = format!("{rest}{}", if self.children.is_empty() { "  " } else { "│ " });
        let _ = writeln!(text, "{}", hang(first, &on, &format!("{}{more}", printable(&cut)), columns));
        for (place, child) in self.children.iter().enumerate() {
            let (branch, under) =
                if place + 1 == self.children.len() { ("└─ ", "   ") } else { ("├─ ", "│  ") };
            child.draw(&format!("{rest}{branch}"), &format!("{rest}{under}"), columns, text);
        }
    }
}
