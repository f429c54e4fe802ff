//! Mirrors that are busy, down or back: what that costs, in requests and time.

use std::{
    collections::HashSet,
    fmt::Write as _,
    fs,
    net::{SocketAddr, TcpListener},
    path::Path,
    sync::Mutex,
    time::{Duration, Instant},
};

use haul::{client::Settings, exit::Exit};

use crate::{
    common::{
        fetching::{Fetched, fetch_with, settings},
        program::Haul,
        proxy::{Line, proxy},
        scripted::{file, not_found, ok, reply, scripted},
        serving::serve,
        trees::content,
    },
    foreign::{MIB, assert_done, temp},
};

/// An address where nobody listens.
fn dead() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap()
}

/// `/f` of several mirrors, into `dir`.
fn fetch(urls: &[String], dir: &Path, change: impl FnOnce(&mut Settings)) -> Fetched {
    let mut settings = Settings {
        mirrors: urls[1..].iter().map(|url| url.parse().unwrap()).collect(),
        ..settings(&urls[0], dir)
    };
    change(&mut settings);
    let mut fetching = fetch_with(settings);
    fetching.get_path("/f");
    fetching.finish()
}

#[test]
fn a_busy_mirror_is_left_alone_and_the_file_is_complete() {
    let bytes = content(1, 64 * MIB);
    let sent = bytes.clone();
    let good = scripted(move |request| file(request, &sent, "\nETag: \"1\""));
    let busy = scripted(|_| reply("503 Busy\nRetry-After: 30\nContent-Length: 0", b""));
    for urls in [
        [busy.url("/"), good.url("/")],
        [good.url("/"), busy.url("/")],
    ] {
        let before = busy.requests().len();
        let dir = temp();
        let began = Instant::now();
        assert_done(&fetch(&urls, dir.path(), |_| {}));
        assert!(fs::read(dir.path().join("f")).unwrap() == bytes);
        let (asked, took) = (busy.requests().len() - before, began.elapsed());
        println!("{asked} requests to the busy one, {took:?}");
        assert!(asked <= 10, "{asked} requests");
        assert!(took < Duration::from_secs(20), "{took:?}");
    }
}

#[test]
fn mirrors_that_are_all_down_are_not_hammered() {
    // Connections are taken and closed: nobody is behind.
    let mirrors = [proxy(dead()), proxy(dead())];
    let urls = [mirrors[0].url("/"), mirrors[1].url("/")];
    let dir = temp();
    let fetched = fetch(&urls, dir.path(), |settings| settings.retries = 1);
    assert_eq!(fetched.exit, Some(Exit::Network), "{:?}", fetched.failed);
    let connects: usize = mirrors
        .iter()
        .map(crate::common::proxy::Proxy::connections)
        .sum();
    println!("{connects} connects");
    assert!(connects <= 20, "{connects} connects");
}

#[test]
fn a_mirror_that_is_back_gets_its_share() {
    let root = temp();
    let bytes = content(2, 160 * MIB);
    fs::write(root.path().join("f"), &bytes).unwrap();
    let server = serve(root.path());
    let mirrors = [proxy(server.address), proxy(server.address)];
    let slow = |_| Line {
        rate: Some(4 << 20),
        ..Line::default()
    };
    for mirror in &mirrors {
        mirror.lines(slow);
    }
    let dir = temp();
    let mut fetching = fetch_with(Settings {
        mirrors: vec![mirrors[1].url("/").parse().unwrap()],
        workers: 6,
        ..settings(&mirrors[0].url("/"), dir.path())
    });
    fetching.get_path("/f");
    fetching.wait_for("some of it", |now| now.received > 16 * MIB as u64);
    mirrors[0].set_upstream(dead());
    mirrors[0].lines(|_| Line {
        cut_after: Some(0),
        ..Line::default()
    });
    std::thread::sleep(Duration::from_secs(1));
    mirrors[0].lines(slow);
    mirrors[0].set_upstream(server.address);
    let at = mirrors
        .each_ref()
        .map(crate::common::proxy::Proxy::file_bytes);
    assert_done(&fetching.finish());
    assert!(fs::read(dir.path().join("f")).unwrap() == bytes);
    let end = mirrors
        .each_ref()
        .map(crate::common::proxy::Proxy::file_bytes);
    let (back, other) = (end[0] - at[0], end[1] - at[1]);
    println!("{back} of {} bytes from then on", back + other);
    assert!(back * 3 >= back + other, "{back} of {}", back + other);
}

#[test]
fn a_dead_first_url_costs_a_metalink_little_time() {
    let root = temp();
    for n in 0..12 {
        fs::write(root.path().join(format!("f{n}")), content(n, 2 * MIB)).unwrap();
    }
    let server = serve(root.path());
    let took = |first: Option<SocketAddr>| {
        let mut files = String::new();
        for n in 0..12 {
            let _ = write!(files, "<file name=\"f{n}\"><size>{}</size>", 2 * MIB);
            if let Some(first) = first {
                let _ = write!(files, "<url priority=\"1\">http://{first}/f{n}</url>");
            }
            let url = server.url(&format!("/f{n}"));
            let _ = write!(files, "<url priority=\"2\">{url}</url></file>");
        }
        let dir = temp();
        let text =
            format!("<metalink xmlns=\"urn:ietf:params:xml:ns:metalink\">{files}</metalink>");
        fs::write(dir.path().join("all.meta4"), text).unwrap();
        let mut haul = Haul::new(&["connect", "all.meta4", "--headless", "-d", "to"]);
        haul.command.current_dir(dir.path());
        let began = Instant::now();
        let (code, out, told) = haul.run();
        let took = began.elapsed();
        assert_eq!(code, 0, "{out}{told}");
        crate::common::trees::assert_same(root.path(), &dir.path().join("to"));
        took
    };
    let (with, without) = (took(Some(dead())), took(None));
    println!("{with:?}, and {without:?} without it");
    assert!(
        with < without + Duration::from_secs(3),
        "{with:?} and {without:?}"
    );
}

