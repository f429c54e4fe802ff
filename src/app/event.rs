//! What comes to the state; what it asks for in return is in [`effect`](super::effect).

use std::{path::PathBuf, sync::Arc, time::Instant};

use crossterm::event::KeyEvent;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use url::Url;

pub use super::ending::Ending;
use super::{here::Here, listing, pointer::Mouse, search, survey::News};
use crate::{
    client::{self, Question},
    config::ThemeName,
    discovery::Known,
    entry::Entry,
    forms,
    http1::path::RemotePath,
    logging::Line,
    server,
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
        /// The request's number; 0 from another process.
        #[serde(skip)]
        request: u64,
        /// The directory.
        path: RemotePath,
        /// Its entries.
        result: Result<Vec<Entry>, Unlisted>,
    },
    /// A large listing was filtered and sorted.
    #[serde(skip)]
    Arranged(listing::Arranged),
    /// How often files were taken, in answer to `Effect::CountDownloads`.
    Downloads(Vec<(RemotePath, u64)>),
    /// A client for another server is ready.
    Connected(Server),
    /// An effect could not be carried out; the reason is for people and escaped.
    Refused(String),
    /// So many things were added to the queue, in answer to `Effect::Get`.
    Added(usize),
    /// Downloads can go to this directory, in answer to `Effect::Lcd`.
    #[serde(skip)]
    Lcd(PathBuf),
    /// Something was done, in words for people.
    Told(String),
    /// Another directory is served from now on; it is named for people.
    Shared(String),
    /// There is no server any more, in answer to `Effect::Disconnect`.
    Disconnected,
    /// A local directory's names, in answer to `Effect::ListLocal`; empty where it cannot be read.
    #[serde(skip)]
    LocalListed {
        /// The directory.
        dir: PathBuf,
        /// Its entries, and whether each is a directory.
        names: Vec<(String, bool)>,
    },
    /// What a walk of trees has found, in answer to `Effect::Survey`.
    Surveyed {
        /// Which.
        id: u64,
        /// What it tells.
        news: News,
    },
    /// The first bytes of a file, in answer to `Effect::Preview`; the error is for people and escaped.
    Previewed {
        /// The file.
        path: RemotePath,
        /// At most [`preview::BYTES`](super::preview::BYTES).
        result: Result<Vec<u8>, String>,
    },
    /// A file that is here is not the server's, in answer to `Effect::Verify`.
    #[serde(skip)]
    Differs(LocalFile),
    /// What of a file that is here is not the server's, in answer to `Effect::FindDamage`; the error is for people and escaped.
    Damaged {
        /// Which.
        file: LocalFile,
        /// What.
        result: Result<client::Damage, String>,
    },
    /// Names of a search were matched, in answer to `Effect::Match`.
    #[serde(skip)]
    Matched(search::Matched),
    /// What the disk holds of a listing, in answer to `Effect::LookLocal`.
    #[serde(skip)]
    LookedLocal {
        /// Where downloads go.
        target: PathBuf,
        /// The entries.
        entries: Arc<Vec<Entry>>,
        /// What there is of each.
        here: Vec<Here>,
    },
    /// Bytes that are free in a local directory, in answer to `Effect::LookForSpace`; `None` where that is not told.
    #[serde(skip)]
    Space(Option<u64>),
    /// A server asks for a login, or refused the one it was given.
    LoginWanted {
        /// Why, for people and escaped.
        reason: String,
        /// Which one, where that is known: host and port.
        at: Option<String>,
    },
    /// The server showed a certificate that is not known here, or not the one that is.
    Fingerprint(Fingerprint),
    /// What a server asked is answered, in answer to `Effect::Login` and `Effect::Trust`, whichever screen it was given on.
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
    /// Servers that there are, in answer to `Effect::FindServers`.
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
    /// Which server wants the login that is asked for, see [`client::Snapshot::login_at`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub login_at: Option<Box<str>>,
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
            login_at: None,
        }
    }
}

impl Event {
    /// A server asks; the one at `login_at`, where that is for a login.
    pub(super) fn asked(question: Question, login_at: Option<String>) -> Self {
        match question {
            Question::Login(reason) => Self::LoginWanted {
                reason,
                at: login_at,
            },
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

/// A file that is here, held against the server's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LocalFile {
    /// The server, as [`Server::url`] has it.
    pub server: Url,
    /// The file on the server.
    pub path: RemotePath,
    /// The file here.
    #[serde(with = "forms::path")]
    pub local: PathBuf,
}

impl LocalFile {
    /// The directory that a download would have had to go to, to be this file; `None` where there is none.
    pub fn target(&self) -> Option<PathBuf> {
        let above = self.local.ancestors().nth(self.path.names().count())?;
        Some(above.to_owned())
    }
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

impl Fingerprint {
    /// Whether it is what a server asks about.
    pub(super) fn is(&self, asked: &Question) -> bool {
        matches!(asked, Question::Certificate { host, seen, .. } if (host, seen) == (&self.host, &self.seen))
    }
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
