//! The mouse: rows, hints, headings, scrollbars.

use std::time::{Duration, Instant};

use crossterm::event::KeyCode;

use super::{
    Mouse, Pane, Popup, State, View,
    effect::Effect,
    keymap::Action,
    listing::{Listing, SortKey},
    pointer::{InBox, Spot},
};

/// Two presses on a row within this time open it.
const DOUBLE_CLICK: Duration = Duration::from_millis(400);

impl State {
    pub(super) fn mouse(&mut self, mouse: Mouse) -> Vec<Effect> {
        if self.popup.is_some() {
            return self.mouse_in_popup(mouse);
        }
        match mouse {
            Mouse::On(Spot::Hint(Action::Edit(edit))) => return self.edit(edit),
            Mouse::On(Spot::Hint(action)) => return self.act(action),
            Mouse::On(Spot::Heading(pane, key)) => return self.sort_by_heading(pane, key),
            Mouse::On(Spot::Scrollbar { pane, at, of }) => self.scroll_to(pane, at, of),
            // The box has gone since.
            Mouse::InBox { .. } => {}
            Mouse::Mark { pane, row } => {
                self.focus_on(pane);
                if let (Pane::Remote, View::Connect(view)) = (pane, &mut self.view)
                    && !view.remote.is_unlisted()
                {
                    let listing = &mut view.remote.listing;
                    if listing.cursor().window(listing.len()).start + row >= listing.len() {
                        return Vec::new();
                    }
                    listing.end_range();
                    press(listing, row);
                    listing.toggle_mark();
                }
            }
            Mouse::Wheel { pane, by } => match (pane, &mut self.view) {
                (Pane::Log, _) => self.log.scroll(by),
                (Pane::Remote, View::Connect(view)) => view.remote.listing.scroll(by),
                (Pane::Transfers, View::Connect(view)) => view.scroll(by),
                (Pane::Clients, View::Serve(view)) => view.scroll(by),
                (Pane::Files, View::Serve(view)) => view.files.listing.scroll(by),
                _ => {}
            },
            Mouse::Press { pane, row, at } => {
                self.focus_on(pane);
                let Some(row) = row else { return Vec::new() };
                let row = match (pane, &mut self.view) {
                    (Pane::Log, _) => {
                        let row = self.log.cursor().window(self.log.counts().0).start + row;
                        self.log.go(row);
                        row
                    }
                    (Pane::Remote, View::Connect(view)) => press(&mut view.remote.listing, row),
                    (Pane::Files, View::Serve(view)) => press(&mut view.files.listing, row),
                    (Pane::Transfers, View::Connect(view)) => {
                        let row = view.cursor().window(view.rows.len()).start + row;
                        view.go(row);
                        row
                    }
                    (Pane::Clients, View::Serve(view)) => {
                        let row = view.cursor().window(view.rows.len()).start + row;
                        view.go(row);
                        row
                    }
                    _ => row,
                };
                if self.is_pressed_again(Some(pane), row, at) {
                    return match pane {
                        Pane::Remote | Pane::Files => self.act(Action::Open),
                        Pane::Clients | Pane::Transfers => self.act(Action::Unfold),
                        _ => Vec::new(),
                    };
                }
            }
        }
        Vec::new()
    }

    /// The wheel scrolls a box, a row is chosen and by a double click taken, a key that is named there does what the key
    /// does, and a press beside the box leaves it, as Esc does. A question about a certificate wants an answer, and what
    /// was typed to search for stays.
    fn mouse_in_popup(&mut self, mouse: Mouse) -> Vec<Effect> {
        let (on, at) = match mouse {
            Mouse::InBox { on, at } => (on, at),
            Mouse::Wheel { by, .. } => {
                if let Some((cursor, len, _)) = self.popup_cursor() {
                    cursor.scroll(by, len);
                }
                return Vec::new();
            }
            _ => return Vec::new(),
        };
        match on {
            InBox::Key(key) => self.popup_key(key),
            InBox::Row(row) => self.press_in_popup(row, at),
            InBox::Beside => Vec::new(),
            InBox::Outside => match self.popup {
                Some(Popup::Trust(_) | Popup::Search(_)) => Vec::new(),
                Some(Popup::Help(_)) => self.close(),
                _ => self.popup_key(KeyCode::Esc.into()),
            },
        }
    }

    /// A press on a row of a box's list.
    fn press_in_popup(&mut self, row: usize, at: Instant) -> Vec<Effect> {
        let Some((cursor, len, _)) = self.popup_cursor() else {
            return Vec::new();
        };
        let row = cursor.window(len).start + row;
        if row >= len {
            return Vec::new();
        }
        cursor.go(row, len);
        if self.is_pressed_again(None, row, at) {
            self.popup_key(KeyCode::Enter.into())
        } else {
            Vec::new()
        }
    }

    /// Whether a press on a row, of a pane's list or a box's, is the second of a double click.
    fn is_pressed_again(&mut self, pane: Option<Pane>, row: usize, at: Instant) -> bool {
        let before = self.pressed.replace((pane, row, at));
        let again = before.is_some_and(|(p, r, t)| {
            (p, r) == (pane, row) && at.saturating_duration_since(t) < DOUBLE_CLICK
        });
        if again {
            self.pressed = None;
        }
        again
    }

    /// Sorts by a heading; by the same again the other way round.
    fn sort_by_heading(&mut self, pane: Pane, key: SortKey) -> Vec<Effect> {
        self.focus_on(pane);
        let job = self.browser().listing.rearrange(|a| {
            if a.key == key {
                a.descending = !a.descending;
            } else {
                (a.key, a.descending) = (key, false);
            }
        });
        job.map(Effect::Arrange).into_iter().collect()
    }

    /// Goes to the row that a place in a scrollbar stands for.
    fn scroll_to(&mut self, pane: Pane, at: usize, of: usize) {
        self.focus_on(pane);
        let len = match (pane, &self.view) {
            (Pane::Log, _) => self.log.counts().0,
            (Pane::Remote, View::Connect(view)) => view.remote.listing.len(),
            (Pane::Files, View::Serve(view)) => view.files.listing.len(),
            (Pane::Transfers, View::Connect(view)) => view.rows.len(),
            (Pane::Clients, View::Serve(view)) => view.rows.len(),
            _ => 0,
        };
        let number = usize::from(self.number(pane)).checked_sub(1);
        let shown = number.map_or(0, |at| self.layout.rows[at]);
        let last = of.saturating_sub(1);
        if len <= shown || last == 0 {
            // All of it is in sight.
            return;
        }
        let row = (len - 1) * at.min(last) / last;
        match (pane, &mut self.view) {
            (Pane::Log, _) => self.log.go(row),
            (Pane::Remote, View::Connect(view)) => view.remote.listing.go(row),
            (Pane::Files, View::Serve(view)) => view.files.listing.go(row),
            (Pane::Transfers, View::Connect(view)) => view.go(row),
            (Pane::Clients, View::Serve(view)) => view.go(row),
            _ => {}
        }
    }
}

/// A press on the `row`th row of a listing's window.
fn press(listing: &mut Listing, row: usize) -> usize {
    let row = listing.cursor().window(listing.len()).start + row;
    listing.go(row);
    row
}
