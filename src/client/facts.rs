//! What answers tell about a file.

use std::time::SystemTime;

use crate::{
    client::{disk::journal::Content, id::SourceId},
    digest::Digest,
    http1::response_head::ResponseHead,
    piece_digests::PieceDigests,
    pieces,
};

/// What is known of a file from the first answer about it.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// Who told it.
    pub source: SourceId,
    /// Bytes.
    pub size: u64,
    /// Strong entity tag, if any.
    pub etag: Option<String>,
    /// `Last-Modified`.
    pub modified: Option<SystemTime>,
    /// Whether the server answers ranges, so that several connections can work on the file.
    pub ranges: bool,
    /// Whether the server offers the values of its pieces.
    pub pieces: bool,
    /// Digest of the whole that the server tells where it offers no pieces.
    pub digest: Option<Digest>,
}

impl Facts {
    /// Whether pieces are checked one by one: a single piece has no value of its own.
    pub fn has_values(&self) -> bool {
        self.pieces && pieces::value_count(self.size) > 0
    }

    /// Whether a Metalink's digests of pieces tell what of it is right: the server tells no values, and what is wrong can be
    /// asked for alone.
    pub fn judged_by<'a>(&self, told: Option<&'a PieceDigests>) -> Option<&'a PieceDigests> {
        told.filter(|told| self.ranges && !self.has_values() && told.size() == self.size)
    }

    /// What names the content on a server that offers no pieces: without a validator nothing can be gone on with.
    pub fn content(&self) -> Option<Content> {
        let validator = self
            .validators()
            .condition()
            .filter(|_| self.ranges && !self.has_values())?;
        Some(Content {
            validator,
            size: self.size,
        })
    }

    /// What tells its content from another on its source.
    pub fn validators(&self) -> Validators {
        Validators {
            etag: self.etag.clone(),
            modified: self.modified,
        }
    }
}

/// What tells one content from another on one source (RFC 9110 §8.8).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Validators {
    /// Strong entity tag.
    pub etag: Option<String>,
    /// `Last-Modified`.
    pub modified: Option<SystemTime>,
}

impl Validators {
    /// What an answer tells.
    pub fn of(head: &ResponseHead) -> Self {
        Self {
            etag: head.etag.clone(),
            modified: head.modified,
        }
    }

    /// Whether nothing says that they are of different content.
    pub fn agree(&self, other: &Self) -> bool {
        fn same<T: PartialEq>(one: Option<&T>, other: Option<&T>) -> bool {
            one.is_none() || other.is_none() || one == other
        }
        same(self.etag.as_ref(), other.etag.as_ref())
            && same(self.modified.as_ref(), other.modified.as_ref())
    }

    /// Whether something says that they are of the same content, on whichever source.
    pub fn coincide(&self, other: &Self) -> bool {
        self.etag.is_some() && self.etag == other.etag
            || self.modified.is_some() && self.modified == other.modified
    }

    /// For `If-Range`: a strong entity tag, else the date.
    pub fn condition(&self) -> Option<String> {
        let date = || self.modified.map(httpdate::fmt_http_date);
        self.etag.clone().or_else(date)
    }
}
