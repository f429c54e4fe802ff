//! What becomes of a running server when its directory, or a file that it sends, is replaced under it.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::TcpStream,
    time::Duration,
};

use crate::common::{
    fetching::{fetch_all, fetch_with, settings},
    serving::{PATIENCE, serve, serve_with},
    trees::{assert_same, content},
};
use haul::{client::Verified, exit::Exit, server::Settings, units::Rate};

fn temp() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

#[test]
fn a_directory_that_is_replaced_is_served_as_it_is_now() {
    let above = temp();
    let dir = above.path().join("d");
    fs::create_dir(&dir).unwrap();
    fs::write(dir.join("old"), "old").unwrap();
    let serving = serve(&dir);
    // Removed and made anew; another one under its name; a link that is moved.
    fs::remove_dir_all(&dir).unwrap();
    fs::create_dir(&dir).unwrap();
    fs::write(dir.join("f"), "x").unwrap();
    let target = temp();
    let fetched = fetch_all(&serving.url("/"), target.path());
    assert_eq!(fetched.paths(), ["f"]);
    let other = above.path().join("other");
    fs::create_dir(&other).unwrap();
    fs::write(other.join("g"), "x").unwrap();
    fs::rename(&dir, above.path().join("away")).unwrap();
    std::os::unix::fs::symlink(&other, &dir).unwrap();
    let target = temp();
    let fetched = fetch_all(&serving.url("/"), target.path());
    assert_eq!(fetched.paths(), ["g"]);
}

#[test]
fn a_directory_that_is_gone_is_no_empty_one() {
    let above = temp();
    let dir = above.path().join("d");
    fs::create_dir(&dir).unwrap();
    let serving = serve(&dir);
    fs::rename(&dir, above.path().join("away")).unwrap();
    let target = temp();
    let mut fetching = fetch_with(haul::client::Settings {
        retries: 0,
        ..settings(&serving.url("/"), target.path())
    });
    fetching.get_everything();
    let fetched = fetching.finish();
    assert_eq!(fetched.exit, Some(Exit::Network), "{:?}", fetched.failed);
    serving.wait_for("the screen knows", |now| now.gone.is_some());
    // It comes back.
    fs::rename(above.path().join("away"), &dir).unwrap();
    fs::write(dir.join("f"), "x").unwrap();
    serving.wait_for("the screen knows", |now| now.gone.is_none());
    let fetched = fetch_all(&serving.url("/"), target.path());
    assert_eq!(fetched.paths(), ["f"]);
}

/// A reader that has got a part of a file, and what is still to come once `meanwhile` was done.
fn reads_while(bytes: &[u8], meanwhile: impl FnOnce(&std::path::Path)) -> Vec<u8> {
    let source = temp();
    fs::write(source.path().join("f"), bytes).unwrap();
    let serving = serve_with(Settings {
        limit: Some(Rate(16 << 20)),
        ..crate::common::serving::settings(source.path())
    });
    let mut stream = TcpStream::connect(serving.address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
        .write_all(b"GET /f HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        .unwrap();
    let mut answer = vec![0; 100_000];
    stream.read_exact(&mut answer).unwrap();
    meanwhile(source.path());
    // An answer that breaks off ends in a reset.
    let _ = stream.read_to_end(&mut answer);
    let head = answer
        .windows(4)
        .position(|end| end == b"\r\n\r\n")
        .unwrap();
    answer.drain(..head + 4);
    answer
}

#[test]
fn a_file_that_grows_is_renamed_over_or_removed_goes_through_whole() {
    let bytes = content(1, 12 << 20);
    let grown = reads_while(&bytes, |dir| {
        let log = fs::OpenOptions::new().append(true).open(dir.join("f"));
        log.unwrap().write_all(&[b'x'; 5000]).unwrap();
    });
    assert!(grown == bytes, "{} bytes", grown.len());
    let over = reads_while(&bytes, |dir| {
        fs::write(dir.join("new"), content(2, 1 << 20)).unwrap();
        fs::rename(dir.join("new"), dir.join("f")).unwrap();
    });
    assert!(over == bytes, "{} bytes", over.len());
    let removed = reads_while(&bytes, |dir| fs::remove_file(dir.join("f")).unwrap());
    assert!(removed == bytes, "{} bytes", removed.len());
    // What is changed within what was promised breaks off.
    for change in [
        |dir: &std::path::Path| fs::write(dir.join("f"), content(3, 12 << 20)).unwrap(),
        |dir: &std::path::Path| fs::write(dir.join("f"), content(3, 6 << 20)).unwrap(),
    ] {
        let cut = reads_while(&bytes, change);
        assert!(cut.len() < bytes.len(), "it looks whole");
    }
}

#[test]
fn a_log_that_grows_is_downloaded_as_it_was_when_its_answer_began() {
    const SIZE: usize = 20 << 20;
    let (source, target) = (temp(), temp());
    let before = content(1, SIZE);
    fs::write(source.path().join("log"), &before).unwrap();
    let serving = serve_with(Settings {
        limit: Some(Rate(16 << 20)),
        ..crate::common::serving::settings(source.path())
    });
    let over = std::sync::atomic::AtomicBool::new(false);
    let fetched = std::thread::scope(|scope| {
        scope.spawn(|| {
            let path = source.path().join("log");
            let mut log = fs::OpenOptions::new().append(true).open(path).unwrap();
            while !over.load(std::sync::atomic::Ordering::Relaxed) {
                log.write_all(&[b'x'; 1000]).unwrap();
                std::thread::sleep(Duration::from_millis(10));
            }
        });
        let fetched = fetch_all(&serving.url("/"), target.path());
        over.store(true, std::sync::atomic::Ordering::Relaxed);
        fetched
    });
    assert_eq!(fetched.failed, []);
    let there = fs::read(target.path().join("log")).unwrap();
    assert!(there.len() >= SIZE && there[..SIZE] == before);
    assert_eq!(fetched.finished[0].1, Verified::Unverified);
    // Once it rests, all of it comes and is proved.
    let target = temp();
    let fetched = fetch_all(&serving.url("/"), target.path());
    assert_eq!(fetched.finished[0].1, Verified::Blake3);
    assert_same(source.path(), target.path());
}
