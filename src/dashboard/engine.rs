//! The two engines as the loop sees them: sampled, told, and handed effects.

use std::{
    collections::HashSet,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::mpsc,
    task::{AbortHandle, JoinSet, spawn_blocking},
    time::timeout,
};
use url::Url;

use super::{
    run::Engine,
    session::{STOP, Session},
    survey,
};
use crate::{
    app::{
        self, Effect, Event, Sample,
        event::{Control, Order, Unlisted, question},
        preview,
    },
    client::{self, Client, ItemId, ItemState, Want},
    config::target::Target,
    credentials::Credentials,
    escape::{display_name, display_path},
    exit::Exit,
    http1::path::RemotePath,
    server::Server,
};

/// Turning points that are logged between two turns of the loop.
const TOLD_AT_ONCE: usize = 512;

/// The server behind `haul serve`'s dashboard.
pub(super) struct Serving {
    server: Server,
}

impl Serving {
    pub(super) fn new(server: Server) -> Self {
        Self { server }
    }

    fn order(&self, order: Order, answers: mpsc::Sender<Event>) {
        let server = &self.server;
        let answer = match order {
            Order::Pause(client) => {
                server.pause(client);
                None
            }
            Order::Resume(client) => {
                server.resume(client);
                None
            }
            Order::Kick(client, reason) => {
                server.kick(client, &reason);
                None
            }
            Order::Ban(client, reason) => {
                server.ban(client, &reason);
                None
            }
            Order::Limit(rate) => {
                server.limit(rate);
                None
            }
            Order::LimitClient(client, rate) => {
                server.limit_client(client, rate);
                None
            }
            Order::Drain => {
                server.drain();
                None
            }
            Order::Unban(who) => {
                let shown = display_name(&who).into_owned();
                Some(if server.unban(&who) {
                    Event::Told(format!("{shown} is let in again"))
                } else {
                    Event::Refused(format!("`{shown}` is not banned: Tab lists who is"))
                })
            }
            Order::Share(dir) => {
                let server = server.clone();
                spawn_blocking(move || {
                    let dir = std::path::absolute(&dir).unwrap_or(dir);
                    let answer = match server.share(&dir) {
                        Ok(()) => Event::Shared(display_path(&dir)),
                        Err(error) => Event::Refused(shown(&error)),
                    };
                    let _ = answers.blocking_send(answer);
                });
                return;
            }
        };
        if let Some(answer) = answer {
            tokio::spawn(async move { answers.send(answer).await });
        }
    }
}

impl Engine for Serving {
    fn sample(&mut self) -> Sample {
        Sample::Server(self.server.snapshot())
    }

    fn apply(&mut self, effect: Effect, answers: &mpsc::Sender<Event>) {
        let answers = answers.clone();
        match effect {
            Effect::List(path) => {
                let server = self.server.clone();
                spawn_blocking(move || {
                    let result = server.list(&path).map_err(|error| shown(&error).into());
                    // Nobody listens once the dashboard has ended.
                    let _ = answers.blocking_send(Event::Listed { path, result });
                });
            }
            Effect::CountDownloads(paths) => {
                let count = |path: RemotePath| {
                    let count = self.server.downloads(&path);
                    (path, count)
                };
                let counts = paths.into_iter().map(count).collect();
                // Where the queue is full, the next half second counts again.
                let _ = answers.try_send(Event::Downloads(counts));
            }
            Effect::Serve(order) => self.order(order, answers),
            _ => {}
        }
    }

    async fn told(&mut self) {
        // The server tells nothing by itself: its samples and the log say it all.
        std::future::pending::<()>().await;
    }
}

/// What is not as it was asked for when a dashboard ends.
#[derive(Debug)]
pub struct Left {
    /// The status that all failures amount to; what was tried again, cancelled or cleared counts no more.
    pub exit: Exit,
    /// Transfers that failed.
    pub failed: usize,
    /// The only failure, if there was just one.
    pub error: Option<client::Error>,
    /// Transfers that were stopped on their way; what the user had paused is not among them.
    pub unfinished: usize,
}

impl Left {
    fn of(clients: &[Made]) -> Self {
        let (mut failed, mut unfinished) = (0, 0);
        let items = clients.iter().flat_map(|made| {
            let items = made.client.snapshot().items.into_iter();
            items.filter(|item| !made.cleared.contains(&item.id))
        });
        for item in items {
            match item.state {
                ItemState::Failed(_) => failed += 1,
                ItemState::Finished(_) | ItemState::Cancelled | ItemState::Paused => {}
                _ => unfinished += 1,
            }
        }
        let outcomes = clients.iter().map(|made| made.client.outcome());
        let (exits, errors): (Vec<_>, Vec<_>) = outcomes.unzip();
        let mut errors = errors.into_iter().flatten();
        let error = errors.next().filter(|_| failed == 1);
        Self {
            exit: if failed > 0 {
                Exit::of_all(exits)
            } else {
                Exit::Done
            },
            failed,
            error,
            unfinished,
        }
    }
}

