//! What is said once transfers were told something, and which of them a key in Remote is for.

use super::{
    Pane, State, View,
    command::Target,
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

    /// The transfer of Remote's current entry, shown or not, which `verb` is to be done to by `action`; the current one where
    /// it has none. A row that it has becomes the current one. The error is for people: it has ended.
    fn of_entry(&mut self, action: Action, verb: &str) -> Result<Target, String> {
        let entry = self.remote.current();
        let path = entry.and_then(|entry| self.remote.path.join(&entry.name).ok());
        let Some(item) = path.and_then(|path| self.item_for(&path)) else {
            return Ok(Target::Current);
        };
        let (fits, why) = match action {
            Action::Retry => (
                matches!(item.state, ItemState::Failed(_) | ItemState::Cancelled),
                "has not failed",
            ),
            _ => (!item.state.is_ended(), "has ended"),
        };
        if !fits {
            let name = display_name(self.name(item));
            return Err(format!("nothing to {verb}: {name} {why}"));
        }
        let id = item.id;
        let is_its = |row: &Row| matches!(row, Row::Item(at) if self.snapshot.items.get(*at).is_some_and(|item| item.id == id));
        if let Some(row) = self.rows.iter().position(is_its) {
            self.go(row);
        }
        Ok(Target::One(id))
    }
}

impl State {
    /// Which transfer a key is for that is for one: in Remote that of the entry there, if it has one. The error is for people.
    pub(super) fn transfer_of(&mut self, action: Action) -> Result<Target, String> {
        let verb = match action {
            Action::Pause => "pause",
            Action::Cancel => "cancel",
            Action::First => "put first",
            Action::Retry => "retry",
            Action::LimitOne => "limit",
            _ => return Ok(Target::Current),
        };
        match &mut self.view {
            View::Connect(view) if self.focus == Pane::Remote => view.of_entry(action, verb),
            _ => Ok(Target::Current),
        }
    }
}

fn transfers(count: usize) -> String {
    match count {
        1 => "1 transfer".to_owned(),
        _ => format!("{} transfers", units::count(count as u64)),
    }
}
