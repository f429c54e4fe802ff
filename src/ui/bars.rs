//! The lines above and below the panes: header and status.

use std::time::Duration;

use ratatui::{buffer::Buffer, layout::Rect, style::Style};

use super::{
    text::{
        Part, add, fill, folded, parts_width, put, put_parts, put_right, shorten, shown, width,
    },
    theme::Theme,
};
use crate::{
    app::{Popup, State, View, connect::Connect, prompt::Kind},
    client::Link,
    tls::Fingerprint,
    units,
};

/// The whole screen where there is no room for panes.
pub fn too_small(state: &State, theme: &Theme, area: Rect, least: (u16, u16), buf: &mut Buffer) {
    if area.is_empty() {
        return;
    }
    let what = match &state.view {
        View::Connect(view) => match view.percent() {
            Some(percent) if !view.running().is_empty() => format!(" · transferring {percent}%"),
            _ => String::new(),
        },
        View::Serve(view) => match view.busy() {
            (0, _) => String::new(),
            (busy, _) => format!(" · {busy} active"),
        },
    };
    let text = if let Some(Popup::Quit(running)) = &state.popup {
        format!("quit while {} run? y n", running.len())
    } else {
        format!(
            "too small: {}×{}, needs {}×{}{what} · q quits",
            area.width, area.height, least.0, least.1
        )
    };
    put(
        buf,
        area.x,
        area.y,
        usize::from(area.width),
        &text,
        theme.warn,
    );
}

/// Mode, state, address, and what may stand beside them where there is room.
pub fn header(state: &State, theme: &Theme, area: Rect, buf: &mut Buffer) {
    fill(buf, area, " ", theme.header);
    let cells = usize::from(area.width);
    let on = |style: Style| theme.header.patch(style);
    let roomy = cells >= 100;
    let clock = clock(state, if roomy { "%H:%M:%S" } else { "%H:%M" });
    let facts = match &state.view {
        View::Serve(_) => serve_facts(state, theme),
        View::Connect(_) => connect_facts(state, theme),
    };
    let badge = format!(" {} ", facts.badge);
    let mut free = cells
        .saturating_sub(width(&badge) + 3)
        .saturating_sub(width(&clock) + 3);
    // The scheme goes before the address has to be shortened.
    let whole = if width(&facts.url) <= free {
        facts.url.as_str()
    } else {
        facts.url.trim_start_matches("http://")
    };
    let url = shorten(whole, free, theme);
    free = free.saturating_sub(width(&url));
    let (mut left, mut right) = (Vec::new(), Vec::new());
    for fact in facts.beside {
        let taken = width(&fact.text) + 2;
        if fact.text.is_empty() || taken > free {
            continue;
        }
        free -= taken;
        let part: Part<'_> = (format!("  {}", fact.text).into(), on(fact.style));
        if fact.right {
            right.push((fact.place, part));
        } else {
            left.push((fact.place, part));
        }
    }
    let sorted = |mut parts: Vec<(u8, Part<'static>)>| {
        parts.sort_by_key(|(place, _)| *place);
        parts.into_iter().map(|(_, part)| part).collect::<Vec<_>>()
    };
    let (left, mut right) = (sorted(left), sorted(right));
    right.push((format!("  {clock} ").into(), on(theme.soft)));
    let mut x = put(buf, area.x, area.y, cells, &badge, theme.badge);
    x = put(buf, add(x, 1), area.y, cells, facts.glyph, on(facts.style));
    x = put(buf, add(x, 1), area.y, cells, &url, on(facts.style));
    put_parts(
        buf,
        x,
        area.y,
        usize::from(area.right().saturating_sub(x)),
        &left,
    );
    let taken = parts_width(&right).min(cells);
    put_parts(buf, add(area.x, cells - taken), area.y, taken, &right);
}

/// What the header says, the most important first.
struct Facts {
    badge: &'static str,
    glyph: &'static str,
    style: Style,
    url: String,
    beside: Vec<Fact>,
}

struct Fact {
    text: String,
    style: Style,
    right: bool,
    /// From the left on its side.
    place: u8,
}

fn fact(text: String, style: Style, right: bool, place: u8) -> Fact {
    Fact {
        text,
        style,
        right,
        place,
    }
}

