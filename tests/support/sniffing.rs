//! A `hopwatch sniff` of a test, and the JSON lines that it has written so far.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use serde_json::Value;

/// Ends, in an orderly way, when it is dropped.
pub struct Sniffing {
    child: Child,
    lines: Arc<Mutex<Vec<Value>>>,
}

impl Sniffing {
    /// Starts it; `--format json` is the caller's.
    pub fn start(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("hopwatch runs");
        let lines: Arc<Mutex<Vec<Value>>> = Arc::default();
        let (out, into) = (child.stdout.take().expect("piped"), Arc::clone(&lines));
        std::thread::spawn(move || {
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                into.lock().expect("lock").extend(serde_json::from_str::<Value>(&line));
            }
        });
        Self { child, lines }
    }

    /// The texts of one kind of evidence, of all lines of a rule.
    pub fn said(&self, rule: &str, kind: &str) -> Vec<String> {
        let lines = self.lines.lock().expect("lock");
        let of_rule = lines.iter().filter(|line| line["rule"] == rule);
        let evidence = of_rule.flat_map(|line| line["evidence"].as_array().cloned().unwrap_or_default());
        evidence
            .filter(|one| one["kind"] == kind)
            .map(|one| one["text"].as_str().unwrap_or_default().to_owned())
            .collect()
    }

    /// How many lines of a rule have this text in their evidence.
    pub fn count(&self, rule: &str, text: &str) -> usize {
        let lines = self.lines.lock().expect("lock");
        lines.iter().filter(|line| line["rule"] == rule && line["evidence"].to_string().contains(text)).count()
    }
}

impl Drop for Sniffing {
    fn drop(&mut self) {
        let _ = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status();
        let _ = self.child.wait();
    }
}
