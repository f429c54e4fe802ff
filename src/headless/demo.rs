//! `haul demo`: a server of the samples on the loopback interface, and a client of it.

use std::{
    io::Write,
    net::{IpAddr, Ipv4Addr},
    path::PathBuf,
    time::Duration,
};

use tokio::task::JoinHandle;

use super::{connect, style::Style};
use crate::{
    config::{self, OnConflict, Socket, target::Target, values},
    error::Error,
    exit::Exit,
    logging::Ring,
    samples,
    server::{self, Server, Stop},
    sys::scratch::Scratch,
};

/// A silent connection on the loopback interface means that something is wrong.
const TIMEOUT: Duration = Duration::from_secs(10);

/// A running server of the samples, and a directory for what is downloaded; both go when this ends.
pub struct Demo {
    /// Where the samples lie.
    pub samples: PathBuf,
    /// The server's URL.
    pub url: String,
    /// What a client of it runs with.
    pub settings: config::Connect,
    stop: Stop,
    running: JoinHandle<()>,
    _downloads: Scratch,
}

impl Demo {
    /// Serves the samples on a free loopback port.
    pub async fn start(log: config::Log, screen: config::Screen) -> Result<Self, Error> {
        let samples = samples::dir()?;
        let server = Server::new(server::Settings {
            timeout: TIMEOUT,
            max_connections: 64,
            ..server::Settings::new(samples.clone())
        })?;
        let listeners = server::bind(&[IpAddr::V4(Ipv4Addr::LOCALHOST)], 0).await?;
        let Some(url) = server::urls(&listeners, "http").into_iter().next() else {
            return Err(Error::Usage("the server has no address".into()));
        };
        let target: Target = url.parse().map_err(Error::Usage)?;
        let downloads = Scratch::new()?;
        let stop = Stop::default();
        let running = {
            let stop = stop.clone();
            tokio::spawn(async move { server.run(listeners, stop).await })
        };
        let dir = downloads.path().to_owned();
        let settings = settings(target, dir, log, screen);
        Ok(Self {
            samples,
            url,
            settings,
            stop,
            running,
            _downloads: downloads,
        })
    }

    /// Ends the server.
    pub async fn end(self) {
        self.stop.abort.cancel();
        let _ = tokio::time::timeout(TIMEOUT, self.running).await;
    }
}

/// Downloads all samples without a screen, and tells how that went.
pub async fn run(
    log: config::Log,
    style: Style,
    ring: Ring,
    out: &mut impl Write,
) -> Result<Exit, Error> {
    let demo = Demo::start(log, config::Screen::default()).await?;
    // Nobody may read this; the summary on the same stream tells if it cannot be written.
    let _ = writeln!(
        out,
        "serving {} on {} and downloading it all",
        demo.samples.display(),
        demo.url
    );
    let settings = config::Connect {
        all: true,
        headless: true,
        ..demo.settings.clone()
    };
    let result = connect::run(settings, style, ring).await;
    demo.end().await;
    result
}

fn settings(
    target: Target,
    dir: PathBuf,
    log: config::Log,
    screen: config::Screen,
) -> config::Connect {
    config::Connect {
        url: target.url,
        mirrors: Vec::new(),
        metalink: None,
        bare: Vec::new(),
        credentials: Vec::new(),
        login: None,
        netrc: None,
        headers: Vec::new(),
        proxy: None,
        fingerprint: None,
        named: true,
        dir,
        workers: 5,
        retries: 3,
        timeout: TIMEOUT,
        limit: None,
        user: values::user("demo").ok(),
        get: Vec::new(),
        all: false,
        exclude: Vec::new(),
        output: None,
        checksum: None,
        checksums: None,
        serial: false,
        max_depth: 64,
        fail_empty: false,
        on_conflict: OnConflict::Verify,
        backup: false,
        delete: false,
        dry_run: false,
        yes: false,
        resume: false,
        run: None,
        headless: false,
        json: false,
        hold: false,
        detach: false,
        control: config::Control {
            socket: Socket::Off,
            ..config::Control::default()
        },
        log,
        screen,
    }
}
