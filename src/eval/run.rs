//! One run: a server, its clients, all released at the same moment, and what came of it.

use std::{
    fs,
    net::SocketAddr,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use jiff::Timestamp;
use rustix::pipe::{PipeFlags, pipe_with};
use tokio_util::sync::CancellationToken;
use url::Url;

use super::{
    Error,
    link::{Link, Shape},
    live::Board,
    logs::{self, Mark},
    matrix::Cell,
    process::{Client, Ended, Program, Server, Start},
    times::{ClientRun, Run},
    verify::Tree,
};
use crate::{samples::size_name, sys::scratch::Scratch};

/// Lines of a failed client's log that are told.
const TOLD: usize = 5;

/// What all runs share.
#[derive(Debug)]
pub(super) struct Lab {
    pub program: Program,
    /// The directory for logs.
    pub logs: PathBuf,
    /// The name of the measurement.
    pub label: String,
    /// The server elsewhere, if there is one.
    pub address: Option<Url>,
    /// What is going on.
    pub board: Board,
    /// Ends everything.
    pub stop: CancellationToken,
}

/// What one run is to do.
#[derive(Debug)]
pub(super) struct Job<'a> {
    /// Its number in the measurement, from 1.
    pub number: usize,
    /// The how manieth of its cell it is, from 1.
    pub repeat: usize,
    pub cell: &'a Cell,
    /// What is served; `None` with a server elsewhere.
    pub source: Option<&'a Path>,
}

/// What came of a run.
#[derive(Debug)]
pub(super) struct Outcome {
    pub run: Run,
    /// The last lines of the logs of clients that failed.
    pub failures: Vec<Failure>,
}

/// A client that failed.
#[derive(Debug)]
pub(super) struct Failure {
    pub client: String,
    pub error: String,
    /// The last lines of its log, for people.
    pub log: Vec<String>,
}

/// A client before its run: its name and its places.
#[derive(Debug)]
struct Seat {
    name: String,
    dir: PathBuf,
    log: PathBuf,
    /// Where this run begins in the log.
    from: u64,
}

impl Lab {
    /// Runs a job. `expected` is what every client must have at the end; where it is not known, it becomes what the
    /// first client has. `None` when it was stopped.
    pub async fn run(
        &self,
        job: &Job<'_>,
        expected: &mut Option<Tree>,
    ) -> Result<Option<Outcome>, Error> {
        let scratch = Scratch::new()?;
        let Timed {
            seats,
            began,
            released,
            ended,
        } = self.timed(job, scratch.path()).await?;
        if self.stop.is_cancelled() {
            return Ok(None);
        }
        let mut clients = Vec::with_capacity(seats.len());
        let mut failures = Vec::new();
        for (seat, end) in seats.iter().zip(&ended) {
            let lines = logs::read_behind(&seat.log, seat.from)?;
            let transfers: Vec<_> = lines
                .iter()
                .filter_map(|line| line.transfer(began))
                .collect();
            let error = match &end.error {
                Some(error) => Some(error.clone()),
                None => check(&seat.dir, expected, job.cell.files, transfers.len()).await,
            };
            if let Some(error) = &error {
                failures.push(Failure {
                    client: seat.name.clone(),
                    error: error.clone(),
                    log: logs::tail(&lines, TOLD),
                });
            }
            clients.push(ClientRun {
                name: seat.name.clone(),
                seconds: seconds(released, end.at),
                bytes: transfers.iter().map(|transfer| transfer.bytes).sum(),
                error,
                transfers,
            });
        }
        let last = ended.iter().map(|end| end.at).max().unwrap_or(released);
        let run = Run {
            id: self.id(job),
            cell: job.cell.clone(),
            repeat: job.repeat,
            began: format!("{began:.6}"),
            seconds: seconds(released, last),
            clients,
        };
        Ok(Some(Outcome { run, failures }))
    }

    fn id(&self, job: &Job<'_>) -> String {
        format!("{}/{}", self.label, job.number)
    }

