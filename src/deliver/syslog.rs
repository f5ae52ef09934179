//! Syslog, RFC 5424, over a socket of this host, UDP, TCP and TLS.
//!
//! Contract: over TCP and TLS a message counts as delivered when the far side's kernel has acknowledged it and the connection still
//! stands; syslog itself confirms nothing, so that a server that dies with the message in its buffer loses it. UDP and `unix`: when it was
//! sent. A message that is repeated says so in its structured data. Limits: a message is cut at `max_bytes`, before its length is counted.

mod connection;
mod message;

use std::io;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;

use super::outcome::Outcome;
use super::receiver::Receiver;
use super::store::Delivery;
use super::tls;
use crate::config::{HostAndPort, SyslogDestination, SyslogTransport};
use crate::time::Timestamp;
use connection::Connection;
pub use message::message;

/// How long one step of a delivery may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// A syslog server or socket.
#[derive(Debug)]
pub struct Syslog {
    to: SyslogDestination,
    tls: Option<Arc<ClientConfig>>,
    connection: Option<Connection>,
}

impl Syslog {
    /// Reads the certificates; connects with the first alert.
    pub fn new(to: SyslogDestination) -> io::Result<Self> {
        let tls = match to.transport {
            SyslogTransport::Tls(_) => Some(tls::client(to.ca_file.as_deref())?),
            _ => None,
        };
        Ok(Self { to, tls, connection: None })
    }

    fn stream(&mut self, place: &HostAndPort, text: &[u8]) -> Outcome {
        let mut connection = match self.connection.take().filter(Connection::is_open) {
            Some(connection) => connection,
            None => match Connection::open(place, self.tls.as_ref()) {
                Ok(connection) => connection,
                Err(error) => return connection::failure(place, &error, false),
            },
        };
        let framed =
            if self.to.newline { one_line(text) } else { [format!("{} ", text.len()).as_bytes(), text].concat() };
        match connection.write(&framed) {
            Ok(()) => {
                self.connection = Some(connection);
                Outcome::Delivered
            }
            Err(error) => connection::failure(place, &error, true),
        }
    }
}

/// With a line end, and none inside.
fn one_line(text: &[u8]) -> Vec<u8> {
    let inner = text.iter().map(|byte| if *byte == b'\n' { b' ' } else { *byte });
    inner.chain([b'\n']).collect()
}

fn datagram(place: &HostAndPort, text: &[u8]) -> io::Result<()> {
    let addresses = place.resolve()?;
    let first = addresses.first().ok_or_else(|| io::Error::other("the name has no address"))?;
    let own = if first.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    std::net::UdpSocket::bind(own)?.send_to(text, first).map(drop)
}

fn local(path: &Path, text: &[u8]) -> io::Result<()> {
    let socket = UnixDatagram::unbound()?;
    socket.set_write_timeout(Some(PATIENCE))?;
    socket.connect(path)?;
    socket.send(text).map(drop)
}

impl Receiver for Syslog {
    fn send(&mut self, delivery: &Delivery, _: Timestamp) -> Outcome {
        let text = message::marked(&delivery.body, delivery.maybe_taken, self.to.max_bytes);
        let sent = match self.to.transport.clone() {
            SyslogTransport::Tcp(place) | SyslogTransport::Tls(place) => return self.stream(&place, &text),
            SyslogTransport::Udp(place) => {
                datagram(&place, &text).map_err(|error| (format!("{}:{}", place.host, place.port), error))
            }
            SyslogTransport::Unix(path) => local(&path, &text).map_err(|error| (path.display().to_string(), error)),
        };
        match sent {
            Ok(()) => Outcome::Delivered,
            Err((place, error)) => Outcome::again(format!("syslog at {place}: {error}")),
        }
    }
}
