//! A run that changes nothing: what it would do with what listings name.

use std::{os::fd::AsFd as _, sync::Arc};

use super::{Engine, Found, blocking::blocking, found::parted, says::key};
use crate::{
    client::{
        Error, Verified,
        disk::{
            likeness::{Likeness, likeness},
            target::Target,
        },
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
        let rule = self.settings.on_conflict;
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
                let stands =
                    there.map_or(Likeness::Missing, |there| likeness(there.as_fd(), &named));
                let file = FileTask {
                    size: named.size,
                    ..FileTask::new(item, path)
                };
                files.push((file, action(rule, stands)));
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

/// What the conflict rule makes of a file.
fn action(rule: OnConflict, stands: Likeness) -> Action {
    let is_verified = stands == Likeness::Same(Verified::Present);
    let updates = rule == OnConflict::Update;
    match (rule, stands) {
        (_, Likeness::Missing) => Action::Fetch,
        (OnConflict::Skip, _) => Action::Keep,
        (OnConflict::Rename, _) | (_, Likeness::InTheWay) => Action::Copy,
        (OnConflict::Overwrite, _) => Action::Replace,
        (_, Likeness::Differs) if updates => Action::Replace,
        (_, Likeness::Differs) => Action::Copy,
        (_, Likeness::Same(_)) if updates || is_verified => Action::Keep,
        (_, Likeness::Open | Likeness::Same(_)) => Action::Compare,
    }
}
