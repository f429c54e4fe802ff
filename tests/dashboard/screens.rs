//! What the screen shows, at every size.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use haul::{
    app::{
        Effect, Event, Popup, Sample, Server, State,
        survey::{Chunk, News},
    },
    client::{self, ItemState, Link},
    config::ThemeName,
    server,
};
use ratatui::style::Modifier;
use tracing::Level;

use super::states::*;

fn rows(state: &mut State, columns: u16, rows: u16) -> Vec<String> {
    text(&draw(state, columns, rows))
        .lines()
        .map(str::to_owned)
        .collect()
}

fn has(rows: &[String], part: &str) {
    assert!(
        rows.iter().any(|row| row.contains(part)),
        "no `{part}` in:\n{}",
        rows.join("\n")
    );
}

#[test]
fn connect_side_by_side() {
    let rows = rows(&mut downloading(), 120, 36);
    assert!(rows[0].starts_with(" haul connect  ● http://nas.lan:8888  alice"));
    assert!(rows[0].ends_with("rtt 0.8 ms  → ~/Downloads  14:02:11 "));
    assert!(rows[1].starts_with("╭─ 1 Remote / ─"));
    assert!(rows[1].ends_with("─ 2 active · 1 paused · 1 queued · 1 failed ─╮"));
    has(&rows, "│ ▼ model.safetensors               0.71/13.1 GiB");
    has(&rows, "━━━━━━━━━━━━━━━━━━╸──────────── 4 conns   61%");
    has(
        &rows,
        "│ ✓ notes.md                             18.2 KiB verified ✓ │",
    );
    has(&rows, "✗ connection reset, tried 4 times");
    has(&rows, "Σ 19%  ETA");
    has(
        &rows,
        "│   backup-2026-11.tar.zst               11.7 GiB    6 h │",
    );
    has(&rows, "14:01:52 ERR  old-disk.img");
    assert!(rows[35].starts_with(" ? help : command Space mark Enter open d download"));
}

#[test]
fn a_believed_certificate_and_a_full_disk_are_in_sight() {
    let mut state = downloading();
    let status = |state: &mut State| rows(state, 120, 36)[33].trim().to_owned();
    assert_eq!(status(&mut state), "Σ 19%   212 GiB free   ↓  210 MiB/s");
    let certificate = haul::tls::Fingerprint::of(b"a certificate");
    let snapshot = client::Snapshot {
        items: items(),
        link: Link::Up,
        certificate: Some(certificate),
        ..client::Snapshot::default()
    };
    let later = Instant::now() + Duration::from_secs(60);
    let effects = tick(&mut state, later, wall(), Sample::Client(snapshot));
    let looks =
        |effect: &Effect| matches!(effect, Effect::LookForSpace(dir) if dir.ends_with("Downloads"));
    assert!(effects.iter().any(looks), "{effects:?}");
    let header = rows(&mut state, 120, 36)[0].clone();
    let short = certificate.short();
    assert!(
        header.starts_with(&format!(
            " haul connect  ● http://nas.lan:8888  tls {short} ✓  alice"
        )),
        "{header}"
    );
}

#[test]
fn connect_on_top_of_each_other() {
    let rows = rows(&mut downloading(), 80, 24);
    has(
        &rows,
        "│ ▼ model.safetensors         ╸──────────   5% 0.71/13.1 GiB",
    );
    has(
        &rows,
        "│ ‖ photos/2026/ ▸ (41/312)   ━━━────────  28% 1.15/4.02 GiB            paused │",
    );
    assert!(rows[18].starts_with("╰─ 3 ↓ "), "{}", rows[18]);
    assert!(rows[19].starts_with("── 4 Log ─"));
    assert!(rows[23].starts_with(" ? help  : command  Space mark  d download"));
}

