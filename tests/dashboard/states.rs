//! Filled states for the screens under test.

use std::{
    net::IpAddr,
    time::{Duration, Instant, SystemTime},
};

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use haul::{
    app::{
        self, Event, Looks, Sample, State, Tick,
        browser::Load,
        connect,
        event::{Fingerprint, LocalFile, Unlisted},
        serve, update,
    },
    client::{self, FileView, FilesView, ItemId, ItemState, ItemView, Link, Verified},
    config::ThemeName,
    entry::Entry,
    http1::path::RemotePath,
    logging::Line,
    server::{self, ClientId, ClientView, TransferId, TransferState, TransferView},
    ui,
};
use jiff::{Timestamp, tz::TimeZone};
use ratatui::{buffer::Buffer, layout::Rect};
use tracing::Level;

pub const KIB: u64 = 1 << 10;
pub const MIB: u64 = 1 << 20;
pub const GIB: u64 = 1 << 30;

pub fn looks() -> Looks {
    Looks {
        theme: ThemeName::Dark,
        chosen: false,
        depth: app::Depth::Full,
        glyphs: app::GlyphSet::Unicode,
        colours: Vec::new(),
        zone: TimeZone::UTC,
    }
}

/// 2026-11-22 14:02:11 UTC.
pub fn wall() -> Timestamp {
    Timestamp::from_second(1_795_356_131).unwrap()
}

pub fn path(text: &str) -> RemotePath {
    RemotePath::from_target(text.as_bytes()).unwrap()
}

pub fn entry(name: impl Into<Vec<u8>>, size: Option<u64>, age: u64) -> Entry {
    Entry {
        name: name.into(),
        is_dir: size.is_none(),
        size,
        modified: Some(SystemTime::from(wall()) - Duration::from_secs(age)),
        blake3: size.map(|size| blake3::hash(&size.to_be_bytes())),
    }
}

pub fn entries() -> Vec<Entry> {
    const DAY: u64 = 86400;
    let gib = |n: f64| Some((n * GIB as f64) as u64);
    let mib = |n: f64| Some((n * MIB as f64) as u64);
    let kib = |n: f64| Some((n * KIB as f64) as u64);
    vec![
        entry("photos", None, 2 * 3600),
        entry("releases", None, DAY),
        entry("backup-2026-11.tar.zst", gib(11.7), 6 * 3600),
        entry("debian-13.0-amd64-DVD-1.iso", gib(3.78), 21 * DAY),
        entry("debian-13.0-amd64-netinst.iso", mib(754.0), 21 * DAY),
        entry("dump-2026-10-31.sql.zst", gib(2.16), 22 * DAY),
        entry("field-notes.pdf", mib(48.3), 125 * DAY),
        entry("kernel-6.18.tar.xz", mib(147.0), 8 * DAY),
        entry("lecture-01.mkv", gib(1.42), 155 * DAY),
        entry("lecture-02.mkv", gib(1.37), 155 * DAY),
        entry("manual.pdf", mib(9.6), 400 * DAY),
        entry("model.safetensors", gib(13.1), 5 * DAY),
        entry("notes.md", kib(18.2), 70),
        entry("old-disk.img", gib(29.8), 800 * DAY),
        entry("readme.txt", kib(2.1), 800 * DAY),
        entry("scan-0001.tif", mib(88.0), 215 * DAY),
        entry("talk-ünïcode-日本.mp4", mib(640.0), 9 * DAY),
        entry(".hidden", Some(1), DAY),
    ]
}

pub fn item(id: u64, target: &str, done: u64, total: u64, state: ItemState) -> ItemView {
    let connections = if state == ItemState::Active { 4 } else { 0 };
    ItemView {
        id: ItemId(id),
        path: path(target),
        label: None,
        files: None,
        done,
        total: Some(total),
        connections,
        state,
        limit: None,
        first: false,
        led: None,
        under_way: Vec::new(),
    }
}

pub fn items() -> Vec<ItemView> {
    let part = |n: f64| (n * GIB as f64) as u64;
    let mut photos = item(
        3,
        "/photos/2026/",
        part(1.15),
        part(4.02),
        ItemState::Paused,
    );
    photos.files = Some(FilesView {
        done: 41,
        failed: 0,
        unread: 0,
        found: 312,
        listed: true,
    });
    let file = |name: &str, done, total| FileView {
        path: path(&format!("/photos/2026/{name}")),
        done: done * MIB,
        total: Some(total * MIB),
        connections: 0,
    };
    photos.under_way = vec![file("IMG_0042.raw", 12, 48), file("IMG_0043.raw", 0, 31)];
    vec![
        item(
            1,
            "/debian-13.0-amd64-DVD-1.iso",
            part(2.31),
            part(3.78),
            ItemState::Active,
        ),
        item(
            2,
            "/model.safetensors",
            part(0.71),
            part(13.1),
            ItemState::Active,
        ),
        photos,
        item(4, "/releases/v1.4.tar.zst", 0, 812 * MIB, ItemState::Queued),
        item(
            5,
            "/notes.md",
            18637,
            18637,
            ItemState::Finished(Verified::Blake3),
        ),
        item(
            6,
            "/old-disk.img",
            part(8.94),
            part(29.8),
            ItemState::Failed("connection reset, tried 4 times".into()),
        ),
    ]
}

