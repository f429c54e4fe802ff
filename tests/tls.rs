//! TLS between haul and haul, and between haul and other people's programs.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    path::Path,
    process::{Command, Stdio},
    sync::Arc,
    time::Duration,
};

use haul::{
    client::{Access, Settings, Verified},
    exit::Exit,
    server,
    tls::Fingerprint,
};
use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};

use crate::common::{
    fetching::{fetch_with, settings},
    program::Haul,
    proxy::{Line, opaque_proxy},
    secure::{Authority, Daemon, all_text, output_of, own_identity},
    serving::{PATIENCE, Serving, serve_with},
    tools::need,
    trees::{assert_same, content, make_tree, quick_temp},
};

const MIB: usize = 1 << 20;

/// A server with a certificate of its own.
fn serve_tls(root: &Path) -> Serving {
    serve_with(server::Settings {
        tls: Some(own_identity()),
        ..server::Settings::new(root.to_owned())
    })
}

/// A client's settings that expect the server's certificate.
fn believing(url: &str, serving: &Serving, dir: &Path) -> Settings {
    let mut settings = settings(url, dir);
    let fingerprint = serving.server.fingerprint().unwrap();
    settings.access.expect(&settings.url, fingerprint);
    settings
}

/// Downloads everything over TLS into `dir`.
fn connect(url: &str, dir: &Path, more: &[&str]) -> Haul {
    let dir = dir.to_str().unwrap();
    let usual = [
        "connect",
        url,
        "--headless",
        "--json",
        "--all",
        "-r",
        "0",
        "-d",
        dir,
    ];
    Haul::new(&[&usual[..], more].concat())
}

/// A directory with one file of `size` bytes, `big`.
fn source(size: usize) -> (tempfile::TempDir, Vec<u8>) {
    let (dir, bytes) = (tempfile::tempdir().unwrap(), content(3, size));
    fs::write(dir.path().join("big"), &bytes).unwrap();
    (dir, bytes)
}

#[test]
fn a_tree_arrives_over_tls_byte_for_byte() {
    let (root, target) = (quick_temp(), quick_temp());
    make_tree(root.path());
    let serving = serve_tls(root.path());
    let url = serving.url("/");
    assert!(url.starts_with("https://"), "{url}");
    let mut fetching = fetch_with(believing(&url, &serving, target.path()));
    fetching.get_everything();
    let base = fetching.client.base_url();
    assert!(base.starts_with("https://"), "{base}");
    let fetched = fetching.finish();
    assert_eq!(
        (&fetched.failed[..], fetched.exit),
        (&[][..], Some(Exit::Done))
    );
    let checked = fetched
        .finished
        .iter()
        .all(|(_, how)| *how == Verified::Blake3);
    assert!(checked, "{:?}", fetched.finished);
    assert_same(root.path(), target.path());
}

#[test]
fn an_unknown_certificate_is_refused_with_its_fingerprint_and_the_remedy() {
    let ((root, bytes), target) = (source(100), tempfile::tempdir().unwrap());
    let daemon = Daemon::start(root.path(), &["--tls"]);
    let line = connect(&daemon.url, target.path(), &[]).fails(5);
    assert!(
        line.contains("no authority that this system trusts"),
        "{line}"
    );
    let remedy = format!("--fingerprint {}", daemon.fingerprint);
    assert!(line.contains(&remedy), "{line}");
    assert_eq!(fs::read_dir(target.path()).unwrap().count(), 0);

    // With it, and without the scheme: only TLS has fingerprints.
    let given = ["--fingerprint", &daemon.fingerprint];
    let (code, _, stderr) = connect(daemon.authority(), target.path(), &given).run();
    assert_eq!(code, 0, "{stderr}");
    assert!(fs::read(target.path().join("big")).unwrap() == bytes);
}

#[test]
fn a_fingerprint_is_of_the_server_that_a_local_metalink_names() {
    let ((root, bytes), target) = (source(100), tempfile::tempdir().unwrap());
    let daemon = Daemon::start(root.path(), &["--tls"]);
    let metalink = target.path().join("big.meta4");
    let text = format!(
        "<metalink xmlns=\"urn:ietf:params:xml:ns:metalink\"><file name=\"big\"><url>https://{}/big</url></file></metalink>",
        daemon.authority()
    );
    fs::write(&metalink, text).unwrap();
    let to = target.path().join("to");
    let run = |fingerprint: &str| {
        let line = [
            "connect",
            "--headless",
            "-r",
            "0",
            "--fingerprint",
            fingerprint,
        ];
        let from = [metalink.to_str().unwrap(), "-d", to.to_str().unwrap()];
        Haul::new(&[&line[..], &from].concat())
    };
    let line = run(&"00".repeat(32)).fails(5);
    assert!(line.contains("has changed"), "{line}");
    let (code, _, stderr) = run(&daemon.fingerprint).run();
    assert_eq!(code, 0, "{stderr}");
    assert!(fs::read(to.join("big")).unwrap() == bytes);
}

