//! A network of one's own that is gone for a while: what was under way waits for it, and goes on.

use std::{
    collections::BTreeMap,
    fs,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use crate::common::{
    program::Haul,
    secure::Daemon,
    tools::{need, skipped},
    trees::{content, quick_temp},
};

const MIB: usize = 1 << 20;

/// Two network namespaces and the line between them; all is gone when it is dropped.
pub(crate) struct Net(String);

impl Net {
    /// `None` where that is not allowed.
    pub(crate) fn new() -> Option<Self> {
        need("ip")?;
        let net = Self(format!("haul{}", fastrand::u32(..)));
        let (near, far) = (net.near(), net.far());
        let made = [
            format!("netns add {near}"),
            format!("netns add {far}"),
            format!("-n {near} link add v0 type veth peer name v1 netns {far}"),
            format!("-n {near} addr add 10.77.0.1/24 dev v0"),
            format!("-n {far} addr add 10.77.0.2/24 dev v1"),
            format!("-n {far} link set v1 up"),
            format!("-n {far} link set lo up"),
            format!("-n {near} link set v0 up"),
        ]
        .iter()
        .all(|line| ip(line));
        if !made {
            skipped("network namespaces");
            return None;
        }
        Some(net)
    }

    pub(crate) fn near(&self) -> String {
        format!("{}n", self.0)
    }

    pub(crate) fn far(&self) -> String {
        format!("{}f", self.0)
    }

    fn link(&self, state: &str) {
        assert!(ip(&format!("-n {} link set v0 {state}", self.near())));
    }
}

impl Net {
    /// Bytes that a server there sent on each of its connections, by the other end.
    fn sent_by(&self, port: &str) -> BTreeMap<String, u64> {
        let (far, port) = (self.far(), format!(":{port}"));
        let line = ["netns", "exec", &far, "ss", "-tinH", "sport", "=", &port];
        let told = Command::new("ip").args(line).output().unwrap();
        let told = String::from_utf8(told.stdout).unwrap();
        let lines: Vec<_> = told.lines().collect();
        let pairs = lines.chunks(2).filter_map(|pair| {
            let peer = pair[0].split_whitespace().nth(4)?;
            let sent = pair.get(1)?.split("bytes_acked:").nth(1)?;
            let sent = sent.split_whitespace().next()?.parse().ok()?;
            Some((peer.to_owned(), sent))
        });
        pairs.collect()
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        ip(&format!("netns del {}", self.near()));
        ip(&format!("netns del {}", self.far()));
    }
}

fn ip(line: &str) -> bool {
    let run = Command::new("ip")
        .args(line.split(' '))
        .stderr(Stdio::null())
        .status();
    run.is_ok_and(|status| status.success())
}

#[test]
fn a_network_of_ones_own_that_is_gone_drops_no_mirror() {
    gone_for(Duration::from_secs(8));
}

#[test]
#[ignore = "takes 45 s: cargo test --release gone_for_20 -- --ignored"]
fn a_network_of_ones_own_that_is_gone_for_20_s_drops_no_mirror() {
    gone_for(Duration::from_secs(20));
}

/// Two mirrors in a namespace whose line is taken down in the middle of a download: both go on by themselves.
fn gone_for(outage: Duration) {
    let Some(net) = Net::new() else { return };
    let root = quick_temp();
    let bytes = content(3, 64 * MIB);
    fs::write(root.path().join("f"), &bytes).unwrap();
    let (near, far) = (net.near(), net.far());
    let there = ["ip", "netns", "exec", far.as_str()];
    let serve = || Daemon::start_within(&there, root.path(), &["-p", "0", "-a", "10.77.0.2"]);
    let servers = [serve(), serve()];
    let urls = servers
        .each_ref()
        .map(|server| format!("http://10.77.0.2:{}/", server.port()));
    let dir = quick_temp();
    let here = ["ip", "netns", "exec", near.as_str()];
    let line = [
        "connect",
        &urls[0],
        &urls[1],
        "--get",
        "f",
        "--headless",
        "-r",
        "1",
        "--timeout",
        "5",
        "--limit",
        "6M",
        "-d",
        dir.path().to_str().unwrap(),
    ];
    let mut haul = Haul::within(&here, &line);
    let mut child = haul
        .command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let sent = || servers.each_ref().map(|server| net.sent_by(server.port()));
    let begins = |before: &[BTreeMap<String, u64>; 2]| {
        let start = Instant::now();
        loop {
            let new = |(now, before): (BTreeMap<String, u64>, &BTreeMap<String, u64>)| {
                now.iter()
                    .any(|(peer, bytes)| *bytes > MIB as u64 && !before.contains_key(peer))
            };
            if sent().into_iter().zip(before).all(new) {
                return start.elapsed();
            }
            assert!(start.elapsed() < Duration::from_secs(15), "{:?}", sent());
            std::thread::sleep(Duration::from_millis(100));
        }
    };
    begins(&[BTreeMap::new(), BTreeMap::new()]);
    net.link("down");
    std::thread::sleep(outage);
    assert!(
        child.try_wait().unwrap().is_none(),
        "it does not wait for its network"
    );
    let before = sent();
    net.link("up");
    let back = begins(&before);
    println!("both give bytes {back:?} after the network is back");
    let output = child.wait_with_output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{told}");
    assert!(fs::read(dir.path().join("f")).unwrap() == bytes);
    assert!(!told.contains("mirror dropped"), "{told}");
}
