//! Signed URLs that expire while a file is fetched: the first URL is asked again, and what is here is kept.

use std::{
    fs,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use haul::{client::Settings, exit::Exit};

use super::{haul, last_line, to};
use crate::{
    common::{
        fetching::{fetch_with, settings},
        scripted::{Reply, Request, Scripted, Then, file, reply, scripted},
        trees::content,
    },
    foreign::{MIB, assert_done, temp},
};

/// A server that hands out signatures, and one that takes each for so many requests and then answers `status`; the
/// content that comes with each signature, by its number.
fn signing(
    status: u16,
    lives: usize,
    answer: impl Fn(&Request, usize) -> Reply + Send + Sync + 'static,
) -> (Scripted, Scripted) {
    let uses: Arc<Vec<AtomicUsize>> = Arc::new((0..1000).map(|_| AtomicUsize::new(0)).collect());
    let away = scripted(move |request| {
        let number: usize = request.target.rsplit('=').next().unwrap().parse().unwrap();
        if uses[number].fetch_add(1, Ordering::Relaxed) >= lives {
            return reply(&format!("{status} Expired\nContent-Length: 5"), b"over\n");
        }
        answer(request, number)
    });
    let (base, count) = (away.url("/f?sig="), AtomicUsize::new(0));
    let first = scripted(move |_| {
        let number = count.fetch_add(1, Ordering::Relaxed);
        to(302, &format!("{base}{number}"))
    });
    (first, away)
}

/// What the first URL gives, fetched by a client with these settings.
fn fetched(
    first: &Scripted,
    change: impl FnOnce(&mut Settings),
) -> (Vec<u8>, crate::common::fetching::Fetched) {
    let dir = temp();
    let mut settings = settings(&first.url("/f"), dir.path());
    change(&mut settings);
    let mut fetching = fetch_with(settings);
    fetching.get_path("/f");
    let fetched = fetching.finish();
    (fs::read(dir.path().join("f")).unwrap_or_default(), fetched)
}

#[test]
fn a_url_that_expires_in_mid_file_is_asked_for_again_at_the_first_one() {
    let size = 40 * MIB + 3;
    for status in [400, 401, 403, 404, 410] {
        for workers in [1, 5] {
            let (first, away) = signing(status, 2, move |request, _| {
                file(request, &content(6, size), "\nETag: \"same\"")
            });
            let (bytes, fetched) = fetched(&first, |settings| settings.workers = workers);
            assert_done(&fetched);
            assert!(bytes == content(6, size), "{status}");
            assert!(
                fetched.received <= (size + 2 * MIB) as u64,
                "{} bytes for {size}",
                fetched.received
            );
            let (asked, served) = (first.requests().len(), away.requests().len());
            assert!(asked > 1 && asked <= served + 1, "{asked} and {served}");
            assert_eq!(fetched.retried, Vec::<String>::new(), "nothing failed");
        }
    }
}

#[test]
fn one_that_is_refused_again_ends_the_file_in_a_clear_line() {
    for (status, lives, exit) in [(403, 0, 3), (404, 0, 3), (401, 0, 5), (403, 1, 3)] {
        let size = 40 * MIB;
        let (first, away) = signing(status, lives, move |request, number| {
            if number > 0 {
                return reply(&format!("{status} Expired\nContent-Length: 5"), b"over\n");
            }
            file(request, &content(6, size), "\nETag: \"same\"")
        });
        let line = last_line(haul(temp().path(), &first.url("/f"), &["-w", "1"]), exit);
        let at = format!(
            "a redirect le{} to {}",
            if status == 401 { "ads" } else { "d" },
            away.url("")
        );
        assert!(
            line.contains(&status.to_string()) && line.contains(&at),
            "{line}"
        );
        assert_eq!(
            first.requests().len(),
            2,
            "{status}: {:?}",
            first.requests()
        );
    }
}

#[test]
fn other_content_behind_the_next_url_is_fetched_from_its_beginning() {
    let size = 40 * MIB;
    let (first, _away) = signing(403, 2, move |request, number| {
        let seed = if number == 0 { 1 } else { 2 };
        file(
            request,
            &content(seed, size),
            &format!("\nETag: \"{seed}\""),
        )
    });
    // Enough for all of it: the signatures that follow live as long.
    let (bytes, fetched) = fetched(&first, |settings| settings.workers = 1);
    assert_eq!(fetched.failed, []);
    assert!(bytes == content(2, size));
    assert!(
        fetched.retried.iter().any(|why| why.contains("changed")),
        "{:?}",
        fetched.retried
    );
}

#[test]
fn a_file_in_one_answer_that_breaks_is_asked_for_at_the_first_url() {
    let size = 5 * MIB;
    let (first, _away) = signing(403, 1, move |_, number| {
        let bytes = content(3, size);
        let head = format!("200 OK\nContent-Length: {size}\nConnection: close");
        let sent = if number == 0 { size / 2 } else { size };
        reply(&head, &bytes[..sent]).then(Then::Close)
    });
    let (bytes, fetched) = fetched(&first, |_| {});
    assert_done(&fetched);
    assert!(bytes == content(3, size));
}

#[test]
fn the_next_run_goes_on_at_the_first_url() {
    let size = 40 * MIB;
    let (dir, state) = (temp(), temp());
    let settings = |url: &str| Settings {
        state_dir: Some(state.path().to_owned()),
        retries: 0,
        workers: 1,
        ..settings(url, dir.path())
    };
    let closed = Arc::new(AtomicUsize::new(0));
    let so_far = Arc::clone(&closed);
    let (first, away) = signing(403, 100, move |request, number| {
        // The first signature serves three ranges, then its server breaks off.
        if number == 0 && so_far.fetch_add(1, Ordering::Relaxed) >= 3 {
            let Reply { mut bytes, .. } = file(request, &content(8, size), "\nETag: \"same\"");
            bytes.truncate(1000);
            return Reply {
                bytes,
                then: Then::Close,
            };
        }
        file(request, &content(8, size), "\nETag: \"same\"")
    });
    let mut one = fetch_with(settings(&first.url("/f")));
    one.get_path("/f");
    let failed = one.finish();
    assert_eq!(failed.exit, Some(Exit::Network), "{:?}", failed.failed);
    let journal = crate::common::secure::all_text(state.path());
    assert!(
        journal.contains("\"path\":\"f\"") && !journal.contains("sig="),
        "{journal}"
    );
    let two = fetch_with(settings(&first.url("/f")));
    assert_eq!(two.client.restore(false), 1);
    let fetched = two.finish();
    assert_done(&fetched);
    assert!(
        fetched.received < size as u64,
        "{} bytes were fetched anew",
        fetched.received
    );
    assert!(fs::read(dir.path().join("f")).unwrap() == content(8, size));
    drop(away);
}
