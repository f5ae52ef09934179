//! The audit's page in a real Chromium: what it asks for, how it fits, how it prints.
//!
//! Contract: needs Chromium (Debian package `chromium-headless-shell` or `chromium`); skips with a message where it is not there. Design: the browser is driven
//! over its `DevTools` pipe (messages of JSON, each ended by a zero byte, on descriptors 3 and 4), so that nothing listens.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use base64::Engine as _;
use serde_json::{Value, json};

/// A phone's width.
const PHONE: u32 = 390;
/// WCAG 2 asks for this between text and what is behind it.
const CONTRAST: f64 = 4.5;
/// What the page looks like, as the browser computes it.
const LOOKS: &str = "(() => {
  const probe = document.createElement('i');
  probe.style.background = 'Canvas';
  document.body.append(probe);
  const behind = getComputedStyle(probe).backgroundColor;
  probe.remove();
  const color = (one) => getComputedStyle(document.querySelector(one)).color;
  return {
    width: document.documentElement.scrollWidth,
    behind,
    colors: ['body', '.low', '.medium', '.high', '.critical'].map(color),
    active: document.querySelectorAll('script,img,iframe,object,form,a,svg').length,
    text: document.body.innerText,
  };
})()";

struct Browser {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    session: Value,
    events: Vec<Value>,
    asked: u64,
    _profile: tempfile::TempDir,
}

