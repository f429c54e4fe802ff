//! How work is asked for.

use super::{Ask, Schedule, SlotId, SourceId, Work};
use crate::{
    client::{
        disk::names::Local,
        task::{FileTask, Subject},
    },
    pieces::PIECE,
};

impl Schedule {
    /// How work is asked for.
    pub(super) fn ask(&self, source: SourceId, work: &Work, id: SlotId) -> Ask {
        match work {
            Work::Browse(_) | Work::List(_) => Ask::List,
            Work::Open(task) => self.first_ask(task, id),
            Work::Run(file, run) => match self.transfers.get(file) {
                Some(transfer) => transfer.ask(source, run),
                None => Ask::Whole,
            },
            Work::Values(file) => match self.transfers.get(file) {
                Some(transfer) => transfer.ask_values(source),
                None => Ask::Whole,
            },
            Work::Spent => Ask::Whole,
        }
    }

    /// How a file is asked for at first.
    fn first_ask(&self, task: &FileTask, id: SlotId) -> Ask {
        let worth_a_look = match task.local {
            // Small files leave no part that could be gone on with.
            Local::Part => self.limits.resume && task.size.is_none_or(|size| size > PIECE),
            Local::File => self.item(task.item).is_some_and(|item| item.spares),
            Local::Nothing | Local::Unknown => false,
        };
        let range = |bytes: u64| Ask::Range {
            first: 0,
            last: bytes - 1,
            if_match: None,
            if_range: None,
        };
        match task.size {
            _ if task.whole => Ask::Whole,
            _ if worth_a_look => Ask::Head,
            Some(size) if size <= PIECE => Ask::Whole,
            Some(_) => range(u64::from(self.run_max(id)) * PIECE),
            None => range(PIECE),
        }
    }

    /// What a server is asked for to do work; `None` for what needs no answer.
    pub fn subject(&self, source: SourceId, work: &Work) -> Option<Subject> {
        Some(match work {
            Work::Browse(browse) => Subject::Path(browse.dir.clone()),
            Work::List(task) => Subject::Path(task.dir.clone()),
            Work::Open(task) => task.subject_at(source),
            Work::Run(file, _) | Work::Values(file) => {
                self.transfers.get(file)?.task.subject_at(source)
            }
            Work::Spent => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::{
        client::{
            id::BrowseId,
            schedule::{
                Browse, FileId, Limits, NewItem,
                testing::{
                    MIB, SLOT, add, begin, file, limits, path, ranges, schedule, schedule_of,
                },
            },
            task::DirTask,
        },
        http1::path::RemotePath,
    };

    fn range(first: u64, last: u64) -> Ask {
        Ask::Range {
            first,
            last,
            if_match: None,
            if_range: None,
        }
    }

    #[test]
    fn a_file_is_asked_for_by_its_size_and_by_what_is_here_of_it() {
        let first = range(0, MIB - 1);
        // A connection whose speed is not known gets four pieces at first.
        let run = range(0, 4 * MIB - 1);
        for (size, local, ask) in [
            (Some(0), Local::Nothing, Ask::Whole),
            (Some(MIB), Local::Nothing, Ask::Whole),
            (Some(MIB + 1), Local::Nothing, run.clone()),
            (Some(9 * MIB), Local::Unknown, run.clone()),
            (None, Local::Nothing, first.clone()),
            (Some(MIB), Local::Part, Ask::Whole),
            (Some(MIB + 1), Local::Part, Ask::Head),
            (None, Local::Part, Ask::Head),
            (Some(9 * MIB), Local::File, run.clone()),
            (None, Local::File, first.clone()),
        ] {
            let mut task = file("a", 0);
            (task.size, task.local) = (size, local);
            assert_eq!(schedule(1).first_ask(&task, SLOT), ask, "{task:?}");
            task.whole = true;
            assert_eq!(schedule(1).first_ask(&task, SLOT), Ask::Whole);
        }
    }

    #[test]
    fn what_is_here_is_looked_at_where_that_may_spare_something() {
        for resume in [false, true] {
            let limits = Limits { resume, ..limits() };
            let mut schedule = schedule_of(limits, 1);
            // Each item by its own rule.
            let items = [false, true].map(|spares| {
                let named = vec![file("a", 1)];
                let new = NewItem::new(RemotePath::root());
                (
                    spares,
                    schedule.add(NewItem {
                        named,
                        spares,
                        ..new
                    }),
                )
            });
            for (spares, item) in items {
                let looks = |local, size| {
                    let mut task = file("a", size);
                    (task.item, task.local) = (item, local);
                    schedule.first_ask(&task, SLOT) == Ask::Head
                };
                assert_eq!(looks(Local::Part, 9 * MIB), resume);
                assert_eq!(looks(Local::File, 9 * MIB), spares);
                assert_eq!(looks(Local::File, 1), spares);
            }
        }
    }

    #[test]
    fn each_work_is_asked_for_in_its_way_and_names_what_is_asked_for() {
        let now = Instant::now();
        let mut schedule = schedule(1);
        let item = add(&mut schedule, vec![file("a", 9 * MIB)]);
        let (file, run) = begin(&mut schedule, 0, ranges(9 * MIB), 2, now);
        let run = run.unwrap();
        let source = SourceId::default();
        let browse = Work::Browse(Browse {
            id: BrowseId(1),
            dir: path("/b/"),
            failures: 0,
            tried: crate::client::id::SourceSet::default(),
        });
        let gone = FileId(99);
        let if_match = None;
        let if_range = Some("e".to_owned());
        let of_run = Ask::Range {
            first: 0,
            last: 2 * MIB - 1,
            if_match: None,
            if_range,
        };
        for (work, ask, subject) in [
            (browse, Ask::List, Some("/b/")),
            (
                Work::List(DirTask::new(item, path("/d/"))),
                Ask::List,
                Some("/d/"),
            ),
            (
                Work::Open(FileTask::new(item, path("/o"))),
                range(0, MIB - 1),
                Some("/o"),
            ),
            (Work::Run(file, run.clone()), of_run, Some("/a")),
            (Work::Values(file), Ask::Pieces { if_match }, Some("/a")),
            (Work::Run(gone, run), Ask::Whole, None),
            (Work::Values(gone), Ask::Whole, None),
            (Work::Spent, Ask::Whole, None),
        ] {
            assert_eq!(schedule.ask(source, &work, SLOT), ask, "{work:?}");
            let named = schedule
                .subject(source, &work)
                .map(|subject| match subject {
                    Subject::Path(path) => path.to_target(),
                    Subject::Target(target) => target,
                });
            assert_eq!(named.as_deref(), subject, "{work:?}");
        }
    }
}
