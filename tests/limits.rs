//! What whoever runs the server may do to its clients, and the limits that it keeps by itself, over real sockets.

use std::{
    fs,
    net::SocketAddr,
    time::{Duration, Instant},
};

use crate::common::{
    fetching::{fetch_with, settings as fetching},
    raw::{Answer, Raw, fetch, get},
    serving::{PATIENCE, Serving, serve, serve_with, settings},
};
use haul::{
    client,
    server::{ClientId, ClientView, MinRate, Settings, Snapshot, TransferState},
    units::Rate,
};

const MIB: u64 = 1 << 20;

/// Larger than whatever sockets hold back.
const BIG: u64 = 256 * MIB;

/// A root with a large file without content and a small one.
fn tree() -> tempfile::TempDir {
    let temp = tempfile::tempdir().unwrap();
    let big = fs::File::create(temp.path().join("big")).unwrap();
    big.set_len(BIG).unwrap();
    fs::write(temp.path().join("small"), "small").unwrap();
    temp
}

fn served(change: impl FnOnce(&mut Settings)) -> (tempfile::TempDir, Serving) {
    let temp = tree();
    let mut settings = settings(temp.path());
    change(&mut settings);
    let serving = serve_with(settings);
    (temp, serving)
}

/// A request of the session `name`.
fn ask(target: &str, name: &str) -> String {
    get(
        target,
        &format!("Haul-Session: {name}\r\nUser-Agent: {name}\r\n"),
    )
}

/// A connection of the session `name` that has the first bytes of the large file.
fn begin(address: SocketAddr, name: &str) -> Raw {
    let mut raw = Raw::connect(address);
    raw.send(ask("/big", name));
    assert_eq!(raw.read_head().status, 200);
    raw.take(1000);
    raw
}

fn view<'s>(snapshot: &'s Snapshot, name: &str) -> &'s ClientView {
    let mut clients = snapshot.clients.iter();
    clients
        .find(|client| client.agent.as_deref() == Some(name))
        .unwrap_or_else(|| panic!("no {name}: {snapshot:#?}"))
}

fn id(serving: &Serving, name: &str) -> ClientId {
    view(&serving.server.snapshot(), name).id
}

fn assert_denied(answer: &Answer, why: &str) {
    assert_eq!(answer.status, 403);
    assert!(answer.text().contains(why), "{}", answer.text());
}

/// Reads on until nothing came for a moment, which a running transfer never shows.
fn settle(serving: &Serving) -> u64 {
    let mut sent = serving.server.snapshot().sent;
    let mut since = Instant::now();
    while since.elapsed() < Duration::from_millis(200) {
        let now = serving.server.snapshot().sent;
        if now != sent {
            (sent, since) = (now, Instant::now());
        }
        std::thread::yield_now();
    }
    sent
}

#[test]
fn a_paused_client_is_held_and_goes_on_where_it_was() {
    let (_temp, serving) = served(|_| {});
    let mut held = begin(serving.address, "held");
    let client = id(&serving, "held");
    serving.server.pause(client);
    let reader = std::thread::spawn(move || held.take((BIG - 1000) as usize).len());
    let sent = settle(&serving);
    assert!(sent < BIG, "all was sent");
    let snapshot = serving.server.snapshot();
    assert!(view(&snapshot, "held").paused);
    let row = &view(&snapshot, "held").transfers[0];
    assert_eq!(
        (row.state.clone(), row.connections),
        (TransferState::Active, 1)
    );
    // What it asks for now has to wait as well, and others do not.
    let answer = fetch(serving.address, ask("/small", "held"));
    assert_eq!(
        (
            answer.status,
            answer.field("Haul-Paused"),
            answer.field("Retry-After")
        ),
        (503, Some("1"), Some("2"))
    );
    assert_eq!(fetch(serving.address, ask("/small", "other")).status, 200);
    assert!(!reader.is_finished());
    serving.server.resume(client);
    assert_eq!(reader.join().unwrap() as u64, BIG - 1000);
    let answer = fetch(serving.address, ask("/small", "held"));
    assert_eq!((answer.status, answer.text()), (200, "small"));
    assert!(!view(&serving.server.snapshot(), "held").paused);
}

