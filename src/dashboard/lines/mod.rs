//! `--run -`: `:` commands from standard input, and on standard output a line of text for what came of each and for each
//! change of state. For screen readers, expect and pipes: no screen is taken, nothing is drawn, and no byte is written that
//! is no newline, printable ASCII or part of a name's UTF-8.
//!
//! A line waits until the one before it is done: what it asked for is listed, queued or refused. Transfers are waited for at
//! the end only, when standard input has ended.

mod changes;
mod input;
mod shown;

use std::{
    io::Write,
    task::Poll,
    time::{Duration, Instant},
};

use jiff::Timestamp;
use tokio::{
    sync::mpsc,
    time::{MissedTickBehavior, interval},
};
use tokio_util::sync::CancellationToken;

use self::{changes::Changes, input::Line, shown::plain};
use super::{kept::Kept, local, unseen::looks};
use crate::{
    app::{
        Effect, Ending, Event, Popup, Sample, Server, State, Tick, View,
        browser::Load,
        command::{self, Command},
        connect,
        effect::Order,
        serve, update,
    },
    client::Link,
    control::{Engine, Hub, Serving},
    exit::{Exit, Local},
    server,
    sys::signals::Signals,
};

/// The engine is looked at this often.
const SAMPLE: Duration = Duration::from_millis(100);
/// Answers to one command that may wait.
const ANSWERS: usize = 64;

/// Runs commands for a client until one of them, one of `ends` or the end of standard input, once nothing is under way, ends it.
/// `out` is flushed after each line. Tells how it ended, and the status that refused commands amount to.
///
/// # Errors
///
/// Where `out` cannot be written to.
pub(crate) async fn connect(
    (facts, server): (connect::Facts, Option<Server>),
    hub: &Hub,
    ends: (Signals, CancellationToken),
    out: impl Write,
) -> Result<(Ending, Exit), Local> {
    let state = State::connect(facts, server, looks());
    let lines = Lines::new(state, hub.engine(), out);
    lines.until_end(ends).await
}

/// The same for a server; at the end of standard input it finishes what runs and takes no one new.
///
/// # Errors
///
/// Where `out` cannot be written to.
pub(crate) async fn serve(
    server: server::Server,
    facts: serve::Facts,
    ends: (Signals, CancellationToken),
    out: impl Write,
) -> Result<(Ending, Exit), Local> {
    let listening = facts.urls.iter().map(|url| format!("listening on {url}"));
    let mut first: Vec<_> = listening.collect();
    let fingerprint = facts.fingerprint.as_ref();
    first.extend(fingerprint.map(|print| format!("fingerprint SHA256:{print}")));
    let state = State::serve(facts, looks());
    let mut lines = Lines::new(state, Serving::new(server), out);
    lines.tell(&first)?;
    lines.until_end(ends).await
}

/// A session of commands.
struct Lines<E, W> {
    state: State,
    engine: E,
    out: W,
    changes: Changes,
    /// Where answers come from that are waited for.
    pending: Vec<mpsc::Receiver<Event>>,
    /// The line that is under way, counted from 1, and what it asks for.
    under_way: Option<Command>,
    number: usize,
    /// What refused commands amount to.
    refused: Exit,
    /// Whether the end of standard input was told to a server.
    drains: bool,
}

impl<E: Engine, W: Write> Lines<E, W> {
    fn new(state: State, engine: E, out: W) -> Self {
        Self {
            state,
            engine,
            out,
            changes: Changes::default(),
            pending: Vec::new(),
            under_way: None,
            number: 0,
            refused: Exit::Done,
            drains: false,
        }
    }

    async fn until_end(
        mut self,
        ends: (Signals, CancellationToken),
    ) -> Result<(Ending, Exit), Local> {
        let ending = self.turn(input::lines(), ends).await?;
        Ok((ending, self.refused))
    }