#[test]
fn one_pane_at_a_time() {
    let mut state = downloading();
    let wide = rows(&mut state, 60, 16);
    assert!(wide[1].starts_with("╭─ 1 Remote"));
    assert!(wide[14].starts_with('╰'));
    keys(&mut state, "2");
    let small = rows(&mut state, 40, 10);
    assert!(small[1].starts_with("╭─ 2 Transfers"));
    has(&small, "▼ debian");
    has(&small, "MiB/s");
    let tiny = rows(&mut state, 38, 7);
    assert!(tiny[0].starts_with("too small: 38×7, needs 40×8"));
}

#[test]
fn serve_side_by_side() {
    let mut state = serving();
    draw(&mut state, 120, 36);
    keys(&mut state, "Enter");
    let rows = rows(&mut state, 120, 36);
    assert!(
        rows[0].contains("● http://192.168.1.10:8888  /srv/pub  open to anyone who can reach it")
    );
    has(
        &rows,
        "▾ alice 192.168.1.23   haul/0.1    2 files · 6 conns",
    );
    has(
        &rows,
        "├ debian-13.0-amd64-DVD-1.iso ━━━━━━━━╸─────  61% 2.31/3.78 GiB  112 MiB/s",
    );
    has(&rows, "└ photos/2026/p…e-harbour.tif");
    has(&rows, "stalled    29s");
    has(
        &rows,
        "✗ 203.0.113.9 #6       curl/8.5    403 outside the share: /secrets",
    );
    has(&rows, "─ 4 active · 1 stalled · sort rate ↓ ─╮");
    has(&rows, "1-8/8 ─╯");
}

#[test]
fn serve_on_top_of_each_other() {
    let mut state = serving();
    let screen = rows(&mut state, 80, 24);
    has(
        &screen,
        "│▌▸ alice         2 files · 6 conns                 3.46 GiB  148 MiB/s        │",
    );
    has(&screen, "╰─ 192.168.1.23  haul/0.1  3.46 GiB  since ");
    has(&screen, " 3 Files  follow ● ──");
    keys(&mut state, "3");
    let screen = rows(&mut state, 80, 24);
    has(&screen, "── 3 Files /srv/pub ──");
    has(&screen, "DOWNLOADS");
}

#[test]
fn empty_panes_say_what_to_do() {
    let mut empty = State::serve(serve_facts(), looks());
    let screen = rows(&mut empty, 80, 24);
    has(
        &screen,
        "No clients yet. On the other machine: haul connect 192.168.1.10:8888",
    );
    has(
        &screen,
        "or open http://192.168.1.10:8888 in a browser · y copies it",
    );
    let mut state = browsing();
    has(&rows(&mut state, 80, 24), "No transfers yet.");
    keys(&mut state, "/ x y z z y");
    has(
        &rows(&mut state, 80, 24),
        "0 of 18 match \"xyzzy\" · Esc clears",
    );
}

#[test]
fn a_prompt_shows_usage_and_completions() {
    let mut state = browsing();
    keys(&mut state, ": g e t Space d e b");
    let screen = rows(&mut state, 120, 36);
    has(&screen, "╭─ completions 2 ─");
    has(&screen, "│▌ debian-13.0-amd64-DVD-1.iso     3.78 GiB │");
    assert!(screen[34].starts_with(
        " :get debian-13.0-amd64-DVD-1.iso               get <pattern>… [--to DIR]   download"
    ));
}

#[test]
fn a_column_never_moves_with_its_figures() {
    let shape = |done: u64| {
        let mut state = browsing();
        let start = Instant::now();
        for tenth in 0..40u64 {
            let items = vec![item(
                1,
                "/a.iso",
                done * (tenth + 1),
                1 << 45,
                ItemState::Active,
            )];
            let snapshot = client::Snapshot {
                items,
                received: done * tenth,
                link: Link::Up,
                ..client::Snapshot::default()
            };
            let now = start + Duration::from_millis(tenth * 100);
            tick(&mut state, now, wall(), Sample::Client(snapshot));
        }
        let row = rows(&mut state, 80, 24)[11].clone();
        (row.chars().position(|c| c == '%'), row.rfind("/s"))
    };
    let first = shape(1);
    for done in [1000, 1023 * 1024, 1 << 30, 1 << 38] {
        assert_eq!(shape(done), first, "{done}");
    }
}

