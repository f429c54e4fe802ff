//! Links of an HTML listing, by rclone's rule: same scheme and host, no query, below the page; and whether the page is a
//! listing at all.

use std::{borrow::Cow, collections::HashSet, time::SystemTime};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use html5gum::{Token, Tokenizer, emitters::default::DefaultEmitter};
use url::Url;

use super::{
    Error,
    looks::{Looks, attribute},
};
use crate::{
    entry::Entry,
    http1::path::{self, PathError},
};

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
            looks: Looks::new(address),
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

    /// The page has ended. A page without entries must look like a listing of nothing.
    pub fn finish(mut self, found: &mut Found<'_>) -> Result<(), Error> {
        self.entries(true, found);
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
        let page = std::mem::take(&mut self.rest);
        let mut emitter = DefaultEmitter::<usize>::new_with_span();
        // What looks like a link in a script or a title is none.
        emitter.naively_switch_states(true);
        for token in Tokenizer::new_with_emitter(page.as_slice(), emitter).flatten() {
            match token {
                Token::StartTag(tag) if tag.name.as_slice() == LINK => {
                    self.link(last.take(), found);
                    begins = tag.span.start;
                    last = attribute(&tag, b"href").map(|href| Link {
                        href: href.to_vec(),
                        behind: Vec::new(),
                    });
                }
                Token::StartTag(tag) if tag.name.as_slice() == b"base" => {
                    let href = attribute(&tag, b"href");
                    if let Some(base) = href.and_then(|href| self.address.join(&text(href)).ok()) {
                        self.base = base;
                    }
                }
                Token::StartTag(tag) => {
                    self.looks.tag(&tag);
                    if let Some(target) = self.looks.refreshes() {
                        // A page that leads on to a directory below it is a link to that.
                        let link = Link {
                            href: target.into_bytes(),
                            behind: Vec::new(),
                        };
                        let entry = link.entry(&self.address, &self.base);
                        self.note(entry.filter(|(entry, _)| entry.is_dir), found);
                    }
                }
                Token::EndTag(tag) if tag.name.as_slice() == LINK => {
                    if let Some(link) = &mut last {
                        self.looks.linked(&link.href, &link.behind);
                        link.behind.clear();
                    }
                }
                Token::EndTag(_) => self.looks.end(),
                Token::String(text) => {
                    self.looks.text(&text);
                    if let Some(link) = &mut last
                        && link.behind.len() < 256
                    {
                        link.behind.extend_from_slice(&text);
                    }
                }
                _ => {}
            }
        }
        if all {
            self.link(last, found);
        }
        self.rest = page;
        begins
    }

    fn link(&mut self, link: Option<Link>, found: &mut Found<'_>) {
        self.note(
            link.and_then(|link| link.entry(&self.address, &self.base)),
            found,
        );
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

/// The names of a URL's path. A `%` that begins no escape is one, as browsers have it.
fn names(url: &Url) -> impl Iterator<Item = Cow<'_, [u8]>> {
    let segments = url.path().split('/').filter(|segment| !segment.is_empty());
    segments.map(|segment| path::decode_leniently(segment.as_bytes()))
}

