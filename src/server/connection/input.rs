//! What a client sent and is not answered yet.

use std::io;

use crate::{
    http1::request::{Extent, Refusal, find_head},
    server::connection::stream::Stream,
};

/// The input buffer, in bytes; it grows up to the longest head.
const READ_SIZE: usize = 8 * 1024;

/// Bytes that were read; those before `at` are done with.
#[derive(Default)]
pub struct Input {
    bytes: Vec<u8>,
    at: usize,
    scanned: usize,
}

impl Input {
    /// What is not done with.
    pub fn pending(&self) -> &[u8] {
        &self.bytes[self.at..]
    }

    /// Looks for a complete head among them.
    pub fn find_head(&mut self) -> Result<Option<Extent>, Refusal> {
        find_head(&self.bytes[self.at..], &mut self.scanned)
    }

    /// Drops what is done with, and the whole buffer once it is empty.
    pub fn tidy(&mut self) {
        if self.at == self.bytes.len() {
            self.bytes = Vec::new();
        } else if self.at > 0 {
            self.bytes.drain(..self.at);
        }
        self.at = 0;
    }

    /// So many more are done with.
    pub fn consume(&mut self, count: usize) {
        self.at += count;
        self.scanned = 0;
    }

    /// Reads what is there: `WouldBlock` where nothing is, 0 at the end.
    pub fn read(&mut self, stream: &mut Stream) -> io::Result<usize> {
        self.tidy();
        // A head that comes slowly does not double what it holds.
        if self.bytes.capacity() - self.bytes.len() < READ_SIZE / 2 {
            self.bytes.reserve(READ_SIZE);
        }
        stream.try_read_buf(&mut self.bytes)
    }
}