#[test]
fn no_colour_is_named_without_colour() {
    let mut state = downloading();
    state.looks.theme = ThemeName::Mono;
    let buf = draw(&mut state, 120, 36);
    let plain = |colour| colour == ratatui::style::Color::Reset;
    assert!(
        buf.content()
            .iter()
            .all(|cell| plain(cell.fg) && plain(cell.bg))
    );
    assert!(
        buf.content()
            .iter()
            .any(|cell| cell.modifier.contains(Modifier::REVERSED))
    );
}

#[test]
fn ascii_is_ascii() {
    let mut state = downloading();
    state.looks.glyphs = haul::app::GlyphSet::Ascii;
    keys(&mut state, "2");
    let screen = text(&draw(&mut state, 80, 24));
    let others: String = screen
        .chars()
        .filter(|c| !c.is_ascii() && !"ünï日本·".contains(*c))
        .collect();
    assert_eq!(others, "", "{screen}");
}

/// Names and texts that try to leave their cells.
fn hostile() -> Vec<String> {
    vec![
        "\x1b[2J\x1b]0;x\x07".into(),
        "a\rb\nc\td".into(),
        "\u{202e}gpj.exe\u{2066}".into(),
        "👨\u{200d}👩\u{200d}👧\u{200d}👦".into(),
        "\u{9b}31m".into(),
        "日本".repeat(700),
        "e\u{301}\u{302}\u{303}".repeat(40),
        "x".repeat(4096),
    ]
}

fn hostile_client() -> State {
    let mut state = downloading();
    let mut entries = entries();
    let mut items = items();
    for (i, name) in hostile().into_iter().enumerate() {
        let size = if i % 2 == 0 {
            Some(u64::MAX - i as u64)
        } else {
            None
        };
        entries.push(entry(name.replace('/', ""), size, u64::from(u32::MAX)));
        let mut path = haul::http1::path::RemotePath::root();
        let short: String = name.chars().filter(|c| *c != '/').take(60).collect();
        path.push(short.as_bytes()).unwrap();
        let state = match i % 4 {
            0 => ItemState::Active,
            1 => ItemState::Failed(name.clone()),
            2 => ItemState::Waiting(name.clone()),
            _ => ItemState::Landing,
        };
        let mut item = item(i as u64 + 100, "/x", u64::MAX / 2, u64::MAX, state);
        item.path = path;
        items.insert(0, item);
        send(&mut state_log(&name), Event::Paste(name.clone()));
    }
    answer_list(&mut state, path("/"), Ok(vec![]));
    keys(&mut state, "r");
    answer_list(&mut state, path("/"), Ok(entries));
    let reason = hostile().concat();
    let link = Link::Retrying {
        attempt: u32::MAX,
        after: Duration::from_secs(9),
        reason,
    };
    let snapshot = client::Snapshot {
        items,
        received: u64::MAX,
        link,
        ..client::Snapshot::default()
    };
    tick(
        &mut state,
        Instant::now() + Duration::from_secs(100),
        wall(),
        Sample::Client(snapshot),
    );
    state
}

fn state_log(name: &str) -> State {
    let mut state = browsing();
    keys(&mut state, ":");
    send(&mut state, Event::Paste(name.to_owned()));
    state
}

fn hostile_server() -> State {
    let mut state = serving();
    let mut snapshot = server::Snapshot::default();
    for (i, name) in hostile().into_iter().enumerate() {
        snapshot.clients.push(server::ClientView {
            id: server::ClientId(i as u64),
            login: None,
            name: Some(name.clone()),
            address: "::ffff:255.255.255.255".parse().unwrap(),
            agent: Some(name.clone()),
            who: "255.255.255.255".into(),
            connections: usize::MAX,
            left: None,
            since: Instant::now(),
            sent: u64::MAX,
            transfers: Vec::new(),
            files: u64::MAX,
            refused: (i % 2 == 0).then(|| (name, Instant::now())),
            paused: false,
            limit: None,
        });
    }
    snapshot.sent = u64::MAX;
    tick(
        &mut state,
        Instant::now() + Duration::from_secs(100),
        wall(),
        Sample::Server(snapshot),
    );
    answer_list(&mut state, path("/"), Ok(vec![]));
    state
}

