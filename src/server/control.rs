//! What a screen or a signal may ask of a running server. Every method takes effect at once and returns at once; a client
//! that is not known any more is left alone.

use std::{path::Path, sync::Arc};

use crate::server::{
    ClientId, Error, Server,
    people::clients::Client,
    shared::{Shared, open},
};
use crate::units::Rate;

impl Server {
    /// Holds a client's transfers where they are; its new requests get 503 with `Haul-Paused: 1` and `Retry-After`.
    pub fn pause(&self, client: ClientId) {
        self.with(client, |_, client| client.standing().pause(true));
    }

    /// Lets a paused client go on.
    pub fn resume(&self, client: ClientId) {
        self.with(client, |_, client| client.standing().pause(false));
    }

    /// Closes a client's connections where they stand. For a while ([`Settings::kick`](crate::server::Settings::kick)) its requests
    /// are answered with 403, `Haul-Denied: kicked`, the reason and a `Retry-After`. What counts is the session, or else
    /// the address and agent.
    pub fn kick(&self, client: ClientId, reason: &str) {
        self.with(client, |shared, client| {
            tracing::info!(client = client.who(), "kicked: {reason}");
            shared.registry.kick(client, reason, shared.settings.kick);
        });
    }

    /// Closes all connections of a client's login, or else its address (an IPv6 address stands for its /64), and answers
    /// every later one with 403 and the reason for as long as the server runs.
    pub fn ban(&self, client: ClientId, reason: &str) {
        self.with(client, |shared, client| {
            tracing::info!(client = client.who(), "banned: {reason}");
            shared.registry.ban(client, reason);
        });
    }

    /// Lifts a ban, named as [`Snapshot::banned`](crate::server::Snapshot::banned) shows it; `false` where there is none.
    pub fn unban(&self, who: &str) -> bool {
        self.0.registry.unban(who)
    }

    /// Limits what all clients together get; `None` lifts the limit.
    pub fn limit(&self, rate: Option<Rate>) {
        self.0.registry.pace().limit(rate);
    }

    /// Limits what one client gets, over all connections of its login or else its address; `None` puts the usual limit
    /// back ([`Settings::limit_client`](crate::server::Settings::limit_client)).
    pub fn limit_client(&self, client: ClientId, rate: Option<Rate>) {
        self.with(client, |shared, client| {
            shared.registry.limit_client(client, rate);
        });
    }

    /// Finishes what runs and takes no one new; [`Self::run`] completes once the last connection has ended.
    pub fn drain(&self) {
        self.0.drain.cancel();
    }

    /// Serves another directory from now on. Running transfers finish from the old one.
    pub fn share(&self, dir: &Path) -> Result<(), Error> {
        let catalog = open(dir, &self.0.settings)?;
        self.0.set_catalog(Arc::new(catalog));
        self.0.registry.forget_downloads();
        Ok(())
    }

    fn with(&self, client: ClientId, act: impl FnOnce(&Shared, &Arc<Client>)) {
        if let Some(client) = self.0.registry.client(client) {
            act(&self.0, &client);
        }
    }
}
