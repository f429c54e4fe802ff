//! HTTP/1.1 heads and framing.
pub mod body_reader;
pub mod path;
pub mod response_head;
