//! The columns of the clients' table, and a row of it.

use std::borrow::Cow;

use ratatui::{buffer::Buffer, layout::Rect, style::Style};

use super::{
    super::{
        text::{LEFT_WIDTH, add, bar, fit, left, put, put_parts, put_right, shorten, shown, width},
        theme::Theme,
    },
    arrow,
};
use crate::{
    app::serve::{ClientSort, Figures, Row, RowKind, Serve, Standing, What},
    units::{self, RATE_WIDTH, SIZE_WIDTH},
};

/// `3.46/7.80 GiB`.
const PART_WIDTH: usize = 13;
/// `100%`.
const PERCENT_WIDTH: usize = 4;

/// Where the columns stand: a column's first cell and its width, 0 where it is left out.
pub(super) struct Columns {
    row: Rect,
    client: (u16, usize),
    agent: (u16, usize),
    file: (u16, usize),
    bar: (u16, usize),
    percent: u16,
    part: (u16, usize),
    rate: u16,
    left: (u16, usize),
}

impl Columns {
    /// Left out one after the other: AGENT, DONE, TOTAL, FILE, ETA, PROGRESS. Client, percentage and rate stay.
    pub(super) fn new(list: Rect) -> Self {
        // A bar, a glyph and a blank before, a blank after.
        let cells = usize::from(list.width).saturating_sub(4);
        let agent = if cells >= 106 { 11 } else { 0 };
        let part = match cells {
            96.. => PART_WIDTH,
            66.. => SIZE_WIDTH,
            _ => 0,
        };
        let bar = match cells {
            150.. => 14 + (cells - 150) / 4,
            100.. => 14,
            44.. => 9,
            _ => 0,
        };
        let left = if cells >= 38 { LEFT_WIDTH } else { 0 };
        let optional: usize = [agent, part, bar, left]
            .iter()
            .filter(|c| **c > 0)
            .map(|c| c + 1)
            .sum();
        let rest = cells.saturating_sub(optional + 1 + PERCENT_WIDTH + 1 + RATE_WIDTH);
        let (client, file) = match rest {
            48.. => (20 + (rest - 48) / 4, rest - 21 - (rest - 48) / 4),
            24.. => (13.min(rest / 2), rest - 13.min(rest / 2) - 1),
            _ => (rest, 0),
        };
        let mut x = add(list.x, 3);
        let mut place = |cells: usize| {
            let at = x;
            if cells > 0 {
                x = add(x, cells + 1);
            }
            (at, cells)
        };
        Self {
            row: list,
            client: place(client),
            agent: place(agent),
            file: place(file),
            bar: place(bar),
            percent: place(PERCENT_WIDTH).0,
            part: place(part),
            rate: place(RATE_WIDTH).0,
            left: place(left),
        }
    }

    pub(super) fn heading(&self, y: u16, view: &Serve, theme: &Theme, buf: &mut Buffer) {
        let label = |text: &str, sort: ClientSort| {
            if view.sort == sort {
                format!("{text} {}", arrow(view, theme))
            } else {
                text.to_owned()
            }
        };
        let style = theme.dim;
        put(
            buf,
            self.client.0,
            y,
            self.client.1,
            &label("CLIENT", ClientSort::Name),
            style,
        );
        put(buf, self.agent.0, y, self.agent.1, "AGENT", style);
        put(buf, self.file.0, y, self.file.1, "FILE", style);
        put(buf, self.bar.0, y, self.bar.1, "PROGRESS", style);
        put_right(buf, (self.percent, y), PERCENT_WIDTH, "%", style, theme);
        let part = if self.part.1 == PART_WIDTH {
            "DONE/TOTAL"
        } else {
            "TOTAL"
        };
        put_right(buf, (self.part.0, y), self.part.1, part, style, theme);
        put_right(
            buf,
            (self.rate, y),
            RATE_WIDTH,
            &label("RATE", ClientSort::Rate),
            style,
            theme,
        );
        put_right(buf, (self.left.0, y), self.left.1, "ETA", style, theme);
    }

