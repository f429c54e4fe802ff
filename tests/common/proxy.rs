//! A TCP proxy on loopback that does to a connection what bad networks do: bits that flip, lines that are slow, long,
//! cut or stuck. It follows the answers that pass, so that damage hits what a test means: a place in a file.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use haul::http1::{
    body_reader::{BodyReader, Framing, Step},
    response_head::ResponseHead,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    runtime::Runtime,
    sync::mpsc,
};

/// Bytes that are read at once, and that wait in a direction's delay line at most `QUEUE` times.
const CHUNK: usize = 32 * 1024;
const QUEUE: usize = 256;
/// Small, so that what the proxy has sent is what the client has nearly got.
const SEND_BUFFER: usize = 128 * 1024;

/// What one connection is like.
#[derive(Debug, Clone, Copy, Default)]
pub struct Line {
    /// Time that every byte is under way, in each direction.
    pub latency: Duration,
    /// Bytes a second from the server to the client.
    pub rate: Option<u64>,
    /// It is cut once so many bytes have come from the server.
    pub cut_after: Option<u64>,
    /// It stays open but passes nothing on once so many bytes have come from the server.
    pub stall_after: Option<u64>,
}

type Lines = Box<dyn Fn(usize) -> Line + Send + Sync>;

struct Shared {
    upstream: Mutex<SocketAddr>,
    /// What the connection with this number, from 0, is like.
    lines: Mutex<Lines>,
    /// Offsets in a file whose byte gets one bit flipped, once each.
    flip: Mutex<HashSet<u64>>,
    /// The same, every time.
    flip_always: Mutex<HashSet<u64>>,
    /// Lists of pieces that still get one bit flipped.
    flip_values: AtomicUsize,
    /// Answers about blocks that still get one bit flipped.
    flip_blocks: AtomicUsize,
    /// Offsets in a list of pieces whose byte gets one bit flipped, once each.
    flip_list: Mutex<HashSet<u64>>,
    /// Heads, by their number from 0, that get one bit flipped: of which byte (the head's length taken off as often as
    /// it goes), and which.
    flip_heads: Mutex<HashMap<usize, (usize, u8)>>,
    heads: AtomicUsize,
    flipped: AtomicUsize,
    connections: AtomicUsize,
    file_bytes: AtomicU64,
    requests: Mutex<Vec<String>>,
    /// What passes is not looked at: it is encrypted.
    opaque: bool,
}

/// A running proxy; it stops when it is dropped.
pub struct Proxy {
    pub address: SocketAddr,
    shared: Arc<Shared>,
    runtime: Option<Runtime>,
}

/// Passes everything on to `upstream`, faultlessly until told otherwise.
pub fn proxy(upstream: SocketAddr) -> Proxy {
    start(upstream, false)
}

/// The same for TLS: lines are slow or cut, but what passes is neither counted nor damaged.
pub fn opaque_proxy(upstream: SocketAddr) -> Proxy {
    start(upstream, true)
}

fn start(upstream: SocketAddr, opaque: bool) -> Proxy {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let listener = runtime
        .block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))
        .unwrap();
    let address = listener.local_addr().unwrap();
    let shared = Arc::new(Shared {
        upstream: Mutex::new(upstream),
        lines: Mutex::new(Box::new(|_| Line::default())),
        flip: Mutex::default(),
        flip_always: Mutex::default(),
        flip_values: AtomicUsize::new(0),
        flip_blocks: AtomicUsize::new(0),
        flip_list: Mutex::default(),
        flip_heads: Mutex::default(),
        heads: AtomicUsize::new(0),
        flipped: AtomicUsize::new(0),
        connections: AtomicUsize::new(0),
        file_bytes: AtomicU64::new(0),
        requests: Mutex::default(),
        opaque,
    });
    runtime.spawn(accept(listener, Arc::clone(&shared)));
    Proxy {
        address,
        shared,
        runtime: Some(runtime),
    }
}

impl Proxy {
    pub fn url(&self, target: &str) -> String {
        format!("http://{}{target}", self.address)
    }

    /// Where connections go from now on.
    pub fn set_upstream(&self, upstream: SocketAddr) {
        *lock(&self.shared.upstream) = upstream;
    }

    /// What connections are like from now on, by their number.
    pub fn lines(&self, lines: impl Fn(usize) -> Line + Send + Sync + 'static) {
        *lock(&self.shared.lines) = Box::new(lines);
    }

