//! How several servers stand among each other: who leads, who rests, who was dropped.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use super::{Outlook, Source, SourceId, SourceSet, lock};
use crate::{
    client::{Error, net::origin::Origin, retry::backoff},
    units,
};

/// Bad pieces after which a mirror is dropped: one may be the network's fault.
pub const BAD_PIECES_MAX: u32 = 2;

/// How a source stands among the others.
#[derive(Debug, Default)]
struct Standing {
    /// Connections that belong to it, open or about to be.
    workers: usize,
    /// Failures in a row, and until when it rests after them.
    failures: u32,
    rests_until: Option<Instant>,
    bad_pieces: u32,
    dropped: Option<String>,
}

/// All of a client's sources.
#[derive(Debug)]
pub struct Sources {
    all: Vec<Arc<Source>>,
    standings: Mutex<Vec<Standing>>,
    /// Failures in a row after which a mirror is dropped.
    retries: u32,
}

impl Sources {
    /// One for each origin, of which there is at least one; `target_ids` are those of the target directory and
    /// what is above it.
    pub fn new(origins: Vec<Origin>, target_ids: &[String], retries: u32) -> Self {
        let source = |(place, origin)| {
            let id = SourceId::at(place);
            Arc::new(Source::new(id, origin, target_ids.to_vec()))
        };
        let all: Vec<_> = origins.into_iter().enumerate().map(source).collect();
        Self {
            standings: Mutex::new(all.iter().map(|_| Standing::default()).collect()),
            all,
            retries,
        }
    }

    /// The one that the user named first.
    pub fn primary(&self) -> &Arc<Source> {
        &self.all[0]
    }

    /// The first in good standing.
    pub fn lead(&self) -> &Arc<Source> {
        let first = usable(&lock(&self.standings), Instant::now()).first();
        self.get(first.unwrap_or_default())
    }

    /// How many there are, dropped ones included.
    pub fn count(&self) -> usize {
        self.all.len()
    }

    /// By its place.
    pub fn get(&self, id: SourceId) -> &Arc<Source> {
        &self.all[id.place()]
    }

    /// All, with the reason why it was dropped for each that was.
    pub fn each(&self) -> Vec<(&Arc<Source>, Option<String>)> {
        let standings = lock(&self.standings);
        let dropped = standings.iter().map(|standing| standing.dropped.clone());
        self.all.iter().zip(dropped).collect()
    }

    /// What a connection of `source` sees.
    pub fn outlook(&self, source: SourceId, now: Instant) -> Outlook {
        let standings = lock(&self.standings);
        Outlook {
            source,
            usable: usable(&standings, now),
            kept: kept(&standings).map(|(id, _)| id).collect(),
        }
    }

    /// A source for a connection that belonged to `before`, if to any: the first in good standing if no connection
    /// belongs to it, else the one with the fewest.
    pub fn choose(&self, before: Option<SourceId>) -> Arc<Source> {
        let mut standings = lock(&self.standings);
        if let Some(before) = before {
            standings[before.place()].workers -= 1;
        }
        let usable = usable(&standings, Instant::now());
        let held = |id: SourceId| standings[id.place()].workers;
        let chosen = match usable.first() {
            Some(lead) if held(lead) == 0 => lead,
            _ => ids(&standings)
                .map(|(id, _)| id)
                .filter(|id| usable.contains(*id))
                .min_by_key(|id| held(*id))
                .unwrap_or_default(),
        };
        standings[chosen.place()].workers += 1;
        Arc::clone(self.get(chosen))
    }

    /// Moves an idle connection from one source to another that is needed and has none. True when it moved.
    pub fn move_to(&self, needed: SourceId, from: SourceId) -> bool {
        let mut standings = lock(&self.standings);
        let moves = needed != from && standings[needed.place()].workers == 0;
        if moves {
            standings[from.place()].workers -= 1;
            standings[needed.place()].workers += 1;
        }
        moves
    }

