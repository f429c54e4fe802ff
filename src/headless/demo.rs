//! `haul demo --headless`: a server of the samples, and a client that takes them all.

use std::{
    io::Write,
    net::{IpAddr, Ipv4Addr},
    path::PathBuf,
    time::Duration,
};

use super::{connect, scratch::Scratch, style::Style};
use crate::{
    config::{self, OnConflict, target::Target, values},
    error::{Error, Exit},
    samples,
    server::{self, Server, Stop},
};

/// A silent connection on the loopback interface means that something is wrong.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Serves the samples on a free loopback port and downloads them into a directory that is removed afterwards.
pub async fn run(log: config::Log, style: Style, out: &mut impl Write) -> Result<Exit, Error> {
    let samples = samples::dir()?;
    let server = Server::new(server::Settings {
        root: samples.clone(),
        hidden: false,
        follow_symlinks: false,
        timeout: TIMEOUT,
        max_connections: 64,
        cache: None,
    })?;
    let listeners = server::bind(&[IpAddr::V4(Ipv4Addr::LOCALHOST)], 0).await?;
    let Some(url) = server::urls(&listeners).into_iter().next() else {
        return Err(Error::Usage("the server has no address".into()));
    };
    let target: Target = url.parse().map_err(Error::Usage)?;
    // Nobody may read this; the summary on the same stream tells if it cannot be written.
    let _ = writeln!(
        out,
        "serving {} on {url} and downloading it all",
        samples.display()
    );

    let stop = Stop::default();
    let running = {
        let stop = stop.clone();
        tokio::spawn(async move { server.run(listeners, stop).await })
    };
    let downloads = Scratch::new()?;
    let settings = settings(target, downloads.path().to_owned(), log);
    let result = connect::run(settings, style).await;
    stop.abort.cancel();
    let _ = tokio::time::timeout(TIMEOUT, running).await;
    result
}

fn settings(target: Target, dir: PathBuf, log: config::Log) -> config::Connect {
    config::Connect {
        url: target.url,
        named: true,
        dir,
        workers: 5,
        retries: 3,
        timeout: TIMEOUT,
        user: values::user("demo").ok(),
        get: Vec::new(),
        all: true,
        exclude: Vec::new(),
        output: None,
        serial: false,
        on_conflict: OnConflict::Verify,
        resume: false,
        run: None,
        headless: true,
        json: false,
        log,
        screen: config::Screen::default(),
    }
}
