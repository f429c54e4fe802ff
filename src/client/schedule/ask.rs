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
            Local::File => self.limits.spares,
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
