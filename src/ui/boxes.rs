//! Boxes that are lists: what is marked, what a search finds, bookmarks and servers.

use ratatui::{buffer::Buffer, layout::Rect, style::Style};

use super::{
    files::select,
    frame::{Form, Frame, Slot, scrollbar},
    popup::{clear, middle},
    text::{Part, add, fit, put, put_right, shorten, shown, width},
    theme::Theme,
};
use crate::{
    app::{
        Popup, State, View,
        connect::Connect,
        cursor::Cursor,
        search::{Search, progress},
        servers::Servers,
    },
    entry::Entry,
    http1::path::RemotePath,
};

/// The whole box.
pub fn place(area: Rect) -> Slot {
    Slot {
        area: middle(area, 78, area.height.saturating_sub(4).clamp(7, 30)),
        form: Form::Boxed,
    }
}

/// Cells of the list: a line above it, one below.
pub fn list(area: Rect) -> Rect {
    let inner = place(area).inner();
    Rect {
        y: inner.y + 1,
        height: inner.height.saturating_sub(2),
        ..inner
    }
}

/// What keys do in the box that is open, in the lower border; nothing where it is no list.
pub fn hints(state: &State) -> &'static str {
    match &state.popup {
        Some(Popup::Marks(_)) => "Enter goes there · x unmarks · X all · Esc closes",
        Some(Popup::Search(_)) => "Enter goes there · Space marks · Esc closes",
        Some(Popup::Servers(_)) if state.prompt.is_some() => "Enter goes there · Esc closes",
        Some(Popup::Servers(_)) => "Enter goes there · r listens again · Esc closes",
        Some(Popup::Places(_)) if state.prompt.is_some() => {
            "Enter goes there · Del removes · Esc closes"
        }
        Some(Popup::Places(_)) => "Enter goes there · x removes · Esc closes",
        _ => "",
    }
}

/// A row of a box.
struct Row<'a> {
    left: Vec<Part<'a>>,
    right: String,
}

/// A box: its borders, the line above its list, the list, and the line below.
struct Listed<'a> {
    title: &'a str,
    keys: &'a str,
    above: Part<'a>,
    below: Part<'a>,
    cursor: &'a Cursor,
    len: usize,
}

impl Listed<'_> {
    fn draw<'r>(
        &self,
        theme: &Theme,
        area: Rect,
        row: impl Fn(usize, usize) -> Option<Row<'r>>,
        buf: &mut Buffer,
    ) {
        let slot = place(area);
        clear(buf, slot.area, theme);
        let frame = Frame {
            title: self.title,
            bottom_right: vec![(self.keys.into(), theme.dim)],
            focused: true,
            ..Frame::default()
        };
        let inner = frame.draw(slot, theme, buf);
        if inner.is_empty() {
            return;
        }
        let cells = usize::from(inner.width).saturating_sub(3);
        let (x, list) = (inner.x + 2, list(area));
        let line = |y: u16, (text, style): &Part<'_>, buf: &mut Buffer| {
            put(buf, x, y, cells, &fit(text, cells, theme), *style);
        };
        line(inner.y, &self.above, buf);
        line(inner.bottom() - 1, &self.below, buf);
        let window = self.cursor.window(self.len);
        for (i, index) in window.clone().enumerate() {
            let y = add(list.y, i);
            let Some(row) = row(index, cells).filter(|_| y < list.bottom()) else {
                break;
            };
            let mut at = x;
            let room = cells.saturating_sub(width(&row.right) + 1);
            for (text, style) in &row.left {
                let left = room.saturating_sub(usize::from(at - x));
                at = put(buf, at, y, left, &fit(text, left, theme), *style);
            }
            put_right(buf, (x, y), cells, &row.right, theme.soft, theme);
            if index == self.cursor.at() {
                let line = Rect {
                    y,
                    height: 1,
                    ..list
                };
                select(buf, line, true, theme);
            }
        }
        scrollbar(buf, list, &window, self.len, theme);
    }
}

/// A path with its directory dimmed, in at most `cells`.
fn path<'a>(dir: &[u8], name: &[u8], is_dir: bool, cells: usize, theme: &Theme) -> Vec<Part<'a>> {
    let slash = if is_dir { "/" } else { "" };
    let name = format!("{}{slash}", shown(name));
    let name = shorten(&name, cells, theme).into_owned();
    let dir = format!("/{}", shown(dir));
    let room = cells.saturating_sub(width(&name));
    let dir = if room > 3 {
        shorten(&dir, room, theme).into_owned()
    } else {
        String::new()
    };
    let style: Style = if is_dir { theme.accent } else { theme.text };
    vec![(dir.into(), theme.dim), (name.into(), style)]
}

/// Draws the box that is open, if it is a list.
pub fn draw(state: &State, theme: &Theme, area: Rect, buf: &mut Buffer) {
    match &state.popup {
        Some(Popup::Marks(cursor)) => marks(state, cursor, theme, area, buf),
        Some(Popup::Search(found)) => search(state, found, theme, area, buf),
        Some(Popup::Servers(found)) => servers(state, found, theme, area, buf),
        Some(Popup::Places(cursor)) => places(state, cursor, theme, area, buf),
        _ => {}
    }
}

