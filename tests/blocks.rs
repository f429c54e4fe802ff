//! Of pieces that differ in a little only the blocks that differ are fetched, whatever happens meanwhile.

use std::{fs, time::Duration};

use haul::{client::Settings, config::OnConflict, credentials::Secret, exit::Exit};
use tempfile::TempDir;

use crate::{
    common::{
        fetching::{Fetching, fetch_with},
        program::Haul,
        proxy::{Line, Proxy, proxy},
        serving::{Serving, serve},
        trees::content,
    },
    update::{BLOCK, MIB, assert_holds, fetch, holding, update_line, updating},
};

/// Pieces of the file.
const PIECES: usize = 80;
/// What may be on its way on one connection, in bytes.
const WINDOW: usize = MIB;

/// Where a piece differs.
fn place(piece: usize) -> usize {
    piece * MIB + piece * 37 * 4096 % MIB
}

/// A file in an old version, and the new one, in which a page of each piece is another, as in the image of a disk that was used.
struct Versions {
    source: TempDir,
    target: TempDir,
    old: Vec<u8>,
    new: Vec<u8>,
}

impl Versions {
    fn new() -> Self {
        let old = content(1, PIECES * MIB);
        let mut new = old.clone();
        (0..PIECES).for_each(|piece| new[place(piece)] ^= 1);
        Self {
            source: holding(&new),
            target: holding(&old),
            old,
            new,
        }
    }

    /// It is served, through a proxy of so many KiB a second on each connection, and brought up to date from there.
    fn updated_slowly(&self, rate: u64) -> (Serving, Proxy, Fetching) {
        let serving = serve(self.source.path());
        let proxy = proxy(serving.address);
        proxy.lines(move |_| Line {
            rate: Some(rate << 10),
            ..Line::default()
        });
        let mut fetching = fetch_with(updating(&proxy.url("/"), self.target.path()));
        fetching.get_path("/x");
        (serving, proxy, fetching)
    }

    /// The new one is here, and this many bytes more than its blocks were fetched at most: what was on its way where a connection
    /// ended, and the beginnings of pieces that were looked for elsewhere.
    fn assert_patched(&self, proxy: &Proxy, more: usize) {
        assert_holds(self.target.path(), &self.new, &["x"]);
        let (least, most) = (PIECES * BLOCK, PIECES * BLOCK + (32 << 10) + more);
        let fetched = proxy.file_bytes() as usize;
        assert!(
            (least..=most).contains(&fetched),
            "{fetched} bytes of {least}"
        );
    }
}

#[test]
fn of_pieces_that_differ_in_a_page_only_its_block_is_fetched() {
    let versions = Versions::new();
    let serving = serve(versions.source.path());
    let proxy = proxy(serving.address);
    let to = versions.target.path().to_str().unwrap();
    let url = proxy.url("/");
    let line = [&update_line(&url, to)[..], &["--headless", "--json"]].concat();
    let (code, stdout, stderr) = Haul::new(&line).run();
    assert_eq!(code, 0, "{stderr}");
    versions.assert_patched(&proxy, 0);
    let kept = format!("\"kept\":{}", PIECES * (MIB - BLOCK));
    assert!(stdout.contains(&kept), "{stdout}");
}

/// What is done to the line, how many bits are flipped at least, and how many bytes more that may cost.
type Harm = (fn(&Proxy), usize, usize);

#[test]
fn damage_and_cuts_cost_little_and_nothing_wrong_lands() {
    let versions = Versions::new();
    let serving = serve(versions.source.path());
    let harms: [Harm; 4] = [
        (|proxy| proxy.flip_blocks(2), 2, 2 * WINDOW),
        (|proxy| proxy.flip_blocks(1000), 3, PIECES * MIB),
        (
            |proxy| proxy.flip_once((5..7).map(|piece| place(piece) as u64)),
            2,
            2 * WINDOW,
        ),
        (
            |proxy| {
                proxy.lines(|_| Line {
                    cut_after: Some(400_000),
                    ..Line::default()
                });
            },
            0,
            8 * 400_000,
        ),
    ];
    for (harm, bits, more) in harms {
        fs::write(versions.target.path().join("x"), &versions.old).unwrap();
        let proxy = proxy(serving.address);
        harm(&proxy);
        let fetched = fetch(updating(&proxy.url("/"), versions.target.path()));
        assert_eq!(
            (&fetched.failed, fetched.exit),
            (&Vec::new(), Some(Exit::Done))
        );
        versions.assert_patched(&proxy, more);
        assert!(proxy.flipped() >= bits, "{} bits", proxy.flipped());
    }
}

#[test]
fn a_pause_holds_it_at_once_and_loses_nothing() {
    let versions = Versions::new();
    let (serving, proxy, mut fetching) = versions.updated_slowly(400);
    for wanted in [200 << 10, 500 << 10] {
        let all = fetching.wait_for("blocks", |_| proxy.file_bytes() > wanted);
        let (item, there) = (all.items[0].id, serving.server.snapshot().connections);
        let connections = proxy.connections();
        fetching.client.pause(item);
        // Its two are let go of: others are made only once it goes on.
        serving.wait_for("they are closed", |now| now.connections + 2 <= there);
        assert_eq!(proxy.connections(), connections, "while it is paused");
        fetching.client.resume(item);
        fetching.wait_for("it goes on", |_| proxy.connections() > connections);
    }
    proxy.lines(|_| Line::default());
    let fetched = fetching.finish();
    assert_eq!(
        (&fetched.failed, fetched.exit),
        (&Vec::new(), Some(Exit::Done))
    );
    versions.assert_patched(&proxy, 2 * WINDOW);
}

