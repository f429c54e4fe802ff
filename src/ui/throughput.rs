//! The rate over time: a braille graph in a box, blocks in a line.

use ratatui::{buffer::Buffer, layout::Rect};

use super::{
    frame::{Form, Frame, Slot},
    text::{Part, add, parts_width, put, put_parts, put_right},
    theme::Theme,
};
use crate::{
    app::{Pane, State, View, throughput::STEP},
    units,
};

/// Cells for the scale at the left: `1000 MiB/s` and a blank.
const SCALE: u16 = 11;

/// Draws the pane.
pub fn draw(state: &State, theme: &Theme, slot: Slot, buf: &mut Buffer) {
    if slot.form == Form::Line {
        return line(state, theme, slot.area, buf);
    }
    let graph_cells = slot.inner().width.saturating_sub(2 + SCALE);
    let seconds = u64::from(graph_cells) * 2 * STEP.as_millis() as u64 / 1000;
    let frame = Frame {
        number: state.number(Pane::Throughput),
        title: "Throughput",
        right: vec![(format!("{seconds} s").into(), theme.dim)],
        focused: state.focus == Pane::Throughput,
        ..Frame::default()
    };
    let inner = frame.draw(slot, theme, buf);
    if inner.width < SCALE + 6 || inner.height == 0 {
        return;
    }
    let figures = Rect {
        x: inner.x + 1,
        y: inner.bottom() - 1,
        width: inner.width - 2,
        height: 1,
    };
    let cells = usize::from(figures.width);
    let parts = summary(state, theme, cells);
    put_parts(buf, figures.x, figures.y, cells, &parts);
    let graph = Rect {
        x: inner.x + 1 + SCALE,
        y: inner.y,
        width: inner.width - 2 - SCALE,
        height: inner.height - 1,
    };
    scale_and_graph(state, theme, graph, buf);
}

/// `now 210 MiB/s   peak 231 MiB/s   avg 198 MiB/s   session 41.2 GiB`, as much of it as has room.
fn summary(state: &State, theme: &Theme, cells: usize) -> Vec<Part<'static>> {
    let rates = &state.throughput;
    let word = match state.view {
        View::Serve(_) => "served",
        View::Connect(_) => "session",
    };
    // Every rate on the screen is written alike, and as wide.
    let figure = |rate: u64| format!("{:>10}", units::rate(rate));
    let label = |text: String| -> Part<'static> { (text.into(), theme.dim) };
    let value = |text: String| -> Part<'static> { (text.into(), theme.text) };
    let now = figure(rates.now());
    let groups = [
        vec![label("now ".into()), (now.into(), theme.strong)],
        vec![label("  peak ".into()), value(figure(rates.peak()))],
        vec![label("  avg ".into()), value(figure(rates.average()))],
    ];
    let total = units::size(rates.total());
    // Where its label has no room, the total speaks for itself.
    let totals = [
        vec![label(format!("   {word} ")), value(total.clone())],
        vec![label("   ".into()), value(total)],
    ];
    let mut parts: Vec<Part<'static>> = Vec::new();
    let fits =
        |parts: &[Part<'_>], group: &[Part<'_>]| parts_width(parts) + parts_width(group) <= cells;
    for group in groups {
        if !fits(&parts, &group) {
            return parts;
        }
        parts.extend(group);
    }
    if let Some(group) = totals.into_iter().find(|group| fits(&parts, group)) {
        parts.extend(group);
    }
    parts
}

fn scale_and_graph(state: &State, theme: &Theme, graph: Rect, buf: &mut Buffer) {
    if graph.height == 0 {
        return;
    }
    let samples = state.throughput.last(usize::from(graph.width) * 2);
    let top = ceiling(samples.iter().copied().max().unwrap_or(0));
    let label = |y: u16, text: &str, buf: &mut Buffer| {
        put_right(
            buf,
            (graph.x - SCALE, y),
            usize::from(SCALE) - 1,
            text,
            theme.dim,
            theme,
        );
    };
    label(graph.y, &units::rate(top), buf);
    if graph.height >= 5 {
        // In the unit of the label above.
        let half = units::part_of(top / 2, top);
        let half = half.split('/').next().unwrap_or_default();
        label(graph.y + graph.height / 2, half, buf);
    }
    if graph.height >= 2 {
        label(graph.bottom() - 1, "0", buf);
    }
    for column in 0..graph.width {
        let at = usize::from(column) * 2;
        let pair = [samples[at], samples[at + 1]];
        for row in 0..graph.height {
            let below = graph.height - 1 - row;
            let symbol = if theme.glyphs.braille {
                braille(pair, top, graph.height, below)
            } else {
                block(pair, top, graph.height, below, theme)
            };
            if let Some(symbol) = symbol {
                put(
                    buf,
                    graph.x + column,
                    graph.y + row,
                    1,
                    &symbol,
                    theme.graph,
                );
            }
        }
    }
}

