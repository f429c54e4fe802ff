//! Servers that give ranges in a way of their own, or count what they are asked: everything comes, whole.

use std::{
    fs,
    io::Write as _,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use crate::{
    common::{
        fetching::settings,
        scripted::{Then, file, ok, reply, scripted},
        trees::{assert_same, content},
    },
    foreign::{MIB, SIZES, assert_done, each_size, fetch, nginx, nginx_with, odd, odd_sized, temp},
};
use haul::client::{Settings, Verified};

#[test]
fn a_server_that_gives_less_than_was_asked_for_is_asked_for_the_rest() {
    each_size(|size| {
        for (most, listed) in [
            (3 * MIB / 2, true),
            (3 * MIB / 2, false),
            (MIB, true),
            (400_000, true),
            (400_000, false),
        ] {
            let odd = odd_sized(size, listed, move |request, bytes| {
                let Some((first, last)) = request.range(size) else {
                    return file(request, bytes, "");
                };
                let last = last.min(first + most - 1);
                let length = last - first + 1;
                let head = format!(
                    "206 Partial Content\nContent-Range: bytes {first}-{last}/{size}\nContent-Length: {length}\nETag: \"1\""
                );
                reply(&head, &bytes[first..=last])
            });
            odd.arrives();
            // A piece an answer, once that is known; the first few connections have to find out.
            let bound = size.div_ceil(MIB) + 12;
            assert!(
                odd.requests.len() <= bound,
                "{size} {most}: {}",
                odd.requests.len()
            );
        }
    });
}

#[test]
fn a_server_that_refuses_ranges_is_asked_without() {
    for status in [
        "400 Bad Request",
        "403 Forbidden",
        "416 Range Not Satisfiable",
        "501 Not Implemented",
    ] {
        each_size(|size| {
            for listed in [true, false] {
                odd_sized(size, listed, move |request, bytes| {
                    if request.field("Range").is_some() {
                        return reply(&format!("{status}\nContent-Length: 0"), b"");
                    }
                    file(request, bytes, "\nETag: \"1\"\nAccept-Ranges: bytes")
                })
                .arrives();
            }
        });
    }
}

#[test]
fn what_is_refused_for_another_reason_stays_refused() {
    let asked = AtomicUsize::new(0);
    let odd = odd(9 * MIB, move |_, _| {
        assert!(
            asked.fetch_add(1, Ordering::Relaxed) < 4,
            "asked again and again"
        );
        reply("403 Forbidden\nContent-Length: 0", b"")
    });
    odd.fails(haul::exit::Exit::Remote, "403");
}

#[test]
fn servers_behind_one_name_that_tell_different_tags_are_asked_for_one_answer() {
    for size in SIZES {
        let answers = AtomicUsize::new(0);
        let odd = odd(size, move |request, bytes| {
            let tag = answers.fetch_add(1, Ordering::Relaxed) % 2;
            file(
                request,
                bytes,
                &format!("\nETag: \"{tag}\"\nAccept-Ranges: bytes"),
            )
        });
        odd.arrives();
        assert_eq!(odd.fetched.finished[0].1, Verified::Unverified);
    }
}

/// A log: what was there when the answer began lands, whole.
#[test]
fn a_file_that_grows_while_it_is_fetched_lands_as_it_was() {
    const SIZE: usize = 24 << 20;
    let source = temp();
    let before = content(1, SIZE);
    fs::write(source.path().join("log"), &before).unwrap();
    let Some(nginx) = nginx(source.path(), "limit_rate 8m;") else {
        return;
    };
    let over = Arc::new(AtomicBool::new(false));
    let grows = std::thread::spawn({
        let (path, over) = (source.path().join("log"), Arc::clone(&over));
        move || {
            let mut log = fs::OpenOptions::new().append(true).open(path).unwrap();
            while !over.load(Ordering::Relaxed) {
                log.write_all(&[b'x'; 1000]).unwrap();
                std::thread::sleep(Duration::from_millis(20));
            }
        }
    });
    let target = temp();
    let fetched = fetch(settings(&nginx.url("/"), target.path()));
    over.store(true, Ordering::Relaxed);
    grows.join().unwrap();
    assert_done(&fetched);
    let there = fs::read(target.path().join("log")).unwrap();
    assert!(
        there.len() >= SIZE && there[..SIZE] == before,
        "{} bytes",
        there.len()
    );
    assert!(there[SIZE..].iter().all(|byte| *byte == b'x'));
    assert_eq!(fetched.finished[0].1, Verified::Unverified);
}

fn many(count: usize) -> tempfile::TempDir {
    let source = temp();
    for n in 0..count {
        let size = if n % 20 == 0 { 2 * MIB + n } else { 3000 + n };
        fs::write(
            source.path().join(format!("{n:03}")),
            content(n as u64, size),
        )
        .unwrap();
    }
    source
}

#[test]
fn an_nginx_that_counts_requests_gives_all_files() {
    let source = many(81);
    for burst in ["", "burst=5 nodelay", "burst=3"] {
        let zone = "limit_req_zone $binary_remote_addr zone=r:1m rate=20r/s;";
        let limit = format!("limit_req zone=r {burst};");
        let Some(nginx) = nginx_with(source.path(), zone, &limit) else {
            return;
        };
        let target = temp();
        let began = Instant::now();
        // The command line's own number of tries.
        let fetched = fetch(Settings {
            retries: 5,
            ..settings(&nginx.url("/"), target.path())
        });
        let took = began.elapsed();
        assert_done(&fetched);
        assert_same(source.path(), target.path());
        // 82 requests at 20 a second are 4.1 s, and large files take some more requests.
        assert!(took < Duration::from_secs(9), "{burst}: {took:?}");
    }
}

#[test]
fn an_nginx_that_counts_connections_gives_all_files() {
    let source = many(81);
    for status in ["503", "429"] {
        let zone = "limit_conn_zone $binary_remote_addr zone=c:1m;";
        let limit = format!("limit_conn c 2; limit_conn_status {status};");
        let Some(nginx) = nginx_with(source.path(), zone, &limit) else {
            return;
        };
        let target = temp();
        let fetched = fetch(Settings {
            retries: 5,
            ..settings(&nginx.url("/"), target.path())
        });
        assert_done(&fetched);
        assert_same(source.path(), target.path());
    }
}

/// darkhttpd 1.17 reads the fields of what was sent behind a request as that request's own, and forgets it then.
#[test]
fn a_server_that_mixes_up_what_is_sent_ahead_is_asked_one_by_one() {
    let began = Instant::now();
    let source: Vec<Vec<u8>> = (0..40).map(|n| content(n, n as usize * 100)).collect();
    let server = scripted({
        let source = source.clone();
        move |request| {
            if request.target == "/" {
                let links: Vec<String> = (0..40)
                    .map(|n| format!("<a href=\"{n}\">{n}</a>"))
                    .collect();
                return ok("text/html", links.concat().as_bytes());
            }
            let at: usize = request.target[1..].parse().unwrap();
            let bytes = &source[at];
            let ranged = request.pipelined || request.field("Range").is_some();
            let answer = if ranged && bytes.is_empty() {
                reply("416 Range Not Satisfiable\nContent-Length: 0", b"")
            } else {
                file(request, bytes, "")
            };
            answer.then(if request.pipelined {
                Then::Forget
            } else {
                Then::Keep
            })
        }
    });
    let target = temp();
    let fetched = fetch(settings(&server.url("/"), target.path()));
    assert_done(&fetched);
    for (n, bytes) in source.iter().enumerate() {
        assert!(
            fs::read(target.path().join(n.to_string())).unwrap() == *bytes,
            "{n}"
        );
    }
    // Not the time without a word after which a connection is given up.
    assert!(
        began.elapsed() < Duration::from_secs(5),
        "{:?}",
        began.elapsed()
    );
}
