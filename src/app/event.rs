//! What comes to the state, and what the state asks for in return.

use std::{path::PathBuf, time::Instant};

use crossterm::event::KeyEvent;
use jiff::Timestamp;
use url::Url;

use super::{Pane, listing};
use crate::{
    client::{self, ItemId, Want},
    config::target::Target,
    entry::Entry,
    http1::path::RemotePath,
    logging::Line,
    server,
};

/// Something that happened.
#[derive(Debug)]
pub enum Event {
    /// A key was pressed.
    Key(KeyEvent),
    /// Text was pasted.
    Paste(String),
    /// The mouse was used on a pane.
    Mouse(Mouse),
    /// The terminal has a new size, or panes show another number of rows.
    Layout(Layout),
    /// About a tenth of a second went by.
    Tick(Tick),
    /// New lines of the log.
    Log(Vec<Line>),
    /// A directory was listed, or could not be; the reason is for people and escaped.
    Listed {
        /// The directory.
        path: RemotePath,
        /// Its entries.
        result: Result<Vec<Entry>, String>,
    },
    /// A large listing was filtered and sorted.
    Arranged(listing::Arranged),
    /// How often files were taken, in answer to [`Effect::CountDownloads`].
    Downloads(Vec<(RemotePath, u64)>),
    /// A client for another server is ready.
    Connected(Server),
    /// Patterns were added to the queue: the item, and the patterns to call it by.
    Queued(ItemId, String),
    /// An effect could not be carried out; the reason is for people and escaped.
    Refused(String),
    /// A line to run as if it were typed after `:`.
    Command(String),
    /// The process was told to end.
    Ending(Ending),
}

/// Time, and what the engine looks like at it.
#[derive(Debug)]
pub struct Tick {
    /// For rates and intervals.
    pub now: Instant,
    /// For the clock and for ages.
    pub wall: Timestamp,
    /// The engine.
    pub sample: Sample,
}

/// The engine at one moment.
#[derive(Debug)]
pub enum Sample {
    /// The server.
    Server(server::Snapshot),
    /// The client.
    Client(client::Snapshot),
    /// There is none: no server was named yet.
    Nothing,
}

/// A server that a client was made for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// The URL of the directory that paths are relative to.
    pub url: Url,
    /// What was named in it: a directory to open or a file to download, once the listing tells which.
    pub named: Option<RemotePath>,
}

/// How many rows each pane shows of its list, and the terminal's size in cells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Layout {
    /// Columns and rows.
    pub size: (u16, u16),
    /// Rows of the list in panes 1 to 4; 0 where a pane is not shown.
    pub rows: [usize; 4],
    /// Rows of the help screen's list.
    pub help: usize,
}

/// The mouse on a pane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mouse {
    /// Pressed in `pane`, on the `row`th row that its list shows.
    Press {
        /// The pane.
        pane: Pane,
        /// The row from the list's top; `None` beside the list.
        row: Option<usize>,
        /// When, to tell a double click.
        at: Instant,
    },
    /// The wheel turned by so many rows over a pane.
    Wheel {
        /// The pane.
        pane: Pane,
        /// Rows; negative is up.
        by: isize,
    },
}

/// Something to be done outside the state.
#[derive(Debug)]
pub enum Effect {
    /// Leave the dashboard.
    Quit(Ending),
    /// Draw every cell again.
    Redraw,
    /// Give the terminal back and stop, until the shell goes on.
    Suspend,
    /// Put text on the clipboard.
    Copy(String),
    /// List a directory; answered by [`Event::Listed`].
    List(RemotePath),
    /// Filter and sort; answered by [`Event::Arranged`].
    Arrange(listing::Job),
    /// Count downloads; answered by [`Event::Downloads`].
    CountDownloads(Vec<RemotePath>),
    /// Add to the download queue.
    Get {
        /// What.
        want: Want,
        /// Where to, if not to the target directory.
        to: Option<PathBuf>,
    },
    /// Do something to an item of the queue.
    Control(ItemId, Control),
    /// Forget ended items.
    ClearEnded,
    /// Reconnect now instead of waiting.
    RetryNow,
    /// Turn to another server; answered by [`Event::Connected`].
    Connect(Target),
}

/// What can be done to an item of the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Control {
    /// Stop it for now.
    Pause,
    /// Go on.
    Resume,
    /// Give it up.
    Cancel,
    /// Try it again.
    Retry,
    /// Move it in the queue; negative is towards the front.
    Reorder(isize),
}

/// Why a dashboard ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// The user quit.
    Quit,
    /// Ctrl-C twice, or SIGINT.
    Interrupted,
    /// SIGTERM or SIGHUP.
    Terminated,
    /// The terminal is gone: nothing can be shown any more.
    HungUp,
}
