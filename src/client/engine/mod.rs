//! What the connections of a client share: the schedule under its lock, and everything that has a handle: servers, parts,
//! listings that wait on disk, and those who wait for answers.

mod beside;
mod blocking;
mod blocks;
mod dry;
mod effects;
mod extras;
mod found;
mod moved;
mod parts;
mod published;
mod says;
mod server;
mod signatures;
mod unfinished;

pub use found::Found;
pub use server::Server;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use tokio::sync::{Notify, Semaphore, mpsc, oneshot};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use url::Url;

use super::{
    Error, Event, ItemId, Settings,
    counts::Told,
    disk::journal::Journal,
    disk::lander::Lander,
    disk::part::OpenPart,
    disk::{names::Names, spill::Spill, target::Target},
    id::{BrowseId, FileId, RestId, SlotId, SourceId},
    net::origin::Origin,
    schedule::{Hop, Limits, Placed, Schedule, Work},
};
use crate::{entry::Entry, http1::path::RemotePath, pace::Pace, progress::Counter, units::Rate};

/// Files that are searched or patched at the same time.
const SEARCHES: usize = 2;

/// Entries of a directory that wait on disk until there is room for them.
#[derive(Debug)]
pub struct Rest {
    /// The entries.
    pub spill: Spill,
    /// What was here when the listing began; `None` where nobody had to look.
    pub names: Option<Names>,
}

/// What somebody who asked for a listing gets.
pub type Listing = Result<Vec<Entry>, Error>;

/// What the connections share.
#[derive(Debug)]
pub struct Engine {
    /// The client's settings.
    pub settings: Settings,
    /// The servers, in the order in which the user named them.
    pub servers: Vec<Arc<Server>>,
    /// Those that redirects led to, by their places.
    led: Mutex<Vec<Arc<Server>>>,
    /// Ids of the target directory and what is above it.
    pub target_ids: Vec<String>,
    schedule: Mutex<Schedule>,
    /// One for each connection: something may be there for it to do.
    bells: Vec<Notify>,
    /// One for each connection: what it reads may not be wanted any more.
    interrupts: Vec<Notify>,
    /// An item changed or ended.
    pub changed: Notify,
    /// The limit of all connections together.
    pub pace: Arc<Pace>,
    /// Body bytes received.
    pub received: Counter,
    /// Ends everything at the next safe point.
    pub stop: CancellationToken,
    /// Connections and landings.
    pub tasks: TaskTracker,
    /// Where they run; calls may come from threads outside of it.
    pub runtime: tokio::runtime::Handle,
    /// Small files on their way to the disk.
    pub lander: Lander,
    /// Published lists of digests.
    pub lists: published::Lists,
    /// What the target holds and the server does not.
    pub extras: extras::Noted,
    /// Who looks for what differs of a file, or patches it, now: each has a connection or two beside the schedule's.
    searches: Semaphore,
    journal: Journal,
    /// Whose turn it is to note the queue.
    keeps: Mutex<()>,
    /// Where each item's files land.
    targets: Mutex<HashMap<ItemId, Arc<Target>>>,
    /// The limit of each item's connections together.
    paces: Mutex<HashMap<ItemId, Arc<Pace>>>,
    parts: Mutex<HashMap<FileId, Arc<OpenPart>>>,
    rests: Mutex<HashMap<RestId, Rest>>,
    replies: Mutex<HashMap<BrowseId, oneshot::Sender<Listing>>>,
    tell: mpsc::UnboundedSender<Event>,
    /// What was told.
    pub(super) told: Told,
}

