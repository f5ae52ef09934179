//! Syslog, RFC 5424, over a socket of this host, UDP, TCP and TLS.
//!
//! Contract: over TCP and TLS a message counts as delivered when the far side's kernel has acknowledged it and the connection still
//! stands; syslog itself confirms nothing, so that a server that dies with the message in its buffer loses it. UDP and `unix`: when it was
//! sent. A message that is repeated says so in its structured data. Limits: a message is cut at `max_bytes`, before its length is counted.

mod connection;
mod message;

use std::io;
use std::net::UdpSocket;
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
    let mut failed = None;
    for to in place.resolve()? {
        let own = if to.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
        match UdpSocket::bind(own).and_then(|socket| socket.send_to(text, to)) {
            Ok(_) => return Ok(()),
            Err(error) => failed = Some(error),
        }
    }
    Err(failed.unwrap_or_else(|| io::Error::other("the name has no address")))
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
            // It is as long the next time.
            Err((place, error)) if error.raw_os_error() == Some(libc::EMSGSIZE) => Outcome::Refused {
                why: format!("syslog at {place}: {} bytes are too long for one datagram; lower max_bytes", text.len()),
            },
            Err((place, error)) => Outcome::again(format!("syslog at {place}: {error}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_long_for_a_datagram_is_refused_and_not_tried_for_ever() {
        let listener = UdpSocket::bind("127.0.0.1:0").expect("a port of loopback");
        let port = listener.local_addr().expect("its address").port();
        let place = HostAndPort { host: "127.0.0.1".to_owned(), port };
        let to = SyslogDestination {
            transport: SyslogTransport::Udp(place),
            facility: 13,
            enterprise: 32_473,
            max_bytes: 1 << 20,
            newline: false,
            ca_file: None,
        };
        let mut syslog = Syslog::new(to).expect("no certificates");
        let delivery = |body| Delivery { seq: 1, id: "a".into(), update: 0, body, attempts: 0, maybe_taken: false };
        let now = Timestamp::from_secs(1);
        assert_eq!(syslog.send(&delivery(b"<13>1 - - - - - -".to_vec()), now), Outcome::Delivered);
        let outcome = syslog.send(&delivery(vec![b'x'; 70_000]), now);
        assert!(matches!(&outcome, Outcome::Refused { why } if why.contains("max_bytes")), "{outcome:?}");
    }
}
