//! A server of its own for figures: `GET /metrics`, and nothing else. What it sends is counted nowhere, and who asks it needs
//! no login.

use std::{
    collections::VecDeque,
    io,
    net::{SocketAddr, TcpListener as Bound},
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use http::StatusCode;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::{AbortHandle, JoinHandle},
    time::{sleep, timeout},
};

use super::classic;
use crate::{
    http1::{
        request::{Method, RequestHead, find_head},
        response::HeadWriter,
    },
    server::Names,
};

/// Connections at the same time; the oldest ends for one more.
const CONNECTIONS: usize = 16;
/// How long a request and its answer may take together.
const TIME: Duration = Duration::from_secs(5);
/// The longest head that is read, in bytes.
const HEAD_MAX: usize = 16 << 10;
/// Pause after a connection that could not be taken.
const AGAIN: Duration = Duration::from_millis(100);

const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const CLASSIC: &str = "text/plain; version=0.0.4; charset=utf-8";

/// A server of figures; it ends when this is dropped.
#[derive(Debug)]
pub struct Exporter {
    task: JoinHandle<()>,
    address: SocketAddr,
}

impl Drop for Exporter {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Exporter {
    /// Listens on `address`, and answers with what `text` makes, in OpenMetrics.
    ///
    /// # Errors
    ///
    /// Where nobody can listen there.
    pub fn listen(
        address: SocketAddr,
        text: impl Fn() -> String + Send + Sync + 'static,
    ) -> io::Result<Self> {
        let bound = Bound::bind(address)?;
        bound.set_nonblocking(true)?;
        let address = bound.local_addr()?;
        let listener = TcpListener::from_std(bound)?;
        let task = tokio::spawn(accept(listener, Arc::new(text)));
        Ok(Self { task, address })
    }

    /// Where it is asked.
    pub fn url(&self) -> String {
        format!("http://{}/metrics", self.address)
    }
}

/// Ends with what it holds.
struct Open(VecDeque<AbortHandle>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.iter().for_each(AbortHandle::abort);
    }
}

async fn accept(listener: TcpListener, text: Arc<impl Fn() -> String + Send + Sync + 'static>) {
    let mut open = Open(VecDeque::new());
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            // Mostly too many open files, which pass.
            sleep(AGAIN).await;
            continue;
        };
        open.0.retain(|task| !task.is_finished());
        if open.0.len() >= CONNECTIONS
            && let Some(oldest) = open.0.pop_front()
        {
            oldest.abort();
        }
        let text = Arc::clone(&text);
        let answering = async move {
            // Who is slow, or goes away, asks again.
            let _ = timeout(TIME, serve(stream, &*text)).await;
        };
        open.0.push_back(tokio::spawn(answering).abort_handle());
    }
}

/// Answers one request, and closes.
async fn serve(mut stream: TcpStream, text: &(impl Fn() -> String + Sync)) -> io::Result<()> {
    let local = stream.local_addr()?.ip().is_loopback();
    let (mut input, mut scanned) = (Vec::new(), 0);
    let answer = loop {
        match find_head(&input, &mut scanned) {
            Ok(Some(extent)) => match RequestHead::parse(&input[extent.start..extent.end]) {
                Ok(head) => break answer(&head, local, text),
                Err(refusal) => break refuse(refusal.status),
            },
            Ok(None) if input.len() < HEAD_MAX => {
                if stream.read_buf(&mut input).await? == 0 {
                    return Ok(());
                }
            }
            Ok(None) => break refuse(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE),
            Err(refusal) => break refuse(refusal.status),
        }
    };
    stream.write_all(&answer).await?;
    stream.shutdown().await?;
    // A socket that is closed with unread bytes resets, perhaps before the answer is read (RFC 9112 section 9.6).
    let mut rest = [0; 1024];
    while stream.read(&mut rest).await? > 0 {}
    Ok(())
}

fn answer(head: &RequestHead<'_>, local: bool, text: &impl Fn() -> String) -> Vec<u8> {
    // No page of a stranger's reads what is for this machine alone, by a name that it made lead here.
    if local && !Names::default().are_asked_for(head.authority, None) {
        return refuse(StatusCode::MISDIRECTED_REQUEST);
    }
    if head.path != b"/metrics" {
        return refuse(StatusCode::NOT_FOUND);
    }
    if !matches!(head.method, Method::Get | Method::Head) {
        return refuse(StatusCode::METHOD_NOT_ALLOWED);
    }
    let accept = head.accept.join(&b',').to_ascii_lowercase();
    let accept = String::from_utf8_lossy(&accept);
    let plain = accept.contains("text/plain") && !accept.contains("openmetrics");
    let (form, body) = match (text(), plain) {
        (text, true) => (CLASSIC, classic(&text)),
        (text, false) => (OPENMETRICS, text),
    };
    let mut out = begin(StatusCode::OK, form, body.len());
    if head.method == Method::Get {
        out.extend_from_slice(body.as_bytes());
    }
    out
}

fn refuse(status: StatusCode) -> Vec<u8> {
    let reason = status.canonical_reason().unwrap_or_default();
    let body = format!(
        "{} {reason}: GET /metrics is all there is\n",
        status.as_u16()
    );
    let mut out = begin(status, "text/plain; charset=utf-8", body.len());
    out.extend_from_slice(body.as_bytes());
    out
}

/// A head that is complete.
fn begin(status: StatusCode, form: &str, length: usize) -> Vec<u8> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let mut out = Vec::new();
    let mut head = HeadWriter::new(&mut out, status, now.map_or(0, |now| now.as_secs()));
    if status == StatusCode::METHOD_NOT_ALLOWED {
        head.field("Allow", "GET, HEAD");
    }
    head.field("Content-Type", form)
        .field_fmt("Content-Length", format_args!("{length}"))
        .connection(false, false);
    head.end();
    out
}
