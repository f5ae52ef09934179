//! Which receiver a sink has.

use std::io;

use super::alertmanager::Alertmanager;
use super::elasticsearch::Elasticsearch;
use super::journal::Journal;
use super::lines::Lines;
use super::loki::Loki;
use super::otlp::Otlp;
use super::receiver::Receiver;
use super::splunk::Splunk;
use super::syslog::Syslog;
use super::webhook::Webhook;
use crate::config::{Destination, SinkConfig};

/// The receiver of a sink; fails where a secret or a certificate cannot be read.
pub fn receiver(sink: &SinkConfig) -> io::Result<Box<dyn Receiver>> {
    Ok(match &sink.to {
        Destination::File(to) => Box::new(Lines::new(to.clone())),
        Destination::Syslog(to) => Box::new(Syslog::new(to.clone())?),
        Destination::Journald { socket } => Box::new(Journal::new(socket.clone())),
        Destination::Webhook(to) => Box::new(Webhook::new(to)?),
        Destination::Elasticsearch(to) => Box::new(Elasticsearch::new(to, "Elasticsearch")?),
        Destination::Opensearch(to) => Box::new(Elasticsearch::new(to, "OpenSearch")?),
        Destination::Splunk(to) => Box::new(Splunk::new(to)?),
        Destination::Loki(to) => Box::new(Loki::new(to)?),
        Destination::Otlp(to) => Box::new(Otlp::new(to)?),
        Destination::Alertmanager(to) => Box::new(Alertmanager::new(to)?),
    })
}
