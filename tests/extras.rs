//! `--delete` removes what the server does not have any more, and nothing else.

use std::{
    fs,
    os::unix::fs::{MetadataExt as _, symlink},
    path::Path,
    process::Stdio,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use haul::{client::Settings, config::OnConflict};
use portable_pty::{CommandBuilder, PtySize, native_pty_system};
use tokio_util::sync::CancellationToken;

use crate::{
    common::{
        fetching::{fetch_with, settings},
        program::Haul,
        proxy::{Line, proxy},
        scripted::{Reply, Then, not_found, ok, reply, scripted},
        serving::{PATIENCE, serve},
        trees::{assert_same, content, digest},
    },
    foreign::temp,
    uptodate::{line, run, tree},
};

/// What is not the server's: files that go, and what stays.
const GONE: [&str; 3] = ["a/old", "dropped", "dropped/deep"];

/// Puts both into `at`; a directory outside that links lead to.
fn clutter(at: &Path, outside: &Path) {
    for file in GONE.iter().filter(|path| **path != "dropped") {
        let path = at.join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "old").unwrap();
    }
    fs::create_dir_all(at.join("holds a link")).unwrap();
    fs::write(at.join("of another.part"), "part").unwrap();
    fs::write(at.join("b/.hidden"), "dot").unwrap();
    fs::write(outside.join("precious"), "outside").unwrap();
    for link in ["link", "holds a link/link", "dropped link"] {
        symlink(outside, at.join(link)).unwrap();
    }
}

fn assert_stays(at: &Path, outside: &Path) {
    for stays in [
        "of another.part",
        "b/.hidden",
        "link",
        "holds a link/link",
        "dropped link",
    ] {
        assert!(at.join(stays).symlink_metadata().is_ok(), "{stays} is gone");
    }
    assert_eq!(
        fs::read_to_string(outside.join("precious")).unwrap(),
        "outside"
    );
}

#[test]
fn what_the_server_has_no_more_is_removed_and_nothing_else() {
    let (source, target, outside) = (temp(), temp(), temp());
    tree(source.path());
    let serving = serve(source.path());
    let url = serving.url("/");
    let (code, _, stderr) = run(&url, target.path(), &[]);
    assert_eq!(code, 0, "{stderr}");
    clutter(target.path(), outside.path());
    fs::write(source.path().join("a/new"), "new").unwrap();
    let here = digest(target.path());
    let (code, stdout, stderr) = run(&url, target.path(), &["--delete", "--dry-run"]);
    assert_eq!(code, 0, "{stderr}");
    for gone in GONE {
        assert!(stdout.contains(&format!("  {gone}")), "{gone}: {stdout}");
    }
    assert!(stdout.contains("fetch           3 B  a/new"), "{stdout}");
    // The directory that holds a link will stay.
    assert!(
        stdout.contains("delete 3 (6 B)") && stdout.contains("keep 30"),
        "{stdout}"
    );
    assert_eq!(digest(target.path()), here, "nothing is changed");
    let excluded = [
        "--delete",
        "--yes",
        "--exclude",
        "dropped/",
        "--exclude",
        "**/old",
    ];
    let (code, stdout, stderr) = run(&url, target.path(), &excluded);
    assert_eq!(
        (code, stdout.contains("deleted")),
        (0, false),
        "{stdout}{stderr}"
    );
    assert!(target.path().join("dropped/deep").exists() && target.path().join("a/old").exists());
    let (code, stdout, stderr) = run(&url, target.path(), &["--delete", "--yes"]);
    assert_eq!(code, 0, "{stderr}");
    assert!(stdout.contains("3 deleted"), "{stdout}");
    for gone in GONE {
        assert!(!target.path().join(gone).exists(), "{gone}");
    }
    assert_stays(target.path(), outside.path());
}

/// Runs a tree update with `--delete` against a server of this script, over files of earlier runs: nothing may be removed.
fn removes_nothing(script: impl Fn(&str) -> Reply + Send + Sync + 'static) {
    let server = scripted(move |request| script(&request.target));
    let (target, outside) = (temp(), temp());
    fs::create_dir_all(target.path().join("a")).unwrap();
    fs::create_dir_all(target.path().join("b")).unwrap();
    clutter(target.path(), outside.path());
    let before = digest(target.path());
    let (code, _, stderr) = run(
        &server.url("/"),
        target.path(),
        &["--delete", "--yes", "--retries", "0"],
    );
    assert_ne!(code, 0, "{stderr}");
    for (path, hash) in digest(target.path()) {
        assert!(
            path.ends_with("ok") || before.get(&path) == Some(&hash),
            "{path:?}"
        );
    }
    assert!(
        before
            .keys()
            .all(|path| target.path().join(path).symlink_metadata().is_ok())
    );
    assert_stays(target.path(), outside.path());
    assert!(!outside.path().join("evil").exists());
}

