//! Reading other people's listings: caddy's and haul's JSON, nginx's JSON, dufs' JSON, and the links of any HTML page.

mod html;
mod json;

use crate::{client::Error, entry::Entry, escape::display_name, http1::path::check_name};

/// Turns the body of a listing into entries, piece by piece as it arrives.
#[derive(Debug)]
pub struct Reader(Format);

#[derive(Debug)]
enum Format {
    Json(json::Splitter),
    Html(html::Page),
}

impl Reader {
    /// A reader for a body of this type (`Content-Type` without parameters); `target` is the path on the server of the
    /// directory that is listed.
    pub fn new(content_type: &str, target: &str) -> Result<Self, Error> {
        match content_type {
            "application/json" | "text/json" => Ok(Self(Format::Json(json::Splitter::default()))),
            "text/html" | "application/xhtml+xml" | "" => {
                Ok(Self(Format::Html(html::Page::new(target))))
            }
            other => Err(Error::Listing(format!("it is {}", display_name(other)))),
        }
    }

    /// Takes the next bytes and adds the entries that they complete.
    pub fn feed(&mut self, bytes: &[u8], entries: &mut Vec<Entry>) -> Result<(), Error> {
        match &mut self.0 {
            Format::Json(splitter) => feed_json(splitter, bytes, entries),
            Format::Html(page) => page.feed(bytes, &mut |entry| accept(entry, entries)),
        }
    }

    /// The body has ended: adds what was held back.
    pub fn finish(self, entries: &mut Vec<Entry>) -> Result<(), Error> {
        match self.0 {
            Format::Json(splitter) => splitter.finish(),
            Format::Html(page) => {
                if let Some(json) = page.embedded_json() {
                    let mut splitter = json::Splitter::default();
                    feed_json(&mut splitter, &json, entries)?;
                    return splitter.finish();
                }
                page.finish(&mut |entry| accept(entry, entries));
                Ok(())
            }
        }
    }
}

fn feed_json(
    splitter: &mut json::Splitter,
    bytes: &[u8],
    entries: &mut Vec<Entry>,
) -> Result<(), Error> {
    splitter.feed(bytes, &mut |element| {
        if let Some(entry) = json::entry(element)? {
            accept(entry, entries);
        }
        Ok(())
    })
}

/// Adds an entry whose name can be one; others are refused one by one, and the rest goes on.
fn accept(entry: Entry, entries: &mut Vec<Entry>) {
    match check_name(&entry.name) {
        Ok(()) => entries.push(entry),
        Err(error) => {
            tracing::warn!(path = %display_name(&entry.name), "refused the name: it is {error}");
        }
    }
}