/// The boxes that show foreign names and bytes: marks, a search, details.
fn hostile_boxes() -> [State; 3] {
    let mut marks = hostile_client();
    keys(&mut marks, "C-a M");
    assert!(matches!(marks.popup, Some(Popup::Marks(_))));
    let mut search = hostile_client();
    let effects = keys(&mut search, "C-f");
    let Some(Effect::Survey(survey)) = effects.into_iter().next() else {
        panic!("a survey")
    };
    let entries = hostile().into_iter();
    let entries = entries.map(|name| entry(name.replace('/', ""), None, 0));
    let chunk = Chunk {
        dir: path("/"),
        entries: entries.collect(),
    };
    let news = News::Found(Arc::new(chunk));
    let id = survey.id;
    send(&mut search, Event::Surveyed { id, news });
    send(&mut search, Event::Paste("\u{202e}x\u{200d}".into()));
    keys(&mut search, "Backspace Backspace Backspace");
    let mut details = hostile_client();
    keys(&mut details, "/ n o t e s Enter");
    let effects = keys(&mut details, "i");
    let Some(Effect::Preview(path)) = effects.into_iter().next() else {
        panic!("a preview")
    };
    let result = Ok(hostile().join("\n").into_bytes());
    send(&mut details, Event::Previewed { path, result });
    [marks, search, details]
}

#[test]
fn nothing_hostile_leaves_its_cells_at_any_size() {
    let mut typed = state_log(&hostile().concat());
    let mut asked = hostile_client();
    asked.popup = Some(Popup::Quit(vec!["a".repeat(300), "b".into()]));
    let mut helped = serving();
    keys(&mut helped, "?");
    let mut wrapped = downloading();
    let long = line(59, Level::WARN, "who", &"long ".repeat(300));
    send(&mut wrapped, Event::Log(vec![long]));
    keys(&mut wrapped, "4 w");
    let [mut marks, mut search, mut details] = hostile_boxes();
    let states = [
        &mut hostile_client(),
        &mut marks,
        &mut search,
        &mut details,
        &mut hostile_server(),
        &mut serving(),
        &mut typed,
        &mut asked,
        &mut helped,
        &mut wrapped,
    ];
    for (i, state) in states.into_iter().enumerate() {
        for columns in 1..=130 {
            for height in 1..=40 {
                // Every size with the first; with the others every small one, and those around which layouts change.
                let edge = [40, 60, 100]
                    .iter()
                    .any(|at| (at - 1..=*at).contains(&columns));
                let near = columns <= 12 || edge || columns % 17 == 0;
                if i == 0 || near && (height <= 12 || [17, 18, 24, 30, 40].contains(&height)) {
                    check(state, columns, height);
                }
            }
        }
    }
}

