//! Undoing what a server did to a content while it sent it, although it was asked not to.
//!
//! The decoders pull, a connection pushes: each body gets a thread of the blocking pool and two short channels, which
//! bound what is held of it whatever the ratio is.

use std::{
    borrow::Cow,
    io::{self, BufRead, BufReader, Read},
};

use tokio::sync::mpsc;

use super::connection::Connection;
use crate::{
    client::Error,
    http1::{body_reader::BodyReader, coding::Coding, response_head::ResponseHead},
};

/// Decoded bytes that are handed on at once.
const OUT: usize = 128 * 1024;
/// Pieces of input or output that wait.
const WAITING: usize = 2;
/// Decoded bytes for each byte that came: more than DEFLATE can give (1,032), so that only what was made to harm has more.
const RATIO_MAX: u64 = 1100;
/// Decoded bytes that are never too many.
const FREE: u64 = 1 << 20;

/// A body that is being decoded.
#[derive(Debug)]
pub struct Decoder {
    /// `None` once the body has ended.
    input: Option<mpsc::Sender<Vec<u8>>>,
    output: mpsc::Receiver<io::Result<Vec<u8>>>,
    taken: u64,
    given: u64,
}

/// What a decoder waits for, or has.
pub enum Turn {
    /// Room for more input.
    Hungry,
    /// Decoded bytes.
    Bytes(Vec<u8>),
    /// The content's end.
    End,
}

impl Decoder {
    /// Begins to decode; `None` for a coding that is not known.
    pub fn new(coding: &Coding) -> Option<Self> {
        if matches!(coding, Coding::Other(_)) {
            return None;
        }
        let (input, from) = mpsc::channel(WAITING);
        let (to, output) = mpsc::channel(WAITING);
        let coding = coding.clone();
        tokio::task::spawn_blocking(move || decode(&coding, Input::new(from), &to));
        Some(Self {
            input: Some(input),
            output,
            taken: 0,
            given: 0,
        })
    }

    /// What is next. Cancelling it loses nothing.
    pub async fn turn(&mut self) -> Result<Turn, Error> {
        let decoded = match &self.input {
            Some(input) => tokio::select! {
                biased;
                decoded = self.output.recv() => decoded,
                permit = input.reserve() => match permit {
                    Ok(_) => return Ok(Turn::Hungry),
                    // The decoder has ended: it says how.
                    Err(_) => self.output.recv().await,
                },
            },
            None => self.output.recv().await,
        };
        match decoded {
            None if self.input.is_some() => Err(broken("there is more than its coding says")),
            None => Ok(Turn::End),
            Some(Ok(bytes)) => {
                self.given += bytes.len() as u64;
                if self.given > FREE + self.taken.saturating_mul(RATIO_MAX) {
                    return Err(broken("it grows out of all measure"));
                }
                Ok(Turn::Bytes(bytes))
            }
            Some(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => {
                Err(Error::Broken("the coded answer ends in the middle".into()))
            }
            Some(Err(error)) => Err(broken(&error.to_string())),
        }
    }

    /// Takes what came.
    pub async fn feed(&mut self, bytes: &[u8]) {
        self.taken += bytes.len() as u64;
        if let Some(input) = &self.input {
            // A decoder that ended says why at the next turn.
            let _ = input.send(bytes.to_vec()).await;
        }
    }

    /// The body has ended.
    pub fn end(&mut self) {
        self.input = None;
    }
}

/// What undoes the coding of the answer about a file of this name: nothing where there is none, or where it is the
/// file's own form.
pub fn decoder(name: &[u8], head: &ResponseHead) -> Result<Option<Decoder>, Error> {
    let Some(coding) = &head.coding else {
        return Ok(None);
    };
    // A server that codes on the way marks the variant, or does not know its length and says that it depends.
    let on_the_way = head.variant || (head.length.is_none() && head.varies);
    let is_own_form = !on_the_way && coding.is_own_form(name, &head.content_type);
    if head.length == Some(0) || is_own_form {
        return Ok(None);
    }
    let unknown = || Error::Encoded(coding.to_string());
    Decoder::new(coding).ok_or_else(unknown).map(Some)
}

/// What comes next of a body: how many bytes were received for it, and the content. `None` at the end.
pub async fn next<'c>(
    connection: &'c mut Connection,
    body: &mut BodyReader,
    decoder: Option<&mut Decoder>,
) -> Result<Option<(usize, Cow<'c, [u8]>)>, Error> {
    let Some(decoder) = decoder else {
        let range = connection.chunk(body).await?;
        return Ok(range.map(|range| (range.len(), Cow::Borrowed(connection.bytes(range)))));
    };
    let mut received = 0;
    loop {
        match decoder.turn().await? {
            Turn::Hungry => match connection.chunk(body).await? {
                Some(range) => {
                    received += range.len();
                    decoder.feed(connection.bytes(range)).await;
                }
                None => decoder.end(),
            },
            Turn::Bytes(bytes) => return Ok(Some((received, bytes.into()))),
            Turn::End if received > 0 => return Ok(Some((received, Cow::Borrowed(&[])))),
            Turn::End => return Ok(None),
        }
    }
}

