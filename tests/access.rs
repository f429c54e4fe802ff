//! Logins and tokens: who comes in, what is remembered, and that no secret goes anywhere else.

use std::{fs, io::Write as _, path::Path, process::Stdio};

use haul::{
    credentials::Credentials,
    exit::Exit,
    server::{
        self,
        access::{Access, Sources},
    },
};

use crate::common::{
    fetching::{Fetched, fetch_with, settings},
    program::Haul,
    raw::{Raw, fetch, get},
    scripted::{file, ok, reply, scripted},
    secure::{Daemon, all_text, output_of},
    serving::{Serving, serve_with},
    tools::need,
    trees::{assert_same, content, make_tree, quick_temp},
};

const ADA: &str = "Authorization: Basic YWRhOmxvdmVsYWNl\r\n";

fn login(text: &str) -> Credentials {
    Credentials::parse_login(text).unwrap()
}

/// A server for ada, whose password is lovelace, and for those with one of the tokens.
fn guarded(root: &Path, tokens: Option<&str>) -> Serving {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("tokens");
    fs::write(&file, tokens.unwrap_or_default()).unwrap();
    let access = Access::new(&Sources {
        logins: &[login("ada:lovelace")],
        token_file: tokens.map(|_| file.as_path()),
        ..Sources::default()
    });
    serve_with(server::Settings {
        access: access.unwrap(),
        ..server::Settings::new(root.to_owned())
    })
}

/// Downloads everything from `url`, presenting `credentials` to it.
fn fetch_as(url: &str, credentials: &str, dir: &Path) -> Fetched {
    let settings = settings(url, dir);
    settings.access.present(&settings.url, login(credentials));
    let mut fetching = fetch_with(settings);
    fetching.get_everything();
    fetching.finish()
}