    /// The part that is timed, with what must stand before it and be gone after it.
    async fn timed(&self, job: &Job<'_>, scratch: &Path) -> Result<Timed, Error> {
        let seats = self.seats(job, scratch)?;
        let server = match job.source {
            Some(source) => {
                let log = self.log("server0", job)?.0;
                let scratch = scratch.join("server0");
                Some(Server::start(&self.program, source, &log, &scratch, job.cell).await?)
            }
            None => None,
        };
        let result = self.clients(job, scratch, seats, server.as_ref()).await;
        if let Some(server) = server {
            server.stop().await;
        }
        result
    }

    /// Starts the clients, releases them, and follows them to their ends.
    async fn clients(
        &self,
        job: &Job<'_>,
        scratch: &Path,
        seats: Vec<Seat>,
        server: Option<&Server>,
    ) -> Result<Timed, Error> {
        let url = self.url(job, server)?;
        let links = links(&url, job.cell).await?;
        let (hold, release) = pipe_with(PipeFlags::CLOEXEC).map_err(|error| Error::Start {
            what: "the clients".into(),
            source: error.into(),
        })?;
        let options = options(job.cell, server);
        let mut clients = Vec::with_capacity(seats.len());
        for (number, seat) in seats.iter().enumerate() {
            let url = links
                .get(number)
                .map_or(Ok(url.clone()), |link| through(&url, link))?;
            clients.push(self.start(seat, url.as_str(), scratch, &hold, &options)?);
        }
        drop(hold);
        join_all(clients.iter_mut().map(Client::ready)).await;
        let (began, released) = (now(), Instant::now());
        drop(release);
        let followed = clients.into_iter().enumerate().map(|(number, client)| {
            // Tasks of their own: each end is seen when it comes.
            tokio::spawn(client.follow(number, self.board.clone(), self.stop.clone()))
        });
        let ended = join_all(followed).await;
        let ended = ended.into_iter().map(|end| {
            end.unwrap_or_else(|error| Ended {
                at: Instant::now(),
                error: Some(error.to_string()),
            })
        });
        Ok(Timed {
            ended: ended.collect(),
            seats,
            began,
            released,
        })
    }

    fn start(
        &self,
        seat: &Seat,
        url: &str,
        scratch: &Path,
        hold: &OwnedFd,
        options: &[String],
    ) -> Result<Client, Error> {
        let hold = hold.try_clone().map_err(|source| Error::Start {
            what: seat.name.clone(),
            source,
        })?;
        let start = Start {
            name: &seat.name,
            url,
            dir: &seat.dir,
            log: &seat.log,
            scratch: &scratch.join("private").join(&seat.name),
            options,
            hold,
        };
        Client::start(&self.program, start)
    }

    /// The clients' directories are made, and their logs begun.
    fn seats(&self, job: &Job<'_>, scratch: &Path) -> Result<Vec<Seat>, Error> {
        let seat = |number| {
            let name = format!("client{number}");
            let dir = scratch.join(&name);
            fs::create_dir(&dir).map_err(|error| Error::Write(dir.clone(), error))?;
            let (log, from) = self.log(&name, job)?;
            Ok(Seat {
                name,
                dir,
                log,
                from,
            })
        };
        (0..job.cell.clients).map(seat).collect()
    }

    /// A side's log, with the run's first line in it, and its length.
    fn log(&self, side: &str, job: &Job<'_>) -> Result<(PathBuf, u64), Error> {
        let path = self.logs.join(logs::name(side, job.cell));
        let mark = Mark {
            run: self.id(job),
            label: self.label.clone(),
            side: side.into(),
            repeat: job.repeat,
            cell: job.cell.clone(),
        };
        let length = mark.append(&path)?;
        Ok((path, length))
    }

