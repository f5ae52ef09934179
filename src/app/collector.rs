//! A collector of IPFIX messages on the network.
//!
//! Contract: each write is one message: a datagram, or a piece of the stream. A datagram that nobody takes is lost, which is said at once and counted at the end; a connection that breaks is an error.
//! Limits: UDP has no answer, so what a full buffer drops is not known; many messages at once are sent in pieces, with [`PAUSE`] between them. A write waits for [`PATIENCE`].

use std::io::{self, Write};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, ToSocketAddrs as _, UdpSocket};
use std::thread;
use std::time::Duration;

use crate::config::CollectorUrl;
use crate::export::ipfix::Carrier;
use crate::wording::many;

/// How long a connection, and a write to it, may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// After so many datagrams a collector gets time to read: a usual receive buffer holds some hundred.
const AT_ONCE: u32 = 32;
const PAUSE: Duration = Duration::from_millis(2);

/// A way to a collector.
#[derive(Debug)]
pub struct FlowCollector {
    url: CollectorUrl,
    way: Way,
    /// Datagrams since the last pause.
    sent: u32,
    /// Datagrams that the kernel says went nowhere; the first is said at once.
    lost: u64,
}

#[derive(Debug)]
enum Way {
    Udp(UdpSocket),
    Tcp(TcpStream),
}

impl FlowCollector {
    /// By what messages travel to one.
    pub const fn carrier_of(url: &CollectorUrl) -> Carrier {
        if url.is_udp { Carrier::Datagrams } else { Carrier::Stream }
    }

    /// Opens the way.
    pub fn open(url: &CollectorUrl) -> io::Result<Self> {
        let mut failed = None;
        for address in url.place.to_socket_addrs()? {
            match Way::open(Self::carrier_of(url), address) {
                Ok(way) => return Ok(Self { url: url.clone(), way, sent: 0, lost: 0 }),
                Err(error) => failed = Some(error),
            }
        }
        Err(failed.unwrap_or_else(|| io::Error::other("the name has no address")))
    }

    /// By what messages travel there.
    pub const fn carrier(&self) -> Carrier {
        Self::carrier_of(&self.url)
    }

    /// A datagram went nowhere: a route or a firewall may change again, so that nothing ends by it.
    fn refused(&mut self, error: &io::Error) {
        if self.lost == 0 {
            tracing::warn!("{} does not take what is sent there, flows are lost: {error}", self.url);
        }
        self.lost += 1;
    }
}

impl Drop for FlowCollector {
    fn drop(&mut self) {
        if self.lost > 0 {
            tracing::warn!("{} did not take {}", self.url, many(self.lost, "message"));
        }
    }
}

impl Way {
    fn open(carrier: Carrier, address: SocketAddr) -> io::Result<Self> {
        if carrier == Carrier::Stream {
            let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
            stream.set_write_timeout(Some(PATIENCE))?;
            return Ok(Self::Tcp(stream));
        }
        let any = if address.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
        let socket = UdpSocket::bind(SocketAddr::new(any, 0))?;
        socket.connect(address)?;
        Ok(Self::Udp(socket))
    }
}

impl Write for FlowCollector {
    fn write(&mut self, message: &[u8]) -> io::Result<usize> {
        let socket = match &mut self.way {
            Way::Tcp(stream) => return stream.write(message),
            Way::Udp(socket) => socket,
        };
        // The first answer of the kernel may be about the datagram before.
        if let Err(error) = socket.send(message) {
            self.refused(&error);
        }
        self.sent += 1;
        if self.sent >= AT_ONCE {
            self.sent = 0;
            thread::sleep(PAUSE);
        }
        Ok(message.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.way {
            Way::Tcp(stream) => stream.flush(),
            Way::Udp(_) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_write_is_one_datagram_and_one_that_nobody_takes_is_no_error() {
        let receiver = UdpSocket::bind("127.0.0.1:0").expect("a port");
        let url = format!("udp://{}", receiver.local_addr().expect("an address")).parse().expect("a collector");
        let mut collector = FlowCollector::open(&url).expect("opened");
        collector.write_all(&[1; 1200]).expect("sent");
        let mut buffer = [0; 2000];
        assert_eq!(receiver.recv(&mut buffer).expect("received"), 1200);
        drop(receiver);
        for _ in 0..3 {
            collector.write_all(&[2; 10]).expect("lost without an error");
        }
        assert!(collector.lost > 0);
    }
}
