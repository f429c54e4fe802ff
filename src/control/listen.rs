//! The socket of this process: who may speak to it, and for how many there is room.

use std::{
    fs, io,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use rustix::process::geteuid;
use tokio::{
    net::{UnixListener, UnixStream},
    sync::Semaphore,
    task::{JoinHandle, JoinSet},
};
use tokio_util::sync::CancellationToken;

use super::{
    error::Error,
    places,
    protocol::{Hello, VERSION},
    subject::Subject,
    watcher,
};
use crate::{
    config::{self, Socket},
    escape::display_path,
    exit::{Exit, Local, reason},
    logging::Ring,
    metrics::Exporter,
};

/// Watchers at the same time; further ones wait.
const WATCHERS: usize = 64;

/// What is seen of this process from elsewhere; it ends when this is dropped.
pub struct Control {
    _listening: Option<Listening>,
    exporter: Option<Exporter>,
}

impl Control {
    /// Where figures are told, where they are.
    pub fn metrics(&self) -> Option<String> {
        self.exporter.as_ref().map(Exporter::url)
    }
}

/// A control socket; it goes when this is dropped, and its watchers with it.
struct Listening {
    path: PathBuf,
    task: JoinHandle<()>,
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.task.abort();
        // Only what is left of a crash stays, until somebody looks.
        let _ = fs::remove_file(&self.path);
    }
}

/// Listens as the settings say. `usual` is the name where they give none; `stop` is what a watcher ends the program by.
///
/// Where the usual socket cannot be made, there is none, and the log says why. One that was asked for is an error, and so is
/// an address for figures that cannot be listened on.
pub fn listen(
    settings: &config::Control,
    usual: &str,
    subject: Subject,
    ring: Ring,
    stop: CancellationToken,
) -> Result<Control, Error> {
    let exporter = settings.metrics.map(|address| {
        let subject = subject.clone();
        Exporter::listen(address, move || subject.metrics()).map_err(|source| Local {
            what: format!("cannot tell metrics on {address}"),
            source,
            remedy: "give --metrics an address of this machine with a port that is free, or 0",
            exit: Exit::Network,
        })
    });
    let exporter = exporter.transpose()?;
    if let Some(exporter) = &exporter {
        tracing::info!("metrics on {}", exporter.url());
    }
    Ok(Control {
        _listening: socket(settings, usual, subject, ring, stop)?,
        exporter,
    })
}

fn socket(
    settings: &config::Control,
    usual: &str,
    subject: Subject,
    ring: Ring,
    stop: CancellationToken,
) -> Result<Option<Listening>, Error> {
    let name = settings.instance.as_deref().unwrap_or(usual).to_owned();
    let pid = std::process::id();
    let bound = match &settings.socket {
        Socket::Off => return Ok(None),
        Socket::At(path) => bind(path).map(|listener| (listener, path.clone())),
        Socket::Usual => {
            let bound = places::path_for(&name, pid).and_then(|path| {
                let listener = bind(&path);
                let listener =
                    listener.map_err(|e| format!("{}: {}", display_path(&path), reason(&e)))?;
                Ok((listener, path))
            });
            match bound {
                Ok(bound) => Ok(bound),
                Err(why) => {
                    tracing::warn!("no control socket: {why}: --control names another, or off");
                    return Ok(None);
                }
            }
        }
    };
    let (listener, path) = bound.map_err(|source| {
        let path = match &settings.socket {
            Socket::At(path) => display_path(path),
            _ => String::new(),
        };
        Local {
            what: format!("cannot make the control socket {path}"),
            source,
            remedy: "name another with --control, or off",
            exit: Exit::Disk,
        }
    })?;
    tracing::debug!("control socket {}", display_path(&path));
    let hello = Hello {
        version: VERSION,
        program: concat!("haul/", env!("CARGO_PKG_VERSION")).to_owned(),
        name,
        pid,
        facts: subject.facts(),
    };
    let room = Room {
        subject,
        hello,
        ring,
        stop,
    };
    let task = tokio::spawn(room.accept(listener));
    Ok(Some(Listening { path, task }))
}

/// Binds a socket that only its owner can open; one that a dead process left there is replaced.
fn bind(path: &Path) -> io::Result<UnixListener> {
    if places::is_stale(path) {
        fs::remove_file(path)?;
    }
    let listener = UnixListener::bind(path)?;
    // Until then, whoever comes is asked who he is all the same.
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

/// What each watcher is given.
struct Room {
    subject: Subject,
    hello: Hello,
    ring: Ring,
    stop: CancellationToken,
}

impl Room {
    async fn accept(self, listener: UnixListener) {
        let places = Arc::new(Semaphore::new(WATCHERS));
        // Dropped with this, and their tasks with it.
        let mut watchers = JoinSet::new();
        loop {
            let Ok(place) = Arc::clone(&places).acquire_owned().await else {
                return;
            };
            while watchers.try_join_next().is_some() {}
            let stream = match listener.accept().await {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::debug!("a watcher is not taken: {}", reason(&error));
                    // Mostly too many open files, which pass.
                    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                    continue;
                }
            };
            if let Err(who) = is_own(&stream) {
                tracing::warn!("the control socket is for its owner: {who} is turned away");
                continue;
            }
            let hello = Hello {
                facts: self.subject.facts(),
                ..self.hello.clone()
            };
            let engine = self.subject.engine();
            let (ring, stop) = (self.ring.clone(), self.stop.clone());
            let subject = self.subject.clone();
            watchers.spawn(async move {
                let metrics = move || subject.metrics();
                watcher::run(stream, (hello, engine, ring), metrics, stop).await;
                drop(place);
            });
        }
    }
}

/// Whether the other side is this user's, or root's; else who it is.
fn is_own(stream: &UnixStream) -> Result<(), String> {
    let Ok(peer) = stream.peer_cred() else {
        return Err("somebody unknown".to_owned());
    };
    if is_let_in(peer.uid(), geteuid().as_raw()) {
        Ok(())
    } else {
        Err(format!("user {}", peer.uid()))
    }
}

/// Whether a user may watch what another runs. Root could do so in other ways as well.
const fn is_let_in(peer: u32, own: u32) -> bool {
    peer == own || peer == 0
}

#[cfg(test)]
mod tests {
    use super::is_let_in;

    #[test]
    fn only_the_owner_and_root_are_let_in() {
        assert!(is_let_in(1000, 1000) && is_let_in(0, 1000));
        assert!(!is_let_in(1001, 1000) && !is_let_in(1000, 0));
    }
}
