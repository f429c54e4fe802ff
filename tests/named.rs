//! What a client shows to servers that are named in files: Metalinks, lists and `.netrc`.

use std::{fs, io::Read as _, net::TcpListener, process::Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::{
    common::{
        program::{Haul, ended},
        scripted::{Reply, Request, Scripted, file, not_found, ok, reply, scripted},
        trees::{content, hex},
    },
    foreign::temp,
    logins::{all, guarded},
};

/// A Metalink of the file `f`, which these URLs have.
fn metalink(urls: &[String]) -> String {
    let urls: Vec<_> = urls.iter().map(|url| format!("<url>{url}</url>")).collect();
    format!(
        "<metalink xmlns=\"urn:ietf:params:xml:ns:metalink\"><file name=\"f\"><size>7</size>{}</file></metalink>",
        urls.concat()
    )
}

#[test]
fn what_is_for_one_server_goes_to_the_one_of_a_local_metalink() {
    let (one, two) = (guarded(), guarded());
    let dir = temp();
    let path = dir.path().join("f.meta4");
    let login = dir.path().join("login");
    fs::write(&login, "ada:lovelace\n").unwrap();
    let run = |more: &[&str]| {
        let to = temp();
        let to = to.path().to_str().unwrap();
        let usual = ["connect", "--headless", "-r", "0", "-d", to];
        let (status, _, told) =
            Haul::new(&[&usual[..], &[path.to_str().unwrap()], more].concat()).run();
        (status, told)
    };
    let field = "Authorization: Basic YWRhOmxvdmVsYWNl";
    let given = [
        ["--auth", "ada:lovelace"],
        ["--auth-file", login.to_str().unwrap()],
        ["--header", field],
    ];
    fs::write(&path, metalink(&[one.url("/f")])).unwrap();
    for more in &given {
        let (status, told) = run(more);
        assert_eq!(status, 0, "{more:?}: {told}");
    }
    let zeros = "00".repeat(32);
    let (status, told) = run(&["--fingerprint", &zeros]);
    assert!(status == 2 && told.contains("names http://"), "{told}");
    let before = one.requests().len();
    fs::write(&path, metalink(&[one.url("/f"), two.url("/f")])).unwrap();
    for more in given.iter().chain([&["--fingerprint", zeros.as_str()]]) {
        let (status, told) = run(more);
        assert!(
            status == 2 && told.contains("names several servers"),
            "{told}"
        );
    }
    assert_eq!((one.requests().len(), two.requests().len()), (before, 0));
    fs::write(&login, format!("{} ada:lovelace\n", two.url("/"))).unwrap();
    let (status, told) = run(&given[1]);
    assert_eq!(status, 0, "{told}");
    assert!(
        one.requests()
            .iter()
            .skip(before)
            .all(|request| request.field("Authorization").is_none())
    );
}

#[test]
fn a_server_that_a_fetched_metalink_names_is_a_stranger() {
    let other = scripted(|request| file(request, b"content", ""));
    let there = other.url("/f").replace("127.0.0.1", "localhost");
    let server = scripted(move |request| match request.target.as_str() {
        "/f.meta4" => ok(
            "application/metalink4+xml",
            metalink(std::slice::from_ref(&there)).as_bytes(),
        ),
        _ => not_found(),
    });
    let (dir, netrc) = (temp(), temp());
    let netrc = netrc.path().join("netrc");
    fs::write(&netrc, "default login ada password lovelace\n").unwrap();
    let url = server.url("/f.meta4");
    let to = dir.path().to_str().unwrap();
    let line = [
        "connect",
        "--headless",
        "-d",
        to,
        "--user",
        "Ada",
        &url,
        "--netrc",
    ];
    let (status, _, told) = Haul::new(&[&line[..], &[netrc.to_str().unwrap()]].concat()).run();
    assert_eq!(status, 0, "{told}");
    let asked = server.requests();
    assert!(
        asked[0].field("Authorization").is_some() && asked[0].field("Haul-Name") == Some("Ada")
    );
    let caught = other.requests();
    assert!(!caught.is_empty());
    for request in caught {
        assert_eq!(request.field("Authorization"), None);
        assert_eq!(request.field("Haul-Name"), None);
        assert_ne!(
            request.field("Haul-Session"),
            asked[0].field("Haul-Session")
        );
    }
}

#[test]
fn a_netrc_that_cannot_be_read_is_told() {
    let server = scripted(|request| file(request, b"content", ""));
    let (dir, home) = (temp(), temp());
    fs::write(
        home.path().join(".netrc"),
        b"machine x login \xff password y\n",
    )
    .unwrap();
    let to = dir.path().to_str().unwrap();
    let mut run = Haul::new(&["connect", "--headless", "-d", to, &server.url("/f")]);
    run.command.env("HOME", home.path());
    let (status, _, told) = run.run();
    assert!(status == 0 && told.contains("it is no UTF-8"), "{told}");
}

#[test]
fn a_list_is_fetched_with_the_login_in_its_address() {
    let lists = guarded();
    let server = scripted(|request| file(request, b"content", ""));
    let run = |login: &str, more: &[&str]| {
        let list = lists.url("/SUMS").replace("://", &format!("://{login}@"));
        let more = [&["--checksums", list.as_str()][..], more].concat();
        all(temp().path(), &server.url("/"), &more)
    };
    // What comes is no list, but it comes.
    let (status, told) = run("ada:lovelace", &[]);
    assert!(status == 2 && told.contains("is that a list?"), "{told}");
    assert_eq!(run("ada:x", &[]).0, 5);
    let logins = temp();
    let path = logins.path().join("logins");
    fs::write(&path, format!("{} ada:lovelace\n", lists.url("/"))).unwrap();
    let (status, told) = run("ada:secret", &["--auth-file", path.to_str().unwrap()]);
    assert!(status == 2 && told.contains("another login"), "{told}");
    assert!(!told.contains("secret"), "{told}");
}

#[test]
fn a_weak_digest_decides_about_a_file_that_is_here() {
    const DATE: &str = "Thu, 01 Jan 2015 00:00:00 GMT";
    let dated = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_420_070_400);
    let (right, wrong) = (content(1, 3 << 20), content(2, 3 << 20));
    let sent = right.clone();
    let server = scripted(move |request| {
        let fields = format!("\nAccept-Ranges: bytes\nLast-Modified: {DATE}");
        file(request, &sent, &fields)
    });
    let digest = hex(&<md5::Md5 as md5::Digest>::digest(&right));
    let dir = temp();
    let path = dir.path().join("f.meta4");
    let text = format!(
        "<metalink xmlns=\"urn:ietf:params:xml:ns:metalink\"><file name=\"f\"><size>{}</size>\
         <hash type=\"md5\">{digest}</hash><url>{}</url></file></metalink>",
        right.len(),
        server.url("/f")
    );
    fs::write(&path, text).unwrap();
    // Its date says neither that it is here nor that it is not.
    for (here, date, name, kept) in [
        (&wrong, Some(dated), "f (1)", false),
        (&right, None, "f", true),
        (&right, Some(dated), "f", true),
    ] {
        let to = temp();
        let there = to.path().join("f");
        fs::write(&there, here).unwrap();
        if let Some(date) = date {
            let opened = fs::File::options().write(true).open(&there).unwrap();
            opened.set_modified(date).unwrap();
        }
        let before = server.requests().len();
        let target = to.path().to_str().unwrap();
        let line = ["connect", "--headless", "--json", "-d", target];
        let (status, stdout, stderr) =
            Haul::new(&[&line[..], &[path.to_str().unwrap()]].concat()).run();
        assert_eq!(status, 0, "{stderr}");
        assert!(fs::read(to.path().join(name)).unwrap() == right, "{stdout}");
        assert_eq!(
            fs::read_dir(to.path()).unwrap().count(),
            if kept { 1 } else { 2 }
        );
        assert!(
            stdout.contains("\"verified\":\"Metalink, weak\""),
            "{stdout}"
        );
        let all_kept = format!("\"kept\":{}", right.len());
        assert_eq!(stdout.contains(&all_kept), kept, "{stdout}");
        let asked = server.requests().split_off(before);
        let is_fetched = asked.iter().any(|request| request.method == "GET");
        assert_eq!(is_fetched, !kept, "{stdout}");
    }
}

