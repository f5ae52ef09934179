//! A connection to a syslog server.

use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::os::fd::AsRawFd as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};

use super::PATIENCE;
use crate::clock::instant;
use crate::config::HostAndPort;
use crate::deliver::outcome::Outcome;
use crate::deliver::tls;

/// Between two looks at what the far side has acknowledged.
const LOOK: Duration = Duration::from_millis(5);

/// Plain or with TLS.
#[derive(Debug)]
pub enum Connection {
    /// TCP.
    Plain(TcpStream),
    /// TLS.
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Connection {
    pub fn open(place: &HostAndPort, tls: Option<&Arc<ClientConfig>>) -> io::Result<Self> {
        let mut failed = None;
        for address in place.resolve()? {
            match TcpStream::connect_timeout(&address, PATIENCE) {
                Ok(stream) => {
                    stream.set_write_timeout(Some(PATIENCE))?;
                    stream.set_read_timeout(Some(PATIENCE))?;
                    stream.set_nodelay(true)?;
                    return Self::over(stream, place, tls);
                }
                Err(error) => failed = Some(error),
            }
        }
        Err(failed.unwrap_or_else(|| io::Error::other("the name has no address")))
    }

    fn over(stream: TcpStream, place: &HostAndPort, tls: Option<&Arc<ClientConfig>>) -> io::Result<Self> {
        let Some(config) = tls else { return Ok(Self::Plain(stream)) };
        let name = ServerName::try_from(place.host.clone()).map_err(io::Error::other)?;
        let connection = ClientConnection::new(Arc::clone(config), name).map_err(io::Error::other)?;
        let mut stream = StreamOwned::new(connection, stream);
        shake_hands(&mut stream, instant() + PATIENCE)?;
        Ok(Self::Tls(Box::new(stream)))
    }

    const fn socket(&self) -> &TcpStream {
        match self {
            Self::Plain(stream) => stream,
            Self::Tls(stream) => &stream.sock,
        }
    }

    /// Whether the far side has not closed it; syslog servers never say anything else, but for TLS's own messages.
    pub fn is_open(&self) -> bool {
        let mut byte = [0];
        let socket = self.socket();
        if socket.set_nonblocking(true).is_err() {
            return false;
        }
        let seen = socket.peek(&mut byte);
        let restored = socket.set_nonblocking(false).is_ok();
        restored && !matches!(seen, Ok(0)) && !seen.is_err_and(|error| error.kind() != io::ErrorKind::WouldBlock)
    }

    /// Until the far side's kernel has it.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Plain(stream) => stream.write_all(bytes)?,
            Self::Tls(stream) => stream.write_all(bytes).and_then(|()| stream.flush())?,
        }
        let deadline = instant() + PATIENCE;
        while unacknowledged(self.socket())? > 0 {
            if instant() > deadline {
                return Err(io::Error::new(io::ErrorKind::TimedOut, "it was not acknowledged"));
            }
            std::thread::sleep(LOOK);
        }
        if let Self::Tls(stream) = self {
            drain(stream)?;
        }
        if self.is_open() { Ok(()) } else { Err(io::ErrorKind::ConnectionReset.into()) }
    }
}

/// One read or write after the other, so that a server that sends a byte now and then does not hold the sink for ever.
fn shake_hands(stream: &mut StreamOwned<ClientConnection, TcpStream>, deadline: Instant) -> io::Result<()> {
    let (tls, socket) = (&mut stream.conn, &mut stream.sock);
    while tls.is_handshaking() || tls.wants_write() {
        if instant() > deadline {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "the server did not finish the TLS handshake in time"));
        }
        if tls.wants_write() {
            tls.write_tls(socket)?;
            continue;
        }
        if tls.read_tls(socket)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if let Err(error) = tls.process_new_packets() {
            // The alert that says why.
            let _ = tls.write_tls(socket);
            return Err(io::Error::new(io::ErrorKind::InvalidData, error));
        }
    }
    Ok(())
}

/// Session tickets and the like, so that they are not taken for something else.
fn drain(stream: &mut StreamOwned<ClientConnection, TcpStream>) -> io::Result<()> {
    stream.sock.set_nonblocking(true)?;
    let read = stream.read(&mut [0; 512]);
    stream.sock.set_nonblocking(false)?;
    match read {
        Ok(0) => Err(io::ErrorKind::ConnectionReset.into()),
        Err(error) if error.kind() != io::ErrorKind::WouldBlock => Err(error),
        _ => Ok(()),
    }
}

/// Bytes that the far side has not acknowledged.
#[expect(unsafe_code, reason = "no crate offers this question to a socket")]
fn unacknowledged(socket: &TcpStream) -> io::Result<libc::c_int> {
    let mut bytes: libc::c_int = 0;
    // SAFETY: the descriptor is open for as long as the socket is borrowed, and the kernel writes one int.
    let asked = unsafe { libc::ioctl(socket.as_raw_fd(), libc::TIOCOUTQ, &raw mut bytes) };
    if asked == 0 { Ok(bytes) } else { Err(io::Error::last_os_error()) }
}

/// What an error means; `sent`: something may have arrived.
pub fn failure(place: &HostAndPort, error: &io::Error, sent: bool) -> Outcome {
    let why = format!("syslog at {}:{}: {error}", place.host, place.port);
    if let Some(advice) = tls::advice_on_stream(error) {
        return Outcome::Configuration { why: why + advice };
    }
    if sent { Outcome::ambiguous(why) } else { Outcome::again(why) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn a_server_that_sends_a_byte_now_and_then_does_not_hold_the_handshake() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port of loopback");
        let address = listener.local_addr().expect("its address");
        std::thread::spawn(move || {
            let Ok((mut stream, _)) = listener.accept() else { return };
            // The beginning of a long record, then its bytes one by one.
            let bytes = [0x16, 3, 3, 0x40, 0].into_iter().chain(std::iter::repeat_n(0, 600));
            for byte in bytes {
                if stream.write_all(&[byte]).is_err() {
                    return;
                }
                std::thread::sleep(Duration::from_millis(20));
            }
        });
        let socket = TcpStream::connect(address).expect("connected");
        socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        let name = ServerName::try_from("localhost").expect("a name");
        let connection = ClientConnection::new(tls::client(None).expect("a client"), name).expect("a connection");
        let mut stream = StreamOwned::new(connection, socket);
        let error = shake_hands(&mut stream, instant() + Duration::from_millis(200)).expect_err("it takes too long");
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }
}
