//! What only news touches: the ordered letters, and what it takes to know whether an event is news.
//!
//! Contract: bounded; letters beyond the bound are left out. Limits: [`ISLANDS`] runs of bytes beyond the first hole.
//! Design: letters are five bits each; counters of rare events are in a box that the first of them makes.

use crate::input::History;

/// Letters by their code, from 1.
const LETTERS: &[u8; 15] = b"SHADFRIQTWG^XC?";
/// Letters in one word.
const A_WORD: usize = 12;
/// Runs of bytes beyond the first hole that are remembered, by direction.
const ISLANDS: usize = 2;

/// Events that are told again at the 10th, the 100th …
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scaled {
    Resent,
    ZeroWindow,
    Gap,
}

/// The letters of a connection and its rare events.
#[derive(Clone, Debug, Default)]
pub struct TcpStory {
    letters: [u64; 2],
    /// End of the payload at the last FIN, by direction.
    fin: [u32; 2],
    /// Sequence number of the last RST, by direction.
    rst: [u32; 2],
    rare: Option<Box<Rare>>,
}

/// What most connections never need.
#[derive(Clone, Debug, Default)]
struct Rare {
    counts: [[u32; 3]; 2],
    /// From and to; empty where both are equal.
    islands: [[(u32, u32); ISLANDS]; 2],
}

impl TcpStory {
    /// The letters in their order.
    pub fn history(&self) -> History {
        let mut history = History::default();
        for place in 0..2 * A_WORD {
            let packed = self.letters[place / A_WORD] >> (place % A_WORD * 5) & 31;
            let letter = (packed & 15).checked_sub(1).and_then(|code| LETTERS.get(usize::try_from(code).ok()?));
            let Some(letter) = letter else { break };
            history.push(if packed & 16 == 0 { *letter } else { letter.to_ascii_lowercase() });
        }
        history
    }

    /// Adds a letter of the originator, or one of neither side.
    pub(super) fn push(&mut self, letter: u8) {
        self.push_from(false, letter);
    }

    /// Adds a letter of one side.
    pub(super) fn push_from(&mut self, from_resp: bool, letter: u8) {
        let code = LETTERS.iter().zip(1_u64..).find_map(|(known, code)| (*known == letter).then_some(code));
        let packed = code.unwrap_or(0) | u64::from(from_resp) << 4;
        for word in &mut self.letters {
            let used = (64 - word.leading_zeros()).div_ceil(5) as usize;
            if used < A_WORD {
                *word |= packed << (used * 5);
                return;
            }
        }
    }

    /// Keeps where a FIN was; true if the one before it was elsewhere.
    pub(super) fn moved_fin(&mut self, place: usize, at: u32) -> bool {
        std::mem::replace(&mut self.fin[place], at) != at
    }

    /// Keeps where a RST was; true if the one before it was elsewhere.
    pub(super) fn moved_rst(&mut self, place: usize, at: u32) -> bool {
        std::mem::replace(&mut self.rst[place], at) != at
    }

    /// Counts a rare event; the 1st, 10th, 100th … is a letter.
    pub(super) fn count(&mut self, from_resp: bool, event: Scaled) {
        let count = &mut self.rare.get_or_insert_default().counts[usize::from(from_resp)][event as usize];
        *count = count.saturating_add(1);
        let count = *count;
        if count < u32::MAX && 10_u32.pow(count.ilog10()) == count {
            let letter = match event {
                Scaled::Resent => b'T',
                Scaled::ZeroWindow => b'W',
                Scaled::Gap => b'G',
            };
            self.push_from(from_resp, letter);
        }
    }

    /// Keeps a run of bytes beyond a hole.
    pub(super) fn remember(&mut self, from_resp: bool, from: u32, to: u32) {
        let islands = &mut self.rare.get_or_insert_default().islands[usize::from(from_resp)];
        let touches = |&(start, end): &(u32, u32)| {
            start != end && super::distance(start, to) >= 0 && super::distance(from, end) >= 0
        };
        let place = islands
            .iter()
            .position(touches)
            .or_else(|| islands.iter().position(|(start, end)| start == end))
            .unwrap_or(ISLANDS - 1);
        let (start, end) = islands[place];
        islands[place] = if start == end {
            (from, to)
        } else {
            (
                if super::distance(from, start) > 0 { from } else { start },
                if super::distance(end, to) > 0 { to } else { end },
            )
        };
    }

    /// The end of what is joined without a hole, when everything up to `to` was seen.
    pub(super) fn join(&mut self, from_resp: bool, mut to: u32) -> u32 {
        let Some(rare) = &mut self.rare else { return to };
        let islands = &mut rare.islands[usize::from(from_resp)];
        for _ in 0..ISLANDS {
            for island in islands.iter_mut().filter(|(start, end)| start != end) {
                if super::distance(island.0, to) >= 0 {
                    to = if super::distance(to, island.1) > 0 { island.1 } else { to };
                    *island = (0, 0);
                }
            }
        }
        to
    }

    /// Where what was seen goes on, after a hole that starts at `edge` and was acknowledged up to `ack`.
    pub(super) fn after_hole(&mut self, from_resp: bool, edge: u32, ack: u32) -> u32 {
        let Some(rare) = &self.rare else { return ack };
        let islands = rare.islands[usize::from(from_resp)].iter().filter(|(start, end)| start != end);
        let ahead = islands.map(|(start, _)| *start).filter(|start| super::distance(edge, *start) >= 0);
        let next = ahead.min_by_key(|start| start.wrapping_sub(edge));
        let next = next.filter(|start| super::distance(*start, ack) > 0).unwrap_or(ack);
        self.join(from_resp, next)
    }
}

const _: () = assert!(size_of::<TcpStory>() <= 40);
