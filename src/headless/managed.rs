//! What the service manager of `haul serve` is told (`sd_notify(3)`): that it is ready, what it does, that it stops, and, where
//! it is watched, that it is alive.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{task::JoinHandle, time::MissedTickBehavior};

use crate::{
    server::{Server, Snapshot, TransferState},
    sys::service::{self, Manager},
    units,
};

/// How often the status is told, where it has changed.
const STATUS: Duration = Duration::from_secs(2);

/// Tells the service manager of a server until it is dropped; without a manager it tells nobody.
pub(super) struct Managed {
    manager: Option<Arc<Manager>>,
    task: Option<JoinHandle<()>>,
}

impl Managed {
    /// Tells that `server` is ready under `url`, and how it is from now on.
    pub(super) fn begin(server: &Server, url: &str) -> Self {
        let manager = Manager::from_env().map(Arc::new);
        let task = manager.clone().map(|manager| {
            manager.tell(&format!("READY=1\nSTATUS=listening on {url}"));
            tokio::spawn(follow(manager, server.clone(), service::watchdog()))
        });
        Self { manager, task }
    }

    /// Tells that it stops; the status and the sign of life go on while running answers are finished.
    pub(super) fn stopping(&self) {
        if let Some(manager) = &self.manager {
            manager.tell("STOPPING=1\nSTATUS=stopping: running transfers get 10 s");
        }
    }
}

impl Drop for Managed {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

/// Twice in the time that the watchdog allows, as `sd_watchdog_enabled(3)` asks for. A snapshot takes every lock that serving
/// takes: what hangs there is not told to be alive.
async fn follow(manager: Arc<Manager>, server: Server, watchdog: Option<Duration>) {
    let period = watchdog.map_or(STATUS, |patience| STATUS.min(patience / 2));
    let mut tick = tokio::time::interval(period.max(Duration::from_millis(1)));
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut told, mut before) = (String::new(), (Instant::now(), 0));
    // The first is due at once, and READY has just been told.
    tick.tick().await;
    loop {
        tick.tick().await;
        let (now, snapshot) = (Instant::now(), server.snapshot());
        let passed = now.saturating_duration_since(before.0);
        let mut news = String::new();
        if watchdog.is_some() {
            news.push_str("WATCHDOG=1\n");
        }
        if passed >= STATUS {
            let sent = snapshot.sent.saturating_sub(before.1) as f64;
            let status = status(&snapshot, (sent / passed.as_secs_f64()) as u64);
            before = (now, snapshot.sent);
            if status != told {
                news.push_str("STATUS=");
                news.push_str(&status);
                told = status;
            }
        }
        if !news.is_empty() {
            manager.tell(&news);
        }
    }
}

/// `2 clients, 3 transfers, 12.3 MiB/s, 17 files sent`.
fn status(snapshot: &Snapshot, rate: u64) -> String {
    let clients = snapshot.clients.iter();
    let here = clients.filter(|client| client.connections > 0).count();
    let transfers = snapshot.clients.iter().flat_map(|client| &client.transfers);
    let active = transfers.filter(|transfer| transfer.state == TransferState::Active);
    let several = |count: u64, what: &str| {
        let plural = if count == 1 { "" } else { "s" };
        format!("{} {what}{plural}", units::count(count))
    };
    let state = match (snapshot.draining, &snapshot.gone) {
        (true, _) => "stopping: ",
        (false, Some(_)) => "the directory is gone: ",
        (false, None) => "",
    };
    format!(
        "{state}{}, {}, {}, {} sent",
        several(here as u64, "client"),
        several(active.count() as u64, "transfer"),
        units::rate(rate),
        several(snapshot.files, "file"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_is_one_short_line() {
        let mut snapshot = Snapshot::default();
        assert_eq!(
            status(&snapshot, 0),
            format!("0 clients, 0 transfers, {}, 0 files sent", units::rate(0))
        );
        (snapshot.files, snapshot.draining) = (1, true);
        let line = status(&snapshot, 3 << 20);
        assert!(line.starts_with("stopping: 0 clients"), "{line}");
        assert!(line.ends_with("MiB/s, 1 file sent"), "{line}");
    }
}
