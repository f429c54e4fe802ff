//! The box of servers: who says on the network that he is there, who was used before, and who can be reached.

use super::cursor::Cursor;
use crate::discovery::Known;

/// What the box shows.
#[derive(Debug, Default)]
pub struct Servers {
    /// The row.
    pub cursor: Cursor,
    /// The servers; `None` while they are looked for.
    pub known: Option<Vec<Known>>,
}

impl Servers {
    /// How many rows there are.
    pub fn rows(&self) -> usize {
        self.known.as_ref().map_or(0, Vec::len)
    }
}