#[test]
fn without_a_login_there_is_nothing_but_a_challenge() {
    let root = tempfile::tempdir().unwrap();
    fs::write(root.path().join("f"), "hello").unwrap();
    let serving = guarded(root.path(), None);
    let mut raw = Raw::connect(serving.address);
    for target in ["/f", "/", "/none", "/f?pieces", "/f?blocks=0-0", "/%2e%2e/"] {
        raw.send(get(target, ""));
        let answer = raw.read();
        assert_eq!(answer.status, 401, "{target}: what is there is not told");
        let challenge = answer.field("WWW-Authenticate");
        assert_eq!(challenge, Some("Basic realm=\"haul\", charset=\"UTF-8\""));
        assert!(answer.field("Haul-Dir").is_none() && answer.text().starts_with("401 "));
    }
    raw.send("HEAD /f HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(raw.read_head().status, 401);
    raw.send("OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(raw.read().status, 401);
    // The connection goes on, and the login opens it.
    raw.send(get("/f", ADA));
    let answer = raw.read();
    assert_eq!((answer.status, answer.text()), (200, "hello"));
    raw.send(get("/f", ""));
    assert_eq!(raw.read().status, 401, "each request proves itself");
    raw.send(get("/f", &ADA.repeat(2)));
    assert_eq!(raw.read().status, 400);
}

#[test]
fn tokens_are_challenged_and_taken() {
    let root = tempfile::tempdir().unwrap();
    fs::write(root.path().join("f"), "hello").unwrap();
    let serving = guarded(root.path(), Some("abc\n"));
    let answer = fetch(serving.address, get("/f", ""));
    let challenges = answer
        .fields
        .iter()
        .filter(|(name, _)| name == "WWW-Authenticate");
    let challenges: Vec<_> = challenges.map(|(_, value)| value.as_str()).collect();
    assert_eq!(
        challenges,
        [
            "Basic realm=\"haul\", charset=\"UTF-8\"",
            "Bearer realm=\"haul\""
        ]
    );
    for (field, status) in [
        ("Authorization: Bearer abc\r\n", 200),
        ("authorization: bearer abc\r\n", 200),
        ("Authorization: Bearer abcd\r\n", 401),
        ("Authorization: Bearer\r\n", 401),
        ("Authorization: Basic YWJj\r\n", 401),
        (ADA, 200),
    ] {
        let answer = fetch(serving.address, get("/f", field));
        assert_eq!(answer.status, status, "{field}");
    }
}

#[test]
fn a_login_groups_its_connections_and_is_shown() {
    let root = tempfile::tempdir().unwrap();
    fs::write(root.path().join("f"), "hello").unwrap();
    let serving = guarded(root.path(), None);
    for session in ["1", "2"] {
        let fields = format!("{ADA}Haul-Session: {session}\r\nHaul-Name: eve\r\n");
        assert_eq!(fetch(serving.address, get("/f", &fields)).status, 200);
    }
    let snapshot = serving.wait_for("both were sent", |now| now.files == 2);
    let clients = &snapshot.clients;
    assert_eq!(clients.len(), 1, "{clients:#?}");
    assert_eq!(clients[0].login.as_deref(), Some("ada"));
    assert_eq!(
        clients[0].name.as_deref(),
        Some("ada"),
        "not what it calls itself"
    );
    fetch(serving.address, get("/f", "Authorization: Basic eDp5\r\n"));
    let snapshot = serving.server.snapshot();
    let refused = snapshot
        .clients
        .iter()
        .find(|client| client.login.is_none());
    let (text, _) = refused.unwrap().refused.as_ref().unwrap();
    assert_eq!(text, "401 the login is wrong");
}

#[test]
fn wrong_logins_end_in_429_and_the_right_one_that_is_known_goes_on() {
    let root = tempfile::tempdir().unwrap();
    fs::write(root.path().join("f"), "hello").unwrap();
    let serving = guarded(root.path(), None);
    assert_eq!(fetch(serving.address, get("/f", ADA)).status, 200);
    // Eight are checked at once, two wait for their turn, and two are turned away.
    let guess = |n: usize| format!("Authorization: Bearer guess{n}\r\n");
    let guesses: Vec<Raw> = (0..12)
        .map(|n| {
            let mut raw = Raw::connect(serving.address);
            raw.send(get("/f", &guess(n)));
            raw
        })
        .collect();
    serving.wait_for("the guesses are in", |now| now.requests >= 11);
    // On a machine that is slow enough some tries have come back by now.
    let answer = (12..17)
        .map(|n| fetch(serving.address, get("/f", &guess(n))))
        .find(|answer| answer.status != 401);
    let answer = answer.unwrap();
    assert_eq!(answer.status, 429);
    let seconds: u64 = answer.field("Retry-After").unwrap().parse().unwrap();
    assert!((10..=60).contains(&seconds), "{seconds}");
    assert_eq!(fetch(serving.address, get("/f", ADA)).status, 200);
    drop(guesses);
}

#[test]
fn a_tree_arrives_for_who_is_logged_in() {
    let (root, target) = (quick_temp(), quick_temp());
    make_tree(root.path());
    let serving = guarded(root.path(), None);
    let fetched = fetch_as(&serving.url("/"), "ada:lovelace", target.path());
    assert_eq!(
        (&fetched.failed[..], fetched.exit),
        (&[][..], Some(Exit::Done))
    );
    assert_same(root.path(), target.path());
    for (credentials, says) in [("ada:x", "refuses the login"), ("bob:lovelace", "refuses")] {
        let target = tempfile::tempdir().unwrap();
        let fetched = fetch_as(&serving.url("/"), credentials, target.path());
        assert_eq!(fetched.exit, Some(Exit::Access));
        assert!(fetched.failed[0].1.contains(says), "{:?}", fetched.failed);
    }
}

/// Runs a download of everything, and returns status, all that it showed, and its state directory.
fn download(url: &str, more: &[&str]) -> (i32, String, tempfile::TempDir) {
    let target = tempfile::tempdir().unwrap();
    let dir = target.path().to_str().unwrap();
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
    let mut haul = Haul::new(&[&usual[..], &["-v", "trace"], more].concat());
    let output = haul.command.output().unwrap();
    let shown = [output.stdout, output.stderr].concat();
    (
        output.status.code().unwrap(),
        String::from_utf8(shown).unwrap(),
        haul.state,
    )
}

#[test]
fn a_password_is_in_no_line_and_no_file() {
    const SECRETS: [&str; 4] = ["lovelace", "bG92ZWxhY2", "xvdmVsYW", "sb3ZlbGFjZ"];
    let root = tempfile::tempdir().unwrap();
    fs::write(root.path().join("large"), content(1, 9 << 20)).unwrap();
    fs::write(root.path().join("small"), "small").unwrap();
    let daemon = Daemon::start(root.path(), &["--tls", "--auth", "ada:lovelace"]);
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), "ada:lovelace\n").unwrap();
    let path = file.path().to_str().unwrap();
    let in_url = daemon.url.replace("://", "://ada:lovelace@");
    let pin = ["--fingerprint", daemon.fingerprint.as_str()];
    let json = ["--log-format", "json"];
    for (url, more, status) in [
        (&daemon.url, &["--auth", "ada:lovelace"][..], 0),
        (&daemon.url, &["--auth-file", path], 0),
        (&in_url, &json[..], 0),
        (&in_url, &["-g", "none"], 2),
        (&daemon.url, &["--auth", "ada:lovelace!"], 5),
        (&daemon.url, &["--auth", "lovelace:ada"], 5),
        (&in_url, &["--auth", "ada:lovelace"], 2),
        (&daemon.url, &["--auth", "lovelace"], 2),
    ] {
        let (code, shown, state) = download(url, &[&pin[..], more].concat());
        assert_eq!(code, status, "{more:?}: {shown}");
        let log = all_text(state.path());
        for secret in SECRETS {
            assert!(!shown.contains(secret), "{more:?}: {shown}");
            assert!(!log.contains(secret), "{more:?}: {log}");
        }
    }
    let written = daemon.written();
    assert!(written.contains("wrong password for ada"), "{written}");
    for secret in SECRETS {
        assert!(!written.contains(secret), "{written}");
    }
}

