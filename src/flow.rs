//! The flow meter: packets of one observation point in, flow events out.
//!
//! Contract: one [`Meter`] a point, owned by the thread that reads it; no lock, no copy of the frame, no allocation a packet.
//! Every packet is counted once: as IP, as non-IP, or as not decoded with a reason; the parts add up to the total.
//! Limits: fragments wait for their first piece 30 seconds of packet time; without it they are a flow of their own (ports 0).
//! Design: [`Meter`] holds the rules; index, timers, a flow's state, TCP, fragments, payload probes, the choice of the
//! metered header, and what ARP and neighbour discovery claim have a file each.

mod admission;
mod community_id;
mod conn_state;
mod counters;
mod direction;
mod fragments;
mod id;
mod index;
mod key;
mod layers;
mod limits;
mod links;
mod macs;
mod meter;
mod neighbour_cache;
mod origins;
mod packet;
mod payload;
mod sink;
mod stages;
mod state;
mod table;
mod tcp;
mod timers;
mod undecoded;
mod wheel;

pub use admission::{Admission, Backlog, PointKind, Pressure, Receipt, SAMPLE, Share, Shed, WINDOW, Worth};
pub use community_id::community_id;
pub use conn_state::{ZeekConn, datagram_state, zeek_conn};
pub use counters::PointCounters;
pub use layers::Layer;
pub use limits::{BEGINNING, MeterLimits, TCP_LINGER};
pub use meter::Meter;
pub use sink::{FlowSink, FlowView, Frame};
pub use stages::{BATCH, Meters, Stages};
pub use tcp::{TcpHistory, TcpState};
