//! The handle with which the rest of the program runs a client.

use std::{sync::Arc, time::Instant};

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use url::Url;

use super::{
    Counts, Error, Event, Settings,
    disk::{
        extra::{self, Extra},
        target::Target,
    },
    engine::{Engine, Server},
    id::{SOURCES_MAX, SlotId},
    net::{document, origin::Origin},
    schedule::{Outcome, Schedule},
    snapshot::{ItemId, Link, Question, Snapshot, SourceView},
    worker::Worker,
};
use crate::{
    credentials::Credentials, entry::Entry, escape::display_name, exit::Exit,
    http1::path::RemotePath, tls::Fingerprint, units::Rate,
};

/// A handle to a running download engine; clones are the same engine.
#[derive(Debug, Clone)]
pub struct Client {
    pub(super) engine: Arc<Engine>,
    pub(super) target: Arc<Target>,
}

impl Client {
    /// Opens the target directory (made if missing) and starts the connections' tasks on the current runtime. Nothing is
    /// sent before something is asked for. Turning points are told on `events`; where nobody takes them, work waits.
    pub fn start(settings: Settings, events: mpsc::Sender<Event>) -> Result<Self, Error> {
        let session = format!("{:032x}", fastrand::u128(..));
        let (user, access) = (settings.user.as_deref(), &settings.access);
        let by_document = |url: &Url| {
            let at = settings.named_at.as_ref();
            at.is_some_and(|at| at.origin() != url.origin())
        };
        let origin = |url: &Url| {
            if by_document(url) {
                Origin::named_by_document(url, access)
            } else {
                Origin::new(url, &session, user, access)
            }
        };
        let urls = std::iter::once(&settings.url).chain(&settings.mirrors);
        let origins = urls.map(origin).collect::<Result<Vec<_>, _>>()?;
        if origins.len() > SOURCES_MAX {
            return Err(Error::Usage(format!(
                "{} servers: at most {SOURCES_MAX} can be mirrors of one tree",
                origins.len()
            )));
        }
        let target = Target::open(&settings.dir, settings.on_conflict)?;
        let target = Arc::new(target.keeping(settings.backup));
        let workers = if settings.serial {
            1
        } else {
            settings.workers.max(1)
        };
        let settings = Settings {
            workers,
            ..settings
        };
        let (tell, told) = mpsc::unbounded_channel();
        let engine = Arc::new(Engine::new(settings, origins, &target, tell));
        let stop = engine.stop.clone();
        tokio::spawn(Engine::pump(Arc::downgrade(&engine), stop, told, events));
        for slot in 0..workers {
            let worker = Worker::watch(Arc::clone(&engine), SlotId(slot));
            engine.tasks.spawn(worker);
        }
        Ok(Self { engine, target })
    }

    /// The path that the URL names below its directory, if it does not end in a slash.
    pub fn named(&self) -> Option<RemotePath> {
        self.engine.servers[0].origin.named().cloned()
    }

    /// The URL that it was started with, which holds no login.
    pub fn url(&self) -> &Url {
        &self.engine.settings.url
    }

    /// Pins a certificate for the server that showed it, `host:port` as [`Question::Certificate`] tells it: the user has said
    /// that it is the right one. What waited for that goes on. An error where this client asks no such server.
    ///
    /// [`Question::Certificate`]: super::Question::Certificate
    pub fn trust(&self, host: &str, fingerprint: &Fingerprint) -> Result<(), Error> {
        let server = self.server_at(host)?;
        self.engine
            .settings
            .access
            .trust(server.origin.url(), fingerprint)
            .map_err(|error| Error::Pin(error.to_string()))?;
        self.renew()
    }

    /// Presents a login to the server that asked for it, `host:port` as [`Snapshot::login_at`] tells it, also in later clients
    /// with the same [`Access`](super::Access). What waited for that goes on. An error where this client asks no such server;
    /// without `at`, where there are several and not exactly one of them asks.
    pub fn login(&self, credentials: Credentials, at: Option<&str>) -> Result<(), Error> {
        let server = match at {
            Some(at) => self.server_at(at)?,
            None => self.only_asker()?,
        };
        let access = &self.engine.settings.access;
        access.present(server.origin.url(), credentials);
        self.renew()
    }

    /// The server that an answer of the user is for. The one that leads may be another one by now than when they read the
    /// question.
    fn server_at(&self, at: &str) -> Result<Arc<Server>, Error> {
        let kept = self.engine.look(Schedule::kept_sources);
        let mut servers = kept.iter().map(|id| self.engine.server(id));
        let found = servers.find(|server| display_name(&server.origin.authority()) == at);
        found.ok_or_else(|| {
            let at = display_name(at);
            Error::Usage(format!(
                "{at} is not asked any more: your answer was not used"
            ))
        })
    }