#[test]
fn a_pin_is_believed_and_a_changed_certificate_is_not() {
    let ((root, bytes), target) = (source(100), tempfile::tempdir().unwrap());
    let daemon = Daemon::start(root.path(), &["--tls"]);
    let (authority, known) = (daemon.authority().to_owned(), daemon.fingerprint.clone());
    let pin = |haul: &Haul| {
        let dir = haul.state.path().join("haul");
        fs::create_dir_all(&dir).unwrap();
        let line = format!("{authority} SHA256:{known}\n");
        fs::write(dir.join("known_hosts"), line).unwrap();
    };
    // A bare HOST:PORT that has a pin means https.
    for given in [authority.clone(), format!("https://{authority}/")] {
        let haul = connect(&given, target.path(), &["--on-conflict", "overwrite"]);
        pin(&haul);
        let (code, _, stderr) = haul.run();
        assert_eq!(code, 0, "{stderr}");
        assert!(fs::read(target.path().join("big")).unwrap() == bytes);
    }

    // A certificate that is not the pinned one, at the same place.
    let port = daemon.port().to_owned();
    drop(daemon);
    let daemon = Daemon::start_at(root.path(), &port, &["--tls"]);
    assert_ne!(daemon.fingerprint, known);
    let elsewhere = tempfile::tempdir().unwrap();
    let haul = connect(&authority, elsewhere.path(), &[]);
    pin(&haul);
    let line = haul.fails(5);
    assert!(
        line.contains(&known) && line.contains(&daemon.fingerprint),
        "{line}"
    );
    assert!(
        line.contains("has changed") && line.contains("known_hosts"),
        "{line}"
    );
    let line = connect(&authority, elsewhere.path(), &["--fingerprint", &known]).fails(5);
    assert!(
        line.contains(&known) && line.contains(&daemon.fingerprint),
        "{line}"
    );
    assert_eq!(fs::read_dir(elsewhere.path()).unwrap().count(), 0);
}

