//! Answers to those who are not let in, or not now.

use http::StatusCode;

use super::{Answer, Failure, Request, error_body, error_fields, now};
use crate::{http1::response::HeadWriter, server::people::standing::Denied};

/// Seconds after which a paused client may ask whether it may go on.
const PAUSED: &str = "2";
/// Seconds after which another client may have left.
const FULL: u64 = 5;

impl Request<'_> {
    /// Answers in place of what was asked for. Who is to wait may keep the connection.
    pub fn deny(&self, out: &mut Vec<u8>, denied: &Denied) -> Answer {
        let unavailable = StatusCode::SERVICE_UNAVAILABLE;
        let failure = match denied {
            Denied::Paused => return self.paused(out),
            Denied::Banned(reason) => Failure {
                status: StatusCode::FORBIDDEN,
                why: because("banned", reason).into(),
                retry_after: None,
                denied: Some("banned"),
            },
            Denied::Kicked { reason, left } => Failure {
                status: StatusCode::FORBIDDEN,
                why: because("kicked", reason).into(),
                // Not before it is over.
                retry_after: Some(left.as_secs() + u64::from(left.subsec_nanos() > 0)),
                denied: Some("kicked"),
            },
            Denied::Full => Failure {
                retry_after: Some(FULL),
                ..super::fail(unavailable, "too many clients")
            },
            Denied::Draining => Failure {
                retry_after: Some(FULL),
                ..super::fail(unavailable, "the server is about to end")
            },
        };
        let closing = Request {
            keep: false,
            ..*self
        };
        closing.error(out, &failure)
    }

    /// Nothing went wrong, so nothing is shown or logged as if it had.
    fn paused(&self, out: &mut Vec<u8>) -> Answer {
        let status = StatusCode::SERVICE_UNAVAILABLE;
        let body = error_body(status, "paused by the server", false);
        let mut head = HeadWriter::new(out, status, now());
        head.field("Haul-Paused", "1").field("Retry-After", PAUSED);
        error_fields(&mut head, &body, false);
        head.connection(self.keep, self.head.http10);
        let out = head.end();
        if !self.is_head() {
            out.extend_from_slice(body.as_bytes());
        }
        self.written()
    }
}

fn because(what: &str, reason: &str) -> String {
    if reason.is_empty() {
        what.to_owned()
    } else {
        format!("{what}: {reason}")
    }
}

/// The answer to a connection over the limit.
pub fn too_many(out: &mut Vec<u8>, to_head: bool) {
    let status = StatusCode::SERVICE_UNAVAILABLE;
    let body = error_body(status, "too many connections", false);
    let mut head = HeadWriter::new(out, status, now());
    head.field_fmt("Retry-After", format_args!("{FULL}"));
    error_fields(&mut head, &body, false);
    head.connection(false, false);
    let out = head.end();
    if !to_head {
        out.extend_from_slice(body.as_bytes());
    }
}
