//! Stands in front of a runtime's socket and notes what it is asked.
//!
//! Contract: hands everything on in both directions, one question a connection; the first line of each is kept.

#![allow(clippy::expect_used, reason = "test code: failures panic")]

use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread;

/// A socket that leads to another one.
pub struct Recorder {
    path: PathBuf,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Recorder {
    /// In front of `target`, in a folder.
    pub fn before(target: &Path, folder: &Path) -> Self {
        let path = folder.join("recorded.sock");
        let listener = UnixListener::bind(&path).expect("socket");
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let (target, notes) = (target.to_owned(), Arc::clone(&asked));
        // Ends with the test's process.
        thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                let (target, notes) = (target.clone(), Arc::clone(&notes));
                thread::spawn(move || hand_on(connection, &target, &notes));
            }
        });
        Self { path, asked }
    }

    /// Its address.
    pub fn host(&self) -> String {
        format!("unix://{}", self.path.display())
    }

    /// The first line of every question so far.
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().expect("lock").clone()
    }
}

fn hand_on(mut client: UnixStream, target: &Path, notes: &Mutex<Vec<String>>) {
    let Ok(mut server) = UnixStream::connect(target) else { return };
    let (mut answers, mut back) = (server.try_clone().expect("clone"), client.try_clone().expect("clone"));
    let answering = thread::spawn(move || {
        let _ = std::io::copy(&mut answers, &mut back);
        let _ = back.shutdown(Shutdown::Both);
    });
    let mut buffer = [0; 4096];
    while let Ok(length @ 1..) = client.read(&mut buffer) {
        let line = String::from_utf8_lossy(&buffer[..length]).lines().next().unwrap_or_default().to_owned();
        notes.lock().expect("lock").push(line);
        if server.write_all(&buffer[..length]).is_err() {
            break;
        }
    }
    let _ = server.shutdown(Shutdown::Both);
    let _ = answering.join();
}
