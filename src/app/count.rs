//! Counting what is below directories.

use std::collections::HashSet;

use super::{
    State, View,
    browser::Browser,
    effect::Effect,
    survey::{Counting, News, Survey},
};
use crate::http1::path::RemotePath;

impl Browser {
    /// Directories that are shown or marked and not counted in full.
    fn uncounted(&self) -> Vec<RemotePath> {
        let shown = self.listing.shown().filter(|entry| entry.is_dir);
        let shown = shown.filter_map(|entry| self.path_of(entry));
        let marks = self.marks().into_iter().filter(|(_, entry)| entry.is_dir);
        let marks = marks.filter_map(|(dir, entry)| Some(dir.join(&entry.name).ok()?.into_dir()));
        let mut seen = HashSet::new();
        shown
            .chain(marks)
            .filter(|dir| self.sums.of(dir).is_none_or(|sum| sum.more))
            .filter(|dir| seen.insert(dir.clone()))
            .collect()
    }
}

impl State {
    /// Counts what is below the directories that are shown or marked; while that goes on, ends it.
    pub(super) fn count(&mut self) -> Vec<Effect> {
        let (now, id) = (self.now, self.next_survey());
        let browser = self.browser();
        if let Some(counting) = browser.sums.counting.take() {
            self.say("counting has ended: what was not counted is a lower bound");
            return vec![Effect::EndSurvey(counting.id)];
        }
        let roots = browser.uncounted();
        if roots.is_empty() {
            self.complain("no directory is left to count here");
            return Vec::new();
        }
        browser.sums.counting = Some(Counting {
            id,
            since: now,
            roots: roots.len(),
            done: 0,
        });
        vec![Effect::Survey(Survey {
            id,
            roots,
            names: false,
        })]
    }

    /// A number that no survey had.
    pub(super) fn next_survey(&mut self) -> u64 {
        self.surveys += 1;
        self.surveys
    }

    /// What is listed anew is counted anew.
    pub(super) fn forget_sums(&mut self) -> Option<Effect> {
        let sums = std::mem::take(&mut self.browser().sums);
        sums.counting.map(|counting| Effect::EndSurvey(counting.id))
    }

    pub(super) fn surveyed(&mut self, id: u64, news: News) -> Vec<Effect> {
        let View::Connect(view) = &mut self.view else {
            return Vec::new();
        };
        let sums = &mut view.remote.sums;
        let Some(counting) = sums.counting.as_mut().filter(|counting| counting.id == id) else {
            return self.search_found(id, news);
        };
        match news {
            News::Counted { root, sum, ended } => {
                sums.known.insert(root, sum);
                if ended {
                    counting.done += 1;
                }
            }
            News::Ended(extent) => {
                sums.counting = None;
                if let Some(lacks) = extent.lacks() {
                    self.complain(format!("counted: {lacks}"));
                }
            }
            News::Found(_) => {}
        }
        Vec::new()
    }
}