    /// Flips a bit of the file's byte at each of these offsets, the first time that it passes.
    pub fn flip_once(&self, offsets: impl IntoIterator<Item = u64>) {
        lock(&self.shared.flip).extend(offsets);
    }

    /// The same, every time that it passes.
    pub fn flip_always(&self, offsets: impl IntoIterator<Item = u64>) {
        lock(&self.shared.flip_always).extend(offsets);
    }

    /// No more of that.
    pub fn heal(&self) {
        lock(&self.shared.flip_always).clear();
    }

    /// Flips a bit in each of the next `count` lists of pieces.
    pub fn flip_values(&self, count: usize) {
        self.shared.flip_values.store(count, Ordering::Relaxed);
    }

    /// Flips a bit in each of the next `count` answers about blocks.
    pub fn flip_blocks(&self, count: usize) {
        self.shared.flip_blocks.store(count, Ordering::Relaxed);
    }

    /// Flips a bit at each of these offsets in lists of pieces, the first time that it passes.
    pub fn flip_list(&self, offsets: impl IntoIterator<Item = u64>) {
        lock(&self.shared.flip_list).extend(offsets);
    }

    /// Flips a bit of the `nth` head from now on, from 0: `bit` of the byte at `place`, which may be any number.
    pub fn flip_head(&self, nth: usize, place: usize, bit: u8) {
        let nth = nth + self.shared.heads.load(Ordering::Relaxed);
        lock(&self.shared.flip_heads).insert(nth, (place, bit));
    }

    /// Bits flipped so far.
    pub fn flipped(&self) -> usize {
        self.shared.flipped.load(Ordering::Relaxed)
    }

    /// Connections accepted so far.
    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::Relaxed)
    }

    /// Bytes of files (not of listings, lists of pieces or errors) sent to clients so far.
    pub fn file_bytes(&self) -> u64 {
        self.shared.file_bytes.load(Ordering::Relaxed)
    }

    /// The request lines so far.
    pub fn requests(&self) -> Vec<String> {
        lock(&self.shared.requests).clone()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap()
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    while let Ok((client, _)) = listener.accept().await {
        let number = shared.connections.fetch_add(1, Ordering::Relaxed);
        let line = lock(&shared.lines)(number);
        let upstream = *lock(&shared.upstream);
        let shared = Arc::clone(&shared);
        tokio::spawn(async move {
            let _ = socket2::SockRef::from(&client).set_send_buffer_size(SEND_BUFFER);
            let _ = client.set_nodelay(true);
            // A server that is not there: the client sees its connection close.
            let Ok(server) = TcpStream::connect(upstream).await else {
                return;
            };
            let _ = server.set_nodelay(true);
            carry(client, server, line, shared).await;
        });
    }
}

/// Carries one connection until either side ends it, or the line does.
async fn carry(client: TcpStream, server: TcpStream, line: Line, shared: Arc<Shared>) {
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let asked = Arc::new(Mutex::new(VecDeque::new()));
    let up = async {
        let (sender, receiver) = mpsc::channel(QUEUE);
        let mut requests = Requests {
            asked: Arc::clone(&asked),
            shared: Arc::clone(&shared),
            text: Vec::new(),
        };
        let read = read(from_client, line, sender, |chunk| requests.pass(chunk));
        let write = write(to_server, receiver, None, |_| {});
        tokio::join!(read, write)
    };
    let down = async {
        let (sender, receiver) = mpsc::channel(QUEUE);
        let mut answers = Answers::new(Arc::clone(&asked), Arc::clone(&shared));
        let mut counted = 0;
        let read = read_down(from_server, line, sender, &mut answers);
        let count = |file_bytes| {
            counted += file_bytes;
            shared.file_bytes.fetch_add(file_bytes, Ordering::Relaxed);
        };
        let write = write(to_client, receiver, line.rate, count);
        tokio::join!(read, write)
    };
    tokio::select! {
        _ = up => {}
        _ = down => {}
    }
}

/// Bytes on their way, when they are to arrive, and how many of them are bytes of files.
struct Parcel {
    due: Instant,
    bytes: Vec<u8>,
    file_bytes: u64,
}

async fn read(
    mut from: OwnedReadHalf,
    line: Line,
    to: mpsc::Sender<Parcel>,
    mut pass: impl FnMut(&[u8]),
) {
    let mut chunk = vec![0; CHUNK];
    while let Ok(n @ 1..) = from.read(&mut chunk).await {
        pass(&chunk[..n]);
        let parcel = Parcel {
            due: Instant::now() + line.latency,
            bytes: chunk[..n].to_vec(),
            file_bytes: 0,
        };
        if to.send(parcel).await.is_err() {
            return;
        }
    }
}

