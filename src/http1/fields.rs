//! The names of the fields that are haul's own, each once; docs and both ends mean these.

/// Groups the connections of one client. Request.
pub const SESSION: &str = "Haul-Session";
/// What a client calls itself, percent-encoded. Request.
pub const NAME: &str = "Haul-Name";
/// That `?pieces` is answered for this file. Response.
pub const PIECES: &str = "Haul-Pieces";
/// The BLAKE3 digest of a small file, in hexadecimal. Response.
pub const BLAKE3: &str = "Haul-Blake3";
/// The served directory, to clients of the same machine. Response.
pub const DIR: &str = "Haul-Dir";
/// That a client was kicked or banned. Response.
pub const DENIED: &str = "Haul-Denied";
/// That a client is paused. Response.
pub const PAUSED: &str = "Haul-Paused";
