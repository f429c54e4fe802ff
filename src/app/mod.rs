//! The dashboards' state, and how events change it. Pure: no I/O and no clock, so that every key and every
//! state can be tested without a terminal. A [`Tick`] carries the time; what has to be done outside comes back
//! from [`update()`] as [`Effect`]s.

pub mod browser;
pub mod clients;
pub mod command;
mod complete;
pub mod connect;
pub mod cursor;
pub mod effect;
pub mod event;
pub mod export;
pub mod figures;
pub mod help;
pub mod here;
pub mod history;
pub mod keymap;
pub mod listing;
pub mod log;
pub mod marks;
mod pane;
pub mod places;
mod pointer;
pub mod popup;
pub mod preview;
pub mod prompt;
mod questions;
pub mod search;
pub mod serve;
pub mod servers;
pub mod survey;
pub mod throughput;
pub mod title;
mod told;
pub mod transfers;

mod act;
mod control;
mod count;
mod ending;
mod find;
mod line;
mod looks;
mod mouse;
mod notify;
mod repair;
mod run;
mod undo;
mod undone;
mod update;
mod visits;
mod watch;

use std::{
    collections::VecDeque,
    path::PathBuf,
    time::{Duration, Instant},
};

pub use effect::Effect;
pub use event::{Ending, Event, Layout, Sample, Server, Tick};
use jiff::Timestamp;
pub use looks::{Depth, GlyphSet, Looks};
pub use pane::Pane;
pub use pointer::{InBox, Mouse, Spot};
pub use popup::Popup;
pub use update::update;

use self::{
    browser::Load,
    connect::Connect,
    cursor::Cursor,
    history::History,
    keymap::{Keymap, Scope},
    log::LogView,
    prompt::Prompt,
    serve::Serve,
    throughput::Throughput,
};
use crate::client::Link;

/// How long a notice is shown.
const NOTICE: Duration = Duration::from_secs(6);

/// What the dashboard is of.
#[derive(Debug)]
pub enum View {
    /// `haul serve`.
    Serve(Box<Serve>),
    /// `haul connect`.
    Connect(Box<Connect>),
}

impl View {
    /// The panes in the order of their numbers.
    pub const fn panes(&self) -> [Pane; 4] {
        match self {
            Self::Serve(_) => [Pane::Clients, Pane::Throughput, Pane::Files, Pane::Log],
            Self::Connect(_) => [Pane::Remote, Pane::Transfers, Pane::Throughput, Pane::Log],
        }
    }

    /// How many clients or transfers there are, shown or not.
    pub fn count(&self) -> usize {
        match self {
            Self::Serve(view) => view.snapshot.clients.len(),
            Self::Connect(view) => view.snapshot.items.len(),
        }
    }
}

/// A line that says what came of something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// Escaped text.
    pub text: String,
    /// Whether something failed.
    pub bad: bool,
    until: Option<Instant>,
}

impl Notice {
    /// Keeps it until Esc or the next one.
    fn stays(&mut self) {
        self.until = None;
    }
}

/// Everything that a dashboard shows.
#[derive(Debug)]
pub struct State {
    /// What it is of.
    pub view: View,
    /// Colours and glyphs.
    pub looks: Looks,
    /// The pane that has the keys.
    pub focus: Pane,
    /// The pane in the place that several share where there is little room.
    pub shared: Pane,
    /// Whether the focused pane is shown alone.
    pub zoomed: bool,
    /// The terminal's size and the panes' rows.
    pub layout: Layout,
    /// The last tick's time.
    pub now: Option<Instant>,
    /// The same for the clock.
    pub wall: Option<Timestamp>,
    /// The line that is typed, if one is.
    pub prompt: Option<Prompt>,
    /// The box over the panes, if there is one.
    pub popup: Option<Popup>,
    /// What came of the last thing.
    pub notice: Option<Notice>,
    /// The log.
    pub log: LogView,
    /// The rate over time.
    pub throughput: Throughput,
    /// What is watched in another process, by its name: leaving the screen ends nothing.
    pub attached: Option<String>,
    /// Whether a frame is due.
    pub dirty: bool,
    history: History,
    keymap: Keymap,
    refreshed: Option<Instant>,
    pressed: Option<(Option<Pane>, usize, Instant)>,
    /// Commands that wait for a directory to be listed, and where they stand.
    script: VecDeque<(String, String)>,
    /// Where the script's last line stands that was run.
    script_at: Option<String>,
    script_failed: bool,
    /// The certificate that the user has judged to be the server's own.
    trusted: Option<event::Fingerprint>,
    /// What is asked by itself.
    questions: questions::Questions,
    /// The user of a login whose password is typed.
    login_user: Option<String>,
    /// Which server that login is for.
    login_at: Option<String>,
    /// The transfer that `:limit this` is for: the one that the line was begun for by a key.
    limited: command::Target,
    /// A local directory's names, for completions.
    local: Option<(PathBuf, Vec<(String, bool)>)>,
    /// The filter to go back to when typing one is cancelled.
    filter_before: String,
    /// The beginning of the file whose details are shown.
    pub preview: Option<preview::Preview>,
    /// Surveys that were asked for.
    surveys: u64,
    /// The one of the search that is open.
    searching: Option<u64>,
    /// Bookmarks and servers, oldest first.
    places: Vec<places::Place>,
    /// Who is called when the queue ends.
    caller: notify::Caller,
}

