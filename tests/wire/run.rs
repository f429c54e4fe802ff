//! Plays rows over real sockets, all at once, and tells of every one that fails.

use std::{
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadHalf},
    net::TcpSocket,
    time::timeout,
};

use super::{
    answer::{self, Answer},
    row::{Row, Sent, Then, get, ok},
    rules,
    stage::PROBE,
};

/// Whom a row talks to, and how.
#[derive(Clone)]
pub struct Partner {
    pub address: SocketAddr,
    /// The address of loopback that the client has.
    pub from: Ipv4Addr,
    /// How to make a handshake, where TLS is spoken.
    pub tls: Option<haul::tls::Connector>,
    /// What `{etag}` stands for.
    pub etag: String,
    /// How long an answer may take; no row waits for it unless it fails.
    pub patience: Duration,
}

/// Plays all rows; panics with everything that is to be known of those that fail.
pub async fn play(rows: Vec<Row>, partner: &Partner) {
    let count = rows.len();
    let playing: Vec<_> = rows
        .into_iter()
        .map(|row| {
            let partner = partner.clone();
            tokio::spawn(async move { one(&row, &partner).await.err() })
        })
        .collect();
    let mut failures = Vec::new();
    for row in playing {
        failures.extend(row.await.unwrap());
    }
    assert!(
        failures.is_empty(),
        "{} of {count} rows fail:\n\n{}",
        failures.len(),
        failures.join("\n\n")
    );
}

/// Plays one row; the error is a report.
async fn one(row: &Row, partner: &Partner) -> Result<(), String> {
    let sent = filled(&row.sent, &partner.etag);
    let mut received = Vec::new();
    let result = converse(row, &sent, partner, &mut received).await;
    result.map_err(|why| {
        let bytes: Vec<u8> = sent
            .writes
            .into_iter()
            .flat_map(|(_, bytes)| bytes)
            .collect();
        format!(
            "RFC {} — {}\n  {why}\n  sent:     {}\n  received: {}",
            row.section,
            row.name,
            shown(&bytes),
            shown(&received)
        )
    })
}

async fn converse(
    row: &Row,
    sent: &Sent,
    partner: &Partner,
    received: &mut Vec<u8>,
) -> Result<(), String> {
    let stream = connect(partner).await.map_err(|error| error.to_string())?;
    let (mut reader, mut writer) = tokio::io::split(stream);
    let all = sent.clone();
    let writing = tokio::spawn(async move {
        for (pause, bytes) in &all.writes {
            tokio::time::sleep(*pause).await;
            let size = if all.byte_by_byte {
                1
            } else {
                bytes.len().max(1)
            };
            for part in bytes.chunks(size) {
                // A server may stop reading; what it answered decides.
                if writer.write_all(part).await.is_err() || writer.flush().await.is_err() {
                    return writer;
                }
            }
        }
        if all.half_closes {
            let _ = writer.shutdown().await;
        }
        writer
    });
    let mut line = Line {
        reader: &mut reader,
        received,
        at: 0,
        ended: false,
        patience: partner.patience,
    };
    let mut answers = Vec::new();
    for expected in &row.outcome.answers {
        answers.push(line.next(expected.to_head).await?);
    }
    rules::check(&row.outcome, &answers, &partner.etag)?;
    if row.outcome.then == Then::Open {
        let mut writer = writing.await.map_err(|error| error.to_string())?;
        let probe = get("/probe", "Connection: close\r\n");
        let written = writer.write_all(probe.as_bytes()).await;
        written.map_err(|error| format!("the connection is closed: {error}"))?;
        writer.flush().await.map_err(|error| error.to_string())?;
        let answer = line
            .next(false)
            .await
            .map_err(|why| format!("probe: {why}"))?;
        let probe = super::row::ends([ok(PROBE)]);
        rules::check(&probe, &[answer], "").map_err(|why| format!("probe: {why}"))?;
    }
    line.end().await
}

trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Duplex for S {}

type Stream = Box<dyn Duplex>;

async fn connect(partner: &Partner) -> std::io::Result<Stream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind((partner.from, 0).into())?;
    let stream = socket.connect(partner.address).await?;
    stream.set_nodelay(true)?;
    match &partner.tls {
        None => Ok(Box::new(stream)),
        Some(tls) => Ok(Box::new(tls.connect(stream).await?)),
    }
}

/// What comes in, and how much of it is understood.
struct Line<'a> {
    reader: &'a mut ReadHalf<Stream>,
    received: &'a mut Vec<u8>,
    at: usize,
    ended: bool,
    patience: Duration,
}

impl Line<'_> {
    async fn next(&mut self, to_head: bool) -> Result<Answer, String> {
        loop {
            let parsed = answer::parse(&self.received[self.at..], to_head, self.ended)?;
            if let Some((answer, length)) = parsed {
                self.at += length;
                return Ok(answer);
            }
            if self.ended {
                return Err("the connection ended before the answer did".into());
            }
            self.read().await?;
        }
    }

    /// The connection's end: in order, and without a byte before it.
    async fn end(&mut self) -> Result<(), String> {
        while !self.ended && self.at == self.received.len() {
            self.read().await?;
        }
        if self.at == self.received.len() {
            Ok(())
        } else {
            Err("something behind the last answer".into())
        }
    }

    async fn read(&mut self) -> Result<(), String> {
        let read = timeout(self.patience, self.reader.read_buf(self.received)).await;
        match read {
            Ok(Ok(read)) => self.ended = read == 0,
            Ok(Err(error)) => return Err(format!("the connection breaks: {error}")),
            Err(_) => return Err("nothing comes, and the connection does not end".into()),
        }
        Ok(())
    }
}

/// What is sent, with values in their places.
fn filled(sent: &Sent, etag: &str) -> Sent {
    let now = httpdate::fmt_http_date(std::time::SystemTime::now());
    let mut sent = sent.clone();
    for (_, bytes) in &mut sent.writes {
        for (place, value) in [("{etag}", etag), ("{now}", &now)] {
            while let Some(at) = answer::find(bytes, place.as_bytes()) {
                bytes.splice(at..at + place.len(), value.bytes());
            }
        }
    }
    sent
}

/// Bytes for people: escaped, and cut where there are too many.
fn shown(bytes: &[u8]) -> String {
    const MOST: usize = 900;
    let text = bytes[..bytes.len().min(MOST)].escape_ascii().to_string();
    if bytes.len() > MOST {
        format!("{text}… ({} bytes)", bytes.len())
    } else {
        text
    }
}