/// Whether gzip is inside the gzip that `content` begins with.
pub fn coded_twice(content: &[u8]) -> bool {
    let mut inside = [0; 3];
    let mut decoder = flate2::bufread::GzDecoder::new(content);
    decoder.read_exact(&mut inside).is_ok() && inside == [0x1f, 0x8b, 8]
}

fn broken(why: &str) -> Error {
    Error::Undecodable(why.into())
}

/// What came, for a decoder to read.
struct Input {
    from: mpsc::Receiver<Vec<u8>>,
    bytes: Vec<u8>,
    at: usize,
}

impl Input {
    fn new(from: mpsc::Receiver<Vec<u8>>) -> Self {
        Self {
            from,
            bytes: Vec::new(),
            at: 0,
        }
    }
}

impl Read for Input {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while self.at == self.bytes.len() {
            let Some(bytes) = self.from.blocking_recv() else {
                return Ok(0);
            };
            (self.bytes, self.at) = (bytes, 0);
        }
        let n = out.len().min(self.bytes.len() - self.at);
        out[..n].copy_from_slice(&self.bytes[self.at..self.at + n]);
        self.at += n;
        Ok(n)
    }
}

/// Decodes to the end, or until nobody listens. Blocking.
fn decode(coding: &Coding, input: Input, to: &mpsc::Sender<io::Result<Vec<u8>>>) {
    let mut input = BufReader::new(input);
    let ended = match coding {
        Coding::Gzip => copy(&mut flate2::bufread::MultiGzDecoder::new(&mut input), to),
        Coding::Deflate => match is_zlib(&mut input) {
            Ok(true) => copy(&mut flate2::bufread::ZlibDecoder::new(&mut input), to),
            Ok(false) => copy(&mut flate2::bufread::DeflateDecoder::new(&mut input), to),
            Err(error) => Err(error),
        },
        Coding::Brotli => copy(
            &mut brotli_decompressor::Decompressor::new(&mut input, 4096),
            to,
        ),
        Coding::Zstd => frames(&mut input, to),
        Coding::Other(_) => Ok(()),
    };
    let ended = ended.and_then(|()| match input.fill_buf() {
        Ok([]) => Ok(()),
        Ok(_) => Err(io::Error::other("something follows its end")),
        Err(error) => Err(error),
    });
    if let Err(error) = ended {
        let _ = to.blocking_send(Err(error));
    }
}

/// Whether a `deflate` begins as RFC 1950 has it, and is not the bare RFC 1951 that some servers send.
fn is_zlib(input: &mut impl BufRead) -> io::Result<bool> {
    let first = input.fill_buf()?;
    Ok(match first {
        [a, b, ..] => a & 0x0f == 8 && u16::from_be_bytes([*a, *b]).is_multiple_of(31),
        _ => true,
    })
}