#[test]
fn the_own_certificate_survives_a_restart() {
    let (root, _) = source(1);
    let daemon = Daemon::start(root.path(), &["--tls"]);
    let fingerprint = daemon.fingerprint.clone();
    let state = daemon.end();
    let root = root.path().to_str().unwrap();
    let mut haul = Haul::new(&[
        "serve",
        root,
        "--headless",
        "-a",
        "127.0.0.1",
        "-p",
        "0",
        "--tls",
    ]);
    let mut child = haul
        .command
        .env("XDG_STATE_HOME", state.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut seen = String::new();
    let mut stdout = child.stdout.take().unwrap();
    while seen.lines().count() < 2 || !seen.ends_with('\n') {
        let mut chunk = [0; 256];
        let n = stdout.read(&mut chunk).unwrap();
        assert!(n > 0, "{seen}");
        seen.push_str(std::str::from_utf8(&chunk[..n]).unwrap());
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(seen.contains(&fingerprint), "{seen}");
}

#[test]
fn what_an_authority_signed_needs_no_pin_unless_it_is_wrong() {
    let ((root, bytes), authority) = (source(100), Authority::new());
    let trusted = authority.file();
    let run = |signed: &[&str]| {
        let target = tempfile::tempdir().unwrap();
        let daemon = Daemon::start(root.path(), signed);
        let mut haul = connect(&daemon.url, target.path(), &[]);
        haul.command.env("SSL_CERT_FILE", &trusted);
        let (code, _, stderr) = haul.run();
        if code == 0 {
            assert!(fs::read(target.path().join("big")).unwrap() == bytes);
        }
        (code, stderr, daemon.written())
    };
    let (code, stderr, log) = run(&authority.sign("127.0.0.1", 2200).arguments());
    assert_eq!((code, stderr.as_str()), (0, ""));
    assert!(!log.contains("has expired"), "{log}");

    let (code, stderr, log) = run(&authority.sign("127.0.0.1", 2020).arguments());
    assert!(
        code == 5 && stderr.contains("it has expired"),
        "{code} {stderr}"
    );
    assert!(
        log.contains("has expired: most clients will refuse it"),
        "{log}"
    );

    let (code, stderr, _) = run(&authority.sign("nas.local", 2200).arguments());
    assert!(
        code == 5 && stderr.contains("it is for another name"),
        "{code} {stderr}"
    );

    let other = Authority::new();
    let (code, stderr, _) = run(&other.sign("127.0.0.1", 2200).arguments());
    assert!(
        code == 5 && stderr.contains("no authority"),
        "{code} {stderr}"
    );
}

#[test]
fn files_that_make_no_certificate_are_one_line() {
    let authority = Authority::new();
    let (one, two) = (authority.sign("one", 2200), authority.sign("two", 2200));
    let (certificate, key) = (one.certificate.to_str().unwrap(), two.key.to_str().unwrap());
    for (arguments, status, says) in [
        (
            &["--tls-cert", certificate, "--tls-key", key][..],
            2,
            "does not belong to",
        ),
        (
            &["--tls-cert", certificate],
            2,
            "--tls-cert needs --tls-key",
        ),
        (&["--tls-key", key], 2, "--tls-key needs --tls-cert"),
        (
            &["--tls-cert", "/no/such", "--tls-key", key],
            7,
            "cannot read the certificate /no/such",
        ),
        (
            &["--tls-cert", key, "--tls-key", key],
            2,
            "it is a private key: name the file with -----BEGIN CERTIFICATE-----",
        ),
        (
            &["--tls-cert", certificate, "--tls-key", certificate],
            2,
            "it is a certificate: name the file with -----BEGIN PRIVATE KEY-----",
        ),
    ] {
        let all = [&["serve", "/tmp", "--headless", "-p", "0"], arguments].concat();
        let line = Haul::new(&all).fails(status);
        assert!(line.contains(says), "{line}");
    }
}

/// Answers with one certificate and another one's key.
#[derive(Debug)]
struct Impostor(Arc<CertifiedKey>);

impl ResolvesServerCert for Impostor {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }
}

#[test]
fn a_copied_certificate_without_its_key_is_worth_nothing() {
    let authority = Authority::new();
    let (theirs, mine) = (
        authority.sign("a.test", 2200),
        authority.sign("b.test", 2200),
    );
    let certificate = CertificateDer::from_pem_file(&theirs.certificate).unwrap();
    let key = PrivateKeyDer::from_pem_file(&mine.key).unwrap();
    let fingerprint = Fingerprint::of(&certificate);
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let key = provider.key_provider.load_private_key(key).unwrap();
    let stolen = Impostor(Arc::new(CertifiedKey::new(vec![certificate], key)));
    for version in [&rustls::version::TLS13, &rustls::version::TLS12] {
        let config = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&[version])
            .unwrap()
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(Impostor(Arc::clone(&stolen.0))));
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let serving = std::thread::spawn(move || {
            let (mut tcp, _) = listener.accept().unwrap();
            let mut tls = rustls::ServerConnection::new(Arc::new(config)).unwrap();
            // It fails when the client sends its alert.
            while tls.is_handshaking() {
                if tls.complete_io(&mut tcp).is_err() {
                    return false;
                }
            }
            true
        });
        let target = tempfile::tempdir().unwrap();
        let fingerprint = fingerprint.to_string();
        let url = format!("https://{address}/");
        let line = connect(&url, target.path(), &["--fingerprint", &fingerprint]).fails(5);
        assert!(line.contains("no TLS connection"), "{version:?}: {line}");
        assert!(!serving.join().unwrap(), "the handshake was completed");
    }
}

#[test]
fn each_side_says_so_when_the_other_speaks_no_tls() {
    let (root, _) = source(1);
    let target = tempfile::tempdir().unwrap();
    let (plain, tls) = (
        Daemon::start(root.path(), &[]),
        Daemon::start(root.path(), &["--tls"]),
    );
    let url = format!("https://{}/", plain.authority());
    let line = connect(&url, target.path(), &[]).fails(5);
    assert!(line.contains("try http:// instead"), "{line}");
    let url = format!("http://{}/", tls.authority());
    let line = connect(&url, target.path(), &[]).fails(5);
    assert!(line.contains("use https:// instead"), "{line}");

    let mut tcp = TcpStream::connect(tls.authority()).unwrap();
    tcp.set_read_timeout(Some(PATIENCE)).unwrap();
    tcp.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let mut answer = String::new();
    tcp.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    assert!(
        answer.ends_with("\r\n\r\n400 this is an https port: use https:// instead\n"),
        "{answer}"
    );
}

