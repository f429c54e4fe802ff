//! The terminal: taken whole, given back whole, on every way out.

use std::{
    io::{self, BufWriter, IsTerminal as _, Stdout, Write as _},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use crossterm::{
    clipboard::CopyToClipboard,
    cursor::{Hide, Show},
    event::{
        self, DisableBracketedPaste, DisableMouseCapture, EnableBracketedPaste, EnableMouseCapture,
    },
    execute, queue,
    style::Colored,
    terminal::{
        BeginSynchronizedUpdate, EndSynchronizedUpdate, EnterAlternateScreen, LeaveAlternateScreen,
        SetTitle, disable_raw_mode, enable_raw_mode,
    },
};
use futures_util::{Stream, stream};
use ratatui::{Terminal, backend::CrosstermBackend, buffer::Buffer, layout::Rect};
use rustix::{
    event::{PollFd, PollFlags, poll},
    process::{Signal, kill_current_process_group},
};
use terminal_colorsaurus::{QueryOptions, ThemeMode, theme_mode};
use tokio::sync::mpsc;

use super::run::Screen;
use crate::{app::State, config::ThemeName, ui};

/// A whole frame of a large terminal goes out in one write.
const BUFFER: usize = 64 * 1024;
/// How long the input thread waits before it looks whether it is still wanted.
const PATIENCE: Duration = Duration::from_millis(250);
/// Keys that may wait for the loop.
const KEYS: usize = 256;

/// How long the terminal may take to tell its background.
const ANSWER: Duration = Duration::from_millis(300);
/// Puts the title on the terminal's stack (xterm, window operations).
const KEEP_TITLE: &[u8] = b"\x1b[22;0t";
/// Empties it, for terminals without a stack, and takes the old one back.
const TITLE_BACK: &[u8] = b"\x1b]2;\x1b\\\x1b[23;0t";
/// Takes progress from the taskbar.
const NO_PROGRESS: &[u8] = b"\x1b]9;4;0;\x1b\\";

/// The title and percents that the terminal shows.
type Shown = (String, Option<u8>);

/// Whether the terminal has a title: the simplest ones would print it.
fn has_title() -> bool {
    std::env::var("TERM").is_ok_and(|term| !matches!(term.as_str(), "" | "dumb" | "linux"))
}

/// Whether progress is understood, or at least passed over: older iTerm2 shows it as a message each time.
fn has_progress() -> bool {
    has_title() && std::env::var("TERM_PROGRAM").map_or(true, |program| program != "iTerm.app")
}

type Backend = CrosstermBackend<Output>;

/// The terminal's output while it is ours; afterwards nothing is written, and nothing fails. Without this, ratatui's
/// `Terminal` would complain on stderr when it is dropped over a dead terminal, and panic over that failing too.
struct Output {
    buffer: BufWriter<Stdout>,
    taken: Arc<AtomicBool>,
}

impl io::Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.taken.load(Ordering::SeqCst) {
            self.buffer.write(bytes)
        } else {
            Ok(bytes.len())
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.taken.load(Ordering::SeqCst) {
            self.buffer.flush()
        } else {
            Ok(())
        }
    }
}

/// The terminal in raw mode, on the alternate screen. Dropping it restores everything.
pub struct Tty {
    terminal: Terminal<Backend>,
    mouse: bool,
    /// Whether the terminal is ours, for the panic hook and the input thread.
    taken: Arc<AtomicBool>,
    /// The title and progress that were written last.
    shown: Shown,
}

impl Tty {
    /// Takes the terminal on standard output.
    pub fn enter(mouse: bool) -> io::Result<Self> {
        if !io::stdout().is_terminal() {
            return Err(io::Error::other("standard output is no terminal"));
        }
        // Under NO_COLOR crossterm would write `ESC[;m` for every colour, which wipes bold and reverse too; the
        // mono theme names no colours in the first place.
        Colored::set_ansi_color_disabled(false);
        let taken = Arc::new(AtomicBool::new(true));
        restore_on_panic(Arc::clone(&taken));
        let backend = CrosstermBackend::new(Output {
            buffer: BufWriter::with_capacity(BUFFER, io::stdout()),
            taken: Arc::clone(&taken),
        });
        // Made before anything is switched on: from here on, drop switches it all off.
        let tty = Self {
            terminal: Terminal::new(backend)?,
            mouse,
            taken,
            shown: Shown::default(),
        };
        tty.take()?;
        Ok(tty)
    }

    fn take(&self) -> io::Result<()> {
        self.taken.store(true, Ordering::SeqCst);
        enable_raw_mode()?;
        let mut out = io::stdout();
        if has_title() {
            out.write_all(KEEP_TITLE)?;
        }
        execute!(out, EnterAlternateScreen, EnableBracketedPaste, Hide)?;
        if self.mouse {
            execute!(out, EnableMouseCapture)?;
        }
        Ok(())
    }

    /// Draws a frame.
    pub fn paint(&mut self, draw: impl FnOnce(Rect, &mut Buffer)) -> io::Result<()> {
        queue!(self.terminal.backend_mut(), BeginSynchronizedUpdate)?;
        self.terminal.draw(|frame| {
            let area = frame.area();
            draw(area, frame.buffer_mut());
        })?;
        execute!(self.terminal.backend_mut(), EndSynchronizedUpdate)
    }