    async fn turn(
        &mut self,
        mut lines: mpsc::Receiver<Line>,
        (mut signals, stop): (Signals, CancellationToken),
    ) -> Result<Ending, Local> {
        let mut tick = interval(SAMPLE);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut ended = false;
        let effects = self.state.begin();
        self.apply(effects);
        loop {
            for unasked in self.state.unasked() {
                // Nobody is there to say yes.
                self.refuse(&plain(&unasked), Exit::Integrity)?;
            }
            let settled = self.pending.is_empty();
            if settled && let Some(command) = self.under_way.take() {
                self.done(&command)?;
            }
            if settled && ended && self.at_the_end()? {
                return Ok(Ending::Quit);
            }
            let ending = tokio::select! {
                biased;
                exit = signals.next() => Some(match exit {
                    Exit::Interrupted => Ending::Interrupted,
                    _ => Ending::Terminated,
                }),
                () = stop.cancelled() => Some(Ending::Quit),
                event = answer(&mut self.pending), if !settled => match event {
                    Some(event) => self.take(event)?,
                    None => None,
                },
                _ = tick.tick() => self.tick()?,
                line = lines.recv(), if settled && !ended => if let Some(line) = line {
                    self.line(line)?
                } else {
                    ended = true;
                    None
                },
                told = self.engine.told() => match told {
                    Some(event) => self.take(event)?,
                    None => None,
                },
            };
            if let Some(ending) = ending {
                return Ok(ending);
            }
        }
    }

    /// Runs a line.
    fn line(&mut self, line: Line) -> Result<Option<Ending>, Local> {
        self.number += 1;
        let line = match line {
            Ok(line) => line,
            Err(why) => return self.refuse(why, Exit::Usage),
        };
        let line = line.trim_start_matches('\u{feff}').trim();
        let line = line.trim_start_matches(':');
        if line.starts_with('#') {
            return Ok(None);
        }
        let connect = matches!(self.state.view, View::Connect(_));
        let command = match command::parse(line, connect) {
            Ok(Some(command)) => command,
            Ok(None) => return Ok(None),
            Err(why) => {
                // A key of screens.
                let why = why.replace(": ? lists them", ": help lists them");
                return self.refuse(&plain(&why), Exit::Usage);
            }
        };
        if shown::is_of_a_screen(&command, connect) {
            let why = "that is about a screen, and here is none: help lists what there is";
            return self.refuse(why, Exit::Usage);
        }
        // What the line before it added is in the next sample only.
        if let Some(ending) = self.tick()? {
            return Ok(Some(ending));
        }
        // What a screen would show is shown instead of done.
        let shown = match (&command, &self.state.view) {
            (Command::Help, _) => Some(shown::help(connect)),
            (Command::Info, view) => Some(shown::info(view)),
            (Command::Clients, View::Serve(view)) => Some(shown::clients(view)),
            _ => None,
        };
        if let Some(lines) = shown {
            return self.tell(&lines).map(|()| None);
        }
        self.under_way = Some(command);
        let place = self.place();
        let line = line.to_owned();
        let ending = self.take(Event::Script { line, place })?;
        if let Some(Popup::Quit(running)) = self.state.popup.take() {
            let running = running.join(", ");
            let why = format!("not while these run: {running}: quit! ends them");
            return self.refuse(&why, Exit::Other);
        }
        Ok(ending)
    }

    fn place(&self) -> String {
        format!("line {}", self.number)
    }

    /// A command is done: what it lists is shown.
    fn done(&mut self, command: &Command) -> Result<(), Local> {
        let View::Connect(view) = &self.state.view else {
            return Ok(());
        };
        let lists = matches!(command, Command::Ls);
        if !(lists || matches!(command, Command::Cd(_) | Command::Connect(_)))
            || view.remote.load != Load::Idle
        {
            return Ok(());
        }
        let lines = shown::listing(view, lists);
        self.tell(&lines)
    }

    /// Standard input has ended: whether nothing is left to wait for. A server finishes what runs.
    fn at_the_end(&mut self) -> Result<bool, Local> {
        // What was asked for last is in the next sample only.
        if self.tick()?.is_some() {
            return Ok(true);
        }
        match &self.state.view {
            View::Connect(view) => Ok(view.running().is_empty()
                || matches!(view.snapshot.link, Link::Down(_) | Link::Banned(_))),
            View::Serve(_) => {
                if !std::mem::replace(&mut self.drains, true) {
                    self.apply(vec![Effect::Serve(Order::Drain)]);
                }
                Ok(false)
            }
        }
    }

    fn tick(&mut self) -> Result<Option<Ending>, Local> {
        let tick = Tick {
            now: Instant::now(),
            wall: Timestamp::now(),
            sample: self.engine.sample(),
        };
        let mut effects = update(&mut self.state, Event::Tick(tick));
        // What else a look asks for and says is about a screen and its keys.
        effects.retain(|effect| matches!(effect, Effect::List { .. } | Effect::Quit(_)));
        self.state.notice = None;
        let lines = self.changes.since(&self.state.view);
        self.tell(&lines)?;
        Ok(self.apply(effects))
    }