async fn read_down(
    mut from: OwnedReadHalf,
    line: Line,
    to: mpsc::Sender<Parcel>,
    answers: &mut Answers,
) {
    let mut chunk = vec![0; CHUNK];
    let mut passed = 0;
    loop {
        let left = line.cut_after.or(line.stall_after).map(|max| max - passed);
        if left == Some(0) {
            if line.cut_after.is_none() {
                std::future::pending::<()>().await;
            }
            return;
        }
        let room = left.map_or(CHUNK, |left| left.min(CHUNK as u64) as usize);
        let Ok(n @ 1..) = from.read(&mut chunk[..room]).await else {
            return;
        };
        passed += n as u64;
        let file_bytes = answers.pass(&mut chunk[..n]);
        let parcel = Parcel {
            due: Instant::now() + line.latency,
            bytes: chunk[..n].to_vec(),
            file_bytes,
        };
        if to.send(parcel).await.is_err() {
            return;
        }
    }
}

async fn write(
    mut to: OwnedWriteHalf,
    mut parcels: mpsc::Receiver<Parcel>,
    rate: Option<u64>,
    mut count: impl FnMut(u64),
) {
    let mut free_at = Instant::now();
    while let Some(parcel) = parcels.recv().await {
        tokio::time::sleep_until(parcel.due.max(free_at).into()).await;
        if to.write_all(&parcel.bytes).await.is_err() {
            return;
        }
        count(parcel.file_bytes);
        if let Some(rate) = rate {
            let took = Duration::from_secs_f64(parcel.bytes.len() as f64 / rate as f64);
            free_at = free_at.max(Instant::now()) + took;
        }
    }
}

/// What a request asked for, as far as its answer's framing depends on it.
#[derive(Debug, Clone, Copy)]
struct Asked {
    head: bool,
    pieces: bool,
    blocks: bool,
}

/// Cuts a stream of requests (which have no bodies) into their heads.
struct Requests {
    asked: Arc<Mutex<VecDeque<Asked>>>,
    shared: Arc<Shared>,
    text: Vec<u8>,
}

impl Requests {
    fn pass(&mut self, chunk: &[u8]) {
        if self.shared.opaque {
            return;
        }
        self.text.extend_from_slice(chunk);
        while let Some(end) = self.text.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
            let head: Vec<u8> = self.text.drain(..end + 4).collect();
            let line = head.split(|byte| *byte == b'\r').next().unwrap();
            let line = String::from_utf8_lossy(line).into_owned();
            lock(&self.asked).push_back(Asked {
                head: line.starts_with("HEAD "),
                pieces: line.contains("?pieces "),
                blocks: line.contains("?blocks="),
            });
            lock(&self.shared.requests).push(line);
        }
    }
}

/// Follows a stream of answers: where heads end, and which byte of a file is which.
struct Answers {
    asked: Arc<Mutex<VecDeque<Asked>>>,
    shared: Arc<Shared>,
    /// A head, or the framing of chunks, as far as it has come.
    pending: Vec<u8>,
    body: Option<Body>,
}

struct Body {
    reader: BodyReader,
    chunked: bool,
    kind: Kind,
    /// Offset in the file, or in the list of pieces.
    at: u64,
}

#[derive(PartialEq, Eq)]
enum Kind {
    File,
    Values,
    Blocks,
    Other,
}

impl Answers {
    fn new(asked: Arc<Mutex<VecDeque<Asked>>>, shared: Arc<Shared>) -> Self {
        Self {
            asked,
            shared,
            pending: Vec::new(),
            body: None,
        }
    }

