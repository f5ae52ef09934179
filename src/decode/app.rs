//! First payload bytes to facts, one file a protocol.
//!
//! Contract: every parser is a total, pure function over the bytes of one message or of the start of one stream. It reads no
//! more than it was given, follows no claimed length beyond that, and answers one of three things ([`Parsed`]). With bytes
//! that were cut (`last`), it gives what is surely there, or nothing.
//! Limits: what a parser keeps is bounded by a constant beside it. Text is the sender's: not escaped, not trusted.
//! Design: no state here; [`crate::flow`] puts streams together and calls again with more.

pub mod dns;
pub mod http;
pub mod ja4;
pub mod magic;
pub mod openvpn;
pub mod proxy;
pub mod quic;
mod reader;
pub mod socks;
pub mod ssh;
pub mod tls;

/// What the bytes turned out to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Parsed<T> {
    /// A message of this protocol.
    Whole(T),
    /// It may be this protocol; more bytes must come first.
    More,
    /// Not this protocol.
    Other,
}

impl<T> Parsed<T> {
    /// The message, if it is one.
    pub fn whole(self) -> Option<T> {
        match self {
            Self::Whole(value) => Some(value),
            Self::More | Self::Other => None,
        }
    }

    /// The same answer about another value.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Parsed<U> {
        match self {
            Self::Whole(value) => Parsed::Whole(change(value)),
            Self::More => Parsed::More,
            Self::Other => Parsed::Other,
        }
    }
}

/// Text of a sender, at most `max` bytes of it, what is no UTF-8 replaced.
fn text(bytes: &[u8], max: usize) -> String {
    String::from_utf8_lossy(bytes.get(..max).unwrap_or(bytes)).into_owned()
}