#[test]
fn a_server_that_never_shakes_hands_is_given_up() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}/", silent.local_addr().unwrap());
    let target = tempfile::tempdir().unwrap();
    let line = connect(&url, target.path(), &["-t", "300ms"]).fails(4);
    assert!(line.contains("no answer for 300 ms"), "{line}");
}

#[test]
fn other_clients_get_the_same_bytes_with_and_without_the_authority() {
    let ((root, bytes), authority) = (source(3 * MIB + 7), Authority::new());
    let signed = authority.sign("127.0.0.1", 2200);
    let auth = ["--auth", "ada:lovelace"];
    let daemon = Daemon::start(root.path(), &[&signed.arguments()[..], &auth].concat());
    let url = format!("{}/big", daemon.url);
    let ca = authority.file();
    let ca = ca.to_str().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("big");
    let to = file.to_str().unwrap();

    if let Some(curl) = need("curl") {
        let login = ["-sSf", "-u", "ada:lovelace", &url];
        for trust in [
            &["--cacert", ca][..],
            &["-k"],
            &["--cacert", ca, "--tlsv1.3"],
            &["--cacert", ca, "--tls-max", "1.2"],
        ] {
            let got = output_of(&curl, &[trust, &login].concat());
            assert!(got == bytes, "curl {trust:?}: {} bytes", got.len());
        }
        let range = output_of(
            &curl,
            &[
                "-sSf",
                "-k",
                "-u",
                "ada:lovelace",
                "-r",
                "1048570-2097160",
                &url,
            ],
        );
        assert!(range == bytes[1_048_570..=2_097_160]);
        let refused = Command::new(&curl).args(["-sS", &url]).output().unwrap();
        assert_eq!(
            refused.status.code(),
            Some(60),
            "an authority it does not know"
        );
    }
    if let Some(wget) = need("wget") {
        let trust = format!("--ca-certificate={ca}");
        let login = [
            "--user=ada",
            "--password=lovelace",
            "-q",
            "--no-proxy",
            "-O",
            to,
            &url,
        ];
        for trust in [trust.as_str(), "--no-check-certificate"] {
            output_of(&wget, &[&[trust][..], &login].concat());
            assert!(fs::read(&file).unwrap() == bytes, "wget {trust}");
        }
    }
    if let Some(python) = need("python3") {
        let script = "import base64, ssl, sys, urllib.request as u\n\
            request = u.Request(sys.argv[1])\n\
            request.add_header('Authorization', 'Basic ' + base64.b64encode(b'ada:lovelace').decode())\n\
            context = ssl.create_default_context(cafile=sys.argv[2])\n\
            sys.stdout.buffer.write(u.urlopen(request, context=context).read())";
        let got = output_of(&python, &["-c", script, &url, ca]);
        assert!(got == bytes, "python: {} bytes", got.len());
    }
}

#[test]
fn curl_believes_the_own_certificate_when_it_is_told_to() {
    let Some(curl) = need("curl") else { return };
    let (root, bytes) = source(100_000);
    let daemon = Daemon::start(root.path(), &["--tls"]);
    let own = daemon.state.path().join("haul/tls.pem");
    for host in ["127.0.0.1", "localhost"] {
        let url = format!("https://{host}:{}/big", daemon.port());
        let got = output_of(
            &curl,
            &["-4", "-sSf", "--cacert", own.to_str().unwrap(), &url],
        );
        assert!(got == bytes, "{host}");
    }
}

#[test]
fn a_connection_that_is_cut_again_and_again_goes_on_over_tls() {
    let ((root, bytes), target) = (source(32 * MIB), quick_temp());
    let serving = serve_tls(root.path());
    let proxy = opaque_proxy(serving.address);
    proxy.lines(|nth| Line {
        cut_after: (nth < 8).then_some(3 * MIB as u64),
        ..Line::default()
    });
    let url = format!("https://{}/", proxy.address);
    let mut fetching = fetch_with(believing(&url, &serving, target.path()));
    fetching.get_everything();
    let fetched = fetching.finish();
    assert_eq!(
        (&fetched.failed[..], fetched.exit),
        (&[][..], Some(Exit::Done))
    );
    assert!(fs::read(target.path().join("big")).unwrap() == bytes);
    assert!(proxy.connections() >= 8, "{}", proxy.connections());
}

