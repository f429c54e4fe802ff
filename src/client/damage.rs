//! What of a local file is not what the server has.

use std::{fs::File, io, os::unix::fs::FileExt as _, path::PathBuf};

use serde::{Deserialize, Serialize};

use super::{Error, engine::Engine, handle::Client, net::document::Asking};
use crate::{
    http1::path::RemotePath,
    pieces::{self, PIECE, PieceHasher, Value},
};

/// The pieces of the server's file that a local one does not have at their places.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Damage {
    /// Bytes of the server's file.
    pub size: u64,
    /// Which of its pieces, counted from 0.
    pub pieces: Vec<u32>,
    /// Whether the local file has another size.
    pub resized: bool,
}

impl Damage {
    /// Bytes of those pieces.
    pub fn bytes(&self) -> u64 {
        let each = self.pieces.iter();
        each.map(|piece| pieces::len(self.size, *piece)).sum()
    }

    fn of(file: &File, size: u64, values: &[Value]) -> io::Result<Self> {
        let mut content = vec![0; PIECE as usize];
        let mut wrong = Vec::new();
        for (index, value) in (0..).zip(values) {
            let content = &mut content[..pieces::len(size, index) as usize];
            match file.read_exact_at(content, u64::from(index) * PIECE) {
                Ok(()) => {
                    let mut hasher = PieceHasher::new(index);
                    hasher.update(content);
                    if hasher.value() != *value {
                        wrong.push(index);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => wrong.push(index),
                Err(error) => return Err(error),
            }
        }
        Ok(Self {
            size,
            pieces: wrong,
            resized: file.metadata()?.len() != size,
        })
    }
}

impl Client {
    /// Holds a local file against the values of the server's pieces, which are asked for once, over a connection of its own. A
    /// file of one piece has none.
    pub async fn damage(&self, path: &RemotePath, local: PathBuf) -> Result<Damage, Error> {
        let Engine { settings, pace, .. } = &*self.engine;
        let lead = self.engine.lead();
        let asking = Asking {
            first: &lead.origin,
            access: &settings.access,
            silence: settings.timeout,
            pace,
        };
        let (size, values) = asking.values(path).await?;
        let looked = tokio::task::spawn_blocking(move || {
            let damage = File::open(&local).and_then(|file| Damage::of(&file, size, &values));
            damage.map_err(|error| Error::disk(&local, &error))
        });
        let broken = |_| Err(Error::Broken("a task on the disk failed".into()));
        looked.await.unwrap_or_else(broken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differing_and_missing_pieces_are_named() {
        let size = 3 * PIECE + 5;
        let content: Vec<u8> = (0..size).map(|at| (at % 251) as u8).collect();
        let value = |(index, piece): (u32, &[u8])| {
            let mut hasher = PieceHasher::new(index);
            hasher.update(piece);
            hasher.value()
        };
        let values: Vec<Value> = (0..)
            .zip(content.chunks(PIECE as usize))
            .map(value)
            .collect();
        let file = tempfile::tempfile().unwrap();
        file.write_all_at(&content, 0).unwrap();
        let damage = || Damage::of(&file, size, &values).unwrap();
        assert_eq!(damage().pieces, Vec::<u32>::new());
        file.write_all_at(b"\xff", PIECE + 3).unwrap();
        file.set_len(size - 1).unwrap();
        let found = damage();
        assert_eq!(
            (found.pieces.as_slice(), found.resized),
            (&[1, 3][..], true)
        );
        assert_eq!(found.bytes(), PIECE + 5);
    }
}