#[test]
fn a_cancel_ends_it_and_a_retry_goes_on_with_its_blocks() {
    let versions = Versions::new();
    let (_serving, proxy, mut fetching) = versions.updated_slowly(400);
    let all = fetching.wait_for("blocks", |_| proxy.file_bytes() > 300 << 10);
    let item = all.items[0].id;
    fetching.client.cancel(item);
    fetching.wait_for("its end", |now| now.items[0].state.is_ended());
    proxy.lines(|_| Line::default());
    fetching.client.retry(item);
    let fetched = fetching.finish();
    assert_eq!(fetched.exit, Some(Exit::Done));
    versions.assert_patched(&proxy, WINDOW);
}

#[test]
fn a_file_that_changes_meanwhile_lands_as_it_is_then() {
    let versions = Versions::new();
    let mut latest = versions.new.clone();
    latest[7] ^= 8;
    let aside = versions.source.path().join(".x");
    fs::write(&aside, &latest).unwrap();
    let (_serving, proxy, mut fetching) = versions.updated_slowly(200);
    // Of the first blocks: those that were asked for go through as they were.
    fetching.wait_for("blocks", |_| proxy.file_bytes() > 50 << 10);
    fs::rename(aside, versions.source.path().join("x")).unwrap();
    proxy.lines(|_| Line::default());
    let fetched = fetching.finish();
    assert_eq!(
        (&fetched.failed, fetched.exit),
        (&Vec::new(), Some(Exit::Done))
    );
    assert_holds(versions.target.path(), &latest, &["x"]);
}

#[test]
fn a_first_server_that_stalls_leaves_the_rest_to_its_mirror() {
    let versions = Versions::new();
    let serving = serve(versions.source.path());
    let (lead, mirror) = (proxy(serving.address), proxy(serving.address));
    // Of all connections from the fifth on nothing comes: those of the schedule have told the values by then.
    lead.lines(|nth| Line {
        stall_after: (nth >= 5).then_some(20_000),
        ..Line::default()
    });
    let settings = Settings {
        timeout: Duration::from_secs(1),
        mirrors: vec![mirror.url("/").parse().unwrap()],
        ..updating(&lead.url("/"), versions.target.path())
    };
    let fetched = fetch(settings);
    assert_eq!(
        (&fetched.failed, fetched.exit),
        (&Vec::new(), Some(Exit::Done))
    );
    assert_holds(versions.target.path(), &versions.new, &["x"]);
}

#[test]
fn one_connection_and_long_requests_are_no_obstacle() {
    let versions = Versions::new();
    let serving = serve(versions.source.path());
    for (workers, serial) in [(1, false), (5, true), (5, false)] {
        fs::write(versions.target.path().join("x"), &versions.old).unwrap();
        let proxy = proxy(serving.address);
        let mut settings = Settings {
            workers,
            serial,
            on_conflict: OnConflict::Update,
            ..updating(&proxy.url("/"), versions.target.path())
        };
        let url = settings.url.clone();
        let long = Secret::new("x".repeat(6000));
        settings.access.send(&url, "X-Long", long);
        let fetched = fetch(settings);
        assert_eq!(
            (&fetched.failed, fetched.exit),
            (&Vec::new(), Some(Exit::Done))
        );
        versions.assert_patched(&proxy, 0);
    }
}

#[test]
fn many_files_that_differ_a_little_are_all_patched_and_one_that_is_paused_holds_up_none() {
    const FILES: usize = 14;
    const SIZE: usize = 4 * MIB;
    let (source, target) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    for n in 0..FILES {
        let old = content(n as u64, SIZE);
        let mut new = old.clone();
        (0..4).for_each(|piece| new[piece * MIB + n * 5000] ^= 1);
        fs::write(target.path().join(format!("f{n}")), old).unwrap();
        fs::write(source.path().join(format!("f{n}")), new).unwrap();
    }
    let serving = serve(source.path());
    let proxy = proxy(serving.address);
    proxy.lines(|_| Line {
        rate: Some(300 << 10),
        ..Line::default()
    });
    let mut fetching = fetch_with(updating(&proxy.url("/"), target.path()));
    (0..FILES).for_each(|n| fetching.get_path(&format!("/f{n}")));
    // Those that are searched first are paused there.
    fetching.wait_for("blocks", |_| proxy.file_bytes() > 20 << 10);
    let items = fetching.client.snapshot().items;
    let paused: Vec<_> = items.iter().take(5).map(|item| item.id).collect();
    for item in &paused {
        fetching.client.pause(*item);
    }
    fetching.wait_for("all others", |now| {
        let others = now.items.iter().filter(|item| !paused.contains(&item.id));
        others.clone().count() == FILES - 5 && others.clone().all(|item| item.state.is_ended())
    });
    for item in &paused {
        fetching.client.resume(*item);
    }
    let fetched = fetching.finish();
    assert_eq!(fetched.exit, Some(Exit::Done));
    for n in 0..FILES {
        let name = format!("f{n}");
        let (here, there) = (target.path().join(&name), source.path().join(&name));
        assert!(
            fs::read(here).unwrap() == fs::read(there).unwrap(),
            "{name}"
        );
    }
    // Of a file that is paused, what is on its way comes once more; a probe is 1 KiB.
    let most = FILES * 4 * (BLOCK + 2048) + 5 * 8 * BLOCK;
    let fetched = proxy.file_bytes();
    assert!(fetched <= most as u64, "{fetched} bytes of {most}");
}
