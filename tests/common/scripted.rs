//! A server that answers from a script, byte by byte: whatever odd servers do, done on purpose.

use std::{
    io::{ErrorKind, Read as _, Write as _},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
};

/// A request as it came.
#[derive(Debug, Clone)]
pub struct Request {
    pub method: String,
    pub target: String,
    fields: Vec<(String, String)>,
    /// How many requests came before it on its connection.
    pub nth: usize,
    /// Whether more had been sent behind it before it was answered.
    pub pipelined: bool,
}

impl Request {
    pub fn field(&self, name: &str) -> Option<&str> {
        let mut fields = self.fields.iter();
        fields
            .find(|(field, _)| field.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// First and last byte of `Range`, the last clamped to a file of `size`.
    pub fn range(&self, size: usize) -> Option<(usize, usize)> {
        let (first, last) = self
            .field("Range")?
            .strip_prefix("bytes=")?
            .split_once('-')?;
        let last: usize = last.parse().unwrap_or(usize::MAX);
        let first = first.parse().ok()?;
        (first < size).then(|| (first, last.min(size - 1)))
    }
}

/// What to do about a request.
#[derive(Debug, Clone)]
pub struct Reply {
    pub bytes: Vec<u8>,
    pub then: Then,
}

/// What follows the bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Then {
    /// The next request is answered.
    Keep,
    /// The connection is closed.
    Close,
    /// What was sent ahead is thrown away, the connection goes on.
    Forget,
    /// Nothing, ever.
    Hang,
    /// The bytes again and again, until the client has enough.
    Repeat,
    /// A byte ten times a second, until the client has enough.
    Drip,
}

/// An answer: status line and fields, an empty line, the body.
pub fn reply(head: &str, body: &[u8]) -> Reply {
    let mut bytes = format!("HTTP/1.1 {}\r\n\r\n", head.replace('\n', "\r\n")).into_bytes();
    bytes.extend_from_slice(body);
    Reply {
        bytes,
        then: Then::Keep,
    }
}

impl Reply {
    pub fn then(self, then: Then) -> Self {
        Self { then, ..self }
    }
}

/// A 200 with its length.
pub fn ok(kind: &str, body: &[u8]) -> Reply {
    let length = body.len();
    reply(
        &format!("200 OK\nContent-Type: {kind}\nContent-Length: {length}"),
        body,
    )
}

/// A chunked body without its end: chunks of so many bytes, each with this extension.
pub fn chunked(content: &[u8], each: usize, extension: &str) -> Vec<u8> {
    let mut body = Vec::new();
    for chunk in content.chunks(each) {
        body.extend_from_slice(format!("{:x}{extension}\r\n", chunk.len()).as_bytes());
        body.extend_from_slice(chunk);
        body.extend_from_slice(b"\r\n");
    }
    body
}

/// A 404.
pub fn not_found() -> Reply {
    reply("404 Not Found\nContent-Length: 5", b"none\n")
}

/// What a plain server answers for a file: a range where one was asked for, and no body to HEAD.
pub fn file(request: &Request, content: &[u8], fields: &str) -> Reply {
    let size = content.len();
    let (status, body) = match request.range(size) {
        Some((first, last)) => (
            format!("206 Partial Content\nContent-Range: bytes {first}-{last}/{size}"),
            &content[first..=last],
        ),
        None => ("200 OK".to_owned(), content),
    };
    let length = body.len();
    let head = format!(
        "{status}\nContent-Type: application/octet-stream\nContent-Length: {length}{fields}"
    );
    let body: &[u8] = if request.method == "HEAD" { b"" } else { body };
    reply(&head, body)
}

type Script = dyn Fn(&Request) -> Reply + Send + Sync;

/// A running server; it stops when it is dropped.
pub struct Scripted {
    pub address: SocketAddr,
    shared: Arc<Shared>,
    accepting: Option<JoinHandle<()>>,
}

struct Shared {
    script: Box<Script>,
    stop: AtomicBool,
    streams: Mutex<Vec<TcpStream>>,
    requests: Mutex<Vec<Request>>,
}

/// Starts a server that answers by `script`.
pub fn scripted(script: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Scripted {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let shared = Arc::new(Shared {
        script: Box::new(script),
        stop: AtomicBool::new(false),
        streams: Mutex::default(),
        requests: Mutex::default(),
    });
    let accepting = std::thread::spawn({
        let shared = Arc::clone(&shared);
        move || {
            for stream in listener.incoming() {
                if shared.stop.load(Ordering::Relaxed) {
                    return;
                }
                let Ok(stream) = stream else { continue };
                let shared = Arc::clone(&shared);
                shared
                    .streams
                    .lock()
                    .unwrap()
                    .push(stream.try_clone().unwrap());
                // Detached: it ends with its stream, which is shut down when the server is dropped.
                std::thread::spawn(move || {
                    let _ = converse(&stream, &shared);
                    let _ = stream.shutdown(Shutdown::Both);
                });
            }
        }
    });
    Scripted {
        address,
        shared,
        accepting: Some(accepting),
    }
}

impl Scripted {
    pub fn url(&self, target: &str) -> String {
        format!("http://{}{target}", self.address)
    }

    /// The requests so far.
    pub fn requests(&self) -> Vec<Request> {
        self.shared.requests.lock().unwrap().clone()
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        for stream in self.shared.streams.lock().unwrap().iter() {
            let _ = stream.shutdown(Shutdown::Both);
        }
        // Wakes the thread that accepts.
        let _ = TcpStream::connect(self.address);
        if let Some(accepting) = self.accepting.take() {
            let _ = accepting.join();
        }
    }
}

fn converse(mut stream: &TcpStream, shared: &Shared) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let (mut input, mut nth) = (Vec::new(), 0);
    let mut chunk = [0; 16 * 1024];
    loop {
        let Some(end) = input.windows(4).position(|bytes| bytes == b"\r\n\r\n") else {
            match stream.read(&mut chunk)? {
                0 => return Ok(()),
                n => input.extend_from_slice(&chunk[..n]),
            }
            continue;
        };
        let head: Vec<u8> = input.drain(..end + 4).collect();
        let request = parse(&head, nth, !input.is_empty());
        nth += 1;
        shared.requests.lock().unwrap().push(request.clone());
        let reply = (shared.script)(&request);
        stream.write_all(&reply.bytes)?;
        match reply.then {
            Then::Keep => {}
            Then::Forget => input.clear(),
            Then::Close => {
                // Without this, closing with input unread would reset the connection under its own answer.
                stream.shutdown(Shutdown::Write)?;
                while stream.read(&mut chunk)? > 0 {}
                return Ok(());
            }
            Then::Hang => loop {
                match stream.read(&mut chunk) {
                    Ok(0) => return Ok(()),
                    Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error),
                    _ => {}
                }
            },
            Then::Repeat => loop {
                stream.write_all(&reply.bytes)?;
            },
            Then::Drip => loop {
                std::thread::sleep(std::time::Duration::from_millis(100));
                stream.write_all(b"x")?;
            },
        }
    }
}

fn parse(head: &[u8], nth: usize, pipelined: bool) -> Request {
    let head = String::from_utf8_lossy(head);
    let mut lines = head.lines();
    let mut words = lines.next().unwrap_or_default().split(' ');
    let mut word = || words.next().unwrap_or_default().to_owned();
    let (method, target) = (word(), word());
    let fields = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_owned(), value.to_owned()));
    Request {
        method,
        target,
        fields: fields.collect(),
        nth,
        pipelined,
    }
}
