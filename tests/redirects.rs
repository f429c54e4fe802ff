//! Answers that redirect to other servers: what is fetched from there, what is not told there, and where it ends.

mod expiring;
mod ways;

use std::{fs, path::Path};

use haul::exit::Exit;

use crate::{
    common::{
        fetching::{fetch_with, settings},
        program::Haul,
        scripted::{Reply, Request, Scripted, file, not_found, ok, reply, scripted},
        trees::content,
    },
    foreign::{MIB, assert_done, fetch, nginx, temp},
};

pub const SIZES: [usize; 2] = [1000, 3 * MIB + 7];

/// An answer that leads elsewhere.
pub fn to(status: u16, there: &str) -> Reply {
    reply(
        &format!("{status} Elsewhere\nLocation: {there}\nContent-Length: 5"),
        b"gone\n",
    )
}

/// A server of one file of so many bytes, whatever is asked for.
pub fn store(size: usize) -> Scripted {
    scripted(move |request| file(request, &content(4, size), "\nETag: \"1\""))
}

/// A run of haul without a screen, into `dir`.
pub fn haul(dir: &Path, url: &str, more: &[&str]) -> Haul {
    let dir = dir.to_str().unwrap();
    let usual = ["connect", url, "--headless", "-r", "1", "-d", dir];
    Haul::new(&[&usual[..], more].concat())
}

/// Runs it and expects `status`; what it says last.
pub fn last_line(run: Haul, status: i32) -> String {
    let (code, out, told) = run.run();
    assert_eq!(code, status, "{out}{told}");
    let line = told.lines().last().unwrap();
    assert!(line.starts_with("haul: "), "{told}");
    line.to_owned()
}

/// What is in the `Authorization` of each request.
fn logins(server: &Scripted) -> Vec<Option<String>> {
    let requests = server.requests();
    let sent = requests
        .iter()
        .map(|it| it.field("Authorization").map(str::to_owned));
    sent.collect()
}

#[test]
fn files_are_fetched_where_a_redirect_leads_and_nothing_of_ours_is_told_there() {
    for (status, size) in [301, 302, 303, 307, 308]
        .into_iter()
        .flat_map(|status| SIZES.map(|size| (status, size)))
    {
        let away = store(size);
        let there = away
            .url("/deep/f?X-Signature=s3cret")
            .replace("://", "://eve:pass@");
        let first = scripted(move |_| {
            let Reply { bytes, then } = to(status, &there);
            let text = String::from_utf8(bytes).unwrap();
            let bytes = text
                .replacen("Location", "Set-Cookie: pass=1\r\nLocation", 1)
                .into_bytes();
            Reply { bytes, then }
        });
        let dir = temp();
        let log = dir.path().join("log");
        let run = haul(
            dir.path(),
            &first.url("/f"),
            &[
                "--auth",
                "ada:lovelace",
                "--header",
                "X-Token: t0ken",
                "--log",
                log.to_str().unwrap(),
            ],
        );
        let (code, out, told) = run.run();
        assert_eq!(code, 0, "{status}: {out}{told}");
        assert!(fs::read(dir.path().join("f")).unwrap() == content(4, size));
        assert!(
            logins(&first)
                .iter()
                .all(|sent| sent.as_deref() == Some("Basic YWRhOmxvdmVsYWNl"))
        );
        assert!(first.requests().len() <= 2, "{:?}", first.requests());
        for request in away.requests() {
            assert_eq!(request.target, "/deep/f?X-Signature=s3cret");
            for name in ["Authorization", "Cookie", "X-Token", "Haul-Name", "Referer"] {
                assert_eq!(request.field(name), None, "{name}");
            }
            assert_eq!(request.field("Host"), Some(&*away.address.to_string()));
        }
        let log = fs::read_to_string(log).unwrap();
        assert!(
            log.contains(&format!("redirected to {}", away.url("/deep/f?..."))),
            "{log}"
        );
        for secret in ["s3cret", "eve", "lovelace"] {
            assert!(
                !log.contains(secret) && !told.contains(secret),
                "{secret}: {log}{told}"
            );
        }
    }
}

