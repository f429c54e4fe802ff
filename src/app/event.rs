//! What comes to the state, and what the state asks for in return.

use std::{path::PathBuf, sync::Arc, time::Instant};

use crossterm::event::KeyEvent;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use url::Url;

pub use super::ending::Ending;
use super::{
    here::Here,
    listing, places,
    pointer::Mouse,
    search,
    survey::{News, Survey},
};
use crate::{
    client::{self, ItemId, Question, Want},
    config::ThemeName,
    config::target::Target,
    credentials::{self, Secret},
    discovery::Known,
    entry::Entry,
    forms,
    http1::path::RemotePath,
    logging::Line,
    server::{self, ClientId},
    units::Rate,
};

/// Something that happened.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Event {
    /// A key was pressed.
    #[serde(skip)]
    Key(KeyEvent),
    /// Text was pasted.
    #[serde(skip)]
    Paste(String),
    /// The mouse was used on a pane.
    #[serde(skip)]
    Mouse(Mouse),
    /// The terminal has a new size, or panes show another number of rows.
    #[serde(skip)]
    Layout(Layout),
    /// About a tenth of a second went by.
    #[serde(skip)]
    Tick(Tick),
    /// New lines of the log.
    #[serde(skip)]
    Log(Vec<Line>),
    /// A directory was listed, or could not be.
    Listed {
        /// The request's number.
        request: u64,
        /// Its entries.
        result: Result<Vec<Entry>, Unlisted>,
    },
    /// A large listing was filtered and sorted.
    #[serde(skip)]
    Arranged(listing::Arranged),
    /// How often files were taken, in answer to [`Effect::CountDownloads`].
    Downloads(Vec<(RemotePath, u64)>),
    /// A client for another server is ready.
    Connected(Server),
    /// An effect could not be carried out; the reason is for people and escaped.
    Refused(String),
    /// So many things were added to the queue, in answer to [`Effect::Get`].
    Added(usize),
    /// Downloads can go to this directory, in answer to [`Effect::Lcd`].
    #[serde(skip)]
    Lcd(PathBuf),
    /// Something was done, in words for people.
    Told(String),
    /// Another directory is served from now on; it is named for people.
    Shared(String),
    /// There is no server any more, in answer to [`Effect::Disconnect`].
    Disconnected,
    /// A local directory's names, in answer to [`Effect::ListLocal`]; empty where it cannot be read.
    #[serde(skip)]
    LocalListed {
        /// The directory.
        dir: PathBuf,
        /// Its entries, and whether each is a directory.
        names: Vec<(String, bool)>,
    },
    /// What a walk of trees has found, in answer to [`Effect::Survey`].
    Surveyed {
        /// Which.
        id: u64,
        /// What it tells.
        news: News,
    },
    /// The first bytes of a file, in answer to [`Effect::Preview`]; the error is for people and escaped.
    Previewed {
        /// The file.
        path: RemotePath,
        /// At most [`preview::BYTES`](super::preview::BYTES).
        result: Result<Vec<u8>, String>,
    },
    /// A file that is here is not the server's, in answer to [`Effect::Verify`].
    #[serde(skip)]
    Differs {
        /// The file on the server.
        path: RemotePath,
        /// The file here.
        local: PathBuf,
    },
    /// What of a file that is here is not the server's, in answer to [`Effect::FindDamage`]; the error is for people and escaped.
    Damaged {
        /// The file on the server.
        path: RemotePath,
        /// What.
        result: Result<client::Damage, String>,
    },
    /// Names of a search were matched, in answer to [`Effect::Match`].
    #[serde(skip)]
    Matched(search::Matched),
    /// What the disk holds of a listing, in answer to [`Effect::LookLocal`].
    #[serde(skip)]
    LookedLocal {
        /// Where downloads go.
        target: PathBuf,
        /// The entries.
        entries: Arc<Vec<Entry>>,
        /// What there is of each.
        here: Vec<Here>,
    },
    /// Bytes that are free in a local directory, in answer to [`Effect::LookForSpace`]; `None` where that is not told.
    #[serde(skip)]
    Space(Option<u64>),
    /// The server asks for a login, or refused the one it was given; the reason is for people and escaped.
    LoginWanted(String),
    /// The server showed a certificate that is not known here, or not the one that is.
    Fingerprint(Fingerprint),
    /// What a server asked is answered, in answer to [`Effect::Login`] and [`Effect::Trust`].
    Answered,
    /// A line of a script, to be run as if it were typed after `:`.
    #[serde(skip)]
    Script {
        /// The line.
        line: String,
        /// Where it stands: `FILE:3`, escaped.
        place: String,
    },
    /// The theme that suits the terminal's background, which the terminal has told.
    #[serde(skip)]
    Background(ThemeName),
    /// Servers that there are, in answer to [`Effect::FindServers`].
    #[serde(skip)]
    Servers(Vec<Known>),
    /// The terminal has gained the focus, or lost it.
    #[serde(skip)]
    Focus(bool),
    /// The process was told to end.
    #[serde(skip)]
    Ending(Ending),
}