pub fn line(second: i64, level: Level, who: &str, text: &str) -> Line {
    Line {
        seq: u64::try_from(second).unwrap(), // grows, as the ring's numbers do
        time: wall() - Duration::from_secs(60) + Duration::from_secs(second as u64),
        level,
        who: who.into(),
        text: text.into(),
    }
}

pub fn tick(state: &mut State, now: Instant, wall: Timestamp, sample: Sample) -> Vec<app::Effect> {
    update(state, Event::Tick(Tick { now, wall, sample }))
}

/// A connected client, without transfers.
pub fn browsing() -> State {
    let facts = connect::Facts {
        user: Some("alice".into()),
        dir: "/home/alice/Downloads".into(),
        home: Some("/home/alice".into()),
        lcd: None,
        named: true,
    };
    let url = "http://nas.lan:8888/".parse().unwrap();
    let server = app::Server { url, named: None };
    let mut state = State::connect(facts, Some(server), looks());
    state.begin();
    let up = client::Snapshot {
        link: Link::Up,
        rtt: Some(Duration::from_micros(800)),
        connections: 5,
        received: 41 * GIB,
        ..client::Snapshot::default()
    };
    tick(&mut state, Instant::now(), wall(), Sample::Client(up));
    let path = RemotePath::root();
    answer_list(&mut state, path, Ok(entries()));
    state
}

/// A client in the middle of its work.
pub fn downloading() -> State {
    let mut state = browsing();
    let start = state.now.unwrap() + Duration::from_millis(100);
    let mut received = 0;
    for tenth in 0..300u64 {
        let rate = if (100..130).contains(&tenth) { 12 } else { 21 };
        received += rate * MIB;
        let left = (299 - tenth) * MIB;
        let mut items = items();
        items[0].done = items[0].done.saturating_sub(left * 11);
        items[1].done = items[1].done.saturating_sub(left * 10);
        let snapshot = client::Snapshot {
            items,
            received: 41 * GIB + received,
            link: Link::Up,
            rtt: Some(Duration::from_micros(800)),
            connections: 5,
            server: None,
            ..client::Snapshot::default()
        };
        let now = start + Duration::from_millis(tenth * 100);
        tick(&mut state, now, wall(), Sample::Client(snapshot));
    }
    update(&mut state, Event::Space(Some(212 * GIB)));
    update(
        &mut state,
        Event::Log(vec![
            line(
                1,
                Level::INFO,
                "http://nas.lan:8888",
                "connected to 192.168.1.10, haul/0.1, rtt 0.8 ms",
            ),
            line(
                9,
                Level::WARN,
                "photos/2026/",
                "paused at 41/312 files, 1.15 GiB kept",
            ),
            line(
                21,
                Level::INFO,
                "debian-13.0-amd64-DVD-1.iso",
                "started, 3.78 GiB, 4 connections",
            ),
            line(32, Level::INFO, "~/Downloads", "212 GiB free"),
            line(
                34,
                Level::INFO,
                "notes.md",
                "18.2 KiB in 2 ms, blake3 verified",
            ),
            line(
                40,
                Level::INFO,
                "model.safetensors",
                "started, 13.1 GiB, 4 connections",
            ),
            line(
                41,
                Level::ERROR,
                "old-disk.img",
                "connection reset, tried 4 times",
            ),
        ]),
    );
    state
}

pub fn transfer(
    id: u64,
    target: &str,
    done: f64,
    total: f64,
    state: TransferState,
    started: Instant,
) -> TransferView {
    TransferView {
        id: TransferId(id),
        path: path(target),
        done: (done * GIB as f64) as u64,
        total: (total * GIB as f64) as u64,
        connections: 3,
        started,
        state,
    }
}

