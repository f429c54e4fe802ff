//! What servers ask a client to show: logins by host, a proof instead of a password, fields, cookies. Each goes where it
//! belongs, and nowhere else.

use std::{
    fs,
    path::Path,
    process::Command,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use haul::{
    client::{ItemState, Link, Question, Settings},
    credentials::Credentials,
};

use crate::{
    common::{
        fetching::{fetch_with, settings},
        program::Haul,
        scripted::{Reply, Request, Scripted, file, not_found, ok, reply, scripted},
        tools::need,
        trees::{assert_same, content},
    },
    foreign::{Foreign, MIB, temp},
    servers::apache,
};

/// Runs a download of everything below `url` into `dir`.
pub fn all(dir: &Path, url: &str, more: &[&str]) -> (i32, String) {
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
    let (status, out, told) = Haul::new(&[&usual, more].concat()).run();
    (status, out + &told)
}

/// A server with one file that wants the login `ada:lovelace`.
pub fn guarded() -> Scripted {
    scripted(|request| {
        if request.field("Authorization") != Some("Basic YWRhOmxvdmVsYWNl") {
            return reply(
                "401 Unauthorized\nWWW-Authenticate: Basic realm=\"x\"\nContent-Length: 0",
                b"",
            );
        }
        match request.target.as_str() {
            "/" => ok("text/html", b"<a href=\"f\">f</a>"),
            _ => file(request, b"content", ""),
        }
    })
}

#[test]
fn a_login_goes_to_the_server_that_asked_for_it_although_another_leads() {
    let asks = guarded();
    let seen = Arc::<Mutex<Vec<_>>>::default();
    let has_nothing = {
        let seen = Arc::clone(&seen);
        scripted(move |request| {
            let login = request.field("Authorization").map(str::to_owned);
            seen.lock().unwrap().push(login);
            not_found()
        })
    };
    let dir = temp();
    let mut fetching = fetch_with(Settings {
        mirrors: vec![has_nothing.url("/").parse().unwrap()],
        patient: true,
        ..settings(&asks.url("/"), dir.path())
    });
    fetching.get_path("/f");
    // The other one has answered, so it leads; what waits for the login is told all the same.
    let told = fetching.wait_for("the login is asked for", |now| {
        let asked = matches!(now.link, Link::Asks(Question::Login(_)));
        asked && !seen.lock().unwrap().is_empty()
    });
    assert_eq!(told.login_at, Some(asks.address.to_string()));
    assert!(
        matches!(&told.items[0].state, ItemState::Waiting(what) if what.contains("login")),
        "{told:?}"
    );
    let login = || Credentials::login("ada", "lovelace").unwrap();
    let client = fetching.client.clone();
    let elsewhere = client.login(login(), Some("127.0.0.1:1")).unwrap_err();
    assert!(elsewhere.to_string().contains("not asked any more"));
    client.login(login(), told.login_at.as_deref()).unwrap();
    let fetched = fetching.finish();
    assert_eq!(fetched.failed, []);
    assert_eq!(fs::read(dir.path().join("f")).unwrap(), b"content");
    let seen = seen.lock().unwrap();
    assert!(seen.iter().all(Option::is_none), "{seen:?}");
}

#[test]
fn logins_come_from_netrc_by_host() {
    let server = guarded();
    let (dir, home) = (temp(), temp());
    let netrc = home.path().join(".netrc");
    fs::write(
        &netrc,
        "machine other login eve password x\nmachine 127.0.0.1 login ada password lovelace\n",
    )
    .unwrap();
    let mut run = Haul::new(&[
        "connect",
        "--headless",
        "--all",
        "--dir",
        dir.path().to_str().unwrap(),
        &server.url("/"),
    ]);
    run.command.env("HOME", home.path());
    let (status, _, told) = run.run();
    assert_eq!(status, 0, "{told}");
    assert_eq!(fs::read(dir.path().join("f")).unwrap(), b"content");
    let named = netrc.to_str().unwrap();
    assert_eq!(
        all(temp().path(), &server.url("/"), &["--netrc", named]).0,
        0
    );
    // Not for another host, not when it is turned off, and after what was given by hand.
    let elsewhere = server.url("/").replace("127.0.0.1", "localhost");
    assert_eq!(all(temp().path(), &elsewhere, &["--netrc", named]).0, 5);
    assert_eq!(
        all(temp().path(), &server.url("/"), &["--netrc", "off"]).0,
        5
    );
    assert_eq!(
        all(
            temp().path(),
            &server.url("/"),
            &["--netrc", named, "--auth", "eve:x"]
        )
        .0,
        5
    );
    fs::write(&netrc, "machine a login b secret\n").unwrap();
    let (status, told) = all(temp().path(), &server.url("/"), &["--netrc", named]);
    assert_eq!(status, 2, "{told}");
    assert!(!told.contains("secret"), "{told}");
}

#[test]
fn an_auth_file_has_logins_for_several_servers() {
    let (one, two) = (guarded(), guarded());
    let dir = temp();
    let path = dir.path().join("logins");
    fs::write(&path, format!("eve:wrong\n{} ada:lovelace\n", two.url("/"))).unwrap();
    let path = path.to_str().unwrap();
    assert_eq!(
        all(temp().path(), &two.url("/"), &["--auth-file", path]).0,
        5,
        "the first line is for the first server"
    );
    fs::write(
        path,
        format!(
            "{} ada:lovelace\n{} ada:lovelace\n",
            one.url("/"),
            two.url("/")
        ),
    )
    .unwrap();
    for server in [&one, &two] {
        let (status, told) = all(temp().path(), &server.url("/"), &["--auth-file", path]);
        assert_eq!(status, 0, "{told}");
    }
    fs::write(path, "http://x/ nologin-secret\n").unwrap();
    let (status, told) = all(temp().path(), &one.url("/"), &["--auth-file", path]);
    assert!(
        status == 2 && told.contains(":1:") && !told.contains("secret"),
        "{told}"
    );
}

#[test]
fn apache_with_digest_authentication() {
    let source = temp();
    fs::create_dir(source.path().join("sub")).unwrap();
    for n in 0..20 {
        fs::write(
            source.path().join(format!("sub/f {n}?.txt")),
            content(n, 3000),
        )
        .unwrap();
    }
    fs::write(source.path().join("large"), content(99, 9 * MIB)).unwrap();
    // Apache's tag of a file that was changed just now is weak, and ranges of it come whole.
    let large = fs::File::options()
        .write(true)
        .open(source.path().join("large"))
        .unwrap();
    let then = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_700_000_000);
    large.set_modified(then).unwrap();
    let secrets = temp();
    let file = secrets.path().join("digest");
    fs::write(&file, format!("ada:files:{}\n", md5("ada:files:lovelace"))).unwrap();
    let directives = format!(
        "<Location />\nAuthType Digest\nAuthName files\nAuthDigestProvider file\nAuthUserFile {}\nRequire valid-user\n</Location>\n",
        file.display()
    );
    let Some(server) = apache(source.path(), &directives) else {
        return;
    };
    let dir = temp();
    let (status, told) = all(dir.path(), &server.url("/"), &["--auth", "ada:lovelace"]);
    assert_eq!(status, 0, "{told}");
    assert_same(source.path(), dir.path());
    let (status, told) = all(temp().path(), &server.url("/"), &["--auth", "ada:wrong"]);
    assert_eq!(status, 5, "{told}");
    assert!(told.contains("refuses the login"), "{told}");
}

