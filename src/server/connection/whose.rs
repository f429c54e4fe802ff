//! Which client a connection's requests belong to.

use std::net::SocketAddr;

use crate::{
    http1::request::RequestHead,
    server::{
        connection::table::Opened,
        people::clients::{Attached, Identity},
        shared::Shared,
    },
};

/// The fields that decide which client a request belongs to, as the last request gave them.
#[derive(PartialEq, Eq)]
pub struct Fingerprint {
    session: Option<Box<[u8]>>,
    agent: Option<Box<[u8]>>,
    login: Option<Box<str>>,
}

impl Fingerprint {
    fn is_of(&self, head: &RequestHead<'_>, login: Option<&str>) -> bool {
        self.session.as_deref() == head.haul_session
            && self.agent.as_deref() == head.user_agent
            && self.login.as_deref() == login
    }
}

/// The client that a request comes from; nearly always the same as of the request before.
pub fn attach<'c>(
    attached: &'c mut Option<(Fingerprint, Attached)>,
    shared: &Shared,
    peer: SocketAddr,
    head: &RequestHead<'_>,
    login: Option<&str>,
    opened: &Opened,
) -> &'c mut Attached {
    let known = attached
        .take()
        .filter(|(fingerprint, _)| fingerprint.is_of(head, login));
    let (_, client) = attached.insert(known.unwrap_or_else(|| {
        let client = shared.registry.attach(&Identity {
            address: peer.ip(),
            login,
            session: head.haul_session,
            name: head.haul_name,
            agent: head.user_agent,
        });
        opened
            .handle()
            .belongs_to(client.client().id(), client.peer());
        let fingerprint = Fingerprint {
            session: head.haul_session.map(Into::into),
            agent: head.user_agent.map(Into::into),
            login: login.map(Into::into),
        };
        (fingerprint, client)
    }));
    client
}