    /// Keys, pastes and mouse, as they come.
    ///
    /// They are read on a thread of their own rather than by `EventStream`: when the terminal vanishes, crossterm
    /// spins in a read that never blocks again, and it must not take the loop with it, which ends the program.
    pub fn input(&self) -> impl Stream<Item = io::Result<event::Event>> + Unpin + use<> {
        let taken = Arc::clone(&self.taken);
        let mut events = None;
        // The thread starts with the first look at it: until then the terminal's answers are not taken for keys.
        stream::poll_fn(move |context| {
            events
                .get_or_insert_with(|| read_events(Arc::clone(&taken)))
                .poll_recv(context)
        })
    }
}

/// Reads on a thread of its own while the terminal is taken.
fn read_events(taken: Arc<AtomicBool>) -> mpsc::Receiver<io::Result<event::Event>> {
    let (sender, events) = mpsc::channel(KEYS);
    thread::spawn(move || {
        while taken.load(Ordering::SeqCst) {
            let read = match event::poll(PATIENCE) {
                Ok(false) => continue,
                Ok(true) => event::read(),
                Err(error) => Err(error),
            };
            let failed = read.is_err();
            if sender.blocking_send(read).is_err() || failed {
                break;
            }
        }
    });
    events
}

impl Screen for Tty {
    fn size(&self) -> io::Result<Rect> {
        let (width, height) = crossterm::terminal::size()?;
        Ok(Rect::new(0, 0, width, height))
    }

    fn draw(&mut self, state: &State) -> io::Result<()> {
        let theme = ui::Theme::of(&state.looks);
        self.paint(|area, buf| ui::draw(state, &theme, area, buf))
    }

    fn redraw(&mut self) -> io::Result<()> {
        // `Terminal::clear` would ask for the cursor's place, and wait for an answer among the keys.
        let area = self.size()?;
        self.terminal.resize(area)
    }

    fn copy(&mut self, text: &str) -> io::Result<()> {
        let backend = self.terminal.backend_mut();
        execute!(backend, CopyToClipboard::to_clipboard_from(text))
    }

    fn ask_theme(&mut self) -> Option<ThemeName> {
        let mut options = QueryOptions::default();
        options.timeout = ANSWER;
        // It reads the terminal's answer from the terminal itself, in the raw mode that is on already.
        match theme_mode(options).ok()? {
            ThemeMode::Dark => Some(ThemeName::Dark),
            ThemeMode::Light => Some(ThemeName::Light),
        }
    }

    fn title(&mut self, title: &str, percent: Option<u8>) -> io::Result<()> {
        if !has_title() || (self.shown.0 == title && self.shown.1 == percent) {
            return Ok(());
        }
        let out = self.terminal.backend_mut();
        queue!(out, SetTitle(title))?;
        if self.shown.1 != percent && has_progress() {
            // ConEmu's sequence, which Windows Terminal, GNOME's VTE, Ghostty, WezTerm, Konsole and others know.
            match percent {
                Some(percent) => write!(out, "\x1b]9;4;1;{percent}\x1b\\")?,
                None => out.write_all(NO_PROGRESS)?,
            }
        }
        self.shown = (title.to_owned(), percent);
        Ok(())
    }

    fn suspend(&mut self) -> io::Result<()> {
        restore();
        self.shown = Shown::default();
        // The whole group, as the terminal itself would do: a shell's job may be more than this process.
        kill_current_process_group(Signal::TSTP)?;
        self.take()?;
        self.redraw()
    }

    fn is_gone(&self) -> bool {
        let out = io::stdout();
        let mut fds = [PollFd::new(&out, PollFlags::empty())];
        let gone = PollFlags::HUP | PollFlags::ERR | PollFlags::NVAL;
        poll(&mut fds, Some(&rustix::event::Timespec::default()))
            .is_ok_and(|_| fds[0].revents().intersects(gone))
    }
}

impl Drop for Tty {
    fn drop(&mut self) {
        if self.taken.swap(false, Ordering::SeqCst) {
            restore();
        }
    }
}

/// The columns of the terminal, where there is one.
pub fn width() -> Option<u16> {
    let (width, _) = crossterm::terminal::size().ok()?;
    Some(width)
}

/// Switches everything off. Errors are passed over: on a dead terminal there is nothing left to restore.
fn restore() {
    let mut out = io::stdout();
    let _ = queue!(
        out,
        EndSynchronizedUpdate,
        DisableMouseCapture,
        DisableBracketedPaste,
        LeaveAlternateScreen,
        Show
    );
    if has_title() {
        let _ = out.write_all(TITLE_BACK);
    }
    if has_progress() {
        let _ = out.write_all(NO_PROGRESS);
    }
    let _ = out.flush();
    let _ = disable_raw_mode();
}

/// A panic of the dashboard's thread gives the terminal back before its message is printed. A panic elsewhere ends a
/// task, not the dashboard: its message goes to the log instead of into the picture.
fn restore_on_panic(taken: Arc<AtomicBool>) {
    let dashboard = thread::current().id();
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if thread::current().id() == dashboard {
            if taken.swap(false, Ordering::SeqCst) {
                restore();
            }
        } else if taken.load(Ordering::SeqCst) {
            tracing::error!("{panic}");
            return;
        }
        before(panic);
    }));
}
