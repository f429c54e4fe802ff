//! The queue: a row a transfer, on one line where it is wide and on two where it is not.

mod row;

use std::borrow::Cow;

use ratatui::{buffer::Buffer, layout::Rect, style::Style};

use self::row::Transfer;
pub(super) use self::row::word;
use super::{
    bars::centred,
    files::select,
    frame::{Frame, Slot, scrollbar},
    text::{Part, add, left, shorten, shown},
    theme::Theme,
};
use crate::{
    app::{
        Pane, State, View,
        connect::{Connect, Row},
        transfers::Counts,
    },
    client::Link,
    units,
};

/// The lines that a transfer takes.
pub fn lines(slot: Slot) -> u16 {
    let inner = slot.inner();
    if inner.width < 70 && inner.height >= 8 {
        2
    } else {
        1
    }
}

/// Draws the pane.
pub fn draw(state: &State, theme: &Theme, slot: Slot, buf: &mut Buffer) {
    let View::Connect(view) = &state.view else {
        return;
    };
    let frame = Frame {
        number: state.number(Pane::Transfers),
        title: "Transfers",
        right: title(view, usize::from(slot.area.width).saturating_sub(20), theme),
        bottom_right: footer(view, theme),
        focused: state.focus == Pane::Transfers,
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
    let lines = lines(slot);
    let window = view.cursor().window(view.rows.len());
    for (i, index) in window.clone().enumerate() {
        let Some(item) = view.row(index) else {
            break;
        };
        let row = Rect {
            y: add(inner.y, i * usize::from(lines)),
            height: lines,
            ..inner
        };
        if row.bottom() > inner.bottom() {
            break;
        }
        let row_of = if let Some(file) = view.file(index) {
            let next = view.rows.get(index + 1);
            let is_last = !matches!(next, Some(Row::File(..)));
            Transfer::file(file, item, is_last, theme)
        } else {
            let held = held(state, view);
            let fold = item.files.map(|_| view.is_unfolded(item));
            let name = view.name(item);
            Transfer::new(name, item, &view.figures(item), held, theme).foldable(fold, theme)
        };
        if lines == 2 {
            row_of.on_two(row, theme, buf);
        } else {
            row_of.on_one(row, theme, buf);
        }
        if index == view.cursor().at() {
            for y in row.y..row.bottom() {
                let line = Rect {
                    y,
                    height: 1,
                    ..row
                };
                select(buf, line, state.focus == Pane::Transfers, theme);
            }
        }
    }
    scrollbar(buf, inner, &window, view.rows.len(), theme);
}

/// `2 active · 1 paused · 1 queued · 1 failed`.
fn title(view: &Connect, cells: usize, theme: &Theme) -> Vec<Part<'static>> {
    let Counts {
        active,
        paused,
        queued,
        failed,
        done,
        cancelled,
    } = view.counts();
    let counts = [
        (active, "active"),
        (paused, "paused"),
        (queued, "queued"),
        (failed, "failed"),
        (done, "done"),
        (cancelled, "cancelled"),
    ];
    // What is over is counted only when nothing else is there to count.
    let going = active + paused + queued + failed;
    let counted = if going > 0 {
        &counts[..4]
    } else {
        &counts[4..]
    };
    let mut texts: Vec<_> = counted
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, word)| format!("{} {word}", units::count(*count as u64)))
        .collect();
    // Where there is no room for all, the middle goes first: what runs and what failed matter most.
    while texts.len() > 1 && super::text::width(&texts.join(" · ")) > cells {
        texts.remove(texts.len() / 2);
    }
    let mut parts = vec![(texts.join(" · ").into(), theme.dim)];
    if !view.filter.is_empty() {
        let filter = format!("/{}  ", shorten(&shown_filter(view), 20, theme));
        parts.insert(0, (filter.into(), theme.warn));
    }
    parts
}

fn shown_filter(view: &Connect) -> Cow<'_, str> {
    shown(&view.filter)
}

/// `Σ 64%  ETA 2:41`.
fn footer(view: &Connect, theme: &Theme) -> Vec<Part<'static>> {
    if view.snapshot.items.is_empty() {
        return Vec::new();
    }
    let whole = view.whole();
    let percent = match whole.percent {
        Some(percent) => format!("{percent}%"),
        None => units::size(whole.done),
    };
    let sum = format!("{} {percent}", theme.glyphs.sum);
    let text = if view.counts().active > 0 && whole.total.is_some() {
        format!("{sum}  ETA {:>5}", left(whole.left))
    } else {
        sum
    };
    vec![(text.into(), theme.dim)]
}

/// What the server lets everything wait for, and how long, in two short words.
fn held(state: &State, view: &Connect) -> Option<(&'static str, String)> {
    match &view.snapshot.link {
        Link::Paused => Some(("paused", "server".to_owned())),
        Link::Kicked { until, .. } => {
            let left = state.now.map_or(0, |now| units::seconds_left(*until, now));
            Some(("kicked", format!("{left}s")))
        }
        _ => None,
    }
}

fn words(view: &Connect, theme: &Theme) -> Vec<(String, Style)> {
    if view.filter.is_empty() {
        vec![
            ("No transfers yet.".to_owned(), theme.text),
            ("Space marks, d downloads.".to_owned(), theme.dim),
        ]
    } else {
        let all = units::count(view.snapshot.items.len() as u64);
        vec![(
            format!("0 of {all} match \"{}\" · Esc clears", shown_filter(view)),
            theme.dim,
        )]
    }
}