#[test]
fn no_login_is_one_line_and_status_5() {
    let root = tempfile::tempdir().unwrap();
    fs::write(root.path().join("f"), "x").unwrap();
    let daemon = Daemon::start(root.path(), &["--auth", "ada:lovelace"]);
    let (code, shown, _) = download(&daemon.url, &[]);
    assert_eq!(code, 5, "{shown}");
    assert!(
        shown.contains("wants a login (401): give one with --auth-file"),
        "{shown}"
    );
    let url = format!("{}/f", daemon.url);
    let target = tempfile::tempdir().unwrap();
    let dir = target.path().to_str().unwrap();
    let line = Haul::new(&["connect", &url, "--headless", "--json", "-d", dir]).fails(5);
    assert!(line.contains("wants a login"), "{line}");
}

#[test]
fn a_redirect_to_another_origin_gets_no_login() {
    let elsewhere = scripted(|_| ok("text/plain", b"caught"));
    let there = elsewhere.url("/f");
    let server = scripted(move |request| match request.target.as_str() {
        "/" => ok("text/html", b"<a href=\"f\">f</a> <a href=\"g\">g</a>"),
        "/g" => reply("302 Found\nLocation: /moved\nContent-Length: 0", b""),
        "/moved" => file(request, b"moved", ""),
        _ => reply(
            &format!("302 Found\nLocation: {there}\nContent-Length: 0"),
            b"",
        ),
    });
    let target = tempfile::tempdir().unwrap();
    let fetched = fetch_as(&server.url("/"), "ada:lovelace", target.path());
    assert_eq!(fetched.paths(), ["f", "g"]);
    assert_eq!(fs::read(target.path().join("f")).unwrap(), b"caught");
    for request in server.requests() {
        let sent = request.field("Authorization");
        assert_eq!(sent, Some("Basic YWRhOmxvdmVsYWNl"), "{}", request.target);
    }
    let caught = elsewhere.requests();
    assert!(
        caught.iter().all(|r| r.field("Authorization").is_none()),
        "{caught:?}"
    );
}

