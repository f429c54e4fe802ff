//! Drawing: pure functions from the state to cells. Knows no socket and no clock.
//!
//! From 100 columns:                                60 to 99 columns:
//! ```text
//! header                       header              header           header
//! ╭ Remote ─╮╭ Transfers ──╮   ╭ Clients ───────╮  ╭ Remote ────╮   ╭ Clients ───╮
//! │         ││             │   │                │  ╰────────────╯   │            │
//! │         │╰─────────────╯   ╰────────────────╯  ╭ Transfers ─╮   ╰────────────╯
//! │         │╭ Throughput ─╮   ╭ Thr.. ╮╭ Files ╮  ╰─ 3 ▂▅▇ ────╯   2 ↓ 307 ▂▅▇
//! ╰─────────╯╰─────────────╯   ╰───────╯╰───────╯  ── Log ───────   ── Log ───────
//! ╭ Log ───────────────────╮   ╭ Log ───────────╮  prompt           prompt
//! ╰────────────────────────╯   ╰────────────────╯  hints            hints
//! status                       status
//! prompt                       prompt              40 to 59 columns, or under 18 rows: one pane at a
//! hints                        hints               time; below 40x8 one line says `too small`.
//! ```

mod bars;
mod boxes;
mod clients;
mod details;
pub mod eval;
mod files;
pub mod frame;
pub mod glyphs;
mod help;
mod hints;
mod log;
mod popup;
mod press;
mod prompt;
mod qr;
mod remote;
pub mod text;
pub mod theme;
mod throughput;
mod transfers;

use ratatui::{buffer::Buffer, layout::Rect};

use self::frame::{Form, Slot};
pub use self::{press::in_box, theme::Theme};
use crate::app::{Layout, Pane, Spot, State, View};

/// Below this many columns or rows nothing is drawn but one line.
const LEAST: (u16, u16) = (40, 8);
/// From here panes stand side by side.
const WIDE: u16 = 100;
/// From here panes stand on top of each other.
const STACKED: u16 = 60;
/// Below this many rows one pane is shown at a time.
const LOW: u16 = 18;

/// Where everything stands.
#[derive(Debug, Clone, Copy, Default)]
pub struct Places {
    header: Rect,
    panes: [Slot; 4],
    status: Rect,
    prompt: Rect,
    hints: Rect,
}

/// Draws a whole frame.
pub fn draw(state: &State, theme: &Theme, area: Rect, buf: &mut Buffer) {
    let area = area.intersection(*buf.area());
    buf.set_style(area, theme.ground);
    if area.width < LEAST.0 || area.height < LEAST.1 {
        bars::too_small(state, theme, area, LEAST, buf);
        text::spell_out(theme, area, buf);
        return;
    }
    let places = arrange(state, area);
    bars::header(state, theme, places.header, buf);
    for (pane, slot) in state.view.panes().into_iter().zip(places.panes) {
        if slot.form == Form::Hidden {
            continue;
        }
        match pane {
            Pane::Remote | Pane::Files => files::draw(state, theme, slot, buf),
            Pane::Transfers => transfers::draw(state, theme, slot, buf),
            Pane::Clients => clients::draw(state, theme, slot, buf),
            Pane::Throughput => throughput::draw(state, theme, slot, buf),
            Pane::Log => log::draw(state, theme, slot, buf),
        }
    }
    bars::status(state, theme, places.status, buf);
    hints::draw(state, theme, places.hints, buf);
    // Over the hints where there is no row of its own.
    prompt::draw(state, theme, places.prompt, area, buf);
    popup::draw(state, theme, area, buf);
    boxes::draw(state, theme, area, buf);
    text::spell_out(theme, area, buf);
}

/// How many rows each list has at this size: what the state needs to know for paging.
pub fn measure(state: &State, area: Rect) -> Layout {
    let mut layout = Layout {
        size: (area.width, area.height),
        ..Layout::default()
    };
    if area.width < LEAST.0 || area.height < LEAST.1 {
        return layout;
    }
    let places = arrange(state, area);
    for (i, pane) in state.view.panes().into_iter().enumerate() {
        let (list, lines) = list(pane, places.panes[i]);
        layout.rows[i] = usize::from(list.height / lines);
    }
    layout.help = usize::from(help::list(area).height);
    layout.list = usize::from(boxes::list(area).height);
    layout
}

/// What lies at a cell that is no row of a list.
pub fn spot(state: &State, area: Rect, x: u16, y: u16) -> Option<Spot> {
    if area.width < LEAST.0 || area.height < LEAST.1 {
        return None;
    }
    let places = arrange(state, area);
    if places.hints.contains((x, y).into()) {
        let covered = places.prompt.y == places.hints.y && state.prompt.is_some();
        return hints::hint_at(state, places.hints, x)
            .filter(|_| !covered)
            .map(Spot::Hint);
    }
    let (pane, _) = hit(state, area, x, y)?;
    let at = usize::from(state.number(pane)).checked_sub(1)?;
    let slot = *places.panes.get(at)?;
    if matches!(pane, Pane::Remote | Pane::Files)
        && let Some(key) = files::heading(pane, slot, x, y)
    {
        return Some(Spot::Heading(pane, key));
    }
    let (list, _) = list(pane, slot);
    let in_bar = slot.form == Form::Boxed && x == list.right() && pane != Pane::Throughput;
    (in_bar && (list.y..list.bottom()).contains(&y)).then(|| Spot::Scrollbar {
        pane,
        at: usize::from(y - list.y),
        of: usize::from(list.height),
    })
}