/// The dots of one cell: two columns of four, filled from below.
fn braille(pair: [u64; 2], top: u64, height: u16, below: u16) -> Option<String> {
    /// Bits of the left and right column, from the lowest dot up (Unicode, Braille Patterns).
    const DOTS: [[u32; 4]; 2] = [[0x40, 0x04, 0x02, 0x01], [0x80, 0x20, 0x10, 0x08]];
    let mut bits = 0;
    for (value, dots) in pair.into_iter().zip(DOTS) {
        let level = level(value, top, u64::from(height) * 4).saturating_sub(u64::from(below) * 4);
        bits |= dots.iter().take(level as usize).sum::<u32>();
    }
    (bits > 0).then(|| char::from_u32(0x2800 + bits).unwrap_or(' ').to_string())
}

fn block(pair: [u64; 2], top: u64, height: u16, below: u16, theme: &Theme) -> Option<String> {
    let value = pair[0].midpoint(pair[1]);
    let level = level(value, top, u64::from(height) * 8).saturating_sub(u64::from(below) * 8);
    let glyph = theme
        .glyphs
        .blocks
        .get((level.min(8) as usize).checked_sub(1)?)?;
    Some((*glyph).to_owned())
}

/// How many of `steps` a value reaches; anything at all reaches one.
fn level(value: u64, top: u64, steps: u64) -> u64 {
    let level = (u128::from(value) * u128::from(steps)).div_ceil(u128::from(top.max(1)));
    (level as u64).min(steps)
}

/// The top of a scale that holds `max`: 1, 2, 2.5 or 5 times a power of ten of the unit it is written in, and never
/// less than 1 KiB/s.
fn ceiling(max: u64) -> u64 {
    let max = max.max(1024);
    let mut unit = 1024u64;
    // From 500 on the next step is one of the next unit: 1000 MiB would be written as 0.98 GiB.
    while max / unit >= 500 && max > unit * 500 && unit < 1 << 60 {
        unit <<= 10;
    }
    let steps = [1, 10, 100]
        .into_iter()
        .flat_map(|power| [10, 20, 25, 50].map(|tenths| power * tenths));
    steps
        .map(|tenths| unit.saturating_mul(tenths) / 10)
        .find(|top| *top >= max)
        .unwrap_or(max)
}

/// Which way bytes go: a server sends them up.
pub fn arrow(state: &State, theme: &Theme) -> &'static str {
    match state.view {
        View::Serve(_) => theme.glyphs.rising,
        View::Connect(_) => theme.glyphs.falling,
    }
}

/// `3 ↓ 210 MiB/s ▄▆▆▆▇▇` and, where it has a row of its own, the other figures.
fn line(state: &State, theme: &Theme, area: Rect, buf: &mut Buffer) {
    let rates = &state.throughput;
    let serve = matches!(state.view, View::Serve(_));
    let focused = state.focus == Pane::Throughput;
    let number = if focused { theme.accent } else { theme.number };
    let head: [Part<'_>; 3] = [
        (
            format!(" {} ", state.number(Pane::Throughput)).into(),
            number,
        ),
        (format!("{} ", arrow(state, theme)).into(), theme.graph),
        (
            format!("{:>10} ", units::rate(rates.now())).into(),
            theme.strong,
        ),
    ];
    let x = put_parts(buf, area.x, area.y, usize::from(area.width), &head);
    let figures: Vec<Part<'_>> = if serve {
        [
            ("  peak ", theme.dim, units::rate(rates.peak())),
            ("  avg ", theme.dim, units::rate(rates.average())),
            ("  ", theme.dim, units::size(rates.total())),
        ]
        .into_iter()
        .flat_map(|(label, style, value)| [(label.into(), style), (value.into(), theme.text)])
        .collect()
    } else {
        Vec::new()
    };
    let free = usize::from(area.right().saturating_sub(x));
    // The picture before the figures, where there is room for one of them only.
    let beside = parts_width(&figures);
    let beside = if beside + 12 > free { 0 } else { beside };
    let cells = free
        .saturating_sub(beside + 1)
        .min(if serve { 60 } else { 32 });
    if cells < 4 {
        return;
    }
    let samples = rates.last(cells);
    let top = ceiling(samples.iter().copied().max().unwrap_or(0));
    for (i, value) in samples.into_iter().enumerate() {
        // Where nothing flowed, the border shows through.
        if let Some(level) = (level(value, top, 8) as usize).checked_sub(1) {
            put(
                buf,
                add(x, i),
                area.y,
                1,
                theme.glyphs.blocks[level],
                theme.graph,
            );
        }
    }
    put_parts(buf, add(x, cells), area.y, beside, &figures);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scale_is_round_and_holds_its_values() {
        const MIB: u64 = 1 << 20;
        for (max, top) in [
            (0, 1024),
            (210 * MIB, 250 * MIB),
            (250 * MIB, 250 * MIB),
            (251 * MIB, 500 * MIB),
            (999 * MIB, 1 << 30),
            (1001 * MIB, 1 << 30),
        ] {
            assert_eq!(ceiling(max), top, "{max}");
        }
        assert!(ceiling(u64::MAX) >= u64::MAX / 2);
    }

    #[test]
    fn columns_fill_from_below() {
        assert_eq!(braille([4, 8], 8, 2, 0).unwrap(), "⣿");
        assert_eq!(braille([4, 8], 8, 2, 1).unwrap(), "⢸");
        assert_eq!(braille([0, 0], 8, 2, 0), None);
    }
}
