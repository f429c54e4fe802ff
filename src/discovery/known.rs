//! Who serves: those that are heard and those that were used before, and who of them can be reached.

use std::{
    collections::HashSet,
    net::SocketAddr,
    time::{Duration, Instant},
};

use futures_util::future::{join, join_all};
use serde::Serialize;
use tokio::{
    net::{TcpStream, lookup_host},
    time::timeout,
};
use url::Url;

use super::{Heard, News, hear};

/// How long is listened. Who has announced himself within the last second says nothing until it is over (RFC 6762 §6), and is
/// asked once more after one.
const LISTEN: Duration = Duration::from_millis(1500);
/// How long a server may take to accept a connection.
const ACCEPT: Duration = Duration::from_secs(1);

/// A server. Name and fingerprint are what it says of itself, raw.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Known {
    /// Where it is, or says that it is.
    pub url: String,
    /// What it calls itself, where it was heard.
    pub name: Option<String>,
    /// Whether it says that it is there.
    pub heard: bool,
    /// Whether it was used before.
    pub used: bool,
    /// Whether it accepts connections.
    pub reachable: bool,
    /// What it took to accept one, in milliseconds.
    pub connect_ms: Option<f64>,
    /// The fingerprint that it claims.
    pub fingerprint: Option<String>,
}

/// Listens for a while, and tries whether those that were heard and those that were `used` accept a connection; the error is
/// why nothing could be heard. `usual` is told where it accepts one and is none of the others.
pub async fn survey(used: Vec<Url>, usual: Option<Url>) -> (Vec<Known>, Option<mdns_sd::Error>) {
    let mut here: Vec<Heard> = Vec::new();
    let listened = hear(|news| match news {
        News::Here(heard) => {
            here.retain(|known| known.name != heard.name);
            here.push(heard);
        }
        News::Gone(name) => here.retain(|known| known.name != name),
    });
    let deaf = match timeout(LISTEN, listened).await {
        Ok(Err(error)) => Some(error),
        Ok(Ok(())) | Err(_) => None,
    };
    here.sort_by(|a, b| a.name.cmp(&b.name));
    let usual = usual.filter(|usual| !used.contains(usual));
    let (mut known, usual) = join(looked_at(&here, used), here_too(usual)).await;
    known.extend(usual);
    (known, deaf)
}

/// The server at the usual place, where one accepts a connection.
async fn here_too(usual: Option<Url>) -> Option<Known> {
    let usual = usual?;
    let (_, took) = reach_url(&usual).await?;
    Some(Known {
        url: usual.into(),
        name: None,
        heard: false,
        used: false,
        reachable: true,
        connect_ms: Some(milliseconds(took)),
        fingerprint: None,
    })
}

/// Those that were heard, then those that were used before and are no other's, in their order; all are tried at once.
async fn looked_at(here: &[Heard], mut used: Vec<Url>) -> Vec<Known> {
    let mut seen = HashSet::new();
    used.retain(|url| seen.insert(url.clone()));
    let heard = join_all(here.iter().map(|heard| reach(&heard.addresses))).await;
    let mut shown = Vec::new();
    for (heard, reached) in here.iter().zip(heard) {
        let is_it = |url: &Url| {
            let host = url.host_str().unwrap_or_default();
            let ip = host.trim_matches(['[', ']']).parse().ok();
            let port = url.port_or_known_default();
            let mut addresses = heard.addresses.iter();
            addresses.any(|known| Some(known.ip()) == ip && Some(known.port()) == port)
        };
        let before = used.len();
        used.retain(|url| !is_it(url));
        let address = reached.map_or(heard.addresses[0], |(address, _)| address);
        let scheme = if heard.fingerprint.is_some() {
            "https"
        } else {
            "http"
        };
        shown.push(Known {
            url: format!("{scheme}://{address}{}", heard.path.to_target()),
            name: Some(heard.name.clone()),
            heard: true,
            used: used.len() < before,
            reachable: reached.is_some(),
            connect_ms: reached.map(|(_, took)| milliseconds(took)),
            fingerprint: heard.fingerprint.clone(),
        });
    }
    let reached = join_all(used.iter().map(reach_url)).await;
    shown.extend(used.iter().zip(reached).map(|(url, reached)| Known {
        url: url.to_string(),
        name: None,
        heard: false,
        used: true,
        reachable: reached.is_some(),
        connect_ms: reached.map(|(_, took)| milliseconds(took)),
        fingerprint: None,
    }));
    shown
}

fn milliseconds(took: Duration) -> f64 {
    (took.as_secs_f64() * 10_000.0).round() / 10.0
}

/// The first of a server's addresses that accepts a connection, and what it took. It is sent nothing.
async fn reach(addresses: &[SocketAddr]) -> Option<(SocketAddr, Duration)> {
    let tried = addresses.iter().map(|address| async move {
        let begun = Instant::now();
        let connected = timeout(ACCEPT, TcpStream::connect(address)).await;
        matches!(connected, Ok(Ok(_))).then(|| (*address, begun.elapsed()))
    });
    join_all(tried).await.into_iter().flatten().next()
}

async fn reach_url(url: &Url) -> Option<(SocketAddr, Duration)> {
    let host = url.host_str()?.trim_matches(['[', ']']);
    let found = timeout(ACCEPT, lookup_host((host, url.port_or_known_default()?))).await;
    reach(&found.ok()?.ok()?.collect::<Vec<_>>()).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http1::path::RemotePath;

    #[tokio::test]
    async fn what_was_heard_and_used_is_told_once_with_who_accepts() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let open = listener.local_addr().unwrap();
        let closed = {
            let gone = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            gone.local_addr().unwrap()
        };
        let heard = |name: &str, addresses: Vec<SocketAddr>, fingerprint: Option<&str>| Heard {
            name: name.to_owned(),
            addresses,
            path: RemotePath::root(),
            fingerprint: fingerprint.map(str::to_owned),
        };
        let here = [
            heard("a\x1b", vec![closed, open], None),
            heard("b", vec![closed], Some("AB")),
        ];
        let used = [
            format!("http://localhost:{}/", open.port()),
            format!("http://{open}/"),
            format!("http://{open}/"),
        ];
        let used = used.map(|url| url.parse().unwrap());
        let shown = looked_at(&here, used.to_vec()).await;
        let told: Vec<_> = shown
            .iter()
            .map(|one| (one.url.as_str(), one.heard, one.used, one.reachable))
            .collect();
        let urls = [
            format!("http://{open}/"),
            format!("https://{closed}/"),
            format!("http://localhost:{}/", open.port()),
        ];
        assert_eq!(
            told,
            [
                (&urls[0][..], true, true, true),
                (&urls[1][..], true, false, false),
                (&urls[2][..], false, true, true),
            ]
        );
    }
}
