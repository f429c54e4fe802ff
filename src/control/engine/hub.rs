//! What all screens of one process's client share: the client, and the way to make another.

use std::{
    collections::HashSet,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{mpsc, watch},
    time::timeout,
};
use url::Url;

use super::clients::{Clients, Left};
use crate::{
    app::{self, Ending, Event},
    client::{self, Client, Handover, ItemId, Want},
    config::target::Target,
    control::session::{STOP, Session},
    escape::display_error,
};

/// Turning points that are logged in one go.
const TOLD_AT_ONCE: usize = 512;

/// Makes a client of another server; the error is for people and escaped.
type Open = Box<dyn FnMut(Target) -> Result<Session, String> + Send>;

/// What all screens of one process's client share. Clones are the same.
#[derive(Clone)]
pub struct Hub(Arc<Inner>);

struct Inner {
    /// `None` where the client stays with its server.
    open: Mutex<Option<Open>>,
    current: Mutex<Option<Client>>,
    clients: Clients,
    /// Held while something is added to the queue.
    queue: Mutex<()>,
    /// Why it cannot go on in another process, where that is known from the start.
    stays: OnceLock<&'static str>,
    /// Where downloads of the screen go that it was detached from, if `:lcd` changed it.
    lcd: Mutex<Option<PathBuf>>,
    /// How often another server was turned to. Marked as changed with every turning point as well.
    turns: watch::Sender<u64>,
    /// Marked as changed where a screen has answered what a server asked.
    answers: watch::Sender<()>,
}

impl Hub {
    /// Without a server yet; `open` makes a client of each that somebody turns to.
    pub fn new(open: impl FnMut(Target) -> Result<Session, String> + Send + 'static) -> Self {
        Self::with(Some(Box::new(open)), None)
    }

    /// One client, whose events somebody else takes.
    pub fn of(client: Client) -> Self {
        Self::with(None, Some(client))
    }

    fn with(open: Option<Open>, client: Option<Client>) -> Self {
        Self(Arc::new(Inner {
            open: Mutex::new(open),
            current: Mutex::new(client),
            clients: Clients::default(),
            queue: Mutex::default(),
            stays: OnceLock::new(),
            lcd: Mutex::default(),
            turns: watch::Sender::new(0),
            answers: watch::Sender::new(()),
        }))
    }

    /// The server that is turned to, if there is one.
    pub fn server(&self) -> Option<app::Server> {
        self.client().as_ref().and_then(server)
    }

    pub(in crate::control) fn client(&self) -> Option<Client> {
        let current = self.0.current.lock();
        current.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Turns to another server. The client before it is stopped; what it has stays on disk.
    pub fn turn_to(&self, session: Session) -> Option<app::Server> {
        let Session { client, events } = session;
        let server = server(&client)?;
        self.0.clients.push(client.clone());
        tokio::spawn(self.clone().log(events));
        self.replace(Some(client));
        Some(server)
    }

    fn replace(&self, client: Option<Client>) {
        let before = {
            let current = self.0.current.lock();
            let mut current = current.unwrap_or_else(PoisonError::into_inner);
            std::mem::replace(&mut *current, client)
        };
        self.0.turns.send_modify(|turns| *turns += 1);
        if let Some(before) = before {
            tokio::spawn(async move { timeout(STOP, before.stop()).await });
        }
    }

    /// Logs a client's turning points until it has ended.
    async fn log(self, mut events: mpsc::Receiver<client::Event>) {
        // Many at once: small files end by the thousand a second, and each turn of a screen's loop costs more than a line.
        let mut told = Vec::new();
        while events.recv_many(&mut told, TOLD_AT_ONCE).await > 0 {
            told.iter().for_each(client::Event::log);
            told.clear();
            self.0.turns.send_modify(|_| {});
        }
    }

    /// Adds to the queue; what a screen has to know of it.
    pub(super) fn get(
        &self,
        client: &Client,
        (wants, update): (Vec<Want>, bool),
        to: Option<&Path>,
    ) -> Event {
        let _turn = self.0.queue.lock().unwrap_or_else(PoisonError::into_inner);
        let count = wants.len();
        for want in wants {
            let added = if update {
                client.update(want, to)
            } else {
                client.get_also(want, to)
            };
            if let Err(error) = added {
                return Event::Refused(display_error(&error));
            }
        }
        Event::Added(count)
    }

    /// Makes a client of another server and turns to it.
    pub(super) fn open(&self, target: Target) -> Result<app::Server, String> {
        let mut open = self.0.open.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(open) = &mut *open else {
            return Err("it has no dashboard, and stays with its server".to_owned());
        };
        // It may be the same server again: what is on its way is gone on with.
        let before = self.client();
        if let Some(before) = &before {
            before.give_way(true);
        }
        let opened = open(target).and_then(|session| {
            let server = self.turn_to(session);
            server.ok_or_else(|| "the server's address is no URL".to_owned())
        });
        if let (Err(_), Some(before)) = (&opened, before) {
            before.give_way(false);
        }
        opened
    }

    /// Leaves the server; what is here is kept.
    pub(super) fn leave(&self) -> Result<(), String> {
        let open = self.0.open.lock().unwrap_or_else(PoisonError::into_inner);
        if open.is_none() {
            return Err("it has no dashboard, and stays with its server".to_owned());
        }
        self.replace(None);
        Ok(())
    }

    /// Its client cannot go on in another process, for this reason.
    #[must_use]
    pub fn staying(self, why: &'static str) -> Self {
        let _ = self.0.stays.set(why);
        self
    }

    /// Whether another process can go on with the queue; notes for it where the screen's downloads go.
    pub(super) fn detach(&self, lcd: Option<PathBuf>) -> Event {
        // What was asked for just before is added first.
        let _turn = self.0.queue.lock().unwrap_or_else(PoisonError::into_inner);
        let client = self.client().ok_or("there is no server");
        let can = match self.0.stays.get() {
            Some(why) => Err(*why),
            None => client.and_then(|client| client.can_hand_over()),
        };
        match can {
            Ok(()) => {
                *self.0.lcd.lock().unwrap_or_else(PoisonError::into_inner) = lcd;
                Event::Ending(Ending::Detached)
            }
            Err(why) => Event::Refused(format!("detach: {why}")),
        }
    }

    /// What is to be handed over to another process, and where downloads of screens go; once this was stopped.
    pub fn handover(&self) -> Option<(Handover, Option<PathBuf>)> {
        let lcd = self.0.lcd.lock().unwrap_or_else(PoisonError::into_inner);
        Some((self.client()?.handover(), lcd.clone()))
    }

    /// Stops all clients at their next safe points; what they leave.
    pub async fn stop(&self, deadline: Duration) -> Left {
        self.0.clients.stop(deadline).await
    }

    /// Follows how often another server was turned to.
    pub(super) fn turns(&self) -> watch::Receiver<u64> {
        self.0.turns.subscribe()
    }

    /// Follows the answers that screens give to servers.
    pub(super) fn answers(&self) -> watch::Receiver<()> {
        self.0.answers.subscribe()
    }

    /// Tells all screens that what a server asked is answered.
    pub(super) fn answered(&self) {
        self.0.answers.send_replace(());
    }

    /// Changes which items of the current client were cleared.
    pub(super) fn cleared(&self, change: impl FnOnce(&mut HashSet<ItemId>)) {
        self.0.clients.cleared(change);
    }
}

/// How a screen knows a client's server.
fn server(client: &Client) -> Option<app::Server> {
    Some(app::Server {
        url: Url::parse(&client.base_url()).ok()?,
        named: client.named(),
    })
}
