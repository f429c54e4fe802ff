//! Trees brought up to date: what listings tell is enough for what did not change, and `--dry-run` changes nothing.

use std::{fs, path::Path};

use crate::{
    common::{
        program::Haul,
        proxy::proxy,
        scripted::{file, not_found, ok, scripted},
        serving::serve,
        trees::{assert_same, content},
    },
    foreign::temp,
};

pub fn line<'a>(url: &'a str, to: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let line = [
        "connect",
        url,
        "--all",
        "-d",
        to,
        "--on-conflict",
        "update",
        "--headless",
    ];
    [&line[..], more].concat()
}

/// Runs it: its status, and what it says on both.
pub fn run(url: &str, to: &Path, more: &[&str]) -> (i32, String, String) {
    Haul::new(&line(url, to.to_str().unwrap(), more)).run()
}

/// Three directories of ten files each.
pub fn tree(at: &Path) {
    for dir in ["a", "b", "b/c"] {
        fs::create_dir(at.join(dir)).unwrap();
        for n in 0..10 {
            fs::write(at.join(format!("{dir}/{n}")), content(n, 2000)).unwrap();
        }
    }
}

#[test]
fn a_second_run_asks_for_listings_only() {
    let (source, target) = (temp(), temp());
    tree(source.path());
    let serving = serve(source.path());
    let proxy = proxy(serving.address);
    let url = proxy.url("/");
    let (code, _, stderr) = run(&url, target.path(), &[]);
    assert_eq!(code, 0, "{stderr}");
    let before = proxy.requests().len();
    let (code, stdout, stderr) = run(&url, target.path(), &[]);
    assert_eq!(code, 0, "{stderr}");
    assert!(
        stdout.contains("30 files, 0 B") && stdout.contains("30 here already"),
        "{stdout}"
    );
    let asked = proxy.requests().split_off(before);
    assert!(
        asked.len() == 4 && asked.iter().all(|line| line.contains("/ HTTP")),
        "{asked:?}"
    );
    // One has another content of the same length, and another date.
    fs::write(source.path().join("b/c/3"), content(99, 2000)).unwrap();
    let before = proxy.requests().len();
    let (_, stdout, _) = run(&url, target.path(), &[]);
    assert!(stdout.contains("29 here already"), "{stdout}");
    let asked = proxy.requests().split_off(before);
    let files = asked.iter().filter(|line| !line.contains("/ HTTP"));
    assert!(
        files.clone().count() >= 1 && files.clone().all(|line| line.contains("/b/c/3")),
        "{asked:?}"
    );
    assert_same(source.path(), target.path());
}

#[test]
fn dates_of_a_page_are_enough_as_well() {
    let server = scripted(|request| match &*request.target {
        "/" => ok(
            "text/html",
            b"<h1>Index of /</h1><pre><a href=\"x\">x</a>  01-Jan-2026 10:00  5\n</pre>",
        ),
        "/x" => file(
            request,
            b"12345",
            "\nLast-Modified: Thu, 01 Jan 2026 10:00:33 GMT",
        ),
        _ => not_found(),
    });
    let target = temp();
    let (code, stdout, stderr) = run(&server.url("/"), target.path(), &[]);
    assert_eq!(
        (code, stdout.contains("1 unverified")),
        (0, true),
        "{stdout}{stderr}"
    );
    let before = server.requests().len();
    let (code, stdout, stderr) = run(&server.url("/"), target.path(), &[]);
    assert_eq!(code, 0, "{stderr}");
    assert!(
        stdout.contains("0 B in") && stdout.contains("1 here already (not read)"),
        "{stdout}"
    );
    let asked = server.requests().split_off(before);
    assert_eq!(
        asked
            .iter()
            .map(|request| &*request.target)
            .collect::<Vec<_>>(),
        ["/"]
    );
}

#[test]
fn a_dry_run_makes_no_directory_and_asks_for_no_file() {
    let (source, target) = (temp(), temp());
    tree(source.path());
    let serving = serve(source.path());
    let proxy = proxy(serving.address);
    let missing = target.path().join("not there");
    let (code, stdout, stderr) = run(&proxy.url("/"), &missing, &["--dry-run", "--json"]);
    assert_eq!(code, 0, "{stderr}");
    assert!(!missing.exists());
    assert_eq!(stdout.matches(r#""event":"would""#).count(), 30, "{stdout}");
    assert_eq!(
        stdout.matches(r#""action":"fetch""#).count(),
        30,
        "{stdout}"
    );
    assert!(proxy.requests().iter().all(|line| line.contains("/ HTTP")));
    // What is here in another version is told by the rule.
    fs::create_dir(&missing).unwrap();
    fs::write(missing.join("a"), "in the way").unwrap();
    fs::create_dir(missing.join("b")).unwrap();
    fs::write(missing.join("b/1"), "shorter").unwrap();
    let (_, stdout, _) = run(&proxy.url("/"), &missing, &["--dry-run"]);
    assert!(
        stdout.contains("would fetch 29") && stdout.contains("replace 1"),
        "{stdout}"
    );
    assert_eq!(fs::read(missing.join("b/1")).unwrap(), b"shorter");
}
