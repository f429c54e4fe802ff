//! The rows of the clients pane: whom the filter lets through, in which order, with which figures.

use std::time::Duration;

use super::{ClientSort, Figures, Row, RowKind, Serve, Standing, What};
use crate::{
    app::{
        clients::{address, ended, label, removed, running},
        listing::holds,
        throughput::Gauge,
    },
    server::{ClientView, TransferState, TransferView},
};

/// Small files are sent one after the other: between two of them a client is not idle for so long.
const BETWEEN_FILES: Duration = Duration::from_secs(2);
/// What breaks off within this time after a kick or a ban breaks off for that.
const FOR_THAT: Duration = Duration::from_secs(2);

impl Serve {
    /// Makes the rows anew; the cursor stays on its row.
    pub(super) fn build_rows(&mut self) {
        let current = self
            .rows
            .get(self.cursor.at())
            .map(|row| (row.client, row.path().cloned()));
        let mut order: Vec<&ClientView> = self
            .snapshot
            .clients
            .iter()
            .filter(|client| self.fits(client))
            .collect();
        let rate = |client: &ClientView| self.clients.get(&client.id).map_or(0, |g| g.rate);
        // Those that fetch nothing come last, whatever the order.
        order.sort_by(|a, b| {
            let idle = |c: &ClientView| (!self.is_active(c), c.connections == 0);
            let by_key = match self.sort {
                ClientSort::Rate => rate(b).cmp(&rate(a)),
                ClientSort::Name => label(a).cmp(&label(b)),
                ClientSort::Sent => b.sent.cmp(&a.sent),
                ClientSort::Came => a.since.cmp(&b.since),
            };
            let by_key = if self.reversed {
                by_key.reverse()
            } else {
                by_key
            };
            idle(a).cmp(&idle(b)).then(by_key).then(a.id.cmp(&b.id))
        });
        self.rows = order
            .into_iter()
            .flat_map(|client| self.rows_of(client))
            .collect();
        let same = |row: &Row, file: bool| {
            current.as_ref().is_some_and(|(id, path)| {
                row.client == *id && (!file || row.path() == path.as_ref())
            })
        };
        let at = self.rows.iter().position(|row| same(row, true));
        let at = at.or_else(|| self.rows.iter().position(|row| same(row, false)));
        self.cursor
            .go(at.unwrap_or(self.cursor.at()), self.rows.len());
    }

    /// Whether a client fetches something: files that have rows, or small ones, which are sent before one can be drawn.
    pub(super) fn is_active(&self, client: &ClientView) -> bool {
        let flows = |gauge: &Gauge| gauge.flows(BETWEEN_FILES);
        running(client).next().is_some()
            || client.connections > 0 && self.clients.get(&client.id).is_some_and(flows)
    }

    fn fits(&self, client: &ClientView) -> bool {
        let exact = self.filter.chars().any(char::is_uppercase);
        let fits = |text: &str| holds(text.as_bytes(), &self.filter, exact);
        fits(&label(client))
            || client.agent.as_deref().is_some_and(fits)
            || running(client).any(|t| holds(t.path.as_bytes(), &self.filter, exact))
    }

    fn rows_of(&self, client: &ClientView) -> Vec<Row> {
        let unfolded = self.unfolded.contains(&client.id);
        let (what, figures) = self.summary(client);
        let mut rows = vec![Row {
            client: client.id,
            kind: RowKind::Client {
                name: client.name.clone(),
                address: address(client),
                number: self.handle(client).starts_with('#').then_some(client.id.0),
                agent: client.agent.clone().unwrap_or_default(),
                what,
                unfolded,
            },
            figures,
        }];
        if unfolded {
            let last = client.transfers.len().saturating_sub(1);
            rows.extend(
                client
                    .transfers
                    .iter()
                    .enumerate()
                    .map(|(i, transfer)| Row {
                        client: client.id,
                        kind: RowKind::File {
                            path: transfer.path.clone(),
                            last: i == last,
                            reason: match &transfer.state {
                                TransferState::Aborted(_, reason) => Some(reason.clone()),
                                _ => None,
                            },
                        },
                        figures: self.figures_below(client, transfer),
                    }),
            );
        }
        rows
    }