#[test]
fn a_client_that_is_killed_goes_on_over_tls_with_what_it_had() {
    let ((root, bytes), target) = (source(64 * MIB), quick_temp());
    let serving = serve_tls(root.path());
    let proxy = opaque_proxy(serving.address);
    proxy.lines(|_| Line {
        rate: Some(12 * MIB as u64),
        ..Line::default()
    });
    let fingerprint = serving.server.fingerprint().unwrap().to_string();
    let url = format!("https://{}/", proxy.address);
    let mut haul = connect(&url, target.path(), &["--fingerprint", &fingerprint]);
    let state = haul.state.path().to_owned();
    let quiet = haul.command.stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = quiet.spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let done = lines.map_while(Result::ok).find(|line| {
        let told: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_ne!(told["event"], "summary", "it ended before it was killed");
        told["bytes"]
            .as_u64()
            .is_some_and(|bytes| bytes > 24 * MIB as u64)
    });
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(done.is_some());
    let before = serving.wait_for("its connections end", |now| now.connections == 0);
    proxy.lines(|_| Line::default());
    let mut again = connect(&url, target.path(), &["--fingerprint", &fingerprint]);
    again.command.env("XDG_STATE_HOME", state);
    let (code, _, stderr) = again.run();
    assert_eq!(code, 0, "{stderr}");
    assert!(fs::read(target.path().join("big")).unwrap() == bytes);
    let sent = serving.server.snapshot().sent - before.sent;
    // 40 MiB were missing, and the pieces that were on their way.
    assert!(sent <= 56 * MIB as u64, "{sent}");
}

/// Runs haul on a terminal, answers its question, and returns its exit status and all that it showed.
fn on_a_terminal(haul: &mut Haul, arguments: &[&str], answers: &[&str]) -> Option<(i32, String)> {
    /// Waits for the end of a question (`]` or `:` and a blank) before each answer, and until a password is not shown.
    const SCRIPT: &str = "import os, pty, sys, termios, time\n\
        count = int(sys.argv[1]); answers = sys.argv[2:2 + count]; program = sys.argv[2 + count:]\n\
        pid, fd = pty.fork()\n\
        if pid == 0: os.execv(program[0], program)\n\
        seen = b''; at = 0\n\
        while True:\n\
        \x20   try: chunk = os.read(fd, 65536)\n\
        \x20   except OSError: break\n\
        \x20   if not chunk: break\n\
        \x20   seen += chunk\n\
        \x20   if answers and seen[at:].endswith((b'[yes/no] ', b': ')):\n\
        \x20       since = time.monotonic()\n\
        \x20       while seen.endswith(b': ') and termios.tcgetattr(fd)[3] & termios.ECHO:\n\
        \x20           if time.monotonic() - since > 10: sys.exit('what is typed would be shown')\n\
        \x20           time.sleep(0.01)\n\
        \x20       at = len(seen); os.write(fd, (answers.pop(0) + '\\n').encode())\n\
        _, status = os.waitpid(pid, 0)\n\
        sys.stdout.buffer.write(seen); sys.stdout.flush()\n\
        sys.exit(os.waitstatus_to_exitcode(status))";
    let python = need("python3")?;
    let mut command = Command::new(python);
    command.args(["-c", SCRIPT, &answers.len().to_string()]);
    command
        .args(answers)
        .arg(env!("CARGO_BIN_EXE_haul"))
        .args(arguments);
    command.env("XDG_STATE_HOME", haul.state.path());
    command.env("XDG_CACHE_HOME", haul.state.path());
    let output = command.stdin(Stdio::null()).output().unwrap();
    let shown = String::from_utf8_lossy(&output.stdout).into_owned();
    Some((
        output.status.code().unwrap(),
        shown + &String::from_utf8_lossy(&output.stderr),
    ))
}

