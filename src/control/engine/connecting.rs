//! The client behind screens.

use std::collections::HashSet;

use tokio::{
    sync::{mpsc, watch},
    task::{AbortHandle, spawn_blocking},
};

use super::hub::Hub;
use crate::{
    app::{Effect, Event, Sample, effect::Control, event::Unlisted, preview},
    client::{Client, ItemId, Question},
    control::{seam::Engine, survey},
    credentials::Credentials,
    escape::display_error,
};

/// What is asked of a server beside what is downloaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    /// A directory.
    List,
    /// The beginning of a file.
    Preview,
    /// What of a local file differs.
    Damage,
    /// A walk of the tree, by its number.
    Survey(u64),
}

impl Hub {
    /// What one screen hands its effects to.
    pub fn engine(&self) -> Connecting {
        let turns = self.turns();
        let turn = *turns.borrow();
        Connecting {
            hub: self.clone(),
            turn,
            turns,
            answers: self.answers(),
            asked: Vec::new(),
        }
    }
}

/// The client as one screen sees it.
pub struct Connecting {
    hub: Hub,
    /// The turn that the screen knows of.
    turn: u64,
    turns: watch::Receiver<u64>,
    /// What screens answer to servers.
    answers: watch::Receiver<()>,
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
                spawn_blocking(move || {
                    // Nobody listens once the dashboard has ended.
                    let _ = answers.blocking_send(hub.detach(lcd));
                });
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
                Ok(()) => {
                    self.hub.answered();
                    // This screen is told below.
                    self.answers.mark_unchanged();
                    Event::Answered
                }
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
        tokio::select! {
            biased;
            Ok(()) = self.turns.changed() => {}
            Ok(()) = self.answers.changed() => return Some(Event::Answered),
            // The hub holds the senders.
            else => return std::future::pending().await,
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
        self.turn = *self.turns.borrow();
        self.end_asked(|_| true);
    }

    /// Answers what the server asks: what waits for that goes on.
    fn answer(&self, effect: Effect) -> Result<(), String> {
        let Some(client) = self.hub.client() else {
            return Err("there is no server".to_owned());
        };
        match effect {
            Effect::Login { user, password, at } => {
                let credentials = Credentials::login(&user, password.expose())?;
                client
                    .login(credentials, at.as_deref())
                    .map_err(|error| display_error(&error))
            }
            Effect::Trust(seen) => {
                let fingerprint = seen.seen.parse()?;
                client
                    .trust(&seen.host, &fingerprint)
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
            Effect::List { request, path } => {
                self.ask(Asked::List, async move {
                    let result = client.list(&path).await;
                    let result = result.map_err(|error| Unlisted {
                        reason: display_error(&error),
                        transient: error.is_transient(),
                        asks: Question::of(&error),
                        login_at: Question::login_at(&error).map(String::into_boxed_str),
                    });
                    // Nobody listens once the dashboard has ended.
                    let _ = answers
                        .send(Event::Listed {
                            request,
                            path,
                            result,
                        })
                        .await;
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
            Effect::FindDamage(file) => {
                self.ask(Asked::Damage, async move {
                    let result = client.damage(&file.path, file.local.clone()).await;
                    let result = result.map_err(|error| display_error(&error));
                    let _ = answers.send(Event::Damaged { file, result }).await;
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
                    let answer = hub.get(&client, (wants, update), to.as_deref());
                    // Only now: a screen that takes no answers holds up nobody else's.
                    let _ = answers.blocking_send(answer);
                });
            }
            Effect::Control(item, control) => steer(&client, item, control),
            Effect::ClearEnded => {
                client.clear_ended();
                self.hub.cleared(HashSet::clear);
            }
            Effect::Hide(items) => self.hub.cleared(|cleared| cleared.extend(items)),
            Effect::Show(items) => {
                let back = |cleared: &mut HashSet<ItemId>| {
                    cleared.retain(|item| !items.contains(item));
                };
                self.hub.cleared(back);
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
