//! What people read fits their terminal: each command in a real one (tmux) of 80 and of 160 columns.
//!
//! Needs tmux; says why it skips otherwise. Design: a line that the terminal had to break is the difference between the pane's lines as they
//! stand and as tmux joins them.

use std::cell::Cell;
use std::path::Path;
use std::process::Command;

use crate::support::patience::wait_until;

/// One server of its own, that ends with the test.
struct Terminal {
    socket: String,
    /// Sessions so far. None is closed before the end: the server would end with the last one, and refuse the next.
    sessions: Cell<u32>,
}

impl Terminal {
    fn tmux(&self, arguments: &[&str]) -> String {
        let output = Command::new("tmux").args(["-f", "/dev/null", "-S", &self.socket]).args(arguments).output();
        String::from_utf8_lossy(&output.expect("tmux runs").stdout).into_owned()
    }

    /// What a command shows in a new terminal of so many columns, as it stands and as tmux joins what it broke.
    fn shows(&self, columns: usize, command: &str) -> (String, String) {
        self.sessions.set(self.sessions.get() + 1);
        let session = format!("s{}", self.sessions.get());
        let run = format!("{command}; echo; echo END-OF-OUTPUT; read line");
        let columns = columns.to_string();
        self.tmux(&["new-session", "-d", "-s", &session, "-x", &columns, "-y", "400", "sh", "-c", &run]);
        wait_until(&format!("the end of {command}"), || {
            self.tmux(&["capture-pane", "-p", "-t", &session]).contains("END-OF-OUTPUT")
        });
        let pane = |more: &[&str]| self.tmux(&[&["capture-pane", "-p", "-t", &session, "-S", "-"], more].concat());
        (pane(&[]), pane(&["-J"]))
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.tmux(&["kill-server"]);
    }
}

fn capture(name: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("captures").join(name).display().to_string()
}

#[test]
fn everything_that_people_read_fits_80_and_160_columns() {
    if Command::new("tmux").arg("-V").output().is_err() {
        println!("skipped: tmux is not installed");
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let terminal = Terminal { socket: folder.path().join("tmux").display().to_string(), sessions: Cell::new(0) };
    let (around, gateway) = (capture("egress-around-proxy"), capture("gateway-skipped"));
    let commands = [
        (format!("replay {around}"), "do next"),
        (format!("replay {gateway}"), "do next"),
        ("rules list".to_owned(), "sensor-blinded"),
        ("rules explain sensor-blinded".to_owned(), "Blind spots"),
        (format!("flows {around}"), "198.51.100.10"),
        (format!("paths --read {gateway}"), "contract"),
        (format!("verify --workload '*' --through container:squid:3128 --read {around}"), "exceptions"),
        (format!("config check {around}/hopwatch.yaml"), "the configuration is right"),
    ];
    for columns in [80, 160] {
        for (command, part) in &commands {
            let run = format!("TERM=screen HOPWATCH_LOG=off {} {command}", env!("CARGO_BIN_EXE_hopwatch"));
            let (shown, joined) = terminal.shows(columns, &run);
            assert!(shown.contains(part), "{command} shows no {part} at {columns} columns:\n{shown}");
            let (lines, whole) = (shown.trim_end().lines().count(), joined.trim_end().lines().count());
            assert_eq!(lines, whole, "`{command}` is wider than {columns} columns:\n{joined}");
        }
    }
}