    /// The directory that the clients download.
    fn url(&self, job: &Job<'_>, server: Option<&Server>) -> Result<Url, Error> {
        let (text, folder) = match (server, &self.address) {
            (Some(server), _) => (server.url.clone(), String::new()),
            (None, Some(address)) => {
                let slash = if address.path().ends_with('/') {
                    ""
                } else {
                    "/"
                };
                (
                    address.to_string(),
                    format!("{slash}{}/", size_name(job.cell.size)),
                )
            }
            (None, None) => (String::new(), String::new()),
        };
        Url::parse(&(text.clone() + &folder))
            .map_err(|error| Error::Server(format!("`{text}` is no URL: {error}")))
    }
}

/// What the timed part yields.
#[derive(Debug)]
struct Timed {
    seats: Vec<Seat>,
    /// The release, on the clock that logs use.
    began: Timestamp,
    /// The release, on the clock that measures.
    released: Instant,
    /// How each client ended.
    ended: Vec<Ended>,
}

/// What a cell and its server ask of every client.
fn options(cell: &Cell, server: Option<&Server>) -> Vec<String> {
    let mut options = vec![
        format!("--workers={}", cell.workers),
        format!("--serial={}", cell.serial),
    ];
    if let Some(fingerprint) = server.and_then(|server| server.fingerprint.as_ref()) {
        options.push(format!("--fingerprint={fingerprint}"));
    }
    options
}

/// This moment, as exact as logs tell it.
fn now() -> Timestamp {
    let now = Timestamp::now();
    Timestamp::from_microsecond(now.as_microsecond()).unwrap_or(now)
}

fn seconds(from: Instant, to: Instant) -> f64 {
    to.saturating_duration_since(from).as_secs_f64()
}

/// A link for each client where the cell asks for slow ones.
async fn links(url: &Url, cell: &Cell) -> Result<Vec<Link>, Error> {
    let shape = Shape {
        latency: Duration::from_secs_f64(cell.latency),
        rate: cell.rate,
    };
    if shape.is_plain() {
        return Ok(Vec::new());
    }
    let server = resolved(url).await?;
    let mut links = Vec::with_capacity(cell.clients);
    for _ in 0..cell.clients {
        let link = Link::open(server, shape)
            .await
            .map_err(|source| Error::Start {
                what: "a client's link".into(),
                source,
            })?;
        links.push(link);
    }
    Ok(links)
}

async fn resolved(url: &Url) -> Result<SocketAddr, Error> {
    let nowhere = |why: String| Error::Server(format!("{url} cannot be resolved: {why}"));
    let host = url.host_str().unwrap_or_default();
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let port = url.port_or_known_default().unwrap_or_default();
    let mut found = tokio::net::lookup_host((host, port))
        .await
        .map_err(|error| nowhere(crate::exit::reason(&error)))?;
    found.next().ok_or_else(|| nowhere("no address".into()))
}

/// The same URL through a link.
fn through(url: &Url, link: &Link) -> Result<Url, Error> {
    let mut url = url.clone();
    let set = url.set_ip_host(link.address.ip()).is_ok()
        && url.set_port(Some(link.address.port())).is_ok();
    if set {
        Ok(url)
    } else {
        Err(Error::Server(format!("{url} has no host")))
    }
}

/// What is wrong with what a client has, though it says that it is done.
async fn check(
    dir: &Path,
    expected: &mut Option<Tree>,
    files: usize,
    logged: usize,
) -> Option<String> {
    let dir = dir.to_owned();
    let copy = tokio::task::spawn_blocking(move || Tree::of(&dir)).await;
    let copy = match copy {
        Ok(Ok(copy)) => copy,
        Ok(Err(error)) => return Some(crate::exit::reason(&error)),
        Err(error) => return Some(error.to_string()),
    };
    if expected.is_none() && copy.files() != files {
        return Some(format!(
            "the server's folder has {} files: say --files {0}",
            copy.files()
        ));
    }
    let expected = expected.get_or_insert_with(|| copy.clone());
    if let Some(difference) = expected.difference(&copy) {
        return Some(difference);
    }
    (logged != files).then(|| {
        format!("its log tells of {logged} of {files} files: verbosity in configs/eval-connect.ini must be info or more")
    })
}
