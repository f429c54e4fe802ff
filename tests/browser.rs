//! The page of a directory in a real browser, driven over its debugging protocol.
//!
//! Chromium is too large to be installed for every run: `cargo test browser -- --ignored` runs this where it is.
//! With `HAUL_SHOTS=DIR` it leaves pictures there: desktop and phone, dark and light.

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    time::Instant,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use crate::common::{
    serving::{PATIENCE, Serving, serve},
    tools::need,
    trees::{content, make_tree},
};

/// A browser with one tab.
struct Browser {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    session: String,
    sent: u64,
    /// What the browser told meanwhile.
    events: Vec<Value>,
}

impl Browser {
    fn start(chromium: &Path, profile: &Path) -> Self {
        // The protocol runs over descriptors 3 and 4, its messages ended by NUL.
        let script = "exec \"$@\" 3<&0 4>&1 >/dev/null 2>&1";
        let mut child = Command::new("sh")
            .args(["-c", script, "sh"])
            .arg(chromium)
            .args([
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--hide-scrollbars",
            ])
            .args([
                "--remote-debugging-pipe",
                "--no-first-run",
                "--no-proxy-server",
            ])
            .arg(format!("--user-data-dir={}", profile.display()))
            .env("TZ", "UTC")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut browser = Self {
            input: child.stdin.take().unwrap(),
            output: BufReader::new(child.stdout.take().unwrap()),
            child,
            session: String::new(),
            sent: 0,
            events: Vec::new(),
        };
        let made = browser.call("Target.createTarget", json!({"url": "about:blank"}));
        let target = json!({"targetId": made["targetId"], "flatten": true});
        let attached = browser.call("Target.attachToTarget", target);
        attached["sessionId"]
            .as_str()
            .unwrap()
            .clone_into(&mut browser.session);
        for domain in ["Page", "Network", "Log", "Runtime"] {
            browser.call(&format!("{domain}.enable"), json!({}));
        }
        browser
    }

    fn call(&mut self, method: &str, parameters: impl Into<Value>) -> Value {
        self.sent += 1;
        let mut message = json!({"id": self.sent, "method": method, "params": parameters.into()});
        if !self.session.is_empty() {
            message["sessionId"] = json!(self.session);
        }
        self.input
            .write_all(format!("{message}\0").as_bytes())
            .unwrap();
        loop {
            let mut answer = Vec::new();
            self.output.read_until(0, &mut answer).unwrap();
            answer.pop();
            let answer: Value = serde_json::from_slice(&answer).expect("the browser is there");
            if answer["id"] == self.sent {
                assert!(answer["error"].is_null(), "{method}: {answer}");
                return answer["result"].clone();
            }
            self.events.push(answer);
        }
    }

    /// The value of an expression in the page.
    fn value(&mut self, expression: &str) -> Value {
        let parameters = json!({"expression": expression, "returnByValue": true});
        let result = self.call("Runtime.evaluate", parameters);
        assert!(
            result["exceptionDetails"].is_null(),
            "{expression}: {result}"
        );
        result["result"]["value"].clone()
    }

    /// Waits until an expression has a value.
    fn wait(&mut self, expression: &str, expected: impl Into<Value>) {
        let (start, expected) = (Instant::now(), expected.into());
        loop {
            let value = self.value(expression);
            if value == expected {
                return;
            }
            assert!(
                start.elapsed() < PATIENCE,
                "{expression}: {value}, not {expected}"
            );
        }
    }

    fn open(&mut self, url: &str) {
        self.call("Page.navigate", json!({"url": url}));
        self.wait(
            "[location.href, document.readyState]",
            json!([url, "complete"]),
        );
    }