    /// A source failed. Where others are left it rests, or is dropped for having failed too often, and the time is
    /// told after which it may be tried again; `None` where it is the last one, which is not its business to judge.
    pub fn failed(
        &self,
        id: SourceId,
        error: &Error,
        retry_after: Option<Duration>,
    ) -> Option<Duration> {
        let mut standings = lock(&self.standings);
        if !has_others(&standings, id) {
            return None;
        }
        let now = Instant::now();
        let standing = &mut standings[id.place()];
        if standing.dropped.is_some() || standing.rests_until.is_some_and(|until| until > now) {
            // Connections that break together are one failure.
            return Some(Duration::ZERO);
        }
        standing.failures += 1;
        let tries = standing.failures;
        let server = self.get(id).origin.authority();
        if standing.failures > self.retries || !error.is_transient() {
            standing.dropped = Some(error.to_string());
            drop(standings);
            tracing::warn!(path = %server, "mirror dropped after {tries} tries: {error}");
            return Some(Duration::ZERO);
        }
        let pause = backoff(standing.failures, retry_after);
        standing.rests_until = Some(now + pause);
        drop(standings);
        tracing::warn!(path = %server, "{error}: try {} of this mirror in {}", tries + 1, units::took(pause));
        Some(pause)
    }

    /// A source lets this client wait. Where others are left they go on meanwhile: true.
    pub fn paused(&self, id: SourceId, pause: Duration) -> bool {
        let mut standings = lock(&self.standings);
        let others = has_others(&standings, id);
        if others {
            standings[id.place()].rests_until = Some(Instant::now() + pause);
        }
        others
    }

    /// A source answered: earlier failures are forgotten.
    pub fn answered(&self, id: SourceId) {
        let standing = &mut lock(&self.standings)[id.place()];
        (standing.failures, standing.rests_until) = (0, None);
    }

    /// Pieces that came from a source were wrong. It is dropped once that was no accident, where others are left.
    pub fn bad_pieces(&self, id: SourceId, pieces: u32) {
        let bad = {
            let standing = &mut lock(&self.standings)[id.place()];
            standing.bad_pieces += pieces;
            standing.bad_pieces
        };
        if bad >= BAD_PIECES_MAX {
            self.distrust(id, "its bytes do not match the digests");
        }
    }

    /// How often the others may send the same piece wrong before all but one are dropped.
    pub fn bad_pieces_borne(&self) -> u32 {
        let others = kept(&lock(&self.standings)).count().saturating_sub(1);
        BAD_PIECES_MAX * others as u32
    }

    /// What a source sends is wrong: it is dropped, where others are left. True when it was, now or before.
    pub fn distrust(&self, id: SourceId, reason: &str) -> bool {
        let mut standings = lock(&self.standings);
        if standings[id.place()].dropped.is_some() {
            return true;
        }
        if !has_others(&standings, id) {
            return false;
        }
        standings[id.place()].dropped = Some(reason.to_owned());
        drop(standings);
        tracing::warn!(path = %self.get(id).origin.authority(), "mirror dropped: {reason}");
        true
    }

    /// The user is impatient, or has answered: nobody rests, and none is left in peace.
    pub fn wake(&self) {
        for standing in lock(&self.standings).iter_mut() {
            standing.rests_until = None;
        }
        self.all.iter().for_each(|source| source.release());
    }
}

/// Every source's place and standing.
fn ids(standings: &[Standing]) -> impl Iterator<Item = (SourceId, &Standing)> {
    let places = standings.iter().enumerate();
    places.map(|(place, standing)| (SourceId::at(place), standing))
}

/// Those that were not dropped.
fn kept(standings: &[Standing]) -> impl Iterator<Item = (SourceId, &Standing)> {
    ids(standings).filter(|(_, standing)| standing.dropped.is_none())
}

/// Those that do not rest, either; where all of them rest, all that were not dropped. Never empty.
fn usable(standings: &[Standing], now: Instant) -> SourceSet {
    let awake = |standing: &Standing| standing.rests_until.is_none_or(|until| until <= now);
    let usable: SourceSet = kept(standings)
        .filter(|(_, standing)| awake(standing))
        .map(|(id, _)| id)
        .collect();
    if usable.is_empty() {
        kept(standings).map(|(id, _)| id).collect()
    } else {
        usable
    }
}

