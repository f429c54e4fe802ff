//! What a listing says, in few bytes: two that say the same may be of one directory.

use std::time::SystemTime;

use crate::entry::Entry;

/// Stands for what a listing says.
#[derive(Debug, Default, Clone, Copy)]
pub struct Says {
    /// The same for listings that say the same.
    pub print: u128,
    pub files: usize,
    pub dirs: usize,
    /// Entries without a date.
    pub undated: usize,
}

impl Says {
    /// Takes in an entry. Their order does not matter.
    pub fn add(&mut self, entry: &Entry) {
        let date = entry
            .modified
            .and_then(|date| date.duration_since(SystemTime::UNIX_EPOCH).ok());
        // Each part has its length: what two entries say is the same only where all of it is.
        let mut said = Vec::with_capacity(entry.name.len() + 48);
        said.extend_from_slice(&entry.size.map_or(-1, i128::from).to_le_bytes());
        said.extend_from_slice(&date.map_or(u128::MAX, |date| date.as_nanos()).to_le_bytes());
        said.push(u8::from(entry.is_dir));
        said.extend_from_slice(&entry.name);
        self.print = self.print.wrapping_add(key(&said));
        let count = if entry.is_dir {
            &mut self.dirs
        } else {
            &mut self.files
        };
        *count += 1;
        if entry.modified.is_none() {
            self.undated += 1;
        }
    }

    /// Whether directories above that said the same are proof that this is one of them. Copies of a directory inside
    /// itself say the same, too, but not with the same dates, and not twice.
    pub fn is_loop(&self, repeats: usize) -> bool {
        let enough = if self.undated == 0 { 1 } else { 2 };
        self.files > 0 && self.dirs > 0 && repeats >= enough
    }
}

/// Stands for a name, where names are many.
pub fn key(name: &[u8]) -> u128 {
    let mut key = [0; 16];
    key.copy_from_slice(&blake3::hash(name).as_bytes()[..16]);
    u128::from_le_bytes(key)
}
