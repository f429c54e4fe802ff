//! Files brought up to date: what is equal here is kept, what differs is fetched, and the old one stays until the new one is
//! whole.

use std::{
    fs,
    io::Write as _,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::{Child, Stdio},
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, UNIX_EPOCH},
};

use haul::{
    client::{Settings, Verified},
    config::OnConflict,
    exit::Exit,
};
use tempfile::TempDir;

use crate::{
    common::{
        fetching::{Fetched, fetch_with, settings},
        program::Haul,
        proxy::{Line, proxy},
        scripted::{file, not_found, ok, scripted},
        serving::{PATIENCE, serve},
        trees::content,
    },
    foreign::temp,
    resume::SmallDisk,
};

/// The command line that brings all of a directory up to date.
pub fn update_line<'a>(url: &'a str, to: &'a str) -> [&'a str; 7] {
    ["connect", url, "--all", "-d", to, "--on-conflict", "update"]
}

pub const MIB: usize = 1 << 20;

/// A directory that holds `x` with this content.
pub fn holding(bytes: &[u8]) -> TempDir {
    static MADE: AtomicU64 = AtomicU64::new(1_000_000_000);
    let dir = temp();
    let file = fs::File::create(dir.path().join("x")).unwrap();
    (&file).write_all(bytes).unwrap();
    // Two that are made in the same tick of the clock would have the same date, and count as the same file.
    let date = Duration::new(MADE.fetch_add(100, Ordering::Relaxed), 5);
    file.set_modified(UNIX_EPOCH + date).unwrap();
    dir
}

pub fn updating(url: &str, dir: &Path) -> Settings {
    Settings {
        on_conflict: OnConflict::Update,
        ..settings(url, dir)
    }
}

pub fn fetch(settings: Settings) -> Fetched {
    let mut fetching = fetch_with(settings);
    fetching.get_everything();
    fetching.finish()
}

/// The names in a directory, and that `x` has this content. Prints no megabytes.
pub fn assert_holds(dir: &Path, expected: &[u8], names: &[&str]) {
    let there = fs::read(dir.join("x")).unwrap();
    assert!(
        there == expected,
        "{} bytes, of {}",
        there.len(),
        expected.len()
    );
    let each = fs::read_dir(dir).unwrap();
    let mut found: Vec<_> = each.map(|entry| entry.unwrap().file_name()).collect();
    found.sort();
    assert_eq!(found, names);
}

/// Bytes of a block, the least that is fetched of a piece.
pub const BLOCK: usize = 16 << 10;

/// The old content in other versions, each with how many bytes of it are fetched: pieces of 1 MiB that are nowhere in the old
/// one, and of those that differ in a little the blocks that do.
fn versions(old: &[u8]) -> Vec<(&'static str, Vec<u8>, usize)> {
    let mut touched = old.to_vec();
    for at in [0, 5 * MIB + 77, 5 * MIB + 4096, 17 * MIB - 1, old.len() - 1] {
        touched[at] ^= 1;
    }
    let appended = [old, &content(9, 3 * MIB + 11)].concat();
    let inserted = [&old[..8 * MIB], &content(8, MIB), &old[8 * MIB..]].concat();
    vec![
        // The last piece is short: where it was, it goes on now.
        ("appended", appended, 4 * MIB),
        ("cut", old[..9 * MIB + 100].to_vec(), 100),
        ("cut at a piece", old[..9 * MIB].to_vec(), 0),
        ("touched", touched, 3 * BLOCK + 500),
        ("another", content(7, 20 * MIB), 20 * MIB),
        // What is here elsewhere is found.
        ("inserted", inserted, MIB),
        ("one byte at the front", [b"x", old].concat(), MIB),
        ("cut at the front", old[3 * MIB..].to_vec(), 0),
        (
            "turned round",
            [&old[12 * MIB..], &old[..12 * MIB]].concat(),
            MIB,
        ),
    ]
}

#[test]
fn only_pieces_that_differ_are_fetched() {
    let old = content(1, 20 * MIB + 500);
    for (what, new, most) in versions(&old) {
        let (source, target) = (holding(&new), holding(&old));
        let serving = serve(source.path());
        let fetched = fetch(updating(&serving.url("/"), target.path()));
        assert_eq!(
            (&fetched.failed, fetched.exit),
            (&Vec::new(), Some(Exit::Done))
        );
        assert_eq!(fetched.finished, [("x".into(), Verified::Blake3)], "{what}");
        assert_holds(target.path(), &new, &["x"]);
        // The values of its pieces count as well, the beginnings of those that are looked for, and the values of their blocks.
        let told = 4096 + (64 << 10) + 16 * 2048;
        assert!(
            fetched.received <= (most + told) as u64,
            "{what}: {} bytes",
            fetched.received
        );
    }
}

