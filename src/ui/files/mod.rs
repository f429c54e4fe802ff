//! A directory: the remote one with marks and details, the served one with its download counts.

mod columns;
mod words;

use std::time::Duration;

use ratatui::{buffer::Buffer, layout::Rect, style::Style};

use self::{
    columns::{AGE_WIDTH, COUNT_WIDTH, Columns},
    words::words,
};
use super::{
    bars::{centred, marked},
    frame::{Form, Frame, Slot, scrollbar},
    remote,
    text::{Part, add, put, put_right, shorten, shown},
    theme::Theme,
};
use crate::{
    app::{
        Pane, State, View,
        browser::{Browser, Load},
        here::Here,
        listing::{Row, SortKey},
        survey::Sum,
    },
    entry::Entry,
    units::{self, SIZE_WIDTH},
};

/// Cells of the remote directory's list.
pub fn remote_list(slot: Slot) -> Rect {
    let inner = slot.inner();
    let above = u16::from(inner.height >= 10);
    let below = if inner.height >= 7 { 2 } else { 0 };
    Rect {
        y: inner.y + above,
        height: inner.height - above - below,
        ..inner
    }
}

/// Cells of the served directory's list.
pub fn served_list(slot: Slot) -> Rect {
    let inner = slot.inner();
    let above = u16::from(inner.height >= 4);
    Rect {
        y: inner.y + above,
        height: inner.height - above,
        ..inner
    }
}

/// The key that the heading at a cell of the pane sorts by.
pub fn heading(pane: Pane, slot: Slot, x: u16, y: u16) -> Option<SortKey> {
    let (inner, served) = (slot.inner(), pane == Pane::Files);
    let list = if served {
        served_list(slot)
    } else {
        remote_list(slot)
    };
    let columns = Columns::new(list, served);
    let drawn = inner.width >= 12 && list.y > inner.y;
    (drawn && y == inner.y).then(|| columns.key_at(x)).flatten()
}

/// Draws the pane.
pub fn draw(state: &State, theme: &Theme, slot: Slot, buf: &mut Buffer) {
    let (pane, title, browser) = match &state.view {
        View::Connect(view) => (Pane::Remote, "Remote", &view.remote),
        View::Serve(view) => (Pane::Files, "Files", &view.files),
    };
    let listing = &browser.listing;
    let sort = listing.arrangement();
    let arrow = arrow(sort.descending, theme);
    let mut right = vec![(format!("{} {arrow}", sort.key.word()).into(), theme.dim)];
    if !sort.filter.is_empty() {
        let filter = format!("/{}  ", shorten(&shown(&sort.filter), 20, theme));
        right.insert(0, (filter.into(), theme.warn));
    }
    if slot.form == Form::Ruled {
        right.push(("  4".into(), theme.number));
        right.push((" Log".into(), theme.dim));
    }
    let of = match &state.view {
        View::Serve(view) if browser.path.is_root() => shown(&view.facts.root).into_owned(),
        View::Serve(view) => format!(
            "{}/{}",
            shown(&view.facts.root),
            shown(browser.path.trimmed())
        ),
        View::Connect(_) => format!("/{}", shown(browser.path.trimmed())),
    };
    let frame = Frame {
        number: state.number(pane),
        title,
        of: of.into(),
        right,
        bottom_left: waiting(state, browser, theme),
        bottom_right: Some(footer(pane, browser, theme))
            .filter(|footer| !footer.is_empty())
            .map(|footer| (footer.into(), theme.dim))
            .into_iter()
            .collect(),
        focused: state.focus == pane,
    };
    let inner = frame.draw(slot, theme, buf);
    if inner.width < 12 || inner.height == 0 {
        return;
    }
    let list = if pane == Pane::Remote {
        remote_list(slot)
    } else {
        served_list(slot)
    };
    let columns = Columns::new(list, pane == Pane::Files);
    if list.y > inner.y {
        columns.heading(inner.y, sort.key, arrow, theme, buf);
    }
    rows(state, theme, browser, (pane, list, &columns), buf);
    if let View::Connect(view) = &state.view {
        if list.bottom() < inner.bottom() {
            remote::detail(state, theme, view, inner, buf);
        }
        remote::link(state, theme, view, inner, buf);
    }
}

