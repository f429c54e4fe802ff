//! Remote paths: bytes between slashes, decoded once, and their percent-encoded form on the wire (RFC 3986).

use std::{borrow::Cow, fmt};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode, percent_encode};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// What stays as it is in a path segment: the unreserved characters of RFC 3986 §2.3.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// A path below the root of a listing: decoded bytes, segments joined by `/`, without a leading slash.
///
/// The empty path is the root itself. A trailing slash marks a directory. No segment is empty, `.` or `..`, and
/// none holds NUL, so that a path can be joined to a directory handle as it is. Names need not be UTF-8.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct RemotePath(Vec<u8>);

/// As in a request: percent-encoded, with a slash at its beginning.
impl Serialize for RemotePath {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&self.to_target())
    }
}

impl<'de> Deserialize<'de> for RemotePath {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let target = String::deserialize(from)?;
        Self::from_target(target.as_bytes()).map_err(D::Error::custom)
    }
}

/// Why bytes are no [`RemotePath`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// A `%` without two hexadecimal digits behind it.
    #[error("a malformed percent escape")]
    Escape,
    /// A NUL byte.
    #[error("a NUL byte")]
    Nul,
    /// `%2F`: a slash that the name cannot hold.
    #[error("an escaped slash")]
    Slash,
    /// A segment that is `.` or `..`.
    #[error("a `.` or `..` segment")]
    Dots,
    /// An empty name.
    #[error("an empty name")]
    Empty,
    /// A name longer than 255 bytes, which no file system here takes.
    #[error("a name of more than 255 bytes")]
    Long,
}

/// The longest name that Linux, macOS and the BSDs take, in bytes.
const NAME_MAX: usize = 255;

impl RemotePath {
    /// The root.
    pub const fn root() -> Self {
        Self(Vec::new())
    }

    /// Takes the path of a request target (`/a%20b/c/`), decoding it once. Repeated slashes count as one.
    pub fn from_target(target: &[u8]) -> Result<Self, PathError> {
        let mut path = Self::root();
        let is_dir = target.last() == Some(&b'/');
        for segment in target.split(|b| *b == b'/').filter(|s| !s.is_empty()) {
            let name = decode(segment)?;
            if name.contains(&b'/') {
                return Err(PathError::Slash);
            }
            path.push(&name)?;
        }
        if is_dir {
            path.make_dir();
        }
        Ok(path)
    }

    /// Appends one decoded name. The path becomes that of a file; see [`Self::make_dir`].
    pub fn push(&mut self, name: &[u8]) -> Result<(), PathError> {
        check_name(name)?;
        if !self.0.is_empty() && !self.is_dir() {
            self.0.push(b'/');
        }
        self.0.extend_from_slice(name);
        Ok(())
    }

    /// This directory's entry `name`.
    pub fn join(&self, name: &[u8]) -> Result<Self, PathError> {
        let mut path = self.clone();
        path.push(name)?;
        Ok(path)
    }

    /// What lies below this directory under these names, with slashes between them.
    pub fn join_all(&self, names: &[u8]) -> Result<Self, PathError> {
        let mut path = self.clone();
        names
            .split(|b| *b == b'/')
            .try_for_each(|name| path.push(name))?;
        Ok(path)
    }

    /// Marks the path as a directory's by a trailing slash (the root needs none).
    pub fn make_dir(&mut self) {
        if !self.0.is_empty() && !self.is_dir() {
            self.0.push(b'/');
        }
    }

    /// The same path, marked as a directory's.
    #[must_use]
    pub fn into_dir(mut self) -> Self {
        self.make_dir();
        self
    }

    /// Whether this is the root or ends with a slash.
    pub fn is_dir(&self) -> bool {
        self.0.is_empty() || self.0.last() == Some(&b'/')
    }

    /// Whether this is the root.
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// The decoded bytes, with the trailing slash of a directory.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The decoded bytes without a trailing slash.
    pub fn trimmed(&self) -> &[u8] {
        self.0.strip_suffix(b"/").unwrap_or(&self.0)
    }

    /// The last name, without a trailing slash; empty for the root.
    pub fn name(&self) -> &[u8] {
        let path = self.trimmed();
        path.iter()
            .rposition(|b| *b == b'/')
            .map_or(path, |at| &path[at + 1..])
    }

    /// The directory that holds this; the root is its own parent.
    #[must_use]
    pub fn parent(&self) -> Self {
        let path = self.trimmed();
        Self(
            path.iter()
                .rposition(|b| *b == b'/')
                .map_or(Vec::new(), |at| path[..=at].to_vec()),
        )
    }

    /// The names from the root down.
    pub fn names(&self) -> impl DoubleEndedIterator<Item = &[u8]> {
        self.trimmed()
            .split(|b| *b == b'/')
            .filter(|s| !s.is_empty())
    }

    /// The path below `base`, or `None` when it does not lie there.
    pub fn below(&self, base: &Self) -> Option<Self> {
        self.0
            .strip_prefix(base.0.as_slice())
            .map(|rest| Self(rest.to_vec()))
    }

    /// The percent-encoded form with a leading slash, as it stands in a request line.
    pub fn to_target(&self) -> String {
        let mut target = String::with_capacity(self.0.len() + 16);
        target.push('/');
        target.push_str(&self.encoded());
        target
    }

