//! What is open in a page: at its end all of it has to be closed, or it was cut.

use html5gum::Error;

/// Elements whose end no page may leave out while entries follow, with those around them.
const ELEMENTS: [&[u8]; 6] = [b"html", b"head", b"body", b"pre", b"table", b"ul"];

/// Elements that tell of the server or the page, such as thttpd's and caddy's own links.
const FOOTERS: [&[u8]; 2] = [b"address", b"footer"];

/// How many of each of [`ELEMENTS`] are open, and of [`FOOTERS`].
#[derive(Debug, Default, Clone, Copy)]
pub struct Opened {
    counts: [usize; ELEMENTS.len()],
    footers: usize,
}

impl Opened {
    /// An element began.
    pub fn start(&mut self, name: &[u8]) {
        if FOOTERS.contains(&name) {
            self.footers += 1;
        } else if let Some(count) = self.count(name) {
            *count += 1;
        }
    }

    /// An element ended; with the page's body all that is in it and around it.
    pub fn end(&mut self, name: &[u8]) {
        if matches!(name, b"html" | b"body") {
            *self = Self::default();
        } else if FOOTERS.contains(&name) {
            self.footers = self.footers.saturating_sub(1);
        } else if let Some(count) = self.count(name) {
            *count = count.saturating_sub(1);
        }
    }

    /// Whether something is still open.
    pub fn any(self) -> bool {
        self.counts.iter().any(|count| *count > 0)
    }

    /// Whether it is a footer that is open.
    pub fn in_footer(self) -> bool {
        self.footers > 0
    }

    fn count(&mut self, name: &[u8]) -> Option<&mut usize> {
        let at = ELEMENTS.iter().position(|element| *element == name)?;
        Some(&mut self.counts[at])
    }
}

/// Whether the page ended inside of a tag or a comment.
pub fn is_cut(error: Error) -> bool {
    matches!(
        error,
        Error::EofBeforeTagName
            | Error::EofInTag
            | Error::EofInComment
            | Error::EofInDoctype
            | Error::EofInCdata
            | Error::EofInScriptHtmlCommentLikeText
    )
}
