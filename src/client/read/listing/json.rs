//! JSON listings, element by element, so that a million entries need no more memory than one.

use std::{
    fmt,
    time::{Duration, SystemTime},
};

use serde::{Deserialize, Deserializer, de::Visitor};

use super::Error;
use crate::{entry::Entry, http1::path};

/// Longest single entry, in bytes.
const ELEMENT_MAX: usize = 64 << 10;

/// Most brackets that are open at once: entries are flat, and every one that is open is remembered.
const DEPTH_MAX: usize = 64;

/// The member that holds the entries where the top is an object: dufs'. An array of another name may be of anything.
const ENTRIES: &[u8] = b"paths";

/// What some servers write before the top (RFC 8259 §8.1 lets it be ignored).
const MARK: [u8; 3] = *b"\xef\xbb\xbf";

/// Cuts the objects out of the array at the top, or out of the array [`ENTRIES`] of the object at the top.
///
/// Nothing else may stand there or around the top: it is an answer of another kind, or tells that this one is not whole.
#[derive(Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is so, or not")]
pub struct Splitter {
    /// The brackets that are open, outermost first.
    open: Vec<u8>,
    in_string: bool,
    escaped: bool,
    /// The last string of the object at the top, as far as it can be [`ENTRIES`].
    name: Vec<u8>,
    /// How many brackets are open between entries, inside of the array that holds them.
    level: Option<usize>,
    /// Bytes of [`MARK`] that came.
    marked: usize,
    /// The top has ended.
    ended: bool,
    /// The element so far, once one has begun, and how many brackets were open then.
    element: Vec<u8>,
    inside: Option<usize>,
    /// Whether there was an array of entries, empty or not.
    any: bool,
}

impl Splitter {
    /// Takes the next bytes; calls `found` with each complete element.
    pub fn feed(
        &mut self,
        bytes: &[u8],
        found: &mut dyn FnMut(&[u8]) -> Result<(), Error>,
    ) -> Result<(), Error> {
        for &byte in bytes {
            if self.inside.is_some() {
                self.element.push(byte);
                if self.element.len() > ELEMENT_MAX {
                    return Err(malformed("an entry is too long"));
                }
            }
            if self.in_string {
                self.string(byte);
                continue;
            }
            match byte {
                b' ' | b'\t' | b'\n' | b'\r' => {}
                b'{' | b'[' => self.opened(byte)?,
                b'}' | b']' => self.closed(byte, found)?,
                _ => self.other(byte)?,
            }
        }
        Ok(())
    }

    /// A byte of a string, behind its first quote.
    fn string(&mut self, byte: u8) {
        match byte {
            _ if self.escaped => self.escaped = false,
            b'\\' => self.escaped = true,
            b'"' => {
                self.in_string = false;
                return;
            }
            _ => {}
        }
        // What is longer is another name.
        if self.open.len() == 1 && self.name.len() <= ENTRIES.len() {
            self.name.push(byte);
        }
    }

    /// A byte of a scalar, or between values.
    fn other(&mut self, byte: u8) -> Result<(), Error> {
        if self.open.is_empty() {
            if !self.ended && MARK.get(self.marked) == Some(&byte) {
                self.marked += 1;
                return Ok(());
            }
            return Err(self.outside());
        }
        if self.level == Some(self.open.len()) && byte != b',' {
            return Err(malformed("an entry of it is no object"));
        }
        if self.open.len() == 1 && matches!(byte, b'"' | b',') {
            self.name.clear();
        }
        self.in_string = byte == b'"';
        Ok(())
    }

    /// Something stands before or behind the top.
    fn outside(&self) -> Error {
        malformed(if self.ended {
            "there is more behind its end"
        } else {
            "there is no list of entries in it"
        })
    }

    fn opened(&mut self, byte: u8) -> Result<(), Error> {
        let depth = self.open.len();
        if depth == DEPTH_MAX {
            return Err(malformed("it is nested too deeply"));
        }
        if self.ended {
            return Err(self.outside());
        }
        if self.level == Some(depth) {
            if byte == b'[' {
                return Err(malformed("an entry of it is no object"));
            }
            self.inside = Some(depth);
            self.element.clear();
            self.element.push(byte);
        }
        let holds_entries = depth == 0 || (*self.open == *b"{" && self.name == ENTRIES);
        if byte == b'[' && holds_entries {
            self.any = true;
            self.level = Some(depth + 1);
        }
        self.open.push(byte);
        Ok(())
    }