/// The pane at a cell, and the row of its list that the cell belongs to.
pub fn hit(state: &State, area: Rect, x: u16, y: u16) -> Option<(Pane, Option<usize>)> {
    if area.width < LEAST.0 || area.height < LEAST.1 {
        return None;
    }
    let places = arrange(state, area);
    let mut panes = state.view.panes().into_iter().zip(places.panes);
    // What is drawn last lies on top.
    let (pane, slot) =
        panes.rfind(|(_, slot)| slot.form != Form::Hidden && slot.area.contains((x, y).into()))?;
    let (list, lines) = list(pane, slot);
    let row = list
        .contains((x, y).into())
        .then(|| usize::from((y - list.y) / lines));
    Some((pane, row))
}

/// The cells of a pane's list, and the lines that a row of it takes.
fn list(pane: Pane, slot: Slot) -> (Rect, u16) {
    match pane {
        Pane::Remote => (files::remote_list(slot), 1),
        Pane::Files => (files::served_list(slot), 1),
        Pane::Clients => (clients::list(slot), 1),
        Pane::Transfers => (slot.inner(), transfers::lines(slot)),
        Pane::Throughput => (Rect::default(), 1),
        Pane::Log => (slot.inner(), 1),
    }
}

fn arrange(state: &State, area: Rect) -> Places {
    let row = |y: u16| Rect {
        y,
        height: 1,
        ..area
    };
    let low = area.height < LOW;
    let wide = area.width >= WIDE && !low;
    let mut places = Places {
        header: row(area.y),
        hints: row(area.bottom() - 1),
        prompt: row(area.bottom() - 1),
        ..Places::default()
    };
    let mut below = 1;
    if !low {
        below += 1;
        places.prompt.y -= 1;
    }
    if wide && area.height >= 30 {
        below += 1;
        places.status = row(places.prompt.y - 1);
    }
    let main = Rect {
        y: area.y + 1,
        height: area.height - 1 - below,
        ..area
    };
    if state.zoomed || low || area.width < STACKED {
        let at = usize::from(state.number(state.focus)).saturating_sub(1);
        places.panes[at.min(3)] = boxed(main);
        return places;
    }
    places.panes = match (&state.view, wide) {
        (View::Connect(_), true) => connect_wide(main),
        (View::Serve(_), true) => serve_wide(main),
        (View::Connect(_), false) => connect_stacked(main, state.shared),
        (View::Serve(_), false) => serve_stacked(main, state.shared),
    };
    places
}

fn boxed(area: Rect) -> Slot {
    Slot {
        area,
        form: Form::Boxed,
    }
}

fn ruled(area: Rect) -> Slot {
    Slot {
        area,
        form: Form::Ruled,
    }
}

fn line(area: Rect) -> Slot {
    Slot {
        area,
        form: Form::Line,
    }
}

/// The upper `height` rows, and the rest.
fn cut(area: Rect, height: u16) -> (Rect, Rect) {
    let height = height.min(area.height);
    let upper = Rect { height, ..area };
    let lower = Rect {
        y: area.y + height,
        height: area.height - height,
        ..area
    };
    (upper, lower)
}

/// A little less than the left half, and the rest.
fn halves(area: Rect) -> (Rect, Rect) {
    let width = area.width * 29 / 60;
    let left = Rect { width, ..area };
    let right = Rect {
        x: area.x + width,
        width: area.width - width,
        ..area
    };
    (left, right)
}

fn connect_wide(main: Rect) -> [Slot; 4] {
    let (panes, log) = cut(main, main.height - (main.height * 9 / 32).max(4));
    let (remote, right) = halves(panes);
    let (transfers, throughput) = cut(right, right.height - (right.height * 2 / 5).max(5));
    [
        boxed(remote),
        boxed(transfers),
        boxed(throughput),
        boxed(log),
    ]
}

fn serve_wide(main: Rect) -> [Slot; 4] {
    let (panes, log) = cut(main, main.height - (main.height * 9 / 32).max(4));
    let (clients, middle) = cut(panes, panes.height * 12 / 23);
    let (throughput, files) = halves(middle);
    [boxed(clients), boxed(throughput), boxed(files), boxed(log)]
}

fn connect_stacked(main: Rect, shared: Pane) -> [Slot; 4] {
    let (panes, bottom) = cut(main, main.height - (main.height * 3 / 20).max(3));
    let (remote, transfers) = cut(panes, panes.height - panes.height * 4 / 9);
    let (throughput, log) = if shared == Pane::Throughput {
        (ruled(bottom), Slot::default())
    } else {
        // In the lower border of the box above, left of the whole job's figures.
        let border = Rect {
            x: transfers.x + 2,
            y: transfers.bottom() - 1,
            width: transfers.width - 30,
            height: 1,
        };
        (line(border), ruled(bottom))
    };
    [boxed(remote), boxed(transfers), throughput, log]
}

fn serve_stacked(main: Rect, shared: Pane) -> [Slot; 4] {
    let (clients, rest) = cut(main, main.height * 11 / 21);
    let (summary, bottom) = cut(rest, 1);
    let (mut throughput, mut files, mut log) = (line(summary), Slot::default(), Slot::default());
    match shared {
        Pane::Files => files = ruled(bottom),
        Pane::Throughput => throughput = ruled(rest),
        _ => log = ruled(bottom),
    }
    [boxed(clients), throughput, files, log]
}
