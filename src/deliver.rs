//! Delivery: alerts on their way to receivers outside.
//!
//! Contract: an alert is in the outbox before it is sent, and stays there until its receiver took it, refused it, or it is too old. One
//! thread per receiver: a slow, dead or hostile one delays no other, and never the engine. At least once; an attempt that may have
//! arrived is marked when it is repeated. Limits: [`store::MAX_WAITING`].
//! Design: [`Outbox`] keeps alerts in the [`store`]; a [`worker`] per sink reads from there and talks to its [`receiver`]; [`receivers`] lists them, [`routes`] replaces them.

pub mod alertmanager;
pub mod batch;
pub mod bell;
pub mod elasticsearch;
pub mod error;
pub mod http;
pub mod journal;
pub mod lines;
pub mod loki;
pub mod otlp;
pub mod outbox;
pub mod outcome;
pub mod prepare;
pub mod receiver;
pub mod receivers;
pub mod routes;
pub mod splunk;
pub mod store;
pub mod syslog;
pub mod tls;
pub mod trial;
pub mod webhook;
pub mod worker;

pub use error::DeliverError;
pub use outbox::Outbox;
pub use routes::Routes;
