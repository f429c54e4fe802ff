//! HTML for people: the page of a directory, and of an error.
//!
//! Each is one file that asks for nothing else: style and script stand in it, and its policy ([`policy`]) lets only
//! these two run. Without script it is a plain table of links, which is what rclone, lftp and `wget -r` read.

use std::{fmt::Write as _, io::Write as _, sync::LazyLock};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::StatusCode;
use sha2::{Digest as _, Sha256};

use crate::server::tree::entries::Listed;
use crate::{
    escape::display_name,
    http1::{date, path::RemotePath},
    units,
};

/// How it looks.
const STYLE: &str = include_str!("style.css");
/// Sorting and filtering.
const SCRIPT: &str = include_str!("script.js");
/// A picture for the tab, so that no browser asks for one.
const ICON: &str = "data:image/svg+xml,%3Csvg xmlns=%27http://www.w3.org/2000/svg%27 viewBox=%270 0 16 16%27%3E\
    %3Crect width=%2716%27 height=%2716%27 rx=%274%27 fill=%27%231a58d6%27/%3E\
    %3Cpath d=%27M8 3v6M5 6.5 8 9.5l3-3M4 12.5h8%27 fill=%27none%27 stroke=%27%23fff%27 stroke-width=%271.5%27 \
    stroke-linecap=%27round%27 stroke-linejoin=%27round%27/%3E%3C/svg%3E";

/// The `Content-Security-Policy` of these pages: nothing but their own style and script, by digest.
pub fn policy() -> &'static str {
    static POLICY: LazyLock<String> = LazyLock::new(|| {
        let digest = |text: &str| STANDARD.encode(Sha256::digest(text));
        format!(
            "default-src 'none'; style-src 'sha256-{}'; script-src 'sha256-{}'; img-src data:; \
             form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
            digest(STYLE),
            digest(SCRIPT)
        )
    });
    &POLICY
}

/// The page of one directory, written as its entries come.
pub struct Page {
    path: RemotePath,
    place: String,
    dirs: u64,
    files: u64,
    bytes: u64,
    sorted: bool,
}

impl Page {
    /// The page of `path`; `place` names the server, such as `nas:8888`; `sorted` says whether rows come by name.
    pub fn new(path: &RemotePath, place: &str, sorted: bool) -> Self {
        Self {
            path: path.clone(),
            sorted,
            place: escape(&display_name(place)),
            dirs: 0,
            files: 0,
            bytes: 0,
        }
    }

    /// Writes what stands before the entries.
    pub fn begin(&self, out: &mut Vec<u8>) {
        let name = escape(&display_name(self.path.name()));
        let place = &self.place;
        let title = if self.path.is_root() {
            place.clone()
        } else {
            format!("{name} · {place}")
        };
        let sort = if self.sorted {
            " aria-sort=\"ascending\""
        } else {
            ""
        };
        head(out, &title);
        out.extend_from_slice(b"<main class=\"page\">\n");
        self.breadcrumb(out);
        push(
            out,
            format_args!(
                "<form class=\"tools\"><input type=\"search\" id=\"filter\" hidden placeholder=\"Filter by name\" \
                 aria-label=\"Filter by name\" autocomplete=\"off\" spellcheck=\"false\">\
                 <button class=\"all\" name=\"tar\" title=\"This directory and all below it, as a tar file\">\
                 Download all</button></form>\n\
                 <table>\n<caption>Files in {title}</caption>\n<thead><tr><th scope=\"col\" data-s{sort}>Name</th>\
                 <th scope=\"col\" data-s class=\"n\">Size</th><th scope=\"col\" data-s>Modified</th>\
                 <th scope=\"col\"><span class=\"away\">Download</span></th></tr></thead>\n<tbody>\n",
            ),
        );
        if !self.path.is_root() {
            out.extend_from_slice(
                b"<tr class=\"up\"><td><a href=\"../\">..</a></td><td class=\"n\"></td><td class=\"t\"></td>\
                  <td class=\"a\"></td></tr>\n",
            );
        }
    }

