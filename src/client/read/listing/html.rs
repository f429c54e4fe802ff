//! Links of an HTML listing, by rclone's rule: same scheme and host, no query, one level below the page.

use std::{collections::HashSet, time::SystemTime};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use html5gum::{Token, Tokenizer, emitters::default::DefaultEmitter};
use url::Url;

use super::Error;
use crate::{entry::Entry, http1::path};

/// Bytes of a page that are read at once: about two thousand entries.
const AT_ONCE: usize = 256 << 10;
/// Most bytes of a page without a link, such as one that holds its entries as data for a script.
const BARREN_MAX: usize = 64 << 20;
/// Names that are remembered, so that a second link to the same entry is not taken for another entry.
const SEEN_MAX: usize = 20_000;

/// A page that is being read.
///
/// A long page is cut before a link that the tokenizer found: there it is between tags, and can begin afresh.
#[derive(Debug)]
pub struct Page {
    /// The page's own address; `None` where it makes none, so that no link lies below it.
    base: Option<Url>,
    /// What was not read yet, and how much of it there must be to be read.
    rest: Vec<u8>,
    enough: usize,
    seen: HashSet<Vec<u8>>,
}

impl Page {
    /// The page at this path on the server.
    pub fn new(target: &str) -> Self {
        // Only path and query matter: any host stands in for the real one, and a link to another host shows as such.
        let host = Url::parse("http://origin.invalid").ok();
        Self {
            base: host.and_then(|host| host.join(target).ok()),
            rest: Vec::new(),
            enough: AT_ONCE,
            seen: HashSet::new(),
        }
    }

    /// Takes the next bytes; calls `found` with each entry that a link names.
    pub fn feed(&mut self, bytes: &[u8], found: &mut dyn FnMut(Entry)) -> Result<(), Error> {
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

    /// The page has ended.
    pub fn finish(mut self, found: &mut dyn FnMut(Entry)) {
        self.entries(true, found);
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
    fn entries(&mut self, all: bool, found: &mut dyn FnMut(Entry)) -> usize {
        let Some(base) = &self.base else {
            return self.rest.len();
        };
        let (mut begins, mut last) = (0, None);
        let mut finish = |last: Option<Link>| {
            if let Some(entry) = last.and_then(|link| link.entry(base))
                && !self.seen.contains(&entry.name)
            {
                if self.seen.len() >= SEEN_MAX {
                    self.seen.clear();
                }
                self.seen.insert(entry.name.clone());
                found(entry);
            }
        };
        let page = self.rest.as_slice();
        let mut emitter = DefaultEmitter::<usize>::new_with_span();
        // What looks like a link in a script or a title is none.
        emitter.naively_switch_states(true);
        for token in Tokenizer::new_with_emitter(page, emitter).flatten() {
            match token {
                Token::StartTag(tag) if tag.name.as_slice() == LINK => {
                    finish(last.take());
                    begins = tag.span.start;
                    let href = tag.attributes.get(b"href".as_slice());
                    last = href.map(|href| Link {
                        href: href.as_slice().to_vec(),
                        behind: Vec::new(),
                    });
                }
                Token::EndTag(tag) if tag.name.as_slice() == LINK => {
                    if let Some(link) = &mut last {
                        link.behind.clear();
                    }
                }
                Token::String(text) => {
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
            finish(last);
        }
        begins
    }
}

/// The tag of a link.
const LINK: &[u8] = b"a";

/// A link, and the text behind it: that may hold the entry's date and size.
struct Link {
    href: Vec<u8>,
    behind: Vec<u8>,
}

impl Link {
    /// What it names directly below `base`, with the date and size behind it.
    fn entry(&self, base: &Url) -> Option<Entry> {
        let mut entry = link(base, std::str::from_utf8(&self.href).ok()?)?;
        date(&mut entry, &self.behind);
        Some(entry)
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

/// The entry that `href` names, if it lies directly below `base`.
fn link(base: &Url, href: &str) -> Option<Entry> {
    let there = base.join(href.trim()).ok()?;
    if there.origin() != base.origin() || there.query().is_some() {
        return None;
    }
    let below = there.path().strip_prefix(base.path())?;
    let is_dir = below.ends_with('/');
    let segment = below.strip_suffix('/').unwrap_or(below);
    if segment.is_empty() || segment.contains('/') {
        return None;
    }
    let name = path::decode(segment.as_bytes()).ok()?.into_owned();
    Some(Entry {
        name,
        is_dir,
        size: None,
        modified: None,
        blake3: None,
    })
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

    fn entries(page: &[u8], target: &str) -> Vec<Entry> {
        let (mut reader, mut entries) = (Page::new(target), Vec::new());
        reader.feed(page, &mut |entry| entries.push(entry)).unwrap();
        reader.finish(&mut |entry| entries.push(entry));
        entries
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
            let (mut reader, mut found, mut longest) = (Page::new("/"), Vec::new(), 0);
            let mut note = |entry: Entry| {
                found.push((String::from_utf8(entry.name).unwrap(), entry.size));
            };
            for part in page.as_bytes().chunks(step) {
                reader.feed(part, &mut note).unwrap();
                longest = longest.max(reader.rest.len());
            }
            reader.finish(&mut note);
            assert!(found == whole, "{step}: {} entries", found.len());
            assert!(longest < 2 * AT_ONCE.max(step), "{step}: {longest}");
        }
    }

    #[test]
    fn links_that_lead_elsewhere_are_no_entries() {
        let page = r##"<a href="?C=N">n</a><a href="/">root</a><a href="../">up</a><a href="http://other/x/y">o</a>
            <a href="//other/x/y">o</a><a href="deep/er.txt">d</a><a href="#top">t</a><a href="mailto:a@b">m</a>
            <a href="/x/ok.txt">ok</a><a href="/x/ok.txt">again</a><a name="no">n</a><a href="%2e%2e/up">u</a>"##;
        assert_eq!(shown(page, "/x/"), [("ok.txt".into(), false, None)]);
    }
}
