//! Digests of pieces in a Metalink: what is wrong is fetched again and nothing else, whichever server sent it, and a file that is
//! damaged here is repaired. Its signature is kept.

use std::{
    fs,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use sha2::{Digest as _, Sha256};

use crate::{
    common::{
        program::Haul,
        scripted::{Scripted, file, not_found, scripted},
        trees::{content, hex},
    },
    foreign::temp,
};

const MIB: usize = 1 << 20;
const SIZE: usize = 8 * MIB + 321;
/// The byte that is spoiled.
const AT: usize = 5 * MIB + 7;

/// A server of `/x` that tells nothing but its size.
struct Plain {
    server: Scripted,
    /// Bytes that were sent of it.
    sent: Arc<AtomicUsize>,
    /// How often the spoiled byte was sent.
    spoils: Arc<AtomicUsize>,
}

impl Plain {
    /// Spoils the byte at [`AT`] the first `spoiled` times that it sends it.
    fn new(body: &[u8], spoiled: usize) -> Self {
        let body = body.to_vec();
        let (sent, spoils) = (Arc::default(), Arc::default());
        let counts: (Arc<AtomicUsize>, Arc<AtomicUsize>) = (Arc::clone(&sent), Arc::clone(&spoils));
        let server = scripted(move |request| {
            if request.target != "/x" {
                return not_found();
            }
            let mut body = body.clone();
            if request.method != "HEAD" {
                let (first, last) = request.range(body.len()).unwrap_or((0, body.len() - 1));
                counts.0.fetch_add(last + 1 - first, Ordering::SeqCst);
                if (first..=last).contains(&AT) && counts.1.fetch_add(1, Ordering::SeqCst) < spoiled
                {
                    body[AT] ^= 1;
                }
            }
            file(request, &body, "\nAccept-Ranges: bytes")
        });
        Self {
            server,
            sent,
            spoils,
        }
    }

    fn url(&self) -> String {
        self.server.url("/x")
    }

    fn sent(&self) -> usize {
        self.sent.swap(0, Ordering::SeqCst)
    }
}

fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// A Metalink of `x`, with digests of pieces of `length` bytes and what else is in `more`.
fn metalink(dir: &Path, body: &[u8], length: usize, more: &str, urls: &[String]) -> String {
    let hash = |piece| format!("<hash>{}</hash>", sha256(piece));
    let hashes = body.chunks(length).map(hash).collect::<Vec<_>>().concat();
    let url = |url: &String| format!("<url>{url}</url>");
    let urls = urls.iter().map(url).collect::<Vec<_>>().concat();
    let text = format!(
        "<metalink xmlns=\"urn:ietf:params:xml:ns:metalink\"><file name=\"x\"><size>{}</size>{more}\
         <pieces type=\"sha-256\" length=\"{length}\">{hashes}</pieces>{urls}</file></metalink>",
        body.len(),
    );
    let path = dir.join("x.meta4");
    fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

fn whole(body: &[u8]) -> String {
    format!("<hash type=\"sha-256\">{}</hash>", sha256(body))
}

fn connect(metalink: &str, target: &Path, more: &[&str]) -> Haul {
    let to = target.to_str().unwrap();
    let one = if more.contains(&"-w") {
        &[][..]
    } else {
        &["-w", "1"]
    };
    let usual = ["connect", metalink, "-d", to, "--headless"];
    Haul::new(&[&usual[..], one, more].concat())
}

fn names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).unwrap();
    let mut names: Vec<_> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn only_the_piece_that_is_wrong_is_fetched_again() {
    let body = content(4, SIZE);
    // Shorter than pieces of ours, as long, longer, and no divisor of anything: one may reach into one or two of them.
    for (length, pieces, more) in [
        (MIB / 4, 1, whole(&body)),
        (MIB, 1, String::new()),
        (2 * MIB, 2, whole(&body)),
        (700_000, 2, String::new()),
    ] {
        let (dir, target) = (temp(), temp());
        let plain = Plain::new(&body, 1);
        let metalink = metalink(dir.path(), &body, length, &more, &[plain.url()]);
        let (code, stdout, stderr) = connect(&metalink, target.path(), &["--json"]).run();
        assert_eq!(code, 0, "{length}: {stderr}");
        let word = if more.is_empty() {
            "Metalink"
        } else {
            "digest"
        };
        assert!(
            stdout.contains(&format!("\"verified\":\"{word}\"")),
            "{stdout}"
        );
        assert!(fs::read(target.path().join("x")).unwrap() == body);
        let extra = plain.sent() - SIZE;
        assert!(
            (1..=pieces * MIB).contains(&extra),
            "{length}: {extra} more"
        );
    }
}

#[test]
fn a_wrong_piece_is_fetched_from_another_mirror() {
    let body = content(5, SIZE);
    // A piece of the Metalink's that both had a part in may be asked of the wrong one twice.
    for (length, most) in [(MIB, 1), (4 * MIB, 2)] {
        let (dir, target) = (temp(), temp());
        let (bad, good) = (Plain::new(&body, usize::MAX), Plain::new(&body, 0));
        let urls = [bad.url(), good.url()];
        let metalink = metalink(dir.path(), &body, length, &whole(&body), &urls);
        let (code, _, stderr) = connect(&metalink, target.path(), &["-w", "4"]).run();
        assert_eq!(code, 0, "{stderr}");
        assert!(fs::read(target.path().join("x")).unwrap() == body);
        let spoils = bad.spoils.load(Ordering::SeqCst);
        assert!(spoils <= most, "{length}: it was asked {spoils} times");
    }
}

#[test]
fn a_piece_that_stays_wrong_is_damage_and_the_others_are_kept() {
    let body = content(6, SIZE);
    let (dir, target, state) = (temp(), temp(), temp());
    let bad = Plain::new(&body, usize::MAX);
    let urls = [bad.url()];
    let metalink_of = |urls: &[String]| metalink(dir.path(), &body, MIB, "", urls);
    let run = |metalink: &str| {
        let mut run = connect(metalink, target.path(), &["-r", "2"]);
        run.command.env("XDG_STATE_HOME", state.path());
        run.run()
    };
    let (code, _, stderr) = run(&metalink_of(&urls));
    assert_eq!(code, 6, "{stderr}");
    assert!(stderr.contains("x:"), "{stderr}");
    assert_eq!(names(target.path()), ["x.part"]);
    assert_eq!(bad.sent(), SIZE + 2 * MIB);
    drop(bad);
    // The digests tell what is right in it, whatever server and run it came from.
    let good = Plain::new(&body, 0);
    let (code, _, stderr) = run(&metalink_of(&[urls[0].clone(), good.url()]));
    assert_eq!(code, 0, "{stderr}");
    assert!(fs::read(target.path().join("x")).unwrap() == body);
    assert_eq!(good.sent(), MIB);
}

#[test]
fn a_damaged_file_is_repaired_by_them() {
    let body = content(7, SIZE);
    let mut damaged = body.clone();
    damaged[AT] ^= 1;
    for more in [whole(&body), String::new()] {
        let dir = temp();
        let plain = Plain::new(&body, 0);
        let metalink = metalink(dir.path(), &body, MIB / 2, &more, &[plain.url()]);
        for (here, rule, expected, sent) in [
            (&damaged, "update", &["x"][..], MIB),
            // What is here stays where nobody asks for another; the good pieces of it spare the wire as well.
            (&damaged, "verify", &["x", "x (1)"], MIB),
            (&body, "verify", &["x"], 0),
        ] {
            let target = temp();
            fs::write(target.path().join("x"), here).unwrap();
            let (code, stdout, stderr) =
                connect(&metalink, target.path(), &["--on-conflict", rule]).run();
            assert_eq!(code, 0, "{stderr}");
            assert_eq!(names(target.path()), expected, "{rule}");
            assert_eq!(plain.sent(), sent, "{rule}: {stdout}");
            let last = target.path().join(expected.last().unwrap());
            assert!(fs::read(last).unwrap() == body, "{rule}");
            assert_eq!(stdout.contains("7.00 MiB kept"), sent > 0, "{stdout}");
        }
    }
}

#[test]
fn a_small_file_is_held_against_them_in_memory() {
    let body = content(8, 70_000);
    let mut wrong = body.clone();
    wrong[69_999] ^= 1;
    for (served, status) in [(&body, 0), (&wrong, 6)] {
        let (dir, target) = (temp(), temp());
        let sent = served.clone();
        let server = scripted(move |request| file(request, &sent, ""));
        let metalink = metalink(dir.path(), &body, 16_384, "", &[server.url("/x")]);
        let (code, stdout, stderr) =
            connect(&metalink, target.path(), &["--json", "-r", "0"]).run();
        assert_eq!(code, status, "{stderr}");
        let said = stdout.contains("\"verified\":\"Metalink\"");
        assert_eq!(
            (said, target.path().join("x").exists()),
            (status == 0, status == 0)
        );
    }
}

#[test]
fn a_signature_is_kept_beside_its_file_and_named() {
    const TEXT: &str = "-----BEGIN PGP SIGNATURE-----\n\niQ==\n-----END PGP SIGNATURE-----";
    let signature =
        format!("<signature mediatype=\"application/pgp-signature\">{TEXT}</signature>");
    for size in [1000, 3 * MIB] {
        let body = content(9, size);
        let (dir, target) = (temp(), temp());
        let sent = body.clone();
        let server = scripted(move |request| file(request, &sent, "\nAccept-Ranges: bytes"));
        let more = whole(&body) + &signature;
        let metalink = metalink(dir.path(), &body, MIB, &more, &[server.url("/x")]);
        // A second time it is there, and is no other file.
        for more in [&[][..], &["--json"]] {
            let (code, stdout, stderr) = connect(&metalink, target.path(), more).run();
            assert_eq!(code, 0, "{stderr}");
            assert_eq!(names(target.path()), ["x", "x.asc"]);
            assert_eq!(
                fs::read_to_string(target.path().join("x.asc")).unwrap(),
                format!("{TEXT}\n")
            );
            let said = if more.is_empty() {
                let shown = target.path().join("x.asc").display().to_string();
                format!("signature: {shown} (check it with gpg --verify {shown})\n")
            } else {
                "\"event\":\"signature\",\"path\":\"x.asc\"".to_owned()
            };
            assert!(stdout.contains(&said), "{stdout}");
        }
    }
}

/// What comes of a file of `body` that a Metalink tells `more` of.
fn told(body: &[u8], size: usize, more: &str) -> (i32, String, String) {
    let (dir, target) = (temp(), temp());
    let sent = body.to_vec();
    let server = scripted(move |request| file(request, &sent, "\nAccept-Ranges: bytes"));
    let text = format!(
        "<metalink xmlns=\"urn:ietf:params:xml:ns:metalink\"><file name=\"x\"><size>{size}</size>{more}\
         <url>{}</url></file></metalink>",
        server.url("/x")
    );
    let path = dir.path().join("x.meta4");
    fs::write(&path, text).unwrap();
    let told = connect(
        path.to_str().unwrap(),
        target.path(),
        &["--json", "-r", "0"],
    )
    .run();
    assert_eq!(target.path().join("x").exists(), told.0 == 0);
    told
}

#[test]
fn a_weak_digest_counts_where_nothing_else_proves_the_file() {
    for size in [70_000, 3 * MIB] {
        let body = content(10, size);
        let md5 = |bytes: &[u8]| {
            let digest = hex(&md5::Md5::digest(bytes));
            format!("<hash type=\"md5\">{digest}</hash>")
        };
        let pieces = |bytes: &[u8]| {
            let hash = |piece| format!("<hash>{}</hash>", sha256(piece));
            let hashes: String = bytes.chunks(MIB).map(hash).collect();
            format!("<pieces type=\"sha-256\" length=\"{MIB}\">{hashes}</pieces>")
        };
        let other = content(11, size);
        for (more, status, word) in [
            (md5(&body), 0, "Metalink, weak"),
            (md5(&other), 6, ""),
            (md5(&body) + &whole(&body), 0, "digest"),
            (md5(&body) + &whole(&other), 6, ""),
            (md5(&body) + &pieces(&body), 0, "Metalink"),
            (md5(&body) + &pieces(&other), 6, ""),
        ] {
            let (code, stdout, stderr) = told(&body, size, &more);
            assert_eq!(code, status, "{more}: {stderr}");
            let said = stdout.contains(&format!("\"verified\":\"{word}\""));
            assert_eq!(said, status == 0, "{more}: {stdout}");
        }
    }
}

#[test]
fn another_size_than_the_metalinks_is_damage() {
    for (size, named) in [(10, 11), (0, 1), (3 * MIB, 3 * MIB - 1), (3 * MIB, 10)] {
        let (code, _, stderr) = told(&content(12, size), named, "");
        assert_eq!(code, 6, "{size}: {stderr}");
        assert!(stderr.contains("the Metalink says"), "{stderr}");
    }
}

#[test]
fn digits_that_are_no_digest_are_named() {
    let body = content(13, 100);
    let more = format!("<hash type=\"sha-256\">{}0</hash>", sha256(&body));
    let (code, _, stderr) = told(&body, 100, &more);
    assert_eq!(code, 0, "{stderr}");
    assert!(stderr.contains("65 digits are no sha-256"), "{stderr}");
}
