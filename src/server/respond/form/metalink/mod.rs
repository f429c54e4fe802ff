//! Metalinks (RFC 5854): what a file or a tree holds, where, and with which digests, for clients that verify and repair.

use std::{fmt::Write as _, io, io::Write as _, sync::Arc};

use crate::http1::{
    path::{RemotePath, encode_name},
    response::SERVER,
};
use crate::server::{
    digests::{
        Known, Stream,
        sha256::{DIGEST_LEN, piece_count, piece_len},
    },
    people::taken::SmallFile,
    respond::chunks::{Chunk, Chunks, Next},
    respond::form::listing::Source,
    respond::form::page::escape,
    respond::link::Link,
    tree::stamp::Stamp,
    tree::walk::Walk,
};

mod hashed;
pub use hashed::HashedLink;

/// The media type of a Metalink.
pub const MEDIA_TYPE: &str = "application/metalink4+xml";

const END: &str = "</metalink>\n";
/// What stands around the digest of a piece.
const PIECE: (&str, &str) = ("      <hash>", "</hash>\n");
/// What stands around the digest of a file.
const WHOLE: (&str, &str) = ("    <hash type=\"sha-256\">", "</hash>\n");
const FILE_END: &str = "  </file>\n";

fn begin() -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <metalink xmlns=\"urn:ietf:params:xml:ns:metalink\">\n  <generator>{SERVER}</generator>\n"
    )
}

/// The start of a file's element. `origin` is scheme and authority as the client named them.
fn file_begin(text: &mut String, name: &RemotePath, size: u64, origin: &str, path: &RemotePath) {
    // Writing to a String cannot fail.
    let _ = write!(
        text,
        "  <file name=\"{}\">\n    <size>{size}</size>\n    <url>{}{}</url>\n",
        file_name(name),
        escape(origin),
        path.to_target(),
    );
}

fn push_hex(text: &mut String, (before, after): (&str, &str), digest: &[u8]) {
    text.push_str(before);
    for byte in digest {
        let _ = write!(text, "{byte:02x}");
    }
    text.push_str(after);
}

/// A relative path for the `name` attribute (RFC 5854 §4.1.2.1), escaped.
///
/// It never begins with a slash and holds no `.` or `..`, as no [`RemotePath`] does. A name that XML cannot carry, or
/// that a terminal would act on, is percent-encoded as a whole.
fn file_name(path: &RemotePath) -> String {
    let mut text = String::new();
    for name in path.names() {
        if !text.is_empty() {
            text.push('/');
        }
        match std::str::from_utf8(name) {
            Ok(name) if !name.chars().any(is_unfit) => text.push_str(&escape(name)),
            _ => text.push_str(&encode_name(name)),
        }
    }
    text
}

/// Controls, and what no XML document holds (XML 1.0 §2.2).
fn is_unfit(c: char) -> bool {
    c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}')
}

/// The Metalink of one file: its pieces' digests as they are computed, the file's own last.
pub struct FileLink {
    stream: Stream,
    size: u64,
    /// Bytes of a digest that is not whole yet.
    partial: Vec<u8>,
    /// Digests written so far.
    written: u64,
    /// What follows the file's element.
    end: &'static str,
}

impl FileLink {
    /// The document's beginning and the rest of it, which comes as `stream` does.
    pub fn new(stream: Stream, origin: &str, path: &RemotePath, size: u64) -> (String, Self) {
        let mut text = begin();
        let mut name = RemotePath::root();
        // The name was part of a path before.
        let _ = name.push(path.name());
        file_begin(&mut text, &name, size, origin, path);
        (text + &pieces_begin(size), Self::of(stream, size, END))
    }

    /// One of several files: what stands in its element behind its place, to the element's end.
    pub fn one(stream: Stream, size: u64) -> (String, Self) {
        (pieces_begin(size), Self::of(stream, size, ""))
    }

    fn of(stream: Stream, size: u64, end: &'static str) -> Self {
        Self {
            stream,
            size,
            partial: Vec::new(),
            written: 0,
            end,
        }
    }

    /// Bytes behind the beginning of the document of a file of `size` bytes.
    pub fn len(size: u64) -> u64 {
        let hex = |(before, after): (&str, &str)| before.len() + 2 * DIGEST_LEN + after.len();
        let pieces = match piece_count(size) {
            0 => 0,
            count => count * hex(PIECE) as u64 + PIECES_END.len() as u64,
        };
        pieces + (hex(WHOLE) + FILE_END.len() + END.len()) as u64
    }

    /// The next part, as soon as more is computed; `None` behind the last.
    pub async fn next(&mut self) -> io::Result<Option<Vec<u8>>> {
        let bytes = self.stream.next().await?;
        Ok(bytes.map(|bytes| self.text_of(&bytes).into_bytes()))
    }

