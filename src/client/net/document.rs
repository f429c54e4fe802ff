//! What is fetched beside what is queued: one small document, such as a Metalink, or the beginning or other parts of a file.

use std::{sync::Arc, time::Duration};

use url::Url;

use crate::{
    client::{
        Error, Settings,
        net::access::Access,
        net::connection::Connection,
        net::decode::{decoder, next},
        net::side::SideConnection,
        net::{
            origin::{Origin, shown},
            redirect::{follow, is_redirect, target_of},
            request::Ask,
        },
        schedule::{ASKED_MAX, backoff},
        task::REDIRECTS_MAX,
    },
    http1::{
        body_reader::{BodyReader, Framing},
        path::RemotePath,
        response_head::ResponseHead,
    },
    pace::Pace,
    pieces::{self, Preamble, Value},
};

/// Most bytes of a list of values: those of a file of 2 TiB.
const VALUES_MAX: usize = 64 << 20;

/// The body that the settings' URL, with its query, names: at most `max` bytes. Failures that may pass are tried again.
pub async fn read_document(settings: &Settings, max: usize) -> Result<Vec<u8>, Error> {
    let mut failures = 0;
    loop {
        match attempt(settings, max).await {
            Err(error) if error.is_transient() && failures < settings.retries => {
                failures += 1;
                let pause = error.retry_after().map_or_else(
                    || backoff(failures, &mut fastrand::Rng::new()),
                    |time| time.min(ASKED_MAX),
                );
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
    let first = Origin::new(&settings.url, &session, user, access)?;
    let pace = Arc::new(Pace::new(settings.limit));
    let asking = Asking {
        first: &first,
        access,
        silence: settings.timeout,
        pace: &pace,
    };
    asking.read(settings.url.clone(), Ask::Whole, max).await
}

/// Who is asked, and how.
#[derive(Clone, Copy)]
pub struct Asking<'a> {
    /// The server that was named; its login and cookies stay its own.
    pub first: &'a Origin,
    /// What is presented to servers, and believed of them.
    pub access: &'a Access,
    /// No byte for so long is a failure.
    pub silence: Duration,
    /// What bounds the rate.
    pub pace: &'a Arc<Pace>,
}

impl<'a> Asking<'a> {
    /// The whole of a small file at `path`, at most `max` bytes. It is asked for once, over a connection of its own.
    pub async fn whole(self, path: &RemotePath, max: usize) -> Result<Vec<u8>, Error> {
        self.read(self.url_of(path), Ask::Whole, max).await
    }

    /// The values of the pieces of a file at `path`, which merge to the digest that is told behind them, and the file's size.
    /// They are asked for once, over a connection of its own.
    pub async fn values(self, path: &RemotePath) -> Result<(u64, Vec<Value>), Error> {
        let ask = Ask::Pieces { if_match: None };
        let mut at = self.url_of(path);
        at.set_query(None);
        let read = self.read(at, ask, VALUES_MAX).await?;
        let wrong = || Error::Protocol("no list of pieces".into());
        let (preamble, rest) = read.split_first_chunk().ok_or_else(wrong)?;
        let preamble = Preamble::decode(preamble);
        let size = preamble
            .map_err(|error| Error::Protocol(error.to_string()))?
            .size;
        let (values, rest) = rest.as_chunks::<32>();
        let (root, values) = values.split_last().ok_or_else(wrong)?;
        if !rest.is_empty() || values.len() != pieces::value_count(size) as usize {
            return Err(wrong());
        }
        if values.is_empty() || pieces::root(values).as_bytes() != root {
            return Err(Error::Integrity { piece: None });
        }
        Ok((size, values.to_vec()))
    }

    /// A connection on which parts of the file at `path` are asked for, of the content that `if_match` names. No redirect is
    /// followed. `own_pace` bounds what comes on it as well, and with `serial` nothing is sent ahead.
    pub async fn side(
        self,
        path: &RemotePath,
        if_match: Option<&'a str>,
        own_pace: Option<Arc<Pace>>,
        serial: bool,
    ) -> Result<SideConnection<'a>, Error> {
        let mut connection = Connection::open(self.first, self.silence, self.pace).await?;
        connection.own_pace = own_pace;
        Ok(SideConnection {
            origin: self.first,
            target: target_of(&self.url_of(path)),
            if_match,
            connection,
            serial,
        })
    }

    fn url_of(self, path: &RemotePath) -> Url {
        let here = self.first.url();
        (here.join(&self.first.target(path))).unwrap_or_else(|_| here.clone())
    }

    async fn read(self, mut at: Url, ask: Ask<'_>, max: usize) -> Result<Vec<u8>, Error> {
        let (mut connection, head) = self.open(&mut at, ask).await?;
        if head.is_part {
            return Err(Error::Protocol(
                "the answer is a part of what was asked for".into(),
            ));
        }
        let mut decoder = decoder(at.path().as_bytes(), &head)?;
        let mut body = BodyReader::new(head.framing.unwrap_or(Framing::Close));
        let mut content = Vec::new();
        while let Some((_, bytes)) = next(&mut connection, &mut body, decoder.as_mut()).await? {
            if content.len() + bytes.len() > max {
                return Err(Error::Usage(format!(
                    "{} is no such document: it has more than {}",
                    shown(at.as_str()),
                    crate::units::size(max as u64)
                )));
            }
            content.extend_from_slice(&bytes);
        }
        Ok(content)
    }

    /// The first bytes of the file at `path`, at most `max` and at least one; asked for by a range, and read no further
    /// where the server sends all. It is asked once, over a connection of its own.
    pub async fn peek(self, path: &RemotePath, max: usize) -> Result<Vec<u8>, Error> {
        let ask = Ask::Range {
            first: 0,
            last: max as u64 - 1,
            if_match: None,
            if_range: None,
        };
        let mut at = self.url_of(path);
        let (mut connection, head) = self.open(&mut at, ask).await?;
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

    /// Asks, and follows redirects to where `at` is in the end: a connection on which a content follows.
    async fn open(self, at: &mut Url, ask: Ask<'_>) -> Result<(Connection, ResponseHead), Error> {
        let named = at.clone();
        // Another one that a redirect led to.
        let mut other: Option<Origin> = None;
        let (mut hops, mut asked) = (0, 0);
        loop {
            asked += 1;
            let origin = other.as_ref().unwrap_or(self.first);
            let mut connection = Connection::open(origin, self.silence, self.pace).await?;
            connection.queue(origin, &target_of(at), ask);
            connection.flush().await?;
            let head = connection.head(false).await?;
            let is_challenged = origin.is_challenged(&head, connection.round);
            match head.status {
                206 if matches!(ask, Ask::Range { .. }) => return Ok((connection, head)),
                200 | 203 => return Ok((connection, head)),
                status if is_redirect(status) => {
                    origin.keep_cookies(&head.cookies);
                    *at = follow(at, head.location.as_deref())?;
                    hops += 1;
                    if hops > REDIRECTS_MAX {
                        return Err(Error::Unfollowed {
                            to: shown(at.as_str()),
                            why: "more than 5 redirects in a row lead nowhere".into(),
                        });
                    }
                    tracing::info!(path = %named.path(), "redirected to {}", shown(at.as_str()));
                    let known = other.as_ref().unwrap_or(self.first).url().origin();
                    if at.origin() == self.first.url().origin() {
                        other = None;
                    } else if at.origin() != known {
                        other = Some(Origin::stranger(at, self.access)?);
                    }
                }
                401 if asked <= REDIRECTS_MAX && is_challenged => {}
                407 => return Err(Error::ProxyLogin),
                401 => {
                    return Err(Error::Login {
                        at: origin.authority(),
                        sent: origin.has_credentials(),
                        said: None,
                    });
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
    }
}
