//! One transfer: on two lines in a narrow pane, on one elsewhere.

use ratatui::{buffer::Buffer, layout::Rect, style::Style};

use super::super::{
    text::{LEFT_WIDTH, add, bar, fit, left, put, put_right, shorten, shown, width},
    theme::Theme,
};
use crate::{
    app::figures::Figures,
    client::{FileView, ItemState, ItemView, Verified},
    progress,
    units::{self, RATE_WIDTH, SIZE_WIDTH},
};

/// `0.71/13.1 GiB`.
const PART_WIDTH: usize = 13;
/// `100%`.
const PERCENT_WIDTH: usize = 4;

/// What a row says.
pub(super) struct Transfer {
    glyph: &'static str,
    /// The glyph's, bar's and percentage's colour.
    style: Style,
    name: String,
    files: String,
    /// What the user wishes of it: `first`, its limit.
    wishes: String,
    name_style: Style,
    soft: Style,
    part: String,
    total: String,
    percent: u8,
    percent_text: String,
    /// `4 conns`.
    connections: String,
    /// The rate, or the state in a word.
    rate: String,
    rate_style: Style,
    left: String,
    /// Why it waits or failed.
    reason: Option<String>,
}

impl Transfer {
    /// `held` says what the server lets it wait for, and how long.
    pub(super) fn new(
        name: &[u8],
        item: &ItemView,
        figures: &Figures,
        held: Option<(&'static str, String)>,
        theme: &Theme,
    ) -> Self {
        let glyphs = theme.glyphs;
        let held = held.filter(|_| item.state == ItemState::Active);
        let stalled = figures.stalled;
        let done = item.state.is_ended() && !matches!(item.state, ItemState::Failed(_));
        let (glyph, style) = match &item.state {
            ItemState::Active if held.is_some() => (glyphs.paused, theme.warn),
            ItemState::Active if stalled.is_some() => (glyphs.flowing, theme.warn),
            ItemState::Active | ItemState::Landing => (glyphs.flowing, theme.good),
            ItemState::Paused => (glyphs.paused, theme.warn),
            ItemState::Queued => (glyphs.queued, theme.dim),
            ItemState::Waiting(_) => (glyphs.waiting, theme.warn),
            ItemState::Finished(_) => (glyphs.done, theme.faint),
            ItemState::Failed(_) => (glyphs.failed, theme.bad),
            ItemState::Cancelled => (glyphs.failed, theme.faint),
        };
        let (rate, rate_style) = match (&item.state, stalled) {
            _ if held.is_some() => (held.iter().map(|(word, _)| *word).collect(), theme.warn),
            (ItemState::Active, Some(_)) => ("stalled".to_owned(), theme.warn),
            (ItemState::Active, None) => (units::rate(figures.rate), theme.text),
            _ => (word(item, theme), style),
        };
        // What a retry goes on from.
        let kept = item.is_kept();
        let left = match (&item.state, stalled) {
            _ if kept => "kept".to_owned(),
            _ if held.is_some() => held.map(|(_, time)| time).unwrap_or_default(),
            (ItemState::Active, Some(time)) => format!("{}s", time.as_secs()),
            (ItemState::Active, None) => left(figures.left),
            _ => String::new(),
        };
        Self {
            glyph,
            style,
            name: shown(name).into_owned(),
            files: item.files.map_or_else(String::new, |files| {
                let more = if files.listed { "" } else { "+" };
                format!(
                    " ({}/{}{more})",
                    units::count(files.done),
                    units::count(files.found)
                )
            }),
            wishes: wishes(item, theme),
            name_style: if done { theme.faint } else { theme.text },
            soft: if done { theme.faint } else { theme.soft },
            part: part(figures),
            total: figures.total.map_or_else(String::new, units::size),
            percent: figures.percent.unwrap_or(0),
            percent_text: figures
                .percent
                .map_or_else(String::new, |p| format!("{p}%")),
            connections: connections(item.connections),
            rate,
            rate_style,
            left,
            reason: match &item.state {
                ItemState::Waiting(reason) | ItemState::Failed(reason) => {
                    Some(shown(reason).into_owned())
                }
                _ => None,
            },
        }
    }

    /// A tree, which shows whether its files have rows.
    pub(super) fn foldable(mut self, unfolded: Option<bool>, theme: &Theme) -> Self {
        if let Some(unfolded) = unfolded {
            let glyphs = theme.glyphs;
            let mark = if unfolded {
                glyphs.unfolded
            } else {
                glyphs.folded
            };
            self.files = format!(" {mark}{}", self.files);
        }
        self
    }

    /// A file of a tree that is on its way.
    pub(super) fn file(file: &FileView, tree: &ItemView, is_last: bool, theme: &Theme) -> Self {
        let glyphs = theme.glyphs;
        let below = file.path.as_bytes().strip_prefix(tree.path.as_bytes());
        let figures = Figures {
            done: file.done,
            total: file.total,
            ..Figures::default()
        };
        // What is not landed is not whole.
        let percent = progress::percent(file.done, file.total).map(|said| said.min(99));
        Self {
            glyph: if is_last {
                glyphs.last_branch
            } else {
                glyphs.branch
            },
            style: theme.good,
            name: shown(below.unwrap_or(file.path.as_bytes())).into_owned(),
            files: String::new(),
            wishes: String::new(),
            name_style: theme.soft,
            soft: theme.soft,
            part: part(&figures),
            total: file.total.map_or_else(String::new, units::size),
            percent: percent.unwrap_or(0),
            percent_text: percent.map_or_else(String::new, |p| format!("{p}%")),
            connections: connections(file.connections),
            rate: String::new(),
            rate_style: theme.soft,
            left: String::new(),
            reason: None,
        }
    }

    /// The name with the count of its files, which is never cut off.
    fn name(&self, cells: usize, theme: &Theme) -> String {
        let fits = |behind: &str| width(behind) + 8 <= cells;
        let both = format!("{}{}", self.files, self.wishes);
        let behind = [&both, &self.wishes, &self.files].into_iter();
        let behind = behind.filter(|behind| !behind.is_empty() && fits(behind));
        let behind = behind.map(String::as_str).next().unwrap_or_default();
        let name = shorten(&self.name, cells.saturating_sub(width(behind)), theme);
        format!("{name}{behind}")
    }

    /// ```text
    /// ▼ debian-13.0-amd64-DVD-1.iso     2.31/3.78 GiB  112 MiB/s
    ///   ━━━━━━━━━━━━━━━━━━━──────────── 4 conns   61%       0:13
    /// ```
    pub(super) fn on_two(&self, row: Rect, theme: &Theme, buf: &mut Buffer) {
        let (x, y) = (add(row.x, 3), row.y);
        let end = row.right() - 1;
        let rate = end.saturating_sub(RATE_WIDTH as u16);
        let part = rate.saturating_sub(1 + PART_WIDTH as u16);
        let wide = usize::from(part.saturating_sub(x)) > 12;
        let name_end = if wide { part } else { rate };
        let cells = usize::from(name_end.saturating_sub(x + 1));
        put(buf, add(row.x, 1), y, 1, self.glyph, self.style);
        put(buf, x, y, cells, &self.name(cells, theme), self.name_style);
        put_right(
            buf,
            (rate, y),
            RATE_WIDTH,
            &self.rate,
            self.rate_style,
            theme,
        );
        if wide {
            put_right(buf, (part, y), PART_WIDTH, &self.part, self.soft, theme);
        }
        let y = y + 1;
        let percent = rate.saturating_sub(1 + PERCENT_WIDTH as u16);
        let room = usize::from(percent.saturating_sub(x + 1));
        if let Some(reason) = &self.reason {
            let text = format!("{} {reason}", self.glyph);
            put(buf, x, y, room, &fit(&text, room, theme), self.style);
        } else {
            let place = (x, y);
            bar(buf, place, cells.min(room), self.percent, self.style, theme);
            if wide {
                put(buf, part, y, 8, &self.connections, theme.dim);
            }
        }
        put_right(
            buf,
            (percent, y),
            PERCENT_WIDTH,
            &self.percent_text,
            self.style,
            theme,
        );
        put_right(buf, (rate, y), RATE_WIDTH, &self.left, self.soft, theme);
    }

    /// `▼ debian-13.0-amd64-DVD-1.iso ━━━━━━╸────  61% 2.31/3.78 GiB 112 MiB/s  0:13`
    pub(super) fn on_one(&self, row: Rect, theme: &Theme, buf: &mut Buffer) {
        let (x, y) = (add(row.x, 3), row.y);
        let columns = Columns::new(usize::from(row.width).saturating_sub(4));
        put(buf, add(row.x, 1), y, 1, self.glyph, self.style);
        put(
            buf,
            x,
            y,
            columns.name,
            &self.name(columns.name, theme),
            self.name_style,
        );
        let mut at = add(x, columns.name + 1);
        if columns.bar > 0 {
            bar(buf, (at, y), columns.bar, self.percent, self.style, theme);
            at = add(at, columns.bar + 1);
        }
        put_right(
            buf,
            (at, y),
            PERCENT_WIDTH,
            &self.percent_text,
            self.style,
            theme,
        );
        at = add(at, PERCENT_WIDTH + 1);
        let end = row.right() - 1;
        if let Some(reason) = &self.reason {
            let cells = usize::from(end.saturating_sub(at));
            put_right(buf, (at, y), cells, reason, self.style, theme);
            return;
        }
        if columns.part > 0 {
            let text = if columns.part == PART_WIDTH {
                &self.part
            } else {
                &self.total
            };
            put_right(buf, (at, y), columns.part, text, self.soft, theme);
            at = add(at, columns.part + 1);
        }
        if self.left.is_empty() {
            let cells = usize::from(end.saturating_sub(at));
            put_right(buf, (at, y), cells, &self.rate, self.rate_style, theme);
            return;
        }
        put_right(buf, (at, y), RATE_WIDTH, &self.rate, self.rate_style, theme);
        if columns.left > 0 {
            at = add(at, RATE_WIDTH + 1);
            put_right(buf, (at, y), LEFT_WIDTH, &self.left, self.soft, theme);
        }
    }
}

/// ` first ≤1.0 MiB/s`, of what has not ended.
fn wishes(item: &ItemView, theme: &Theme) -> String {
    if item.state.is_ended() {
        return String::new();
    }
    let first = if item.first { " first" } else { "" };
    let limit = item.limit.map_or_else(String::new, |limit| {
        format!(" {}{}", theme.glyphs.at_most, units::rate(limit.0))
    });
    format!("{first}{limit}")
}

fn connections(count: usize) -> String {
    match count {
        0 => String::new(),
        1 => "1 conn".to_owned(),
        n => format!("{n} conns"),
    }
}

/// `2.31/3.78 GiB`, or one size where the other says nothing.
fn part(figures: &Figures) -> String {
    match (figures.done, figures.total) {
        (done, Some(total)) if done == 0 || done >= total => units::size(total),
        (done, Some(total)) => units::part_of(done, total),
        // An unknown size is no size of zero.
        (0, None) => String::new(),
        (done, None) => units::size(done),
    }
}

/// A state in a word of at most ten cells. A tree of which some files were not read has no mark behind it.
pub fn word(item: &ItemView, theme: &Theme) -> String {
    let all_read = item.files.is_none_or(|files| files.unread == 0);
    let done = if all_read { theme.glyphs.done } else { "" };
    let word: String = match &item.state {
        ItemState::Queued => "queued".into(),
        ItemState::Active => String::new(),
        ItemState::Paused => "paused".into(),
        ItemState::Waiting(_) => "waiting".into(),
        ItemState::Landing => "checking".into(),
        ItemState::Finished(Verified::Blake3 | Verified::Digest | Verified::Listed(_)) => {
            format!("verified {done}")
        }
        ItemState::Finished(Verified::Present) => format!("present {done}"),
        ItemState::Finished(Verified::Unread) => "here".into(),
        ItemState::Finished(Verified::Unverified) => "unverified".into(),
        ItemState::Failed(_) => "failed".into(),
        ItemState::Cancelled => "cancelled".into(),
    };
    word.trim_end().to_owned()
}

/// Cells of the columns on one line; they are left out in the order DONE, TOTAL, ETA, bar.
struct Columns {
    name: usize,
    bar: usize,
    part: usize,
    left: usize,
}

impl Columns {
    fn new(cells: usize) -> Self {
        // Name, percentage and rate are never left out.
        let fixed = 1 + PERCENT_WIDTH + 1 + RATE_WIDTH;
        let (mut bar, mut part, mut left) = (11, PART_WIDTH, LEFT_WIDTH);
        let name = |bar: usize, part: usize, left: usize| {
            let optional: usize = [bar, part, left]
                .iter()
                .filter(|c| **c > 0)
                .map(|c| c + 1)
                .sum();
            cells.saturating_sub(fixed + optional)
        };
        if name(bar, part, left) < 22 {
            part = SIZE_WIDTH;
        }
        if name(bar, part, left) < 16 {
            part = 0;
        }
        if name(bar, part, left) < 16 {
            left = 0;
        }
        if name(bar, part, left) < 16 {
            bar = 0;
        }
        if bar > 0 && cells > 110 {
            bar = 11 + (cells - 110) / 3;
        }
        Self {
            name: name(bar, part, left),
            bar,
            part,
            left,
        }
    }
}
