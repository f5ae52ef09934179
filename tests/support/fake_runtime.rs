//! A runtime that lies: answers on a unix socket with whatever a test wants.
//!
//! Contract: one question a connection, read up to the end of its headers; the test writes the answer. Limits: no HTTP of its own
//! but what [`Answer`] writes. Design: a fake, because no real daemon can be made hostile enough.

#![allow(dead_code, reason = "each test file uses its own part of the harness")]
#![allow(clippy::expect_used, reason = "test code: failures panic")]

use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// A connection whose question was read.
pub struct Answer(pub UnixStream);

impl Answer {
    /// A whole answer.
    pub fn json(mut self, text: &str) {
        let head =
            format!("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n", text.len());
        let _ = self.0.write_all(head.as_bytes()).and_then(|()| self.0.write_all(text.as_bytes()));
    }

    /// Nothing of that name.
    pub fn gone(mut self) {
        let _ = self.0.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\n{}");
    }

    /// An answer whose length is not said, open until dropped.
    pub fn open(mut self) -> UnixStream {
        let _ = self.0.write_all(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n");
        self.0
    }
}

/// A socket behind which somebody hostile listens.
pub struct FakeRuntime {
    folder: tempfile::TempDir,
    asked: Arc<Mutex<Vec<String>>>,
}

impl FakeRuntime {
    /// Calls `answer` with the path of each question, without version and query, on a thread of its own.
    pub fn new(answer: impl Fn(&str, Answer) + Send + Sync + 'static) -> Self {
        Self::inside(tempfile::tempdir().expect("folder"), answer)
    }

    /// As [`Self::new`], in a folder that was there before; the socket is `fake.sock` in it.
    pub fn inside(folder: tempfile::TempDir, answer: impl Fn(&str, Answer) + Send + Sync + 'static) -> Self {
        let listener = UnixListener::bind(folder.path().join("fake.sock")).expect("socket");
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let notes = Arc::clone(&asked);
        let answer = Arc::new(answer);
        // Ends with the test's process.
        thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                let (notes, answer) = (Arc::clone(&notes), Arc::clone(&answer));
                thread::spawn(move || {
                    let Some((line, connection)) = question(connection) else { return };
                    notes.lock().expect("lock").push(line.clone());
                    let target = line.split(' ').nth(1).unwrap_or_default();
                    let path = target.split('?').next().unwrap_or_default();
                    answer(path.strip_prefix("/v1.41").unwrap_or(path), Answer(connection));
                });
            }
        });
        Self { folder, asked }
    }

    /// Its address.
    pub fn host(&self) -> String {
        self.folder.path().join("fake.sock").display().to_string()
    }

    /// The first line of every question so far.
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().expect("lock").clone()
    }
}

/// The first line; `None` when nothing was asked.
fn question(mut connection: UnixStream) -> Option<(String, UnixStream)> {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        connection.read_exact(&mut byte).ok()?;
        head.extend(byte);
    }
    Some((String::from_utf8_lossy(&head).lines().next()?.to_owned(), connection))
}
