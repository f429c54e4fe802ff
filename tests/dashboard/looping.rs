//! The loop, with a scripted terminal and an engine that records what it is told to do.

use std::{
    io,
    sync::{Arc, Mutex},
};

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use futures_util::{StreamExt as _, stream};
use haul::{
    app::{self, Effect, Ending, Event, Sample, State},
    client::{self, Link},
    control::Engine,
    dashboard::{
        run::{Run, Screen},
        terminal::Input,
    },
    logging::Ring,
    ui,
};
use ratatui::{Terminal, backend::TestBackend, layout::Rect};
use tokio::sync::mpsc;

use super::states::*;

/// What the loop did.
#[derive(Debug, Default, Clone)]
struct Seen(Arc<Mutex<Vec<String>>>);

impl Seen {
    fn note(&self, what: String) {
        self.0.lock().unwrap().push(what);
    }

    fn all(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

struct Fake(Seen);

impl Engine for Fake {
    fn sample(&mut self) -> Sample {
        Sample::Client(client::Snapshot {
            link: Link::Up,
            ..client::Snapshot::default()
        })
    }

    fn apply(&mut self, effect: Effect, answers: &mpsc::Sender<Event>) {
        self.0.note(format!("{effect:?}"));
        match effect {
            Effect::List { request, path } => {
                let _ = answers.try_send(Event::Listed {
                    request,
                    path,
                    result: Ok(entries()),
                });
            }
            Effect::Connect(target) => {
                let _ = answers.try_send(Event::Connected(app::Server {
                    url: target.url,
                    named: None,
                }));
            }
            _ => {}
        }
    }

    async fn told(&mut self) -> Option<Event> {
        std::future::pending().await
    }
}

struct Picture {
    terminal: Terminal<TestBackend>,
    seen: Seen,
    gone: bool,
}

impl Screen for Picture {
    fn size(&self) -> io::Result<Rect> {
        Ok(Rect::new(0, 0, 80, 24))
    }

    fn draw(&mut self, state: &State) -> io::Result<()> {
        let theme = ui::Theme::of(&state.looks);
        let drawn = self.terminal.draw(|frame| {
            let area = frame.area();
            ui::draw(state, &theme, area, frame.buffer_mut());
        });
        drawn.map_err(io::Error::other)?;
        let screen = text(self.terminal.backend().buffer());
        self.seen.note(format!("frame {screen}"));
        Ok(())
    }

    fn redraw(&mut self) -> io::Result<()> {
        self.seen.note("redraw".into());
        Ok(())
    }

    fn copy(&mut self, text: &str) -> io::Result<()> {
        self.seen.note(format!("copy {text}"));
        Ok(())
    }

    fn notify(&mut self, text: &str) -> io::Result<()> {
        self.seen.note(format!("notify {text}"));
        Ok(())
    }

    fn suspend(&mut self) -> io::Result<()> {
        self.seen.note("suspend".into());
        Ok(())
    }

    fn is_gone(&self) -> bool {
        self.gone
    }

    fn is_ready(&self) -> bool {
        true
    }

    fn ask_background(&mut self) -> io::Result<()> {
        self.seen.note("asked".into());
        Ok(())
    }

    fn title(&mut self, title: &str, _: Option<u8>) -> io::Result<()> {
        self.seen.note(format!("title {title}"));
        Ok(())
    }
}

fn ready(gone: bool) -> (Run<Fake, Picture>, Seen) {
    let seen = Seen::default();
    let run = Run {
        state: browsing(),
        engine: Fake(seen.clone()),
        screen: Picture {
            terminal: Terminal::new(TestBackend::new(80, 24)).unwrap(),
            seen: seen.clone(),
            gone,
        },
        ring: Ring::new(),
        kept: haul::dashboard::Kept::default(),
        asks_theme: true,
        stop: tokio_util::sync::CancellationToken::new(),
    };
    (run, seen)
}

fn input(keys: &str) -> Vec<io::Result<Input>> {
    let keys = keys.chars().map(|c| {
        Ok(Input::Key(KeyEvent::new(
            KeyCode::Char(c),
            KeyModifiers::NONE,
        )))
    });
    keys.collect()
}

#[tokio::test]
async fn keys_become_effects_and_a_quit_ends_it() {
    let (run, seen) = ready(false);
    let ending = run
        .until_end(stream::iter(input("yq")), Vec::new())
        .await
        .unwrap();
    assert_eq!(ending, Ending::Quit);
    let seen = seen.all();
    assert!(
        seen.iter()
            .any(|s| s.starts_with("copy http://nas.lan:8888/")),
        "{seen:?}"
    );
}

#[tokio::test]
async fn input_that_ends_is_a_terminal_that_is_gone() {
    let (run, _) = ready(false);
    let ending = run
        .until_end(stream::iter(input("jj")), Vec::new())
        .await
        .unwrap();
    assert_eq!(ending, Ending::HungUp);
    let (run, _) = ready(false);
    let broken = vec![Err(io::Error::other("gone"))];
    let ending = run
        .until_end(stream::iter(broken), Vec::new())
        .await
        .unwrap();
    assert_eq!(ending, Ending::HungUp);
}

#[tokio::test]
async fn a_dead_terminal_ends_it_though_nothing_is_typed() {
    let (run, _) = ready(true);
    let ending = run.until_end(stream::pending(), Vec::new()).await.unwrap();
    assert_eq!(ending, Ending::HungUp);
}

#[tokio::test]
async fn another_server_is_shown_in_the_rows_that_there_are() {
    let (run, seen) = ready(false);
    let line = |line: &str| Event::Script {
        line: line.into(),
        place: "x:1".into(),
    };
    // The size is told before it, and does not change after it.
    let shown = seen.clone();
    let shown = async move {
        let is_shown = |frame: &String| {
            frame.starts_with("frame") && frame.contains("other.lan") && frame.contains("photos/")
        };
        while !shown.all().iter().any(is_shown) {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        input("q").remove(0)
    };
    let keys = stream::iter(input("j"))
        .chain(stream::once(async {
            let patience = std::time::Duration::from_secs(20);
            let quit = tokio::time::timeout(patience, shown).await;
            quit.unwrap_or_else(|_| panic!("it is not shown"))
        }))
        .boxed();
    let script = ["ls", "connect other.lan"].map(line).into();
    let ending = run.until_end(keys, script).await.unwrap();
    assert_eq!(ending, Ending::Quit);
    let seen = seen.all();
    let last = seen.iter().rev().find(|s| s.starts_with("frame")).unwrap();
    assert!(
        last.contains("other.lan") && last.contains("photos/"),
        "{last}"
    );
}

#[tokio::test]
async fn a_script_runs_and_its_listing_is_shown() {
    let (run, seen) = ready(false);
    let line = |line: &str| Event::Script {
        line: line.into(),
        place: "x:1".into(),
    };
    let script = ["cd photos", "get *.jpg", "quit"].map(line).into();
    let ending = run.until_end(stream::pending(), script).await.unwrap();
    assert_eq!(ending, Ending::Quit);
    let seen = seen.all();
    assert!(seen.iter().any(|s| s.contains("photos/*.jpg")), "{seen:?}");
}
