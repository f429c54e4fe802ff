//! Pictures of every pane and state at four sizes, with the styles of every cell. `INSTA_UPDATE=always` takes them
//! anew; what changed is then in the diff.

use std::{fmt::Write as _, time::Duration};

use haul::{
    app::{Event, Sample, State, event::Fingerprint},
    client::{self, Link},
    config::ThemeName,
    server,
};
use ratatui::{buffer::Buffer, style::Style};

use super::states::*;

/// Columns and rows.
const SIZES: [(u16, u16); 4] = [(120, 36), (80, 24), (60, 16), (40, 10)];

/// The text of a screen, then its styles: a letter for each, and per row how many cells have it.
fn picture(buf: &Buffer) -> String {
    let mut styles: Vec<Style> = Vec::new();
    let mut rows = String::new();
    for y in buf.area.rows().map(|row| row.y) {
        let mut runs: Vec<(usize, usize)> = Vec::new();
        for x in 0..buf.area.width {
            let style = buf[(x, y)].style();
            let at = styles.iter().position(|known| *known == style);
            let at = at.unwrap_or_else(|| {
                styles.push(style);
                styles.len() - 1
            });
            match runs.last_mut() {
                Some((last, count)) if *last == at => *count += 1,
                _ => runs.push((at, 1)),
            }
        }
        for (at, count) in runs {
            let _ = write!(rows, "{}{count}", letter(at));
        }
        rows.push('\n');
    }
    let mut text = text(buf);
    text.push_str(&rows);
    for (at, style) in styles.iter().enumerate() {
        let colour =
            |c: Option<_>| c.map_or_else(String::new, |c: ratatui::style::Color| c.to_string());
        let (fg, bg) = (colour(style.fg), colour(style.bg));
        let _ = writeln!(text, "{} {fg} on {bg} {:?}", letter(at), style.add_modifier);
    }
    text
}

