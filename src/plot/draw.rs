//! Puts a chart on paper, whatever the paper is.
//!
//! Colours are Okabe and Ito's, which people with any kind of colour vision tell apart; lines between points
//! have markers of their own as well. The font is compiled in.

use std::sync::OnceLock;

use plotters::{
    coord::Shift,
    prelude::*,
    style::{
        FontStyle, RGBColor, register_font,
        text_anchor::{HPos, Pos, VPos},
    },
};

use super::{
    Error,
    chart::{Axis, Bar, Chart, Series},
};

/// Width and height of a chart, in its own units.
pub const SIZE: (u32, u32) = (960, 600);
/// Names of the font: the one that is compiled in, and what an SVG's reader may put in its place.
const FONT: &str = "DejaVu Sans, Verdana, sans-serif";
const FONT_DATA: &[u8] = include_bytes!("font/DejaVuSans-Latin.ttf");

/// Okabe and Ito's colours, those that are faint on white last.
const PALETTE: [RGBColor; 7] = [
    RGBColor(0x00, 0x72, 0xb2),
    RGBColor(0xd5, 0x5e, 0x00),
    RGBColor(0x00, 0x9e, 0x73),
    RGBColor(0xcc, 0x79, 0xa7),
    RGBColor(0x00, 0x00, 0x00),
    RGBColor(0xe6, 0x9f, 0x00),
    RGBColor(0x56, 0xb4, 0xe9),
];
/// The two that bars alternate between.
const BARS: [RGBColor; 2] = [PALETTE[0], PALETTE[6]];
/// Sizes of texts: a chart is read at the width of a page, not at its own.
const TITLE: f64 = 27.0;
const LABEL: f64 = 18.0;
const SMALL: f64 = 16.5;
const INK: RGBColor = RGBColor(0x22, 0x22, 0x22);
const PALE: RGBColor = RGBColor(0x5f, 0x5f, 0x5f);
const GRID: RGBColor = RGBColor(0xdd, 0xdd, 0xdd);

/// Draws `chart` on `paper`, `scale` times its own size. `sink` is the part of a text's size by which this paper puts
/// text too high that is to stand in the middle of a line.
pub fn draw<B: DrawingBackend>(
    chart: &Chart,
    paper: &DrawingArea<B, Shift>,
    scale: f64,
    sink: f64,
) -> Result<(), Error> {
    let failed = |problem: String| Error::Draw(chart.name.clone(), problem);
    font().map_err(|problem| failed(problem.into()))?;
    let pen = Pen { scale, sink };
    pen.sheet(chart, paper)
        .map_err(|error| failed(error.to_string()))
}

/// Makes the font known, once.
fn font() -> Result<(), &'static str> {
    static KNOWN: OnceLock<bool> = OnceLock::new();
    let known = KNOWN.get_or_init(|| register_font(FONT, FontStyle::Normal, FONT_DATA).is_ok());
    if *known {
        Ok(())
    } else {
        Err("its font is damaged")
    }
}

type Drawn<B> = Result<(), DrawingAreaErrorKind<<B as DrawingBackend>::ErrorType>>;
type Plane<'a, B> = ChartContext<
    'a,
    B,
    Cartesian2d<plotters::coord::types::RangedCoordf64, plotters::coord::types::RangedCoordf64>,
>;

/// Sizes at a scale.
struct Pen {
    scale: f64,
    sink: f64,
}

impl Pen {
    /// Units in pixels.
    fn px(&self, units: f64) -> i32 {
        (units * self.scale).round() as i32
    }

    /// How much lower a small text must be put to stand in the middle of a line.
    fn sunk(&self) -> i32 {
        self.px(SMALL * self.sink)
    }

