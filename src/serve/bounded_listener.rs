//! A listener that no peer can keep others from.
//!
//! Contract: a request head arrives within `head` and has at most `request_bytes`; the answer is taken within `patience`; a peer that needs
//! more is disconnected. At most `connections` at once: a further one is accepted nevertheless, and the oldest that waits for its
//! request is disconnected for it, so that `/livez` answers however many connections somebody holds open.
//! Limits: an idle connection is closed after `patience` as well; scrapers simply connect again.
//! Design: below HTTP, on the bytes of the connection, because a peer that sends one byte a minute never gets as far as a handler.
//! An exchange begins with the first bytes that come after an answer.

use std::collections::BTreeMap;
use std::future::Future as _;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::serve::Listener;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::time::{Sleep, sleep};

use crate::clock::task::later;
use crate::sync;

/// What one peer, and all together, may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Connections at once.
    pub connections: usize,
    /// For the head of a request.
    pub head: Duration,
    /// For an answer, and until the next request.
    pub patience: Duration,
    /// Bytes of a request.
    pub request_bytes: usize,
}

/// Accepts within the limits.
#[derive(Debug)]
pub(super) struct BoundedListener {
    listener: TcpListener,
    limits: Limits,
    open: Open,
    next: u64,
}

impl BoundedListener {
    /// Bounds a listener.
    pub(super) fn new(listener: TcpListener, limits: Limits) -> Self {
        Self { listener, limits, open: Open::default(), next: 0 }
    }
}

impl Listener for BoundedListener {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        // axum's own accept goes on after errors such as too many open files.
        let (stream, peer) = Listener::accept(&mut self.listener).await;
        self.next += 1;
        let place = self.open.enter(self.next, self.limits.connections);
        (Connection::new(stream, self.limits, place), peer)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// The open connections, oldest first.
#[derive(Clone, Debug, Default)]
struct Open(Arc<Mutex<BTreeMap<u64, Held>>>);

/// What the listener keeps of a connection; it ends when this is dropped.
#[derive(Debug)]
struct Held {
    answering: bool,
    _ends: oneshot::Sender<()>,
}

impl Open {
    /// Makes room where there is none, and enters a new connection.
    fn enter(&self, number: u64, most: usize) -> Place {
        let (ends, ended) = oneshot::channel();
        let mut open = self.lock();
        if open.len() >= most {
            let waits = open.iter().find(|(_, held)| !held.answering).map(|(number, _)| *number);
            let oldest = waits.or_else(|| open.keys().next().copied());
            oldest.and_then(|oldest| open.remove(&oldest));
        }
        open.insert(number, Held { answering: false, _ends: ends });
        Place { open: self.clone(), number, ended }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, Held>> {
        sync::lock(&self.0)
    }
}

/// A connection's place among the open ones.
#[derive(Debug)]
struct Place {
    open: Open,
    number: u64,
    ended: oneshot::Receiver<()>,
}

impl Place {
    fn set_answering(&self, answering: bool) {
        if let Some(held) = self.open.lock().get_mut(&self.number) {
            held.answering = answering;
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.open.lock().remove(&self.number);
    }
}

/// A connection that ends when its peer takes too long or sends too much, or when another needs its place.
#[derive(Debug)]
pub(super) struct Connection {
    stream: TcpStream,
    limits: Limits,
    deadline: Pin<Box<Sleep>>,
    request_bytes: usize,
    answering: bool,
    place: Place,
}

impl Connection {
    fn new(stream: TcpStream, limits: Limits, place: Place) -> Self {
        let deadline = Box::pin(sleep(limits.head));
        Self { stream, limits, deadline, request_bytes: 0, answering: false, place }
    }

    /// Fails once the deadline has passed or the place is taken; otherwise wakes the task then.
    fn in_time(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        if self.deadline.as_mut().poll(context).is_ready() {
            return Err(io::Error::new(ErrorKind::TimedOut, "the peer took too long"));
        }
        match Pin::new(&mut self.place.ended).poll(context) {
            Poll::Ready(_) => Err(io::Error::new(ErrorKind::ConnectionAborted, "another connection needs the place")),
            Poll::Pending => Ok(()),
        }
    }

    fn set_answering(&mut self, answering: bool) {
        self.answering = answering;
        self.place.set_answering(answering);
        let patience = if answering { self.limits.patience } else { self.limits.head };
        self.deadline.as_mut().reset(later(patience));
    }

