//! Directory listings: read entry by entry, sorted while that is affordable, written in one of three forms.
//!
//! A [`Lister`] is pulled from: each call does a bounded piece of blocking work, so that a slow client holds no
//! thread, and a directory of a million entries is streamed through a small buffer.

use std::{io, io::Write as _, os::fd::OwnedFd, sync::Arc};

use rustix::fs::{AtFlags, Dir, FileType, Stat, statat};

use super::{
    catalog::{Catalog, Stamp},
    page,
};
use crate::{entry::Entry, http1::path::RemotePath};

/// Entries up to which a listing is sorted; beyond it, directory order is kept.
const MAX_SORTED: usize = 100_000;

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
                .find_map(|part| part.strip_prefix(b"q="))
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

/// An entry, and what only its server knows of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// What the client sees.
    pub entry: Entry,
    /// Unix type and permission bits of what the name leads to.
    pub mode: u32,
    /// Whether the name is a symbolic link.
    pub is_symlink: bool,
}

/// A directory that is being read.
pub struct Entries {
    catalog: Arc<Catalog>,
    path: RemotePath,
    dir: OwnedFd,
    reader: Dir,
}

impl Entries {
    /// Reads the open directory `dir`, which is `path` below the root.
    pub fn new(catalog: Arc<Catalog>, path: RemotePath, dir: OwnedFd) -> io::Result<Self> {
        let reader = Dir::read_from(&dir)?;
        Ok(Self {
            catalog,
            path: path.into_dir(),
            dir,
            reader,
        })
    }

    /// What a name leads to: one stat, and for a link another of its target, which must lie within the root.
    fn stat(&self, name: &[u8]) -> Option<(Stat, bool)> {
        let stat = statat(&self.dir, name, AtFlags::SYMLINK_NOFOLLOW).ok()?;
        if !FileType::from_raw_mode(stat.st_mode).is_symlink() {
            return Some((stat, false));
        }
        let path = self.path.join(name).ok()?;
        Some((self.catalog.stat(path.trimmed()).ok()?, true))
    }

    fn look_at(&self, name: &[u8]) -> Option<Listed> {
        if matches!(name, b"." | b"..") || !self.catalog.shows(name) {
            return None;
        }
        // What vanished meanwhile, or could not be fetched anyway, is left out.
        let (stat, is_symlink) = self.stat(name)?;
        let is_dir = match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => true,
            FileType::RegularFile => false,
            _ => return None,
        };
        let stamp = Stamp::of(&stat);
        Some(Listed {
            entry: Entry {
                name: name.to_vec(),
                is_dir,
                size: (!is_dir).then_some(stamp.size),
                modified: Some(stamp.modified()),
                blake3: None,
            },
            mode: stamp.mode,
            is_symlink,
        })
    }
}

impl Iterator for Entries {
    type Item = io::Result<Listed>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            match self.reader.read()? {
                Ok(found) => {
                    if let Some(listed) = self.look_at(found.file_name().to_bytes()) {
                        return Some(Ok(listed));
                    }
                }
                Err(error) => return Some(Err(error.into())),
            }
        }
    }
}

/// Directories first, then by name.
pub fn sort(entries: &mut [Listed]) {
    entries.sort_unstable_by(|a, b| {
        let key = |listed: &Listed| !listed.entry.is_dir;
        key(a)
            .cmp(&key(b))
            .then_with(|| a.entry.name.cmp(&b.entry.name))
    });
}

/// A listing on its way out.
pub struct Lister {
    format: Format,
    /// Read already; for all but huge directories this is everything, sorted.
    ready: std::vec::IntoIter<Listed>,
    /// What is still to be read, in directory order.
    rest: Option<Entries>,
    first: bool,
}

impl Lister {
    /// Reads the directory, sorts it if it is not too large, and writes the beginning into `out`. Blocks on the disk.
    pub fn start(mut entries: Entries, format: Format, out: &mut Vec<u8>) -> io::Result<Self> {
        let mut ready = Vec::new();
        for listed in entries.by_ref().take(MAX_SORTED + 1) {
            ready.push(listed?);
        }
        let complete = ready.len() <= MAX_SORTED;
        if complete {
            sort(&mut ready);
        }
        match format {
            Format::Json => out.push(b'['),
            Format::Text => {}
            Format::Html => page::begin(out, &entries.path),
        }
        Ok(Self {
            format,
            ready: ready.into_iter(),
            rest: (!complete).then_some(entries),
            first: true,
        })
    }

    /// Writes entries until `out` holds `target` bytes; returns whether that was all. Blocks on the disk.
    pub fn fill(&mut self, out: &mut Vec<u8>, target: usize) -> io::Result<bool> {
        while out.len() < target {
            let Some(listed) = self.next_entry()? else {
                match self.format {
                    Format::Json => out.extend_from_slice(b"]\n"),
                    Format::Text => {}
                    Format::Html => page::end(out),
                }
                return Ok(true);
            };
            self.write(out, &listed)?;
        }
        Ok(false)
    }

    fn next_entry(&mut self) -> io::Result<Option<Listed>> {
        if let Some(listed) = self.ready.next() {
            return Ok(Some(listed));
        }
        self.rest.as_mut().and_then(Iterator::next).transpose()
    }

    fn write(&mut self, out: &mut Vec<u8>, listed: &Listed) -> io::Result<()> {
        match self.format {
            Format::Json => {
                out.extend_from_slice(if self.first { b"\n" } else { b",\n" });
                self.first = false;
                listed
                    .entry
                    .write_json(&mut *out, listed.mode, listed.is_symlink)?;
            }
            Format::Text => writeln!(out, "{}", listed.entry.reference())?,
            Format::Html => page::row(out, listed),
        }
        Ok(())
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
