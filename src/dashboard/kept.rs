//! What outlives a dashboard.

use std::path::PathBuf;

/// The files that outlive a dashboard; `None` keeps nothing.
#[derive(Debug, Clone, Default)]
pub struct Kept {
    /// Remembers typed lines.
    pub history: Option<PathBuf>,
    /// Servers and bookmarks.
    pub places: Option<PathBuf>,
}