fn md5(text: &str) -> String {
    use md5::Digest as _;
    crate::common::trees::hex(&md5::Md5::digest(text))
}

#[test]
fn a_nonce_that_is_used_up_is_replaced_and_a_wrong_proof_is_not_tried_again() {
    // Each nonce is good for three requests; no proof is checked here, Apache does that.
    let used = Mutex::new((0, 0));
    let server = scripted(move |request| {
        let mut used = used.lock().unwrap();
        let nonce = format!("nonce=\"n{}\"", used.0);
        let proved = request
            .field("Authorization")
            .is_some_and(|field| field.starts_with("Digest") && field.contains(&nonce));
        if !proved || used.1 == 3 {
            if proved {
                *used = (used.0 + 1, 0);
            }
            let stale = request
                .field("Authorization")
                .is_some_and(|field| field.starts_with("Digest"));
            let head = format!(
                "401 Unauthorized\nWWW-Authenticate: Digest realm=\"x\", nonce=\"n{}\", qop=\"auth\", stale={stale}\nContent-Length: 0",
                used.0
            );
            return reply(&head, b"");
        }
        used.1 += 1;
        match request.target.as_str() {
            "/" => {
                let links = (0..10).map(|n| format!("<a href=\"f{n}\">f</a>"));
                let page = links.collect::<Vec<_>>().concat();
                ok("text/html", page.as_bytes())
            }
            _ => file(request, b"content", ""),
        }
    });
    let dir = temp();
    let (status, told) = all(
        dir.path(),
        &server.url("/"),
        &["--auth", "ada:lovelace", "--workers", "2"],
    );
    assert_eq!(status, 0, "{told}");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 10);
    let wrong = scripted(|_| {
        reply(
            "401 Unauthorized\nWWW-Authenticate: Digest realm=\"x\", nonce=\"n\"\nContent-Length: 0",
            b"",
        )
    });
    assert_eq!(
        all(temp().path(), &wrong.url("/"), &["--auth", "ada:lovelace"]).0,
        5
    );
    assert!(wrong.requests().len() <= 3, "{}", wrong.requests().len());
}

