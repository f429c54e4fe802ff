//! Answers without sockets: a request in, a head, a body and what follows it out.

use std::{fs, net::Ipv4Addr, path::Path, time::Duration};

use super::{chunks::Chunk, link::Link, *};
use crate::{
    http1::{fields, request::RequestHead},
    server::{
        Server, Settings,
        people::{
            clients::{Attached, Identity},
            peers::Who,
        },
        work::Kind,
    },
};

struct Stage {
    server: Server,
    attached: Attached,
    logged_in: bool,
    is_local: bool,
}

impl Stage {
    fn new(root: &Path) -> Self {
        let server = Server::new(Settings::new(root.to_owned())).unwrap();
        let attached = server.0.registry.attach(&Identity {
            address: Ipv4Addr::LOCALHOST.into(),
            login: None,
            session: None,
            name: None,
            agent: None,
        });
        Self {
            server,
            attached,
            logged_in: false,
            is_local: false,
        }
    }

    /// The answer to a request, and what was written for it.
    async fn ask(&self, line: &str, fields: &str) -> (Answer, String) {
        let text = format!("{line} HTTP/1.1\r\nHost: haul:1\r\n{fields}\r\n");
        let head = RequestHead::parse(text.as_bytes()).unwrap();
        let shared = &self.server.0;
        let request = Request {
            shared,
            link: Link::default(),
            catalog: &shared.catalog(),
            client: self.attached.client(),
            who: &self.attached.peer().who,
            logged_in: self.logged_in,
            head: &head,
            scheme: "http",
            port: 1,
            is_local: self.is_local,
            first: false,
            keep: true,
        };
        let mut output = Output::default();
        let answer = request.answer(&mut output).await;
        (answer, String::from_utf8(output.bytes).unwrap())
    }

    async fn status(&self, line: &str, fields: &str) -> u16 {
        let (_, text) = self.ask(line, fields).await;
        text.split(' ').nth(1).unwrap().parse().unwrap()
    }
}

fn field<'t>(text: &'t str, name: &str) -> Option<&'t str> {
    let mut lines = text.lines();
    lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}

async fn rest(answer: Answer) -> Result<Vec<u8>, Stop> {
    let Body::Stream(mut bytes, mut chunks, _) = answer.body else {
        panic!("it is not made while it is sent");
    };
    loop {
        match chunks.next(Link::default(), &mut Vec::new()).await? {
            Chunk::Bytes(more) => bytes.extend(more),
            Chunk::File(_, found) => bytes.extend(vec![0; found.stamp.size as usize]),
            Chunk::End => return Ok(bytes),
        }
    }
}

#[tokio::test]
async fn only_clients_of_this_machine_are_told_which_directory_it_is() {
    let root = tempfile::tempdir().unwrap();
    fs::write(root.path().join("f"), "x").unwrap();
    let mut stage = Stage::new(root.path());
    for is_local in [false, true] {
        stage.is_local = is_local;
        for line in ["GET /", "GET /f", "HEAD /f"] {
            let (_, text) = stage.ask(line, "Haul-Session: s\r\n").await;
            let told = field(&text, fields::DIR).is_some();
            let is_known = stage.server.0.catalog().id().is_some();
            assert_eq!(told, is_local && is_known, "{line}: {text}");
        }
    }
}