pub fn someone(
    id: u64,
    name: Option<&str>,
    address: &str,
    agent: &str,
    transfers: Vec<TransferView>,
) -> ClientView {
    let since = transfers.first().map_or_else(Instant::now, |t| t.started);
    ClientView {
        id: ClientId(id),
        login: None,
        name: name.map(Into::into),
        address: address.parse::<IpAddr>().unwrap(),
        agent: Some(agent.into()),
        who: address.into(),
        connections: transfers.len() * 3,
        left: None,
        since,
        sent: 0,
        files: transfers
            .iter()
            .filter(|t| t.state != TransferState::Active)
            .count() as u64,
        transfers,
        refused: None,
        paused: false,
        limit: None,
    }
}

/// Six clients, `left` seconds before the moment that the screens show.
pub fn clients(start: Instant, left: f64) -> Vec<ClientView> {
    let active = |id, target: &str, done: f64, total: f64, mib_per_second: f64| {
        let done = (done - left * mib_per_second / 1024.0).max(0.0);
        transfer(id, target, done, total, TransferState::Active, start)
    };
    let alice = vec![
        active(1, "/debian-13.0-amd64-DVD-1.iso", 2.31, 3.78, 112.0),
        active(
            2,
            "/photos/2026/panorama-of-the-harbour.tif",
            1.15,
            4.02,
            36.0,
        ),
    ];
    let model = active(3, "/model.safetensors", 0.71, 13.1, 98.0);
    let backup = active(4, "/backup-2026-11.tar.zst", 9.87, 11.7, 61.0);
    let talk = active(5, "/talk-ünïcode-日本.mp4", 0.2, 0.625, 0.0);
    let notes = transfer(
        6,
        "/notes.md",
        0.00002,
        0.00002,
        TransferState::Done(start),
        start,
    );
    let mut clients = vec![
        someone(1, Some("alice"), "192.168.1.23", "haul/0.1", alice),
        someone(2, None, "fd00::7", "aria2/1.37", vec![model]),
        someone(3, None, "10.8.0.14", "curl/8.5", vec![backup]),
        someone(4, None, "203.0.113.9", "Firefox/143", vec![talk]),
        someone(5, None, "10.8.0.14", "wget/1.21", vec![notes]),
        someone(6, None, "203.0.113.9", "curl/8.5", vec![]),
    ];
    clients[5].refused = Some(("403 outside the share: /secrets".into(), start));
    for client in &mut clients {
        client.sent = client.transfers.iter().map(|t| t.done).sum();
    }
    clients
}

/// A server with several clients.
pub fn serving() -> State {
    let start = Instant::now();
    let mut state = State::serve(serve_facts(), looks());
    state.begin();
    for tenth in 0..300u64 {
        let now = start + Duration::from_millis(tenth * 100);
        let clients = clients(start, (299 - tenth) as f64 / 10.0);
        let snapshot = server::Snapshot {
            sent: clients.iter().map(|c| c.sent).sum(),
            clients,
            connections: 19,
            requests: 40,
            files: 1,
            ..server::Snapshot::default()
        };
        tick(&mut state, now, wall(), Sample::Server(snapshot));
    }
    let path = RemotePath::root();
    let result = Ok(entries());
    answer_list(&mut state, path, result);
    let alice = "alice 192.168.1.23";
    let lines = vec![
        line(
            9,
            Level::INFO,
            alice,
            "GET photos/2026/panorama-of-the-harbour.tif, 4.02 GiB",
        ),
        line(
            21,
            Level::INFO,
            alice,
            "GET debian-13.0-amd64-DVD-1.iso, 3.78 GiB",
        ),
        line(
            29,
            Level::INFO,
            "10.8.0.14",
            "GET backup-2026-11.tar.zst, from 78%",
        ),
        line(
            32,
            Level::ERROR,
            "203.0.113.9",
            "403 outside the share: /secrets",
        ),
        line(
            34,
            Level::INFO,
            "10.8.0.14",
            "GET notes.md, 18.2 KiB in 2 ms, done",
        ),
    ];
    update(&mut state, Event::Log(lines));
    state
}

pub fn serve_facts() -> serve::Facts {
    serve::Facts {
        urls: vec!["http://192.168.1.10:8888/".into()],
        root: "/srv/pub".into(),
        open: true,
        ..serve::Facts::default()
    }
}

/// Lays the state out for a size and draws it, as the loop does.
pub fn draw(state: &mut State, columns: u16, rows: u16) -> Buffer {
    let area = Rect::new(0, 0, columns, rows);
    let layout = ui::measure(state, area);
    update(state, Event::Layout(layout));
    let theme = ui::Theme::of(&state.looks);
    let mut buf = Buffer::empty(area);
    ui::draw(state, &theme, area, &mut buf);
    buf
}