    /// Damages what is to be damaged; how many of the bytes are bytes of files.
    fn pass(&mut self, chunk: &mut [u8]) -> u64 {
        if self.shared.opaque {
            return 0;
        }
        let (mut at, mut file_bytes) = (0, 0);
        while at < chunk.len() {
            let Some(body) = &mut self.body else {
                at += self.head(&mut chunk[at..]);
                continue;
            };
            if body.chunked {
                self.pending.extend_from_slice(&chunk[at..]);
                let (mut used, mut ended) = (0, false);
                loop {
                    match body.reader.step(&self.pending[used..]) {
                        Ok(Step::Data { skip, len }) => used += skip + len,
                        Ok(Step::More { skip }) => {
                            used += skip;
                            break;
                        }
                        Ok(Step::End { skip }) => {
                            used += skip;
                            ended = true;
                            break;
                        }
                        Err(error) => panic!("the server's chunks: {error}"),
                    }
                }
                self.pending.drain(..used);
                if ended {
                    at = chunk.len() - self.pending.len();
                    self.pending.clear();
                    self.body = None;
                } else {
                    at = chunk.len();
                }
                continue;
            }
            match body.reader.step(&chunk[at..]).unwrap() {
                Step::Data { skip, len } => {
                    let bytes = &mut chunk[at + skip..at + skip + len];
                    self.shared.damage(bytes, body);
                    if body.kind == Kind::File {
                        file_bytes += len as u64;
                    }
                    body.at += len as u64;
                    at += skip + len;
                }
                Step::More { skip } | Step::End { skip } => at += skip,
            }
            if body.reader.is_done() {
                self.body = None;
            }
        }
        file_bytes
    }

    /// Takes bytes of a head; how many of them belong to it.
    fn head(&mut self, bytes: &mut [u8]) -> usize {
        let before = self.pending.len();
        self.pending.extend_from_slice(bytes);
        let asked = lock(&self.asked).front().copied();
        let to_head = asked.is_some_and(|asked| asked.head);
        let Some((head, length)) = ResponseHead::parse(&self.pending, to_head).unwrap() else {
            return bytes.len();
        };
        self.pending.clear();
        lock(&self.asked).pop_front();
        let nth = self.shared.heads.fetch_add(1, Ordering::Relaxed);
        // What came of it in an earlier chunk is on its way.
        if let Some((place, bit)) = lock(&self.shared.flip_heads).remove(&nth)
            && let Some(at) = (place % length).checked_sub(before)
        {
            bytes[at] ^= 1 << bit;
            self.shared.flipped.fetch_add(1, Ordering::Relaxed);
        }
        let file = matches!(head.status, 200 | 206)
            && (head.etag.is_some() || head.modified.is_some() || head.ranges);
        let kind = match asked {
            Some(asked) if asked.pieces && head.status == 200 => Kind::Values,
            Some(asked) if asked.blocks && head.status == 200 => Kind::Blocks,
            _ if file => Kind::File,
            _ => Kind::Other,
        };
        let framing = head.framing.unwrap_or(Framing::Empty);
        let reader = BodyReader::new(framing);
        if !reader.is_done() {
            self.body = Some(Body {
                reader,
                chunked: framing == Framing::Chunked,
                kind,
                at: head
                    .range
                    .and_then(|range| range.bytes)
                    .map_or(0, |(first, _)| first),
            });
        }
        length - before
    }
}

impl Shared {
    fn damage(&self, bytes: &mut [u8], body: &Body) {
        let range = body.at..body.at + bytes.len() as u64;
        match body.kind {
            Kind::File => {
                let mut once = lock(&self.flip);
                let hit = |offset: &u64| range.contains(offset);
                let mut hits: Vec<u64> = once.iter().copied().filter(hit).collect();
                once.retain(|offset| !range.contains(offset));
                hits.extend(lock(&self.flip_always).iter().copied().filter(hit));
                for offset in hits {
                    bytes[(offset - body.at) as usize] ^= 0x10;
                    self.flipped.fetch_add(1, Ordering::Relaxed);
                }
            }
            Kind::Blocks => {
                let one_less = |left: usize| left.checked_sub(1);
                let left = &self.flip_blocks;
                let order = Ordering::Relaxed;
                if body.at == 0 && left.fetch_update(order, order, one_less).is_ok() {
                    bytes[bytes.len() / 2] ^= 0x10;
                    self.flipped.fetch_add(1, order);
                }
            }
            Kind::Values => {
                let mut list = lock(&self.flip_list);
                for offset in list.extract_if(|offset| range.contains(offset)) {
                    bytes[(offset - body.at) as usize] ^= 0x10;
                    self.flipped.fetch_add(1, Ordering::Relaxed);
                }
                // Behind the preamble, which tells sizes: the first value.
                if !range.contains(&40) {
                    return;
                }
                let left = self.flip_values.load(Ordering::Relaxed);
                if left > 0 {
                    self.flip_values.store(left - 1, Ordering::Relaxed);
                    bytes[(40 - body.at) as usize] ^= 0x10;
                    self.flipped.fetch_add(1, Ordering::Relaxed);
                }
            }
            Kind::Other => {}
        }
    }
}
