//! One entry of a directory, as both sides speak of it, and its JSON form on the wire.
//!
//! The wire form is caddy's, so that whatever reads caddy's listings reads ours:
//! `{"name":"photos/","size":0,"url":"./photos/","mod_time":"2026-11-22T11:28:11.123456789Z","mode":2147484141,"is_dir":true,"is_symlink":false}`.
//! `url` is what counts: JSON text cannot carry a name that is not UTF-8, percent escapes can.

use std::{borrow::Cow, fmt, io, time::SystemTime};

use jiff::Timestamp;
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{SeqAccess, Visitor},
};

use crate::forms;
use crate::http1::path::{PathError, check_name, decode, encode_name};

/// A file or directory in a listing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The decoded name; never empty, `.` or `..`, without a slash but for listings of whole trees, where slashes part the
    /// names on the way. It need not be UTF-8, and may hold anything: pass it through `display_name` before a person sees it.
    #[serde(with = "forms::bytes")]
    pub name: Vec<u8>,
    /// Whether it can be listed rather than fetched.
    pub is_dir: bool,
    /// Bytes of a file; `None` for directories and where the server does not tell.
    pub size: Option<u64>,
    /// When its content changed last, where the server tells.
    pub modified: Option<SystemTime>,
    /// The BLAKE3 digest of a file's content, where the server knows it.
    #[serde(with = "hex")]
    pub blake3: Option<blake3::Hash>,
}

/// A digest that may be missing, in hexadecimal.
mod hex {
    use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer, de::Error};

    #[expect(clippy::ref_option, reason = "serde hands it over so")]
    pub(super) fn serialize<S: Serializer>(
        hash: &Option<blake3::Hash>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        hash.map(|hash| hash.to_hex().to_string()).serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<blake3::Hash>, D::Error> {
        let text = Option::<String>::deserialize(from)?;
        text.map(|text| text.parse().map_err(D::Error::custom))
            .transpose()
    }
}

/// Go's bit for a directory in caddy's `mode`.
const MODE_DIR: u32 = 1 << 31;
/// The permission bits, which Go and Unix share.
const MODE_PERMISSIONS: u32 = 0o777;

/// One element of the array, as it is written.
#[derive(Serialize)]
struct Written<'a> {
    name: Cow<'a, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<u64>,
    url: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    mod_time: Option<String>,
    mode: u32,
    is_dir: bool,
    is_symlink: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    blake3: Option<String>,
}

/// One element of the array, as it is read: caddy's own need only have a name or a URL.
#[derive(Deserialize)]
struct Read<'a> {
    #[serde(borrow, default)]
    name: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    url: Option<Cow<'a, str>>,
    #[serde(default)]
    size: Option<u64>,
    #[serde(borrow, default)]
    mod_time: Option<Cow<'a, str>>,
    #[serde(default)]
    is_dir: bool,
    #[serde(borrow, default)]
    blake3: Option<Cow<'a, str>>,
}

impl Entry {
    /// The entry as a relative reference: its percent-encoded name, with a slash behind a directory's.
    pub fn reference(&self) -> String {
        let mut url = encode_name(&self.name).into_owned();
        if self.is_dir {
            url.push('/');
        }
        url
    }

    /// Writes the entry as one element of the JSON array (without a comma). `mode` holds its Unix permission
    /// bits; `is_symlink` says that the name is a link to what the entry describes.
    pub fn write_json(&self, out: impl io::Write, mode: u32, is_symlink: bool) -> io::Result<()> {
        let mut name = String::from_utf8_lossy(&self.name);
        if self.is_dir {
            name.to_mut().push('/');
        }
        let element = Written {
            name,
            // Caddy's directories have one; no size is another thing than none.
            size: self.size.or(self.is_dir.then_some(0)),
            url: format!("./{}", self.reference()),
            mod_time: self.modified.and_then(rfc3339),
            mode: mode & MODE_PERMISSIONS | if self.is_dir { MODE_DIR } else { 0 },
            is_dir: self.is_dir,
            is_symlink,
            blake3: self.blake3.map(|hash| hash.to_string()),
        };
        Ok(serde_json::to_writer(out, &element)?)
    }
}

/// RFC 3339 with nanoseconds; `None` beyond the year 9999.
fn rfc3339(time: SystemTime) -> Option<String> {
    Timestamp::try_from(time)
        .ok()
        .map(|time| format!("{time:.9}"))
}

/// A JSON listing that was read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct JsonListing {
    /// Every entry with a name that can be used, in the server's order.
    pub entries: Vec<Entry>,
    /// The others: the name as the server wrote it (raw), and what is wrong with it.
    pub refused: Vec<(String, PathError)>,
}

impl JsonListing {
    /// Reads the whole array. Entries are checked one by one: a bad name never costs the others.
    pub fn read(json: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(json)
    }

