//! What is asked for becomes an item of the queue.

use std::{path::Path, sync::Arc};

use super::{
    Error, Want,
    disk::{journal::Ticket, target::Target},
    handle::Client,
    id::SourceSet,
    read::{metalink::NamedFile, pattern::Filter},
    schedule::{NewItem, Schedule},
    snapshot::ItemId,
    task::FileTask,
    want::Wanted,
};
use crate::{
    config::OnConflict,
    escape::display_name,
    http1::path::{RemotePath, check_name},
};

impl Client {
    /// Adds to the end of the queue. Files keep their path below the base URL, in the target directory or in `to`.
    pub fn get(&self, want: Want, to: Option<&Path>) -> Result<ItemId, Error> {
        self.want(want, to, false)
    }

    /// The same; files that are here in another version are brought up to date, whatever the settings say of them.
    pub fn update(&self, want: Want, to: Option<&Path>) -> Result<ItemId, Error> {
        self.want(want, to, true)
    }

    fn want(&self, want: Want, to: Option<&Path>, update: bool) -> Result<ItemId, Error> {
        let wanted = Wanted::new(&want, to, update);
        let (new, target) = self.new_item(want, to, update)?;
        let journal = self.engine.journal();
        let kept_as = wanted.map(|wanted| (journal.want(wanted.clone()), wanted));
        Ok(self.add(NewItem { kept_as, ..new }, target))
    }

    /// Goes on with what earlier runs on the same target and server were asked for and did not end, in their order:
    /// how many items were added. What is in the queue already is not added again. Without resuming, all that is
    /// forgotten.
    pub fn restore(&self, paused: bool) -> usize {
        self.restore_each(|_| paused)
    }

    /// The same; `paused` says what waits until the user lets it go on.
    pub(super) fn restore_each(&self, paused: impl Fn(Ticket) -> bool) -> usize {
        let journal = self.engine.journal();
        let mut restored = 0;
        let kept = journal.wanted();
        // What was asked for just now may have ended already, and still be in the journal for a moment.
        let (present, mut known) = self.engine.look(Schedule::kept);
        for (ticket, wanted) in kept {
            if present.contains(&ticket) {
                continue;
            }
            let is_known = known.iter().any(|other| other.asks_the_same(&wanted));
            let again = (self.engine.settings.resume && !is_known)
                .then(|| wanted.want())
                .flatten()
                .and_then(|(want, to)| self.new_item(want, to.as_deref(), wanted.updates()).ok());
            let Some((new, target)) = again else {
                journal.settle(ticket);
                continue;
            };
            let kept_as = Some((ticket, wanted.clone()));
            self.add(
                NewItem {
                    kept_as,
                    paused: paused(ticket),
                    ..new
                },
                target,
            );
            known.push(wanted);
            restored += 1;
        }
        restored
    }

    fn add(&self, new: NewItem, target: Arc<Target>) -> ItemId {
        self.engine.with(|schedule| {
            let limit = new.kept_as.as_ref().and_then(|(_, wanted)| wanted.limit());
            let id = schedule.add(new);
            self.engine.set_target(id, target, limit);
            id
        })
    }

    fn target_for(&self, to: Option<&Path>, update: bool) -> Result<Arc<Target>, Error> {
        let settings = &self.engine.settings;
        let (dir, rule) = match (to, update) {
            (None, false) => return Ok(Arc::clone(&self.target)),
            (to, true) => (to, OnConflict::Update),
            (to, false) => (to, settings.on_conflict),
        };
        let dir = dir.unwrap_or(self.target.path());
        Ok(Arc::new(Target::open(dir, rule)?.keeping(settings.backup)))
    }

    fn new_item(
        &self,
        want: Want,
        to: Option<&Path>,
        update: bool,
    ) -> Result<(NewItem, Arc<Target>), Error> {
        let target = self.target_for(to, update)?;
        let new = NewItem::new(RemotePath::root());
        let new = match want {
            Want::Path { path, size } => NewItem { path, size, ..new },
            Want::File {
                path,
                name,
                checksum,
            } => {
                if let Some(name) = &name {
                    check_name(name).map_err(|error| {
                        Error::Usage(format!(
                            "`{}` is no file name: it is {error}",
                            display_name(name)
                        ))
                    })?;
                }
                NewItem {
                    path,
                    rename: name,
                    checksum: checksum.map(Box::new),
                    ..new
                }
            }
            Want::Named(files) => {
                let servers = SourceSet::all(self.engine.servers.len());
                let task = |file: &NamedFile| FileTask::named(file, servers);
                NewItem {
                    path: match files.as_slice() {
                        [file] => file.path.clone(),
                        _ => RemotePath::root(),
                    },
                    named: files.iter().map(task).collect(),
                    ..new
                }
            }
            Want::Patterns { get, exclude } => {
                let filter =
                    (!get.is_empty() || !exclude.is_empty()).then(|| Filter::new(&get, &exclude));
                NewItem {
                    filter: filter.transpose()?,
                    ..new
                }
            }
        };
        Ok((new, target))
    }
}