/// A mutex's content, whatever became of who held it last.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Engine {
    /// Shared state for one client; events wait in `tell`, and are told by [`Self::pump`].
    pub fn new(
        settings: Settings,
        origins: Vec<Origin>,
        target: &Target,
        tell: mpsc::UnboundedSender<Event>,
    ) -> Self {
        let ids = target.ids();
        let servers: Vec<_> = origins
            .into_iter()
            .map(|origin| Arc::new(Server::new(origin, ids.clone())))
            .collect();
        let base = servers[0].origin.base_url();
        // A run that changes nothing leaves no journal.
        let state_dir = settings.state_dir.as_deref();
        let state_dir = state_dir.filter(|_| !settings.dry_run);
        let journal = Journal::open(state_dir, &target.lasting_path(), target.device(), &base);
        let limits = Limits {
            workers: settings.workers,
            retries: settings.retries,
            serial: settings.serial,
            patient: settings.patient,
            resume: settings.resume,
            fail_empty: settings.fail_empty,
        };
        let names = servers.iter().map(|server| server.origin.authority());
        let schedule = Schedule::new(limits, names.collect(), fastrand::u64(..));
        let searches = if settings.workers == 1 { 1 } else { SEARCHES };
        let notifies = || (0..settings.workers).map(|_| Notify::new()).collect();
        Self {
            pace: Arc::new(Pace::new(settings.limit)),
            schedule: Mutex::new(schedule),
            bells: notifies(),
            interrupts: notifies(),
            changed: Notify::new(),
            settings,
            servers,
            led: Mutex::default(),
            target_ids: ids,
            received: Counter::default(),
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
            runtime: tokio::runtime::Handle::current(),
            lander: Lander::default(),
            lists: published::Lists::default(),
            extras: extras::Noted::new(target),
            searches: Semaphore::new(searches),
            journal,
            keeps: Mutex::default(),
            targets: Mutex::default(),
            paces: Mutex::default(),
            parts: Mutex::default(),
            rests: Mutex::default(),
            replies: Mutex::default(),
            tell,
            told: Told::default(),
        }
    }

    /// Asks or tells the schedule something, and sees to what follows.
    pub fn with<T>(self: &Arc<Self>, act: impl FnOnce(&mut Schedule) -> T) -> T {
        let mut schedule = lock(&self.schedule);
        let told = act(&mut schedule);
        // Under the lock, so that what happened is told in its order; nothing of it waits.
        for effect in schedule.take_effects() {
            self.carry_out(effect);
        }
        told
    }

    /// Looks at the schedule.
    pub fn look<T>(&self, look: impl FnOnce(&Schedule) -> T) -> T {
        look(&lock(&self.schedule))
    }

    /// The server of a place.
    pub fn server(&self, source: SourceId) -> Arc<Server> {
        match source.led_place() {
            Some(place) => Arc::clone(&lock(&self.led)[place]),
            None => Arc::clone(&self.servers[source.place()]),
        }
    }

    /// The server at an address, where the user named it.
    pub fn named(&self, url: &Url) -> Option<SourceId> {
        let mut servers = self.servers.iter();
        let at = servers.position(|server| server.origin.url().origin() == url.origin());
        at.map(SourceId::at)
    }

    /// An answer redirects: see [`Schedule::led`]. A `server` that nobody knew yet is one from then on.
    pub fn led(
        self: &Arc<Self>,
        slot: SlotId,
        hop: &Hop,
        server: Option<Arc<Server>>,
    ) -> Result<Placed, Error> {
        self.with(|schedule| {
            let placed = schedule.led(slot, hop, server.is_some(), Instant::now())?;
            if let (Placed::New(at), Some(server)) = (placed, server) {
                let mut led = lock(&self.led);
                let place = at.led_place().unwrap_or_default();
                if place == led.len() {
                    led.push(server);
                } else {
                    led[place] = server;
                }
            }
            Ok(placed)
        })
    }

    /// The server that leads, or would.
    pub fn lead(&self) -> Arc<Server> {
        self.server(self.look(|schedule| schedule.lead(Instant::now())))
    }

    /// Completes when something may be there for a connection to do.
    pub async fn bell(&self, slot: SlotId) {
        self.bells[slot.0].notified().await;
    }

    /// Completes when what a connection reads is not wanted any more.
    pub async fn interrupted(&self, slot: SlotId) {
        while !self.look(|schedule| schedule.is_interrupted(slot)) {
            self.interrupts[slot.0].notified().await;
        }
    }

    /// Completes when nobody waits for the answer that a connection awaits to begin any more.
    pub async fn unawaited(&self, slot: SlotId) {
        while !self.look(|schedule| schedule.is_unawaited(slot)) {
            self.interrupts[slot.0].notified().await;
        }
    }

    /// Completes when nobody wants the answer that a connection awaits any more.
    pub async fn unwanted(&self, slot: SlotId) {
        while !self.look(|schedule| schedule.is_unwanted(slot)) {
            self.interrupts[slot.0].notified().await;
        }
    }

    /// What comes of `work`, which can be let go of wherever it waits; `None` once nobody wants the answer that a connection
    /// awaits.
    pub async fn wanted<T>(&self, slot: SlotId, work: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            () = self.unwanted(slot) => None,
            done = work => Some(done),
        }
    }

    /// What a later run goes on with.
    pub fn journal(&self) -> &Journal {
        &self.journal
    }

    /// Remembers where an item's files land, and what its connections together may take.
    pub fn set_target(&self, item: ItemId, target: Arc<Target>, limit: Option<Rate>) {
        lock(&self.targets).insert(item, target);
        lock(&self.paces).insert(item, Arc::new(Pace::new(limit)));
    }

    /// The limit of an item's connections together.
    pub fn pace_of(&self, item: ItemId) -> Option<Arc<Pace>> {
        lock(&self.paces).get(&item).cloned()
    }

    /// Where an item's files land.
    pub fn target(&self, item: ItemId) -> Option<Arc<Target>> {
        lock(&self.targets).get(&item).cloned()
    }

    /// The limit of the item that work is for.
    pub fn pace_for(&self, work: &Work) -> Option<Arc<Pace>> {
        self.pace_of(self.look(|schedule| schedule.item_of(work))?)
    }

    /// Items are gone.
    pub fn forget_targets(&self, items: &[ItemId]) {
        lock(&self.targets).retain(|item, _| !items.contains(item));
        lock(&self.paces).retain(|item, _| !items.contains(item));
    }

    /// The open part of a transfer.
    pub fn part(&self, file: FileId) -> Option<Arc<OpenPart>> {
        lock(&self.parts).get(&file).cloned()
    }

    /// Remembers the open part of a transfer that is about to begin.
    pub fn add_part(&self, file: FileId, part: Arc<OpenPart>) {
        lock(&self.parts).insert(file, part);
    }

    /// Lets go of all parts and of the journal: another client may go on with them.
    pub fn give_up(&self) {
        lock(&self.parts).clear();
        self.journal.let_go();
    }

    /// Takes out entries that wait on disk.
    pub fn take_rest(&self, rest: RestId) -> Option<Rest> {
        lock(&self.rests).remove(&rest)
    }

    /// Puts in entries that wait on disk.
    pub fn put_rest(&self, id: RestId, rest: Rest) {
        lock(&self.rests).insert(id, rest);
    }

    /// Asks for a listing; what comes of it comes on the channel.
    pub fn browse(self: &Arc<Self>, dir: RemotePath) -> oneshot::Receiver<Listing> {
        let (reply, listed) = oneshot::channel();
        let mut schedule = lock(&self.schedule);
        let id = schedule.browse(dir, Instant::now());
        lock(&self.replies).insert(id, reply);
        for effect in schedule.take_effects() {
            self.carry_out(effect);
        }
        listed
    }

    /// Answers somebody who asked for a listing.
    pub fn answer(&self, browse: BrowseId, listing: Listing) {
        if let Some(reply) = lock(&self.replies).remove(&browse) {
            // Who has gone needs no answer.
            let _ = reply.send(listing);
        }
    }

    /// Nobody who asked for a listing gets one any more.
    pub fn forget_replies(&self) {
        lock(&self.replies).clear();
    }

    /// The base's URL for a path, for messages.
    pub fn url_of(&self, path: &RemotePath) -> String {
        self.servers[0].origin.url_of(path)
    }
}
