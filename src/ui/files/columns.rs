//! The columns of a listing.

use ratatui::{buffer::Buffer, layout::Rect};

use super::super::{
    text::{add, put, put_right},
    theme::Theme,
};
use crate::{app::listing::SortKey, units::SIZE_WIDTH};

/// `4 mo`, `11 mo`.
pub(super) const AGE_WIDTH: usize = 5;
/// `DOWNLOADS`.
pub(super) const COUNT_WIDTH: usize = 9;

/// Where the columns of a listing stand.
pub(super) struct Columns {
    pub(super) row: Rect,
    pub(super) name: (u16, usize),
    pub(super) size: u16,
    pub(super) age: u16,
    pub(super) count: Option<u16>,
}

impl Columns {
    pub(super) fn new(list: Rect, counts: bool) -> Self {
        let cells = usize::from(list.width);
        let gap = if cells >= 50 { 2 } else { 1 };
        // A bar, a mark and a blank before the name; a blank after the last column.
        let name = add(list.x, 3);
        let end = add(list.x, cells - 1);
        let count = (counts && cells >= 45).then(|| end - COUNT_WIDTH as u16);
        let age_end = count.map_or(end, |at| at - 2);
        let age = age_end.saturating_sub(AGE_WIDTH as u16);
        let size = age.saturating_sub((gap + SIZE_WIDTH) as u16);
        Self {
            row: list,
            name: (name, usize::from(size.saturating_sub(name + 1))),
            size,
            age,
            count,
        }
    }

    /// The key that the heading at a column sorts by.
    pub(super) fn key_at(&self, x: u16) -> Option<SortKey> {
        let within = |from: u16, cells: usize| (from..add(from, cells)).contains(&x);
        if within(self.name.0, self.name.1) {
            Some(SortKey::Name)
        } else if within(self.size, SIZE_WIDTH) {
            Some(SortKey::Size)
        } else {
            within(self.age, AGE_WIDTH).then_some(SortKey::Age)
        }
    }

    pub(super) fn heading(
        &self,
        y: u16,
        key: SortKey,
        arrow: &str,
        theme: &Theme,
        buf: &mut Buffer,
    ) {
        let label = |text: &str, of: SortKey| {
            if of == key {
                format!("{text} {arrow}")
            } else {
                text.to_owned()
            }
        };
        put(
            buf,
            self.name.0,
            y,
            self.name.1,
            &label("NAME", SortKey::Name),
            theme.dim,
        );
        put_right(
            buf,
            (self.size, y),
            SIZE_WIDTH,
            &label("SIZE", SortKey::Size),
            theme.dim,
            theme,
        );
        put_right(
            buf,
            (self.age, y),
            AGE_WIDTH,
            &label("AGE", SortKey::Age),
            theme.dim,
            theme,
        );
        if let Some(count) = self.count {
            put_right(buf, (count, y), COUNT_WIDTH, "DOWNLOADS", theme.dim, theme);
        }
    }
}
