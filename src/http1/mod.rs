//! HTTP/1.1 heads and framing (RFC 9110, 9112): pure functions over bytes, shared by server and client.

pub mod body_reader;
pub mod coding;
pub mod conditional;
pub mod date;
pub mod disposition;
pub mod fields;
pub mod multipart;
pub mod path;
pub mod range;
pub mod request;
pub mod response;
pub mod response_head;