#[test]
fn what_is_equal_counts_as_done_and_what_was_there_can_be_kept() {
    let old = content(1, 6 * MIB);
    let (source, target) = (holding(&old), holding(&old));
    let serving = serve(source.path());
    let update = || Settings {
        backup: true,
        ..updating(&serving.url("/"), target.path())
    };
    let fetched = fetch(update());
    assert_eq!(fetched.finished, [("x".into(), Verified::Present)]);
    assert!(fetched.received < 4096, "{} bytes", fetched.received);
    assert_holds(target.path(), &old, &["x"]);
    // No backup takes the place of another. A small file is replaced in the same way.
    let mode = fs::Permissions::from_mode(0o600);
    fs::set_permissions(target.path().join("x"), mode).unwrap();
    let mut before = old;
    let mut names = vec!["x"];
    for (new, backup) in [
        (content(2, 6 * MIB), "x~"),
        (content(3, 5000), "x~2"),
        (content(4, 2 * MIB), "x~3"),
    ] {
        names.push(backup);
        fs::write(source.path().join("x"), &new).unwrap();
        let fetched = fetch(update());
        assert_eq!(
            (&fetched.failed, fetched.exit),
            (&Vec::new(), Some(Exit::Done))
        );
        assert_holds(target.path(), &new, &names);
        assert!(fs::read(target.path().join(backup)).unwrap() == before);
        let about = fs::metadata(target.path().join("x")).unwrap();
        assert_eq!(
            about.permissions().mode() & 0o777,
            0o600,
            "who may read it stays"
        );
        before = new;
    }
}

#[test]
fn one_item_is_updated_whatever_the_rule_is_and_its_queue_keeps_that() {
    let old = content(1, 8 * MIB);
    let mut new = old.clone();
    new[3 * MIB] ^= 1;
    let (source, target, state) = (holding(&new), holding(&old), temp());
    let serving = serve(source.path());
    let started = |url: &str| {
        fetch_with(Settings {
            state_dir: Some(state.path().to_owned()),
            ..settings(url, target.path())
        })
    };
    // Nobody is there: it stays in the queue of the next run.
    let proxy = proxy(serving.address);
    proxy.lines(|_| Line {
        stall_after: Some(0),
        ..Line::default()
    });
    let first = started(&proxy.url("/"));
    let want = || haul::client::Want::Path {
        path: haul::http1::path::RemotePath::from_target(b"/x").unwrap(),
        size: None,
    };
    first.client.update(want(), None).unwrap();
    drop(first);
    proxy.lines(|_| Line::default());
    let second = started(&proxy.url("/"));
    assert_eq!(second.client.restore(false), 1);
    let fetched = second.finish();
    assert_eq!(fetched.finished, [("x".into(), Verified::Blake3)]);
    assert!(
        fetched.received < (MIB + 4096) as u64,
        "{} bytes",
        fetched.received
    );
    assert_holds(target.path(), &new, &["x"]);
}

#[test]
fn a_copy_beside_another_version_takes_what_is_equal_from_it() {
    let old = content(1, 10 * MIB);
    let mut new = old.clone();
    new[3 * MIB] ^= 1;
    let (source, target) = (holding(&new), holding(&old));
    let serving = serve(source.path());
    let fetched = fetch(settings(&serving.url("/"), target.path()));
    assert_eq!(fetched.finished, [("x".into(), Verified::Blake3)]);
    assert!(
        fetched.received < (MIB + 4096) as u64,
        "{} bytes",
        fetched.received
    );
    assert_holds(target.path(), &old, &["x", "x (1)"]);
    assert!(fs::read(target.path().join("x (1)")).unwrap() == new);
}

#[test]
fn without_values_a_file_is_fetched_whole_and_then_replaced() {
    let (old, new) = (content(1, 5 * MIB), content(2, 5 * MIB + 9));
    let body = new.clone();
    let server = scripted(move |request| match &*request.target {
        "/" => ok("text/html", b"<a href=\"x\">x</a>"),
        "/x" => file(request, &body, ""),
        _ => not_found(),
    });
    let target = holding(&old);
    let to = target.path().to_str().unwrap();
    let line = [
        "connect",
        &server.url("/"),
        "--all",
        "-d",
        to,
        "--on-conflict",
        "update",
    ];
    let (code, stdout, stderr) = Haul::new(&line).run();
    assert_eq!(code, 0, "{stderr}");
    assert!(
        stderr.contains("tells no values of its pieces: all of it is fetched"),
        "{stderr}"
    );
    assert!(
        stdout.contains("1 unverified") && !stdout.contains("kept"),
        "{stdout}"
    );
    assert_holds(target.path(), &new, &["x"]);
}

