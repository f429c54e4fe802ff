//! The first bytes of a file on the server, in the details of its entry: text as lines, anything else in hexadecimal.

use std::fmt::Write as _;

use super::{Popup, State, View, cursor::Motion, effect::Effect, popup::Subject};
use crate::{escape::display_name, http1::path::RemotePath};

/// Bytes that are asked for.
pub const BYTES: usize = 64 << 10;
/// Lines that are kept of them.
const LINES: usize = 400;
/// Characters of a line.
const WIDTH: usize = 200;
/// Bytes of a line in hexadecimal.
const ROW: usize = 16;

/// What is known of a file's beginning.
#[derive(Debug)]
pub struct Preview {
    /// The file.
    pub path: RemotePath,
    /// What there is to show.
    pub shown: Shown,
    /// The first line in the window.
    pub top: usize,
}

/// What there is to show, all of it escaped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shown {
    /// It is being fetched.
    Waiting,
    /// Why it could not be.
    Failed(String),
    /// Lines of text.
    Text(Vec<String>),
    /// Addresses, bytes and what they are in ASCII.
    Hex(Vec<String>),
}

impl Shown {
    /// What bytes look like; `whole` if they are all of the file.
    pub fn of(bytes: &[u8], whole: bool) -> Self {
        match text(bytes, whole) {
            Some(text) => Self::Text(lines(text)),
            None => Self::Hex(hex(bytes)),
        }
    }

    /// The lines.
    pub fn lines(&self) -> &[String] {
        match self {
            Self::Text(lines) | Self::Hex(lines) => lines,
            Self::Waiting | Self::Failed(_) => &[],
        }
    }
}

/// The bytes as text, if that is what they are: UTF-8 with hardly a control character. What cuts a character is left out.
fn text(bytes: &[u8], whole: bool) -> Option<&str> {
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) if error.error_len().is_none() && !whole => {
            std::str::from_utf8(&bytes[..error.valid_up_to()]).ok()?
        }
        Err(_) => return None,
    };
    let odd = |c: &char| c.is_control() && !matches!(c, '\n' | '\r' | '\t' | '\x0c' | '\x1b');
    let odd = text.chars().filter(odd).count();
    (odd * 100 <= text.len()).then_some(text)
}

fn lines(text: &str) -> Vec<String> {
    let line = |line: &str| {
        let line = line.replace('\t', "    ");
        let cut: String = line.chars().take(WIDTH).collect();
        display_name(&cut).into_owned()
    };
    text.lines().take(LINES).map(line).collect()
}

fn hex(bytes: &[u8]) -> Vec<String> {
    let row = |(at, row): (usize, &[u8])| {
        let mut line = format!("{:06x} ", at * ROW);
        for byte in row {
            let _ = write!(line, " {byte:02x}");
        }
        let gap = 3 * (ROW - row.len()) + 2;
        line.push_str(&" ".repeat(gap));
        let seen = |byte: &u8| {
            if byte.is_ascii_graphic() {
                char::from(*byte)
            } else {
                '.'
            }
        };
        line.extend(row.iter().map(seen));
        line
    };
    bytes.chunks(ROW).enumerate().take(LINES).map(row).collect()
}

impl State {
    /// Asks for the beginning of the file whose details are shown.
    pub(super) fn ask_preview(&mut self) -> Option<Effect> {
        let (Some(Popup::Info(Subject::Entry(path))), View::Connect(view)) =
            (&self.popup, &self.view)
        else {
            return None;
        };
        let mut entries = view.remote.listing.entries().iter();
        let entry = entries.find(|entry| entry.name == path.name())?;
        if entry.is_dir || entry.size == Some(0) {
            return None;
        }
        let path = path.clone();
        self.preview = Some(Preview {
            path: path.clone(),
            shown: Shown::Waiting,
            top: 0,
        });
        Some(Effect::Preview(path))
    }

    pub(super) fn previewed(&mut self, path: &RemotePath, result: Result<Vec<u8>, String>) {
        let waits = |it: &&mut Preview| it.path == *path && it.shown == Shown::Waiting;
        let Some(preview) = self.preview.as_mut().filter(waits) else {
            return;
        };
        preview.shown = match result {
            Ok(bytes) => Shown::of(&bytes, bytes.len() < BYTES),
            Err(reason) => Shown::Failed(reason),
        };
    }

    /// Moves the window of the preview.
    pub(super) fn scroll_preview(&mut self, motion: Motion) {
        let Some(preview) = &mut self.preview else {
            return;
        };
        let page = 10;
        let last = preview.shown.lines().len().saturating_sub(1);
        let top = match motion {
            Motion::Up => preview.top.saturating_sub(1),
            Motion::Down => preview.top + 1,
            Motion::Top => 0,
            Motion::Bottom => last,
            Motion::PageUp | Motion::HalfUp => preview.top.saturating_sub(page),
            Motion::PageDown | Motion::HalfDown => preview.top + page,
        };
        preview.top = top.min(last);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_text_and_all_else_is_bytes() {
        let text = |bytes: &[u8], whole| match Shown::of(bytes, whole) {
            Shown::Text(lines) => Some(lines),
            _ => None,
        };
        assert_eq!(text(b"a\tb\r\nc\n", true).unwrap(), ["a    b", "c"]);
        assert_eq!(
            text(b"\x1b[31mred\x1b]0;x\x07", true),
            None,
            "too many control characters are no text"
        );
        let coloured = b"\x1b[31mred and a good deal more of it than of anything else\n";
        assert!(text(coloured, true).unwrap()[0].starts_with(r"\x1b[31mred"));
        let cut = &"ä".as_bytes()[..1];
        assert_eq!(
            text(&[b"long enough ", cut].concat(), false).unwrap(),
            ["long enough "]
        );
        assert_eq!(text(&[b"long enough ", cut].concat(), true), None);
        let Shown::Hex(lines) = Shown::of(b"\x7fELF\0\x1b]0;owned\x07\xff!!", true) else {
            panic!("bytes")
        };
        assert_eq!(
            lines,
            [
                "000000  7f 45 4c 46 00 1b 5d 30 3b 6f 77 6e 65 64 07 ff  .ELF..]0;owned..",
                "000010  21 21                                            !!"
            ]
        );
        let many = "line\n".repeat(10_000) + &"x".repeat(10_000);
        let lines = text(many.as_bytes(), true).unwrap();
        assert!(lines.len() == LINES && lines.iter().all(|line| line.len() <= WIDTH));
    }
}
