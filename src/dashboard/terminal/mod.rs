//! The terminal: taken whole, given back whole, on every way out.

pub mod decode;
mod input;
mod output;
mod surface;

use std::{
    io::{self, IsTerminal as _, Write as _},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use crossterm::{
    clipboard::CopyToClipboard,
    cursor::{Hide, Show},
    event::{DisableBracketedPaste, EnableBracketedPaste},
    execute, queue,
    style::Colored,
    terminal::{
        BeginSynchronizedUpdate, EndSynchronizedUpdate, EnterAlternateScreen, LeaveAlternateScreen,
        SetTitle, disable_raw_mode, enable_raw_mode,
    },
};
use futures_util::{Stream, stream};
use ratatui::{Terminal, buffer::Buffer, layout::Rect};
use rustix::{
    event::{PollFd, PollFlags, poll},
    process::{Signal, kill_current_process_group},
};

pub use self::decode::Input;
use self::{input::read_terminal, output::Output, surface::Surface};
use super::{abilities::Abilities, run::Screen};
use crate::{
    app::State,
    logging::note_panic,
    sys::emulator::{self, Notification},
    ui,
};

/// Puts the title on the terminal's stack (xterm, window operations).
const KEEP_TITLE: &[u8] = b"\x1b[22;0t";
/// Empties it, for terminals without a stack, and takes the old one back.
const TITLE_BACK: &[u8] = b"\x1b]2;\x1b\\\x1b[23;0t";
/// Takes progress from the taskbar.
const NO_PROGRESS: &[u8] = b"\x1b]9;4;0;\x1b\\";
/// Asks for the background's colour (xterm, OSC 11).
const BACKGROUND: &[u8] = b"\x1b]11;?\x1b\\";
/// Presses and the wheel (1000), as SGR (1006). Motion is not asked for: nothing here follows it, and it floods a slow
/// line.
const MOUSE: &[u8] = b"\x1b[?1000h\x1b[?1006h";
/// Reports of the focus (xterm, 1004).
const FOCUS: &[u8] = b"\x1b[?1004h";
const NO_FOCUS: &[u8] = b"\x1b[?1004l";
const NO_MOUSE: &[u8] = b"\x1b[?1006l\x1b[?1000l";

/// The title and percents that the terminal shows.
type Shown = (String, Option<u8>);

fn has_title() -> bool {
    Abilities::here().title
}

fn has_progress() -> bool {
    has_title() && emulator::takes_progress()
}

/// The terminal in raw mode, on the alternate screen. Dropping it restores everything.
pub struct Tty {
    terminal: Terminal<Surface<Output>>,
    output: Output,
    mouse: bool,
    /// How the user is called back, where he wants to be and the terminal knows how.
    notification: Option<Notification>,
    /// Whether the terminal is ours, for the panic hook and the input thread.
    taken: Arc<AtomicBool>,
    /// Whether the terminal was asked something, for the input thread.
    asked: Arc<AtomicBool>,
    /// The title and progress that were written last.
    shown: Shown,
}

impl Tty {
    /// Takes the terminal on standard output. With `notifies` the user may be called back by a notification.
    pub fn enter(mouse: bool, notifies: bool) -> io::Result<Self> {
        if !io::stdout().is_terminal() {
            return Err(io::Error::other("standard output is no terminal"));
        }
        // Under NO_COLOR crossterm would write `ESC[;m` for every colour, which wipes bold and reverse too; the
        // mono theme names no colours in the first place.
        Colored::set_ansi_color_disabled(false);
        let taken = Arc::new(AtomicBool::new(true));
        let output = Output::start()?;
        restore_on_panic(Arc::clone(&taken), output.clone());
        // Made before anything is switched on: from here on, drop switches it all off.
        let mut tty = Self {
            terminal: Terminal::new(Surface::new(output.clone()))?,
            output,
            mouse,
            notification: Notification::here().filter(|_| notifies),
            taken,
            asked: Arc::default(),
            shown: Shown::default(),
        };
        tty.take()?;
        Ok(tty)
    }

    fn take(&mut self) -> io::Result<()> {
        self.taken.store(true, Ordering::SeqCst);
        enable_raw_mode()?;
        let out = &mut self.output;
        out.open();
        if has_title() {
            out.write_all(KEEP_TITLE)?;
        }
        queue!(out, EnterAlternateScreen, EnableBracketedPaste, Hide)?;
        if self.mouse {
            out.write_all(MOUSE)?;
        }
        if self.notification.is_some() {
            out.write_all(FOCUS)?;
        }
        out.flush()
    }

    /// Draws a frame.
    pub fn paint(&mut self, draw: impl FnOnce(Rect, &mut Buffer)) -> io::Result<()> {
        queue!(self.terminal.backend_mut(), BeginSynchronizedUpdate)?;
        self.terminal.draw(|frame| {
            let area = frame.area();
            draw(area, frame.buffer_mut());
            surface::mark(frame.buffer_mut());
        })?;
        execute!(self.terminal.backend_mut(), EndSynchronizedUpdate)
    }

    /// Keys, pastes and mouse, as they come.
    pub fn input(&self) -> impl Stream<Item = io::Result<Input>> + Unpin + use<> {
        let mut inputs = read_terminal(Arc::clone(&self.taken), Arc::clone(&self.asked));
        stream::poll_fn(move |context| inputs.poll_recv(context))
    }
}

impl Screen for Tty {
    fn size(&self) -> io::Result<Rect> {
        let (width, height) = crossterm::terminal::size()?;
        Ok(Rect::new(0, 0, width, height))
    }

    fn is_ready(&self) -> bool {
        self.output.is_idle()
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
        execute!(self.output, CopyToClipboard::to_clipboard_from(text))
    }

    fn notify(&mut self, text: &str) -> io::Result<()> {
        let Some(notification) = self.notification else {
            return Ok(());
        };
        self.output
            .write_all(notification.sequence(text).as_bytes())?;
        self.output.flush()
    }

    fn ask_background(&mut self) -> io::Result<()> {
        self.asked.store(true, Ordering::SeqCst);
        self.output.write_all(BACKGROUND)?;
        self.output.flush()
    }

    fn title(&mut self, title: &str, percent: Option<u8>) -> io::Result<()> {
        if !has_title() || (self.shown.0 == title && self.shown.1 == percent) {
            return Ok(());
        }
        let out = self.terminal.backend_mut();
        queue!(out, SetTitle(title))?;
        if self.shown.1 != percent && has_progress() {
            // ConEmu's sequence.
            match percent {
                Some(percent) => write!(out, "\x1b]9;4;1;{percent}\x1b\\")?,
                None => out.write_all(NO_PROGRESS)?,
            }
        }
        self.shown = (title.to_owned(), percent);
        Ok(())
    }

    fn suspend(&mut self) -> io::Result<()> {
        restore(&self.output);
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
            restore(&self.output);
        }
        self.output.end();
    }
}

