//! Carrying out what the schedule wants done: nothing here waits, but hands on to who may.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::sync::mpsc;

use super::{Engine, lock};
use crate::client::{
    Error, Event,
    disk::{
        caught::caught,
        landed::Landed,
        lander::{Outcome, SmallFile},
        part::OpenPart,
    },
    id::FileId,
    proof::Proof,
    schedule::{Complete, Effect, Keep, Schedule, Unlanded},
};
use crate::pieces;

/// After a stop, an event waits this long for somebody to take it.
const LAST_EVENTS: Duration = Duration::from_secs(1);
/// Threads that hash one file; a disk gives no more than a few of them have use for.
const HASHERS_MAX: usize = 4;
/// Events that are taken from the queue at once.
const EVENTS_AT_ONCE: usize = 64;

impl Engine {
    /// Sees to it that an effect happens. Called under the schedule's lock.
    pub(super) fn carry_out(self: &Arc<Self>, effect: Effect) {
        match effect {
            Effect::Tell(event) => {
                // The pump outlives the schedule.
                self.told.note(&event);
                let _ = self.tell.send(event);
            }
            Effect::Ring(slot) => self.bells[slot.0].notify_one(),
            Effect::Interrupt(slot) => self.interrupts[slot.0].notify_one(),
            Effect::Changed => self.changed.notify_waiters(),
            Effect::Answer(browse, error) => self.answer(browse, Err(error)),
            Effect::HashLeft(file) => self.blocking(move |engine| engine.hash_left(file)),
            Effect::Search(file) => {
                let engine = Arc::clone(self);
                self.tasks
                    .spawn_on(async move { engine.search(file).await }, &self.runtime);
            }
            Effect::Land(file, proof) => self.blocking(move |engine| engine.land(file, proof)),
            Effect::Sync(file, pieces) => self.blocking(move |engine| {
                if let Some(part) = engine.part(file) {
                    engine.sync_part(&part, pieces);
                }
            }),
            Effect::LetGo(file, keep) => self.let_go(file, keep),
            Effect::LoadRest(rest) => {
                let engine = Arc::clone(self);
                self.tasks
                    .spawn_on(async move { engine.load(rest).await }, &self.runtime);
            }
            Effect::DropRest(rest) => {
                let rest = self.take_rest(rest);
                self.blocking(move |_| drop(rest));
            }
            Effect::Settle(ticket) => self.blocking(move |engine| engine.journal.settle(ticket)),
            Effect::KeepQueue => self.blocking(|engine| engine.keep_queue()),
            Effect::Want(item, wanted) => self.blocking(move |engine| {
                let ticket = engine.journal.want(wanted);
                engine.with(|schedule| schedule.wanted_again(item, ticket));
            }),
        }
    }

    /// Notes the queue as it is now. Blocking.
    fn keep_queue(&self) {
        // One at a time, so that what was looked up first is not written last.
        let _turn = lock(&self.keeps);
        let queue = self.look(Schedule::queue);
        self.journal.keep_queue(queue);
    }

    /// Runs what waits for the disk where it may.
    fn blocking(self: &Arc<Self>, work: impl FnOnce(&Arc<Self>) + Send + 'static) {
        let engine = Arc::clone(self);
        self.tasks
            .spawn_blocking_on(move || work(&engine), &self.runtime);
    }

    /// Tells events to whoever takes them, in their order. A receiver that is gone is no obstacle, and one that takes none
    /// is none after a stop. Ends once the engine is gone.
    pub async fn pump(
        engine: std::sync::Weak<Self>,
        stop: tokio_util::sync::CancellationToken,
        mut queue: mpsc::UnboundedReceiver<Event>,
        events: mpsc::Sender<Event>,
    ) {
        let mut some = Vec::with_capacity(EVENTS_AT_ONCE);
        let mut unheard = false;
        while queue.recv_many(&mut some, EVENTS_AT_ONCE).await > 0 {
            let count = some.len();
            for event in some.drain(..) {
                let last = async {
                    stop.cancelled().await;
                    if !unheard {
                        tokio::time::sleep(LAST_EVENTS).await;
                    }
                };
                tokio::select! {
                    biased;
                    _ = events.send(event) => {}
                    () = last => unheard = true,
                }
            }
            let Some(engine) = engine.upgrade() else {
                return;
            };
            engine.with(|schedule| schedule.told(count));
        }
    }

    /// Hashes what an earlier run left, or what the old file gives: several pieces at a time. Blocking.
    fn hash_left(self: &Arc<Self>, file: FileId) {
        let Some(part) = self.part(file) else { return };
        let pieces = self.look(|schedule| {
            let transfer = schedule.transfer(file);
            transfer.map_or(0, crate::client::schedule::Transfer::left_pieces)
        });
        let next = AtomicU32::new(0);
        // False where no more are wanted.
        let hash = || -> Result<bool, Error> {
            let mut buffer = Vec::new();
            loop {
                let piece = next.fetch_add(1, Ordering::Relaxed);
                if piece >= pieces {
                    return Ok(true);
                }
                let hashed = caught(&part.task, || part.hash_piece(piece, &mut buffer));
                let goes_on = hashed
                    .map(|value| self.with(|schedule| schedule.left_piece(file, piece, value, 0)));
                if !matches!(goes_on, Ok(true)) {
                    next.store(pieces, Ordering::Relaxed);
                    return goes_on;
                }
            }
        };
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let more = threads
            .min(HASHERS_MAX)
            .min(pieces as usize)
            .saturating_sub(1);
        let hashed = std::thread::scope(|scope| {
            let spawn = |_| std::thread::Builder::new().spawn_scoped(scope, hash);
            // One that cannot be had is one less.
            let others: Vec<_> = (0..more).filter_map(|at| spawn(at).ok()).collect();
            let mine = hash();
            let others = others
                .into_iter()
                .map(|other| other.join().unwrap_or(Ok(false)));
            others.fold(mine, |all, one| Ok(all? & one?))
        });
        match hashed {
            Ok(false) => {}
            hashed => {
                let hashed = hashed.map(|_| ());
                self.with(|schedule| schedule.left_done(file, hashed, Instant::now()));
            }
        }
    }

