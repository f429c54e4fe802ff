//! What has the name that a file is to get: it is looked at once, costs no second copy, and is held against what was given.

use std::{fs, os::unix::fs::symlink, path::Path};

use haul::{client::Settings, config::OnConflict};
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

use crate::{
    common::{
        fetching::{Fetched, fetch_with, settings},
        program::Haul,
        proxy::proxy,
        scripted::{Scripted, file, not_found, ok, scripted},
        serving::serve,
        trees::{assert_same, content, hex},
    },
    foreign::temp,
    update::MIB,
};

fn fetch(settings: Settings) -> Fetched {
    let mut fetching = fetch_with(settings);
    fetching.get_everything();
    fetching.finish()
}

fn names(dir: &Path) -> Vec<String> {
    let each = fs::read_dir(dir).unwrap();
    let mut names: Vec<_> = each
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// A directory of files of `size` bytes, and one in which each name is taken by something that is not replaced; and what has the
/// second name of the last one.
fn in_the_way(size: usize) -> (TempDir, TempDir, TempDir) {
    let (source, target, other) = (temp(), temp(), temp());
    for (name, seed) in [
        ("dir", 1),
        ("fifo", 2),
        ("hard", 3),
        ("hidden.part", 4),
        ("link", 5),
    ] {
        fs::write(source.path().join(name), content(seed, size)).unwrap();
    }
    let to = target.path();
    fs::create_dir(to.join("dir")).unwrap();
    let fifo = rustix::fs::FileType::Fifo;
    rustix::fs::mknodat(rustix::fs::CWD, to.join("fifo"), fifo, 0o644.into(), 0).unwrap();
    fs::copy(source.path().join("hard"), to.join("hard")).unwrap();
    fs::hard_link(to.join("hard"), other.path().join("hard")).unwrap();
    fs::write(to.join("hidden.part"), content(6, size)).unwrap();
    symlink("nowhere", to.join("link")).unwrap();
    (source, target, other)
}

#[test]
fn one_copy_beside_what_stays_is_enough_and_nothing_is_fetched_again() {
    for size in [2000, 3 * MIB + 5] {
        for rule in [
            OnConflict::Verify,
            OnConflict::Update,
            OnConflict::Overwrite,
            OnConflict::Skip,
        ] {
            let (source, target, _other) = in_the_way(size);
            let serving = serve(source.path());
            let mut before = Vec::new();
            for turn in 0..3 {
                let fetched = fetch(Settings {
                    on_conflict: rule,
                    ..settings(&serving.url("/"), target.path())
                });
                assert_eq!(fetched.failed, [], "{rule:?}");
                let now = names(target.path());
                if turn > 0 {
                    assert_eq!(now, before, "{rule:?}");
                }
                // What is overwritten is fetched, whatever it holds.
                if rule == OnConflict::Skip || (rule != OnConflict::Overwrite && turn > 0) {
                    // No more than the listing.
                    assert!(fetched.received < 2000, "{rule:?} {size} {turn}");
                }
                before = now;
            }
            let copies = before.iter().filter(|name| name.contains(" (1)")).count();
            let expected = if rule == OnConflict::Skip { 0 } else { 4 };
            assert_eq!(copies, expected, "{rule:?}: {before:?}");
            for (name, seed) in [("dir (1)", 1), ("hidden (1).part", 4), ("link (1)", 5)] {
                if expected > 0 {
                    let there = fs::read(target.path().join(name)).unwrap();
                    assert!(there == content(seed, size), "{rule:?} {name}");
                }
            }
        }
    }
}

#[test]
fn a_dry_run_tells_of_copies() {
    let (source, target, _other) = in_the_way(2000);
    let serving = serve(source.path());
    let to = target.path().to_str().unwrap();
    let url = serving.url("/");
    let told = || {
        let line = ["connect", &url, "--all", "-d", to, "--headless", "--json"];
        let update = ["--on-conflict", "update", "--dry-run"];
        let (code, stdout, stderr) = Haul::new(&[&line[..], &update].concat()).run();
        assert_eq!(code, 0, "{stderr}");
        stdout.matches(r#""action":"copy""#).count()
    };
    // What may be the same is compared.
    assert_eq!(told(), 3);
    let fetched = fetch(Settings {
        on_conflict: OnConflict::Update,
        ..settings(&serving.url("/"), target.path())
    });
    assert_eq!(fetched.failed, []);
    assert_eq!(told(), 0);
    // They are what the server has.
    fs::write(target.path().join("gone (1)"), "").unwrap();
    let before = names(target.path());
    let line = ["connect", &url, "--all", "-d", to, "--headless"];
    let delete = ["--on-conflict", "update", "--delete", "--yes"];
    let (code, _, stderr) = Haul::new(&[&line[..], &delete].concat()).run();
    assert_eq!(code, 0, "{stderr}");
    let mut left = names(target.path());
    left.push("gone (1)".into());
    left.sort();
    assert_eq!(left, before);
}

/// A server of `x` and of a list of its directory, which tells no digest.
fn plain(content: Vec<u8>) -> Scripted {
    let date = "\nLast-Modified: Thu, 01 Jan 2026 10:00:33 GMT\nAccept-Ranges: bytes";
    scripted(move |request| match &*request.target {
        "/" => ok("text/html", b"<a href=\"x\">x</a>"),
        "/x" => file(request, &content, date),
        _ => not_found(),
    })
}

fn sums(dir: &TempDir, content: &[u8]) -> String {
    let list = dir.path().join("LIST");
    fs::write(&list, format!("{}  x\n", hex(&Sha256::digest(content)))).unwrap();
    list.to_str().unwrap().to_owned()
}

#[test]
fn a_list_that_is_given_is_held_against_what_is_here() {
    let (right, wrong) = (content(1, 3000), content(2, 3000));
    let (lists, source) = (temp(), temp());
    let list = sums(&lists, &right);
    fs::write(source.path().join("x"), &right).unwrap();
    let (plain, serving) = (plain(right.clone()), serve(source.path()));
    for url in [plain.url("/"), serving.url("/")] {
        for (rule, name) in [("update", "x"), ("verify", "x (1)")] {
            let target = temp();
            let to = target.path().to_str().unwrap();
            let run = |more: &[&str]| {
                let line = ["connect", &url, "--all", "-d", to, "--headless"];
                let rule = ["--on-conflict", rule, "--checksums", &list];
                Haul::new(&[&line[..], &rule, more].concat()).run()
            };
            let (code, _, stderr) = run(&[]);
            assert_eq!(code, 0, "{stderr}");
            // Another content of the same size and date.
            let x = target.path().join("x");
            let date = fs::metadata(&x).unwrap().modified().unwrap();
            fs::write(&x, &wrong).unwrap();
            fs::File::open(&x).unwrap().set_modified(date).unwrap();
            let (_, stdout, _) = run(&["--dry-run", "--json"]);
            assert!(!stdout.contains(r#""action":"keep""#), "{stdout}");
            let (code, stdout, stderr) = run(&[]);
            assert_eq!(code, 0, "{stderr}");
            assert!(!stdout.contains("not read"), "{stdout}");
            assert!(fs::read(target.path().join(name)).unwrap() == right);
        }
    }
}

#[test]
fn what_is_here_as_the_server_has_it_fails_where_the_list_says_otherwise() {
    let (there, listed) = (content(1, 3000), content(2, 3000));
    let (lists, source, target) = (temp(), temp(), temp());
    let list = sums(&lists, &listed);
    for dir in [&source, &target] {
        fs::write(dir.path().join("x"), &there).unwrap();
    }
    let serving = serve(source.path());
    let (url, to) = (serving.url("/"), target.path().to_str().unwrap());
    let line = ["connect", &url, "--all", "-d", to, "--headless"];
    let more = ["--retries=0", "--checksums", &list];
    let (code, _, stderr) = Haul::new(&[&line[..], &more].concat()).run();
    assert_eq!(code, 6, "{stderr}");
    assert!(stderr.contains("it is not what"), "{stderr}");
}

#[test]
fn a_large_file_that_a_list_refutes_is_had_from_another_mirror() {
    let (right, lists, source) = (content(1, 3 * MIB + 7), temp(), temp());
    let list = sums(&lists, &right);
    fs::write(source.path().join("x"), &right).unwrap();
    let mut wrong = right.clone();
    wrong[MIB + 9] ^= 1;
    let bad = temp();
    fs::write(bad.path().join("x"), &wrong).unwrap();
    let (with_values, source) = (serve(bad.path()), serve(source.path()));
    // Without values nobody knows who sent what is wrong.
    let (without, right_one) = (plain(wrong), plain(right.clone()));
    for (url, mirror) in [
        (with_values.url("/"), source.url("/")),
        (without.url("/"), right_one.url("/")),
    ] {
        let to = temp();
        let line = ["connect", &url, &mirror, "--all", "--headless"];
        let more = ["-d", to.path().to_str().unwrap(), "--checksums", &list];
        let (code, _, stderr) = Haul::new(&[&line[..], &more].concat()).run();
        assert_eq!(code, 0, "{stderr}");
        assert!(fs::read(to.path().join("x")).unwrap() == right);
    }
}

#[test]
fn a_damaged_answer_that_a_list_refutes_is_asked_for_again() {
    let (right, lists, source, to) = (content(1, 3 * MIB + 7), temp(), temp(), temp());
    let list = sums(&lists, &right);
    fs::write(source.path().join("x"), &right).unwrap();
    let plain = plain(right.clone());
    let proxy = proxy(plain.address);
    proxy.flip_once([MIB as u64 + 9]);
    let url = proxy.url("/");
    let line = ["connect", &url, "--all", "-d", to.path().to_str().unwrap()];
    let more = ["--headless", "--json", "--checksums", &list];
    let (code, stdout, stderr) = Haul::new(&[&line[..], &more].concat()).run();
    assert_eq!(code, 0, "{stderr}");
    assert!(fs::read(to.path().join("x")).unwrap() == right);
    assert!(stdout.contains(r#""unverified":0"#), "{stdout}");
}

#[test]
fn the_name_that_a_copy_got_is_told() {
    let (source, target) = (temp(), temp());
    fs::write(source.path().join("x.txt"), "new").unwrap();
    fs::write(target.path().join("x.txt"), "old").unwrap();
    let serving = serve(source.path());
    let (url, to) = (serving.url("/x.txt"), target.path().to_str().unwrap());
    let line = ["connect", &url, "-d", to, "-o", "x.txt", "--headless"];
    let (code, stdout, stderr) = Haul::new(&[&line[..], &["--json"]].concat()).run();
    assert_eq!(code, 0, "{stderr}");
    assert!(stdout.contains(r#""local":"x (1).txt""#), "{stdout}");
    let (code, stdout, stderr) = Haul::new(&line).run();
    assert_eq!(code, 0, "{stderr}");
    assert!(stdout.contains("x.txt -> x (1).txt\n"), "{stdout}");
}

#[test]
fn names_of_parts_and_backups_are_those_of_files_where_the_server_has_such() {
    let (source, target) = (temp(), temp());
    for (name, seed, size) in [
        ("large", 1, 24 * MIB),
        ("large.part", 2, 3000),
        ("page", 3, 500),
        ("page~", 4, 500),
        ("small", 5, 700),
        ("small.part", 6, 3 * MIB),
    ] {
        fs::write(source.path().join(name), content(seed, size)).unwrap();
    }
    let serving = serve(source.path());
    let updating = || Settings {
        on_conflict: OnConflict::Update,
        backup: true,
        ..settings(&serving.url("/"), target.path())
    };
    assert_eq!(fetch(updating()).failed, []);
    assert_same(source.path(), target.path());
    // Each has a backup of its own.
    let names = ["page", "page~"];
    let here = |name: &str| target.path().join(name);
    let old = names.map(|name| fs::read(here(name)).unwrap());
    for name in names {
        fs::write(source.path().join(name), format!("{name} edited")).unwrap();
    }
    assert_eq!(fetch(updating()).failed, []);
    let backups = ["page~2", "page~~"];
    assert_eq!(backups.map(|name| fs::read(here(name)).unwrap()), old);
    // They stay, whatever became of the file that one is of; and that may be a backup itself.
    fs::remove_file(source.path().join("page~")).unwrap();
    let (url, dir) = (serving.url("/"), target.path().to_str().unwrap());
    let line = ["connect", &url, "--all", "--headless", "-d", dir, "--yes"];
    let rule = ["--on-conflict", "update", "--backup", "--delete"];
    let (code, out, err) = Haul::new(&[&line[..], &rule].concat()).run();
    assert_eq!(code, 0, "{out}{err}");
    for name in backups.iter().chain(&["page~"]) {
        fs::remove_file(here(name)).unwrap();
    }
    assert_same(source.path(), target.path());
}

#[test]
fn names_of_files_that_a_metalink_names_are_no_parts_and_no_backups() {
    let (source, target) = (temp(), temp());
    let files = [
        ("x~", content(1, 3000)),
        ("x", content(2, 3000)),
        ("y", content(3, 3 * MIB)),
        ("y.part", content(4, 3000)),
    ];
    let serving = serve(source.path());
    let named = files.iter().map(|(name, content)| {
        fs::write(source.path().join(name), content).unwrap();
        let (size, url) = (content.len(), serving.url(&format!("/{name}")));
        format!("<file name=\"{name}\"><size>{size}</size><url>{url}</url></file>")
    });
    let named: String = named.collect();
    let list = temp();
    let list = list.path().join("all.meta4");
    let namespace = "urn:ietf:params:xml:ns:metalink";
    fs::write(
        &list,
        format!("<metalink xmlns=\"{namespace}\">{named}</metalink>"),
    )
    .unwrap();
    for name in ["x~", "x"] {
        fs::write(target.path().join(name), format!("old {name}")).unwrap();
    }
    let (list, dir) = (list.to_str().unwrap(), target.path().to_str().unwrap());
    let line = ["connect", list, "--headless", "-d", dir];
    let rule = ["--on-conflict", "update", "--backup"];
    let (code, out, err) = Haul::new(&[&line[..], &rule].concat()).run();
    assert_eq!(code, 0, "{out}{err}");
    for (name, content) in &files {
        assert!(
            fs::read(target.path().join(name)).unwrap() == *content,
            "{name}"
        );
    }
    for (backup, old) in [("x~~", "old x~"), ("x~2", "old x")] {
        assert_eq!(fs::read_to_string(target.path().join(backup)).unwrap(), old);
    }
    assert_eq!(fs::read_dir(target.path()).unwrap().count(), 6);
}