/// Each zstd frame in turn.
fn frames(input: &mut impl BufRead, to: &mpsc::Sender<io::Result<Vec<u8>>>) -> io::Result<()> {
    loop {
        let mut frame =
            ruzstd::decoding::StreamingDecoder::new(&mut *input).map_err(io::Error::other)?;
        copy(&mut frame, to)?;
        if input.fill_buf()?.is_empty() {
            return Ok(());
        }
    }
}

fn copy(decoder: &mut impl Read, to: &mpsc::Sender<io::Result<Vec<u8>>>) -> io::Result<()> {
    loop {
        let mut bytes = vec![0; OUT];
        let mut filled = 0;
        while filled < OUT {
            match decoder.read(&mut bytes[filled..])? {
                0 => break,
                n => filled += n,
            }
        }
        bytes.truncate(filled);
        let last = filled < OUT;
        if filled > 0 && to.blocking_send(Ok(bytes)).is_err() || last {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    /// Decodes `wire` as it comes in portions of `step` bytes.
    fn decoded(coding: &Coding, wire: &[u8], step: usize) -> Result<Vec<u8>, Error> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        runtime.block_on(async {
            let (mut decoder, mut content) = (Decoder::new(coding).unwrap(), Vec::new());
            let mut parts = wire.chunks(step);
            loop {
                match decoder.turn().await? {
                    Turn::Hungry => match parts.next() {
                        Some(part) => decoder.feed(part).await,
                        None => decoder.end(),
                    },
                    Turn::Bytes(bytes) => content.extend(bytes),
                    Turn::End => return Ok(content),
                }
            }
        })
    }

    fn content() -> Vec<u8> {
        (0..300_000u32)
            .flat_map(|n| (n / 7).to_le_bytes())
            .collect()
    }

    fn gzip(content: &[u8]) -> Vec<u8> {
        let mut coder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        coder.write_all(content).unwrap();
        coder.finish().unwrap()
    }

    #[test]
    fn a_content_comes_out_whatever_the_portions_are() {
        let content = content();
        let mut zlib = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
        zlib.write_all(&content).unwrap();
        let mut bare = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::fast());
        bare.write_all(&content).unwrap();
        let zstd = ruzstd::encoding::compress_to_vec(
            &content[..],
            ruzstd::encoding::CompressionLevel::Fastest,
        );
        for (coding, wire) in [
            (Coding::Gzip, gzip(&content)),
            (Coding::Deflate, zlib.finish().unwrap()),
            (Coding::Deflate, bare.finish().unwrap()),
            (Coding::Zstd, zstd),
        ] {
            for step in [7, 4096, wire.len()] {
                assert!(
                    decoded(&coding, &wire, step).unwrap() == content,
                    "{coding:?} {step}"
                );
            }
        }
        // `printf hello | brotli -c`
        let brotli = b"\x0b\x02\x80\x68\x65\x6c\x6c\x6f\x03";
        assert_eq!(decoded(&Coding::Brotli, brotli, 1).unwrap(), b"hello");
    }

    #[test]
    fn what_is_cut_damaged_or_longer_is_no_content() {
        let wire = gzip(&content());
        let cut = decoded(&Coding::Gzip, &wire[..wire.len() - 3], 1000);
        assert!(matches!(cut, Err(Error::Broken(_))), "{cut:?}");
        let mut damaged = wire.clone();
        let middle = damaged.len() / 2;
        damaged[middle] ^= 0x40;
        for wrong in [
            damaged,
            [&wire[..], b"more"].concat(),
            b"plain text".to_vec(),
        ] {
            let decoded = decoded(&Coding::Gzip, &wrong, 1000);
            assert!(decoded.is_err(), "{decoded:?}");
        }
    }
}
