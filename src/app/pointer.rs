//! What the mouse does, in terms of what is on the screen.

use std::time::Instant;

use crossterm::event::KeyEvent;

use super::{keymap::Action, listing::SortKey, pane::Pane};

/// What a press on a cell means, beside the rows of lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spot {
    /// A hint.
    Hint(Action),
    /// A heading of a directory's list.
    Heading(Pane, SortKey),
    /// The border in which a list's scrollbar runs: `at` of `of` cells from its top.
    Scrollbar {
        /// The list's pane.
        pane: Pane,
        /// Cells from the top.
        at: usize,
        /// Cells in all.
        of: usize,
    },
}

/// What a press means while a box is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InBox {
    /// The `n`th row that its list shows.
    Row(usize),
    /// A key that is named there: an answer, or a hint in a border.
    Key(KeyEvent),
    /// Nothing, within the box.
    Beside,
    /// The screen around it.
    Outside,
}

/// The mouse on a pane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mouse {
    /// Pressed in `pane`, on the `row`th row that its list shows.
    Press {
        /// The pane.
        pane: Pane,
        /// The row from the list's top; `None` beside the list.
        row: Option<usize>,
        /// When, to tell a double click.
        at: Instant,
    },
    /// Pressed by the right button on the `row`th row that the list of `pane` shows.
    Mark {
        /// The pane.
        pane: Pane,
        /// The row from the list's top.
        row: usize,
    },
    /// Pressed on what does something by itself.
    On(Spot),
    /// Pressed while a box is open.
    InBox {
        /// What lies there.
        on: InBox,
        /// When, to tell a double click.
        at: Instant,
    },
    /// The wheel turned by so many rows over a pane.
    Wheel {
        /// The pane.
        pane: Pane,
        /// Rows; negative is up.
        by: isize,
    },
}
