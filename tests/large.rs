//! Trees and files that are large: whatever their size, memory stays bounded and nothing is lost.

use std::{
    cell::Cell,
    fs::{self, File},
    os::unix::fs::FileExt as _,
    process::{Child, Stdio},
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use crate::common::{
    fetching::{Fetching, fetch_with, settings},
    program::Haul,
    raw::{Raw, get},
    scripted::{Reply, Then, file, ok, reply, scripted},
    serving::{PATIENCE, Serving, serve, serve_with},
    trees::{content, quick_temp},
};
use haul::{
    client::{FileView, ItemState, Link, Settings, Want},
    config::OnConflict,
    http1::path::RemotePath,
    units::Rate,
};

const MIB: u64 = 1 << 20;

/// A listing of files in the reverse order of their numbers, and each of them twice the link that it needs.
fn page(count: usize) -> Reply {
    let row = |n| format!("<tr><td><a href=\"{n}\"><img></a> <a href=\"{n}\">{n}</a></td></tr>\n");
    let rows: String = (0..count).rev().map(row).collect();
    ok("text/html", rows.as_bytes())
}

/// More files than the queue remembers, over one connection: what is too much waits on disk. The listing is cut behind
/// that point at first.
#[test]
fn a_directory_of_more_files_than_are_remembered_arrives_whole() {
    const COUNT: usize = 25_000;
    let times = AtomicUsize::new(0);
    let server = scripted(move |request| match request.target.as_str() {
        "/" => {
            let mut whole = page(COUNT);
            if times.fetch_add(1, Ordering::Relaxed) == 0 {
                whole.bytes.truncate(whole.bytes.len() / 100 * 97);
                return whole.then(Then::Close);
            }
            whole
        }
        _ => file(request, b"x", ""),
    });
    let to = quick_temp();
    let mut fetching = fetch_with(Settings {
        workers: 1,
        on_conflict: OnConflict::Rename,
        ..settings(&server.url("/"), to.path())
    });
    fetching.get_everything();
    let fetched = fetching.finish();
    assert_eq!(fetched.failed, []);
    assert_eq!(fetched.finished.len(), COUNT);
    assert_eq!(fs::read_dir(to.path()).unwrap().count(), COUNT);
}

/// A program that runs, and is killed when it is dropped.
struct Running(Child);

impl Running {
    /// The most memory that it ever held, in KiB, if it still runs.
    fn peak_rss(&self) -> Option<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.0.id())).ok()?;
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("VmHWM:"))?;
        line.trim().strip_suffix(" kB")?.trim().parse().ok()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Downloads a tree of `count` files with the program itself; the most memory that server and client held, in KiB.