    /// The way down to here, each name a link.
    fn breadcrumb(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"<nav aria-label=\"Path\"><ol>");
        let names = self.path.names().map(|name| escape(&display_name(name)));
        let all: Vec<String> = std::iter::once(self.place.clone()).chain(names).collect();
        let above = all.len() - 1;
        for (at, name) in all.iter().enumerate() {
            if at == above {
                push(
                    out,
                    format_args!("<li aria-current=\"page\"><h1>{name}</h1></li>"),
                );
            } else {
                let up = "../".repeat(above - at);
                push(out, format_args!("<li><a href=\"{up}\">{name}</a></li>"));
            }
        }
        out.extend_from_slice(b"</ol></nav>\n");
    }

    /// Writes one row.
    pub fn row(&mut self, out: &mut Vec<u8>, listed: &Listed) {
        let entry = &listed.entry;
        let name = escape(&display_name(&entry.name));
        // Percent-encoded: nothing in it could end an attribute.
        let href = entry.reference();
        let class = match (entry.is_dir, listed.is_symlink) {
            (true, true) => " class=\"d l\"",
            (true, false) => " class=\"d\"",
            (false, true) => " class=\"l\"",
            (false, false) => "",
        };
        let slash = if entry.is_dir { "/" } else { "" };
        push(
            out,
            format_args!("<tr{class}><td><a href=\"./{href}\">{name}{slash}</a></td>"),
        );
        if entry.is_dir {
            self.dirs += 1;
        } else {
            self.files += 1;
        }
        if let Some(size) = entry.size {
            self.bytes = self.bytes.saturating_add(size);
            let text = units::size(size);
            push(
                out,
                format_args!("<td class=\"n\" data-n=\"{size}\">{text}</td>"),
            );
        } else {
            out.extend_from_slice(b"<td class=\"n\"></td>");
        }
        match entry.modified.and_then(utc) {
            Some((exact, short)) => push(
                out,
                format_args!("<td class=\"t\"><time datetime=\"{exact}\">{short}</time></td>"),
            ),
            None => out.extend_from_slice(b"<td class=\"t\"></td>"),
        }
        if entry.is_dir {
            out.extend_from_slice(b"<td class=\"a\"></td></tr>\n");
        } else {
            push(
                out,
                format_args!(
                    "<td class=\"a\"><a class=\"g\" href=\"./{href}\" download \
                     aria-label=\"Download {name}\"></a></td></tr>\n"
                ),
            );
        }
    }

    /// Writes what stands behind the entries.
    pub fn end(&self, out: &mut Vec<u8>) {
        let empty = self.dirs + self.files == 0;
        let (hidden, total) = if empty {
            ("", "Empty directory".to_owned())
        } else {
            (" hidden", self.total())
        };
        push(
            out,
            format_args!(
                "</tbody>\n</table>\n<p class=\"none\" role=\"status\"{hidden}>There is nothing in this directory.</p>\n\
                 <p id=\"total\" role=\"status\">{total}</p>\n</main>\n<script>{SCRIPT}</script>\n</body>\n</html>\n"
            ),
        );
    }

    /// `3 folders, 17 files, 1.21 GiB`
    fn total(&self) -> String {
        let count = |count: u64, one: &str| match count {
            0 => None,
            1 => Some(format!("1 {one}")),
            _ => Some(format!("{} {one}s", grouped(count))),
        };
        let bytes = (self.files > 0).then(|| units::size(self.bytes));
        let parts = [count(self.dirs, "folder"), count(self.files, "file"), bytes];
        parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
    }
}

/// The page of an error: its status, what it means, and the way back to the listing.
pub fn error(status: StatusCode, why: &str) -> String {
    let code = status.as_u16();
    let mut out = Vec::new();
    let why = escape(why);
    head(&mut out, &format!("{code} {why}"));
    push(
        &mut out,
        format_args!(
            "<main class=\"page failed\">\n<h1><b>{code}</b> <span>{why}</span></h1>\n\
             <p><a href=\"/\">Go to the start</a></p>\n</main>\n</body>\n</html>\n"
        ),
    );
    String::from_utf8_lossy(&out).into_owned()
}

fn head(out: &mut Vec<u8>, title: &str) {
    push(
        out,
        format_args!(
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <meta name=\"color-scheme\" content=\"light dark\">\n<title>{title}</title>\n\
             <link rel=\"icon\" href=\"{ICON}\">\n<style>{STYLE}</style>\n</head>\n<body>\n"
        ),
    );
}

