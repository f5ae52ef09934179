//! An HTTP receiver that answers by a script, and misbehaves as it says.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::support::patience::wait_until;

/// What it does with the next request.
#[derive(Clone, Debug)]
pub enum Answer {
    /// Answers with this status, headers and body.
    Status(u16, Vec<(String, String)>, String),
    /// Reads the request and closes the connection.
    CloseAtOnce,
    /// Closes it in the middle of the answer's header.
    CloseInHeader,
    /// Answers 200 and closes it in the middle of the body.
    CloseInBody,
    /// Reads the request and never answers.
    StaySilent,
    /// Reads nothing.
    NeverRead,
    /// Answers 200 with a body that never ends.
    EndlessBody,
}

impl Answer {
    pub fn status(status: u16, body: &str) -> Self {
        Self::Status(status, Vec::new(), body.to_owned())
    }

    pub fn with(self, name: &str, value: &str) -> Self {
        let Self::Status(status, mut headers, body) = self else { return self };
        headers.push((name.to_owned(), value.to_owned()));
        Self::Status(status, headers, body)
    }
}

/// A request that arrived.
#[derive(Clone, Debug)]
pub struct Request {
    head: String,
    pub body: Vec<u8>,
}

impl Request {
    /// What is asked for: the path with its query.
    pub fn target(&self) -> &str {
        self.head.split(' ').nth(1).unwrap_or_default()
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// A header's value, by its name in small letters.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }
}

/// The receiver; its thread ends with the test's process.
#[derive(Debug)]
pub struct HostileReceiver {
    address: SocketAddr,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl HostileReceiver {
    /// Answers the first requests by the script, further ones with 200.
    pub fn start(script: impl IntoIterator<Item = Answer>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port of loopback");
        let address = listener.local_addr().expect("its address");
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (script, known) = (script.into_iter().collect::<Vec<_>>(), Arc::clone(&requests));
        std::thread::spawn(move || {
            let mut script = script.into_iter();
            // Connections that are kept open without an answer.
            let mut held = Vec::new();
            for stream in listener.incoming().flatten() {
                let answer = script.next().unwrap_or_else(|| Answer::status(200, ""));
                held.extend(serve(stream, &answer, &known));
            }
        });
        Self { address, requests }
    }

    pub fn url(&self) -> String {
        format!("http://{}/hook", self.address)
    }

    pub fn requests(&self) -> Vec<Request> {
        self.requests.lock().expect("no panic").clone()
    }

    /// Waits until so many requests arrived.
    pub fn wait_for(&self, count: usize) -> Vec<Request> {
        wait_until(&format!("{count} requests"), || self.requests().len() >= count);
        self.requests()
    }
}

/// One request a connection: every answer asks for the end of it.
fn serve(mut stream: TcpStream, answer: &Answer, requests: &Mutex<Vec<Request>>) -> Option<TcpStream> {
    if matches!(answer, Answer::NeverRead) {
        return Some(stream);
    }
    let request = read(&mut stream)?;
    requests.lock().expect("no panic").push(request);
    match answer {
        Answer::Status(status, headers, body) => {
            let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
            let length = body.len();
            let _ = write!(
                stream,
                "HTTP/1.1 {status} X\r\nContent-Length: {length}\r\nConnection: close\r\n{headers}\r\n{body}"
            );
        }
        Answer::CloseInHeader => drop(stream.write_all(b"HTTP/1.1 200 O")),
        Answer::CloseInBody => {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"items\":");
        }
        Answer::EndlessBody => {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1073741824\r\n\r\n");
            std::thread::spawn(move || while stream.write_all(&[b'x'; 4096]).is_ok() {});
        }
        Answer::StaySilent => return Some(stream),
        Answer::CloseAtOnce | Answer::NeverRead => {}
    }
    None
}

fn read(stream: &mut TcpStream) -> Option<Request> {
    stream.set_read_timeout(Some(Duration::from_secs(30))).ok()?;
    let mut bytes = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n");
        if let Some(end) = end {
            let request =
                Request { head: String::from_utf8_lossy(&bytes[..end]).into_owned(), body: bytes[end + 4..].to_vec() };
            let length = request.header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
            if request.body.len() >= length {
                return Some(request);
            }
        }
        match stream.read(&mut chunk) {
            Ok(0) | Err(_) => return None,
            Ok(read) => bytes.extend_from_slice(&chunk[..read]),
        }
    }
}