#[test]
fn a_paused_client_that_goes_away_is_let_go() {
    let (_temp, serving) = served(|_| {});
    let gone = begin(serving.address, "gone");
    serving.server.pause(id(&serving, "gone"));
    settle(&serving);
    drop(gone);
    serving.wait_for("its connection ends", |now| now.connections == 0);
}

#[test]
fn a_paused_client_that_goes_away_behind_the_last_byte_is_let_go() {
    let (_temp, serving) = served(|_| {});
    let mut gone = begin(serving.address, "gone");
    serving.server.pause(id(&serving, "gone"));
    let mut read = 1000;
    while let sent = settle(&serving)
        && read < sent
    {
        read += gone.count(sent - read);
    }
    // Nothing is unread: what closes is not reset.
    drop(gone);
    serving.wait_for("its connection ends", |now| now.connections == 0);
}

#[test]
fn who_closes_its_sending_side_gets_its_answer_however_slowly() {
    let (temp, serving) = served(|settings| settings.limit_client = Some(Rate(4 * MIB)));
    fs::write(temp.path().join("some"), vec![7; 3 * MIB as usize]).unwrap();
    let mut stream = std::net::TcpStream::connect(serving.address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let request = get("/some", "Connection: close\r\n");
    std::io::Write::write_all(&mut stream, request.as_bytes()).unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    let mut answer = Vec::new();
    std::io::Read::read_to_end(&mut stream, &mut answer).unwrap();
    assert!(answer.ends_with(&[7; 3 * MIB as usize]));
}

#[test]
fn a_kicked_client_is_refused_for_a_while_and_others_are_not() {
    let (_temp, serving) = served(|_| {});
    let mut greedy = begin(serving.address, "greedy");
    let mut other = begin(serving.address, "other");
    let client = id(&serving, "greedy");
    serving.server.kick(client, "too <greedy>");
    assert!((greedy.rest().len() as u64) < BIG - 1000);
    let snapshot = serving.wait_for("the row says so", |now| {
        view(now, "greedy").connections == 0
    });
    let view = view(&snapshot, "greedy");
    assert_eq!(view.refused.as_ref().unwrap().0, "kicked: too <greedy>");
    assert!(
        matches!(&view.transfers[0].state, TransferState::Aborted(_, why) if why == "kicked: too <greedy>"),
        "{view:?}"
    );
    let denied = fetch(serving.address, ask("/small", "greedy"));
    assert_denied(&denied, "kicked: too <greedy>");
    assert_eq!(denied.field("retry-after"), Some("60"));
    let page = fetch(
        serving.address,
        get("/small", "Haul-Session: greedy\r\nAccept: text/html\r\n"),
    );
    assert_denied(&page, "too &#60;greedy&#62;");
    assert_eq!(fetch(serving.address, ask("/small", "new")).status, 200);
    assert_eq!(other.take((BIG - 1000) as usize).len() as u64, BIG - 1000);
}

#[test]
fn a_ban_is_for_the_address_until_it_is_lifted() {
    let (_temp, serving) = served(|_| {});
    let mut raw = begin(serving.address, "mallory");
    let mut silent = Raw::connect(serving.address);
    serving.wait_for("both are there", |now| now.connections == 2);
    serving.server.ban(id(&serving, "mallory"), "no more");
    assert!((raw.rest().len() as u64) < BIG);
    assert_eq!(silent.rest(), b"");
    for name in ["mallory", "another"] {
        let answer = fetch(serving.address, ask("/small", name));
        assert_denied(&answer, "banned: no more");
        assert_eq!(answer.field("Connection"), Some("close"));
    }
    let banned = serving.server.snapshot().banned;
    assert_eq!(
        (banned[0].who.as_str(), banned[0].reason.as_str()),
        ("127.0.0.1", "no more")
    );
    assert!(!serving.server.unban("127.0.0.2") && serving.server.unban("127.0.0.1"));
    assert_eq!(fetch(serving.address, ask("/small", "mallory")).status, 200);
    assert_eq!(serving.server.snapshot().banned, []);
}

/// Takes `bytes` of the large file and returns the rate, in bytes a second. What was in the sockets' buffers is not
/// counted.
fn rate_of(raw: &mut Raw, bytes: u64) -> f64 {
    let start = Instant::now();
    raw.take(bytes as usize);
    bytes as f64 / start.elapsed().as_secs_f64()
}

/// What a limit may be exceeded by over a second or two: what an unused one saves up.
const SLACK: f64 = 1.25;

#[test]
fn a_limit_shapes_the_whole_transfer_over_all_clients() {
    let limit = 8.0 * MIB as f64;
    let (_temp, serving) = served(|settings| settings.limit = Some(Rate(8 * MIB)));
    assert_eq!(serving.server.snapshot().limit, Some(Rate(8 * MIB)));
    let address = serving.address;
    let start = Instant::now();
    let threads: Vec<_> = ["a", "a", "b"]
        .map(|name| {
            std::thread::spawn(move || {
                let mut raw = begin(address, name);
                raw.take(3 * MIB as usize);
            })
        })
        .into();
    // No second sees more than its share, not even the first.
    let mut samples = vec![(start, 0)];
    while threads.iter().any(|thread| !thread.is_finished()) {
        std::thread::sleep(Duration::from_millis(20));
        samples.push((Instant::now(), serving.server.snapshot().sent));
    }
    for thread in threads {
        thread.join().unwrap();
    }
    for (at, sent) in &samples {
        let earlier = |(then, _): &&(Instant, u64)| *at - *then >= Duration::from_millis(500);
        let Some((then, before)) = samples.iter().rfind(earlier) else {
            continue;
        };
        let rate = (sent - before) as f64 / (*at - *then).as_secs_f64();
        assert!(rate < limit * SLACK, "{rate}");
    }
    assert!(start.elapsed() > Duration::from_millis(900));
}

#[test]
fn a_limit_takes_effect_on_what_runs_and_is_lifted_again() {
    let (_temp, serving) = served(|_| {});
    let mut raw = begin(serving.address, "one");
    let client = id(&serving, "one");
    serving.server.limit_client(client, Some(Rate(2 * MIB)));
    assert_eq!(
        view(&serving.server.snapshot(), "one").limit,
        Some(Rate(2 * MIB))
    );
    let mut last = serving.server.snapshot().sent;
    let reader = std::thread::spawn(move || raw.take((BIG - 1000) as usize).len());
    // One chunk may have been on its way.
    last += MIB;
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(1) {
        std::thread::sleep(Duration::from_millis(50));
    }
    let sent = serving.server.snapshot().sent.saturating_sub(last);
    let most = 2.0 * MIB as f64 * start.elapsed().as_secs_f64() * SLACK;
    assert!((sent as f64) < most, "{sent} {most}");
    // At this rate the rest would take two minutes.
    serving.server.limit_client(client, None);
    assert_eq!(reader.join().unwrap() as u64, BIG - 1000);
    assert_eq!(view(&serving.server.snapshot(), "one").limit, None);
}

#[test]
fn each_client_has_the_usual_limit_until_it_is_given_its_own() {
    let usual = Some(Rate(4 * MIB));
    let (temp, serving) = served(|settings| settings.limit_client = usual);
    // Small files and pipelining are no way around it.
    fs::write(temp.path().join("10k"), [b'x'; 10_240]).unwrap();
    let mut raw = Raw::connect(serving.address);
    let start = Instant::now();
    raw.send(ask("/10k", "small").repeat(500));
    for _ in 0..500 {
        assert_eq!(raw.read().body.len(), 10_240);
    }
    let rate = 500.0 * 10_240.0 / start.elapsed().as_secs_f64();
    assert!(rate < 4.0 * MIB as f64 * SLACK, "{rate}");
    let client = id(&serving, "small");
    assert_eq!(view(&serving.server.snapshot(), "small").limit, usual);
    serving.server.limit_client(client, Some(Rate(MIB)));
    let mut raw = begin(serving.address, "small");
    assert!(rate_of(&mut raw, MIB) < MIB as f64 * SLACK);
    serving.server.limit_client(client, None);
    assert_eq!(view(&serving.server.snapshot(), "small").limit, usual);
}

#[test]
fn a_client_limits_itself() {
    let temp = tempfile::tempdir().unwrap();
    fs::create_dir(temp.path().join("root")).unwrap();
    for file in 0..4 {
        fs::write(
            temp.path().join(format!("root/{file}")),
            vec![b'x'; 3 << 20],
        )
        .unwrap();
    }
    let serving = serve(&temp.path().join("root"));
    let limit = Some(Rate(8 * MIB));
    let start = Instant::now();
    let mut fetching = fetch_with(client::Settings {
        limit,
        ..fetching(&serving.url("/"), &temp.path().join("got"))
    });
    assert_eq!(fetching.client.snapshot().limit, limit);
    fetching.get_everything();
    fetching.wait_for("half of it is here", |now| now.received > 6 * MIB);
    let rate = 6.0 * MIB as f64 / start.elapsed().as_secs_f64();
    assert!(rate < 8.0 * MIB as f64 * SLACK, "{rate}");
    fetching.client.limit(None);
    assert_eq!(fetching.client.snapshot().limit, None);
    assert_eq!(fetching.finish().finished.len(), 4);
}

#[test]
fn another_directory_is_served_from_now_on() {
    let (temp, serving) = served(|_| {});
    let other = tempfile::tempdir().unwrap();
    fs::write(other.path().join("big"), "not so big").unwrap();
    let mut running = begin(serving.address, "one");
    assert_eq!(serving.server.snapshot().root, temp.path());
    serving.server.share(other.path()).unwrap();
    assert_eq!(serving.server.snapshot().root, other.path());
    assert_eq!(
        fetch(serving.address, ask("/big", "two")).text(),
        "not so big"
    );
    assert_eq!(fetch(serving.address, ask("/small", "two")).status, 404);
    assert_eq!(running.take((BIG - 1000) as usize).len() as u64, BIG - 1000);
    running.send(ask("/small", "one"));
    assert_eq!(running.read().status, 404);
    let gone = temp.path().join("gone");
    let error = serving.server.share(&gone).unwrap_err();
    assert!(error.to_string().contains("gone"));
    assert_eq!(
        fetch(serving.address, ask("/big", "two")).text(),
        "not so big"
    );
}

#[test]
fn draining_finishes_what_runs() {
    let (_temp, mut serving) = served(|_| {});
    let mut running = begin(serving.address, "one");
    serving.server.drain();
    assert!(serving.server.snapshot().draining);
    assert_eq!(running.rest().len() as u64, BIG - 1000);
    serving.wait_for_end();
}

#[test]
fn draining_lets_a_file_end_that_is_taken_in_ranges() {
    let (_temp, mut serving) = served(|_| {});
    let mut ranges = Raw::connect(serving.address);
    let range = |first: u64, last: u64| {
        get(
            "/big",
            &format!("Haul-Session: one\r\nRange: bytes={first}-{last}\r\n"),
        )
    };
    ranges.send(range(0, BIG - 1001));
    assert_eq!(ranges.read_head().status, 206);
    let mut other = begin(serving.address, "other");
    serving.server.drain();
    ranges.take((BIG - 1000) as usize);
    ranges.send(range(BIG - 1000, BIG - 1));
    let answer = ranges.read();
    assert_eq!((answer.status, answer.body.len()), (206, 1000));
    // Another file would be something new.
    other.take((BIG - 1000) as usize);
    other.send(ask("/small", "other"));
    assert!(matches!(other.rest().as_slice(), [] | [b'H', ..]));
    assert_eq!(ranges.rest(), b"");
    serving.wait_for_end();
}

#[test]
fn a_reader_that_is_too_slow_is_dropped_unless_it_is_held_back_here() {
    let min = MinRate {
        rate: Rate(4 * MIB),
        over: Duration::from_millis(100),
    };
    let (_temp, serving) = served(|settings| settings.min_rate = Some(min));
    let _slow = begin(serving.address, "slow");
    let snapshot = serving.wait_for("the slow one is dropped", |now| {
        view(now, "slow").connections == 0
    });
    let state = &view(&snapshot, "slow").transfers[0].state;
    assert!(
        matches!(state, TransferState::Aborted(_, why) if why.contains("read less than 4.00 MiB/s")),
        "{state:?}"
    );
    // A quarter of the least rate, for much longer than it must be kept.
    let (_temp, serving) = served(|settings| {
        settings.min_rate = Some(min);
        settings.limit_client = Some(Rate(MIB));
    });
    let mut held = begin(serving.address, "held");
    held.take(MIB as usize);
    let snapshot = serving.server.snapshot();
    let state = &view(&snapshot, "held").transfers[0].state;
    assert_eq!(*state, TransferState::Active);
}

#[test]
fn clients_over_the_limit_are_told_to_come_back() {
    let (_temp, serving) = served(|settings| settings.max_clients = Some(1));
    let (here, there) = ([127, 0, 0, 1], [127, 0, 0, 2]);
    let mut first = Raw::connect_from(here, serving.address);
    first.send(ask("/small", "one"));
    assert_eq!(first.read().status, 200);
    // Another session from there is no other client.
    let mut second = Raw::connect_from(here, serving.address);
    second.send(ask("/small", "two"));
    assert_eq!(second.read().status, 200);
    let mut other = Raw::connect_from(there, serving.address);
    other.send(ask("/small", "three"));
    let answer = other.read();
    assert_eq!(
        (answer.status, answer.field("Retry-After")),
        (503, Some("5"))
    );
    assert!(answer.text().contains("too many clients"));
    drop((first, second));
    serving.wait_for("they have left", |now| now.connections == 0);
    let mut other = Raw::connect_from(there, serving.address);
    other.send(ask("/small", "three"));
    assert_eq!(other.read().status, 200);
}

#[test]
fn under_pressure_whoever_holds_most_loses_its_longest_idle_connection() {
    let (_temp, serving) = served(|settings| settings.max_connections = 8);
    let connect = |host: u8| {
        let mut raw = Raw::connect_from([127, 0, 0, host], serving.address);
        raw.send(ask("/small", &format!("host-{host}")));
        assert_eq!(raw.read().status, 200);
        raw
    };
    let mut modest = connect(2);
    let mut hoard: Vec<Raw> = (0..5).map(|_| connect(1)).collect();
    serving.wait_for("all are there", |now| now.connections == 6);
    // Beyond three quarters each new connection costs the hoarder one, and nobody else.
    let mut more: Vec<Raw> = (3..6).map(connect).collect();
    serving.wait_for("room was made", |now| now.connections == 6);
    for gone in &mut hoard[..3] {
        assert_eq!(gone.rest(), b"");
    }
    for raw in hoard[3..].iter_mut().chain([&mut modest]).chain(&mut more) {
        raw.send(ask("/small", "x"));
        assert_eq!(raw.read().status, 200);
    }
}

#[test]
fn readers_who_stopped_and_fill_the_server_make_room_for_others() {
    let (_temp, serving) = served(|settings| settings.max_connections = 8);
    let mut stopped: Vec<Raw> = (0..8).map(|_| begin(serving.address, "stopped")).collect();
    serving.wait_for("all are there", |now| now.connections == 8);
    let begun = Instant::now();
    let other = loop {
        let mut raw = Raw::connect_from([127, 0, 0, 2], serving.address);
        raw.send(ask("/small", "other"));
        let answer = raw.read();
        if answer.status == 200 {
            break answer;
        }
        assert_eq!(
            (answer.status, answer.field("Retry-After")),
            (503, Some("5"))
        );
        assert!(begun.elapsed() < PATIENCE, "never let in");
        std::thread::sleep(Duration::from_millis(20));
    };
    assert_eq!(other.text(), "small");
    serving.wait_for("one had to go", |now| now.connections < 8);
    // It was cut off, in the middle of its answer.
    let left = BIG - 1000;
    assert!(stopped.iter_mut().any(|raw| raw.count(left) < left));
}

#[test]
fn a_client_that_reads_slowly_is_not_taken_for_one_that_reads_nothing() {
    let (_temp, serving) = served(|settings| settings.timeout = Duration::from_secs(1));
    let mut raw = begin(serving.address, "slow");
    // The large buffers of loopback would take many seconds to drain at this rate.
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(4) {
        raw.take(32 * 1024);
        std::thread::sleep(Duration::from_millis(50));
    }
    let snapshot = serving.server.snapshot();
    assert_eq!(
        view(&snapshot, "slow").transfers[0].state,
        TransferState::Active
    );
    raw.take(16 * MIB as usize);
}
