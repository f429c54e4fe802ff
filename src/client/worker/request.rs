//! Requests: what the schedule asks for, as the server is asked for it.

use std::sync::Arc;

use super::Worker;
use crate::client::{
    Error,
    net::request,
    schedule::{Ask, Request},
    task::Subject,
};

impl Worker {
    /// Sends requests, one behind the other.
    pub(super) async fn send(&mut self, requests: Vec<Request>) -> Result<(), Error> {
        let server = Arc::clone(&self.server);
        let origin = &server.origin;
        let Some(connection) = &mut self.connection else {
            return Err(Error::Broken("not connected".into()));
        };
        for Request { subject, ask } in requests {
            let target = match subject {
                Subject::Path(path) => origin.target(&path),
                Subject::Target(target) => target,
            };
            connection.queue(origin, &target, as_sent(&ask));
            self.awaited += 1;
        }
        connection.flush().await
    }
}

fn as_sent(ask: &Ask) -> request::Ask<'_> {
    match ask {
        Ask::List => request::Ask::List,
        Ask::Head => request::Ask::Head,
        Ask::Whole => request::Ask::Whole,
        Ask::Range {
            first,
            last,
            if_match,
            if_range,
        } => request::Ask::Range {
            first: *first,
            last: *last,
            if_match: if_match.as_deref(),
            if_range: if_range.as_deref(),
        },
        Ask::Pieces { if_match } => request::Ask::Pieces {
            if_match: if_match.as_deref(),
        },
    }
}
