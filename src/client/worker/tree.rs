//! Listings: for someone who browses, and for a tree that is fetched.

use std::sync::Arc;

use url::Url;

use super::{Worker, answer::Reading, redirect::Place};
use crate::{
    client::{
        Error,
        engine::Found,
        net::{connection::Connection, decode::decoder, request::Ask},
        read::listing::{self, Listed},
        schedule::{Answered, Browse, Fault, Work},
        task::DirTask,
    },
    entry::Entry,
    escape::display_name,
    http1::body_reader::{BodyReader, Framing},
    units,
};

/// Entries of a listing that are handed on at once.
const ENTRIES_AT_ONCE: usize = 1000;
/// Entries that a browser gets at most: about 150 bytes each, and as much again while they are shown.
const BROWSE_MAX: usize = 1_000_000;

impl Worker {
    pub(super) async fn browsed(&mut self, reading: &mut Reading, browse: Browse) -> super::Answer {
        let mut listed = Listed::default();
        let place = match self.arrive(reading, &browse.dir).await {
            Ok(place) => place,
            Err(error) => return Err(Fault::of(error, reading.head.retry_after)),
        };
        if matches!(place, Place::Unwanted) {
            return Err(Fault::Interrupted);
        }
        let read = self.read_listing(reading, place, &mut listed, None).await;
        let entries = read
            .and_then(|_| one_level(listed.entries))
            .map_err(|error| Fault::of(error, reading.head.retry_after))?;
        self.engine.lists.note(&browse.dir, &entries);
        self.engine.answer(browse.id, Ok(entries));
        Ok(Answered::Browsed)
    }

