//! Receivers as people run them, on loopback: rsyslog over every transport, Alertmanager.

use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use hopwatch::alert::Alert;
use hopwatch::deliver::{Outbox, trial};

use super::{at, counters, keep, sinks};
use crate::support::patience::{wait_for, wait_until};

/// A process that ends with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts a program that is installed; none where it is not, which is said.
fn start(program: &str, arguments: &[&str]) -> Option<Running> {
    let started = Command::new(program).args(arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    match started {
        Ok(child) => Some(Running(child)),
        Err(error) => {
            println!("skipped: {program} does not run here: {error}");
            None
        }
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port of loopback").port()
}

fn wait_for_port(port: u16) {
    wait_until("it listens", || TcpStream::connect(("127.0.0.1", port)).is_ok());
}

/// rsyslog that writes every message with its structured data to a file.
fn rsyslog(folder: &Path, inputs: &str) -> Option<(Running, PathBuf)> {
    let (config, log) = (folder.join("rsyslog.conf"), folder.join("received"));
    let text = format!(
        "global(workDirectory=\"{0}\" defaultNetstreamDriverCAFile=\"{0}/ca.pem\" \
         defaultNetstreamDriverCertFile=\"{0}/server.pem\" defaultNetstreamDriverKeyFile=\"{0}/key.pem\")\n{inputs}\n\
         template(name=\"all\" type=\"string\" string=\"%app-name%|%msgid%|%structured-data%|%msg%\\n\")\n\
         action(type=\"omfile\" file=\"{1}\" template=\"all\")\n",
        folder.display(),
        log.display()
    );
    std::fs::write(&config, text).expect("written");
    let (config, pid) = (config.display().to_string(), folder.join("pid").display().to_string());
    let running = start("/usr/sbin/rsyslogd", &["-n", "-f", &config, "-i", &pid])?;
    Some((running, log))
}

#[test]
fn rsyslog_gets_every_alert_over_udp_tcp_and_a_local_socket() {
    let folder = tempfile::tempdir().expect("a folder");
    let (udp, tcp, local) = (free_port(), free_port(), folder.path().join("log.sock"));
    let inputs = format!(
        "module(load=\"imudp\")\ninput(type=\"imudp\" address=\"127.0.0.1\" port=\"{udp}\")\n\
         module(load=\"imtcp\")\ninput(type=\"imtcp\" address=\"127.0.0.1\" port=\"{tcp}\")\n\
         module(load=\"imuxsock\" sysSock.use=\"off\")\ninput(type=\"imuxsock\" socket=\"{}\")",
        local.display()
    );
    let Some((_running, log)) = rsyslog(folder.path(), &inputs) else { return };
    wait_for_port(tcp);
    wait_until("the socket is there", || local.exists());
    for (name, address) in [
        ("tcp", format!("tcp://127.0.0.1:{tcp}")),
        ("udp", format!("udp://127.0.0.1:{udp}")),
        ("local", format!("unix://{}", local.display())),
    ] {
        let mut outbox =
            Outbox::start(sinks(&format!("sinks: {{{name}: {{syslog: {{address: {address:?}}}}}}}")), None)
                .expect("started");
        let ids: Vec<_> = (0..20).map(|number| keep(&mut outbox, number)).collect();
        let received = || std::fs::read_to_string(&log).unwrap_or_default();
        let head = if name == "local" { "hopwatch|-|-| " } else { "hopwatch|delivery-test|" };
        let wanted = |id: &String| format!("{head}[hopwatch@32473 id=\"{id}\" update=\"0\"");
        wait_until(&format!("rsyslog has all over {name}"), || ids.iter().all(|id| received().contains(&wanted(id))));
        assert!(received().contains("Test of delivery"), "{}", received());
        std::fs::write(&log, "").expect("emptied");
    }
}

fn tls_input(port: u16) -> String {
    format!(
        "module(load=\"imtcp\" StreamDriver.Name=\"gtls\" StreamDriver.Mode=\"1\" StreamDriver.AuthMode=\"anon\")\n\
         input(type=\"imtcp\" address=\"127.0.0.1\" port=\"{port}\")"
    )
}

/// An authority (`ca.pem`) and a server's certificate from it (`server.pem`, `key.pem`); whether openssl made them.
fn certificates(folder: &Path) -> bool {
    let request = |subject: &str, files: &[&str]| {
        let made = Command::new("openssl")
            .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"])
            .args(["-subj", subject])
            .args(files)
            .current_dir(folder)
            .stderr(Stdio::null())
            .status();
        made.is_ok_and(|status| status.success())
    };
    let server = ["subjectAltName=DNS:localhost", "basicConstraints=critical,CA:FALSE"];
    request("/CN=Test authority", &["-keyout", "ca.key", "-out", "ca.pem"])
        && request(
            "/CN=localhost",
            &[
                "-CA",
                "ca.pem",
                "-CAkey",
                "ca.key",
                "-addext",
                server[0],
                "-addext",
                server[1],
                "-keyout",
                "key.pem",
                "-out",
                "server.pem",
            ],
        )
}

#[test]
fn rsyslog_over_tls_is_trusted_only_with_its_certificate() {
    let folder = tempfile::tempdir().expect("a folder");
    let (module, port) = (Path::new("/usr/lib/x86_64-linux-gnu/rsyslog/lmnsd_gtls.so"), free_port());
    if !certificates(folder.path()) || !module.exists() {
        println!("skipped: openssl and rsyslog-gnutls are not both installed");
        return;
    }
    let Some((_running, log)) = rsyslog(folder.path(), &tls_input(port)) else { return };
    wait_for_port(port);
    let text = |ca: &str| format!("sinks: {{tls: {{syslog: {{address: \"tls://localhost:{port}\"{ca}}}}}}}");
    let mut untrusted = Outbox::start(sinks(&text("")), None).expect("started");
    keep(&mut untrusted, 0);
    let counters = counters(&untrusted);
    wait_until("the certificate is refused", || counters.not_ready().is_some_and(|why| why.contains("certificate")));
    let ca = format!(", ca_file: {:?}", folder.path().join("ca.pem").display().to_string());
    let mut trusted = Outbox::start(sinks(&text(&ca)), None).expect("started");
    let id = keep(&mut trusted, 1);
    wait_until("it arrives", || std::fs::read_to_string(&log).is_ok_and(|text| text.contains(&id)));
}

#[test]
fn an_authority_that_a_server_shows_as_its_own_certificate_is_explained() {
    let folder = tempfile::tempdir().expect("a folder");
    let port = free_port();
    if !certificates(folder.path()) {
        println!("skipped: openssl is not installed");
        return;
    }
    let file = |name: &str| folder.path().join(name);
    std::fs::copy(file("ca.pem"), file("server.pem")).expect("copied");
    std::fs::copy(file("ca.key"), file("key.pem")).expect("copied");
    let server =
        ["s_server", "-quiet", "-accept", &format!("127.0.0.1:{port}"), "-cert", "server.pem", "-key", "key.pem"];
    let started =
        Command::new("openssl").args(server).current_dir(&folder).stdin(Stdio::null()).stderr(Stdio::null()).spawn();
    let _running = Running(started.expect("openssl was there"));
    wait_for_port(port);
    let ca = file("ca.pem").display().to_string();
    let text = format!("sinks: {{tls: {{syslog: {{address: \"tls://localhost:{port}\", ca_file: {ca:?}}}}}}}");
    let mut outbox = Outbox::start(sinks(&text), None).expect("started");
    keep(&mut outbox, 0);
    let counters = counters(&outbox);
    wait_until("it is explained", || counters.not_ready().is_some_and(|why| why.contains("basicConstraints CA:FALSE")));
}

/// Alertmanager, and where it answers.
fn alertmanager(folder: &Path) -> Option<(Running, String)> {
    let config = folder.join("alertmanager.yml");
    std::fs::write(&config, "route: {receiver: none}\nreceivers: [{name: none}]\n").expect("written");
    let port = free_port();
    let (listen, cluster) = (format!("--web.listen-address=127.0.0.1:{port}"), "--cluster.listen-address=");
    let (file, data) = (format!("--config.file={}", config.display()), format!("--storage.path={}", folder.display()));
    let running = start("prometheus-alertmanager", &[&file, &data, &listen, cluster])?;
    wait_for_port(port);
    Some((running, format!("http://127.0.0.1:{port}")))
}

/// What it shows.
fn shown_by(url: &str) -> Result<serde_json::Value, String> {
    let answer = Command::new("curl").args(["-sf", &format!("{url}/api/v2/alerts")]).output();
    let answer = answer.map_err(|error| error.to_string())?.stdout;
    serde_json::from_slice(&answer).map_err(|error| error.to_string())
}

#[test]
fn what_is_over_ends_in_alertmanager_long_before_a_silence_would() {
    let folder = tempfile::tempdir().expect("a folder");
    let Some((_running, url)) = alertmanager(folder.path()) else { return };
    let text = format!("sinks: {{pager: {{alertmanager: {{urls: [{url:?}], resend: 1s, keep_open: 1h}}}}}}");
    let mut outbox = Outbox::start(sinks(&text), None).expect("started");
    let alert = trial::alert(at(0));
    outbox.keep_alert(&alert).expect("kept");
    wait_for("it is shown", || match shown_by(&url)?.as_array() {
        Some(all) if all.len() == 1 => Ok(()),
        other => Err(format!("{other:?}")),
    });
    outbox.keep_alert(&Alert { update: 1, ended: true, ..alert }).expect("kept");
    wait_for("it ends", || {
        let shown = shown_by(&url)?;
        if shown.as_array().is_some_and(Vec::is_empty) { Ok(()) } else { Err(shown.to_string()) }
    });
}

#[test]
fn alertmanager_shows_an_alert_once_however_often_it_is_sent_and_ends_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let Some((_running, url)) = alertmanager(folder.path()) else { return };
    let text = format!("sinks: {{pager: {{alertmanager: {{urls: [{url:?}], resend: 1s, keep_open: 3s}}}}}}");
    let mut outbox = Outbox::start(sinks(&text), None).expect("started");
    let id = keep(&mut outbox, 0);
    let alerts = || shown_by(&url);
    let counters = counters(&outbox);
    let shown = wait_for("it is shown", || {
        let shown = alerts()?;
        let is_there = shown.as_array().is_some_and(|all| !all.is_empty());
        if is_there { Ok(shown) } else { Err(format!("{shown} {:?}", counters.not_ready())) }
    });
    assert_eq!((shown.as_array().map(Vec::len), shown[0]["labels"]["alert_id"].as_str()), (Some(1), Some(id.as_str())));
    assert_eq!(shown[0]["labels"]["severity"], "critical");
    let first_end = shown[0]["endsAt"].as_str().unwrap_or_default().to_owned();
    wait_for("it is sent again before it ends by itself", || {
        let shown = alerts()?;
        let moved = shown[0]["endsAt"].as_str().is_some_and(|end| end > first_end.as_str());
        if moved { Ok(()) } else { Err(shown.to_string()) }
    });
    wait_for("it ends when nothing new comes", || {
        let shown = alerts()?;
        if shown.as_array().is_some_and(Vec::is_empty) { Ok(()) } else { Err(shown.to_string()) }
    });
}
