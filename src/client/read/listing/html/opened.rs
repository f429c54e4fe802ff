//! Whether a page was cut: what it opened has to be closed at its end.

use html5gum::Error;

/// Elements whose end no page may leave out while entries follow, with those around them.
const ELEMENTS: [&[u8]; 6] = [b"html", b"head", b"body", b"pre", b"table", b"ul"];

/// How many of each of [`ELEMENTS`] are open.
#[derive(Debug, Default, Clone, Copy)]
pub struct Opened([usize; ELEMENTS.len()]);

impl Opened {
    /// An element began.
    pub fn start(&mut self, name: &[u8]) {
        if let Some(count) = self.count(name) {
            *count += 1;
        }
    }

    /// An element ended; with the page's body all that is in it and around it.
    pub fn end(&mut self, name: &[u8]) {
        if matches!(name, b"html" | b"body") {
            *self = Self::default();
        } else if let Some(count) = self.count(name) {
            *count = count.saturating_sub(1);
        }
    }

    /// Whether something is still open.
    pub fn any(self) -> bool {
        self.0.iter().any(|count| *count > 0)
    }

    fn count(&mut self, name: &[u8]) -> Option<&mut usize> {
        let at = ELEMENTS.iter().position(|element| *element == name)?;
        Some(&mut self.0[at])
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
