//! Directory listings in one of three forms, chosen by what the client accepts.

use std::{io, io::Write as _, sync::Arc};

use crate::server::{
    digests::Known,
    respond::form::page::Page,
    tree::entries::{Entries, Listed},
};

/// The form of a listing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// caddy's JSON array.
    Json,
    /// One percent-encoded reference a line.
    Text,
    /// A page for browsers, and for tools that read links.
    Html,
}

impl Format {
    /// The form that a client wants: what `Accept` names outright, by weight; else text for curl and HTML for all.
    pub fn choose(accept: &[&[u8]], agent: Option<&[u8]>) -> Self {
        let mut best: Option<(u16, Self)> = None;
        for range in accept.iter().flat_map(|line| line.split(|b| *b == b',')) {
            let mut parts = range.split(|b| *b == b';').map(<[u8]>::trim_ascii);
            let format = match parts
                .next()
                .unwrap_or_default()
                .to_ascii_lowercase()
                .as_slice()
            {
                b"application/json" => Self::Json,
                b"text/plain" => Self::Text,
                b"text/html" | b"application/xhtml+xml" => Self::Html,
                _ => continue,
            };
            let weight = parts
                .find_map(|part| part.strip_prefix(b"q=").or(part.strip_prefix(b"Q=")))
                .map_or(1000, weight);
            if weight > 0 && best.is_none_or(|(other, _)| weight > other) {
                best = Some((weight, format));
            }
        }
        match best {
            Some((_, format)) => format,
            None if agent.is_some_and(|agent| agent.starts_with(b"curl/")) => Self::Text,
            None => Self::Html,
        }
    }

    /// Its media type.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Text => "text/plain; charset=utf-8",
            Self::Html => "text/html; charset=utf-8",
        }
    }
}

/// A weight (RFC 9110 §12.4.2) in thousandths; what is malformed counts as nothing.
fn weight(value: &[u8]) -> u16 {
    let text = std::str::from_utf8(value).unwrap_or_default();
    let weight: f32 = text.parse().unwrap_or_default();
    (weight.clamp(0.0, 1.0) * 1000.0) as u16
}

/// A body that is made piece by piece, by calls that may wait for a disk.
///
/// Each call does a bounded piece of work, so that a slow client holds no thread, and a directory of a million entries
/// goes through a small buffer.
pub trait Source: Send {
    /// Appends to `out` until it holds `target` bytes; returns whether that was all.
    fn fill(&mut self, out: &mut Vec<u8>, target: usize) -> io::Result<bool>;
}

/// A listing on its way out.
pub struct Lister {
    format: Format,
    entries: Entries,
    known: Arc<Known>,
    page: Page,
    begun: bool,
}

impl Lister {
    /// Lists `entries` in their order. `place` is the page's own name for the server, such as `nas:8888`.
    pub fn new(entries: Entries, format: Format, known: Arc<Known>, place: &str) -> Self {
        Self {
            format,
            page: Page::new(entries.path(), place, entries.in_order()),
            entries,
            known,
            begun: false,
        }
    }

    fn write(&mut self, out: &mut Vec<u8>, mut listed: Listed) -> io::Result<()> {
        match self.format {
            Format::Json => {
                out.extend_from_slice(if self.begun { b",\n" } else { b"[\n" });
                if !listed.entry.is_dir {
                    listed.entry.blake3 = self.known.look(&listed.stamp).blake3.map(Into::into);
                }
                let mode = listed.stamp.mode;
                listed.entry.write_json(out, mode, listed.is_symlink)?;
            }
            Format::Text => writeln!(out, "{}", listed.entry.reference())?,
            Format::Html => {
                if !self.begun {
                    self.page.begin(out);
                }
                self.page.row(out, &listed);
            }
        }
        self.begun = true;
        Ok(())
    }

    fn end(&mut self, out: &mut Vec<u8>) {
        match (self.format, self.begun) {
            (Format::Json, true) => out.extend_from_slice(b"]\n"),
            (Format::Json, false) => out.extend_from_slice(b"[]\n"),
            (Format::Text, _) => {}
            (Format::Html, begun) => {
                if !begun {
                    self.page.begin(out);
                }
                self.page.end(out);
            }
        }
    }
}

impl Source for Lister {
    fn fill(&mut self, out: &mut Vec<u8>, target: usize) -> io::Result<bool> {
        while out.len() < target {
            let Some(listed) = self.entries.next().transpose()? else {
                self.end(out);
                return Ok(true);
            };
            self.write(out, listed)?;
        }
        Ok(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_form_is_negotiated() {
        use Format::{Html, Json, Text};
        const BROWSER: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
        for (accept, agent, format) in [
            (&["application/json"][..], "x", Json),
            (&["application/json;q=0.5, text/html"], "x", Html),
            (&["text/html;q=0.4", "application/json;q=0.5"], "x", Json),
            (&["text/plain"], "x", Text),
            (&["text/plain;q=0"], "x", Html),
            (&["*/*"], "curl/8.5.0", Text),
            (&["*/*"], "Wget/1.21", Html),
            (&[], "curl/8.5.0", Text),
            (&[], "x", Html),
            (&["TEXT/HTML"], "curl/8.5.0", Html),
            (&[BROWSER], "Mozilla/5.0", Html),
            (&["application/json;q=x, text/plain;q=0.1"], "x", Text),
        ] {
            let lines: Vec<&[u8]> = accept.iter().map(|line| line.as_bytes()).collect();
            assert_eq!(
                Format::choose(&lines, Some(agent.as_bytes())),
                format,
                "{accept:?} {agent}"
            );
        }
    }
}
