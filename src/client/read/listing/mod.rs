//! Reading other people's listings: caddy's and haul's JSON, nginx's JSON, dufs' JSON, the XML of S3 and of Azure, and the
//! links of any HTML page that looks like a listing.

mod html;
mod json;
mod looks;
mod xml;

use url::Url;

use crate::{
    client::Error,
    entry::Entry,
    escape::display_name,
    http1::path::{PathError, check_name},
};

/// Refused names that are remembered of one listing; more are counted only.
const REFUSED_MAX: usize = 100;

/// Turns the body of a listing into entries, piece by piece as it arrives.
///
/// A listing of a whole tree (S3, or a page with links to deeper levels) gives entries with slashes in their names: the
/// names on the way. A name of one level never has one.
#[derive(Debug)]
pub struct Reader(Format);

#[derive(Debug)]
enum Format {
    Json(json::Splitter),
    Html(Box<html::Page>),
    Xml(xml::Bucket),
}

/// What a listing gives.
#[derive(Debug, Default)]
pub struct Listed {
    /// What it names.
    pub entries: Vec<Entry>,
    /// Names that no file may have, and why: they are not fetched.
    pub refused: Vec<(String, PathError)>,
    /// Refused names beyond those.
    pub more_refused: u64,
    /// The query that asks for the rest of it.
    pub next: Option<String>,
    /// Why there may be more than it names: nothing follows from what it does not name.
    pub partial: Option<&'static str>,
}

impl Reader {
    /// A reader for a body of this type (`Content-Type` without parameters) that came from this address.
    pub fn new(content_type: &str, address: &Url) -> Result<Self, Error> {
        match content_type {
            "application/json" | "text/json" => Ok(Self(Format::Json(json::Splitter::default()))),
            "text/html" | "application/xhtml+xml" | "" => {
                Ok(Self(Format::Html(Box::new(html::Page::new(address)))))
            }
            "application/xml" | "text/xml" => Ok(Self(Format::Xml(xml::Bucket::new(address)))),
            other => Err(Error::Listing(format!("it is {}", display_name(other)))),
        }
    }

    /// Takes the next bytes and adds the entries that they complete.
    pub fn feed(&mut self, bytes: &[u8], listed: &mut Listed) -> Result<(), Error> {
        match &mut self.0 {
            Format::Json(splitter) => feed_json(splitter, bytes, listed),
            Format::Html(page) => {
                page.feed(bytes, &mut |entry, checked| listed.accept(checked, entry))
            }
            Format::Xml(bucket) => bucket.feed(bytes),
        }
    }

    /// The body has ended, `until_close` if only the connection's end says so: adds what was held back.
    ///
    /// # Errors
    ///
    /// What came is not a whole listing; [`Error::Broken`] where the connection may have cut it.
    pub fn finish(self, until_close: bool, listed: &mut Listed) -> Result<(), Error> {
        match self.0 {
            Format::Json(splitter) => splitter.finish(),
            Format::Html(page) => {
                if let Some(json) = page.embedded_json() {
                    let mut splitter = json::Splitter::default();
                    feed_json(&mut splitter, &json, listed)?;
                    return splitter.finish();
                }
                listed.partial = page.finish(until_close, &mut |entry, checked| {
                    listed.accept(checked, entry);
                })?;
                Ok(())
            }
            Format::Xml(bucket) => {
                listed.next = bucket.finish(&mut |entry| listed.accept_key(entry))?;
                Ok(())
            }
        }
    }
}

fn feed_json(
    splitter: &mut json::Splitter,
    bytes: &[u8],
    listed: &mut Listed,
) -> Result<(), Error> {
    splitter.feed(bytes, &mut |element| {
        if let Some(entry) = json::entry(element)? {
            listed.accept(check_name(&entry.name), entry);
        }
        Ok(())
    })
}

impl Listed {
    /// Adds an entry whose name can be one; others are refused one by one, and the rest goes on.
    fn accept(&mut self, checked: Result<(), PathError>, entry: Entry) {
        let Err(error) = checked else {
            return self.entries.push(entry);
        };
        let name = display_name(&entry.name).into_owned();
        tracing::warn!(path = %name, "refused the name: it is {error}");
        if self.refused.len() < REFUSED_MAX {
            self.refused.push((name, error));
        } else {
            self.more_refused += 1;
        }
    }

    /// The same for a key, whose slashes part names.
    fn accept_key(&mut self, entry: Entry) {
        let mut names = entry.name.split(|b| *b == b'/');
        self.accept(names.try_for_each(check_name), entry);
    }
}
