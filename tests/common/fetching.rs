//! A client in a runtime of its own, and what it told.

use std::path::Path;

use haul::{
    client::{Access, Client, Event, ItemState, Settings, Snapshot, Verified, Want},
    config::OnConflict,
    exit::Exit,
    http1::path::RemotePath,
};
use tokio::{runtime::Runtime, sync::mpsc};

use super::serving::PATIENCE;

/// A running client; it stops when it is dropped.
pub struct Fetching {
    pub client: Client,
    pub runtime: Runtime,
    events: mpsc::Receiver<Event>,
}

/// Settings as the command line's defaults make them, but without pauses that a test would wait for.
pub fn settings(url: &str, dir: &Path) -> Settings {
    Settings {
        url: url.parse().unwrap(),
        mirrors: Vec::new(),
        named_at: None,
        access: Access::default(),
        dir: dir.to_owned(),
        state_dir: None,
        workers: 5,
        retries: 3,
        timeout: PATIENCE,
        limit: None,
        user: Some("tester".into()),
        serial: false,
        max_depth: 64,
        fail_empty: false,
        on_conflict: OnConflict::Verify,
        backup: false,
        delete: false,
        dry_run: false,
        resume: true,
        checksums: None,
        patient: false,
    }
}

/// Starts a client.
pub fn fetch_with(settings: Settings) -> Fetching {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let (sender, events) = mpsc::channel(64);
    let client = {
        let _inside = runtime.enter();
        Client::start(settings, sender).unwrap()
    };
    Fetching {
        client,
        runtime,
        events,
    }
}

/// Everything below `url`, into `dir`: what was told, once all has ended.
pub fn fetch_all(url: &str, dir: &Path) -> Fetched {
    let mut fetching = fetch_with(settings(url, dir));
    fetching.get_everything();
    fetching.finish()
}

/// What a client told until everything had ended.
#[derive(Debug, Default)]
pub struct Fetched {
    /// Paths and how they were checked, in the order in which they were finished.
    pub finished: Vec<(String, Verified)>,
    /// Paths and reasons.
    pub failed: Vec<(String, String)>,
    /// Reasons of further tries.
    pub retried: Vec<String>,
    pub exit: Option<Exit>,
    /// Body bytes received.
    pub received: u64,
}

impl Fetching {
    pub fn get_everything(&mut self) {
        self.get(Want::Patterns {
            get: Vec::new(),
            exclude: Vec::new(),
        });
    }

    pub fn get_path(&mut self, target: &str) {
        let path = RemotePath::from_target(target.as_bytes()).unwrap();
        self.get(Want::Path { path, size: None });
    }

    pub fn get(&mut self, want: Want) {
        self.client.get(want, None).unwrap();
    }

    /// Takes events until every item has ended.
    pub fn finish(mut self) -> Fetched {
        let mut fetched = Fetched::default();
        let (client, events) = (&self.client, &mut self.events);
        self.runtime.block_on(async {
            let mut idle = std::pin::pin!(tokio::time::timeout(PATIENCE * 3, client.idle()));
            loop {
                tokio::select! {
                    biased;
                    Some(event) = events.recv() => fetched.note(event),
                    idle = &mut idle => break idle.unwrap_or_else(|_| panic!("stuck: {:#?}", client.snapshot())),
                }
            }
            while let Ok(event) = events.try_recv() {
                fetched.note(event);
            }
        });
        fetched.exit = Some(self.client.outcome().0);
        fetched.received = self.client.snapshot().received;
        fetched
    }

    /// Looks at the client until it is as expected, taking events meanwhile.
    pub fn wait_for(&mut self, what: &str, is_so: impl Fn(&Snapshot) -> bool) -> Snapshot {
        let start = std::time::Instant::now();
        loop {
            while let Ok(_event) = self.events.try_recv() {}
            let snapshot = self.client.snapshot();
            if is_so(&snapshot) {
                return snapshot;
            }
            assert!(start.elapsed() < PATIENCE, "{what}: {snapshot:#?}");
            self.runtime.block_on(tokio::task::yield_now());
        }
    }
}

impl Drop for Fetching {
    fn drop(&mut self) {
        // Workers may wait to hand an event over.
        self.events.close();
        self.runtime.block_on(self.client.stop());
    }
}

impl Fetched {
    fn note(&mut self, event: Event) {
        let text = |path: &RemotePath| path.to_string_lossy().into_owned();
        match event {
            Event::Finished { path, verified, .. } => self.finished.push((text(&path), verified)),
            Event::Failed { path, error, .. } => self.failed.push((text(&path), error.to_string())),
            Event::Retrying { error, .. } => self.retried.push(error.to_string()),
            Event::Started { .. }
            | Event::Would { .. }
            | Event::Signed { .. }
            | Event::Ended { .. } => {}
        }
    }

    /// The paths that were finished, sorted.
    pub fn paths(&self) -> Vec<&str> {
        let mut paths: Vec<_> = self
            .finished
            .iter()
            .map(|(path, _)| path.as_str())
            .collect();
        paths.sort_unstable();
        paths
    }
}

/// Whether the state is an end of this kind.
pub fn is_finished(state: &ItemState) -> bool {
    matches!(state, ItemState::Finished(_))
}
