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

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant, SystemTime};

    use super::{
        super::tests::{judged_task, open, task, transfer, with_etag, with_values},
        *,
    };
    use crate::{
        client::{facts::Facts, schedule::Opened, task::FileTask},
        digest::Digest,
        pieces::PIECE,
    };

    const SIZE: u64 = 4 * PIECE + 5;

    fn told(etag: &str) -> Validators {
        Validators {
            etag: Some(etag.into()),
            modified: None,
        }
    }

    fn range((first, last): (u64, u64), if_match: Option<&str>, if_range: Option<&str>) -> Ask {
        Ask::Range {
            first,
            last,
            if_match: if_match.map(Into::into),
            if_range: if_range.map(Into::into),
        }
    }

    #[test]
    fn a_run_is_asked_for_by_its_bytes_that_are_not_here() {
        let mut transfer = transfer(with_values(SIZE));
        let own = transfer.facts.source;
        let mut run = transfer.plan.begin_with(1..3, Instant::now());
        let ask = transfer.ask(own, &run);
        assert_eq!(ask, range((PIECE, 3 * PIECE - 1), None, None));
        run.skip = 700;
        run.pieces.end = 5;
        let ask = transfer.ask(own, &run);
        assert_eq!(ask, range((PIECE + 700, SIZE - 1), None, None));
        transfer.facts.ranges = false;
        assert_eq!(transfer.ask(own, &run), Ask::Whole);
    }

    #[test]
    fn each_source_is_held_to_what_it_said_of_the_file() {
        let (own, mirror, other) = (SourceId::at(0), SourceId::at(1), SourceId::at(2));
        let pieces = Facts {
            pieces: true,
            ..with_etag(SIZE)
        };
        for (facts, if_match, if_range) in [
            (pieces, Some("\"e\""), None),
            (with_etag(SIZE), None, Some("\"e\"")),
        ] {
            let mut transfer = transfer(facts);
            let run = transfer.plan.begin_with(0..1, Instant::now());
            let bytes = (0, PIECE - 1);
            assert_eq!(transfer.ask(own, &run), range(bytes, if_match, if_range));
            let values = Ask::Pieces {
                if_match: if_match.map(Into::into),
            };
            assert_eq!(transfer.ask_values(own), values);
            // Of a mirror nothing is known before its first answer.
            assert_eq!(transfer.ask(mirror, &run), range(bytes, None, None));
            let mut both = told("\"e\"");
            both.modified = Some(SystemTime::UNIX_EPOCH);
            assert_eq!(transfer.fit(mirror, both), Fit::Yes);
            assert_eq!(transfer.fit(other, told("\"e\"")), Fit::Yes);
            let its = range(bytes, None, Some("\"e\""));
            assert_eq!(transfer.ask(mirror, &run), its);
            assert_eq!(transfer.ask_values(mirror), Ask::Pieces { if_match: None });
        }
    }

    #[test]
    fn another_answer_of_its_own_source_says_that_the_file_changed() {
        let mut transfer = transfer(with_etag(SIZE));
        let own = transfer.facts.source;
        assert_eq!(transfer.fit(own, told("\"e\"")), Fit::Yes);
        assert_eq!(transfer.fit(own, Validators::default()), Fit::Yes);
        assert_eq!(transfer.fit(own, told("\"f\"")), Fit::Changed);
    }

    #[test]
    fn a_mirror_that_was_taken_must_stay_what_it_was() {
        let mut transfer = transfer(with_values(SIZE));
        let (one, other) = (SourceId::at(1), SourceId::at(2));
        assert_eq!(transfer.fit(one, told("\"1\"")), Fit::Yes);
        assert_eq!(transfer.fit(other, told("\"2\"")), Fit::Yes);
        for (source, etag, fit) in [
            (one, "\"1\"", Fit::Yes),
            (one, "\"2\"", Fit::Foreign),
            (other, "\"2\"", Fit::Yes),
            (other, "\"1\"", Fit::Foreign),
        ] {
            assert_eq!(transfer.fit(source, told(etag)), fit);
        }
        let run = transfer.plan.begin_with(0..1, Instant::now());
        for (source, etag) in [(one, "\"1\""), (other, "\"2\"")] {
            let its = range((0, PIECE - 1), None, Some(etag));
            assert_eq!(transfer.ask(source, &run), its);
        }
    }

    #[test]
    fn a_mirror_must_agree_where_its_bytes_are_not_judged() {
        let digest = Digest::Md5([0; 16]);
        let summed = FileTask {
            checksum: Some(Box::new(digest.clone())),
            ..task()
        };
        let failed = FileTask {
            failures: 1,
            ..summed.clone()
        };
        let with_digest = Facts {
            digest: Some(digest),
            ..with_etag(SIZE)
        };
        let failed_once = FileTask {
            failures: 1,
            ..task()
        };
        for (facts, task, other) in [
            (with_etag(SIZE), task(), Fit::Foreign),
            (with_values(SIZE), failed_once.clone(), Fit::Yes),
            (with_etag(SIZE), judged_task(SIZE), Fit::Yes),
            (with_etag(SIZE), summed, Fit::Yes),
            (with_digest.clone(), task(), Fit::Yes),
            // Its whole was wrong: who sent what is to be known now.
            (with_etag(SIZE), failed, Fit::Foreign),
            (with_digest, failed_once, Fit::Foreign),
        ] {
            let opened = Opened {
                facts,
                ..Opened::default()
            };
            let mut transfer = open(task, opened);
            let mirrors = [SourceId::at(1), SourceId::at(2)];
            let fits = |transfer: &mut Transfer, etag| {
                mirrors.map(|mirror| transfer.fit(mirror, told(etag)))
            };
            assert_eq!(fits(&mut transfer, "\"f\""), [other; 2]);
            if other == Fit::Foreign {
                assert_eq!(fits(&mut transfer, "\"e\""), [Fit::Yes; 2]);
            }
        }
    }

    #[test]
    fn the_same_date_says_that_a_mirror_has_the_same_file() {
        let date = SystemTime::UNIX_EPOCH + Duration::from_secs(9);
        let dated = |modified| Validators {
            etag: None,
            modified: Some(modified),
        };
        let mut transfer = transfer(Facts {
            etag: None,
            modified: Some(date),
            ..with_etag(SIZE)
        });
        let later = date + Duration::from_secs(1);
        let mirror = SourceId::at(1);
        assert_eq!(transfer.fit(mirror, dated(later)), Fit::Foreign);
        assert_eq!(transfer.fit(mirror, Validators::default()), Fit::Foreign);
        assert_eq!(transfer.fit(mirror, dated(date)), Fit::Yes);
    }
}