#[test]
fn a_person_is_asked_once() {
    let (root, bytes) = source(100);
    let daemon = Daemon::start(root.path(), &["--tls"]);
    let target = tempfile::tempdir().unwrap();
    let dir = target.path().to_str().unwrap();
    let mut haul = Haul::new(&[]);
    let arguments = ["connect", &daemon.url, "--headless", "--all", "-d", dir];
    let Some((code, shown)) = on_a_terminal(&mut haul, &arguments, &["no"]) else {
        return;
    };
    assert_eq!(code, 5, "{shown}");
    assert!(
        shown.contains(&daemon.fingerprint) && shown.contains("[yes/no]"),
        "{shown}"
    );
    assert!(
        !all_text(haul.state.path()).contains("SHA256:"),
        "nothing is pinned"
    );

    let (code, shown) = on_a_terminal(&mut haul, &arguments, &["yes"]).unwrap();
    assert_eq!(code, 0, "{shown}");
    assert!(fs::read(target.path().join("big")).unwrap() == bytes);

    let (code, shown) = on_a_terminal(&mut haul, &arguments, &[]).unwrap();
    assert_eq!(code, 0, "{shown}");
    assert!(!shown.contains("[yes/no]"), "{shown}");
    // Without a terminal the pin is believed as well, and makes a bare target https.
    let bare = [
        "connect",
        daemon.authority(),
        "--headless",
        "--all",
        "-d",
        dir,
    ];
    let mut again = Haul::new(&bare);
    again.command.env("XDG_STATE_HOME", haul.state.path());
    let (code, _, stderr) = again.run();
    assert_eq!(code, 0, "{stderr}");
}

#[test]
fn a_password_is_asked_for_twice_and_not_shown() {
    let mut haul = Haul::new(&[]);
    let arguments = ["passwd", "ada"];
    let Some((code, shown)) = on_a_terminal(&mut haul, &arguments, &["hunter2", "hunter2"]) else {
        return;
    };
    assert_eq!(code, 0, "{shown}");
    assert!(
        shown.contains("ada:$argon2id$") && !shown.contains("hunter2"),
        "{shown}"
    );
    let (code, shown) = on_a_terminal(&mut haul, &arguments, &["hunter2", "other"]).unwrap();
    assert!(
        code == 2 && shown.contains("the two passwords differ"),
        "{shown}"
    );
}

#[test]
fn a_mirror_has_a_certificate_and_a_pin_of_its_own() {
    let ((root, bytes), target) = (source(24 * MIB), quick_temp());
    let (one, two) = (serve_tls(root.path()), serve_tls(root.path()));
    let mut both = believing(&one.url("/"), &one, target.path());
    let mirror = two.url("/").parse().unwrap();
    both.access
        .expect(&mirror, two.server.fingerprint().unwrap());
    both.mirrors = vec![mirror];
    let mut fetching = fetch_with(both);
    fetching.get_everything();
    let fetched = fetching.finish();
    assert_eq!(
        (&fetched.failed[..], fetched.exit),
        (&[][..], Some(Exit::Done))
    );
    assert!(fs::read(target.path().join("big")).unwrap() == bytes);
    assert!(two.server.snapshot().sent > 0, "the mirror gave its part");

    // One that is not believed is left out, and the other gives it all.
    let (target, three) = (quick_temp(), serve_tls(root.path()));
    let mut both = believing(&one.url("/"), &one, target.path());
    both.mirrors = vec![three.url("/").parse().unwrap()];
    let mut fetching = fetch_with(both);
    fetching.get_everything();
    let fetched = fetching.finish();
    assert_eq!(
        (&fetched.failed[..], fetched.exit),
        (&[][..], Some(Exit::Done))
    );
    assert_eq!(
        three.server.snapshot().requests,
        0,
        "nothing was asked of it"
    );
}

#[test]
fn idle_time_is_kept_over_tls() {
    let (root, _) = source(1);
    let serving = serve_with(server::Settings {
        tls: Some(own_identity()),
        timeout: Duration::from_millis(200),
        ..server::Settings::new(root.path().to_owned())
    });
    let access = {
        let mut access = Access::default();
        let url = serving.url("/").parse().unwrap();
        access.expect(&url, serving.server.fingerprint().unwrap());
        access
    };
    let target = tempfile::tempdir().unwrap();
    let fetching = fetch_with(Settings {
        access,
        ..settings(&serving.url("/"), target.path())
    });
    let root = haul::http1::path::RemotePath::root();
    fetching
        .runtime
        .block_on(fetching.client.list(&root))
        .unwrap();
    serving.wait_for("the idle connection is closed", |now| now.connections == 0);
    fetching
        .runtime
        .block_on(fetching.client.list(&root))
        .unwrap();
}
