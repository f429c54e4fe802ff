//! `haul status`: what runs here, a line each.

use std::{fmt::Write as _, io::Write, time::Duration};

use futures_util::future::join_all;
use serde::Serialize;

use super::report::unwritable;
use crate::{
    app::Sample,
    client::{self, ItemState, Link},
    control::{self, Facts, Found, Watched},
    error::Error,
    escape::{display_error, display_name, display_path},
    exit::Exit,
    logging::json_escaped,
    server::{self, TransferState},
    units::{self, Rate},
};

/// Between the two samples that a rate is computed from.
const BETWEEN: Duration = Duration::from_millis(600);

/// A run, as `--json` has it. Sizes are bytes, rates bytes a second, times seconds.
#[derive(Debug, Serialize)]
struct Run {
    name: String,
    pid: u32,
    #[serde(flatten)]
    what: What,
}

#[derive(Debug, Serialize)]
#[serde(tag = "command", rename_all = "kebab-case")]
enum What {
    Serve {
        urls: Vec<String>,
        root: String,
        clients: usize,
        transfers: usize,
        connections: usize,
        files: u64,
        sent: u64,
        rate: u64,
        limit: Option<Rate>,
        draining: bool,
    },
    Connect {
        url: Option<String>,
        dir: String,
        items: usize,
        finished: usize,
        failed: usize,
        paused: usize,
        connections: usize,
        done: u64,
        total: Option<u64>,
        received: u64,
        rate: u64,
        eta: Option<f64>,
        limit: Option<Rate>,
        link: String,
    },
}

/// What was found, a line each, for who has to choose.
pub async fn lines(found: &[Found]) -> Vec<String> {
    let runs = join_all(found.iter().map(look)).await;
    let line = |(found, run): (&Found, Result<Run, control::Error>)| match run {
        Ok(run) => {
            let line = format!("{}  {}", found.label(), run.what.line());
            crate::logging::one_line(&line)
        }
        Err(error) => display_error(&error),
    };
    found.iter().zip(runs).map(line).collect()
}

/// Tells `out` what runs. The status is [`Exit::Done`] where something does, else [`Exit::Remote`].
pub async fn run(json: bool, out: &mut impl Write) -> Result<Exit, Error> {
    let found = control::all();
    let runs = join_all(found.iter().map(look)).await;
    let mut answered = 0;
    let mut text = String::new();
    let width = found.iter().map(|found| found.label().len()).max();
    for (found, run) in found.iter().zip(runs) {
        match run {
            Ok(run) if json => {
                let line = serde_json::to_string(&run).map_err(std::io::Error::other);
                text.push_str(&json_escaped(&line.map_err(unwritable)?));
            }
            // Writing to a String cannot fail.
            Ok(run) => {
                let label = found.label();
                let width = width.unwrap_or_default();
                let line = crate::logging::one_line(&run.what.line());
                let _ = write!(text, "{label:width$}  {line}");
            }
            // It ended since, or was stopped.
            Err(error) => {
                let line = crate::logging::one_line(&format!("haul: {error}"));
                let _ = writeln!(std::io::stderr(), "{line}");
                continue;
            }
        }
        text.push('\n');
        answered += 1;
    }
    if answered == 0 {
        if !json {
            text.push_str("nothing runs\n");
        }
        out.write_all(text.as_bytes()).map_err(unwritable)?;
        return Ok(Exit::Remote);
    }
    out.write_all(text.as_bytes()).map_err(unwritable)?;
    Ok(Exit::Done)
}

/// Looks at a run, twice where bytes flow.
async fn look(found: &Found) -> Result<Run, control::Error> {
    let Watched { hello, remote, .. } = Watched::open(found, false).await?;
    let (first, mut sample) = remote.latest();
    let mut rate = 0;
    if is_busy(&sample) {
        let before = moved(&sample);
        tokio::time::sleep(BETWEEN).await;
        let (last, later) = remote.latest();
        let passed = last.saturating_sub(first).as_secs_f64();
        if passed > 0.0 {
            rate = (moved(&later).saturating_sub(before) as f64 / passed) as u64;
        }
        sample = later;
    }
    let url = match &hello.facts {
        Facts::Connect { server, .. } => server.as_ref().map(|server| server.url.to_string()),
        Facts::Serve(_) => None,
    };
    let what = match (hello.facts, sample) {
        (Facts::Serve(facts), Sample::Server(snapshot)) => {
            serves(facts.urls, facts.root, rate, &snapshot)
        }
        (Facts::Connect { facts, .. }, Sample::Client(snapshot)) => {
            connects(url, display_path(&facts.dir), rate, &snapshot)
        }
        (Facts::Connect { facts, .. }, _) => connects(
            url,
            display_path(&facts.dir),
            rate,
            &client::Snapshot::default(),
        ),
        (Facts::Serve(facts), _) => {
            serves(facts.urls, facts.root, rate, &server::Snapshot::default())
        }
    };
    Ok(Run {
        name: hello.name,
        pid: hello.pid,
        what,
    })
}