    fn text(&self, size: f64, colour: RGBColor) -> TextStyle<'static> {
        (FONT, size * self.scale).into_font().color(&colour)
    }

    fn line(&self, colour: RGBColor, width: f64) -> ShapeStyle {
        colour.stroke_width((width * self.scale).round().max(1.0) as u32)
    }

    fn sheet<B: DrawingBackend>(&self, chart: &Chart, paper: &DrawingArea<B, Shift>) -> Drawn<B> {
        paper.fill(&WHITE)?;
        let left = self.px(22.0);
        let title = self.text(TITLE, INK);
        paper.draw(&Text::new(
            chart.title.clone(),
            (left, self.px(16.0)),
            title,
        ))?;
        let small = self.text(SMALL, PALE);
        for (line, y) in [(&chart.about, 52.0), (&chart.reading, 76.0)] {
            paper.draw(&Text::new(line.clone(), (left, self.px(y)), small.clone()))?;
        }
        let (_, body) = paper.split_vertically(self.px(104.0));
        let legend = self.legend_width(chart);
        let (width, _) = body.dim_in_pixel();
        let (plane, beside) = body.split_horizontally(width.cast_signed() - legend);
        self.plane(chart, &plane)?;
        if legend > 0 {
            self.legend(chart, &beside)?;
        }
        Ok(())
    }

    /// Pixels that the legend takes: by its longest name, at most a third of the sheet.
    fn legend_width(&self, chart: &Chart) -> i32 {
        if chart.series.is_empty() {
            return 0;
        }
        let names = chart
            .series
            .iter()
            .map(|series| series.name.chars().count());
        let longest = names
            .chain([chart.legend.chars().count()])
            .max()
            .unwrap_or(0);
        self.px((longest as f64 * 8.4 + 66.0).min(f64::from(SIZE.0) / 3.0))
    }

    fn plane<B: DrawingBackend>(&self, chart: &Chart, area: &DrawingArea<B, Shift>) -> Drawn<B> {
        let Axis {
            range: (x0, x1), ..
        } = chart.x;
        let Axis {
            range: (y0, y1), ..
        } = chart.y;
        let mut plane = ChartBuilder::on(area)
            .margin_top(self.px(8.0))
            .margin_right(self.px(26.0))
            .margin_left(self.px(10.0))
            .margin_bottom(self.px(12.0))
            .x_label_area_size(self.px(64.0))
            .y_label_area_size(self.px(116.0))
            .build_cartesian_2d(x0..x1, y0..y1)?;
        self.axes(chart, &mut plane)?;
        self.labels(chart, &plane, area)?;
        if let Some(at) = chart.reference {
            let style = self.line(PALE, 1.5);
            plane.draw_series([PathElement::new([(x0, at), (x1, at)], style)])?;
        }
        for (number, series) in chart.series.iter().enumerate() {
            Self::band(series, colour(number), &mut plane)?;
        }
        for (number, series) in chart.series.iter().enumerate() {
            self.series(series, number, &mut plane)?;
        }
        self.bars(&chart.bars, &mut plane)
    }

    /// Grid, marks and what stands beside them. Marks stand where the chart says, which plotters' own mesh cannot do.
    fn axes<B: DrawingBackend>(&self, chart: &Chart, plane: &mut Plane<'_, B>) -> Drawn<B> {
        let (x0, x1) = chart.x.range;
        let (y0, y1) = chart.y.range;
        let grid = self.line(GRID, 1.0);
        let vertical = chart.x.ticks.iter().map(|(at, _)| [(*at, y0), (*at, y1)]);
        let horizontal = chart.y.ticks.iter().map(|(at, _)| [(x0, *at), (x1, *at)]);
        // A timeline's rows are told apart by their bars.
        let rows = chart.bars.is_empty();
        let lines = vertical.chain(horizontal.filter(|_| rows));
        plane.draw_series(lines.map(|ends| PathElement::new(ends, grid)))?;
        let frame = [(x0, y1), (x0, y0), (x1, y0)];
        plane.draw_series([PathElement::new(frame, self.line(INK, 1.2))])?;
        Ok(())
    }

    fn labels<B: DrawingBackend>(
        &self,
        chart: &Chart,
        plane: &Plane<'_, B>,
        area: &DrawingArea<B, Shift>,
    ) -> Drawn<B> {
        let inner = plane.plotting_area();
        let (width, height) = inner.dim_in_pixel();
        let origin = area.get_base_pixel();
        let within = |(x, y): (i32, i32)| (x - origin.0, y - origin.1);
        let (left, top) = within(inner.get_base_pixel());
        let (x0, _) = chart.x.range;
        let (y0, _) = chart.y.range;
        let mark = self.text(SMALL, INK);
        for (value, name) in &chart.x.ticks {
            let (x, y) = within(plane.backend_coord(&(*value, y0)));
            let style = mark.pos(Pos::new(HPos::Center, VPos::Top));
            area.draw(&Text::new(name.clone(), (x, y + self.px(8.0)), style))?;
        }
        for (value, name) in &chart.y.ticks {
            let (x, y) = within(plane.backend_coord(&(x0, *value)));
            let style = mark.pos(Pos::new(HPos::Right, VPos::Center));
            area.draw(&Text::new(
                name.clone(),
                (x - self.px(8.0), y + self.sunk()),
                style,
            ))?;
        }
        let named = self.text(LABEL, INK);
        let below = named.pos(Pos::new(HPos::Center, VPos::Top));
        let middle = (
            left + width.cast_signed() / 2,
            top + height.cast_signed() + self.px(37.0),
        );
        area.draw(&Text::new(chart.x.label.clone(), middle, below))?;
        let beside = named
            .transform(FontTransform::Rotate270)
            .pos(Pos::new(HPos::Center, VPos::Top));
        let middle = (self.px(20.0), top + height.cast_signed() / 2);
        area.draw(&Text::new(chart.y.label.clone(), middle, beside))
    }

    fn band<B: DrawingBackend>(
        series: &Series,
        colour: RGBColor,
        plane: &mut Plane<'_, B>,
    ) -> Drawn<B> {
        if series.band.len() < 2 {
            return Ok(());
        }
        let upper = series.band.iter().map(|(x, _, high)| (*x, *high));
        let lower = series.band.iter().rev().map(|(x, low, _)| (*x, *low));
        let outline: Vec<(f64, f64)> = upper.chain(lower).collect();
        plane.draw_series([Polygon::new(outline, colour.mix(0.12).filled())])?;
        Ok(())
    }

    fn series<B: DrawingBackend>(
        &self,
        series: &Series,
        number: usize,
        plane: &mut Plane<'_, B>,
    ) -> Drawn<B> {
        let style = self.line(colour(number), 2.2);
        plane.draw_series([PathElement::new(series.points.clone(), style)])?;
        if series.marked {
            let area = plane.plotting_area();
            let origin = area.get_base_pixel();
            let sheet = area.strip_coord_spec();
            for point in &series.points {
                let (x, y) = plane.backend_coord(point);
                self.marker(number, (x - origin.0, y - origin.1), &sheet)?;
            }
        }
        Ok(())
    }

    fn bars<B: DrawingBackend>(&self, bars: &[Bar], plane: &mut Plane<'_, B>) -> Drawn<B> {
        plane.draw_series(bars.iter().map(|bar| {
            let colour = BARS[bar.colour % BARS.len()];
            Rectangle::new([(bar.from, bar.low), (bar.to, bar.high)], colour.filled())
        }))?;
        // A thin edge keeps neighbours apart; where there are many, it would be all that is seen.
        if bars.len() <= 400 {
            let edge = self.line(WHITE, 1.0);
            plane.draw_series(
                bars.iter()
                    .map(|bar| Rectangle::new([(bar.from, bar.low), (bar.to, bar.high)], edge)),
            )?;
        }
        Ok(())
    }

    fn legend<B: DrawingBackend>(&self, chart: &Chart, area: &DrawingArea<B, Shift>) -> Drawn<B> {
        let centred = Pos::new(HPos::Left, VPos::Center);
        let title = self.text(SMALL, PALE).pos(centred);
        area.draw(&Text::new(
            chart.legend.clone(),
            (0, self.px(16.0) + self.sunk()),
            title,
        ))?;
        let (_, height) = area.dim_in_pixel();
        let room = (f64::from(height) / self.scale - 48.0) / chart.series.len().max(1) as f64;
        let step = room.clamp(8.0, 26.0);
        for (number, series) in chart.series.iter().enumerate() {
            let y = self.px(42.0 + step * number as f64);
            let style = self.line(colour(number), 2.2);
            area.draw(&PathElement::new([(0, y), (self.px(30.0), y)], style))?;
            if series.marked {
                self.marker(number, (self.px(15.0), y), area)?;
            }
            let name = self.text(SMALL, INK).pos(centred);
            area.draw(&Text::new(
                series.name.clone(),
                (self.px(38.0), y + self.sunk()),
                name,
            ))?;
        }
        Ok(())
    }

    /// A disc, square, triangle or diamond around a pixel.
    fn marker<B: DrawingBackend>(
        &self,
        number: usize,
        (x, y): (i32, i32),
        area: &DrawingArea<B, Shift>,
    ) -> Drawn<B> {
        let style = colour(number).filled();
        let r = self.px(5.0);
        let polygon = |corners: &[(i32, i32)]| {
            let corners: Vec<_> = corners.iter().map(|(dx, dy)| (x + dx, y + dy)).collect();
            area.draw(&Polygon::new(corners, style))
        };
        match number % 4 {
            0 => area.draw(&Circle::new((x, y), r, style)),
            1 => polygon(&[(-r, -r), (r, -r), (r, r), (-r, r)]),
            2 => polygon(&[(0, -r - r / 3), (r + r / 4, r), (-r - r / 4, r)]),
            _ => polygon(&[
                (0, -r - r / 3),
                (r + r / 3, 0),
                (0, r + r / 3),
                (-r - r / 3, 0),
            ]),
        }
    }
}

fn colour(number: usize) -> RGBColor {
    PALETTE[number % PALETTE.len()]
}