fn serve_facts(state: &State, theme: &Theme) -> Facts {
    let View::Serve(view) = &state.view else {
        return nothing(theme);
    };
    let roomy = state.layout.size.0 >= WIDE_OPEN;
    let open = match (view.facts.open, roomy) {
        (false, _) => "",
        (true, true) => "open to anyone who can reach it",
        (true, false) => "open to anyone",
    };
    let clients = match view
        .snapshot
        .clients
        .iter()
        .filter(|c| c.connections > 0)
        .count()
    {
        1 => "1 client".to_owned(),
        n => format!("{} clients", units::count(n as u64)),
    };
    let (glyph, style, open) = if view.snapshot.gone.is_some() {
        (
            theme.glyphs.failed,
            theme.bad,
            "the directory is not there: nothing is served",
        )
    } else if view.snapshot.draining {
        (
            theme.glyphs.waiting,
            theme.warn,
            "draining: takes no one new",
        )
    } else {
        (theme.glyphs.up, theme.good, open)
    };
    Facts {
        badge: "haul serve",
        glyph,
        style,
        url: view
            .facts
            .urls
            .first()
            .map(|url| shown(url.trim_end_matches('/')).into_owned())
            .unwrap_or_default(),
        beside: vec![
            fact(open.to_owned(), theme.warn, false, 1),
            fact(clients, theme.soft, true, 0),
            fact(shown(view.root()).into_owned(), theme.text, false, 0),
            fact(tls(view.facts.fingerprint), theme.soft, false, 2),
            fact(uptime(state, view.since), theme.soft, true, 1),
        ],
    }
}

/// `tls 9F:3A…C1`: enough to compare at a glance; the log has all of it.
fn tls(certificate: Option<Fingerprint>) -> String {
    certificate.map_or_else(String::new, |shown| format!("tls {}", shown.short()))
}

/// From here the header says in full who can reach the server.
const WIDE_OPEN: u16 = 100;

fn connect_facts(state: &State, theme: &Theme) -> Facts {
    let View::Connect(view) = &state.view else {
        return nothing(theme);
    };
    let (glyph, style) = match (&view.url, &view.snapshot.link) {
        (None, _) | (_, Link::Connecting) => (theme.glyphs.waiting, theme.dim),
        (_, Link::Up) => (theme.glyphs.up, theme.good),
        (_, Link::Retrying { .. } | Link::Paused | Link::Kicked { .. } | Link::Asks(_)) => {
            (theme.glyphs.waiting, theme.warn)
        }
        (_, Link::Down(_) | Link::Banned(_)) => (theme.glyphs.lost, theme.bad),
    };
    let url = match &view.url {
        Some(url) => shown(url.as_str().trim_end_matches('/')).into_owned(),
        None => "no server yet".to_owned(),
    };
    // A connection is made only once the certificate was believed.
    let believed = match view.snapshot.certificate {
        None => String::new(),
        shown => format!("{} {}", tls(shown), theme.glyphs.done),
    };
    let rtt = view.snapshot.rtt.filter(|_| view.snapshot.link == Link::Up);
    let rtt = rtt.map(|rtt| format!("rtt {:.1} ms", rtt.as_secs_f64() * 1000.0));
    let dir = view.dir();
    let dir = match view
        .facts
        .home
        .as_ref()
        .and_then(|home| dir.strip_prefix(home).ok())
    {
        Some(rest) if rest.as_os_str().is_empty() => "~".to_owned(),
        Some(rest) => format!("~/{}", rest.to_string_lossy()),
        None => dir.to_string_lossy().into_owned(),
    };
    let dir = shorten(&shown(&dir), 30, theme).into_owned();
    Facts {
        badge: "haul connect",
        glyph,
        style,
        url,
        beside: vec![
            fact(kicked(state, view), theme.warn, false, 1),
            fact(
                view.facts
                    .user
                    .as_deref()
                    .map(|user| shorten(&shown(user), 20, theme).into_owned())
                    .unwrap_or_default(),
                theme.text,
                false,
                1,
            ),
            fact(believed, theme.soft, false, 0),
            fact(format!("{} {dir}", theme.glyphs.into), theme.soft, true, 1),
            fact(rtt.unwrap_or_default(), theme.soft, true, 0),
        ],
    }
}

/// How long the server refuses this client; the reason stands in the panes.
fn kicked(state: &State, view: &Connect) -> String {
    match (&view.snapshot.link, state.now) {
        (Link::Kicked { until, .. }, Some(now)) => {
            format!("kicked: back in {} s", units::seconds_left(*until, now))
        }
        _ => String::new(),
    }
}

fn nothing(theme: &Theme) -> Facts {
    Facts {
        badge: "haul",
        glyph: theme.glyphs.waiting,
        style: theme.dim,
        url: String::new(),
        beside: Vec::new(),
    }
}

