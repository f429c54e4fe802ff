//! Listings: for someone who browses, and for a tree that is fetched.

use url::Url;

use super::{Answered, Broken, Worker, answer::Answer};
use crate::{
    client::{
        Error, Event,
        engine::Found,
        net::{connection::Connection, decode::decoder, request::Ask},
        queue::{Browse, Work},
        read::listing::{self, Listed},
        task::DirTask,
    },
    entry::Entry,
    http1::{
        body_reader::{BodyReader, Framing},
        path::RemotePath,
    },
    units,
};

/// Entries of a listing that are handed on at once.
const ENTRIES_AT_ONCE: usize = 1000;
/// Entries that a browser gets at most: about 150 bytes each, and as much again while they are shown.
const BROWSE_MAX: usize = 1_000_000;

impl Worker {
    pub(super) async fn browsed(&mut self, answer: &mut Answer, browse: Browse) -> Answered {
        let mut listed = Listed::default();
        let read = match answer.refused().await {
            Some(error) => Err(error),
            None => self
                .read_listing(answer, &browse.dir, &mut listed, None)
                .await
                .and_then(|_| one_level(listed.entries)),
        };
        match read {
            Ok(entries) => {
                let _ = browse.reply.send(Ok(entries));
                Ok(())
            }
            Err(error) if error.is_connection() => Err(Box::new(Broken {
                work: Work::Browse(browse),
                error,
            })),
            Err(error) => {
                self.blame(Work::Browse(browse), error, answer.head.retry_after)
                    .await;
                Ok(())
            }
        }
    }

    pub(super) async fn listed(&mut self, answer: &mut Answer, mut task: DirTask) -> Answered {
        let mut listed = Listed::default();
        let mut found = Found::new(std::mem::take(&mut task.taken));
        let mut read = if let Some(error) = answer.refused().await {
            Err(error)
        } else {
            let into = Some((&task, &mut found));
            self.read_listing(answer, &task.dir, &mut listed, into)
                .await
        };
        if let Ok(true) = read {
            let entries = std::mem::take(&mut listed.entries);
            read = self.hand_on(&task, entries, &mut found).await;
        }
        if let Ok(true) = read {
            self.refuse(&task, listed).await;
        }
        if found.any {
            task.failures = 0;
        }
        match read {
            Ok(true) => self.engine.listed(task, found).await,
            // Cancelled meanwhile: a retry must find the rest.
            Ok(false) => {
                task.taken = found.into_taken();
                self.engine.queue().put_back(Work::List(task));
                self.engine.settle().await;
            }
            Err(error) => {
                let in_vain = !found.any;
                task.taken = found.into_taken();
                let work = Work::List(task);
                if error.is_connection() && in_vain {
                    return Err(Box::new(Broken { work, error }));
                }
                self.blame(work, error, answer.head.retry_after).await;
            }
        }
        Ok(())
    }

    /// Hands on what came last.
    async fn hand_on(
        &self,
        task: &DirTask,
        entries: Vec<Entry>,
        found: &mut Found,
    ) -> Result<bool, Error> {
        // A page that is read as a whole may end in any number of them.
        let mut entries = entries.into_iter();
        loop {
            let some = entries.by_ref().take(2 * ENTRIES_AT_ONCE).collect();
            let last = entries.len() == 0;
            let wanted = self.engine.found(task, some, found, last).await?;
            if last || !wanted {
                return Ok(wanted);
            }
        }
    }