    pub(super) async fn listed(
        &mut self,
        reading: &mut Reading,
        mut task: DirTask,
    ) -> super::Answer {
        let place = match self.arrive(reading, &task.dir).await {
            Ok(place) => place,
            Err(error) => return Err(Fault::of(error, reading.head.retry_after)),
        };
        if matches!(place, Place::Unwanted) {
            return Err(Fault::Interrupted);
        }
        let engine = Arc::clone(&self.engine);
        let _reading = engine.lists.reading(&task.dir);
        let mut listed = Listed::default();
        let mut found = Found::new(std::mem::take(&mut task.taken));
        let into = Some((&task, &mut found));
        let mut read = self.read_listing(reading, place, &mut listed, into).await;
        if let Ok(true) = read {
            let entries = std::mem::take(&mut listed.entries);
            read = self.hand_on(&task, entries, &mut found).await;
        }
        if let Ok(true) = read {
            let partial = listed.partial;
            self.refuse(&task, listed);
            if engine.look(|schedule| schedule.notes_extras(task.item)) {
                self.note_extras(&task, &mut found, partial).await;
            }
        }
        if found.any {
            task.failures = 0;
        }
        match read {
            Ok(true) => Ok(self.engine.listed(task, found)),
            // Cancelled meanwhile: a retry must find the rest.
            Ok(false) => {
                task.taken = found.into_taken();
                Ok(Answered::Unlisted(task))
            }
            Err(error) => {
                task.taken = found.into_taken();
                let work = Work::List(task);
                self.engine
                    .with(|schedule| schedule.set_front(self.slot, work));
                Err(Fault::of(error, reading.head.retry_after))
            }
        }
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

    /// Notes what is here and was not listed, unless there is a reason why there may be more than the listing names.
    async fn note_extras(&self, task: &DirTask, found: &mut Found, partial: Option<&str>) {
        if let Some(why) = partial {
            let dir = if task.dir.is_root() {
                "the target directory".into()
            } else {
                display_name(task.dir.as_bytes())
            };
            tracing::warn!("nothing is deleted in {dir} itself: {why}");
        } else if let Err(error) = self.engine.note_extras(task, found.told()).await {
            self.engine.with(|schedule| schedule.refused(task, error));
        }
    }

    /// Names that no file may have are failures: a download that leaves something out is not whole.
    fn refuse(&self, task: &DirTask, listed: Listed) {
        let Some(mut filter) = self.engine.look(|schedule| schedule.tree(task.item)) else {
            return;
        };
        let mut is_wanted = |name: &str| {
            let path = task.dir.join(name.replace(['/', '\0'], "_").as_bytes());
            filter
                .as_mut()
                .is_none_or(|filter| path.is_ok_and(|path| filter.takes(&path)))
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
        self.engine.with(|schedule| {
            if let Some(filter) = &filter {
                schedule.matched(task.item, filter);
            }
            for error in errors {
                schedule.refused(task, error);
            }
        });
    }

    /// Reads a listing's body. With a task, entries are handed on as they come; false once they are not wanted any more.
    async fn read_listing(
        &mut self,
        reading: &mut Reading,
        place: Place,
        listed: &mut Listed,
        mut into: Option<(&DirTask, &mut Found)>,
    ) -> Result<bool, Error> {
        let mut address = match place {
            Place::Here(address) => address,
            Place::Below(entry) => {
                listed.entries.push(entry);
                listed.partial = Some("it leads to a directory in it");
                return Ok(true);
            }
            Place::Unwanted => return Ok(false),
        };
        // Brent's way to find a circle: each page is held against one that was some time before it.
        let (mut before, mut pages, mut next_mark) = (None, 0_u64, 1);
        loop {
            if !self.read_page(reading, &address, listed, &mut into).await? {
                return Ok(false);
            }
            let Some(query) = listed.next.take() else {
                return Ok(true);
            };
            if address.query() == Some(&query) {
                let text = "its next page is the same again";
                return Err(Error::Listing(text.into()));
            }
            if before.as_ref() == Some(&query) {
                let text = "its pages lead in a circle";
                return Err(Error::Listing(text.into()));
            }
            pages += 1;
            if pages == next_mark {
                (before, next_mark) = (Some(query.clone()), next_mark * 2);
            }
            address.set_query(Some(&query));
            if !self.ask_on(reading, &address).await? {
                return Ok(false);
            }
            match self.engine.wanted(self.slot, reading.refused()).await {
                Some(None) => {}
                Some(Some(error)) => return Err(error),
                None => return Ok(false),
            }
        }
    }

    /// Asks for more of a listing, which nothing is in flight behind, and reads the head of its reading; again, where that asks
    /// for a proof. False once the listing is not wanted any more.
    pub(super) async fn ask_on(&self, reading: &mut Reading, address: &Url) -> Result<bool, Error> {
        loop {
            let asked = self.ask_for_more(reading, address);
            match self.engine.wanted(self.slot, asked).await {
                Some(asked) => asked?,
                None => return Ok(false),
            }
            let origin = &self.server().origin;
            if !origin.is_challenged(&reading.head, reading.connection.round) {
                return Ok(true);
            }
            let drained = self.engine.wanted(self.slot, reading.drain()).await;
            if drained.is_none() {
                return Ok(false);
            }
        }
    }

    async fn ask_for_more(&self, reading: &mut Reading, address: &Url) -> Result<(), Error> {
        let (origin, settings) = (&self.server().origin, &self.engine.settings);
        if !reading.head.keep_alive || !reading.body.is_done() {
            // One at a time: the user said how many there may be.
            reading.connection.close();
            let own_pace = reading.connection.own_pace.take();
            reading.connection =
                Connection::open(origin, settings.timeout, &self.engine.pace).await?;
            reading.connection.own_pace = own_pace;
        }
        let target = &address[url::Position::BeforePath..url::Position::AfterQuery];
        // Whoever lets go from here on leaves an answer behind.
        reading.body = BodyReader::new(Framing::Close);
        reading.connection.queue(origin, target, Ask::List);
        reading.connection.flush().await?;
        reading.head = reading.connection.head(false).await?;
        reading.decoder = decoder(b"", &reading.head)?;
        reading.body = BodyReader::new(reading.head.framing.unwrap_or(Framing::Close));
        Ok(())
    }

    /// Reads one page of a listing.
    async fn read_page(
        &self,
        reading: &mut Reading,
        address: &Url,
        listed: &mut Listed,
        into: &mut Option<(&DirTask, &mut Found)>,
    ) -> Result<bool, Error> {
        if reading.head.status == 206 {
            let text = "a part of the listing was sent for the whole";
            return Err(Error::Protocol(text.into()));
        }
        let mut reader = listing::Reader::new(&reading.head.content_type, address)?;
        loop {
            let next = tokio::select! {
                biased;
                () = self.engine.unwanted(self.slot) => return Ok(false),
                next = reading.next() => next?,
            };
            let Some((received, bytes)) = next else { break };
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
        let framing = reading.head.framing.unwrap_or(Framing::Close);
        reader.finish(framing == Framing::Close, listed)?;
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