#[test]
fn reports_say_what_was_kept_and_what_was_fetched() {
    let old = content(1, 10 * MIB);
    let mut new = old.clone();
    new[7 * MIB] ^= 1;
    let source = holding(&new);
    let serving = serve(source.path());
    let run = |json: &[&str]| {
        let target = holding(&old);
        let to = target.path().to_str().unwrap();
        let url = serving.url("/");
        let line = update_line(&url, to);
        let ran = Haul::new(&[&line[..], json].concat()).run();
        assert_holds(target.path(), &new, &["x"]);
        ran
    };
    let (code, stdout, stderr) = run(&[]);
    assert_eq!(code, 0, "{stderr}");
    let said = "9.98 MiB kept, 16.0 KiB fetched";
    assert!(
        stdout.contains(said) && stderr.contains(said),
        "{stdout}{stderr}"
    );
    let (_, stdout, _) = run(&["--json", "--headless"]);
    assert_eq!(stdout.matches("\"kept\":10469376").count(), 2, "{stdout}");
    let started = stdout.matches("\"event\":\"started\"").count();
    assert_eq!(started, 1, "a comparison fetches nothing: {stdout}");
    let backup = ["connect", "h", "--all", "--headless", "--backup"];
    let told = Haul::new(&backup).fails(2);
    assert!(told.contains("--backup keeps what is replaced"), "{told}");
}

#[test]
fn on_a_full_disk_the_old_one_stays_and_the_same_command_goes_on() {
    let Some(disk) = SmallDisk::new(40) else {
        return;
    };
    let old = content(1, 16 * MIB);
    let mut new = old.clone();
    new[3 * MIB] ^= 1;
    let source = holding(&new);
    let serving = serve(source.path());
    let target = disk.0.path().join("in");
    fs::create_dir(&target).unwrap();
    fs::write(target.join("x"), &old).unwrap();
    let ballast = disk.0.path().join("ballast");
    fs::write(&ballast, vec![1; 16 * MIB]).unwrap();
    let to = target.to_str().unwrap();
    let url = serving.url("/");
    let line = update_line(&url, to);
    let (code, _, stderr) = Haul::new(&line).run();
    assert_eq!(code, 7, "{stderr}");
    assert!(stderr.contains("no space left"), "{stderr}");
    assert!(fs::read(target.join("x")).unwrap() == old);
    fs::remove_file(ballast).unwrap();
    let (code, stdout, stderr) = Haul::new(&line).run();
    assert_eq!(code, 0, "{stderr}");
    assert!(
        stdout.contains("16.0 MiB kept, 16.0 KiB fetched"),
        "{stdout}"
    );
    assert_holds(&target, &new, &["x"]);
}

#[test]
fn several_names_of_the_old_one_are_no_obstacle_and_keep_its_content() {
    let old = content(1, 5 * MIB);
    let mut new = old.clone();
    new[3 * MIB] ^= 1;
    let (source, target) = (holding(&new), holding(&old));
    let other = target.path().join("y");
    fs::hard_link(target.path().join("x"), &other).unwrap();
    let serving = serve(source.path());
    let fetched = fetch(updating(&serving.url("/"), target.path()));
    assert!(
        fetched.received < (MIB + 4096) as u64,
        "{} bytes",
        fetched.received
    );
    assert_holds(target.path(), &new, &["x", "y"]);
    assert!(fs::read(other).unwrap() == old);
}

/// A run that is killed with signal 9, whatever becomes of the test.
struct Run(Child);

impl Drop for Run {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_kill_in_the_middle_loses_neither_the_old_nor_the_new() {
    const SIZE: usize = 48 * MIB;
    let old = content(1, SIZE);
    let mut new = old.clone();
    // A third is another, and in a third there is a byte.
    for (piece, bytes) in new.chunks_mut(MIB).enumerate() {
        match piece % 3 {
            0 => bytes.copy_from_slice(&content(2 + piece as u64, MIB)),
            1 => bytes[5] ^= 1,
            _ => {}
        }
    }
    let (source, target) = (holding(&new), holding(&old));
    let serving = serve(source.path());
    let proxy = proxy(serving.address);
    // Slow enough to be killed on its way.
    proxy.lines(|_| Line {
        rate: Some(2 << 20),
        ..Line::default()
    });
    let to = target.path().to_str().unwrap();
    let url = proxy.url("/");
    let line = [&update_line(&url, to)[..], &["--headless", "-w", "3"]].concat();
    let Haul { mut command, state } = Haul::new(&line);
    let mut random = fastrand::Rng::with_seed(18);
    let mut moments: Vec<u64> = (0..6).map(|_| random.u64(..14 * MIB as u64)).collect();
    moments.sort_unstable();
    for at in moments {
        let run = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let mut run = Run(run.unwrap());
        let began = std::time::Instant::now();
        // Some are killed while the old file is copied, some while pieces come, and some find all done.
        while proxy.file_bytes() < at && run.0.try_wait().unwrap().is_none() {
            assert!(began.elapsed() < PATIENCE * 3, "it does not go on");
            std::thread::sleep(Duration::from_millis(1));
        }
        drop(run);
        let there = fs::read(target.path().join("x")).unwrap();
        assert!(there == old || there == new, "{} bytes", there.len());
    }
    proxy.lines(|_| Line::default());
    let output = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .output()
        .unwrap();
    drop(state);
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{stderr}");
    assert_holds(target.path(), &new, &["x"]);
    // 16 pieces are others; each kill costs what was on its way.
    let most = (16 + 6 * 3 * 4) * MIB as u64;
    assert!(proxy.file_bytes() < most, "{} bytes", proxy.file_bytes());
}