/// Whether sources other than `id` are left.
fn has_others(standings: &[Standing], id: SourceId) -> bool {
    kept(standings).any(|(other, _)| other != id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::Access;

    fn sources(count: u16) -> Sources {
        let origin = |port: u16| {
            let url = format!("http://h:{}/", port + 1).parse().unwrap();
            Origin::new(&url, "session", None, &Access::default()).unwrap()
        };
        Sources::new((0..count).map(origin).collect(), &[], 2)
    }

    fn broken() -> Error {
        Error::Broken("cut".into())
    }

    fn at(place: usize) -> SourceId {
        SourceId::at(place)
    }

    #[test]
    fn connections_are_spread_and_the_lead_is_never_without_one() {
        let sources = sources(3);
        let chosen: Vec<_> = (0..5).map(|_| sources.choose(None).id.place()).collect();
        assert_eq!(chosen, [0, 1, 2, 0, 1]);
        // The first rests: its two go to the one with the fewest, and the second leads.
        assert!(sources.failed(at(0), &broken(), None).is_some());
        assert_eq!(sources.lead().id, at(1));
        assert_eq!(sources.choose(Some(at(0))).id, at(2));
        assert_eq!(sources.choose(Some(at(0))).id, at(1));
        sources.wake();
        assert_eq!(sources.lead().id, at(0));
        assert_eq!(sources.choose(Some(at(2))).id, at(0));
    }

    #[test]
    fn a_mirror_rests_is_dropped_and_the_last_one_stays() {
        let sources = sources(2);
        for _ in 0..2 {
            let rest = sources.failed(at(0), &broken(), None).unwrap();
            assert!(!rest.is_zero());
            // Connections that break together are one failure.
            assert_eq!(sources.failed(at(0), &broken(), None), Some(Duration::ZERO));
            sources.wake();
        }
        assert_eq!(sources.failed(at(0), &broken(), None), Some(Duration::ZERO));
        let outlook = sources.outlook(at(1), Instant::now());
        assert!(!outlook.kept.contains(at(0)) && outlook.leads(SourceSet::default()));
        assert_eq!(sources.failed(at(1), &broken(), None), None);
        assert!(!sources.distrust(at(1), "whatever it sends"));
        sources.bad_pieces(at(1), 99);
        assert!(sources.each()[1].1.is_none());
    }

    #[test]
    fn an_answer_forgets_failures_and_bad_pieces_are_counted() {
        let sources = sources(2);
        for _ in 0..9 {
            assert!(sources.failed(at(1), &broken(), None).is_some());
            sources.answered(at(1));
        }
        assert!(sources.each()[1].1.is_none());
        assert_eq!(sources.bad_pieces_borne(), BAD_PIECES_MAX);
        sources.bad_pieces(at(1), 1);
        assert!(sources.each()[1].1.is_none());
        sources.bad_pieces(at(1), 1);
        assert!(sources.each()[1].1.is_some());
        assert_eq!(sources.bad_pieces_borne(), 0);
    }

    #[test]
    fn what_one_refused_is_the_next_ones_and_in_the_end_the_firsts() {
        let sources = sources(3);
        let outlook = |id| sources.outlook(id, Instant::now());
        let tried = |places: &[usize]| places.iter().copied().map(at).collect::<SourceSet>();
        assert!(outlook(at(0)).leads(tried(&[])));
        assert!(outlook(at(1)).leads(tried(&[0])));
        assert!(sources.failed(at(1), &broken(), None).is_some());
        assert_eq!(outlook(at(2)).lead(tried(&[0, 2])), None, "it rests");
        assert!(sources.distrust(at(1), "wrong"));
        assert_eq!(outlook(at(2)).lead(tried(&[0, 2])), Some(at(0)));
    }

    #[test]
    fn an_idle_connection_moves_only_where_there_is_none() {
        let sources = sources(2);
        let first = sources.choose(None).id;
        assert!(sources.move_to(at(1), first));
        assert!(!sources.move_to(at(1), first));
        assert!(!sources.move_to(at(1), at(1)));
    }
}