    fn only_asker(&self) -> Result<Arc<Server>, Error> {
        let engine = &self.engine;
        if let [only] = &engine.servers[..] {
            return Ok(Arc::clone(only));
        }
        let asking = engine.look(Schedule::login_wanted);
        let mut asking = asking.iter().map(|id| engine.server(id));
        let first = asking.next();
        let same = |server: &Arc<Server>| {
            asking.all(|other| other.origin.url().origin() == server.origin.url().origin())
        };
        first.filter(same).ok_or_else(|| {
            let text =
                "not exactly one of the servers asks for a login: say which it is for, with `at`";
            Error::Usage(text.into())
        })
    }

    /// Asks the servers again with what the user has answered.
    fn renew(&self) -> Result<(), Error> {
        let access = &self.engine.settings.access;
        for server in &self.engine.servers {
            server.origin.renew(access)?;
        }
        self.retry_now();
        Ok(())
    }

    /// The URL of the directory that paths are relative to.
    pub fn base_url(&self) -> String {
        self.engine.servers[0].origin.base_url()
    }

    /// The URL of a path below the base.
    pub fn url_of(&self, path: &RemotePath) -> String {
        self.engine.url_of(path)
    }

    /// The target directory.
    pub fn dir(&self) -> &std::path::Path {
        self.target.path()
    }

    /// Bytes that can still be written to the target's file system, where that is known.
    pub fn free_space(&self) -> Option<u64> {
        crate::sys::disk::free_space(self.target.handle()).ok()
    }

    /// What the target holds below directories that were listed whole and the server does not have, a directory before what is
    /// in it; only with the setting `delete`. It is worth something once all has ended without a failure.
    pub fn extras(&self) -> Vec<Extra> {
        self.engine.extras.all()
    }

    /// Removes what [`Self::extras`] told from the target, as far as it is still the same, until `stop`; `tell` is told of each
    /// that is gone. Blocking.
    pub fn remove(
        &self,
        extras: &[Extra],
        stop: &CancellationToken,
        tell: impl FnMut(&Extra),
    ) -> Result<(), Error> {
        extra::remove(&self.target, extras, stop, tell)
    }

    /// Lists a directory, ahead of everything else. Links and dotfiles are the server's business.
    pub async fn list(&self, dir: &RemotePath) -> Result<Vec<Entry>, Error> {
        let listed = self.engine.browse(dir.clone().into_dir());
        listed
            .await
            .unwrap_or_else(|_| Err(Error::Broken("the client was stopped".into())))
    }

    /// The first bytes of a file, at most `max`; over a connection of its own, and asked once.
    pub async fn peek(&self, path: &RemotePath, max: usize) -> Result<Vec<u8>, Error> {
        let Engine { settings, pace, .. } = &*self.engine;
        let lead = self.engine.lead();
        let asking = document::Asking {
            first: &lead.origin,
            access: &settings.access,
            silence: settings.timeout,
            pace,
        };
        asking.peek(path, max.max(1)).await
    }

    /// Stops an item where it is; what is here stays.
    pub fn pause(&self, item: ItemId) {
        self.engine.with(|schedule| schedule.pause(item));
    }

    /// Goes on with a paused item.
    pub fn resume(&self, item: ItemId) {
        self.engine.with(|schedule| schedule.resume(item));
    }

    /// Ends an item; what is here of it stays for a later try.
    pub fn cancel(&self, item: ItemId) {
        self.engine.with(|schedule| schedule.cancel(item));
    }

    /// Tries a failed or cancelled item again: what failed, and what was never begun.
    pub fn retry(&self, item: ItemId) {
        self.engine.with(|schedule| schedule.retry(item));
    }

    /// Moves an item up (negative) or down in the queue.
    pub fn reorder(&self, item: ItemId, by: isize) {
        self.engine.with(|schedule| schedule.reorder(item, by));
    }

    /// Moves an item to the front of the queue, where it gets every connection that it has work for before others do; or
    /// ends that, and leaves it where it is. One item at a time is the first.
    pub fn set_first(&self, item: ItemId, first: bool) {
        self.engine.with(|schedule| schedule.set_first(item, first));
    }

    /// Limits what all connections of one item together may take; `None` lifts the limit. What runs obeys at once, within
    /// the limit of all; other items are not held up by it.
    pub fn limit_item(&self, item: ItemId, rate: Option<Rate>) {
        let engine = &self.engine;
        engine.with(|schedule| {
            if let Some(pace) = engine.pace_of(item) {
                pace.limit(rate);
                schedule.limit_item(item, rate);
            }
        });
    }

