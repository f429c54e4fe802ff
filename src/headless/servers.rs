//! `haul servers`: who says on the network that he serves, and who was used before; who of them can be reached.

use std::{
    io::Write,
    net::SocketAddr,
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use serde::Serialize;
use tokio::{
    net::{TcpStream, lookup_host},
    time::timeout,
};
use url::Url;

use crate::{
    app::places::Place,
    dashboard::places,
    discovery::{Heard, News, hear},
    error::Error,
    escape::display_name,
    exit::{Exit, Local},
    logging::json_escaped,
};

/// How long is listened. Who has announced himself within the last second says nothing until it is over (RFC 6762 §6), and is
/// asked once more after one.
const LISTEN: Duration = Duration::from_millis(1500);
/// How long a server may take to accept a connection.
const ACCEPT: Duration = Duration::from_secs(1);

/// A server, as `--json` has it.
#[derive(Debug, PartialEq, Serialize)]
struct Shown {
    url: String,
    /// What it calls itself, where it was heard.
    name: Option<String>,
    /// Whether it says that it is there.
    heard: bool,
    /// Whether it was used before.
    used: bool,
    /// Whether it accepts connections.
    reachable: bool,
    /// What it took to accept one, in milliseconds.
    connect_ms: Option<f64>,
    /// The fingerprint that it claims.
    fingerprint: Option<String>,
}

/// Tells `out` the servers, a line each. The status is [`Exit::Done`] where there are any, else [`Exit::Remote`].
pub async fn run(json: bool, out: &mut impl Write) -> Result<Exit, Error> {
    let mut here: Vec<Heard> = Vec::new();
    let listened = hear(|news| match news {
        News::Here(heard) => {
            here.retain(|known| known.name != heard.name);
            here.push(heard);
        }
        News::Gone(name) => here.retain(|known| known.name != name),
    });
    if let Ok(Err(error)) = timeout(LISTEN, listened).await {
        let line = crate::logging::one_line(&format!("haul: nothing can be heard: {error}"));
        // Without stderr, what was used before is told all the same.
        let _ = writeln!(std::io::stderr(), "{line}");
    }
    here.sort_by(|a, b| a.name.cmp(&b.name));
    let used = places::file().as_deref().map(places::load);
    let shown = looked_at(&here, used.unwrap_or_default()).await;
    let mut text = String::new();
    for server in &shown {
        if json {
            let line = serde_json::to_string(server).map_err(|error| unwritable(error.into()))?;
            text.push_str(&json_escaped(&line));
        } else {
            text.push_str(&line(server));
        }
        text.push('\n');
    }
    if shown.is_empty() && !json {
        text.push_str("no server says that it is there, and none was used before\n");
    }
    out.write_all(text.as_bytes()).map_err(unwritable)?;
    Ok(if shown.is_empty() {
        Exit::Remote
    } else {
        Exit::Done
    })
}

/// Those that were heard, then those that were used before and are no other's, the newest first; all are tried at once.
async fn looked_at(here: &[Heard], used: Vec<Place>) -> Vec<Shown> {
    let mut used: Vec<Url> = used.into_iter().map(|place| place.server).rev().collect();
    let mut seen = std::collections::HashSet::new();
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
        shown.push(Shown {
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
    shown.extend(used.iter().zip(reached).map(|(url, reached)| Shown {
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

/// `http://10.0.0.7:8888/  pub on nas  0.3 ms`, for people.
fn line(server: &Shown) -> String {
    let mut parts = vec![display_name(&server.url).into_owned()];
    parts.extend(
        server
            .name
            .as_deref()
            .map(|name| display_name(name).into_owned()),
    );
    parts.push(match server.connect_ms {
        Some(took) => format!("{took} ms"),
        None => "cannot be reached".to_owned(),
    });
    if server.used {
        parts.push("used before".to_owned());
    }
    if let Some(fingerprint) = &server.fingerprint {
        parts.push(format!("claims SHA256:{}", display_name(fingerprint)));
    }
    parts.join("  ")
}

fn unwritable(source: std::io::Error) -> Error {
    Error::Local(Local {
        what: "cannot write to stdout".into(),
        source,
        remedy: "point it at something writable",
        exit: Exit::Disk,
    })
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
        let place = |url: String| Place::new(url.parse().unwrap(), None).unwrap();
        let used = [
            place(format!("http://{closed}/other/")),
            place(format!("http://{open}/")),
            place(format!("http://localhost:{}/", open.port())),
        ];
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
        let lines: Vec<_> = shown.iter().map(line).collect();
        assert!(lines[0].ends_with(" ms  used before"), "{lines:?}");
        assert!(!lines[0].contains('\x1b'), "{lines:?}");
        assert!(
            lines[1].ends_with("b  cannot be reached  claims SHA256:AB"),
            "{lines:?}"
        );
    }
}
