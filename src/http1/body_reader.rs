//! Framing of a message body as it is read (RFC 9112 §6 and §7): a state machine over whatever bytes are there.

/// Longest line that may stand before a chunk, extensions included.
const CHUNK_LINE_MAX: usize = 1024;
/// Most bytes that trailers may take; they are read and ignored.
const TRAILERS_MAX: usize = 8192;

/// How the end of a body is found (RFC 9112 §6.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// There is none.
    Empty,
    /// So many bytes.
    Length(u64),
    /// The chunked transfer coding.
    Chunked,
    /// Everything until the connection closes.
    Close,
}

/// Where in a body the reader stands.
#[derive(Debug)]
pub struct BodyReader(State);

#[derive(Debug, Clone, Copy)]
enum State {
    Length(u64),
    Close,
    ChunkLine,
    ChunkData(u64),
    ChunkEnd,
    Trailers(usize),
    Done,
}

/// What a look at the input found.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// Body bytes: after `skip` bytes of framing, `len` bytes of body.
    Data {
        /// Framing before them.
        skip: usize,
        /// Their number, never 0.
        len: usize,
    },
    /// More input is needed; the first `skip` bytes are used up.
    More {
        /// Framing that was used up.
        skip: usize,
    },
    /// The body has ended; the first `skip` bytes are used up, what follows is the next message.
    End {
        /// Framing that was used up.
        skip: usize,
    },
}

/// A body that breaks the rules of its framing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// A chunk's size is missing, malformed or too large.
    #[error("a malformed chunk")]
    Chunk,
    /// A chunk line or the trailers are longer than their limit.
    #[error("chunk framing that is too long")]
    TooLong,
    /// The connection closed in the middle.
    #[error("the connection closed before the end")]
    Truncated,
}

impl BodyReader {
    /// A reader at the beginning of a body.
    pub fn new(framing: Framing) -> Self {
        Self(match framing {
            Framing::Empty | Framing::Length(0) => State::Done,
            Framing::Length(n) => State::Length(n),
            Framing::Chunked => State::ChunkLine,
            Framing::Close => State::Close,
        })
    }

    /// Whether the whole body was read.
    pub fn is_done(&self) -> bool {
        matches!(self.0, State::Done)
    }

    /// Bytes still to come, where the framing tells.
    pub fn left(&self) -> Option<u64> {
        match self.0 {
            State::Length(left) => Some(left),
            State::Done => Some(0),
            _ => None,
        }
    }

    /// Looks at `input` (everything unread) and says what comes first in it.
    pub fn step(&mut self, input: &[u8]) -> Result<Step, BodyError> {
        let mut skip = 0;
        loop {
            let rest = &input[skip..];
            match self.0 {
                State::Done => return Ok(Step::End { skip }),
                _ if rest.is_empty() => return Ok(Step::More { skip }),
                State::Close => {
                    return Ok(Step::Data {
                        skip,
                        len: rest.len(),
                    });
                }
                State::Length(left) => {
                    let len = (rest.len() as u64).min(left);
                    self.0 = if len == left {
                        State::Done
                    } else {
                        State::Length(left - len)
                    };
                    return Ok(Step::Data {
                        skip,
                        len: len as usize,
                    });
                }
                State::ChunkData(left) => {
                    let len = (rest.len() as u64).min(left);
                    self.0 = if len == left {
                        State::ChunkEnd
                    } else {
                        State::ChunkData(left - len)
                    };
                    return Ok(Step::Data {
                        skip,
                        len: len as usize,
                    });
                }
                State::ChunkEnd => {
                    if rest == b"\r" {
                        return Ok(Step::More { skip });
                    }
                    if !rest.starts_with(b"\r\n") {
                        return Err(BodyError::Chunk);
                    }
                    skip += 2;
                    self.0 = State::ChunkLine;
                }
                State::ChunkLine => {
                    let Some(line) = line(rest, CHUNK_LINE_MAX)? else {
                        return Ok(Step::More { skip });
                    };
                    skip += line.len() + 2;
                    self.0 = match chunk_size(line)? {
                        0 => State::Trailers(0),
                        size => State::ChunkData(size),
                    };
                }
                State::Trailers(so_far) => {
                    let Some(line) = line(rest, TRAILERS_MAX)? else {
                        return Ok(Step::More { skip });
                    };
                    skip += line.len() + 2;
                    self.0 = match so_far + line.len() {
                        _ if line.is_empty() => State::Done,
                        n if n > TRAILERS_MAX => return Err(BodyError::TooLong),
                        n => State::Trailers(n),
                    };
                }
            }
        }
    }