#[test]
fn a_file_that_always_fails_inside_takes_no_tries_from_others() {
    let asked = Mutex::new(HashSet::new());
    let names = ["a-bad", "b", "c", "d"];
    let server = scripted(move |request| match request.target.as_str() {
        "/" => {
            let links = names.map(|name| format!("<a href=\"{name}\">{name}</a>"));
            ok("text/html", links.concat().as_bytes())
        }
        target => {
            let first = asked.lock().unwrap().insert(target.to_owned());
            if first || target == "/a-bad" {
                return reply("500 Internal Server Error\nContent-Length: 0", b"");
            }
            file(request, b"content", "")
        }
    });
    let dir = temp();
    let mut fetching = fetch_with(Settings {
        // Nothing is sent ahead: what is refused there is asked for alone, and counts nothing.
        serial: true,
        retries: 1,
        ..settings(&server.url("/"), dir.path())
    });
    fetching.get_everything();
    let fetched = fetching.finish();
    let failed: Vec<_> = fetched.failed.iter().map(|(path, _)| path).collect();
    assert_eq!(failed, ["a-bad"], "{fetched:?}");
    assert_eq!(fetched.paths(), ["b", "c", "d"]);
    // Each says that it is tried again.
    assert!(fetched.retried.len() >= names.len(), "{fetched:?}");
}

#[test]
fn a_mirror_that_failed_once_is_asked_again_where_the_other_lacks_it() {
    for other in [404, 500] {
        let (asked, before) = (Mutex::new(HashSet::new()), Mutex::new(HashSet::new()));
        let first = scripted(move |request| {
            if asked.lock().unwrap().insert(request.target.clone()) {
                return reply("502 Bad Gateway\nContent-Length: 0", b"");
            }
            match request.target.as_str() {
                "/" => ok("text/html", b"<h1>Index of /</h1><a href=\"f\">f</a>"),
                _ => file(request, b"content", "\nETag: \"1\""),
            }
        });
        let second = scripted(move |_| reply(&format!("{other} X\nContent-Length: 0"), b""));
        let urls = [first.url("/"), second.url("/")];
        let dir = temp();
        assert_done(&fetch(&urls, dir.path(), |_| {}));
        assert_eq!(fs::read(dir.path().join("f")).unwrap(), b"content");
        // A tree's listing as well.
        let third = scripted(move |request| {
            let is_new = before.lock().unwrap().insert(request.target.clone());
            match request.target.as_str() {
                "/" if is_new => reply("502 Bad Gateway\nContent-Length: 0", b""),
                "/" => ok("text/html", b"<h1>Index of /</h1><a href=\"f\">f</a>"),
                _ => file(request, b"content", "\nETag: \"1\""),
            }
        });
        let dir = temp();
        let mut fetching = fetch_with(Settings {
            mirrors: vec![urls[1].parse().unwrap()],
            ..settings(&third.url("/"), dir.path())
        });
        fetching.get_everything();
        assert_eq!(fetching.finish().paths(), ["f"], "{other}");
    }
}

#[test]
fn a_mirror_that_failed_once_gives_its_share_of_a_large_file() {
    let bytes = content(1, 16 * MIB);
    let (sent, slow) = (bytes.clone(), bytes.clone());
    let asked = Mutex::new(false);
    let first = scripted(move |request| {
        if std::mem::replace(&mut *asked.lock().unwrap(), true) {
            return file(request, &sent, "\nETag: \"1\"");
        }
        reply("502 Bad Gateway\nContent-Length: 0", b"")
    });
    let second = scripted(move |request| {
        std::thread::sleep(Duration::from_secs(1));
        file(request, &slow, "\nETag: \"1\"")
    });
    let dir = temp();
    let urls = [first.url("/"), second.url("/")];
    assert_done(&fetch(&urls, dir.path(), |_| {}));
    assert!(fs::read(dir.path().join("f")).unwrap() == bytes);
    assert!(first.requests().len() > 1, "{:?}", first.requests());
}

#[test]
fn a_busy_mirror_that_nobody_can_stand_in_for_is_not_asked_for_ever() {
    let lacking = scripted(|_| not_found());
    for (busy, exit) in [
        ("503 Busy", Exit::Network),
        ("503 Busy\nRetry-After: 1", Exit::Network),
        ("429 Slow\nRetry-After: 0", Exit::Remote),
    ] {
        let server = scripted(move |_| reply(&format!("{busy}\nContent-Length: 0"), b""));
        let urls = [server.url("/"), lacking.url("/")];
        let dir = temp();
        let fetched = fetch(&urls, dir.path(), |settings| settings.retries = 1);
        assert_eq!(fetched.exit, Some(exit), "{busy}: {:?}", fetched.failed);
        let asked = server.requests().len();
        assert!(asked <= 8, "{busy}: {asked} requests");
    }
}

#[test]
fn a_mirror_that_is_busy_for_no_time_leaves_the_file_to_others() {
    let busy = scripted(|_| reply("503 Busy\nRetry-After: 0\nContent-Length: 0", b""));
    let good = scripted(|request| file(request, b"content", ""));
    let dir = temp();
    assert_done(&fetch(&[busy.url("/"), good.url("/")], dir.path(), |_| {}));
    let asked = busy.requests().len();
    assert!(asked <= 8, "{asked} requests");
}