/// No cell holds a control or bidirectional character, no wide character is cut in two, borders are whole.
fn check(state: &mut State, columns: u16, height: u16) {
    let buf = draw(state, columns, height);
    for y in 0..height {
        let mut x = 0;
        while x < columns {
            let symbol = buf[(x, y)].symbol();
            let bad = |c: char| {
                c.is_control()
                    || matches!(c, '\u{200d}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
            };
            assert!(
                !symbol.chars().any(bad),
                "{symbol:?} at {x},{y} of {columns}x{height}"
            );
            let cells = haul::ui::text::width(symbol).max(1) as u16;
            assert!(
                x + cells <= columns,
                "{symbol:?} leaves the screen at {columns}x{height}"
            );
            for behind in x + 1..x + cells {
                assert_eq!(
                    buf[(behind, y)].symbol(),
                    " ",
                    "something lies under {symbol:?} at {x},{y} of {columns}x{height}"
                );
            }
            x += cells;
        }
    }
    if columns >= 40 && height >= 18 && state.popup.is_none() && state.prompt.is_none() {
        let corner = buf[(0, 1)].symbol();
        assert_eq!(corner, "╭", "{columns}x{height}");
        assert_eq!(buf[(columns - 1, 1)].symbol(), "╮", "{columns}x{height}");
    }
}

#[test]
fn a_large_listing_says_that_it_is_being_sorted() {
    let mut state = browsing();
    draw(&mut state, 80, 24);
    keys(&mut state, "r");
    let all = (0..20_001).map(|n| entry(format!("{n}"), Some(1), 0));
    let effects = answer_list(&mut state, path("/"), Ok(all.collect()));
    let screen = text(&draw(&mut state, 80, 24));
    assert!(screen.contains("sorting 20,001 names"), "{screen}");
    for effect in effects {
        if let Effect::Arrange(job) = effect {
            send(&mut state, Event::Arranged(job.run()));
        }
    }
    assert!(text(&draw(&mut state, 80, 24)).contains("1/20,001"));
}

#[test]
fn an_order_that_comes_late_is_not_taken_for_one_of_another_server() {
    let state = || {
        let mut state = browsing();
        // As many listings as the next server will have had.
        send(&mut state, Event::Connected(named("http://one/")));
        let all = (0..20_001).map(|n| entry(format!("{n}"), Some(1), 0));
        let effects = answer_list(&mut state, path("/"), Ok(all.collect()));
        let job = effects.into_iter().find_map(|effect| match effect {
            Effect::Arrange(job) => Some(job),
            _ => None,
        });
        (state, Event::Arranged(job.unwrap().run()))
    };
    // Before and after the next one has listed anything, and after it was only left.
    let (mut waiting, late) = state();
    send(&mut waiting, Event::Connected(named("http://two/")));
    send(&mut waiting, late);
    let (mut listed, late) = state();
    send(&mut listed, Event::Connected(named("http://two/")));
    answer_list(&mut listed, path("/"), Ok(entries()));
    send(&mut listed, late);
    assert!(text(&draw(&mut listed, 80, 24)).contains("1/17"));
    let (mut left, late) = state();
    send(&mut left, Event::Disconnected);
    send(&mut left, late);
    for mut state in [waiting, left] {
        assert!(client(&state).remote.listing.is_empty());
        draw(&mut state, 80, 24);
    }
}

fn named(url: &str) -> Server {
    let url = url.parse().unwrap();
    Server { url, named: None }
}

#[test]
fn a_whole_directory_is_one_transfer_where_its_names_are_too_many() {
    let mut state = browsing();
    keys(&mut state, "r");
    let all = (0..10_001).map(|n| entry(format!("{n}"), Some(1), 0));
    answer_list(&mut state, path("/"), Ok(all.collect()));
    keys(&mut state, "C-a");
    // One is left out.
    keys(&mut state, "Space");
    let effects = keys(&mut state, "d");
    assert!(matches!(&effects[..], [Effect::Get { wants, .. }] if wants.len() == 10_000));
    keys(&mut state, "C-a");
    let effects = keys(&mut state, "d");
    assert!(
        matches!(&effects[..], [Effect::Get { wants, .. }] if matches!(&wants[..], [client::Want::Path { path, .. }] if path.is_root())),
        "{effects:?}"
    );
    // The filter leaves more than are taken at once, but not all.
    keys(&mut state, "r");
    let all = (0..10_002).map(|n| entry(format!("{n}"), Some(1), 0));
    answer_list(&mut state, path("/"), Ok(all.collect()));
    keys(&mut state, "C-a Space");
    assert!(keys(&mut state, "d").is_empty());
    let notice = state.notice.as_ref().unwrap();
    assert!(
        notice.text.starts_with("10,001 marked, at most 10,000"),
        "{}",
        notice.text
    );
}