#[test]
fn a_listing_that_fails_removes_nothing() {
    let json = "application/json";
    let root = br#"[{"name":"a/","is_dir":true},{"name":"ok","size":2}]"#;
    let of = move |target: &str, a: Reply| match target {
        "/" => ok(json, root),
        "/ok" => ok("text/plain", b"ok"),
        "/a/" => a,
        _ => not_found(),
    };
    // Cut in the middle, gone, refused, and something else than a listing.
    removes_nothing(move |target| {
        let cut = reply(
            "200 OK\nContent-Type: application/json\nContent-Length: 500",
            b"[{\"name\":\"x\"",
        );
        of(target, cut.then(Then::Close))
    });
    removes_nothing(move |target| of(target, not_found()));
    removes_nothing(move |target| of(target, reply("403 Forbidden\nContent-Length: 0", b"")));
    removes_nothing(move |target| of(target, ok("text/html", b"<title>Welcome</title>Hello")));
    // The server's directory is not there.
    removes_nothing(|_| not_found());
}

#[test]
fn json_that_is_no_listing_removes_nothing() {
    for json in [
        r#"{"errors":["down for maintenance"]}"#,
        r#"{"data":[],"message":"denied"}"#,
        r#"["ok","b"]"#,
        r#"[] {"error":"timeout"}"#,
        r#"[{"name":"ok","size":2}]{"error":"timeout"}"#,
    ] {
        removes_nothing(move |target| match target {
            "/" => ok("application/json", json.as_bytes()),
            _ => ok("text/plain", b"ok"),
        });
    }
}

#[test]
fn a_page_that_is_cut_with_its_connection_removes_nothing() {
    for cut in [
        "<html><head><title>Index of /</title></head><body><h1>Index of /</h1><pre><a href=\"../\">../</a>\n<a hr",
        "<html><head><title>Index of /</title></head><body><pre><a href=\"ok\">ok</a>\n",
        "<pre><a href=\"ok\">ok</a>\n",
    ] {
        removes_nothing(move |target| match target {
            "/" => reply("200 OK\nContent-Type: text/html", cut.as_bytes()).then(Then::Close),
            _ => ok("text/plain", b"ok"),
        });
    }
}

#[test]
fn a_cut_page_is_asked_for_again() {
    const WHOLE: &str =
        "<html><body><pre><a href=\"a\">a</a>\n<a href=\"b\">b</a>\n</pre></body></html>";
    let tries = AtomicUsize::new(0);
    let server = scripted(move |request| match request.target.as_str() {
        "/" => {
            let cut = match tries.fetch_add(1, Ordering::Relaxed) {
                0 => WHOLE.find("<a href=\"b\"").unwrap() + 5,
                _ => WHOLE.len(),
            };
            let page = &WHOLE.as_bytes()[..cut];
            reply("200 OK\nContent-Type: text/html", page).then(Then::Close)
        }
        _ => ok("text/plain", b"new"),
    });
    let target = temp();
    for name in ["b", "c"] {
        fs::write(target.path().join(name), "old").unwrap();
    }
    let (code, stdout, stderr) = run(&server.url("/"), target.path(), &["--delete", "--yes"]);
    assert_eq!(code, 0, "{stderr}");
    assert!(stdout.contains("1 deleted"), "{stdout}");
    assert!(target.path().join("a").exists() && target.path().join("b").exists());
    assert!(!target.path().join("c").exists());
}

#[test]
fn a_page_with_the_name_of_the_directory_removes_nothing() {
    for page in [
        "<title>a</title><form>Password: <input type=\"password\" name=\"p\"></form>",
        "<title>Index of /a/</title><a href=\"../\">Home</a><input type=password>",
        "<title>a</title><h1>a</h1><p>Service temporarily unavailable",
    ] {
        removes_nothing(move |target| match target {
            "/" => ok(
                "application/json",
                br#"[{"name":"a/","is_dir":true},{"name":"ok","size":2}]"#,
            ),
            "/a/" => ok("text/html", page.as_bytes()),
            _ => ok("text/plain", b"ok"),
        });
    }
}

