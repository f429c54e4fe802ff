//! What a server shows in place of a directory: listings in every spelling, pages that are none, directories without an
//! end. A download that leaves something out never ends as one that has all.

#![expect(
    clippy::case_sensitive_file_extension_comparisons,
    clippy::format_collect,
    reason = "names are as the server gave them, and pages are short"
)]

use std::{
    fs,
    path::Path,
    sync::atomic::{AtomicUsize, Ordering},
};

use crate::{
    common::{
        fetching::{Fetched, fetch_with, settings},
        program::Haul,
        scripted::{Request, Scripted, file, not_found, ok, reply, scripted},
        trees::content,
    },
    foreign::{MIB, assert_done, fetch, temp},
};
use haul::{
    client::{Settings, Want},
    exit::Exit,
    http1::path::RemotePath,
};

/// A server with one page, and files whose content is their path.
fn page(html: &'static str) -> Scripted {
    scripted(move |request| match request.target.as_str() {
        "/" => ok("text/html", html.as_bytes()),
        target if target.ends_with(".txt") => file(request, target.as_bytes(), ""),
        _ => not_found(),
    })
}

fn everything(server: &Scripted) -> (Fetched, tempfile::TempDir) {
    let target = temp();
    (fetch(settings(&server.url("/"), target.path())), target)
}

#[test]
fn a_page_that_is_no_listing_is_a_failure() {
    for (html, seen) in [
        (
            "<title>Sign in</title><form><input name=p type=password></form>",
            "login page",
        ),
        (
            "<title>index</title><script src=\"/_h5ai/x.js\"></script>",
            "only a script fills",
        ),
        (
            "<meta http-equiv=\"refresh\" content=\"0; url=https://elsewhere/?token=secret\">",
            "leads to https://elsewhere/",
        ),
        ("<h1>It works!</h1>", "`It works!`"),
        ("", "an empty page"),
    ] {
        let server = page(html);
        let (fetched, target) = everything(&server);
        assert_eq!(fetched.exit, Some(Exit::Remote), "{html}");
        let told = &fetched.failed[0].1;
        assert!(
            told.starts_with("no listing here") && told.contains(seen),
            "{told}"
        );
        assert!(!told.contains("secret"), "{told}");
        assert_eq!(fs::read_dir(target.path()).unwrap().count(), 0);
        let fetching = fetch_with(settings(&server.url("/"), target.path()));
        let root = RemotePath::root();
        let listed = fetching.client.list(&root);
        assert!(fetching.runtime.block_on(listed).is_err(), "{html}");
    }
    // A listing of nothing is one.
    let (fetched, _target) = everything(&page("<title>Index of /</title><h1>Index of /</h1><hr>"));
    assert_done(&fetched);
}

#[test]
fn links_of_the_same_origin_are_taken_in_every_spelling() {
    let server = scripted(|request| match request.target.as_str() {
        "/dir/" => {
            let host = request.field("Host").unwrap();
            let html = format!(
                "<base href=\"http://{host}/dir/x/\"><a href=\"http://{host}/dir/one.txt\">1</a>\
                 <a href=\"../50%.txt\">50%</a><a href=\"//{host}/d%69r/two.txt\">2</a>\
                 <a href=\"three.txt\">3</a><a href=\"http://{host}:1/dir/no.txt\">n</a><a href=\"/no.txt\">n</a>"
            );
            ok("text/html", html.as_bytes())
        }
        target if target.ends_with(".txt") => file(request, target.as_bytes(), ""),
        _ => not_found(),
    });
    let target = temp();
    let fetched = fetch(settings(&server.url("/dir/"), target.path()));
    assert_done(&fetched);
    assert_eq!(
        fetched.paths(),
        ["50%.txt", "one.txt", "two.txt", "x/three.txt"]
    );
    let read = |name: &str| fs::read_to_string(target.path().join(name)).unwrap();
    assert_eq!(read("50%.txt"), "/dir/50%25.txt");
    assert_eq!(read("x/three.txt"), "/dir/x/three.txt");
}

#[test]
fn names_that_no_file_can_have_fail_and_the_others_come() {
    let server = page(
        "<title>Index of /</title><a href=\"a%2fb.txt\">1</a><a href=\"ok.txt\">2</a><a href=\"nul%00.txt\">3</a>",
    );
    let (fetched, _target) = everything(&server);
    assert_eq!(fetched.paths(), ["ok.txt"]);
    assert_eq!(fetched.failed.len(), 2, "{:?}", fetched.failed);
    assert!(
        fetched
            .failed
            .iter()
            .all(|(_, told)| told.starts_with("refused the name")),
        "{:?}",
        fetched.failed
    );
    assert_eq!(fetched.exit, Some(Exit::Remote));
    let get = |pattern: &str| {
        let target = temp();
        let mut fetching = fetch_with(settings(&server.url("/"), target.path()));
        fetching.get(Want::Patterns {
            get: vec![pattern.into()],
            exclude: Vec::new(),
        });
        fetching.finish()
    };
    // What is not asked for fails nothing; of what is asked for it is told once why it does not come.
    assert_done(&get("ok.*"));
    let fetched = get("a*.txt");
    assert_eq!(fetched.failed.len(), 1, "{:?}", fetched.failed);
    assert!(fetched.failed[0].1.starts_with("refused the name"));
}

