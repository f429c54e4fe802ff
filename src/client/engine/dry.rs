//! A run that changes nothing: what it would do with what listings name.

use std::{os::fd::AsFd as _, sync::Arc};

use super::{Engine, Found, blocking::blocking, says::key};
use crate::{
    client::{
        Error, Verified,
        disk::{
            standing::{Standing, standing},
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
            let (mut dirs, mut files) = (Vec::new(), Vec::new());
            let handle = target.look_in(&dir);
            for entry in entries {
                let Ok(path) = dir.join_all(&entry.name) else {
                    continue;
                };
                if entry.is_dir {
                    dirs.push(DirTask::new(item, path.into_dir()));
                    continue;
                }
                let is_deep = entry.name.contains(&b'/');
                let deep = is_deep.then(|| target.look_in(&path.parent()));
                let there = deep.as_ref().unwrap_or(&handle).as_ref();
                let named = Entry {
                    name: path.name().to_vec(),
                    ..entry
                };
                let stands =
                    there.map_or(Standing::Missing, |there| standing(there.as_fd(), &named));
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
fn action(rule: OnConflict, stands: Standing) -> Action {
    let is_verified = stands == Standing::Same(Verified::Present);
    let updates = rule == OnConflict::Update;
    match (rule, stands) {
        (_, Standing::Missing) => Action::Fetch,
        (OnConflict::Skip, _) => Action::Keep,
        (OnConflict::Rename, _) | (_, Standing::InTheWay) => Action::Copy,
        (OnConflict::Overwrite, _) => Action::Replace,
        (_, Standing::Differs) if updates => Action::Replace,
        (_, Standing::Differs) => Action::Copy,
        (_, Standing::Same(_)) if updates || is_verified => Action::Keep,
        (_, Standing::Open | Standing::Same(_)) => Action::Compare,
    }
}