/// The columns of the terminal, where there is one.
pub fn width() -> Option<u16> {
    let (width, _) = crossterm::terminal::size().ok()?;
    Some(width)
}

/// Switches everything off. Errors are passed over: on a dead terminal there is nothing left to restore, and one that is
/// not read is waited for no longer than a moment.
fn restore(output: &Output) {
    let mut last = Vec::new();
    let _ = queue!(last, EndSynchronizedUpdate);
    last.extend_from_slice(NO_MOUSE);
    last.extend_from_slice(NO_FOCUS);
    let _ = queue!(last, DisableBracketedPaste, LeaveAlternateScreen, Show);
    if has_title() {
        last.extend_from_slice(TITLE_BACK);
    }
    if has_progress() {
        last.extend_from_slice(NO_PROGRESS);
    }
    output.close(&last);
    let _ = disable_raw_mode();
}

/// A panic of the dashboard's thread gives the terminal back before its message is printed. A panic elsewhere ends a
/// task, not the dashboard: its message goes to the log instead of into the picture.
fn restore_on_panic(taken: Arc<AtomicBool>, output: Output) {
    let dashboard = thread::current().id();
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if thread::current().id() == dashboard {
            if taken.swap(false, Ordering::SeqCst) {
                restore(&output);
            }
        } else if taken.load(Ordering::SeqCst) {
            note_panic(panic);
            return;
        }
        before(panic);
    }));
}