fn haul_tree(dirs: usize, count: usize, options: &[&str]) -> (u64, u64) {
    let (from, to) = (quick_temp(), quick_temp());
    for number in 0..count {
        let dir = from.path().join(format!("dir {}", number % dirs));
        if number < dirs {
            fs::create_dir(&dir).unwrap();
        }
        fs::write(dir.join(format!("file {number}")), number.to_string()).unwrap();
    }
    let mut serving = Haul::new(&["serve", "--headless", "-p", "0", "-a", "127.0.0.1", "-d"]);
    serving.command.arg(from.path()).stdout(Stdio::piped());
    let mut server = Running(serving.command.stderr(Stdio::null()).spawn().unwrap());
    let mut line = String::new();
    let stdout = server.0.stdout.take().unwrap();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(stdout), &mut line).unwrap();
    let url = line.trim().strip_prefix("listening on ").unwrap();
    let mut fetching = Haul::new(&["connect", url, "--all", "--headless", "-v", "error"]);
    fetching.command.args(options).arg("-d").arg(to.path());
    fetching.command.stdout(Stdio::null()).stderr(Stdio::null());
    let mut client = Running(fetching.command.spawn().unwrap());
    let mut peak = 0;
    let status = loop {
        peak = client.peak_rss().unwrap_or(0).max(peak);
        if let Some(status) = client.0.try_wait().unwrap() {
            break status;
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    assert!(status.success(), "{status}");
    for number in 0..count {
        let path = format!("dir {}/file {number}", number % dirs);
        let read = fs::read(to.path().join(&path)).unwrap();
        assert_eq!(read, number.to_string().as_bytes(), "{path}");
    }
    (server.peak_rss().unwrap(), peak)
}

#[test]
#[ignore = "a million files take minutes to make, to fetch and to compare"]
fn a_tree_of_a_million_files_takes_bounded_memory() {
    const COUNT: usize = 1_000_000;
    const MAX: u64 = 96 * 1024;
    for (dirs, options) in [(1000, &[][..]), (1, &[]), (1, &["--workers", "1"])] {
        let (server, client) = haul_tree(dirs, COUNT, options);
        println!("{dirs} directories, {options:?}: server {server} KiB, client {client} KiB");
        assert!(
            server < MAX && client < MAX,
            "{dirs} {options:?}: {server} {client} KiB"
        );
    }
}

#[test]
fn the_pieces_of_a_file_end_with_the_digest_that_b3sum_prints() {
    let temp = tempfile::tempdir().unwrap();
    let serving = serve(temp.path());
    for size in [
        0,
        1,
        1023,
        1024,
        1025,
        MIB - 1,
        MIB,
        MIB + 1,
        5 * MIB + 7,
        1024 * MIB + 3,
    ] {
        let name = format!("{size}.bin");
        let made = File::create_new(temp.path().join(&name)).unwrap();
        // The largest is mostly holes: what is in it stands around the border of its last piece.
        made.set_len(size).unwrap();
        let bytes = content(size, size.min(5 * MIB + 7) as usize);
        made.write_all_at(&bytes, size - bytes.len() as u64)
            .unwrap();
        let mut whole = blake3::Hasher::new();
        whole
            .update_reader(File::open(temp.path().join(&name)).unwrap())
            .unwrap();
        let mut raw = Raw::connect(serving.address);
        raw.send(get(&format!("/{name}?pieces"), ""));
        let answer = raw.read();
        assert_eq!(answer.status, 200, "{size}");
        let values = if size <= MIB {
            0
        } else {
            size.div_ceil(MIB) as usize
        };
        assert_eq!(answer.body.len(), 24 + values * 32 + 32, "{size}");
        let root = answer.body.last_chunk::<32>().unwrap();
        assert_eq!(blake3::Hash::from_bytes(*root), whole.finalize(), "{size}");
    }
}

/// A server that takes connections and closes them is as good as none: it is tried less and less often, and given up.
#[test]
fn a_server_that_closes_at_once_is_not_tried_for_every_file() {
    let server = scripted(|request| match request.target.as_str() {
        "/" => page(500),
        _ => Reply {
            bytes: Vec::new(),
            then: Then::Close,
        },
    });
    let to = quick_temp();
    let mut fetching = fetch_with(Settings {
        retries: 1,
        ..settings(&server.url("/"), to.path())
    });
    fetching.get_everything();
    fetching.wait_for("the end", |snapshot| snapshot.items[0].state.is_ended());
    let snapshot = fetching.client.snapshot();
    assert!(
        matches!(snapshot.link, Link::Down(_)),
        "{:?}",
        snapshot.link
    );
    let connections = server.requests().iter().filter(|it| it.nth == 0).count();
    assert!(connections < 50, "{connections} connections");
}

/// One file that a server breaks on takes no other file with it.
#[test]
fn a_file_that_a_server_breaks_on_is_its_own_failure() {
    let server = scripted(|request| match request.target.as_str() {
        "/" => page(300),
        "/7" => Reply {
            bytes: Vec::new(),
            then: Then::Close,
        },
        _ => file(request, b"x", ""),
    });
    let to = quick_temp();
    let mut fetching = fetch_with(Settings {
        workers: 1,
        retries: 1,
        ..settings(&server.url("/"), to.path())
    });
    fetching.get_everything();
    let fetched = fetching.finish();
    assert_eq!(fetched.finished.len(), 299);
    assert_eq!(fetched.failed.len(), 1, "{:?}", fetched.failed);
}

fn get_file(target: &str) -> Want {
    Want::Path {
        path: RemotePath::from_target(target.as_bytes()).unwrap(),
        size: None,
    }
}

#[test]
fn an_item_that_waits_for_another_try_is_cancelled_at_once() {
    let server = scripted(|request| match request.target.as_str() {
        "/" => page(3),
        _ => reply("503 Busy\nRetry-After: 300\nContent-Length: 0", b""),
    });
    let to = quick_temp();
    let mut fetching = fetch_with(settings(&server.url("/"), to.path()));
    for want in [get_file("/"), get_file("/1")] {
        let item = fetching.client.get(want, None).unwrap();
        let state = |snapshot: &haul::client::Snapshot| {
            let mut items = snapshot.items.iter();
            items.find(|it| it.id == item).unwrap().state.clone()
        };
        fetching.wait_for("the pause", |snapshot| {
            matches!(state(snapshot), ItemState::Waiting(_))
        });
        let began = Instant::now();
        fetching.client.cancel(item);
        fetching.wait_for("the end", |snapshot| {
            state(snapshot) == ItemState::Cancelled
        });
        assert!(began.elapsed() < PATIENCE);
    }
}

/// The first page of a bucket's listing.
const PAGE: &[u8] =
    b"<?xml version=\"1.0\"?><ListBucketResult><Name>b</Name><IsTruncated>true</IsTruncated>\
    <Contents><Key>a</Key><Size>1</Size></Contents></ListBucketResult>";

/// Answers that never come, or fall silent in the middle, of every kind: whoever cancels waits for none of them.
#[test]
fn a_server_that_falls_silent_holds_no_cancel_up() {
    let server = scripted(|request| {
        match request.target.as_str() {
            "/page/" => reply(
                "200 OK\nContent-Type: text/html\nContent-Length: 9999",
                b"<a href=\"1\">1</a>",
            ),
            "/small" => reply("200 OK\nContent-Length: 9999", b"some"),
            "/refused" => reply(
                "403 Forbidden\nContent-Type: text/plain\nContent-Length: 9999",
                b"no",
            ),
            "/led" => reply("302 Found\nLocation: /head\nContent-Length: 9999", b"there"),
            "/refused/" => reply("404 Not Found\nContent-Length: 9999", b"no"),
            "/led/" => reply(
                "302 Found\nLocation: /led/?a\nContent-Length: 9999",
                b"there",
            ),
            "/" => return ok("text/xml", PAGE),
            "/large" if request.nth == 0 => {
                let head = format!(
                    "206 Partial Content\nETag: \"a\"\nContent-Length: {MIB}\n\
                 Content-Range: bytes 0-{}/{}",
                    MIB - 1,
                    9 * MIB
                );
                reply(&head, &content(1, MIB as usize))
            }
            _ => Reply {
                bytes: Vec::new(),
                then: Then::Hang,
            },
        }
        .then(Then::Hang)
    });
    for (path, target) in [
        ("/head", "/head"),
        ("/page/", "/page/"),
        ("/dir/", "/dir/"),
        ("/small", "/small"),
        ("/large", "/large"),
        ("/refused", "/refused"),
        ("/led", "/led"),
        ("/refused/", "/refused/"),
        ("/led/", "/led/"),
        ("/", "/?"),
    ] {
        let to = quick_temp();
        let mut fetching = fetch_with(Settings {
            workers: 1,
            timeout: Duration::from_secs(3600),
            ..settings(&server.url("/"), to.path())
        });
        let item = fetching.client.get(get_file(path), None).unwrap();
        fetching.wait_for("the request", |_| {
            let asked = server.requests();
            asked
                .iter()
                .any(|request| request.target.starts_with(target))
        });
        fetching.client.cancel(item);
        fetching.wait_for(target, |snapshot| {
            snapshot.items[0].state == ItemState::Cancelled && snapshot.connections == 0
        });
    }
}

/// A server that is asked for a listing by somebody who waits is not asked for the rest of a file first.
#[test]
fn a_listing_does_not_wait_for_the_download_that_runs() {
    let root = quick_temp();
    fs::write(root.path().join("f"), content(2, 48 << 20)).unwrap();
    let serving = serve(root.path());
    let to = quick_temp();
    let mut fetching = fetch_with(Settings {
        workers: 1,
        limit: Some(Rate(8 * MIB)),
        ..settings(&serving.url("/"), to.path())
    });
    fetching.get(get_file("/f"));
    fetching.wait_for("some of it", |snapshot| snapshot.received > 2 * MIB);
    let root = RemotePath::root();
    let listed = fetching.runtime.block_on(fetching.client.list(&root));
    assert_eq!(listed.unwrap().len(), 1);
    let item = &fetching.client.snapshot().items[0];
    assert!(item.done < 24 * MIB, "it came after {} bytes", item.done);
}

/// Two files of these sizes in MiB, from a server with a limit, over so many connections; the first is asked for.
fn two_files(
    sizes: [usize; 2],
    limit: u64,
    workers: usize,
) -> (Vec<tempfile::TempDir>, Serving, Fetching) {
    let (root, to) = (quick_temp(), quick_temp());
    for (name, (seed, size)) in ["first", "second"].iter().zip((3..).zip(sizes)) {
        fs::write(root.path().join(name), content(seed, size << 20)).unwrap();
    }
    let serving = serve_with(haul::server::Settings {
        limit: Some(Rate(limit * MIB)),
        ..crate::common::serving::settings(root.path())
    });
    let mut fetching = fetch_with(Settings {
        workers,
        ..settings(&serving.url("/"), to.path())
    });
    fetching.get(get_file("/first"));
    (vec![root, to], serving, fetching)
}

/// What is asked for while another file has all connections begins beside it, and not behind it.
#[test]
fn a_second_file_does_not_wait_for_the_end_of_the_first() {
    let (_dirs, _serving, mut fetching) = two_files([192, 4], 24, 3);
    fetching.wait_for("runs are in flight", |now| now.received > 36 * MIB);
    fetching.get(get_file("/second"));
    let now = fetching.wait_for("the second", |now| now.items[1].state.is_ended());
    // No more than three connections' two runs of at most 16 MiB each were to come before it: 136 MiB of 192.
    let first = &now.items[0];
    assert!(!first.state.is_ended(), "{first:?}");
}

/// Two files that flow share the connections, and go on doing so: none is left by all of them at once.
#[test]
fn two_files_keep_their_share_of_the_connections() {
    let (_dirs, _serving, mut fetching) = two_files([96, 96], 16, 5);
    fetching.wait_for("runs are in flight", |now| now.received > 4 * MIB);
    fetching.get(get_file("/second"));
    fetching.wait_for("both flow", |now| now.items[1].done > 8 * MIB);
    let least = Cell::new(usize::MAX);
    fetching.wait_for("more of both", |now| {
        let connections = now.items.iter().map(|item| item.connections);
        least.set(least.get().min(connections.min().unwrap_or(0)));
        now.items.iter().all(|item| item.done > 40 * MIB)
    });
    assert!(least.get() > 0, "one was left by all connections");
}

/// A tree's files that are on their way are told one by one, each with how far it is.
#[test]
fn the_files_of_a_tree_that_are_on_their_way_are_told() {
    let server = scripted(|request| match request.target.as_str() {
        "/" => page(2),
        "/1" if request
            .range(9 * MIB as usize)
            .is_some_and(|(first, _)| first == 0) =>
        {
            let head = format!(
                "206 Partial Content\nETag: \"a\"\nContent-Length: {MIB}\n\
                 Content-Range: bytes 0-{}/{}",
                MIB - 1,
                9 * MIB
            );
            reply(&head, &content(1, MIB as usize)).then(Then::Hang)
        }
        _ => Reply {
            bytes: Vec::new(),
            then: Then::Hang,
        },
    });
    let to = quick_temp();
    let mut fetching = fetch_with(settings(&server.url("/"), to.path()));
    fetching.get(get_file("/"));
    fetching.wait_for("both", |snapshot| {
        let large = FileView {
            path: RemotePath::from_target(b"/1").unwrap(),
            done: MIB,
            total: Some(9 * MIB),
            connections: 0,
        };
        matches!(
            snapshot.items[0].under_way.as_slice(),
            [first, second]
                if (FileView { connections: 0, ..first.clone() }) == large
                    && (second.path.as_bytes(), second.done) == (b"0", 0)
        )
    });
}

/// A body without a size, small or large, whose server falls silent in the middle of it or before its first byte.
#[test]
fn a_body_of_unknown_size_is_let_go_of_by_a_pause_and_a_cancel() {
    for size in [0, 1000, 3 * MIB as usize] {
        let server = scripted(move |request| {
            if request.nth == 0 && request.target == "/endless" {
                return reply("200 OK\nConnection: close", &vec![7; size]).then(Then::Hang);
            }
            file(request, b"", "")
        });
        let to = quick_temp();
        let mut fetching = fetch_with(Settings {
            workers: 1,
            timeout: Duration::from_secs(3600),
            ..settings(&server.url("/"), to.path())
        });
        let item = fetching.client.get(get_file("/endless"), None).unwrap();
        for (tries, expected) in [(1, ItemState::Paused), (2, ItemState::Cancelled)] {
            fetching.wait_for("the bytes", |snapshot| {
                let asked = server.requests();
                let asked = asked.iter().filter(|request| request.target == "/endless");
                asked.count() >= tries && snapshot.received >= (tries * size) as u64
            });
            if expected == ItemState::Paused {
                fetching.client.pause(item);
            } else {
                fetching.client.cancel(item);
            }
            fetching.wait_for("the end", |snapshot| {
                let item = &snapshot.items[0];
                snapshot.connections == 0 && item.connections == 0 && item.state == expected
            });
            assert_eq!(fs::read_dir(to.path()).unwrap().count(), 0, "{expected:?}");
            if expected == ItemState::Paused {
                fetching.client.resume(item);
            }
        }
    }
}