#[test]
fn fields_go_to_the_first_server_only() {
    let answer = |request: &Request| match request.target.as_str() {
        "/d/" => ok("text/html", b"<a href=\"f\">f</a><a href=\"g\">g</a>"),
        "/d/f" => file(
            request,
            &content(4, 6 * MIB),
            "\nETag: \"1\"\nLast-Modified: Sun, 06 Nov 1994 08:49:37 GMT",
        ),
        _ => not_found(),
    };
    // What only the mirror has makes it be asked, however fast the first one is.
    let (one, two) = (
        scripted(answer),
        scripted(move |request| match request.target.as_str() {
            "/d/g" => file(request, b"g", ""),
            _ => answer(request),
        }),
    );
    let dir = temp();
    let fields = [
        "--header",
        "X-Key: secret",
        "--header",
        "Cookie:a=1",
        "--header",
        "User-Agent: other/1",
    ];
    let (status, told) = all(
        dir.path(),
        &one.url("/d/"),
        &[&[two.url("/d/").as_str()][..], &fields].concat(),
    );
    assert_eq!(status, 0, "{told}");
    assert!(!told.contains("secret"), "{told}");
    let of = |server: &Scripted, name: &str| -> Vec<Option<String>> {
        server
            .requests()
            .iter()
            .map(|request| request.field(name).map(str::to_owned))
            .collect()
    };
    for (name, value) in [
        ("X-Key", "secret"),
        ("Cookie", "a=1"),
        ("User-Agent", "other/1"),
    ] {
        assert!(
            of(&one, name)
                .iter()
                .all(|sent| sent.as_deref() == Some(value)),
            "{name}"
        );
        assert!(
            of(&two, name)
                .iter()
                .all(|sent| sent.as_deref() != Some(value)),
            "{name}"
        );
    }
    assert!(!two.requests().is_empty(), "the mirror was used");
    for wrong in [
        "Range: bytes=0-1",
        "Host: x",
        "no-colon-secret",
        "bad name: secret",
        "X: a\u{1}secret",
    ] {
        let (status, told) = all(temp().path(), &one.url("/d/"), &["--header", wrong]);
        assert_eq!(status, 2, "{wrong}: {told}");
    }
}

/// A gate that sends whoever has no cookie away and back again, with one.
fn gate(request: &Request) -> Reply {
    if request.target == "/" {
        return ok("text/html", b"<a href=\"f\">f</a><a href=\"g\">g</a>");
    }
    if request
        .field("Cookie")
        .is_some_and(|cookie| cookie.contains("pass=1"))
    {
        return file(request, &content(2, 3 * MIB), "\nETag: \"1\"");
    }
    match request.target.as_str() {
        "/gate" => reply(
            "302 Found\nSet-Cookie: pass=1; Path=/; HttpOnly\nSet-Cookie: other=2; Secure\nLocation: /f\nContent-Length: 0",
            b"",
        ),
        _ => reply("302 Found\nLocation: /gate\nContent-Length: 0", b""),
    }
}

#[test]
fn a_cookie_that_a_redirect_sets_is_shown_again() {
    let server = scripted(gate);
    let dir = temp();
    let (status, told) = all(dir.path(), &server.url("/"), &[]);
    assert_eq!(status, 0, "{told}");
    assert!(fs::read(dir.path().join("f")).unwrap() == content(2, 3 * MIB));
    let shown = |request: &Request| request.field("Cookie").map(str::to_owned);
    assert!(
        server
            .requests()
            .iter()
            .filter_map(shown)
            .all(|cookies| cookies == "pass=1")
    );
    // With one of the user's own it is one field.
    let (status, told) = all(
        temp().path(),
        &server.url("/"),
        &["--header", "Cookie: a=b"],
    );
    assert_eq!(status, 0, "{told}");
    assert!(
        server
            .requests()
            .iter()
            .filter_map(shown)
            .any(|cookies| cookies == "a=b; pass=1")
    );
}