    fn take(&mut self, element: Read<'_>) {
        match element.name() {
            Ok(name) => self.entries.push(element.into_entry(name)),
            Err(error) => {
                let raw = element.url.or(element.name).unwrap_or_default();
                self.refused.push((raw.into_owned(), error));
            }
        }
    }
}

impl Read<'_> {
    /// The decoded name: from the URL where there is one, else as it is written.
    fn name(&self) -> Result<Vec<u8>, PathError> {
        let name = match (&self.url, &self.name) {
            (Some(url), _) => {
                let url = url.strip_prefix("./").unwrap_or(url);
                decode(url.strip_suffix('/').unwrap_or(url).as_bytes())?
            }
            (None, Some(name)) => Cow::Borrowed(name.strip_suffix('/').unwrap_or(name).as_bytes()),
            (None, None) => return Err(PathError::Empty),
        };
        check_name(&name)?;
        Ok(name.into_owned())
    }

    fn into_entry(self, name: Vec<u8>) -> Entry {
        let modified = self
            .mod_time
            .and_then(|text| text.parse::<Timestamp>().ok());
        Entry {
            name,
            is_dir: self.is_dir,
            size: self.size.filter(|_| !self.is_dir),
            modified: modified.map(SystemTime::from),
            blake3: self
                .blake3
                .and_then(|hex| blake3::Hash::from_hex(hex.as_bytes()).ok()),
        }
    }
}

/// Elements become entries one at a time, so that a million of them are held once only.
impl<'de> Deserialize<'de> for JsonListing {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Elements;
        impl<'de> Visitor<'de> for Elements {
            type Value = JsonListing;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an array of directory entries")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<JsonListing, A::Error> {
                let mut listing = JsonListing::default();
                while let Some(element) = seq.next_element::<Read<'de>>()? {
                    listing.take(element);
                }
                Ok(listing)
            }
        }
        deserializer.deserialize_seq(Elements)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn entry(name: &[u8], is_dir: bool) -> Entry {
        Entry {
            name: name.to_vec(),
            is_dir,
            size: (!is_dir).then_some(7),
            modified: Some(SystemTime::UNIX_EPOCH + Duration::new(1_795_346_891, 123_456_789)),
            blake3: None,
        }
    }

    fn written(entries: &[Entry]) -> String {
        let elements = entries.iter().map(|entry| {
            let mut out = Vec::new();
            entry.write_json(&mut out, 0o40755, false).unwrap();
            String::from_utf8(out).unwrap()
        });
        format!("[{}]", elements.collect::<Vec<_>>().join(","))
    }

    #[test]
    fn the_wire_form_is_caddys() {
        assert_eq!(
            written(&[entry(b"photos", true)]),
            r#"[{"name":"photos/","size":0,"url":"./photos/","mod_time":"2026-11-22T11:28:11.123456789Z","mode":2147484141,"is_dir":true,"is_symlink":false}]"#
        );
    }

    #[test]
    fn a_file_whose_size_is_not_known_has_none() {
        let unread = Entry {
            size: None,
            modified: None,
            ..entry(b"f", false)
        };
        let json = written(std::slice::from_ref(&unread));
        assert!(!json.contains("size"), "{json}");
        let listing = JsonListing::read(json.as_bytes()).unwrap();
        assert_eq!(listing.entries, [unread]);
    }

    #[test]
    fn what_is_written_is_read_back() {
        let hash = Some(blake3::hash(b"x"));
        let entries = [
            entry(b"photos", true),
            entry(b"\xff\n\"100%\"\x1b[0m", false),
            entry("日本 +&#?.txt".as_bytes(), false),
            entry(b"a:b\\c", false),
            Entry {
                blake3: hash,
                ..entry(b"known", false)
            },
            Entry {
                modified: None,
                ..entry(b"undated", false)
            },
        ];
        let listing = JsonListing::read(written(&entries).as_bytes()).unwrap();
        assert_eq!(listing.entries, entries);
        assert_eq!(listing.refused, []);
    }

    #[test]
    fn bad_names_cost_only_themselves() {
        let json = br#"[{"url":"./.."},{"url":"./a%2fb"},{"name":"../x"},{"name":"ok"},{},{"url":"./%"},
            {"name":"dir/","is_dir":true,"size":4096,"mod_time":"2026-11-22T12:28:11+01:00","mode":1}]"#;
        let listing = JsonListing::read(json).unwrap();
        let names: Vec<_> = listing.entries.iter().map(|e| e.name.as_slice()).collect();
        assert_eq!(names, [b"ok".as_slice(), b"dir"]);
        assert_eq!(listing.entries[1].size, None);
        assert!(listing.entries[1].modified.is_some());
        let errors: Vec<_> = listing.refused.iter().map(|(_, error)| *error).collect();
        assert_eq!(
            errors,
            [
                PathError::Dots,
                PathError::Slash,
                PathError::Slash,
                PathError::Empty,
                PathError::Escape
            ]
        );
        assert!(JsonListing::read(b"{}").is_err());
        assert!(JsonListing::read(b"[{").is_err());
    }
}
