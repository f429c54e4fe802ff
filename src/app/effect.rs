//! What the state asks for.

use std::{path::PathBuf, sync::Arc};

use serde::{Deserialize, Serialize};
use url::Url;

use super::{
    ending::Ending,
    event::{Fingerprint, LocalFile},
    listing, places, search,
    survey::Survey,
};
use crate::{
    client::{ItemId, Want},
    config::target::Target,
    credentials::{self, Secret},
    entry::Entry,
    forms,
    http1::path::RemotePath,
    server::ClientId,
    units::Rate,
};

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
    /// Listen for servers, and try them and others; answered by `Event::Servers`.
    #[serde(skip)]
    FindServers {
        /// Servers that were used before.
        used: Vec<Url>,
        /// Whether one at the usual place is of interest too.
        usual: bool,
    },
    /// List a directory; answered by `Event::Listed`.
    #[serde(with = "list")]
    List {
        /// Counts up with each request of a screen: only the answer to the last one is waited for.
        request: u64,
        /// The directory.
        path: RemotePath,
    },
    /// Filter and sort; answered by `Event::Arranged`.
    #[serde(skip)]
    Arrange(listing::Job),
    /// Walk trees on the server, until that is over or ended; answered by `Event::Surveyed`, many times.
    Survey(Survey),
    /// End a walk.
    EndSurvey(u64),
    /// Fetch the first bytes of a file; answered by `Event::Previewed`.
    Preview(RemotePath),
    /// Match the names of a search; answered by `Event::Matched`.
    #[serde(skip)]
    Match(search::Job),
    /// Count downloads; answered by `Event::Downloads`.
    CountDownloads(Vec<RemotePath>),
    /// Add to the download queue, in this order.
    Get {
        /// What.
        wants: Vec<Want>,
        /// Where to, if not to the target directory.
        #[serde(with = "forms::some_path")]
        to: Option<PathBuf>,
        /// Whether what is here in another version is brought up to date, whatever the rule is.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
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
    /// Turn to another server; answered by `Event::Connected`.
    Connect(Target),
    /// Leave the server; answered by `Event::Disconnected`.
    Disconnect,
    /// Limit all downloads together.
    Limit(Option<Rate>),
    /// Hold a file that is here against a digest; answered by `Event::Told`, `Event::Differs` or `Event::Refused`.
    #[serde(skip)]
    Verify {
        /// The file.
        file: LocalFile,
        /// What it must hash to.
        expected: blake3::Hash,
        /// What to call it, escaped.
        name: String,
    },
    /// Find out what of a file that is here is not the server's; answered by `Event::Damaged`.
    FindDamage(LocalFile),
    /// Give a server a login, and go on; answered by `Event::Answered` or `Event::Refused`.
    Login {
        /// Who.
        user: String,
        /// The password.
        #[serde(with = "credentials::exposed")]
        password: Secret,
        /// Which server, see [`client::Snapshot::login_at`](crate::client::Snapshot::login_at); without it, the only one that
        /// asks.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        at: Option<String>,
    },
    /// Take the certificate for the server's own from now on, and go on; answered by `Event::Answered`.
    Trust(Fingerprint),
    /// Do something to the running server.
    Serve(Order),
    /// Let the downloads go on in another process, and leave the dashboard; answered by `Event::Ending` or
    /// `Event::Refused`.
    #[serde(skip)]
    Detach {
        /// Where downloads go by now, if `:lcd` changed it.
        lcd: Option<PathBuf>,
    },
    /// End what runs in another process; nothing answers but its end.
    Stop,
    /// Write a new file; answered by `Event::Told` or `Event::Refused`.
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
    /// Find out how much is free in a local directory; answered by `Event::Space`.
    #[serde(skip)]
    LookForSpace(PathBuf),
    /// Find out whether downloads can go to a local directory, and make it where it is missing; answered by
    /// `Event::Lcd` or `Event::Refused`.
    #[serde(skip)]
    Lcd(PathBuf),
    /// List a local directory; answered by `Event::LocalListed`.
    #[serde(skip)]
    ListLocal(PathBuf),
    /// Find out what the disk holds where the entries of a directory would land; answered by
    /// `Event::LookedLocal`.
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
    /// Serve another directory; answered by `Event::Told` or `Event::Refused`.
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

/// Between processes a request for a listing is its directory alone: the number of the effect tells the answers apart.
mod list {
    use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer};

    use crate::http1::path::RemotePath;

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands it over so")]
    pub fn serialize<S: Serializer>(_: &u64, path: &RemotePath, to: S) -> Result<S::Ok, S::Error> {
        path.serialize(to)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<(u64, RemotePath), D::Error> {
        Ok((0, RemotePath::deserialize(from)?))
    }
}
