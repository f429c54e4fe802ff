//! What is asked for becomes an item of the queue.

use std::{path::Path, sync::Arc};

use super::{
    Error, Want,
    disk::{
        journal::{Journal, Ticket},
        names::may_be_ours,
        target::Target,
    },
    handle::Client,
    id::SourceSet,
    read::{metalink::NamedFile, pattern::Filter},
    schedule::{NewItem, Schedule},
    snapshot::ItemId,
    task::FileTask,
    want::{Rule, Wanted},
};
use crate::{config::OnConflict, http1::path::RemotePath};

impl Client {
    /// Adds to the end of the queue. Files keep their path below the base URL, in the target directory or in `to`. With the
    /// setting `delete`, what the target holds of it and the server does not is noted.
    pub fn get(&self, want: Want, to: Option<&Path>) -> Result<ItemId, Error> {
        self.want(want, to, self.rule(), self.engine.settings.delete)
    }

    /// The same for somebody who watches the run: whatever the settings say, nothing is noted.
    pub fn get_also(&self, want: Want, to: Option<&Path>) -> Result<ItemId, Error> {
        self.want(want, to, self.rule(), false)
    }

    /// The same; files that are here in another version are brought up to date, whatever the settings say of them.
    pub fn update(&self, want: Want, to: Option<&Path>) -> Result<ItemId, Error> {
        let rule = Rule {
            on_conflict: OnConflict::Update,
            ..self.rule()
        };
        self.want(want, to, rule, false)
    }

    fn want(
        &self,
        want: Want,
        to: Option<&Path>,
        rule: Rule,
        extras: bool,
    ) -> Result<ItemId, Error> {
        let wanted = Wanted::new(&want, to, rule);
        let new = new_item(want, self.engine.servers.len())?;
        let target = self.target_for(to, rule)?;
        let journal = self.engine.journal();
        let kept_as = wanted.map(|wanted| (journal.want(wanted.clone()), wanted));
        let new = NewItem {
            kept_as,
            extras,
            ..new
        };
        Ok(self.add(new, target))
    }

    /// What the settings say of files in the way.
    fn rule(&self) -> Rule {
        let settings = &self.engine.settings;
        Rule {
            on_conflict: settings.on_conflict,
            backup: settings.backup,
        }
    }

    /// Goes on with what earlier runs on the same target and server were asked for and did not end, in their order and each
    /// by its own conflict rule: how many items were added. What was asked for again since then is not added, whatever the
    /// rule, and files of it that something takes which was asked for later are left to that. What has a directory of its own that
    /// cannot be used now stays for a later run. Without resuming, all is forgotten.
    pub fn restore(&self, paused: bool) -> usize {
        self.restore_each(|_| paused)
    }

    /// The same; `paused` says what waits until the user lets it go on.
    pub(super) fn restore_each(&self, paused: impl Fn(Ticket) -> bool) -> usize {
        let journal = self.engine.journal();
        let mut kept = journal.wanted();
        // What was asked for just now may have ended already, and still be in the journal for a moment.
        let (present, _) = self.engine.look(Schedule::kept);
        kept.retain(|(ticket, _)| !present.contains(ticket));
        let all: Vec<_> = kept.iter().map(|(ticket, _)| *ticket).collect();
        let (mut stays, mut added) = (Vec::new(), 0);
        for left in self.left(kept) {
            let Left {
                ticket,
                wanted,
                new,
            } = left;
            stays.push(ticket);
            let target = match self.target_for(wanted.to(), wanted.rule()) {
                Ok(target) => target,
                Err(error) => {
                    waits_for_its_directory(&error);
                    continue;
                }
            };
            self.add(
                NewItem {
                    kept_as: Some((ticket, wanted)),
                    earlier: Some(ticket),
                    paused: paused(ticket),
                    ..new
                },
                target,
            );
            added += 1;
        }
        for ticket in all.iter().filter(|ticket| !stays.contains(ticket)) {
            journal.settle(*ticket);
        }
        added
    }