    fn count(&mut self, received: usize) -> io::Result<()> {
        if received > 0 && self.answering {
            self.request_bytes = 0;
            self.set_answering(false);
        }
        self.request_bytes += received;
        if self.request_bytes > self.limits.request_bytes {
            return Err(io::Error::new(ErrorKind::InvalidData, "the request is too long"));
        }
        Ok(())
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.in_time(context)?;
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
        Poll::Ready(self.count(buffer.filled().len() - before))
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if !self.answering {
            self.set_answering(true);
        }
        self.in_time(context)?;
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpStream as Peer;

    use axum::{Router, routing::get};

    use super::*;

    const LONG: Duration = Duration::from_mins(1);
    const LIMITS: Limits =
        Limits { connections: 2, head: Duration::from_millis(200), patience: LONG, request_bytes: 1024 };
    /// Nothing ends by time.
    const PATIENT: Limits = Limits { head: LONG, ..LIMITS };
    const REQUEST: &[u8] = b"GET /livez HTTP/1.1\r\nHost: here\r\n\r\n";

    /// Runs a peer on a thread of its own against a server with these limits.
    fn against<T: Send + 'static>(limits: Limits, peer: impl FnOnce(SocketAddr) -> T + Send + 'static) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
            let address = listener.local_addr().expect("an address");
            let router = Router::new().route("/livez", get(|| async { "live" }));
            let server = tokio::spawn(axum::serve(BoundedListener::new(listener, limits), router).into_future());
            let said = tokio::task::spawn_blocking(move || peer(address)).await.expect("the peer ends");
            server.abort();
            said
        })
    }

    fn connect(address: SocketAddr) -> Peer {
        let peer = Peer::connect(address).expect("connect");
        // A server that never disconnects fails the test instead of hanging it.
        peer.set_read_timeout(Some(Duration::from_secs(20))).expect("a timeout");
        peer
    }

    /// What comes until the server disconnects; a reset is an end as well.
    fn until_the_end(peer: &mut Peer) -> String {
        let mut said = Vec::new();
        match peer.read_to_end(&mut said) {
            Err(error) if error.kind() != ErrorKind::ConnectionReset => panic!("not disconnected: {error}"),
            _ => String::from_utf8_lossy(&said).into_owned(),
        }
    }

    fn answer(peer: &mut Peer) -> String {
        let mut said = String::new();
        let mut buffer = [0; 256];
        while !said.ends_with("live") {
            let n = peer.read(&mut buffer).expect("an answer");
            assert!(n > 0, "disconnected after {said:?}");
            said.push_str(&String::from_utf8_lossy(&buffer[..n]));
        }
        said
    }

    #[test]
    fn a_silent_peer_is_disconnected() {
        assert_eq!(against(LIMITS, |address| until_the_end(&mut connect(address))), "");
    }

    #[test]
    fn a_peer_that_never_finishes_its_request_is_disconnected() {
        let said = against(LIMITS, |address| {
            let mut peer = connect(address);
            peer.write_all(&REQUEST[..20]).expect("sent");
            until_the_end(&mut peer)
        });
        assert!(!said.contains("200 OK"), "{said}");
    }

    #[test]
    fn a_request_that_is_too_long_is_not_answered() {
        let said = against(PATIENT, |address| {
            let mut peer = connect(address);
            let long = format!("GET /livez HTTP/1.1\r\nHost: here\r\nX: {}\r\n\r\n", "x".repeat(2000));
            peer.write_all(long.as_bytes()).expect("sent");
            until_the_end(&mut peer)
        });
        assert!(!said.contains("200 OK"), "{said}");
    }

    #[test]
    fn many_requests_on_one_connection_are_answered() {
        against(PATIENT, |address| {
            let mut peer = connect(address);
            // Together they are longer than one request may be.
            for _ in 0..100 {
                peer.write_all(REQUEST).expect("sent");
                assert!(answer(&mut peer).contains("200 OK"));
            }
        });
    }

    /// 2 places, 70 peers that hold them, and the deadlines are far away.
    #[test]
    fn peers_that_never_finish_their_request_do_not_delay_others() {
        against(PATIENT, |address| {
            let mut held = Vec::new();
            for _ in 0..70 {
                let mut slow = connect(address);
                slow.write_all(&REQUEST[..20]).expect("sent");
                held.push(slow);
            }
            let mut last = connect(address);
            last.write_all(REQUEST).expect("sent");
            assert!(answer(&mut last).contains("200 OK"));
            // All but the newest have lost their places.
            assert_eq!(until_the_end(&mut held[0]), "");
        });
    }

    #[test]
    fn a_peer_that_is_slow_to_ask_again_is_not_hurried() {
        let limits = Limits { head: Duration::from_secs(1), ..LIMITS };
        against(limits, |address| {
            let mut peer = connect(address);
            peer.write_all(REQUEST).expect("sent");
            assert!(answer(&mut peer).contains("200 OK"));
            // One that asks nothing, and came later, is disconnected meanwhile.
            assert_eq!(until_the_end(&mut connect(address)), "");
            peer.write_all(REQUEST).expect("sent");
            assert!(answer(&mut peer).contains("200 OK"));
        });
    }
}
