//! Checked scalars of the file shape: bounded numbers, durations, address ranges, ports, labels, dates, packet lengths, names at receivers, collectors.
//!
//! Contract: each refuses with `what is wrong; what to write instead`, and prints back what it read.
//! Design: a scalar is checked where it is read, so its mistakes carry its place without further ado.

mod address;
mod collector;
mod number;
mod receiver;
mod snap;
mod text;
mod zone;

pub use collector::CollectorUrl;

pub(super) use address::{HttpUrl, RuleLink, SyslogAddress};
pub(super) use number::{Bounded, DurationText};
pub(super) use receiver::{DataStream, Guid};
pub(super) use text::{
    Cidr, Expiry, FilePath, InterfaceGlob, Label, Listen, MinisignKey, NetworkName, Port, Sentence, Socket,
};
pub(super) use zone::ZoneName;