    fn take(&mut self, event: Event) -> Result<Option<Ending>, Local> {
        let told = match &event {
            Event::Connected(server) => Some(format!("connected to {}", server.url)),
            Event::Disconnected => Some("disconnected".to_owned()),
            _ => None,
        };
        let failed = match &event {
            Event::LoginWanted { reason, .. } => Some(reason.clone()),
            Event::Listed {
                request,
                result: Err(why),
                ..
            } if self.awaits(*request) => Some(why.reason.clone()),
            _ => None,
        };
        let effects = update(&mut self.state, event);
        if let Some(line) = told {
            // Its queue is another one.
            self.changes = Changes::default();
            self.tell(&[line])?;
        }
        let notice = self.state.notice.take();
        match notice.map(|notice| (notice.text, notice.bad)) {
            Some((text, false)) => self.tell(&[text])?,
            Some((why, true)) if failed.is_none() => {
                self.refuse(&why, Exit::Other)?;
            }
            _ => {
                if let Some(why) = failed {
                    self.fail(&why)?;
                }
            }
        }
        Ok(self.apply(effects))
    }

    fn awaits(&self, request: u64) -> bool {
        match &self.state.view {
            View::Connect(view) => view.remote.awaits(request),
            View::Serve(view) => view.files.awaits(request),
        }
    }

    /// Refuses for what came of it; the kind of failure is the link's, where that is down.
    fn fail(&mut self, why: &str) -> Result<Option<Ending>, Local> {
        let exit = match self.engine.sample() {
            Sample::Client(now) => match now.link {
                Link::Down(_) => Exit::Network,
                Link::Asks(_) => Exit::Access,
                Link::Banned(_) => Exit::Remote,
                _ => Exit::Other,
            },
            _ => Exit::Other,
        };
        self.refuse(why, exit)
    }

    /// Hands effects over, and waits for what comes of them.
    fn apply(&mut self, effects: Vec<Effect>) -> Option<Ending> {
        if effects.is_empty() {
            return None;
        }
        let (answers, answered) = mpsc::channel(ANSWERS);
        self.pending.push(answered);
        for effect in effects {
            match effect {
                // Refusals are told by the status.
                Effect::Quit(Ending::ScriptFailed) => return Some(Ending::Quit),
                Effect::Quit(ending) => return Some(ending),
                // A screen's.
                Effect::LookLocal { .. } | Effect::Redraw | Effect::Suspend | Effect::Copy(_) => {}
                effect => {
                    if let Some(effect) = local::apply(effect, &Kept::default(), &answers) {
                        self.engine.apply(effect, &answers);
                    }
                }
            }
        }
        None
    }

    fn refuse(&mut self, why: &str, exit: Exit) -> Result<Option<Ending>, Local> {
        self.refused = Exit::of_all([self.refused, exit]);
        let place = self.place();
        let why = why.strip_prefix(&format!("{place}: ")).unwrap_or(why);
        let line = if self.number == 0 {
            format!("failed: {why}")
        } else {
            format!("refused: {place}: {why}")
        };
        self.tell(&[line]).map(|()| None)
    }

    /// Writes lines, whose names are escaped already.
    fn tell(&mut self, lines: &[String]) -> Result<(), Local> {
        if lines.is_empty() {
            return Ok(());
        }
        let text: String = lines.iter().flat_map(|line| [line, "\n"]).collect();
        let written = self.out.write_all(text.as_bytes());
        written
            .and_then(|()| self.out.flush())
            .map_err(|source| Local {
                what: "cannot write to stdout".into(),
                source,
                remedy: "keep its reader running",
                exit: Exit::Other,
            })
    }
}

/// The next answer of any command; `None` where one of them has no more.
async fn answer(pending: &mut Vec<mpsc::Receiver<Event>>) -> Option<Event> {
    std::future::poll_fn(|context| {
        for at in 0..pending.len() {
            match pending[at].poll_recv(context) {
                Poll::Ready(Some(event)) => return Poll::Ready(Some(event)),
                Poll::Ready(None) => {
                    pending.swap_remove(at);
                    return Poll::Ready(None);
                }
                Poll::Pending => {}
            }
        }
        Poll::Pending
    })
    .await
}
