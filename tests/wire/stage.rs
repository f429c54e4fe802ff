//! What the rows are played against: a server, and a directory in which every file has a known date.

use std::{
    ffi::OsStr,
    fs,
    net::Ipv4Addr,
    os::unix::{ffi::OsStrExt as _, fs::symlink},
    path::Path,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use haul::{server::Settings, tls::Connector};
use tempfile::TempDir;

use super::{
    answer,
    row::Row,
    run::{Partner, play},
};
use crate::common::{
    raw::{Raw, get},
    serving::{PATIENCE, Serving, serve_with, settings},
};

/// When every file was changed last, in the three forms that a date may have (RFC 9110 §5.6.7).
pub const DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
pub const DATE_850: &str = "Sunday, 06-Nov-94 08:49:37 GMT";
pub const DATE_ASCTIME: &str = "Sun Nov  6 08:49:37 1994";
const DATE_SECONDS: u64 = 784_111_777;
/// A second before, and one behind.
pub const EARLIER: &str = "Sun, 06 Nov 1994 08:49:36 GMT";
pub const LATER: &str = "Sun, 06 Nov 1994 08:49:38 GMT";

/// What stands in `/hello.txt`.
pub const HELLO: &str = "hello world";
/// What stands in `/ten`.
pub const TEN: &str = "0123456789";
/// What stands in `/probe`.
pub const PROBE: &str = "the connection is good";

/// What stands in `/large`: more than is sent from one buffer, and no two ranges alike.
pub fn large() -> Vec<u8> {
    crate::common::trees::content(9, LARGE)
}

/// The size of `/large` in bytes.
pub const LARGE: usize = 100_000;

/// Names that a path has to be decoded for, or must not be. Each file holds its own name.
pub const NAMES: [&[u8]; 12] = [
    b"two words",
    b"100%.txt",
    b"%2e%2e",
    b"a+b",
    b"semi;v=1",
    b"back\\slash",
    b"what?",
    b"sharp#",
    b"tail...",
    b"raw\xff\n.txt",
    "\u{fc}nic\u{f6}de".as_bytes(),
    b"~tilde-dash_dot.",
];

/// A server and its directory.
pub struct Stage {
    temp: TempDir,
    serving: Serving,
    from: Ipv4Addr,
}

impl Stage {
    pub fn new() -> Self {
        Self::with(|_| {})
    }

    /// A server with settings of its own.
    pub fn with(change: impl FnOnce(&mut Settings)) -> Self {
        let temp = tree();
        let mut settings = settings(&temp.path().join("root"));
        change(&mut settings);
        Self {
            serving: serve_with(settings),
            temp,
            from: Ipv4Addr::LOCALHOST,
        }
    }

    /// Plays all rows from another address while somebody is there already, who may stay.
    pub fn play_beside_a_guest(mut self, rows: Vec<Row>) {
        let mut guest = Raw::connect(self.serving.address);
        let mut asks = || {
            guest.send(get("/probe", ""));
            assert_eq!(guest.read().text(), PROBE);
        };
        asks();
        self.from = Ipv4Addr::new(127, 0, 0, 2);
        self.play(rows);
        asks();
    }

    /// Plays all rows from another address while a connection waits for its answer, which the server holds back by a
    /// limit: the server is full, and nobody in it lets it wait.
    pub fn play_beside_a_busy_one(mut self, rows: Vec<Row>) {
        let mut busy = Raw::connect(self.serving.address);
        busy.send(get("/large", ""));
        assert_eq!(busy.read_head().status, 200);
        self.from = Ipv4Addr::new(127, 0, 0, 2);
        self.play(rows);
        assert_eq!(busy.take(1), large()[..1]);
    }

    /// More in the directory that is served.
    pub fn and(self, add: impl FnOnce(&Path)) -> Self {
        add(&self.temp.path().join("root"));
        self
    }

    /// Plays all rows.
    pub fn play(&self, rows: Vec<Row>) {
        self.play_over(None, rows);
    }

    /// Plays all rows over TLS.
    pub fn play_encrypted(&self, rows: Vec<Row>) {
        let pin = self.serving.server.fingerprint();
        let connector = Connector::new("127.0.0.1", Some(pin.unwrap()));
        self.play_over(Some(connector.unwrap()), rows);
    }

    fn play_over(&self, tls: Option<Connector>, rows: Vec<Row>) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let partner = Partner {
            address: self.serving.address,
            from: self.from,
            tls,
            etag: etag(&self.temp.path().join("root/hello.txt")),
            patience: PATIENCE,
        };
        runtime.block_on(play(rows, &partner));
    }
}

/// The entity tag of a file, asked for over a server of its own: the one under test may let nobody in.
fn etag(file: &Path) -> String {
    let serving = serve_with(settings(file.parent().unwrap()));
    let mut raw = Raw::connect(serving.address);
    raw.send(get("/hello.txt", "Connection: close\r\n"));
    let bytes = raw.rest();
    let (answer, _) = answer::parse(&bytes, false, true).unwrap().unwrap();
    answer.field("ETag").unwrap().to_owned()
}

/// A directory `root`, and a secret beside it.
pub fn tree() -> TempDir {
    let temp = tempfile::tempdir().unwrap();
    let root = temp.path().join("root");
    for dir in ["dir/deep", ".git", "empty dir"] {
        fs::create_dir_all(root.join(dir)).unwrap();
    }
    let large = large();
    for (path, bytes) in [
        ("hello.txt", HELLO.as_bytes()),
        ("probe", PROBE.as_bytes()),
        ("ten", TEN.as_bytes()),
        ("large", &large),
        ("empty", b""),
        ("dir/inner.html", b"<p>inner</p>"),
        ("dir/deep/leaf", b"leaf"),
        (".hidden", b"hidden"),
        (".git/config", b"hidden"),
    ] {
        write(&root.join(path), bytes);
    }
    for name in NAMES {
        write(&root.join(OsStr::from_bytes(name)), name);
    }
    let century = Duration::from_secs(100 * 365 * 86_400);
    for (name, date) in [
        ("future", SystemTime::now() + century),
        ("past", UNIX_EPOCH - century),
    ] {
        write(&root.join(name), name.as_bytes());
        set_date(&root.join(name), date);
    }
    write(&temp.path().join("secret"), b"secret");
    for (target, link) in [
        ("hello.txt", "link"),
        ("../secret", "link-out"),
        ("..", "link-up"),
        ("dir", "link-dir"),
        ("nothing", "link-dangling"),
    ] {
        symlink(target, root.join(link)).unwrap();
    }
    symlink(root.join("hello.txt"), root.join("link-absolute")).unwrap();
    let fifo = rustix::fs::FileType::Fifo;
    rustix::fs::mknodat(rustix::fs::CWD, root.join("fifo"), fifo, 0o644.into(), 0).unwrap();
    temp
}

fn write(path: &Path, bytes: &[u8]) {
    fs::write(path, bytes).unwrap();
    set_date(path, UNIX_EPOCH + Duration::from_secs(DATE_SECONDS));
}

fn set_date(path: &Path, date: SystemTime) {
    let file = fs::File::options().write(true).open(path).unwrap();
    file.set_modified(date).unwrap();
}
