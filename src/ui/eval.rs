//! The screen of `haul eval`: the matrix, which fills cell by cell; the current clients; what was done.

use std::{ops::Range, time::Instant};

use ratatui::{buffer::Buffer, layout::Rect, style::Style};

use super::{
    frame::{Form, Frame, Slot},
    text::{Part, add, bar, fill, fit, left, parts_width, put, put_parts, put_right, shown, width},
    theme::Theme,
};
use crate::{
    eval::{
        live::{CellView, ClientView, View},
        report,
    },
    progress::percent,
    samples::size_name,
};

/// Below this many columns or rows nothing is drawn but one line.
const LEAST: (u16, u16) = (40, 8);
/// Cells of one figure of the matrix.
const FIGURE: usize = 10;
/// Cells of one client's name, bar and percentage.
const CLIENT: usize = 30;

/// What the screen shows beside the measurement.
#[derive(Debug, Clone, Copy)]
pub struct Looks {
    /// Now.
    pub now: Instant,
    /// Whether the user is asked whether it is to end.
    pub asking: bool,
}

/// Draws a whole frame.
pub fn draw(view: &View, looks: Looks, theme: &Theme, area: Rect, buf: &mut Buffer) {
    let area = area.intersection(*buf.area());
    buf.set_style(area, theme.ground);
    let (done, planned) = view.runs();
    if area.width < LEAST.0 || area.height < LEAST.1 {
        let text = format!(
            "too small: {}×{}, needs {}×{} · {done} of {planned} runs · q stops",
            area.width, area.height, LEAST.0, LEAST.1
        );
        put(
            buf,
            area.x,
            area.y,
            usize::from(area.width),
            &text,
            theme.warn,
        );
        return;
    }
    header(view, looks, theme, area, buf);
    hints(view, looks, theme, area, buf);
    let main = Rect {
        y: area.y + 1,
        height: area.height - 2,
        ..area
    };
    let [upper, middle, lower] = split(view, main);
    matrix(view, theme, upper, buf);
    clients(view, theme, middle, buf);
    log(view, theme, lower, buf);
}

/// The panes' places: the matrix as high as its rows, the log what the clients leave.
fn split(view: &View, main: Rect) -> [Slot; 3] {
    let boxed = |area| Slot {
        area,
        form: Form::Boxed,
    };
    let cut = |area: Rect, height: u16| {
        let height = height.min(area.height);
        let rest = Rect {
            y: area.y + height,
            height: area.height - height,
            ..area
        };
        (Rect { height, ..area }, rest)
    };
    // Borders and the row of client counts.
    let wanted = u16::try_from(rows(view).len() + 3).unwrap_or(u16::MAX);
    let (upper, rest) = cut(main, wanted.min(main.height / 2));
    let columns = (usize::from(main.width).saturating_sub(4) / CLIENT).max(1);
    let wanted = u16::try_from(view.clients.len().div_ceil(columns) + 2).unwrap_or(u16::MAX);
    let (middle, lower) = cut(rest, wanted.clamp(3, (rest.height / 2).max(3)));
    [boxed(upper), boxed(middle), boxed(lower)]
}

fn header(view: &View, looks: Looks, theme: &Theme, area: Rect, buf: &mut Buffer) {
    let row = Rect { height: 1, ..area };
    fill(buf, row, " ", theme.header);
    let on = |style: Style| theme.header.patch(style);
    let (done, planned) = view.runs();
    let right: [Part<'_>; 2] = [
        (format!("{done} of {planned} runs").into(), on(theme.strong)),
        (
            format!("  ETA {} ", left(view.left(looks.now))).into(),
            on(theme.soft),
        ),
    ];
    let cells = usize::from(area.width);
    let taken = parts_width(&right);
    let mut x = put(buf, area.x, area.y, cells, " eval ", theme.badge);
    let (glyph, style) = if view.stopping {
        (theme.glyphs.waiting, theme.warn)
    } else {
        (theme.glyphs.up, theme.good)
    };
    x = put(buf, add(x, 1), area.y, 1, glyph, on(style));
    let label = shown(&view.label);
    let room = cells.saturating_sub(taken + 11);
    put(
        buf,
        add(x, 1),
        area.y,
        room,
        &fit(&label, room, theme),
        on(theme.text),
    );
    put_parts(buf, add(area.x, cells - taken), area.y, taken, &right);
}

fn hints(view: &View, looks: Looks, theme: &Theme, area: Rect, buf: &mut Buffer) {
    let y = area.bottom() - 1;
    let cells = usize::from(area.width).saturating_sub(2);
    let x = add(area.x, 1);
    if view.stopping {
        let text = "stopping: the processes end, what is done is kept";
        put(buf, x, y, cells, text, theme.warn);
    } else if looks.asking {
        let text = "stop measuring? what is done is kept: y n";
        put(buf, x, y, cells, text, theme.warn);
    } else {
        let parts: [Part<'_>; 6] = [
            ("q".into(), theme.accent),
            (" stop   ".into(), theme.soft),
            ("Ctrl-L".into(), theme.accent),
            (" redraw   ".into(), theme.soft),
            ("Ctrl-Z".into(), theme.accent),
            (" suspend".into(), theme.soft),
        ];
        put_parts(buf, x, y, cells, &parts);
    }
}

