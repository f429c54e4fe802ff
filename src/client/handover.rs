//! What a client leaves to one in another process: the journal has the queue and what is here of it, this all else.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use url::Url;

use super::{Access, disk::journal::Ticket, handle::Client, schedule::Schedule};
use crate::{credentials::Credentials, forms, units::Rate};

/// What a client in another process needs to go on as this one would have.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Handover {
    /// The server, which the journal is of.
    pub url: Url,
    /// Other servers of the same tree.
    pub mirrors: Vec<Url>,
    /// The target directory, absolute.
    #[serde(with = "forms::path")]
    pub dir: PathBuf,
    /// What all connections together may take.
    pub limit: Option<Rate>,
    /// Whether a list of digests was given for it.
    pub checksums: bool,
    /// What of the queue the user stopped.
    pub(super) paused: Vec<Ticket>,
    /// Logins by origin, those among them that were typed.
    logins: Vec<(Url, Credentials)>,
}

impl Handover {
    /// Lets `access` present the logins.
    pub fn present(&self, access: &Access) {
        for (url, credentials) in &self.logins {
            access.present(url, credentials.clone());
        }
    }
}

impl Client {
    /// Whether a client in another process can go on with all that has not ended; if not, why.
    pub fn can_hand_over(&self) -> Result<(), &'static str> {
        if self.has_ended() {
            return Err("nothing is on its way");
        }
        if !self.engine.journal().is_kept() {
            return Err(
                "no journal is kept here, and the log says why: nothing could go on with the queue",
            );
        }
        if !self.engine.look(Schedule::is_kept) {
            return Err(
                "what a Metalink names is in no journal: `haul connect --detach` begins with one",
            );
        }
        Ok(())
    }

    /// What is to be handed over; of use once this client was stopped and is gone.
    pub fn handover(&self) -> Handover {
        let settings = &self.engine.settings;
        // Without a query what was named is in the queue, and not to be named again.
        let url = match settings.url.query() {
            Some(_) => settings.url.clone(),
            None => self
                .base_url()
                .parse()
                .unwrap_or_else(|_| settings.url.clone()),
        };
        Handover {
            url,
            mirrors: settings.mirrors.clone(),
            dir: std::path::absolute(self.dir()).unwrap_or_else(|_| self.dir().to_owned()),
            limit: self.engine.pace.rate(),
            checksums: settings.checksums.is_some(),
            paused: self.engine.look(Schedule::paused),
            logins: settings.access.given(),
        }
    }

    /// Goes on with what another client left in the journal, and leaves paused what was; how many items were added, or `None`
    /// where another client has the journal.
    pub fn take_over(&self, left: &Handover) -> Option<usize> {
        if !self.engine.journal().is_kept() {
            return None;
        }
        Some(self.restore_each(|ticket| left.paused.contains(&ticket)))
    }
}