    pub(super) fn row(&self, y: u16, row: &Row, theme: &Theme, buf: &mut Buffer) {
        let looks = Looks::new(&row.figures, theme);
        match &row.kind {
            RowKind::Client {
                name,
                address,
                number,
                agent,
                what,
                unfolded,
            } => {
                let glyph = match row.figures.standing {
                    Standing::Done => theme.glyphs.done,
                    Standing::Left(_) => theme.glyphs.waiting,
                    Standing::Refused
                    | Standing::Aborted
                    | Standing::BrokenOff
                    | Standing::Removed(_) => theme.glyphs.failed,
                    Standing::Paused if !*unfolded => theme.glyphs.paused,
                    _ if *unfolded => theme.glyphs.unfolded,
                    _ => theme.glyphs.folded,
                };
                put(buf, add(self.row.x, 1), y, 1, glyph, looks.glyph);
                let number = number.map_or_else(String::new, |number| format!(" #{number}"));
                self.name(y, name.as_deref(), (address, &number), &looks, theme, buf);
                let agent = shown(agent);
                put(
                    buf,
                    self.agent.0,
                    y,
                    self.agent.1,
                    &fit(&agent, self.agent.1, theme),
                    looks.soft,
                );
                self.what(y, what, &looks, theme, buf);
                if matches!(what, What::Refusal(_)) || row.figures.standing == Standing::Idle {
                    return;
                }
            }
            RowKind::File { path, last, reason } => {
                let branch = if *last {
                    theme.glyphs.last_branch
                } else {
                    theme.glyphs.branch
                };
                // Where there is no column for files, they stand below the client's name.
                let (x, cells) = if self.file.1 > 0 {
                    self.file
                } else {
                    self.client
                };
                let (mut text, cells) = (shown(path.as_bytes()), cells.saturating_sub(2));
                // The log has the reason too: it is left out where the name needs the room.
                if let Some(reason) = reason.as_deref().map(shown)
                    && width(&text) + 3 + width(&reason) <= cells
                {
                    text = Cow::Owned(format!("{text} · {reason}"));
                }
                put(buf, x, y, 1, branch, theme.track);
                put(
                    buf,
                    add(x, 2),
                    y,
                    cells,
                    &shorten(&text, cells, theme),
                    looks.text,
                );
            }
        }
        self.figures(y, &row.figures, &looks, theme, buf);
    }

    fn name(
        &self,
        y: u16,
        name: Option<&str>,
        (address, number): (&str, &str),
        looks: &Looks,
        theme: &Theme,
        buf: &mut Buffer,
    ) {
        let (x, cells) = self.client;
        let room = cells.saturating_sub(width(number));
        let Some(name) = name else {
            let end = put(buf, x, y, room, &shorten(address, room, theme), looks.text);
            put(buf, end, y, width(number), number, looks.dim);
            return;
        };
        let name = shown(name);
        let end = put(buf, x, y, room, &fit(&name, room, theme), looks.text);
        let end = put(buf, end, y, width(number), number, looks.dim);
        // The address beside the name where it has room for all of it.
        if usize::from(end - x) + 1 + width(address) <= cells {
            put(buf, add(end, 1), y, cells, address, looks.dim);
        }
    }

