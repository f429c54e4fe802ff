//! A file system that hangs - a real one, whose server is stopped - hangs who asks for it, nobody else, and no end.

use std::{
    fs::{self, OpenOptions},
    io::{Read as _, Seek as _},
    net::{SocketAddr, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

use crate::common::{
    program::Haul,
    raw::{Raw, fetch, get},
    serving::PATIENCE,
    tools::{need, skipped},
};

/// A directory that rclone serves to the kernel over FUSE.
struct Mount<'d> {
    at: &'d Path,
    rclone: Child,
}

impl<'d> Mount<'d> {
    /// `None`, and said so, where this machine cannot do it: it takes rclone, fusermount3, /dev/fuse and the right to mount.
    fn new(from: &Path, at: &'d Path) -> Option<Self> {
        let rclone = need("rclone")?;
        need("fusermount3")?;
        let device = OpenOptions::new().read(true).write(true).open("/dev/fuse");
        if let Err(why) = device {
            skipped(&format!("no FUSE on this machine: /dev/fuse: {why}"));
            return None;
        }
        let mut said = tempfile::tempfile().unwrap();
        let mut command = Command::new(rclone);
        let child = command
            .args(["mount", "--vfs-cache-mode", "off", "--attr-timeout", "0s"])
            .args([from, at])
            .env("RCLONE_CONFIG", "/dev/null")
            .stdin(Stdio::null())
            .stderr(said.try_clone().unwrap())
            .spawn()
            .unwrap();
        let mut mount = Self { at, rclone: child };
        let begun = Instant::now();
        while fs::read_dir(at).unwrap().next().is_none() {
            if mount.rclone.try_wait().unwrap().is_some() {
                let mut why = String::new();
                said.rewind().unwrap();
                said.read_to_string(&mut why).unwrap();
                assert!(why.contains("mount"), "{why}");
                skipped(&format!("FUSE may not be mounted on this machine: {why}"));
                return None;
            }
            assert!(
                begun.elapsed() < PATIENCE,
                "it is not mounted, and not refused"
            );
            std::thread::sleep(Duration::from_millis(20));
        }
        Some(mount)
    }

    /// Stops it while `reader` waits for nothing of it: what it has taken up already, the kernel lets nobody die of.
    fn stop(&self, reader: &Child) {
        let begun = Instant::now();
        loop {
            signal(&self.rclone, Signal::STOP);
            while !threads(self.rclone.id()).iter().all(|it| it.state == "T") {
                assert!(begun.elapsed() < PATIENCE, "it does not stop");
                std::thread::sleep(Duration::from_millis(1));
            }
            let waits = |it: &Thread| it.place.contains("request_wait");
            if !threads(reader.id()).iter().any(waits) {
                return;
            }
            signal(&self.rclone, Signal::CONT);
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Mount<'_> {
    fn drop(&mut self) {
        let _ = self.rclone.kill();
        let _ = self.rclone.wait();
        let unmount = ["-u", "-z", self.at.to_str().unwrap()];
        let _ = Command::new("fusermount3").args(unmount).status();
    }
}

fn signal(child: &Child, signal: Signal) {
    let id = Pid::from_raw(child.id().cast_signed()).unwrap();
    kill_process(id, signal).unwrap();
}

/// A thread, as the kernel tells of it.
#[derive(Debug)]
struct Thread {
    #[expect(dead_code, reason = "shown where a test fails")]
    name: String,
    state: String,
    /// What it waits for within the kernel.
    place: String,
}

fn threads(id: u32) -> Vec<Thread> {
    let tasks = fs::read_dir(format!("/proc/{id}/task"))
        .into_iter()
        .flatten();
    let told = tasks.flatten().filter_map(|task| {
        let read = |name| fs::read_to_string(task.path().join(name)).unwrap_or_default();
        let (stat, place) = (read("stat"), read("wchan"));
        let (name, rest) = stat.rsplit_once(") ")?;
        Some(Thread {
            name: name.to_owned(),
            state: rest.split(' ').next()?.to_owned(),
            place,
        })
    });
    told.collect()
}

/// A server that is a process of its own, so that it may hang and be ended.
fn serve(root: &Path, with: impl FnOnce(Haul) -> Haul) -> (Child, SocketAddr) {
    let line = [
        "serve",
        root.to_str().unwrap(),
        "--headless",
        "-a",
        "127.0.0.1",
        "-p",
        "0",
    ];
    let mut haul = with(Haul::new(&line));
    let mut server = haul
        .command
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut first = String::new();
    let mut stdout = std::io::BufReader::new(server.stdout.take().unwrap());
    std::io::BufRead::read_line(&mut stdout, &mut first).unwrap();
    let address = first.trim().rsplit('/').next().unwrap().parse().unwrap();
    (server, address)
}

#[test]
fn a_file_system_that_hangs_hangs_who_asks_for_it_and_nobody_else() {
    let (root, behind) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    fs::write(behind.path().join("small"), "small").unwrap();
    fs::write(behind.path().join("large"), vec![7; 8 << 20]).unwrap();
    fs::write(root.path().join("a.txt"), "hello").unwrap();
    fs::write(root.path().join("large"), vec![7; 3 << 20]).unwrap();
    std::os::unix::fs::symlink("mnt/small", root.path().join("link")).unwrap();
    std::os::unix::fs::symlink("mnt", root.path().join("dir-link")).unwrap();
    let at = root.path().join("mnt");
    fs::create_dir(&at).unwrap();
    let Some(mount) = Mount::new(behind.path(), &at) else {
        return;
    };
    let (mut server, address) = serve(root.path(), |haul| haul);
    let ask = |target: &str| fetch(address, get(target, ""));
    // While it answers, it is as good as any other.
    assert_eq!(ask("/mnt/small").text(), "small");
    assert_eq!(ask("/mnt/large").body, vec![7; 8 << 20]);
    assert_eq!(ask("/mnt/none").status, 404);
    assert_eq!(ask("/mnt/large?pieces").body.len(), 24 + 9 * 32);
    assert!(ask("/mnt/").text().contains("small"));
    mount.stop(&server);
    // More than there are threads for it, of every kind.
    let targets = [
        "small",
        "large",
        "none",
        "",
        "large?pieces",
        "large?blocks=0-0",
        "large?meta4",
        "?tar",
        "?meta4",
    ];
    let mut hung: Vec<Raw> = (0..400)
        .map(|n| {
            let mut raw = Raw::connect_from([127, 0, 0, 9], address);
            let target = match n % 10 {
                8 => "/link".to_owned(),
                9 => "/dir-link/small".to_owned(),
                _ => format!("/mnt/{}", targets[n % targets.len()]),
            };
            raw.send(get(&target, ""));
            raw
        })
        .collect();
    for _ in 0..20 {
        let begun = Instant::now();
        assert_eq!(ask("/a.txt").text(), "hello");
        assert_eq!(ask("/large").body.len(), 3 << 20);
        assert_eq!(ask("/large?pieces").status, 200);
        assert_eq!(ask("/large?blocks=0-2").status, 200);
        assert_eq!(ask("/large?meta4").status, 200);
        assert!(ask("/").text().contains("mnt/"));
        assert!(
            begun.elapsed() < Duration::from_secs(5),
            "{:?}",
            begun.elapsed()
        );
    }
    // Who asks for it is told.
    for raw in hung.iter_mut().take(2) {
        let answer = raw.read();
        assert_eq!(
            (answer.status, answer.field("Retry-After")),
            (503, Some("10"))
        );
    }
    // The second signal ends the program, whatever hangs.
    signal(&server, Signal::TERM);
    // Two signals that come at once are one: the first was taken once nobody is let in any more.
    let begun = Instant::now();
    while TcpStream::connect(address).is_ok() {
        assert!(begun.elapsed() < PATIENCE, "it does not drain");
        std::thread::sleep(Duration::from_millis(20));
    }
    std::thread::sleep(Duration::from_millis(200));
    let begun = Instant::now();
    signal(&server, Signal::TERM);
    while server.try_wait().unwrap().is_none() {
        assert!(
            begun.elapsed() < Duration::from_secs(8),
            "it does not end: {:?}",
            threads(server.id())
        );
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_cache_directory_that_hangs_keeps_nobody_waiting() {
    let (root, at, behind) = (
        tempfile::tempdir().unwrap(),
        tempfile::tempdir().unwrap(),
        tempfile::tempdir().unwrap(),
    );
    fs::create_dir(behind.path().join("cache")).unwrap();
    fs::write(root.path().join("large"), vec![7; 3 << 20]).unwrap();
    let Some(mount) = Mount::new(behind.path(), at.path()) else {
        return;
    };
    let cache = at.path().join("cache");
    let (mut server, address) = serve(root.path(), |haul| {
        haul.env("XDG_CACHE_HOME", cache.to_str().unwrap())
    });
    mount.stop(&server);
    let begun = Instant::now();
    for (target, fields) in [
        ("/", "Accept: application/json\r\n"),
        ("/large", ""),
        ("/large?pieces", ""),
        ("/large?blocks=0-2", ""),
        ("/large?meta4", ""),
    ] {
        assert_eq!(fetch(address, get(target, fields)).status, 200, "{target}");
    }
    assert!(begun.elapsed() < Duration::from_secs(5));
    server.kill().unwrap();
    server.wait().unwrap();
}