/// Why a directory could not be listed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unlisted {
    /// For people, escaped.
    pub reason: String,
    /// Whether it may be listed once the server can be reached.
    pub transient: bool,
    /// What the user has to answer before.
    pub asks: Option<Question>,
}

impl Unlisted {
    /// Whether it may be listed later.
    pub fn is_passing(&self) -> bool {
        self.transient || self.asks.is_some()
    }
}

impl<T: Into<String>> From<T> for Unlisted {
    fn from(reason: T) -> Self {
        Self {
            reason: reason.into(),
            transient: false,
            asks: None,
        }
    }
}

impl From<Question> for Event {
    fn from(question: Question) -> Self {
        match question {
            Question::Login(reason) => Self::LoginWanted(reason),
            Question::Certificate { host, seen, known } => {
                Self::Fingerprint(Fingerprint { host, seen, known })
            }
        }
    }
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
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sample {
    /// The server.
    Server(server::Snapshot),
    /// The client.
    Client(client::Snapshot),
    /// There is none: no server was named yet.
    Nothing,
}

/// A server that a client was made for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Server {
    /// The URL of the directory that paths are relative to.
    pub url: Url,
    /// What was named in it: a directory to open or a file to download, once the listing tells which.
    pub named: Option<RemotePath>,
}

/// A certificate that a person has to judge.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fingerprint {
    /// Who showed it: `host:port`, escaped.
    pub host: String,
    /// Its SHA-256, as people compare it.
    pub seen: String,
    /// The one that was trusted before, where it was another.
    pub known: Option<String>,
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
    /// Rows of the lists in other boxes.
    pub list: usize,
}