    /// What the stream's next bytes are in the document.
    pub fn text_of(&mut self, bytes: &[u8]) -> String {
        self.partial.extend_from_slice(bytes);
        let pieces = piece_count(self.size);
        let mut text = String::new();
        let (digests, rest) = self.partial.as_chunks::<DIGEST_LEN>();
        for digest in digests {
            // What follows the file's own digest is a check for the cache.
            match self.written.cmp(&pieces) {
                std::cmp::Ordering::Less => push_hex(&mut text, PIECE, digest),
                std::cmp::Ordering::Equal => {
                    if pieces > 0 {
                        text.push_str(PIECES_END);
                    }
                    push_hex(&mut text, WHOLE, digest);
                    text.push_str(FILE_END);
                    text.push_str(self.end);
                }
                std::cmp::Ordering::Greater => {}
            }
            self.written += 1;
        }
        self.partial = rest.to_vec();
        text
    }
}

fn pieces_begin(size: u64) -> String {
    if piece_count(size) == 0 {
        return String::new();
    }
    let length = piece_len(size);
    format!("    <pieces length=\"{length}\" type=\"sha-256\">\n")
}

const PIECES_END: &str = "    </pieces>\n";

impl Chunks for FileLink {
    fn next<'a>(&'a mut self, link: Link<'a>, _: &'a mut Vec<SmallFile>) -> Next<'a> {
        Box::pin(async move {
            let bytes = link.unless_gone(Self::next(self)).await??;
            Ok(bytes.map_or(Chunk::End, Chunk::Bytes))
        })
    }
}

/// The Metalink of a tree: every file with its size and place, and with its digest where that is known already.
pub struct TreeLink {
    walk: Walk,
    known: Arc<Known>,
    origin: String,
    dir: RemotePath,
    begun: bool,
    /// What could not be read; once it is told, the document breaks off.
    left_out: u64,
}

impl TreeLink {
    /// The Metalink of all that `walk` finds below `dir`; names are relative to it.
    pub fn new(walk: Walk, known: Arc<Known>, origin: String, dir: RemotePath) -> Self {
        Self {
            walk,
            known,
            origin,
            dir,
            begun: false,
            left_out: 0,
        }
    }
}

/// A file of a tree.
struct TreeFile {
    path: RemotePath,
    /// Its path below the tree's directory.
    name: RemotePath,
    size: u64,
    stamp: Stamp,
}

impl TreeLink {
    fn begin(&mut self, out: &mut Vec<u8>) {
        if !std::mem::replace(&mut self.begun, true) {
            out.extend_from_slice(begin().as_bytes());
        }
    }

    fn next_file(&mut self) -> io::Result<Option<TreeFile>> {
        while let Some((path, listed)) = self.walk.next()? {
            if let (Some(size), Some(name)) = (listed.entry.size, path.below(&self.dir)) {
                let stamp = listed.stamp;
                return Ok(Some(TreeFile {
                    path,
                    name,
                    size,
                    stamp,
                }));
            }
        }
        Ok(None)
    }

    /// The start of its element.
    fn file_begin(&self, file: &TreeFile) -> String {
        let mut text = String::new();
        file_begin(&mut text, &file.name, file.size, &self.origin, &file.path);
        text
    }

    /// Its element, with the digest of the whole file where that is known.
    fn element(&self, file: &TreeFile, digest: Option<[u8; DIGEST_LEN]>) -> String {
        let mut text = self.file_begin(file);
        if let Some(digest) = digest {
            push_hex(&mut text, WHOLE, &digest);
        }
        text.push_str(FILE_END);
        text
    }

    /// Whether it breaks off here: what is not whole never looks whole. It is said why before, and the file without its end.
    fn breaks_off(&mut self, out: &mut Vec<u8>) -> io::Result<bool> {
        if self.left_out > 0 {
            return Err(io::Error::other("something of the tree could not be read"));
        }
        self.left_out = self.walk.unreadable();
        if self.left_out > 0 {
            writeln!(out, "  <!-- not readable, left out: {} -->", self.left_out)?;
        }
        Ok(self.left_out > 0)
    }
}

impl Source for TreeLink {
    fn fill(&mut self, out: &mut Vec<u8>, target: usize) -> io::Result<bool> {
        if self.left_out > 0 && !out.is_empty() {
            // What is there goes out before it breaks off.
            return Ok(false);
        }
        self.begin(out);
        while out.len() < target {
            let Some(file) = self.next_file()? else {
                if self.breaks_off(out)? {
                    return Ok(false);
                }
                out.extend_from_slice(END.as_bytes());
                return Ok(true);
            };
            let digest = self.known.look(&file.stamp).sha256;
            out.extend_from_slice(self.element(&file, digest).as_bytes());
        }
        Ok(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_within_xml_and_beneath_the_target() {
        for (name, shown) in [
            (b"a b.txt".as_slice(), "a b.txt"),
            (b"<&>\"'", "&#60;&#38;&#62;&#34;&#39;"),
            ("日本/ü".as_bytes(), "日本/ü"),
            (b"d/new\nline%", "d/new%0Aline%25"),
            (b"\x1b[31m", "%1B%5B31m"),
            (b"\xff", "%FF"),
            ("\u{9b}".as_bytes(), "%C2%9B"),
            ("\u{ffff}".as_bytes(), "%EF%BF%BF"),
        ] {
            let mut path = RemotePath::root();
            for part in name.split(|b| *b == b'/') {
                path.push(part).unwrap();
            }
            assert_eq!(file_name(&path), shown);
        }
    }
}
