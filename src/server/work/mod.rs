//! The one owner of everything that waits inside the server: listings, trees, digests, logins.
//!
//! Who wants work done takes a [`Place`], waits for a [`Turn`], does a quantum of it, gives the turn back, and asks for the
//! next. [`policy`] decides who is next; here it is waited for. A file system that may hang has lanes of its own, so that
//! only those wait for it who asked for what lies there.

pub mod budget;
mod policy;

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use tokio::sync::oneshot;

use super::people::{peers::Who, snapshot::WorkCount};
use crate::sync::lock;
use policy::{Bounds, Lane, Ticket};

pub use crate::sys::mounts::Mount;
pub use policy::{Busy, FIRST_TURN};

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Reading a directory for its listing: a turn makes about 64 KiB of it.
    Listing,
    /// Reading whole trees, for Metalinks and tars, in the same quanta. They may lead onto mounts that hang, which listings do
    /// not.
    Tree,
    /// Chaining values of large files: a turn hashes up to 4 MiB, for at most 50 ms.
    Pieces,
    /// Chaining values of blocks, in the same quanta.
    Blocks,
    /// SHA-256 of large files, in the same quanta.
    Sha256,
    /// Digests of files of one piece: a turn is a file.
    Small,
    /// Checking a password: a turn is an argon2, some 30 ms and 19 MiB.
    Login,
    /// Opening and reading files where a file system may hang: a turn is a call.
    Remote,
}

impl Kind {
    const ALL: [(Self, &str); 8] = [
        (Self::Listing, "listing"),
        (Self::Tree, "tree"),
        (Self::Pieces, "pieces"),
        (Self::Blocks, "blocks"),
        (Self::Sha256, "sha256"),
        (Self::Small, "small"),
        (Self::Login, "login"),
        (Self::Remote, "remote"),
    ];

    /// The bounds of each, and why they are what they are.
    const fn bounds(self) -> Bounds {
        let (at_once, [at_once_each, at_once_shared], most, each) = match self {
            // Each turn occupies a thread of the blocking pool while it reads, the first one of a large directory for long.
            Self::Listing | Self::Tree => (8, [2, 1], 1024, 256),
            // More hashing would take the processor from those who send.
            Self::Pieces | Self::Small => (2, [2, 2], 1024, 256),
            // Nothing of it is kept: who asks again costs as much again, and delays no download.
            Self::Blocks => (1, [1, 1], 256, 64),
            // Metalinks, which anybody asks for, never delay a haul client's download.
            Self::Sha256 => (1, [1, 1], 32, 8),
            // Each takes 19 MiB and a core.
            Self::Login => (2, [2, 2], 64, 16),
            // Of the blocking pool's 512 threads.
            Self::Remote => (32, [32, 32], 512, 128),
        };
        Bounds {
            at_once,
            at_once_each,
            at_once_shared,
            most,
            each,
        }
    }
}

/// Everything that waits; clones share it.
#[derive(Debug, Clone, Default)]
pub struct Work(Arc<Lanes>);

#[derive(Debug, Default)]
struct Lanes(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    lanes: HashMap<(Kind, Mount), Lane>,
    /// Who is to be told that its turn has come, or that it does not.
    waiting: HashMap<Ticket, oneshot::Sender<Told>>,
    next: Ticket,
}

type Told = Result<Turn, Late>;

/// No turn came in [`FIRST_TURN`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Late;

/// A place among those who wait for one kind of work; it is given back when it is dropped.
#[derive(Debug)]
pub struct Place {
    work: Work,
    lane: (Kind, Mount),
    who: Who,
    had_turn: AtomicBool,
}

/// The permission to do a quantum of work; it is given back when it is dropped, also by a thread that nobody waits for
/// any more.
#[derive(Debug)]
pub struct Turn {
    work: Work,
    lane: (Kind, Mount),
    who: Who,
}

impl Place {
    /// The file system whose lane it is in, where that may hang.
    pub fn mount(&self) -> Mount {
        self.lane.1
    }
}

impl Work {
    /// Takes a place for `who`.
    pub fn enter(&self, kind: Kind, mount: Mount, who: &Who) -> Result<Place, Busy> {
        let mut state = lock(&self.0.0);
        let lane = (kind, mount);
        let its = state.lanes.entry(lane);
        its.or_insert_with(|| Lane::new(kind.bounds())).enter(who)?;
        Ok(Place {
            work: self.clone(),
            lane,
            who: who.clone(),
            had_turn: AtomicBool::new(false),
        })
    }

    /// What waits and what is under way, over all lanes of each kind.
    pub fn counts(&self) -> Vec<WorkCount> {
        let state = lock(&self.0.0);
        let of = |kind| {
            let lanes = state.lanes.iter().filter(move |((of, _), _)| *of == kind);
            lanes.map(|(_, lane)| lane.counts())
        };
        let kinds = Kind::ALL.into_iter().map(|(kind, name)| WorkCount {
            kind: name,
            waiting: of(kind).map(|(waiting, _)| waiting).sum(),
            running: of(kind).map(|(_, running)| running).sum(),
        });
        kinds.collect()
    }

