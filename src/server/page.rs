//! The HTML page of a directory: readable without script or style, nothing from elsewhere.

use std::{fmt::Write as _, io::Write as _};

use super::listing::Listed;
use crate::{
    escape::display_name,
    http1::{date, path::RemotePath},
    units,
};

const STYLE: &str = "\
:root{color-scheme:light dark}\
body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}\
h1{font-size:1.2rem;word-break:break-all}\
table{border-collapse:collapse;width:100%}\
th{text-align:left}\
td,th{padding:.2rem .6rem;border-bottom:1px solid color-mix(in srgb,currentColor 15%,transparent)}\
td:first-child{word-break:break-all}\
td+td,th+th{text-align:right;white-space:nowrap;font-variant-numeric:tabular-nums}\
a{text-decoration:none}\
a:hover{text-decoration:underline}";

/// Writes what stands before the entries.
pub fn begin(out: &mut Vec<u8>, path: &RemotePath) {
    let title = escape(&format!("/{}", display_name(path.as_bytes())));
    push(
        out,
        format_args!(
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width\">\n<title>{title}</title>\n\
             <style>{STYLE}</style>\n</head>\n<body>\n<h1>{title}</h1>\n<table>\n\
             <thead><tr><th>Name</th><th>Size</th><th>Modified</th></tr></thead>\n<tbody>\n"
        ),
    );
    if !path.is_root() {
        out.extend_from_slice(b"<tr><td><a href=\"../\">../</a></td><td></td><td></td></tr>\n");
    }
}

/// Writes one row.
pub fn row(out: &mut Vec<u8>, listed: &Listed) {
    let entry = &listed.entry;
    let slash = if entry.is_dir { "/" } else { "" };
    let name = escape(&display_name(&entry.name));
    let size = entry.size.map_or_else(|| "—".to_owned(), units::size);
    let modified = entry.modified.map(utc).unwrap_or_default();
    push(
        out,
        format_args!(
            "<tr><td><a href=\"./{href}\">{name}{slash}</a></td><td>{size}</td><td>{modified}</td></tr>\n",
            href = entry.reference(),
        ),
    );
}

/// Writes what stands behind the entries.
pub fn end(out: &mut Vec<u8>) {
    out.extend_from_slice(b"</tbody>\n</table>\n</body>\n</html>\n");
}

/// Day and minute, in UTC.
fn utc(time: std::time::SystemTime) -> String {
    let seconds = i64::try_from(date::seconds(time)).unwrap_or_default();
    jiff::Timestamp::from_second(seconds)
        .map(|time| time.strftime("%Y-%m-%d %H:%M").to_string())
        .unwrap_or_default()
}

/// Writing to a `Vec` cannot fail.
fn push(out: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    let _ = out.write_fmt(text);
}

/// Text for HTML, between tags or in an attribute.
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
    use crate::entry::Entry;

    #[test]
    fn names_cannot_become_markup() {
        let mut out = Vec::new();
        let mut path = RemotePath::root();
        path.push(b"<b>&").unwrap();
        begin(&mut out, &path.into_dir());
        let entry = Entry {
            name: b"\"><script>'\x1b".to_vec(),
            is_dir: false,
            size: Some(5),
            modified: Some(std::time::UNIX_EPOCH),
            blake3: None,
        };
        row(
            &mut out,
            &Listed {
                entry,
                mode: 0o644,
                is_symlink: false,
            },
        );
        end(&mut out);
        let page = String::from_utf8(out).unwrap();
        assert!(!page.contains("<script") && !page.contains("<b>"), "{page}");
        assert!(
            page.contains("href=\"./%22%3E%3Cscript%3E%27%1B\""),
            "{page}"
        );
        assert!(page.contains("&#60;script&#62;&#39;\\x1b</a>"), "{page}");
        assert!(page.contains("1970-01-01 00:00"), "{page}");
        assert!(page.contains("href=\"../\""));
    }
}