/// A server whose `/one` answers like this, `/two` with the file, and all else with 404.
fn of_two_urls(one: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Scripted {
    scripted(move |request| match request.target.as_str() {
        "/one" => one(request),
        "/two" => file(request, b"content", ""),
        _ => not_found(),
    })
}

fn status(head: &str) -> Reply {
    reply(&format!("{head}\nContent-Length: 0"), b"")
}

fn redirect(to: &str) -> Reply {
    status(&format!("302 Found\nLocation: {to}"))
}

/// What comes of a Metalink of these URLs; with the digest of what the file holds.
fn of_urls(urls: &[String], more: &[&str]) -> (i32, String, Option<Vec<u8>>) {
    let (dir, to) = (temp(), temp());
    let path = dir.path().join("f.meta4");
    let digest = hex(&<sha2::Sha256 as sha2::Digest>::digest(b"content"));
    let hash = format!("<hash type=\"sha-256\">{digest}</hash></file>");
    fs::write(&path, metalink(urls).replace("</file>", &hash)).unwrap();
    let line = ["connect", "--headless", "-d", to.path().to_str().unwrap()];
    let line = [&line[..], &[path.to_str().unwrap()], more].concat();
    let (status, _, told) = Haul::new(&line).run();
    (status, told, fs::read(to.path().join("f")).ok())
}

#[test]
fn whatever_fails_at_one_url_the_next_one_of_its_server_is_asked() {
    let gone = scripted(|_| not_found());
    let away = gone.url("/gone");
    let closed = {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        format!("http://{}/f", listener.local_addr().unwrap())
    };
    let to_closed = move |_: &Request| redirect(&closed);
    let cases: [(&str, &str, Scripted); 10] = [
        ("404", "0", of_two_urls(|_| not_found())),
        (
            "a redirect to a 404",
            "0",
            of_two_urls(|_| redirect("/gone")),
        ),
        ("a circle", "0", of_two_urls(|_| redirect("/one"))),
        (
            "a 404 elsewhere",
            "0",
            of_two_urls(move |_| redirect(&away)),
        ),
        ("nobody elsewhere", "1", of_two_urls(to_closed)),
        (
            "500",
            "0",
            of_two_urls(|_| status("500 Internal Server Error")),
        ),
        (
            "500 and tries",
            "2",
            of_two_urls(|_| status("500 Internal Server Error")),
        ),
        (
            "503",
            "1",
            of_two_urls(|_| status("503 Service Unavailable")),
        ),
        (
            "401",
            "0",
            of_two_urls(|_| status("401 Unauthorized\nWWW-Authenticate: Basic realm=x")),
        ),
        (
            "another coding",
            "0",
            of_two_urls(|request| file(request, b"content", "\nContent-Encoding: odd")),
        ),
    ];
    let wrong = of_two_urls(|request| file(request, b"another", ""));
    let short = of_two_urls(|request| file(request, b"short", ""));
    let wrong = [("other bytes", "0", wrong), ("another size", "0", short)];
    for (case, tries, server) in cases.into_iter().chain(wrong) {
        let urls = ["/one", "/two"].map(|target| server.url(target));
        let (status, told, content) = of_urls(&urls, &["-r", tries]);
        assert_eq!(status, 0, "{case}: {told}");
        assert_eq!(content.as_deref(), Some(&b"content"[..]), "{case}");
    }
}

#[test]
fn urls_that_all_fail_are_asked_for_no_more_often_than_tries_and_urls() {
    for (head, tries, asked, expected) in [
        ("404 Not Found", "3", 3, 3),
        ("500 Internal Server Error", "0", 3, 4),
        ("500 Internal Server Error", "1", 4, 4),
    ] {
        let server = scripted(move |_| status(head));
        let urls = ["/1", "/2", "/3"].map(|target| server.url(target));
        let (status, told, _) = of_urls(&urls, &["-r", tries]);
        assert_eq!(status, expected, "{told}");
        assert_eq!(server.requests().len(), asked, "{head} {tries}: {told}");
    }
}

/// What the last lines of `--json` tell: the failure, if there is one, and the summary's number of them.
fn told(stdout: &str) -> (Option<String>, Value) {
    let lines: Vec<Value> = stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let (summary, before) = lines.split_last().expect("nothing is told");
    assert_eq!(summary["event"], "summary", "{stdout}");
    let failed = before.iter().find(|line| line["event"] == "failed");
    let error = failed.map(|line| line["error"].as_str().unwrap().to_owned());
    (error, summary["failed"].clone())
}

#[test]
fn a_run_that_ends_before_it_has_begun_says_so_in_json_too() {
    let server = scripted(|_| not_found());
    let dir = temp();
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    let (below, dir) = (file.join("x"), dir.path().to_str().unwrap());
    let (named, one, list) = (server.url("/f.meta4"), server.url("/f"), server.url("/l"));
    for (more, status) in [
        (vec![named.as_str(), "-d", dir], 3),
        (vec![&one, "-d", dir, "--checksums", &list], 3),
        (vec![&one, "-d", below.to_str().unwrap()], 7),
    ] {
        let line = ["connect", "--headless", "--json", "-r", "0"];
        let (code, stdout, stderr) = Haul::new(&[&line[..], &more].concat()).run();
        assert_eq!(code, status, "{stderr}");
        let (error, failed) = told(&stdout);
        assert_eq!(stderr, format!("haul: {}\n", error.unwrap()));
        assert_eq!(failed, 1);
    }
    // A signal is no failure.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/f.meta4", silent.local_addr().unwrap());
    let mut run = Haul::new(&["connect", &url, "--headless", "--json", "-d", dir]);
    let mut child = run.command.stdout(Stdio::piped()).spawn().unwrap();
    let _held = silent.accept().unwrap();
    let id = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    kill_process(id, Signal::TERM).unwrap();
    assert_eq!(ended(&mut child).code(), Some(143));
    let mut stdout = String::new();
    let mut out = child.stdout.take().unwrap();
    out.read_to_string(&mut stdout).unwrap();
    assert_eq!(told(&stdout), (None, 0.into()));
}
