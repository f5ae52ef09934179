//! A listener whose connections cannot be held for ever.
//!
//! Contract: at most `connections` at once, further ones wait in the kernel's backlog; a request and its answer together take at most
//! `patience`, and a request has at most `request_bytes`; a peer that exceeds that is disconnected.
//! Limits: an idle connection is closed after `patience` as well; scrapers simply connect again.
//! Design: below HTTP, on the bytes of the connection, because a peer that sends one byte a minute never gets as far as a handler.
//! An exchange begins with the first bytes that come after an answer.

use std::future::Future as _;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::serve::Listener;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep, sleep};

/// What one peer, and all together, may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Connections at once.
    pub connections: usize,
    /// For a request and its answer.
    pub patience: Duration,
    /// Bytes of a request.
    pub request_bytes: usize,
}

/// Accepts within the limits.
#[derive(Debug)]
pub(super) struct BoundedListener {
    listener: TcpListener,
    limits: Limits,
    free: Arc<Semaphore>,
}

impl BoundedListener {
    /// Bounds a listener.
    pub(super) fn new(listener: TcpListener, limits: Limits) -> Self {
        Self { listener, limits, free: Arc::new(Semaphore::new(limits.connections)) }
    }
}

impl Listener for BoundedListener {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        let slot = Arc::clone(&self.free).acquire_owned().await.ok();
        // axum's own accept goes on after errors such as too many open files.
        let (stream, peer) = Listener::accept(&mut self.listener).await;
        (Connection::new(stream, self.limits, slot), peer)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// A connection that ends when its peer takes too long or sends too much.
#[derive(Debug)]
pub(super) struct Connection {
    stream: TcpStream,
    limits: Limits,
    deadline: Pin<Box<Sleep>>,
    request_bytes: usize,
    answering: bool,
    _slot: Option<OwnedSemaphorePermit>,
}

impl Connection {
    fn new(stream: TcpStream, limits: Limits, slot: Option<OwnedSemaphorePermit>) -> Self {
        let deadline = Box::pin(sleep(limits.patience));
        Self { stream, limits, deadline, request_bytes: 0, answering: false, _slot: slot }
    }

    /// Fails once the deadline has passed; otherwise wakes the task then.
    fn in_time(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        match self.deadline.as_mut().poll(context) {
            Poll::Ready(()) => Err(io::Error::new(ErrorKind::TimedOut, "the peer took too long")),
            Poll::Pending => Ok(()),
        }
    }

    fn count(&mut self, received: usize) -> io::Result<()> {
        if received > 0 && std::mem::take(&mut self.answering) {
            self.request_bytes = 0;
            self.deadline.as_mut().reset(Instant::now() + self.limits.patience);
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
        self.in_time(context)?;
        self.answering = true;
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

    const LIMITS: Limits = Limits { connections: 2, patience: Duration::from_millis(200), request_bytes: 1024 };
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
        let said = against(Limits { patience: Duration::from_mins(1), ..LIMITS }, |address| {
            let mut peer = connect(address);
            let long = format!("GET /livez HTTP/1.1\r\nHost: here\r\nX: {}\r\n\r\n", "x".repeat(2000));
            peer.write_all(long.as_bytes()).expect("sent");
            until_the_end(&mut peer)
        });
        assert!(!said.contains("200 OK"), "{said}");
    }

    #[test]
    fn many_requests_on_one_connection_are_answered() {
        against(Limits { patience: Duration::from_mins(1), ..LIMITS }, |address| {
            let mut peer = connect(address);
            // Together they are longer than one request may be.
            for _ in 0..100 {
                peer.write_all(REQUEST).expect("sent");
                assert!(answer(&mut peer).contains("200 OK"));
            }
        });
    }

    #[test]
    fn silent_peers_delay_others_only_until_they_are_disconnected() {
        against(LIMITS, |address| {
            let silent: Vec<_> = (0..LIMITS.connections).map(|_| connect(address)).collect();
            let mut last = connect(address);
            last.write_all(REQUEST).expect("sent");
            assert!(answer(&mut last).contains("200 OK"));
            drop(silent);
        });
    }
}
