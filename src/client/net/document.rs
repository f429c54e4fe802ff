//! One small document, such as a Metalink, fetched before there is anything to be queued; and the beginning of a file,
//! to be looked at.

use std::{sync::Arc, time::Duration};

use crate::{
    client::{
        Error, Settings,
        net::connection::Connection,
        net::decode::{decoder, next},
        net::{origin::Origin, request::Ask},
        schedule::backoff,
    },
    http1::{
        body_reader::{BodyReader, Framing},
        path::RemotePath,
        response_head::ResponseHead,
    },
    pace::Pace,
};

/// Redirects that are followed.
const REDIRECTS_MAX: u32 = 5;

/// The body that the settings' URL, with its query, names: at most `max` bytes. Failures that may pass are tried again.
pub async fn read_document(settings: &Settings, max: usize) -> Result<Vec<u8>, Error> {
    let mut failures = 0;
    loop {
        match attempt(settings, max).await {
            Err(error) if error.is_transient() && failures < settings.retries => {
                failures += 1;
                let pause = backoff(failures, &mut fastrand::Rng::new());
                tracing::warn!(path = %settings.url.path(), "{error}: try {} in {}", failures + 1, crate::units::took(pause));
                tokio::time::sleep(pause).await;
            }
            read => return read,
        }
    }
}

async fn attempt(settings: &Settings, max: usize) -> Result<Vec<u8>, Error> {
    let session = format!("{:032x}", fastrand::u128(..));
    let (user, access) = (settings.user.as_deref(), &settings.access);
    let origin = Origin::new(&settings.url, &session, user, access)?;
    let mut target = match settings.url.query() {
        Some(query) => format!("{}?{query}", settings.url.path()),
        None => settings.url.path().to_owned(),
    };
    let pace = Arc::new(Pace::new(settings.limit));
    let opened = open(&origin, settings.timeout, &pace, &mut target, Ask::Whole);
    let (mut connection, head) = opened.await?;
    if head.is_part {
        return Err(Error::Protocol(
            "the answer is a part of what was asked for".into(),
        ));
    }
    let mut decoder = decoder(origin.url().path().as_bytes(), &head)?;
    let mut body = BodyReader::new(head.framing.unwrap_or(Framing::Close));
    let mut content = Vec::new();
    while let Some((_, bytes)) = next(&mut connection, &mut body, decoder.as_mut()).await? {
        if content.len() + bytes.len() > max {
            return Err(Error::Usage(format!(
                "{} is no such document: it has more than {}",
                super::origin::shown(origin.url().as_str()),
                crate::units::size(max as u64)
            )));
        }
        content.extend_from_slice(&bytes);
    }
    Ok(content)
}

/// The first bytes of the file at `path`, at most `max` and at least one; asked for by a range, and read no further where
/// the server sends all. It is asked once, over a connection of its own.
pub async fn peek(
    origin: &Origin,
    silence: Duration,
    pace: &Arc<Pace>,
    path: &RemotePath,
    max: usize,
) -> Result<Vec<u8>, Error> {
    let ask = Ask::Range {
        first: 0,
        last: max as u64 - 1,
        if_match: None,
        if_range: None,
    };
    let mut target = origin.target(path);
    let (mut connection, head) = open(origin, silence, pace, &mut target, ask).await?;
    let first = head.range.as_ref().and_then(|range| range.bytes);
    let elsewhere = first.is_some_and(|(first, _)| first != 0);
    if elsewhere || (head.is_part && head.range.is_none()) {
        return Err(Error::Protocol("the answer is another part".into()));
    }
    let mut decoder = decoder(path.as_bytes(), &head)?;
    let mut body = BodyReader::new(head.framing.unwrap_or(Framing::Close));
    let mut content = Vec::new();
    while content.len() < max
        && let Some((_, bytes)) = next(&mut connection, &mut body, decoder.as_mut()).await?
    {
        let room = max - content.len();
        content.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }
    Ok(content)
}

/// Asks, and follows redirects to `target` on the same server: a connection on which a content follows.
async fn open(
    origin: &Origin,
    silence: Duration,
    pace: &Arc<Pace>,
    target: &mut String,
    ask: Ask<'_>,
) -> Result<(Connection, ResponseHead), Error> {
    for _ in 0..=REDIRECTS_MAX {
        let mut connection = Connection::open(origin, silence, pace).await?;
        connection.queue(origin, target, ask);
        connection.flush().await?;
        let head = connection.head(false).await?;
        match head.status {
            206 if matches!(ask, Ask::Range { .. }) => return Ok((connection, head)),
            200 | 203 => return Ok((connection, head)),
            301 | 302 | 303 | 307 | 308 => {
                origin.keep_cookies(&head.cookies);
                *target = origin.redirect(target, head.location.as_deref().unwrap_or_default())?;
            }
            401 if origin.is_challenged(&head.challenges, connection.round) => {}
            407 => return Err(Error::ProxyLogin),
            401 => {
                let sent = origin.has_credentials();
                return Err(Error::Login { sent, said: None });
            }
            status => {
                return Err(Error::Status {
                    status,
                    retry_after: head.retry_after,
                    said: None,
                });
            }
        }
    }
    Err(Error::Redirect(format!(
        "{} and on, {REDIRECTS_MAX} times",
        super::origin::shown(target)
    )))
}