/// The clients that were made, so that all of them can be stopped: the current one is the last.
#[derive(Debug, Clone, Default)]
pub(super) struct Clients(Arc<Mutex<Vec<Made>>>);

/// A client, and which of its items were cleared.
#[derive(Debug)]
struct Made {
    client: Client,
    cleared: HashSet<ItemId>,
}

impl Clients {
    fn push(&self, client: Client) {
        self.made().push(Made {
            client,
            cleared: HashSet::new(),
        });
    }

    fn made(&self) -> MutexGuard<'_, Vec<Made>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes which items of the current client were cleared.
    fn cleared(&self, change: impl FnOnce(&mut HashSet<ItemId>)) {
        if let Some(made) = self.made().last_mut() {
            change(&mut made.cleared);
        }
    }

    /// Stops them all at their next safe points; what they leave.
    pub(super) async fn stop(&self, deadline: Duration) -> Left {
        let clients = std::mem::take(&mut *self.made());
        let left = Left::of(&clients);
        let mut stopping = JoinSet::new();
        for Made { client, .. } in clients {
            stopping.spawn(async move { client.stop().await });
        }
        let _ = timeout(deadline, stopping.join_all()).await;
        left
    }
}

/// The client behind `haul connect`'s dashboard, and the way to make another.
pub(super) struct Connecting<F> {
    open: F,
    session: Option<Session>,
    clients: Clients,
    /// Held while something is added to the queue.
    queue: Arc<Mutex<()>>,
    /// Walks of the server's tree that go on.
    surveys: Vec<(u64, AbortHandle)>,
}

impl<F: FnMut(Target) -> Result<Session, String>> Connecting<F> {
    pub(super) fn new(open: F) -> Self {
        Self {
            open,
            session: None,
            clients: Clients::default(),
            queue: Arc::default(),
            surveys: Vec::new(),
        }
    }

    /// Turns to another server. The client before it is stopped; what it has stays on disk.
    pub(super) fn turn_to(&mut self, session: Session) -> Option<app::Server> {
        self.clients.push(session.client.clone());
        let server = app::Server {
            url: Url::parse(&session.client.base_url()).ok()?,
            named: session.client.named(),
        };
        self.end_surveys(|_| true);
        if let Some(before) = self.session.replace(session) {
            Self::end(before);
        }
        Some(server)
    }

    /// Stops a client; what it has stays on disk.
    fn end(mut before: Session) {
        tokio::spawn(async move {
            // Workers may wait to hand their events over.
            let ended = async { while before.events.recv().await.is_some() {} };
            tokio::join!(before.client.stop(), timeout(STOP, ended))
        });
    }

    pub(super) fn clients(&self) -> Clients {
        self.clients.clone()
    }

    /// Answers what the server asks: what waits for that goes on.
    fn answer(&self, effect: Effect) -> Result<(), String> {
        let Some(Session { client, .. }) = &self.session else {
            return Err("there is no server".to_owned());
        };
        match effect {
            Effect::Login { user, password } => {
                let credentials = Credentials::login(&user, password.expose())?;
                client.login(credentials).map_err(|error| shown(&error))
            }
            Effect::Trust(seen) => {
                let fingerprint = seen.seen.parse()?;
                client.trust(&fingerprint).map_err(|error| shown(&error))
            }
            _ => Err("that answers nothing".to_owned()),
        }
    }
}

impl<F: FnMut(Target) -> Result<Session, String>> Engine for Connecting<F> {
    fn sample(&mut self) -> Sample {
        match &self.session {
            Some(session) => Sample::Client(session.client.snapshot()),
            None => Sample::Nothing,
        }
    }

    fn apply(&mut self, effect: Effect, answers: &mpsc::Sender<Event>) {
        let answers = answers.clone();
        let answer = match effect {
            Effect::Connect(target) => {
                let session = (self.open)(target);
                match session.map(|session| self.turn_to(session)) {
                    Ok(Some(server)) => Event::Connected(server),
                    Ok(None) => Event::Refused("the server's address is no URL".to_owned()),
                    Err(reason) => Event::Refused(reason),
                }
            }
            Effect::Login { .. } | Effect::Trust(_) => match self.answer(effect) {
                Ok(()) => Event::Answered,
                Err(reason) => Event::Refused(reason),
            },
            Effect::Disconnect => {
                self.end_surveys(|_| true);
                if let Some(before) = self.session.take() {
                    Self::end(before);
                }
                Event::Disconnected
            }
            effect => {
                self.apply_to_client(effect, answers);
                return;
            }
        };
        tokio::spawn(async move { answers.send(answer).await });
    }