    fn what(&self, y: u16, what: &What, looks: &Looks, theme: &Theme, buf: &mut Buffer) {
        let (x, cells) = self.file;
        if cells == 0 {
            return;
        }
        match what {
            What::Path(path) => {
                put(
                    buf,
                    x,
                    y,
                    cells,
                    &shorten(&shown(path.as_bytes()), cells, theme),
                    looks.text,
                );
            }
            What::Files { count, connections } => {
                let conns = if *connections == 1 { "conn" } else { "conns" };
                let text = format!("{count} files · {connections} {conns}");
                put(buf, x, y, cells, &fit(&text, cells, theme), looks.text);
            }
            What::Taken(files) => {
                let text = match files {
                    0 => "looks around".to_owned(),
                    1 => "took 1 file".to_owned(),
                    n => format!("took {} files", units::count(*n)),
                };
                put(buf, x, y, cells, &fit(&text, cells, theme), looks.dim);
            }
            What::Aborted(files) => {
                let text = format!("{} files", units::count(*files as u64));
                put(buf, x, y, cells, &fit(&text, cells, theme), looks.text);
            }
            What::Refusal(reason) => {
                // Nothing else stands in the row.
                let cells = usize::from(self.row.right().saturating_sub(x + 1));
                let reason = shown(reason);
                put_parts(
                    buf,
                    x,
                    y,
                    cells,
                    &[(fit(&reason, cells, theme), looks.text)],
                );
            }
        }
    }

    fn figures(&self, y: u16, figures: &Figures, looks: &Looks, theme: &Theme, buf: &mut Buffer) {
        if let Some(percent) = figures.percent() {
            if self.bar.1 > 0 {
                bar(buf, (self.bar.0, y), self.bar.1, percent, looks.bar, theme);
            }
            let text = format!("{percent}%");
            put_right(
                buf,
                (self.percent, y),
                PERCENT_WIDTH,
                &text,
                looks.bar,
                theme,
            );
        }
        let ended = matches!(figures.standing, Standing::Done);
        let part = match figures.total {
            Some(total) if self.part.1 == PART_WIDTH && !ended && figures.done > 0 => {
                units::part_of(figures.done, total)
            }
            Some(total) => units::size(total),
            None => units::size(figures.done),
        };
        put_right(buf, (self.part.0, y), self.part.1, &part, looks.soft, theme);
        let (rate, eta) = match figures.standing {
            // Without a whole there is no time left to tell.
            Standing::Active if figures.total.is_none() => {
                (units::rate(figures.rate), String::new())
            }
            Standing::Active => (units::rate(figures.rate), left(figures.left)),
            Standing::Stalled(time) => ("stalled".into(), format!("{}s", time.as_secs())),
            Standing::Paused => ("paused".into(), String::new()),
            Standing::Done if self.left.1 > 0 => (String::new(), "done".into()),
            Standing::Done => ("done".into(), String::new()),
            Standing::Aborted => ("aborted".into(), String::new()),
            Standing::BrokenOff => ("aborted".into(), "left".into()),
            Standing::Removed(word) => (word.into(), String::new()),
            Standing::Left(time) => ("left".into(), units::age(time)),
            Standing::Idle | Standing::Refused => (String::new(), String::new()),
        };
        put_right(buf, (self.rate, y), RATE_WIDTH, &rate, looks.rate, theme);
        put_right(buf, (self.left.0, y), self.left.1, &eta, looks.soft, theme);
    }
}

/// The colours of a row.
struct Looks {
    glyph: Style,
    text: Style,
    dim: Style,
    soft: Style,
    bar: Style,
    rate: Style,
}

impl Looks {
    fn new(figures: &Figures, theme: &Theme) -> Self {
        let all = |style| Self {
            glyph: style,
            text: style,
            dim: style,
            soft: style,
            bar: style,
            rate: style,
        };
        match figures.standing {
            Standing::Active => Self {
                glyph: theme.soft,
                text: theme.text,
                dim: theme.soft,
                soft: theme.soft,
                bar: theme.good,
                rate: theme.text,
            },
            Standing::Idle => Self {
                glyph: theme.dim,
                text: theme.soft,
                ..all(theme.dim)
            },
            Standing::Stalled(_) | Standing::Paused => all(theme.warn),
            Standing::Done | Standing::Left(_) => all(theme.faint),
            Standing::Aborted | Standing::BrokenOff | Standing::Refused | Standing::Removed(_) => {
                all(theme.bad)
            }
        }
    }
}