fn is_busy(sample: &Sample) -> bool {
    match sample {
        Sample::Server(snapshot) => transfers(snapshot) > 0,
        Sample::Client(snapshot) => snapshot.connections > 0,
        Sample::Nothing => false,
    }
}

fn moved(sample: &Sample) -> u64 {
    match sample {
        Sample::Server(snapshot) => snapshot.sent,
        Sample::Client(snapshot) => snapshot.received,
        Sample::Nothing => 0,
    }
}

fn transfers(snapshot: &server::Snapshot) -> usize {
    let transfers = snapshot.clients.iter().flat_map(|client| &client.transfers);
    let active = transfers.filter(|transfer| transfer.state == TransferState::Active);
    active.count()
}

fn serves(urls: Vec<String>, root: String, rate: u64, snapshot: &server::Snapshot) -> What {
    let here = snapshot.clients.iter();
    What::Serve {
        urls,
        root,
        clients: here.filter(|client| client.connections > 0).count(),
        transfers: transfers(snapshot),
        connections: snapshot.connections,
        files: snapshot.files,
        sent: snapshot.sent,
        rate,
        limit: snapshot.limit,
        draining: snapshot.draining,
    }
}

fn connects(url: Option<String>, dir: String, rate: u64, snapshot: &client::Snapshot) -> What {
    let items = &snapshot.items;
    let count = |is: fn(&ItemState) -> bool| items.iter().filter(|item| is(&item.state)).count();
    let done = items.iter().map(|item| item.done).sum();
    let totals = items.iter().map(client::ItemView::final_total);
    let total: Option<u64> = totals.sum();
    let left = total.map(|total| total.saturating_sub(done));
    let eta = left.filter(|left| rate > 0 && *left > 0);
    What::Connect {
        url,
        dir,
        items: items.len(),
        finished: count(|state| matches!(state, ItemState::Finished(_))),
        failed: count(|state| matches!(state, ItemState::Failed(_))),
        paused: count(|state| *state == ItemState::Paused),
        connections: snapshot.connections,
        done,
        total,
        received: snapshot.received,
        rate,
        eta: eta.map(|left| left as f64 / rate as f64),
        limit: snapshot.limit,
        link: link(&snapshot.link),
    }
}

fn link(link: &Link) -> String {
    match link {
        Link::Connecting => "connecting".to_owned(),
        Link::Up => "up".to_owned(),
        Link::Retrying { reason, .. } => format!("retrying: {reason}"),
        Link::Down(reason) => format!("down: {reason}"),
        Link::Banned(reason) => format!("banned: {reason}"),
        Link::Paused => "paused by the server".to_owned(),
        Link::Kicked { reason, .. } => format!("kicked: {reason}"),
        Link::Asks(question) => format!("asks: {}", question.brief()),
    }
}

impl What {
    /// For people.
    fn line(&self) -> String {
        let plural = |n: usize, what: &str| match n {
            1 => format!("1 {what}"),
            n => format!("{} {what}s", units::count(n as u64)),
        };
        let mut parts = Vec::new();
        match self {
            Self::Serve {
                urls,
                root,
                clients,
                transfers,
                rate,
                draining,
                ..
            } => {
                let url = urls.first().map(|url| format!(" on {url}"));
                parts.push(format!("{root}{}", url.unwrap_or_default()));
                parts.push(plural(*clients, "client"));
                if *transfers > 0 {
                    parts.push(plural(*transfers, "transfer"));
                    parts.push(units::rate(*rate));
                }
                if *draining {
                    parts.push("draining".to_owned());
                }
            }
            Self::Connect {
                url,
                dir,
                items,
                finished,
                failed,
                done,
                total,
                rate,
                eta,
                link,
                ..
            } => {
                let url = url.as_deref().map_or("no server".into(), display_name);
                parts.push(format!("{url} to {dir}"));
                parts.push(format!("{finished} of {} done", plural(*items, "download")));
                if *failed > 0 {
                    parts.push(format!("{failed} failed"));
                }
                parts.push(match total {
                    Some(total) => format!("{} of {}", units::size(*done), units::size(*total)),
                    None => units::size(*done),
                });
                if *rate > 0 {
                    parts.push(units::rate(*rate));
                }
                if let Some(eta) = eta {
                    let left = units::eta(Some(Duration::from_secs_f64(eta.min(1e9))));
                    parts.push(format!("{left} left"));
                }
                if link != "up" {
                    parts.push(display_name(link).into_owned());
                }
            }
        }
        parts.join(" · ")
    }
}
