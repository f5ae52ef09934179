//! A unix socket in front of a runtime's that passes everything on, but holds one request or its answer back, so that a process can be killed at that very moment.
//!
//! Contract: while [`Hold::Request`] is set, requests whose first line holds the words never reach the runtime; with [`Hold::Answer`] they do, and their answer
//! does not come back. Limits: HTTP/1 with a connection for each request.

#![allow(dead_code, reason = "each test file uses its own part of the harness")]
#![allow(clippy::expect_used, reason = "test code: failures panic")]

use std::io::{Read as _, Write as _};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What is held back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hold {
    Nothing,
    Request,
    Answer,
}

/// The socket; passes on for as long as the test process lives.
pub struct StallingSocket {
    rule: Arc<Mutex<(Hold, &'static str)>>,
    held: Receiver<()>,
}

impl StallingSocket {
    /// Listens at `path` in front of the socket `to`.
    pub fn start(path: &Path, to: PathBuf) -> Self {
        let listener = UnixListener::bind(path).expect("a socket");
        let rule = Arc::new(Mutex::new((Hold::Nothing, "")));
        let (sender, held) = channel();
        let shared = Arc::clone(&rule);
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let (to, shared, sender) = (to.clone(), Arc::clone(&shared), sender.clone());
                std::thread::spawn(move || pass_on(client, &to, &shared, &sender));
            }
        });
        Self { rule, held }
    }

    /// From now on requests with these words are held.
    pub fn hold(&self, hold: Hold, words: &'static str) {
        *self.rule.lock().expect("a lock") = (hold, words);
    }

    /// Waits until one is held.
    pub fn wait(&self) {
        self.held.recv_timeout(Duration::from_mins(1)).expect("a request is held back");
    }
}

fn pass_on(mut client: UnixStream, to: &Path, rule: &Mutex<(Hold, &'static str)>, held: &Sender<()>) {
    let mut first = [0; 16_384];
    let Ok(length) = client.read(&mut first) else { return };
    let line = String::from_utf8_lossy(&first[..length]);
    let line = line.lines().next().unwrap_or_default();
    let (mode, words) = *rule.lock().expect("a lock");
    let mode = if line.contains(words) { mode } else { Hold::Nothing };
    if mode == Hold::Request {
        let _ = held.send(());
        // Until its process is gone.
        while client.read(&mut first).is_ok_and(|length| length > 0) {}
        return;
    }
    let mut server = UnixStream::connect(to).expect("the runtime");
    server.write_all(&first[..length]).expect("written");
    let (mut from_client, mut to_server) =
        (client.try_clone().expect("a socket"), server.try_clone().expect("a socket"));
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut from_client, &mut to_server);
        let _ = to_server.shutdown(Shutdown::Write);
    });
    if mode == Hold::Answer {
        let _ = server.read(&mut first);
        let _ = held.send(());
        return std::mem::forget(client);
    }
    let _ = std::io::copy(&mut server, &mut client);
    let _ = client.shutdown(Shutdown::Both);
}