#[tokio::test]
async fn what_is_decided_follows_from_the_request() {
    let root = tempfile::tempdir().unwrap();
    fs::write(root.path().join("f"), [7; 100]).unwrap();
    fs::write(root.path().join("large"), vec![7; 3 << 20]).unwrap();
    fs::create_dir(root.path().join("d")).unwrap();
    let stage = Stage::new(root.path());
    for (line, fields, status) in [
        ("GET /f", "", 200),
        ("HEAD /f", "", 200),
        ("GET /f", "Range: bytes=10-19\r\n", 206),
        ("GET /large", "Range: bytes=0-0,5-6\r\n", 206),
        ("GET /f", "Range: bytes=100-\r\n", 416),
        ("GET /f", "If-Match: \"x\"\r\n", 412),
        ("GET /f", "If-None-Match: *\r\n", 304),
        ("GET /f?pieces", "", 200),
        ("GET /large?blocks=0-2", "", 200),
        ("HEAD /large?blocks=0-2", "", 200),
        ("GET /large?blocks=0-3", "", 400),
        ("GET /large?blocks", "", 200),
        ("GET /large?blocks=0-2", "If-Match: \"x\"\r\n", 412),
        ("GET /f?blocks=0-0", "", 400),
        ("GET /f?meta4", "", 200),
        ("GET /f/", "", 404),
        ("GET /d", "", 301),
        ("GET /d/", "", 200),
        ("GET /?tar", "", 200),
        ("GET /?meta4=hash", "", 403),
        ("GET /none", "", 404),
        ("POST /f", "", 405),
        ("BREW /f", "", 501),
        ("OPTIONS /f", "", 204),
    ] {
        assert_eq!(stage.status(line, fields).await, status, "{line} {fields}");
    }
    let (answer, text) = stage.ask("GET /large", "").await;
    assert!(text.ends_with("\r\n\r\n") && answer.keep);
    assert!(matches!(answer.body, Body::File(_, range, _) if range == (0..3 << 20)));
    let (answer, text) = stage.ask("GET /large", "Range: bytes=5-9\r\n").await;
    assert_eq!(field(&text, "Content-Range"), Some("bytes 5-9/3145728"));
    assert!(matches!(answer.body, Body::File(_, range, _) if range == (5..10)));
    let (answer, text) = stage.ask("GET /f", "").await;
    assert!(text.ends_with(&"\u{7}".repeat(100)) && matches!(answer.body, Body::Written));
}

#[tokio::test]
async fn what_is_made_while_it_is_sent_has_the_length_that_was_told() {
    let root = tempfile::tempdir().unwrap();
    for size in [0, 5, 1 << 20, 5_000_000] {
        fs::write(root.path().join("f"), vec![3; size]).unwrap();
        let stage = Stage::new(root.path());
        for query in ["pieces", "meta4"] {
            let (answer, text) = stage.ask(&format!("GET /f?{query}"), "").await;
            let told: usize = field(&text, "Content-Length").unwrap().parse().unwrap();
            assert_eq!(rest(answer).await.unwrap().len(), told, "{size} {query}");
        }
    }
    let stage = Stage::new(root.path());
    let (answer, text) = stage.ask("GET /?tar", "").await;
    assert_eq!(field(&text, "Transfer-Encoding"), Some("chunked"));
    let bytes = rest(answer).await.unwrap();
    assert!(bytes.starts_with(b"f\0") && bytes.len().is_multiple_of(512));
}