    /// The connection closed: the end of the body, or a truncation.
    pub fn eof(&mut self) -> Result<(), BodyError> {
        match self.0 {
            State::Done | State::Close => {
                self.0 = State::Done;
                Ok(())
            }
            _ => Err(BodyError::Truncated),
        }
    }
}

/// The first line of `input` without its CR LF; `None` when its end is not there yet.
fn line(input: &[u8], max: usize) -> Result<Option<&[u8]>, BodyError> {
    match input.iter().position(|b| *b == b'\n') {
        Some(0) => Err(BodyError::Chunk),
        Some(end) if end > max => Err(BodyError::TooLong),
        Some(end) if input[end - 1] != b'\r' => Err(BodyError::Chunk),
        Some(end) => Ok(Some(&input[..end - 1])),
        None if input.len() > max => Err(BodyError::TooLong),
        None => Ok(None),
    }
}

/// The size in a chunk line, extensions ignored (RFC 9112 §7.1.1).
fn chunk_size(line: &[u8]) -> Result<u64, BodyError> {
    let digits = line
        .split(|b| matches!(b, b';' | b' ' | b'\t'))
        .next()
        .unwrap_or_default();
    // 15 digits keep the value below 2^60: no file is larger, and no addition overflows.
    if digits.is_empty() || digits.len() > 15 {
        return Err(BodyError::Chunk);
    }
    digits.iter().try_fold(0u64, |size, digit| {
        let digit = (*digit as char).to_digit(16).ok_or(BodyError::Chunk)?;
        Ok(size * 16 + u64::from(digit))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds `wire` in portions of `step` bytes; returns the body and what was left over.
    fn read(framing: Framing, wire: &[u8], step: usize) -> Result<(Vec<u8>, usize), BodyError> {
        let (mut reader, mut body) = (BodyReader::new(framing), Vec::new());
        let (mut buffer, mut fed) = (Vec::new(), 0);
        loop {
            match reader.step(&buffer)? {
                Step::Data { skip, len } => {
                    body.extend_from_slice(&buffer[skip..skip + len]);
                    buffer.drain(..skip + len);
                }
                Step::End { skip } => return Ok((body, wire.len() - fed + buffer.len() - skip)),
                Step::More { skip } => {
                    buffer.drain(..skip);
                    if fed == wire.len() {
                        reader.eof()?;
                        return Ok((body, 0));
                    }
                    let end = (fed + step).min(wire.len());
                    buffer.extend_from_slice(&wire[fed..end]);
                    fed = end;
                }
            }
        }
    }

    #[test]
    fn every_framing_survives_every_split() {
        let chunked = b"4;x=y\r\nWiki\r\n5\r\npedia\r\n0\r\nTrailer: 1\r\n\r\nNEXT";
        for step in 1..=chunked.len() {
            assert_eq!(
                read(Framing::Chunked, chunked, step),
                Ok((b"Wikipedia".to_vec(), 4)),
                "{step}"
            );
            assert_eq!(
                read(Framing::Length(4), b"bodyNEXT", step),
                Ok((b"body".to_vec(), 4))
            );
            assert_eq!(read(Framing::Close, b"all", step), Ok((b"all".to_vec(), 0)));
        }
        assert_eq!(read(Framing::Empty, b"NEXT", 9), Ok((vec![], 4)));
    }

    #[test]
    fn broken_framing_is_refused() {
        for (wire, error) in [
            (&b"4\r\nWi"[..], BodyError::Truncated),
            (b"x\r\n", BodyError::Chunk),
            (b"\r\n", BodyError::Chunk),
            (b"4\nWiki\r\n", BodyError::Chunk),
            (b"1\r\nab\r\n", BodyError::Chunk),
            (b"1000000000000000\r\n", BodyError::Chunk),
            (b"0\r\n", BodyError::Truncated),
        ] {
            assert_eq!(
                read(Framing::Chunked, wire, 3).unwrap_err(),
                error,
                "{wire:?}"
            );
        }
        assert_eq!(
            read(Framing::Length(9), b"short", 2),
            Err(BodyError::Truncated)
        );
        let endless = [b"1;".as_slice(), &[b'x'; 2000]].concat();
        assert_eq!(
            read(Framing::Chunked, &endless, 100),
            Err(BodyError::TooLong)
        );
    }

    #[test]
    fn framing_may_be_so_long_and_no_longer() {
        let chunk = |extension: usize| {
            let line = format!("1;{}\r\nx\r\n0\r\n\r\n", "y".repeat(extension));
            // In one piece, and with its end still to come.
            let whole = read(Framing::Chunked, line.as_bytes(), line.len());
            assert_eq!(whole, read(Framing::Chunked, line.as_bytes(), 1));
            whole.map(|(body, _)| body)
        };
        assert_eq!(chunk(CHUNK_LINE_MAX - 3), Ok(b"x".to_vec()));
        assert_eq!(chunk(CHUNK_LINE_MAX - 2), Err(BodyError::TooLong));
        let trailers = |last: usize| {
            let fields = "A: 6789\r\n".repeat(TRAILERS_MAX / 7);
            let wire = format!("0\r\n{fields}{}\r\n\r\n", "z".repeat(last));
            read(Framing::Chunked, wire.as_bytes(), 999)
        };
        assert_eq!(trailers(TRAILERS_MAX % 7), Ok((vec![], 0)));
        assert_eq!(trailers(TRAILERS_MAX % 7 + 1), Err(BodyError::TooLong));
    }

    #[test]
    fn sizes_of_chunks_are_read_as_they_are_written() {
        let sized = |size: &str, bytes: usize| {
            let wire = format!("{size}\r\n{}\r\n0\r\n\r\n", "x".repeat(bytes));
            read(Framing::Chunked, wire.as_bytes(), 7)
        };
        for (size, bytes) in [("1A", 26), ("010", 16), ("00000000000001f", 31)] {
            assert_eq!(sized(size, bytes), Ok((vec![b'x'; bytes], 0)), "{size}");
        }
        assert_eq!(sized("000000000000001f", 31), Err(BodyError::Chunk));
        // A line that ends in LF alone is none, also where it would make sense without its last digit.
        let bare = read(Framing::Chunked, b"44\nWiki\r\n0\r\n\r\n", 7);
        assert_eq!(bare, Err(BodyError::Chunk));
    }

    #[test]
    fn what_is_left_is_told_where_the_framing_knows_it() {
        for (framing, left) in [
            (Framing::Empty, Some(0)),
            (Framing::Length(0), Some(0)),
            (Framing::Length(9), Some(9)),
            (Framing::Chunked, None),
            (Framing::Close, None),
        ] {
            let reader = BodyReader::new(framing);
            assert_eq!(reader.left(), left, "{framing:?}");
            assert_eq!(reader.is_done(), left == Some(0), "{framing:?}");
        }
        let mut reader = BodyReader::new(Framing::Length(9));
        reader.step(b"1234").unwrap();
        assert_eq!((reader.left(), reader.is_done()), (Some(5), false));
        reader.step(b"56789NEXT").unwrap();
        assert_eq!((reader.left(), reader.is_done()), (Some(0), true));
        let mut reader = BodyReader::new(Framing::Chunked);
        assert_eq!(reader.step(b"0\r\n\r\n"), Ok(Step::End { skip: 5 }));
        assert_eq!((reader.left(), reader.is_done()), (Some(0), true));
    }
}