#[test]
fn a_chain_of_redirects_ends() {
    // Five of them, through two servers; at the first one its own login is shown again.
    let count = |target: &str| target.trim_start_matches("/f").len();
    for (hops, works) in [(5, true), (6, false)] {
        let away = std::sync::Arc::new(std::sync::OnceLock::<String>::new());
        let other = std::sync::Arc::clone(&away);
        let answer = move |request: &Request, base: &str| {
            let so_far = count(&request.target);
            if so_far == hops {
                return file(request, b"at last", "");
            }
            to(302, &format!("{base}{}x", request.target))
        };
        let first = scripted(move |request| answer(request, away.get().unwrap()));
        let base = first.url("");
        let second = scripted(move |request| answer(request, &base));
        other.set(second.url("")).unwrap();
        let dir = temp();
        let run = haul(dir.path(), &first.url("/f"), &["--auth", "ada:lovelace"]);
        if works {
            let (code, out, told) = run.run();
            assert_eq!(code, 0, "{out}{told}");
            assert_eq!(fs::read(dir.path().join("f")).unwrap(), b"at last");
        } else {
            let line = last_line(run, 3);
            assert!(line.contains("more than 5 redirects"), "{line}");
        }
        assert!(logins(&first).iter().all(Option::is_some));
        assert!(logins(&second).iter().all(Option::is_none));
        assert!(first.requests().len() + second.requests().len() <= 7);
    }
}

#[test]
fn what_leads_nowhere_is_refused_in_one_line() {
    for (there, says) in [
        ("ftp://127.0.0.1/f", "ftp://127.0.0.1/f: haul speaks"),
        ("file:///etc/passwd", "haul speaks"),
        ("http://[", "no address"),
    ] {
        let first = scripted(move |_| to(302, there));
        let dir = temp();
        let line = haul(dir.path(), &first.url("/f"), &[]).fails(3);
        assert!(line.contains(says), "{line}");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }
    // A directory is browsed where it is.
    let first = scripted(|_| to(301, "http://127.0.0.9:1/d/"));
    let line = haul(temp().path(), &first.url("/d"), &[]).fails(3);
    assert!(
        line.contains("http://127.0.0.9:1/d/: connect to that address instead"),
        "{line}"
    );
}

#[test]
fn a_tree_whose_files_lie_elsewhere_shares_connections() {
    const COUNT: usize = 200;
    let away = store(2000);
    let base = away.url("");
    let first = scripted(move |request| {
        if request.target != "/" {
            return to(302, &format!("{base}{}", request.target));
        }
        let links: Vec<_> = (0..COUNT)
            .map(|n| format!("<a href=\"f{n}\">f{n}</a>"))
            .collect();
        ok("text/html", links.concat().as_bytes())
    });
    let dir = temp();
    let fetched = fetch(settings(&first.url("/"), dir.path()));
    assert_done(&fetched);
    assert_eq!(fetched.finished.len(), COUNT);
    for n in 0..COUNT {
        assert!(fs::read(dir.path().join(format!("f{n}"))).unwrap() == content(4, 2000));
    }
    let connections = |server: &Scripted| server.requests().iter().filter(|it| it.nth == 0).count();
    assert!(
        connections(&away) <= 10,
        "{} connections",
        connections(&away)
    );
    assert!(
        connections(&first) <= 10,
        "{} connections",
        connections(&first)
    );
    assert_eq!(away.requests().len(), COUNT);
    assert_eq!(first.requests().len(), COUNT + 1);
}

#[test]
fn one_large_file_comes_over_all_connections() {
    let size = 24 * MIB;
    let away = store(size);
    let there = away.url("/f");
    let first = scripted(move |_| to(307, &there));
    let dir = temp();
    let mut fetching = fetch_with(settings(&first.url("/f"), dir.path()));
    fetching.get_path("/f");
    let client = fetching.client.clone();
    assert_done(&fetching.finish());
    assert!(fs::read(dir.path().join("f")).unwrap() == content(4, size));
    assert_eq!(first.requests().len(), 1);
    let snapshot = client.snapshot();
    assert_eq!(snapshot.items[0].led, Some(away.url("/f")));
}

#[test]
fn files_on_ever_so_many_servers_are_fetched_with_few_connections() {
    // Everything is asked of one proxy, whatever the host is.
    const COUNT: usize = 300;
    let hosts = scripted(|request| {
        let target = request.target.strip_prefix("http://").unwrap();
        let (host, path) = target.split_once('/').unwrap();
        match (host, path) {
            ("first.invalid", "") => {
                let links: Vec<_> = (0..COUNT)
                    .map(|n| format!("<a href=\"f{n}\">f{n}</a>"))
                    .collect();
                ok("text/html", links.concat().as_bytes())
            }
            ("first.invalid", name) => to(302, &format!("http://{name}.invalid/x")),
            (_, "x") => file(request, host.as_bytes(), ""),
            _ => not_found(),
        }
    });
    let dir = temp();
    let proxy = format!("http://{}", hosts.address);
    let run = haul(
        dir.path(),
        "http://first.invalid/",
        &["--all", "--proxy", &proxy],
    );
    let (code, out, told) = run.run();
    assert_eq!(code, 0, "{out}{told}");
    for n in 0..COUNT {
        assert_eq!(
            fs::read_to_string(dir.path().join(format!("f{n}"))).unwrap(),
            format!("f{n}.invalid")
        );
    }
    let asked = hosts
        .requests()
        .iter()
        .filter(|it| it.target.contains("first.invalid"))
        .count();
    assert!(asked < 3 * COUNT, "{asked} requests to the first server");
}

