//! The server behind a dashboard.

use tokio::{sync::mpsc, task::spawn_blocking};

use crate::{
    app::{Effect, Event, Sample, effect::Order},
    control::seam::Engine,
    escape::{display_error, display_name, display_path},
    http1::path::RemotePath,
    server::Server,
};

/// A running server; each screen has one of these.
pub struct Serving {
    server: Server,
}

impl Serving {
    /// For one screen.
    pub fn new(server: Server) -> Self {
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
                        Err(error) => Event::Refused(display_error(&error)),
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
            Effect::List { request, path } => {
                let server = self.server.clone();
                spawn_blocking(move || {
                    let result = server
                        .list(&path)
                        .map_err(|error| display_error(&error).into());
                    // Nobody listens once the dashboard has ended.
                    let _ = answers.blocking_send(Event::Listed {
                        request,
                        path,
                        result,
                    });
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

    async fn told(&mut self) -> Option<Event> {
        // The server tells nothing by itself: its samples and the log say it all.
        std::future::pending().await
    }
}
