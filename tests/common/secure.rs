//! `haul serve` with TLS or logins as a program of its own, and certificates of every kind.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use haul::tls::Identity;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use tempfile::TempDir;

use super::program::{Haul, Within};

/// A running `haul serve`; killed when it is dropped.
pub struct Daemon {
    child: Child,
    pub url: String,
    /// Without `SHA256:`; empty without TLS.
    pub fingerprint: String,
    /// Its state directory.
    pub state: TempDir,
}

impl Daemon {
    /// Serves `root` on a free port with further arguments.
    pub fn start(root: &Path, arguments: &[&str]) -> Self {
        Self::start_within(&[], root, &[&["-p", "0"], arguments].concat())
    }

    /// The same on a port that is known.
    pub fn start_at(root: &Path, port: &str, arguments: &[&str]) -> Self {
        Self::start_within(&[], root, &[&["-p", port], arguments].concat())
    }

    /// The same, run by other programs.
    pub fn start_within(outer: Within<'_>, root: &Path, arguments: &[&str]) -> Self {
        let root = root.to_str().unwrap();
        let usual = [
            "serve",
            root,
            "--headless",
            "-a",
            "127.0.0.1",
            "-v",
            "trace",
        ];
        let mut haul = Haul::within(outer, &[&usual[..], arguments].concat());
        let mut child = haul
            .command
            .stdout(Stdio::piped())
            .stderr(fs::File::create(haul.state.path().join("stderr")).unwrap())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let url = lines.next().unwrap().unwrap();
        let url = url.strip_prefix("listening on ");
        let url = url.unwrap_or_else(|| panic!("no URL")).to_owned();
        let fingerprint = if url.starts_with("https") {
            // Behind the URLs of other addresses.
            let mut lines = lines.map(Result::unwrap);
            let found =
                lines.find_map(|line| Some(line.strip_prefix("fingerprint SHA256:")?.to_owned()));
            found.unwrap()
        } else {
            String::new()
        };
        Self {
            child,
            url,
            fingerprint,
            state: haul.state,
        }
    }

    /// The process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// `127.0.0.1:PORT`
    pub fn authority(&self) -> &str {
        self.url.split("://").nth(1).unwrap()
    }

    pub fn address(&self) -> SocketAddr {
        self.authority().parse().unwrap()
    }

    pub fn port(&self) -> &str {
        self.authority().split(':').nth(1).unwrap()
    }

    /// Everything that it wrote: log files, the cache, stderr.
    pub fn written(&self) -> String {
        all_text(self.state.path())
    }

    /// What is on stderr, once this is.
    pub fn wait_to_say(&self, text: &str) -> String {
        let start = std::time::Instant::now();
        loop {
            let said = fs::read_to_string(self.state.path().join("stderr")).unwrap();
            if said.contains(text) {
                return said;
            }
            assert!(
                start.elapsed() < super::serving::PATIENCE,
                "no {text:?} in {said}"
            );
            std::thread::yield_now();
        }
    }

    /// Waits until it has ended by itself, and tells its status.
    pub fn wait(mut self) -> Option<i32> {
        super::program::ended(&mut self.child).code()
    }

    /// Kills it and leaves its state directory.
    pub fn end(mut self) -> TempDir {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        std::mem::replace(&mut self.state, tempfile::tempdir().unwrap())
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// All files below `dir`, one behind the other.
pub fn all_text(dir: &Path) -> String {
    let mut text = String::new();
    let mut open = vec![dir.to_owned()];
    while let Some(next) = open.pop() {
        for entry in fs::read_dir(&next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
                continue;
            }
            if !path.is_file() {
                continue;
            }
            let mut bytes = Vec::new();
            fs::File::open(&path)
                .unwrap()
                .read_to_end(&mut bytes)
                .unwrap();
            text.push_str(&String::from_utf8_lossy(&bytes));
        }
    }
    text
}

/// A certificate of this machine's own, as `--tls` makes it.
pub fn own_identity() -> Identity {
    let dir = tempfile::tempdir().unwrap();
    let addresses = ["127.0.0.1".parse().unwrap()];
    Identity::own(dir.path(), &["localhost".into()], &addresses).unwrap()
}

/// An authority, and certificates that it signed.
pub struct Authority {
    dir: TempDir,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate and its key, as PEM files.
pub struct Signed {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

impl Authority {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params
            .distinguished_name
            .push(DnType::CommonName, "a test's authority");
        let certificate = params.self_signed(&key).unwrap();
        fs::write(dir.path().join("ca.pem"), certificate.pem()).unwrap();
        let issuer = Issuer::new(params, key);
        Self { dir, issuer }
    }

    /// Its own certificate, which clients are to trust.
    pub fn file(&self) -> PathBuf {
        self.dir.path().join("ca.pem")
    }

    /// A certificate for `name`, a host's or an address; the end of its last year is the given one's.
    pub fn sign(&self, name: &str, last_year: i32) -> Signed {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new([name.to_owned()]).unwrap();
        params.not_after = date_time_ymd(last_year, 12, 31);
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let signed = Signed {
            certificate: self.dir.path().join(format!("{name}-{last_year}.pem")),
            key: self.dir.path().join(format!("{name}-{last_year}.key")),
        };
        fs::write(&signed.certificate, certificate.pem()).unwrap();
        fs::write(&signed.key, key.serialize_pem()).unwrap();
        signed
    }
}

impl Signed {
    /// The arguments that make `haul serve` show it.
    pub fn arguments(&self) -> [&str; 4] {
        let text = |path: &'_ Path| path.to_str().unwrap().to_owned().leak() as &str;
        [
            "--tls-cert",
            text(&self.certificate),
            "--tls-key",
            text(&self.key),
        ]
    }
}

/// Runs a program, which must succeed, and returns what it wrote to stdout.
pub fn output_of(program: &Path, arguments: &[&str]) -> Vec<u8> {
    let output = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .env_remove("https_proxy")
        .env_remove("http_proxy")
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{program:?} {arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    output.stdout
}
