//! How a connection went, in Zeek's words (`conn_state` and `history` of conn.log).
//!
//! Contract: the letters and states mean what Zeek's documentation says. Limits: a history keeps [`History::MAX`] letters.

use std::fmt;

use serde::{Serialize, Serializer};

/// How a connection went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, schemars::JsonSchema)]
pub enum ConnState {
    /// Attempt seen, no answer.
    S0,
    /// Established, not ended.
    S1,
    /// Established and ended normally.
    SF,
    /// Attempt rejected.
    REJ,
    /// Established, the originator closed, the responder did not answer that.
    S2,
    /// Established, the responder closed, the originator did not answer that.
    S3,
    /// Established, the originator aborted.
    RSTO,
    /// The responder aborted.
    RSTR,
    /// The originator sent a SYN, then a RST; no SYN-ACK was seen.
    RSTOS0,
    /// The responder sent a SYN-ACK, then a RST; no SYN was seen.
    RSTRH,
    /// The originator sent a SYN, then a FIN; no SYN-ACK was seen: half open.
    SH,
    /// The responder sent a SYN-ACK, then a FIN; no SYN was seen.
    SHR,
    /// No SYN was seen: midstream traffic.
    #[default]
    OTH,
}

impl ConnState {
    /// The same connection, read from the other end; its history, as it was, tells apart what one name holds, as far as it was kept.
    #[must_use]
    pub fn reversed(self, history: &History) -> Self {
        let orig_reset = history.as_str().contains(['R', 'I', 'Q']);
        match self {
            Self::S2 => Self::S3,
            Self::S3 => Self::S2,
            Self::RSTO => Self::RSTR,
            Self::RSTR if !orig_reset => Self::RSTO,
            Self::RSTOS0 => Self::RSTRH,
            Self::SH => Self::SHR,
            Self::SHR => Self::SH,
            Self::OTH if orig_reset => Self::RSTRH,
            Self::RSTRH | Self::S0 => Self::OTH,
            same => same,
        }
    }
}

/// What happened, one letter per event in the order of first sight: upper case from the originator, lower from the responder.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct History {
    letters: [u8; Self::MAX],
    len: u8,
}

impl History {
    /// Letters that are kept; the rest of a longer history is left out.
    pub const MAX: usize = 31;

    /// Adds a letter (ASCII).
    pub fn push(&mut self, letter: u8) {
        if let Some(place) = self.letters.get_mut(usize::from(self.len)) {
            *place = letter;
            self.len += 1;
        }
    }

    /// The letters.
    pub fn as_str(&self) -> &str {
        self.letters.get(..usize::from(self.len)).and_then(|letters| std::str::from_utf8(letters).ok()).unwrap_or("")
    }

    /// A SYN of the originator, then its RST, and between them neither an answer nor anything that goes on.
    pub fn syn_then_reset(&self) -> bool {
        let letters = self.as_str();
        let after_syn = letters.strip_prefix('^').unwrap_or(letters).strip_prefix('S');
        let event = after_syn.and_then(|rest| rest.chars().find(|letter| "HAFGIQR".contains(*letter)));
        event == Some('R')
    }

    /// The same history, read from the other end.
    #[must_use]
    pub fn reversed(mut self) -> Self {
        for letter in &mut self.letters {
            *letter =
                if letter.is_ascii_lowercase() { letter.to_ascii_uppercase() } else { letter.to_ascii_lowercase() };
        }
        self
    }
}

impl fmt::Debug for History {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for History {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}
