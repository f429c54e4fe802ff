//! What a service manager hands over and is told: listening sockets (`sd_listen_fds(3)`) and news (`sd_notify(3)`).

use std::{
    env, io,
    net::TcpListener,
    os::unix::net::{SocketAddr, UnixDatagram},
    time::Duration,
};

use listenfd::ListenFd;
use socket2::SockRef;

/// The first descriptor that is handed over (`SD_LISTEN_FDS_START`).
const FIRST: usize = 3;
/// Sockets that are taken at most: more are no service's, but a variable's that holds anything.
const MOST: usize = 64;

/// The listening sockets that were handed over to this process, without blocking; none where `LISTEN_PID` does not mean it.
///
/// To be called before there are threads, and once: the variables are taken away, so that no child takes them for its own.
/// The error is for people.
pub fn sockets() -> Result<Vec<TcpListener>, String> {
    let own = std::process::id().to_string();
    if env::var("LISTEN_PID").ok() != Some(own) {
        return Ok(Vec::new());
    }
    let told = env::var("LISTEN_FDS").unwrap_or_default();
    let count: usize = match told.parse() {
        Ok(count) if count <= MOST => count,
        _ => {
            return Err(format!(
                "LISTEN_FDS: `{}` is no number up to {MOST}",
                told.escape_default()
            ));
        }
    };
    let mut passed = ListenFd::from_env();
    (0..count)
        .map(|at| {
            let socket = passed.take_tcp_listener(at).ok().flatten();
            let socket = socket.filter(|socket| SockRef::from(socket).is_listener().unwrap_or(false));
            let ready = socket.and_then(|socket| socket.set_nonblocking(true).ok().map(|()| socket));
            ready.ok_or_else(|| {
                format!(
                    "socket {} of the service manager listens for no TCP connections: use ListenStream=PORT and Accept=no",
                    FIRST + at
                )
            })
        })
        .collect()
}

/// The service manager that started this process and wants to be told of it.
#[derive(Debug)]
pub struct Manager(UnixDatagram);

impl Manager {
    /// The one that `NOTIFY_SOCKET` names.
    pub fn from_env() -> Option<Self> {
        let name = env::var("NOTIFY_SOCKET").ok()?;
        match Self::at(&name) {
            Ok(manager) => Some(manager),
            Err(error) => {
                let why = crate::exit::reason(&error);
                tracing::warn!("NOTIFY_SOCKET: the service manager cannot be told anything: {why}");
                None
            }
        }
    }

    /// A name that begins with `@` is an abstract one.
    fn at(name: &str) -> io::Result<Self> {
        let address = match name.strip_prefix('@') {
            Some(name) => abstract_name(name)?,
            None => SocketAddr::from_pathname(name)?,
        };
        let socket = UnixDatagram::unbound()?;
        socket.connect_addr(&address)?;
        // A manager that hangs holds up nothing.
        socket.set_nonblocking(true)?;
        Ok(Self(socket))
    }

    /// Tells news: lines such as `READY=1`. What cannot be told is left out.
    pub fn tell(&self, news: &str) {
        if let Err(error) = self.0.send(news.as_bytes()) {
            let why = crate::exit::reason(&error);
            tracing::debug!("the service manager was not told: {why}");
        }
    }
}

#[cfg(target_os = "linux")]
fn abstract_name(name: &str) -> io::Result<SocketAddr> {
    use std::os::linux::net::SocketAddrExt as _;
    SocketAddr::from_abstract_name(name)
}

#[cfg(not(target_os = "linux"))]
fn abstract_name(_: &str) -> io::Result<SocketAddr> {
    Err(io::ErrorKind::Unsupported.into())
}

/// How long this process may tell nothing (`WATCHDOG=1`) before the service manager ends it; `None` where it may for ever.
pub fn watchdog() -> Option<Duration> {
    let own = std::process::id().to_string();
    if env::var("WATCHDOG_PID").is_ok_and(|pid| pid != own) {
        return None;
    }
    patience(&env::var("WATCHDOG_USEC").ok()?)
}

/// Microseconds, as `WATCHDOG_USEC` has them.
fn patience(told: &str) -> Option<Duration> {
    let told = told.parse().ok().filter(|told| *told > 0)?;
    Some(Duration::from_micros(told))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manager_is_told_by_path_and_by_abstract_name() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notify");
        let named = format!("@haul-test-{}", fastrand::u64(..));
        let sockets = [
            (path.to_str().unwrap(), UnixDatagram::bind(&path).unwrap()),
            #[cfg(target_os = "linux")]
            (
                &named[..],
                UnixDatagram::bind_addr(&abstract_name(&named[1..]).unwrap()).unwrap(),
            ),
        ];
        for (name, socket) in sockets {
            Manager::at(name).unwrap().tell("READY=1\nSTATUS=x");
            let mut told = [0; 64];
            let length = socket.recv(&mut told).unwrap();
            assert_eq!(&told[..length], b"READY=1\nSTATUS=x", "{name}");
        }
        assert!(Manager::at(dir.path().join("none").to_str().unwrap()).is_err());
    }

    #[test]
    fn a_watchdog_without_a_time_is_none() {
        assert_eq!(patience("30000000"), Some(Duration::from_secs(30)));
        assert_eq!(patience("0"), None);
        assert_eq!(patience("soon"), None);
    }
}
