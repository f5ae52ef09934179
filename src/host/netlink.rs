//! Netlink: the one way to ask the kernel and to receive what it reports.
//!
//! Contract: readers are total; every length is checked against what is there. Limits: each file names its own. Design: written by
//! hand: the attributes that are needed (a socket's cgroup, packet programs, both tuples of a connection) are together in no crate.

mod attribute;
mod message;
mod socket;

pub(super) use self::attribute::{attribute, attributes, long, number, signed, text};
pub(super) use self::message::{DONE, ERROR, Message, messages};
pub(super) use self::socket::{BUFFER, Event, Netlink, Query};

/// Messages as the kernel writes them, for tests of their readers.
#[cfg(test)]
pub(super) mod build {
    pub(crate) fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
        super::attribute::attribute(kind, value)
    }

    pub(crate) fn message(kind: u16, body: &[u8]) -> Vec<u8> {
        let mut bytes = super::message::request(kind, 0, 0, body);
        bytes.resize(super::attribute::align(bytes.len()), 0);
        bytes
    }
}