    /// How much an earlier run on the same target and server left that one which changes something would go on with. For a dry
    /// run: nothing is changed. Blocking.
    pub fn left_over(&self) -> usize {
        let Some(state_dir) = self.engine.settings.state_dir.as_deref() else {
            return 0;
        };
        let kept = Journal::look(state_dir, &self.target.lasting_path(), &self.base_url());
        self.left(kept).len()
    }

    /// Of what the journal keeps, what is to be gone on with: nothing that was asked for again later.
    fn left(&self, kept: Vec<(Ticket, Wanted)>) -> Vec<Left> {
        if !self.engine.settings.resume {
            return Vec::new();
        }
        let servers = self.engine.servers.len();
        let left = kept.into_iter().filter_map(|(ticket, wanted)| {
            let (want, _) = wanted.want()?;
            let new = new_item(want, servers).ok()?;
            Some(Left {
                ticket,
                wanted,
                new,
            })
        });
        let mut left: Vec<_> = left.collect();
        let (_, known) = self.engine.look(Schedule::kept);
        let is_over = |it: &Left| {
            let file = it.new.scope().file();
            let mut later = left.iter().filter(|other| other.ticket > it.ticket);
            known.iter().any(|wanted| wanted.asks_the_same(&it.wanted))
                || later.any(|other| other.replaces(it))
                || file.is_some_and(|file| {
                    let to = it.wanted.to();
                    self.engine.look(|schedule| schedule.takes(file, to))
                })
        };
        let over: Vec<_> = left.iter().map(is_over).collect();
        let mut over = over.into_iter();
        left.retain(|_| !over.next().unwrap_or(false));
        left
    }

    fn add(&self, new: NewItem, target: Arc<Target>) -> ItemId {
        if !self.engine.settings.dry_run {
            let mut files = new.files();
            files.retain(|file| may_be_ours(file.name()));
            target.reserve(&files);
        }
        self.engine.with(|schedule| {
            let limit = new.kept_as.as_ref().and_then(|(_, wanted)| wanted.limit());
            let spares = target.spares();
            let id = schedule.add(NewItem { spares, ..new });
            self.engine.set_target(id, target, limit);
            id
        })
    }

    /// Where files land; opens a directory where it is not the target, or not with its rule.
    fn target_for(&self, to: Option<&Path>, rule: Rule) -> Result<Arc<Target>, Error> {
        if to.is_none() && rule == self.rule() {
            return Ok(Arc::clone(&self.target));
        }
        let target = Target::open(to.unwrap_or(self.target.path()), rule.on_conflict)?;
        Ok(Arc::new(target.keeping(rule.backup).beside(&self.target)))
    }
}

/// What an earlier run left.
struct Left {
    ticket: Ticket,
    wanted: Wanted,
    new: NewItem,
}

impl Left {
    /// Whether nothing of an older one is left to do beside this.
    fn replaces(&self, older: &Self) -> bool {
        let file = self.new.scope().file();
        let same_file = file.is_some() && file == older.new.scope().file();
        self.wanted.asks_the_same(&older.wanted)
            || same_file && self.wanted.to() == older.wanted.to()
    }
}

/// Says that the directory of what an earlier run left cannot be used now: a disk is not there, say, and may be later.
fn waits_for_its_directory(error: &Error) {
    let why = match error {
        Error::Target { path, reason } => format!("cannot use {path}: {reason}"),
        error => error.to_string(),
    };
    tracing::warn!("left from an earlier run, and waits for a later one: {why}");
}

/// What is asked for of so many servers, as an item.
fn new_item(want: Want, servers: usize) -> Result<NewItem, Error> {
    want.check()?;
    let new = NewItem::new(RemotePath::root());
    Ok(match want {
        Want::Path { path, size } => NewItem { path, size, ..new },
        Want::File {
            path,
            name,
            checksum,
        } => NewItem {
            path,
            rename: name,
            checksum: checksum.map(Box::new),
            ..new
        },
        Want::Named(files) => {
            let servers = SourceSet::all(servers);
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
        Want::Patterns { get, exclude } => NewItem {
            filter: Filter::of(&get, &exclude)?,
            ..new
        },
    })
}
