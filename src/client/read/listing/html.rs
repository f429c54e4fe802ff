//! Links of an HTML listing, by rclone's rule: same scheme and host, no query, below the page; and whether the page is a
//! listing at all.

use std::{borrow::Cow, collections::HashSet, time::SystemTime};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use html5gum::{Token, Tokenizer, emitters::default::DefaultEmitter};
use url::Url;

use self::{
    links::{directory, is_itself, may_name_an_entry, names},
    opened::{Opened, is_cut},
};
use super::{
    Error,
    looks::{Looks, attribute},
};
use crate::{
    entry::Entry,
    http1::path::{self, PathError},
};

mod links;
mod opened;

/// Bytes of a page that are read at once: about two thousand entries.
const AT_ONCE: usize = 256 << 10;
/// Most bytes of a page without a link, such as one that holds its entries as data for a script.
const BARREN_MAX: usize = 64 << 20;
/// Names that are remembered, so that a second link to the same entry is not taken for another entry.
const SEEN_MAX: usize = 20_000;
/// Links to what lies deeper than one level that are remembered until the page has ended.
const DEEP_MAX: usize = 20_000;

/// Takes an entry, and whether its name can be one.
pub type Found<'a> = dyn FnMut(Entry, Result<(), PathError>) + 'a;

/// A page that is being read.
///
/// A long page is cut before a link that the tokenizer found: there it is between tags, and can begin afresh.
#[derive(Debug)]
pub struct Page {
    /// The page's own address.
    address: Url,
    /// What its links are relative to.
    base: Url,
    /// What was not read yet, and how much of it there must be to be read.
    rest: Vec<u8>,
    enough: usize,
    seen: HashSet<Vec<u8>>,
    /// What lies deeper: it is taken where the page has no link to the directory on the way.
    deep: Vec<Entry>,
    looks: Looks,
    /// What is open where `rest` begins.
    opened: Opened,
    /// It ended inside of a tag.
    cut: bool,
}

impl Page {
    /// The page at this address.
    pub fn new(address: &Url) -> Self {
        Self {
            address: address.clone(),
            base: address.clone(),
            rest: Vec::new(),
            enough: AT_ONCE,
            seen: HashSet::new(),
            deep: Vec::new(),
            looks: Looks::default(),
            opened: Opened::default(),
            cut: false,
        }
    }

    /// Takes the next bytes; calls `found` with each entry that a link names.
    pub fn feed(&mut self, bytes: &[u8], found: &mut Found<'_>) -> Result<(), Error> {
        self.rest.extend_from_slice(bytes);
        if self.rest.len() < self.enough {
            return Ok(());
        }
        let last = self.entries(false, found);
        if last == 0 && self.rest.len() > BARREN_MAX {
            let text = "the page has more than 64 MiB without a link";
            return Err(Error::Listing(text.into()));
        }
        self.rest.drain(..last);
        // What had to be kept is read again: never more often than it doubles.
        self.enough = AT_ONCE.max(self.rest.len() * 2);
        Ok(())
    }

    /// The page has ended, `until_close` if only the connection's end says so: then it must have closed what it opened.
    /// A page without entries must look like a listing of nothing. Why there may be more than it names, if there may.
    pub fn finish(
        mut self,
        until_close: bool,
        found: &mut Found<'_>,
    ) -> Result<Option<&'static str>, Error> {
        self.entries(true, found);
        if until_close && (self.cut || self.opened.any()) {
            let text = "the server closed it in the middle of the listing";
            return Err(Error::Broken(text.into()));
        }
        for entry in std::mem::take(&mut self.deep) {
            let mut at = 0;
            let mut on_the_way = std::iter::from_fn(|| {
                at += entry.name[at..].iter().position(|b| *b == b'/')? + 1;
                Some(&entry.name[..at - 1])
            });
            if !on_the_way.any(|dir| self.seen.contains(dir)) {
                found(entry, Ok(()));
            }
        }
        self.looks.verdict()
    }

    /// The JSON that dufs embeds in its page, base64-encoded, for a script to show; such a page has no links to files.
    pub fn embedded_json(&self) -> Option<Vec<u8>> {
        if self.seen.is_empty() {
            embedded_json(&self.rest)
        } else {
            None
        }
    }

    /// Calls `found` with the entries that links in `rest` name. The last link is left out unless all is here, because
    /// what is behind it may be cut. Where it begins.
    fn entries(&mut self, all: bool, found: &mut Found<'_>) -> usize {
        let (mut begins, mut last) = (0, None);
        let mut opened = self.opened;
        let page = std::mem::take(&mut self.rest);
        let mut emitter = DefaultEmitter::<usize>::new_with_span();
        // What looks like a link in a script or a title is none.
        emitter.naively_switch_states(true);
        for token in Tokenizer::new_with_emitter(page.as_slice(), emitter).flatten() {
            match token {
                Token::StartTag(tag) if tag.name.as_slice() == LINK => {
                    self.link(last.take(), found);
                    begins = tag.span.start;
                    self.opened = opened;
                    last = attribute(&tag, b"href").map(|href| Link {
                        href: href.to_vec(),
                        behind: Vec::new(),
                        is_aside: opened.in_footer(),
                    });
                }
                Token::StartTag(tag) if tag.name.as_slice() == b"base" => {
                    let href = attribute(&tag, b"href");
                    if let Some(base) = href.and_then(|href| self.address.join(&text(href)).ok()) {
                        self.base = base;
                    }
                }
                Token::StartTag(tag) => {
                    opened.start(&tag.name);
                    self.looks.tag(&tag);
                    if let Some(target) = self.looks.refreshes() {
                        if !is_itself(&self.address, &self.base, &target) {
                            self.looks.led_on();
                        }
                        // A page that leads on to a directory below it is a link to that.
                        let link = Link {
                            href: target.into_bytes(),
                            behind: Vec::new(),
                            is_aside: false,
                        };
                        let entry = link.entry(&self.address, &self.base);
                        self.note(entry.filter(|(entry, _)| entry.is_dir), found);
                    }
                }
                Token::EndTag(tag) if tag.name.as_slice() == LINK => {
                    if let Some(link) = &mut last {
                        link.is_aside |= self.looks.linked(&link.href, &link.behind);
                        link.behind.clear();
                    }
                }
                Token::EndTag(tag) => {
                    opened.end(&tag.name);
                    self.looks.end();
                }
                Token::String(text) => {
                    self.looks.text(&text);
                    if let Some(link) = &mut last
                        && link.behind.len() < 256
                    {
                        link.behind.extend_from_slice(&text);
                    }
                }
                Token::Error(error) if all => self.cut |= is_cut(error.value),
                _ => {}
            }
        }
        if all {
            self.opened = opened;
            self.link(last, found);
        }
        self.rest = page;
        begins
    }

    fn link(&mut self, link: Option<Link>, found: &mut Found<'_>) {
        let Some(link) = link else { return };
        let entry = link.entry(&self.address, &self.base);
        if entry.is_none()
            && !link.is_aside
            && may_name_an_entry(&self.address, &self.base, &text(&link.href))
        {
            self.looks.passed_over();
        }
        self.note(entry, found);
    }

    fn note(&mut self, entry: Option<Checked>, found: &mut Found<'_>) {
        let Some((entry, checked)) = entry.filter(|(entry, _)| !self.seen.contains(&entry.name))
        else {
            return;
        };
        if self.seen.len() >= SEEN_MAX {
            self.seen.clear();
        }
        self.seen.insert(entry.name.clone());
        self.looks.has_entries();
        if checked.is_err() || !entry.name.contains(&b'/') {
            found(entry, checked);
        } else if self.deep.len() < DEEP_MAX {
            self.deep.push(entry);
        }
    }
}

