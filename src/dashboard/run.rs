//! The loop: one `select!` over keys, engine, answers, signals and time. It names events and does nothing else:
//! drain all that is pending, update, draw when something changed.

use std::{
    io,
    time::{Duration, Instant},
};

use crossterm::event::{MouseButton, MouseEvent, MouseEventKind};
use futures_util::{FutureExt as _, Stream, StreamExt as _};
use jiff::Timestamp;
use ratatui::layout::Rect;
use tokio::{signal::unix::SignalKind, sync::mpsc, time::sleep_until};
use tokio_util::sync::CancellationToken;

use super::{kept::Kept, local, terminal::Input};
use crate::{
    app::{
        Effect, Ending, Event, Mouse, State, Tick,
        title::{percent, title},
        update,
    },
    config::ThemeName,
    control::Engine,
    logging::Ring,
    sys::terminal::UnlessIgnored,
    ui,
};

/// The engine is looked at this often while bytes flow.
const SAMPLE: Duration = Duration::from_millis(100);
/// And this often while nothing happens: soon enough for what begins, and next to no work for a screen that stands.
const IDLE: Duration = Duration::from_millis(250);
/// From so many clients or transfers on, a look costs enough to be taken at the slower pace all the time: figures are renewed
/// twice a second in any case.
const MANY: usize = 300;
/// Frames follow each other no faster.
const FRAME: Duration = Duration::from_millis(33);
/// Events from one source that are taken before the next frame, so that a flood of them cannot hold it up.
const DRAINED: usize = 512;
/// Answers that may wait for the loop.
const ANSWERS: usize = 256;
/// Rows that a turn of the wheel moves.
const WHEEL: isize = 3;

/// What the loop draws on.
pub trait Screen {
    /// The cells that there are.
    fn size(&self) -> io::Result<Rect>;
    /// Whether the last frame was taken: until then another one would only wait.
    fn is_ready(&self) -> bool;
    /// Draws the state.
    fn draw(&mut self, state: &State) -> io::Result<()>;
    /// Makes the next frame write every cell.
    fn redraw(&mut self) -> io::Result<()>;
    /// Puts text on the clipboard.
    fn copy(&mut self, text: &str) -> io::Result<()>;
    /// Shows a notification on the desktop, where the terminal knows how to.
    fn notify(&mut self, text: &str) -> io::Result<()>;
    /// Gives the terminal back and stops the process, until the shell goes on.
    fn suspend(&mut self) -> io::Result<()>;
    /// Whether nobody can see it any more.
    fn is_gone(&self) -> bool;
    /// Asks the terminal for its background; the answer comes among the keys, if it comes.
    fn ask_background(&mut self) -> io::Result<()>;
    /// Shows a title, and percents of progress, where the terminal has places for them.
    fn title(&mut self, title: &str, percent: Option<u8>) -> io::Result<()>;
}

/// A dashboard, ready to run.
pub struct Run<E, S> {
    /// What is shown.
    pub state: State,
    /// Whose state it is.
    pub engine: E,
    /// Where it is shown.
    pub screen: S,
    /// The log.
    pub ring: Ring,
    /// What outlives it.
    pub kept: Kept,
    /// Whether the terminal is to be asked which theme suits it.
    pub asks_theme: bool,
    /// Ends it as the user would.
    pub stop: CancellationToken,
}

impl<E: Engine, S: Screen> Run<E, S> {
    /// Runs until the user, a signal or the terminal ends it. The screen is restored before this returns.
    pub async fn until_end(
        mut self,
        input: impl Stream<Item = io::Result<Input>> + Unpin,
        script: Vec<Event>,
    ) -> io::Result<Ending> {
        match self.turn(input, script).await {
            // Whatever failed on a terminal that is gone, there is nobody to tell it to.
            Err(_) if self.screen.is_gone() => Ok(Ending::HungUp),
            ending => ending,
        }
    }