impl State {
    /// The dashboard of `haul serve`.
    pub fn serve(facts: serve::Facts, looks: Looks) -> Self {
        Self::new(
            View::Serve(Box::new(Serve::new(facts))),
            looks,
            Pane::Clients,
        )
    }

    /// The dashboard of `haul connect`. Without a server it begins by asking for one.
    pub fn connect(facts: connect::Facts, server: Option<Server>, looks: Looks) -> Self {
        let asks = server.is_none();
        let view = View::Connect(Box::new(Connect::new(facts, server)));
        let mut state = Self::new(view, looks, Pane::Remote);
        if asks {
            state.ask_address();
        }
        state
    }

    fn new(view: View, looks: Looks, focus: Pane) -> Self {
        Self {
            view,
            looks,
            focus,
            shared: Pane::Log,
            zoomed: false,
            layout: Layout::default(),
            now: None,
            wall: None,
            prompt: None,
            popup: None,
            notice: None,
            log: LogView::default(),
            throughput: Throughput::default(),
            attached: None,
            dirty: true,
            history: History::default(),
            keymap: Keymap::default(),
            refreshed: None,
            pressed: None,
            script: VecDeque::new(),
            script_at: None,
            script_failed: false,
            trusted: None,
            questions: questions::Questions::default(),
            login_user: None,
            login_at: None,
            limited: command::Target::Current,
            local: None,
            filter_before: String::new(),
            preview: None,
            surveys: 0,
            searching: None,
            places: Vec::new(),
            caller: notify::Caller::default(),
        }
    }

    /// The same with keys of the user's own.
    #[must_use]
    pub fn with_keys(mut self, keymap: Keymap) -> Self {
        self.keymap = keymap;
        self
    }

    /// The same with what earlier runs were told.
    #[must_use]
    pub fn with_history(mut self, lines: Vec<String>) -> Self {
        self.history = History::new(lines);
        self
    }

    /// The same as a view of another process, which is called so.
    #[must_use]
    pub fn attached(mut self, name: String) -> Self {
        self.attached = Some(name);
        self
    }

    /// The keys that lead somewhere.
    pub fn keymap(&self) -> &Keymap {
        &self.keymap
    }

    /// What to do first: list the directory that is shown, or look for servers.
    pub fn begin(&mut self) -> Vec<Effect> {
        match &mut self.view {
            View::Serve(view) => vec![view.files.refresh()],
            View::Connect(view) if view.url.is_some() => vec![view.remote.refresh()],
            View::Connect(_) => self.show_servers(),
        }
    }

    /// Whether bytes flow, or are about to.
    pub fn is_busy(&self) -> bool {
        match &self.view {
            View::Serve(view) => view.busy().0 > 0,
            View::Connect(view) => {
                let counts = view.counts();
                counts.active + counts.queued > 0 || view.snapshot.link != Link::Up
            }
        }
    }