#[test]
fn lighttpd_with_digest_authentication() {
    let source = temp();
    fs::write(source.path().join("f"), content(1, 3 * MIB)).unwrap();
    let Some(program) = need("lighttpd") else {
        return;
    };
    let server = Foreign::start(|address, dir| {
        fs::write(dir.join("plain"), "ada:lovelace\n").unwrap();
        let text = format!(
            "server.document-root = \"{}\"\nserver.bind = \"{}\"\nserver.port = {}\nserver.modules = (\"mod_auth\", \"mod_authn_file\", \"mod_dirlisting\")\n\
             dir-listing.activate = \"enable\"\nauth.backend = \"plain\"\nauth.backend.plain.userfile = \"{}\"\n\
             auth.require = (\"\" => (\"method\" => \"digest\", \"realm\" => \"files\", \"require\" => \"valid-user\", \"algorithm\" => \"SHA-256\"))\n",
            source.path().display(),
            address.ip(),
            address.port(),
            dir.join("plain").display(),
        );
        fs::write(dir.join("lighttpd.conf"), text).unwrap();
        let mut command = Command::new(program);
        command.arg("-D").arg("-f").arg(dir.join("lighttpd.conf"));
        command
    });
    let dir = temp();
    let (status, told) = all(dir.path(), &server.url("/"), &["--auth", "ada:lovelace"]);
    assert_eq!(status, 0, "{told}");
    assert_same(source.path(), dir.path());
}

/// A challenge to a Digest, with a nonce of its own.
fn challenge(nonce: usize, stale: bool) -> Reply {
    let head = format!(
        "401 Unauthorized\nWWW-Authenticate: Digest realm=\"x\", nonce=\"n{nonce}\", qop=\"auth\", stale={stale}\nContent-Length: 0"
    );
    reply(&head, b"")
}

#[test]
fn a_server_that_finds_every_proof_stale_refuses_the_login() {
    let count = AtomicUsize::new(0);
    let server = scripted(move |_| challenge(count.fetch_add(1, Ordering::Relaxed), true));
    for url in [server.url("/"), server.url("/f")] {
        let more: &[&str] = &["--auth", "ada:lovelace"];
        let (status, told) = all(temp().path(), &url, more);
        assert_eq!(status, 5, "{told}");
        assert!(told.contains("refuses the login"), "{told}");
    }
    let requests = server.requests().len();
    assert!(requests <= 20, "{requests}");
}

#[test]
fn a_listing_asks_for_proofs_wherever_it_leads() {
    // Each nonce is good for one request.
    let next = AtomicUsize::new(0);
    let server = scripted(move |request| {
        if request.target == "/d/" {
            return reply("302 Found\nLocation: /d/?C=N\nContent-Length: 0", b"");
        }
        let shown = request.field("Authorization").unwrap_or_default();
        let now = next.load(Ordering::Relaxed);
        if now == 0 || !shown.contains(&format!("nonce=\"n{now}\"")) {
            let now = next.fetch_add(1, Ordering::Relaxed) + 1;
            return challenge(now, shown.starts_with("Digest"));
        }
        next.fetch_add(1, Ordering::Relaxed);
        let page = |name: &str, more: &str| {
            let text = format!(
                "<ListBucketResult><Contents><Key>d/{name}</Key><Size>7</Size></Contents>{more}</ListBucketResult>"
            );
            ok("application/xml", text.as_bytes())
        };
        match request.target.as_str() {
            "/d/?C=N" => page(
                "a",
                "<IsTruncated>true</IsTruncated><NextContinuationToken>t</NextContinuationToken>",
            ),
            target if target.starts_with("/d/?") => page("b", "<IsTruncated>false</IsTruncated>"),
            _ => file(request, b"content", ""),
        }
    });
    let dir = temp();
    let more = ["--auth", "ada:lovelace", "--workers", "1", "--serial"];
    let (status, told) = all(dir.path(), &server.url("/d/"), &more);
    assert_eq!(status, 0, "{told}");
}