#[test]
fn a_page_that_does_not_list_the_directory_removes_nothing_in_it() {
    let page = |body: &str| ok("text/html", body.as_bytes());
    for (root, why) in [
        (
            reply("302 Found\nLocation: /sub/\nContent-Length: 0", b""),
            "leads to a directory in it",
        ),
        (
            page("<meta http-equiv=\"refresh\" content=\"0; url=sub/\">"),
            "leads on to another",
        ),
        (
            page(
                "<h1>Index of /</h1><a href=\"http://internal:8080/keep.txt\">keep.txt</a> \
                <a href=\"http://internal:8080/sub/\">sub/</a>",
            ),
            "only links that lead elsewhere",
        ),
        (
            page("<h1>Index of /</h1><a href=\"?get=keep.txt\">keep.txt</a>"),
            "only links that lead elsewhere",
        ),
    ] {
        let leads_below = why.contains("leads ");
        let server = scripted(move |request| match request.target.as_str() {
            "/" => root.clone(),
            "/sub/" => ok("text/html", b"<h1>Index of /sub/</h1><a href=\"x\">x</a>"),
            "/sub/x" => ok("text/plain", b"new"),
            _ => not_found(),
        });
        let target = temp();
        fs::create_dir(target.path().join("sub")).unwrap();
        for name in ["keep.txt", "other.bin", "sub/x", "sub/old"] {
            fs::write(target.path().join(name), "old").unwrap();
        }
        let update = ["--delete", "--yes"];
        let (code, stdout, stderr) = run(&server.url("/"), target.path(), &update);
        assert_eq!(code, 0, "{stdout}{stderr}");
        let there = |path: &str| target.path().join(path).exists();
        assert!(
            there("keep.txt") && there("other.bin"),
            "{why}: {stdout}{stderr}"
        );
        // The listing that it leads to is one.
        assert_eq!(there("sub/old"), !leads_below, "{why}: {stdout}{stderr}");
        assert!(
            stderr.contains("nothing is deleted in the target directory itself")
                && stderr.contains(why),
            "{why}: {stderr}"
        );
    }
}

#[test]
fn a_bucket_that_is_not_all_removes_nothing() {
    removes_nothing(|_| {
        let page = "<ListBucketResult><IsTruncated>true</IsTruncated></ListBucketResult>";
        ok("application/xml", page.as_bytes())
    });
}

#[test]
fn hostile_names_remove_nothing_and_lead_nowhere() {
    removes_nothing(|target| {
        match target {
        "/" => ok(
            "application/json",
            br#"[{"name":"../evil","size":2},{"name":"..","is_dir":true},{"name":"a/../../evil","size":2},{"name":"ok","size":2}]"#,
        ),
        _ => ok("text/plain", b"ok"),
    }
    });
}

#[test]
fn what_a_pattern_takes_goes_from_directories_that_are_gone_too() {
    let (source, target) = (temp(), temp());
    fs::write(source.path().join("a.txt"), "a").unwrap();
    for file in [
        "gone/g.txt",
        "gone/kept",
        "gone/deep/g.txt",
        "left/out/g.txt",
    ] {
        let path = target.path().join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, file).unwrap();
    }
    let serving = serve(source.path());
    let (url, to) = (serving.url("/"), target.path().to_str().unwrap());
    let line = [
        "connect",
        &url,
        "-g",
        "**/*.txt",
        "--exclude",
        "left/",
        "-d",
        to,
    ];
    let update = ["--on-conflict", "update", "--headless", "--delete", "--yes"];
    let (code, stdout, stderr) = Haul::new(&[&line[..], &update].concat()).run();
    assert_eq!(code, 0, "{stderr}");
    assert!(stdout.contains("2 deleted"), "{stdout}");
    let there = |path: &str| target.path().join(path).exists();
    assert!(!there("gone/g.txt") && !there("gone/deep/g.txt"));
    // Directories are not what the pattern takes.
    assert!(there("gone/kept") && there("gone/deep") && there("left/out/g.txt"));
}

#[test]
fn a_directory_that_is_listed_as_empty_is_emptied() {
    let (source, target) = (temp(), temp());
    fs::create_dir(target.path().join("d")).unwrap();
    fs::write(target.path().join("d/x"), "x").unwrap();
    let serving = serve(source.path());
    let (code, stdout, stderr) = run(&serving.url("/"), target.path(), &["--delete", "--yes"]);
    assert_eq!(code, 0, "{stderr}");
    assert!(stdout.contains("2 deleted"), "{stdout}");
    assert_eq!(fs::read_dir(target.path()).unwrap().count(), 0);
}

#[test]
fn what_is_put_there_meanwhile_stays() {
    let (source, target) = (temp(), temp());
    let before = target.path().join("before");
    fs::write(&before, "x").unwrap();
    // Clocks of file systems go by ticks: what is made in the same one as the run's beginning counts as made later.
    let made = fs::metadata(&before).unwrap();
    let ticks = temp();
    loop {
        let file = fs::File::create(ticks.path().join("tick")).unwrap();
        let now = file.metadata().unwrap();
        if (now.ctime(), now.ctime_nsec()) > (made.ctime(), made.ctime_nsec()) {
            break;
        }
    }
    let serving = serve(source.path());
    let mut fetching = fetch_with(Settings {
        on_conflict: OnConflict::Update,
        delete: true,
        ..settings(&serving.url("/"), target.path())
    });
    fs::write(target.path().join("meanwhile"), "x").unwrap();
    fetching.get_everything();
    fetching.wait_for("all ended", |now| {
        now.items.iter().all(|item| item.state.is_ended())
    });
    let extras = fetching.client.extras();
    let paths: Vec<_> = extras.iter().map(|extra| extra.path.as_bytes()).collect();
    assert_eq!(paths, [b"before"]);
    // Another file of that name by now is not what was found.
    fs::write(target.path().join("other"), "y").unwrap();
    fs::rename(target.path().join("other"), target.path().join("before")).unwrap();
    fetching
        .client
        .remove(&extras, &CancellationToken::new(), |_| panic!("removed"))
        .unwrap();
    assert_eq!(fs::read_dir(target.path()).unwrap().count(), 2);
}