#[tokio::test]
async fn values_of_blocks_merge_to_those_of_pieces() {
    let root = tempfile::tempdir().unwrap();
    // More than what is hashed in one turn, and a short end.
    let mut content = vec![0; (9 << 20) + 20_000];
    blake3::Hasher::new().finalize_xof().fill(&mut content);
    fs::write(root.path().join("f"), &content).unwrap();
    let stage = Stage::new(root.path());
    let (answer, _) = stage.ask("GET /f?pieces", "").await;
    let pieces = rest(answer).await.unwrap();
    let (values, _) = pieces[crate::pieces::PREAMBLE_LEN..].as_chunks::<32>();
    for (first, last) in [(0, 9), (0, 0), (3, 8), (9, 9)] {
        let (answer, text) = stage
            .ask(&format!("GET /f?blocks={first}-{last}"), "")
            .await;
        let told: usize = field(&text, "Content-Length").unwrap().parse().unwrap();
        let rest = rest(answer).await.unwrap();
        assert_eq!(rest.len(), told, "{first}-{last}");
        let (blocks, _) = rest.as_chunks::<32>();
        for (piece, blocks) in (first..=last).zip(blocks.chunks(64)) {
            assert_eq!(
                crate::pieces::blocks::piece_value(blocks),
                values[piece],
                "{piece}"
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn who_gets_no_turn_is_told_to_come_back_before_anything_is_promised() {
    let root = tempfile::tempdir().unwrap();
    fs::write(root.path().join("large"), vec![7; 3 << 20]).unwrap();
    let stage = Stage {
        logged_in: true,
        ..Stage::new(root.path())
    };
    let work = &stage.server.0.work;
    let mut turns = Vec::new();
    for (kind, count) in [
        (Kind::Listing, 8),
        (Kind::Tree, 8),
        (Kind::Pieces, 2),
        (Kind::Blocks, 1),
        (Kind::Sha256, 1),
    ] {
        for n in 0..count {
            let other = Who::Login(format!("other {n}").into());
            let place = work.enter(kind, None, &other).unwrap();
            turns.push((place.turn().await.unwrap(), place));
        }
    }
    let targets = [
        "/",
        "/?tar",
        "/?meta4",
        "/?meta4=hash",
        "/large?pieces",
        "/large?blocks=0-2",
        "/large?meta4",
    ];
    for target in targets {
        let (answer, text) = stage.ask(&format!("GET {target}"), "").await;
        assert!(text.starts_with("HTTP/1.1 503 "), "{target}: {text}");
        assert_eq!(field(&text, "Retry-After"), Some("10"), "{target}");
        assert!(answer.keep && matches!(answer.body, Body::Written));
    }
    drop(turns);
    for target in targets {
        assert_eq!(
            stage.status(&format!("GET {target}"), "").await,
            200,
            "{target}"
        );
    }
}

#[tokio::test]
async fn who_has_every_place_of_its_own_is_told_so_and_others_are_served() {
    let root = tempfile::tempdir().unwrap();
    fs::write(root.path().join("large"), vec![7; 3 << 20]).unwrap();
    let stage = Stage::new(root.path());
    let work = &stage.server.0.work;
    let ours = &stage.attached.peer().who;
    let all =
        |kind| -> Vec<_> { std::iter::from_fn(|| work.enter(kind, None, ours).ok()).collect() };
    let taken = [
        Kind::Listing,
        Kind::Tree,
        Kind::Sha256,
        Kind::Pieces,
        Kind::Blocks,
    ]
    .map(all);
    for target in [
        "/",
        "/?tar",
        "/large?meta4",
        "/large?pieces",
        "/large?blocks=1-1",
    ] {
        let (_, text) = stage.ask(&format!("GET {target}"), "").await;
        assert!(text.starts_with("HTTP/1.1 429 "), "{target}: {text}");
        assert!(field(&text, "Retry-After").is_some());
    }
    assert_eq!(stage.status("GET /large", "").await, 200);
    let other = Who::Login("other".into());
    assert!(work.enter(Kind::Listing, None, &other).is_ok());
    drop(taken);
}

#[tokio::test]
async fn what_fails_before_its_first_byte_has_a_status_and_later_it_never_looks_whole() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("large");
    fs::write(&path, vec![7; 3 << 20]).unwrap();
    let stage = Stage::new(root.path());
    // It shrinks between the opening and the hashing: no head says 200.
    let turn = {
        let place = stage
            .server
            .0
            .work
            .enter(Kind::Sha256, None, &Who::Login("x".into()));
        let place = place.unwrap();
        (place.turn().await.unwrap(), place)
    };
    let asked = stage.ask("GET /large?meta4", "");
    let shrunk = async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        fs::File::options()
            .write(true)
            .open(&path)
            .unwrap()
            .set_len(10)
            .unwrap();
        drop(turn);
    };
    let ((_, text), ()) = tokio::join!(asked, shrunk);
    assert!(text.starts_with("HTTP/1.1 500 "), "{text}");
    // A member of a tar that cannot be read is told by an end that is none.
    fs::write(root.path().join("f"), "x").unwrap();
    let (answer, _) = stage.ask("GET /?tar", "").await;
    fs::remove_file(root.path().join("f")).unwrap();
    assert!(rest(answer).await.is_ok(), "what vanished is no failure");
}
