//! Who takes what: a row a client, and below an unfolded one a row a file.

mod columns;

use ratatui::{buffer::Buffer, layout::Rect, style::Style};

use self::columns::Columns;
use super::{
    bars::{at, centred},
    files::select,
    frame::{Frame, Slot, scrollbar},
    text::{Part, add, fit, shorten, shown},
    theme::Theme,
};
use crate::{
    app::{
        Pane, State, View,
        serve::{ClientSort, Serve},
    },
    units,
};

/// Cells of the list.
pub fn list(slot: Slot) -> Rect {
    let inner = slot.inner();
    let above = u16::from(inner.height >= 4);
    Rect {
        y: inner.y + above,
        height: inner.height - above,
        ..inner
    }
}

/// Draws the pane.
pub fn draw(state: &State, theme: &Theme, slot: Slot, buf: &mut Buffer) {
    let View::Serve(view) = &state.view else {
        return;
    };
    let window = view.cursor().window(view.rows.len());
    let wide = slot.area.width >= 100;
    let frame = Frame {
        number: state.number(Pane::Clients),
        title: "Clients",
        right: title(view, theme),
        bottom_left: if wide {
            Vec::new()
        } else {
            detail(state, view, theme)
        },
        bottom_right: if wide && !view.rows.is_empty() {
            let of = units::count(view.rows.len() as u64);
            vec![(
                format!("{}-{}/{of}", window.start + 1, window.end).into(),
                theme.dim,
            )]
        } else {
            Vec::new()
        },
        focused: state.focus == Pane::Clients,
        ..Frame::default()
    };
    let inner = frame.draw(slot, theme, buf);
    if inner.width < 20 || inner.height == 0 {
        return;
    }
    if view.rows.is_empty() {
        centred(buf, inner, &words(view, theme), theme);
        return;
    }
    let list = list(slot);
    let columns = Columns::new(list);
    if list.y > inner.y {
        columns.heading(inner.y, view, theme, buf);
    }
    for (i, row) in view.rows[window.clone()].iter().enumerate() {
        let y = add(list.y, i);
        if y >= list.bottom() {
            break;
        }
        columns.row(y, row, theme, buf);
        if window.start + i == view.cursor().at() && state.focus == Pane::Clients {
            let line = Rect {
                y,
                height: 1,
                ..list
            };
            select(buf, line, true, theme);
        }
    }
    scrollbar(buf, list, &window, view.rows.len(), theme);
}

/// `4 active · 1 stalled · sort rate ↓`.
fn title(view: &Serve, theme: &Theme) -> Vec<Part<'static>> {
    let (active, stalled) = view.busy();
    let counts = [(active, "active"), (stalled, "stalled")];
    let counts = counts.into_iter().filter(|(count, _)| *count > 0);
    let mut texts: Vec<_> = counts
        .map(|(count, word)| format!("{} {word}", units::count(count as u64)))
        .collect();
    texts.push(format!("sort {} {}", view.sort.word(), arrow(view, theme)));
    let mut parts = vec![(texts.join(" · ").into(), theme.dim)];
    if !view.filter.is_empty() {
        let filter = format!("/{}  ", shorten(&shown(&view.filter), 20, theme));
        parts.insert(0, (filter.into(), theme.warn));
    }
    parts
}

/// Rates and amounts stand largest first, names and times smallest first, unless turned round.
fn arrow(view: &Serve, theme: &Theme) -> &'static str {
    let falls = matches!(view.sort, ClientSort::Rate | ClientSort::Sent);
    if falls == view.reversed {
        theme.glyphs.rising
    } else {
        theme.glyphs.falling
    }
}

/// What has no column where it is narrow, of the client under the cursor.
fn detail(state: &State, view: &Serve, theme: &Theme) -> Vec<Part<'static>> {
    let Some(client) = view.current() else {
        return Vec::new();
    };
    let mut facts = vec![client.address.to_string()];
    if let Some(agent) = &client.agent {
        facts.push(fit(&shown(agent), 16, theme).into_owned());
    }
    facts.push(units::size(client.sent));
    if let Some(since) = since(state, client.since) {
        facts.push(format!("since {since}"));
    }
    facts.push(match client.limit {
        Some(rate) => format!("limit {rate}"),
        None => "limit off".to_owned(),
    });
    vec![(facts.join("  ").into(), theme.dim)]
}

/// A moment of this run as a time of day.
pub fn since(state: &State, since: std::time::Instant) -> Option<String> {
    let age = state.now?.saturating_duration_since(since);
    let age = jiff::SignedDuration::try_from(age).ok()?;
    let since = state.wall?.checked_sub(age).ok()?;
    Some(at(state, since, "%H:%M:%S"))
}

fn words(view: &Serve, theme: &Theme) -> Vec<(String, Style)> {
    if !view.filter.is_empty() {
        let all = units::count(view.snapshot.clients.len() as u64);
        return vec![(
            format!("0 of {all} match \"{}\" · Esc clears", shown(&view.filter)),
            theme.dim,
        )];
    }
    let url = view.facts.urls.first();
    let url = url.map_or("", |url| url.trim_end_matches('/'));
    let address = url.trim_start_matches("http://");
    vec![
        (
            format!(
                "No clients yet. On {} machine: haul connect {}",
                if view.is_local() { "this" } else { "the other" },
                shown(address)
            ),
            theme.text,
        ),
        (
            format!("or open {} in a browser · y copies it", shown(url)),
            theme.dim,
        ),
    ]
}