    async fn turn(
        &mut self,
        mut input: impl Stream<Item = io::Result<Input>> + Unpin,
        script: Vec<Event>,
    ) -> io::Result<Ending> {
        let (answers, mut answered) = mpsc::channel(ANSWERS);
        let mut interrupt = UnlessIgnored::new(SignalKind::interrupt())?;
        let mut terminate = UnlessIgnored::new(SignalKind::terminate())?;
        let mut hangup = UnlessIgnored::new(SignalKind::hangup())?;
        let mut resized = tokio::signal::unix::signal(SignalKind::window_change())?;
        let mut sampled = tokio::time::Instant::now();
        let mut drawn = tokio::time::Instant::now();
        let mut log = 0;
        let stop = self.stop.clone();

        let effects = self.state.begin();
        self.apply(effects, &answers)?;
        self.tick(&answers, &mut log)?;
        for line in script {
            if let Some(ending) = self.take(line, &answers)? {
                return Ok(ending);
            }
        }
        self.draw()?;
        if self.asks_theme {
            self.screen.ask_background()?;
        }
        loop {
            let ready = self.screen.is_ready();
            let due = if ready {
                drawn + FRAME
            } else {
                tokio::time::Instant::now() + FRAME
            };
            let quick = self.state.view.count() < MANY && self.state.is_busy();
            let pause = if quick { SAMPLE } else { IDLE };
            let ending = tokio::select! {
                biased;
                () = interrupt.recv() => Some(Ending::Interrupted),
                () = terminate.recv() => Some(Ending::Terminated),
                () = hangup.recv() => Some(Ending::Terminated),
                () = stop.cancelled() => Some(Ending::Quit),
                key = input.next() => self.keys(key, &mut input, &answers)?,
                Some(event) = answered.recv() => self.answers(event, &mut answered, &answers)?,
                // Before what may be ready for ever: a flood of turning points must not hold up frames.
                () = sleep_until(due), if self.state.dirty => {
                    if self.screen.is_ready() {
                        self.draw()?;
                        drawn = tokio::time::Instant::now();
                    }
                    None
                }
                _ = resized.recv() => {
                    self.state.dirty = true;
                    None
                }
                () = sleep_until(sampled + pause) => {
                    sampled = tokio::time::Instant::now();
                    self.tick(&answers, &mut log)?
                }
                told = self.engine.told() => match told {
                    Some(event) => self.take(event, &answers)?,
                    None => self.log(&mut log, &answers)?,
                },
            };
            if let Some(ending) = ending {
                return Ok(ending);
            }
        }
    }

    /// Takes a key, and all that wait behind it.
    fn keys(
        &mut self,
        first: Option<io::Result<Input>>,
        input: &mut (impl Stream<Item = io::Result<Input>> + Unpin),
        answers: &mpsc::Sender<Event>,
    ) -> io::Result<Option<Ending>> {
        let mut next = Some(first);
        for _ in 0..DRAINED {
            let Some(read) = next else { break };
            // Nothing to read from is a terminal that is gone.
            let Some(Ok(event)) = read else {
                return Ok(Some(Ending::HungUp));
            };
            if let Some(ending) = self.input(event, answers)? {
                return Ok(Some(ending));
            }
            next = input.next().now_or_never();
        }
        Ok(None)
    }

    fn input(&mut self, event: Input, answers: &mpsc::Sender<Event>) -> io::Result<Option<Ending>> {
        let event = match event {
            Input::Key(key) => Event::Key(key),
            Input::Paste(text) => Event::Paste(text),
            Input::Mouse(mouse) => match self.mouse(mouse)? {
                Some(mouse) => Event::Mouse(mouse),
                None => return Ok(None),
            },
            Input::Focus(gained) => Event::Focus(gained),
            Input::Background { .. } if !self.asks_theme => return Ok(None),
            Input::Background { light: true } => Event::Background(ThemeName::Light),
            Input::Background { light: false } => Event::Background(ThemeName::Dark),
        };
        self.take(event, answers)
    }

