//! Below the remote directory's list: the current entry in detail, and how the server can be reached.

use ratatui::{buffer::Buffer, layout::Rect};

use super::{
    bars::at,
    text::{fill, put, put_right, shown},
    theme::Theme,
};
use crate::{
    app::{State, connect::Connect, here::Here},
    client::{ItemState, Link},
    entry::Entry,
    units,
};

/// The line below the list: date, size, digest, and what is here already.
pub fn detail(state: &State, theme: &Theme, view: &Connect, inner: Rect, buf: &mut Buffer) {
    let cells = usize::from(inner.width).saturating_sub(2);
    let (x, y) = (inner.x + 1, inner.bottom() - 1);
    let rule = Rect {
        x,
        y: y - 1,
        width: cells as u16,
        height: 1,
    };
    fill(buf, rule, theme.glyphs.horizontal, theme.border);
    let Some(entry) = view.remote.current() else {
        return;
    };
    let date = entry
        .modified
        .and_then(|time| jiff::Timestamp::try_from(time).ok());
    let mut facts = vec![date.map_or_else(
        || theme.glyphs.dash.to_owned(),
        |date| at(state, date, "%Y-%m-%d %H:%M"),
    )];
    let sum = view.remote.path_of(entry);
    let sum = sum.and_then(|dir| view.remote.sums.of(&dir));
    if entry.size.is_some() || sum.is_some() {
        facts.push(super::files::size(entry, sum, theme));
    }
    if let Some(hash) = &entry.blake3 {
        let hex = hash.to_hex();
        facts.push(format!(
            "blake3 {}{}{}",
            &hex[..4],
            theme.glyphs.ellipsis,
            &hex[62..]
        ));
    }
    if entry.is_dir {
        facts.push("directory".to_owned());
    }
    let here = here(view, entry, theme);
    let beside = super::text::width(&here) + 2;
    put(
        buf,
        x,
        y,
        cells.saturating_sub(beside),
        &facts.join("   "),
        theme.soft,
    );
    put_right(buf, (x, y), cells, &here, theme.good, theme);
}

/// How much of an entry is here: what runs tells it of itself, the disk all else.
fn here(view: &Connect, entry: &Entry, theme: &Theme) -> String {
    let Ok(path) = view.remote.path.join(&entry.name) else {
        return String::new();
    };
    let glyphs = theme.glyphs;
    let on_disk = view.remote.listing.here(view.remote.listing.cursor().at());
    let disk = match on_disk {
        Some(Here::Whole { .. }) => format!("here {}", glyphs.done),
        Some(Here::Part) => format!("a part here {}", glyphs.half),
        Some(Here::Other(_)) => "another here".to_owned(),
        Some(Here::Directory | Here::Nothing) | None => String::new(),
    };
    match view.item_for(&path) {
        None => disk,
        Some(item) => match item.state {
            ItemState::Finished(_) if on_disk.is_none() || entry.is_dir => {
                format!("here {}", glyphs.done)
            }
            ItemState::Finished(_) => disk,
            ItemState::Queued if item.done == 0 => "queued".to_owned(),
            _ => view
                .figures(item)
                .percent
                .map_or_else(String::new, |p| format!("have {p}%")),
        },
    }
}

/// Over the last row while the server cannot be reached: since when, and what happens next.
pub fn link(state: &State, theme: &Theme, view: &Connect, inner: Rect, buf: &mut Buffer) {
    let read = view
        .remote
        .read
        .map(|read| format!("listed {}", at(state, read, "%H:%M:%S")));
    let read = read.unwrap_or_default();
    let cells = usize::from(inner.width).saturating_sub(2);
    let beside = if cells >= 60 {
        super::text::width(&read) + 2
    } else {
        0
    };
    let glyphs = theme.glyphs;
    let (text, style) = match &view.snapshot.link {
        Link::Retrying {
            attempt,
            after,
            reason,
        } => {
            let waited = state.now.map(|now| view.waited(now)).unwrap_or_default();
            let left = after.saturating_sub(waited).as_secs_f64().ceil() as u64;
            let reason = shown(reason);
            (
                format!(
                    "{} reconnecting, try {attempt}, in {left} s · r now · {reason}",
                    glyphs.waiting
                ),
                theme.warn,
            )
        }
        Link::Kicked { reason, until } => {
            let left = state.now.map_or(0, |now| units::seconds_left(*until, now));
            let begin = format!("{} kicked by the server", glyphs.waiting);
            let end = format!(" · back in {left} s · r now");
            let taken = super::text::width(&begin) + super::text::width(&end) + 2 + beside;
            let room = cells.saturating_sub(taken);
            let reason = shown(reason);
            let reason = if reason.is_empty() || room < 3 {
                String::new()
            } else {
                format!(": {}", super::text::fit(&reason, room, theme))
            };
            (format!("{begin}{reason}{end}"), theme.warn)
        }
        Link::Asks(question) => (
            format!("{} {} · r asks again", glyphs.waiting, question.brief()),
            theme.warn,
        ),
        Link::Down(reason) | Link::Banned(reason) if view.remote.read.is_some() => (
            format!("{} {} · r tries again", glyphs.lost, shown(reason)),
            theme.bad,
        ),
        Link::Paused => (
            format!(
                "{} paused by the server: it goes on when that ends",
                glyphs.waiting
            ),
            theme.warn,
        ),
        _ => return,
    };
    let y = inner.bottom() - 1;
    fill(
        buf,
        Rect {
            y,
            height: 1,
            ..inner
        },
        " ",
        theme.ground,
    );
    let text = super::text::fit(&text, cells.saturating_sub(beside), theme);
    put(buf, inner.x + 1, y, cells, &text, style);
    if beside > 0 {
        put_right(buf, (inner.x + 1, y), cells, &read, theme.dim, theme);
    }
}