/// The entry that `href` names, if it lies below `page`: the names on the way are in its name.
fn link(page: &Url, base: &Url, href: &str) -> Option<Checked> {
    let there = base.join(href.trim()).ok()?;
    if there.origin() != page.origin() || there.query().is_some() {
        return None;
    }
    // Spellings differ (`%28` and `(`), names do not.
    let mut below = names(&there);
    let dir = page.path().rfind('/').map_or("/", |at| &page.path()[..=at]);
    let dir = page.join(dir).ok()?;
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
mod tests {
    use std::fmt::Write as _;

    use super::*;

    fn page_at(target: &str) -> Page {
        let origin = Url::parse("http://Host:8080/").unwrap();
        Page::new(&origin.join(target).unwrap())
    }

    fn read(html: &[u8], target: &str) -> Result<Vec<Entry>, Error> {
        let (mut reader, mut entries) = (page_at(target), Vec::new());
        reader.feed(html, &mut |entry, _| entries.push(entry))?;
        reader.finish(&mut |entry, _| entries.push(entry))?;
        Ok(entries)
    }

    fn entries(page: &[u8], target: &str) -> Vec<Entry> {
        read(page, target).unwrap()
    }

    fn shown(page: &str, target: &str) -> Vec<(String, bool, Option<u64>)> {
        let name = |entry: Entry| {
            (
                String::from_utf8_lossy(&entry.name).into_owned(),
                entry.is_dir,
                entry.size,
            )
        };
        entries(page.as_bytes(), target)
            .into_iter()
            .map(name)
            .collect()
    }

    /// As nginx 1.22 answers, long names shortened in the text.
    const NGINX: &str = "<html>\r\n<head><title>Index of /d/</title></head>\r\n<body>\r\n<h1>Index of /d/</h1><hr>\
        <pre><a href=\"../\">../</a>\r\n\
        <a href=\"sub%20dir/\">sub dir/</a>                            22-Nov-2026 10:00                   -\r\n\
        <a href=\"100%25%3F%23.txt\">100%?#.txt</a>                    22-Nov-2026 10:01             1048576\r\n\
        <a href=\"%E6%97%A5.bin\">\u{65e5}.bin</a>                      22-Nov-2026 10:01                 12K\r\n\
        </pre><hr></body>\r\n</html>\r\n";

    #[test]
    fn nginx() {
        assert_eq!(
            shown(NGINX, "/d/"),
            [
                ("sub dir".into(), true, None),
                ("100%?#.txt".into(), false, Some(1 << 20)),
                ("\u{65e5}.bin".into(), false, None)
            ]
        );
        let dated = entries(NGINX.as_bytes(), "/d/");
        assert_eq!(
            jiff::Timestamp::try_from(dated[0].modified.unwrap())
                .unwrap()
                .to_string(),
            "2026-11-22T10:00:00Z"
        );
    }

    #[test]
    fn python_http_server_and_quotes() {
        let page = r#"<ul><li><a href="a%26b%3D.txt">a&amp;b=.txt</a></li><li><a href='q"uote.txt'>x</a></li>
            <li><a href="plus+plus.txt">x</a></li><li><a href="link/">link@</a></li></ul>"#;
        assert_eq!(
            shown(page, "/"),
            [
                ("a&b=.txt".into(), false, None),
                ("q\"uote.txt".into(), false, None),
                ("plus+plus.txt".into(), false, None),
                ("link".into(), true, None)
            ]
        );
    }

    #[test]
    fn the_data_in_a_page_of_dufs() {
        let page = br#"<body><a href="" class="hidden"></a>
            <template id="index-data">eyJwYXRocyI6W119</template><script src="/x.js"></script>"#;
        assert_eq!(embedded_json(page).unwrap(), br#"{"paths":[]}"#);
        assert_eq!(
            embedded_json(b"<template id=\"index-data\">!</template>"),
            None
        );
        assert_eq!(embedded_json(NGINX.as_bytes()), None);
    }

    #[test]
    fn a_long_page_is_read_in_parts_and_cut_only_between_tags() {
        // Nothing in here is a link: a cut at one of these would make them some.
        let decoy = "<!-- <a href=\"no1\"> --><script>'<a href=\"no2\">'</script><title><a href=no3></title>\
            <p title='<a href=no4>'>";
        let mut page = "<html><pre><a href=\"../\">../</a>".to_owned();
        for number in 0..20_000 {
            let _ = write!(
                page,
                "<a href=\"f{number}\">f</a>  22-Nov-2026 10:01  {number}\r\n{decoy}"
            );
        }
        let whole: Vec<_> = (0..20_000)
            .map(|number| (format!("f{number}"), Some(number)))
            .collect();
        for step in [1000, 65_537, page.len()] {
            let (mut reader, mut found, mut longest) = (page_at("/"), Vec::new(), 0);
            let mut note = |entry: Entry, _| {
                found.push((String::from_utf8(entry.name).unwrap(), entry.size));
            };
            for part in page.as_bytes().chunks(step) {
                reader.feed(part, &mut note).unwrap();
                longest = longest.max(reader.rest.len());
            }
            reader.finish(&mut note).unwrap();
            assert!(found == whole, "{step}: {} entries", found.len());
            assert!(longest < 2 * AT_ONCE.max(step), "{step}: {longest}");
        }
    }

    #[test]
    fn links_that_lead_elsewhere_are_no_entries() {
        let page = r##"<a href="?C=N">n</a><a href="/">root</a><a href="../">up</a><a href="http://other/x/y">o</a>
            <a href="//other/x/y">o</a><a href="#top">t</a><a href="mailto:a@b">m</a>
            <a href="/x/ok.txt">ok</a><a href="/x/ok.txt">again</a><a name="no">n</a><a href="%2e%2e/up">u</a>"##;
        assert_eq!(shown(page, "/x/"), [("ok.txt".into(), false, None)]);
    }

    #[test]
    fn links_of_the_same_origin_count_in_every_spelling() {
        let html = r#"<base href="http://host:8080/a%28b%29/sub/"><a href="../one.txt">1</a>
            <a href="http://host:8080/a(b)/two.txt">2</a><a href="//HOST:8080/a%28b)/three.txt">3</a>
            <a href="50%.txt">not here</a><a href="../50%.txt">50%</a><a href="../a%zz%41">x</a>
            <a href="http://host/a(b)/other.txt">o</a><a href="https://host:8080/a(b)/other.txt">o</a>"#;
        let found: Vec<_> = shown(html, "/a(b)/")
            .into_iter()
            .map(|(name, ..)| name)
            .collect();
        assert_eq!(
            found,
            [
                "one.txt",
                "two.txt",
                "three.txt",
                "50%.txt",
                "a%zzA",
                "sub/50%.txt"
            ]
        );
        let latin = entries(b"<a href=\"na\xefve.txt\">x</a>", "/");
        assert_eq!(latin[0].name, b"na\xefve.txt");
    }

    #[test]
    fn what_lies_deeper_is_taken_unless_its_directory_is_linked() {
        let html =
            "<a href=\"sub/two.txt\">2</a><a href=\"dir/\">d</a><a href=\"dir/three.txt\">3</a>";
        assert_eq!(
            shown(html, "/"),
            [
                ("dir".into(), true, None),
                ("sub/two.txt".into(), false, None)
            ]
        );
        let leads = r#"<meta http-equiv="Refresh" content="0; URL='files/'"><title>Moved</title>"#;
        assert_eq!(shown(leads, "/"), [("files".into(), true, None)]);
    }

    #[test]
    fn a_page_that_is_no_listing_is_told_by_what_it_is() {
        for (html, seen) in [
            (
                "<title>Sign in</title><form><input type=\"password\"></form>",
                "a login page",
            ),
            (
                "<title>index - powered by h5ai</title><script src=\"/_h5ai/x.js\"></script>",
                "only a script fills",
            ),
            (
                "<meta http-equiv=refresh content='5;url=/elsewhere/'>",
                "leads to /elsewhere/",
            ),
            ("<title>It works!</title><p>Welcome", "`It works!`"),
            ("plain", "without links"),
            ("", "an empty page"),
        ] {
            let error = read(html.as_bytes(), "/x/").unwrap_err().to_string();
            assert!(
                error.contains(seen) && error.starts_with("no listing here"),
                "{error}"
            );
        }
        for empty in [
            "<title>Index of /x/</title>",
            "<h1>Directory listing for /x/</h1><hr><ul>\n</ul>",
            "<title>/x/</title>",
            "<a href=\"../\">../</a>",
            "<a href=\"/\">[To Parent Directory]</a>",
            "<!doctype html>\n<meta name=\"viewport\" content=\"width=device-width\">\n<pre>\n</pre>\n",
        ] {
            assert_eq!(read(empty.as_bytes(), "/x/").unwrap(), [], "{empty}");
        }
    }
}
