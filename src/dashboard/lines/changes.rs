//! What changed from one sample to the next, a line each.

use std::collections::HashMap;

use crate::{
    app::{View, connect::Connect, serve::Serve},
    client::{ItemId, ItemState, ItemView, Link, Verified},
    escape::display_name,
    server::{ClientId, ClientView, TransferId, TransferState, TransferView},
    units::{self, Rate},
};

/// What was told last.
#[derive(Default)]
pub(super) struct Changes {
    items: HashMap<ItemId, (String, ItemState)>,
    link: Link,
    clients: HashMap<ClientId, Client>,
    transfers: HashMap<TransferId, TransferState>,
    limit: Option<Rate>,
    draining: bool,
    gone: Option<String>,
}

/// A client as it was told.
#[derive(Clone, PartialEq)]
struct Client {
    is_here: bool,
    paused: bool,
    limit: Option<Rate>,
    refused: Option<String>,
}

impl Changes {
    /// Takes note of what the view shows now; what is new, for people and escaped.
    pub(super) fn since(&mut self, view: &View) -> Vec<String> {
        let mut lines = Vec::new();
        match view {
            View::Connect(view) => {
                self.items(view, &mut lines);
                self.link(&view.snapshot.link, &mut lines);
                self.limit(view.snapshot.limit, &mut lines);
            }
            View::Serve(view) => {
                self.clients(view, &mut lines);
                self.limit(view.snapshot.limit, &mut lines);
                self.server(view, &mut lines);
            }
        }
        lines
    }

    fn items(&mut self, view: &Connect, lines: &mut Vec<String>) {
        let mut before = std::mem::take(&mut self.items);
        for item in &view.snapshot.items {
            let name = display_name(view.name(item)).into_owned();
            let known = before.remove(&item.id);
            if known.is_none_or(|(_, state)| state != item.state)
                && let Some(state) = state(item)
            {
                lines.push(format!("{name}: {state}"));
            }
            self.items.insert(item.id, (name, item.state.clone()));
        }
        let cleared = before.into_values();
        lines.extend(cleared.map(|(name, _)| format!("{name}: cleared")));
    }

    fn link(&mut self, link: &Link, lines: &mut Vec<String>) {
        if *link == self.link {
            return;
        }
        let first = self.link == Link::Connecting;
        match link {
            Link::Connecting => {}
            // The first answer says so already.
            Link::Up if first => {}
            Link::Up => lines.push("the server answers again".to_owned()),
            Link::Retrying {
                attempt,
                after,
                reason,
            } => lines.push(format!(
                "the server does not answer: {reason}: try {attempt} in {}",
                units::took(*after)
            )),
            Link::Paused => lines.push("the server lets this client wait".to_owned()),
            Link::Kicked { reason, .. } => lines.push(because("kicked by the server", reason)),
            Link::Banned(reason) | Link::Down(reason) => lines.push(reason.clone()),
            Link::Asks(question) => lines.push(question.brief().to_owned()),
        }
        self.link = link.clone();
    }

    fn limit(&mut self, limit: Option<Rate>, lines: &mut Vec<String>) {
        if limit != self.limit {
            lines.push(match limit {
                Some(rate) => format!("limit: {rate}"),
                None => "limit: off".to_owned(),
            });
            self.limit = limit;
        }
    }

    fn server(&mut self, view: &Serve, lines: &mut Vec<String>) {
        let now = &view.snapshot;
        if now.draining && !self.draining {
            lines.push("draining".to_owned());
        }
        if now.gone != self.gone {
            lines.push(match &now.gone {
                Some(why) => because("nothing is served", why),
                None => "what was named is served again".to_owned(),
            });
        }
        self.draining = now.draining;
        self.gone.clone_from(&now.gone);
    }

