//! `--metrics`: what is told to monitoring, against what was really transferred.

use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    process::{Child, Stdio},
};

use crate::common::{
    program::{Haul, status},
    raw::{Answer, Raw},
    serving::PATIENCE,
    trees::content,
};

/// A program that tells figures; it ends with the test.
struct Told {
    haul: Haul,
    child: Child,
    /// Its first lines.
    first: Vec<String>,
    address: SocketAddr,
}

impl Drop for Told {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Told {
    fn start(arguments: &[&str]) -> (Self, impl Iterator<Item = String> + use<>) {
        let mut haul = Haul::new(&[arguments, &["--metrics", "0"]].concat());
        let piped = haul.command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = piped.stderr(Stdio::null()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap())
            .lines()
            .map(Result::unwrap);
        let mut first = Vec::new();
        let address = loop {
            let line = lines.next().unwrap();
            if let Some(url) = line.strip_prefix("metrics on http://") {
                break url.strip_suffix("/metrics").unwrap().parse().unwrap();
            }
            first.push(line);
        };
        let this = Self {
            haul,
            child,
            first,
            address,
        };
        (this, lines)
    }

    fn ask(&self, line: &str, fields: &str) -> Answer {
        let mut raw = Raw::connect(self.address);
        raw.send(format!(
            "{line} HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n"
        ));
        raw.read()
    }