/// Something to be done outside the state.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Effect {
    /// Leave the dashboard.
    #[serde(skip)]
    Quit(Ending),
    /// Draw every cell again.
    #[serde(skip)]
    Redraw,
    /// Give the terminal back and stop, until the shell goes on.
    #[serde(skip)]
    Suspend,
    /// Put text on the clipboard.
    #[serde(skip)]
    Copy(String),
    /// Call the user back with a notification, in words for people.
    #[serde(skip)]
    Notify(String),
    /// Listen for servers, and try them and others; answered by [`Event::Servers`].
    #[serde(skip)]
    FindServers {
        /// Servers that were used before.
        used: Vec<Url>,
        /// Whether one at the usual place is of interest too.
        usual: bool,
    },
    /// List a directory; answered by [`Event::Listed`].
    List {
        /// Counts up with each request of a screen: only the answer to the last one is waited for.
        request: u64,
        /// The directory.
        path: RemotePath,
    },
    /// Filter and sort; answered by [`Event::Arranged`].
    #[serde(skip)]
    Arrange(listing::Job),
    /// Walk trees on the server, until that is over or ended; answered by [`Event::Surveyed`], many times.
    Survey(Survey),
    /// End a walk.
    EndSurvey(u64),
    /// Fetch the first bytes of a file; answered by [`Event::Previewed`].
    Preview(RemotePath),
    /// Match the names of a search; answered by [`Event::Matched`].
    #[serde(skip)]
    Match(search::Job),
    /// Count downloads; answered by [`Event::Downloads`].
    CountDownloads(Vec<RemotePath>),
    /// Add to the download queue, in this order.
    Get {
        /// What.
        wants: Vec<Want>,
        /// Where to, if not to the target directory.
        #[serde(with = "forms::some_path")]
        to: Option<PathBuf>,
        /// Whether what is here in another version is brought up to date, whatever the rule is.
        update: bool,
    },
    /// Do something to an item of the queue.
    Control(ItemId, Control),
    /// Forget ended items.
    ClearEnded,
    /// Let ended items count no more: they were cleared, and may be brought back.
    Hide(Vec<ItemId>),
    /// Let them count again.
    Show(Vec<ItemId>),
    /// Reconnect now instead of waiting.
    RetryNow,
    /// Turn to another server; answered by [`Event::Connected`].
    Connect(Target),
    /// Leave the server; answered by [`Event::Disconnected`].
    Disconnect,
    /// Limit all downloads together.
    Limit(Option<Rate>),
    /// Hold a file that is here against a digest; answered by [`Event::Told`], [`Event::Differs`] or [`Event::Refused`].
    #[serde(skip)]
    Verify {
        /// The file on the server.
        path: RemotePath,
        /// The file here.
        local: PathBuf,
        /// What it must hash to.
        expected: blake3::Hash,
        /// What to call it, escaped.
        name: String,
    },
    /// Find out what of a file that is here is not the server's; answered by [`Event::Damaged`].
    FindDamage {
        /// The file on the server.
        path: RemotePath,
        /// The file here.
        #[serde(with = "forms::path")]
        local: PathBuf,
    },
    /// Give the server a login, and go on; answered by [`Event::Answered`].
    Login {
        /// Who.
        user: String,
        /// The password.
        #[serde(with = "credentials::exposed")]
        password: Secret,
    },
    /// Take the certificate for the server's own from now on, and go on; answered by [`Event::Answered`].
    Trust(Fingerprint),
    /// Do something to the running server.
    Serve(Order),
    /// Let the downloads go on in another process, and leave the dashboard; answered by [`Event::Ending`] or
    /// [`Event::Refused`].
    #[serde(skip)]
    Detach {
        /// Where downloads go by now, if `:lcd` changed it.
        lcd: Option<PathBuf>,
    },
    /// End what runs in another process; nothing answers but its end.
    Stop,
    /// Write a new file; answered by [`Event::Told`] or [`Event::Refused`].
    #[serde(skip)]
    Export {
        /// The file, which must not be there yet.
        path: PathBuf,
        /// Its content.
        text: String,
    },
    /// Keep or forget a bookmark or a server for later runs.
    #[serde(skip)]
    Places(places::Change),
    /// Keep a line of history for later runs.
    #[serde(skip)]
    Remember(String),
    /// Find out how much is free in a local directory; answered by [`Event::Space`].
    #[serde(skip)]
    LookForSpace(PathBuf),
    /// Find out whether downloads can go to a local directory, and make it where it is missing; answered by
    /// [`Event::Lcd`] or [`Event::Refused`].
    #[serde(skip)]
    Lcd(PathBuf),
    /// List a local directory; answered by [`Event::LocalListed`].
    #[serde(skip)]
    ListLocal(PathBuf),
    /// Find out what the disk holds where the entries of a directory would land; answered by
    /// [`Event::LookedLocal`].
    #[serde(skip)]
    LookLocal {
        /// Where downloads go.
        target: PathBuf,
        /// The directory on the server.
        dir: RemotePath,
        /// Its entries.
        entries: Arc<Vec<Entry>>,
    },
}

/// What the dashboard tells the running server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Order {
    /// Stop a client's bytes for now.
    Pause(ClientId),
    /// Let it go on.
    Resume(ClientId),
    /// End what it fetches, for this reason.
    Kick(ClientId, String),
    /// The same, and refuse it from now on.
    Ban(ClientId, String),
    /// Let someone in again: an address or a name of the list of bans.
    Unban(String),
    /// All clients together, bytes a second.
    Limit(Option<Rate>),
    /// One client.
    LimitClient(ClientId, Option<Rate>),
    /// Finish what runs and take no one new.
    Drain,
    /// Serve another directory; answered by [`Event::Told`] or [`Event::Refused`].
    Share(#[serde(with = "forms::path")] PathBuf),
}

/// What can be done to an item of the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
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
    /// Put it before all others, or end that.
    First(bool),
    /// What its connections together may take.
    Limit(Option<Rate>),
}
