//! Peers that mean harm, in numbers and sizes that others leave out: docs/SECURITY.md lists all.

use std::{
    fs,
    io::{BufWriter, ErrorKind, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    process::Stdio,
    time::{Duration, Instant},
};

use crate::{
    common::{
        program::Haul,
        raw::{Raw, fetch, get},
        serving::PATIENCE,
    },
    overload::{piped, resident},
};

/// Sends until nothing is taken any more; how many bytes were.
fn stuff(stream: &mut TcpStream, bytes: &[u8]) -> usize {
    stream
        .set_write_timeout(Some(Duration::from_millis(300)))
        .unwrap();
    let mut sent = 0;
    loop {
        match stream.write(&bytes[sent % bytes.len()..]) {
            Ok(n) => sent += n,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                return sent;
            }
            Err(error) => panic!("after {sent} bytes: {error}"),
        }
    }
}

/// The server reads no further than it can answer: what is sent ahead stays in the system's buffers.
#[test]
fn a_pipeline_without_an_end_whose_answers_nobody_reads_costs_little() {
    const BODY: usize = 60_000;
    let root = tempfile::tempdir().unwrap();
    fs::write(root.path().join("f"), vec![b'x'; BODY]).unwrap();
    fs::write(root.path().join("small"), "hello").unwrap();
    let server = piped(root.path(), "error");
    let before = resident(server.child.id());
    let mut guests: Vec<TcpStream> = (0..8)
        .map(|n| {
            let mut stream = TcpStream::connect(server.address).unwrap();
            let target = if n % 2 == 0 { "/f" } else { "/small" };
            let sent = stuff(&mut stream, get(target, "").repeat(1000).as_bytes());
            assert!(sent > 100_000, "{sent}");
            stream
        })
        .collect();
    assert_eq!(fetch(server.address, get("/small", "")).text(), "hello");
    let more = resident(server.child.id()).saturating_sub(before);
    assert!(more < 24 << 20, "{more} bytes more");
    // Whoever reads after all gets whole answers, in order.
    let guest = &mut guests[0];
    guest.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut answers = vec![0; 100 * BODY];
    guest.read_exact(&mut answers).unwrap();
    let heads = answers.windows(15).filter(|at| at == b"HTTP/1.1 200 OK");
    assert!((95..=100).contains(&heads.count()));
}

/// Each from an address that holds many, none of which says anything: others are answered at once, and what is too much is
/// closed or told so.
#[test]
fn ten_thousand_connections_keep_nobody_from_being_answered() {
    const COUNT: usize = 10_000;
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    if limit
        .current
        .is_some_and(|most| most < COUNT as u64 + 2_000)
    {
        println!("skipped: this process may open too few files for it (ulimit -n)");
        return;
    }
    let root = tempfile::tempdir().unwrap();
    fs::write(root.path().join("small"), "hello").unwrap();
    let server = piped(root.path(), "error");
    let mut held = Vec::with_capacity(COUNT);
    let mut slowest = Duration::ZERO;
    for n in 0..COUNT {
        let host = [127, 0, 1, (n % 4) as u8 + 1];
        held.push(Raw::connect_from(host, server.address));
        if n % 500 == 499 {
            let asked = Instant::now();
            let mut other = Raw::connect(server.address);
            other.send(get("/small", "Connection: close\r\n"));
            assert_eq!(other.read().text(), "hello", "beside {n}");
            slowest = slowest.max(asked.elapsed());
        }
    }
    assert!(slowest < Duration::from_secs(5), "{slowest:?}");
    let most = resident(server.child.id());
    assert!(most < 160 << 20, "{most} bytes");
}

/// Sends a page of so many links to whoever asks, until it is told to stop by the end of the program.
fn huge_listing(names: u32) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || {
                let mut head = [0; 4096];
                let _ = (&stream).read(&mut head);
                let mut page = BufWriter::with_capacity(1 << 16, stream);
                let begun =
                    b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nConnection: close\r\n\r\n";
                let mut sent = page.write_all(begun);
                for n in 0..names {
                    sent = sent.and_then(|()| writeln!(page, "<a href=\"{n}\">{n}</a>"));
                }
                // The client may have had enough.
                let _ = sent.and_then(|()| page.flush());
            });
        }
    });
    address
}

/// All names are read, none is wanted: what is kept of them is bounded.
#[test]
#[ignore = "ten million names take minutes in a debug build"]
fn ten_million_names_take_bounded_memory() {
    let address = huge_listing(10_000_000);
    let to = tempfile::tempdir().unwrap();
    let url = format!("http://{address}/");
    let mut haul = Haul::new(&["connect", &url, "--get", "none*", "--headless", "-r", "0"]);
    let command = haul.command.arg("-d").arg(to.path());
    let mut child = command
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut peak = 0;
    let status = loop {
        if let Ok(status) = fs::read_to_string(format!("/proc/{}/status", child.id()))
            && status.contains("VmRSS")
        {
            peak = peak.max(resident(child.id()));
        }
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        std::thread::sleep(Duration::from_millis(50));
    };
    println!("{} MiB at most, {status}", peak >> 20);
    assert!(peak < 96 << 20, "{peak} bytes");
    assert_eq!(status.code(), Some(3));
    assert_eq!(fs::read_dir(to.path()).unwrap().count(), 0);
}