/// What is marked, in all directories.
fn marks(state: &State, cursor: &Cursor, theme: &Theme, area: Rect, buf: &mut Buffer) {
    let View::Connect(view) = &state.view else {
        return;
    };
    let marks = view.remote.marks();
    let above = super::bars::marked(&view.remote, theme);
    let listed = Listed {
        title: "Marks",
        keys: hints(state),
        above: (above.into(), theme.strong),
        below: ("".into(), theme.dim),
        cursor,
        len: marks.len(),
    };
    let row = |index: usize, cells: usize| {
        let (dir, entry) = marks.get(index)?;
        let right = size(view, dir, entry, theme);
        let room = cells.saturating_sub(width(&right) + 2);
        Some(Row {
            left: path(dir.as_bytes(), &entry.name, entry.is_dir, room, theme),
            right,
        })
    };
    listed.draw(theme, area, row, buf);
}

/// The size of an entry of any directory; of a directory as far as it was counted.
fn size(view: &Connect, dir: &RemotePath, entry: &Entry, theme: &Theme) -> String {
    let path = dir.join(&entry.name).ok().filter(|_| entry.is_dir);
    let sum = path.and_then(|path| view.remote.sums.of(&path.into_dir()));
    super::files::size(entry, sum, theme)
}

/// What a search finds.
fn search(state: &State, search: &Search, theme: &Theme, area: Rect, buf: &mut Buffer) {
    let View::Connect(view) = &state.view else {
        return;
    };
    let title = format!("Search in /{}", shown(search.root.trimmed()));
    let title = shorten(&title, 60, theme);
    let above: Part<'_> = if search.query().is_empty() {
        ("  type letters of the name or path".into(), theme.faint)
    } else {
        let query = shown(search.query()).into_owned();
        (query.into(), theme.strong)
    };
    let below = match search.end() {
        None => (progress(search), theme.warn),
        Some(extent) if extent.lacks().is_some() => (progress(search), theme.bad),
        Some(_) => (progress(search), theme.dim),
    };
    let listed = Listed {
        title: &title,
        keys: hints(state),
        above,
        below: (below.0.into(), below.1),
        cursor: &search.cursor,
        len: search.len(),
    };
    let row = |index: usize, cells: usize| {
        let (dir, entry) = search.hit(index)?;
        let right = size(view, dir, entry, theme);
        let room = cells.saturating_sub(width(&right) + 4);
        let marked = view.remote.is_marked(dir, &entry.name);
        let mark = if marked { theme.glyphs.mark } else { " " };
        let mut left: Vec<Part<'_>> = vec![(format!("{mark} ").into(), theme.number)];
        left.extend(path(dir.as_bytes(), &entry.name, entry.is_dir, room, theme));
        Some(Row { left, right })
    };
    listed.draw(theme, area, row, buf);
    let inner = place(area).inner();
    let at = add(inner.x + 2, width(&shown(search.query())));
    if at + 1 < inner.right() {
        put(buf, at, inner.y, 1, " ", theme.cursor);
    }
}

/// Servers that are heard, and those that were used before.
fn servers(state: &State, found: &Servers, theme: &Theme, area: Rect, buf: &mut Buffer) {
    let known = found.known.as_deref();
    let above: Part<'_> = match known {
        None => ("listening".into(), theme.warn),
        Some([]) => (
            "nobody says so, and none was used before".into(),
            theme.text,
        ),
        Some(_) if state.prompt.is_some() => ("where to go, or type an address".into(), theme.dim),
        Some(_) => ("where to go".into(), theme.dim),
    };
    let listed = Listed {
        title: "Servers",
        keys: hints(state),
        above,
        below: (
            "what a server says of itself proves nothing".into(),
            theme.dim,
        ),
        cursor: &found.cursor,
        len: found.rows(),
    };
    let row = |index: usize, cells: usize| {
        let server = known?.get(index)?;
        let right = match server.connect_ms {
            Some(took) => format!("{took} ms"),
            None => "cannot be reached".to_owned(),
        };
        let room = cells.saturating_sub(width(&right) + 2);
        let url = shorten(&shown(&server.url), room, theme).into_owned();
        let room = room.saturating_sub(width(&url) + 2);
        let nameless = if server.used {
            "used before"
        } else {
            "this machine"
        };
        let name = server.name.as_deref().unwrap_or(nameless);
        let name = shorten(&shown(name), room, theme).into_owned();
        let style = if server.reachable {
            theme.text
        } else {
            theme.faint
        };
        let mut left: Vec<Part<'_>> = vec![(url.into(), style)];
        if room > 3 {
            left.push((format!("  {name}").into(), theme.dim));
        }
        Some(Row { left, right })
    };
    listed.draw(theme, area, row, buf);
}

/// Bookmarks, and servers that were used before.
fn places(state: &State, cursor: &Cursor, theme: &Theme, area: Rect, buf: &mut Buffer) {
    let places = state.places();
    let asked = state.prompt.is_some();
    let above = if asked {
        "where to go, or type an address"
    } else {
        "where to go"
    };
    let listed = Listed {
        title: "Bookmarks and servers",
        keys: hints(state),
        above: (above.into(), theme.dim),
        below: ("b in Remote bookmarks its directory".into(), theme.dim),
        cursor,
        len: places.len(),
    };
    let row = |index: usize, cells: usize| {
        let place = places.get(index)?;
        let (right, style) = match place.bookmark {
            Some(_) => ("bookmark", theme.accent),
            None => ("server", theme.text),
        };
        let url = place.shown();
        let url = shorten(&shown(&url), cells.saturating_sub(width(right) + 2), theme).into_owned();
        Some(Row {
            left: vec![(url.into(), style)],
            right: right.to_owned(),
        })
    };
    listed.draw(theme, area, row, buf);
}