    /// What a client's row says.
    fn summary(&self, client: &ClientView) -> (What, Figures) {
        let active: Vec<_> = running(client).collect();
        let gauge = self.clients.get(&client.id);
        let mut figures = Figures {
            standing: Standing::Idle,
            // What else will be asked for is not known here: only of a single file there is a whole.
            done: if active.len() == 1 {
                active[0].done
            } else {
                client.sent
            },
            total: active
                .first()
                .filter(|_| active.len() == 1)
                .map(|t| t.total),
            rate: gauge.map_or(0, |g| g.rate),
            left: None,
        };
        if let [one] = active.as_slice() {
            figures.left = self.transfers.get(&one.id).and_then(|g| g.left);
        }
        if !active.is_empty() {
            // Stalled only when every one of its transfers is.
            let stalls = active
                .iter()
                .map(|t| self.transfers.get(&t.id).and_then(|g| g.stalled));
            let stall: Option<Vec<_>> = stalls.collect();
            figures.standing = match stall
                .filter(|_| !client.paused)
                .and_then(|all| all.into_iter().min())
            {
                Some(time) => Standing::Stalled(time),
                None if client.paused => Standing::Paused,
                None => Standing::Active,
            };
            let what = match active.as_slice() {
                [one] => What::Path(one.path.clone()),
                _ => What::Files {
                    count: active.len(),
                    connections: client.connections,
                },
            };
            return (what, figures);
        }
        if self.is_active(client) {
            figures.standing = Standing::Active;
            return (What::Taken(client.files), figures);
        }
        let last = client
            .transfers
            .iter()
            .filter_map(|t| Some((ended(t)?, t)))
            .max_by_key(|(at, _)| *at);
        let left = client
            .left
            .filter(|_| client.connections == 0 && client.refused.is_none());
        if let Some((left, now)) = left.zip(self.now) {
            if let Some((_, last)) = last
                && is_aborted(last)
            {
                let (what, mut figures) = self.aborted(client, last);
                figures.standing = Standing::BrokenOff;
                return (what, figures);
            }
            let part = client.transfers.iter().find(|it| is_left(it));
            if let Some(part) = part.filter(|_| client.files == 0) {
                return (What::Path(part.path.clone()), self.transfer_figures(part));
            }
            figures.standing = Standing::Left(now.saturating_duration_since(left));
            return (What::Taken(client.files), figures);
        }
        // What a kick broke off ended after it.
        let after = |reason: &str| match removed(reason) {
            Some(_) => FOR_THAT,
            None => Duration::ZERO,
        };
        if let Some((reason, at)) = &client.refused
            && last.is_none_or(|(ended, _)| ended <= *at + after(reason))
        {
            figures.standing = Standing::Refused;
            return (What::Refusal(reason.clone()), figures);
        }
        let Some((_, last)) = last else {
            return (What::Taken(client.files), figures);
        };
        if is_aborted(last) {
            return self.aborted(client, last);
        }
        figures = self.transfer_figures(last);
        if client.files > 1 {
            (figures.done, figures.total) = (client.sent, Some(client.sent));
            return (What::Taken(client.files), figures);
        }
        (What::Path(last.path.clone()), figures)
    }

    /// What a client's row says whose last transfer ended early.
    fn aborted(&self, client: &ClientView, last: &TransferView) -> (What, Figures) {
        let mut figures = self.transfer_figures(last);
        let aborted: Vec<_> = client.transfers.iter().filter(|t| is_aborted(t)).collect();
        if aborted.len() > 1 {
            figures.done = aborted.iter().map(|t| t.done).sum();
            figures.total = Some(aborted.iter().map(|t| t.total).sum());
            return (What::Aborted(aborted.len()), figures);
        }
        (What::Path(last.path.clone()), figures)
    }

    /// A file's row below its client's: what is paused as a whole is paused in each part.
    fn figures_below(&self, client: &ClientView, transfer: &TransferView) -> Figures {
        let mut figures = self.transfer_figures(transfer);
        if client.paused && transfer.state == TransferState::Active {
            figures.standing = Standing::Paused;
        }
        if let (TransferState::Aborted(at, reason), Some((refusal, refused))) =
            (&transfer.state, &client.refused)
            && let Some(word) = removed(reason).or_else(|| {
                let then = *refused..*refused + FOR_THAT;
                removed(refusal).filter(|_| then.contains(at))
            })
        {
            figures.standing = Standing::Removed(word);
        }
        figures
    }

    fn transfer_figures(&self, transfer: &TransferView) -> Figures {
        let gauge = self.transfers.get(&transfer.id);
        let standing = match (&transfer.state, gauge.and_then(|g| g.stalled)) {
            (TransferState::Done(_), _) => Standing::Done,
            (TransferState::Aborted(..), _) => Standing::Aborted,
            (TransferState::Left(at), _) => {
                let now = self.now.unwrap_or(*at);
                Standing::Left(now.saturating_duration_since(*at))
            }
            (TransferState::Active, Some(time)) => Standing::Stalled(time),
            (TransferState::Active, None) => Standing::Active,
        };
        Figures {
            standing,
            done: transfer.done,
            total: Some(transfer.total),
            rate: gauge.map_or(0, |g| g.rate),
            left: gauge.and_then(|g| g.left),
        }
    }
}

fn is_left(transfer: &TransferView) -> bool {
    matches!(transfer.state, TransferState::Left(_))
}

fn is_aborted(transfer: &TransferView) -> bool {
    matches!(transfer.state, TransferState::Aborted(..))
}
