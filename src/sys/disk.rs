//! Finding, keeping and replacing files on disk.
