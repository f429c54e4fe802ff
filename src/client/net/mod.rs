//! The wire: where a server is, what is asked of it, the connection to it, and the bytes on that.

pub mod access;
pub mod challenge;
pub mod connection;
pub mod cookies;
pub mod decode;
pub mod dial;
pub mod document;
pub mod origin;
pub mod redirect;
pub mod request;
pub mod side;
pub mod stream;