fn arrow(descending: bool, theme: &Theme) -> &'static str {
    if descending {
        theme.glyphs.falling
    } else {
        theme.glyphs.rising
    }
}

/// Where the cursor is, how much is marked; for the served directory which rows are in the window.
fn footer(pane: Pane, browser: &Browser, theme: &Theme) -> String {
    if browser.is_unlisted() {
        return marked(browser, theme);
    }
    let listing = &browser.listing;
    let (shown, all) = listing.counts();
    let count = |n: usize| units::count(n as u64);
    // What begins with a dot is not counted as missing.
    let of = if listing.arrangement().filter.is_empty() {
        count(shown)
    } else if shown == all {
        count(all)
    } else {
        format!("{} of {}", count(shown), count(all))
    };
    if pane == Pane::Files {
        let window = listing.cursor().window(listing.len());
        return if shown == 0 {
            of
        } else {
            format!("{}-{}/{of}", count(window.start + 1), count(window.end))
        };
    }
    let place = if shown == 0 {
        of
    } else {
        format!("{}/{of}", count(listing.place()))
    };
    match marked(browser, theme) {
        marked if marked.is_empty() => place,
        marked => format!("{place} {} {marked}", theme.glyphs.dot),
    }
}

/// What is waited for, and how long, once it takes longer than a moment; or what is counted.
fn waiting(state: &State, browser: &Browser, theme: &Theme) -> Vec<Part<'static>> {
    let turn = |waited: Duration| {
        let frames = theme.glyphs.spinner;
        frames[(waited.as_millis() / 450) as usize % frames.len()]
    };
    let (Load::Loading(path), Some(waited)) = (&browser.load, browser.waited(state.now)) else {
        let Some((done, of, since)) = browser.sums.counting() else {
            return Vec::new();
        };
        let waited = state.now.zip(since);
        let waited = waited.map_or(Duration::ZERO, |(now, since)| now.duration_since(since));
        let (done, of) = (units::count(done as u64), units::count(of as u64));
        let text = format!("{} counted {done} of {of} · * ends it", turn(waited));
        return vec![(text.into(), theme.warn)];
    };
    let turn = turn(waited);
    let path = shorten(&shown(path.trimmed()), 30, theme).into_owned();
    vec![(
        format!("{turn} listing /{path} {} s", waited.as_secs()).into(),
        theme.warn,
    )]
}

fn rows(
    state: &State,
    theme: &Theme,
    browser: &Browser,
    (pane, list, columns): (Pane, Rect, &Columns),
    buf: &mut Buffer,
) {
    if list.height == 0 {
        return;
    }
    let listing = &browser.listing;
    let old = is_stale(state);
    let words = words(state, theme, browser);
    let only_words = browser.is_unlisted() || browser.read.is_none();
    let window = listing.cursor().window(listing.len());
    let shown = if only_words { 0..0 } else { window.clone() };
    for (i, row) in shown.clone().enumerate() {
        let y = add(list.y, i);
        if y >= list.bottom() {
            break;
        }
        let Some(entry) = listing.row(row) else { break };
        let current = row == listing.cursor().at();
        draw_row(state, theme, columns, (y, entry, old), buf);
        if let Row::Entry(_, false) = entry {
            on_disk(listing.here(row), theme, (columns.row.x, y), buf);
        }
        let focused = state.focus == pane;
        // Where nothing acts on the current row from another pane, it need not be seen from there.
        if current && (focused || pane == Pane::Remote) {
            select(
                buf,
                Rect {
                    y,
                    height: 1,
                    ..columns.row
                },
                focused,
                theme,
            );
        }
    }
    if !words.is_empty() {
        let skip = shown.len() as u16;
        let rest = Rect {
            y: list.y + skip.min(list.height),
            height: list.height.saturating_sub(skip),
            ..list
        };
        centred(buf, rest, &words, theme);
    } else if !only_words {
        scrollbar(buf, list, &window, listing.len(), theme);
    }
}

/// Whether what is listed may have changed: the server cannot be reached.
fn is_stale(state: &State) -> bool {
    match &state.view {
        View::Connect(view) => view.snapshot.link.is_lost(),
        View::Serve(_) => false,
    }
}