/// An entry, and whether its name can be one.
type Checked = (Entry, Result<(), PathError>);

/// The tag of a link.
const LINK: &[u8] = b"a";

/// A link, and the text behind it: that may hold the entry's date and size.
struct Link {
    href: Vec<u8>,
    behind: Vec<u8>,
    /// It leads up, or tells of the server: listings of nothing have such links, too.
    is_aside: bool,
}

impl Link {
    /// What it names below `page`, with the date and size behind it.
    fn entry(&self, page: &Url, base: &Url) -> Option<Checked> {
        let (mut entry, checked) = link(page, base, &text(&self.href))?;
        date(&mut entry, &self.behind);
        Some((entry, checked))
    }
}

/// A link as text: bytes that are no UTF-8 become escapes, as names are bytes.
fn text(href: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(href) {
        Ok(text) => text.into(),
        Err(_) => percent_encoding::percent_encode(href, percent_encoding::CONTROLS).into(),
    }
}

/// See [`Page::embedded_json`].
fn embedded_json(page: &[u8]) -> Option<Vec<u8>> {
    const BEFORE: &[u8] = b"<template id=\"index-data\">";
    let start = page.windows(BEFORE.len()).position(|at| at == BEFORE)? + BEFORE.len();
    let rest = &page[start..];
    let end = rest.iter().position(|byte| *byte == b'<')?;
    BASE64_STANDARD.decode(rest[..end].trim_ascii()).ok()
}

/// The entry that `href` names, if it lies below `page`: the names on the way are in its name.
fn link(page: &Url, base: &Url, href: &str) -> Option<Checked> {
    let there = base.join(href.trim()).ok()?;
    if there.origin() != page.origin() || there.query().is_some() {
        return None;
    }
    // Spellings differ (`%28` and `(`), names do not.
    let mut below = names(&there);
    let dir = directory(page)?;
    if !names(&dir).all(|name| below.next().as_ref() == Some(&name)) {
        return None;
    }
    let name = below.collect::<Vec<_>>();
    if name.is_empty() {
        return None;
    }
    let checked = name.iter().try_for_each(|name| path::check_name(name));
    let entry = Entry {
        name: name.join(&b'/'),
        is_dir: there.path().ends_with('/'),
        size: None,
        modified: None,
        blake3: None,
    };
    Some((entry, checked))
}

/// Gives the entry the date and size in the text behind its link, where that is nginx's:
/// `01-Jan-2026 10:00      1234`. Rounded sizes (`1.2K`) are left unknown.
fn date(entry: &mut Entry, behind: &[u8]) {
    let text = String::from_utf8_lossy(behind);
    let mut words = text.split_ascii_whitespace();
    let (Some(date), Some(time), Some(size)) = (words.next(), words.next(), words.next()) else {
        return;
    };
    let Ok(civil) = jiff::civil::DateTime::strptime("%d-%b-%Y %H:%M", format!("{date} {time}"))
    else {
        return;
    };
    entry.modified = civil
        .to_zoned(jiff::tz::TimeZone::UTC)
        .ok()
        .map(|zoned| SystemTime::from(zoned.timestamp()));
    if !entry.is_dir {
        entry.size = size.parse().ok();
    }
}

#[cfg(test)]
mod tests;
