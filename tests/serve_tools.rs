//! Other people's clients get the same bytes from `haul serve`.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
};

use crate::common::{
    serving::{Serving, serve},
    tools::need,
    trees::assert_same,
};

fn content(size: usize) -> Vec<u8> {
    (0..size).map(|n| (n * 31 + n / 251) as u8).collect()
}

/// A file of several megabytes under a name that has to be encoded, and a place for what is fetched.
fn served() -> (tempfile::TempDir, tempfile::TempDir, Serving) {
    let (root, target) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    fs::create_dir(root.path().join("tree")).unwrap();
    fs::write(root.path().join("b g+&#.bin"), content(9_000_001)).unwrap();
    for n in 0..20usize {
        fs::write(
            root.path().join(format!("tree/{n} ü.txt")),
            content(n * 1000),
        )
        .unwrap();
    }
    let serving = serve(root.path());
    (root, target, serving)
}

const BIG: &str = "/b%20g%2B%26%23.bin";

/// Runs a program in `dir`; it must succeed.
fn run(program: &Path, arguments: &[&str], dir: &Path) {
    let output = Command::new(program)
        .args(arguments)
        .current_dir(dir)
        .stdin(Stdio::null())
        .env_remove("http_proxy")
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{program:?} {arguments:?}: {}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

fn same(file: &Path) {
    assert!(fs::read(file).unwrap() == content(9_000_001), "{file:?}");
}

#[test]
fn curl() {
    let Some(curl) = need("curl") else { return };
    let (_root, target, serving) = served();
    let url = serving.url(BIG);
    run(&curl, &["-sSf", "-o", "whole", &url], target.path());
    same(&target.path().join("whole"));
    fs::write(target.path().join("part"), &content(9_000_001)[..1_234_567]).unwrap();
    run(
        &curl,
        &["-sSf", "-C", "-", "-o", "part", &url],
        target.path(),
    );
    same(&target.path().join("part"));
}

#[test]
fn wget_takes_the_tree() {
    let Some(wget) = need("wget") else { return };
    let (_root, target, serving) = served();
    run(
        &wget,
        &["-q", "--no-proxy", "-O", "whole", &serving.url(BIG)],
        target.path(),
    );
    same(&target.path().join("whole"));
    let tree = [
        "-q",
        "--no-proxy",
        "-r",
        "-np",
        "-nH",
        "-R",
        "index.html",
        &serving.url("/tree/"),
    ];
    run(&wget, &tree, target.path());
    for n in 0..20usize {
        let file = target.path().join(format!("tree/{n} ü.txt"));
        assert!(fs::read(&file).unwrap() == content(n * 1000), "{file:?}");
    }
}

#[test]
fn wget2() {
    let Some(wget2) = need("wget2") else { return };
    let (_root, target, serving) = served();
    run(
        &wget2,
        &[
            "-q",
            "--no-proxy",
            "--chunk-size=1M",
            "-O",
            "whole",
            &serving.url(BIG),
        ],
        target.path(),
    );
    same(&target.path().join("whole"));
}

#[test]
fn aria2_with_eight_connections() {
    let Some(aria2c) = need("aria2c") else { return };
    let (_root, target, serving) = served();
    let url = serving.url(BIG);
    let arguments = [
        "-q",
        "--no-conf",
        "-x8",
        "-s8",
        "-k1M",
        "--file-allocation=none",
        "-o",
        "whole",
        &url,
    ];
    run(&aria2c, &arguments, target.path());
    same(&target.path().join("whole"));
    let snapshot = serving.wait_for("the file is complete", |now| now.files == 1);
    assert_eq!(snapshot.clients.len(), 1, "its connections are one client");
}

#[test]
fn python() {
    let Some(python) = need("python3") else {
        return;
    };
    let (_root, target, serving) = served();
    let script = "import sys, urllib.request as u; u.urlretrieve(sys.argv[1], 'whole')";
    run(&python, &["-c", script, &serving.url(BIG)], target.path());
    same(&target.path().join("whole"));
}

/// Damages one byte of what was fetched.
fn damage(file: &Path) {
    use std::os::unix::fs::FileExt as _;
    let file = fs::File::options().write(true).open(file).unwrap();
    file.write_all_at(b"\xff\xff\xff\xff", 4_000_000).unwrap();
}

#[test]
fn aria2_follows_a_metalink_and_repairs_with_it() {
    let Some(aria2c) = need("aria2c") else { return };
    let (_root, target, serving) = served();
    let url = serving.url(&format!("{BIG}?meta4"));
    let file = target.path().join("b g+&#.bin");
    // aria2 hands `&` in a name on as it stands in XML.
    let fetched = || {
        let odd = target.path().join("b g+&#38;#.bin");
        if odd.exists() {
            fs::rename(odd, &file).unwrap();
        }
        same(&file);
    };
    let base = ["-q", "--no-conf", "--file-allocation=none"];
    run(&aria2c, &[&base[..], &[&url]].concat(), target.path());
    fetched();
    let before = serving.server.snapshot().sent;
    fs::rename(&file, target.path().join("b g+&#38;#.bin")).unwrap();
    damage(&target.path().join("b g+&#38;#.bin"));
    let repair = ["-V", "--check-integrity=true", "--allow-overwrite=true"];
    run(
        &aria2c,
        &[&base[..], &repair, &[&url]].concat(),
        target.path(),
    );
    fetched();
    let sent = serving.server.snapshot().sent - before;
    assert!(
        sent < 5_000_000,
        "only what was damaged is fetched again: {sent}"
    );
}

#[test]
fn aria2_reads_the_metalink_of_a_tree() {
    let Some(aria2c) = need("aria2c") else { return };
    let Some(curl) = need("curl") else { return };
    let (root, target, serving) = served();
    let tree = serving.url("/tree/?meta4");
    run(&curl, &["-sSf", "-o", "t.meta4", &tree], target.path());
    let arguments = ["-q", "--no-conf", "--file-allocation=none", "-M", "t.meta4"];
    run(&aria2c, &arguments, target.path());
    fs::remove_file(target.path().join("t.meta4")).unwrap();
    assert_same(&root.path().join("tree"), target.path());
}

#[test]
fn wget2_follows_a_metalink() {
    let Some(wget2) = need("wget2") else { return };
    let (root, target, serving) = served();
    fs::write(root.path().join("plain.bin"), content(9_000_001)).unwrap();
    let url = serving.url("/plain.bin?meta4");
    run(
        &wget2,
        &["-q", "--no-proxy", "--tries=1", &url],
        target.path(),
    );
    same(&target.path().join("plain.bin"));
}

#[test]
fn rclone_and_lftp_list_what_is_there_once() {
    let (Some(rclone), Some(lftp)) = (need("rclone"), need("lftp")) else {
        return;
    };
    let (root, target, serving) = served();
    let host = serving.url("/");
    let lists = [
        Command::new(rclone)
            .args([
                "lsf",
                "--http-url",
                &host,
                ":http:tree",
                "--config",
                "/dev/null",
            ])
            .current_dir(target.path())
            .output(),
        Command::new(lftp)
            .args(["-c", &format!("open {host}; cls -1 tree/")])
            .env("HOME", target.path())
            .output(),
    ];
    let mut expected: Vec<String> = fs::read_dir(root.path().join("tree"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    expected.sort();
    for list in lists {
        let list = list.unwrap();
        let text = String::from_utf8(list.stdout).unwrap();
        let mut names: Vec<String> = text
            .lines()
            .map(|line| line.trim_start_matches("tree/").to_owned())
            .filter(|line| !line.starts_with(".."))
            .collect();
        names.sort();
        assert_eq!(names, expected, "{}", String::from_utf8_lossy(&list.stderr));
    }
}