/// An S3 server of 25 objects, ten a page.
fn bucket() -> Scripted {
    let key = |n: usize| format!("dir {}/sub/{n:02}.bin", n % 3);
    scripted(move |request| {
        let (path, query) = request
            .target
            .split_once('?')
            .unwrap_or((&request.target, ""));
        if path == "/bucket/" {
            let mut keys: Vec<String> = (0..25).map(key).collect();
            keys.sort();
            let marker = query
                .split('&')
                .find_map(|pair| pair.strip_prefix("marker="));
            let marker = marker.map(|marker| marker.replace('+', " ").replace("%2F", "/"));
            let rest = keys
                .iter()
                .filter(|key| marker.as_ref().is_none_or(|marker| *key > marker));
            let page: Vec<_> = rest.clone().take(10).collect();
            let cut = rest.count() > 10;
            let objects: String = page
                .iter()
                .map(|key| format!("<Contents><Key>{key}</Key><LastModified>2026-11-22T11:28:11.000Z</LastModified><Size>{}</Size></Contents>", key.len()))
                .collect();
            let text = format!(
                "<?xml version=\"1.0\"?><ListBucketResult><Name>bucket</Name><IsTruncated>{cut}</IsTruncated>{objects}</ListBucketResult>"
            );
            return ok("application/xml", text.as_bytes());
        }
        let key = path
            .strip_prefix("/bucket/")
            .unwrap_or_default()
            .replace("%20", " ");
        file(request, key.as_bytes(), "")
    })
}

#[test]
fn an_s3_bucket_comes_page_by_page() {
    let server = bucket();
    let target = temp();
    let fetched = fetch(settings(&server.url("/bucket/"), target.path()));
    assert_done(&fetched);
    assert_eq!(fetched.finished.len(), 25);
    let there = fs::read_to_string(target.path().join("dir 1/sub/13.bin")).unwrap();
    assert_eq!(there, "dir 1/sub/13.bin");
    let pages = server
        .requests()
        .iter()
        .filter(|request| request.target.starts_with("/bucket/?"))
        .count();
    assert_eq!(pages, 2);
    let target = temp();
    let mut fetching = fetch_with(settings(&server.url("/bucket/"), target.path()));
    fetching.get(Want::Patterns {
        get: vec!["dir 2/**".into()],
        exclude: Vec::new(),
    });
    let fetched = fetching.finish();
    assert_done(&fetched);
    assert_eq!(fetched.finished.len(), 8);
}

#[test]
fn an_azure_container_is_listed_by_the_urls_query() {
    let server = scripted(|request| {
        match request.target.as_str() {
        "/c/?restype=container&comp=list" => ok(
            "application/xml",
            b"\xef\xbb\xbf<?xml version=\"1.0\" encoding=\"utf-8\"?><EnumerationResults><Blobs><Blob><Name>d/x.txt</Name>\
              <Properties><Content-Length>10</Content-Length></Properties></Blob></Blobs><NextMarker /></EnumerationResults>",
        ),
        target if target.ends_with(".txt") => file(request, target.as_bytes(), ""),
        _ => not_found(),
    }
    });
    let target = temp();
    let fetched = fetch(settings(
        &server.url("/c/?restype=container&comp=list"),
        target.path(),
    ));
    assert_done(&fetched);
    assert_eq!(
        fs::read_to_string(target.path().join("d/x.txt")).unwrap(),
        "/c/d/x.txt"
    );
}

#[test]
fn a_directory_is_one_however_its_redirect_is_escaped() {
    let server = scripted(|request| match request.target.as_str() {
        "/" => ok("text/html", b"<a href=\"c%3ax\">c:x</a>"),
        "/c%3Ax" => reply("301 Moved\nLocation: /c:x/\nContent-Length: 0", b""),
        "/c:x/" | "/c%3Ax/" => ok(
            "text/html",
            b"<title>Index of /c:x/</title><a href=\"f.txt\">f</a>",
        ),
        target if target.ends_with(".txt") => file(request, b"content", ""),
        _ => not_found(),
    });
    let (fetched, target) = everything(&server);
    assert_done(&fetched);
    assert_eq!(
        fs::read(target.path().join("c:x/f.txt")).unwrap(),
        b"content"
    );
}

