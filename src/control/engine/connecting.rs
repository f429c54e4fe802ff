//! The client behind screens, and the way to make another.

use std::{
    collections::HashSet,
    path::PathBuf,
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{mpsc, watch},
    task::{AbortHandle, spawn_blocking},
    time::timeout,
};
use url::Url;

use super::clients::{Clients, Left};
use crate::{
    app::{
        self, Effect, Ending, Event, Sample,
        event::{Control, Unlisted},
        preview,
    },
    client::{self, Client, Handover, ItemId, Question, Want},
    config::target::Target,
    control::{
        seam::Engine,
        session::{STOP, Session},
        survey,
    },
    credentials::Credentials,
    escape::display_error,
};

/// Turning points that are logged in one go.
const TOLD_AT_ONCE: usize = 512;

/// What is asked of a server beside what is downloaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    /// A directory.
    List,
    /// The beginning of a file.
    Preview,
    /// A walk of the tree, by its number.
    Survey(u64),
}

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
        }))
    }

    /// What one screen hands its effects to.
    pub fn engine(&self) -> Connecting {
        let turns = self.0.turns.subscribe();
        let turn = *turns.borrow();
        Connecting {
            hub: self.clone(),
            turn,
            turns,
            asked: Vec::new(),
        }
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
    fn get(
        &self,
        client: &Client,
        (wants, update): (Vec<Want>, bool),
        to: Option<&PathBuf>,
    ) -> Event {
        let _turn = self.0.queue.lock().unwrap_or_else(PoisonError::into_inner);
        let count = wants.len();
        for want in wants {
            let added = if update {
                client.update(want, to.cloned())
            } else {
                client.get(want, to.cloned())
            };
            if let Err(error) = added {
                return Event::Refused(display_error(&error));
            }
        }
        Event::Added(count)
    }

    /// Makes a client of another server and turns to it.
    fn open(&self, target: Target) -> Result<app::Server, String> {
        let mut open = self.0.open.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(open) = &mut *open else {
            return Err("it has no dashboard, and stays with its server".to_owned());
        };
        let session = open(target)?;
        self.turn_to(session)
            .ok_or_else(|| "the server's address is no URL".to_owned())
    }

    /// Leaves the server; what is here is kept.
    fn leave(&self) -> Result<(), String> {
        let open = self.0.open.lock().unwrap_or_else(PoisonError::into_inner);
        if open.is_none() {
            return Err("it has no dashboard, and stays with its server".to_owned());
        }
        self.replace(None);
        Ok(())
    }

    /// The same, which cannot go on in another process, for this reason.
    #[must_use]
    pub fn staying(self, why: &'static str) -> Self {
        let _ = self.0.stays.set(why);
        self
    }

    /// Whether another process can go on with the queue; notes for it where the screen's downloads go.
    fn detach(&self, lcd: Option<PathBuf>) -> Event {
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
}

/// How a screen knows a client's server.
fn server(client: &Client) -> Option<app::Server> {
    Some(app::Server {
        url: Url::parse(&client.base_url()).ok()?,
        named: client.named(),
    })
}

/// The client as one screen sees it.
pub struct Connecting {
    hub: Hub,
    /// The turn that the screen knows of.
    turn: u64,
    turns: watch::Receiver<u64>,
    /// What was asked of the server and is not answered yet.
    asked: Vec<(Asked, AbortHandle)>,
}

impl Drop for Connecting {
    fn drop(&mut self) {
        self.end_asked(|_| true);
    }
}

impl Engine for Connecting {
    fn sample(&mut self) -> Sample {
        match self.hub.client() {
            Some(client) => Sample::Client(client.snapshot()),
            None => Sample::Nothing,
        }
    }

    fn apply(&mut self, effect: Effect, answers: &mpsc::Sender<Event>) {
        let answers = answers.clone();
        let answer = match effect {
            Effect::Detach { lcd } => {
                let hub = self.hub.clone();
                spawn_blocking(move || answers.blocking_send(hub.detach(lcd)));
                return;
            }
            Effect::Connect(target) => match self.hub.open(target) {
                Ok(server) => {
                    self.turned();
                    Event::Connected(server)
                }
                Err(reason) => Event::Refused(reason),
            },
            Effect::Login { .. } | Effect::Trust(_) => match self.answer(effect) {
                Ok(()) => Event::Answered,
                Err(reason) => Event::Refused(reason),
            },
            Effect::Disconnect => match self.hub.leave() {
                Ok(()) => {
                    self.turned();
                    Event::Disconnected
                }
                Err(reason) => Event::Refused(reason),
            },
            effect => {
                self.apply_to_client(effect, answers);
                return;
            }
        };
        tokio::spawn(async move { answers.send(answer).await });
    }

    async fn told(&mut self) -> Option<Event> {
        // The hub holds the sender.
        if self.turns.changed().await.is_err() {
            return std::future::pending().await;
        }
        let turns = *self.turns.borrow_and_update();
        if turns == self.turn {
            return None;
        }
        self.turned();
        Some(match self.hub.server() {
            Some(server) => Event::Connected(server),
            None => Event::Disconnected,
        })
    }
}

impl Connecting {
    /// Takes note of another server: an answer of the one before must not be taken for its.
    fn turned(&mut self) {
        self.turn = *self.hub.0.turns.borrow();
        self.end_asked(|_| true);
    }

    /// Answers what the server asks: what waits for that goes on.
    fn answer(&self, effect: Effect) -> Result<(), String> {
        let Some(client) = self.hub.client() else {
            return Err("there is no server".to_owned());
        };
        match effect {
            Effect::Login { user, password } => {
                let credentials = Credentials::login(&user, password.expose())?;
                client
                    .login(credentials)
                    .map_err(|error| display_error(&error))
            }
            Effect::Trust(seen) => {
                let fingerprint = seen.seen.parse()?;
                client
                    .trust(&fingerprint)
                    .map_err(|error| display_error(&error))
            }
            _ => Err("that answers nothing".to_owned()),
        }
    }

    /// Ends what nobody waits for any more: an answer of one server must not be taken for another's.
    fn end_asked(&mut self, which: impl Fn(Asked) -> bool) {
        self.asked.retain(|(asked, task)| {
            let ends = which(*asked);
            if ends {
                task.abort();
            }
            !ends && !task.is_finished()
        });
    }

    fn ask(&mut self, what: Asked, answering: impl Future<Output = ()> + Send + 'static) {
        let task = tokio::spawn(answering);
        self.end_asked(|_| false);
        self.asked.push((what, task.abort_handle()));
    }

    /// Hands an effect to the client, if there is one.
    fn apply_to_client(&mut self, effect: Effect, answers: mpsc::Sender<Event>) {
        if let Effect::EndSurvey(id) = effect {
            self.end_asked(|asked| asked == Asked::Survey(id));
            return;
        }
        let Some(client) = self.hub.client() else {
            return;
        };
        match effect {
            Effect::List(path) => {
                self.ask(Asked::List, async move {
                    let result = client.list(&path).await;
                    let question = result.as_ref().err().and_then(Question::of);
                    let result = result.map_err(|error| Unlisted {
                        reason: display_error(&error),
                        passing: error.is_transient() || error.asks(),
                    });
                    // Nobody listens once the dashboard has ended.
                    let _ = answers.send(Event::Listed { path, result }).await;
                    if let Some(question) = question {
                        let _ = answers.send(question.into()).await;
                    }
                });
            }
            Effect::Preview(path) => {
                self.end_asked(|asked| asked == Asked::Preview);
                self.ask(Asked::Preview, async move {
                    let result = client.peek(&path, preview::BYTES).await;
                    let result = result.map_err(|error| display_error(&error));
                    let _ = answers.send(Event::Previewed { path, result }).await;
                });
            }
            Effect::Survey(plan) => {
                let id = plan.id;
                self.ask(Asked::Survey(id), async move {
                    let list = |dir| {
                        let client = client.clone();
                        async move { client.list(&dir).await }
                    };
                    let tell = |news| {
                        let answers = answers.clone();
                        async move { answers.send(Event::Surveyed { id, news }).await }
                    };
                    let _ = survey::walk(plan, list, tell).await;
                });
            }
            Effect::Get { wants, to, update } => {
                // It opens a directory, which may block, and may be many. One after the other: the queue is what the
                // user sees.
                let hub = self.hub.clone();
                spawn_blocking(move || {
                    let answer = hub.get(&client, (wants, update), to.as_ref());
                    // Only now: a screen that takes no answers holds up nobody else's.
                    let _ = answers.blocking_send(answer);
                });
            }
            Effect::Control(item, control) => steer(&client, item, control),
            Effect::ClearEnded => {
                client.clear_ended();
                self.hub.0.clients.cleared(HashSet::clear);
            }
            Effect::Hide(items) => self.hub.0.clients.cleared(|cleared| cleared.extend(items)),
            Effect::Show(items) => {
                let back = |cleared: &mut HashSet<ItemId>| {
                    cleared.retain(|item| !items.contains(item));
                };
                self.hub.0.clients.cleared(back);
            }
            Effect::RetryNow => client.retry_now(),
            Effect::Limit(rate) => client.limit(rate),
            _ => {}
        }
    }
}

fn steer(client: &Client, item: ItemId, control: Control) {
    match control {
        Control::Pause => client.pause(item),
        Control::Resume => client.resume(item),
        Control::Cancel => client.cancel(item),
        Control::Retry => client.retry(item),
        Control::Reorder(by) => client.reorder(item, by),
        Control::First(first) => client.set_first(item, first),
        Control::Limit(rate) => client.limit_item(item, rate),
    }
}