    fn clients(&mut self, view: &Serve, lines: &mut Vec<String>) {
        let mut before = std::mem::take(&mut self.clients);
        let mut transfers = std::mem::take(&mut self.transfers);
        for client in &view.snapshot.clients {
            let name = display_name(&view.handle(client)).into_owned();
            let now = Client {
                is_here: client.connections > 0,
                paused: client.paused,
                limit: client.limit,
                refused: client.refused.as_ref().map(|(why, _)| why.clone()),
            };
            let known = before.remove(&client.id);
            if known.as_ref().is_none_or(|before| !before.is_here)
                && (now.is_here || known.is_none())
            {
                lines.push(came(&name, client));
            }
            for transfer in &client.transfers {
                let known = transfers.remove(&transfer.id);
                lines.extend(sent(&name, transfer, known.as_ref()));
                self.transfers.insert(transfer.id, transfer.state.clone());
            }
            lines.extend(steered(&name, known.as_ref(), &now));
            if !now.is_here && known.is_none_or(|before| before.is_here) {
                lines.push(left(&name, client));
            }
            self.clients.insert(client.id, now);
        }
    }
}

/// How an item stands; `None` for what passes by itself at once.
pub(super) fn state(item: &ItemView) -> Option<String> {
    let size = item.total.map(|total| format!(", {}", units::size(total)));
    let size = size.unwrap_or_default();
    Some(match &item.state {
        ItemState::Landing => return None,
        ItemState::Queued => "queued".to_owned(),
        ItemState::Active => format!("started{size}"),
        ItemState::Paused => "paused".to_owned(),
        ItemState::Waiting(why) => format!("waits: {why}"),
        ItemState::Finished(verified) => {
            let files = item.files.map(|files| format!(", {}", count(files.done)));
            let unread = item.files.map_or(0, |files| files.unread);
            let unread = match verified {
                _ if unread == 0 => String::new(),
                Verified::Present | Verified::Unread => {
                    format!(" ({} not read)", units::count(unread))
                }
                _ => format!(", {} here already (not read)", units::count(unread)),
            };
            let checked = match verified {
                Verified::Blake3 | Verified::Digest => "verified".to_owned(),
                Verified::Listed(list) => format!("verified ({list})"),
                Verified::Present | Verified::Unread => "here already".to_owned(),
                Verified::Unverified => "unverified".to_owned(),
            };
            let files = files.unwrap_or_default();
            format!("finished{files}{size}, {checked}{unread}")
        }
        ItemState::Failed(why) => format!("failed: {why}"),
        ItemState::Cancelled => "cancelled".to_owned(),
    })
}

/// `1 file`, `12 files`.
pub(super) fn count(files: u64) -> String {
    units::counted(files, "file", "files")
}

fn because(what: &str, why: &str) -> String {
    if why.is_empty() {
        what.to_owned()
    } else {
        format!("{what}: {}", display_name(why))
    }
}

fn came(name: &str, client: &ClientView) -> String {
    let agent = client.agent.as_deref().map(display_name);
    let agent = agent.map_or_else(String::new, |agent| format!(", {agent}"));
    format!("{name}: came from {}{agent}", client.address)
}

fn left(name: &str, client: &ClientView) -> String {
    let (files, bytes) = (count(client.files), units::size(client.sent));
    format!("{name}: left, took {files}, {bytes}")
}

fn sent(name: &str, transfer: &TransferView, known: Option<&TransferState>) -> Option<String> {
    if known == Some(&transfer.state) {
        return None;
    }
    let path = display_name(transfer.path.as_bytes());
    let what = match &transfer.state {
        TransferState::Active => format!("started, {}", units::size(transfer.total)),
        TransferState::Left(_) => {
            let part = units::part_of(transfer.done, transfer.total);
            format!("left, {part} sent")
        }
        TransferState::Done(_) => format!("sent, {}", units::size(transfer.total)),
        TransferState::Aborted(_, why) => because("ended early", why),
    };
    Some(format!("{name}: {path}: {what}"))
}

/// What was done to a client, or told it.
fn steered(name: &str, before: Option<&Client>, now: &Client) -> Vec<String> {
    let mut lines = Vec::new();
    if before.map_or(now.paused, |before| before.paused != now.paused) {
        let what = if now.paused { "paused" } else { "goes on" };
        lines.push(format!("{name}: {what}"));
    }
    if let Some(before) = before
        && before.limit != now.limit
    {
        lines.push(match now.limit {
            Some(rate) => format!("{name}: limit: {rate}"),
            None => format!("{name}: limit: off"),
        });
    }
    if let Some(why) = &now.refused
        && before.is_none_or(|before| before.refused != now.refused)
    {
        lines.push(format!("{name}: {}", because("refused", why)));
    }
    lines
}