/// A time in UTC, to the second for programs and to the minute for people.
fn utc(time: std::time::SystemTime) -> Option<(String, String)> {
    let seconds = i64::try_from(date::seconds(time)).ok()?;
    let time = jiff::Timestamp::from_second(seconds).ok()?;
    let short = time.strftime("%Y-%m-%d %H:%M").to_string();
    Some((format!("{time}"), short))
}

/// `12,482`
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Writing to a `Vec` cannot fail.
fn push(out: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    let _ = out.write_fmt(text);
}

/// Text for HTML and XML, between tags or in an attribute.
pub fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' | '<' | '>' | '"' | '\'' => {
                let _ = write!(safe, "&#{};", u32::from(c));
            }
            c => safe.push(c),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{entry::Entry, server::tree::stamp::Stamp};

    fn listed(name: &[u8], size: Option<u64>) -> Listed {
        let temp = tempfile::tempfile().unwrap();
        Listed {
            entry: Entry {
                name: name.to_vec(),
                is_dir: size.is_none(),
                size,
                modified: Some(std::time::UNIX_EPOCH),
                blake3: None,
            },
            stamp: Stamp::of(&rustix::fs::fstat(&temp).unwrap()),
            is_symlink: false,
            unread: None,
        }
    }

    fn page(path: &[u8], entries: &[Listed]) -> String {
        let mut remote = RemotePath::root();
        if !path.is_empty() {
            remote.push(path).unwrap();
        }
        let mut out = Vec::new();
        let mut page = Page::new(&remote.into_dir(), "nas'<i>", true);
        page.begin(&mut out);
        for listed in entries {
            page.row(&mut out, listed);
        }
        page.end(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn names_cannot_become_markup() {
        let hostile = listed("\"><script>'\x1b\u{202e}".as_bytes(), Some(5));
        let page = page(b"<b>&", &[hostile]);
        let (before, script) = page.split_once("<script>").unwrap();
        assert!(script.starts_with(SCRIPT) && !script.contains("<script"));
        assert!(!before.contains("<b>") && !before.contains("<i>"), "{page}");
        assert!(
            page.contains("href=\"./%22%3E%3Cscript%3E%27%1B%E2%80%AE\""),
            "{page}"
        );
        let shown = "&#34;&#62;&#60;script&#62;&#39;\\x1b\\u{202e}";
        assert!(page.contains(&format!("{shown}</a>")), "{page}");
        assert!(page.contains(&format!("\"Download {shown}\"")), "{page}");
        assert!(page.contains("1970-01-01 00:00"), "{page}");
        assert!(page.contains("href=\"../\""));
    }

    #[test]
    fn nothing_comes_from_elsewhere() {
        let page = page(b"dir", &[listed(b"f", Some(1)), listed(b"d", None)]);
        // What an element loads stands in one of these; the pictures are part of the page.
        for part in ["src=", "@import", "action=", "<base"] {
            assert!(!page.contains(part), "{part}");
        }
        let fetched = page.matches("url(").count();
        assert_eq!(fetched, page.matches("url(\"data:image/svg+xml,").count());
        assert_eq!(page.matches("<link").count(), 1);
        assert!(page.contains("<link rel=\"icon\" href=\"data:"));
        assert!(!page.contains(" style=") && !page.contains(" onclick="));
    }

    #[test]
    fn the_total_counts_what_is_shown() {
        let text = |entries: &[Listed]| {
            let page = page(b"", entries);
            let (_, rest) = page.split_once("<p id=\"total\" role=\"status\">").unwrap();
            rest.split_once("</p>").unwrap().0.to_owned()
        };
        assert_eq!(text(&[]), "Empty directory");
        assert_eq!(text(&[listed(b"d", None)]), "1 folder");
        let files = vec![listed(b"f", Some(1 << 20)); 1200];
        assert_eq!(text(&files), "1,200 files, 1.17 GiB");
        for (number, shown) in [
            (0, "0"),
            (999, "999"),
            (1000, "1,000"),
            (12_345_678, "12,345,678"),
        ] {
            assert_eq!(grouped(number), shown);
        }
    }
}