fn uptime(state: &State, since: Option<std::time::Instant>) -> String {
    let (Some(now), Some(since)) = (state.now, since) else {
        return String::new();
    };
    let whole = now.saturating_duration_since(since).as_secs();
    format!("up {}", units::eta(Some(Duration::from_secs(whole))))
}

/// The local time.
pub fn clock(state: &State, format: &str) -> String {
    state
        .wall
        .map_or_else(String::new, |wall| at(state, wall, format))
}

/// A moment in local time.
pub fn at(state: &State, time: jiff::Timestamp, format: &str) -> String {
    let zoned = time.to_zoned(state.looks.zone.clone());
    zoned.strftime(format).to_string()
}

/// What is chosen, and the rate: always in sight.
pub fn status(state: &State, theme: &Theme, area: Rect, buf: &mut Buffer) {
    if area.is_empty() {
        return;
    }
    let mut parts: Vec<Part<'_>> = Vec::new();
    if let View::Connect(view) = &state.view {
        let marked = marked(&view.remote, theme);
        if !marked.is_empty() {
            parts.push((format!("{marked}   ").into(), theme.soft));
        }
        if let Some(percent) = view.percent() {
            parts.push((
                format!("{} {percent}%   ", theme.glyphs.sum).into(),
                theme.soft,
            ));
        }
        if let Some(free) = view.free {
            let style = if view.unplaced() > free {
                theme.bad
            } else {
                theme.soft
            };
            parts.push((format!("{} free   ", units::size(free)).into(), style));
        }
    }
    if let View::Serve(view) = &state.view {
        let limit = match view.snapshot.limit {
            Some(rate) => format!("limit all {rate}   "),
            None => "limit all off   ".to_owned(),
        };
        parts.push((limit.into(), theme.soft));
    }
    if let View::Connect(view) = &state.view
        && let Some(rate) = view.snapshot.limit
    {
        parts.push((format!("limit {rate}   ").into(), theme.soft));
    }
    let rate = units::rate(state.throughput.now());
    let arrow = super::throughput::arrow(state, theme);
    parts.push((format!("{arrow} ").into(), theme.graph));
    parts.push((format!("{rate:>10} ").into(), theme.soft));
    let mode = match &state.prompt {
        Some(prompt) => match prompt.kind {
            Kind::Command => "COMMAND",
            Kind::Filter(_) => "FILTER",
            Kind::Address => "ADDRESS",
            Kind::User | Kind::Password => "LOGIN",
        },
        None if state.zoomed => "ZOOM",
        None => match &state.view {
            View::Connect(view) if view.remote.listing.in_range() => "RANGE",
            _ => "",
        },
    };
    let column = super::prompt::usage_column(area);
    put(buf, column, area.y, 20, mode, theme.accent);
    let taken = parts_width(&parts).min(usize::from(area.width));
    put_parts(
        buf,
        add(area.x, usize::from(area.width) - taken),
        area.y,
        taken,
        &parts,
    );
}

/// `3 marked ≥ 4.5 GiB`; at least that where the size of something is not known.
pub fn marked(browser: &crate::app::browser::Browser, theme: &Theme) -> String {
    let count = browser.marked_count();
    if count == 0 {
        return String::new();
    }
    let (bytes, more) = browser.marked_size();
    let size = match (bytes, more) {
        (0, true) => String::new(),
        (bytes, true) => format!(" {}{}", theme.glyphs.at_least, units::size(bytes)),
        (bytes, false) => format!(" {}", units::size(bytes)),
    };
    format!("{} marked{size}", units::count(count as u64))
}

/// Text in the middle of an area; a line that is too long goes on in the next, a word that is too long is shortened.
pub fn centred(buf: &mut Buffer, area: Rect, lines: &[(String, Style)], theme: &Theme) {
    let cells = usize::from(area.width).saturating_sub(2);
    let folded = lines
        .iter()
        .flat_map(|(text, style)| folded(text, cells).into_iter().map(move |row| (row, style)));
    let lines: Vec<_> = folded.collect();
    let shown = lines.len().min(usize::from(area.height));
    let top = usize::from(area.height).saturating_sub(shown) / 2;
    for (i, (text, style)) in lines.iter().take(shown).enumerate() {
        let taken = width(text).min(cells);
        let x = add(area.x, 1 + (cells - taken) / 2);
        put_right(buf, (x, add(area.y, top + i)), taken, text, **style, theme);
    }
}
