//! A tree of lines, drawn with rules.

use std::fmt::Write as _;

use crate::escape::printable;

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

    /// The whole tree; what a terminal would obey is shown as escapes.
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        self.draw("", "", &mut text);
        text
    }

    fn draw(&self, first: &str, rest: &str, text: &mut String) {
        let cut: String = self.text.chars().take(MOST).collect();
        let more = if cut.len() < self.text.len() { "…" } else { "" };
        let _ = writeln!(text, "{first}{}{more}", printable(&cut));
        for (place, child) in self.children.iter().enumerate() {
            let (branch, under) =
                if place + 1 == self.children.len() { ("└─ ", "   ") } else { ("├─ ", "│  ") };
            child.draw(&format!("{rest}{branch}"), &format!("{rest}{under}"), text);
        }
    }
}
