//! Servers that are found by themselves, from another network namespace: seen soon, gone soon, and told apart.

use std::{
    env,
    io::{BufRead as _, BufReader, Write as _},
    path::Path,
    process::{Child, Command, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use haul::discovery::{News, hear};
use rustix::process::{Pid, Signal, kill_process};

use crate::{
    common::{program::Haul, secure::Daemon, serving::PATIENCE},
    network::Net,
};

/// How soon a server is seen, and is not any more.
const SOON: Duration = Duration::from_secs(1);

/// Listens in a namespace: what is heard there, when it is.
struct Listener {
    child: Child,
    lines: mpsc::Receiver<(Instant, String)>,
}

impl Listener {
    fn start(namespace: &str) -> Self {
        let tests = env::current_exe().unwrap();
        let helper = "discovery::helper_that_listens";
        let mut child = Command::new("ip")
            .args(["netns", "exec", namespace, tests.to_str().unwrap()])
            .args(["--exact", helper, "--ignored", "--nocapture"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || {
            for line in out.lines().map_while(Result::ok) {
                let _ = sender.send((Instant::now(), line));
            }
        });
        let this = Self { child, lines };
        this.hears("listening");
        this
    }

    /// Waits until it says a line that begins so; when it did, and the line.
    fn hears(&self, begin: &str) -> (Instant, String) {
        loop {
            let (at, line) = self.lines.recv_timeout(PATIENCE).unwrap();
            if line.starts_with(begin) {
                return (at, line);
            }
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Run by the tests above, in a namespace of its own, until it is killed.
#[tokio::test]
#[ignore = "it listens for ever: other tests run it"]
async fn helper_that_listens() {
    let say = |line: &str| writeln!(std::io::stdout(), "\n{line}").unwrap();
    say("listening");
    let heard = hear(|news| match news {
        News::Here(heard) => say(&format!("here {}: {:?}", heard.name, heard.addresses)),
        News::Gone(name) => say(&format!("gone {name}")),
    });
    heard.await.unwrap();
}

/// A server in the far namespace, under a name that no machine adds to.
fn serve(net: &Net, root: &Path, more: &[&str]) -> Daemon {
    let far = net.far();
    let within = ["ip", "netns", "exec", far.as_str()];
    let usual = ["-a", "10.77.0.2", "-p", "0"];
    Daemon::start_within(&within, root, &[&usual, more].concat())
}

fn signal(daemon: &Daemon, signal: Signal) {
    kill_process(Pid::from_raw(daemon.id().cast_signed()).unwrap(), signal).unwrap();
}

#[test]
fn a_server_is_seen_within_a_second_and_gone_within_a_second() {
    let Some(net) = Net::new() else { return };
    let root = tempfile::tempdir().unwrap();
    let listener = Listener::start(&net.near());
    let (mut seen, mut gone) = (Duration::MAX, Duration::MAX);
    // A machine that has other things to do may hold up one of them.
    for _ in 0..5 {
        let daemon = serve(&net, root.path(), &["--instance", "pub"]);
        let begun = Instant::now();
        let (at, line) = listener.hears("here pub on ");
        assert!(
            line.contains(&format!("10.77.0.2:{}", daemon.port())),
            "{line}"
        );
        seen = seen.min(at.saturating_duration_since(begun));
        signal(&daemon, Signal::TERM);
        assert_eq!(daemon.wait(), Some(143));
        let ended = Instant::now();
        let (at, _) = listener.hears("gone pub on ");
        gone = gone.min(at.saturating_duration_since(ended));
        if seen < SOON && gone < SOON {
            break;
        }
    }
    println!("seen after {seen:?}, gone after {gone:?}");
    assert!(seen < SOON && gone < SOON, "seen {seen:?}, gone {gone:?}");
}

#[test]
fn names_that_clash_are_told_apart() {
    let Some(net) = Net::new() else { return };
    let root = tempfile::tempdir().unwrap();
    let listener = Listener::start(&net.near());
    let first = serve(&net, root.path(), &["--instance", "twin"]);
    let (_, line) = listener.hears("here twin on ");
    assert!(line.contains(first.port()), "{line}");
    let second = serve(&net, root.path(), &["--instance", "twin"]);
    let (_, line) = loop {
        let (at, line) = listener.hears("here twin on ");
        if line.contains(second.port()) {
            break (at, line);
        }
    };
    assert!(line.contains("(2)"), "{line}");
    // A directory's name is for those who may see it.
    let _locked = serve(&net, root.path(), &["--auth", "ada:x"]);
    listener.hears("here haul on ");
    let dir = root.path().file_name().unwrap().to_str().unwrap();
    let _open = serve(&net, root.path(), &[]);
    listener.hears(&format!("here {dir} on "));
}

#[test]
fn servers_are_listed_with_what_they_claim_and_whether_they_answer() {
    let Some(net) = Net::new() else { return };
    let root = tempfile::tempdir().unwrap();
    let near = net.near();
    let within = ["ip", "netns", "exec", near.as_str()];
    let listed = |state: &Path, more: &[&str]| {
        let line = [&["servers"], more].concat();
        let haul = Haul::within(&within, &line).env("XDG_STATE_HOME", state.to_str().unwrap());
        let (code, stdout, _) = haul.run();
        (code, stdout)
    };
    let state = tempfile::tempdir().unwrap();
    let (code, told) = listed(state.path(), &[]);
    assert_eq!(
        (code, told.starts_with("no server says")),
        (3, true),
        "{told}"
    );
    let plain = serve(&net, root.path(), &["--instance", "plain"]);
    let secret = serve(&net, root.path(), &["--instance", "secret", "--tls"]);
    let hidden = serve(
        &net,
        root.path(),
        &["--instance", "hidden", "--no-announce"],
    );
    let start = Instant::now();
    let told = loop {
        let (code, told) = listed(state.path(), &["--json"]);
        if told.lines().count() == 2 {
            assert_eq!(code, 0);
            break told;
        }
        assert!(start.elapsed() < PATIENCE, "{told}");
    };
    let lines: Vec<serde_json::Value> = told
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    for (line, daemon) in lines.iter().zip([&plain, &secret]) {
        assert_eq!(line["url"], format!("{}/", daemon.url), "{told}");
        assert_eq!(
            (&line["heard"], &line["used"]),
            (&true.into(), &false.into())
        );
        assert_eq!(line["reachable"], true, "{told}");
    }
    assert!(lines[0]["fingerprint"].is_null(), "{told}");
    assert_eq!(lines[1]["fingerprint"], secret.fingerprint);
    assert!(!told.contains(hidden.port()), "{told}");
    // What was used before is told though nobody says it, and that it is gone.
    let haul = state.path().join("haul");
    std::fs::create_dir_all(&haul).unwrap();
    let places = format!("server {}/\nserver {}/\n", hidden.url, plain.url);
    std::fs::write(haul.join("places"), places).unwrap();
    let line = |told: &str, url: &str| {
        let line = told.lines().find(|line| line.starts_with(url));
        line.unwrap_or_else(|| panic!("no {url} in {told}"))
            .to_owned()
    };
    let start = Instant::now();
    let told = loop {
        let told = listed(state.path(), &[]).1;
        if told.contains("plain on") && told.contains("secret on") {
            break told;
        }
        assert!(start.elapsed() < PATIENCE, "{told}");
    };
    assert_eq!(told.lines().count(), 3, "{told}");
    assert!(
        line(&told, &plain.url).contains("ms  used before"),
        "{told}"
    );
    assert!(
        line(&told, &hidden.url).contains("ms  used before"),
        "{told}"
    );
    assert!(
        line(&told, &secret.url).contains("claims SHA256:"),
        "{told}"
    );
    let url = hidden.url.clone();
    drop(hidden);
    let told = listed(state.path(), &[]).1;
    assert!(
        line(&told, &url).contains("cannot be reached  used before"),
        "{told}"
    );
    // Nothing that it says is sent anywhere.
    signal(&plain, Signal::TERM);
    let written = plain.written();
    assert_eq!(plain.wait(), Some(143));
    assert!(!written.contains("GET "), "{written}");
}

#[test]
fn who_serves_this_machine_alone_says_so_to_nobody() {
    let Some(net) = Net::new() else { return };
    let root = tempfile::tempdir().unwrap();
    let far = net.far();
    let within = ["ip", "netns", "exec", far.as_str()];
    let args = ["-p", "0", "--instance", "own"];
    let own = Daemon::start_within(&within, root.path(), &args);
    let threads = |id: u32| {
        let tasks = std::fs::read_dir(format!("/proc/{id}/task"))
            .unwrap()
            .flatten();
        let name = |task: std::fs::DirEntry| std::fs::read_to_string(task.path().join("comm"));
        tasks.filter_map(|task| name(task).ok()).collect::<String>()
    };
    own.wait_to_say("not announced: only this machine can reach it");
    assert!(!threads(own.id()).contains("mDNS"), "{}", threads(own.id()));
    let open = serve(&net, root.path(), &[]);
    let start = Instant::now();
    while !threads(open.id()).contains("mDNS") {
        assert!(start.elapsed() < PATIENCE, "the other one says so");
        thread::yield_now();
    }
}

/// A bus that lets everybody do everything, at `@`.
const BUS: &str = r#"<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><type>system</type><listen>unix:path=@</listen><policy context="default"><allow user="*"/><allow own="*"/>
<allow send_destination="*" eavesdrop="true"/><allow receive_sender="*"/></policy></busconfig>"#;

/// The avahi of a namespace, on a bus of its own.
struct Avahi {
    namespace: String,
    dir: tempfile::TempDir,
    children: Vec<Child>,
}

impl Avahi {
    fn start(namespace: String) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut this = Self {
            namespace,
            dir,
            children: Vec::new(),
        };
        let bus = this.dir.path().join("bus");
        let config = this.dir.path().join("bus.conf");
        std::fs::write(&config, BUS.replace('@', bus.to_str().unwrap())).unwrap();
        let config = format!("--config-file={}", config.display());
        this.spawn(&["dbus-daemon", &config, "--nofork", "--nopidfile"]);
        this.wait(|| bus.exists());
        let settings = this.dir.path().join("avahi.conf");
        std::fs::write(&settings, "[server]\nuse-ipv4=yes\nuse-ipv6=yes\n").unwrap();
        // It knows by a file whether it runs already.
        let line = format!(
            "mkdir -p /run/avahi-daemon && mount -t tmpfs none /run/avahi-daemon && \
             exec avahi-daemon -f {} --no-drop-root --no-chroot --no-rlimits",
            settings.display()
        );
        this.spawn(&["unshare", "-m", "sh", "-c", &line]);
        let log = this.dir.path().join("log");
        this.wait(|| {
            std::fs::read_to_string(&log).is_ok_and(|log| log.contains("Server startup complete"))
        });
        this
    }

    fn command(&self, line: &[&str]) -> Command {
        let bus = self.dir.path().join("bus");
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.namespace]).args(line);
        command.env(
            "DBUS_SYSTEM_BUS_ADDRESS",
            format!("unix:path={}", bus.display()),
        );
        command
    }

    fn spawn(&mut self, line: &[&str]) {
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(self.dir.path().join("log"));
        let mut command = self.command(line);
        self.children
            .push(command.stderr(log.unwrap()).spawn().unwrap());
    }

    fn wait(&self, is_so: impl Fn() -> bool) {
        let start = Instant::now();
        while !is_so() {
            let log = std::fs::read_to_string(self.dir.path().join("log"));
            assert!(start.elapsed() < PATIENCE, "{}", log.unwrap_or_default());
            thread::yield_now();
        }
    }

    /// The names of a kind of services that it knows after asking for them.
    fn browse(&self, kind: &str) -> String {
        self.asks("-rtp", kind)
    }

    /// The same with another option: `-cp` asks nobody, and tells at once what is known.
    fn asks(&self, how: &str, kind: &str) -> String {
        let output = self.command(&["avahi-browse", how, kind]).output();
        String::from_utf8(output.unwrap().stdout).unwrap()
    }
}

impl Drop for Avahi {
    fn drop(&mut self) {
        for child in self.children.iter_mut().rev() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

#[test]
#[ignore = "needs avahi-daemon and dbus: cargo test --test haul beside_avahi -- --ignored"]
fn a_server_beside_avahi_is_seen_by_another_avahi_and_gone_with_its_end() {
    let Some(net) = Net::new() else { return };
    let (near, far) = (Avahi::start(net.near()), Avahi::start(net.far()));
    let root = tempfile::tempdir().unwrap();
    let daemon = serve(&net, root.path(), &["--instance", "pub"]);
    let begun = Instant::now();
    for kind in ["_haul._tcp", "_http._tcp"] {
        let seen = loop {
            let asked = begun.elapsed();
            let told = near.browse(kind);
            let port = format!(";10.77.0.2;{};\"path=/\"", daemon.port());
            if told
                .lines()
                .any(|line| line.starts_with('=') && line.ends_with(&port))
            {
                break asked;
            }
            assert!(begun.elapsed() < PATIENCE, "{told}");
        };
        println!("{kind}: seen by who asked after {seen:?}");
        // The second kind is asked for once the first was found.
        assert!(kind != "_haul._tcp" || seen < SOON, "{seen:?}");
    }
    // The one beside it sees it too. The two have one host name here, and settle that between them.
    assert!(far.browse("_haul._tcp").contains("pub"));
    signal(&daemon, Signal::TERM);
    assert_eq!(daemon.wait(), Some(143));
    let ended = Instant::now();
    let gone = loop {
        let asked = ended.elapsed();
        if !near.asks("-cp", "_haul._tcp").contains("pub") {
            break asked;
        }
        assert!(ended.elapsed() < PATIENCE, "it is still there");
    };
    println!("gone for who asked after {gone:?}");
    assert!(gone < SOON, "{gone:?}");
}