#[test]
fn a_mirror_gets_only_the_login_that_was_given_for_it() {
    let bytes = content(1, 8 << 20);
    let serve = |bytes: Vec<u8>| {
        scripted(move |request| match request.target.as_str() {
            "/" => ok("text/html", b"<a href=\"f\">f</a>"),
            _ => file(request, &bytes, "\nETag: \"1\"\nAccept-Ranges: bytes"),
        })
    };
    let (one, two, three) = (
        serve(bytes.clone()),
        serve(bytes.clone()),
        serve(bytes.clone()),
    );
    let target = quick_temp();
    let dir = target.path().to_str().unwrap();
    let first = one.url("/").replace("://", "://ada:lovelace@");
    let second = two.url("/").replace("://", "://bob:builder@");
    let third = three.url("/");
    let haul = Haul::new(&[
        "connect",
        &first,
        &second,
        &third,
        "--headless",
        "--all",
        "-d",
        dir,
    ]);
    let (code, _, stderr) = haul.run();
    assert_eq!(code, 0, "{stderr}");
    assert!(fs::read(target.path().join("f")).unwrap() == bytes);
    for (server, expected) in [
        (&one, Some("Basic YWRhOmxvdmVsYWNl")),
        (&two, Some("Basic Ym9iOmJ1aWxkZXI=")),
        (&three, None),
    ] {
        for request in server.requests() {
            assert_eq!(
                request.field("Authorization"),
                expected,
                "{}",
                request.target
            );
        }
    }
    assert!(!one.requests().is_empty());
}

#[test]
fn hashes_made_by_passwd_let_everyone_in_who_knows_the_password() {
    let root = tempfile::tempdir().unwrap();
    fs::write(root.path().join("f"), content(1, 300_000)).unwrap();
    let expected = content(1, 300_000);
    let made = |user: &str, password: &str| {
        let mut haul = Haul::new(&["passwd", user]);
        let command = haul.command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child
            .stdin
            .take()
            .unwrap()
            .write_all(password.as_bytes())
            .unwrap();
        let output = child.wait_with_output().unwrap();
        (
            output.status.code().unwrap(),
            String::from_utf8(output.stdout).unwrap(),
        )
    };
    let (code, ada) = made("ada", "lovelace\n");
    assert!(
        code == 0 && ada.starts_with("ada:$argon2id$v=19$") && ada.lines().count() == 1,
        "{ada}"
    );
    assert_ne!(made("ada", "lovelace").1, ada, "a salt of its own");
    let (_, bob) = made("bob", "b:ü lder");
    assert_eq!(made("bob", "").0, 2);
    assert_eq!(made("b:ob", "x").0, 2);

    let dir = tempfile::tempdir().unwrap();
    let (users, tokens) = (dir.path().join("users"), dir.path().join("tokens"));
    fs::write(&users, format!("{ada}{bob}")).unwrap();
    fs::write(&tokens, "t0ken\n").unwrap();
    let daemon = Daemon::start(
        root.path(),
        &[
            "--auth-file",
            users.to_str().unwrap(),
            "--token-file",
            tokens.to_str().unwrap(),
        ],
    );
    let url = format!("{}/f", daemon.url);
    for more in [
        &["--auth", "ada:lovelace"][..],
        &["--auth", "bob:b:ü lder"],
        &["--token-file", tokens.to_str().unwrap()],
    ] {
        let (code, shown, _) = download(&daemon.url, more);
        assert_eq!(code, 0, "{more:?}: {shown}");
    }
    let (code, shown, _) = download(&daemon.url, &["--auth", "ada:Lovelace"]);
    assert!(code == 5 && shown.contains("refuses the login"), "{shown}");

    if let Some(curl) = need("curl") {
        for login in [
            &["-u", "ada:lovelace"][..],
            &["-u", "bob:b:ü lder"],
            &["-H", "Authorization: Bearer t0ken"],
        ] {
            let got = output_of(&curl, &[&["-sSf"], login, &[&url]].concat());
            assert!(got == expected, "curl {login:?}");
        }
    }
    if let Some(wget) = need("wget") {
        let got = output_of(
            &wget,
            &[
                "-q",
                "--no-proxy",
                "-O",
                "-",
                "--user=ada",
                "--password=lovelace",
                &url,
            ],
        );
        assert!(got == expected, "wget: {} bytes", got.len());
    }
    if let Some(python) = need("python3") {
        let script = "import sys, urllib.request as u\n\
            passwords = u.HTTPPasswordMgrWithDefaultRealm()\n\
            passwords.add_password(None, sys.argv[1], 'bob', 'b:ü lder')\n\
            opener = u.build_opener(u.HTTPBasicAuthHandler(passwords))\n\
            sys.stdout.buffer.write(opener.open(sys.argv[1]).read())";
        let got = output_of(&python, &["-c", script, &url]);
        assert!(got == expected, "python: {} bytes", got.len());
    }
}
