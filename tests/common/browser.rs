//! A real browser, driven over its debugging protocol.

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    time::Instant,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use super::serving::PATIENCE;

/// A browser with one tab.
pub struct Browser {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    session: String,
    sent: u64,
    /// What the browser told meanwhile.
    pub events: Vec<Value>,
    /// User and password that it gives where a server asks for them.
    login: Option<(&'static str, &'static str)>,
}

impl Browser {
    pub fn start(chromium: &Path, profile: &Path, more: &[String]) -> Self {
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
            .args(more)
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
            login: None,
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

    /// Gives a login from now on, as a person does who is asked for it.
    pub fn log_in(&mut self, user: &'static str, password: &'static str) {
        self.login = Some((user, password));
        self.call("Fetch.enable", json!({"handleAuthRequests": true}));
    }

    fn send(&mut self, method: &str, parameters: &Value) -> u64 {
        self.sent += 1;
        let mut message = json!({"id": self.sent, "method": method, "params": parameters});
        if !self.session.is_empty() {
            message["sessionId"] = json!(self.session);
        }
        let message = format!("{message}\0");
        self.input.write_all(message.as_bytes()).unwrap();
        self.sent
    }

    /// Lets a request go on that waits for us.
    fn go_on(&mut self, event: &Value) {
        let id = &event["params"]["requestId"];
        match (event["method"].as_str(), self.login) {
            (Some("Fetch.requestPaused"), _) => {
                self.send("Fetch.continueRequest", &json!({"requestId": id}));
            }
            (Some("Fetch.authRequired"), Some((user, password))) => {
                let response = json!({"response": "ProvideCredentials", "username": user, "password": password});
                let parameters = json!({"requestId": id, "authChallengeResponse": response});
                self.send("Fetch.continueWithAuth", &parameters);
            }
            _ => {}
        }
    }

    pub fn call(&mut self, method: &str, parameters: impl Into<Value>) -> Value {
        let sent = self.send(method, &parameters.into());
        loop {
            let mut answer = Vec::new();
            self.output.read_until(0, &mut answer).unwrap();
            answer.pop();
            let answer: Value = serde_json::from_slice(&answer).expect("the browser is there");
            if answer["id"] == sent {
                assert!(answer["error"].is_null(), "{method}: {answer}");
                return answer["result"].clone();
            }
            self.go_on(&answer);
            if answer["method"].is_string() {
                self.events.push(answer);
            }
        }
    }

    /// The value of an expression in the page.
    pub fn value(&mut self, expression: &str) -> Value {
        let parameters = json!({"expression": expression, "returnByValue": true});
        let result = self.call("Runtime.evaluate", parameters);
        assert!(
            result["exceptionDetails"].is_null(),
            "{expression}: {result}"
        );
        result["result"]["value"].clone()
    }

    /// Waits until an expression has a value.
    pub fn wait(&mut self, expression: &str, expected: impl Into<Value>) {
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

    pub fn open(&mut self, url: &str) {
        self.call("Page.navigate", json!({"url": url}));
        self.wait(
            "[location.href, document.readyState]",
            json!([url, "complete"]),
        );
    }

    pub fn look(&mut self, width: u32, height: u32, scheme: &str) {
        let size = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600});
        self.call("Emulation.setDeviceMetricsOverride", size);
        let features = json!([{"name": "prefers-color-scheme", "value": scheme}]);
        self.call("Emulation.setEmulatedMedia", json!({"features": features}));
    }

    pub fn shot(&mut self, name: &str) {
        let Some(dir) = std::env::var_os("HAUL_SHOTS") else {
            return;
        };
        let shot = self.call("Page.captureScreenshot", json!({}));
        let picture = STANDARD.decode(shot["data"].as_str().unwrap()).unwrap();
        fs::write(Path::new(&dir).join(format!("{name}.png")), picture).unwrap();
    }

    /// What was asked for over the network since the last time.
    pub fn requests(&mut self) -> Vec<String> {
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