/// A directory with a file and links to itself, at any depth.
fn endless(dated: bool) -> Scripted {
    scripted(move |request| {
        if !request.target.ends_with('/') {
            return file(request, b"content", "");
        }
        let behind = if dated { "  22-Nov-2026 10:01  7" } else { "" };
        let html = format!(
            "<title>Index of</title><pre><a href=\"a/\">a/</a>{behind}\n<a href=\"b/\">b/</a>{behind}\n<a href=\"f\">f</a>{behind}\n</pre>"
        );
        ok("text/html", html.as_bytes())
    })
}

#[test]
fn a_directory_that_holds_itself_is_noticed() {
    for (dated, files) in [(true, 3), (false, 7)] {
        let server = endless(dated);
        let (fetched, _target) = everything(&server);
        assert_eq!(fetched.finished.len(), files, "{:?}", fetched.paths());
        assert!(
            fetched
                .failed
                .iter()
                .all(|(_, told)| told.contains("by a link on the server")),
            "{:?}",
            fetched.failed
        );
        assert!(!fetched.failed.is_empty());
        assert_eq!(fetched.exit, Some(Exit::Remote));
    }
}

#[test]
fn a_tree_without_an_end_ends_at_the_depth_that_was_asked_for() {
    // Never twice the same: only the depth can end it.
    let count = AtomicUsize::new(0);
    let server = scripted(move |request| {
        if !request.target.ends_with('/') {
            return file(request, b"content", "");
        }
        let n = count.fetch_add(1, Ordering::Relaxed);
        ok(
            "text/html",
            format!("<a href=\"d{n}/\">d</a><a href=\"f{n}\">f</a>").as_bytes(),
        )
    });
    let target = temp();
    let fetched = fetch(Settings {
        max_depth: 5,
        ..settings(&server.url("/"), target.path())
    });
    assert_eq!(fetched.finished.len(), 6);
    assert!(
        fetched.failed[0].1.contains("--max-depth"),
        "{:?}",
        fetched.failed
    );
    assert_eq!(fetched.exit, Some(Exit::Remote));
}

#[test]
fn a_refused_head_is_not_the_last_word() {
    for status in [
        "400 Bad Request",
        "403 Forbidden",
        "404 Not Found",
        "405 Method Not Allowed",
        "500 Internal Server Error",
    ] {
        for size in [40_000, 3 * MIB] {
            let bytes = content(5, size);
            let server = scripted({
                let bytes = bytes.clone();
                move |request| match (request.method.as_str(), request.target.as_str()) {
                    ("HEAD", _) => reply(&format!("{status}\nContent-Length: 9"), b""),
                    (_, "/") => ok("text/html", b"<a href=\"f\">f</a>"),
                    _ => file(request, &bytes, "\nETag: \"1\""),
                }
            });
            let target = temp();
            // An old file is in the way, and a part is there.
            fs::write(target.path().join("f"), "old").unwrap();
            fs::write(target.path().join("f.part"), "part of something").unwrap();
            let fetched = fetch(settings(&server.url("/"), target.path()));
            assert_done(&fetched);
            assert!(
                server
                    .requests()
                    .iter()
                    .any(|request| request.method == "HEAD"),
                "{status}"
            );
            assert!(
                fs::read(target.path().join("f (1)")).unwrap() == bytes,
                "{status}"
            );
            assert_eq!(fs::read(target.path().join("f")).unwrap(), b"old");
        }
    }
}

#[test]
fn a_url_with_a_query_names_a_file_and_is_told_without_it() {
    let server = scripted(|request| match request.target.as_str() {
        "/d/f.bin?X-Signature=secret" => file(request, &content(9, 3 * MIB), "\nETag: \"1\""),
        "/d/moved?X-Signature=secret" => reply(
            "302 Found\nLocation: https://elsewhere/x?token=secret\nContent-Length: 0",
            b"",
        ),
        _ => not_found(),
    });
    let dir = temp();
    let run = |target: &str, more: &[&str]| {
        let (dir, url) = (dir.path().to_str().unwrap(), server.url(target));
        let usual = [
            "connect",
            "--headless",
            "--retries",
            "0",
            "--dir",
            dir,
            &url,
        ];
        let (status, out, told) = Haul::new(&[&usual, more].concat()).run();
        (status, out + &told)
    };
    let (status, told) = run("/d/f.bin?X-Signature=secret", &[]);
    assert_eq!(status, 0, "{told}");
    assert!(!told.contains("secret"), "{told}");
    assert!(fs::read(dir.path().join("f.bin")).unwrap() == content(9, 3 * MIB));
    let (status, told) = run("/d/f.bin?X-Signature=secret", &["-o", "other"]);
    assert_eq!(status, 0, "{told}");
    assert!(fs::read(dir.path().join("other")).unwrap() == content(9, 3 * MIB));
    for (target, exit) in [
        ("/d/f.bin?X-Signature=secretly", 3),
        // It is followed, and nobody is there.
        ("/d/moved?X-Signature=secret", 4),
        ("/d/%zz?secret", 2),
    ] {
        let (status, told) = run(target, &[]);
        assert_eq!(status, exit, "{told}");
        assert!(!told.contains("secret"), "{told}");
    }
}

