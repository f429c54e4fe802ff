//! What is said once transfers were told something, and which of them a key in Remote is for.

use super::{
    Pane, State, View,
    connect::{Connect, Row},
    effect::{Control, Effect},
    keymap::Action,
};
use crate::{client::ItemState, escape::display_name, units};

impl Connect {
    /// What `effects` do, in words; nothing where it is seen at once. `keys` names the key that takes it back.
    pub(super) fn told(&self, effects: &[Effect], keys: bool) -> Option<String> {
        let undo = if keys { " · u takes it back" } else { "" };
        if let [Effect::Hide(cleared)] = effects {
            return Some(format!("cleared {}{undo}", transfers(cleared.len())));
        }
        let told = effects.iter().filter_map(|effect| match effect {
            Effect::Control(id, control) => Some((*id, *control)),
            _ => None,
        });
        let told: Vec<_> = told.collect();
        let (first, control) = *told.first()?;
        let item = self.snapshot.items.iter().find(|item| item.id == first)?;
        let who = match told.len() {
            1 => display_name(self.name(item)).into_owned(),
            many => transfers(many),
        };
        Some(match control {
            Control::Pause => format!("paused {who}"),
            Control::Resume if told.len() == 1 => format!("{who} goes on"),
            Control::Resume => format!("{who} go on"),
            Control::Cancel => format!("cancelled {who}{undo}"),
            Control::Retry => format!("trying {who} again"),
            Control::First(true) => format!("{who} goes before all others"),
            Control::First(false) => format!("{who} goes before the others no more"),
            Control::Reorder(_) | Control::Limit(_) => return None,
        })
    }

    /// Makes the transfer of Remote's current entry the current one, where it has one that `action` may be for.
    fn choose_of_entry(&mut self, action: Action) {
        let Some(entry) = self.remote.listing.current() else {
            return;
        };
        let Ok(path) = self.remote.path.join(&entry.name) else {
            return;
        };
        let Some(item) = self.item_for(&path) else {
            return;
        };
        let fits = match action {
            Action::Retry => matches!(item.state, ItemState::Failed(_) | ItemState::Cancelled),
            _ => !item.state.is_ended(),
        };
        let id = item.id;
        let is_its = |row: &Row| matches!(row, Row::Item(at) if self.snapshot.items.get(*at).is_some_and(|item| item.id == id));
        if fits && let Some(row) = self.rows.iter().position(is_its) {
            self.go(row);
        }
    }
}

impl State {
    /// A key for the current transfer that is pressed in Remote is for that of the entry there, if it has one.
    pub(super) fn choose_transfer(&mut self, action: Action) {
        let one = matches!(
            action,
            Action::Pause | Action::Cancel | Action::First | Action::Retry | Action::LimitOne
        );
        if let View::Connect(view) = &mut self.view
            && self.focus == Pane::Remote
            && one
        {
            view.choose_of_entry(action);
        }
    }
}

fn transfers(count: usize) -> String {
    match count {
        1 => "1 transfer".to_owned(),
        _ => format!("{} transfers", units::count(count as u64)),
    }
}
