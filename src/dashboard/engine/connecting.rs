//! The client behind a dashboard, and the way to make another.

use std::{
    collections::HashSet,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::{
    sync::mpsc,
    task::{AbortHandle, spawn_blocking},
    time::timeout,
};
use url::Url;

use super::clients::Clients;
use crate::{
    app::{
        self, Effect, Event, Sample,
        event::{Control, Unlisted, question},
        preview,
    },
    client::{self, Client, ItemId, Want},
    config::target::Target,
    credentials::Credentials,
    dashboard::{
        run::Engine,
        session::{STOP, Session},
        survey,
    },
    escape::display_error,
};

/// Turning points that are logged between two turns of the loop.
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

/// The client behind `haul connect`'s dashboard, and the way to make another.
pub(in crate::dashboard) struct Connecting<F> {
    open: F,
    session: Option<Session>,
    clients: Clients,
    /// Held while something is added to the queue.
    queue: Arc<Mutex<()>>,
    /// What was asked of the server and is not answered yet.
    asked: Vec<(Asked, AbortHandle)>,
}

impl<F: FnMut(Target) -> Result<Session, String>> Connecting<F> {
    pub(in crate::dashboard) fn new(open: F) -> Self {
        Self {
            open,
            session: None,
            clients: Clients::default(),
            queue: Arc::default(),
            asked: Vec::new(),
        }
    }

    /// Turns to another server. The client before it is stopped; what it has stays on disk.
    pub(in crate::dashboard) fn turn_to(&mut self, session: Session) -> Option<app::Server> {
        self.clients.push(session.client.clone());
        let server = app::Server {
            url: Url::parse(&session.client.base_url()).ok()?,
            named: session.client.named(),
        };
        self.end_asked(|_| true);
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

    pub(in crate::dashboard) fn clients(&self) -> Clients {
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
                self.end_asked(|_| true);
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
        let Some(Session { client, .. }) = &self.session else {
            return;
        };
        match effect {
            Effect::List(path) => {
                let client = client.clone();
                self.ask(Asked::List, async move {
                    let result = client.list(&path).await;
                    let question = result.as_ref().err().and_then(question);
                    let result = result.map_err(|error| Unlisted {
                        reason: display_error(&error),
                        passing: error.is_transient() || error.asks(),
                    });
                    // Nobody listens once the dashboard has ended.
                    let _ = answers.send(Event::Listed { path, result }).await;
                    if let Some(question) = question {
                        let _ = answers.send(question).await;
                    }
                });
            }
            Effect::Preview(path) => {
                let client = client.clone();
                self.end_asked(|asked| asked == Asked::Preview);
                self.ask(Asked::Preview, async move {
                    let result = client.peek(&path, preview::BYTES).await;
                    let result = result.map_err(|error| display_error(&error));
                    let _ = answers.send(Event::Previewed { path, result }).await;
                });
            }
            Effect::Survey(plan) => {
                let (client, id) = (client.clone(), plan.id);
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
        Control::First(first) => client.set_first(item, first),
        Control::Limit(rate) => client.limit_item(item, rate),
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
        Err(error) => Some(Event::Refused(display_error(&error))),
    }
}
