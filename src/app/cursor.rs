//! A cursor in a list and the window of rows around it: the one scrolling that every list here shares.

use std::ops::Range;

/// A way to move a cursor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Motion {
    /// One row up.
    Up,
    /// One row down.
    Down,
    /// To the first row.
    Top,
    /// To the last row.
    Bottom,
    /// A windowful up.
    PageUp,
    /// A windowful down.
    PageDown,
    /// Half a windowful up.
    HalfUp,
    /// Half a windowful down.
    HalfDown,
}

/// Which row is current, and which rows the window shows. The cursor always lies in the window and in the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Cursor {
    at: usize,
    top: usize,
    page: usize,
}

impl Cursor {
    /// The current row, from 0. It is 0 in an empty list too.
    pub fn at(&self) -> usize {
        self.at
    }

    /// The rows that the window shows of `len`.
    pub fn window(&self, len: usize) -> Range<usize> {
        let top = self.top.min(len);
        top..len.min(top.saturating_add(self.page))
    }

    /// Tells how many rows the window has.
    pub fn set_page(&mut self, page: usize, len: usize) {
        self.page = page;
        self.go(self.at, len);
    }

    /// Moves to row `at`, or to the last one.
    pub fn go(&mut self, at: usize, len: usize) {
        self.at = at.min(len.saturating_sub(1));
        let page = self.page.max(1);
        self.top = self
            .top
            .min(self.at)
            .max((self.at + 1).saturating_sub(page))
            .min(len.saturating_sub(page));
    }

    /// Moves by `motion`.
    pub fn apply(&mut self, motion: Motion, len: usize) {
        let (page, half) = (self.page.max(1), (self.page / 2).max(1));
        let at = match motion {
            Motion::Up => self.at.saturating_sub(1),
            Motion::Down => self.at + 1,
            Motion::Top => 0,
            Motion::Bottom => len,
            Motion::PageUp => self.at.saturating_sub(page),
            Motion::PageDown => self.at + page,
            Motion::HalfUp => self.at.saturating_sub(half),
            Motion::HalfDown => self.at + half,
        };
        self.go(at, len);
    }

    /// Moves the window by `by` rows; the cursor is taken along at its edge.
    pub fn scroll(&mut self, by: isize, len: usize) {
        let page = self.page.max(1);
        self.top = self
            .top
            .saturating_add_signed(by)
            .min(len.saturating_sub(page));
        let last = (self.top + page - 1).min(len.saturating_sub(1));
        self.at = self.at.clamp(self.top.min(last), last);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cursor(page: usize, len: usize) -> Cursor {
        let mut cursor = Cursor::default();
        cursor.set_page(page, len);
        cursor
    }

    #[test]
    fn the_window_follows_the_cursor() {
        let mut c = cursor(5, 20);
        c.apply(Motion::PageDown, 20);
        assert_eq!((c.at(), c.window(20)), (5, 1..6));
        c.apply(Motion::Bottom, 20);
        assert_eq!((c.at(), c.window(20)), (19, 15..20));
        c.apply(Motion::HalfUp, 20);
        assert_eq!((c.at(), c.window(20)), (17, 15..20));
        c.apply(Motion::Top, 20);
        assert_eq!((c.at(), c.window(20)), (0, 0..5));
    }

    #[test]
    fn a_shrinking_list_keeps_the_cursor_inside() {
        let mut c = cursor(5, 20);
        c.apply(Motion::Bottom, 20);
        c.go(c.at(), 3);
        assert_eq!((c.at(), c.window(3)), (2, 0..3));
        c.go(c.at(), 0);
        assert_eq!((c.at(), c.window(0)), (0, 0..0));
    }

    #[test]
    fn scrolling_takes_the_cursor_along() {
        let mut c = cursor(5, 20);
        c.scroll(3, 20);
        assert_eq!((c.at(), c.window(20)), (3, 3..8));
        c.scroll(100, 20);
        assert_eq!((c.at(), c.window(20)), (15, 15..20));
        c.scroll(-100, 20);
        assert_eq!((c.at(), c.window(20)), (4, 0..5));
        c.scroll(1, 0);
        assert_eq!((c.at(), c.window(0)), (0, 0..0));
    }
}