    fn figures(&self) -> BTreeMap<String, u64> {
        let answer = self.ask("GET /metrics", "");
        let form = answer.field("Content-Type").unwrap();
        assert!(form.starts_with("application/openmetrics-text; version=1.0.0"));
        figures(answer.text())
    }
}

/// Reads OpenMetrics text: a family is described before its samples, every name and value is what it may be, nothing stands
/// twice, and the end is told.
fn figures(text: &str) -> BTreeMap<String, u64> {
    let mut figures = BTreeMap::new();
    let (mut family, mut kind) = (String::new(), String::new());
    let body = text.strip_suffix("# EOF\n").unwrap();
    for line in body.lines() {
        let words: Vec<_> = line.splitn(4, ' ').collect();
        match words[..] {
            ["#", "HELP", name, _] => name.clone_into(&mut family),
            ["#", "TYPE", name, of] => {
                assert_eq!(name, family);
                of.clone_into(&mut kind);
            }
            ["#", "UNIT", name, unit] => assert!(name == family && name.ends_with(unit)),
            [name, value] => {
                let bare = name.split('{').next().unwrap();
                let suffix = bare.strip_prefix(&*family).unwrap();
                assert_eq!(
                    suffix,
                    if kind == "counter" { "_total" } else { "" },
                    "{line}"
                );
                let before = figures.insert(name.to_owned(), value.parse().unwrap());
                assert_eq!(before, None, "{line}");
            }
            _ => panic!("{line}"),
        }
    }
    figures
}

#[test]
fn figures_are_those_of_a_real_transfer() {
    let root = tempfile::tempdir().unwrap();
    fs::write(root.path().join("large"), content(1, (4 << 20) + 1)).unwrap();
    fs::write(root.path().join("small"), content(2, 1000)).unwrap();
    let dir = root.path().to_str().unwrap();
    let (server, _lines) = Told::start(&["serve", dir, "--headless", "-p", "0", "-a", "127.0.0.1"]);
    let url = server.first[0].strip_prefix("listening on ").unwrap();
    let fresh = server.figures();
    assert_eq!(fresh["haul_server_sent_bytes_total"], 0);
    assert_eq!(fresh["haul_server_connections"], 0);

    let to = tempfile::tempdir().unwrap();
    let into = to.path().to_str().unwrap();
    let (mut client, mut lines) = Told::start(&["connect", url, "-d", into, "--run", "-"]);
    let input = client.child.stdin.as_mut().unwrap();
    writeln!(input, "get large small nothing.there").unwrap();
    let ends = ["finished", "failed"];
    let ended = lines
        .by_ref()
        .filter(|line| ends.iter().any(|end| line.contains(end)));
    assert_eq!(ended.take(3).count(), 3);
    let mut raw = Raw::connect(url.strip_prefix("http://").unwrap().parse().unwrap());
    for _ in 0..2 {
        raw.send("GET /nowhere HTTP/1.1\r\nHost: localhost\r\n\r\n");
        assert_eq!(raw.read().status, 404);
    }
    let there = client.figures();
    let here = |name: &str| there[&format!("haul_client_{name}")];
    assert_eq!(here("downloads_total{result=\"verified\"}"), 2);
    assert_eq!(here("downloads_total{result=\"failed\"}"), 1);
    assert_eq!(here("downloads_total{result=\"unverified\"}"), 0);
    assert_eq!(here("pieces_received_total"), 5);
    assert_eq!(here("pieces_bad_total"), 0);
    assert_eq!(here("queue{state=\"finished\"}"), 2);
    assert_eq!(here("queue{state=\"failed\"}"), 1);
    assert_eq!(here("up"), 1);
    let bytes = (4 << 20) + 1 + 1000;
    assert!(here("received_bytes_total") >= bytes);

    let now = server.figures();
    let here = |name: &str| now[&format!("haul_server_{name}")];
    assert_eq!(here("files_total"), 2);
    assert_eq!(here("requests_total{status=\"404\"}"), 2);
    assert!(here("sent_bytes_total") >= bytes);
    assert!(here("connections") >= 1);
    assert_eq!(here("draining"), 0);
    for kind in [
        "listing", "tree", "pieces", "blocks", "sha256", "small", "login", "remote",
    ] {
        for figure in ["work_waiting", "work_running"] {
            assert_eq!(here(&format!("{figure}{{kind=\"{kind}\"}}")), 0);
        }
    }
    let status = status(server.haul.state.path(), server.child.id()).unwrap();
    assert_eq!(status["sent"], here("sent_bytes_total"));
    // Who asks is counted nowhere.
    drop((client, raw));
    let requests = |figures: &BTreeMap<String, u64>| -> Vec<(String, u64)> {
        let all = figures.iter().filter(|(name, _)| name.ends_with("\"}"));
        let all = all.filter(|(name, _)| name.contains("requests"));
        all.map(|(name, value)| (name.clone(), *value)).collect()
    };
    assert_eq!(requests(&server.figures()), requests(&now));
}

#[test]
fn only_figures_are_told_and_nobody_holds_that_up() {
    let root = tempfile::tempdir().unwrap();
    let dir = root.path().to_str().unwrap();
    let (server, _lines) = Told::start(&["serve", dir, "--headless", "-p", "0", "-a", "127.0.0.1"]);
    assert!(
        server.address.ip().is_loopback(),
        "a port alone is this machine's"
    );
    for (line, status) in [
        ("GET /", 404),
        ("GET /metrics/x", 404),
        ("POST /metrics", 405),
        ("BREW /metrics", 405),
        ("GET /metrics?x", 200),
        ("GET /metrics x", 400),
    ] {
        assert_eq!(server.ask(line, "").status, status, "{line}");
    }
    let answer = server.ask("GET /metrics", "Accept: text/plain\r\n");
    assert!(
        answer
            .field("Content-Type")
            .unwrap()
            .starts_with("text/plain; version=0.0.4")
    );
    assert!(
        answer
            .text()
            .contains("# TYPE haul_server_files_total counter\n")
    );
    let scraper = "Accept: application/openmetrics-text;version=1.0.0,text/plain;q=0.5\r\n";
    assert!(
        server
            .ask("GET /metrics", scraper)
            .text()
            .ends_with("# EOF\n")
    );
    let mut head = Raw::connect(server.address);
    head.send("HEAD /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_eq!(head.read_head().status, 200);
    assert_eq!(head.rest(), b"");
    // A page under a name of its own that leads here reads nothing.
    let mut page = Raw::connect(server.address);
    page.send("GET /metrics HTTP/1.1\r\nHost: evil.example.org\r\n\r\n");
    assert_eq!(page.read().status, 421);

    // More of those who say nothing, or read nothing, than there are places.
    let silent: Vec<_> = (0..40)
        .map(|number| {
            let mut stream = TcpStream::connect(server.address).unwrap();
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            if number % 2 == 0 {
                stream.write_all(b"GET /metrics HTTP/1.1\r\n").unwrap();
            }
            stream
        })
        .collect();
    assert_eq!(server.ask("GET /metrics", "").status, 200);
    // The oldest made room.
    let ended = (&silent[0]).read(&mut [0; 16]);
    assert!(matches!(ended, Ok(0) | Err(_)), "{ended:?}");

    let address = server.address.to_string();
    let line = Haul::new(&["serve", dir, "--headless", "-p", "0", "--metrics", &address]).fails(4);
    assert!(line.contains("cannot tell metrics on"), "{line}");
    let line = Haul::new(&["serve", dir, "--metrics", "nowhere"]).fails(2);
    assert!(line.contains("no address to listen on"), "{line}");
}

#[test]
fn the_control_socket_tells_them_too() {
    let root = tempfile::tempdir().unwrap();
    let dir = root.path().to_str().unwrap();
    let state = tempfile::tempdir().unwrap();
    let socket = state.path().join("socket");
    let path = socket.to_str().unwrap();
    let (_server, _lines) = Told::start(&[
        "serve",
        dir,
        "--headless",
        "-p",
        "0",
        "-a",
        "127.0.0.1",
        "--control",
        path,
    ]);
    let mut stream = std::os::unix::net::UnixStream::connect(&socket).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(b"\"metrics\"\n").unwrap();
    let mut lines = BufReader::new(stream).lines();
    assert!(lines.next().unwrap().unwrap().starts_with("{\"hello\""));
    let told: serde_json::Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
    let figures = figures(told["metrics"].as_str().unwrap());
    assert_eq!(figures["haul_server_clients"], 0);
}