/// The cells by row: those that differ in their number of clients alone share one.
fn rows(view: &View) -> Vec<Range<usize>> {
    let mut rows: Vec<Range<usize>> = Vec::new();
    for (at, cell) in view.cells.iter().enumerate() {
        let same = |row: &Range<usize>| {
            let first = &view.cells[row.start].cell;
            first.size == cell.cell.size && report::extras(first) == report::extras(&cell.cell)
        };
        match rows.last_mut() {
            Some(row) if same(row) => row.end = at + 1,
            _ => rows.push(at..at + 1),
        }
    }
    rows
}

fn matrix(view: &View, theme: &Theme, slot: Slot, buf: &mut Buffer) {
    let frame = Frame {
        number: 0,
        title: "Matrix",
        of: "median time of a file, by size and number of clients".into(),
        ..Frame::default()
    };
    let inner = frame.draw(slot, theme, buf);
    let rows = rows(view);
    if inner.height < 2 || rows.is_empty() {
        return;
    }
    let name = |row: &Range<usize>| {
        let cell = &view.cells[row.start].cell;
        let mut name = size_name(cell.size);
        for extra in report::extras(cell) {
            name.push_str(", ");
            name.push_str(&extra);
        }
        name
    };
    let widest = rows.iter().map(|row| width(&name(row))).max().unwrap_or(0);
    let cells = usize::from(inner.width).saturating_sub(2);
    let named = widest.clamp(6, (cells / 2).max(6));
    let fits = (cells - named) / FIGURE;
    // The window follows the current cell in both directions.
    let current = view.current.unwrap_or(0);
    let row = rows
        .iter()
        .position(|row| row.contains(&current))
        .unwrap_or(0);
    let column = current - rows[row].start;
    let most = rows.iter().map(ExactSizeIterator::len).max().unwrap_or(0);
    let across = window(column, fits, most);
    let down = window(row, usize::from(inner.height) - 1, rows.len());
    let place = |number: usize| add(inner.x, 1 + named + number * FIGURE);
    let counts = &rows[down.start];
    for (number, at) in across.clone().enumerate() {
        if let Some(cell) = view.cells.get(counts.start + at) {
            let text = format!("{}", cell.cell.clients);
            put_right(
                buf,
                (place(number), inner.y),
                FIGURE,
                &text,
                theme.dim,
                theme,
            );
        }
    }
    put(buf, add(inner.x, 1), inner.y, named, "size", theme.dim);
    for (line, row) in rows[down].iter().enumerate() {
        let y = add(inner.y, 1 + line);
        let text = name(row);
        put(
            buf,
            add(inner.x, 1),
            y,
            named,
            &fit(&text, named, theme),
            theme.text,
        );
        for (number, at) in across.clone().enumerate() {
            let index = row.start + at;
            if row.contains(&index) {
                let (text, style) = figure(view, index, theme);
                put_right(buf, (place(number), y), FIGURE, &text, style, theme);
            }
        }
    }
}

/// Of `all`, those around `at` for which there is room.
fn window(at: usize, room: usize, all: usize) -> Range<usize> {
    let start = (at + 1).saturating_sub(room).min(all.saturating_sub(room));
    start..(start + room).min(all)
}

fn figure(view: &View, index: usize, theme: &Theme) -> (String, Style) {
    let CellView {
        runs,
        failed,
        median,
        ..
    } = &view.cells[index];
    let median = median.map_or_else(|| theme.glyphs.dash.into(), report::time);
    if view.current == Some(index) && *runs < view.repeat {
        let text = format!("{} {runs}/{}", theme.glyphs.flowing, view.repeat);
        return (text, theme.accent);
    }
    match (runs, failed) {
        (0, _) => (theme.glyphs.dot.into(), theme.faint),
        (_, 0) => (median, theme.text),
        _ => (format!("{} {median}", theme.glyphs.failed), theme.bad),
    }
}

fn clients(view: &View, theme: &Theme, slot: Slot, buf: &mut Buffer) {
    let current = view.current.and_then(|current| view.cells.get(current));
    let frame = Frame {
        title: "Clients",
        of: current
            .map(|view| report::cell(&view.cell))
            .unwrap_or_default()
            .into(),
        right: current.map_or(Vec::new(), |cell| {
            let run = (cell.runs + 1).min(view.repeat);
            vec![(format!("run {run} of {}", view.repeat).into(), theme.soft)]
        }),
        ..Frame::default()
    };
    let inner = frame.draw(slot, theme, buf);
    let Some(current) = current else { return };
    let total = current.cell.bytes() / current.cell.clients.max(1) as u64;
    let cells = usize::from(inner.width).saturating_sub(2);
    let columns = (cells / CLIENT).max(1);
    let each = cells / columns;
    let room = usize::from(inner.height) * columns;
    // A cell for how many more there are.
    let more = view.clients.len() > room;
    let seen = if more {
        room.saturating_sub(1)
    } else {
        view.clients.len()
    };
    let place = |at: usize| {
        (
            add(inner.x, 1 + at % columns * each),
            add(inner.y, at / columns),
        )
    };
    for (number, client) in view.clients.iter().take(seen).enumerate() {
        let name = format!("client{number}");
        row(buf, place(number), each, (&name, *client, total), theme);
    }
    if more && room > 0 {
        let (x, y) = place(seen);
        let rest = &view.clients[seen..];
        let ended = rest.iter().filter(|client| client.ended.is_some()).count();
        let text = format!("and {} more, {ended} done", rest.len());
        put(buf, x, y, each, &fit(&text, each, theme), theme.soft);
    }
}