#[test]
fn logins_may_be_a_name_or_a_password_alone() {
    for (login, sent) in [
        ("TOKEN@", "Basic VE9LRU46"),
        ("ada:@", "Basic YWRhOg=="),
        (":key@", "Basic OmtleQ=="),
    ] {
        let server = scripted(move |request| {
            if request.field("Authorization") == Some(sent) {
                file(request, b"content", "")
            } else {
                reply(
                    "401 Unauthorized\nWWW-Authenticate: Basic realm=\"x\"\nContent-Length: 0",
                    b"",
                )
            }
        });
        let dir = temp();
        let url = server
            .url("/f")
            .replace("http://", &format!("http://{login}"));
        let (status, _, told) = Haul::new(&[
            "connect",
            "--headless",
            "--dir",
            dir.path().to_str().unwrap(),
            &url,
        ])
        .run();
        assert_eq!(status, 0, "{login} {told}");
        assert!(!told.contains("TOKEN"), "{told}");
    }
}

#[test]
fn what_is_no_regular_file_is_written_to() {
    let bytes = content(3, 3 * MIB + 5);
    let server = scripted({
        let bytes = bytes.clone();
        move |request| file(request, &bytes, "\nETag: \"1\"")
    });
    let dir = temp();
    let fifo = dir.path().join("pipe");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &fifo,
        rustix::fs::FileType::Fifo,
        0o600.into(),
        0,
    )
    .unwrap();
    let reader = std::thread::spawn({
        let fifo = fifo.clone();
        move || fs::read(fifo).unwrap()
    });
    let run = |output: &Path| {
        let (dir, output) = (dir.path().to_str().unwrap(), output.to_str().unwrap());
        let url = server.url("/f");
        let (status, _, told) =
            Haul::new(&["connect", "--headless", "--dir", dir, "-o", output, &url]).run();
        (status, told)
    };
    let (status, told) = run(&fifo);
    assert_eq!(status, 0, "{told}");
    assert!(reader.join().unwrap() == bytes);
    let (status, told) = run(Path::new("/dev/null"));
    assert_eq!(status, 0, "{told}");
    assert!(!Path::new("/dev/null (1)").exists());
    assert_eq!(
        fs::read_dir(dir.path()).unwrap().count(),
        1,
        "nothing beside the pipe"
    );
    let (status, told) = run(dir.path());
    assert_eq!(status, 2);
    assert!(told.contains("is a directory"), "{told}");
}

#[test]
fn an_empty_directory_is_told_and_fails_where_that_is_asked_for() {
    let source = temp();
    fs::create_dir(source.path().join("only a directory")).unwrap();
    let server = crate::common::serving::serve(source.path());
    let target = temp();
    let dir = target.path().to_str().unwrap();
    let url = server.url("/");
    let all = ["connect", "--headless", "--all", "--dir", dir, &url];
    let (status, out, told) = Haul::new(&all).run();
    assert_eq!(status, 0, "{told}");
    assert!(out.starts_with("0 files: there is none there"), "{out}");
    assert!(told.contains("there is no file in it"), "{told}");
    let (status, _, told) = Haul::new(&[&all[..], &["--fail-empty"]].concat()).run();
    assert_eq!(status, 3, "{told}");
    assert!(told.contains("--fail-empty"), "{told}");
}

#[test]
fn pages_that_lead_in_a_circle_are_an_error_soon() {
    let server = scripted(|request| {
        let turn = [("a", "b"), ("b", "c"), ("c", "a")];
        let next = turn.iter().find(|(token, _)| {
            let asked = format!("continuation-token={token}");
            request.target.contains(&asked)
        });
        let token = next.map_or("a", |(_, next)| next);
        let page = format!(
            "<?xml version=\"1.0\"?><ListBucketResult><Name>n</Name><IsTruncated>true</IsTruncated>\
             <NextContinuationToken>{token}</NextContinuationToken>\
             <Contents><Key>{token}.txt</Key><Size>1</Size></Contents></ListBucketResult>"
        );
        match request.target.split('?').next() {
            Some("/") => ok("application/xml", page.as_bytes()),
            _ => file(request, b"x", ""),
        }
    });
    let fetched = fetch(settings(&server.url("/"), temp().path()));
    let told = format!("{:?}", fetched.failed);
    assert!(told.contains("lead in a circle"), "{told}");
    let listed = |request: &&Request| request.target.split('?').next() == Some("/");
    let count = server.requests().iter().filter(listed).count();
    assert!(count < 12, "{count} pages");
}