    /// Where keys are looked up, the narrowest scope first.
    pub fn scopes(&self) -> &'static [Scope] {
        use Scope::{
            Clients, Connect, Directory, Everywhere, List, Log, Prompt, Remote, Serve, Transfers,
        };
        if self.prompt.is_some() {
            return &[Prompt];
        }
        match (self.focus, &self.view) {
            (Pane::Remote, _) => &[Remote, Directory, List, Connect, Everywhere],
            (Pane::Transfers, _) => &[Transfers, List, Connect, Everywhere],
            (Pane::Clients, _) => &[Clients, List, Serve, Everywhere],
            (Pane::Files, _) => &[Directory, List, Serve, Everywhere],
            (Pane::Throughput, View::Serve(_)) => &[Serve, Everywhere],
            (Pane::Throughput, View::Connect(_)) => &[Connect, Everywhere],
            (Pane::Log, View::Serve(_)) => &[Log, List, Serve, Everywhere],
            (Pane::Log, View::Connect(_)) => &[Log, List, Connect, Everywhere],
        }
    }

    /// The number of a pane, from 1.
    pub fn number(&self, pane: Pane) -> u8 {
        let at = self.view.panes().iter().position(|p| *p == pane);
        at.map_or(0, |at| at as u8 + 1)
    }

    /// The filter of the list that `/` works on, see [`Self::filtered`].
    pub fn filter(&self) -> &str {
        match (self.filtered(), &self.view) {
            (Pane::Log, _) => self.log.filter(),
            (Pane::Transfers, View::Connect(view)) => &view.filter,
            (Pane::Files, View::Serve(view)) => &view.files.listing.arrangement().filter,
            (_, View::Serve(view)) => &view.filter,
            (_, View::Connect(view)) => &view.remote.listing.arrangement().filter,
        }
    }

    /// The pane that `/` works on: the focused one, or the first where that is no list.
    pub fn filtered(&self) -> Pane {
        match self.focus {
            Pane::Throughput => self.view.panes()[0],
            pane => pane,
        }
    }

    fn set_filter(&mut self, pane: Pane, text: &str) -> Vec<Effect> {
        let job = match (pane, &mut self.view) {
            (Pane::Log, _) => {
                self.log.set_filter(text);
                None
            }
            (Pane::Transfers, View::Connect(view)) => {
                view.set_filter(text);
                None
            }
            (Pane::Clients, View::Serve(view)) => {
                view.set_filter(text);
                None
            }
            (_, View::Serve(view)) => view
                .files
                .listing
                .rearrange(|a| text.clone_into(&mut a.filter)),
            (_, View::Connect(view)) => view
                .remote
                .listing
                .rearrange(|a| text.clone_into(&mut a.filter)),
        };
        job.map(Effect::Arrange).into_iter().collect()
    }

    /// Whether a command has to wait for a listing.
    fn is_listing(&self) -> bool {
        match &self.view {
            View::Serve(_) => false,
            View::Connect(view) => matches!(view.remote.load, Load::Loading(_)),
        }
    }

    fn say(&mut self, text: impl Into<String>) {
        self.tell(text.into(), false);
    }

    fn complain(&mut self, text: impl Into<String>) {
        self.tell(text.into(), true);
    }

    fn tell(&mut self, text: String, bad: bool) {
        let until = self.now.map(|now| now + NOTICE);
        self.notice = Some(Notice { text, bad, until });
    }

    fn ask_address(&mut self) {
        self.prompt = Some(Prompt::new(prompt::Kind::Address, ""));
        self.offer_places();
    }

    /// The directory pane, if the dashboard's focus is on one; else the first one it has.
    fn browser(&mut self) -> &mut browser::Browser {
        match &mut self.view {
            View::Serve(view) => &mut view.files,
            View::Connect(view) => &mut view.remote,
        }
    }

    /// The cursor of the box that is a list, how many rows the list has, and how many of them its window.
    fn popup_cursor(&mut self) -> Option<(&mut Cursor, usize, usize)> {
        match (&mut self.popup, &self.view) {
            (Some(Popup::Help(help)), _) => {
                let len = help.items.len();
                Some((&mut help.cursor, len, self.layout.help))
            }
            (Some(Popup::Marks(cursor)), View::Connect(view)) => {
                Some((cursor, view.remote.marked_count(), self.layout.list))
            }
            (Some(Popup::Places(cursor)), _) => Some((cursor, self.places.len(), self.layout.list)),
            (Some(Popup::Servers(servers)), _) => {
                let len = servers.rows();
                Some((&mut servers.cursor, len, self.layout.list))
            }
            (Some(Popup::Search(search)), _) => {
                let len = search.len();
                Some((&mut search.cursor, len, self.layout.list))
            }
            _ => None,
        }
    }
}