fn row(
    buf: &mut Buffer,
    (x, y): (u16, u16),
    cells: usize,
    (name, client, total): (&str, ClientView, u64),
    theme: &Theme,
) {
    let (style, glyph) = match client.ended {
        None => (theme.accent, theme.glyphs.flowing),
        Some(true) => (theme.good, theme.glyphs.done),
        Some(false) => (theme.bad, theme.glyphs.failed),
    };
    let percent = percent(client.done, Some(total)).unwrap_or(0);
    put(buf, x, y, 1, glyph, style);
    let behind = put(buf, add(x, 2), y, 10, name, theme.text);
    let start = behind.max(add(x, 11));
    let room = usize::from(add(x, cells).saturating_sub(start)).saturating_sub(7);
    bar(buf, (add(start, 1), y), room, percent, style, theme);
    let text = format!("{percent}%");
    put_right(buf, (add(start, room + 1), y), 5, &text, theme.soft, theme);
}

fn log(view: &View, theme: &Theme, slot: Slot, buf: &mut Buffer) {
    let frame = Frame {
        title: "Log",
        ..Frame::default()
    };
    let inner = frame.draw(slot, theme, buf);
    let cells = usize::from(inner.width).saturating_sub(2);
    let from = view.lines.len().saturating_sub(usize::from(inner.height));
    for (at, line) in view.lines[from..].iter().enumerate() {
        let text = shown(&line.text);
        let style = if line.bad { theme.bad } else { theme.soft };
        put(
            buf,
            add(inner.x, 1),
            add(inner.y, at),
            cells,
            &fit(&text, cells, theme),
            style,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        config::ThemeName,
        eval::{live::Board, matrix::Cell},
    };

    fn view(cells: &[Cell], current: usize) -> View {
        let board = Board::default();
        board.open("before", cells, 2);
        board.begin(current, cells[current].clients);
        board.received(1, 5120);
        board.ended(0, false);
        board.tell("client0 failed\x1b[2J", true);
        let mut view = board.view();
        view.cells[0].runs = 2;
        view.cells[0].median = Some(0.0123);
        view
    }

    fn cells() -> Vec<Cell> {
        let cell = |clients, size, rate| Cell {
            clients,
            size,
            files: 10,
            workers: 5,
            serial: false,
            tls: false,
            latency: 0.0,
            rate,
            limit: None,
        };
        let mut cells = Vec::new();
        for rate in [None, Some(1 << 20)] {
            for size in [128, 1024, 1 << 30] {
                cells.extend([1, 2, 64].map(|clients| cell(clients, size, rate)));
            }
        }
        cells
    }

    fn drawn(view: &View, asking: bool, (width, height): (u16, u16)) -> String {
        let area = Rect::new(0, 0, width, height);
        let mut buf = Buffer::empty(area);
        let looks = Looks {
            now: Instant::now(),
            asking,
        };
        let theme = Theme::new(ThemeName::Dark);
        draw(view, looks, &theme, area, &mut buf);
        let rows = buf.content.chunks(usize::from(width.max(1)));
        rows.map(|row| {
            row.iter()
                .map(ratatui::buffer::Cell::symbol)
                .collect::<String>()
                + "\n"
        })
        .collect()
    }

    #[test]
    fn the_matrix_the_clients_and_the_log_are_there() {
        let screen = drawn(&view(&cells(), 1), false, (120, 36));
        for text in [
            "2 of 36 runs",
            "12.3 ms",
            "▼ 0/2",
            "128, link 1.00 MiB/s",
            "2 clients × 10 files of 128",
            "✗ client0",
            "q stop",
        ] {
            assert!(screen.contains(text), "{text}:\n{screen}");
        }
        assert!(!screen.contains('\x1b'), "{screen}");
        let asked = drawn(&view(&cells(), 1), true, (120, 36));
        assert!(asked.contains("stop measuring?"), "{asked}");
    }

    #[test]
    fn it_fits_every_size() {
        for current in [1, 2, 17] {
            let view = view(&cells(), current);
            for width in (0..130).step_by(3) {
                for height in 0..40 {
                    let screen = drawn(&view, false, (width, height));
                    if width >= 60 && height >= 20 {
                        assert!(screen.contains("▼ 0/2"), "{width}x{height}:\n{screen}");
                    }
                }
            }
        }
        drawn(&View::default(), false, (80, 24));
    }
}