    /// Names that no file may have are failures: a download that leaves something out is not whole.
    async fn refuse(&self, task: &DirTask, listed: Listed) {
        let Some((filter, _)) = self.engine.queue().tree(task.item) else {
            return;
        };
        let is_wanted = |name: &str| {
            let path = task.dir.join(name.replace(['/', '\0'], "_").as_bytes());
            filter
                .as_ref()
                .is_none_or(|filter| path.is_ok_and(|path| filter.wants(&path)))
        };
        let more = listed.more_refused;
        let refused = listed
            .refused
            .into_iter()
            .filter(|(name, _)| is_wanted(name));
        let mut errors: Vec<_> = refused
            .map(|(name, error)| Error::Name {
                name,
                reason: error.to_string(),
            })
            .collect();
        if more > 0 {
            let name = format!("of {} others", units::count(more));
            errors.push(Error::Name {
                name,
                reason: "as with those".into(),
            });
        }
        for error in errors {
            let told = Event::Failed {
                item: task.item,
                path: task.dir.clone(),
                attempts: 1,
                error: error.clone(),
            };
            self.engine.emit(told).await;
            self.engine.queue().refused(task.item, error);
        }
    }

    /// Reads a listing's body. With a task, entries are handed on as they come; false once they are not wanted any more.
    async fn read_listing(
        &mut self,
        answer: &mut Answer,
        dir: &RemotePath,
        listed: &mut Listed,
        mut into: Option<(&DirTask, &mut Found)>,
    ) -> Result<bool, Error> {
        let mut address = self.source.origin.list_url(dir);
        loop {
            if !self.read_page(answer, &address, listed, &mut into).await? {
                return Ok(false);
            }
            let Some(query) = listed.next.take() else {
                return Ok(true);
            };
            if address.query() == Some(&query) {
                let text = "its next page is the same again";
                return Err(Error::Listing(text.into()));
            }
            address.set_query(Some(&query));
            self.ask_on(answer, &address).await?;
        }
    }

    /// Asks for the next page of a listing, which nothing is in flight behind, and reads the head of its answer.
    async fn ask_on(&self, answer: &mut Answer, address: &Url) -> Result<(), Error> {
        let (origin, settings) = (&self.source.origin, &self.engine.settings);
        if !answer.head.keep_alive {
            answer.connection =
                Connection::open(origin, settings.timeout, &self.engine.pace).await?;
        }
        let target = &address[url::Position::BeforePath..url::Position::AfterQuery];
        answer.connection.queue(origin, target, Ask::List);
        answer.connection.flush().await?;
        answer.head = answer.connection.head(false).await?;
        answer.decoder = decoder(b"", &answer.head)?;
        answer.body = BodyReader::new(answer.head.framing.unwrap_or(Framing::Close));
        match answer.refused().await {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }

    /// Reads one page of a listing.
    async fn read_page(
        &self,
        answer: &mut Answer,
        address: &Url,
        listed: &mut Listed,
        into: &mut Option<(&DirTask, &mut Found)>,
    ) -> Result<bool, Error> {
        if answer.head.status == 206 {
            let text = "a part of the listing was sent for the whole";
            return Err(Error::Protocol(text.into()));
        }
        let mut reader = listing::Reader::new(&answer.head.content_type, address)?;
        while let Some((received, bytes)) = answer.next().await? {
            self.count_received(received);
            reader.feed(&bytes, listed)?;
            let entries = &mut listed.entries;
            if let Some((task, found)) = into {
                if entries.len() >= ENTRIES_AT_ONCE {
                    let entries = std::mem::take(entries);
                    if !self.engine.found(task, entries, found, false).await? {
                        return Ok(false);
                    }
                }
            } else if entries.len() > BROWSE_MAX {
                return Err(Error::Listing(format!(
                    "it has more than {} entries: they can be downloaded, but not shown",
                    units::count(BROWSE_MAX as u64)
                )));
            }
        }
        reader.finish(listed)?;
        Ok(true)
    }
}

/// What a browser can show of a listing.
fn one_level(mut entries: Vec<Entry>) -> Result<Vec<Entry>, Error> {
    let any = !entries.is_empty();
    entries.retain(|entry| !entry.name.contains(&b'/'));
    if any && entries.is_empty() {
        let text = "it names only what lies deeper, which can be downloaded but not browsed";
        return Err(Error::Listing(text.into()));
    }
    Ok(entries)
}