impl Browser {
    /// None, with a message, where there is no browser.
    fn start() -> Option<Self> {
        let names = ["chromium-headless-shell", "chromium", "chromium-browser", "google-chrome"];
        let path = std::env::var_os("PATH").unwrap_or_default();
        let folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
        let programs = names.iter().flat_map(|name| folders.iter().map(move |folder| folder.join(name)));
        let Some(program) = programs.into_iter().find(|program| program.is_file()) else {
            println!("skipped: needs Chromium (Debian package chromium-headless-shell)");
            return None;
        };
        let profile = tempfile::tempdir().expect("a folder");
        let script = format!(
            "exec {} --headless --no-sandbox --disable-gpu --disable-background-networking --no-first-run --user-data-dir={} \
             --remote-debugging-pipe 3<&0 4>&1 </dev/null >/dev/null 2>&1",
            program.display(),
            profile.path().display()
        );
        // A browser that hangs ends the test, not the day.
        let mut command = Command::new("timeout");
        command.args(["--kill-after=5", "180", "sh", "-c", &script]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("start the browser");
        let input = child.stdin.take().expect("a pipe");
        let output = BufReader::new(child.stdout.take().expect("a pipe"));
        let (session, events) = (Value::Null, Vec::new());
        let mut browser = Self { child, input, output, session, events, asked: 0, _profile: profile };
        let page = browser.call("Target.createTarget", &json!({"url": "about:blank"}));
        let attached = browser.call("Target.attachToTarget", &json!({"targetId": page["targetId"], "flatten": true}));
        browser.session = attached["sessionId"].clone();
        for part in ["Network", "Page", "Log"] {
            browser.call(&format!("{part}.enable"), &json!({}));
        }
        Some(browser)
    }

    fn receive(&mut self) -> Value {
        let mut message = Vec::new();
        self.output.read_until(0, &mut message).expect("the browser answers");
        assert_eq!(message.pop(), Some(0), "the browser ended");
        serde_json::from_slice(&message).expect("JSON")
    }

    fn call(&mut self, method: &str, params: &Value) -> Value {
        self.asked += 1;
        let mut message = json!({"id": self.asked, "method": method, "params": params});
        if !self.session.is_null() {
            message["sessionId"] = self.session.clone();
        }
        self.input.write_all(format!("{message}\0").as_bytes()).expect("the browser reads");
        loop {
            let answer = self.receive();
            if answer["id"] == self.asked {
                assert!(answer["error"].is_null(), "{method}: {answer}");
                return answer["result"].clone();
            }
            self.events.push(answer);
        }
    }

    /// Shows a page; every address that it asked for, and what the browser complained about.
    fn show(&mut self, page: &Path, scheme: &str, width: u32) -> (Vec<String>, Vec<String>) {
        let screen = json!({"width": width, "height": 844, "deviceScaleFactor": 2, "mobile": width == PHONE});
        self.call("Emulation.setDeviceMetricsOverride", &screen);
        let scheme = json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]});
        self.call("Emulation.setEmulatedMedia", &scheme);
        self.events.clear();
        self.call("Page.navigate", &json!({"url": format!("file://{}", page.display())}));
        while !self.events.iter().any(|event| event["method"] == "Page.loadEventFired") {
            let event = self.receive();
            self.events.push(event);
        }
        // Its turn comes after everything that loading caused.
        self.call("Runtime.evaluate", &json!({"expression": "1"}));
        let all = |method: &str, path: &str| {
            let of = self.events.iter().filter(|event| event["method"] == method);
            of.filter_map(|event| Some(event.pointer(path)?.as_str()?.to_owned())).collect()
        };
        (all("Network.requestWillBeSent", "/params/request/url"), all("Log.entryAdded", "/params/entry/text"))
    }

    fn looks(&mut self) -> Value {
        let answer = self.call("Runtime.evaluate", &json!({"expression": LOOKS, "returnByValue": true}));
        answer["result"]["value"].clone()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Relative luminance of `rgb(180, 64, 15)`, as WCAG 2 has it.
fn luminance(color: &Value) -> f64 {
    let text = color.as_str().expect("a colour");
    let parts = text.trim_start_matches("rgb(").trim_end_matches(')').split(", ");
    let part = |part: &str| {
        let value = part.parse::<f64>().expect("a number") / 255.0;
        if value <= 0.040_45 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
    };
    parts.map(part).zip([0.2126, 0.7152, 0.0722]).map(|(value, weight)| value * weight).sum()
}

fn contrast(one: &Value, other: &Value) -> f64 {
    let (one, other) = (luminance(one), luminance(other));
    (one.max(other) + 0.05) / (one.min(other) + 0.05)
}

/// A page about containers whose names want to be obeyed, and are longer than any screen.
fn page(folder: &Path, port: u16) -> PathBuf {
    let long = "x".repeat(300);
    let image = format!("<img src=http://127.0.0.1:{port}/i>");
    let style = format!("</style><style>@import 'http://127.0.0.1:{port}/s'");
    let container = |number: usize, name: &str| {
        json!({"Id": format!("aa{number}"), "Name": format!("/{name}"), "State": {"Running": true, "Pid": 1},
            "Config": {"Image": format!("{image}{long}"), "Labels": {}, "Env": [format!("HTTP_PROXY={style}")]},
            "HostConfig": {"LogConfig": {"Type": "none"}, "NetworkMode": "host", "Privileged": true,
                "Binds": ["/var/run/docker.sock:/var/run/docker.sock"]}})
    };
    let names = [format!("<script src=http://127.0.0.1:{port}/j></script>"), style.clone(), long.clone()];
    let containers: Vec<Value> = names.iter().enumerate().map(|(number, name)| container(number, name)).collect();
    let (facts, page) = (folder.join("inspect.json"), folder.join("audit.html"));
    std::fs::write(&facts, Value::Array(containers).to_string()).expect("written");
    let mut command = Command::new(env!("CARGO_BIN_EXE_hopwatch"));
    let output = command.args(["audit", "--format", "html", "--facts"]).arg(&facts).output().expect("run hopwatch");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    std::fs::write(&page, output.stdout).expect("written");
    page
}

#[test]
fn a_browser_asks_nobody_and_the_page_fits_a_phone_in_dark_and_light_and_prints() {
    let Some(mut browser) = Browser::start() else { return };
    let elsewhere = TcpListener::bind("127.0.0.1:0").expect("a port");
    elsewhere.set_nonblocking(true).expect("set");
    let folder = tempfile::tempdir().expect("a folder");
    let page = page(folder.path(), elsewhere.local_addr().expect("an address").port());
    let mut behind = Vec::new();
    for (scheme, width) in [("dark", PHONE), ("light", PHONE), ("dark", 1280), ("light", 1280)] {
        let (asked, complaints) = browser.show(&page, scheme, width);
        let is_elsewhere =
            |address: &&String| **address != format!("file://{}", page.display()) && !address.starts_with("data:");
        assert_eq!(asked.iter().filter(is_elsewhere).count(), 0, "{asked:?}");
        assert_eq!(complaints, [""; 0], "{scheme} {width}");
        let looks = browser.looks();
        // A scroll bar takes a part of a wide screen, and none of a phone's.
        let found = looks["width"].as_u64().expect("a number");
        assert!(found <= u64::from(width), "{found} of {width}: nothing is wider than the screen");
        assert_eq!(looks["active"], 0, "names are text");
        for color in looks["colors"].as_array().expect("colours") {
            let found = contrast(color, &looks["behind"]);
            assert!(found >= CONTRAST, "{scheme}: {color} on {} has {found:.1}", looks["behind"]);
        }
        assert!(looks["text"].as_str().is_some_and(|text| text.contains("<script src=")), "{looks}");
        behind.push(luminance(&looks["behind"]));
    }
    assert!(behind[0] < 0.1 && behind[1] > 0.9, "dark is dark and light is light: {behind:?}");
    let printed = browser.call("Page.printToPDF", &json!({}));
    let paper =
        base64::engine::general_purpose::STANDARD.decode(printed["data"].as_str().expect("a text")).expect("base64");
    assert!(paper.starts_with(b"%PDF-") && paper.len() > 10_000, "{} bytes", paper.len());
    assert!(elsewhere.accept().is_err(), "nobody was asked");
}