    /// Changes a lane, and tells whose turn it is then.
    fn change(&self, lane: (Kind, Mount), change: impl FnOnce(&mut Lane)) {
        let mut told = Vec::new();
        let mut state = lock(&self.0.0);
        let State { lanes, waiting, .. } = &mut *state;
        if let Some(its) = lanes.get_mut(&lane) {
            change(its);
            for ticket in its.late(Instant::now()) {
                told.extend(waiting.remove(&ticket).map(|sender| (sender, Err(Late))));
            }
            while let Some((who, ticket)) = its.begin() {
                let turn = Turn {
                    work: self.clone(),
                    lane,
                    who,
                };
                match waiting.remove(&ticket) {
                    Some(sender) => told.push((sender, Ok(turn))),
                    None => told.push((oneshot::channel().0, Ok(turn))),
                }
            }
            if its.is_idle() {
                lanes.remove(&lane);
            }
        }
        drop(state);
        for (sender, result) in told {
            // Who waits no longer gives its turn back by dropping it, outside of the lock.
            let _ = sender.send(result);
        }
    }
}

impl Place {
    /// Waits for a turn. The first one comes in [`FIRST_TURN`] or not at all.
    pub async fn turn(&self) -> Result<Turn, Late> {
        let (sender, receiver) = oneshot::channel();
        let is_first = !self.had_turn.load(Ordering::Relaxed);
        let asked = {
            let mut state = lock(&self.work.0.0);
            state.next += 1;
            let ticket = state.next;
            state.waiting.insert(ticket, sender);
            Asked {
                place: self,
                ticket,
            }
        };
        self.work.change(self.lane, |lane| {
            lane.ask(&self.who, asked.ticket, is_first, Instant::now());
        });
        let told = if is_first {
            match tokio::time::timeout(FIRST_TURN, receiver).await {
                Ok(Ok(told)) => told,
                _ => Err(Late),
            }
        } else {
            receiver.await.unwrap_or(Err(Late))
        };
        drop(asked);
        if told.is_ok() {
            self.had_turn.store(true, Ordering::Relaxed);
        }
        told
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.work.change(self.lane, |lane| lane.leave(&self.who));
    }
}

/// Waits for a turn; withdraws when it is dropped.
struct Asked<'p> {
    place: &'p Place,
    ticket: Ticket,
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        let place = self.place;
        let withdrawn = lock(&place.work.0.0).waiting.remove(&self.ticket);
        if withdrawn.is_some() {
            let change = |lane: &mut Lane| lane.withdraw(&place.who, self.ticket);
            place.work.change(place.lane, change);
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.work.change(self.lane, |lane| lane.end(&self.who));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt as _;
    use std::time::Duration;

    fn who(name: &str) -> Who {
        Who::Login(name.into())
    }

    fn idle(work: &Work) -> bool {
        let state = lock(&work.0.0);
        state.lanes.is_empty() && state.waiting.is_empty()
    }

    #[tokio::test]
    async fn who_waits_no_longer_lets_others_have_its_turn() {
        let work = Work::default();
        let [one, two, three] =
            ["1", "2", "3"].map(|name| work.enter(Kind::Sha256, None, &who(name)).unwrap());
        let turn = one.turn().await.unwrap();
        let mut second = Box::pin(two.turn());
        assert!(second.as_mut().now_or_never().is_none());
        let mut third = Box::pin(three.turn());
        assert!(third.as_mut().now_or_never().is_none());
        // Its turn comes, and is never taken.
        drop(turn);
        drop(second);
        drop(third.await.unwrap());
        // A turn outlives the place: a thread may hang in it.
        let turn = one.turn().await.unwrap();
        drop((one, two, three));
        assert!(!idle(&work));
        drop(turn);
        assert!(idle(&work));
    }

    #[tokio::test(start_paused = true)]
    async fn a_first_turn_comes_soon_or_not_at_all_and_a_later_one_is_waited_for() {
        let work = Work::default();
        let [one, two] = ["1", "2"].map(|name| work.enter(Kind::Sha256, None, &who(name)).unwrap());
        let turn = one.turn().await.unwrap();
        assert_eq!(two.turn().await.unwrap_err(), Late);
        drop(turn);
        drop(two.turn().await.unwrap());
        let turn = one.turn().await.unwrap();
        let mut later = Box::pin(two.turn());
        assert!(later.as_mut().now_or_never().is_none());
        tokio::time::advance(Duration::from_secs(100)).await;
        assert!(later.as_mut().now_or_never().is_none());
        drop(turn);
        assert!(later.await.is_ok());
    }

    #[tokio::test]
    async fn what_hangs_on_one_mount_holds_up_nobody_elsewhere() {
        let work = Work::default();
        let ada = who("ada");
        let hung = work.enter(Kind::Sha256, Some(7), &ada).unwrap();
        let turn = hung.turn().await.unwrap();
        let other = work.enter(Kind::Sha256, Some(8), &ada).unwrap();
        let local = work.enter(Kind::Sha256, None, &ada).unwrap();
        assert!(other.turn().now_or_never().is_some() && local.turn().now_or_never().is_some());
        drop(turn);
    }
}
