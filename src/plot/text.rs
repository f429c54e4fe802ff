//! A chart in the terminal, in braille.

use std::io::{self, Write};

use crossterm::{
    queue,
    style::{Color as Shade, ResetColor, SetForegroundColor},
};
use ratatui::{
    buffer::Buffer,
    layout::Rect,
    style::{Color, Style},
    symbols::Marker,
    widgets::{
        Widget as _,
        canvas::{Canvas, Line},
    },
};

use super::chart::{Axis, Chart};

/// Rows of a chart's plane.
const ROWS: u16 = 18;
/// Rows above the plane.
const HEAD: u16 = 3;
/// Columns that a chart needs at least.
const LEAST: u16 = 40;
/// Columns for what stands beside the vertical axis' marks.
const GUTTER: u16 = 12;

/// The same colours as on paper, as far as they show on dark and on light grounds.
const PALETTE: [Color; 7] = [
    Color::Rgb(0x3a, 0x9a, 0xd9),
    Color::Rgb(0xd5, 0x5e, 0x00),
    Color::Rgb(0x00, 0x9e, 0x73),
    Color::Rgb(0xcc, 0x79, 0xa7),
    Color::Rgb(0x80, 0x80, 0x80),
    Color::Rgb(0xe6, 0x9f, 0x00),
    Color::Rgb(0x56, 0xb4, 0xe9),
];

/// Prints the chart `width` cells wide, in colours where asked to.
pub fn print(chart: &Chart, width: u16, colours: bool, out: &mut impl Write) -> io::Result<()> {
    let buffer = drawn(chart, width.max(LEAST));
    let width = usize::from(buffer.area.width);
    for row in buffer.content.chunks(width) {
        let end = row
            .iter()
            .rposition(|cell| cell.symbol() != " ")
            .map_or(0, |at| at + 1);
        let mut last = Color::Reset;
        for cell in &row[..end] {
            if colours && cell.fg != last {
                shade(cell.fg, out)?;
                last = cell.fg;
            }
            write!(out, "{}", cell.symbol())?;
        }
        if last != Color::Reset {
            shade(Color::Reset, out)?;
        }
        writeln!(out)?;
    }
    writeln!(out)
}

fn shade(colour: Color, out: &mut impl Write) -> io::Result<()> {
    if let Color::Rgb(r, g, b) = colour {
        queue!(out, SetForegroundColor(Shade::Rgb { r, g, b }))
    } else {
        queue!(out, ResetColor)
    }
}

/// Title, plane with its marks, legend.
fn drawn(chart: &Chart, width: u16) -> Buffer {
    let entries = chart.series.len() as u16;
    let height = HEAD + ROWS + 2 + entries.saturating_add(1);
    let mut buffer = Buffer::empty(Rect::new(0, 0, width, height));
    let cells = usize::from(width);
    let plain = Style::new();
    buffer.set_stringn(0, 0, &chart.title, cells, plain);
    buffer.set_stringn(0, 1, &chart.about, cells, plain);
    let reading = format!("{}: {}", chart.y.label, chart.reading);
    buffer.set_stringn(0, 2, reading, cells, plain);
    let plane = Rect::new(GUTTER, HEAD, width - GUTTER - 2, ROWS);
    lines(chart, plane, &mut buffer);
    marks(chart, plane, &mut buffer);
    let y = plane.bottom() + 2;
    buffer.set_stringn(0, y, format!("{}:", chart.legend), cells, plain);
    for (number, series) in chart.series.iter().enumerate() {
        let y = y + 1 + number as u16;
        buffer.set_stringn(2, y, "⠒⠒", 2, Style::new().fg(colour(number)));
        buffer.set_stringn(5, y, &series.name, cells - 5, plain);
    }
    buffer
}

fn lines(chart: &Chart, plane: Rect, buffer: &mut Buffer) {
    let bounds = |axis: &Axis| [axis.range.0, axis.range.1];
    Canvas::default()
        .marker(Marker::Braille)
        .x_bounds(bounds(&chart.x))
        .y_bounds(bounds(&chart.y))
        .paint(|context| {
            for (number, series) in chart.series.iter().enumerate() {
                for pair in series.points.windows(2) {
                    let [(x1, y1), (x2, y2)] = [pair[0], pair[1]];
                    context.draw(&Line::new(x1, y1, x2, y2, colour(number)));
                }
                // A single point has no line.
                if let [(x, y)] = series.points[..] {
                    context.draw(&Line::new(x, y, x, y, colour(number)));
                }
            }
        })
        .render(plane, buffer);
}

/// Marks of both axes, each where it belongs, unless another is in its way.
fn marks(chart: &Chart, plane: Rect, buffer: &mut Buffer) {
    let plain = Style::new();
    let part = |axis: &Axis, at: f64| (at - axis.range.0) / (axis.range.1 - axis.range.0);
    let mut free = u16::MAX;
    for (at, name) in &chart.y.ticks {
        let up = (part(&chart.y, *at) * f64::from(plane.height - 1)).round() as u16;
        let y = plane.bottom() - 1 - up.min(plane.height - 1);
        if y < free {
            let taken = name.chars().count() as u16;
            let x = (GUTTER - 2).saturating_sub(taken);
            buffer.set_stringn(x, y, name, usize::from(GUTTER - 2), plain);
            buffer.set_stringn(GUTTER - 1, y, "┤", 1, plain);
            free = y;
        }
    }
    for y in plane.y..plane.bottom() {
        if buffer[(GUTTER - 1, y)].symbol() == " " {
            buffer.set_stringn(GUTTER - 1, y, "│", 1, plain);
        }
    }
    let base = plane.bottom();
    buffer.set_stringn(GUTTER - 1, base, "└", 1, plain);
    for x in plane.x..plane.right() {
        buffer.set_stringn(x, base, "─", 1, plain);
    }
    let mut free = 0;
    for (at, name) in &chart.x.ticks {
        let across = (part(&chart.x, *at) * f64::from(plane.width - 1)).round() as u16;
        let x = plane.x + across.min(plane.width - 1);
        let taken = name.chars().count() as u16;
        let start = x
            .saturating_sub(taken / 2)
            .min(buffer.area.width.saturating_sub(taken));
        if start >= free {
            buffer.set_stringn(x, base, "┬", 1, plain);
            buffer.set_stringn(start, base + 1, name, usize::from(taken), plain);
            free = start + taken + 1;
        }
    }
}

fn colour(number: usize) -> Color {
    PALETTE[number % PALETTE.len()]
}
