//! Servers behind a proxy: plain HTTP is asked of it, TLS goes through a tunnel, and what is near is reached directly.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    path::Path,
    sync::{Arc, Mutex},
};

use crate::{
    common::{
        program::Haul,
        scripted::{Scripted, file, ok, scripted},
        secure::Daemon,
        trees::{assert_same, content},
    },
    foreign::{MIB, temp},
};

/// A proxy that passes on what it is asked, whatever the name, to one server; what it was asked.
struct Proxy {
    address: SocketAddr,
    heads: Arc<Mutex<Vec<String>>>,
}

fn proxy(server: SocketAddr, login: Option<&'static str>) -> Proxy {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let heads: Arc<Mutex<Vec<String>>> = Arc::default();
    let seen = Arc::clone(&heads);
    // Detached: it ends with the test's process, and each connection with its client.
    std::thread::spawn(move || {
        for client in listener.incoming().map_while(Result::ok) {
            let seen = Arc::clone(&seen);
            std::thread::spawn(move || {
                let _ = pass(client, server, login, &seen);
            });
        }
    });
    Proxy { address, heads }
}

fn pass(
    mut client: TcpStream,
    server: SocketAddr,
    login: Option<&str>,
    seen: &Mutex<Vec<String>>,
) -> std::io::Result<()> {
    let mut input = Vec::new();
    while !input.windows(4).any(|end| end == b"\r\n\r\n") {
        let mut chunk = [0; 4096];
        match client.read(&mut chunk)? {
            0 => return Ok(()),
            n => input.extend_from_slice(&chunk[..n]),
        }
    }
    let head = String::from_utf8_lossy(&input).into_owned();
    seen.lock().unwrap().push(head.clone());
    if login.is_some_and(|login| !head.contains(&format!("Proxy-Authorization: {login}\r\n"))) {
        return client
            .write_all(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n");
    }
    let mut upstream = TcpStream::connect(server)?;
    if head.starts_with("CONNECT ") {
        client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")?;
    } else {
        upstream.write_all(&input)?;
    }
    let (mut from, mut to) = (client.try_clone()?, upstream.try_clone()?);
    let up = std::thread::spawn(move || std::io::copy(&mut from, &mut to));
    std::io::copy(&mut upstream, &mut client)?;
    let _ = client.shutdown(std::net::Shutdown::Both);
    let _ = up.join();
    Ok(())
}

impl Proxy {
    fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }
}

/// A server that understands the whole address in a request line (RFC 9112 §3.2.2), as all must.
fn server() -> Scripted {
    scripted(|request| {
        let target = request
            .target
            .strip_prefix("http://files.invalid")
            .unwrap_or(&request.target);
        match target {
            "/" => ok("text/html", b"<a href=\"f\">f</a>"),
            _ => file(request, &content(1, 3 * MIB), "\nETag: \"1\""),
        }
    })
}

fn run(dir: &Path, url: &str, more: &[&str], variables: &[(&str, &str)]) -> (i32, String) {
    let usual = [
        "connect",
        "--headless",
        "--all",
        "--retries",
        "0",
        "--dir",
        dir.to_str().unwrap(),
        url,
    ];
    let run = Haul::new(&[&usual, more].concat());
    let run = variables
        .iter()
        .fold(run, |run, (name, value)| run.env(name, value));
    let (status, out, told) = run.run();
    (status, out + &told)
}

#[test]
fn plain_http_is_asked_of_the_proxy() {
    let server = server();
    let through = proxy(server.address, Some("Basic YWRhOmxhY2U="));
    let with_login = format!("http://ada:lace@{}", through.address);
    let dir = temp();
    let (status, told) = run(
        dir.path(),
        "http://files.invalid/",
        &["--proxy", &with_login],
        &[],
    );
    assert_eq!(status, 0, "{told}");
    assert!(fs::read(dir.path().join("f")).unwrap() == content(1, 3 * MIB));
    assert!(
        through
            .heads()
            .iter()
            .all(|head| head.starts_with("GET http://files.invalid/")),
        "{:?}",
        through.heads()
    );
    assert!(
        server
            .requests()
            .iter()
            .all(|request| request.field("Host") == Some("files.invalid"))
    );
    // The same by the environment.
    let (status, told) = run(
        temp().path(),
        "http://files.invalid/",
        &[],
        &[("http_proxy", &with_login)],
    );
    assert_eq!(status, 0, "{told}");
    let (status, told) = run(
        temp().path(),
        "http://files.invalid/",
        &["--proxy", &format!("http://{}", through.address)],
        &[],
    );
    assert_eq!(status, 5, "{told}");
    assert!(told.contains("the proxy wants a login"), "{told}");
}

#[test]
fn tls_goes_through_a_tunnel() {
    let (source, dir) = (temp(), temp());
    fs::write(source.path().join("f"), content(1, 9 * MIB)).unwrap();
    let daemon = Daemon::start(source.path(), &["--tls", "--name", "files.invalid"]);
    let through = proxy(daemon.authority().parse().unwrap(), None);
    let url = format!("http://{}", through.address);
    let variables = [("https_proxy", url.as_str())];
    let pin = ["--fingerprint", daemon.fingerprint.as_str()];
    let (status, told) = run(dir.path(), "https://files.invalid/", &pin, &variables);
    assert_eq!(status, 0, "{told}");
    assert_same(source.path(), dir.path());
    let heads = through.heads();
    assert!(
        !heads.is_empty()
            && heads
                .iter()
                .all(|head| head.starts_with("CONNECT files.invalid:443 HTTP/1.1\r\n")),
        "{heads:?}"
    );
    let closed = proxy(daemon.authority().parse().unwrap(), Some("Basic none"));
    let url = format!("http://{}", closed.address);
    let (status, told) = run(
        temp().path(),
        "https://files.invalid/",
        &[pin[0], pin[1], "--proxy", &url],
        &[],
    );
    assert_eq!(status, 5, "{told}");
}

#[test]
fn what_is_near_is_reached_directly() {
    let server = server();
    let through = proxy(server.address, None);
    let url = format!("http://{}", through.address);
    let variables = [("http_proxy", url.as_str())];
    // This machine, what no_proxy names, and everything when it is turned off.
    assert_eq!(run(temp().path(), &server.url("/"), &[], &variables).0, 0);
    let named = [("http_proxy", url.as_str()), ("no_proxy", "invalid")];
    assert_eq!(
        run(temp().path(), "http://files.invalid/", &[], &named).0,
        4
    );
    assert_eq!(
        run(
            temp().path(),
            "http://files.invalid/",
            &["--proxy", "off"],
            &variables
        )
        .0,
        4
    );
    assert_eq!(through.heads(), [""; 0]);
    // What is no proxy fails what would go through it, and nothing else.
    let socks = [("all_proxy", "socks5://127.0.0.1:1")];
    assert_eq!(run(temp().path(), &server.url("/"), &[], &socks).0, 0);
    let (status, told) = run(temp().path(), "http://files.invalid/", &[], &socks);
    assert_eq!(status, 2, "{told}");
    assert!(told.contains("all_proxy"), "{told}");
    for wrong in ["socks5://x:1", "http://", "https://x"] {
        let (status, told) = run(temp().path(), &server.url("/"), &["--proxy", wrong], &[]);
        assert_eq!(status, 2, "{wrong}: {told}");
    }
}
