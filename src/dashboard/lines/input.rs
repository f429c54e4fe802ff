//! Lines of standard input.

use std::{
    io::{self, BufRead, Read as _},
    thread,
};

use tokio::sync::mpsc;

/// The longest line that is read, in bytes.
const LINE_MAX: usize = 64 << 10;

/// A line, or why it is none.
pub(super) type Line = Result<String, &'static str>;

/// Reads standard input to its end; the channel ends with it.
///
/// By a thread of its own rather than the runtime's pool, whose end would wait for this read.
pub(super) fn lines() -> mpsc::Receiver<Line> {
    let (sender, lines) = mpsc::channel(1);
    thread::spawn(move || {
        let mut input = io::stdin().lock();
        while let Some(line) = next(&mut input) {
            if sender.blocking_send(line).is_err() {
                return;
            }
        }
    });
    lines
}

/// The next line; `None` at the end, or where nothing can be read any more.
fn next(input: &mut impl BufRead) -> Option<Line> {
    let mut line = Vec::new();
    let mut bounded = input.take(LINE_MAX as u64 + 1);
    if bounded.read_until(b'\n', &mut line).ok()? == 0 {
        return None;
    }
    if line.len() > LINE_MAX && !line.ends_with(b"\n") {
        input.skip_until(b'\n').ok()?;
        return Some(Err("a line is longer than 64 KiB"));
    }
    Some(String::from_utf8(line).map_err(|_| "a line is not UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_bounded_and_text() {
        let mut text = b"a\r\n".to_vec();
        text.extend(vec![b'x'; LINE_MAX + 7]);
        text.extend(b"\n\xff\nlast");
        let mut input = &text[..];
        assert_eq!(next(&mut input), Some(Ok("a\r\n".to_owned())));
        assert_eq!(next(&mut input), Some(Err("a line is longer than 64 KiB")));
        assert_eq!(next(&mut input), Some(Err("a line is not UTF-8")));
        assert_eq!(next(&mut input), Some(Ok("last".to_owned())));
        assert_eq!(next(&mut input), None);
    }
}
