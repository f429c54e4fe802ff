//! One file from several sources: whose bytes may be taken, and who sent bad ones.

use super::{Job, facts::Validators};
use crate::{client::source::SourceId, http1::response_head::ResponseHead};

/// A source that sent bad pieces of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Blame {
    /// Who.
    pub sender: SourceId,
    /// How many in all.
    pub times: u32,
    /// How many since somebody asked last.
    pub news: u32,
}

/// What an answer to a range request says about the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fit {
    /// It is the file's.
    Yes,
    /// The file changed.
    Changed,
    /// A mirror has another file there.
    Foreign,
}

impl Job {
    /// What an answer of `source` to a request for some of the pieces says about the file. A mirror's first one must
    /// agree with what the file was opened as where its bytes are not judged one by one, nor all of them in the end.
    pub fn fit(&self, source: SourceId, head: &ResponseHead) -> Fit {
        if source == self.facts.source {
            return if self.facts.agree(head) {
                Fit::Yes
            } else {
                Fit::Changed
            };
        }
        let told = Validators::of(head);
        let mut state = self.state();
        let mut mirrors = state.mirrors.iter();
        if let Some((_, before)) = mirrors.find(|(of, _)| *of == source) {
            return if before.agree(&told) {
                Fit::Yes
            } else {
                Fit::Foreign
            };
        }
        let judged = self.facts.has_values()
            || self.task.failures == 0
                && (self.facts.digest.is_some() || self.task.checksum.is_some());
        if judged || self.facts.validators().coincide(&told) {
            state.mirrors.push((source, told));
            return Fit::Yes;
        }
        Fit::Foreign
    }

    /// What a range request carries so that it fails when the file has changed: `If-Match` for a server of our kind,
    /// which then answers 412, `If-Range` for others, which then answer 200.
    pub fn validators(&self, source: SourceId) -> (Option<&str>, Option<String>) {
        if source != self.facts.source {
            let state = self.state();
            let mut mirrors = state.mirrors.iter();
            let known = mirrors.find(|(of, _)| *of == source);
            return (None, known.and_then(|(_, told)| told.condition()));
        }
        if self.facts.pieces {
            (self.facts.etag.as_deref(), None)
        } else {
            (None, self.facts.content().map(|content| content.validator))
        }
    }

    /// A source turned out to have no such file: it is not asked for it again. True the first time.
    pub fn exclude(&self, source: SourceId) -> bool {
        let mut state = self.state();
        let first = !state.excluded.contains(source);
        state.excluded.insert(source);
        first
    }

    /// The sources that sent bad pieces since the last call.
    pub fn take_blamed(&self) -> Vec<Blame> {
        let mut state = self.state();
        let blamed = state.blamed.iter().copied().filter(|one| one.news > 0);
        let blamed = blamed.collect();
        state.blamed.iter_mut().for_each(|one| one.news = 0);
        blamed
    }

    /// Who told the values of the pieces, or is about to.
    pub fn teller(&self) -> SourceId {
        self.state().teller
    }
}
