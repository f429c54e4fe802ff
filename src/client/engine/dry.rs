//! A run that changes nothing: what it would do with what listings name.

use std::{os::fd::AsFd as _, sync::Arc};

use super::{Engine, Found, blocking::blocking, found::parted, says::key};
use crate::{
    client::{
        Error, Verified,
        disk::{likeness::Likeness, target::Target},
        event::Action,
        task::{DirTask, FileTask},
    },
    config::OnConflict,
    entry::Entry,
};

impl Engine {
    /// Tells what would become of entries of a directory, and hands on its directories, to be listed. False when nothing is
    /// wanted any more, because the item was cancelled.
    pub(super) async fn would(
        self: &Arc<Self>,
        task: &DirTask,
        target: &Arc<Target>,
        entries: Vec<Entry>,
        found: &mut Found,
    ) -> Result<bool, Error> {
        let keys: Vec<_> = entries.iter().map(|entry| key(&entry.name)).collect();
        let (item, dir, target) = (task.item, task.dir.clone(), Arc::clone(target));
        let (rule, listed) = (self.settings.on_conflict, self.settings.checksums.is_some());
        let (mut dirs, files) = blocking(move || {
            let (dirs, named) = parted(item, &dir, entries);
            let mut files = Vec::with_capacity(named.len());
            let handle = target.look_in(&dir);
            for (path, entry) in named {
                let is_deep = entry.name.contains(&b'/');
                let deep = is_deep.then(|| target.look_in(&path.parent()));
                let there = deep.as_ref().unwrap_or(&handle).as_ref();
                let named = Entry {
                    name: path.name().to_vec(),
                    ..entry
                };
                let (stands, replaces) = match there {
                    Some(there) => (
                        target.stands(there.as_fd(), &named),
                        target.replaces(there.as_fd(), &named.name),
                    ),
                    None => (Likeness::Missing, false),
                };
                let file = FileTask {
                    size: named.size,
                    ..FileTask::new(item, path)
                };
                files.push((file, action(rule, stands, replaces, listed)));
            }
            Ok((dirs, files))
        })
        .await?;
        found.dirs.append(&mut dirs);
        let goes_on = self.with(|schedule| schedule.would(item, files));
        if goes_on {
            found.take(keys);
        }
        Ok(goes_on)
    }
}

/// What the conflict rule makes of a file that is `listed` where the user gave a list of digests, which no listing replaces;
/// `replaces` says that the new one takes the place of what has its name.
fn action(rule: OnConflict, stands: Likeness, replaces: bool, listed: bool) -> Action {
    let is_verified = stands == Likeness::Same(Verified::Present);
    let decides = !listed && (is_verified || rule == OnConflict::Update);
    match (rule, stands) {
        (_, Likeness::Missing) => Action::Fetch,
        (OnConflict::Skip, _) => Action::Keep,
        (OnConflict::Rename, _) | (_, Likeness::InTheWay) => Action::Copy,
        (OnConflict::Overwrite, _) | (_, Likeness::Differs) if replaces => Action::Replace,
        (_, Likeness::Differs) => Action::Copy,
        (OnConflict::Verify | OnConflict::Update, Likeness::Same(_)) if decides => Action::Keep,
        (_, Likeness::Open | Likeness::Same(_)) => Action::Compare,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rule_and_what_is_here_tell_what_is_done() {
        use OnConflict::{Overwrite, Skip, Update, Verify};
        const PRESENT: Likeness = Likeness::Same(Verified::Present);
        const UNREAD: Likeness = Likeness::Same(Verified::Unread);
        for (rule, stands, replaces, listed, expected) in [
            (Update, PRESENT, true, false, Action::Keep),
            (Update, UNREAD, true, false, Action::Keep),
            (Verify, PRESENT, false, false, Action::Keep),
            (Verify, UNREAD, false, false, Action::Compare),
            // A list of the user's is held against what a listing finds the same.
            (Update, PRESENT, true, true, Action::Compare),
            (Update, UNREAD, true, true, Action::Compare),
            (Verify, PRESENT, false, true, Action::Compare),
            (Skip, UNREAD, false, true, Action::Keep),
            // What has the name stays.
            (Update, Likeness::Differs, false, false, Action::Copy),
            (Update, Likeness::Differs, true, false, Action::Replace),
            (Update, Likeness::InTheWay, false, false, Action::Copy),
            (Update, PRESENT, false, false, Action::Keep),
            (Overwrite, PRESENT, true, false, Action::Replace),
            (Overwrite, PRESENT, false, false, Action::Compare),
            (Overwrite, Likeness::InTheWay, false, false, Action::Copy),
        ] {
            let told = action(rule, stands, replaces, listed);
            assert_eq!(told, expected, "{rule:?} {stands:?} {replaces} {listed}");
        }
    }
}
