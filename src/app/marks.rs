//! The box that lists what is marked, in all directories.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::{Popup, State, View, cursor::Cursor, effect::Effect, popup::motion_by_letters};

impl State {
    pub(super) fn show_marks(&mut self) {
        let View::Connect(view) = &self.view else {
            return;
        };
        let count = view.remote.marked_count();
        if count == 0 {
            self.complain("nothing is marked: `Space` marks");
            return;
        }
        let mut cursor = Cursor::default();
        cursor.set_page(self.layout.list, count);
        self.popup = Some(Popup::Marks(cursor));
    }

    /// A key in the box; `leaves` is one that closes it.
    pub(super) fn marks_key(&mut self, key: KeyEvent, leaves: bool) -> Vec<Effect> {
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        let (Some(Popup::Marks(cursor)), View::Connect(view)) = (&mut self.popup, &mut self.view)
        else {
            return Vec::new();
        };
        let at = cursor.at();
        let current = view.remote.marks().get(at).map(|(dir, entry)| {
            let (dir, name) = ((*dir).clone(), entry.name.clone());
            (dir, name)
        });
        match (key.code, current) {
            (KeyCode::Char('x') | KeyCode::Delete, Some((dir, name))) => {
                view.remote.unmark(&dir, &name);
            }
            (KeyCode::Char('X'), _) => {
                view.remote.unmark_all();
            }
            (KeyCode::Char('a'), _) if control => {
                view.remote.unmark_all();
            }
            (KeyCode::Enter, Some((dir, name))) => {
                self.popup = None;
                return view.remote.open_at(dir, &name);
            }
            (KeyCode::Char('M'), _) => return self.close(),
            _ if leaves => return self.close(),
            _ => {
                if let Some(motion) = motion_by_letters(key) {
                    cursor.apply(motion, view.remote.marked_count());
                }
                return Vec::new();
            }
        }
        let left = view.remote.marked_count();
        if left == 0 {
            return self.close();
        }
        cursor.go(at, left);
        Vec::new()
    }
}
