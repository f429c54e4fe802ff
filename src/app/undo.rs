//! Taking back what was done to the queue last: a cancel, or a clear.

use std::time::{Duration, Instant};

use super::{
    State, View,
    command::Target,
    connect::Connect,
    effect::{Control, Effect},
    undone::{Last, Undo},
};
use crate::{
    client::{ItemId, ItemState, Snapshot},
    units,
};

/// Cleared transfers that are kept to be brought back; with more, all are forgotten.
const HIDDEN_MAX: usize = 10_000;
/// For so long a cancel may still be under way when it is taken back.
const PATIENCE: Duration = Duration::from_secs(5);

impl Connect {
    /// Leaves out what was cleared.
    pub(super) fn hide(&self, snapshot: &mut Snapshot) {
        if !self.undo.hidden.is_empty() {
            let shown = |id: &ItemId| !self.undo.hidden.contains(id);
            snapshot.items.retain(|item| shown(&item.id));
        }
    }

    /// Takes what has ended from the list.
    pub(super) fn clear(&mut self) -> Result<Vec<Effect>, &'static str> {
        let ended = self.snapshot.items.iter();
        let ended = ended.filter(|item| item.state.is_ended());
        let ended: Vec<_> = ended.map(|item| item.id).collect();
        if ended.is_empty() {
            return Err("nothing to clear: no transfer has ended");
        }
        if self.undo.hidden.len() + ended.len() > HIDDEN_MAX {
            self.undo = Undo::default();
            return Ok(vec![Effect::ClearEnded]);
        }
        self.undo.hidden.extend(&ended);
        self.undo.last = Some(Last::Cleared(ended.clone()));
        let mut snapshot = std::mem::take(&mut self.snapshot);
        self.hide(&mut snapshot);
        self.snapshot = snapshot;
        self.choose_rows();
        Ok(vec![Effect::Hide(ended)])
    }

    /// Cancels, and notes what.
    pub(super) fn cancel(&mut self, target: Target) -> Result<Vec<Effect>, &'static str> {
        let effects = self.control(target, Control::Cancel)?;
        let cancelled = effects.iter().filter_map(|effect| match effect {
            Effect::Control(id, Control::Cancel) => Some(*id),
            _ => None,
        });
        let cancelled: Vec<ItemId> = cancelled.collect();
        self.undo.reviving.retain(|(id, _)| !cancelled.contains(id));
        self.undo.last = Some(Last::Cancelled(cancelled));
        Ok(effects)
    }

    /// Tries again what was cancelled and is to go on.
    pub(super) fn revive(&mut self, now: Instant) -> Vec<Effect> {
        let mut effects = Vec::new();
        let items = &self.snapshot.items;
        self.undo.reviving.retain_mut(|(id, since)| {
            let since = *since.get_or_insert(now);
            let Some(item) = items.iter().find(|item| item.id == *id) else {
                return false;
            };
            let cancelled = item.state == ItemState::Cancelled;
            if cancelled {
                effects.push(Effect::Control(*id, Control::Retry));
            }
            // It may be that the cancel is not seen yet.
            let waited = now.saturating_duration_since(since);
            waited < PATIENCE && (cancelled || waited < PATIENCE / 5)
        });
        effects
    }
}

impl State {
    /// Takes back the last cancel or clear.
    pub(super) fn undo(&mut self) -> Vec<Effect> {
        let View::Connect(view) = &mut self.view else {
            return Vec::new();
        };
        let (said, effects) = match view.undo.last.take() {
            None => {
                self.complain("nothing to undo: u takes back the last cancel or clear");
                return Vec::new();
            }
            Some(Last::Cancelled(ids)) => {
                let effects = ids.iter().map(|id| Effect::Control(*id, Control::Retry));
                let effects = effects.collect();
                let count = ids.len();
                view.undo.reviving = ids.into_iter().map(|id| (id, None)).collect();
                (
                    format!("{} tried again", units::count(count as u64)),
                    effects,
                )
            }
            Some(Last::Cleared(ids)) => {
                for id in &ids {
                    view.undo.hidden.remove(id);
                }
                let count = units::count(ids.len() as u64);
                (format!("{count} brought back"), vec![Effect::Show(ids)])
            }
        };
        self.say(said);
        effects
    }
}
