//! What a landing came to.

/// A complete file under its final name.
#[derive(Debug, PartialEq, Eq)]
pub struct Landed {
    /// The name it got: the remote one, or `name (1).ext`.
    pub name: Vec<u8>,
    /// Whose content has that name.
    pub holds: Holds,
}

/// Whose content a name holds after a landing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holds {
    /// The new file's.
    New,
    /// That of a file that was there and was found equal; the new one was dropped.
    Equal,
    /// That of a file that was there and that nobody looked into; the new one was dropped.
    Other,
}