/// The screen's text, a line a row; the second cell of a wide character is left out.
pub fn text(buf: &Buffer) -> String {
    let area = *buf.area();
    let mut text = String::new();
    for y in area.top()..area.bottom() {
        let mut x = area.left();
        while x < area.right() {
            let symbol = buf[(x, y)].symbol();
            text.push_str(symbol);
            x += (ui::text::width(symbol).max(1)) as u16;
        }
        text.push('\n');
    }
    text
}

/// Sends an event.
pub fn send(state: &mut State, event: Event) -> Vec<app::Effect> {
    update(state, event)
}

/// Lets so much time go by that a question which came up by itself takes answers.
pub fn read(state: &mut State) {
    let now = state.now.unwrap() + Duration::from_secs(1);
    tick(state, now, wall(), Sample::Nothing);
}

/// A local file that is held against the one of that path on the server of [`browsing`].
pub fn local_file(target: &str) -> LocalFile {
    LocalFile {
        server: "http://nas.lan:8888/".parse().unwrap(),
        path: path(target),
        local: format!("/home/alice/Downloads{target}").into(),
    }
}

/// A certificate of that server that is not known.
pub fn certificate(seen: &str) -> Event {
    Event::Fingerprint(Fingerprint {
        host: "nas.lan:8888".into(),
        seen: seen.into(),
        known: None,
    })
}

/// What a listing says that waits for a login.
pub fn wants_login() -> Unlisted {
    Unlisted {
        reason: "the server wants a login (401)".into(),
        transient: false,
        asks: Some(client::Question::Login("who?".into())),
        login_at: None,
    }
}

/// Answers the request for the listing of `dir`; one that nobody waits for, where another is waited for.
pub fn answer_list(
    state: &mut State,
    dir: RemotePath,
    result: Result<Vec<Entry>, Unlisted>,
) -> Vec<app::Effect> {
    let browser = match &state.view {
        app::View::Connect(view) => &view.remote,
        app::View::Serve(view) => &view.files,
    };
    let request = if browser.load == Load::Loading(dir.clone()) {
        browser.request
    } else {
        u64::MAX
    };
    let path = dir;
    update(
        state,
        Event::Listed {
            request,
            path,
            result,
        },
    )
}

/// What the notice says; empty where there is none.
pub fn notice(state: &State) -> &str {
    state.notice.as_ref().map_or("", |notice| &notice.text)
}

/// Presses keys, with blanks between them: `j`, `Enter`, `C-a`; returns what the last ones asked for.
pub fn keys(state: &mut State, keys: &str) -> Vec<app::Effect> {
    let mut effects = Vec::new();
    for key in keys.split(' ') {
        let key = key.replacen("C-", "Ctrl-", 1).replacen("S-", "Shift-", 1);
        effects.extend(press_named(state, &key));
    }
    effects
}

/// Presses a key by the name that the table gives it.
pub fn press_named(state: &mut State, name: &str) -> Vec<app::Effect> {
    let mut effects = Vec::new();
    for key in name.split(' ') {
        let (modifiers, rest) = match key.split_once('-') {
            Some(("Ctrl", rest)) => (KeyModifiers::CONTROL, rest),
            Some(("Alt", rest)) => (KeyModifiers::ALT, rest),
            Some(("Shift", rest)) => (KeyModifiers::SHIFT, rest),
            _ => (KeyModifiers::NONE, key),
        };
        let code = match rest {
            "Enter" => KeyCode::Enter,
            "Esc" => KeyCode::Esc,
            "Tab" => KeyCode::Tab,
            "Space" => KeyCode::Char(' '),
            "Backspace" => KeyCode::Backspace,
            "Del" => KeyCode::Delete,
            "Up" => KeyCode::Up,
            "Down" => KeyCode::Down,
            "Left" => KeyCode::Left,
            "Right" => KeyCode::Right,
            "Home" => KeyCode::Home,
            "End" => KeyCode::End,
            "PgUp" => KeyCode::PageUp,
            "PgDn" => KeyCode::PageDown,
            "F1" => KeyCode::F(1),
            other => KeyCode::Char(other.chars().next().unwrap()),
        };
        effects.extend(update(state, Event::Key(KeyEvent::new(code, modifiers))));
    }
    effects
}

/// What a client's dashboard holds.
pub fn client(state: &State) -> &connect::Connect {
    match &state.view {
        app::View::Connect(view) => view,
        app::View::Serve(_) => panic!("a client"),
    }
}

/// The screen's text, once the state knows how much of it there is.
pub fn screen(state: &mut State, columns: u16, rows: u16) -> String {
    draw(state, columns, rows);
    text(&draw(state, columns, rows))
}