    /// Forgets items that have ended.
    pub fn clear_ended(&self) {
        let gone = self.engine.with(Schedule::clear_ended);
        self.engine.forget_targets(&gone);
    }

    /// Ends every pause before another try.
    pub fn retry_now(&self) {
        self.engine.with(Schedule::hurry);
    }

    /// Limits what all connections together may take; `None` lifts the limit. Running transfers obey at once.
    pub fn limit(&self, rate: Option<Rate>) {
        self.engine.pace.limit(rate);
    }

    /// What is counted, at this moment.
    pub fn counts(&self) -> Counts {
        self.engine.told.counts(self.engine.look(Schedule::pieces))
    }

    /// Everything that a screen shows, now.
    pub fn snapshot(&self) -> Snapshot {
        let engine = &self.engine;
        let now = Instant::now();
        let (lead, shown, link, items, connections, dropped) = engine.look(|schedule| {
            let shown = schedule.shown(now);
            (
                schedule.lead(now),
                shown,
                schedule.link(shown),
                schedule.views(now),
                schedule.connections(),
                schedule.dropped(),
            )
        });
        let lead = engine.server(lead);
        let wants_login = matches!(link, Link::Asks(Question::Login(_)));
        let login_at = wants_login.then(|| engine.server(shown).origin.authority());
        let source = |(server, dropped): (&Arc<Server>, Option<String>)| SourceView {
            url: server.origin.base_url(),
            received: server.received.get(),
            dropped,
        };
        Snapshot {
            items,
            received: engine.received.get(),
            limit: engine.pace.rate(),
            connections,
            link,
            login_at,
            rtt: lead.rtt(),
            certificate: lead.certificate(),
            server: lead.name(),
            sources: engine.servers.iter().zip(dropped).map(source).collect(),
        }
    }

    /// The file of a single file's item while it is on its way, and how many bytes from its front are here and
    /// verified; `None` while there is no such file.
    pub fn checked_prefix(&self, item: ItemId) -> Option<(std::fs::File, u64)> {
        let (file, checked) = self.engine.look(|schedule| schedule.checked_prefix(item))?;
        let part = self.engine.part(file)?;
        // Until all of it is here, nobody knows whether it is what the user's list tells.
        let checked = match self.engine.settings.checksums {
            Some(_) => 0,
            None => checked,
        };
        Some((part.part.file.try_clone().ok()?, checked))
    }

    /// Whether a later run can go on with what this one leaves. One that cannot be gone on with leaves no parts.
    pub fn can_be_gone_on_with(&self) -> bool {
        self.engine.settings.resume && self.engine.journal().is_kept()
    }

    /// Whether every item has ended.
    pub fn has_ended(&self) -> bool {
        self.engine.look(Schedule::has_ended)
    }

    /// Completes once every item has ended.
    pub async fn idle(&self) {
        self.wait_until(|schedule| schedule.is_idle() && schedule.is_told())
            .await;
    }

    async fn wait_until(&self, is_so: impl Fn(&Schedule) -> bool) {
        loop {
            let changed = self.engine.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if self.engine.look(&is_so) {
                return;
            }
            changed.await;
        }
    }

    /// What the run amounts to where nobody watches; see [`Outcome`].
    pub fn amount(&self) -> Outcome {
        self.engine.look(Schedule::amount)
    }

    /// The exit status that all failures amount to, and the error if there was just one.
    pub fn outcome(&self) -> (Exit, Option<Error>) {
        self.engine.look(Schedule::outcome)
    }

    /// Whether another client of this process may go on with what this one has in its journal: it does once it is stopped.
    pub fn give_way(&self, gives_way: bool) {
        self.engine.journal().give_way(gives_way);
    }

    /// Ends every connection at the next safe point; completes once all that was received is on disk. Once an
    /// event found no room for a second, nobody is taken to listen, and later ones are dropped.
    pub async fn stop(&self) {
        self.give_way(true);
        self.engine.with(Schedule::stop);
        self.engine.stop.cancel();
        self.engine.forget_replies();
        self.engine.tasks.close();
        self.engine.tasks.wait().await;
        let engine = Arc::clone(&self.engine);
        // What only the journal can vouch for is noted, so that a later run goes on from here.
        let noted = tokio::task::spawn_blocking(move || {
            if engine.journal().is_fleeting() {
                engine.drop_own();
            }
            for (file, pieces) in engine.look(Schedule::worth_noting) {
                if let Some(part) = engine.part(file) {
                    engine.sync_part(&part, pieces);
                }
            }
            if let Err(error) = engine.lander.sync_names() {
                tracing::warn!("a power cut may still cost names of small files: {error}");
            }
        });
        let _ = noted.await;
        self.wait_until(Schedule::is_told).await;
        self.engine.give_up();
    }
}
