//! Answers to clients that have not proved who they are (RFC 9110 §11.6.1).

use http::StatusCode;

use super::{Answer, Request, error_body, error_fields, now};
use crate::{
    http1::response::HeadWriter,
    server::{people::access::Unproved, respond::form::listing::Format},
};

impl Request<'_> {
    /// Asks for a login, or to come back later.
    pub fn challenge(&self, out: &mut Vec<u8>, unproved: &Unproved) -> Answer {
        let (status, why) = match unproved {
            Unproved::Missing { .. } => (StatusCode::UNAUTHORIZED, "a login is needed"),
            Unproved::Wrong { .. } => (StatusCode::UNAUTHORIZED, "the login is wrong"),
            Unproved::TooMany { .. } => (StatusCode::TOO_MANY_REQUESTS, "too many wrong logins"),
        };
        let code = status.as_u16();
        tracing::debug!(client = self.client.who(), "{code} {why}");
        self.client.refuse(format!("{code} {why}"));
        let html = Format::choose(&self.head.accept, Some(b"curl/")) == Format::Html;
        let body = error_body(status, why, html);
        let mut head = HeadWriter::new(out, status, now());
        match unproved {
            Unproved::Missing { tokens } | Unproved::Wrong { tokens } => {
                let basic = "Basic realm=\"haul\", charset=\"UTF-8\"";
                head.field("WWW-Authenticate", basic);
                if *tokens {
                    head.field("WWW-Authenticate", "Bearer realm=\"haul\"");
                }
            }
            Unproved::TooMany { retry_after } => {
                let seconds = retry_after.as_secs() + 1;
                head.field_fmt("Retry-After", format_args!("{seconds}"));
            }
        }
        error_fields(&mut head, &body, html);
        head.connection(self.keep, self.head.http10);
        let out = head.end();
        if !self.is_head() {
            out.extend_from_slice(body.as_bytes());
        }
        self.written()
    }
}
