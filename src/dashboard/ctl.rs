//! `haul ctl`: one `:` command for what runs elsewhere. A dashboard without a screen: its state runs the line, and what
//! the state says is the answer.

use std::{
    io::Write,
    time::{Duration, Instant},
};

use jiff::Timestamp;
use tokio::{sync::mpsc, time::timeout};

use super::{kept::Kept, local, unseen::looks};
use crate::{
    app::{
        Effect, Event, Popup, State, Tick,
        command::{Command, parse},
        update,
    },
    control::{self, Engine as _, Facts, Found, Remote, Watched},
    error::Error,
    exit::{Exit, Local},
};

/// Answers that wait to be taken.
const ANSWERS: usize = 64;
/// How long what runs may take to end once it is told to: running answers of a server get 10 s.
const END: Duration = Duration::from_secs(20);

/// Runs a line for what was found, and tells `out` what came of it.
pub async fn ctl(found: &Found, line: &str, out: &mut impl Write) -> Result<Exit, Error> {
    let Watched { hello, remote, .. } = Watched::open(found, false).await?;
    let connect = matches!(hello.facts, Facts::Connect { .. });
    let line = line.trim_start().trim_start_matches(':');
    let Some(command) = parse(line, connect).map_err(Error::Usage)? else {
        return Err(Error::Usage(
            "ctl: a command is missing, such as pause".into(),
        ));
    };
    if command.is_of_the_screen() {
        let name = line.split_whitespace().next().unwrap_or_default();
        return Err(Error::Usage(format!(
            "{name}: that is about a screen: `haul attach {}` has one",
            found.label()
        )));
    }
    let state = match hello.facts {
        Facts::Serve(facts) => State::serve(facts, looks()),
        Facts::Connect { facts, server } => State::connect(facts, server, looks()),
    };
    let mut run = Run {
        state,
        remote,
        said: Vec::new(),
    };
    run.line(line, &found.label(), matches!(command, Command::Verify(_)))
        .await;
    let bad = run.said.iter().find(|(_, bad)| *bad);
    if let Some((reason, _)) = bad {
        return Err(control::Error::Refused(reason.clone()).into());
    }
    for (text, _) in &run.said {
        writeln!(out, "{text}").map_err(|source| {
            Error::Local(Local {
                what: "cannot write to stdout".into(),
                source,
                remedy: "point it at something writable",
                exit: Exit::Disk,
            })
        })?;
    }
    Ok(Exit::Done)
}

struct Run {
    state: State,
    remote: Remote,
    /// What the state said, and whether something failed.
    said: Vec<(String, bool)>,
}

impl Run {
    /// Runs the line; with `listed`, once the directory at the top is listed.
    async fn line(&mut self, line: &str, place: &str, listed: bool) {
        let tick = Tick {
            now: Instant::now(),
            wall: Timestamp::now(),
            sample: self.remote.sample(),
        };
        // What a first look asks for is for a screen.
        let _ = self.update(Event::Tick(tick));
        self.said.clear();
        let mut effects = if listed {
            self.state.begin()
        } else {
            Vec::new()
        };
        effects.extend(self.update(Event::Script {
            line: line.to_owned(),
            place: place.to_owned(),
        }));
        if let Some(Popup::Quit(running)) = &self.state.popup {
            let running = running.join(", ");
            let reason = format!("{place}: not while these run: {running}: quit! ends them");
            self.said.push((reason, true));
        }
        while !effects.is_empty() {
            let follow = self.apply(effects).await;
            // What a command asks for is done; what a screen would look at next is not for this.
            effects = if listed { follow } else { Vec::new() };
        }
        for unasked in self.state.unasked() {
            self.said.push((unasked, true));
        }
    }

    fn update(&mut self, event: Event) -> Vec<Effect> {
        let effects = update(&mut self.state, event);
        if let Some(notice) = self.state.notice.take() {
            self.said.push((notice.text, notice.bad));
        }
        effects
    }

    /// Carries effects out, and waits until nothing more comes of them; what they ask for next.
    async fn apply(&mut self, effects: Vec<Effect>) -> Vec<Effect> {
        let (answers, mut answered) = mpsc::channel(ANSWERS);
        let mut ends = false;
        for effect in effects {
            match effect {
                Effect::Quit(_) => ends = true,
                // What one screen hides is back with the next, and this one is gone at once.
                Effect::Hide(_) => self.remote.apply(Effect::ClearEnded, &answers),
                effect => {
                    if let Some(effect) = local::apply(effect, &Kept::default(), &answers) {
                        self.remote.apply(effect, &answers);
                    }
                }
            }
        }
        drop(answers);
        let mut follow = Vec::new();
        while let Some(event) = answered.recv().await {
            follow.extend(self.update(event));
        }
        if let Some(wrong) = self.remote.wrong() {
            self.said.push((wrong, true));
        }
        if ends {
            self.end().await;
        }
        follow
    }

    /// Ends what runs, and waits for that: who restarts it can do so then.
    async fn end(&mut self) {
        let (answers, _) = mpsc::channel(1);
        self.remote.apply(Effect::Stop, &answers);
        if timeout(END, self.remote.gone()).await.is_err() {
            let reason = "it was told to end, and has not ended yet".to_owned();
            self.said.push((reason, true));
        }
    }
}