#[test]
fn a_server_that_is_down_fails_what_lies_there_and_nothing_else() {
    let first = scripted(|request| match request.target.as_str() {
        "/" => ok(
            "text/html",
            b"<a href=\"a\">a</a> <a href=\"b\">b</a> <a href=\"c\">c</a>",
        ),
        "/b" => to(302, "http://127.0.0.1:1/b"),
        _ => file(request, b"here", ""),
    });
    let dir = temp();
    let fetched = fetch(haul::client::Settings {
        retries: 1,
        ..settings(&first.url("/"), dir.path())
    });
    assert_eq!(fetched.paths(), ["a", "c"]);
    assert_eq!(fetched.exit, Some(Exit::Network));
    let [(name, why)] = &fetched.failed[..] else {
        panic!("{:?}", fetched.failed)
    };
    assert!(
        name == "b" && why.contains("cannot connect to 127.0.0.1:1"),
        "{why}"
    );
    let asked = first
        .requests()
        .iter()
        .filter(|it| it.target == "/b")
        .count();
    assert!(
        (2..=3).contains(&asked),
        "the first URL may lead to another server: {asked}"
    );
}

#[test]
fn a_mirror_that_redirects_gives_its_share() {
    let size = 24 * MIB;
    let away = store(size);
    let there = away.url("/elsewhere");
    let direct = store(size);
    let second = scripted(move |_| to(302, &there));
    let dir = temp();
    let mut fetching = fetch_with(haul::client::Settings {
        mirrors: vec![second.url("/").parse().unwrap()],
        ..settings(&direct.url("/"), dir.path())
    });
    fetching.get_path("/f");
    assert_done(&fetching.finish());
    assert!(fs::read(dir.path().join("f")).unwrap() == content(4, size));
    assert!(!away.requests().is_empty(), "the mirror gives nothing");
}

#[test]
fn a_listing_stays_within_what_was_asked() {
    let first = scripted(|request| match request.target.as_str() {
        "/d/" => to(302, "/d/?sort=name"),
        "/d/?sort=name" => to(302, "index.html"),
        "/d/index.html" => ok(
            "text/html",
            b"<a href=\"f\">f</a> <a href=\"below/\">below/</a>",
        ),
        "/d/below/" => to(302, "/d/below/files/"),
        "/d/below/files/" => ok("text/html", b"<a href=\"g\">g</a>"),
        "/d/f" | "/d/below/files/g" => file(request, b"here", ""),
        _ => not_found(),
    });
    let dir = temp();
    let fetched = fetch(settings(&first.url("/d/"), dir.path()));
    assert_done(&fetched);
    assert_eq!(fetched.paths(), ["below/files/g", "f"]);
    for there in ["/e/", "/", "http://127.0.0.9:1/d/"] {
        let first = scripted(move |_| to(302, there));
        let line = haul(temp().path(), &first.url("/d/"), &["--all"]).fails(3);
        assert!(
            line.contains(&format!("{there}: connect to that address instead")),
            "{line}"
        );
    }
    let first = scripted(|_| to(302, "?again"));
    let line = haul(temp().path(), &first.url("/d/"), &["--all"]).fails(3);
    assert!(line.contains("more than 5 redirects"), "{line}");
}

#[test]
fn nginx_that_keeps_files_at_another_server() {
    let source = temp();
    fs::create_dir(source.path().join("sub")).unwrap();
    for (name, size) in [("a", 10), ("b", 3 * MIB), ("sub/c", 2000)] {
        fs::write(source.path().join(name), content(7, size)).unwrap();
    }
    let Some(away) = nginx(source.path(), "") else {
        return;
    };
    let rule = format!(
        "location ~ [^/]$ {{ return 302 {}$request_uri; }}",
        away.url("")
    );
    let Some(first) = nginx(source.path(), &rule) else {
        return;
    };
    let dir = temp();
    assert_done(&fetch(settings(&first.url("/"), dir.path())));
    crate::common::trees::assert_same(source.path(), dir.path());
}
