//! Links of an HTML listing, by rclone's rule: same scheme and host, no query, one level below the page.

use std::time::SystemTime;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use html5gum::{Token, Tokenizer};
use url::Url;

use crate::{entry::Entry, http1::path};

/// The entries that the links of `page` name; `target` is the page's own path on the server.
pub fn entries(page: &[u8], target: &str) -> Vec<Entry> {
    // Only path and query matter: any host stands in for the real one, and a link to another host shows as such.
    let Some(base) = Url::parse("http://origin.invalid")
        .ok()
        .and_then(|host| host.join(target).ok())
    else {
        return Vec::new();
    };
    let mut entries: Vec<Entry> = Vec::new();
    let mut seen = std::collections::HashSet::new();
    // Text behind a link may hold its date and size; it belongs to the entry until the next link.
    let mut behind: Option<Vec<u8>> = None;
    for token in Tokenizer::new(page).flatten() {
        match token {
            Token::StartTag(tag) if tag.name.as_slice() == b"a" => {
                finish(&mut entries, behind.take());
                let href = tag
                    .attributes
                    .iter()
                    .find(|(name, _)| name.as_slice() == b"href");
                let href = href.and_then(|(_, value)| std::str::from_utf8(value).ok());
                if let Some(entry) = href.and_then(|href| link(&base, href))
                    && seen.insert(entry.name.clone())
                {
                    entries.push(entry);
                    behind = Some(Vec::new());
                }
            }
            Token::EndTag(tag) if tag.name.as_slice() == b"a" => {
                if let Some(text) = &mut behind {
                    text.clear();
                }
            }
            Token::String(text) => {
                if let Some(behind) = &mut behind
                    && behind.len() < 256
                {
                    behind.extend_from_slice(&text);
                }
            }
            _ => {}
        }
    }
    finish(&mut entries, behind);
    entries
}

/// The JSON that dufs embeds in its page, base64-encoded, for a script to show; the page itself has no links to files.
pub fn embedded_json(page: &[u8]) -> Option<Vec<u8>> {
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

/// Gives the last entry the date and size in the text behind its link, where that is nginx's:
/// `01-Jan-2026 10:00      1234`. Rounded sizes (`1.2K`) are left unknown.
fn finish(entries: &mut [Entry], behind: Option<Vec<u8>>) {
    let (Some(entry), Some(text)) = (entries.last_mut(), behind) else {
        return;
    };
    let text = String::from_utf8_lossy(&text);
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
    use super::*;

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
    fn links_that_lead_elsewhere_are_no_entries() {
        let page = r##"<a href="?C=N">n</a><a href="/">root</a><a href="../">up</a><a href="http://other/x/y">o</a>
            <a href="//other/x/y">o</a><a href="deep/er.txt">d</a><a href="#top">t</a><a href="mailto:a@b">m</a>
            <a href="/x/ok.txt">ok</a><a href="/x/ok.txt">again</a><a name="no">n</a><a href="%2e%2e/up">u</a>"##;
        assert_eq!(shown(page, "/x/"), [("ok.txt".into(), false, None)]);
    }
}