    /// Lands a complete file. Blocking.
    fn land(self: &Arc<Self>, file: FileId, proof: Proof) {
        let Some(part) = self.part(file) else { return };
        let listed = |known| {
            // On a thread that may block, as all of this.
            self.runtime.block_on(self.told(&part.task, known))
        };
        let outcome = match caught(&part.task, || part.land(proof, listed)) {
            Ok((name, proof)) => {
                self.drop_left(&part.target, &part.task.path, part.task.local_name());
                if !part.compares {
                    self.part_ended(&part.part.file);
                    let signature = self.signature(&part.task, proof.verified());
                    if let Some(signature) = self.runtime.block_on(signature) {
                        self.keep_signature(&part.task, &part.target, &name, &signature);
                    }
                }
                Ok(Complete {
                    local: part.target.local(&part.task.path.parent(), &name),
                    bytes: part.facts.size,
                    verified: proof.verified(),
                    took: part.began.elapsed(),
                })
            }
            Err(Error::Integrity { .. }) => Err(wrong(&part)),
            Err(error @ Error::Listed { .. }) => {
                // What is in it stays to be looked at, but nothing vouches for it: it is fetched anew.
                self.distrust(&part.part.file);
                Err(Unlanded::Listed(error))
            }
            Err(error) => Err(Unlanded::Disk(error)),
        };
        // Its claim ends with it: whoever fetches the file again may take the part up.
        drop(part);
        self.with(|schedule| schedule.landed(file, outcome, Instant::now()));
    }

    /// A transfer ended: its part is closed once whoever writes to it has let go.
    fn let_go(self: &Arc<Self>, file: FileId, keep: Keep) {
        let Some(part) = lock(&self.parts).remove(&file) else {
            return;
        };
        match keep {
            // Closing a file is a system call, too.
            Keep::AsIs => self.blocking(move |_| drop(part)),
            Keep::Pieces(pieces) => self.blocking(move |engine| engine.sync_part(&part, pieces)),
            Keep::Nothing => self.blocking(move |engine| engine.drop_part(&part.part)),
        }
    }

    /// Lands small files soon.
    pub fn land_small(self: &Arc<Self>, files: Vec<SmallFile>) {
        if files.is_empty() || !self.lander.push(files) {
            return;
        }
        let engine = Arc::clone(self);
        self.tasks.spawn_blocking(move || {
            engine.lander.work(&|outcomes| {
                for (small, outcome) in &outcomes {
                    if outcome.is_ok() {
                        let name = small.task.local_name();
                        engine.drop_left(&small.target, &small.task.path, name);
                    }
                    if let (Some(signature), Ok(landed)) = (&small.task.signature, outcome) {
                        engine.keep_signature(&small.task, &small.target, &landed.name, signature);
                    }
                }
                let outcomes: Vec<_> = outcomes.into_iter().map(told).collect();
                engine.with(|schedule| {
                    for (file, outcome) in outcomes {
                        schedule.small_landed(file, outcome);
                    }
                });
            });
        });
    }

    /// Waits until small files of `bytes` more may wait for the disk; what the caller holds is in `complete`.
    pub async fn room_for(self: &Arc<Self>, bytes: usize, complete: &mut Vec<SmallFile>) {
        if !self.lander.try_room_for(bytes) {
            self.land_small(std::mem::take(complete));
            self.lander.room_for(bytes).await;
        }
    }
}

/// What is wrong in a part that does not match its digest: some pieces, where a Metalink tells digests of them, else nobody
/// knows. Blocking.
fn wrong(part: &OpenPart) -> Unlanded {
    let told = part.facts.judged_by(part.task.pieces.as_deref());
    let wrong = told.map(|told| told.wrong(&part.part.file));
    match (told, wrong) {
        (Some(told), Some(Ok(wrong))) if (1..told.ranges().count()).contains(&wrong.len()) => {
            Unlanded::Pieces(wrong.iter().map(pieces::reached).collect())
        }
        _ => Unlanded::Wrong,
    }
}

/// What became of a small file, as the schedule is told of it.
fn told((small, outcome): (SmallFile, Outcome)) -> (FileId, Result<Complete, Error>) {
    let complete = |landed: Landed| Complete {
        verified: small.proof.of_landed(&landed).verified(),
        local: small.target.local(&small.task.path.parent(), &landed.name),
        bytes: small.content.len() as u64,
        took: small.began.elapsed(),
    };
    (small.file, outcome.map(complete))
}
