//! What a request presents to prove whose it is.

use base64::{Engine as _, engine::general_purpose::STANDARD};

use crate::credentials::Secret;

/// What `Authorization` says.
pub(super) enum Presented {
    Login { user: Box<str>, password: Secret },
    Token(Secret),
}

impl Presented {
    /// Reads the field (RFC 7617 §2, RFC 6750 §2.1); `None` where it makes no sense.
    pub(super) fn parse(field: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(field).ok()?;
        let (scheme, rest) = text.split_once(' ')?;
        let rest = rest.trim();
        if scheme.eq_ignore_ascii_case("bearer") {
            return Some(Self::Token(Secret::new(rest)));
        }
        if !scheme.eq_ignore_ascii_case("basic") {
            return None;
        }
        let pair = String::from_utf8(STANDARD.decode(rest).ok()?).ok()?;
        let (user, password) = pair.split_once(':')?;
        Some(Self::Login {
            user: user.into(),
            password: Secret::new(password),
        })
    }
}
