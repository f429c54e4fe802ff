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

/// Cuts the objects out of the array at the top, or out of an array that is a member of the object at the top.
#[derive(Debug, Default)]
pub struct Splitter {
    /// The brackets that are open, outermost first.
    open: Vec<u8>,
    in_string: bool,
    escaped: bool,
    /// The element so far, once one has begun, and how many brackets were open then.
    element: Vec<u8>,
    inside: Option<usize>,
    /// Whether there was an array that could hold entries, empty or not.
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
                match byte {
                    _ if self.escaped => self.escaped = false,
                    b'\\' => self.escaped = true,
                    b'"' => self.in_string = false,
                    _ => {}
                }
                continue;
            }
            match byte {
                b'"' => self.in_string = true,
                b'{' | b'[' => self.opened(byte)?,
                b'}' | b']' => self.closed(byte, found)?,
                _ => {}
            }
        }
        Ok(())
    }

    fn opened(&mut self, byte: u8) -> Result<(), Error> {
        if self.open.len() == DEPTH_MAX {
            return Err(malformed("it is nested too deeply"));
        }
        let begins = byte == b'{'
            && self.inside.is_none()
            && self.open.last() == Some(&b'[')
            && self.open.len() <= 2;
        if begins {
            self.inside = Some(self.open.len());
            self.element.clear();
            self.element.push(byte);
        }
        self.any |= byte == b'[' && self.open.len() <= 1;
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
mod tests {
    use super::*;

    fn entries(json: &str, step: usize) -> Result<Vec<Entry>, Error> {
        let (mut splitter, mut found) = (Splitter::default(), Vec::new());
        for part in json.as_bytes().chunks(step) {
            splitter.feed(part, &mut |element| {
                found.extend(entry(element)?);
                Ok(())
            })?;
        }
        splitter.finish()?;
        Ok(found)
    }

    fn shown(json: &str) -> Vec<(String, bool, Option<u64>, Option<u64>)> {
        let seconds = |time: SystemTime| {
            time.duration_since(SystemTime::UNIX_EPOCH)
                .unwrap()
                .as_secs()
        };
        let each = |entry: Entry| {
            (
                String::from_utf8(entry.name).unwrap(),
                entry.is_dir,
                entry.size,
                entry.modified.map(seconds),
            )
        };
        let whole = entries(json, 1 << 20).unwrap();
        for step in 1..40 {
            assert_eq!(entries(json, step).unwrap(), whole);
        }
        whole.into_iter().map(each).collect()
    }

    #[test]
    fn caddy_and_haul() {
        let json = r#"[{"name":"photos/","size":4096,"url":"./photos/","mod_time":"1970-01-01T00:00:09.5Z","mode":2147484141,"is_dir":true,"is_symlink":false},
            {"name":"a\"}[ ?.txt","size":7,"url":"./a%22%7D%5B%20%3F.txt","mod_time":"1970-01-01T00:00:10Z","mode":420,"is_dir":false,"is_symlink":false}]"#;
        assert_eq!(
            shown(json),
            [
                ("photos".into(), true, None, Some(9)),
                ("a\"}[ ?.txt".into(), false, Some(7), Some(10))
            ]
        );
        assert_eq!(shown("[]"), []);
    }

    #[test]
    fn nginx_and_dufs() {
        let nginx = r#"[ { "name":"d", "type":"directory", "mtime":"Thu, 01 Jan 1970 00:00:03 GMT" },
            { "name":"f", "type":"file", "mtime":"Thu, 01 Jan 1970 00:00:04 GMT", "size":5 },
            { "name":"fifo", "type":"other", "mtime":"Thu, 01 Jan 1970 00:00:04 GMT" } ]"#;
        assert_eq!(
            shown(nginx),
            [
                ("d".into(), true, None, Some(3)),
                ("f".into(), false, Some(5), Some(4))
            ]
        );
        let dufs = r#"{"href":"/","kind":"Index","paths":[{"path_type":"Dir","name":"d","mtime":5000,"size":3},
            {"path_type":"File","name":"f","mtime":6000,"size":1}],"allow_upload":false}"#;
        assert_eq!(
            shown(dufs),
            [
                ("d".into(), true, None, Some(5)),
                ("f".into(), false, Some(1), Some(6))
            ]
        );
    }

    #[test]
    fn names_that_are_no_utf8_come_from_the_url() {
        let found = entries(
            r#"[{"name":"a\ufffd","url":"./a%ff","is_dir":false,"size":1}]"#,
            7,
        )
        .unwrap();
        assert_eq!(found[0].name, b"a\xff");
    }

    #[test]
    fn names_that_are_no_utf8_may_stand_as_they_are() {
        let (mut splitter, mut found) = (Splitter::default(), Vec::new());
        let json = b"[{\"name\":\"a\xff\\n\xc3\xbc\",\"type\":\"file\",\"size\":1}]";
        let each = &mut |element: &[u8]| {
            found.extend(entry(element)?);
            Ok(())
        };
        splitter.feed(json, each).unwrap();
        assert_eq!(found[0].name, b"a\xff\n\xc3\xbc");
    }

    #[test]
    fn what_is_cut_or_malformed_is_an_error() {
        for json in [
            "",
            "[",
            r#"[{"name":"a""#,
            "[}",
            r#"[{"size":1}]"#,
            r#"[{"name":5}]"#,
            r#"{"error":"no"}"#,
            "nonsense",
        ] {
            assert!(matches!(entries(json, 3), Err(Error::Listing(_))), "{json}");
        }
        let endless = format!(r#"[{{"name":"{}"}}]"#, "x".repeat(ELEMENT_MAX));
        assert!(entries(&endless, 4096).is_err());
        let deep = "[".repeat(DEPTH_MAX + 1);
        let error = entries(&deep, 4096).unwrap_err().to_string();
        assert!(error.contains("too deeply"), "{error}");
    }
}