    async fn told(&mut self) {
        // Many at once: small files end by the thousand a second, and each turn of the loop costs more than a line.
        let mut told = Vec::new();
        if let Some(session) = &mut self.session {
            session.events.recv_many(&mut told, TOLD_AT_ONCE).await;
        }
        if told.is_empty() {
            // Nothing more will come.
            std::future::pending::<()>().await;
        }
        told.iter().for_each(client::Event::log);
    }
}

impl<F> Connecting<F> {
    /// Ends walks; what was asked for last may still be answered.
    fn end_surveys(&mut self, which: impl Fn(u64) -> bool) {
        self.surveys.retain(|(id, walk)| {
            let ends = which(*id);
            if ends {
                walk.abort();
            }
            !ends
        });
    }

    /// Hands an effect to the client, if there is one.
    fn apply_to_client(&mut self, effect: Effect, answers: mpsc::Sender<Event>) {
        if let Effect::EndSurvey(id) = effect {
            self.end_surveys(|of| of == id);
            return;
        }
        let Some(Session { client, .. }) = &self.session else {
            return;
        };
        match effect {
            Effect::List(path) => {
                let client = client.clone();
                tokio::spawn(async move {
                    let result = client.list(&path).await;
                    let question = result.as_ref().err().and_then(question);
                    let result = result.map_err(|error| Unlisted {
                        reason: shown(&error),
                        passing: error.is_transient() || error.asks(),
                    });
                    answers.send(Event::Listed { path, result }).await?;
                    match question {
                        Some(question) => answers.send(question).await,
                        None => Ok(()),
                    }
                });
            }
            Effect::Preview(path) => {
                let client = client.clone();
                tokio::spawn(async move {
                    let result = client.peek(&path, preview::BYTES).await;
                    let result = result.map_err(|error| shown(&error));
                    // Nobody listens once the dashboard has ended.
                    let _ = answers.send(Event::Previewed { path, result }).await;
                });
            }
            Effect::Survey(plan) => {
                let (client, id) = (client.clone(), plan.id);
                let walk = tokio::spawn(async move {
                    let list = |dir| {
                        let client = client.clone();
                        async move { client.list(&dir).await }
                    };
                    let tell = |news| {
                        let answers = answers.clone();
                        async move { answers.send(Event::Surveyed { id, news }).await }
                    };
                    // Nobody listens once the dashboard has ended.
                    let _ = survey::walk(plan, list, tell).await;
                });
                self.surveys.retain(|(_, walk)| !walk.is_finished());
                self.surveys.push((id, walk.abort_handle()));
            }
            Effect::Get { wants, to } => {
                // It opens a directory, which may block, and may be many. One after the other: the queue is what the
                // user sees.
                let (client, queue) = (client.clone(), Arc::clone(&self.queue));
                spawn_blocking(move || {
                    let _turn = queue.lock().unwrap_or_else(PoisonError::into_inner);
                    let mut added = 0;
                    for want in wants {
                        let answer = get(&client, want, to.clone());
                        if let Some(refused @ Event::Refused(_)) = answer {
                            let _ = answers.blocking_send(refused);
                            return;
                        }
                        added += 1;
                        if let Some(answer) = answer
                            && answers.blocking_send(answer).is_err()
                        {
                            return;
                        }
                    }
                    let _ = answers.blocking_send(Event::Added(added));
                });
            }
            Effect::Control(item, control) => steer(client, item, control),
            Effect::ClearEnded => {
                client.clear_ended();
                self.clients.cleared(HashSet::clear);
            }
            Effect::Hide(items) => self.clients.cleared(|cleared| cleared.extend(items)),
            Effect::Show(items) => {
                let back = |cleared: &mut HashSet<ItemId>| {
                    cleared.retain(|item| !items.contains(item));
                };
                self.clients.cleared(back);
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
    }
}

/// Adds to the queue; what the dashboard has to know of it.
fn get(client: &Client, want: Want, to: Option<PathBuf>) -> Option<Event> {
    let patterns = match &want {
        Want::Patterns { get, .. } => Some(get.join(" ")),
        _ => None,
    };
    match client.get(want, to) {
        Ok(item) => patterns.map(|patterns| Event::Queued(item, patterns)),
        Err(error) => Some(Event::Refused(shown(&error))),
    }
}

fn shown(error: &impl std::fmt::Display) -> String {
    display_name(&error.to_string()).into_owned()
}