    fn closed(
        &mut self,
        byte: u8,
        found: &mut dyn FnMut(&[u8]) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let opened = self.open.pop();
        if opened != Some(if byte == b'}' { b'{' } else { b'[' }) {
            return Err(malformed("brackets do not match"));
        }
        if self.level == Some(self.open.len() + 1) {
            self.level = None;
        }
        self.ended = self.open.is_empty();
        if self.inside == Some(self.open.len()) {
            self.inside = None;
            found(&self.element)?;
        }
        Ok(())
    }

    /// The body has ended: it must be whole.
    pub fn finish(self) -> Result<(), Error> {
        match (self.open.is_empty(), self.any) {
            (true, true) => Ok(()),
            (true, false) => Err(malformed("there is no list of entries in it")),
            (false, _) => Err(malformed("it ends too early")),
        }
    }
}

fn malformed(what: &str) -> Error {
    Error::Listing(format!("malformed JSON: {what}"))
}

/// An entry in any of the shapes: caddy and haul, nginx (`type`, `mtime` as an HTTP date), dufs (`path_type`,
/// `mtime` in milliseconds).
#[derive(Deserialize)]
struct Wire {
    name: Name,
    #[serde(default)]
    url: Option<String>,
    #[serde(default)]
    size: Option<u64>,
    #[serde(default)]
    is_dir: Option<bool>,
    #[serde(default, rename = "type")]
    nginx_type: Option<String>,
    #[serde(default)]
    path_type: Option<String>,
    #[serde(default)]
    mod_time: Option<String>,
    #[serde(default)]
    mtime: Option<serde_json::Value>,
    #[serde(default)]
    blake3: Option<String>,
}

/// A name as the bytes that stand in the JSON: nginx writes names that are no UTF-8 as they are.
struct Name(Vec<u8>);

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Bytes;
        impl Visitor<'_> for Bytes {
            type Value = Name;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a name")
            }

            fn visit_bytes<E>(self, name: &[u8]) -> Result<Name, E> {
                Ok(Name(name.to_vec()))
            }
        }
        deserializer.deserialize_bytes(Bytes)
    }
}

/// The entry in one element; `None` for what is neither a file nor a directory.
pub fn entry(element: &[u8]) -> Result<Option<Entry>, Error> {
    let wire: Wire =
        serde_json::from_slice(element).map_err(|error| malformed(&error.to_string()))?;
    let is_dir = match (
        wire.is_dir,
        wire.nginx_type.as_deref(),
        wire.path_type.as_deref(),
    ) {
        (Some(is_dir), _, _) => is_dir,
        (_, Some("directory"), _) | (_, _, Some("Dir" | "SymlinkDir")) => true,
        (_, Some("file"), _) | (_, _, Some("File" | "SymlinkFile")) => false,
        (None, None, None) => wire.name.0.ends_with(b"/"),
        _ => return Ok(None),
    };
    let modified = match (&wire.mod_time, &wire.mtime) {
        (Some(text), _) => text.parse::<jiff::Timestamp>().ok().map(SystemTime::from),
        (_, Some(serde_json::Value::String(date))) => httpdate::parse_http_date(date).ok(),
        (_, Some(serde_json::Value::Number(ms))) => ms
            .as_u64()
            .and_then(|ms| SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(ms))),
        _ => None,
    };
    Ok(Some(Entry {
        name: name(&wire),
        is_dir,
        size: if is_dir { None } else { wire.size },
        modified,
        blake3: wire
            .blake3
            .as_deref()
            .and_then(|hex| blake3::Hash::from_hex(hex).ok()),
    }))
}

/// The name: from the URL where there is one, because it alone can carry names that are no UTF-8.
fn name(wire: &Wire) -> Vec<u8> {
    let relative = wire
        .url
        .as_deref()
        .map(|url| url.strip_prefix("./").unwrap_or(url));
    let segment = relative.map(|url| url.strip_suffix('/').unwrap_or(url));
    let decoded = segment
        .filter(|segment| !segment.contains(['/', '?', '#']))
        .map(str::as_bytes)
        .map(path::decode);
    if let Some(Ok(name)) = decoded {
        return name.into_owned();
    }
    let name = &wire.name.0;
    name.strip_suffix(b"/").unwrap_or(name).to_vec()
}

#[cfg(test)]
mod tests;