    fn look(&mut self, width: u32, height: u32, scheme: &str) {
        let size = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600});
        self.call("Emulation.setDeviceMetricsOverride", size);
        let features = json!([{"name": "prefers-color-scheme", "value": scheme}]);
        self.call("Emulation.setEmulatedMedia", json!({"features": features}));
    }

    fn shot(&mut self, name: &str) {
        let Some(dir) = std::env::var_os("HAUL_SHOTS") else {
            return;
        };
        let shot = self.call("Page.captureScreenshot", json!({}));
        let picture = STANDARD.decode(shot["data"].as_str().unwrap()).unwrap();
        fs::write(Path::new(&dir).join(format!("{name}.png")), picture).unwrap();
    }

    /// What was asked for over the network since the last time.
    fn requests(&mut self) -> Vec<String> {
        self.value("0");
        let events = std::mem::take(&mut self.events);
        for event in &events {
            let complaint = matches!(
                event["method"].as_str(),
                Some("Log.entryAdded" | "Runtime.exceptionThrown" | "Runtime.consoleAPICalled")
            );
            assert!(!complaint, "{event}");
        }
        let sent = events
            .iter()
            .filter(|event| event["method"] == "Network.requestWillBeSent");
        sent.map(|event| {
            event["params"]["request"]["url"]
                .as_str()
                .unwrap()
                .to_owned()
        })
        .filter(|url| !url.starts_with("data:"))
        .collect()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The least contrast of any text on the page to what is behind it (WCAG 2.2 §1.4.3).
const CONTRAST: &str = r"(() => {
    const parse = (color) => color.match(/[\d.]+/g).map(Number);
    const light = ([r, g, b]) => [r, g, b].map((c) => c / 255)
        .map((c) => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
        .reduce((sum, c, at) => sum + c * [0.2126, 0.7152, 0.0722][at], 0);
    const behind = (element) => {
        for (; element; element = element.parentElement) {
            const color = parse(getComputedStyle(element).backgroundColor);
            if (color[3] !== 0) return color;
        }
    };
    const texts = [...document.querySelectorAll('a, th, td, li, p, button, input, time')];
    return Math.min(...texts.filter((e) => e.offsetParent).map((e) => {
        const pair = [light(parse(getComputedStyle(e).color)), light(behind(e))].sort();
        return (Math.max(...pair) + 0.05) / (Math.min(...pair) + 0.05);
    }));
})()";

const SHOWN: &str = "[...document.querySelectorAll('tbody tr:not([hidden]) td:first-child a')].map((a) => a.textContent)";