    /// What lies under the mouse is known by the layout alone.
    fn mouse(&self, mouse: MouseEvent) -> io::Result<Option<Mouse>> {
        let (area, x, y) = (self.screen.size()?, mouse.column, mouse.row);
        let hit = || ui::hit(&self.state, area, x, y);
        let wheel = |by| hit().map(|(pane, _)| Mouse::Wheel { pane, by });
        Ok(match mouse.kind {
            MouseEventKind::Down(MouseButton::Left) if self.state.popup.is_some() => {
                let on = ui::in_box(&self.state, area, x, y);
                let at = Instant::now();
                Some(Mouse::InBox { on, at })
            }
            MouseEventKind::Down(MouseButton::Left) => match ui::spot(&self.state, area, x, y) {
                Some(spot) => Some(Mouse::On(spot)),
                None => hit().map(|(pane, row)| {
                    let at = Instant::now();
                    Mouse::Press { pane, row, at }
                }),
            },
            MouseEventKind::Down(MouseButton::Right) => {
                hit().and_then(|(pane, row)| Some(Mouse::Mark { pane, row: row? }))
            }
            MouseEventKind::ScrollUp => wheel(-WHEEL),
            MouseEventKind::ScrollDown => wheel(WHEEL),
            _ => None,
        })
    }

    fn answers(
        &mut self,
        first: Event,
        answered: &mut mpsc::Receiver<Event>,
        answers: &mpsc::Sender<Event>,
    ) -> io::Result<Option<Ending>> {
        let mut next = Some(first);
        for _ in 0..DRAINED {
            let Some(event) = next else { break };
            if let Some(ending) = self.take(event, answers)? {
                return Ok(Some(ending));
            }
            next = answered.try_recv().ok();
        }
        Ok(None)
    }

    /// Looks at the engine, the log and the terminal.
    fn tick(&mut self, answers: &mpsc::Sender<Event>, log: &mut u64) -> io::Result<Option<Ending>> {
        if self.screen.is_gone() {
            return Ok(Some(Ending::HungUp));
        }
        let tick = Tick {
            now: Instant::now(),
            wall: Timestamp::now(),
            sample: self.engine.sample(),
        };
        if let Some(ending) = self.take(Event::Tick(tick), answers)? {
            return Ok(Some(ending));
        }
        self.log(log, answers)
    }

    fn log(&mut self, log: &mut u64, answers: &mpsc::Sender<Event>) -> io::Result<Option<Ending>> {
        if self.ring.generation() == *log {
            return Ok(None);
        }
        let lines = self.ring.since(*log);
        *log = lines.last().map_or(*log, |line| line.seq);
        self.take(Event::Log(lines), answers)
    }

    fn take(&mut self, event: Event, answers: &mpsc::Sender<Event>) -> io::Result<Option<Ending>> {
        let effects = update(&mut self.state, event);
        self.apply(effects, answers)
    }

    /// Hands effects to the screen and to the engine.
    fn apply(
        &mut self,
        effects: Vec<Effect>,
        answers: &mpsc::Sender<Event>,
    ) -> io::Result<Option<Ending>> {
        for effect in effects {
            match effect {
                Effect::Quit(ending) => return Ok(Some(ending)),
                Effect::Redraw => self.screen.redraw()?,
                Effect::Suspend => {
                    self.screen.suspend()?;
                    self.state.dirty = true;
                }
                Effect::Copy(text) => self.screen.copy(&text)?,
                Effect::FindServers { used, usual } => {
                    local::find_servers(used, usual, answers.clone());
                }
                Effect::Notify(text) => self.screen.notify(&text)?,
                effect => {
                    if let Some(effect) = local::apply(effect, &self.kept, answers) {
                        self.engine.apply(effect, answers);
                    }
                }
            }
        }
        Ok(None)
    }

    /// Draws a frame; the state is told first how many rows its lists have.
    fn draw(&mut self) -> io::Result<()> {
        let area = self.screen.size()?;
        let layout = ui::measure(&self.state, area);
        if layout != self.state.layout {
            // A layout asks for nothing.
            let _ = update(&mut self.state, Event::Layout(layout));
        }
        self.state.dirty = false;
        let (title, percent) = (title(&self.state), percent(&self.state));
        self.screen.title(&title, percent)?;
        self.screen.draw(&self.state)
    }
}
