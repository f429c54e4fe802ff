//! A server that is short of something - a reader of its log, open files, places - goes on for everybody else.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    path::Path,
    process::{Child, ChildStderr, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use haul::{
    client::Settings as Fetching,
    credentials::Credentials,
    exit::Exit,
    server::{
        Settings,
        access::{Access, Sources},
    },
};
use rustls::{
    ClientConnection, Stream,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    pki_types::{CertificateDer, ServerName, UnixTime},
};

use crate::common::{
    fetching::{fetch_with, settings as fetching},
    program::Haul,
    raw::{Raw, fetch, get},
    secure::{Daemon, all_text, own_identity},
    serving::{PATIENCE, Serving, serve_with, settings},
    trees::content,
};

const ADA: &str = "Authorization: Basic YWRhOmxvdmVsYWNl\r\n";
const WRONG: &str = "Authorization: Basic YWRhOndyb25n\r\n";

/// Runs what follows with so many open files at most.
const FEW_FILES: &[&str] = &["bash", "-c", "ulimit -n 64; exec \"$@\"", "bash"];

/// A server whose stderr is a pipe.
pub struct Piped {
    pub child: Child,
    pub address: SocketAddr,
    stderr: ChildStderr,
    state: tempfile::TempDir,
}

pub fn piped(root: &Path, verbosity: &str) -> Piped {
    let line = [
        "serve",
        root.to_str().unwrap(),
        "--headless",
        "-a",
        "127.0.0.1",
        "-p",
        "0",
        "-v",
        verbosity,
    ];
    let mut haul = Haul::new(&line);
    let pipes = haul.command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = pipes.spawn().unwrap();
    let mut first = String::new();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    stdout.read_line(&mut first).unwrap();
    let address = first.trim().rsplit('/').next().unwrap().parse().unwrap();
    Piped {
        stderr: child.stderr.take().unwrap(),
        child,
        address,
        state: haul.state,
    }
}

impl Drop for Piped {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A request for 8 KiB of bytes that are no text: each is four characters where it is shown.
fn costly() -> Vec<u8> {
    let target = [0xff; 8000];
    [b"GET /", &target[..], b" HTTP/1.1\r\nHost: haul\r\n\r\n"].concat()
}

/// Bytes of memory that a program holds.
pub fn resident(id: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{id}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let kib = line.unwrap().split_whitespace().nth(1).unwrap();
    kib.parse::<u64>().unwrap() * 1024
}

#[test]
fn a_log_that_nobody_reads_stops_nobody_and_is_bounded() {
    let root = tempfile::tempdir().unwrap();
    fs::write(root.path().join("a.txt"), "hello").unwrap();
    let mut server = piped(root.path(), "debug");
    let request = costly();
    // Each refusal and each answer is a line for stderr: together more than any pipe holds.
    let begun = Instant::now();
    for _ in 0..10 {
        let mut raw = Raw::connect(server.address);
        for _ in 0..100 {
            raw.send(&request);
            assert_eq!(raw.read().status, 404);
        }
        assert_eq!(fetch(server.address, get("/a.txt", "")).text(), "hello");
    }
    assert!(begun.elapsed() < PATIENCE);
    assert!(resident(server.child.id()) < 64 << 20);
    // The file has a warning now and then, short, and how many more there were.
    let told = |what: &str| {
        let begun = Instant::now();
        while !all_text(server.state.path()).contains(what) {
            assert!(begun.elapsed() < PATIENCE, "{what}");
            std::thread::yield_now();
        }
    };
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(fetch(server.address, get("/none", "")).status, 404);
    told("more were refused since the last such line");
    let log = all_text(server.state.path());
    let longest = log.lines().map(str::len).max().unwrap();
    assert!(longest < 1000, "{longest}");
    // Nor does who calls itself something else each time get more of them.
    let warnings = || {
        let log = all_text(server.state.path());
        log.lines()
            .filter(|line| line.contains("WARN") && line.contains("404"))
            .count()
    };
    let (before, begun) = (warnings(), Instant::now());
    for n in 0..300 {
        let other = format!("Haul-Session: {n}\r\n");
        assert_eq!(fetch(server.address, get("/none", &other)).status, 404);
    }
    let most = 10 * (begun.elapsed().as_secs() as usize + 2);
    std::thread::sleep(Duration::from_secs(1));
    assert!(
        warnings() - before <= most,
        "{} warnings",
        warnings() - before
    );
    // It is read again: all that waited comes.
    let mut chunk = [0; 4096];
    assert!(server.stderr.read(&mut chunk).unwrap() > 0);
}

#[test]
fn silent_sockets_of_one_address_take_no_file_from_another() {
    let root = tempfile::tempdir().unwrap();
    fs::write(root.path().join("a.txt"), "hello").unwrap();
    let daemon = Daemon::start_within(FEW_FILES, root.path(), &["-p", "0"]);
    let silent: Vec<Raw> = (0..200)
        .map(|_| Raw::connect_from([127, 0, 0, 9], daemon.address()))
        .collect();
    let mut raw = Raw::connect_from([127, 0, 0, 2], daemon.address());
    raw.send(get("/a.txt", ""));
    let answer = raw.read();
    assert_eq!((answer.status, answer.text()), (200, "hello"));
    assert!(daemon.written().contains("each needs two open files"));
    drop(silent);
}

#[test]
fn what_there_are_no_files_for_has_a_status() {
    let root = tempfile::tempdir().unwrap();
    for n in 0..100 {
        fs::create_dir(root.path().join(format!("{n}"))).unwrap();
    }
    let daemon = Daemon::start_within(FEW_FILES, root.path(), &["-p", "0"]);
    let mut raws: Vec<Raw> = (0..15)
        .map(|n| Raw::connect_from([127, 0, 0, n + 2], daemon.address()))
        .collect();
    for _ in 0..20 {
        for raw in &mut raws {
            raw.send(get("/", "").repeat(4));
        }
        for raw in &mut raws {
            for _ in 0..4 {
                let status = raw.read().status;
                assert!(matches!(status, 200 | 503), "{status}");
            }
        }
    }
}

/// A file of `size` bytes that takes none on the disk.
fn sparse(path: &Path, size: u64) {
    fs::File::create(path).unwrap().set_len(size).unwrap();
}

#[test]
fn clients_that_read_nothing_keep_nobody_from_finishing() {
    let root = tempfile::tempdir().unwrap();
    for n in 0..8 {
        sparse(&root.path().join(format!("huge-{n}")), 1 << 40);
    }
    fs::create_dir(root.path().join("third")).unwrap();
    fs::write(root.path().join("third/large"), content(9, 3 << 20)).unwrap();
    let serving = serve_with(settings(root.path()));
    // Each takes a file and its values, and reads nothing of either.
    let stopped: Vec<Raw> = (0..8)
        .flat_map(|n| {
            ["", "?pieces", "?meta4", "?blocks=0-63"].map(|query| {
                let mut raw = Raw::connect_from([127, 0, 0, 2 + n % 4], serving.address);
                let fields = format!("Haul-Session: s{n}\r\n");
                raw.send(get(&format!("/huge-{n}{query}"), &fields));
                raw
            })
        })
        .collect();
    serving.wait_for("they are there", |now| now.requests >= 32);
    let dir = tempfile::tempdir().unwrap();
    let mut fetching = fetch_with(Fetching {
        timeout: Duration::from_secs(6),
        retries: 1,
        ..fetching(&serving.url("/third/"), dir.path())
    });
    fetching.get_everything();
    let fetched = fetching.finish();
    assert_eq!(fetched.exit, Some(Exit::Done), "{fetched:?}");
    let meta4 = fetch(serving.address, get("/third/large?meta4", ""));
    assert!(meta4.text().ends_with("</metalink>\n"));
    drop(stopped);
}

#[test]
fn listings_that_nobody_reads_are_no_reason_to_wait() {
    let root = tempfile::tempdir().unwrap();
    for n in 0..5000 {
        fs::write(root.path().join(format!("a file with a long name {n}")), "").unwrap();
    }
    let serving = serve_with(settings(root.path()));
    let unread: Vec<Raw> = (0..300)
        .map(|_| {
            let mut raw = Raw::connect_from([127, 0, 0, 9], serving.address);
            raw.send(get("/", "Accept: application/json\r\n"));
            raw
        })
        .collect();
    // Its turn comes while none of them has read a byte.
    assert_eq!(fetch(serving.address, get("/", "")).status, 200);
    // What one address has is bounded.
    let refused = unread.into_iter().map(|mut raw| raw.read_head().status);
    assert!(refused.filter(|status| *status == 429).count() >= 300 - 256);
}

fn guarded(root: &Path, change: impl FnOnce(&mut Settings)) -> Serving {
    let access = Access::new(&Sources {
        logins: &[Credentials::parse_login("ada:lovelace").unwrap()],
        ..Sources::default()
    });
    let mut settings = Settings {
        access: access.unwrap(),
        ..settings(root)
    };
    change(&mut settings);
    serve_with(settings)
}

#[test]
fn who_has_not_proved_who_it_is_takes_no_place() {
    let root = tempfile::tempdir().unwrap();
    fs::write(root.path().join("a.txt"), "hello").unwrap();
    let serving = guarded(root.path(), |settings| settings.max_clients = Some(1));
    let mut stranger = Raw::connect_from([127, 0, 0, 9], serving.address);
    for _ in 0..3 {
        stranger.send(get("/a.txt", ""));
        assert_eq!(stranger.read().status, 401);
    }
    let mut ada = Raw::connect(serving.address);
    ada.send(get("/a.txt", ADA));
    assert_eq!(ada.read().status, 200);
    // Now there is one: the place is hers.
    stranger.send(get("/a.txt", WRONG));
    assert_eq!(stranger.read().status, 401);
}

#[test]
fn who_is_banned_buys_no_checking_of_passwords() {
    let root = tempfile::tempdir().unwrap();
    fs::write(root.path().join("a.txt"), "hello").unwrap();
    let serving = guarded(root.path(), |_| {});
    assert_eq!(fetch(serving.address, get("/a.txt", "")).status, 401);
    let snapshot = serving.server.snapshot();
    serving.server.ban(snapshot.clients[0].id, "no more");
    // More than an address may try: none was counted, as none was checked.
    for _ in 0..40 {
        let answer = fetch(serving.address, get("/a.txt", WRONG));
        assert_eq!(answer.status, 403, "{}", answer.text());
    }
    assert!(serving.server.unban("127.0.0.1"));
    assert_eq!(fetch(serving.address, get("/a.txt", ADA)).status, 200);
}

/// Logins whose check takes about a second, in either build: so long the places of those who wait for one stay filled.
fn slowly_checked(dir: &Path) -> Access {
    use argon2::{Algorithm, Argon2, Params, PasswordHasher as _, Version};
    let of = |rounds: u32| {
        let params = Params::new(1024, rounds, 1, None).unwrap();
        Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
    };
    let began = Instant::now();
    of(20).hash_password(b"babbage").unwrap();
    let rounds = 20.0 / began.elapsed().as_secs_f64();
    let hash = of(rounds as u32 + 1).hash_password(b"babbage").unwrap();
    let path = dir.join("users");
    fs::write(&path, format!("charles:{hash}\n")).unwrap();
    let sources = Sources {
        logins: &[Credentials::parse_login("ada:lovelace").unwrap()],
        auth_file: Some(&path),
        ..Sources::default()
    };
    Access::new(&sources).unwrap()
}

#[test]
fn who_is_banned_or_misdirected_or_has_no_login_waits_for_no_check_and_takes_no_place() {
    let (root, logins) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    fs::write(root.path().join("a.txt"), "hello").unwrap();
    let serving = serve_with(Settings {
        access: slowly_checked(logins.path()),
        ..settings(root.path())
    });
    let from = |host: u8, fields: &str| {
        let mut raw = Raw::connect_from([127, 0, 0, host], serving.address);
        raw.send(get("/a.txt", fields));
        raw
    };
    assert_eq!(from(9, "").read().status, 401);
    let banned = serving.server.snapshot().clients[0].id;
    serving.server.ban(banned, "no more");
    let guess = |n: usize| {
        let login = STANDARD.encode(format!("charles:{n}"));
        format!("Authorization: Basic {login}\r\n")
    };
    // More than 64 wait for a check, five of each address.
    let waiting: Vec<Raw> = (0..90).map(|n| from(10 + n as u8 / 5, &guess(n))).collect();
    let begun = Instant::now();
    while !waiting.iter().any(|raw| raw.peek_status() == Some(429)) {
        assert!(begun.elapsed() < PATIENCE, "nobody was sent away");
        std::thread::yield_now();
    }
    assert_eq!(from(40, &guess(100)).read().status, 429);
    // While there is no place, nobody who needs none is kept from an answer.
    for n in 200..210 {
        assert_eq!(from(9, &guess(n)).read().status, 403);
        let mut misdirected = Raw::connect_from([127, 0, 0, 8], serving.address);
        misdirected.send(get("/a.txt", &guess(n)).replace("Host: haul", "Host: evil.example"));
        assert_eq!(misdirected.read().status, 421);
        assert_eq!(from(7, "").read().status, 401);
        assert_eq!(from(7, ADA).read().text(), "hello");
    }
    assert_eq!(from(41, &guess(300)).read().status, 429);
    // Who leaves is checked no more, and others are at once: a check takes a second, and there were 64 to come.
    drop(waiting);
    let begun = Instant::now();
    while from(42, &guess(400)).read().status == 429 {
        assert!(begun.elapsed() < PATIENCE, "the places are not free");
    }
    assert!(
        begun.elapsed() < Duration::from_secs(8),
        "{:?}",
        begun.elapsed()
    );
}

/// Believes every certificate.
#[derive(Debug)]
struct Anyone;

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &rustls::DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &rustls::DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        let provider = rustls::crypto::ring::default_provider();
        provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}

#[test]
fn a_record_that_drips_in_is_idle() {
    let root = tempfile::tempdir().unwrap();
    fs::write(root.path().join("a.txt"), "hello").unwrap();
    let serving = serve_with(Settings {
        tls: Some(own_identity()),
        timeout: Duration::from_secs(1),
        ..settings(root.path())
    });
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anyone))
        .with_no_client_auth();
    let name = ServerName::try_from("localhost").unwrap();
    let mut tls = ClientConnection::new(Arc::new(config), name).unwrap();
    let mut tcp = TcpStream::connect(serving.address).unwrap();
    tcp.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut stream = Stream::new(&mut tls, &mut tcp);
    stream.write_all(get("/a.txt", "").as_bytes()).unwrap();
    let mut answer = vec![0; 15];
    stream.read_exact(&mut answer).unwrap();
    // A record of 16 KiB begins, and goes on a byte at a time.
    let begun = Instant::now();
    let mut drip = [&[0x17, 3, 3, 0x40, 0][..], &[0; 16000]]
        .concat()
        .into_iter();
    while begun.elapsed() < PATIENCE {
        if tcp.write_all(&[drip.next().unwrap()]).is_err() {
            return;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    panic!("it is never closed");
}

#[test]
fn a_connection_that_a_client_gives_up_for_another_is_no_warning() {
    let root = tempfile::tempdir().unwrap();
    fs::write(root.path().join("big"), vec![7; 64 << 20]).unwrap();
    let server = piped(root.path(), "debug");
    let ours = "Haul-Session: s\r\nUser-Agent: haul/0.1\r\n";
    let asking = || {
        let mut raw = Raw::connect(server.address);
        raw.send(get("/big", ours));
        assert_eq!(raw.read_head().status, 200);
        raw
    };
    let (kept, given_up) = (asking(), asking());
    let told = |what: &str| {
        let begun = Instant::now();
        let lines = || all_text(server.state.path());
        while !lines()
            .lines()
            .any(|line| line.contains("GET big") && line.contains(what))
        {
            assert!(begun.elapsed() < PATIENCE, "{what}: {}", lines());
            std::thread::yield_now();
        }
        lines()
    };
    drop(given_up);
    let log = told("other connections go on");
    assert!(!log.contains("WARN"), "{log}");
    // One that breaks off has none left.
    drop(kept);
    let log = told("WARN");
    assert_eq!(log.matches("WARN").count(), 1, "{log}");
}
