//! A server on a free port of loopback, for one test.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    time::{Duration, Instant},
};

use haul::server::{Server, Settings, Snapshot, Stop, bind};
use tokio::{runtime::Runtime, task::JoinHandle};

/// Nothing on loopback takes this long, however busy the machine is.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A running server; it stops when it is dropped.
pub struct Serving {
    pub server: Server,
    pub address: SocketAddr,
    pub stop: Stop,
    runtime: Runtime,
    task: Option<JoinHandle<()>>,
}

/// Settings as the command line's defaults make them.
pub fn settings(root: &Path) -> Settings {
    Settings::new(root.to_owned())
}

/// Serves `root` with the defaults.
pub fn serve(root: &Path) -> Serving {
    serve_with(settings(root))
}

/// Serves `root` with the defaults on an address that was free a moment ago.
pub fn serve_at(root: &Path, address: SocketAddr) -> Serving {
    start(settings(root), address.port())
}

/// Serves with settings of the test's own on an address that was free a moment ago.
pub fn serve_with_at(settings: Settings, address: SocketAddr) -> Serving {
    start(settings, address.port())
}

/// Serves with settings of the test's own.
pub fn serve_with(settings: Settings) -> Serving {
    start(settings, 0)
}

fn start(settings: Settings, port: u16) -> Serving {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let server = Server::new(settings).unwrap();
    let begun = Instant::now();
    let listeners = loop {
        match runtime.block_on(bind(&[Ipv4Addr::LOCALHOST.into()], port)) {
            // What was free a moment ago is another test's by chance, as a client's port say: until that has ended.
            Err(_) if port != 0 && begun.elapsed() < PATIENCE => std::thread::yield_now(),
            bound => break bound.unwrap(),
        }
    };
    let address = listeners[0].local_addr().unwrap();
    let stop = Stop::default();
    let task = runtime.spawn({
        let (server, stop) = (server.clone(), stop.clone());
        async move { server.run(listeners, stop).await }
    });
    Serving {
        server,
        address,
        stop,
        runtime,
        task: Some(task),
    }
}

impl Serving {
    /// The URL of a target below the root.
    pub fn url(&self, target: &str) -> String {
        let scheme = self.server.settings().scheme();
        format!("{scheme}://{}{target}", self.address)
    }

    /// Looks at the server until it is as expected.
    pub fn wait_for(&self, what: &str, is_so: impl Fn(&Snapshot) -> bool) -> Snapshot {
        let start = Instant::now();
        loop {
            let snapshot = self.server.snapshot();
            if is_so(&snapshot) {
                return snapshot;
            }
            assert!(start.elapsed() < PATIENCE, "{what}: {snapshot:#?}");
            std::thread::yield_now();
        }
    }

    /// Waits until the server has ended by itself.
    pub fn wait_for_end(&mut self) {
        let task = self.task.take().expect("it ends once");
        self.runtime
            .block_on(async { tokio::time::timeout(PATIENCE, task).await })
            .expect("the server ends")
            .unwrap();
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.stop.abort.cancel();
        self.stop.drain.cancel();
        if let Some(task) = self.task.take() {
            let _ = self.runtime.block_on(task);
        }
    }
}
