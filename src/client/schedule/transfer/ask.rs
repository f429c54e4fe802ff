//! How pieces and values are asked for, and what an answer says about the file.

use super::{Fit, Transfer};
use crate::client::{
    facts::Validators,
    id::SourceId,
    schedule::{Ask, Run},
};

impl Transfer {
    /// How `run` is asked for from `source`: where the file has changed, the request fails. `If-Match` for a server of
    /// our kind, which then answers 412, `If-Range` for others, which then answer 200.
    pub fn ask(&self, source: SourceId, run: &Run) -> Ask {
        if !self.facts.ranges {
            return Ask::Whole;
        }
        let (first, end) = self.bytes_of(&run.pieces);
        let (if_match, if_range) = self.conditions(source);
        Ask::Range {
            first: first + run.skip,
            last: end - 1,
            if_match,
            if_range,
        }
    }

    /// How its values are asked for from `source`.
    pub fn ask_values(&self, source: SourceId) -> Ask {
        let (if_match, _) = self.conditions(source);
        Ask::Pieces { if_match }
    }

    fn conditions(&self, source: SourceId) -> (Option<String>, Option<String>) {
        if source != self.facts.source {
            let known = self.mirrors.iter().find(|(of, _)| *of == source);
            (None, known.and_then(|(_, told)| told.condition()))
        } else if self.facts.pieces {
            (self.facts.etag.clone(), None)
        } else {
            (None, self.facts.content().map(|content| content.validator))
        }
    }

    /// What an answer of `source` to a request for some of the pieces says about the file. A mirror's first one must
    /// agree with what the file was opened as where its bytes are not judged one by one, nor all of them in the end.
    pub fn fit(&mut self, source: SourceId, told: Validators) -> Fit {
        if source == self.facts.source {
            return if self.facts.validators().agree(&told) {
                Fit::Yes
            } else {
                Fit::Changed
            };
        }
        if let Some((_, before)) = self.mirrors.iter().find(|(of, _)| *of == source) {
            return if before.agree(&told) {
                Fit::Yes
            } else {
                Fit::Foreign
            };
        }
        let judged = self.facts.has_values()
            || self.senders.are_noted()
            || self.task.failures == 0
                && (self.facts.digest.is_some() || self.task.checksum.is_some());
        if judged || self.facts.validators().coincide(&told) {
            self.mirrors.push((source, told));
            return Fit::Yes;
        }
        Fit::Foreign
    }
}