fn letter(at: usize) -> char {
    char::from(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"[at % 52])
}

fn taken(name: &str, mut state: State) {
    let mut whole = String::new();
    for (columns, rows) in SIZES {
        // Twice: what one frame measures, the next one shows.
        draw(&mut state, columns, rows);
        let buf = draw(&mut state, columns, rows);
        let _ = writeln!(whole, "{columns}x{rows}\n{}", picture(&buf));
    }
    insta::assert_snapshot!(name, whole);
}

/// The state after some keys, pressed at 120x36.
fn after(mut state: State, pressed: &str) -> State {
    draw(&mut state, 120, 36);
    if !pressed.is_empty() {
        keys(&mut state, pressed);
    }
    state
}

fn typed(state: State, line: &str) -> State {
    let mut state = after(state, ":");
    send(&mut state, Event::Paste(line.into()));
    state
}

#[test]
fn connect_panes() {
    taken("connect-browsing", after(browsing(), "j j Space j Space"));
    taken("connect-transfers", after(downloading(), "2 j"));
    taken("connect-unfolded", after(downloading(), "2 j j Enter"));
    taken("connect-throughput", after(downloading(), "3"));
    taken("connect-log", after(downloading(), "4 w k"));
    taken("connect-zoomed", after(downloading(), "2 z"));
    taken("connect-limited", limited());
    taken("connect-limited-transfer", after(limited(), "i"));
}

/// A transfer that is the first, one that is limited, and a limited tree.
fn limited() -> State {
    let mut state = downloading();
    let haul::app::View::Connect(view) = &state.view else {
        panic!("a client")
    };
    let mut snapshot = view.snapshot.clone();
    snapshot.items[0].first = true;
    snapshot.items[1].limit = Some(haul::units::Rate(100 << 20));
    snapshot.items[2].limit = Some(haul::units::Rate(500 << 10));
    let now = state.now.unwrap() + Duration::from_millis(100);
    tick(&mut state, now, wall(), Sample::Client(snapshot));
    after(state, "2 j")
}

/// Both dashboards as the Linux console, a vt100, and a locale without UTF-8 show them: what `Abilities` makes of these.
#[test]
fn consoles() {
    use haul::app::{Depth, GlyphSet};
    for (name, depth, glyphs, theme) in [
        ("linux", Depth::Sixteen, GlyphSet::Console, ThemeName::Ansi),
        ("vt100", Depth::Mono, GlyphSet::SevenBit, ThemeName::Mono),
        ("latin", Depth::Indexed, GlyphSet::SevenBit, ThemeName::Dark),
    ] {
        let mut both = String::new();
        let client = after(limited(), "1 Space 2");
        for mut state in [client, after(serving(), "Enter j")] {
            (state.looks.depth, state.looks.glyphs) = (depth, glyphs);
            state.looks.theme = theme;
            draw(&mut state, 80, 24);
            let screen = draw(&mut state, 80, 24);
            let drawn = text(&screen);
            let is_plain = drawn.is_ascii();
            assert_eq!(is_plain, glyphs == GlyphSet::SevenBit, "{drawn}");
            let _ = writeln!(both, "{}", picture(&screen));
        }
        insta::assert_snapshot!(format!("console-{name}"), both);
    }
}

#[test]
fn connect_lines() {
    taken("connect-completions", typed(downloading(), "get deb"));
    taken("connect-commands", after(downloading(), ":"));
    taken(
        "connect-search",
        after(typed(browsing(), "get x"), "Enter : C-r g"),
    );
    taken("connect-filter", after(browsing(), "/ i s o"));
    taken("connect-filter-empty", after(browsing(), "/ x y z Enter"));
    taken("connect-notice", after(browsing(), ": n o Enter"));
    let mut login = browsing();
    send(
        &mut login,
        Event::LoginWanted {
            reason: "401: the server asks for a login".into(),
            at: None,
        },
    );
    read(&mut login);
    taken("connect-login", after(login, "Enter a b c"));
}

#[test]
fn connect_boxes() {
    taken("connect-help", after(browsing(), "? Down"));
    taken("connect-quit", after(downloading(), "q"));
    taken("connect-entry", after(downloading(), "j j j i"));
    taken("connect-transfer", after(downloading(), "2 i"));
    let certificate = |known: Option<&str>| {
        let mut state = browsing();
        send(
            &mut state,
            Event::Fingerprint(Fingerprint {
                host: "nas.lan:8888".into(),
                seen: "9F:3A:00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:9F:3A:00:11:22:33:44:55:66:77:88:99:AA:BB:CC:C1".into(),
                known: known.map(str::to_owned),
            }),
        );
        read(&mut state);
        state
    };
    taken("connect-trust", certificate(None));
    taken(
        "connect-refused",
        certificate(Some("00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF")),
    );
}

fn linked(link: &Link) -> State {
    let mut state = browsing();
    let now = state.now.unwrap();
    for ms in [0, 100] {
        let snapshot = client::Snapshot {
            link: link.clone(),
            ..client::Snapshot::default()
        };
        tick(
            &mut state,
            now + Duration::from_millis(ms),
            wall(),
            Sample::Client(snapshot),
        );
    }
    state
}

/// A client that was kicked ten seconds ago, and had cancelled something before.
fn kicked() -> State {
    let mut state = downloading();
    let haul::app::View::Connect(view) = &state.view else {
        panic!("a client")
    };
    let mut snapshot = view.snapshot.clone();
    let now = state.now.unwrap() + Duration::from_secs(1);
    snapshot.link = Link::Kicked {
        reason: "enough for now, the others are waiting".into(),
        until: now + Duration::from_secs(50),
    };
    let what = snapshot.link.waits_for(now).unwrap();
    for item in &mut snapshot.items {
        if !item.state.is_ended() {
            item.state = client::ItemState::Waiting(what.clone());
        }
    }
    snapshot.items[0].state = client::ItemState::Cancelled;
    tick(&mut state, now, wall(), Sample::Client(snapshot));
    state
}

#[test]
fn connect_troubles() {
    taken(
        "connect-lost",
        linked(&Link::Retrying {
            attempt: 3,
            after: Duration::from_secs(4),
            reason: "connection refused".into(),
        }),
    );
    taken(
        "connect-down",
        linked(&Link::Down("no route to host".into())),
    );
    taken("connect-kicked", kicked());
    let facts = haul::app::connect::Facts::default();
    taken("connect-no-server", State::connect(facts, None, looks()));
    let mut failed = browsing();
    keys(&mut failed, "Enter");
    answer_list(
        &mut failed,
        path("/photos/"),
        Err("403 Forbidden: the server does not let you in".into()),
    );
    taken("connect-forbidden", failed);
}

#[test]
fn serve_panes() {
    taken("serve-empty", State::serve(serve_facts(), looks()));
    taken("serve-clients", serving());
    taken("serve-unfolded", after(serving(), "Enter j"));
    taken("serve-throughput", after(serving(), "2"));
    taken("serve-files", after(serving(), "3 j"));
    taken("serve-log", after(serving(), "4 k k"));
}

fn served(change: impl FnOnce(&mut server::Snapshot)) -> State {
    let mut state = serving();
    let haul::app::View::Serve(view) = &state.view else {
        panic!("a server")
    };
    let mut snapshot = view.snapshot.clone();
    change(&mut snapshot);
    let now = state.now.unwrap() + Duration::from_millis(100);
    tick(&mut state, now, wall(), Sample::Server(snapshot));
    state
}

#[test]
fn serve_states_and_boxes() {
    taken("serve-kick", after(serving(), "x"));
    taken("serve-client", after(serving(), "i"));
    taken("serve-qr", after(serving(), "Q"));
    taken("serve-quit", after(serving(), "q"));
    taken("serve-limit", typed(serving(), "limit a"));
    taken("serve-help", after(serving(), "? k i c k"));
    taken("serve-filter-empty", after(serving(), "/ x y z Enter"));
    taken(
        "serve-paused",
        served(|snapshot| {
            snapshot.clients[0].paused = true;
            snapshot.clients[0].limit = Some(haul::units::Rate(1 << 20));
            snapshot.limit = Some(haul::units::Rate(20 << 20));
        }),
    );
    taken(
        "serve-draining",
        served(|snapshot| snapshot.draining = true),
    );
}

#[test]
fn themes() {
    for (name, theme, ascii) in [
        ("light", ThemeName::Light, false),
        ("ansi", ThemeName::Ansi, false),
        ("mono", ThemeName::Mono, false),
        ("ascii", ThemeName::Dark, true),
    ] {
        for (what, mut state) in [("connect", downloading()), ("serve", serving())] {
            state.looks.theme = theme;
            if ascii {
                state.looks.glyphs = haul::app::GlyphSet::Ascii;
            }
            taken(&format!("{name}-{what}"), state);
        }
    }
}
