//! The history of a connection: its ordered letters, and what decides whether an event adds one.
//!
//! Contract: bounded; letters beyond the bound are left out. Limits: one run of bytes beyond the first hole is remembered, a
//! further one joins it; rare events are counted up to 65,535; places of FIN and RST are compared by their lower halves.
//! Design: letters are five bits each; everything is in place, so that a connection with holes touches one more cache line.

use super::distance;
use crate::input::History;

/// Letters by their code, from 1.
const LETTERS: &[u8; 15] = b"SHADFRIQTWG^XC?";
/// Letters in one word.
const A_WORD: usize = 6;
/// Words of letters.
const WORDS: usize = 4;

/// Events that add a letter again at the 10th, the 100th …
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scaled {
    Resent,
    ZeroWindow,
    Gap,
}

/// The letters of a connection and its rare events; by direction, the originator first.
#[derive(Clone, Copy, Debug, Default)]
pub struct TcpHistory {
    letters: [u32; WORDS],
    /// From and to of what was seen beyond a hole; empty where both are equal.
    island: [(u32, u32); 2],
    /// How often each [`Scaled`] event came.
    counts: [[u16; 3]; 2],
    /// Lower half of the end of the payload at the last FIN.
    fin: [u16; 2],
    /// Lower half of the sequence number of the last RST.
    rst: [u16; 2],
}

impl TcpHistory {
    /// Reads a word of it.
    #[inline]
    pub(in crate::flow) const fn prefetch(&self) -> u32 {
        self.letters[0] ^ self.fin[0] as u32
    }

    /// The letters in their order.
    pub fn letters(&self) -> History {
        let mut letters = History::default();
        for mut word in self.letters {
            while word != 0 {
                let (code, from_resp) = (word & 15, word & 16 != 0);
                let letter = code.checked_sub(1).and_then(|code| LETTERS.get(usize::try_from(code).ok()?));
                let Some(letter) = letter else { return letters };
                letters.push(if from_resp { letter.to_ascii_lowercase() } else { *letter });
                word >>= 5;
            }
        }
        letters
    }

    /// The same history, read from the other end.
    pub(in crate::flow) fn turn(&mut self) {
        for word in &mut self.letters {
            for place in 0..A_WORD {
                if *word >> (place * 5) & 15 != 0 {
                    *word ^= 16 << (place * 5);
                }
            }
        }
        self.island.swap(0, 1);
        self.counts.swap(0, 1);
        self.fin.swap(0, 1);
        self.rst.swap(0, 1);
    }

    /// Adds a letter of the originator, or one of neither side.
    pub(super) fn push(&mut self, letter: u8) {
        self.push_from(false, letter);
    }

    /// Adds a letter of one side.
    pub(super) fn push_from(&mut self, from_resp: bool, letter: u8) {
        let code = LETTERS.iter().zip(1_u32..).find_map(|(known, code)| (*known == letter).then_some(code));
        let packed = code.unwrap_or(0) | u32::from(from_resp) << 4;
        for word in &mut self.letters {
            let used = (32 - word.leading_zeros()).div_ceil(5) as usize;
            if used < A_WORD {
                *word |= packed << (used * 5);
                return;
            }
        }
    }

    /// Keeps where a FIN was; true if the one before it was elsewhere.
    pub(super) fn moved_fin(&mut self, place: usize, at: u32) -> bool {
        let at = lower_half(at);
        std::mem::replace(&mut self.fin[place], at) != at
    }

    /// Keeps where a RST was; true if the one before it was elsewhere.
    pub(super) fn moved_rst(&mut self, place: usize, at: u32) -> bool {
        let at = lower_half(at);
        std::mem::replace(&mut self.rst[place], at) != at
    }

    /// Counts a rare event; the 1st, 10th, 100th … is a letter.
    pub(super) fn count(&mut self, from_resp: bool, event: Scaled) {
        let count = &mut self.counts[usize::from(from_resp)][event as usize];
        *count = count.saturating_add(1);
        if matches!(*count, 1 | 10 | 100 | 1000 | 10_000) {
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
        let island = &mut self.island[usize::from(from_resp)];
        if island.0 == island.1 {
            *island = (from, to);
            return;
        }
        if distance(from, island.0) > 0 {
            island.0 = from;
        }
        if distance(island.1, to) > 0 {
            island.1 = to;
        }
    }

    /// The end of what is joined without a hole, when everything up to `to` was seen.
    pub(super) fn join(&mut self, from_resp: bool, to: u32) -> u32 {
        let island = &mut self.island[usize::from(from_resp)];
        if island.0 == island.1 || distance(island.0, to) < 0 {
            return to;
        }
        let end = std::mem::take(island).1;
        if distance(to, end) > 0 { end } else { to }
    }

    /// Where what was seen goes on, after a hole that starts at `edge` and was acknowledged up to `ack`.
    pub(super) fn after_hole(&mut self, from_resp: bool, edge: u32, ack: u32) -> u32 {
        let (start, end) = self.island[usize::from(from_resp)];
        let is_on_the_way = start != end && distance(edge, start) >= 0 && distance(start, ack) > 0;
        self.join(from_resp, if is_on_the_way { start } else { ack })
    }
}

const fn lower_half(number: u32) -> u16 {
    (number & 0xffff) as u16
}

const _: () = assert!(size_of::<TcpHistory>() <= 52);