#[test]
fn a_kill_before_the_end_removes_nothing() {
    let (source, target) = (temp(), temp());
    tree(source.path());
    fs::write(source.path().join("large"), content(5, 8 << 20)).unwrap();
    fs::write(target.path().join("old"), "old").unwrap();
    let serving = serve(source.path());
    let proxy = proxy(serving.address);
    let limited = Arc::new(AtomicBool::new(true));
    let slow = Arc::clone(&limited);
    proxy.lines(move |_| Line {
        stall_after: slow.load(Ordering::SeqCst).then_some(200_000),
        ..Line::default()
    });
    let url = proxy.url("/");
    let to = target.path().to_str().unwrap().to_owned();
    let Haul { mut command, state } = Haul::new(&line(&url, &to, &["--delete", "--yes"]));
    let mut child = command
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let began = std::time::Instant::now();
    while proxy.file_bytes() < 100_000 {
        assert!(began.elapsed() < PATIENCE, "nothing comes");
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(target.path().join("old").exists());
    limited.store(false, Ordering::SeqCst);
    let output = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    drop(state);
    assert_same(source.path(), target.path());
}

#[test]
fn it_asks_on_a_terminal_and_refuses_without_one() {
    let (source, target) = (temp(), temp());
    fs::write(source.path().join("x"), "x").unwrap();
    fs::write(target.path().join("old"), "old").unwrap();
    let serving = serve(source.path());
    let (url, to) = (serving.url("/"), target.path().to_str().unwrap());
    let wrong = |arguments: &[&str]| {
        Haul::new(&[&["connect", &url, "-d", to, "--headless"], arguments].concat()).fails(2)
    };
    let update = ["--on-conflict", "update"];
    for (arguments, why) in [
        (
            &[&["--all", "--delete"][..], &update].concat()[..],
            "there is no terminal to ask on: add --yes",
        ),
        (&["--all", "--delete", "--yes"], "add --on-conflict update"),
        (
            &[&["--yes"][..], &["--all"]].concat(),
            "--yes answers the question of --delete",
        ),
        (
            &["--get", "x", "--dry-run", "-o", "y"],
            "--dry-run is about a tree",
        ),
        (
            &[&["--all", "--delete", "--detach"][..], &update].concat(),
            "--detach leaves the terminal",
        ),
    ] {
        let told = wrong(arguments);
        assert!(told.contains(why), "{told}");
    }
    assert!(!target.path().join("x").exists(), "nothing was begun");
    for (answer, gone, status) in [("\x03", false, 130), ("no\n", false, 0), ("yes\n", true, 0)] {
        let pair = native_pty_system().openpty(PtySize::default()).unwrap();
        let state = temp();
        let mut command = CommandBuilder::new(env!("CARGO_BIN_EXE_haul"));
        command.args(line(&url, to, &["--delete"]));
        for name in [
            "HOME",
            "XDG_STATE_HOME",
            "XDG_RUNTIME_DIR",
            "XDG_CACHE_HOME",
        ] {
            command.env(name, state.path());
        }
        let mut child = pair.slave.spawn_command(command).unwrap();
        drop(pair.slave);
        let (mut reader, mut writer) = (
            pair.master.try_clone_reader().unwrap(),
            pair.master.take_writer().unwrap(),
        );
        let (mut seen, mut buffer) = (String::new(), [0; 4096]);
        while let Ok(read @ 1..) = std::io::Read::read(&mut reader, &mut buffer) {
            seen.push_str(&String::from_utf8_lossy(&buffer[..read]));
            if seen.ends_with("[yes/no] ") {
                std::io::Write::write_all(&mut writer, answer.as_bytes()).unwrap();
            }
        }
        assert_eq!(child.wait().unwrap().exit_code(), status, "{seen}");
        assert_eq!(seen.contains("interrupted"), status != 0, "{seen}");
        assert!(
            seen.contains("does not have 1 files (3 B) and 0 directories"),
            "{seen}"
        );
        assert_eq!(target.path().join("old").exists(), !gone, "{seen}");
    }
}