#[test]
#[ignore = "needs chromium"]
fn a_browser_shows_sorts_filters_and_downloads() {
    let Some(chromium) = need("chromium") else {
        return;
    };
    let (root, profile) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    make_tree(root.path());
    let serving = serve(root.path());
    let mut browser = Browser::start(&chromium, profile.path());

    browser.look(1200, 900, "light");
    browser.open(&serving.url("/"));
    assert_eq!(
        browser.requests(),
        [serving.url("/")],
        "nothing else is asked for"
    );
    browser.wait(
        "document.getElementById('total').textContent",
        "3 folders, 8 files, 8.07 MiB",
    );
    let first = format!("{SHOWN}.slice(0, 4)");
    let expected = json!(["a/", "empty/", "names/", "size-0.bin"]);
    assert_eq!(browser.value(&first), expected);

    // By size, the largest first; folders stay in front.
    browser.value("document.querySelectorAll('th button')[1].click()");
    let sorted = browser.value(SHOWN);
    assert_eq!(
        (&sorted[0], &sorted[3]),
        (&json!("a/"), &json!("size-5242887.bin"))
    );
    assert_eq!(
        browser.value("document.querySelectorAll('th')[1].ariaSort"),
        "descending"
    );
    browser.value("document.querySelectorAll('th button')[1].click()");
    assert_eq!(browser.value(SHOWN)[3], "size-0.bin");

    // The filter, by keyboard.
    for (kind, text) in [("keyDown", "/"), ("keyUp", "/")] {
        let key = json!({"type": kind, "key": text, "text": text});
        browser.call("Input.dispatchKeyEvent", key);
    }
    assert_eq!(browser.value("document.activeElement.id"), "filter");
    browser.call("Input.insertText", json!({"text": "SIZE 1048"}));
    browser.wait(
        SHOWN,
        json!(["size-1048575.bin", "size-1048576.bin", "size-1048577.bin"]),
    );
    assert_eq!(
        browser.value("document.getElementById('total').textContent"),
        "3 of 11 match"
    );
    browser.shot("filtered");
    browser.call("Input.insertText", json!({"text": "x"}));
    browser.wait("document.querySelector('.none').hidden", false);
    browser.shot("nothing");
    for kind in ["keyDown", "keyUp"] {
        browser.call(
            "Input.dispatchKeyEvent",
            json!({"type": kind, "key": "Escape", "code": "Escape"}),
        );
    }
    browser.wait(&format!("{SHOWN}.length"), 11);

    every_width_and_scheme(&mut browser, &serving);
    downloads(&mut browser, &serving);

    // Without script it is still the whole listing, and shows no control that would do nothing.
    browser.call(
        "Emulation.setScriptExecutionDisabled",
        json!({"value": true}),
    );
    browser.open(&serving.url("/names/"));
    assert_eq!(
        browser.value("document.getElementById('filter').hidden"),
        true
    );
    assert_eq!(
        browser.value("document.querySelectorAll('th button').length"),
        0
    );
    let rows = crate::common::trees::NAMES.len() + 1;
    assert_eq!(
        browser.value("document.querySelectorAll('tbody tr').length"),
        rows
    );
}

/// Readable, and never wider than the screen.
fn every_width_and_scheme(browser: &mut Browser, serving: &Serving) {
    for (width, height, name) in [
        (1200, 900, "desktop"),
        (390, 844, "phone"),
        (320, 600, "narrow"),
    ] {
        for scheme in ["light", "dark"] {
            for (target, part) in [
                ("/", "root"),
                ("/names/", "names"),
                ("/empty/inside/", "empty"),
                ("/nothing", "error"),
            ] {
                browser.look(width, height, scheme);
                browser.call("Page.navigate", json!({"url": serving.url(target)}));
                browser.wait(
                    "[location.pathname, document.readyState]",
                    json!([target, "complete"]),
                );
                let contrast = browser.value(CONTRAST).as_f64().unwrap();
                assert!(contrast >= 4.5, "{scheme} {target}: {contrast}");
                let wide = browser.value("document.documentElement.scrollWidth - innerWidth");
                assert_eq!(wide, 0, "{width} {target}");
                browser.shot(&format!("{part}-{name}-{scheme}"));
            }
        }
    }
    // The error page made the browser note a 404, which is no complaint about the page.
    browser.events.clear();
}

/// One file, and everything.
fn downloads(browser: &mut Browser, serving: &Serving) {
    let downloads = tempfile::tempdir().unwrap();
    let behavior = json!({"behavior": "allow", "downloadPath": downloads.path()});
    browser.call("Browser.setDownloadBehavior", behavior);
    browser.open(&serving.url("/"));
    browser.value("document.querySelector('a.g[href$=\"5242887.bin\"]').click()");
    wait_for_file(&downloads.path().join("size-5242887.bin"), 5_242_887);
    let fetched = fs::read(downloads.path().join("size-5242887.bin")).unwrap();
    assert!(fetched == content(5_242_887, 5_242_887));
    browser.value("document.querySelector('.all').click()");
    wait_for_file(&downloads.path().join("files.tar"), 8 << 20);
}

fn wait_for_file(path: &Path, at_least: u64) {
    let start = Instant::now();
    while !path.metadata().is_ok_and(|found| found.len() >= at_least) {
        assert!(start.elapsed() < PATIENCE, "{path:?}");
        std::thread::yield_now();
    }
}