/// The size of an entry: a directory's as far as it was counted, as a lower bound where that is not all.
pub fn size(entry: &Entry, sum: Option<Sum>, theme: &Theme) -> String {
    match (entry.size, sum) {
        (Some(size), _) => units::size(size),
        (None, Some(sum)) if sum.more && sum.bytes > 0 => {
            format!("{}{}", theme.glyphs.at_least, units::size(sum.bytes))
        }
        (None, Some(sum)) if !sum.more => units::size(sum.bytes),
        (None, _) => theme.glyphs.dash.to_owned(),
    }
}

/// In the column of marks: what the disk has of an entry already.
fn on_disk(here: Option<Here>, theme: &Theme, (x, y): (u16, u16), buf: &mut Buffer) {
    let (glyph, style) = match here {
        Some(Here::Whole { .. }) => (theme.glyphs.done, theme.good),
        Some(Here::Part) => (theme.glyphs.half, theme.warn),
        _ => return,
    };
    put(buf, add(x, 1), y, 1, glyph, style);
}

fn draw_row(
    state: &State,
    theme: &Theme,
    columns: &Columns,
    (y, row, old): (u16, Row<'_>, bool),
    buf: &mut Buffer,
) {
    let (x, cells) = columns.name;
    let (entry, marked) = match row {
        Row::Parent => {
            put(buf, x, y, cells, "..", theme.accent);
            return;
        }
        Row::Entry(entry, marked) => (entry, marked),
    };
    let fade = |style: Style| if old { theme.faint } else { style };
    if marked {
        put(
            buf,
            add(columns.row.x, 1),
            y,
            1,
            theme.glyphs.mark,
            theme.number,
        );
    }
    let name = shown(&entry.name);
    if entry.is_dir {
        let name = format!("{}/", shorten(&name, cells.saturating_sub(1), theme));
        put(buf, x, y, cells, &name, fade(theme.accent));
    } else {
        put(
            buf,
            x,
            y,
            cells,
            &shorten(&name, cells, theme),
            fade(theme.text),
        );
    }
    let sum = match &state.view {
        View::Connect(view) if entry.is_dir => view
            .remote
            .path_of(entry)
            .and_then(|dir| view.remote.sums.of(&dir)),
        _ => None,
    };
    let size = size(entry, sum, theme);
    put_right(
        buf,
        // A lower bound takes a cell of the gap before the column.
        (columns.size - 1, y),
        SIZE_WIDTH + 1,
        &size,
        fade(theme.soft),
        theme,
    );
    if let Some(age) = age(state, entry) {
        put_right(
            buf,
            (columns.age, y),
            AGE_WIDTH,
            &age,
            fade(theme.dim),
            theme,
        );
    }
    if let (Some(at), View::Serve(view)) = (columns.count, &state.view) {
        let path = view.files.path_of(entry);
        let count = path
            .and_then(|path| view.downloads.get(&path).copied())
            .unwrap_or(0);
        let style = if count == 0 { theme.faint } else { theme.text };
        let text = if count == 0 && entry.is_dir {
            theme.glyphs.dash.to_owned()
        } else {
            units::count(count)
        };
        put_right(buf, (at, y), COUNT_WIDTH, &text, style, theme);
    }
}

/// Marks a row as the current one; strongly where the pane has the keys.
pub fn select(buf: &mut Buffer, row: Rect, focused: bool, theme: &Theme) {
    let row = row.intersection(*buf.area());
    if row.is_empty() {
        return;
    }
    if focused {
        buf.set_style(row, theme.selected);
        // What is faint would be lost on the row's ground.
        for position in row.positions() {
            let cell = &mut buf[position];
            if theme.selected.bg == Some(cell.fg) {
                cell.set_style(theme.text);
            } else if theme.faint.fg == Some(cell.fg) {
                cell.set_style(theme.dim);
            }
        }
    }
    let bar = if focused { theme.focused } else { theme.border };
    let ground = if focused {
        theme.selected
    } else {
        Style::new()
    };
    put(
        buf,
        row.x,
        row.y,
        1,
        theme.glyphs.current,
        ground.patch(bar),
    );
}

fn age(state: &State, entry: &Entry) -> Option<String> {
    let now = std::time::SystemTime::from(state.wall?);
    // A clock that is behind the server's makes nothing younger than now.
    let age = now.duration_since(entry.modified?).unwrap_or_default();
    Some(units::age(age))
}