    /// The percent-encoded form without a leading slash: a relative reference.
    pub fn encoded(&self) -> String {
        let mut text = String::with_capacity(self.0.len() + 16);
        for name in self.names() {
            if !text.is_empty() {
                text.push('/');
            }
            text.push_str(&encode_name(name));
        }
        if self.is_dir() && !self.is_root() {
            text.push('/');
        }
        text
    }

    /// The path as text with U+FFFD for what is no UTF-8; raw, so pass it through `display_name` before showing it.
    pub fn to_string_lossy(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.0)
    }
}

impl fmt::Debug for RemotePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.to_string_lossy())
    }
}

/// Refuses a name that cannot be one entry of a directory.
pub fn check_name(name: &[u8]) -> Result<(), PathError> {
    match name {
        b"" => Err(PathError::Empty),
        b"." | b".." => Err(PathError::Dots),
        _ if name.contains(&b'/') => Err(PathError::Slash),
        _ if name.contains(&0) => Err(PathError::Nul),
        _ if name.len() > NAME_MAX => Err(PathError::Long),
        _ => Ok(()),
    }
}

/// One name percent-encoded, so that it holds neither `/` nor anything else that a URL gives a meaning to.
pub fn encode_name(name: &[u8]) -> Cow<'_, str> {
    percent_encode(name, SEGMENT).into()
}

/// Percent-decodes `segment` once; a `%` that starts no escape is an error, not a literal.
pub fn decode(segment: &[u8]) -> Result<Cow<'_, [u8]>, PathError> {
    let escapes = segment
        .iter()
        .enumerate()
        .filter(|(_, b)| **b == b'%')
        .map(|(i, _)| i);
    for at in escapes {
        let digits = segment.get(at + 1..at + 3).ok_or(PathError::Escape)?;
        if !digits.iter().all(u8::is_ascii_hexdigit) {
            return Err(PathError::Escape);
        }
    }
    Ok(percent_decode(segment).into())
}

/// Percent-decodes `segment` once as browsers do: a `%` that starts no escape stands for itself.
pub fn decode_leniently(segment: &[u8]) -> Cow<'_, [u8]> {
    percent_decode(segment).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(target: &str) -> RemotePath {
        RemotePath::from_target(target.as_bytes()).unwrap()
    }

    #[test]
    fn targets_are_decoded_once_and_encoded_back() {
        let odd = path("/a%20b/100%2525/%E6%97%A5%ff/x%23y%3F");
        assert_eq!(odd.as_bytes(), b"a b/100%25/\xe6\x97\xa5\xff/x#y?");
        assert_eq!(odd.to_target(), "/a%20b/100%2525/%E6%97%A5%FF/x%23y%3F");
        assert_eq!(path("//a///b/").as_bytes(), b"a/b/");
        assert_eq!(path("/"), RemotePath::root());
        assert_eq!(RemotePath::root().to_target(), "/");
    }

    #[test]
    fn what_could_climb_or_confuse_is_refused() {
        for (target, error) in [
            ("/..", PathError::Dots),
            ("/a/../b", PathError::Dots),
            ("/%2e%2E/b", PathError::Dots),
            ("/./a", PathError::Dots),
            ("/a%2fb", PathError::Slash),
            ("/a%00", PathError::Nul),
            ("/a%", PathError::Escape),
            ("/a%4", PathError::Escape),
            ("/a%zz", PathError::Escape),
        ] {
            assert_eq!(
                RemotePath::from_target(target.as_bytes()),
                Err(error),
                "{target}"
            );
        }
        assert!(RemotePath::from_target(&[b'a'; 255]).is_ok());
        assert!(RemotePath::from_target(&[b'a'; 256]).is_err());
        assert_eq!(path("/...").as_bytes(), b"...");
    }

    #[test]
    fn a_path_is_written_as_a_target_and_shown_as_text() {
        let odd = path("/a%20b/%E6%97%A5%ff/");
        assert_eq!(odd.to_string_lossy(), "a b/日\u{fffd}/");
        assert_eq!(format!("{odd:?}"), "\"a b/日\u{fffd}/\"");
        let written = serde_json::to_string(&odd).unwrap();
        assert_eq!(written, "\"/a%20b/%E6%97%A5%FF/\"");
        assert_eq!(serde_json::from_str::<RemotePath>(&written).unwrap(), odd);
        assert!(serde_json::from_str::<RemotePath>("\"/../a\"").is_err());
    }

    #[test]
    fn parents_names_and_bases() {
        let deep = path("/a/b/c.txt");
        assert_eq!(deep.name(), b"c.txt");
        assert_eq!(deep.parent().as_bytes(), b"a/b/");
        assert_eq!(deep.parent().parent().parent(), RemotePath::root());
        assert_eq!(deep.below(&path("/a/")).unwrap().as_bytes(), b"b/c.txt");
        assert_eq!(deep.below(&path("/x/")), None);
        assert_eq!(deep.names().count(), 3);
        assert_eq!(RemotePath::root().names().count(), 0);
        let joined = path("/a/").join(b"q").unwrap();
        assert_eq!(joined.as_bytes(), b"a/q");
        assert!(joined.clone().into_dir().is_dir());
    }
}
