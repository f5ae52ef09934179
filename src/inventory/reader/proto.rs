//! Protocol-buffer messages that several services share, written by hand: only the fields that are read.
//!
//! Contract: field numbers are those of the published files named at each message. Limits: texts that somebody else chose are
//! bytes here, because one that is no UTF-8 would make the whole message unreadable. Design: the lists' items stay bytes too
//! ([`item`]), so that a garbled one costs only itself and no memory by its claimed number of parts.

use prost::Message;

use super::ReaderCounters;
use crate::time::Timestamp;

/// An entry of a `map<string, string>`, which is a repeated message with key 1 and value 2 (protobuf encoding, "Maps").
#[derive(Clone, PartialEq, Eq, Message)]
pub struct Entry {
    #[prost(bytes = "vec", tag = "1")]
    pub key: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    pub value: Vec<u8>,
}

/// `google.protobuf.Timestamp` (google/protobuf/timestamp.proto).
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub struct Time {
    #[prost(int64, tag = "1")]
    pub seconds: i64,
    #[prost(int32, tag = "2")]
    pub nanos: i32,
}

impl Time {
    /// `None` for the time zero of Go (the year 1), which means "not yet", and for what no clock shows.
    pub fn at(self) -> Option<Timestamp> {
        let nanos = self.seconds.checked_mul(1_000_000_000)?.checked_add(i64::from(self.nanos))?;
        (nanos > 0).then(|| Timestamp::from_nanos(nanos))
    }
}

/// `google.protobuf.Any` (google/protobuf/any.proto).
#[derive(Clone, PartialEq, Eq, Message)]
pub struct Any {
    #[prost(string, tag = "1")]
    pub type_url: String,
    #[prost(bytes = "vec", tag = "2")]
    pub value: Vec<u8>,
}

/// A message without fields.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub struct Empty {}

/// Any answer whose first field is a repeated message.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct Items {
    #[prost(bytes = "vec", repeated, tag = "1")]
    pub items: Vec<Vec<u8>>,
}

impl Items {
    /// The items that can be read, at most `limit`; the others are counted.
    pub fn read<T: Message + Default>(&self, limit: usize, counters: &ReaderCounters) -> Vec<T> {
        counters.overflow.add(self.items.len().saturating_sub(limit) as u64);
        self.items.iter().take(limit).filter_map(|bytes| item(bytes, counters)).collect()
    }
}

/// One message, if it can be read.
pub fn item<T: Message + Default>(bytes: &[u8], counters: &ReaderCounters) -> Option<T> {
    let read = T::decode(bytes).ok();
    counters.unreadable.add(u64::from(read.is_none()));
    read
}

/// The value of a label.
pub fn value<'a>(entries: &'a [Entry], key: &str) -> Option<&'a [u8]> {
    entries.iter().find(|entry| entry.key == key.as_bytes()).map(|entry| &*entry.value)
}
